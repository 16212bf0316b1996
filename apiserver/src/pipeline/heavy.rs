//! Large objects take long to read, merge and check. The threads of the runtime are
//! few, and whoever works on one of them keeps all others off it; so this is done
//! aside, where the kernel shares the processors out.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

/// From this many bytes on the work counts as heavy.
const FROM: usize = 64 << 10;

/// A request's work, done aside if it is heavy.
pub(super) struct Heavy<F> {
    work: Pin<Box<F>>,
    aside: bool,
}

/// Work on `size` bytes.
pub(super) fn heavy<F: Future>(size: usize, work: F) -> Heavy<F> {
    // Tests may have a runtime of one thread, which has no other to go on with.
    let threads = || Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread;
    Heavy {
        work: Box::pin(work),
        aside: size >= FROM && threads(),
    }
}

impl<F: Future> Future for Heavy<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        match self.aside {
            true => block_in_place(|| self.work.as_mut().poll(context)),
            false => self.work.as_mut().poll(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn heavy_work_holds_no_thread_of_the_runtime() {
        let others_ran = Arc::new(AtomicBool::new(false));
        let seen = others_ran.clone();
        let work = async move {
            let deadline = Instant::now() + Duration::from_secs(20);
            while !seen.load(Ordering::Relaxed) && Instant::now() < deadline {
                std::hint::spin_loop();
            }
            seen.load(Ordering::Relaxed)
        };
        let work = tokio::spawn(heavy(FROM, work));
        tokio::spawn(async move { others_ran.store(true, Ordering::Relaxed) });
        assert!(work.await.unwrap(), "nobody else ran meanwhile");
    }
}
