//! `connect` over lists of addresses: how long, and how many connections it opens.

use std::time::{Duration, Instant};

use reqwest::Url;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::baseline::Result;
use crate::network::{Address, Network, SOURCE};
use crate::{Bench, plot};

struct List {
    name: &'static str,
    /// The name of its `ratio` line; empty where it has none.
    ratio: &'static str,
    listed: Vec<Address>,
    /// What `refresh=1` lists instead.
    refreshed: Vec<Address>,
    /// Whether the app remembers the good address, and prefers it.
    is_remembered: bool,
}

/// What a client found, after how long, and how many connections it opened.
#[derive(Clone, Copy)]
pub struct Run {
    pub seconds: f64,
    /// Where the address is that was verified. None: it gave up.
    pub found: Option<&'static str>,
    opened: usize,
}

fn lists() -> Vec<List> {
    const GOOD: Address = Address { place: "local", answers_after: Some(Duration::ZERO) };
    const SILENT: Address = Address { answers_after: None, ..GOOD };
    const REMOTE: Address = Address { place: "remote", ..GOOD };
    const RELAY: Address = Address { place: "relay", ..GOOD };

    let slow = |ms, address| Address { answers_after: Some(Duration::from_millis(ms)), ..address };
    let behind = |silent, good| [vec![SILENT; silent], vec![good]].concat();
    let list = |name, ratio, listed| {
        let (refreshed, is_remembered) = (Vec::new(), false);
        List { name, ratio, listed, refreshed, is_remembered }
    };
    let mut refreshed = list("6 silent ones, a good one after refresh=1", "", vec![SILENT; 6]);
    refreshed.refreshed = vec![GOOD];
    let name = "the good one preferred, after 60 silent ones";
    let mut remembered = list(name, "connect_prefer_s", behind(60, GOOD));
    remembered.is_remembered = true;
    vec![
        list("the good one first", "", vec![GOOD]),
        list("3 silent ones first", "connect3_s", behind(3, GOOD)),
        list("12 silent ones first", "connect12_s", behind(12, GOOD)),
        list("60 silent ones first", "connect60_s", behind(60, GOOD)),
        list("6 silent local ones, then a remote one", "connect_away_s", behind(6, REMOTE)),
        list("LAN takes 400 ms, remote 40 ms", "", vec![slow(400, GOOD), slow(40, REMOTE)]),
        list("6 silent ones and a relay", "connect_relay_s", behind(6, RELAY)),
        refreshed,
        remembered,
    ]
}

pub fn measure(bench: &mut Bench) -> Result<String> {
    let mut table = String::from(
        "| list | plex-auth, s | all at once, s | physical limit, s | plex-auth opened | \
         all at once opened |\n|---|---|---|---|---|---|\n",
    );
    let mut rows = Vec::new();
    for list in lists() {
        let mut runs = [const { Vec::new() }; 3];
        for _ in 0..bench.rounds(5) {
            runs[0].push(run(bench, &list, plex_auth)?);
            runs[1].push(run(bench, &list, all_at_once)?);
            runs[2].push(run(bench, &list, physical_limit)?);
        }
        let row = runs.map(median);
        let [ours, at_once, limit] = row.map(|run| match run.found {
            Some(place) => format!("{:.4}, {place}", run.seconds),
            None => format!("gives up after {:.4}", run.seconds),
        });
        let (opened, at_once_opened) = (row[0].opened, row[1].opened);
        let name = list.name;
        table +=
            &format!("| {name} | {ours} | {at_once} | {limit} | {opened} | {at_once_opened} |\n");
        if !list.ratio.is_empty() {
            bench.ratio(list.ratio, row[0].found.map_or(f64::INFINITY, |_| row[0].seconds));
        }
        rows.push((name, row));
    }
    if bench.save {
        plot::draw(&rows)?;
    }
    Ok(table + "\n![Seconds to connect over each list](performance.svg)\n")
}

fn run(
    bench: &Bench,
    list: &List,
    connect: impl AsyncFn(&List, &Network) -> Result<Url>,
) -> Result<Run> {
    let network = Network::start(&list.listed, &list.refreshed)?;
    bench.runtime.block_on(async {
        let began = Instant::now();
        let verified = connect(list, &network).await;
        let seconds = began.elapsed().as_secs_f64();
        // Until what was opened has been accepted.
        sleep(Duration::from_millis(100)).await;
        let mut addresses = network.addresses.iter();
        let found = addresses.find(|(uri, _)| verified.as_ref().is_ok_and(|found| found == uri));
        let found = found.map(|(_, address)| address.place);
        Ok(Run { seconds, found, opened: network.opened() })
    })
}

fn median(mut runs: Vec<Run>) -> Run {
    runs.sort_by(|one, other| one.seconds.total_cmp(&other.seconds));
    runs[runs.len() / 2]
}

async fn plex_auth(list: &List, network: &Network) -> Result<Url> {
    let source = SOURCE.parse()?;
    let connect = network.client.connect(&source);
    let connect = if list.is_remembered { connect.prefer(good(network)?) } else { connect };
    Ok(connect.await?.connection().uri.clone())
}

/// Looks the source up, asks all addresses at the same time, and takes the first that is verified.
async fn all_at_once(_: &List, network: &Network) -> Result<Url> {
    let device = network.baseline.device(SOURCE).await?;
    let mut asked = JoinSet::new();
    for connection in device["Connection"].as_array().into_iter().flatten() {
        let uri: Url = connection["uri"].as_str().unwrap_or_default().parse()?;
        let baseline = network.baseline.clone();
        asked.spawn(async move { (baseline.identity(&uri).await.ok(), uri) });
    }
    while let Some(answered) = asked.join_next().await {
        let (identifier, uri) = answered?;
        if identifier.is_some_and(|identifier| identifier == device["clientIdentifier"]) {
            return Ok(uri);
        }
    }
    Err("no address answers".into())
}

/// One TCP connection, one TLS handshake and one request, by somebody who knows the good address.
async fn physical_limit(_: &List, network: &Network) -> Result<Url> {
    let good = good(network)?;
    network.baseline.identity(good).await?;
    Ok(good.clone())
}

/// The first address that is not silent.
fn good(network: &Network) -> Result<&Url> {
    let mut addresses = network.addresses.iter();
    let good = addresses.find(|(_, address)| address.answers_after.is_some());
    Ok(&good.ok_or("all are silent")?.0)
}
