//! What a caller may do with a client: threads, runtimes, crowds, none at all.

use std::future::Future as _;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::join_all;
use plex_auth::{
    Client, ClientBuilder, Connected, Connection, Device, Error, ErrorKind, Source, Token,
    TokenCache, TransientToken,
};
use static_assertions::{assert_impl_all, assert_not_impl_any};
use support::{Server, Step, good, respond};
use tokio::runtime::{Builder, Runtime};

assert_not_impl_any!(Token: std::fmt::Display, serde::Serialize);
assert_not_impl_any!(TransientToken: std::fmt::Display, serde::Serialize);
assert_not_impl_any!(Device: std::fmt::Display, serde::Serialize);
assert_impl_all!(Client: Clone, Send, Sync, std::fmt::Debug);
assert_impl_all!(Connected: Clone, Send, Sync, std::fmt::Debug);
assert_impl_all!(TokenCache: Clone, Send, Sync, std::fmt::Debug);
assert_impl_all!(TransientToken: Clone, Send, Sync, std::fmt::Debug);
assert_impl_all!(ErrorKind: Copy, Eq, std::hash::Hash, Send, Sync, std::fmt::Debug);
assert_impl_all!(ClientBuilder: Send, std::fmt::Debug);
assert_impl_all!(Error: Clone, Send, Sync, std::error::Error);
assert_impl_all!(Token: Clone, Send, Sync, std::fmt::Debug);
assert_impl_all!(Connection: Clone, Send, Sync, std::fmt::Debug);

/// Compiles, or does not.
#[test]
fn the_futures_can_be_sent_to_another_thread() {
    fn assert_send(_: impl Send) {}
    let server = Server::stopped(|_| Step::Close);
    let client = server.client();
    let source = Source::server("243b47").unwrap();
    assert_send(client.transient_token());
    assert_send(client.source_connection_information(&source));
    assert_send(client.refresh_source_connection_information(&source));
}

fn single() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn is_no_runtime<T>(polled: Poll<Result<T, Error>>) -> bool {
    matches!(polled, Poll::Ready(Err(error)) if error.kind() == ErrorKind::NoRuntime)
}

#[test]
fn a_call_outside_a_runtime_is_an_error() {
    let server = Server::start(|request| good(request, "fresh"));
    let client = server.client();
    let source = Source::server("243b47").unwrap();
    let mut context = Context::from_waker(Waker::noop());
    let mut fetch = std::pin::pin!(client.transient_token());
    let mut look_up = std::pin::pin!(client.source_connection_information(&source));
    let mut refresh = std::pin::pin!(client.refresh_source_connection_information(&source));
    assert!(is_no_runtime(fetch.as_mut().poll(&mut context)));
    assert!(is_no_runtime(look_up.as_mut().poll(&mut context)));
    assert!(is_no_runtime(refresh.as_mut().poll(&mut context)));
    assert_eq!(server.connections(), 0);
    // The same client works where there is a runtime.
    single().block_on(client.transient_token()).unwrap();
}

#[test]
fn no_task_outlives_the_client() {
    let server = Server::start(|request| good(request, "fresh"));
    single().block_on(async {
        let client = server.client();
        let calls: Vec<_> = (0..20).map(|_| client.transient_token()).collect();
        for result in join_all(calls).await {
            result.unwrap();
        }
        let clone = client.clone();
        drop(client);
        clone.transient_token().await.unwrap();
        drop(clone);
        assert_eq!(support::matrix::tasks_left().await, 0);
    });
}

#[test]
fn clones_work_in_several_threads_and_runtimes() {
    let server = Server::start(|request| good(request, "fresh"));
    let client = server.client();
    // They share connections, and a connection is driven by the runtime that opened it: each goes
    // on until all calls are done.
    let all_done = tokio::sync::Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                single().block_on(async {
                    let mut results = Vec::new();
                    for _ in 0..5 {
                        results.push(client.transient_token().await);
                    }
                    all_done.wait().await;
                    for result in results {
                        result.unwrap();
                    }
                });
            });
        }
    });
    assert_eq!(server.count(), 40);
}

/// The connections in the pool die with the runtime that drives them.
#[test]
fn a_clone_works_after_its_siblings_runtime_was_shut_down() {
    let server = Server::start(|request| good(request, "fresh"));
    let client = server.builder().max_retries(2).build().unwrap();
    for _ in 0..5 {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let calls: Vec<_> = (0..4)
            .map(|_| {
                let client = client.clone();
                runtime.spawn(async move { client.transient_token().await })
            })
            .collect();
        for result in runtime.block_on(join_all(calls)) {
            result.unwrap().unwrap();
        }
        runtime.shutdown_background();
    }
    single().block_on(client.transient_token()).unwrap();
}

/// The call in flight ends with an error of its own, not with a hang or a panic elsewhere.
#[test]
fn a_runtime_shut_down_in_the_middle_of_a_call_harms_no_other() {
    let server = Server::start(|request| match request.header("x-plex-client-identifier") {
        Some("stuck") => Step::Silence.into(),
        _ => support::Steps::from(good(request, "fresh")),
    });
    let stuck = server.builder().client_identifier("stuck").build().unwrap();
    let client = server.client();
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let call = stuck.clone();
    let call = runtime.spawn(async move { call.transient_token().await.map(drop) });
    while server.count() == 0 {
        std::thread::yield_now();
    }
    runtime.shutdown_background();
    single().block_on(async {
        assert!(call.await.unwrap_err().is_cancelled());
        client.transient_token().await.unwrap();
        let stuck = server.builder().timeout(Duration::from_millis(300));
        let stuck = stuck.client_identifier("stuck").build().unwrap();
        assert_eq!(stuck.transient_token().await.unwrap_err().kind(), ErrorKind::Timeout);
    });
}

#[test]
fn a_call_that_was_dropped_closes_its_connection() {
    let server = Server::start(|_| Step::Silence);
    single().block_on(async {
        let client = server.client();
        let call = tokio::time::timeout(Duration::from_millis(300), client.transient_token());
        assert!(call.await.is_err());
        while server.open() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
}

#[tokio::test]
async fn a_token_of_one_client_is_never_sent_by_another() {
    let server = Server::start(|request| {
        let known = request.header("x-plex-token") == request.header("x-plex-client-identifier");
        if known { good(request, "fresh") } else { respond(401, &[], "") }
    });
    let clients = (0..10).map(|number| {
        let token = format!("token-{number}");
        server.builder().client_identifier(&token).token(token).build().unwrap()
    });
    let clients: Vec<_> = clients.collect();
    let calls = (0..200).map(|number| clients[number % clients.len()].transient_token());
    for result in join_all(calls).await {
        result.unwrap();
    }
    // `with_token` shares the connections, not the token.
    let other = clients[0].with_token("another").unwrap();
    assert_eq!(other.transient_token().await.unwrap_err().kind(), ErrorKind::Unauthorized);
    clients[0].transient_token().await.unwrap();
}
