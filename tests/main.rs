//! What `plex-auth` promises: a folder for each ring of `src/`, a module for each kind of promise, a test
//! for each. Tests that need a process of their own are separate binaries.

mod api;
mod client;
mod connect;
