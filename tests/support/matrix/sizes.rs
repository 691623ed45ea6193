//! The faults of sizes: heads, bodies, and how they are cut.

use std::time::Duration;

use plex_auth::ClientBuilder;

use super::{BOTH, Cases, Expected, HTTP, OK, SHORT, one_of, plain, retries, short};
use crate::{Step, json, respond};

/// How the end of a body may be marked.
pub(super) const FRAMINGS: [&str; 3] = ["Content-Length", "chunked", "until the close"];

const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

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

/// A response whose body comes in writes of one byte.
pub fn byte_by_byte(status: u16, body: &[u8]) -> Vec<Step> {
    let whole = respond(status, &[], body);
    let (head, body) = whole.split_at(whole.len() - body.len());
    let bytes = body.iter().map(|byte| Step::Send(vec![*byte]));
    std::iter::once(Step::Send(head.into())).chain(bytes).collect()
}

/// A response whose body comes in chunks of one byte, each with a size line of `padding` bytes.
pub fn padded_chunks(status: u16, body: &[u8], padding: usize) -> Vec<Step> {
    let head = respond(status, &[("Transfer-Encoding", "chunked")], b"");
    let size = format!("{:0padding$}1\r\n", 0);
    let chunk = |byte: &u8| Step::Send([size.as_bytes(), &[*byte], b"\r\n"].concat());
    let end = Step::Send(b"0\r\n\r\n".into());
    std::iter::once(Step::Send(head)).chain(body.iter().map(chunk)).chain([end]).collect()
}

const TOO_LARGE: Expected = one_of("BodyTooLarge").says("(`max_response_bytes`)").attempts(1);

pub(super) fn endless_body(cases: &mut Cases) {
    let heads: [(&str, &[u8], &[u8]); 3] = [
        ("chunked", b"Transfer-Encoding: chunked\r\n\r\n", b"10\r\n               [\r\n"),
        ("Content-Length", b"Content-Length: 1099511627776\r\n\r\n", b"               ["),
        ("until the close", b"\r\n", b"               ["),
    ];
    fn limited(builder: ClientBuilder) -> ClientBuilder {
        builder.max_response_bytes(64 * 1024).max_retries(2)
    }
    for (framing, head, body) in heads {
        cases.answer(framing, BOTH, limited, TOO_LARGE, move |_, _| {
            let head = [b"HTTP/1.1 200 OK\r\n", head].concat();
            vec![Step::Send(head), Step::Endless(body.repeat(1_000))]
        });
    }
    // Nothing but chunk extensions and trailers: no body at all, but no end either.
    let expected = one_of("BodyCutShort Timeout").within(SHORT);
    cases.answer("a chunk extension", BOTH, short, expected, move |_, _| {
        vec![Step::Send([CHUNKED, b"1;"].concat()), Step::Endless(b"x".repeat(10_000))]
    });
    cases.answer("trailers", BOTH, short, expected, move |_, _| {
        vec![Step::Send([CHUNKED, b"0\r\n"].concat()), Step::Endless(b"x: y\r\n".repeat(1_000))]
    });
}

pub(super) fn endless_error_body(cases: &mut Cases) {
    for (status, kind) in
        [(401, "Unauthorized"), (404, "NotFound"), (500, "Status"), (301, "Redirect")]
    {
        let expected = one_of(kind).within(Duration::from_secs(2)).attempts(1);
        cases.answer(kind, BOTH, retries, expected, move |_, _| {
            let head = format!("HTTP/1.1 {status} X\r\nTransfer-Encoding: chunked\r\n\r\n");
            vec![Step::Send(head.into()), Step::Endless(b"8\r\n[[[[[[[[\r\n".repeat(1_000))]
        });
    }
}

pub(super) fn small_pieces(cases: &mut Cases) {
    // `tests/memory.rs` sends more of them, and measures.
    let padded = |body: String, size: usize| format!("{body:>size$}").into_bytes();
    cases.answer("writes of one byte", BOTH, plain, OK, move |case, _| {
        byte_by_byte(200, &padded(case.body(), 5_000))
    });
    cases.answer("chunks of one byte", BOTH, plain, OK, move |case, _| {
        padded_chunks(200, &padded(case.body(), 2_000), 1_000)
    });
    let error = r#"{"errors":[{"code":1000,"message":"no such source"}]}"#.to_owned();
    let expected = one_of("BadRequest").says("no such source (code 1000)").attempts(1);
    let body = padded(error, 500);
    let copy = body.clone();
    cases.answer("an error's", BOTH, plain, expected, move |_, _| byte_by_byte(400, &body));
    cases.answer("an error's", BOTH, plain, expected, move |_, _| padded_chunks(400, &copy, 1_000));
}

