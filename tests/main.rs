//! What `plex-auth` promises, a module for each promise. Tests that need a process of their own are
//! separate binaries: `faults`, `files`, `memory`, `wiped` and `tls_choices`.

mod answers;
mod building;
mod caller;
mod closure;
mod connect;
mod contract;
mod errors;
mod leaks;
mod more_calls;
mod no_panic;
mod reconnect;
mod requests;
mod retries;
mod tls;
mod token_cache;
