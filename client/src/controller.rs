//! Works off a queue: `reconcile(key)` until it says it is done.
//!
//! A reconcile that panics is a failure of its key alone: it comes back after
//! a pause like any other, and the other keys go on. Ending the process would
//! have one object that a controller can't bear stop all controllers, again
//! and again.

use crate::clock;
use crate::metrics::{IntCounterVec, register_int_counter_vec};
use crate::panics;
use crate::queue::{WorkQueue, reconciling};
use crate::steps::{self, Step};
use crate::trace;
use std::fmt::{Debug, Display};
use std::future::Future;
use std::hash::Hash;
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use tracing::Instrument;

static PANICS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "controller_reconcile_panics_total",
        "Reconciles that panicked, by controller.",
        &["controller"]
    )
    .expect("the name is registered once")
});

/// What a reconcile that went well wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing until something changes.
    Done,
    /// Another look after this long (a deadline, not a poll), or when the
    /// clock was set: most of what is waited for is a time of day.
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
    #[cfg(any(debug_assertions, feature = "faults"))]
    let fault = {
        let switch = crate::faults::Switch::new(format!("reconcile {name}"));
        move || switch.check()
    };
    #[cfg(not(any(debug_assertions, feature = "faults")))]
    let fault = || ();
    let worker = || async {
        loop {
            let key = queue.next().await;
            let hurries = queue.hurries();
            // Its own lines, those of the calls it makes, and the apiserver's: one name.
            let id = trace::id();
            let span = tracing::info_span!("reconcile", controller = name, ?key, trace = id);
            let begun = Instant::now();
            let work = trace::scope(id, async {
                fault();
                let outcome = reconcile(key.clone()).await;
                note(name, &key, begun, &outcome);
                outcome
            });
            let work = reconciling(work).instrument(span.clone());
            match panics::catch(work).await {
                Ok(Ok(next)) => {
                    queue.forget(&key);
                    if let Next::After(delay) = next {
                        // By a clock that was set meanwhile it was computed wrongly.
                        let is_stale = queue.hurries() != hurries;
                        let delay = if is_stale { Duration::ZERO } else { delay };
                        queue.add_again(key.clone(), delay);
                    }
                }
                Ok(Err(error)) => {
                    let delay = queue.add_failed(key.clone());
                    span.in_scope(|| tracing::warn!(?delay, %error, "will try again"));
                }
                Err(panic) => {
                    PANICS.with_label_values(&[name]).inc();
                    let delay = queue.add_failed(key.clone());
                    span.in_scope(|| tracing::error!(?delay, %panic, "will try again"));
                }
            }
            queue.done(&key);
            // However many keys are ready: others of this thread want a turn.
            tokio::task::yield_now().await;
        }
    };
    let after_clock_changes = async {
        let mut changes = clock::Changes::new();
        loop {
            changes.next().await;
            queue.add_delayed();
        }
    };
    let workers = futures_util::future::join_all((0..workers).map(|_| worker()));
    tokio::select! {
        _ = workers => {}
        () = after_clock_changes => {}
    }
}

/// Notes a reconcile for who follows what came of it; one that asked nobody for anything has
/// changed nothing.
fn note<E: Display>(name: &str, key: &impl Debug, begun: Instant, outcome: &Result<Next, E>) {
    if trace::calls() == 0 {
        return;
    }
    let step = Step::new("reconciled")
        .since(begun)
        .with("controller", name)
        .with("key", format_args!("{key:?}"))
        .with("calls", trace::calls());
    steps::record(match outcome {
        Ok(_) => step,
        Err(error) => step.with("error", error),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::convert::Infallible;

    #[tokio::test(start_paused = true)]
    async fn a_key_that_was_worked_on_while_the_clock_was_set_comes_again_at_once() {
        let queue = WorkQueue::new();
        queue.add("key");
        let looks = Cell::new(0);
        let work = run("test", queue.clone(), 1, |_| {
            looks.set(looks.get() + 1);
            if looks.get() == 1 {
                queue.add_delayed();
            }
            async { Ok::<_, Infallible>(Next::After(Duration::from_secs(3600))) }
        });
        let time = Duration::from_secs(1);
        assert!(tokio::time::timeout(time, work).await.is_err());
        assert_eq!(looks.get(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_panics_comes_back_and_holds_up_no_other() {
        let queue = WorkQueue::new();
        for key in ["poison", "sound"] {
            queue.add(key);
        }
        let (poisoned, sound) = (Cell::new(0), Cell::new(0));
        let work = run("test", queue, 1, |key| {
            let count = if key == "poison" { &poisoned } else { &sound };
            count.set(count.get() + 1);
            async move {
                assert_eq!(key, "sound", "as was to be expected");
                Ok::<_, Infallible>(Next::Done)
            }
        });
        let time = Duration::from_secs(1);
        assert!(
            tokio::time::timeout(time, work).await.is_err(),
            "it goes on"
        );
        assert_eq!(sound.get(), 1);
        // 5 ms, doubled each time: eight attempts fit into a second.
        assert_eq!(poisoned.get(), 8);
        assert_eq!(PANICS.with_label_values(&["test"]).get(), 8);
    }
}
