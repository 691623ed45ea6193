//! The faults of connections, TLS, sizes and comings back, and the list of all.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use plex_auth::{ClientBuilder, reqwest};

use super::Wires::{Both, Http, Https};
use super::{AUTHORITY, Case, Cases, Expected, Fault, bodies, one_of, statuses};
use crate::support::{Server, Step, Steps, json, respond};

/// All of it, in the order of `docs/faults.md`.
pub fn table() -> &'static [Fault] {
    macro_rules! faults {
        ($($area:literal: { $($test:ident: $fault:literal => $gets:literal, $cases:path;)* })*) => {
            &[$($(Fault {
                area: $area,
                test: stringify!($test),
                fault: $fault,
                gets: $gets,
                cases: $cases,
            },)*)*]
        };
    }
    faults! {
        "Connection": {
            a_name_that_does_not_resolve_is_named_as_such:
                "a host's name that does not resolve" => "`Connection`, tried again", unresolved;
            a_refused_connection_is_tried_again:
                "connection refused" => "`Connection`, tried again", refused;
            a_closed_connection_is_tried_again:
                "accepted and closed, before or after the request, in the middle of the head"
                => "`Connection`, tried again", closed;
            a_reset_before_the_answer_is_tried_again:
                "reset at once, after the request, in the middle of the head"
                => "`Connection`, tried again", reset_before_body;
            a_reset_in_the_body_is_a_body_cut_short:
                "reset in the middle of the body" => "`BodyCutShort`, tried once", reset_in_body;
            silence_ends_in_a_timeout:
                "silent before the head, in it, after it, in the middle of the body"
                => "`Timeout` when `timeout` is over, tried once", silent;
            a_trickle_ends_in_a_timeout:
                "a byte every 100 ms, for ever: status line, headers, body, chunk size"
                => "`Timeout` when `timeout` is over, tried once", trickle;
            a_tls_handshake_that_never_ends_is_a_timeout:
                "TLS handshake: silent, a byte every 100 ms"
                => "`Timeout` when `connect_timeout` is over, tried once", slow_handshake;
            interim_answers_for_ever_end_in_a_timeout:
                "interim answers (103), one after the other for ever, 1,000 at once and no more"
                => "`Timeout` when `timeout` is over, tried once", endless_interim;
            an_idle_connection_closed_by_the_server_is_replaced:
                "a kept-alive connection that the server closed just before the next call"
                => "the answer", kept_alive;
            an_answer_that_nobody_asked_for_is_not_taken:
                "bytes after the answer, on a kept-alive connection"
                => "the next call's own answer, or `Connection` or `Protocol`", unasked;
            what_is_not_http_is_named_as_such:
                "SSH, SMTP, binary data, HTTP/2, HTTP/0.9 in place of HTTP/1.1"
                => "`Protocol`, tried once", not_http;
        }
        "TLS": {
            a_certificate_of_an_unknown_issuer_is_refused:
                "unknown issuer" => "`Tls`, tried once, nothing sent", unknown_issuer;
            a_certificate_for_another_name_is_refused:
                "wrong name" => "`Tls`, tried once, nothing sent", wrong_name;
            an_expired_certificate_is_refused:
                "expired" => "`Tls`, tried once, nothing sent", expired;
            a_plain_server_behind_https_gets_nothing:
                "a plain server behind `https`" => "`Tls`, tried once, nothing sent", plain_server;
            a_tls_server_behind_http_is_named_as_such:
                "a TLS server behind `http`" => "`Protocol`, which names `https`", tls_server;
            a_root_certificate_of_the_closure_is_trusted:
                "a root certificate added through the closure" => "the answer", own_root;
        }
        "Sizes": {
            a_body_without_end_is_cut_at_the_limit:
                "a body without end: chunked, with a large `Content-Length`, until the close"
                => "`BodyTooLarge`, tried once", endless_body;
            an_error_body_without_end_is_not_waited_for:
                "an error's body without end" => "the status's error", endless_error_body;
            a_content_length_that_lies_is_refused:
                "a `Content-Length` of 2^63, of 2^64, negative, not a number, two that differ"
                => "`BodyTooLarge` or `Protocol`", content_length;
            the_body_limit_is_exact:
                "a body one byte under, at and over the limit, in each framing"
                => "the answer, the answer, `BodyTooLarge`", at_limit;
            a_huge_head_is_refused:
                "a head of 10 MB, 100,000 headers, a header of 10 MB, a status line without end"
                => "`Protocol`", huge_head;
            a_broken_chunk_is_a_body_cut_short:
                "chunks with a size that is no number, that is too large, without end"
                => "`BodyCutShort`", bad_chunks;
            a_compressed_body_is_refused:
                "a body with a `Content-Encoding`, gzip and zstd without one, a bomb"
                => "`NotJson`, named as compressed", compressed;
        }
        "Status": {
            each_status_has_its_error:
                "each of 200..=999, with no body, a JSON, an HTML, an XML and a binary one"
                => "the error of the status, with the kind of body", statuses::all;
            interim_statuses_are_passed_over:
                "each of 100..=199 before the answer" => "the answer; for 101 `UnexpectedStatus`",
                statuses::interim;
            an_interim_status_is_no_answer:
                "each of 100..=199 and a close" => "`Connection`; for 101 `UnexpectedStatus`",
                statuses::only_interim;
            a_status_that_is_none_is_refused:
                "a status of 0, 99, 1000, -1, or in letters" => "`Protocol`", statuses::broken;
            a_redirect_is_never_followed:
                "each 3xx to the same origin, another port, another host, from `https` to `http`, \
                 to nowhere, with a token in `Location`"
                => "`Redirect`, which names the origin; nothing is sent there",
                statuses::redirects;
        }
        "Bodies": {
            a_body_cut_short_at_any_byte_is_an_error:
                "cut short at every byte, in each framing" => "`BodyCutShort`; `NotJson` for none",
                bodies::cut;
            any_json_in_any_place_is_an_answer_or_an_error:
                "every JSON type in every place" => "the answer, `UnexpectedJson`, `NoToken` or \
                 `NoMatchingDevice`", bodies::types;
            deep_nesting_is_no_stack_overflow:
                "100,000 nested arrays or objects, in every place" => "`UnexpectedJson`; in a \
                 field that is not read, the answer", bodies::nested;
            a_key_that_comes_twice_is_refused:
                "a key twice" => "`UnexpectedJson`", bodies::twice;
            a_number_of_any_length_is_survived:
                "a number of 1,000 digits" => "`UnexpectedJson`; in a field that is not read, \
                 the answer", bodies::digits;
            a_token_that_no_header_can_carry_is_refused:
                "a NUL, a newline, a non-ASCII character, a space in the token; an empty token; a \
                 missing token" => "`NoToken`", bodies::bad_tokens;
            a_good_status_with_another_body_is_not_json:
                "status 200 with HTML, XML, text, nothing, invalid UTF-8, half a JSON"
                => "`NotJson`, with what came", bodies::not_json;
            an_error_that_repeats_a_token_is_masked:
                "an error's body that repeats the caller's token, or shows another one, in JSON, \
                 XML and HTML, whole, in pieces and escaped"
                => "the status's error, the token masked", bodies::echoes;
            a_message_cannot_steer_a_terminal:
                "control characters, terminal escapes, bidirectional marks in a message"
                => "the status's error, escaped, at most 256 characters", bodies::escapes;
            an_xml_error_cannot_blow_up:
                "XML: 20,000 nested elements, entities of entities, an external entity"
                => "the status's error", bodies::xml;
            a_device_that_is_not_the_source_is_no_answer:
                "no device, several without the source's" => "`NoMatchingDevice`", bodies::devices;
        }
        "Coming back": {
            retry_after_is_honoured:
                "429 and 503 with `Retry-After`: 0, 1, a date past" => "the answer, when it comes \
                 within 3 tries", short_wait;
            a_wait_that_does_not_fit_is_given_to_the_caller:
                "429 and 503 with `Retry-After`: 86,400, a date to come, 2^64 - 1"
                => "`TooManyRequests` or `Unavailable` at once, with the wait", long_wait;
            a_retry_after_that_is_nonsense_is_no_wait:
                "429 and 503 with `Retry-After`: nonsense" => "tried as without one",
                nonsense_wait;
            a_server_that_recovers_is_asked_no_more_than_needed:
                "429, 502, 503, 504 or a reset; recovers at the second or third try, or never"
                => "the answer, or the last error after 3 tries", recovers;
            an_outage_hits_each_of_256_calls_at_once:
                "256 calls at once on one client, against a server that stops and starts"
                => "each the answer, or an error of the connection; then the answer", outage;
        }
        "The caller": {
            a_dropped_future_leaves_the_client_usable:
                "a future dropped at each point" => "the next call's answer", dropped;
        }
    }
}

