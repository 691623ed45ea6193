//! The faults of bodies.

use std::time::Duration;

use serde_json::{Value, json as value};

use super::sizes::{FRAMINGS, framed};
use super::{BOTH, Case, Cases, Expected, HTTP, Method, OK, one_of, plain};
use crate::{Step, json, respond};

/// Nothing may take longer, whatever is in a body.
const SOON: Duration = Duration::from_secs(2);

pub(super) fn cut(cases: &mut Cases) {
    for framing in FRAMINGS {
        cases.each(BOTH, move |case| async move {
            let whole = case.body();
            // A connection each, and TLS takes time.
            let step = if case.https { 16 } else { 1 };
            let copy = whole.clone();
            let server = case.server(move |request| {
                let part = copy.len().min(request.number * step);
                vec![Step::Send(framed(framing, 200, copy.as_bytes(), part)), Step::Close]
            });
            let client = case.client(&server, plain);
            for part in (0..whole.len()).step_by(step) {
                let expected = match (framing, part) {
                    ("until the close", 0) => one_of("Decode").says("got an empty body"),
                    _ => one_of("BodyCutShort").says("ended before it was complete"),
                };
                case.expect(&client, format!("{framing}, {part} bytes"), expected).await;
            }
            case.expect(&client, "whole", OK).await;
            case.check_requests(&server, framing, None);
        });
    }
}

/// Where a value can stand in a good body, as JSON pointers.
fn places(method: Method) -> impl Iterator<Item = String> + Clone {
    let members = [
        ("", "unknown MediaContainer"),
        ("/MediaContainer", "token size unknown Device"),
        ("/MediaContainer/Device", "name clientIdentifier accessToken unknown Connection"),
        ("/MediaContainer/Device/Connection", "uri protocol address port local relay IPv6"),
    ];
    let members =
        members.into_iter().filter(move |(parent, _)| method.good("").pointer(parent).is_some());
    let places = members
        .flat_map(|(parent, names)| names.split(' ').map(move |name| format!("{parent}/{name}")));
    std::iter::once(String::new()).chain(places)
}

/// Whether the value may be anything: it is not read, or counts as missing.
fn is_optional(method: Method, place: &str) -> bool {
    let needed = match method {
        Method::TransientToken => "MediaContainer token",
        _ => "MediaContainer Device Connection clientIdentifier accessToken",
    };
    !place.is_empty() && !needed.split(' ').any(|name| place.ends_with(&format!("/{name}")))
}

/// A good body with `raw` at a place: text, because not everything is a [`Value`].
fn with(case: &Case, place: &str, raw: &str) -> String {
    const HERE: &str = "\u{1}here\u{1}";
    let Some((parent, key)) = place.rsplit_once('/') else { return raw.to_owned() };
    let mut good = case.method.good(&case.secrets.returned);
    good.pointer_mut(parent).unwrap()[key] = HERE.into();
    good.to_string().replace(&Value::from(HERE).to_string(), raw)
}

/// The good body with each of `raws` in each place.
fn in_each_place(
    cases: &mut Cases,
    raws: &'static [fn() -> String],
    expected: fn(Method, &str, &str) -> Expected,
) {
    cases.each(HTTP, move |case| async move {
        let bodies = places(case.method)
            .flat_map(move |place| raws.iter().map(move |raw| (place.clone(), raw)));
        let (scripted, mut left) = (case.clone(), bodies.clone());
        let left = std::sync::Mutex::new(move || left.next());
        let server = case.server(move |_| {
            // Made when it is needed: together they would fill the memory.
            let (place, raw) = left.lock().unwrap()().unwrap();
            json(with(&scripted, &place, &raw()))
        });
        let client = case.client(&server, plain);
        for (place, raw) in bodies {
            let raw = raw();
            let at = format!("{place}: {}", raw.chars().take(20).collect::<String>());
            let expected = expected(case.method, &place, &raw).within(SOON);
            case.expect(&client, at, expected).await;
        }
    });
}

macro_rules! raws {
    ($($raw:expr),* $(,)?) => { &[$(|| String::from($raw)),*] };
}

pub(super) fn types(cases: &mut Cases) {
    let raws: &[fn() -> String] = raws! {
        "null", "true", "false", "0", "1", "2", "-1", "1.5", "32400.0", "1e9", "65536", "32400",
        "\"\"", "\"x\"", "\"1\"", "\"yes\"", "[]", "{}", "[null]", "[[]]", "[{}]", "[{},{}]", "[1]",
        "[\"x\"]", "{\"x\":1}",
    };
    in_each_place(cases, raws, |method, place, raw| of_type(method, place, raw).any_token());
}

/// serde reads a list in the place of an object as the object's fields, in their order.
const LIST: &str = "Decode NoToken NoDevice Ok";

