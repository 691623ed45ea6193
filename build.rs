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
pub mod codegen {
    use std::collections::BTreeSet;
    use std::error::Error;
    use std::{env, fs, panic};

    use openapiv3::OpenAPI;
    use progenitor::{GenerationSettings, Generator, HooksMode, TypePatch};
    use serde_json::{Value, json};

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
        let mut settings = GenerationSettings::new();
        let inner = "crate::api::Inner".parse().map_err(|_| "not a Rust type")?;
        settings.with_hooks(HooksMode::Expected).with_inner_type(inner);
        for (schema, by_hand) in REPLACED {
            settings.with_replacement(schema, by_hand, std::iter::empty());
        }
        for schema in fragment["components"]["schemas"].as_object().ok_or("no schemas")?.keys() {
            let mut patch = TypePatch::default();
            patch.with_attr(r#"#[cfg_attr(feature = "schemars", derive(::schemars::JsonSchema))]"#);
            if DEFAULT.contains(&schema.as_str()) {
                patch.with_derive("Default");
            }
            settings.with_patch(schema, &patch);
        }
        let client = Generator::new(&settings).generate_tokens(&reduce(&fragment, false)?);
        let client = client.map_err(|error| error.to_string())?.to_string() + &headers(&fragment);
        let mocks = reduce(&fragment, true)?;
        let mocks = Generator::new(&settings).httpmock(&mocks, "crate::api::generated");
        let mocks = mocks.map_err(|error| error.to_string())?.to_string();
        Ok(Generated { client, mocks })
    }

    /// The fragment without what progenitor does not support or what would clutter the code: header
    /// parameters, which the hooks send; XML and error responses, which are read by hand (in mocks
    /// an error's body is the user's choice); permission for unknown properties, which serde ignores
    /// anyway.
    fn reduce(fragment: &Value, mocks: bool) -> Result<OpenAPI, String> {
        let mut reduced = fragment.clone();
        let paths = reduced.get_mut("paths").and_then(Value::as_object_mut).ok_or("no `paths`")?;
        let items = paths.values_mut().filter_map(Value::as_object_mut);
        for operation in items.flat_map(|item| item.values_mut()) {
            if let Some(Value::Array(parameters)) = operation.get_mut("parameters") {
                parameters.retain(|parameter| resolve(fragment, parameter)["in"] != "header");
            }
            let responses = operation["responses"].as_object_mut().ok_or("no `responses`")?;
            responses.retain(|status, response| {
                let content = &resolve(fragment, response)["content"];
                status.starts_with('2') || (mocks && content[JSON].is_object())
            });
            for (status, response) in responses.iter_mut() {
                let content = match status.starts_with('2') {
                    true => json!({ JSON: resolve(fragment, response)["content"][JSON] }),
                    false => json!({ "*/*": {} }),
                };
                *response = json!({ "description": "", "content": content });
            }
        }
        let schemas = reduced["components"]["schemas"].as_object_mut().ok_or("no schemas")?;
        for schema in schemas.values_mut() {
            schema.as_object_mut().and_then(|schema| schema.remove("additionalProperties"));
        }
        serde_json::from_value(reduced).map_err(|error| error.to_string())
    }

    /// The headers of each operation: its parameters, and the API key where it needs one.
    fn headers(fragment: &Value) -> String {
        let mut names = BTreeSet::new();
        let mut arms = String::new();
        let items = fragment["paths"].as_object().into_iter().flat_map(|paths| paths.values());
        for operation in items.filter_map(Value::as_object).flat_map(|item| item.values()) {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let security = operation.get("security").unwrap_or(&fragment["security"]);
            let schemes = security.as_array().into_iter().flatten().filter_map(Value::as_object);
            let schemes = schemes.flat_map(|schemes| schemes.keys());
            let schemes = schemes.map(|name| &fragment["components"]["securitySchemes"][name]);
            let described = parameters.map(|parameter| resolve(fragment, parameter)).chain(schemes);
            let described = described.filter(|described| described["in"] == "header");
            let described: Vec<_> = described.filter_map(|it| it["name"].as_str()).collect();
            let constants = described.iter().map(|name| constant(name)).collect::<Vec<_>>();
            let id = snake_case(operation["operationId"].as_str().unwrap_or_default());
            arms += &format!("{id:?} => &[{}],", constants.join(","));
            names.extend(described);
        }
        let mut module = String::new();
        for name in names {
            let value = name.to_lowercase();
            module += &format!("pub const {}: &str = {value:?};", constant(name));
        }
        format!(
            "/// Names of headers.\npub mod headers {{ {module} \
             /// Those of an operation.\npub fn of(operation_id: &str) -> &'static [&'static str] \
             {{ match operation_id {{ {arms} _ => &[] }} }} }}"
        )
    }

    fn constant(header: &str) -> String {
        header.to_uppercase().replace('-', "_")
    }

    fn snake_case(name: &str) -> String {
        let mut snake = String::new();
        for c in name.chars() {
            if c.is_uppercase() {
                snake.push('_');
            }
            snake.extend(c.to_lowercase());
        }
        snake
    }

    fn resolve<'a>(fragment: &'a Value, value: &'a Value) -> &'a Value {
        let target = value["$ref"].as_str().and_then(|target| target.strip_prefix('#'));
        target.and_then(|target| fragment.pointer(target)).unwrap_or(value)
    }
}
