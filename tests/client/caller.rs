//! What a caller may do with a client: threads, runtimes, crowds, none at all.

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use plex_auth::{
    Client, ClientBuilder, Connected, Connection, Error, ErrorKind, Source, Token, TokenCache,
    TransientToken,
};
use static_assertions::assert_impl_all;
use support::{Server, Step, good};
use tokio::runtime::{Builder, Runtime};

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
    let server = Server::start(|_| Step::Close);
    let client = server.client();
    let source = Source::server("243b47").unwrap();
    assert_send(client.transient_token());
    assert_send(client.source_connection_information(&source));
    assert_send(client.refresh_source_connection_information(&source));
    assert_send(client.connect(&source));
}

fn single() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_call_outside_a_runtime_is_an_error() {
    let server = Server::start(|request| good(request, "fresh"));
    let client = server.client();
    let source = Source::server("243b47").unwrap();
    for error in [
        client.transient_token().now_or_never().unwrap().err(),
        client.source_connection_information(&source).now_or_never().unwrap().err(),
        client.refresh_source_connection_information(&source).now_or_never().unwrap().err(),
        client.connect(&source).into_future().now_or_never().unwrap().err(),
    ] {
        assert_eq!(error.unwrap().kind(), ErrorKind::NoRuntime);
    }
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
        support::no_tasks_left().await;
    });
}

/// The connections in the pool die with the runtime that drives them. The call in flight ends with
/// an error of its own, not with a hang or a panic elsewhere.
#[test]
fn a_runtime_that_ends_harms_no_other() {
    let server = Server::start(|request| match request.header("x-plex-client-identifier") {
        Some("stuck") => Step::Silence.into(),
        _ => support::Steps::from(good(request, "fresh")),
    });
    let stuck = server.builder().client_identifier("stuck").build().unwrap();
    let client = server.builder().max_retries(2).build().unwrap();
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let call = runtime.spawn(async move { stuck.transient_token().await.map(drop) });
    single().block_on(support::until(|| server.count() > 0));
    runtime.shutdown_background();
    assert!(single().block_on(call).unwrap_err().is_cancelled());
    for _ in 0..5 {
        single().block_on(client.transient_token()).unwrap();
    }
}
