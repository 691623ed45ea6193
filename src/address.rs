//! Which addresses a token may be sent to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use percent_encoding::percent_decode_str;
use reqwest::Url;
use url::Host;

use crate::error::{Error, ErrorKind};

const SCHEMES: &str = "it must begin with `https://` or `http://`, without quotes";
const PLEX_TV: &str = "it is an address of plex.tv or of Plex's web app, not of a server: write the \
                       server's own, `http://HOST:32400` or its plex.direct name";

/// The URL of a server. An error does not repeat the text, because it may contain a secret.
pub(crate) fn parse(text: &str) -> Result<Url, Error> {
    let invalid = |problem: &'static str| Err(Error::new(ErrorKind::InvalidAddress, problem));
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    if text.is_empty() {
        return invalid("it is empty: write `https://HOST:32400` or the like");
    }
    // The URL parser removes some of them without a word.
    if text.contains(|char: char| char.is_whitespace() || char.is_control()) {
        return invalid("it has white space (a blank, a newline) or a control character in it");
    }
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return invalid(SCHEMES);
    }
    if rest.contains([',', ';']) {
        return invalid("it is a list, or has a comma or semicolon in it: write one address");
    }
    let url = Url::parse(text).map_err(|error| {
        let problem = format!(
            "it is not a URL ({error}): write `https://HOST:32400` without quotes, and an IPv6 \
             address in brackets and without a zone, `http://[fd00::20]:32400`"
        );
        Error::new(ErrorKind::InvalidAddress, problem)
    })?;
    if !is_ipv4_as_written(&url, text) {
        return invalid(
            "it means another IPv4 address than it seems to: write four decimal numbers without \
             leading zeros, `http://192.168.1.20:32400`",
        );
    }
    check(&url).map_or(Ok(url), invalid)
}

/// The URL of a connection in a list, if it can be one.
pub(crate) fn listed(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_http = matches!(url.scheme(), "http" | "https");
    let is_usable = is_http && !has_credentials_or_query(&url) && is_ipv4_as_written(&url, text);
    is_usable.then_some(url)
}

/// Whether an IPv4 address, if a URL has one, was written as four decimal numbers. A URL may have
/// octal, hexadecimal and fewer numbers, so that `192.168.001.020` is 192.168.1.16.
fn is_ipv4_as_written(url: &Url, text: &str) -> bool {
    let Some(Host::Ipv4(ip)) = url.host() else { return true };
    let (_, rest) = text.split_once("://").unwrap_or_default();
    let authority = rest.split(['/', '\\', '?', '#']).next().unwrap_or_default();
    let (_, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    host.split(':').next() == Some(&*ip.to_string())
}

/// Why a URL can't be the address of a server.
pub(crate) fn check(url: &Url) -> Option<&'static str> {
    let path = url.path();
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    Some(if !matches!(url.scheme(), "http" | "https") {
        SCHEMES
    } else if is_under(url, "plex.tv") {
        PLEX_TV
    } else if is_under(url, "plex.direct") && ip(url).is_none() {
        "a plex.direct name contains the server's address: write the address with hyphens, \
         `https://192-168-1-20.HASH.plex.direct:32400`"
    } else if let Some(problem) = ip(url).and_then(check_ip) {
        problem
    } else if is_web_app(url) {
        "it is a page of the web app, copied from a browser: leave out `/web` and what follows"
    } else if matches!(segments.next(), Some("identity" | "library" | "security" | "status")) {
        "it is a page of the server: leave out everything after the port"
    } else if path.split('/').any(|segment| segment.starts_with(':')) {
        "the port stands behind a slash: write `http://HOST:32400`"
    } else if path.contains("//") {
        "it has two slashes in a row after the host: remove one slash"
    } else if has_credentials_or_query(url) {
        "it must have no credentials, query or fragment"
    } else if url.port() == Some(0) {
        "its port is 0"
    } else if url.as_str().parse::<http::Uri>().is_err() {
        "it is too long, or has a character in it that no request can have"
    } else {
        return None;
    })
}

