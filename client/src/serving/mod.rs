//! HTTPS servers, and HTTP servers where nothing is secret, whose clients can't keep each
//! other out: every state of a connection has a deadline ([`Deadlines`]), there are only so
//! many connections ([`Bounds`]), and the loop that accepts them never stops.

mod connection;
mod connection_load;
mod descriptors;
mod life;
mod listening;
mod shared;
mod table;
mod validity;

pub use connection::{Peer, Service};
pub use connection_load::ConnectionLoad;
pub use descriptors::{descriptors, raise_descriptors};
pub use life::{Deadlines, TrackedBody};
pub use listening::Server;
pub use table::Bounds;
pub use validity::Validity;

use futures_util::FutureExt;
use std::any::Any;
use std::panic::AssertUnwindSafe;

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Runs a future to its end; `Err` has the message with which it panicked.
/// What it shares with others must not be broken by a panic: no lock here is
/// poisoned by one, and what is changed is changed at once.
pub async fn caught<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let outcome = AssertUnwindSafe(future).catch_unwind().await;
    outcome.map_err(|panic| message(&*panic))
}

/// What a panic says.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn panics_are_caught_with_their_message() {
        assert_eq!(caught(async { 1 }).await, Ok(1));
        let panicked = caught(async { panic!("at {}", 2) }).await;
        assert_eq!(panicked, Err::<(), _>("at 2".into()));
    }
}
