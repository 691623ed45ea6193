//! The faults of bodies.

use plex_auth::{ClientBuilder, ErrorKind};
use serde_json::json as value;
use support::{Call, Step, json, respond};

use crate::case::{CALLER, Case, Expected, FRAMINGS, RETURNED, Row, check_requests, fails, framed};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "body_cut_short",
        fault: "a body cut short at every byte, in each framing, by a close or a reset",
        result: "`BodyCutShort`, retried; `Decode` where the close is the end of the body",
        run: |case| {
            const CUT_SHORT: &str = "ended before it was complete";
            let whole = case.body();
            // TLS takes time.
            let step = if case.https { 16 } else { 1 };
            for framing in FRAMINGS {
                for part in (0..whole.len()).step_by(step) {
                    let cut_short = fails(ErrorKind::BodyCutShort, CUT_SHORT);
                    let expected = match framing {
                        "until the close" => fails(ErrorKind::Decode, "expected JSON or XML"),
                        _ => cut_short,
                    };
                    let bytes = Step::Send(framed(framing, 200, whole.as_bytes(), part));
                    let once = |it: ClientBuilder| it.max_retries(0);
                    case.answer_with(once, framing, expected, vec![bytes.clone(), Step::Close]);
                    if part == 16 {
                        let twice = Expected { attempts: 3, ..cut_short };
                        let often = |it: ClientBuilder| it.max_retries(5);
                        case.answer_with(often, framing, twice, vec![bytes, Step::Reset]);
                    }
                }
            }
        },
    },
    Row {
        name: "chunks_that_are_not_http",
        fault: "chunks that are not HTTP",
        result: "`Protocol`, not retried",
        run: |case| {
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            for chunk in ["secret\r\n{}", "2\r\n{}secret\r\n"] {
                let steps = vec![Step::Send(format!("{head}{chunk}").into()), Step::Close];
                case.answer(chunk, fails(ErrorKind::Protocol, "body is not HTTP"), steps);
            }
        },
    },
    Row {
        name: "json_of_any_type",
        fault: "every JSON type, 100,000 levels, a number of 1,000 digits, in every place",
        result: "the value, where the field is not needed; else `Decode`, `NoToken` or `NoDevice`",
        run: any_json,
    },
    Row {
        name: "hostile_xml",
        fault: "XML: 100,000 levels, 1 MB of elements, attributes or text, entities of entities",
        result: "the status's error; `Decode` for 200",
        run: |case| {
            for (at, document) in hostile_xml() {
                let answer = respond(404, &[], &document);
                case.answer(at, fails(ErrorKind::NotFound, ""), answer);
                case.answer(at, fails(ErrorKind::Decode, ""), json(&document));
            }
        },
    },
    Row {
        name: "values_of_300_000_characters",
        fault: "a token, a name, a host and a path of 300,000 characters",
        result: "the value",
        run: |case| {
            const LONG: usize = 300_000;
            for uri in [
                format!("https://a.example/{}", "../".repeat(LONG / 3)),
                format!("https://{}.example", "b".repeat(LONG)),
                format!("https://{}.example", "\u{fc}".repeat(LONG / 2)),
                format!("https://{}example", "\u{fc}.".repeat(LONG / 3)),
            ] {
                let mut body = case.call.good(&"t".repeat(LONG));
                if let Some(device) = body["MediaContainer"].get_mut("Device") {
                    device["name"] = "n".repeat(LONG).into();
                    device["Connection"]["uri"] = uri.into();
                }
                let server = case.server(move |_| json(body.to_string()));
                let client = case.client(&server.url(), |it| it);
                assert_eq!(case.call(&client, "").unwrap().len(), LONG);
            }
        },
    },
    Row {
        name: "error_repeats_the_token",
        fault: "an error that repeats the caller's token, in JSON, XML, HTML and text",
        result: "the error, the token redacted",
        run: |case| {
            for message in [
                format!("so it is invalid: '{}'", *CALLER),
                format!("so it is {}", CALLER.to_ascii_lowercase()),
                format!("so x{}{}y", *CALLER, *CALLER),
                format!("so {} ", *CALLER).repeat(100),
            ] {
                let json_body = value!({"errors": [{"message": message}]}).to_string();
                let references = message.chars().map(|char| format!("&#{};", u32::from(char)));
                let xml = references.collect::<String>();
                for (body, says) in [
                    (json_body, "[redacted]"),
                    (format!("<Response title='Oh' status='{xml}'/>"), "[redacted]"),
                    (format!("<html><title>{message}</title></html>"), "[redacted]"),
                    (message.clone(), ""),
                ] {
                    let expected = fails(ErrorKind::Unauthorized, says);
                    case.answer("401", expected, respond(401, &[], body));
                }
                let body = value!({ "MediaContainer": message }).to_string();
                case.answer("200", fails(ErrorKind::Decode, ""), json(body));
                let page = format!("<html><title>{message}</title></html>");
                case.answer("200", fails(ErrorKind::Decode, "HTML ("), json(page));
            }
        },
    },
];

