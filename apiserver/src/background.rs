//! Work that gives way: tables, compression, YAML of large answers, and requests of
//! who has many at a time. It is done on threads to which the kernel gives less than
//! to those that answer everybody else: who asks for much waits for it, others don't.
//!
//! Requests of who has many at a time are in a [`Lane`], one for each priority level:
//! a flood in one level stands in front of nobody in another.

use crate::store::Places;
use futures_util::future::BoxFuture;
use hardway_client::serving::Burden;
use rustix::process::setpriority_process;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio_util::sync::PollSemaphore;
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

/// Turns of connections that are burdened, one for each thread.
static CONNECTIONS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(*THREADS)));

tokio::task_local! {
    static LANE: Arc<Lane>;
}

/// Requests that give way together, and wait for each other.
pub struct Lane {
    /// One for each thread: more of them would be in front of other lanes' requests.
    turns: Arc<Semaphore>,
    /// Where they wait for etcd.
    pub etcd: Places,
}

impl Lane {
    /// One in which nobody is.
    pub fn new() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(*THREADS)),
            etcd: Places::new(),
        }
    }

    /// The lane of the request that is worked on; none if it gives way to nobody.
    pub fn current() -> Option<Arc<Self>> {
        LANE.try_with(Arc::clone).ok()
    }

    /// Works on a request of this lane in the background.
    ///
    /// # Panics
    /// If the request does.
    pub async fn run<T: Send + 'static>(
        self: Arc<Self>,
        request: impl Future<Output = T> + Send + 'static,
    ) -> T {
        run(InTurn {
            turns: PollSemaphore::new(self.turns.clone()),
            task: Box::pin(LANE.scope(self, request)),
        })
        .await
    }
}

/// A task that is gone on with when it has its turn: however many of a lane could go on,
/// as few as there are threads are in front of who comes next.
struct InTurn<F> {
    turns: PollSemaphore,
    task: Pin<Box<F>>,
}

impl<F: Future> Future for InTurn<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // It is never closed.
        let _turn = ready!(self.turns.poll_acquire(context));
        self.task.as_mut().poll(context)
    }
}

/// Serves a connection here, and in the background while it is burdened: the bytes of
/// who asks for much are encrypted and sent after those of others.
pub async fn serve(mut connection: BoxFuture<'static, ()>, burden: Arc<Burden>) {
    loop {
        tokio::select! {
            () = &mut connection => return,
            () = burden.begins() => {}
        }
        let burden = burden.clone();
        let served = async move {
            tokio::select! {
                () = &mut connection => None,
                () = burden.ends() => Some(connection),
            }
        };
        let served = run(InTurn {
            turns: PollSemaphore::new(CONNECTIONS.clone()),
            task: Box::pin(served),
        });
        match served.await {
            Some(light) => connection = light,
            None => return,
        }
    }
}

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
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::Duration;

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
    async fn a_lane_stands_in_front_of_nobody_in_another() {
        let (busy, other) = (Arc::new(Lane::new()), Arc::new(Lane::new()));
        // Somebody has many requests that never wait.
        let running = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let over = Arc::new(AtomicBool::new(false));
        let many = (0..100).map(|_| {
            let (running, most, over) = (running.clone(), most.clone(), over.clone());
            busy.clone().run(async move {
                while !over.load(Ordering::Relaxed) {
                    let now = 1 + running.fetch_add(1, Ordering::Relaxed);
                    most.fetch_max(now, Ordering::Relaxed);
                    running.fetch_sub(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
            })
        });
        let many = tokio::spawn(futures_util::future::join_all(many));
        let own = other.clone();
        let lane = other.run(async move {
            tokio::task::yield_now().await;
            Lane::current().is_some_and(|lane| Arc::ptr_eq(&lane, &own))
        });
        let lane = tokio::time::timeout(Duration::from_secs(20), lane).await;
        assert!(lane.expect("it is not kept waiting"), "the lane is known");
        over.store(true, Ordering::Relaxed);
        many.await.unwrap();
        assert!(most.load(Ordering::Relaxed) <= *THREADS);
        assert!(Lane::current().is_none());
    }

    #[tokio::test]
    async fn a_panic_comes_out_where_the_work_was_asked_for() {
        let asked = tokio::spawn(compute(|| panic!("of the work")));
        let panic = asked.await.unwrap_err().into_panic();
        assert_eq!(panic.downcast_ref(), Some(&"of the work"));
    }
}
