//! What the programs in `fuzz/` run. Only cargo-fuzz compiles it.
#![allow(missing_docs, reason = "not for users")]

use crate::api::body::decode;
use crate::api::wire;
use crate::source::{Device, Identity, Source};

pub fn body(bytes: &[u8]) {
    let source = Source("server://243b47".to_owned());
    let _ = decode::<wire::TransientTokenBody>(bytes);
    let _ = decode::<wire::SourceBody>(bytes).map(|body| Device::from_wire(body, &source));
    let _ = decode::<wire::IdentityBody>(bytes).map(Identity::from_wire);
}

pub fn xml(text: &str) -> Option<serde_json::Value> {
    text.starts_with('<').then(|| decode(text.as_bytes()).ok()).flatten()
}
