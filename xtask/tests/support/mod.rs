//! The binary, run in a folder of its own, on a small description of the two endpoints.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use similar::TextDiff;

/// The small description.
pub(crate) const SPEC: &str = include_str!("spec.yaml");

pub(crate) const NO_CHANGE: &str = "0 breaking, 0 compatible\n";

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
        folder.write("spec.yaml", SPEC);
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

    /// Runs `drift` on a text, which must end with this code and this output.
    #[track_caller]
    pub(crate) fn assert_drift(&self, name: &str, text: &str, code: i32, stdout: &str) -> Run {
        self.write("new", text);
        let run = self.run(&["drift", "new"]);
        let diff = TextDiff::from_lines(stdout, &run.stdout).unified_diff().to_string();
        assert!(diff.is_empty(), "{name}:\n{diff}{}", run.stderr);
        assert_eq!(run.code, Some(code), "{name}: {}", run.stderr);
        run
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

/// The least of three times: the machine may be busy with other things for once.
pub(crate) fn assert_fast(name: &str, act: impl Fn()) {
    let time = |_| {
        let started = Instant::now();
        act();
        started.elapsed()
    };
    let fastest = (0..3).map(time).min().unwrap();
    assert!(fastest < Duration::from_secs(1), "{name}: {fastest:?}");
}

/// The cases of a file, by name.
pub(crate) fn cases(text: &str) -> Map<String, Value> {
    yaml_serde::from_str(text).unwrap()
}

/// The small description, changed by a patch.
pub(crate) fn patched(patch: &Value) -> Value {
    let mut spec = yaml_serde::from_str(SPEC).unwrap();
    merge(&mut spec, patch);
    spec
}

/// Applies a merge patch in which `gone` removes a key.
pub(crate) fn merge(value: &mut Value, patch: &Value) {
    match (value, patch) {
        (Value::Object(object), Value::Object(patch)) => {
            for (key, patch) in patch {
                if patch == "gone" {
                    object.remove(key).unwrap_or_else(|| panic!("{key} is not there"));
                } else {
                    merge(object.entry(key).or_insert(Value::Null), patch);
                }
            }
        }
        (value, patch) => *value = patch.clone(),
    }
}

/// A description in both forms, statuses without quotes as people write them.
pub(crate) fn forms(spec: &Value) -> [String; 2] {
    let yaml = yaml_serde::to_string(spec).unwrap();
    [yaml.replace("'200':", "200:").replace("'400':", "400:"), format!("{spec:#}")]
}
