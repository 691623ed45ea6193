//! The binary, run in a folder of its own, on a small fragment and a small upstream description.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const SPEC: &str = include_str!("spec.yaml");
pub(crate) const FRAGMENT: &str = "openapi/plex-auth.json";

/// Explains how the fragment differs from the description.
const README: &str = "
## Departures

| departure | reason |
|---|---|
| `200`, `400`, `header`, `query`, `security` | The fragment is small. |
";

pub(crate) struct Folder(pub(crate) PathBuf);

#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Folder {
    /// A folder named after the test, with the fragment alone, and no facts of upstream.
    pub(crate) fn new() -> Self {
        let test = std::thread::current();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test.name().unwrap());
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("openapi/generated")).unwrap();
        let folder = Self(folder);
        folder.write(FRAGMENT, include_str!("fragment.json"));
        folder.write("openapi/upstream.txt", "");
        folder.write("openapi/README.md", README);
        folder
    }

    /// A folder in which the description is accepted.
    pub(crate) fn accepted() -> Self {
        let folder = Self::new();
        folder.write("spec.yaml", SPEC);
        folder.run(0, &["accept", "spec.yaml"]);
        folder
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.0.join(file), text).unwrap();
    }

    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file)).unwrap_or_default()
    }

    /// Replaces a part of a file, which has to be there.
    pub(crate) fn replace(&self, file: &str, from: &str, to: &str) {
        let text = self.read(file);
        assert!(text.contains(from), "no {from}");
        self.write(file, &text.replacen(from, to, 1));
    }

    /// Runs the binary, which has to end with this code.
    #[track_caller]
    pub(crate) fn run(&self, code: i32, arguments: &[&str]) -> Run {
        let run = self.run_with(arguments, &[]);
        assert_eq!(run.code, Some(code), "{arguments:?}: {run:?}");
        run
    }

    /// Unless `variables` have a `PATH`, it finds no `cargo` and so no public API.
    pub(crate) fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(arguments).current_dir(&self.0).env("PATH", "").env_remove("FAIL_IF_SKIPPED");
        let output = command.envs(variables.iter().copied()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    #[track_caller]
    pub(crate) fn drift(&self, code: i32, spec: &str) -> Run {
        self.write("new.yaml", spec);
        let run = self.run(code, &["drift", "new.yaml"]);
        assert_eq!(run.stdout.is_empty(), code != 1, "{run:?}");
        run
    }
}
