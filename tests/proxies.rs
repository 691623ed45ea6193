//! What stands in front of a server, told apart from the server by its answers. The bodies are those
//! that nginx, Traefik, Caddy and Authelia document or have in their sources.

use plex_auth::{Error, ErrorKind, Source};
use support::tls::AUTHORITY;
use support::{Server, respond};

const MARK: (&str, &str) = ("X-Plex-Protocol", "1.0");
const CHALLENGE: (&str, &str) = ("WWW-Authenticate", "Basic realm=\"Restricted\"");

fn nginx(title: &str) -> String {
    format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\
         \r\n<hr><center>nginx/1.27.3</center>\r\n</body>\r\n</html>\r\n"
    )
}

fn pms(status: u16, reason: &str) -> String {
    format!(
        "<html><head><title>{reason}</title></head><body><h1>{status} {reason}</h1></body></html>"
    )
}

/// The error of a look-up.
async fn answered(https: bool, response: Vec<u8>) -> Error {
    let script = move |_: &_| response.clone();
    let server = match https {
        true => Server::start_tls(AUTHORITY.server("127.0.0.1"), script),
        false => Server::start(script),
    };
    let source = Source::server("243b47").unwrap();
    server.client().source_connection_information(&source).await.unwrap_err()
}

#[tokio::test]
async fn the_text_says_whose_answer_it_is() {
    use ErrorKind::{BadRequest, Forbidden, NotFound, Status, Unauthorized, Unavailable};
    let no_certificate = nginx("400 No required SSL certificate was sent");
    let wants_tls = nginx("400 The plain HTTP request was sent to HTTPS port");
    let too_large = nginx("400 Request Header Or Cookie Too Large");
    let login = nginx("401 Authorization Required");
    let own_400 = pms(400, "Bad Request");
    let own_404 = pms(404, "Not Found");
    type Row<'a> =
        (bool, u16, &'a [(&'a str, &'a str)], &'a str, ErrorKind, &'a [&'a str], &'a [&'a str]);
    let rows: [Row<'_>; 18] = [
        (false, 400, &[], &own_400, BadRequest, &["refuses a query", "`source`"], &["https"]),
        (false, 400, &[MARK], "", BadRequest, &["refuses a query"], &["https", "proxy"]),
        (
            true,
            400,
            &[],
            &no_certificate,
            BadRequest,
            &["a proxy", "No required SSL", "configure_http"],
            &["`source`"],
        ),
        (
            true,
            400,
            &[],
            &too_large,
            BadRequest,
            &["a proxy", "Cookie Too Large"],
            &["`source`", "`https`"],
        ),
        (false, 400, &[], &wants_tls, BadRequest, &["`https`", "HTTPS port"], &["`source`"]),
        (
            false,
            400,
            &[],
            "Client sent an HTTP request to an HTTPS server.\n",
            BadRequest,
            &["`https`"],
            &["`source`"],
        ),
        (
            false,
            401,
            &[CHALLENGE],
            &login,
            Status,
            &["login of its own", "Authorization Required"],
            &["accept the token"],
        ),
        (
            true,
            401,
            &[CHALLENGE],
            "401 Unauthorized",
            Status,
            &["login of its own"],
            &["accept the token"],
        ),
        (false, 401, &[CHALLENGE, MARK], "", Unauthorized, &["accept the token"], &["proxy"]),
        (
            false,
            401,
            &[],
            "<a href=\"https://auth.example\">401 Unauthorized</a>",
            Unauthorized,
            &["a proxy in front of the server refused; or the server does not accept"],
            &[],
        ),
        (false, 401, &[], "", Unauthorized, &["accept the token", "or a proxy"], &[]),
        (
            false,
            403,
            &[],
            &nginx("403 Forbidden"),
            Forbidden,
            &["a proxy in front of the server refused (403 Forbidden); or the token"],
            &[],
        ),
        (
            false,
            404,
            &[],
            "404 page not found\n",
            NotFound,
            &["no route to it (is the server up?); or nothing at /"],
            &[],
        ),
        (false, 404, &[], &own_404, NotFound, &["nothing at /", "wrong path"], &["proxy"]),
        (false, 498, &[], "", Status, &["A proxy in front of one may have answered"], &[]),
        (
            false,
            499,
            &[],
            &nginx("499 X"),
            Status,
            &["A proxy in front of one may have answered (499 X)"],
            &[],
        ),
        (false, 418, &[MARK], "", Status, &["see the server's log"], &["proxy"]),
        (
            false,
            503,
            &[],
            "no available server\n",
            Unavailable,
            &["a proxy in front of it can't reach it"],
            &[],
        ),
    ];
    for (https, status, headers, body, kind, says, never) in rows {
        let error = answered(https, respond(status, headers, body)).await;
        let text = error.to_string();
        assert_eq!((error.kind(), error.status().unwrap().as_u16()), (kind, status), "{text}");
        assert!(says.iter().all(|says| text.contains(says)), "{says:?} not in: {text}");
        assert!(never.iter().all(|never| !text.contains(never)), "{never:?} in: {text}");
    }
}

#[tokio::test]
async fn a_login_or_a_page_of_a_proxy_asks_for_no_new_token() {
    let page = nginx("403 Forbidden");
    for (status, headers, body, is_auth) in [
        (401, &[CHALLENGE][..], "", false),
        (403, &[], &page, false),
        (401, &[CHALLENGE, MARK], "", true),
        (401, &[], "", true),
        (403, &[MARK], &page, true),
    ] {
        let error = answered(false, respond(status, headers, body)).await;
        assert_eq!(error.is_auth(), is_auth, "{error}");
    }
}

#[tokio::test]
async fn a_title_is_redacted_escaped_and_cut() {
    let title = format!("4{} {}", support::TOKEN, "\u{1b}[31m".repeat(100));
    let error = answered(false, respond(418, &[], nginx(&title))).await.to_string();
    assert!(error.contains("(4[redacted] \\u{1b}[31m") && error.contains("…)"), "{error}");
    assert!(!error.contains(support::TOKEN) && error.len() < 400, "{error}");
}
