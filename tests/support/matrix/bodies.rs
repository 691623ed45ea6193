//! The faults of bodies.

use std::sync::Arc;
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
fn places(method: Method) -> Vec<String> {
    let members = [
        ("", "unknown MediaContainer"),
        ("/MediaContainer", "token size unknown Device"),
        ("/MediaContainer/Device", "name clientIdentifier accessToken unknown Connection"),
        ("/MediaContainer/Device/Connection", "uri protocol address port local relay IPv6"),
    ];
    let good = method.good("");
    let members = members.into_iter().filter(|(parent, _)| good.pointer(parent).is_some());
    let places = members
        .flat_map(|(parent, names)| names.split(' ').map(move |name| format!("{parent}/{name}")));
    std::iter::once(String::new()).chain(places).collect()
}

/// A good body with `raw` at a place: text, because not everything is a [`Value`].
fn with(case: &Case, place: &str, raw: &str) -> String {
    const HERE: &str = "\u{1}here\u{1}";
    let Some((parent, key)) = place.rsplit_once('/') else { return raw.to_owned() };
    let mut good = case.method.good(&case.secrets.returned);
    good.pointer_mut(parent).unwrap()[key] = HERE.into();
    good.to_string().replace(&Value::from(HERE).to_string(), raw)
}

/// `tests/answers.rs` has the exact results.
fn with_any_json(place: &str, raw: &str) -> Expected {
    let is = |names: &str| names.split(' ').any(|name| place.ends_with(name));
    let is_needed = is("MediaContainer token Device Connection clientIdentifier accessToken");
    // serde_json refuses a number that no `f64` holds wherever it reads one.
    let is_too_long = raw.len() >= 1_000 && !raw.starts_with(['[', '{', '"']);
    match is("/size /unknown /IPv6") || !(place.is_empty() || is_needed || is_too_long) {
        true => OK,
        false => one_of("Decode NoToken NoDevice Ok").any_token(),
    }
}

pub(super) fn any_json(cases: &mut Cases) {
    const DEPTH: usize = 100_000;
    let digits = "7".repeat(1_000);
    let small = "null true false 0 1 2 -1 1.5 32400.0 1e9 65536 32400 \"\" \"x\" \"1\" \"yes\" [] {} \
                 [null] [[]] [{}] [{},{}] [1] [\"x\"] {\"x\":1}";
    let mut raws: Vec<_> = small.split(' ').map(str::to_owned).collect();
    raws.extend([
        "[".repeat(DEPTH) + &"]".repeat(DEPTH),
        "{\"\":".repeat(DEPTH) + "1" + &"}".repeat(DEPTH),
        format!("\"{digits}\""),
        format!("-0.{digits}e{digits}"),
        digits,
    ]);
    let raws = Arc::new(raws);
    cases.each(HTTP, move |case| {
        let (raws, all, scripted) = (raws.clone(), raws.clone(), case.clone());
        async move {
            let places = places(case.method);
            let asked = places.clone();
            let server = case.server(move |request| {
                let (place, raw) = (request.number / all.len(), request.number % all.len());
                json(with(&scripted, &asked[place], &all[raw]))
            });
            let client = case.client(&server, plain);
            for (place, raw) in
                places.iter().flat_map(|place| raws.iter().map(move |raw| (place, raw)))
            {
                let at = format!("{place}: {}", raw.chars().take(20).collect::<String>());
                case.expect(&client, at, with_any_json(place, raw).within(SOON)).await;
            }
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
            let expected = one_of("Unauthorized").says(says).attempts(1);
            cases.answer(at, HTTP, plain, expected, move |case, _| {
                respond(401, &[("X-Plex-Token", "seen")], format(&message(case, at)))
            });
        }
        // With a good status, too.
        cases.answer(at, HTTP, plain, one_of("Decode").attempts(1), move |case, _| {
            json(value!({ "MediaContainer": message(case, at) }).to_string())
        });
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
