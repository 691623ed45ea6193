//! `ClientBuilder`: the address, the token, the client headers, the limits.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue, USER_AGENT};

use crate::address;
use crate::api;
use crate::client::resolver::Resolver;
use crate::client::{Client, Settings};
use crate::error::{Details, Error, ErrorKind};
use crate::token::Token;

type Configure = dyn Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder + Send + Sync;

/// Settings of a [`Client`], from [`Client::builder`].
///
/// The first invalid setting is remembered, and [`build`](Self::build) names it. No setting is read
/// from the environment.
///
/// ```
/// # fn main() -> Result<(), plex_auth::Error> {
/// let client = plex_auth::Client::builder("http://192.168.1.20:32400")
///     .token("xxxx")
///     .client_identifier("living-room-remote-7f3c")
///     .timeout(std::time::Duration::from_secs(10))
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing until `build()` is called"]
pub struct ClientBuilder {
    address: String,
    token: Option<Token>,
    headers: HeaderMap,
    settings: Settings,
    configure: Vec<Arc<Configure>>,
    first_error: Option<Error>,
}

impl Client {
    /// Starts to build a client of the server at `address`.
    ///
    /// The address is an `http` or `https` URL, without credentials, query and fragment. A path
    /// prefix is kept (`https://host/plex`). Plain `http` is accepted only for local hosts: see
    /// [`ClientBuilder::allow_insecure_http`].
    pub fn builder(address: impl Into<String>) -> ClientBuilder {
        let settings = Settings {
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            max_response_bytes: 1024 * 1024,
            max_retries: 10,
            allow_insecure_http: false,
        };
        const VERSION: &str = concat!("plex-auth/", env!("CARGO_PKG_VERSION"));
        let headers = HeaderMap::from_iter([
            // A PMS returns XML unless `Accept` asks for JSON.
            (ACCEPT, HeaderValue::from_static("application/json")),
            // Without it a proxy may compress the body (RFC 9110, section 12.5.3).
            (ACCEPT_ENCODING, HeaderValue::from_static("identity")),
            (USER_AGENT, HeaderValue::from_static(VERSION)),
        ]);
        let (address, configure) = (address.into(), Vec::new());
        ClientBuilder { address, token: None, headers, settings, configure, first_error: None }
    }
}

impl ClientBuilder {
    /// The caller's token: a `&str`, a `String`, a [`Token`] or a
    /// [`TransientToken`](crate::TransientToken). Required. A server that needs no token ("allowed
    /// networks") accepts any.
    pub fn token(mut self, token: impl TryInto<Token, Error: Into<Error>>) -> Self {
        match token.try_into() {
            Ok(token) => self.token = Some(token),
            Err(error) => self.keep(error.into()),
        }
        self
    }

    /// `X-Plex-Client-Identifier`. Required. A server adds each new one to its owner's list of
    /// devices.
    ///
    /// Make one when the app is installed, a random UUID for example, and keep it with the app's
    /// settings. Don't make a new one at each start.
    pub fn client_identifier(self, identifier: impl AsRef<str>) -> Self {
        self.header("client_identifier", api::CLIENT_IDENTIFIER, identifier.as_ref())
    }

    /// `User-Agent`, for logs of proxies. Default: `plex-auth/VERSION`.
    pub fn user_agent(self, user_agent: impl AsRef<str>) -> Self {
        self.header("user_agent", USER_AGENT, user_agent.as_ref())
    }
}

/// The optional client headers, one setter each.
macro_rules! client_headers {
    ($($setter:ident, $header:literal, $doc:literal;)*) => {
        impl ClientBuilder {
            $(
                #[doc = concat!("`", $header, "`: ", $doc, " Not sent unless set.")]
                pub fn $setter(self, value: impl AsRef<str>) -> Self {
                    const NAME: HeaderName = HeaderName::from_static($header);
                    self.header(stringify!($setter), NAME, value.as_ref())
                }
            )*
        }
    };
}

client_headers! {
    product, "x-plex-product", "the app's name.";
    version, "x-plex-version", "the app's version.";
    platform, "x-plex-platform", "the operating system or runtime.";
    platform_version, "x-plex-platform-version", "the platform's version.";
    device, "x-plex-device", "the kind of device, such as `Tablet`.";
    model, "x-plex-model", "the device's model.";
    device_vendor, "x-plex-device-vendor", "who made the device.";
    device_name, "x-plex-device-name", "the name its owner gave it; UTF-8 is sent unchanged.";
    marketplace, "x-plex-marketplace", "the store that the app was installed from.";
}

