//! x
pub use crate::generated::mocks::*;
