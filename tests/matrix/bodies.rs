//! The faults of bodies.

use plex_auth::{BodyKind, ClientBuilder};
use serde_json::{Value, json as value};

use super::Wires::{Both, Http};
use super::table::{FRAMINGS, framed};
use super::{Case, Cases, Expected, Method, one_of};
use crate::support::{Step, json, respond};

fn plain(builder: ClientBuilder) -> ClientBuilder {
    builder
}

fn retries(builder: ClientBuilder) -> ClientBuilder {
    builder.max_retries(2)
}

fn body(case: &Case) -> String {
    case.method.good(&case.secrets.returned)
}

pub(super) fn cut(cases: &mut Cases) {
    for framing in FRAMINGS {
        cases.each(Both, move |case| async move {
            let whole = body(&case);
            let told = whole.clone();
            let server = case.server(move |request| {
                vec![Step::Send(framed(framing, 200, told.as_bytes(), request.number)), Step::Close]
            });
            let caller = case.caller(&server, plain);
            for part in 0..whole.len() {
                let expected = match (framing, part) {
                    ("until the close", 0) => one_of(&["NotJson"]).says("got nothing"),
                    _ => one_of(&["BodyCutShort"]).says("ended before it was complete"),
                };
                case.expect(&caller, format!("{framing}, {part} bytes"), expected).await;
            }
            case.expect(&caller, format!("{framing}, whole"), one_of(&["Ok"])).await;
            case.check_requests(&server, framing, Some(whole.len() + 1));
        });
    }
}

/// Where a value can stand in a good body, as a JSON pointer.
fn places(method: Method) -> &'static [&'static str] {
    match method {
        Method::Mint => &[
            "",
            "/MediaContainer",
            "/MediaContainer/token",
            "/MediaContainer/size",
            "/MediaContainer/unknown",
            "/unknown",
        ],
        _ => &[
            "",
            "/MediaContainer",
            "/MediaContainer/size",
            "/MediaContainer/unknown",
            "/MediaContainer/Device",
            "/MediaContainer/Device/name",
            "/MediaContainer/Device/clientIdentifier",
            "/MediaContainer/Device/accessToken",
            "/MediaContainer/Device/unknown",
            "/MediaContainer/Device/Connection",
            "/MediaContainer/Device/Connection/uri",
            "/MediaContainer/Device/Connection/protocol",
            "/MediaContainer/Device/Connection/address",
            "/MediaContainer/Device/Connection/port",
            "/MediaContainer/Device/Connection/local",
            "/MediaContainer/Device/Connection/relay",
            "/MediaContainer/Device/Connection/IPv6",
        ],
    }
}

/// What is not read can be anything.
fn is_read(place: &str) -> bool {
    !["size", "unknown", "IPv6"].iter().any(|unread| place.ends_with(unread))
}

/// A good body with `raw` at a place: text, because not everything is a [`Value`].
fn with(case: &Case, place: &str, raw: &str) -> String {
    const HERE: &str = "\u{1}here\u{1}";
    let mut good: Value = serde_json::from_str(&body(case)).unwrap();
    if place.is_empty() {
        return raw.to_owned();
    }
    let (parent, key) = place.rsplit_once('/').unwrap();
    good.pointer_mut(parent).unwrap()[key] = HERE.into();
    good.to_string().replace(&Value::from(HERE).to_string(), raw)
}

/// The good body with each of `raws` in each place; `expected` judges what comes of it.
fn in_each_place(
    cases: &mut Cases,
    raws: &'static [fn() -> String],
    expected: fn(Method, &str, &str) -> Expected,
) {
    // Made when it is needed: together they would fill the memory that is measured.
    let nth = move |method: Method, number: usize| {
        (places(method)[number / raws.len()], raws[number % raws.len()]())
    };
    cases.each(Http, move |case| async move {
        let told = case.clone();
        let server = case.server(move |request| {
            let (place, raw) = nth(told.method, request.number);
            json(with(&told, place, &raw))
        });
        let caller = case.caller(&server, plain);
        let count = places(case.method).len() * raws.len();
        for number in 0..count {
            let (place, raw) = nth(case.method, number);
            let label = format!("{place}: {}", raw.chars().take(20).collect::<String>());
            let expected = expected(case.method, place, &raw);
            drop(raw);
            case.expect(&caller, label, expected).await;
        }
        case.check_requests(&server, "", Some(count));
    });
}

