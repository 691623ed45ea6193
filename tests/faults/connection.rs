//! The faults of connections.

use std::time::Duration;

use plex_auth::ErrorKind;
use support::{Script, Step, refusing_port};

use crate::case::{
    Expected, FRAMINGS, OK, Row, SHORT, TIMES_OUT, check_requests, fails, framed, retried,
};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "name_unresolved_or_connection_refused",
        fault: "a host's name that does not resolve, a connection that is refused",
        result: "`Connect`, retried twice at most, with a hint for the kind of name",
        run: |case| {
            for (domain, hint) in
                [("local", "(a `.local` name needs mDNS"), ("lan", "(is it spelt")]
            {
                // A label of more than 63 characters: no resolver asks the network for it.
                let client = case.client(&format!("http://{}.{domain}", "a".repeat(64)), |it| it);
                case.expect(&client, domain, retried(hint));
            }
            let (_port, address) = refusing_port();
            let client = case.client(&format!("http://{address}"), |it| it.max_retries(5));
            let twice = Expected { attempts: 3, ..retried("connection refused; is the server up") };
            case.expect(&client, "", twice);
        },
    },
    Row {
        name: "connection_closed_before_the_response",
        fault: "a connection closed or reset at once, after the request, in the middle of the head",
        result: "`Connect`, retried",
        run: |case| {
            for (end, says) in [(Step::Close, "closed before a response came"), (Step::Reset, "")] {
                let server = case.start(Script::Raw(end.clone().into()));
                let client = case.client(&server.url(), |it| it);
                case.expect(&client, "at once", retried(says));
                assert_eq!(server.connections(), 2);
                for head in ["", "H", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"] {
                    let steps = vec![Step::Send(head.into()), end.clone()];
                    case.answer(head, retried(says), steps);
                }
            }
        },
    },
    Row {
        name: "silence_in_the_response",
        fault: "silence before the head, in it, after it, in the middle of the body",
        result: "`Timeout` after `timeout`, not retried",
        run: |case| {
            let beginnings = [Vec::new(), b"HTTP/1.1 200 OK\r\nContent-".into()].into_iter();
            let of_body = |part| {
                let body = case.body();
                FRAMINGS.map(|framing| framed(framing, 200, body.as_bytes(), part))
            };
            for beginning in beginnings.chain(of_body(0)).chain(of_body(20)) {
                let at = String::from_utf8_lossy(&beginning).into_owned();
                let steps = vec![Step::Send(beginning), Step::Silence];
                case.answer_with(|it| it.timeout(SHORT), &at, TIMES_OUT, steps);
            }
            // The status is known: the rest of the body has 2 s to arrive.
            let part = framed("chunked", 404, b"<html>", 3);
            let steps = vec![Step::Send(part), Step::Silence];
            case.answer("in an error's body", fails(ErrorKind::NotFound, ""), steps);
        },
    },
    Row {
        name: "byte_every_100_ms",
        fault: "a byte every 100 ms without an end: status line, headers, body, chunk size",
        result: "`Timeout` after `timeout`, not retried",
        run: |case| {
            for (beginning, more) in [
                ("HTTP/1.1 200 ", " "),
                ("HTTP/1.1 200 OK\r\nX: ", " "),
                ("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{", " "),
                ("HTTP/1.1 200 OK\r\n\r\n{", " "),
                ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "0"),
            ] {
                let more = Step::Trickle(more.repeat(200).into(), Duration::from_millis(100));
                let steps = vec![Step::Send(beginning.into()), more];
                case.answer_with(|it| it.timeout(SHORT), beginning, TIMES_OUT, steps);
            }
        },
    },
    Row {
        name: "kept_alive_connection_closed_by_the_server",
        fault: "a kept-alive connection that the server closed just before the next call",
        result: "the value",
        run: |case| {
            let steps = vec![Step::Send(case.good()), Step::Close];
            let server = case.server(move |_| steps.clone());
            let client = case.client(&server.url(), |it| it);
            for _ in 0..5 {
                case.expect(&client, "", OK);
            }
            check_requests(&server, "");
        },
    },
    Row {
        name: "not_http",
        fault: "another protocol, a body without a head, two lengths, a head without an end",
        result: "`Protocol`, not retried",
        run: |case| {
            let expected = fails(ErrorKind::Protocol, "not HTTP, or its head is too large");
            for greeting in [
                "SSH-2.0-OpenSSH_9.9\r\n",
                "{\"MediaContainer\":{\"token\":\"poison\"}}\r\n\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n[1,2]",
            ] {
                let steps = vec![Step::Send(greeting.into()), Step::Close];
                case.answer(greeting, expected, steps);
            }
            let head = Step::Send("HTTP/1.1 200 OK\r\nX: ".into());
            let steps = vec![head, Step::Endless("y".repeat(9_000).into())];
            case.answer("a head without an end", expected, steps);
        },
    },
];
