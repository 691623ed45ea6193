//! The TLS libraries that a user can choose, each built in a crate of its own and used against a
//! local server.

use std::path::Path;
use std::process::Command;

use support::tls::Authority;
use support::{Server, good};

/// Builds three crates, one of them with OpenSSL's headers: `.ci/run` runs it.
#[test]
#[ignore = "builds three crates and needs OpenSSL's headers"]
fn each_tls_choice_works_and_none_is_an_error() {
    let authority = Authority::new();
    let server = Server::start_tls(authority.server("127.0.0.1"), |request| good(request, "fresh"));
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tls_choices_root.der");
    std::fs::write(&root, authority.root_der()).unwrap();

    let cargo = |command: &str, choice: &str, url: &str, proxy: Option<&str>| {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/tls_choice/Cargo.toml");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args([command, "--quiet", "--manifest-path", manifest, "--features", choice]);
        // The workspace's own: it has some of the dependencies.
        cargo.env("CARGO_TARGET_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/.."));
        cargo.env("URL", url).env("ROOT", &root).envs(proxy.map(|proxy| ("PROXY", proxy)));
        let output = cargo.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo {command}, {choice}: {error}");
        String::from_utf8(output.stdout).unwrap()
    };
    let run = |choice, url: &str| cargo("run", choice, url, None);
    for choice in ["rustls", "native-tls", "ring"] {
        assert_eq!(run(choice, &server.url()), "5 characters\n", "{choice}");
    }
    let without = run("", &server.url());
    assert!(without.starts_with("HttpSetup, 0 attempts: "), "{without}");
    assert!(without.contains("feature `rustls`") && without.contains("`native-tls`"), "{without}");
    assert_eq!(server.count(), 3);

    // The reason and the suggestion with any provider of rustls.
    for choice in ["rustls", "ring"] {
        let wrong = run(choice, &server.url().replace("127.0.0.1", "localhost"));
        assert!(wrong.starts_with("Tls, 1 attempts: "), "{wrong}");
        assert!(wrong.contains("the certificate is for another name"), "{wrong}");
    }

    // reqwest's feature `socks` is off.
    for (choice, url) in [
        ("", "http://127.0.0.1:1"),
        ("rustls", "http://127.0.0.1:1"),
        ("rustls", "https://127.0.0.1:1"),
        ("ring", "https://127.0.0.1:1"),
    ] {
        let socks = cargo("run", choice, url, Some("socks5://127.0.0.1:1"));
        assert!(socks.starts_with("HttpSetup, 0 attempts: "), "{choice}, {url}: {socks}");
        assert!(socks.contains("feature `socks` of reqwest"), "{choice}, {url}: {socks}");
    }
    let tree = |choice| cargo("tree", choice, "", None);
    assert!(tree("rustls").contains("aws-lc-sys"));
    assert!(!tree("native-tls").contains("aws-lc"));
    assert!(!tree("ring").contains("aws-lc"));
}
