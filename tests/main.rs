//! What `plex-auth` promises, a module a promise. A file of its own has what needs a process of its
//! own: `faults` and `memory`, `wiped`, `tls_choices`.

mod answers;
mod building;
mod caller;
mod closure;
mod connect;
mod contract;
mod errors;
mod leaks;
mod no_panic;
mod reconnect;
mod requests;
mod retries;
mod tls;
mod token_cache;
