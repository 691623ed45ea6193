//! `plex.direct` names without DNS; every other name goes to the system.

use std::future::ready;
use std::iter;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::runtime::Handle;

/// The resolver of every client.
///
/// Routers with rebinding protection refuse names that lead to a private address
/// (<https://support.plex.tv/articles/206225077>). A `plex.direct` name contains its address, so no
/// DNS server needs to be asked. This weakens nothing: the certificate is still checked against the
/// name, and whoever chose the name could have chosen the address.
#[derive(Debug)]
pub(crate) struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        if let Some(ip) = plex_direct(name.as_str()) {
            // reqwest puts the URL's port in the place of 0.
            let found: Addrs = Box::new(iter::once(SocketAddr::new(ip, 0)));
            return Box::pin(ready(Ok(found)));
        }
        Box::pin(async move {
            // As reqwest's own resolver, but without a panic where there is no runtime.
            let look_up = move || (name.as_str(), 0).to_socket_addrs();
            let found = Handle::try_current()?.spawn_blocking(look_up).await??;
            Ok(Box::new(found) as Addrs)
        })
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
#[cfg(any(feature = "rustls", test))]
pub(crate) fn plex_direct_name(ip: IpAddr, hash: &str) -> String {
    let label = match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string().replace('.', "-"),
        IpAddr::V6(ip) => ip.segments().map(|group| format!("{group:x}")).join("-"),
    };
    format!("{label}.{hash}.plex.direct")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "93b10b279ff8456686414add109854cd";

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

    #[test]
    fn a_plex_direct_name_is_resolved_outside_a_runtime_and_other_names_are_an_error() {
        use std::pin::pin;
        use std::task::{Context, Poll, Waker};

        let resolve = |name: &str| {
            let mut resolving = pin!(Resolver.resolve(name.parse().unwrap()));
            match resolving.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(result) => result,
                Poll::Pending => panic!("it waits"),
            }
        };
        let found: Vec<_> = resolve("10-0-2-123.93b1.plex.direct").unwrap().collect();
        assert_eq!(found, ["10.0.2.123:0".parse().unwrap()]);
        assert!(resolve("localhost").is_err());
    }

    #[tokio::test]
    async fn the_system_resolves_other_names() {
        let found = Resolver.resolve("localhost".parse().unwrap()).await.unwrap();
        assert!(found.map(|address| address.ip()).all(|ip| ip.is_loopback()));
    }
}
