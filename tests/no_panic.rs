//! Whatever a caller passes and a server sends: a value or an `Error`, never a panic.
//!
//! Of each 256, or as many as the variable `PROPTEST_CASES` says.

use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use plex_auth::{Client, Error, Source, Token};
use proptest::prelude::*;
use serde_json::{Map, Value};
use support::{Server, Step, Steps, good};

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
        "[ -~]{0,40}",
        "\\PC{0,40}",
        "[a-z]{0,9}:/{0,3}[a-zA-Z0-9.:%@\\[\\]-]{0,30}/{0,2}[a-z?#=&]{0,10}",
        "(http|https|server|provider|HTTP)://\\PC{0,40}",
    ]
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::MAX),
        Just(Duration::from_nanos(1)),
        (any::<u64>(), 0..1_000_000_000u32)
            .prop_map(|(seconds, nanos)| Duration::new(seconds, nanos)),
    ]
}

/// Any status, headers and body, most of them HTTP; or any bytes.
fn response() -> impl Strategy<Value = Vec<u8>> {
    let header = prop_oneof![
        ("[a-zA-Z-]{1,20}", "[ -~]{0,30}"),
        (Just("Retry-After".to_owned()), "[ -~]{0,30}|[0-9]{0,25}"),
        (Just("Location".to_owned()), "\\PC{0,40}|(http|file)://\\PC{0,20}"),
        (Just("Content-Encoding".to_owned()), "[a-z, -]{0,12}"),
        (Just("Content-Length".to_owned()), "[0-9]{1,20}"),
        (Just("Transfer-Encoding".to_owned()), "chunked|gzip|identity|[a-z]{0,5}"),
    ];
    let status = prop_oneof![4 => Just(200), 2 => 300..504u16, 1 => any::<u16>()];
    let headers = prop_oneof![2 => Just(vec![]), 1 => prop::collection::vec(header, 1..5)];
    let http = (status, headers, body(), any::<bool>());
    let http = http.prop_map(|(status, headers, body, framed)| {
        let mut head = format!("HTTP/1.1 {status} Any\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if framed {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        [head.as_bytes(), b"\r\n", &body].concat()
    });
    prop_oneof![3 => http, 1 => bytes()]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..300)
}

/// JSON or XML, whole or damaged, or any bytes.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let document = || {
        let text =
            |(value, xml): (Value, bool)| if xml { to_xml(&value) } else { value.to_string() };
        (value(), any::<bool>()).prop_map(text).prop_map(String::into_bytes)
    };
    let damaged = (document(), any::<prop::sample::Index>(), any::<u8>(), any::<bool>());
    let damaged = damaged.prop_map(|(mut bytes, at, byte, cut)| {
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(if cut { at } else { bytes.len() });
        bytes
    });
    prop_oneof![4 => document(), 2 => damaged, 1 => bytes()]
}

/// The expected names in the expected places, with mostly valid values.
fn value() -> impl Strategy<Value = Value> {
    fn odd() -> BoxedStrategy<Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        let list = |inner| prop::collection::vec(inner, 0..4).prop_map(Value::from);
        scalar.prop_recursive(4, 10, 4, list).boxed()
    }
    fn text(pattern: &'static str) -> BoxedStrategy<Value> {
        prop_oneof![30 => pattern.prop_map(Value::from), 1 => odd()].boxed()
    }
    fn object(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
        let field = |(name, value): (&'static str, BoxedStrategy<Value>)| {
            prop::option::weighted(0.95, value.prop_map(move |value| (name.to_owned(), value)))
        };
        let fields: Vec<_> = fields.into_iter().map(field).collect();
        fields.prop_map(|fields| fields.into_iter().flatten().collect::<Map<_, _>>().into()).boxed()
    }
    fn one_or_many(one: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
        let many = prop::collection::vec(one.clone(), 0..4).prop_map(Value::from);
        prop_oneof![one, many, odd()].boxed()
    }
    let host = "([a-z0-9.-]{1,12}|\\PC{0,6}|\\[[0-9a-f:]{2,9}\\])";
    let uri: &str =
        Box::leak(format!("(https?|ftp)://{host}(:[0-9]{{1,6}})?(/[a-z?#@]{{0,5}})?").into());
    let connection = object(vec![
        ("uri", text(uri)),
        ("protocol", text("https?")),
        ("address", text("\\PC{0,9}|[0-9a-f.:]{2,9}")),
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
    let error = object(vec![("code", odd()), ("message", text("\\PC{0,400}"))]);
    let starting = object(vec![("code", odd()), ("title", text("\\PC{0,20}")), ("status", odd())]);
    object(vec![
        ("MediaContainer", container),
        ("errors", one_or_many(error)),
        ("Response", starting),
    ])
}

/// The first member, as a PMS would write it.
fn to_xml(value: &Value) -> String {
    fn element(name: &str, value: &Value) -> String {
        let Value::Object(members) = value else { return format!("<{name}/>") };
        let (mut attributes, mut children) = (String::new(), String::new());
        for (name, value) in members {
            match value {
                Value::Object(_) => children += &element(name, value),
                Value::Array(list) => children.extend(list.iter().map(|one| element(name, one))),
                scalar => {
                    let text = scalar.as_str().map_or_else(|| scalar.to_string(), str::to_owned);
                    attributes +=
                        &format!(" {name}=\"{}\"", text.replace(['"', '<', '&'], "&amp;"));
                }
            }
        }
        format!("<{name}{attributes}>{children}</{name}>")
    }
    let first = value.as_object().and_then(|members| members.iter().next());
    first.map_or_else(|| "<a/>".to_owned(), |(name, value)| element(name, value))
}

static RESPONSE: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static SERVER: LazyLock<Server> = LazyLock::new(|| {
    Server::start(|_| -> Steps {
        vec![Step::Send(RESPONSE.lock().unwrap().clone()), Step::Close].into()
    })
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
        survives(Source::server(&other));
        survives(Source::provider(&other));
        if let Some(source) = survives(other.parse::<Source>()) {
            prop_assert_eq!(source.to_string(), other.clone());
            prop_assert!(!source.identifier().is_empty());
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