const SHORT: Duration = Duration::from_millis(700);
const BYTE: Duration = Duration::from_millis(100);

fn plain(builder: ClientBuilder) -> ClientBuilder {
    builder
}

fn short(builder: ClientBuilder) -> ClientBuilder {
    // Retries are on to show that a time-out is not tried again.
    builder.timeout(SHORT).max_retries(2)
}

fn one_retry(builder: ClientBuilder) -> ClientBuilder {
    builder.max_retries(1)
}

fn retries(builder: ClientBuilder) -> ClientBuilder {
    builder.max_retries(2)
}

fn good(case: &Case) -> Vec<u8> {
    json(case.method.good(&case.secrets.returned))
}

fn unresolved(cases: &mut Cases) {
    const EXPECTED: Expected =
        one_of(&["Connection"]).says("the host's name could not be resolved").tries(2);
    cases.each(Http, |case| async move {
        // A label of more than 63 characters: no resolver asks the network for it.
        let url = format!("http://{}.local", "a".repeat(64));
        let caller = case.caller_at(&url, one_retry);
        case.expect(&caller, "by the system", EXPECTED).await;
    });
    cases.each(Both, |case| async move {
        struct Ignorant;
        impl reqwest::dns::Resolve for Ignorant {
            fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
                Box::pin(async { Err("no such host".into()) })
            }
        }
        let scheme = if case.secure { "https" } else { "http" };
        let caller = case.caller_at(&format!("{scheme}://nowhere.local:32400"), |builder| {
            builder.max_retries(1).configure_http(|http| http.dns_resolver(Ignorant))
        });
        case.expect(&caller, "by a resolver of the closure's", EXPECTED).await;
    });
}

