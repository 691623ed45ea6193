//! Whatever a caller passes and a server sends: a value or an `Error`, never a panic.
//!
//! Of each 256, or as many as the variable `PROPTEST_CASES` says.

use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use plex_auth::{Client, Error, Source, Token};
use proptest::prelude::*;
use support::{Server, Step, good};

/// An error can be formatted, too.
fn survives<T>(result: Result<T, Error>) -> Option<T> {
    result.map_err(|error| format!("{error} {error:?}")).ok()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "\\PC{0,40}",
        "[a-z]{0,9}:/{0,3}[a-zA-Z0-9.:%@\\[\\]-]{0,30}/{0,2}[a-z?#=&]{0,10}",
        "(http|https|server|provider|HTTP)://\\PC{0,40}",
    ]
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(Duration::ZERO), Just(Duration::MAX), any::<Duration>()]
}

/// Any status, headers and body, most of them HTTP; or any bytes.
fn response() -> impl Strategy<Value = Vec<u8>> {
    let names = ["Retry-After", "Location", "Content-Encoding", "Content-Length", "X"];
    let values =
        ["[ -~]{0,30}", "[0-9]{0,25}", "(http|file)://\\PC{0,20}", "identity|[a-z, -]{0,12}"];
    let value = prop::sample::select(values.to_vec()).prop_flat_map(|value| value);
    let header = (prop::sample::select(names.to_vec()), value);
    let status = prop_oneof![4 => Just(200), 2 => 300..504u16, 1 => any::<u16>()];
    let http = (status, prop::collection::vec(header, 0..3), body());
    let http = http.prop_map(|(status, headers, body)| {
        let headers: String =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        [format!("HTTP/1.1 {status} Any\r\n{headers}\r\n").as_bytes(), &body].concat()
    });
    prop_oneof![3 => http, 1 => bytes()]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..300)
}

/// What servers send. `tests/faults/bodies.rs` puts each type of JSON into each place.
const DOCUMENTS: [&str; 6] = [
    r#"{"MediaContainer":{"size":0,"token":"transient-1"}}"#,
    r#"{"MediaContainer":{"size":1,"Device":[{"name":"K\u00e4the","clientIdentifier":"243b47",
        "accessToken":"a","Connection":{"protocol":"https","address":"10.0.2.1","port":"32400",
        "uri":"https://10-0-2-1.93b1.plex.direct:32400","local":1,"relay":false}}]}}"#,
    r#"{"errors":[{"code":1001,"message":"User could not be authenticated","status":401}]}"#,
    "<?xml version='1.0'?><MediaContainer size='0' token='t&#45;1'/>",
    "<MediaContainer><Device clientIdentifier='243b47' accessToken='a'><Connection port='32400'
        uri='https://[::1]:32400/a' local='1'/></Device></MediaContainer>",
    "<Response code='503' title='Maintenance' status='starting'/>",
];

/// A document, whole or damaged in some places, or any bytes.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        bytes().prop_map(|mut bytes| bytes.split_off(bytes.len().saturating_sub(3))),
        "\\PC{0,9}|[0-9]{1,25}|null|[{}\\[\\]\"':,<>&/]{1,3}".prop_map(String::into_bytes),
    ];
    let damage = (any::<prop::sample::Index>(), 0..6usize, piece);
    let damaged = prop::sample::select(&DOCUMENTS[..]).prop_flat_map(move |document| {
        prop::collection::vec(damage.clone(), 0..4).prop_map(move |damages| {
            let mut bytes = document.as_bytes().to_vec();
            for (at, length, piece) in damages {
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..(at + length).min(bytes.len()), piece);
            }
            bytes
        })
    });
    prop_oneof![6 => damaged, 1 => bytes()]
}

static RESPONSE: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static SERVER: LazyLock<Server> = LazyLock::new(|| {
    Server::start(|_| vec![Step::Send(RESPONSE.lock().unwrap().clone()), Step::Close])
});

fn source() -> Source {
    Source::server("243b47").unwrap()
}

fn call(client: &Client, source: &Source) {
    run(async {
        survives(client.transient_token().await);
        survives(client.source_connection_information(source).await);
    });
}

proptest! {
    #[test]
    fn no_setting_panics(
        address in text(),
        other in text(),
        identifier in "[!-~]{1,40}",
        (connect, whole) in (duration(), duration()),
        size in any::<usize>(),
        retries in any::<u32>(),
        insecure in any::<bool>(),
    ) {
        survives(Source::provider(&other));
        if let Some(source) = survives(other.parse::<Source>()) {
            prop_assert_eq!(source.to_string(), other.clone());
        }
        if let Some(token) = survives(Token::try_from(other.clone())) {
            prop_assert_eq!(token.expose_secret(), other.clone());
        }
        let client = Client::builder(address).client_identifier(&other).user_agent(&other);
        let client = client.device_name(&other).allow_insecure_http(insecure).token(other);
        let client = client.configure_http(|http| http.tls_certs_only([]));
        drop(format!("{client:?}"));
        survives(client.build());

        // A call ends with whatever limits the builder accepts.
        static GOOD: LazyLock<Server> =
            LazyLock::new(|| Server::start(|request| good(request, "fresh")));
        let client = GOOD.builder().connect_timeout(connect).timeout(whole);
        if let Some(client) = survives(client.max_response_bytes(size).max_retries(retries).build())
        {
            call(&client, &survives(Source::server(identifier)).unwrap_or_else(source));
        }
    }

    #[test]
    fn no_response_panics(responses in prop::collection::vec(response(), 4)) {
        for response in responses {
            *RESPONSE.lock().unwrap() = response;
            call(&SERVER.client(), &source());
        }
    }
}