pub(super) fn types(cases: &mut Cases) {
    macro_rules! raws {
        ($($raw:literal)*) => { &[$(|| $raw.to_owned()),*] };
    }
    let raws: &[fn() -> String] = raws! {
        "null" "true" "false" "0" "1" "-1" "1.5" "1e9" "65536" "32400" "\"\"" "\"x\"" "\"1\""
        "[]" "{}" "[null]" "[[]]" "[{}]" "[{},{}]" "[1]" "[\"x\"]" "{\"x\":1}"
    };
    in_each_place(cases, raws, |method, place, raw| {
        let json: Value = serde_json::from_str(raw).unwrap();
        of_type(method, place, &json).any_token()
    });
}

const OK: &[&str] = &["Ok"];
const SHAPE: &[&str] = &["UnexpectedJson"];
const NO_TOKEN: &[&str] = &["NoToken"];
const NO_DEVICE: &[&str] = &["NoMatchingDevice"];
/// Of a list in the place of an object: serde reads it as the object's fields, in their order.
const LIST: &[&str] = &["UnexpectedJson", "NoToken", "NoMatchingDevice", "Ok"];

fn of_type(method: Method, place: &str, json: &Value) -> Expected {
    if !is_read(place) {
        return one_of(OK);
    }
    let optional_text = || match json {
        Value::Null | Value::String(_) => OK,
        _ => SHAPE,
    };
    one_of(match (place.rsplit('/').next().unwrap(), json) {
        ("", Value::Array(_)) => LIST,
        ("", _) => SHAPE,
        ("MediaContainer", Value::Object(_)) if method == Method::Mint => NO_TOKEN,
        ("MediaContainer", Value::Object(_)) => NO_DEVICE,
        ("MediaContainer" | "Device", Value::Array(_)) => LIST,
        ("MediaContainer", _) => SHAPE,
        ("token" | "accessToken", Value::Null) => NO_TOKEN,
        ("token" | "accessToken", Value::String(text)) if text.is_empty() => NO_TOKEN,
        ("token" | "accessToken", Value::String(_)) => OK,
        ("token" | "accessToken", _) => SHAPE,
        ("Device", Value::Null) => NO_DEVICE,
        ("Device", Value::Object(_)) => SHAPE,
        ("Device", _) => SHAPE,
        ("clientIdentifier", Value::Null) => SHAPE,
        ("clientIdentifier", _) => optional_text(),
        ("name" | "uri" | "protocol" | "address", _) => optional_text(),
        ("Connection", Value::Null | Value::Object(_)) => OK,
        ("Connection", Value::Array(list)) => {
            if list.iter().all(|one| matches!(one, Value::Object(_))) {
                OK
            } else {
                &["UnexpectedJson", "Ok"]
            }
        }
        ("Connection", _) => SHAPE,
        ("port", json) => match json {
            Value::Null => OK,
            Value::Number(number) if number.as_u64().is_some_and(|port| port < 65_536) => OK,
            Value::String(text) if text.parse::<u16>().is_ok() => OK,
            _ => SHAPE,
        },
        ("local" | "relay", json) => match json {
            Value::Null | Value::Bool(_) => OK,
            Value::Number(number) if number.as_u64().is_some_and(|flag| flag < 2) => OK,
            Value::String(text) if text == "1" => OK,
            _ => SHAPE,
        },
        _ => LIST,
    })
}

