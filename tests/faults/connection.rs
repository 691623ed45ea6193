//! The faults of connections, and of callers.

use std::time::Duration;

use plex_auth::ErrorKind;
use plex_auth::reqwest::dns::{Name, Resolve, Resolving};
use support::{FRAMINGS, Step, Steps, framed, refusing_port};

use crate::case::{Case, OK, Row, TIMES_OUT, check_requests, fails, retried, short};

pub(crate) const ROWS: &[Row] = &[
    Row {
        fault: "a host's name that does not resolve",
        result: "`Connect`, which names rebinding protection as a cause; retried",
        run: |case| {
            Box::pin(async move {
                let expected = retried("the host's name could not be resolved");
                // A label of more than 63 characters: no resolver asks the network for it.
                let client = case.client(&format!("http://{}.local", "a".repeat(64)), |it| it);
                case.expect(&client, "by the system", expected).await;
                let client = case.client("http://nowhere.local:32400", |builder| {
                    builder.configure_http(|http| http.dns_resolver(Ignorant))
                });
                let error = case.expect(&client, "by a resolver of the closure", expected).await;
                assert!(error.unwrap().to_string().contains("rebinding protection"));
            })
        },
    },
    Row {
        fault: "a connection that is refused",
        result: "`Connect`, retried twice at most",
        run: |case| {
            Box::pin(async move {
                let (_port, address) = refusing_port();
                let client = case.client(&format!("http://{address}"), |it| it.max_retries(5));
                case.expect(&client, "", retried("connection refused; is the server up")).await;
            })
        },
    },
    Row {
        fault: "a connection closed or reset at once, after the request, in the middle of the head",
        result: "`Connect`, retried",
        run: |case| {
            Box::pin(async move {
                for (end, says) in
                    [(Step::Close, "closed before a response came"), (Step::Reset, "")]
                {
                    let server = case.raw_server(end.clone());
                    let client = case.client(&server.url(), |it| it);
                    case.expect(&client, "at once", retried(says)).await;
                    assert_eq!(server.connections(), 3);
                    for head in ["", "H", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"] {
                        let steps = vec![Step::Send(head.into()), end.clone()];
                        case.answer(head, retried(says), steps).await;
                    }
                }
            })
        },
    },
    Row {
        fault: "silence before the head, in it, after it, in the middle of the body",
        result: "`Timeout` after `timeout`, not retried",
        run: |case| {
            Box::pin(async move {
                let beginnings = [Vec::new(), b"HTTP/1.1 200 OK\r\nContent-".into()].into_iter();
                let of_body = |part| {
                    let body = case.body();
                    FRAMINGS.map(|framing| framed(framing, 200, body.as_bytes(), part))
                };
                for beginning in beginnings.chain(of_body(0)).chain(of_body(20)) {
                    let at = String::from_utf8_lossy(&beginning).into_owned();
                    let steps = vec![Step::Send(beginning), Step::Silence];
                    case.answer_with(short, &at, TIMES_OUT, steps).await;
                }
                // The status is known: the rest of the body has 2 s to arrive.
                let part = framed("chunked", 404, b"<html>", 3);
                let steps = vec![Step::Send(part), Step::Silence];
                case.answer("in an error's body", fails(ErrorKind::NotFound, ""), steps).await;
            })
        },
    },
    Row {
        fault: "a byte every 100 ms without an end: status line, headers, body, chunk size",
        result: "`Timeout` after `timeout`, not retried",
        run: |case| {
            Box::pin(async move {
                for (beginning, more) in [
                    ("HTTP/1.1 200 ", " "),
                    ("HTTP/1.1 200 OK\r\nX: ", " "),
                    ("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{", " "),
                    ("HTTP/1.1 200 OK\r\n\r\n{", " "),
                    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "0"),
                ] {
                    let more = Step::Trickle(more.repeat(200).into(), Duration::from_millis(100));
                    let steps = vec![Step::Send(beginning.into()), more];
                    case.answer_with(short, beginning, TIMES_OUT, steps).await;
                }
            })
        },
    },
    Row {
        fault: "1xx before the response, 1xx and a close, 103 without an end",
        result: "the value; `Connect`; `Timeout` after `timeout`; for 101 `Status`",
        run: |case| {
            Box::pin(async move {
                let interim = |status: u16| {
                    format!("HTTP/1.1 {status} Wait\r\nX-Early: 1\r\n\r\n").into_bytes()
                };
                for status in [100, 102, 103, 199] {
                    let before = [interim(status).repeat(3), case.good()].concat();
                    case.answer("before the response", OK, before).await;
                }
                let close = vec![Step::Send(interim(103)), Step::Close];
                case.answer("and a close", retried(""), close).await;
                let switched = vec![Step::Send(interim(101)), Step::Close];
                case.answer("101", fails(ErrorKind::Status, ""), switched).await;
                let one = [Step::Send(interim(103)), Step::Pause(Duration::from_millis(1))];
                let endless: Vec<_> = std::iter::repeat_n(one, 3_000).flatten().collect();
                case.answer_with(short, "without an end", TIMES_OUT, endless).await;
                // Not more: hyper reads what has arrived without a break, and on a runtime of one
                // thread the timer has to wait for it.
                let many = vec![Step::Send(interim(103).repeat(1_000)), Step::Silence];
                case.answer_with(short, "1,000 at once", TIMES_OUT, many).await;
            })
        },
    },
    Row {
        fault: "a kept-alive connection that the server closed just before the next call",
        result: "the value",
        run: |case| {
            Box::pin(async move {
                let answer = vec![Step::Read, Step::Send(case.good())];
                let reset_late = [answer.clone(), vec![Step::Read, Step::Reset]].concat();
                for steps in [answer, reset_late] {
                    let server = case.raw_server(steps);
                    let client = case.client(&server.url(), |it| it);
                    for _ in 0..5 {
                        case.expect(&client, "", OK).await;
                    }
                    check_requests(&server, "");
                }
            })
        },
    },
    Row {
        fault: "SSH, binary data, HTTP/2, HTTP/0.9, an invalid status, two lengths",
        result: "`Protocol`, not retried",
        run: |case| {
            Box::pin(async move {
                for greeting in [
                    "SSH-2.0-OpenSSH_9.9\r\n",
                    "\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\0\0\x04\0\x01\0\0\0\x05\0\0\0\0",
                    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                    "{\"MediaContainer\":{\"token\":\"poison\"}}\r\n\r\n",
                    "HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n",
                    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n[1,2]",
                ] {
                    let expected = fails(ErrorKind::Protocol, "the response is not HTTP");
                    let steps = vec![Step::Send(greeting.into()), Step::Close];
                    case.answer(greeting, expected, steps).await;
                }
            })
        },
    },
    Row {
        fault: "a future dropped at each point",
        result: "the next call's value",
        run: |case| Box::pin(dropped(case)),
    },
];

struct Ignorant;

impl Resolve for Ignorant {
    fn resolve(&self, _: Name) -> Resolving {
        Box::pin(async { Err("no such host".into()) })
    }
}

async fn dropped(case: Case) {
    let server = case.server(move |request| -> Steps {
        // The dropped calls get their answers in pieces, the others whole.
        match request.header("x-plex-client-identifier") {
            Some("dropped") => {
                let pieces: Vec<_> =
                    case.good().chunks(8).map(|piece| Step::Send(piece.into())).collect();
                Steps::from(pieces)
            }
            _ => case.good().into(),
        }
    });
    let client = case.client(&server.url(), |it| it);
    let dropped = case.client(&server.url(), |builder| builder.client_identifier("dropped"));
    for polls in 0..40 {
        poll_a_few_times(case.call.make(&dropped), polls).await;
        case.expect(&client, "after a few polls", OK).await;
    }
    check_requests(&server, "");
}

/// Polls a future so many times, each time it asks for it, then drops it.
async fn poll_a_few_times(future: impl Future, mut polls: usize) {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(move |context| {
        if polls == 0 {
            return std::task::Poll::Ready(());
        }
        polls -= 1;
        future.as_mut().poll(context).map(drop)
    })
    .await;
}
