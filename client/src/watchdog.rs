//! Ends a process whose runtime does not turn any more, so that its supervisor
//! starts it again.
//!
//! A thread asks the runtime for a sign of life at each of its ticks. It
//! counts ticks that it made itself, not time: a process that was stopped, or
//! a machine that slept, has not been silent, for the watchdog slept as well,
//! and after it woke the runtime has all its ticks to answer.

use crate::vital;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Notify;

/// Time between two questions.
const TICK: Duration = Duration::from_secs(2);
/// Questions without an answer, after which `/livez` fails.
const SICK: u32 = 5;
/// Questions without an answer, after which the process ends. Whoever asks for
/// its health has had the time to hear why.
const DEAD: u32 = SICK + 1;

/// What a runtime is asked, and what it answered.
#[derive(Default)]
struct Heartbeat {
    question: Notify,
    asked: AtomicU64,
    answered: AtomicU64,
    /// Ticks since the last answer.
    silent: AtomicU32,
}

impl Heartbeat {
    /// Answers for ever, on the runtime that is watched.
    async fn answer(&self) {
        loop {
            self.question.notified().await;
            let asked = self.asked.load(Ordering::Acquire);
            self.answered.store(asked, Ordering::Release);
        }
    }

    /// Takes in whether the last question was answered, and asks the next;
    /// says for how many ticks there was no answer.
    fn tick(&self) -> u32 {
        let asked = self.asked.load(Ordering::Acquire);
        let silent = match self.answered.load(Ordering::Acquire) == asked {
            true => 0,
            false => self.silent.load(Ordering::Acquire) + 1,
        };
        self.silent.store(silent, Ordering::Release);
        self.asked.store(asked + 1, Ordering::Release);
        self.question.notify_one();
        silent
    }
}

/// The runtimes of this process that are watched.
static WATCHED: Mutex<Vec<(&str, Arc<Heartbeat>)>> = Mutex::new(Vec::new());

/// Whether the process' runtimes turn, for `/livez`.
///
/// # Errors
/// With the runtime that doesn't, and since when.
pub fn check() -> Result<(), String> {
    for (name, pulse) in WATCHED.lock().iter() {
        let silent = pulse.silent.load(Ordering::Acquire);
        if silent >= SICK {
            let time = TICK * silent;
            return Err(format!("the runtime {name} has not turned for {time:?}"));
        }
    }
    Ok(())
}

/// Watches a runtime in a thread of its own, which ends with `on_death`.
fn watch(
    name: &'static str,
    runtime: &Handle,
    tick: Duration,
    on_death: impl FnOnce() + Send + 'static,
) -> std::io::Result<Arc<Heartbeat>> {
    let pulse = Arc::new(Heartbeat::default());
    let (asked, watched) = (pulse.clone(), pulse.clone());
    runtime.spawn(async move { asked.answer().await });
    std::thread::Builder::new()
        .name(format!("watchdog-{name}"))
        .stack_size(128 << 10)
        .spawn(move || {
            loop {
                match watched.tick() {
                    SICK => {
                        let time = tick * SICK;
                        tracing::error!(runtime = name, ?time, "the runtime has not turned");
                    }
                    DEAD => return on_death(),
                    _ => {}
                }
                #[expect(
                    clippy::disallowed_methods,
                    reason = "this thread is the watchdog's own"
                )]
                std::thread::sleep(tick);
            }
        })?;
    Ok(pulse)
}

/// Watches the runtime that calls, and the one for [`vital`] work, for as long
/// as the process lives; called once, by `main`.
///
/// # Errors
/// If there is no room for a thread.
pub fn start() -> std::io::Result<()> {
    let runtimes = [
        ("main", Handle::current()),
        ("vital", vital::runtime().clone()),
    ];
    for (name, runtime) in &runtimes {
        let pulse = watch(name, runtime, TICK, || {
            tracing::error!("the process ends, to be started again");
            #[expect(
                clippy::disallowed_methods,
                reason = "nothing turns any more that could return"
            )]
            std::process::exit(1);
        })?;
        WATCHED.lock().push((name, pulse));
    }
    #[cfg(any(debug_assertions, feature = "faults"))]
    if let Some(directory) = std::env::var_os("HARDWAY_FAULTS") {
        let [(_, main), (_, vital)] = runtimes;
        vital.spawn(async move { crate::faults::follow(directory.as_ref(), &main).await });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Many times faster than in earnest.
    const FAST: Duration = Duration::from_millis(50);

    #[test]
    fn only_unanswered_questions_count() {
        let pulse = Heartbeat::default();
        assert_eq!(pulse.tick(), 0, "nothing was asked yet");
        assert_eq!(pulse.tick(), 1);
        assert_eq!(pulse.tick(), 2);
        pulse.answered.store(3, Ordering::Release);
        assert_eq!(pulse.tick(), 0, "the last one was answered");
        assert_eq!(pulse.tick(), 1);
    }

    #[test]
    fn a_runtime_that_does_not_turn_ends_the_process() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let (dead, death) = mpsc::channel();
        let on_death = move || dead.send(()).unwrap();
        watch("test", runtime.handle(), FAST, on_death).unwrap();
        let quiet = death.recv_timeout(FAST * DEAD * 3);
        assert!(quiet.is_err(), "it turns");
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        for _ in 0..2 {
            let held = held.clone();
            runtime.spawn(async move { held.lock().recv().unwrap_or_default() });
        }
        let died = death.recv_timeout(Duration::from_secs(20));
        drop(release);
        assert!(died.is_ok(), "nobody noticed");
    }
}
