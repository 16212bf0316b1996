//! Permits of tasks on the background's threads.

use super::others::OTHERS;
use super::{THREADS, spawn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::PollSemaphore;

/// Rests are at least so long: timers are no finer.
const SHORTEST_REST: Duration = Duration::from_millis(1);

/// Permits, one for each thread: however many tasks could go on, as few as there are
/// threads are in front of who comes next.
#[derive(Clone)]
pub struct Permits(Arc<Semaphore>);

impl Default for Permits {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(*THREADS)))
    }
}

/// A task that is gone on with when it has its turn. While others are present it rests
/// after what it has done, and the turn with it.
pub struct Permitted<F> {
    permits: PollSemaphore,
    task: Pin<Box<F>>,
    /// For how long it has run without a rest.
    ran: Duration,
}

impl<F> Permitted<F> {
    /// A task that waits for its permits.
    pub fn new(permits: &Permits, task: F) -> Self {
        Self {
            permits: PollSemaphore::new(permits.0.clone()),
            task: Box::pin(task),
            ran: Duration::ZERO,
        }
    }
}

impl<F: Future> Future for Permitted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // It is never closed.
        let turn = ready!(self.permits.poll_acquire(context));
        let began = Instant::now();
        let polled = self.task.as_mut().poll(context);
        self.ran += began.elapsed();
        if self.ran >= SHORTEST_REST {
            let rest = OTHERS.rest(std::mem::take(&mut self.ran));
            if !rest.is_zero() {
                spawn(async move {
                    tokio::time::sleep(rest).await;
                    drop(turn);
                });
            }
        }
        polled
    }
}