/// Whether a URL was copied from a browser. A proxy may have a prefix `/web` of its own.
fn is_web_app(url: &Url) -> bool {
    let path = format!("{}/", url.path());
    let is_page = url.port() == Some(32400) || url.fragment().is_some_and(|it| it.starts_with('!'));
    path.contains("/web/index.html/") || is_page && path.contains("/web/")
}

/// Whether a URL has a user, a password, a query or a fragment.
pub(crate) fn has_credentials_or_query(url: &Url) -> bool {
    !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
}

/// Why an IP address can't be a server's. Multicast and broadcast addresses need no rule: the system
/// opens no connection to them.
fn check_ip(ip: IpAddr) -> Option<&'static str> {
    let is_link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    if is_link_local {
        Some(
            "a link-local address is valid in one network only: use the address that the router \
             gave the server, `http://192.168.1.20:32400` for example",
        )
    } else if ip.is_unspecified() {
        Some("`0.0.0.0` and `[::]` stand for no machine: write `127.0.0.1` for this one")
    } else {
        None
    }
}

/// Whether a host is local (this machine, a private network, a cluster, a VPN), judging by its name
/// or address. A token may be sent to it over plain `http`.
pub(crate) fn is_local(url: &Url) -> bool {
    const DOMAINS: [&str; 9] = [
        "localhost",
        "local",
        "lan",
        "internal",
        "home.arpa",
        "home",
        "localdomain",
        "svc",
        "ts.net",
    ];
    match ip(url) {
        Some(ip) => is_local_ip(ip),
        None => {
            let name = url.host_str().unwrap_or_default().trim_end_matches('.');
            let is_single = !name.is_empty() && !name.contains('.');
            is_single || DOMAINS.iter().any(|domain| is_under(url, domain))
        }
    }
}

/// Whether a host is this domain, or a name under it.
fn is_under(url: &Url, domain: &str) -> bool {
    let name = url.host_str().unwrap_or_default().trim_end_matches('.');
    let rest = name.strip_suffix(domain);
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The IP address of a URL's host, if it is known without DNS.
pub(crate) fn ip(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(ip) => Some(ip.into()),
        Host::Ipv6(ip) => Some(ip.to_canonical()),
        Host::Domain(name) => plex_direct(name).map(|ip| ip.to_canonical()),
    }
}

/// Whether an address belongs to this machine, or to a private, link-local or overlay network.
pub(crate) fn is_local_ip(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            // 100.64.0.0/10 is used by carriers and overlay networks such as Tailscale.
            let [first, second, ..] = ip.octets();
            let is_shared = first == 100 && (64..128).contains(&second);
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || is_shared
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// The address that a `plex.direct` name contains: `10-0-2-123.HASH.plex.direct` is 10.0.2.123,
/// `2001-db8--1.HASH.plex.direct` is 2001:db8::1.
///
/// HASH is one label, in practice 32 hexadecimal digits; any letters and digits are accepted. Source:
/// the servers in Plex's API description of 2026.
pub(crate) fn plex_direct(name: &str) -> Option<IpAddr> {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let (address, hash) = name.strip_suffix(".plex.direct")?.split_once('.')?;
    let is_hash = !hash.is_empty() && hash.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_hash || address.contains(':') {
        return None;
    }
    let v4 = || address.replace('-', ".").parse::<Ipv4Addr>().map(IpAddr::from);
    let v6 = || address.replace('-', ":").parse::<Ipv6Addr>().map(IpAddr::from);
    v4().or_else(|_| v6()).ok()
}

/// The `plex.direct` name of an address. All groups of an IPv6 address are written, because a label
/// must not begin or end with a hyphen.
#[cfg(any(feature = "rustls-no-provider", test))]
pub(crate) fn plex_direct_name(ip: IpAddr, hash: &str) -> String {
    let label = match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string().replace('.', "-"),
        IpAddr::V6(ip) => ip.segments().map(|group| format!("{group:x}")).join("-"),
    };
    format!("{label}.{hash}.plex.direct")
}

