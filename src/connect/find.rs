//! A look-up and a race; when that fails, or after 3 s beside it, a fresh look-up and a race of its
//! new addresses.

use std::sync::OnceLock;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::select_ok;
use reqwest::Url;
use tokio::time::{Instant, timeout, timeout_at};

use super::candidates::Rules;
use super::race::Race;
use super::{Found, Options};
use crate::address;
use crate::client::{Client, after, check_runtime, ms};
use crate::error::{CandidateError, Details, Error, ErrorKind, escape};
use crate::source::{Device, Source};
use crate::token::TransientToken;

/// When the source is looked up again, if no candidate has won.
const REFRESH_AFTER: Duration = Duration::from_secs(3);
/// How long the source may take to accept or refuse its token.
const LONGEST_TRIAL: Duration = Duration::from_secs(1);

/// Where the first list comes from.
pub(super) enum Start {
    LookUp,
    /// From the app.
    Device(Device),
    /// A reconnection: a fresh look-up, or the last device where that fails or takes long.
    Again(Device),
}

pub(super) async fn find(
    server: &Client,
    source: &Source,
    options: &Options,
    prefer: Option<&Url>,
    start: Start,
) -> Result<Found, Error> {
    check_runtime()?;
    let begun = Instant::now();
    let deadline = after(begun, options.timeout);
    let left = || deadline.saturating_duration_since(Instant::now());
    // The old connections of a reconnection may be dead.
    let fresh = OnceLock::new();
    let fresh = || fresh.get_or_init(|| server.fresh());
    let asked = if matches!(start, Start::Again(_)) { fresh() } else { server };
    // Once at most, by whoever needs it first.
    let refreshed = async { asked.look_up(source, true, left()).await }.boxed().shared();

    let listed = match start {
        Start::LookUp => match asked.look_up(source, false, options.timeout).await {
            Err(error) if matches!(error.kind(), ErrorKind::NoDevice | ErrorKind::NoToken) => {
                refreshed.clone().await?
            }
            result => result?,
        },
        Start::Device(device) => device,
        Start::Again(device) => {
            let looked_up = timeout(REFRESH_AFTER.min(left()), refreshed.clone()).await;
            looked_up.ok().and_then(Result::ok).unwrap_or(device)
        }
    };
    let rules = || Rules {
        allow_insecure_http: server.0.settings.allow_insecure_http,
        prefer,
        only: &*options.only,
        time: left(),
    };
    let chosen = rules().choose([].iter(), &listed.connections);
    let first = Race::new(fresh(), source, chosen);
    let second = OnceLock::new();
    let later = async {
        first.until_each_failed(REFRESH_AFTER).await;
        let device = refreshed.clone().await.map_err(drop)?;
        let chosen = rules().choose(first.all(), &device.connections);
        second.get_or_init(|| Race::new(fresh(), source, chosen)).run().await.ok_or(())
    };
    let races = select_ok([first.run().map(|won| won.ok_or(())).boxed(), later.boxed()]);
    let won = timeout_at(deadline, races).await;

    // From the last look-up that succeeded.
    let device = refreshed.peek().and_then(|result| result.as_ref().ok()).unwrap_or(&listed);
    let candidates = |is_won| -> Vec<CandidateError> {
        let races = [Some(&first), second.get()].into_iter().flatten();
        races.flat_map(|race| race.errors(is_won)).collect()
    };
    let Ok(Ok((connection, _))) = won else {
        let problem = refreshed.peek().and_then(|result| result.as_ref().err());
        return Err(unreachable(source, candidates(false), problem));
    };
    let bind = |device: &Device| fresh().bind(connection.uri.clone(), device.access_token.clone());
    let mut device = device.clone();
    let mut client = bind(&device);
    let mut token = try_token(&client, left()).await;
    // The source may have restarted since the asked server got this token.
    if token.is_err()
        && refreshed.peek().is_none()
        && let Ok(Ok(new)) = timeout_at(deadline, refreshed.clone()).await
    {
        client = bind(&new);
        device = new;
        token = try_token(&client, left()).await;
    }
    let token = token.map_err(|error| refused(error, source, refreshed.peek()))?;

    tracing::debug!(
        origin = address::origin(&connection.uri),
        local = connection.local,
        relay = connection.relay,
        elapsed_ms = ms(begun.elapsed()),
        "connected"
    );
    Ok(Found { client, device, connection, candidates: candidates(true), token })
}

/// Tries the access token by getting a transient one. An error only if the source refuses it: that
/// it answers is known.
async fn try_token(client: &Client, left: Duration) -> Result<Option<TransientToken>, Error> {
    match timeout(LONGEST_TRIAL.min(left), client.try_token()).await {
        Ok(Err(error)) if error.kind() == ErrorKind::Unauthorized => Err(error),
        Ok(result) => Ok(result.ok()),
        Err(_) => Ok(None),
    }
}

fn refused(error: Error, source: &Source, looked_up: Option<&Result<Device, Error>>) -> Error {
    let again = match looked_up {
        Some(Ok(_)) => "; it is the one of a fresh look-up".to_owned(),
        Some(Err(error)) => format!("; and looking the source up again failed ({error})"),
        None => "; and there was no time to look the source up again".to_owned(),
    };
    error.with(|details| {
        details.operation = operation(source);
        details.summary.push_str(&again);
    })
}

fn unreachable(source: &Source, candidates: Vec<CandidateError>, problem: Option<&Error>) -> Error {
    let problem = problem.map(|error| format!(", and looking it up again failed ({error})"));
    let problem = problem.unwrap_or_default();
    let summary = match candidates.is_empty() {
        true => format!("it has no connections{problem}: is it running, and signed in to plex.tv?"),
        false => format!("no connection works{problem}"),
    };
    let attempts = candidates.iter().map(|candidate| candidate.error.attempts());
    let attempts = attempts.fold(0, u32::saturating_add);
    let details = Details::new(ErrorKind::Unreachable, summary);
    Details { operation: operation(source), attempts, candidates, ..details }.into()
}

fn operation(source: &Source) -> String {
    format!("connecting to {}", escape(source.as_ref(), 100))
}
