//! The apiserver's own way to servers outside it: API servers behind it, webhooks. They are
//! reached at a Service's endpoints (the apiserver may be where no Service address leads), or by
//! URL, and their certificates are checked.

mod connection;
mod endpoints;

pub use connection::{Connector, Destination};
pub use endpoints::{Reference, Unavailable};

use std::error::Error;

/// What is behind an error of a pool of connections, which says nothing itself.
pub fn cause(error: &hyper_util::client::legacy::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