/// The URL of a path and query below a server's address.
pub(crate) fn below(address: &Url, path: &str) -> Result<Url, Error> {
    let (before_query, _) = path.split_once('?').unwrap_or((path, ""));
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let text = decoded(before_query);
    let problem = if !path.starts_with('/') || path.starts_with("//") {
        "the path must begin with one `/`"
    } else if path.contains(char::is_control) || text.contains(char::is_control) {
        "the path has a control character in it"
    } else if path.contains('#') {
        "the path has a fragment, which is not sent: write `%23` for a `#`"
    } else if text.contains('\\') {
        "the path has a backslash in it"
    } else if text.split('/').any(|segment| matches!(segment, "." | "..")) {
        "the path has a segment `.` or `..`"
    } else {
        let base = address.as_str().trim_end_matches('/');
        let below = address.path().trim_end_matches('/').to_owned() + before_query;
        match Url::parse(&format!("{base}{path}")) {
            // Parsing may change a path: `/.. ` loses its blank, and then a segment of the prefix.
            Ok(url) if decoded(url.path()) != decoded(&below) => "the path ends with white space",
            Ok(url) if url.as_str().parse::<http::Uri>().is_ok() => return Ok(url),
            _ => "the path is too long, or has a character in it that no request can have",
        }
    };
    Err(Error::new(ErrorKind::InvalidAddress, problem))
}

