//! Who refused: the server, a proxy in front of it, or the forward proxy of `configure_http`. The
//! files in `tests/cases/` are answers of real proxies, byte for byte.

use plex_auth::ErrorKind::{self, *};
use plex_auth::reqwest::Proxy as ForwardProxy;
use plex_auth::{Client, Error};
use support::{Call, Server, Step, TOKEN, refusing_port, respond};

/// The error of a call that is answered so, and how many attempts it made.
async fn error(answer: impl AsRef<[u8]>) -> Error {
    let steps = vec![Step::Send(answer.as_ref().to_vec()), Step::Close];
    let server = Server::start(move |_| steps.clone());
    let error = server.client().transient_token().await.unwrap_err();
    assert!(!error.to_string().contains(char::is_control), "{error:?}");
    error
}

macro_rules! case {
    ($name:literal) => {
        include_bytes!(concat!("../cases/", $name, ".http")).as_slice()
    };
}

#[tokio::test]
async fn real_answers_have_their_kind() {
    const REFUSED: &str = "a proxy in front of the server refused";
    for (answer, kind, is_retryable, says) in [
        (case!("haproxy-403-deny"), Proxy, false, REFUSED),
        (case!("lighttpd-403"), Proxy, false, "refused (403 Forbidden): a new token does not"),
        (case!("nginx-401-auth-request"), Unauthorized, false, "refused (401 Authorization Req"),
        (case!("nginx-401-auth-request"), Unauthorized, false, "does not accept the token"),
        (case!("apache-401-basic"), Proxy, false, "asks for a login of its own (401 Unauthorized)"),
        (case!("squid-407-plain"), Proxy, false, "the proxy of `configure_http` asks for a login"),
        (case!("authentik-200-login"), Decode, false, "got HTML (authentik)"),
        (case!("authentik-200-login"), Decode, false, "a proxy may have answered"),
        (case!("apache-301"), Redirect, false, "https://plex.example:18302"),
        (case!("apache-301"), Redirect, false, "if it is the same server, use it as the address"),
        (case!("haproxy-503-no-server"), Unavailable, true, "can't reach it"),
        (case!("nginx-502"), Unavailable, true, "can't reach it (502 Bad Gateway)"),
        (case!("nginx-504"), Unavailable, true, "the server did not answer in time"),
        (case!("haproxy-429"), TooManyRequests, true, "too many requests: wait"),
        (case!("body-cut"), BodyCutShort, true, "ended before it was complete"),
    ] {
        let error = error(answer).await;
        assert_eq!((error.kind(), error.is_retryable()), (kind, is_retryable), "{error}");
        assert!(error.to_string().contains(says), "{says}: {error}");
        let status = String::from_utf8_lossy(&answer[9..12]).parse::<u16>().unwrap();
        assert_eq!(error.status().map(|status| status.as_u16()), Some(status));
    }
}

const OWN_PAGE: &str =
    "<html><head><title>Forbidden</title></head><body><h1>403 Forbidden</h1></body></html>";
const CLOUDFLARE_API: &str = r#"{"success":false,"errors":[{"code":10000,
    "message":"Authentication error"}],"messages":[],"result":null}"#;

