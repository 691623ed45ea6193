//! Which connections of a source are tried, in which order, starting when, and winning when.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use reqwest::Url;

use crate::address;
use crate::source::Connection;

/// Which connections a caller allows.
pub(super) type Only = dyn Fn(&Connection) -> bool + Send + Sync;

/// How many direct connections are tried. A longer list would make this client scan somebody's
/// network.
const MAX_DIRECT: usize = 64;
/// Counted separately, so that dead direct addresses do not exclude the relays.
const MAX_RELAYS: usize = 10;
/// How many connections to one address and port, with different names or paths, are tried.
const MAX_PER_ADDRESS: usize = 4;

/// In the order in which they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Preferred,
    /// `https`, flagged local, and at a local address.
    Local,
    /// Any other `https`.
    Remote,
    Http,
    Relay,
}

/// A connection to try.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// As it is tried: an `http` one that may not be used is tried as `https`.
    pub(super) connection: Connection,
    pub(super) class: Class,
    /// What its errors add.
    pub(super) hint: &'static str,
    /// Why it is not tried.
    pub(super) skipped: Option<&'static str>,
    /// When it starts, and from when on it may win, relative to the start of the race.
    pub(super) starts: Duration,
    pub(super) wins: Duration,
}

/// How candidates are chosen.
pub(super) struct Rules<'a> {
    pub(super) allow_insecure_http: bool,
    pub(super) prefer: Option<&'a Url>,
    pub(super) only: &'a Only,
    /// How long it may take to connect.
    pub(super) time: Duration,
}

impl Rules<'_> {
    /// The candidates of a list that are not among the `earlier` ones, in their order.
    pub(super) fn choose<'c>(
        &self,
        earlier: impl Iterator<Item = &'c Candidate> + Clone,
        listed: &[Connection],
    ) -> Vec<Candidate> {
        let https = listed.iter().filter(|connection| connection.uri.scheme() == "https");
        let https: HashSet<_> = https.map(|connection| place(&connection.uri)).collect();
        let mut candidates: Vec<_> =
            listed.iter().map(|connection| self.candidate(connection, &https)).collect();
        candidates.sort_by_key(|candidate| {
            let Connection { uri, local, .. } = &candidate.connection;
            (candidate.class, !local, address::ip(uri).is_none())
        });
        let mut seen: HashSet<_> =
            earlier.clone().map(|candidate| candidate.connection.uri.clone()).collect();
        candidates.retain(|candidate| seen.insert(candidate.connection.uri.clone()));
        let mut counts = Counts::default();
        for candidate in earlier {
            let _ = counts.add(candidate);
        }
        for candidate in &mut candidates {
            candidate.skipped = counts.add(candidate);
        }
        self.schedule(&mut candidates);
        candidates
    }

    /// `https` are the places that the list has with `https`.
    fn candidate(&self, listed: &Connection, https: &HashSet<Place>) -> Candidate {
        let mut connection = listed.clone();
        let uri = &listed.uri;
        let mut skipped = address::check(uri);
        if !(self.only)(listed) {
            skipped = skipped.or(Some("`.only(..)` leaves it out"));
        }
        let mut hint = "";
        let may_be_used = self.allow_insecure_http && address::is_local(uri);
        if uri.scheme() == "http" && !may_be_used {
            if https.contains(&place(uri)) {
                skipped = skipped.or(Some("plain `http`, and the list has `https` at that port"));
            }
            if skipped.is_none() {
                // The certificate gives its name, as for any bare address.
                connection.uri = as_https(uri);
                hint = "; it is listed with `http`, which needs `.allow_insecure_http(true)` and a \
                        local address";
            }
        }
        let class = self.class(&connection);
        let (starts, wins) = Default::default();
        Candidate { connection, class, hint, skipped, starts, wins }
    }

    fn class(&self, connection: &Connection) -> Class {
        let Connection { uri, local, relay, .. } = connection;
        if *relay {
            Class::Relay
        } else if self.prefer.is_some_and(|prefer| is_same(prefer, uri)) {
            Class::Preferred
        } else if uri.scheme() == "http" {
            Class::Http
        } else if *local && address::is_local(uri) {
            Class::Local
        } else {
            Class::Remote
        }
    }

    /// The table in the docs of [`connect`](crate::Client::connect).
    fn schedule(&self, candidates: &mut [Candidate]) {
        let mut tried: Vec<_> =
            candidates.iter_mut().filter(|candidate| candidate.skipped.is_none()).collect();
        let is_https = |class| matches!(class, Class::Local | Class::Remote);
        let has_https = tried.iter().any(|candidate| is_https(candidate.class));
        let relays_win = Duration::from_secs(1).min(self.time.checked_div(4).unwrap_or_default());
        let (mut https, mut http, mut relays) = (0, 0, 0);
        for (index, candidate) in tried.iter_mut().enumerate() {
            let (from, number, wins) = match candidate.class {
                Class::Preferred => (0, &mut 0, Duration::ZERO),
                Class::Local => (100, &mut https, Duration::ZERO),
                Class::Remote => (100, &mut https, Duration::from_millis(300)),
                Class::Http if has_https => (750, &mut http, Duration::ZERO),
                Class::Http => (100, &mut http, Duration::ZERO),
                Class::Relay => (500, &mut relays, relays_win),
            };
            candidate.wins = wins;
            if index > 0 {
                candidate.starts =
                    Duration::from_millis(from).saturating_add(GAP.saturating_mul(*number));
                *number = number.saturating_add(1);
            }
        }
    }
}

/// The time between two candidates of a class: the minimum delay of RFC 8305, section 5.
const GAP: Duration = Duration::from_millis(10);

/// How many are tried: direct ones, relays, and by place.
#[derive(Default)]
struct Counts {
    direct: usize,
    relays: usize,
    places: HashMap<Place, usize>,
}

impl Counts {
    /// Counts a candidate, or returns the reason why it is skipped.
    fn add(&mut self, candidate: &Candidate) -> Option<&'static str> {
        let (count, most, reason) = match candidate.connection.relay {
            true => (&mut self.relays, MAX_RELAYS, "only the first 10 relays are tried"),
            false => (&mut self.direct, MAX_DIRECT, "only the first 64 direct ones are tried"),
        };
        let at_place = self.places.entry(place(&candidate.connection.uri)).or_default();
        if candidate.skipped.is_some() {
            candidate.skipped
        } else if *count >= most {
            Some(reason)
        } else if *at_place >= MAX_PER_ADDRESS {
            Some("only 4 connections to one address and port are tried")
        } else {
            *count = count.saturating_add(1);
            *at_place = at_place.saturating_add(1);
            None
        }
    }
}

/// Whether two addresses lead to the same server, by name or by IP address.
fn is_same(one: &Url, other: &Url) -> bool {
    (one.scheme(), one.path(), place(one)) == (other.scheme(), other.path(), place(other))
}

/// Address and port, whatever the spelling of the address.
type Place = (String, Option<u16>);

fn place(uri: &Url) -> Place {
    let name = || uri.host_str().unwrap_or_default().to_owned();
    (address::ip(uri).map_or_else(name, |ip| ip.to_string()), uri.port_or_known_default())
}

/// `https` at the same host and port.
fn as_https(uri: &Url) -> Url {
    let mut https = uri.clone();
    let port = uri.port_or_known_default();
    // Both schemes have a host and a port, so neither call fails.
    let _ = https.set_scheme("https");
    let _ = https.set_port(port);
    https
}
