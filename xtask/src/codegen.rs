//! The generated client as a person can read it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use similar::TextDiff;

use crate::{FRAGMENT, Found, Outcome, build};

const SNAPSHOT: &str = "tests/snapshots/client.rs";

const HEADER: &str = "\
// What `build.rs` makes of `openapi/plex-auth.json`, with every feature on. Not compiled: it is here
// so that a change of the fragment or of the generator shows as a diff. Made by
// `cargo xtask codegen`.

";

pub(crate) fn write(root: &Path) -> Outcome {
    let snapshot = root.join(SNAPSHOT);
    let code = generated(root)?;
    fs::create_dir_all(snapshot.parent().unwrap_or(root))
        .and_then(|()| fs::write(&snapshot, code))
        .map_err(|error| format!("{SNAPSHOT}: {error}"))?;
    Ok(Found::Nothing)
}

pub(crate) fn check(root: &Path) -> Outcome {
    let is = generated(root)?;
    let was = match fs::read_to_string(root.join(SNAPSHOT)) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        read => read.map_err(|error| format!("{SNAPSHOT}: {error}"))?,
    };
    if was == is {
        return Ok(Found::Nothing);
    }
    let diff = TextDiff::from_lines(&was, &is);
    print!("{}", diff.unified_diff().header(SNAPSHOT, "generated"));
    Ok(Found::Something(format!(
        "{SNAPSHOT} is not what build.rs makes of {FRAGMENT}: run `cargo xtask codegen`, and commit \
         the diff once you have read it"
    )))
}

fn generated(root: &Path) -> Result<String, String> {
    let made = fs::read_to_string(root.join(FRAGMENT))
        .map_err(|error| error.to_string())
        .and_then(|fragment| build::generate(&fragment, true, true))
        .map_err(|reason| format!("{FRAGMENT}: {reason}"))?;
    let mocks = made.mocks.unwrap_or_default();
    let code = format!("{}\npub mod mocks {{ {mocks} }}", made.client);
    let code = syn::parse_file(&code).map_err(|error| format!("the generated code: {error}"))?;
    Ok(format!("{HEADER}{}", prettyplease::unparse(&code)))
}
