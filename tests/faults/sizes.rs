//! The faults of sizes.

use plex_auth::ErrorKind;
use support::{Step, json, respond};

use crate::case::{Expected, FRAMINGS, OK, Row, fails, framed};

const TOO_LARGE: Expected = fails(ErrorKind::BodyTooLarge, "(`max_response_bytes`)");

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "body_without_an_end",
        fault: "a body without an end: chunked, with a large `Content-Length`, until the close",
        result: "`BodyTooLarge`, not retried",
        run: |case| {
            for (head, body) in [
                ("Transfer-Encoding: chunked\r\n\r\n", "10\r\n               [\r\n"),
                ("Content-Length: 1099511627776\r\n\r\n", "               ["),
                ("\r\n", "               ["),
            ] {
                let start = format!("HTTP/1.1 200 OK\r\n{head}");
                let endless = Step::Endless(body.repeat(1_000).into());
                let steps = vec![Step::Send(start.into()), endless];
                case.answer_with(|it| it.max_response_bytes(64 * 1024), head, TOO_LARGE, steps);
            }
        },
    },
    Row {
        name: "body_at_the_limit",
        fault: "a body one byte under, at and over the limit, in each framing",
        result: "the value, the value, `BodyTooLarge`",
        run: |case| {
            for framing in FRAMINGS {
                for (size, expected) in [(511, OK), (512, OK), (513, TOO_LARGE)] {
                    let body = format!("{:size$}", case.body());
                    let whole = framed(framing, 200, body.as_bytes(), size);
                    let steps = vec![Step::Send(whole), Step::Close];
                    case.answer_with(|it| it.max_response_bytes(512), framing, expected, steps);
                }
            }
        },
    },
    Row {
        name: "body_compressed",
        fault: "a compressed body, named or not, without an end",
        result: "`Decode`, which says so; `identity` and an empty one are no encoding",
        run: |case| {
            // Of `{"MediaContainer":{"token":"poison"}}`.
            let gzip: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\x02\x03\xabV\xf2MM\xc9LtN\xcc+I\xcc\xccK-R\
                    \xb2\xaaV*\xc9\xcfN\xcdS\xb2R*\xc8\xcf,\xce\xcfS\xaa\xad\x05\0\x99p\xc9\x8e%\0\0\0";
            let body = case.body();
            let encoded = |encoding, body| respond(200, &[("Content-Encoding", encoding)], body);
            let expected = fails(ErrorKind::Decode, "compressed");
            for encoding in ["gzip", "br", "identity, gzip"] {
                case.answer(encoding, expected, encoded(encoding, gzip));
            }
            let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n";
            let endless = Step::Endless(vec![0; 9_000]);
            case.answer("a bomb", expected, vec![Step::Send(head.into()), endless]);
            case.answer("unnamed", fails(ErrorKind::Decode, ""), json(gzip));
            for encoding in ["Identity", "", " , identity"] {
                case.answer(encoding, OK, encoded(encoding, body.as_bytes()));
            }
            let error = respond(401, &[("Content-Encoding", "gzip")], gzip);
            case.answer("an error", fails(ErrorKind::Unauthorized, ""), error);
        },
    },
];
