//! Ring 1: what the fragment says is what is sent and read.

mod answers;
mod contract;
mod requests;