fn of_type(method: Method, place: &str, raw: &str) -> Expected {
    if is_optional(method, place) {
        return OK;
    }
    let json: Value = serde_json::from_str(raw).unwrap();
    one_of(match (place.rsplit('/').next().unwrap(), json) {
        ("Connection", Value::Null | Value::Object(_)) => "Ok",
        ("Connection", Value::Array(list)) if !list.iter().any(Value::is_array) => {
            let good = list.iter().all(|one| one.is_object() || one.is_null());
            if good { "Ok" } else { "Decode" }
        }
        ("Connection", Value::String(text)) if text.is_empty() => "Ok",
        ("Device", Value::String(text)) if text.is_empty() => "NoDevice",
        ("Device", Value::Null) => "NoDevice",
        ("Device", Value::Array(list)) if list.iter().all(Value::is_null) => "NoDevice",
        ("Device", Value::Array(list)) if list.len() > 1 => "NoDevice",
        ("clientIdentifier", Value::String(text)) if !text.is_empty() => "NoDevice",
        // An empty attribute is an empty list.
        ("Device", Value::String(text)) if text.is_empty() => "NoDevice",
        ("Connection", Value::String(text)) if text.is_empty() => "Ok",
        ("token" | "accessToken", Value::String(text)) if !text.is_empty() => "Ok",
        ("token" | "accessToken", Value::Null | Value::String(_)) => "NoToken",
        ("MediaContainer", Value::Object(_)) if method == Method::TransientToken => "NoToken",
        ("MediaContainer", Value::Object(inside)) if inside.is_empty() => "NoDevice",
        ("" | "MediaContainer" | "Connection", Value::Array(_)) => LIST,
        _ => "Decode",
    })
}

pub(super) fn huge(cases: &mut Cases) {
    const DEPTH: usize = 100_000;
    fn digits() -> String {
        "7".repeat(1_000)
    }
    let raws: &[fn() -> String] = raws! {
        "[".repeat(DEPTH) + &"]".repeat(DEPTH),
        "{\"\":".repeat(DEPTH) + "1" + &"}".repeat(DEPTH),
        format!("\"{}\"", digits()),
        digits(),
        format!("-0.{}e{}", digits(), digits()),
    };
    in_each_place(cases, raws, |method, place, raw| {
        // serde_json refuses a number that no `f64` holds wherever it reads one.
        let is_number = !raw.starts_with(['[', '{', '"']);
        let is_unread = ["size", "unknown", "IPv6"].iter().any(|unread| place.ends_with(unread));
        match is_unread || (is_optional(method, place) && !is_number) {
            true => OK,
            false => one_of(LIST).any_token(),
        }
    });
}

/// Every character as a reference.
fn in_xml(text: &str) -> String {
    text.chars().map(|char| format!("&#{};", u32::from(char))).collect()
}

pub(super) fn hostile_xml(cases: &mut Cases) {
    let namespaces: String = (0..2_000).map(|at| format!("<a xmlns:n{at}='urn:{at}'>")).collect();
    let attributes = |count| (0..count).map(|at| format!(" a{at}=''")).collect::<String>();
    let mut entities = "<!ENTITY e0 'lol'>".to_owned();
    for number in 1..20 {
        let last = format!("&e{};", number - 1).repeat(10);
        entities += &format!("<!ENTITY e{number} '{last}'>");
    }
    let file = "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/hostname'>]>";
    let documents = [
        ("nested", "<a>".repeat(20_000)),
        ("nested and closed", "<a>".repeat(100_000) + &"</a>".repeat(100_000)),
        ("nested namespaces", namespaces.clone() + &"</a>".repeat(2_000)),
        ("namespaces", namespaces.replace('>', "/>")),
        ("attributes", format!("<Response{}/>", attributes(5_000))),
        ("entities", format!("<!DOCTYPE a [{entities}]><Response status='&e19;'/>")),
        ("an external entity", format!("{file}<Response status='&x;'/>")),
        ("an external entity in a token", format!("{file}<MediaContainer token='&x;'/>")),
        ("1 MB of elements", "<a b='c'/>".repeat(104_000)),
        ("1 MB in an element", format!("<a>{}</a>", "<b c='d'/>".repeat(104_000))),
        ("1 MB of attributes", format!("<a{}/>", attributes(100_000))),
        ("1 MB of text", format!("<a>{}</a>", "&#65;".repeat(200_000))),
        ("1 MB without an end", format!("<a b='{}", "c".repeat(1_000_000))),
    ];
    for (at, document) in documents {
        for (status, kind) in [(503, "Unavailable"), (200, "Decode")] {
            let document = document.clone();
            let expected = one_of(kind).within(SOON).attempts(1);
            cases.answer(at, HTTP, plain, expected, move |_, _| respond(status, &[], &document));
        }
    }
}

