//! Works off a queue: `reconcile(key)` until it says it is done.

use crate::queue::WorkQueue;
use std::fmt::{Debug, Display};
use std::future::Future;
use std::hash::Hash;
use std::time::Duration;

/// What a reconcile that went well wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing until something changes.
    Done,
    /// Another look after this long (a deadline, not a poll).
    After(Duration),
}

/// Runs `workers` workers until the future is dropped. A failed key comes back
/// with growing pauses; failures are logged.
pub async fn run<T, F, Fut, E>(
    name: &'static str,
    queue: WorkQueue<T>,
    workers: usize,
    reconcile: F,
) where
    T: Clone + Eq + Hash + Debug + Send,
    F: Fn(T) -> Fut,
    Fut: Future<Output = Result<Next, E>>,
    E: Display,
{
    let worker = || async {
        loop {
            let key = queue.next().await;
            match reconcile(key.clone()).await {
                Ok(next) => {
                    queue.forget(&key);
                    if let Next::After(delay) = next {
                        queue.add_after(key.clone(), delay);
                    }
                }
                Err(error) => {
                    let delay = queue.add_failed(key.clone());
                    tracing::warn!(controller = name, ?key, ?delay, %error, "will try again");
                }
            }
            queue.done(&key);
        }
    };
    futures_util::future::join_all((0..workers).map(|_| worker())).await;
}
