//! What a person and a program learn from an error: the text, the kind, the server's explanation.
//! The bodies of proxies are those that nginx and Traefik document or have in their sources.

use std::collections::BTreeSet;
use std::error::Error as _;

use plex_auth::reqwest::dns::{Name, Resolve, Resolving};
use plex_auth::{Error, ErrorKind};
use support::Call::{LookUp, Token};
use support::tls::AUTHORITY;
use support::{Server, Step, TOKEN, leak, refusing_port, respond};

/// The error of a look-up that is answered so.
async fn error(response: Vec<u8>) -> Error {
    let server = Server::start(move |_| response.clone());
    LookUp.make(&server.client()).await.unwrap_err()
}

const MARK: &str = "X-Plex-Protocol: 1.0";
const CHALLENGE: &str = "WWW-Authenticate: Basic realm=\"Restricted\"";
const WAIT: &str = "Retry-After: 86400";

fn answer(status: u16, header: &str, body: &str) -> Vec<u8> {
    respond(status, header.split_once(": ").as_slice(), body)
}

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

fn json_error(message: &str) -> String {
    serde_json::json!({"errors": [{"code": 1001, "message": message, "status": 401}]}).to_string()
}

const STARTING: &str = "<Response code='503' title='Maintenance' status='it is starting'/>";

#[tokio::test]
async fn the_text_says_who_answered_and_what_to_do() {
    let wants_tls = nginx("400 The plain HTTP request was sent to HTTPS port");
    let no_certificate = nginx("400 No required SSL certificate was sent");
    let go_wants_tls = "Client sent an HTTP request to an HTTPS server.\n";
    let login = nginx("401 Authorization Required");
    let link = "<a href=\"https://auth.example\">401 Unauthorized</a>";
    let [own_400, own_404] = [(400, "Bad Request"), (404, "Not Found")].map(|(n, it)| pms(n, it));
    let [forbidden, other] = ["403 Forbidden", "499 X"].map(nginx);
    // With what must be in the text, and what must not be.
    for (status, header, body, says, never) in [
        (400, "", &*own_400, "the server refuses a query parameter, maybe `source`", "https"),
        (400, MARK, "", "the server refuses a query parameter", "proxy"),
        (400, "", &wants_tls, "may need `https`, as the answer says (400 The plain", "`source`"),
        (400, "", go_wants_tls, "the port may need `https`, as the answer says", "`source`"),
        (400, "", "", "may need `https`; or the server refuses a query parameter", "proxy"),
        (401, CHALLENGE, &login, "asks for a login of its own (401 Authorization", "the token:"),
        (401, "", link, "a proxy in front of the server refused; or the server does not", "("),
        (401, "", "", "does not accept the token: it has expired, it is from before a", "("),
        (401, MARK, "", "the password was changed or devices were signed out", "proxy"),
        (403, "", &forbidden, "refused (403 Forbidden): a new token does not help", "the token "),
        (403, "", "", "the token may not do this (a source is for an admin's token only", "help"),
        (
            404,
            "",
            "404 page not found\n",
            "has no route to it, or the server is down; or nothing at /",
            "page",
        ),
        (404, "", &own_404, "resources: the address may have the wrong path, and", "source="),
        (404, "", &own_404, "the server must be PMS 1.15.4 or newer", "proxy"),
        (408, "", "", "the request did not arrive in time", "proxy"),
        (418, MARK, "", "answered in an unexpected way: see its log", "proxy"),
        (429, WAIT, "", "too many requests: wait; `Retry-After` is 86400 s", "proxy"),
        (429, "", &other, "Many Requests: too many requests: wait", "("),
        (498, "", "", "its log; or a proxy in front of the server, or another", "("),
        (499, "", &other, "or another server, may have answered (499 X); or the", "token"),
        (502, "", "", "a proxy in front of the server can't reach it: is the server up?", "("),
        (504, "", "", "the server did not answer in time", "("),
        (
            503,
            "",
            "no available server\n",
            "can't reach it; or the server is starting or busy",
            "(",
        ),
        (503, WAIT, STARTING, "or busy: wait; the server says: Maintenance: it is", "proxy"),
    ] {
        let error = error(answer(status, header, body)).await;
        let text = error.to_string();
        assert!(text.contains(says) && !text.contains(never), "{says}, not {never}: {text}");
        assert_eq!(error.retry_after().is_some(), header == WAIT, "{text}");
    }
    // Of the other call.
    for (response, says) in [
        (answer(400, "", &own_400), "maybe `type` or `scope`"),
        (answer(404, "", &own_404), "nothing at /security/token: the address may have the wrong"),
    ] {
        let server = Server::start(move |_| response.clone());
        let text = server.client().transient_token().await.unwrap_err().to_string();
        assert!(text.contains(says) && !text.contains("1.15.4"), "{text}");
    }
    // Where `https` is spoken already.
    for (body, says) in [("", "refuses a query"), (&no_certificate, "configure_http")] {
        let response = answer(400, "", body);
        let config = AUTHORITY.server("127.0.0.1");
        let server = Server::start_tls(config, move |_| response.clone());
        let text = LookUp.make(&server.client()).await.unwrap_err().to_string();
        assert!(text.contains(says) && !text.contains("may need"), "{text}");
    }
}

