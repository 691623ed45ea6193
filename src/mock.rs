//! Typed mocks of the two endpoints, for your own tests. Feature `httpmock`.
//!
//! Generated from the same fragment as the client, so that a mock can't drift from it.
//! [`MockServerExt`] adds a method for each endpoint to [`httpmock::MockServer`]; its closure gets
//! a `when` with a method for each query parameter and a `then` with one for each status whose
//! body can be JSON. For the other dresses of an error (HTML, XML while a server starts) take the
//! `httpmock` types inside, by `into_inner()`. The bodies' types are in [`wire`](crate::wire).
//!
//! Mind that httpmock's server logs whole requests, tokens included, at `DEBUG` and `TRACE`, and
//! answers 500 to a header that is not ASCII.
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
//!         media_container: TransientTokenContainer { token: Some("transient-1".into()) },
//!     });
//! });
//!
//! let client =
//!     Client::builder(server.base_url()).token("owner").client_identifier("test").build()?;
//! let transient = client.transient_token().await?;
//! assert_eq!(transient.token().expose_secret(), "transient-1");
//! mock.assert_async().await;
//! # Ok(())
//! # }
//! ```

pub use httpmock;

pub use crate::generated::mocks::{MockServerExt, operations};