fn refused(cases: &mut Cases) {
    cases.each(Http, |case| async move {
        let server = Server::stopped(|_| Step::Close);
        let caller = case.caller(&server, one_retry);
        let expected = one_of(&["Connection"]).says("connection refused; is the server up");
        case.expect(&caller, "", expected.tries(2)).await;
        case.check(server.connections() == 0, "", "it was not refused");
    });
}

fn closed(cases: &mut Cases) {
    let expected = one_of(&["Connection"]).says("closed before an answer came").tries(2);
    cases.connection("at once", Http, one_retry, expected, |_, _| Step::Close);
    cases.connection("after the handshake", Https, one_retry, expected, |_, _| Step::Close);
    cases.connection("after the request", Both, one_retry, expected, |_, _| {
        vec![Step::Read, Step::Close]
    });
    for head in ["H", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"] {
        cases.connection("in the head", Both, one_retry, expected, move |_, _| {
            vec![Step::Read, Step::Send(head.into()), Step::Close]
        });
    }
    let expected = one_of(&["Connection"]).tries(2);
    cases.each(Https, move |case| async move {
        let server = Server::raw(|_| Step::Close);
        let url = server.url().replace("http:", "https:");
        let caller = case.caller_at(&url, one_retry);
        case.expect(&caller, "before the handshake", expected).await;
        case.check(server.connections() == 2, "before the handshake", "not 2 tries");
    });
}

fn reset_before_body(cases: &mut Cases) {
    let expected = one_of(&["Connection"]).tries(2);
    cases.connection("at once", Both, one_retry, expected, |_, _| Step::Reset);
    cases.connection("after the request", Both, one_retry, expected, |_, _| {
        vec![Step::Read, Step::Reset]
    });
    for head in ["H", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"] {
        cases.connection("in the head", Both, one_retry, expected, move |_, _| {
            vec![Step::Read, Step::Send(head.into()), Step::Reset]
        });
    }
}

/// The three ways to say where a body ends.
pub(super) const FRAMINGS: [&str; 3] = ["Content-Length", "chunked", "until the close"];

/// The first `part` bytes of a body, in a framing that promises all of it.
pub(super) fn framed(framing: &str, status: u16, body: &[u8], part: usize) -> Vec<u8> {
    match framing {
        "Content-Length" => {
            let mut whole = respond(status, &[("Content-Type", "application/json")], body);
            whole.truncate(whole.len() - (body.len() - part));
            whole
        }
        "chunked" => {
            let head = respond(status, &[("Transfer-Encoding", "chunked")], b"");
            let size = format!("{:x}\r\n", body.len());
            let end: &[u8] = if part == body.len() { b"\r\n0\r\n\r\n" } else { b"" };
            [&head, size.as_bytes(), &body[..part], end].concat()
        }
        _ => [b"HTTP/1.1 200 OK\r\n\r\n", &body[..part]].concat(),
    }
}

fn reset_in_body(cases: &mut Cases) {
    for framing in FRAMINGS {
        let expected = one_of(&["BodyCutShort"]).says("ended before it was complete").tries(1);
        cases.answer(framing, Both, retries, expected, move |case, _| {
            let body = case.method.good(&case.secrets.returned);
            vec![Step::Send(framed(framing, 200, body.as_bytes(), 20)), Step::Reset]
        });
    }
}

