//! Which addresses a token may be sent to.

use reqwest::Url;
use url::Host;

use crate::Error;

/// The URL of a server, or what is wrong with it. The text is not repeated: it may hold a secret.
pub(crate) fn parse(text: &str) -> Result<Url, Error> {
    let wrong = |problem: &'static str| Error::invalid("address", problem);
    if text.is_empty() {
        return Err(wrong("it is empty: write `https://HOST:32400` or the like"));
    }
    let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(wrong("it must begin with `https://` or `http://`"));
    }
    let url = Url::parse(text)
        .map_err(|error| Error::invalid("address", format!("it is not a URL: {error}")))?;
    if has_extras(&url) {
        return Err(wrong("it must have no credentials, query or fragment"));
    }
    if url.port() == Some(0) {
        return Err(wrong("its port is 0"));
    }
    Ok(url)
}

/// Whether a token may go to this address in the way that its scheme says.
pub(crate) fn check_scheme(url: &Url, allow_insecure_http: bool) -> Result<(), Error> {
    let problem = if url.scheme() == "http" && !allow_insecure_http && !is_nearby(url) {
        "plain `http` to a host that is not local would send the token readable: use `https`, or \
         call `.allow_insecure_http()`"
    } else if url.scheme() == "https" && !cfg!(feature = "rustls") {
        "`https` needs the feature `rustls` of plex-auth"
    } else {
        return Ok(());
    };
    Err(Error::invalid("address", problem))
}

pub(crate) fn has_extras(url: &Url) -> bool {
    !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
}

/// Whether plain `http` to this host stays within a machine, a home or an office, as far as the
/// host's name tells: there a token may travel readable.
pub(crate) fn is_nearby(url: &Url) -> bool {
    const SUFFIXES: [&str; 4] = [".local", ".lan", ".internal", ".home.arpa"];
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

fn is_nearby_v4(ip: std::net::Ipv4Addr) -> bool {
    // 100.64.0.0/10 is what carriers and overlay networks such as Tailscale use.
    let [first, second, ..] = ip.octets();
    let shared = first == 100 && (64..128).contains(&second);
    ip.is_loopback() || ip.is_private() || ip.is_link_local() || shared
}

/// Whether a host is a bare IP address, which no public certificate names.
pub(crate) fn is_bare(url: &Url) -> bool {
    matches!(url.host(), Some(Host::Ipv4(_) | Host::Ipv6(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hosts_in_the_machine_or_the_home_are_nearby() {
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
            ("notlocal", true),
            ("evil-local.example", false),
            ("local.example", false),
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
    fn an_address_that_cannot_be_used_is_refused_without_being_repeated() {
        for (text, problem) in [
            ("", "empty"),
            ("10.0.0.1:32400", "must begin"),
            ("localhost:32400", "must begin"),
            ("ftp://host", "must begin"),
            ("https://", "not a URL"),
            ("https://ho st", "not a URL"),
            ("https://host:99999", "not a URL"),
            ("https://host:0", "port is 0"),
            ("https://user@host", "credentials"),
            ("https://:secret@host", "credentials"),
            ("https://host?X-Plex-Token=secret", "query"),
            ("https://host/#secret", "fragment"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with("`address`"), "{text}: {error}");
            assert!(error.contains(problem), "{text}: {error}");
            assert!(!error.contains("secret"), "{text}: {error}");
        }
    }
}