/// Puts each value into each place of a good body. `tests/answers.rs` has the exact results.
fn any_json(case: &Case) {
    const DEPTH: usize = 100_000;
    const NEEDED: &str = "MediaContainer token Device clientIdentifier accessToken Connection";
    let small = "null true -1 1.5 65536 32400 \"\" \"x\" [] {} [null] [[]] [{},{}] {\"x\":1}";
    let mut values: Vec<_> = small.split(' ').map(str::to_owned).collect();
    values.extend([
        "[".repeat(DEPTH) + &"]".repeat(DEPTH),
        "{\"\":".repeat(DEPTH) + "1" + &"}".repeat(DEPTH),
        "7".repeat(1_000),
    ]);
    let places = match case.call {
        Call::Token => vec![("", "MediaContainer unknown"), ("/MediaContainer", "token size")],
        Call::LookUp => vec![
            ("", "MediaContainer"),
            ("/MediaContainer", "Device size"),
            ("/MediaContainer/Device", "clientIdentifier accessToken Connection name unknown"),
            ("/MediaContainer/Device/Connection", "uri protocol address port local relay IPv6"),
        ],
    };
    for (parent, name) in
        places.iter().flat_map(|(parent, names)| names.split(' ').map(move |name| (parent, name)))
    {
        let is_needed = NEEDED.contains(name);
        let mut body = case.call.good(&RETURNED);
        body.pointer_mut(parent).unwrap()[name] = "here".into();
        let body = body.to_string();
        let bodies: Vec<_> = values.iter().map(|raw| body.replace("\"here\"", raw)).collect();
        let server = case.server(move |request| json(&bodies[request.number]));
        let client = case.client(&server.url(), |it| it);
        for raw in &values {
            let at = format!("{parent}/{name}: {}", raw.chars().take(20).collect::<String>());
            match case.call(&client, &at) {
                Ok(token) => assert!(is_needed || token == *RETURNED, "{at}: another token"),
                Err(error) => {
                    let kinds = [ErrorKind::Decode, ErrorKind::NoToken, ErrorKind::NoDevice];
                    assert!(kinds.contains(&error.kind()), "{at}: {error}");
                    // serde_json refuses a number that no `f64` holds wherever it reads one.
                    assert!(is_needed || raw.starts_with("777"), "{at}: {error}");
                }
            }
        }
        check_requests(&server, name);
    }
}

fn hostile_xml() -> [(&'static str, String); 6] {
    let attributes: String = (0..90_000).map(|at| format!(" a{at}=''")).collect();
    let mut entities = "<!ENTITY e0 'lol'>".to_owned();
    for number in 1..20 {
        let last = format!("&e{};", number - 1).repeat(10);
        entities += &format!("<!ENTITY e{number} '{last}'>");
    }
    [
        ("nested and closed", "<a>".repeat(100_000) + &"</a>".repeat(100_000)),
        ("entities", format!("<!DOCTYPE a [{entities}]><MediaContainer token='&e19;'/>")),
        ("1 MB of elements", format!("<a>{}</a>", "<b c='d'/>".repeat(100_000))),
        ("1 MB of attributes", format!("<a{attributes}/>")),
        ("1 MB of text", format!("<a>{}</a>", "&#65;".repeat(200_000))),
        ("1 MB without an end", format!("<a b='{}", "c".repeat(1_000_000))),
    ]
}
