//! With the feature `codegen`, turns `openapi/plex-auth.json` into the typed client and typed mocks:
//! read, reduce, generate, write. Needs no network. Without the feature there is nothing to do: the
//! code in `openapi/generated/` is compiled.
//!
//! `cargo xtask` includes this file as a module, so that it writes the same code.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "codegen")]
    codegen::main();
}

#[cfg(feature = "codegen")]
#[path = "openapi/resolve.rs"]
pub mod references;

#[cfg(feature = "codegen")]
pub mod codegen {
    use std::error::Error;
    use std::{env, fs, mem, panic};

    use openapiv3::OpenAPI;
    use progenitor::{GenerationSettings, Generator, HooksMode, TypePatch};
    use serde_json::{Map, Value, json};

    use super::references::{METHODS, resolve};

    const FRAGMENT: &str = "openapi/plex-auth.json";
    const JSON: &str = "application/json";

    /// Schemas that are written by hand in `src/api/wire.rs`: secrets, whose `Debug` is redacted,
    /// and values that servers encode in several ways.
    const REPLACED: [(&str, &str); 10] = [
        ("Token", "crate::api::wire::WireToken"),
        ("Text", "crate::api::wire::Lenient<String>"),
        ("Flag", "crate::api::wire::Lenient<bool>"),
        ("Port", "crate::api::wire::Lenient<u16>"),
        ("Uri", "crate::api::wire::Lenient<::reqwest::Url>"),
        ("Refresh", "u8"),
        ("ErrorCode", "crate::api::wire::Lenient<i64>"),
        ("Devices", "crate::api::wire::OneOrMany<crate::api::wire::Device>"),
        ("Connections", "crate::api::wire::OneOrMany<crate::api::wire::Connection>"),
        ("Errors", "crate::api::wire::OneOrMany<crate::api::wire::ErrorEntry>"),
    ];

    /// Structs to which typify does not give `Default`: users build them field by field.
    const DEFAULT: [&str; 6] = [
        "TransientTokenBody",
        "SourceBody",
        "IdentityBody",
        "IdentityContainer",
        "ErrorBody",
        "MaintenanceBody",
    ];

    pub(super) fn main() {
        println!("cargo::rerun-if-changed={FRAGMENT}");
        println!("cargo::rerun-if-changed=openapi/resolve.rs");
        // The generator panics at what it does not support, without the name of the file.
        panic::set_hook(Box::new(|panic| fail(&panic.to_string())));
        if let Err(reason) = build() {
            fail(&reason.to_string());
        }
    }

    fn build() -> Result<(), Box<dyn Error>> {
        let generated = generate(&fs::read_to_string(FRAGMENT)?)?;
        let out = env::var("OUT_DIR")?;
        fs::write(format!("{out}/client.rs"), generated.client)?;
        fs::write(format!("{out}/mocks.rs"), generated.mocks)?;
        Ok(())
    }

    /// Cargo fails the build on a `cargo::error` line.
    fn fail(reason: &str) {
        println!("cargo::error={FRAGMENT}: {}", reason.replace('\n', " "));
    }

    /// Unformatted Rust source, the same for all features.
    #[derive(Debug)]
    pub struct Generated {
        pub client: String,
        pub mocks: String,
    }

