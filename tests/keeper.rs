//! `TokenKeeper` over real sockets, as an outside crate uses it.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use plex_auth::{Error, Source, TokenKeeper, TransientToken};
use static_assertions::assert_impl_all;
use support::{Server, Step, TOKEN, good, respond};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

assert_impl_all!(TokenKeeper: Clone, Send, Sync, std::fmt::Debug);

/// A server that mints a new token for each request.
fn server() -> Server {
    Server::start(|request| good(request, &format!("transient-{}", request.number)))
}

/// A server that takes a while to answer, so that callers meet.
fn slow_server() -> Server {
    Server::start(|request| {
        let answer = good(request, &format!("transient-{}", request.number));
        vec![Step::Pause(Duration::from_millis(300)), Step::Send(answer)]
    })
}

fn same(one: &TransientToken, other: &TransientToken) -> bool {
    one.token().expose_secret() == other.token().expose_secret()
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_callers_of_an_empty_keeper_cause_one_request() {
    let server = server();
    let keeper = TokenKeeper::new(server.client());

    let calls = (0..10_000).map(|_| {
        let keeper = keeper.clone();
        async move { keeper.token().await.unwrap() }
    });
    let tokens = calls.collect::<JoinSet<_>>().join_all().await;

    assert!(tokens.iter().all(|token| same(token, &tokens[0])));
    assert_eq!(server.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_reports_of_one_token_cause_one_more() {
    let server = server();
    let keeper = TokenKeeper::new(server.client());
    let refused = keeper.token().await.unwrap();

    let reports = (0..1_000).map(|_| {
        let (keeper, refused) = (keeper.clone(), refused.clone());
        async move {
            keeper.invalidate(&refused);
            keeper.token().await.unwrap()
        }
    });
    let tokens = reports.collect::<JoinSet<_>>().join_all().await;

    assert!(tokens.iter().all(|token| same(token, &tokens[0]) && !same(token, &refused)));
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn a_late_report_on_an_older_token_causes_none() {
    let server = server();
    let keeper = TokenKeeper::new(server.client());
    let old = keeper.token().await.unwrap();
    keeper.invalidate(&old);
    let new = keeper.token().await.unwrap();

    keeper.invalidate(&old);

    assert!(same(&keeper.token().await.unwrap(), &new));
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn cancelling_the_caller_that_started_a_mint_sends_no_second_request() {
    let server = slow_server();
    let keeper = TokenKeeper::new(server.client());
    let starter = tokio::spawn({
        let keeper = keeper.clone();
        async move { keeper.token().await }
    });
    while server.count() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let waiting = keeper.token();

    starter.abort();

    waiting.await.unwrap();
    assert!(starter.await.unwrap_err().is_cancelled());
    assert_eq!(server.count(), 1);
}

#[test]
fn a_mint_whose_runtime_ends_is_started_anew_on_that_of_a_waiter() {
    let server = slow_server();
    let keeper = TokenKeeper::new(server.client());
    let (first, second) = (runtime(), runtime());
    let caller = keeper.clone();
    first.spawn(async move { caller.token().await });
    while server.count() == 0 {
        std::thread::yield_now();
    }
    let waiting = second.spawn(async move { keeper.token().await });
    std::thread::sleep(Duration::from_millis(50));

    first.shutdown_background();

    second.block_on(waiting).unwrap().unwrap();
    assert_eq!(server.count(), 2);
}

#[test]
fn a_keeper_goes_from_one_runtime_to_the_next() {
    let server = server();
    let keeper = TokenKeeper::new(server.client());
    let first = runtime();
    let token = first.block_on(keeper.token()).unwrap();
    drop(first);

    let second = runtime();
    assert!(same(&second.block_on(keeper.token()).unwrap(), &token));
    keeper.invalidate(&token);
    assert!(!same(&second.block_on(keeper.token()).unwrap(), &token));
}

#[tokio::test]
async fn every_waiting_caller_gets_the_error_and_the_next_call_tries_again_after_a_second() {
    let server = Server::start(|request| match request.number {
        0 => respond(403, &[], ""),
        _ => good(request, "transient"),
    });
    let keeper = TokenKeeper::new(server.client());
    let (one, other) = tokio::join!(keeper.token(), keeper.token());
    assert!(matches!(one, Err(Error::Forbidden(_))));
    assert!(matches!(other, Err(Error::Forbidden(_))));
    assert_eq!(server.count(), 1);
    let start = Instant::now();

    keeper.token().await.unwrap();

    assert!(start.elapsed() >= Duration::from_millis(950), "{:?}", start.elapsed());
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn a_retry_after_that_is_too_long_to_wait_for_is_an_error_at_once_and_no_request() {
    let server = Server::start(|_| respond(503, &[("Retry-After", "3600")], ""));
    let keeper = TokenKeeper::new(server.client());

    for _ in 0..100 {
        let error = keeper.token().await.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
    }

    assert_eq!(server.count(), 1);
}

/// A server that knows only the last token it minted; a restart is its forgetting that.
fn forgetful_server(knows_until: usize) -> Server {
    Server::start(move |request| match request.header("x-plex-token") {
        Some(TOKEN) => good(request, &format!("transient-{}", request.number)),
        Some("transient-0") if request.number > knows_until => respond(401, &[], ""),
        _ => good(request, "the-sources-own"),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn run_survives_a_restart_between_mint_and_use() {
    let server = forgetful_server(1);
    let (client, source): (_, Source) = (server.client(), "server://243b47".parse().unwrap());
    let keeper = TokenKeeper::new(client.clone());
    let shared = Arc::new((keeper, client, source));
    // A task of its own: the future must be `Send`.
    let look_up = || {
        let shared = shared.clone();
        tokio::spawn(async move {
            let (keeper, client, source) = &*shared;
            let call = async |token: TransientToken| {
                client
                    .with_token(token.token().clone())?
                    .source_connection_information(source)
                    .await
            };
            keeper.run(call, Error::is_auth).await
        })
    };
    look_up().await.unwrap().unwrap();
    assert_eq!(server.count(), 2);

    look_up().await.unwrap().unwrap();

    let paths: Vec<_> = server.requests().iter().map(|request| request.path().to_owned()).collect();
    let [mint, look_up] = ["/security/token", "/security/resources"];
    assert_eq!(paths, [mint, look_up, look_up, mint, look_up]);
}

#[tokio::test(flavor = "multi_thread")]
async fn run_in_a_task_takes_closures_that_borrow_that_own_and_that_return_futures() {
    let server = server();
    let (client, source): (_, Source) = (server.client(), "server://243b47".parse().unwrap());
    let keeper = TokenKeeper::new(client.clone());

    let running = tokio::spawn(async move {
        let borrows = async |token: TransientToken| {
            let client = client.with_token(token.token().clone())?;
            client.source_connection_information(&source).await
        };
        keeper.run(borrows, Error::is_auth).await?;

        let (its_client, its_source) = (client.clone(), source.clone());
        let owns = async move |token: TransientToken| {
            let client = its_client.with_token(token.token().clone())?;
            client.source_connection_information(&its_source).await
        };
        keeper.run(owns, Error::is_auth).await?;

        let returns_a_future = |token: TransientToken| {
            let client = client.with_token(token.token().clone());
            async { client?.source_connection_information(&source).await }
        };
        keeper.run(returns_a_future, Error::is_auth).await
    });

    running.await.unwrap().unwrap();
    assert_eq!(server.count(), 4);
}

#[tokio::test]
async fn run_takes_any_error_that_this_crates_can_become() {
    let server = server();
    let keeper = TokenKeeper::new(server.client());
    type Any = Box<dyn std::error::Error + Send + Sync>;

    let length = keeper
        .run(
            async |token| Ok::<_, Any>(token.token().expose_secret().len()),
            |error| error.downcast_ref::<Error>().is_some_and(Error::is_auth),
        )
        .await
        .unwrap();

    assert_eq!(length, "transient-0".len());
}

#[test]
fn a_min_time_left_of_48_hours_is_refused() {
    let server = server();
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    let keeper = |time| TokenKeeper::builder(server.client()).min_time_left(time).build();

    keeper(hours(48) - Duration::from_nanos(1)).unwrap();
    keeper(Duration::ZERO).unwrap();
    for time in [hours(48), Duration::MAX] {
        let Err(Error::Invalid { what, .. }) = keeper(time) else { panic!("it was taken") };
        assert_eq!(what, "min_time_left");
    }
}

#[tokio::test]
async fn debug_shows_neither_the_callers_token_nor_its_own() {
    let server = server();
    let builder = TokenKeeper::builder(server.client());
    let text = format!("{builder:?}");
    let keeper = builder.build().unwrap();
    let token = keeper.token().await.unwrap();

    let text = format!("{text} {keeper:?} {token:?}");

    assert!(!text.contains(TOKEN) && !text.contains("transient-0"));
}