pub(super) fn long(cases: &mut Cases) {
    const LONG: usize = 300_000;
    let uris: [(&str, fn() -> String); 4] = [
        ("dots", || format!("https://a.example/{}", "../".repeat(LONG / 3))),
        ("a long host", || format!("https://{}.example", "b".repeat(LONG))),
        ("a long foreign host", || format!("https://{}.example", "\u{fc}".repeat(LONG / 2))),
        ("many foreign labels", || format!("https://{}example", "\u{fc}.".repeat(LONG / 3))),
    ];
    for (at, uri) in uris {
        cases.answer(at, HTTP, plain, OK.any_token().within(SOON), move |case, _| {
            let mut body = case.method.good(&"t".repeat(LONG));
            if let Some(device) = body["MediaContainer"].get_mut("Device") {
                device["name"] = "n".repeat(LONG).into();
                device["Connection"]["uri"] = uri().into();
            }
            json(body.to_string())
        });
    }
    // The first 1,000 are read.
    cases.answer("a long list", HTTP, plain, OK.within(SOON), |case, _| {
        let list = format!("[{}{{}}]", "{},".repeat(340_000));
        json(case.body().replace(r#"{"local":"1","uri":"http://10.0.2.1:32400"}"#, &list))
    });
}

pub(super) fn echoes(cases: &mut Cases) {
    let formats: [(bool, fn(&str) -> String); 4] = [
        (true, |message| value!({"errors": [{"message": message}]}).to_string()),
        (true, |message| format!("<Response title='Oh' status='{}'/>", in_xml(message))),
        (false, |message| format!("<html>{message}</html>")),
        (false, |message| message.to_owned()),
    ];
    for at in ["whole", "lower case", "twice", "around the cut", "many"] {
        for (shown, format) in formats {
            let says = if shown { "[redacted]" } else { "" };
            for (status, kind) in [(400, "BadRequest"), (401, "Unauthorized"), (503, "Unavailable")]
            {
                let expected = one_of(kind).says(says).attempts(1);
                cases.answer(at, HTTP, plain, expected, move |case, _| {
                    respond(status, &[("X-Plex-Token", "seen")], format(&message(case, at)))
                });
            }
        }
        // With a good status, too.
        let formats: [fn(Value) -> String; 3] = [
            |message| message.as_str().unwrap_or_default().to_owned(),
            |message| value!({ "MediaContainer": message }).to_string(),
            |message| {
                value!({"MediaContainer": {"Device": message, "token": [message]}}).to_string()
            },
        ];
        for format in formats {
            cases.answer(at, HTTP, plain, one_of("Decode").attempts(1), move |case, _| {
                json(format(message(case, at).into()))
            });
        }
    }
}

fn message(case: &Case, at: &str) -> String {
    let caller = &case.secrets.caller;
    match at {
        "lower case" => format!("so it is {}", caller.to_ascii_lowercase()),
        "twice" => format!("so x{caller}{caller}y"),
        "around the cut" => format!("{}{caller}", "so ".repeat(80)),
        "many" => format!("so {caller} ").repeat(100),
        _ => format!("so it is invalid: '{caller}'"),
    }
}

pub(super) fn escapes(cases: &mut Cases) {
    let texts = [
        ("a colour", "\u{1b}[31mred\u{1b}[0m", "\\u{1b}[31mred"),
        ("a title", "\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
        ("a C1 control", "\u{9b}31m", "\\u{9b}31m"),
        ("lines", "a\r\nerror: b\0", "a\\r\\nerror: b\\0"),
        ("backspaces", "ok\u{8}\u{8}no", "ok\\u{8}\\u{8}no"),
        ("right to left", "a\u{202e}b\u{2066}", "a\\u{202e}b\\u{2066}"),
        ("a byte order mark", "a\u{feff}b", "a\\u{feff}b"),
        ("combining marks", "a\u{301}\u{302}", ""),
    ];
    for (at, text, says) in texts {
        let expected = one_of("Status").says(says).attempts(1);
        cases.answer(at, HTTP, plain, expected, move |_, _| {
            respond(500, &[], value!({"errors": [{"code": 1, "message": text}]}).to_string())
        });
    }
    for piece in ["x ", "\u{1b}", "\u{1f511}", "\u{301}"] {
        cases.each(HTTP, move |case| async move {
            let message = value!({"errors": [{"message": piece.repeat(10_000)}]}).to_string();
            let server = case.server(move |_| respond(500, &[], &message));
            let error = case.expect(&case.client(&server, plain), "long", one_of("Status")).await;
            let message = error.as_ref().and_then(|error| error.server_message());
            let length = message.map_or(0, |message| message.chars().count());
            case.check((1..=256).contains(&length), "long", &format!("{length} characters"));
        });
    }
}
