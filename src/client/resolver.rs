//! The resolver: resolves `plex.direct` names with a local address without DNS, and all others with
//! the system's resolver. A name that a token is sent to over plain `http` must lead to a local
//! address.

use std::io;
use std::iter;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::time::Duration;
use std::vec;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::address::{is_local_ip, plex_direct};
use crate::error::{Error, ErrorKind};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long the system may take for a `plex.direct` name with a public address.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Limits the concurrent system look-ups of all clients in the process. Each occupies a thread of
/// tokio's blocking pool, which the app also needs for files.
static LOOK_UPS: Semaphore = Semaphore::const_new(8);

/// The resolver of every client.
///
/// Routers with rebinding protection refuse names with a private address
/// (<https://support.plex.tv/articles/206225077>). A `plex.direct` name contains its address, so no
/// DNS server is needed. This weakens nothing: the certificate is still checked against the name,
/// and an attacker who can choose the name can also choose the address.
///
/// A name with a public address goes to the system first, which may know a better one, for example
/// with DNS64, or behind a router without NAT hairpinning. If the system fails, the address in the
/// name is used.
///
/// DNS may answer any name with a public address (a wildcard, a provider's search page) or with
/// 0.0.0.0 (a blocker). So a name like `nas` or `plex.lan`, which plain `http` is accepted for
/// without `allow_insecure_http(true)`, leads to local addresses only.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resolver {
    /// The name that leads to local addresses only.
    guarded: Option<String>,
}

impl Resolver {
    /// The resolver of a client with this address and `allow_insecure_http`.
    pub(crate) fn for_address(address: &Url, allow_insecure_http: bool) -> Self {
        let is_guarded = address.scheme() == "http" && !allow_insecure_http;
        Self { guarded: address.domain().filter(|_| is_guarded).map(str::to_owned) }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let contained = plex_direct(name.as_str());
        let is_guarded = self.guarded.as_deref() == Some(name.as_str());
        Box::pin(async move {
            if let Some(ip) = contained.filter(|ip| is_local_ip(*ip)) {
                return Ok(addrs(ip));
            }
            // Without a runtime, the timer and the look-up would panic.
            Handle::try_current()?;
            let looked_up = look_up(&LOOK_UPS, move || system(name.as_str()));
            match contained {
                Some(ip) => Ok(or_contained(looked_up, ip).await),
                None if is_guarded => local_only(looked_up.await?),
                None => Ok(Box::new(looked_up.await?) as Addrs),
            }
        })
    }
}

/// reqwest replaces port 0 with the URL's.
fn addrs(ip: IpAddr) -> Addrs {
    Box::new(iter::once(SocketAddr::new(ip, 0)))
}

/// The local ones of a guarded name's addresses.
fn local_only(found: impl Iterator<Item = SocketAddr>) -> Result<Addrs, BoxError> {
    let (local, other): (Vec<_>, Vec<_>) = found.partition(|found| is_local_ip(found.ip()));
    match other.first() {
        Some(other) if local.is_empty() => {
            let summary = format!(
                "the host's name leads to {}, which is not a local address, so plain `http` would \
                 send the token unencrypted: use `https`, or call `.allow_insecure_http(true)`",
                other.ip()
            );
            Err(Error::new(ErrorKind::InvalidAddress, summary).into())
        }
        _ => Ok(Box::new(local.into_iter())),
    }
}

/// The system's result, or the address in the name if the system fails or is too slow.
async fn or_contained<F, I>(looked_up: F, ip: IpAddr) -> Addrs
where
    F: Future<Output = Result<I, BoxError>>,
    I: Iterator<Item = SocketAddr> + Send + 'static,
{
    let Ok(Ok(found)) = timeout(LONGEST_WAIT, looked_up).await else { return addrs(ip) };
    let mut found = found.peekable();
    match found.peek() {
        Some(_) => Box::new(found),
        None => addrs(ip),
    }
}

/// The same look-up as reqwest's own resolver.
fn system(name: &str) -> io::Result<vec::IntoIter<SocketAddr>> {
    #[cfg(test)]
    if let Some(ip) = tests::dns(name) {
        return Ok(vec![SocketAddr::new(ip, 0)].into_iter());
    }
    (name, 0).to_socket_addrs()
}

