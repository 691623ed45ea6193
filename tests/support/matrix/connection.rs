//! The faults of connections, and of the caller.

use std::time::Duration;

use plex_auth::reqwest;

use super::sizes::{FRAMINGS, framed};
use super::{BOTH, Cases, Expected, HTTP, OK, SHORT, one_of, one_retry, plain, retries, short};
use crate::{Step, Steps, json, refusing_port};

const BYTE: Duration = Duration::from_millis(100);

pub(super) fn unresolved(cases: &mut Cases) {
    let says = "the host's name could not be resolved (DNS servers with rebinding protection";
    let expected = one_of("Connect").says(says).attempts(2);
    cases.each(HTTP, move |case| async move {
        // A label of more than 63 characters: no resolver asks the network for it.
        let url = format!("http://{}.local", "a".repeat(64));
        case.expect(&case.client_at(&url, one_retry), "by the system", expected).await;
    });
    cases.each(BOTH, move |case| async move {
        struct Ignorant;
        impl reqwest::dns::Resolve for Ignorant {
            fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
                Box::pin(async { Err("no such host".into()) })
            }
        }
        let scheme = if case.https { "https" } else { "http" };
        let client = case.client_at(&format!("{scheme}://nowhere.local:32400"), |builder| {
            builder.max_retries(1).configure_http(|http| http.dns_resolver(Ignorant))
        });
        case.expect(&client, "by a resolver of the closure's", expected).await;
    });
}

pub(super) fn refused(cases: &mut Cases) {
    cases.each(HTTP, |case| async move {
        let (_port, address) = refusing_port();
        let client = case.client_at(&format!("http://{address}"), |builder| builder.max_retries(5));
        let expected = one_of("Connect").says("connection refused; is the server up").attempts(3);
        case.expect(&client, "", expected).await;
    });
}

/// Ends connections at once (with TLS: after the handshake), after the request, in the head.
fn ended(cases: &mut Cases, end: Step, expected: Expected) {
    let copy = end.clone();
    cases.each(BOTH, move |case| {
        let end = copy.clone();
        async move {
            let server = case.raw_server(move |_| end.clone());
            case.expect(&case.client(&server, one_retry), "at once", expected).await;
            case.check(server.connections() == 2, "at once", "another number of connections");
        }
    });
    for head in ["", "H", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"] {
        let end = end.clone();
        cases.answer(head, BOTH, one_retry, expected, move |_, _| {
            vec![Step::Send(head.into()), end.clone()]
        });
    }
}

pub(super) fn closed(cases: &mut Cases) {
    let says = "the connection was closed before a response came";
    ended(cases, Step::Close, one_of("Connect").says(says).attempts(2));
}

pub(super) fn reset(cases: &mut Cases) {
    ended(cases, Step::Reset, one_of("Connect").attempts(2));
}

pub(super) fn reset_in_body(cases: &mut Cases) {
    for framing in FRAMINGS {
        let expected = one_of("BodyCutShort").says("ended before it was complete").attempts(1);
        cases.answer(framing, BOTH, retries, expected, move |case, _| {
            vec![Step::Send(framed(framing, 200, case.body().as_bytes(), 20)), Step::Reset]
        });
    }
}

pub(super) fn silent(cases: &mut Cases) {
    let expected = one_of("Timeout").says("700ms (`timeout`)").within(SHORT);
    cases.answer("before the head", BOTH, short, expected, |_, _| Step::Silence);
    cases.answer("in the head", BOTH, short, expected, |_, _| {
        vec![Step::Send(b"HTTP/1.1 200 OK\r\nContent-".into()), Step::Silence]
    });
    for framing in FRAMINGS {
        for part in [0, 20] {
            cases.answer("in the body", BOTH, short, expected, move |case, _| {
                vec![Step::Send(framed(framing, 200, case.body().as_bytes(), part)), Step::Silence]
            });
        }
    }
    // The status is known: the rest of the body has 2 s to arrive.
    let expected = one_of("NotFound").within(Duration::from_secs(2)).attempts(1);
    cases.answer("in an error's body", BOTH, retries, expected, |_, _| {
        vec![Step::Send(framed("chunked", 404, b"<html>", 3)), Step::Silence]
    });
}