#[tokio::test]
async fn the_servers_explanation_is_read_from_json_and_xml() {
    for body in [
        json_error("User: no"),
        r#"{"errors":[{"code":"1001","message":"User: no"}]}"#.to_owned(),
        format!("\u{feff}{}", json_error("User: no")),
        r#"{"errors":{"code":1001,"message":"User: no"}}"#.to_owned(),
        "<?xml version=\"1.0\"?><Response code='1001' title='User' status='no'/>".to_owned(),
    ] {
        let error = error(answer(401, "Content-Type: text/html", &body)).await;
        assert_eq!(error.server_message(), Some("User: no"), "{body}");
        assert!(error.to_string().contains("; the server says: User: no (code 1001)"), "{error}");
    }
}

#[tokio::test]
async fn a_body_without_an_explanation_is_not_shown() {
    let page = format!("<html><head><script>secret()</script>{}", &pms(401, "Unauthorized")[12..]);
    for body in [&page, "secret", "{\"secret\":1}", "{\"errors\":[]}", "{\"errors\":\"secret\"}"] {
        let error = error(answer(401, "Content-Type: application/json", body)).await;
        assert_eq!(error.server_message(), None, "{body}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{body} is shown");
    }
}

#[tokio::test]
async fn a_message_cannot_control_a_terminal_and_is_cut() {
    for (message, shown) in [
        ("\u{1b}]0;title\u{7}", r"\u{1b}]0;title\u{7}"),
        ("a\r\nerror: b\0", r"a\r\nerror: b\0"),
        ("a\u{202e}b\u{2066}\u{feff}", r"a\u{202e}b\u{2066}\u{feff}"),
        (&"ü".repeat(300), &format!("{}…", "ü".repeat(255))),
    ] {
        let error = error(respond(401, &[], json_error(message))).await;
        assert_eq!(error.server_message(), Some(shown));
        assert!(error.to_string().contains(shown) && error.to_string().lines().count() == 1);
    }
}

#[tokio::test]
async fn a_server_that_closes_an_http_connection_may_need_https() {
    for last in [Step::Close, Step::Reset] {
        let server = Server::start(move |_| last.clone());
        let error = server.client().transient_token().await.unwrap_err().to_string();
        assert!(error.contains("before a response came; the port may need `https`"), "{error}");
    }
}

