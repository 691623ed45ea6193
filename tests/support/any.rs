//! Any answer that a server might send, for tests that throw all of them at a client.

use std::sync::{LazyLock, Mutex, PoisonError};

use plex_auth::{Error, Source};
use proptest::prelude::*;

use super::{Server, Step, Steps};

/// An error can be shown, too.
pub fn survives<T>(result: Result<T, Error>) -> Option<T> {
    result.map_err(|error| format!("{error} {error:?}")).ok()
}

pub fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Any status, headers and body, most of them HTTP.
pub fn answer() -> impl Strategy<Value = Vec<u8>> {
    let header = prop_oneof![
        ("[a-zA-Z-]{1,20}", "[ -~]{0,30}"),
        (Just("Retry-After".to_owned()), "[ -~]{0,30}|[0-9]{0,25}"),
        (Just("Location".to_owned()), "\\PC{0,40}|(http|file)://\\PC{0,20}"),
        (Just("Content-Encoding".to_owned()), "[a-z, -]{0,12}"),
        (Just("Content-Length".to_owned()), "[0-9]{1,20}"),
        (Just("Transfer-Encoding".to_owned()), "chunked|gzip|identity|[a-z]{0,5}"),
    ];
    let body = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        json().prop_map(String::into_bytes),
        "<\\PC{0,80}>".prop_map(String::into_bytes),
        "<Response( (title|status|code)=\"[^\"<&]{0,20}\"){0,4}/>".prop_map(String::into_bytes),
    ];
    let status = prop_oneof![Just(200), Just(401), 100..1_000u16, any::<u16>()];
    let headers = prop::collection::vec(header, 0..5);
    (status, headers, body, any::<bool>()).prop_map(|(status, headers, body, framed)| {
        let mut head = format!("HTTP/1.1 {status} Any\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if framed {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        [head.as_bytes(), b"\r\n", &body].concat()
    })
}

/// JSON that is nearly what is expected.
pub fn json() -> impl Strategy<Value = String> {
    prop_oneof![tree(), near()]
}

fn leaf() -> impl Strategy<Value = String> + Clone {
    let uri = "(http|https|x)://[a-z0-9.:\\[\\]]{0,12}(/[a-z?#]{0,5})?";
    prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|flag| flag.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:?}")),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        uri.prop_map(|uri| format!("{uri:?}")),
    ]
    .boxed()
}

/// The right names in any order and at any depth.
fn tree() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "MediaContainer",
        "token",
        "Device",
        "name",
        "clientIdentifier",
        "accessToken",
        "Connection",
        "protocol",
        "address",
        "port",
        "uri",
        "local",
        "relay",
        "errors",
        "code",
        "message",
        "x",
    ]);
    let tree = leaf().prop_recursive(6, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|list| format!("[{}]", list.join(","))),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(|fields| {
                let fields: Vec<_> =
                    fields.into_iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
                format!("{{{}}}", fields.join(","))
            }),
        ]
    });
    tree.prop_map(|inner| format!("{{\"MediaContainer\":{inner},\"errors\":[{inner}]}}"))
}

/// The right names in the right places: what stands there is right, mostly.
fn near() -> impl Strategy<Value = String> {
    fn text(pattern: &'static str) -> BoxedStrategy<String> {
        let right = pattern.prop_map(|text| serde_json::to_string(&text).unwrap());
        prop_oneof![30 => right, 1 => leaf()].boxed()
    }
    fn object(fields: Vec<(&'static str, BoxedStrategy<String>)>) -> BoxedStrategy<String> {
        let fields: Vec<_> = fields
            .into_iter()
            .map(|(name, value)| {
                let field = value.prop_map(move |value| format!("\"{name}\":{value}"));
                prop::option::weighted(0.95, field)
            })
            .collect();
        fields
            .prop_map(|fields| {
                format!("{{{}}}", fields.into_iter().flatten().collect::<Vec<_>>().join(","))
            })
            .boxed()
    }
    fn one_or_many(one: BoxedStrategy<String>) -> BoxedStrategy<String> {
        let many = prop::collection::vec(one.clone(), 0..4);
        prop_oneof![one, many.prop_map(|list| format!("[{}]", list.join(",")))].boxed()
    }
    let connection = object(vec![
        (
            "uri",
            text(
                "(https?|ftp)://([a-z0-9.-]{1,12}|\\PC{0,6}|\\[[0-9a-f:]{2,9}\\])(:[0-9]{1,6})?(/[a-z?#@]{0,5})?",
            ),
        ),
        ("protocol", text("https?")),
        ("address", text("\\PC{0,9}")),
        ("port", text("[0-9]{1,4}")),
        ("local", text("0|1|true")),
        ("relay", text("0|1|false")),
    ]);
    let device = object(vec![
        ("name", text("\\PC{0,9}")),
        ("clientIdentifier", text("243b47|[a-z]{0,4}")),
        ("accessToken", text("[!-~]{1,20}")),
        ("Connection", one_or_many(connection)),
    ]);
    let container = object(vec![("token", text("[!-~]{1,20}")), ("Device", one_or_many(device))]);
    let error = object(vec![("code", leaf().boxed()), ("message", text("\\PC{0,400}"))]);
    object(vec![("MediaContainer", container), ("errors", one_or_many(error))])
}

/// Both calls against a server that answers so.
pub fn call_with(answer: Vec<u8>) {
    static ANSWER: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    // The tests of this file run at once and share the server.
    static TURN: Mutex<()> = Mutex::new(());
    static SERVER: LazyLock<Server> = LazyLock::new(|| {
        Server::start(|_| -> Steps {
            vec![Step::Send(ANSWER.lock().unwrap().clone()), Step::Close].into()
        })
    });
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    *ANSWER.lock().unwrap() = answer;
    let client = SERVER.client();
    let source = Source::server("243b47").unwrap();
    run(async {
        survives(client.transient_token().await);
        survives(client.source_connection_information(&source).await);
    });
}
