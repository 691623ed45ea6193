//! Typed mocks of the endpoints, for your own tests. Feature `httpmock`.
//!
//! Generated from the same fragment as the client, so that a mock can't drift from it.
//! [`MockServerExt`] adds a method for each endpoint to [`httpmock::MockServer`]; its closure gets
//! a `when` with a method for each query parameter and a `then` with one for each status whose
//! body can be JSON. For other bodies (HTML, XML while a server starts) use the `httpmock` types
//! inside, with `into_inner()`. The bodies' types are in [`wire`](crate::wire).
//!
//! This feature enables `test-util`, which has values for tests without a server: an
//! [`Error`](crate::Error::for_test), a [`Connected`](crate::Connected::for_test) and a
//! [`TransientToken`](crate::TransientToken::for_test). A [`Device`](crate::Device::new) needs no
//! feature.
//!
//! httpmock's server logs whole requests, tokens included, at `DEBUG` and `TRACE`, and answers 500
//! to a header that is not ASCII.
//!
//! # A transient token
//!
//! ```
//! use httpmock::MockServer;
//! use plex_auth::Client;
//! use plex_auth::mock::{MockServerExt as _, httpmock};
//! use plex_auth::wire::{TransientTokenBody, TransientTokenContainer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), plex_auth::Error> {
//! let server = MockServer::start_async().await;
//! let mock = server.get_transient_token(|when, then| {
//!     when.into_inner().header("x-plex-token", "owner");
//!     then.ok(&TransientTokenBody {
//!         media_container: TransientTokenContainer {
//!             token: Some("transient-1".into()),
//!             ..Default::default()
//!         },
//!         ..Default::default()
//!     });
//! });
//!
//! let client =
//!     Client::builder(server.base_url()).token("owner").client_identifier("test").build()?;
//! assert_eq!(client.transient_token().await?.expose_secret(), "transient-1");
//! mock.assert_async().await;
//! # Ok(())
//! # }
//! ```
//!
//! # `connect`
//!
//! The same server answers for the source here, so it lists itself. Plain `http` needs
//! `allow_insecure_http`.
//!
//! ```
//! use plex_auth::mock::{MockServerExt as _, httpmock::MockServer};
//! use plex_auth::wire::{Connection, Device, OneOrMany, SourceBody, SourceContainer};
//! use plex_auth::wire::{IdentityBody, IdentityContainer};
//! use plex_auth::{Client, Source, reqwest::Url};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = MockServer::start_async().await;
//! server.get_identity(|_, then| {
//!     then.ok(&IdentityBody {
//!         media_container: IdentityContainer {
//!             machine_identifier: "243b47".into(),
//!             ..Default::default()
//!         },
//!         ..Default::default()
//!     });
//! });
//! let uri: Url = server.base_url().parse()?;
//! let connection = Connection { uri: Some(uri.into()), ..Default::default() };
//! let device = Device {
//!     client_identifier: Some("243b47".into()),
//!     access_token: Some("transient-2".into()),
//!     connection: Some(OneOrMany(vec![connection])),
//!     ..Default::default()
//! };
//! server.get_source_connection_information(|when, then| {
//!     when.source("server://243b47");
//!     then.ok(&SourceBody {
//!         media_container: SourceContainer { device: Some(OneOrMany(vec![device])) },
//!         ..Default::default()
//!     });
//! });
//!
//! let client = Client::builder(server.base_url())
//!     .token("owner")
//!     .client_identifier("test")
//!     .allow_insecure_http(true)
//!     .build()?;
//! let connected = client.connect(&Source::server("243b47")?).await?;
//! assert_eq!(connected.device().access_token.expose_secret(), "transient-2");
//! # Ok(())
//! # }
//! ```
//!
//! # Your own error handling, without a server
//!
//! ```
//! use plex_auth::{Error, ErrorKind};
//!
//! /// The HTTP status that a web service answers with.
//! fn status(error: &Error) -> u16 {
//!     match error.kind() {
//!         ErrorKind::Unauthorized | ErrorKind::Forbidden => 401,
//!         ErrorKind::NoDevice => 404,
//!         ErrorKind::Timeout => 504,
//!         _ if error.is_retryable() => 503,
//!         _ => 502,
//!     }
//! }
//!
//! assert_eq!(status(&Error::for_test(ErrorKind::NoDevice)), 404);
//! assert_eq!(status(&Error::for_test(ErrorKind::Unavailable)), 503);
//! ```
//!
//! # Time
//!
//! Under `#[tokio::test(start_paused = true)]` a call on a socket times out at once: tokio advances
//! a paused clock when all tasks are idle, even if they wait for a socket. Let the call end first,
//! and pause the clock after it. This ages a cached token:
//!
//! ```
//! # use plex_auth::mock::{MockServerExt as _, httpmock::MockServer};
//! # use plex_auth::wire::{TransientTokenBody, TransientTokenContainer};
//! # use plex_auth::{Client, TokenCache};
//! # use std::time::Duration;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), plex_auth::Error> {
//! # let server = MockServer::start_async().await;
//! # let mock = server.get_transient_token(|_, then| {
//! #     let token = Some("transient-1".into());
//! #     let media_container = TransientTokenContainer { token, ..Default::default() };
//! #     then.ok(&TransientTokenBody { media_container, ..Default::default() });
//! # });
//! # let client =
//! #     Client::builder(server.base_url()).token("owner").client_identifier("test").build()?;
//! let cache = TokenCache::new(client);
//! cache.token().await?;
//!
//! tokio::time::pause();
//! tokio::time::advance(Duration::from_secs(48 * 3600)).await;
//! tokio::time::resume();
//!
//! cache.token().await?; // the first has expired
//! mock.assert_calls_async(2).await;
//! # Ok(())
//! # }
//! ```

pub use httpmock;

pub use super::generated::mocks::{MockServerExt, operations};
