//! Turns `openapi/plex-auth.json` into the typed client, and with the feature `httpmock` into typed
//! mocks. Reads the fragment, writes to `OUT_DIR`, nothing else.
//!
//! `cargo xtask codegen` includes this file as a module, so that what it shows is what is built.

use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::{env, fs, process};

use openapiv3::OpenAPI;
use proc_macro2::TokenStream;
use progenitor::{GenerationSettings, Generator, HooksMode};
use serde_json::Value;

const FRAGMENT: &str = "openapi/plex-auth.json";

/// Schemas that stand for a type written by hand: secrets that don't print themselves, and values
/// that come in several dresses.
const BY_HAND: [(&str, &str); 7] = [
    ("Token", "crate::wire::WireToken"),
    ("Flag", "crate::wire::Flag"),
    ("Port", "crate::wire::Port"),
    ("Uri", "crate::wire::Uri"),
    ("Refresh", "u8"),
    ("Devices", "crate::wire::OneOrMany<crate::wire::Device>"),
    ("Connections", "crate::wire::OneOrMany<crate::wire::Connection>"),
];

fn main() {
    println!("cargo::rerun-if-changed={FRAGMENT}");
    let on = |feature: &str| env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();
    let result = fs::read_to_string(FRAGMENT)
        .map_err(|error| error.to_string())
        .and_then(|text| generate(&text, on("SCHEMARS"), on("HTTPMOCK")))
        .and_then(|generated| write(&generated).map_err(|error| error.to_string()));
    if let Err(reason) = result {
        println!("cargo::error={FRAGMENT}: {reason}");
        process::exit(1);
    }
}

fn write(generated: &Generated) -> Result<(), std::io::Error> {
    let out = env::var_os("OUT_DIR").ok_or(std::io::ErrorKind::NotFound)?;
    fs::write(Path::new(&out).join("client.rs"), &generated.client)?;
    if let Some(mocks) = &generated.mocks {
        fs::write(Path::new(&out).join("mocks.rs"), mocks)?;
    }
    Ok(())
}

/// Rust source, not formatted.
#[derive(Debug)]
pub struct Generated {
    pub client: String,
    pub mocks: Option<String>,
}

/// The code for a fragment, or what is wrong with it and where.
pub fn generate(fragment: &str, schemars: bool, httpmock: bool) -> Result<Generated, String> {
    let fragment: Value = serde_json::from_str(fragment).map_err(|error| error.to_string())?;
    check_references(&fragment, &fragment, "#")?;

    let mut settings = GenerationSettings::new();
    let inner = "crate::hooks::Inner".parse().map_err(|_| "not a Rust type")?;
    settings.with_hooks(HooksMode::Expected).with_inner_type(inner);
    if schemars {
        settings.with_derive("::schemars::JsonSchema");
    }
    for (schema, by_hand) in BY_HAND {
        settings.with_replacement(schema, by_hand, std::iter::empty());
    }

    let client = read(reduce(&fragment, Errors::None)?)?;
    let client = caught(|| Generator::new(&settings).generate_tokens(&client))?;
    let mocks = if httpmock {
        let mocks = read(reduce(&fragment, Errors::Json)?)?;
        Some(caught(|| Generator::new(&settings).httpmock(&mocks, "crate::generated"))?)
    } else {
        None
    };
    Ok(Generated { client, mocks })
}

/// Which error responses the generator sees.
#[derive(Clone, Copy, PartialEq)]
enum Errors {
    /// The client reads errors by hand: they come in several dresses, whatever was declared.
    None,
    /// The mocks offer those that can be JSON, with a body of the user's choice.
    Json,
}

/// The fragment without what progenitor can't take or would turn into clutter: header parameters,
/// which the hooks send; error bodies of several kinds; and permission for unknown properties,
/// which serde ignores anyway.
fn reduce(fragment: &Value, errors: Errors) -> Result<Value, String> {
    let mut reduced = fragment.clone();
    let paths = reduced.get_mut("paths").and_then(Value::as_object_mut);
    for (path, item) in paths.ok_or("`paths` must be an object")? {
        for (verb, operation) in item.as_object_mut().into_iter().flatten() {
            let place = format!("`paths`, `{path}`, `{verb}`");
            if let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut)
            {
                parameters.retain(|parameter| resolve(fragment, parameter)["in"] != "header");
            }
            let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
            let responses =
                responses.ok_or_else(|| format!("{place}: `responses` must be an object"))?;
            responses.retain(|status, response| {
                *response = resolve(fragment, response).clone();
                status.starts_with('2')
                    || (errors == Errors::Json
                        && response["content"]["application/json"].is_object())
            });
            for (status, response) in responses {
                if !status.starts_with('2') {
                    response["content"] = serde_json::json!({ "*/*": {} });
                }
            }
        }
    }
    allow_unknown_silently(&mut reduced);
    Ok(reduced)
}

fn allow_unknown_silently(value: &mut Value) {
    if let Some(object) = value.as_object_mut() {
        if object.get("additionalProperties") == Some(&Value::Bool(true)) {
            object.remove("additionalProperties");
        }
        object.values_mut().for_each(allow_unknown_silently);
    }
}

/// What a value says, or what it refers to. `check_references` has seen every reference before.
fn resolve<'a>(fragment: &'a Value, value: &'a Value) -> &'a Value {
    let mut value = value;
    while let Some(target) = target(fragment, value) {
        value = target;
    }
    value
}

fn target<'a>(fragment: &'a Value, value: &Value) -> Option<&'a Value> {
    fragment.pointer(value.get("$ref")?.as_str()?.strip_prefix('#')?)
}

/// The generator panics at a reference to nowhere, and loops in a circle: neither says where.
fn check_references(fragment: &Value, value: &Value, place: &str) -> Result<(), String> {
    if let Some(reference) = value.get("$ref") {
        let mut hops = 0;
        let mut at = value;
        while at.get("$ref").is_some() {
            at = target(fragment, at)
                .ok_or_else(|| format!("{place}: {reference} leads nowhere"))?;
            hops += 1;
            if hops > 32 {
                return Err(format!("{place}: {reference} runs in a circle"));
            }
        }
    }
    match value {
        Value::Object(object) => object.iter().try_for_each(|(key, value)| {
            let key = key.replace('~', "~0").replace('/', "~1");
            check_references(fragment, value, &format!("{place}/{key}"))
        }),
        Value::Array(array) => array.iter().enumerate().try_for_each(|(index, value)| {
            check_references(fragment, value, &format!("{place}/{index}"))
        }),
        _ => Ok(()),
    }
}

fn read(reduced: Value) -> Result<OpenAPI, String> {
    serde_path_to_error::deserialize(reduced)
        .map_err(|error| format!("at `{}`: {}", error.path(), error.inner()))
}

/// The generator asserts and unwraps: what it says then is told as a reason, without a backtrace.
fn caught(
    generate: impl FnOnce() -> Result<TokenStream, progenitor::Error>,
) -> Result<String, String> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let result = panic::catch_unwind(AssertUnwindSafe(generate));
    panic::set_hook(hook);
    match result {
        Ok(Ok(tokens)) => Ok(tokens.to_string()),
        Ok(Err(error)) => Err(format!("progenitor refuses it: {error}")),
        Err(panic) => {
            let reason = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no reason given");
            Err(format!("progenitor gives up on it: {reason}"))
        }
    }
}
