//! The binary, run in a folder of its own, on a small description of the two endpoints.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Places in the small description.
pub(crate) const TOKEN: &str = "/paths/~1security~1token";
pub(crate) const POST: &str = "/paths/~1security~1token/post";
pub(crate) const GET: &str = "/paths/~1security~1resources/get";
/// Properties of the bodies of status 200.
pub(crate) const CREATED: &str =
    "/paths/~1security~1token/post/responses/200/content/application~1json/schema/properties";
pub(crate) const TOKEN_PART: &str = "/paths/~1security~1token/post/responses/200/content/application~1json/schema/properties/MediaContainer/allOf/1/properties";
pub(crate) const FOUND: &str = "/paths/~1security~1resources/get/responses/200/content/application~1json/schema/properties/MediaContainer";
pub(crate) const DEVICE: &str = "/components/schemas/Device/properties";
pub(crate) const CONNECTION: &str =
    "/components/schemas/Device/properties/Connection/items/properties";

/// A folder with a fragment and its upstream extract, as the repository has them.
pub(crate) struct Folder(PathBuf);

#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Folder {
    pub(crate) fn empty(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("openapi")).unwrap();
        Self(folder)
    }

    /// With the small fragment, and the extract of the small description.
    pub(crate) fn new(name: &str) -> Self {
        let folder = Self::empty(name);
        folder.write("openapi/plex-auth.json", include_str!("fragment.json"));
        folder.write("spec.yaml", include_str!("spec.yaml"));
        let run = folder.run(&["drift", "spec.yaml", "--accept"]);
        assert_eq!(run.code, Some(0), "{run:?}");
        folder
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

    #[track_caller]
    pub(crate) fn assert_no_change(&self, name: &str, text: &str) {
        let run = self.drift(text);
        assert_eq!(run.stdout, "0 breaking, 0 compatible\n", "{name}: {}", run.stderr);
        assert_eq!(run.code, Some(0), "{name}: {}", run.stderr);
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

/// The small description, changed.
pub(crate) fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut spec = spec();
    change(&mut spec);
    spec
}

#[track_caller]
pub(crate) fn at<'a>(spec: &'a mut Value, place: &str) -> &'a mut Value {
    spec.pointer_mut(place).unwrap_or_else(|| panic!("{place} is not there"))
}

#[track_caller]
pub(crate) fn set(spec: &mut Value, place: &str, key: &str, value: Value) {
    at(spec, place).as_object_mut().unwrap().insert(key.to_owned(), value);
}

#[track_caller]
pub(crate) fn take(spec: &mut Value, place: &str, key: &str) -> Value {
    at(spec, place).as_object_mut().unwrap().remove(key).unwrap()
}

#[track_caller]
pub(crate) fn rename(spec: &mut Value, place: &str, key: &str, new: &str) {
    let value = take(spec, place, key);
    set(spec, place, new, value);
}

/// A parameter that stands in an operation by itself.
#[track_caller]
pub(crate) fn parameter<'a>(spec: &'a mut Value, operation: &str, name: &str) -> &'a mut Value {
    let listed = at(spec, operation)["parameters"].as_array_mut().unwrap();
    listed.iter_mut().find(|parameter| parameter["name"] == name).unwrap()
}

pub(crate) fn without(spec: &mut Value, operation: &str, name: &str) {
    let listed = at(spec, operation)["parameters"].as_array_mut().unwrap();
    listed.retain(|parameter| parameter["name"] != name);
}

pub(crate) fn with(spec: &mut Value, operation: &str, parameter: Value) {
    at(spec, operation)["parameters"].as_array_mut().unwrap().push(parameter);
}

/// A description in both forms, statuses without quotes as people write them.
pub(crate) fn forms(spec: &Value) -> [String; 2] {
    let yaml = yaml_serde::to_string(spec).unwrap();
    [yaml.replace("'200':", "200:").replace("'400':", "400:"), format!("{spec:#}")]
}
