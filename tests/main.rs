//! What `plex-auth` promises, a folder for each ring of `src/`, and a module for each promise. Tests that need a process of their own are
//! separate binaries: `faults`, `files`, `memory`, `wiped` and `tls_choices`.

mod api;
mod client;
mod connect;