pub(super) fn content_length(cases: &mut Cases) {
    let protocol = one_of("Protocol").says("not HTTP").attempts(1);
    let lengths = [
        ("2^63", "Content-Length: 9223372036854775808", TOO_LARGE),
        ("2^64 - 3", "Content-Length: 18446744073709551613", TOO_LARGE),
        ("2^64", "Content-Length: 18446744073709551616", protocol),
        ("negative", "Content-Length: -1", protocol),
        ("no number", "Content-Length: ten", protocol),
        ("two", "Content-Length: 5\r\nContent-Length: 6", protocol),
        ("a list", "Content-Length: 5, 6", protocol),
    ];
    for (at, header, expected) in lengths {
        cases.bytes(at, expected, format!("HTTP/1.1 200 OK\r\n{header}\r\n\r\n[1,2]"));
    }
}

pub(super) fn at_limit(cases: &mut Cases) {
    fn limited(builder: ClientBuilder) -> ClientBuilder {
        builder.max_response_bytes(512).max_retries(2)
    }
    let over = TOO_LARGE.says("larger than 512 bytes");
    for framing in FRAMINGS {
        for (at, size, expected) in [("under", 511, OK), ("at", 512, OK), ("over", 513, over)] {
            cases.answer(at, BOTH, limited, expected, move |case, _| {
                let body = format!("{:size$}", case.body());
                vec![Step::Send(framed(framing, 200, body.as_bytes(), size)), Step::Close]
            });
        }
    }
}

pub(super) fn huge_head(cases: &mut Cases) {
    let expected = one_of("Protocol").says("its head is too large").attempts(1);
    // All without an end, until the client gives up.
    let heads: [(&str, &str, Vec<u8>); 4] = [
        ("10 MB", "HTTP/1.1 200 OK\r\n", format!("X: {}\r\n", "y".repeat(10_000)).into()),
        ("100,000 headers", "HTTP/1.1 200 OK\r\n", b"X: y\r\n".repeat(100)),
        ("one header", "HTTP/1.1 200 OK\r\nX: ", b"y".repeat(10_000)),
        ("status line", "HTTP/1.1 200 ", b"y".repeat(10_000)),
    ];
    for (at, beginning, more) in heads {
        cases.answer(at, BOTH, retries, expected, move |_, _| {
            vec![Step::Send(beginning.into()), Step::Endless(more.clone())]
        });
    }
}

pub(super) fn bad_chunks(cases: &mut Cases) {
    let expected = one_of("BodyCutShort").says("ended before it was complete").attempts(1);
    let bodies: [&[u8]; 5] = [
        b"x\r\n{}\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        b"-2\r\n{}\r\n0\r\n\r\n",
        b"2\r\n{}x\r\n0\r\n\r\n",
        b"2\n{}\n0\n\n",
    ];
    for body in bodies {
        cases.bytes("", expected, [CHUNKED, body].concat());
    }
}

pub(super) fn encoded(cases: &mut Cases) {
    let expected = one_of("Decode").says("compressed, which was not asked for").attempts(1);
    // Of `{"MediaContainer":{"token":"poison"}}`.
    let gzip: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\x02\x03\xabV\xf2MM\xc9LtN\xcc+I\xcc\xccK-R\
        \xb2\xaaV*\xc9\xcfN\xcdS\xb2R*\xc8\xcf,\xce\xcfS\xaa\xad\x05\0\x99p\xc9\x8e%\0\0\0";
    for encoding in ["gzip", "x-gzip", "br", "zstd", "deflate", "GZip", "identity, gzip", "secret"]
    {
        cases.answer(encoding, BOTH, retries, expected, move |_, _| {
            respond(200, &[("Content-Encoding", encoding)], gzip)
        });
        cases.answer("without end", HTTP, retries, expected, move |_, _| {
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\n\
                 Transfer-Encoding: chunked\r\n\r\n"
            );
            vec![Step::Send(head.into()), Step::Endless(b"8\r\n\0\0\0\0\0\0\0\0\r\n".repeat(999))]
        });
    }
    let unnamed = one_of("Decode").says("a body that can't be read").attempts(1);
    cases.answer("gzip, unnamed", BOTH, retries, unnamed, move |_, _| json(gzip));
    cases.answer("zstd, unnamed", BOTH, retries, unnamed, |_, _| json(b"\x28\xb5\x2f\xfd\0\0\0"));
    for encoding in ["identity", "Identity", "", " , identity"] {
        cases.answer(encoding, HTTP, retries, OK, move |case, _| {
            respond(200, &[("Content-Encoding", encoding)], case.body())
        });
    }
    cases.answer("an error", BOTH, retries, one_of("Unauthorized").attempts(1), move |_, _| {
        respond(401, &[("Content-Encoding", "gzip")], gzip)
    });
}
