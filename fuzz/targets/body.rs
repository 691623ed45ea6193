//! A response's body, read as each operation does.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| plex_auth::fuzz::body(body));
