//! Work that gives way: tables, compression, YAML of large answers, and requests of
//! who has many at a time. It is done on threads to which the kernel gives less than
//! to those that answer everybody else: who asks for much waits for it, others don't.
//!
//! Requests of who has many at a time are in a [`Lane`], one for each priority level:
//! a flood in one level stands in front of nobody in another.

mod connections;
mod lane;
mod others;
mod permits;

pub use connections::serve;
pub use lane::Lane;
pub use others::{OTHERS, Others};

use rustix::process::setpriority_process;
use std::sync::LazyLock;
use tokio::runtime::{Builder, Runtime};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

/// From this many bytes on it is worth the way to another thread.
pub const FROM: usize = 64 << 10;

/// The threads' nice value: a tenth of the weight of others.
const NICE: i32 = 10;

/// How many threads there are. Those who answer everybody else find a processor that is
/// free: a thread that has one keeps it for a while, also from those that are more
/// important.
static THREADS: LazyLock<usize> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    (processors / 2).max(1)
});

static RUNTIME: LazyLock<Option<Runtime>> = LazyLock::new(|| {
    let mut builder = Builder::new_multi_thread();
    builder
        .worker_threads(*THREADS)
        .thread_name("background")
        // Seats given back here may linger.
        .enable_time()
        .on_thread_start(|| {
            // To the kernel it is the priority of the calling thread alone. Anybody
            // may give way; if it fails after all the work is done no worse.
            let _ = setpriority_process(None, NICE);
        })
        .build()
        .inspect_err(|error| tracing::warn!(%error, "no threads for background work"))
        .ok()
});

/// Computes in the background; where there is no background (the system had no
/// room for more threads) here and now.
///
/// # Panics
/// If the work does.
pub async fn compute<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match Lane::current() {
        // This is the background, and it has its turn.
        Some(_) => work(),
        None => run(async move { work() }).await,
    }
}

/// Does a task in the background, to its end or until nobody waits for it any more.
/// Where there is no background it is done here.
///
/// # Panics
/// If the task does.
async fn run<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> T {
    let Some(runtime) = &*RUNTIME else {
        return task.await;
    };
    let task = AbortOnDropHandle::new(runtime.spawn(task.in_current_span()));
    match task.await {
        Ok(result) => result,
        // Nobody aborts it as long as it is waited for.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Goes on with a task in the background.
pub fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    match &*RUNTIME {
        Some(runtime) => drop(runtime.spawn(task)),
        None => drop(tokio::spawn(task)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::getpriority_process;

    #[tokio::test]
    async fn the_background_gives_way() {
        let nice = || getpriority_process(None).unwrap();
        let here = nice();
        assert_eq!(compute(nice).await, NICE.max(here));
        assert_eq!(nice(), here, "the others stay as they were");
    }

    #[tokio::test]
    async fn a_task_that_nobody_waits_for_ends() {
        let (began, begins) = tokio::sync::oneshot::channel();
        let (kept, ended) = tokio::sync::oneshot::channel::<()>();
        let task = tokio::spawn(run(async move {
            let _kept = kept;
            let _ = began.send(getpriority_process(None).unwrap());
            std::future::pending::<()>().await;
        }));
        assert!(begins.await.unwrap() >= NICE);
        task.abort();
        assert!(ended.await.is_err(), "it is dropped");
    }

    #[tokio::test]
    async fn a_panic_comes_out_where_the_work_was_asked_for() {
        let asked = tokio::spawn(compute(|| panic!("of the work")));
        let panic = asked.await.unwrap_err().into_panic();
        assert_eq!(panic.downcast_ref(), Some(&"of the work"));
    }
}