    /// The code for a fragment, or the reason why it is invalid.
    pub fn generate(fragment: &str) -> Result<Generated, String> {
        let fragment: Value = serde_json::from_str(fragment).map_err(|error| error.to_string())?;
        let schemas = fragment["components"]["schemas"].as_object().ok_or("no schemas")?;
        let mut settings = GenerationSettings::new();
        let inner = "crate::api::Inner".parse().map_err(|_| "not a Rust type")?;
        settings.with_hooks(HooksMode::Expected).with_inner_type(inner);
        for (schema, by_hand) in REPLACED {
            settings.with_replacement(schema, by_hand, std::iter::empty());
        }
        for schema in schemas.keys() {
            let mut patch = TypePatch::default();
            patch.with_attr(r#"#[cfg_attr(feature = "schemars", derive(::schemars::JsonSchema))]"#);
            if DEFAULT.contains(&schema.as_str()) {
                patch.with_derive("Default");
            }
            settings.with_patch(schema, &patch);
        }
        check_names(schemas)?;
        let client = Generator::new(&settings).generate_tokens(&reduce(&fragment, false)?);
        let client = client.map_err(|error| error.to_string())?.to_string() + &headers(&fragment);
        let mocks = reduce(&fragment, true)?;
        let mocks = Generator::new(&settings).httpmock(&mocks, "crate::api::generated");
        let mocks = mocks.map_err(|error| error.to_string())?.to_string();
        Ok(Generated { client, mocks })
    }

    /// Each name of the two lists above must be a schema. A fragment with none of them is another
    /// one, as in the tests of `xtask`.
    fn check_names(schemas: &Map<String, Value>) -> Result<(), String> {
        let names = REPLACED.iter().map(|(schema, _)| schema).chain(&DEFAULT);
        let stale: Vec<_> = names.filter(|name| !schemas.contains_key(**name)).collect();
        match stale.is_empty() || stale.len() == REPLACED.len() + DEFAULT.len() {
            true => Ok(()),
            false => Err(format!("build.rs names schemas that are not there: {stale:?}")),
        }
    }

    /// The fragment without what progenitor does not support or what would clutter the code: header
    /// parameters, which the hooks send; XML and error responses, which are read by hand (in mocks
    /// an error's body is the user's choice); permission for unknown properties, which serde ignores
    /// anyway.
    fn reduce(fragment: &Value, mocks: bool) -> Result<OpenAPI, String> {
        let mut reduced = fragment.clone();
        let paths = reduced.get_mut("paths").and_then(Value::as_object_mut).ok_or("no `paths`")?;
        for (path, item) in paths {
            remove_headers(fragment, item);
            for (method, operation) in item.as_object_mut().into_iter().flatten() {
                if METHODS.contains(&method.as_str()) {
                    remove_headers(fragment, operation);
                    reduce_responses(fragment, operation, mocks)
                        .map_err(|reason| format!("{} {path}: {reason}", method.to_uppercase()))?;
                }
            }
        }
        let schemas = reduced["components"]["schemas"].as_object_mut().ok_or("no schemas")?;
        for schema in schemas.values_mut() {
            schema.as_object_mut().and_then(|schema| schema.remove("additionalProperties"));
        }
        serde_json::from_value(reduced).map_err(|error| error.to_string())
    }

    fn remove_headers(fragment: &Value, holder: &mut Value) {
        if let Some(Value::Array(parameters)) = holder.get_mut("parameters") {
            parameters.retain(|listed| {
                resolve(fragment, listed).is_none_or(|parameter| parameter["in"] != "header")
            });
        }
    }

    fn reduce_responses(
        fragment: &Value,
        operation: &mut Value,
        mocks: bool,
    ) -> Result<(), String> {
        let responses = operation["responses"].as_object_mut().ok_or("no `responses`")?;
        let mut success = None;
        for (status, response) in mem::take(responses) {
            let response = resolve(fragment, &response);
            let response = response.ok_or_else(|| format!("{status} refers to nothing"))?;
            let media_types = response["content"].as_object().filter(|types| !types.is_empty());
            let json = media_types.and_then(|types| types.get(JSON));
            let content = match (status.starts_with('2'), json) {
                (true, Some(json)) => json!({ JSON: { "schema": json["schema"] } }),
                (true, None) if media_types.is_none() => json!({}),
                (true, None) => return Err(format!("{status} has a body, but none of {JSON}")),
                (false, Some(_)) if mocks => json!({ "*/*": {} }),
                (false, _) => continue,
            };
            // A generated method returns one type.
            if status.starts_with('2') && *success.get_or_insert_with(|| content.clone()) != content
            {
                return Err(format!("{status} has another body than the success before it"));
            }
            responses.insert(status, json!({ "description": "", "content": content }));
        }
        Ok(())
    }

    /// The headers of each operation: its parameters, and the API key where it needs one.
    fn headers(fragment: &Value) -> String {
        let mut arms = String::new();
        for item in fragment["paths"].as_object().into_iter().flat_map(Map::values) {
            for operation in METHODS.iter().filter_map(|method| item.get(method)) {
                let lists = [item, operation].map(|holder| holder["parameters"].as_array());
                let parameters = lists.into_iter().flatten().flatten();
                let security = operation.get("security").unwrap_or(&fragment["security"]);
                let schemes = security.as_array().into_iter().flatten();
                let schemes = schemes.filter_map(Value::as_object).flat_map(Map::keys);
                let schemes = schemes.map(|name| &fragment["components"]["securitySchemes"][name]);
                let described = parameters.chain(schemes).filter_map(|it| resolve(fragment, it));
                let headers = described.filter(|described| described["in"] == "header");
                let names = headers.filter_map(|header| header["name"].as_str());
                let names: Vec<_> = names.map(str::to_lowercase).collect();
                let id = snake_case(operation["operationId"].as_str().unwrap_or_default());
                arms += &format!("{id:?} => &{names:?},");
            }
        }
        format!(
            "/// The headers of an operation.\n\
             pub fn headers(operation_id: &str) -> &'static [&'static str] \
             {{ match operation_id {{ {arms} _ => &[] }} }}"
        )
    }

    /// The name of a generated method.
    fn snake_case(operation_id: &str) -> String {
        let mut snake = String::new();
        for c in operation_id.chars() {
            if c.is_uppercase() {
                snake.push('_');
            }
            snake.extend(c.to_lowercase());
        }
        snake
    }
}
