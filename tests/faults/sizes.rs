//! The faults of sizes: heads, bodies, and how they are cut.

use plex_auth::{ClientBuilder, ErrorKind};
use support::{FRAMINGS, Step, framed, json, respond};

use crate::case::{Expected, OK, Row, SHORT, TIMES_OUT, fails, short};

const TOO_LARGE: Expected = fails(ErrorKind::BodyTooLarge, "(`max_response_bytes`)");

pub(crate) const ROWS: &[Row] = &[
    Row {
        fault: "a body without an end: chunked, with a large `Content-Length`, until the close",
        result: "`BodyTooLarge`, not retried; `Timeout`",
        run: |case| {
            Box::pin(async move {
                fn limited(builder: ClientBuilder) -> ClientBuilder {
                    builder.max_response_bytes(64 * 1024)
                }
                for (head, body) in [
                    ("Transfer-Encoding: chunked\r\n\r\n", "10\r\n               [\r\n"),
                    ("Content-Length: 1099511627776\r\n\r\n", "               ["),
                    ("Content-Length: 9223372036854775808\r\n\r\n", "               ["),
                    ("\r\n", "               ["),
                ] {
                    let start = format!("HTTP/1.1 200 OK\r\n{head}");
                    let endless = Step::Endless(body.repeat(1_000).into());
                    let steps = vec![Step::Send(start.into()), endless];
                    case.answer_with(limited, head, TOO_LARGE, steps).await;
                }
                let start = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
                let trailers = vec![
                    Step::Send(start.into()),
                    Step::Trickle(b"x: y\r\n".repeat(999), SHORT / 100),
                ];
                case.answer_with(short, "trailers", TIMES_OUT, trailers).await;
            })
        },
    },
    Row {
        fault: "a body one byte under, at and over the limit, in each framing",
        result: "the value, the value, `BodyTooLarge`",
        run: |case| {
            Box::pin(async move {
                fn limited(builder: ClientBuilder) -> ClientBuilder {
                    builder.max_response_bytes(512)
                }
                for framing in FRAMINGS {
                    for (size, expected) in [(511, OK), (512, OK), (513, TOO_LARGE)] {
                        let body = format!("{:size$}", case.body());
                        let whole = framed(framing, 200, body.as_bytes(), size);
                        let steps = vec![Step::Send(whole), Step::Close];
                        case.answer_with(limited, framing, expected, steps).await;
                    }
                }
            })
        },
    },
    Row {
        fault: "a head without an end",
        result: "`Protocol`",
        run: |case| {
            Box::pin(async move {
                for (beginning, more) in [
                    ("HTTP/1.1 200 OK\r\n", "X: y\r\n"),
                    ("HTTP/1.1 200 OK\r\nX: ", "yyyyyyyyyyyyyyyy"),
                    ("HTTP/1.1 200 ", "yyyyyyyyyyyyyyyy"),
                ] {
                    let endless = Step::Endless(more.repeat(500).into());
                    let steps = vec![Step::Send(beginning.into()), endless];
                    let expected = fails(ErrorKind::Protocol, "its head is too large");
                    case.answer(beginning, expected, steps).await;
                }
            })
        },
    },
    Row {
        fault: "a compressed body, named or not, without an end",
        result: "`Decode`, which says so; `identity` and an empty one are no encoding",
        run: |case| {
            Box::pin(async move {
                // Of `{"MediaContainer":{"token":"poison"}}`.
                let gzip: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\x02\x03\xabV\xf2MM\xc9LtN\xcc+I\xcc\xccK-R\
                    \xb2\xaaV*\xc9\xcfN\xcdS\xb2R*\xc8\xcf,\xce\xcfS\xaa\xad\x05\0\x99p\xc9\x8e%\0\0\0";
                let body = case.body();
                let encoded =
                    |encoding, body| respond(200, &[("Content-Encoding", encoding)], body);
                let expected = fails(ErrorKind::Decode, "compressed");
                for encoding in ["gzip", "br", "GZip", "identity, gzip", "secret"] {
                    case.answer(encoding, expected, encoded(encoding, gzip)).await;
                }
                let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n";
                let endless = Step::Endless(vec![0; 9_000]);
                case.answer("a bomb", expected, vec![Step::Send(head.into()), endless]).await;
                case.answer("unnamed", fails(ErrorKind::Decode, ""), json(gzip)).await;
                for encoding in ["identity", "Identity", "", " , identity"] {
                    case.answer(encoding, OK, encoded(encoding, body.as_bytes())).await;
                }
                let error = respond(401, &[("Content-Encoding", "gzip")], gzip);
                case.answer("an error", fails(ErrorKind::Unauthorized, ""), error).await;
            })
        },
    },
];
