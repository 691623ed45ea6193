//! Errors, tokens, devices and handles without a server, for tests. Feature `test-util`.

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;

use crate::client::{Client, meaning};
use crate::connect::{Connected, Found, Options};
use crate::error::{Details, Error, ErrorKind};
use crate::source::{Connection, Device, Source};
use crate::token::{Timestamp, Token, TransientToken};

/// For tests of code that handles errors. A setter changes the error, but not its clones.
impl Error {
    /// An error of a kind, with a matching status.
    ///
    /// ```
    /// use plex_auth::{Error, ErrorKind};
    /// use std::time::Duration;
    ///
    /// let error = Error::for_test(ErrorKind::Unavailable).with_retry_after(Duration::from_secs(5));
    /// assert!(error.is_retryable() && error.retry_after().is_some());
    /// ```
    pub fn for_test(kind: ErrorKind) -> Self {
        let statuses = [302_u16, 400, 401, 403, 404, 407, 429, 500, 503];
        let mut statuses = statuses.into_iter().filter_map(|code| StatusCode::from_u16(code).ok());
        let status = statuses.find(|status| meaning(*status).0 == kind);
        Details { status, ..Details::new(kind, "an error made for a test") }.into()
    }

    /// What [`status()`](Self::status) returns.
    #[must_use]
    pub fn with_status(self, status: StatusCode) -> Self {
        self.with(|details| details.status = Some(status))
    }

    /// What [`retry_after()`](Self::retry_after) returns.
    #[must_use]
    pub fn with_retry_after(self, wait: Duration) -> Self {
        self.with(|details| details.retry_after = Some(wait))
    }
}

impl TransientToken {
    /// A transient token that was fetched at this time, for tests of code that uses one.
    ///
    /// ```
    /// # fn main() -> Result<(), plex_auth::Error> {
    /// use std::time::{Duration, SystemTime};
    ///
    /// let fetched_at = SystemTime::now() - Duration::from_secs(47 * 60 * 60);
    /// let token = plex_auth::TransientToken::for_test("xxxx".parse()?, fetched_at);
    /// assert!(token.time_left() <= Duration::from_secs(60 * 60));
    /// # Ok(())
    /// # }
    /// ```
    pub fn for_test(token: Token, fetched_at: SystemTime) -> Self {
        Self::new(token, Timestamp { wall: fetched_at, ..Timestamp::now() })
    }
}

impl Connected {
    /// A handle with this client and device, and with the device's first connection, or with the
    /// client's address if it has none. It reconnects by asking the client's server for the source
    /// with the device's identifier.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plex_auth::{Client, Connected, Connection, Device};
    ///
    /// let client = Client::builder("http://127.0.0.1:32400").token("x").client_identifier("y");
    /// let uri = "https://10-0-2-123.93b1.plex.direct:32400".parse()?;
    /// let device = Device::new("243b47", "xxxx".parse()?, vec![Connection::new(uri)]);
    /// let server = Connected::for_test(client.build()?, device);
    /// assert_eq!(server.device().client_identifier, "243b47");
    /// # Ok(())
    /// # }
    /// ```
    pub fn for_test(client: Client, device: Device) -> Self {
        let source = Source(format!("server://{}", device.client_identifier));
        let own = || Connection::new(client.address().clone());
        let connection = device.connections.first().cloned().unwrap_or_else(own);
        let (candidates, token) = (Vec::new(), None);
        let found = Found { client: client.clone(), device, connection, candidates, token };
        Self::from_parts(client.clone(), source, Options::of(&client), found)
    }
}