fn silent(cases: &mut Cases) {
    let expected = one_of(&["Timeout"]).says("700ms (`timeout`)").within(SHORT);
    cases.answer("before the head", Both, short, expected, |_, _| Step::Silence);
    cases.answer("in the head", Both, short, expected, |_, _| {
        vec![Step::Send(b"HTTP/1.1 200 OK\r\nContent-".into()), Step::Silence]
    });
    for framing in FRAMINGS {
        for part in [0, 20] {
            cases.answer("in the body", Both, short, expected, move |case, _| {
                let body = case.method.good(&case.secrets.returned);
                vec![Step::Send(framed(framing, 200, body.as_bytes(), part)), Step::Silence]
            });
        }
    }
    // The status is known: the body has 2 s to tell more.
    let expected = one_of(&["NotFound"]).within(Duration::from_secs(2)).tries(1);
    cases.answer("in an error's body", Both, retries, expected, |_, _| {
        vec![Step::Send(framed("chunked", 404, b"<html>", 3)), Step::Silence]
    });
}

fn trickle(cases: &mut Cases) {
    let expected = one_of(&["Timeout"]).says("700ms (`timeout`)").within(SHORT);
    let beginnings: [(&str, &[u8]); 5] = [
        ("status line", b"HTTP/1.1 200 "),
        ("headers", b"HTTP/1.1 200 OK\r\nX: "),
        ("body", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"),
        ("body until the close", b"HTTP/1.1 200 OK\r\n\r\n{"),
        ("chunk size", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ];
    for (place, beginning) in beginnings {
        cases.answer(place, Both, short, expected, move |_, _| {
            let more = if place == "chunk size" { b"0".repeat(200) } else { b" ".repeat(200) };
            vec![Step::Send(beginning.into()), Step::Trickle(more, BYTE)]
        });
    }
    cases.answer("chunks of a byte", Both, short, expected, |_, _| {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n";
        let mut steps = vec![Step::Send(head.into())];
        for _ in 0..200 {
            steps.extend([Step::Pause(BYTE), Step::Send(b"1\r\n \r\n".into())]);
        }
        steps
    });
}

fn slow_handshake(cases: &mut Cases) {
    fn tweak(builder: ClientBuilder) -> ClientBuilder {
        builder.connect_timeout(SHORT).max_retries(2)
    }
    let expected = one_of(&["Timeout"]).says("700ms (`connect_timeout`)").within(SHORT);
    for steps in
        [vec![Step::Silence], vec![Step::Trickle(b"\x16\x03\x03\x3f\xff".repeat(50), BYTE)]]
    {
        cases.each(Https, move |case| {
            let steps = steps.clone();
            async move {
                let server = Server::raw(move |_| steps.clone());
                let url = server.url().replace("http:", "https:");
                let caller = case.caller_at(&url, tweak);
                case.expect(&caller, "", expected).await;
                no_token_at(&case, &server, "");
                case.check(server.connections() == 1, "", "it was tried again");
            }
        });
    }
}

/// Nothing but the greeting of TLS came.
fn no_token_at(case: &Case, server: &Server, at: &str) {
    let bytes = String::from_utf8_lossy(&server.other_bytes()).into_owned();
    let sent = server.count() > 0 || bytes.contains("HTTP/") || bytes.contains("security");
    case.check(!sent, at, "a request was sent");
}

fn endless_interim(cases: &mut Cases) {
    let expected = one_of(&["Timeout"]).says("700ms (`timeout`)").within(SHORT);
    let early = b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n";
    cases.answer("one after the other", Both, short, expected, |_, _| {
        let one = [Step::Send(early.to_vec()), Step::Pause(Duration::from_millis(1))];
        std::iter::repeat_n(one, 3_000).flatten().collect::<Vec<_>>()
    });
    // Not more: hyper reads what has come without a break, and on a runtime of one thread the
    // timer has to wait for it.
    cases.answer("1,000 at once", Both, short, expected, |_, _| {
        vec![Step::Send(early.repeat(1_000)), Step::Silence]
    });
}

fn kept_alive(cases: &mut Cases) {
    cases.each(Both, |case| async move {
        let told = case.clone();
        let server = case.raw_server(move |_| vec![Step::Read, Step::Send(good(&told))]);
        let caller = case.caller(&server, retries);
        for _ in 0..5 {
            case.expect(&caller, "closed", one_of(&["Ok"])).await;
        }
        case.check_requests(&server, "closed", None);
    });
    cases.each(Both, |case| async move {
        let told = case.clone();
        let server = case.raw_server(move |_| {
            vec![Step::Read, Step::Send(good(&told)), Step::Read, Step::Reset]
        });
        let caller = case.caller(&server, retries);
        for _ in 0..4 {
            case.expect(&caller, "reset", one_of(&["Ok"])).await;
        }
        case.check_requests(&server, "reset", None);
    });
}

fn unasked(cases: &mut Cases) {
    // Whether the connection is found out before it is used again is a matter of luck, what counts
    // is that no call takes another one's answer.
    let poison = || json(r#"{"MediaContainer":{"token":"poison"}}"#);
    cases.each(Both, move |case| async move {
        let told = case.clone();
        let server = case.server(move |_| [good(&told), poison()].concat());
        let caller = case.caller(&server, plain);
        case.expect(&caller, "first", one_of(&["Ok"])).await;
        for _ in 0..5 {
            let expected = one_of(&["Ok", "Connection", "Protocol"]);
            case.expect(&caller, "later", expected).await;
        }
    });
}

fn not_http(cases: &mut Cases) {
    let expected = one_of(&["Protocol"]).says("not HTTP").tries(1);
    let greetings: [&[u8]; 7] = [
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"220 mail ESMTP\r\n",
        b"\0\x01\x02\x03\xff\xfe\xfd\xfc\0\0\0\0\0\0\0\0",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80\0\x04\0\x01\0\0\0\x05\0\xff\xff\xff",
        b"{\"MediaContainer\":{\"token\":\"poison\"}}\r\n\r\n",
        b"HTTP/3.0 200 OK\r\n\r\n",
    ];
    for greeting in greetings {
        cases.answer("", Both, retries, expected, move |_, _| {
            vec![Step::Send(greeting.into()), Step::Close]
        });
    }
}

/// A server whose certificate does not fit: nothing is sent to it.
async fn refused_certificate(
    case: Case,
    url: impl Fn(SocketAddr) -> String,
    config: Arc<tokio_rustls::rustls::ServerConfig>,
    says: &'static str,
    trusting: bool,
) {
    let server = Server::start_tls(config, |_| Step::Close);
    let url = url(server.address());
    let caller = if trusting { case.caller_at(&url, retries) } else { case.stranger_at(&url) };
    case.expect(&caller, says, one_of(&["Tls"]).says(says)).await;
    case.check(server.count() == 0, says, "a request was sent");
    case.check(server.connections() == 1, says, "it was tried again");
}

fn by_address(address: SocketAddr) -> String {
    format!("https://{address}")
}

fn by_name(address: SocketAddr) -> String {
    format!("https://localhost:{}", address.port())
}

const PLEX_DIRECT: &str = "Plex's certificates name `plex.direct` hosts";
const CERTIFICATE: &str = "the certificate must be valid for this host";

fn unknown_issuer(cases: &mut Cases) {
    cases.each(Https, |case| {
        let config = AUTHORITY.server("127.0.0.1");
        refused_certificate(case, by_address, config, PLEX_DIRECT, false)
    });
    cases.each(Https, |case| {
        let config = AUTHORITY.server("localhost");
        refused_certificate(case, by_name, config, CERTIFICATE, false)
    });
}

fn wrong_name(cases: &mut Cases) {
    cases.each(Https, |case| {
        let config = AUTHORITY.server("another.example");
        refused_certificate(case, by_address, config, PLEX_DIRECT, true)
    });
    cases.each(Https, |case| {
        let config = AUTHORITY.server("another.example");
        refused_certificate(case, by_name, config, CERTIFICATE, true)
    });
}

fn expired(cases: &mut Cases) {
    cases.each(Https, |case| {
        let config = AUTHORITY.expired("127.0.0.1");
        refused_certificate(case, by_address, config, PLEX_DIRECT, true)
    });
    cases.each(Https, |case| {
        let config = AUTHORITY.expired("localhost");
        refused_certificate(case, by_name, config, CERTIFICATE, true)
    });
}

fn plain_server(cases: &mut Cases) {
    for answer in [&b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"[..], b"SSH-2.0-x\r\n"]
    {
        cases.each(Https, move |case| async move {
            let server = Server::raw(move |_| vec![Step::Send(answer.into()), Step::Silence]);
            let url = server.url().replace("http:", "https:");
            let caller = case.caller_at(&url, retries);
            case.expect(&caller, "", one_of(&["Tls"]).says("no secure connection")).await;
            no_token_at(&case, &server, "");
            case.check(server.connections() == 1, "", "it was tried again");
        });
    }
}

fn tls_server(cases: &mut Cases) {
    cases.each(Http, |case| async move {
        let server = Server::start_tls(AUTHORITY.server("127.0.0.1"), |_| Step::Close);
        let url = server.url().replace("https:", "http:");
        let caller = case.caller_at(&url, retries);
        let expected = one_of(&["Protocol"]).says("a port for TLS needs `https`");
        case.expect(&caller, "", expected).await;
    });
}

fn own_root(cases: &mut Cases) {
    cases.answer("", Https, plain, one_of(&["Ok"]).tries(1), |case, _| good(case));
}

const TOO_LARGE: Expected = one_of(&["BodyTooLarge"]).says("(`max_response_bytes`)").tries(1);

fn endless_body(cases: &mut Cases) {
    let heads: [(&str, &[u8], &[u8]); 3] = [
        ("chunked", b"Transfer-Encoding: chunked\r\n\r\n", b"10\r\n               [\r\n"),
        ("Content-Length", b"Content-Length: 1099511627776\r\n\r\n", b"               ["),
        ("until the close", b"\r\n", b"               ["),
    ];
    fn tweak(builder: ClientBuilder) -> ClientBuilder {
        builder.max_response_bytes(64 * 1024).max_retries(2)
    }
    for (framing, head, body) in heads {
        cases.answer(framing, Both, tweak, TOO_LARGE, move |_, _| {
            let head = [b"HTTP/1.1 200 OK\r\n", head].concat();
            vec![Step::Send(head), Step::Endless(body.repeat(1_000))]
        });
    }
    // Nothing but chunk extensions and trailers: no body at all, but no end either.
    let expected = one_of(&["BodyCutShort", "Timeout"]).within(SHORT);
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    cases.answer("a chunk extension", Both, short, expected, move |_, _| {
        vec![Step::Send([&head[..], b"1;"].concat()), Step::Endless(b"x".repeat(10_000))]
    });
    cases.answer("trailers", Both, short, expected, move |_, _| {
        vec![Step::Send([&head[..], b"0\r\n"].concat()), Step::Endless(b"x: y\r\n".repeat(1_000))]
    });
}

fn endless_error_body(cases: &mut Cases) {
    for (status, kind) in
        [(401, "Unauthorized"), (404, "NotFound"), (500, "UnexpectedStatus"), (301, "Redirect")]
    {
        let kinds: &'static [&'static str] = match kind {
            "Unauthorized" => &["Unauthorized"],
            "NotFound" => &["NotFound"],
            "Redirect" => &["Redirect"],
            _ => &["UnexpectedStatus"],
        };
        let expected = one_of(kinds).within(Duration::from_secs(2)).tries(1);
        cases.answer(kind, Both, retries, expected, move |_, _| {
            let head = format!("HTTP/1.1 {status} X\r\nTransfer-Encoding: chunked\r\n\r\n");
            vec![Step::Send(head.into()), Step::Endless(b"8\r\n[[[[[[[[\r\n".repeat(1_000))]
        });
    }
}

fn content_length(cases: &mut Cases) {
    let protocol = one_of(&["Protocol"]).says("not HTTP").tries(1);
    let lengths: [(&str, &str, Expected); 7] = [
        ("2^63", "Content-Length: 9223372036854775808", TOO_LARGE),
        ("2^64 - 3", "Content-Length: 18446744073709551613", TOO_LARGE),
        ("2^64", "Content-Length: 18446744073709551616", protocol),
        ("negative", "Content-Length: -1", protocol),
        ("no number", "Content-Length: ten", protocol),
        ("two", "Content-Length: 5\r\nContent-Length: 6", protocol),
        ("a list", "Content-Length: 5, 6", protocol),
    ];
    for (at, header, expected) in lengths {
        cases.answer(at, Both, retries, expected, move |_, _| {
            let head = format!("HTTP/1.1 200 OK\r\n{header}\r\n\r\n");
            vec![Step::Send(head.into()), Step::Send(b"[1,2]".into()), Step::Close]
        });
    }
}

fn at_limit(cases: &mut Cases) {
    const LIMIT: usize = 512;
    fn tweak(builder: ClientBuilder) -> ClientBuilder {
        builder.max_response_bytes(LIMIT).max_retries(2)
    }
    for framing in FRAMINGS {
        for (at, over, size) in
            [("under", false, LIMIT - 1), ("at", false, LIMIT), ("over", true, LIMIT + 1)]
        {
            let expected = if over {
                TOO_LARGE.says("larger than 512 bytes")
            } else {
                one_of(&["Ok"]).tries(1)
            };
            cases.answer(at, Both, tweak, expected, move |case, _| {
                let body = case.method.good(&case.secrets.returned);
                let body = format!("{body:size$}");
                vec![Step::Send(framed(framing, 200, body.as_bytes(), size)), Step::Close]
            });
        }
    }
}

fn huge_head(cases: &mut Cases) {
    let expected = one_of(&["Protocol"]).says("its head is too large").tries(1);
    // Both go on until the client is fed up: the server is not to hold 10 MB.
    cases.answer("10 MB", Both, retries, expected, |_, _| {
        let header = format!("X: {}\r\n", "y".repeat(10_000));
        vec![Step::Send(b"HTTP/1.1 200 OK\r\n".into()), Step::Endless(header.into())]
    });
    cases.answer("100,000 headers", Both, retries, expected, |_, _| {
        vec![Step::Send(b"HTTP/1.1 200 OK\r\n".into()), Step::Endless(b"X: y\r\n".repeat(100))]
    });
    cases.answer("one header", Both, retries, expected, |_, _| {
        vec![Step::Send(b"HTTP/1.1 200 OK\r\nX: ".into()), Step::Endless(b"y".repeat(10_000))]
    });
    cases.answer("status line", Both, retries, expected, |_, _| {
        vec![Step::Send(b"HTTP/1.1 200 ".into()), Step::Endless(b"y".repeat(10_000))]
    });
}

fn bad_chunks(cases: &mut Cases) {
    let expected = one_of(&["BodyCutShort"]).says("ended before it was complete").tries(1);
    let bodies: [&[u8]; 5] = [
        b"x\r\n{}\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        b"-2\r\n{}\r\n0\r\n\r\n",
        b"2\r\n{}x\r\n0\r\n\r\n",
        b"2\n{}\n0\n\n",
    ];
    for body in bodies {
        cases.answer("", Both, retries, expected, move |_, _| {
            let head = &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"[..];
            vec![Step::Send([head, body].concat()), Step::Close]
        });
    }
}

fn compressed(cases: &mut Cases) {
    let expected = one_of(&["NotJson"]).says("compressed data, which was not asked for").tries(1);
    // Of `{"MediaContainer":{"token":"poison"}}`.
    let gzip: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\x02\x03\xabV\xf2MM\xc9LtN\xcc+I\xcc\xccK-R\
        \xb2\xaaV*\xc9\xcfN\xcdS\xb2R*\xc8\xcf,\xce\xcfS\xaa\xad\x05\0\x99p\xc9\x8e%\0\0\0";
    for encoding in ["gzip", "x-gzip", "br", "zstd", "deflate", "GZip", "identity, gzip", "secret"]
    {
        cases.answer(encoding, Both, retries, expected, move |_, _| {
            respond(200, &[("Content-Encoding", encoding)], gzip)
        });
        cases.answer("without end", Http, retries, expected, move |_, _| {
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\n\
                 Transfer-Encoding: chunked\r\n\r\n"
            );
            vec![Step::Send(head.into()), Step::Endless(b"8\r\n\0\0\0\0\0\0\0\0\r\n".repeat(999))]
        });
    }
    cases.answer("gzip, unnamed", Both, retries, expected, move |_, _| json(gzip));
    cases.answer("zstd, unnamed", Both, retries, expected, |_, _| json(b"\x28\xb5\x2f\xfd\0\0\0"));
    cases.answer("identity", Both, retries, one_of(&["Ok"]).tries(1), |case, _| {
        let body = case.method.good(&case.secrets.returned);
        respond(200, &[("Content-Encoding", "identity")], body)
    });
    let expected = one_of(&["Unauthorized"]).tries(1);
    cases.answer("an error", Both, retries, expected, move |_, _| {
        respond(401, &[("Content-Encoding", "gzip")], gzip)
    });
}

/// Refuses the first `refusals` tries.
fn refusing(case: &Case, number: usize, refusals: usize, refusal: Vec<u8>) -> Vec<u8> {
    if number < refusals { refusal } else { good(case) }
}

fn busy(status: u16) -> &'static [&'static str] {
    match status {
        429 => &["TooManyRequests"],
        503 => &["Unavailable"],
        _ => &["UnexpectedStatus"],
    }
}

fn short_wait(cases: &mut Cases) {
    for status in [429, 503] {
        for wait in ["0", "1", "Sun, 06 Nov 1994 08:49:37 GMT", " 0 "] {
            cases.answer(wait, Http, retries, one_of(&["Ok"]).tries(2), move |case, number| {
                refusing(case, number, 1, respond(status, &[("Retry-After", wait)], ""))
            });
        }
        for wait in ["0", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            let expected = one_of(busy(status)).says("it asks to come back in 0 s").tries(3);
            cases.answer(wait, Http, retries, expected, move |case, number| {
                refusing(case, number, 9, respond(status, &[("Retry-After", wait)], ""))
            });
        }
        // What the server asks for is waited for.
        cases.each(Http, move |case| async move {
            let told = case.clone();
            let server = case.server(move |request| {
                refusing(&told, request.number, 2, respond(status, &[("Retry-After", "1")], ""))
            });
            let caller = case.caller(&server, retries);
            let started = std::time::Instant::now();
            case.expect(&caller, "twice 1 s", one_of(&["Ok"])).await;
            let waited = started.elapsed() >= Duration::from_secs(2);
            case.check(waited, "twice 1 s", "it did not wait");
            case.check_requests(&server, "twice 1 s", Some(3));
        });
    }
}

fn long_wait(cases: &mut Cases) {
    for status in [429, 503] {
        for (wait, says) in [
            ("86400", "come back in 86400 s"),
            ("Fri, 31 Dec 9999 23:59:59 GMT", "it asks to come back in "),
            ("18446744073709551615", "come back in 18446744073709551615 s"),
        ] {
            let expected = one_of(busy(status)).says(says).within(Duration::ZERO).tries(1);
            cases.answer(wait, Both, retries, expected, move |_, _| {
                respond(status, &[("Retry-After", wait)], "")
            });
        }
    }
}

fn nonsense_wait(cases: &mut Cases) {
    for status in [429, 503] {
        for wait in ["soon", "-1", "1.5", "18446744073709551616", "", "1 s", "\u{fc}", "1, 2"] {
            cases.answer(
                wait,
                Http,
                one_retry,
                one_of(busy(status)).tries(2),
                move |case, number| {
                    refusing(case, number, 9, respond(status, &[("Retry-After", wait)], ""))
                },
            );
        }
    }
}

fn recovers(cases: &mut Cases) {
    for status in [429, 502, 503, 504] {
        for (at, refusals) in [("at the second try", 1), ("at the third try", 2), ("never", 9)] {
            let expected = match refusals {
                9 => one_of(busy(status)).says("(tried 3 times in").tries(3),
                _ => one_of(&["Ok"]).tries(refusals + 1),
            };
            cases.answer(at, Both, retries, expected, move |case, number| {
                refusing(case, number, refusals as usize, respond(status, &[], ""))
            });
        }
    }
    for (at, refusals) in [("at the second try", 1), ("at the third try", 2), ("never", 9)] {
        let expected = match refusals {
            9 => one_of(&["Connection"]).says("(tried 3 times in").tries(3),
            _ => one_of(&["Ok"]).tries(refusals + 1),
        };
        cases.answer(at, Both, retries, expected, move |case, number| -> Steps {
            if number < refusals as usize { Step::Reset.into() } else { good(case).into() }
        });
    }
    for status in [400, 401, 403, 404, 408, 425, 500, 501, 505, 521] {
        let kinds = match status {
            400 => &["BadRequest"],
            401 => &["Unauthorized"],
            403 => &["Forbidden"],
            404 => &["NotFound"],
            _ => &["UnexpectedStatus"],
        };
        cases.answer("not tried again", Http, retries, one_of(kinds).tries(1), move |_, _| {
            respond(status, &[("Retry-After", "0")], "")
        });
    }
}

fn outage(cases: &mut Cases) {
    cases.each(Http, |case| async move {
        const CALLS: usize = 256;
        let told = case.clone();
        let server = Arc::new(case.server(move |_| good(&told)));
        let caller = case.caller(&server, |builder| builder.max_retries(3));
        let stopping = {
            let server = server.clone();
            std::thread::spawn(move || {
                for _ in 0..20 {
                    server.stop();
                    std::thread::sleep(Duration::from_millis(20));
                    server.go_on();
                    std::thread::sleep(Duration::from_millis(20));
                }
            })
        };
        let calls = (0..CALLS).map(|_| case.call(&caller.client));
        for result in futures_util::future::join_all(calls).await {
            let tries = result
                .as_ref()
                .err()
                .and_then(|error| error.failure())
                .map(|failure| failure.tries);
            let expected = one_of(&["Ok", "Connection", "BodyCutShort", "Timeout"]);
            case.judge(&caller, "during", expected.tries(tries.unwrap_or(1)), &result);
        }
        stopping.join().unwrap();
        case.expect(&caller, "afterwards", one_of(&["Ok"])).await;
    });
}

fn dropped(cases: &mut Cases) {
    cases.each(Both, |case| async move {
        let told = case.clone();
        let server = case.server(move |request| -> Steps {
            // The dropped calls get their answers in pieces, the others whole.
            let answer = good(&told);
            if request.header("x-plex-client-identifier") == Some("dropped") {
                let pieces = answer.chunks(8).map(|piece| Step::Send(piece.into()));
                pieces.collect::<Vec<_>>().into()
            } else {
                answer.into()
            }
        });
        for polls in 0..40 {
            let caller =
                case.caller(&server, |builder| builder.client_identifier("dropped").max_retries(0));
            let finished = poll_a_few_times(case.call(&caller.client), polls).await;
            drop(finished);
            case.expect(&caller, "after a few polls", one_of(&["Ok"])).await;
        }
        case.check_requests(&server, "", None);
    });
}

/// Polls a future so many times, each time it asks for it, then drops it.
async fn poll_a_few_times<T>(future: impl Future<Output = T>, polls: usize) -> Option<T> {
    let mut future = std::pin::pin!(future);
    let mut left = polls;
    std::future::poll_fn(move |context| {
        if left == 0 {
            return std::task::Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}
