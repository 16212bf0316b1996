//! Writes that lose to another one.

use hardway_client::controller::Next;
use hardway_proto::Status;
use std::time::Duration;

/// How long the cache is given to catch up.
const CATCH_UP: Duration = Duration::from_millis(50);

/// A conflict is no failure: somebody else wrote first, and the cache doesn't
/// show it yet. The decision is made anew when it does.
pub fn wait_out(result: Result<Next, Status>) -> Result<Next, Status> {
    match result {
        Err(status) if status.is_conflict() => Ok(Next::After(CATCH_UP)),
        other => other,
    }
}
