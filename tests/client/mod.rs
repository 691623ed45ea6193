//! Ring 2: one call that is safe.

mod building;
mod caller;
mod closure;
mod errors;
mod leaks;
mod more_calls;
mod no_panic;
mod proxies;
mod retries;
mod tls;