pub(super) fn trickle(cases: &mut Cases) {
    let expected = one_of("Timeout").says("700ms (`timeout`)").within(SHORT);
    let beginnings: [(&str, &[u8], &[u8]); 5] = [
        ("status line", b"HTTP/1.1 200 ", b" "),
        ("headers", b"HTTP/1.1 200 OK\r\nX: ", b" "),
        ("body", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{", b" "),
        ("body until the close", b"HTTP/1.1 200 OK\r\n\r\n{", b" "),
        ("chunk size", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    ];
    for (place, beginning, more) in beginnings {
        cases.answer(place, BOTH, short, expected, move |_, _| {
            vec![Step::Send(beginning.into()), Step::Trickle(more.repeat(200), BYTE)]
        });
    }
}

pub(super) fn endless_interim(cases: &mut Cases) {
    let expected = one_of("Timeout").says("700ms (`timeout`)").within(SHORT);
    let early = b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n";
    cases.answer("one after the other", BOTH, short, expected, |_, _| {
        let one = [Step::Send(early.to_vec()), Step::Pause(Duration::from_millis(1))];
        std::iter::repeat_n(one, 3_000).flatten().collect::<Vec<_>>()
    });
    // Not more: hyper reads what has arrived without a break, and on a runtime of one thread the
    // timer has to wait for it.
    cases.answer("1,000 at once", BOTH, short, expected, |_, _| {
        vec![Step::Send(early.repeat(1_000)), Step::Silence]
    });
}

pub(super) fn kept_alive(cases: &mut Cases) {
    for end in [Step::Close, Step::Reset] {
        cases.each(BOTH, move |case| {
            let end = end.clone();
            async move {
                let good = case.good();
                let server = case.raw_server(move |_| {
                    let answer = [Step::Read, Step::Send(good.clone())];
                    let read = matches!(end, Step::Reset).then_some(Step::Read);
                    answer.into_iter().chain(read).chain([end.clone()]).collect::<Vec<_>>()
                });
                let client = case.client(&server, retries);
                for _ in 0..5 {
                    case.expect(&client, "", OK).await;
                }
                case.check_requests(&server, "", None);
            }
        });
    }
}

pub(super) fn unasked(cases: &mut Cases) {
    // Whether the connection is discarded before it is used again is a matter of luck; what counts
    // is that no call takes another one's answer.
    cases.each(BOTH, move |case| async move {
        let poison = json(case.method.good("poison").to_string());
        let answer = [case.good(), poison].concat();
        let server = case.server(move |_| answer.clone());
        let client = case.client(&server, plain);
        case.expect(&client, "first", OK).await;
        for _ in 0..5 {
            case.expect(&client, "later", one_of("Ok Connect Protocol")).await;
        }
    });
}

pub(super) fn not_http(cases: &mut Cases) {
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
        let expected = one_of("Protocol").says("the response is not HTTP").attempts(1);
        cases.bytes("", expected, greeting);
    }
}

pub(super) fn dropped(cases: &mut Cases) {
    cases.each(BOTH, |case| async move {
        let scripted = case.clone();
        let server = case.server(move |request| -> Steps {
            // The dropped calls get their answers in pieces, the others whole.
            let answer = scripted.good();
            if request.header("x-plex-client-identifier") == Some("dropped") {
                let pieces = answer.chunks(8).map(|piece| Step::Send(piece.into()));
                pieces.collect::<Vec<_>>().into()
            } else {
                answer.into()
            }
        });
        for polls in 0..40 {
            let client = case.client(&server, |builder| builder.client_identifier("dropped"));
            drop(poll_a_few_times(case.call(&client), polls).await);
            case.expect(&client, "after a few polls", OK).await;
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