pub(super) fn nested(cases: &mut Cases) {
    const DEPTH: usize = 100_000;
    let raws: &[fn() -> String] = &[
        || "[".repeat(DEPTH) + &"]".repeat(DEPTH),
        || "{\"\":".repeat(DEPTH) + "1" + &"}".repeat(DEPTH),
    ];
    in_each_place(cases, raws, |_, place, raw| match is_read(place) {
        true if place.is_empty() || place == "/MediaContainer" || raw.starts_with('[') => {
            one_of(LIST).any_token()
        }
        // A lone object is read by its known fields, and this one's is unknown.
        true if place.ends_with("Device") => one_of(LIST),
        true if place.ends_with("Connection") => one_of(OK),
        true => one_of(SHAPE),
        false => one_of(OK),
    });
}

pub(super) fn twice(cases: &mut Cases) {
    let expected = one_of(SHAPE).says("got JSON of another shape: it is wrong at line 1").tries(1);
    cases.answer("the container", Both, retries, expected, |case, _| {
        let one = body(case);
        let inner = &one[1..one.len() - 1];
        json(format!("{{{inner},{inner}}}"))
    });
    cases.answer("in the container", Both, retries, expected, |case, _| {
        let key = if case.method == Method::Mint { "token" } else { "Device" };
        json(body(case).replacen(r#"":{"#, &format!(r#"":{{"{key}":null,"#), 1))
    });
    cases.each(Http, |case| async move {
        if case.method == Method::Mint {
            return;
        }
        for key in ["accessToken", "clientIdentifier", "Connection", "uri", "local"] {
            let told = case.clone();
            let server = case.server(move |_| {
                let key = format!("{key:?}:");
                let twice = format!("{key}null,{key}");
                json(body(&told).replacen(&key, &twice, 1))
            });
            let caller = case.caller(&server, plain);
            case.expect(&caller, key, one_of(SHAPE)).await;
        }
    });
}

pub(super) fn digits(cases: &mut Cases) {
    fn digits() -> String {
        "7".repeat(1_000)
    }
    let raws: &[fn() -> String] = &[
        digits,
        || format!("-{}", digits()),
        || format!("0.{}", digits()),
        || format!("1e{}", digits()),
        || format!("\"{}\"", digits()),
    ];
    in_each_place(cases, raws, |_, place, raw| {
        let text = ["name", "clientIdentifier", "uri", "protocol", "address"];
        if !is_read(place) || (raw.starts_with('"') && text.iter().any(|at| place.ends_with(at))) {
            one_of(OK)
        } else if raw.starts_with('"') && place.to_ascii_lowercase().ends_with("token") {
            one_of(OK).any_token()
        } else {
            one_of(SHAPE)
        }
    });
}

pub(super) fn bad_tokens(cases: &mut Cases) {
    let tokens: [(&str, Value); 12] = [
        ("empty", value!("")),
        ("null", value!(null)),
        ("a NUL", value!("abc\0def")),
        ("a newline", value!("abc\ndef")),
        ("a header of its own", value!("abc\r\nX-Evil: 1")),
        ("a DEL", value!("abc\u{7f}def")),
        ("non-ASCII", value!("abcd\u{e9}f")),
        ("an emoji", value!("\u{1f511}")),
        ("a space in it", value!("abc def")),
        ("a space around", value!(" abcdef ")),
        ("a tab", value!("abc\tdef")),
        ("white space", value!("   ")),
    ];
    for (at, token) in tokens {
        let expected = one_of(NO_TOKEN).says("is of no use: it ").tries(1);
        cases.answer(at, Http, retries, expected, move |case, _| {
            let place = match case.method {
                Method::Mint => "/MediaContainer/token",
                _ => "/MediaContainer/Device/accessToken",
            };
            json(with(case, place, &token.to_string()))
        });
    }
    let expected = one_of(NO_TOKEN).says("is of no use: it is missing").tries(1);
    cases.answer("missing", Both, retries, expected, |case, _| {
        json(body(case).replacen("oken\":", "oken2\":", 1))
    });
}

/// Where it is read: what is not read is not looked at.
const INVALID_UTF8: &[u8] = b"{\"MediaContainer\":{\"token\":\"\xff\xfe\",\"Device\":\"\xff\"}}";

pub(super) fn not_json(cases: &mut Cases) {
    let bodies: [(&str, &str, &[u8]); 12] = [
        ("nothing", "got nothing; is there a Plex Media Server", b""),
        ("blanks", "got nothing; is there a Plex Media Server", b" \r\n\t "),
        ("HTML", "got HTML; is there a Plex Media Server", b"<!DOCTYPE html><p>Hi</p>"),
        ("HTML with a BOM", "got HTML", b"\xef\xbb\xbf\n<HTML><p>Hi</p></HTML>"),
        ("XML", "got XML; a proxy in between may drop", b"<MediaContainer token=\"x\" />"),
        ("text", "got text", b"MediaContainer"),
        ("a raw newline in a string", "got text", b"{\"MediaContainer\":{\"token\":\"a\nb\"}}"),
        ("more behind it", "got text", b"{\"MediaContainer\":{}} {}"),
        ("single quotes", "got text", b"{'MediaContainer':{}}"),
        ("NaN", "got text", b"{\"MediaContainer\":NaN}"),
        ("invalid UTF-8", "got binary data", INVALID_UTF8),
        ("UTF-16", "got binary data", b"\xff\xfe{\0\"\0M\0\"\0:\x001\0}\0"),
    ];
    for (at, says, body) in bodies {
        let expected = one_of(&["NotJson"]).says(says).tries(1);
        cases.answer(at, Both, retries, expected, move |_, _| json(body));
    }
}

pub(super) fn echoes(cases: &mut Cases) {
    // With the status that each is likely to come with.
    for (status, kinds) in [
        (400, &["BadRequest"]),
        (401, &["Unauthorized"]),
        (403, &["Forbidden"]),
        (404, &["NotFound"]),
        (429, &["TooManyRequests"]),
        (500, &["UnexpectedStatus"]),
        (503, &["Unavailable"]),
    ] {
        for at in
            ["whole", "small", "in pieces", "among others", "around the cut", "in a URL", "many"]
        {
            let expected = one_of(kinds).says("[masked]").tries(1);
            cases.answer(at, Http, plain, expected, move |case, _| {
                let message = words(case, at);
                respond(status, &[], value!({"errors": [{"message": message}]}).to_string())
            });
            cases.answer(at, Http, plain, expected, move |case, _| {
                let escaped: String =
                    words(case, at).chars().map(|char| format!("&#{};", u32::from(char))).collect();
                respond(status, &[], format!("<Response title=\"Oh\" status=\"{escaped}\"/>"))
            });
            cases.answer(at, Http, plain, one_of(kinds).tries(1), move |case, _| {
                let words = words(case, at);
                respond(status, &[("X-Plex-Token", "seen")], format!("<html>{words}</html>"))
            });
            cases.answer(at, Http, plain, one_of(kinds).tries(1), move |case, _| {
                respond(status, &[], words(case, at))
            });
        }
    }
    // In answers with a good status, too.
    for at in ["whole", "in pieces", "among others", "in a URL", "many"] {
        cases.answer(at, Http, plain, one_of(&["NotJson"]).tries(1), move |case, _| {
            // What a token begins with may be the beginning of JSON.
            json(format!("so {}", words(case, at)))
        });
        cases.answer(at, Http, plain, one_of(SHAPE).tries(1), move |case, _| {
            json(value!({"MediaContainer": words(case, at)}).to_string())
        });
        cases.answer(at, Http, plain, one_of(SHAPE).tries(1), move |case, _| {
            json(value!({"MediaContainer": [[words(case, at)]]}).to_string())
        });
    }
}

fn words(case: &Case, at: &str) -> String {
    let [caller, _, shown] = case.secrets.all();
    match at {
        "small" => caller.to_ascii_lowercase(),
        "in pieces" => {
            let pieces: Vec<_> = caller.as_bytes().chunks(8).map(String::from_utf8_lossy).collect();
            format!("it is {}", pieces.join(" - "))
        }
        "among others" => format!("{caller} is not {shown}, nor x{shown}y, nor x{caller}y"),
        "around the cut" => format!("{}{caller}{shown}", "so ".repeat(80)),
        "in a URL" => format!("see https://a.example/?X-Plex-Token={shown}&t={caller}#{shown}"),
        "many" => format!("{caller}{shown} ").repeat(100),
        _ => format!("Invalid token: '{caller}'"),
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
        ("combining marks", "a\u{301}\u{302}", "a\u{301}\u{302}"),
    ];
    for (at, text, says) in texts {
        let says = if at == "combining marks" { "" } else { says };
        let expected = one_of(&["UnexpectedStatus"]).says(says).tries(1);
        cases.answer(at, Http, plain, expected, move |_, _| {
            respond(500, &[], value!({"errors": [{"code": 1, "message": text}]}).to_string())
        });
    }
    for piece in ["x ", "\u{1b}", "\u{1f511}", "\u{301}"] {
        cases.each(Http, move |case| async move {
            let server = case.server(move |_| {
                let message = piece.repeat(10_000);
                respond(500, &[], value!({"errors": [{"message": message}]}).to_string())
            });
            let caller = case.caller(&server, plain);
            let result = case.call(&caller.client).await;
            case.judge(&caller, "long", one_of(&["UnexpectedStatus"]), &result);
            let message =
                result.as_ref().err().and_then(|error| error.failure()?.message.as_deref());
            let length = message.map_or(0, |message| message.chars().count());
            case.check((1..=256).contains(&length), "long", &format!("{length} characters"));
        });
    }
}

pub(super) fn xml(cases: &mut Cases) {
    let deep = || "<a>".repeat(20_000);
    let expected = one_of(&["Unavailable"]).tries(1);
    cases.answer("nested", Both, plain, expected, move |_, _| respond(503, &[], deep()));
    cases.answer("nested and closed", Both, plain, expected, |_, _| {
        respond(503, &[], "<a>".repeat(9_000) + &"</a>".repeat(9_000))
    });
    cases.answer("attributes", Both, plain, expected, |_, _| {
        let attributes: String = (0..5_000).map(|number| format!(" a{number}=\"\"")).collect();
        respond(503, &[], format!("<Response{attributes}/>"))
    });
    cases.answer("entities", Both, plain, expected, |_, _| {
        let mut entities = "<!ENTITY e0 \"lol\">".to_owned();
        for number in 1..20 {
            let last = format!("&e{};", number - 1).repeat(10);
            entities += &format!("<!ENTITY e{number} \"{last}\">");
        }
        respond(503, &[], format!("<!DOCTYPE a [{entities}]><Response status=\"&e19;\"/>"))
    });
    cases.answer("an external entity", Both, plain, expected, |_, _| {
        let entity = "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/hostname\">]>";
        respond(503, &[], format!("{entity}<Response status=\"&x;\"/>"))
    });
}

pub(super) fn devices(cases: &mut Cases) {
    let bodies = [
        ("none", value!({"MediaContainer": {"size": 0}})),
        ("an empty list", value!({"MediaContainer": {"Device": []}})),
        (
            "two others",
            value!({"MediaContainer": {"Device": [
                {"clientIdentifier": "a", "accessToken": "one"},
                {"clientIdentifier": "b", "accessToken": "two"},
            ]}}),
        ),
        (
            "two without an identifier",
            value!({"MediaContainer": {"Device": [{"accessToken": "a"}, {"accessToken": "b"}]}}),
        ),
    ];
    for (at, body) in bodies {
        cases.each(Both, move |case| {
            let body = body.to_string();
            async move {
                let server = case.server(move |_| json(&body));
                let caller = case.caller(&server, retries);
                let expected = match case.method {
                    Method::Mint => one_of(NO_TOKEN),
                    _ => one_of(NO_DEVICE).says("does this server know the source?"),
                };
                let result = case.call(&caller.client).await;
                case.judge(&caller, at, expected, &result);
                let kind = result.err().and_then(|error| error.failure()?.body_kind);
                case.check(kind == Some(BodyKind::Json), at, "another kind of body");
            }
        });
    }
}
