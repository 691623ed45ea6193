//! Ring 3: from a source to a server.

mod kept;
mod race;
mod reconnect;
mod token_cache;
