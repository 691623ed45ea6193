#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![deny(clippy::arithmetic_side_effects)]

mod address;
mod answer;
mod builder;
mod call;
mod client;
mod connect;
mod error;
mod generated;
mod headers;
mod hooks;
mod keeper;
#[cfg(feature = "httpmock")]
pub mod mock;
mod resolver;
mod retry;
mod source;
mod token;
pub mod wire;

pub use reqwest;

pub use crate::answer::BodyKind;
pub use crate::builder::ClientBuilder;
pub use crate::client::Client;
pub use crate::connect::Connected;
pub use crate::error::{Attempt, Error, Failure, NoConnection};
pub use crate::keeper::{TokenKeeper, TokenKeeperBuilder};
pub use crate::source::{Connection, Device, Source, SourceKind};
pub use crate::token::{Token, TransientToken};
