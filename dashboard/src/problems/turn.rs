//! Turns to look for what is wrong. Whole lists are read and compared for it, so that it is the
//! most that a viewer can have the server do: each does so once at a time, and few do at once.

use crate::failure::Failure;
use crate::viewer::Viewer;
use hardway_why::Snapshot;
use http::StatusCode;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How many look at once, of all viewers.
static ALL: Semaphore = Semaphore::const_new(2);
/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(30);

/// A turn, until it is dropped.
pub struct Turn<'a> {
    _own: SemaphorePermit<'a>,
    _of_all: SemaphorePermit<'a>,
}

impl<'a> Turn<'a> {
    /// The viewer's next turn. First among their own: whoever asks for much waits behind
    /// themselves, and others behind one of theirs.
    ///
    /// # Errors
    /// If the process ends.
    pub async fn wait(viewer: &'a Viewer) -> Result<Self, Failure> {
        Self::of(&ALL, viewer).await
    }

    /// The same for who does not wait for long.
    ///
    /// # Errors
    /// 429 if it takes too long.
    pub async fn soon(viewer: &'a Viewer) -> Result<Self, Failure> {
        Self::in_time(Self::of(&ALL, viewer)).await
    }

    async fn of(all: &'a Semaphore, viewer: &'a Viewer) -> Result<Self, Failure> {
        let ending = |_| Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the dashboard ends");
        Ok(Self {
            _own: viewer.looking.acquire().await.map_err(ending)?,
            _of_all: all.acquire().await.map_err(ending)?,
        })
    }

    async fn in_time(turn: impl Future<Output = Result<Self, Failure>>) -> Result<Self, Failure> {
        let turn = tokio::time::timeout(PATIENCE, turn).await;
        turn.unwrap_or_else(|_| {
            let message = "too much is being looked for: try again in a moment";
            Err(Failure::new(StatusCode::TOO_MANY_REQUESTS, message))
        })
    }
}

/// Has the engine think on a thread of its own: others' pages are not to wait for it.
///
/// # Errors
/// If it has failed.
pub async fn think<T: Send + 'static>(
    snapshot: Snapshot,
    thought: impl FnOnce(&Snapshot) -> T + Send + 'static,
) -> Result<(Snapshot, T), Failure> {
    let thinking = tokio::task::spawn_blocking(move || {
        let found = thought(&snapshot);
        (snapshot, found)
    });
    thinking.await.map_err(|error| {
        tracing::error!(%error, "looking for what is wrong failed");
        let message = "looking for what is wrong failed";
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::viewer::tests::viewer;
    use futures_util::FutureExt;

    #[tokio::test(start_paused = true)]
    async fn a_viewer_has_one_turn_and_leaves_others_theirs() {
        let (greedy, other, third) = (viewer(), viewer(), viewer());
        let all = Semaphore::new(2);
        let turn = Turn::of(&all, &greedy).await.unwrap();
        assert!(Turn::of(&all, &greedy).now_or_never().is_none());
        let others = Turn::of(&all, &other).now_or_never().unwrap().unwrap();
        assert!(Turn::of(&all, &third).now_or_never().is_none());
        let late = Turn::in_time(Turn::of(&all, &third)).await.err().unwrap();
        assert_eq!(late.code(), StatusCode::TOO_MANY_REQUESTS);
        drop(others);
        assert!(Turn::of(&all, &third).now_or_never().is_some());
        drop(turn);
        assert!(Turn::of(&all, &greedy).now_or_never().is_some());
    }
}
