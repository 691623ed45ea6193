//! `ClientBuilder`: the address, the token, the client headers, the limits.

use std::fmt;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName};

use crate::client::Settings;
use crate::resolver::Resolver;
use crate::{Client, Error, Token, address, headers};

type Configure = Box<dyn FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder + Send>;

/// Settings of a [`Client`]; made by [`Client::builder`].
///
/// A setting that can't be used is remembered, and [`build`](Self::build) names the first of them.
/// No setting is read from the environment.
#[must_use = "a builder does nothing until `build()` is called"]
pub struct ClientBuilder {
    address: String,
    token: Option<Token>,
    headers: HeaderMap,
    settings: Settings,
    configure: Vec<Configure>,
    first_error: Option<Error>,
}

impl ClientBuilder {
    pub(crate) fn new(address: String) -> Self {
        Self {
            address,
            token: None,
            headers: headers::base(),
            settings: Settings::default(),
            configure: Vec::new(),
            first_error: None,
        }
    }

    /// The caller's token. Required.
    pub fn token<T>(mut self, token: T) -> Self
    where
        T: TryInto<Token>,
        T::Error: Into<Error>,
    {
        match token.try_into() {
            Ok(token) => self.token = Some(token),
            Err(error) => self.keep(error.into()),
        }
        self
    }

    /// `X-Plex-Client-Identifier`. Required, because a server lists each new one as one more
    /// device of its owner's.
    ///
    /// Make one when the app is installed, a random UUID for example, and keep it with the app's
    /// settings. Don't make a new one at each start.
    pub fn client_identifier(self, identifier: impl AsRef<str>) -> Self {
        self.header("client_identifier", headers::CLIENT_IDENTIFIER, identifier.as_ref())
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
    device_name, "x-plex-device-name", "the name its owner gave it; UTF-8 is sent as it is.";
    marketplace, "x-plex-marketplace", "the store that the app was installed from.";
}

impl ClientBuilder {
    /// How long to wait for a connection, name look-up and TLS included. Default: 5 seconds, which
    /// a server in reach never needs.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.check_not_zero("connect_timeout", timeout.is_zero());
        self.settings.connect_timeout = timeout;
        self
    }