/// Scheme, host and port, for texts.
pub(crate) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "93b10b279ff8456686414add109854cd";

    fn url(host: &str) -> Url {
        Url::parse(&format!("http://{host}:32400")).unwrap()
    }

    #[test]
    fn private_hosts_are_local() {
        for (host, local) in [
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
            ("[::]", false),
            ("[fe80::1]", true),
            ("[fd00::1]", true),
            ("[fc00::1]", true),
            ("[fec0::1]", false),
            ("[2001:db8::1]", false),
            ("[::ffff:10.0.0.1]", true),
            ("[::ffff:8.8.8.8]", false),
            // A translator is in between.
            ("[64:ff9b::10.0.0.1]", false),
            ("localhost", true),
            ("nas", true),
            ("NAS.", true),
            ("nas.local", true),
            ("nas.LAN", true),
            ("nas.local.", true),
            ("plex.localhost", true),
            ("plex.internal", true),
            ("plex.home.arpa", true),
            ("plex.home", true),
            ("plex.localdomain", true),
            ("plex.media.svc", true),
            ("plex.media.svc.cluster.local", true),
            ("plex.tail1234.ts.net", true),
            ("notlocal", true),
            (".", false),
            ("evil-local.example", false),
            ("local.example", false),
            ("svc.example", false),
            ("localhost.example", false),
            ("notlocalhost.example", false),
            ("ts.net.example", false),
            ("fakets.net", false),
            ("10-0-2-123.93b1.plex.direct", true),
            ("127-0-0-1.93b1.PLEX.direct.", true),
            ("fd00--1.93b1.plex.direct", true),
            ("8-8-8-8.93b1.plex.direct", false),
            ("2001-db8--1.93b1.plex.direct", false),
            ("64-ff9b--a00-1.93b1.plex.direct", false),
            ("10-0-2-123.plex.direct", false),
            ("10-0-2-123.93b1.plex.direct.example", false),
            // Other ways to write an address, which URLs resolve to it.
            ("0x7f.1", true),
            ("134744072", false),
        ] {
            assert_eq!(is_local(&url(host)), local, "{host}");
        }
    }

    #[test]
    fn an_address_without_a_server_is_refused() {
        for (host, problem) in [
            ("169.254.169.254", "link-local"),
            ("0xa9fea9fe", "link-local"),
            ("[fe80::1]", "link-local"),
            ("[febf::1]", "link-local"),
            ("[::ffff:169.254.1.1]", "link-local"),
            ("169-254-1-1.93b1.plex.direct", "link-local"),
            ("fe80--1.93b1.PLEX.direct.", "link-local"),
            ("--ffff-a9fe-a9fe.93b1.plex.direct", "link-local"),
            ("0.0.0.0", "stand for no machine"),
            ("0", "stand for no machine"),
            ("[::]", "stand for no machine"),
            ("[::ffff:0.0.0.0]", "stand for no machine"),
            ("0-0-0-0.93b1.plex.direct", "stand for no machine"),
            ("--.93b1.plex.direct", "stand for no machine"),
        ] {
            let found = check(&url(host)).unwrap_or_default();
            assert!(found.contains(problem), "{host}: {found}");
        }
        for host in [
            "127.0.0.1",
            "10.0.0.1",
            "169.253.1.1",
            "[::1]",
            "[::2]",
            "[fd00::1]",
            "[fe00::1]",
            "[ff00::1]",
            "[::ffff:10.0.0.1]",
            "[64:ff9b::10.0.0.1]",
            "10-0-2-123.93b1.plex.direct",
        ] {
            assert_eq!(check(&url(host)), None, "{host}");
        }
    }

    #[test]
    fn an_address_of_plex_tv_is_refused() {
        for host in [
            "plex.tv",
            "PLEX.tv.",
            "plex.tv..",
            "plex%2Etv",
            "app.plex.tv",
            "www.plex.tv",
            "clients.plex.tv:443",
            "a.b.Plex.TV",
            "vod.provider.plex.tv",
        ] {
            let error = parse(&format!("https://{host}")).unwrap_err().to_string();
            assert!(
                error.contains("an address of plex.tv or of Plex's web app"),
                "{host}: {error}"
            );
        }
        for host in ["plex.tv.example", "notplex.tv", "plex.tvs", "10-0-2-123.93b1.plex.direct"] {
            parse(&format!("https://{host}")).unwrap();
        }
        assert_eq!(check(&Url::parse("https://app.plex.tv").unwrap()), Some(PLEX_TV));
    }

    #[test]
    fn an_invalid_address_is_refused_with_advice_and_not_repeated() {
        for (advice, addresses) in [
            ("it is empty", &[""][..]),
            (
                "must begin with `https://`",
                &["10.0.0.1:32400", "nas:32400", "ftp://nas", "http:nas"],
            ),
            (
                "without quotes",
                &["\"https://nas:32400\"", "'https://nas:32400", "https://nas:32400”"],
            ),
            ("white space", &[" http://nas", "http://nas\n", "\u{a0}http://nas", "http://n as"]),
            ("control character", &["http://n\0as", "http://nas\u{1b}"]),
            (
                "write one address",
                &["https://a,https://b", "https://a:1;https://b:1", "http://a:1,b:1"],
            ),
            (
                "not a URL",
                &["https://", "https://nas:99999", "http://10.0.0.1:1:1", "http://10.0.0.256"],
            ),
            (
                "IPv6 address in brackets",
                &["http://::1", "http://fd00::20:32400", "http://[fd00::1"],
            ),
            ("without a zone", &["http://[fd00::1%25eth0]:32400", "http://fe80::1%eth0:32400"]),
            (
                "link-local",
                &["http://[fe80::1]", "http://169.254.1.1", "http://[::ffff:169.254.1.1]"],
            ),
            (
                "stand for no machine",
                &["http://0.0.0.0", "http://[::]:32400", "http://[::ffff:0:0]"],
            ),
            ("hyphens", &["https://10.0.2.123.93b1.plex.direct", "https://plex.direct"]),
            ("behind a slash", &["http://nas/:32400", "http://nas/:32400/"]),
            (
                "remove one slash",
                &["http://nas//", "https://nas:32400//plex", "https://nas/plex//"],
            ),
            ("plex.tv", &["https://plex.tv", "https://app.plex.tv/desktop/#!/sEcReT"]),
            ("leave out `/web`", &["http://nas:32400/web", "https://nas:32400/plex/web/"]),
            ("leave out `/web`", &["https://nas/web/index.html", "https://nas/plex/web/#!/sEcReT"]),
            ("after the port", &["http://nas/identity", "http://nas/library/sections?t=sEcReT"]),
            ("credentials", &["https://user@nas", "https://:sEcReT@nas", "https://nas?t=sEcReT"]),
            ("fragment", &["https://nas/#sEcReT", "https://nas/web#sEcReT"]),
            ("port is 0", &["https://nas:0"]),
            ("no request can have", &["https://a{b}.example", "https://nas\"/"]),
        ] {
            for address in addresses {
                let error = parse(address).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidAddress, "{error}");
                let error = error.to_string();
                assert!(error.contains(advice) && !error.contains("sEcReT"), "{address}: {error}");
            }
        }
        for address in ["HTTP://nas", "https://nas/plex", "https://nas/webhook/", "http://[::1]:1"]
        {
            parse(address).unwrap();
        }
    }

    #[test]
    fn a_prefix_web_of_a_proxy_is_an_address() {
        for address in ["https://plex.example.com/web", "https://plex.example.com/web/plex/"] {
            assert_eq!(parse(address).unwrap().as_str(), address);
        }
    }

    #[test]
    fn a_plex_direct_name_contains_its_address() {
        for (label, address) in [
            ("10-0-2-123", "10.0.2.123"),
            ("127-0-0-1", "127.0.0.1"),
            ("0-0-0-0", "0.0.0.0"),
            ("255-255-255-255", "255.255.255.255"),
            ("2001-db8-0-0-0-0-0-1", "2001:db8::1"),
            ("2001-0db8-0000-0000-0000-0000-0000-0001", "2001:db8::1"),
            ("2001-db8--1", "2001:db8::1"),
            ("2001-DB8--1", "2001:db8::1"),
            ("fe80--1", "fe80::1"),
            ("--1", "::1"),
            ("--", "::"),
            ("1--", "1::"),
            ("1--4", "1::4"),
        ] {
            let address: IpAddr = address.parse().unwrap();
            for name in [
                format!("{label}.{HASH}.plex.direct"),
                format!("{label}.{HASH}.plex.direct."),
                format!("{label}.{HASH}.PLEX.Direct"),
                format!("{label}.93b1.plex.direct"),
            ] {
                assert_eq!(plex_direct(&name), Some(address), "{name}");
            }
        }
    }

    #[test]
    fn other_names_are_left_to_the_system() {
        for name in [
            "",
            ".",
            "plex.direct",
            ".plex.direct",
            "..plex.direct",
            "10-0-2-123.plex.direct",
            "10-0-2-123..plex.direct",
            "10-0-2-123.93b1.plex.direct..",
            "10-0-2-123.93b1.plex.direct.example",
            "10-0-2-123.93b1.notplex.direct",
            "10-0-2-123.93b1.plex.directory",
            "10-0-2-123.93b1.5d2c.plex.direct",
            "10-0-2-123.93_b1.plex.direct",
            "10-0-2-123.93b1.plex-direct",
            ".93b1.plex.direct",
            "93b1.93b1.plex.direct",
            "10.0.2.123.93b1.plex.direct",
            "10-0-2.93b1.plex.direct",
            "10-0-2-123-4.93b1.plex.direct",
            "10-0-2-256.93b1.plex.direct",
            "10-0-2-0123.93b1.plex.direct",
            "010-0-2-123.93b1.plex.direct",
            "0x0a-0-2-123.93b1.plex.direct",
            "-10-0-2-123.93b1.plex.direct",
            "10-0-2-123-.93b1.plex.direct",
            "10--0-2-.93b1.plex.direct",
            "10-0-2-1 3.93b1.plex.direct",
            "10-0-2-+3.93b1.plex.direct",
            "2001-db8-1.93b1.plex.direct",
            "2001--db8--1.93b1.plex.direct",
            "2001-db8-0-0-0-0-0-0-1.93b1.plex.direct",
            "2001-db8--12345.93b1.plex.direct",
            "fe80--1%eth0.93b1.plex.direct",
            "--ffff:1.93b1.plex.direct",
            "plex.example",
            "10.0.2.123",
        ] {
            assert_eq!(plex_direct(name), None, "{name}");
        }
    }

    #[test]
    fn every_address_round_trips_through_a_name() {
        for seed in 0..=u16::MAX {
            // Zeros of every length in every place.
            let group = |at: u32| if seed >> (at % 16) & 1 == 0 { 0 } else { seed ^ at as u16 };
            let v6 = Ipv6Addr::from(std::array::from_fn::<u16, 8, _>(|at| group(at as u32)));
            let v4 = Ipv4Addr::from(u32::from(seed).wrapping_mul(0x0101_4EE5));
            for ip in [IpAddr::from(v4), v6.to_canonical()] {
                assert_eq!(plex_direct(&plex_direct_name(ip, HASH)), Some(ip));
            }
        }
    }
}
