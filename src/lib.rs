// Link targets for rustdoc. They stand before the README's own, because the first definition wins.
//! [guide]: crate::guide
//! [`Client`]: crate::Client
//! [`ClientBuilder`]: crate::ClientBuilder
//! [`Connected`]: crate::Connected
//! [`Error`]: crate::Error
//! [`ErrorKind`]: crate::ErrorKind
//! [`TokenCache`]: crate::TokenCache
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![deny(clippy::arithmetic_side_effects)]

mod address;
mod api;
mod client;
mod connect;
mod error;
#[cfg(fuzzing)]
#[doc(hidden)]
#[path = "../fuzz/parsers.rs"]
pub mod fuzz;
mod source;
#[cfg(doc)]
#[doc = include_str!("../docs/guide.md")]
pub mod guide {}
#[cfg(feature = "test-util")]
mod test_util;
mod token;

pub use reqwest;

#[cfg(feature = "httpmock")]
pub use crate::api::mock;
#[cfg(any(feature = "httpmock", feature = "schemars"))]
pub use crate::api::wire;
pub use crate::client::{Client, ClientBuilder};
pub use crate::connect::{Connect, Connected, TokenCache};
pub use crate::error::{CandidateError, Error, ErrorKind};
pub use crate::source::{Connection, Device, Identity, Source};
pub use crate::token::{Token, TransientToken};
