//! XML, as a JSON value. That is not much larger than the document.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Some(value) = plex_auth::fuzz::xml(text) {
        let size = value.to_string().len();
        assert!(size <= 10 * text.len(), "{size} bytes of {}", text.len());
    }
});