impl ClientBuilder {
    /// How long to wait for a connection, name look-up and TLS included. Default: 5 seconds, more
    /// than a reachable server needs. If a name has two addresses and the first one is silent, the
    /// second one is tried after half of this time; reqwest 0.13.5 has no setting for that.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.check_not_zero("connect_timeout", timeout.is_zero());
        self.settings.connect_timeout = timeout;
        self
    }

    /// How long a call may take as a whole, with its retries and the body; also
    /// [`Client::connect`], and a [`Client::request`], unless they set their own. Default: 30
    /// seconds, about as long as a user waits.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.check_not_zero("timeout", timeout.is_zero());
        self.settings.timeout = timeout;
        self
    }

    /// The maximum size of a body in bytes. A larger one is an error. Default: 1,048,576 (1 MiB), a
    /// thousand times a typical response.
    pub fn max_response_bytes(mut self, bytes: usize) -> Self {
        self.check_not_zero("max_response_bytes", bytes == 0);
        self.settings.max_response_bytes = bytes;
        self
    }

    /// How many times a call is retried after a transient failure
    /// ([`is_retryable`](Error::is_retryable)): a status such as 503, or (at most twice) a
    /// connection that failed or was closed before the response was complete; never after a
    /// certificate was refused or a time-out. Default: 10, enough to wait for a starting server
    /// until [`timeout`](Self::timeout). 0 disables retries, and the attempts beside one without an
    /// answer.
    ///
    /// The waits are 250 ms, doubling to 4 s, lengthened by jitter and by a server's `Retry-After`.
    /// A wait that does not fit into [`timeout`](Self::timeout) ends the call at once. The
    /// three calls are safe to repeat: an unused transient token expires.
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.settings.max_retries = retries;
        self
    }

    /// Whether the token may be sent unencrypted, over plain `http`, to any host. Default: `false`,
    /// only to loopback, private, unique-local and 100.64.0.0/10 addresses, to plex.direct names
    /// that contain one, to names without a dot, and to those that end in `.local`, `.localhost`,
    /// `.lan`, `.internal`, `.home.arpa`, `.home`, `.localdomain`, `.svc` or `.ts.net`.
    ///
    /// Without it, such a name must lead to such an address, too: others of its addresses are not
    /// used, and if there is no other, the call is [`InvalidAddress`](ErrorKind::InvalidAddress). So
    /// it has to be `true` where a local name leads to a public address: in a LAN or a cluster that
    /// uses public addresses, or for a host with a global IPv6 address only. A `dns_resolver` or
    /// `resolve` of [`configure_http`](Self::configure_http) is not checked.
    ///
    /// [`Client::connect`] uses plain `http` only if this is `true`, and then only to the hosts
    /// above.
    pub fn allow_insecure_http(mut self, allow: bool) -> Self {
        self.settings.allow_insecure_http = allow;
        self
    }

    /// Changes the `reqwest::ClientBuilder`: root certificates, a proxy, a login proxy's headers.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plex_auth::reqwest::{Certificate, Proxy};
    ///
    /// let ca = Certificate::from_pem(&std::fs::read("/etc/ssl/company-ca.pem")?)?;
    /// let proxy = Proxy::all("http://proxy.example.com:3128")?.basic_auth("user", "password");
    /// let client = plex_auth::Client::builder("https://plex.example.com")
    ///     .token("xxxx")
    ///     .client_identifier("living-room-remote-7f3c")
    ///     .configure_http(move |http| http.tls_certs_merge([ca.clone()]).proxy(proxy.clone()))
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// It is called again for each [connection](Client::connect) to a source, which has
    /// connections of its own, and where a call gets no answer: pools and cookie jars are new then.
    ///
    /// Before `configure` runs, proxies from the environment are turned off, idle connections are
    /// kept for 5 seconds (a PMS closes them after 20, and a network that is gone closes none), TCP
    /// keep-alive is sent after 5 seconds, and `plex.direct` names with a private address are
    /// resolved without DNS. It may change these, for example with a `dns_resolver`. After it,
    /// redirects, `reqwest`'s retries, verbose connections, decompression and HTTP/2 are turned
    /// off, and `connect_timeout` is set; `timeout` has a timer of its own. Headers that are set here,
    /// including `user_agent`, don't replace the crate's own.
    pub fn configure_http<F>(mut self, configure: F) -> Self
    where
        F: Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder + Send + Sync + 'static,
    {
        self.configure.push(Arc::new(configure));
        self
    }

    /// The client. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// - [`InvalidAddress`](ErrorKind::InvalidAddress), [`InvalidToken`](ErrorKind::InvalidToken),
    ///   [`InvalidSetting`](ErrorKind::InvalidSetting): the first setting that is missing or
    ///   invalid, and what to do;
    /// - [`HttpSetup`](ErrorKind::HttpSetup): `reqwest` can't be set up, for example if no CA
    ///   certificates are installed.
    pub fn build(self) -> Result<Client, Error> {
        let address = address::parse(&self.address)?;
        if let Some(error) = self.first_error {
            return Err(error);
        }
        let token = self.token.ok_or_else(|| {
            let problem = "it is missing: call `.token(..)` with the caller's token";
            Error::new(ErrorKind::InvalidToken, problem)
        })?;
        if !self.headers.contains_key(api::CLIENT_IDENTIFIER) {
            return Err(Error::setting(
                "client_identifier",
                "it is missing: call `.client_identifier(..)` with an identifier that was made \
                 once for this installation and kept",
            ));
        }
        let is_insecure = address.scheme() == "http" && !address::is_local(&address);
        if is_insecure && !self.settings.allow_insecure_http {
            let problem = "plain `http` to a host that is not local would send the token \
                           unencrypted: use `https`, or call `.allow_insecure_http(true)`";
            return Err(Error::new(ErrorKind::InvalidAddress, problem));
        }
        let resolver = Resolver::for_address(&address, self.settings.allow_insecure_http);
        let http = Http { resolver, configure: self.configure };
        let client = http.build(&self.settings)?;
        Ok(Client::from_parts(client, self.headers, address, token, self.settings, http))
    }

    fn header(mut self, setting: &'static str, name: HeaderName, text: &str) -> Self {
        let problem = match HeaderValue::from_bytes(text.as_bytes()) {
            _ if text.is_empty() => "it is empty",
            _ if text.chars().any(char::is_control) => "it has a control character in it",
            _ if text.trim() != text => "it begins or ends with white space: remove it",
            Err(_) => "a header can't carry it",
            // UTF-8 is sent unchanged.
            Ok(value) => {
                self.headers.insert(name, value);
                return self;
            }
        };
        self.keep(Error::setting(setting, problem));
        self
    }

    fn check_not_zero(&mut self, setting: &'static str, zero: bool) {
        if zero {
            self.keep(Error::setting(setting, "it is zero, so no call could succeed"));
        }
    }

    fn keep(&mut self, error: Error) {
        self.first_error.get_or_insert(error);
    }
}

