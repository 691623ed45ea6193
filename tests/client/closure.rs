//! What the closure of `configure_http` can't undo, with all of `reqwest`'s features on that another
//! crate in a user's tree may switch on.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use plex_auth::{Client, ErrorKind, reqwest};
use reqwest::header::{HeaderMap, HeaderValue};
use support::tls::AUTHORITY;
use support::{Server, Step, TOKEN, good, leak, respond};

#[track_caller]
fn configured(
    server: &Server,
    configure: impl Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder + Send + Sync + 'static,
) -> Client {
    server.builder().configure_http(configure).build().unwrap()
}

#[tokio::test]
async fn redirects_stay_off() {
    let trap = Server::start(|request| good(request, "stolen"));
    let to = trap.url();
    let server = Server::start(move |_| respond(307, &[("Location", &to)], ""));
    use reqwest::redirect::{Attempt, Policy};
    let follow = || Policy::custom(|attempt: Attempt<'_>| attempt.follow());
    for policy in [|| Policy::limited(10), follow] {
        let client = configured(&server, move |http| http.redirect(policy()));
        let error = client.transient_token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Redirect);
    }
    assert_eq!(trap.connections(), 0);
}

#[tokio::test]
async fn connections_stay_silent() {
    let (_recording, text) = leak::record();
    let search = leak::Search::new(&[TOKEN, "a-token-to-be-seen-nowhere"]);
    let server = Server::start(|request| good(request, "a-token-to-be-seen-nowhere"));
    let client = configured(&server, |http| http.connection_verbose(true));
    client.transient_token().await.unwrap();
    assert!(!search.finds_in(&text.lock().unwrap()), "a token is in the log");

    // It would be seen: reqwest does log it.
    let http = reqwest::Client::builder().no_proxy().connection_verbose(true);
    let http = http.tls_certs_only([]).build().unwrap();
    http.get(server.url()).header("X-Plex-Token", TOKEN).send().await.unwrap();
    assert!(search.finds_in(&text.lock().unwrap()), "the log was not recorded");
}

#[tokio::test]
async fn decompression_stays_off() {
    let server = Server::start(|_| respond(200, &[("Content-Encoding", "gzip")], "\x1f\u{8b}"));
    let client = configured(&server, |http| http.gzip(true).brotli(true).zstd(true).deflate(true));
    let error = client.transient_token().await.unwrap_err();
    assert!(error.to_string().contains("compressed, which was not asked for"), "{error}");
    assert_eq!(server.request().header("accept-encoding"), Some("identity"));
}

#[tokio::test]
async fn http_2_stays_off() {
    let mut config = Arc::unwrap_or_clone(AUTHORITY.server("127.0.0.1"));
    config.alpn_protocols = vec!["h2".into(), "http/1.1".into()];
    let server = Server::start_tls(config.into(), |request| good(request, "fresh"));
    let client = configured(&server, reqwest::ClientBuilder::http2_prior_knowledge);
    client.transient_token().await.unwrap();
    assert!(server.request().head.contains(" HTTP/1.1\r\n"));
}

#[tokio::test]
async fn the_retries_of_reqwest_stay_off() {
    let server = Server::start(|_| respond(503, &[("Retry-After", "0")], ""));
    let client = configured(&server, |http| {
        let policy = reqwest::retry::for_host("127.0.0.1").no_budget();
        http.retry(policy.max_retries_per_request(5).classify_fn(
            |attempt| match attempt.status() {
                Some(_) => attempt.retryable(),
                None => attempt.success(),
            },
        ))
    });
    let error = client.transient_token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn the_timeouts_stay() {
    let hour = Duration::from_secs(3_600);
    // A TLS handshake that goes nowhere is a connection that is not made.
    for (scheme, limit) in [("http", "1s (`timeout`)"), ("https", "300ms (`connect_timeout`)")] {
        let server = Server::raw(Step::Silence);
        let builder = support::builder(server.url().replace("http", scheme));
        let builder = builder.timeout(Duration::from_secs(1));
        let builder = builder.connect_timeout(Duration::from_millis(300));
        let builder = builder.configure_http(move |http| {
            http.timeout(hour).read_timeout(hour).connect_timeout(hour).pool_idle_timeout(hour)
        });
        let error = builder.build().unwrap().transient_token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(error.to_string().contains(limit), "{error}");
    }
}

#[tokio::test]
async fn default_headers_cannot_replace_the_crates_own() {
    let server = Server::start(|request| good(request, "fresh"));
    let names = ["x-plex-token", "x-plex-client-identifier", "accept", "user-agent"];
    let mut headers = HeaderMap::new();
    for name in names {
        headers.insert(name, HeaderValue::from_static("other"));
    }
    headers.insert("x-added", HeaderValue::from_static("1"));
    let client =
        configured(&server, move |http| http.default_headers(headers.clone()).user_agent("other"));
    client.transient_token().await.unwrap();
    let request = server.request();
    assert!(names.iter().all(|name| request.header(name).is_some_and(|value| value != "other")));
    // This is what the closure may do.
    assert_eq!(request.header("x-added"), Some("1"));
}

/// Variables can be set for another process only: the test runs itself again.
#[test]
fn no_proxy_is_taken_from_the_environment() {
    const ROLE: &str = "PLEX_AUTH_TEST_CHILD";
    if std::env::var_os(ROLE).is_some() {
        return in_an_environment_with_proxies();
    }
    let trap = Server::start(|request| good(request, "stolen"));
    for proxy in [trap.url(), trap.url().replace("http:", "socks5h:")] {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "closure::no_proxy_is_taken_from_the_environment"]).env(ROLE, "1");
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            child.env(name, &proxy).env(name.to_lowercase(), &proxy);
        }
        // reqwest distrusts `HTTP_PROXY` where this is set, as in a CGI script.
        child.env_remove("REQUEST_METHOD").env_remove("NO_PROXY").env_remove("no_proxy");
        let output = child.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    // The child shows by a plain reqwest that the variables would have worked.
    assert!(trap.requests().iter().all(|request| request.header("x-plex-token").is_none()));
}

#[tokio::main(flavor = "current_thread")]
async fn in_an_environment_with_proxies() {
    let plain = Server::start(|request| good(request, "fresh"));
    let config = AUTHORITY.server("127.0.0.1");
    let tls = Server::start_tls(config, |request| good(request, "fresh"));
    for server in [&plain, &tls] {
        let token = server.client().transient_token().await.unwrap();
        assert_eq!(token.expose_secret(), "fresh");
        assert_eq!(server.count(), 1);
    }

    let unaware = reqwest::Client::builder().tls_certs_only([]).timeout(Duration::from_secs(1));
    let unaware = unaware.build().unwrap();
    let answer = unaware.get(plain.url()).send().await;
    assert!(plain.count() == 1, "the variables had no effect on reqwest: {answer:?}");
}