    /// How long a call may take as a whole, with its retries and the body. Default: 30 seconds,
    /// which is as long as a person waits.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.check_not_zero("timeout", timeout.is_zero());
        self.settings.timeout = timeout;
        self
    }

    /// How many bytes a body may have; no more is held in memory. Default: 1,048,576 (1 MiB), a
    /// thousand times the usual answer.
    pub fn max_response_bytes(mut self, bytes: usize) -> Self {
        self.check_not_zero("max_response_bytes", bytes == 0);
        self.settings.max_response_bytes = bytes;
        self
    }

    /// How many times a call is tried again after a passing failure: no connection, 429, 502, 503
    /// or 504; never after a TLS failure or a time-out. Default: 2, and 0 turns it off.
    ///
    /// A server's `Retry-After` is honoured; without one the wait is 250 ms, doubling, with jitter.
    /// A wait that does not fit into [`timeout`](Self::timeout) ends the call at once. Both calls
    /// are safe to repeat: a transient token that nobody uses expires.
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.settings.max_retries = retries;
        self
    }

    /// Lets the token travel readable, over plain `http`, to any host. Default: only to loopback,
    /// private, link-local, unique-local and 100.64.0.0/10 addresses, to names without a dot, and
    /// to those that end in `.local`, `.lan`, `.internal` or `.home.arpa`.
    pub fn allow_insecure_http(mut self) -> Self {
        self.settings.allow_insecure_http = true;
        self
    }

    /// Whether [`Client::connect`] may go through a relay, which is slow, when no direct way leads
    /// to a device. Default: `true`, because slow is better than not at all.
    pub fn relay(mut self, relay: bool) -> Self {
        self.settings.relay = relay;
        self
    }

    /// HTTP settings of your own: a proxy, root certificates, the pool's size.
    ///
    /// What this crate promises can't be undone here: redirects, `reqwest`'s retries, verbose
    /// connections, decompression and HTTP/2 are turned off after `configure` has run, and the two
    /// time-outs are set. A cookie store is refused. Proxies come from here alone, not from the
    /// environment.
    ///
    /// `plex.direct` names need no DNS: the crate reads the address that they hold, because many
    /// routers refuse to resolve them. A `dns_resolver` that is set here takes that over; `resolve`
    /// is for single names.
    ///
    /// ```
    /// # fn main() -> Result<(), plex_auth::Error> {
    /// let client = plex_auth::Client::builder("http://127.0.0.1:32400")
    ///     .token("xxxx")
    ///     .client_identifier("living-room")
    ///     .configure_http(|http| http.pool_max_idle_per_host(1))
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn configure_http<F>(mut self, configure: F) -> Self
    where
        F: FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder + Send + 'static,
    {
        self.configure.push(Box::new(configure));
        self
    }

    /// The client. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] names the first setting that is missing or wrong, and what would be
    /// right; [`Error::HttpSetup`] when `reqwest` can't be set up, for example where no CA
    /// certificates are installed.
    pub fn build(self) -> Result<Client, Error> {
        let address = address::parse(&self.address)?;
        if let Some(error) = self.first_error {
            return Err(error);
        }
        let token = self.token.ok_or_else(|| {
            Error::invalid("token", "it is missing: call `.token(..)` with the caller's token")
        })?;
        if !self.headers.contains_key(headers::CLIENT_IDENTIFIER) {
            return Err(Error::invalid(
                "client_identifier",
                "it is missing: call `.client_identifier(..)` with an identifier that was made \
                 once for this installation and kept",
            ));
        }
        address::check_scheme(&address, self.settings.allow_insecure_http)?;

        let setup = |error: reqwest::Error| Error::HttpSetup(error.without_url().into());
        // Before the closure: it would erase a resolver that is set there.
        let http = reqwest::Client::builder().dns_resolver(Resolver);
        #[cfg(feature = "rustls")]
        let http = http.tls_backend_rustls();
        // After it: what would send the token elsewhere, log it, or lift a limit.
        let http = self.configure.into_iter().fold(http, |http, configure| configure(http));
        if has_cookie_store(&http) {
            return Err(Error::invalid(
                "configure_http",
                "a cookie store would mix up the identities that share the connections",
            ));
        }
        let http = http
            .proxy(no_proxy().map_err(setup)?)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connection_verbose(false)
            .http1_only()
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .connect_timeout(self.settings.connect_timeout)
            .timeout(self.settings.timeout)
            .build()
            .map_err(setup)?;
        Client::new(address, http, self.headers, token, self.settings)
    }

    fn header(mut self, setting: &'static str, name: HeaderName, value: &str) -> Self {
        match headers::value(setting, value) {
            Ok(value) => drop(self.headers.insert(name, value)),
            Err(error) => self.keep(error),
        }
        self
    }

    fn check_not_zero(&mut self, setting: &'static str, zero: bool) {
        if zero {
            self.keep(Error::invalid(setting, "it is zero, so no call could succeed"));
        }
    }

    fn keep(&mut self, error: Error) {
        self.first_error.get_or_insert(error);
    }
}

/// A proxy that nothing is sent to. Where one is named, `reqwest` takes none from the environment,
/// whatever builder the closure returned; `ClientBuilder::no_proxy` would erase the closure's own.
fn no_proxy() -> reqwest::Result<reqwest::Proxy> {
    let everything = reqwest::NoProxy::from_string("*,0.0.0.0/0,::/0");
    Ok(reqwest::Proxy::all("http://0.0.0.0")?.no_proxy(everything))
}

/// A cookie store can be taken out only where `reqwest` has its feature `cookies`, which this crate
/// does not switch on but another one may; that there is one shows in `Debug` alone.
fn has_cookie_store(http: &reqwest::ClientBuilder) -> bool {
    format!("{http:?}").starts_with("ClientBuilder { cookie_store: true")
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("token", &self.token)
            .field("headers", &self.headers)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
