//! Faults on demand, for tests of what a process does when a part of it
//! breaks. Only in debug builds, and in those with the feature `faults`
//! (`cargo build -p hardway-kubelet --features hardway-client/faults`).
//!
//! Where the environment variable `HARDWAY_FAULTS` names a directory, the
//! process follows it. A file `do` that appears there holds one command, and
//! is removed once the command is carried out (write it under another name,
//! then rename it):
//!
//! - `panic NAME`: every task of that name panics, once. Names are those given
//!   to [`crate::task::spawn_critical`] and [`crate::task::spawn_job`];
//!   `reconcile CONTROLLER` is the next reconcile of a controller,
//!   `pod NAMESPACE/NAME` a pod's worker in the kubelet.
//! - `stall SECONDS`: blocks every thread of the process' runtime.
//! - `tasks`: writes the names that can panic into the file `tasks`, one a line.
//!
//! A command that can't be carried out leaves its reason in the file `error`.

use crate::notify::Watch;
use crate::task::Name;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// More than a runtime has threads.
const BLOCKERS: usize = 64;

#[derive(Default)]
struct State {
    armed: AtomicBool,
    waker: AtomicWaker,
}

static SWITCHES: Mutex<BTreeMap<Name, Vec<Weak<State>>>> = Mutex::new(BTreeMap::new());

/// Makes what it belongs to panic when it is asked to by its name.
#[derive(Clone)]
pub struct Switch(Arc<State>);

impl Switch {
    /// A switch that can be found by this name for as long as it lives.
    pub fn new(name: impl Into<Name>) -> Self {
        let state = Arc::new(State::default());
        let mut switches = SWITCHES.lock();
        let all = switches.entry(name.into()).or_default();
        all.retain(|other| other.strong_count() > 0);
        all.push(Arc::downgrade(&state));
        Self(state)
    }

    /// Panics if asked to.
    pub fn check(&self) {
        assert!(
            !self.0.armed.swap(false, Ordering::AcqRel),
            "a fault was asked for"
        );
    }

    /// The future, which panics as soon as it is asked to.
    pub async fn over<F: Future>(self, future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        poll_fn(move |context| {
            self.0.waker.register(context.waker());
            self.check();
            future.as_mut().poll(context)
        })
        .await
    }
}

/// The names that [`panic()`] knows now.
pub fn names() -> Vec<String> {
    let mut switches = SWITCHES.lock();
    switches.retain(|_, all| all.iter().any(|one| one.strong_count() > 0));
    switches.keys().map(ToString::to_string).collect()
}

/// Has everything of this name panic; says how many there are.
pub fn panic(name: &str) -> usize {
    let switches = SWITCHES.lock();
    let all = switches.get(name).into_iter().flatten();
    let states: Vec<Arc<State>> = all.filter_map(Weak::upgrade).collect();
    for state in &states {
        state.armed.store(true, Ordering::Release);
        state.waker.wake();
    }
    states.len()
}

/// Blocks every thread of a runtime for a while.
pub fn stall(runtime: &Handle, time: Duration) {
    let until = Instant::now() + time;
    for _ in 0..BLOCKERS {
        runtime.spawn(async move {
            #[expect(
                clippy::disallowed_methods,
                reason = "the runtime's workers are to be held"
            )]
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
        });
    }
}

fn carry_out(command: &str, directory: &Path, runtime: &Handle) -> Result<(), String> {
    match command
        .trim()
        .split_once(' ')
        .unwrap_or((command.trim(), ""))
    {
        ("panic", name) => match panic(name) {
            0 => Err(format!("no task is called {name:?}")),
            _ => Ok(()),
        },
        ("stall", seconds) => {
            let seconds = seconds.parse().map_err(|e| format!("{seconds:?}: {e}"))?;
            stall(runtime, Duration::from_secs(seconds));
            Ok(())
        }
        ("tasks", "") => {
            let names = names().join("\n") + "\n";
            std::fs::write(directory.join("tasks"), names).map_err(|e| e.to_string())
        }
        _ => Err(format!("{command:?} is no command")),
    }
}

/// Carries out the commands that appear in a directory, on a runtime.
pub(crate) async fn follow(directory: &Path, runtime: &Handle) {
    let watch = Watch::new(directory);
    let file = directory.join("do");
    loop {
        if let Ok(command) = std::fs::read_to_string(&file) {
            tracing::warn!(command = command.trim(), "a fault was asked for");
            if let Err(error) = carry_out(&command, directory, runtime) {
                let _ = std::fs::write(directory.join("error"), error);
            }
            let _ = std::fs::remove_file(&file);
        }
        watch.changed().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Supervisor;

    #[tokio::test]
    async fn a_task_panics_when_its_name_is_called() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        let runtime = Handle::current();
        let following = tokio::spawn(async move { follow(&path, &runtime).await });
        let supervisor = Supervisor::default();
        supervisor.spawn_critical("sleeper of this test", std::future::pending());
        assert!(names().contains(&"sleeper of this test".to_owned()));
        std::fs::write(directory.path().join("new"), "panic sleeper of this test").unwrap();
        std::fs::rename(directory.path().join("new"), directory.path().join("do")).unwrap();
        let failed = tokio::time::timeout(Duration::from_secs(10), supervisor.failed());
        assert_eq!(failed.await.unwrap().task, "sleeper of this test");
        following.abort();
    }
}
