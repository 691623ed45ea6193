//! Which addresses a token may be sent to.

use std::net::{IpAddr, Ipv4Addr};

use reqwest::Url;
use url::Host;

use crate::dns::plex_direct;
use crate::error::{Error, ErrorKind};

/// The URL of a server, or what is wrong with it. The text is not repeated: it may hold a secret.
pub(crate) fn parse(text: &str) -> Result<Url, Error> {
    let invalid = |problem: &'static str| Err(Error::new(ErrorKind::InvalidAddress, problem));
    let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
    if text.is_empty() {
        return invalid("it is empty: write `https://HOST:32400` or the like");
    }
    if text.trim() != text {
        return invalid("it begins or ends with white space (a blank or a newline): remove it");
    }
    if text.contains(|char: char| char.is_whitespace() || char.is_control()) {
        return invalid("it has white space (a blank) or a control character in it");
    }
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return invalid("it must begin with `https://` or `http://`");
    }
    let url = Url::parse(text).map_err(|error| {
        Error::new(ErrorKind::InvalidAddress, format!("it is not a URL: {error}"))
    })?;
    check(&url).map_or(Ok(url), invalid)
}

/// What is wrong with a URL as the address of a server.
pub(crate) fn check(url: &Url) -> Option<&'static str> {
    let path = url.path();
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    Some(if !matches!(url.scheme(), "http" | "https") {
        "it must begin with `https://` or `http://`"
    } else if url.host_str() == Some("app.plex.tv") {
        "it is the address of Plex's web app: write the server's own, `http://HOST:32400` or its \
         plex.direct name"
    } else if path.ends_with("/web") || path.contains("/web/") {
        "it is a page of the web app, copied from a browser: leave out `/web` and what follows"
    } else if matches!(segments.next(), Some("identity" | "library" | "security" | "status")) {
        "it is a page of the server: leave out everything after the port"
    } else if path.split('/').any(|segment| segment.starts_with(':')) {
        "the port stands behind a slash: write `http://HOST:32400`"
    } else if path.starts_with("//") {
        "it has a second `//`: write `http://HOST:32400`"
    } else if has_extras(url) {
        "it must have no credentials, query or fragment"
    } else if url.port() == Some(0) {
        "its port is 0"
    } else if url.as_str().parse::<http::Uri>().is_err() {
        "it is too long, or has a character in it that no request can have"
    } else {
        return None;
    })
}

pub(crate) fn has_extras(url: &Url) -> bool {
    !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
}

/// Whether plain `http` to this host stays within a machine, a home, an office or a VPN, as far as
/// its name tells: there a token may travel unencrypted.
pub(crate) fn is_nearby(url: &Url) -> bool {
    const SUFFIXES: [&str; 7] =
        [".local", ".lan", ".internal", ".home.arpa", ".home", ".localdomain", ".ts.net"];
    match url.host() {
        Some(Host::Ipv4(ip)) => is_nearby_v4(ip),
        Some(Host::Ipv6(ip)) => {
            ip.to_ipv4_mapped().is_some_and(is_nearby_v4)
                || ip.is_loopback()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
        }
        Some(Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            !name.contains('.') || SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
        }
        None => false,
    }
}

fn is_nearby_v4(ip: Ipv4Addr) -> bool {
    // 100.64.0.0/10 is used by carriers and overlay networks such as Tailscale.
    let [first, second, ..] = ip.octets();
    let shared = first == 100 && (64..128).contains(&second);
    ip.is_loopback() || ip.is_private() || ip.is_link_local() || shared
}

/// Whether a host is a bare IP address, which no public certificate names.
pub(crate) fn is_bare(url: &Url) -> bool {
    matches!(url.host(), Some(Host::Ipv4(_) | Host::Ipv6(_)))
}

/// The IP address that a URL leads to, where it is known without DNS.
pub(crate) fn ip(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(ip) => Some(ip.into()),
        Host::Ipv6(ip) => Some(ip.to_canonical()),
        Host::Domain(name) => plex_direct(name).map(|ip| ip.to_canonical()),
    }
}

