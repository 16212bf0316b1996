//! Tasks that a process cannot do without.
//!
//! A task that nobody waits for can end or panic without anybody hearing of
//! it; the process then looks alive and does only part of its work. Whatever
//! runs for as long as the process is started with [`spawn_critical`], and
//! what comes to an end by itself, but must not panic on the way, with
//! [`spawn_job`]. `main` waits for [`failed`] beside its work and the signal to
//! stop, and ends the process; whoever supervises it starts it again. The
//! cause is in the log: the task, what the panic said, and where.
//!
//! What can be done without is not for this module: a connection, a request,
//! one key of a queue ([`crate::controller`]), one pod of a kubelet. They catch
//! their panic ([`crate::panics`]), say so, and try again after a pause.

#[cfg(any(debug_assertions, feature = "faults"))]
use crate::faults;
use crate::panics::{self, Panic};
use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

/// A task's name, as logs and [`crate::faults`] have it.
pub type Name = Cow<'static, str>;

/// Why a task that the process cannot do without is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which task.
    pub task: Name,
    /// Its panic; `None` if it just ended.
    pub panic: Option<Panic>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.panic {
            Some(panic) => write!(f, "the task {} {panic}", self.task),
            None => write!(f, "the task {} ended", self.task),
        }
    }
}

impl std::error::Error for Failure {}

/// Starts critical tasks and hears of the first that is gone. A process has
/// one, behind the functions of this module.
pub struct Supervisor {
    first: watch::Sender<Option<Failure>>,
}

impl Default for Supervisor {
    fn default() -> Self {
        Self {
            first: watch::Sender::new(None),
        }
    }
}

impl Supervisor {
    /// See [`spawn_critical`].
    pub fn spawn_critical(
        &self,
        name: impl Into<Name>,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        self.spawn(name.into(), future, false)
    }

    /// See [`spawn_job`].
    pub fn spawn_job(
        &self,
        name: impl Into<Name>,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        self.spawn(name.into(), future, true)
    }

    fn spawn(
        &self,
        task: Name,
        future: impl Future<Output = ()> + Send + 'static,
        may_end: bool,
    ) -> JoinHandle<()> {
        // On the heap before it is passed through here: large futures of unoptimised
        // builds, copied from frame to frame, are more than a stack holds.
        let future = named(task.clone(), Box::pin(future));
        let first = self.first.clone();
        tokio::spawn(async move {
            let panic = panics::catch(future).await.err();
            if may_end && panic.is_none() {
                return;
            }
            let failure = Failure { task, panic };
            tracing::error!(%failure, "the process cannot go on");
            first.send_if_modified(|first| {
                let is_first = first.is_none();
                first.get_or_insert(failure);
                is_first
            });
        })
    }

    /// See [`failed`].
    pub async fn failed(&self) -> Failure {
        let mut first = self.first.subscribe();
        loop {
            if let Some(failure) = first.borrow_and_update().clone() {
                return failure;
            }
            if first.changed().await.is_err() {
                // The sender is our own.
                std::future::pending::<()>().await;
            }
        }
    }
}

static PROCESS: LazyLock<Supervisor> = LazyLock::new(Supervisor::default);

/// Starts a task that runs for as long as the process: if it ends or panics,
/// [`failed`] returns. Aborting it, or dropping its runtime, is no failure.
pub fn spawn_critical(
    name: impl Into<Name>,
    future: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    PROCESS.spawn_critical(name, future)
}

/// Starts a task that may end, but whose panic the process would not get over.
pub fn spawn_job(
    name: impl Into<Name>,
    future: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    PROCESS.spawn_job(name, future)
}

/// Returns when a critical task of this process is gone. It is in the log
/// then; what is left to do is to end.
pub async fn failed() -> Failure {
    PROCESS.failed().await
}

/// Work that panics when [`crate::faults`] asks for it by this name; just the
/// work in builds without faults.
pub fn named<F: Future>(name: impl Into<Name>, work: F) -> impl Future<Output = F::Output> {
    #[cfg(any(debug_assertions, feature = "faults"))]
    let work = faults::Switch::new(name).over(work);
    #[cfg(not(any(debug_assertions, feature = "faults")))]
    let _ = name.into();
    work
}

/// Tasks that are aborted when it is dropped, such as those of a leader that
/// leads no more.
#[derive(Default)]
pub struct Group(Vec<AbortOnDropHandle<()>>);

impl Group {
    /// Takes a task in.
    pub fn add(&mut self, task: JoinHandle<()>) {
        self.0.push(AbortOnDropHandle::new(task));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    async fn outcome(supervisor: &Supervisor) -> String {
        let failure = tokio::time::timeout(Duration::from_secs(10), supervisor.failed()).await;
        failure.unwrap().to_string()
    }

    #[tokio::test]
    async fn a_critical_task_that_ends_or_panics_is_a_failure() {
        let supervisor = Supervisor::default();
        supervisor.spawn_critical("feed", async {});
        assert_eq!(outcome(&supervisor).await, "the task feed ended");

        let supervisor = Supervisor::default();
        supervisor.spawn_critical("feed", async { panic!("no more food") });
        let failure = outcome(&supervisor).await;
        assert!(
            failure.starts_with("the task feed panicked at client/src/task.rs:")
                && failure.ends_with(": no more food"),
            "{failure}"
        );
    }

    #[tokio::test]
    async fn the_first_failure_is_the_cause() {
        let supervisor = Supervisor::default();
        supervisor
            .spawn_job("first", async { panic!("1") })
            .await
            .unwrap();
        supervisor.spawn_critical("second", async {}).await.unwrap();
        assert_eq!(supervisor.failed().await.task, "first");
    }

    #[tokio::test(start_paused = true)]
    async fn an_aborted_task_and_a_finished_job_are_none() {
        let supervisor = Supervisor::default();
        supervisor.spawn_job("job", async {}).await.unwrap();
        let task = supervisor.spawn_critical("task", std::future::pending());
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        let failed = tokio::time::timeout(Duration::from_secs(1), supervisor.failed());
        assert!(failed.await.is_err());
    }
}
