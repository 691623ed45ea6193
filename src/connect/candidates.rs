//! Which connections of a source are tried, in what order, and when each starts.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use reqwest::Url;

use crate::address;
use crate::source::Connection;

/// Which connections a caller allows.
pub(super) type Only = dyn Fn(&Connection) -> bool + Send + Sync;

/// How many direct connections are tried. A longer list would make this client scan somebody's
/// network.
const MAX_DIRECT: usize = 100;
/// Counted separately, so that dead direct addresses do not exclude the relays.
const MAX_RELAYS: usize = 10;
/// How many listed connections to one host and port, with different paths, are tried.
const MAX_PER_HOST: usize = 4;

/// In the order in which they start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Preferred,
    Https,
    Http,
    Relay,
}

/// A connection to try, or the reason why it is skipped.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) connection: Connection,
    pub(super) class: Class,
    pub(super) skipped: Option<&'static str>,
}

/// Chooses the candidates of a race, from one list or from several.
pub(super) struct Chooser<'a> {
    allow_insecure_http: bool,
    is_provider: bool,
    prefer: Option<&'a Url>,
    only: &'a Only,
    seen: HashSet<Url>,
    /// How many of each are tried: direct ones, relays, and by host and port.
    direct: usize,
    relays: usize,
    hosts: HashMap<(String, Option<u16>), usize>,
}

impl<'a> Chooser<'a> {
    pub(super) fn new(
        allow_insecure_http: bool,
        is_provider: bool,
        prefer: Option<&'a Url>,
        only: &'a Only,
    ) -> Self {
        let (seen, hosts) = Default::default();
        Self { allow_insecure_http, is_provider, prefer, only, seen, direct: 0, relays: 0, hosts }
    }

    /// The connections that were not seen before, by class, and local before remote within each.
    pub(super) fn choose(&mut self, listed: Vec<Connection>) -> Vec<Choice> {
        let mut listed: Vec<_> = listed.into_iter().map(|one| (self.class(&one), one)).collect();
        listed.sort_by_key(|(class, connection)| (*class, !connection.local));
        let mut chosen = Vec::new();
        for (class, connection) in listed {
            if self.seen.insert(connection.uri.clone()) {
                let skipped = self.reason_to_skip(&connection).or_else(|| self.over(&connection));
                chosen.push(Choice { connection, class, skipped });
            }
        }
        chosen
    }

    /// Another address of a connection that was chosen, unless it was seen or must be skipped.
    pub(super) fn replace(&mut self, connection: &Connection, uri: Url) -> Option<Connection> {
        let replaced = Connection { uri, ..connection.clone() };
        let is_new = self.seen.insert(replaced.uri.clone());
        (is_new && self.reason_to_skip(&replaced).is_none()).then_some(replaced)
    }

    /// Counts a connection, or returns the reason if it exceeds a limit.
    fn over(&mut self, connection: &Connection) -> Option<&'static str> {
        let uri = &connection.uri;
        let host = uri.host_str().unwrap_or_default().to_owned();
        let of_host = self.hosts.entry((host, uri.port_or_known_default())).or_default();
        let (count, most, reason) = match connection.relay {
            true => (&mut self.relays, MAX_RELAYS, "only the first 10 relays are tried"),
            false => (&mut self.direct, MAX_DIRECT, "only the first 100 connections are tried"),
        };
        if *count >= most {
            return Some(reason);
        }
        if *of_host >= MAX_PER_HOST {
            return Some("only 4 connections to one host and port are tried");
        }
        *count = count.saturating_add(1);
        *of_host = of_host.saturating_add(1);
        None
    }

    fn class(&self, connection: &Connection) -> Class {
        match connection.uri.scheme() {
            _ if self.prefer == Some(&connection.uri) => Class::Preferred,
            _ if connection.relay => Class::Relay,
            "http" => Class::Http,
            _ => Class::Https,
        }
    }

    fn reason_to_skip(&self, connection: &Connection) -> Option<&'static str> {
        let uri = &connection.uri;
        let is_http = uri.scheme() == "http";
        if let Some(problem) = address::check(uri) {
            return Some(problem);
        }
        if self.is_provider && (is_http || address::is_ip_address(uri)) {
            Some("a provider is reached by `https` and a host name only")
        } else if is_http && !self.allow_insecure_http {
            Some(
                "plain `http` does not prove who answers: allow it with `.allow_insecure_http(true)`",
            )
        } else if is_http && !address::is_local(uri) {
            Some("plain `http` to a host that is not local would send the token unencrypted")
        } else if !(self.only)(connection) {
            Some("`.only(..)` leaves it out")
        } else {
            None
        }
    }
}

/// The Connection Attempt Delay of RFC 8305, section 5: the recommended one as the first
/// candidate's head start, the minimum between the others.
const HEAD_START: Duration = Duration::from_millis(250);
pub(super) const GAP: Duration = Duration::from_millis(10);
const HTTP_AFTER: Duration = Duration::from_millis(750);
/// Or after a quarter of the timeout, if that is shorter.
const RELAYS_AFTER: Duration = Duration::from_millis(1_500);

/// When each candidate starts, relative to the start of a race that may take `time`. A class
/// without candidates takes no time.
pub(super) fn starts(classes: &[Class], time: Duration) -> Vec<Duration> {
    let has = |class| classes.contains(&class);
    let after = |class| match class {
        Class::Http if has(Class::Https) => HTTP_AFTER,
        Class::Relay if has(Class::Preferred) || has(Class::Https) || has(Class::Http) => {
            RELAYS_AFTER.min(time.checked_div(4).unwrap_or_default())
        }
        _ => HEAD_START,
    };
    let start = |(index, class): (usize, &Class)| {
        // The first candidate starts at 0 and is not counted.
        let before = classes.iter().take(index).skip(1).filter(|other| *other == class).count();
        let gaps = GAP.saturating_mul(u32::try_from(before).unwrap_or(u32::MAX));
        if index == 0 { Duration::ZERO } else { after(*class).saturating_add(gaps) }
    };
    classes.iter().enumerate().map(start).collect()
}

#[cfg(test)]
mod tests {
    use super::Class::{Http, Https, Preferred, Relay};
    use super::*;

    #[test]
    fn each_class_starts_at_its_time_and_the_rest_of_it_10_ms_apart() {
        let long = Duration::from_secs(30);
        for (classes, time, expected) in [
            (&[][..], long, &[][..]),
            (&[Https, Https, Https, Http, Http, Relay], long, &[0, 250, 260, 750, 760, 1_500]),
            (&[Preferred, Https, Https, Http], long, &[0, 250, 260, 750]),
            // A class without candidates takes no time.
            (&[Http, Http, Http, Relay], long, &[0, 250, 260, 1_500]),
            (&[Preferred, Http, Http], long, &[0, 250, 260]),
            (&[Relay, Relay, Relay], long, &[0, 250, 260]),
            (&[Https, Http, Relay, Relay], long, &[0, 750, 1_500, 1_510]),
            (&[Https, Relay], Duration::from_secs(4), &[0, 1_000]),
        ] {
            let starts: Vec<_> = starts(classes, time).iter().map(Duration::as_millis).collect();
            assert_eq!(starts, expected, "{classes:?}");
        }
        let many = starts(&[Https; 100], long);
        assert_eq!(many.last(), Some(&Duration::from_millis(250 + 98 * 10)));
    }
}