/// Runs `system` on the blocking pool, once a permit is free.
async fn look_up<T: Send + 'static>(
    permits: &'static Semaphore,
    system: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, BoxError> {
    let permit = permits.acquire().await?;
    let found = spawn_blocking(move || {
        // Held until the system call returns, even if the look-up was dropped.
        let _permit = permit;
        system()
    });
    Ok(found.await??)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::plex_direct_name;

    const HASH: &str = "93b10b279ff8456686414add109854cd";

    fn ips(found: Addrs) -> Vec<IpAddr> {
        found.map(|address| address.ip()).collect()
    }

    #[test]
    fn a_plex_direct_name_is_resolved_outside_a_runtime() {
        use std::pin::pin;
        use std::task::{Context, Poll, Waker};

        let resolve = |name: &str| {
            let mut resolving = pin!(Resolver::default().resolve(name.parse().unwrap()));
            match resolving.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(result) => result,
                Poll::Pending => panic!("it waits"),
            }
        };
        for address in [
            "10.0.2.123",
            "172.16.0.1",
            "127.0.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "::1",
            "fd00::1",
            "fe80::1",
        ] {
            let ip: IpAddr = address.parse().unwrap();
            let found = resolve(&plex_direct_name(ip, HASH)).unwrap();
            assert_eq!(found.collect::<Vec<_>>(), [SocketAddr::new(ip, 0)]);
        }
        assert!(resolve("--ffff-a00-1.93b1.plex.direct").is_ok());
        for name in ["localhost", "8-8-8-8.93b1.plex.direct", "2001-db8--1.93b1.plex.direct"] {
            assert!(resolve(name).is_err(), "{name}");
        }
    }

    #[tokio::test]
    async fn the_system_resolves_other_names() {
        let found = Resolver::default().resolve("localhost".parse().unwrap()).await.unwrap();
        assert!(ips(found).iter().all(IpAddr::is_loopback));
    }

    #[tokio::test]
    async fn at_most_8_look_ups_ask_the_system_at_once() {
        const SOON: Duration = Duration::from_millis(100);
        let all = timeout(10 * SOON, LOOK_UPS.acquire_many(8)).await.unwrap().unwrap();
        let mut waits = Resolver::default().resolve("localhost".parse().unwrap());
        assert!(timeout(SOON, &mut waits).await.is_err(), "a ninth one does");
        drop(all);
        assert!(waits.await.is_ok());
    }

    #[test]
    fn only_the_clients_own_name_over_http_is_guarded() {
        for (address, allow, guarded) in [
            ("http://nas:32400", false, Some("nas")),
            ("http://plex.HOME./plex", false, Some("plex.home.")),
            ("http://nas:32400", true, None),
            ("https://nas:32400", false, None),
            ("http://192.168.1.20", false, None),
            ("http://[fd00::20]", false, None),
        ] {
            let resolver = Resolver::for_address(&address.parse().unwrap(), allow);
            assert_eq!(resolver.guarded.as_deref(), guarded, "{address}");
        }
    }

    #[tokio::test]
    async fn a_guarded_name_leads_to_local_addresses_only() {
        let at = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 0);
        let all = ["203.0.113.5", "192.168.1.20", "2001:db8::1", "fd00::20", "0.0.0.0", "fe80::1"];
        let found = local_only(all.map(at).into_iter()).unwrap();
        assert_eq!(ips(found), ["192.168.1.20", "fd00::20", "fe80::1"].map(|ip| at(ip).ip()));
        for public in ["203.0.113.5", "2001:db8::1", "0.0.0.0", "::", "::ffff:8.8.8.8"] {
            let error = local_only([at(public)].into_iter()).err().unwrap();
            let error = error.downcast_ref::<Error>().unwrap();
            assert_eq!(error.kind(), ErrorKind::InvalidAddress);
            assert!(error.to_string().contains(&at(public).ip().to_string()), "{error}");
        }
        let guarded = Resolver::for_address(&"http://localhost".parse().unwrap(), false);
        let found = guarded.resolve("localhost".parse().unwrap()).await.unwrap();
        assert!(ips(found).iter().all(IpAddr::is_loopback));
    }

    /// A DNS server with a wildcard, which the system's own can't be made in a test.
    pub(super) fn dns(name: &str) -> Option<IpAddr> {
        name.ends_with("wildcard.lan").then_some([203, 0, 113, 5].into())
    }

    #[tokio::test]
    async fn a_public_address_of_a_local_name_is_not_retried() {
        let client = crate::Client::builder("http://nas.wildcard.lan:32400").token("t");
        let client = client.client_identifier("c").configure_http(|it| it.tls_certs_only([]));
        let error = client.build().unwrap().transient_token().await.unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (crate::ErrorKind::InvalidAddress, 0));
        let text = error.to_string();
        for part in ["http://nas.wildcard.lan", "203.0.113.5", "`.allow_insecure_http(true)`"] {
            assert!(text.contains(part), "{text}");
        }
        let other = Resolver::default().resolve("nas.wildcard.lan".parse().unwrap()).await;
        assert_eq!(ips(other.unwrap()), [IpAddr::from([203, 0, 113, 5])]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_public_plex_direct_name_falls_back_to_itself() {
        use std::future::{pending, ready};

        let [ip, other] = ["8.8.8.8", "64:ff9b::808:808"].map(|ip| ip.parse().unwrap());
        let started = tokio::time::Instant::now();
        let found = vec![SocketAddr::new(other, 0), SocketAddr::new(ip, 0)];
        let looked_up = ready(Ok(found.into_iter()));
        assert_eq!(ips(or_contained(looked_up, ip).await), [other, ip]);
        assert_eq!(ips(or_contained(ready(Ok(iter::empty())), ip).await), [ip]);
        let failed = ready(Err::<Addrs, _>("no such host".into()));
        assert_eq!(ips(or_contained(failed, ip).await), [ip]);
        assert_eq!(started.elapsed(), Duration::ZERO);
        let silent = pending::<Result<Addrs, BoxError>>();
        assert_eq!(ips(or_contained(silent, ip).await), [ip]);
        assert_eq!(started.elapsed().as_millis(), 1_000);
    }

    #[tokio::test]
    async fn a_hanging_look_up_holds_its_permit() {
        use std::sync::mpsc;

        static PERMITS: Semaphore = Semaphore::const_new(2);
        let (begun, mut running) = tokio::sync::mpsc::unbounded_channel();
        let gates = [(); 2].map(|()| {
            let (open, gate) = mpsc::channel::<()>();
            let begun = begun.clone();
            let looked_up = look_up(&PERMITS, move || {
                begun.send(()).unwrap();
                Ok(gate.recv().is_ok())
            });
            (open, tokio::spawn(looked_up))
        });
        for _ in &gates {
            running.recv().await.unwrap();
        }
        let [(open, hangs), (_other, abandoned)] = gates;
        abandoned.abort();
        assert!(abandoned.await.unwrap_err().is_cancelled());
        assert_eq!(PERMITS.available_permits(), 0);

        let waits = tokio::spawn(look_up(&PERMITS, || Ok("found")));
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        open.send(()).unwrap();
        assert!(hangs.await.unwrap().unwrap());
        assert_eq!(waits.await.unwrap().unwrap(), "found");
    }
}