/// How a `reqwest::Client` is built: for a new `Client`, and again for connections of its own.
#[derive(Clone)]
pub(super) struct Http {
    resolver: Resolver,
    configure: Vec<Arc<Configure>>,
}

impl Http {
    pub(super) fn build(&self, settings: &Settings) -> Result<reqwest::Client, Error> {
        // Defaults, which the closures may change.
        let http = reqwest::Client::builder()
            .no_proxy()
            .pool_idle_timeout(Duration::from_secs(5))
            .tcp_keepalive(Duration::from_secs(5))
            .tcp_keepalive_interval(Duration::from_secs(1))
            .tcp_keepalive_retries(3)
            .dns_resolver(self.resolver.clone());
        #[cfg(feature = "rustls-no-provider")]
        let http = http.tls_backend_rustls();
        // It would end an upload to a server that stops reading for a while.
        #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
        let http = http.tcp_user_timeout(None);
        let http = self.configure.iter().fold(http, |http, configure| configure(http));
        // Set after the closures: options that could send the token elsewhere, log it, or lift a
        // limit.
        http.redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connection_verbose(false)
            .http1_only()
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .connect_timeout(settings.connect_timeout)
            .build()
            .map_err(|error| {
                let summary = "HTTP could not be set up; where no CA certificates are installed, \
                               install them or add some with `configure_http`";
                let source = Some(error.without_url().into());
                Details { source, ..Details::new(ErrorKind::HttpSetup, summary) }.into()
            })
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}