#[tokio::test]
async fn a_redirect_shows_its_origin_and_the_address_to_use() {
    let proxy = "a proxy in front of the server may have answered";
    let same = "if it is the same server, use it as the address";
    for (location, origin, advice) in [
        ("https://127.0.0.1:8443/secret", "https://127.0.0.1:8443,", same),
        ("https://plex.example/security/resources?secret", "https://plex.example,", same),
        ("http://nas.lan:32400/security/resources?secret", "http://nas.lan:32400,", same),
        ("https://login.example/secret", "https://login.example,", proxy),
        ("http://127.0.0.1:1/secret", "http://127.0.0.1:1,", proxy),
        ("/secret", "http://127.0.0.1:", proxy),
        ("mailto:secret@example", "points nowhere", proxy),
        // A URL's host is in lower case, which is still the token.
        (&format!("https://{TOKEN}.example/"), "https://[redacted].example,", proxy),
    ] {
        let error = error(respond(302, &[("Location", location)], "")).await;
        let text = error.to_string();
        assert!(text.contains(origin) && text.contains(advice), "{text}");
        assert_eq!(text.contains("use it"), advice != proxy, "{text}");
        let shown = leak::shown(&error);
        assert!(!shown.contains("secret") && !leak::Search::new(&[TOKEN]).finds_in(&shown));
    }
}

#[tokio::test]
async fn an_error_names_call_and_origin_and_hides_the_url() {
    let (_port, address) = refusing_port();
    let origin = format!("http://{address}");
    let client = support::builder(format!("{origin}/prefix")).build().unwrap();
    for (call, name) in [(Token, "getting a transient token"), (LookUp, "looking up a source")] {
        let error = call.make(&client).await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("{name} at {origin}: no conn")), "{error}");
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Connect, 1));
        assert_eq!((error.origin(), error.status()), (Some(&*origin), None));
        let source = error.source().unwrap().downcast_ref::<plex_auth::reqwest::Error>().unwrap();
        assert!(source.url().is_none());
    }
}

#[tokio::test]
async fn the_text_names_the_default_port_that_was_tried() {
    let (_port, refusing) = refusing_port();
    // The name leads to a port that refuses.
    let builder = support::builder("http://plex.lan");
    let client = builder.configure_http(move |http| http.resolve("plex.lan", refusing)).build();
    let error = client.unwrap().transient_token().await.unwrap_err();
    assert!(error.to_string().contains("80 was tried: a PMS has 32400"), "{error}");
}

struct FailingResolver;

impl Resolve for FailingResolver {
    fn resolve(&self, _: Name) -> Resolving {
        Box::pin(std::future::ready(Err("secret".into())))
    }
}

#[tokio::test]
async fn an_unresolved_name_has_a_hint_for_its_kind() {
    for (host, hint) in [
        (
            "10-0-0-1.93b10b279ff8456686414add109854cd.plex.direct",
            "(DNS servers with rebinding pro",
        ),
        ("nas.local", "(a `.local` name needs mDNS, which this system or container may not have)"),
        ("plex.example", "(is it spelt right, and does this system's DNS server know it?)"),
    ] {
        let builder = support::builder(format!("https://{host}:32400"));
        let builder = builder.configure_http(|http| http.dns_resolver(FailingResolver));
        let error = builder.build().unwrap().transient_token().await.unwrap_err().to_string();
        assert!(error.contains(&format!("name could not be resolved {hint}")), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn each_kind_is_listed_and_serialises_as_its_name() {
    let names: BTreeSet<_> = ErrorKind::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(names.len(), ErrorKind::ALL.len());
    for kind in ErrorKind::ALL {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.to_string());
    }
    assert!(names.contains("Proxy") && names.contains("Skipped"));
    let error = support::builder("").build().unwrap_err().to_string();
    assert!(error.starts_with("invalid address: "), "{error}");
}

/// Linux refuses such a connection before it sends anything.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_forbidden_local_address_names_permission_vpn_and_firewall() {
    let loopback = std::net::Ipv4Addr::LOCALHOST;
    for (host, says) in [
        ("10.255.255.1", "permission for the local network (macOS), a VPN or a firewall may be in"),
        ("192.0.2.1", "is the server up, and are host and port right?"),
    ] {
        let builder = support::builder(format!("https://{host}:32400"));
        let client = builder.configure_http(move |http| http.local_address(Some(loopback.into())));
        let error = client.build().unwrap().transient_token().await.unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Connect, 1), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}
