//! The fence around what `build.rs` makes of `openapi/plex-auth.json`.
#![allow(
    missing_debug_implementations,
    missing_docs,
    unreachable_pub,
    unused,
    rust_2018_idioms,
    clippy::all,
    clippy::unwrap_used,
    clippy::uninlined_format_args,
    reason = "generated code, in progenitor's style"
)]

include!(concat!(env!("OUT_DIR"), "/client.rs"));

#[cfg(feature = "httpmock")]
pub mod mocks {
    include!(concat!(env!("OUT_DIR"), "/mocks.rs"));
}
