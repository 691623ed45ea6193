//! An address, and in the second line a path: a request stays at the address, below its prefix.
#![no_main]

use plex_auth::Client;
use plex_auth::reqwest::Method;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let (address, path) = text.split_once('\n').unwrap_or((text, "/"));
    let client = Client::builder(address)
        .token("token")
        .client_identifier("fuzz")
        .allow_insecure_http(true)
        .build();
    let Ok(client) = client else { return };
    let Ok(request) = client.request(Method::GET, path) else { return };
    let Ok(request) = request.build() else { return };
    let (base, url) = (client.address(), request.url());
    assert_eq!(url.origin(), base.origin());
    assert!(url.path().starts_with(base.path().trim_end_matches('/')), "{base} {url}");
    assert!(url.username().is_empty() && url.password().is_none(), "{base} {url}");
});