#[tokio::test]
async fn a_403_without_a_servers_mark_is_from_a_proxy() {
    let html = ("Content-Type", "text/html");
    let gzip = ("Content-Encoding", "gzip");
    let own_json = r#"{"errors":[{"code":1001,"message":"no","status":403}]}"#;
    for (header, body, kind) in [
        (html, &b"error code: 1010"[..], Proxy),
        (html, b"RBAC: access denied", Proxy),
        (html, b"<html><body><h1>403 Forbidden</h1></body></html>", Proxy),
        (html, b"<html><head><title>Forbidden</title></head><body>No</body></html>", Proxy),
        (html, b"<html>\r\n<head><title>403 Forbidden</title></head>\r\n</html>", Proxy),
        (html, b"<!DOCTYPE html>\n<html><head><title>Just a moment...</title></head>", Proxy),
        (html, b"<!-- h2o --><!DOCTYPE html><title>Forbidden</title>", Proxy),
        (html, b"<?xml version=\"1.0\"?><!DOCTYPE html><html><head/></html>", Proxy),
        (html, b"\x1f\x8b\x08\x00\x00\x00\x00\x00", Proxy),
        (gzip, b"\x1f\x8b\x08\x00\x00\x00\x00\x00", Proxy),
        (gzip, b"", Proxy),
        (gzip, OWN_PAGE.as_bytes(), Proxy),
        (html, CLOUDFLARE_API.as_bytes(), Proxy),
        (html, br#"{"errors":[{"code":7003,"message":"no","status":400}]}"#, Proxy),
        (html, br#"{"message":"Forbidden"}"#, Proxy),
        (html, br#"{"Response":{"Error":{"Code":"AuthFailure"}}}"#, Proxy),
        (html, b"<!DOCTYPE html><html><head><title>No</title><h1>403 No</h1>", Proxy),
        (("WWW-Authenticate", "Bearer"), b"", Proxy),
        (html, b"", Forbidden),
        (html, OWN_PAGE.as_bytes(), Forbidden),
        (html, own_json.as_bytes(), Forbidden),
        (html, b"<Response code='403' title='Forbidden' status='no'/>", Forbidden),
        (("X-Plex-Protocol", "1.0"), b"error code: 1010", Forbidden),
        (("X-Plex-Content-Original-Length", "9"), b"\x1f\x8b", Forbidden),
        (("X-Plex-Content-Compressed-Length", "9"), b"\x1f\x8b", Forbidden),
    ] {
        let error = error(respond(403, &[header], body)).await;
        assert_eq!(error.kind(), kind, "{}: {error}", String::from_utf8_lossy(body));
        assert!(!error.is_retryable(), "{error}");
        assert_eq!(error.to_string().contains("a new token does not help"), kind == Proxy);
        assert!(!error.to_string().contains("1010") && !error.to_string().contains("RBAC"));
    }
    let error = error(respond(403, &[], CLOUDFLARE_API)).await.to_string();
    assert!(error.contains("it says: Authentication error (code 10000)"), "{error}");
}

#[tokio::test]
async fn a_401_with_a_challenge_is_from_a_proxy() {
    let own = r#"{"errors":[{"code":1001,"message":"no","status":401}]}"#;
    let challenge = ("WWW-Authenticate", "Basic realm=\"Restricted\"");
    for body in ["", own, "<title>Login</title>", "<Response code='401' title='a'/>", "no"] {
        let refused = error(respond(401, &[challenge], body)).await;
        assert_eq!(refused.kind(), Proxy, "{body}");
        assert!(refused.to_string().contains("asks for a login of its own"), "{refused}");
        let marked = [challenge, ("X-Plex-Protocol", "1.0")];
        assert_eq!(error(respond(401, &marked, body)).await.kind(), Unauthorized, "{body}");
        let error = error(respond(401, &[], body)).await;
        assert_eq!(error.kind(), Unauthorized, "{body}");
        assert!(error.to_string().contains("does not accept the token"), "{error}");
    }
}

#[tokio::test]
async fn a_refused_identity_is_from_a_proxy() {
    for (status, body) in [(401, ""), (403, ""), (401, "<title>Login</title>"), (403, OWN_PAGE)] {
        let server = Server::start(move |_| respond(status, &[], body));
        let error = server.client().identity().await.unwrap_err();
        assert_eq!(error.kind(), Proxy, "{error}");
        assert!(error.to_string().contains("it refused, or asks for a login"), "{error}");
    }
}

#[tokio::test]
async fn a_page_with_status_200_shows_its_title() {
    let long = format!("<html><title>\u{1b}[31m{}", "x".repeat(300));
    let long = format!("{long}</title></html>");
    for (body, shown) in [
        ("<!DOCTYPE html><html><head><title>Sign in</title></head></html>", "got HTML (Sign in)"),
        ("<HTML><HEAD><TITLE lang='en'>\n Log \n in </TITLE>", "got HTML (Log in)"),
        ("<?xml version='1.0'?><!DOCTYPE html><html><title>Home</title></html>", "read (Home)"),
        ("\u{feff}<!-- a --><!DOCTYPE html><title>Home</title>", "(Home)"),
        ("<html><title> </title></html>", "got HTML: is"),
        ("<html><title>Home", "got HTML: is"),
        (&format!("<html><title>{TOKEN}</title>"), "got HTML ([redacted])"),
        (&*long, "(\\u{1b}[31mxxx"),
        ("", "got an empty body"),
        ("{\"title\":\"<title>a</title>\"}", "got another shape: is"),
        ("OK", "got a body that can't be read: is"),
    ] {
        let error = error(respond(200, &[], body)).await;
        let text = error.to_string();
        assert_eq!((error.kind(), error.status().unwrap().as_u16()), (Decode, 200), "{text}");
        assert!(text.contains(shown) && text.contains("a proxy may have answered"), "{text}");
        assert!(text.len() < 500 && !text.contains(TOKEN), "{text}");
    }
}

/// A client whose forward proxy is at this address.
fn behind(proxy: &str, address: &str) -> Client {
    let proxy = ForwardProxy::all(proxy).unwrap();
    let builder = support::builder(address).max_retries(1);
    builder.configure_http(move |http| http.proxy(proxy.clone())).build().unwrap()
}

#[tokio::test]
async fn the_login_of_a_forward_proxy_is_not_retried() {
    for (address, answer) in [
        ("http://nas.lan:32400", case!("squid-407-plain")),
        ("https://plex.example:32400", case!("squid-connect-407")),
    ] {
        let server = Server::start(move |_| answer.to_vec());
        let error = behind(&server.url(), address).transient_token().await.unwrap_err();
        assert_eq!((error.kind(), error.attempts(), server.count()), (Proxy, 1, 1), "{error}");
        assert!(error.to_string().contains("`configure_http` asks for a login"), "{error}");
        assert_eq!(error.status().unwrap(), 407);
        let is_tunnel = address.starts_with("https");
        assert_eq!(server.request().method() == "CONNECT", is_tunnel);
        assert_eq!(server.request().head.contains(TOKEN), !is_tunnel);
    }
}

/// hyper-util's own texts are read, which may change.
#[tokio::test]
async fn a_tunnel_that_fails_names_the_proxy() {
    let refuses = "the proxy of `configure_http` refuses, or can't reach the server";
    for answer in [
        case!("squid-connect-403").to_vec(),
        respond(502, &[], ""),
        respond(503, &[], "no server"),
        b"SSH-2.0\r\n".to_vec(),
        Vec::new(),
    ] {
        let steps = vec![Step::Send(answer), Step::Close];
        let server = Server::start(move |_| steps.clone());
        check(&server.url(), Connect, 2, refuses).await;
        assert_eq!(server.count(), 2);
    }
    let (_port, refusing) = refusing_port();
    let unreachable = "the proxy of `configure_http` can't be reached";
    check(&format!("http://{refusing}"), Connect, 2, unreachable).await;
    // A label of more than 63 characters: no resolver asks the network for it.
    check(&format!("http://{}.lan:3128", "a".repeat(64)), Connect, 2, unreachable).await;
    // Its certificate is for another name.
    let server =
        Server::start_tls(support::tls::AUTHORITY.server("secret.example"), |_| Step::Close);
    check(&server.url(), Tls, 1, "no secure connection to the proxy of `configure_http`").await;
}

/// Checks the error of a call through a forward proxy.
async fn check(proxy: &str, kind: ErrorKind, attempts: u32, says: &str) {
    let client = behind(proxy, "https://plex.example:32400");
    let error = Call::LookUp.make(&client).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (kind, attempts), "{error}");
    assert!(error.to_string().contains(says), "{says}: {error}");
    assert!(!support::leak::shown(&error).contains("secret"), "{error}");
}
