//! The binary, run in a folder of its own, on a small description of the two endpoints.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use yaml_serde::Value as Yaml;

/// A folder with a fragment and its upstream extract, as the repository has them.
pub(crate) struct House(PathBuf);

#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl House {
    /// An empty one.
    pub(crate) fn empty(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("openapi")).unwrap();
        Self(folder)
    }

    /// With the small fragment, and the extract of the small description.
    pub(crate) fn new(name: &str) -> Self {
        let house = Self::empty(name);
        house.write("openapi/plex-auth.json", include_str!("fragment.json"));
        house.write("spec.yaml", include_str!("spec.yaml"));
        let run = house.run(&["drift", "spec.yaml", "--accept"]);
        assert_eq!(run.code, Some(0), "{run:?}");
        house
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.0.join(file), text).unwrap();
    }

    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file)).unwrap()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        run(&self.0, arguments)
    }

    /// Runs `drift` on a text.
    pub(crate) fn drift(&self, text: &str) -> Run {
        self.write("new", text);
        self.run(&["drift", "new"])
    }
}

/// Runs the binary in a folder.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let Output { status, stdout, stderr } =
        command.args(arguments).current_dir(folder).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// The small description.
pub(crate) fn spec() -> Value {
    yaml_serde::from_str(include_str!("spec.yaml")).unwrap()
}

/// The same in every dress that a description comes in.
pub(crate) fn dresses(spec: &Value) -> [(&'static str, String); 4] {
    let old = as_3_0(spec);
    [
        ("3.1, YAML", yaml(spec)),
        ("3.1, JSON", format!("{spec:#}")),
        ("3.0, YAML", yaml(&old)),
        ("3.0, JSON", old.to_string()),
    ]
}

/// Statuses are written as people write them, without quotes.
pub(crate) fn yaml(spec: &Value) -> String {
    let text = yaml_serde::to_string(spec).unwrap();
    text.replace("'200':", "200:").replace("'400':", "400:")
}

/// With the keys of every mapping in the order opposite to the usual one.
pub(crate) fn yaml_reversed(spec: &Value) -> String {
    fn reversed(value: Yaml) -> Yaml {
        match value {
            Yaml::Mapping(mapping) => {
                let entries: Vec<_> = mapping.into_iter().collect();
                let entries = entries.into_iter().rev();
                Yaml::Mapping(entries.map(|(key, value)| (key, reversed(value))).collect())
            }
            Yaml::Sequence(list) => Yaml::Sequence(list.into_iter().map(reversed).collect()),
            other => other,
        }
    }
    yaml_serde::to_string(&reversed(yaml_serde::to_value(spec).unwrap())).unwrap()
}

fn as_3_0(value: &Value) -> Value {
    let mut object = match value {
        Value::Array(list) => return list.iter().map(as_3_0).collect(),
        Value::Object(object) => object.clone(),
        other => return other.clone(),
    };
    if object.contains_key("openapi") {
        object["openapi"] = json!("3.0.3");
    }
    if let Some([kind, Value::String(null)]) =
        object.get("type").and_then(Value::as_array).map(Vec::as_slice)
        && null == "null"
    {
        let kind = kind.clone();
        object.insert("type".to_owned(), kind);
        object.insert("nullable".to_owned(), json!(true));
    }
    if let Some(value) = object.remove("const") {
        object.insert("enum".to_owned(), json!([value]));
    }
    if let Some(bound) = object.get("exclusiveMinimum").filter(|bound| bound.is_number()).cloned() {
        object.insert("minimum".to_owned(), bound);
        object.insert("exclusiveMinimum".to_owned(), json!(true));
    }
    for (keyword, format) in [("contentEncoding", "byte"), ("contentMediaType", "binary")] {
        if object.remove(keyword).is_some() {
            object.insert("format".to_owned(), json!(format));
        }
    }
    Value::Object(object.into_iter().map(|(key, value)| (key, as_3_0(&value))).collect())
}