pub(crate) fn is_link_local(url: &Url) -> bool {
    ip(url).is_some_and(|ip| match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    })
}

/// Scheme, host and port, for texts.
pub(crate) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hosts_in_the_machine_the_home_or_a_vpn_are_nearby() {
        for (host, nearby) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("10.1.2.3", true),
            ("172.16.0.1", true),
            ("172.31.255.255", true),
            ("172.32.0.1", false),
            ("192.168.1.1", true),
            ("169.254.1.1", true),
            ("100.64.0.1", true),
            ("100.127.255.255", true),
            ("100.63.255.255", false),
            ("100.128.0.0", false),
            ("8.8.8.8", false),
            ("0.0.0.0", false),
            ("[::1]", true),
            ("[fe80::1]", true),
            ("[fd00::1]", true),
            ("[fc00::1]", true),
            ("[2001:db8::1]", false),
            ("[::ffff:10.0.0.1]", true),
            ("[::ffff:8.8.8.8]", false),
            ("localhost", true),
            ("nas", true),
            ("NAS.", true),
            ("nas.local", true),
            ("nas.LAN", true),
            ("nas.local.", true),
            ("plex.internal", true),
            ("plex.home.arpa", true),
            ("plex.home", true),
            ("plex.localdomain", true),
            ("plex.tail1234.ts.net", true),
            ("notlocal", true),
            ("evil-local.example", false),
            ("local.example", false),
            ("ts.net.example", false),
            ("fakets.net", false),
            ("10-0-2-123.93b1.plex.direct", false),
            // Other ways to write an address, which URLs resolve to it.
            ("0x7f.1", true),
            ("134744072", false),
        ] {
            let url = parse(&format!("http://{host}:32400")).unwrap();
            assert_eq!(is_nearby(&url), nearby, "{host}");
        }
    }

    #[test]
    fn an_invalid_address_is_refused_with_advice_and_not_repeated() {
        for (text, problem) in [
            ("", "empty"),
            ("10.0.0.1:32400", "must begin with `https://`"),
            ("localhost:32400", "must begin with `https://`"),
            ("ftp://host", "must begin with `https://`"),
            (" http://host:32400", "white space"),
            ("http://host:32400\n", "white space"),
            ("\u{a0}http://host:32400", "white space"),
            ("http://ho\tst:32400", "white space"),
            ("http://ho\0st:32400", "control character"),
            ("https://", "not a URL"),
            ("https://ho st", "white space"),
            ("https://host:99999", "not a URL"),
            ("https://host:0", "port is 0"),
            ("https://ho\"st", "no request can have"),
            ("http://host/:32400", "behind a slash"),
            ("http://host/:32400/", "behind a slash"),
            ("http://http://host:32400", "second `//`"),
            ("https://host:32400/web", "leave out `/web`"),
            ("https://host:32400/web/", "leave out `/web`"),
            ("https://host:32400/web/index.html", "leave out `/web`"),
            ("https://host:32400/web/index.html#!/secret", "leave out `/web`"),
            ("https://host/plex/web/index.html", "leave out `/web`"),
            ("https://app.plex.tv/desktop/#!/secret", "Plex's web app"),
            ("http://host:32400/identity", "leave out everything after the port"),
            ("http://host:32400/library/sections?X-Plex-Token=secret", "everything after the port"),
            ("https://user@host", "credentials"),
            ("https://:secret@host", "credentials"),
            ("https://host?X-Plex-Token=secret", "query"),
            ("https://host/#secret", "fragment"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidAddress, "{text}");
            let error = error.to_string();
            assert!(error.starts_with("invalid address: "), "{text}: {error}");
            assert!(error.contains(problem), "{text}: {error}");
            assert!(!error.contains("secret"), "{text}: {error}");
        }
        for text in ["HTTP://host", "https://host/plex", "https://host/webhook/", "http://[::1]:1"]
        {
            parse(text).unwrap();
        }
    }
}
