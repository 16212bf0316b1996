//! What the programs inside the images share.

pub mod http;
pub mod redis;
pub mod replicated;
pub mod store;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::signal::{SigSet, Signal};

/// How long a server goes on after it was asked to end. Whoever sends visitors here
/// needs a moment to hear that this pod is leaving, and a longer one on a busy machine.
const DRAIN: Duration = Duration::from_secs(4);

/// Runs `work` in a thread and ends the process when it is asked to terminate:
/// process 1 of a container hears only the signals it listens to.
pub fn run_until_terminated(work: impl FnOnce() + Send + 'static) -> nix::Result<()> {
    let signal = work_until_signal(work)?;
    log(&format!("{signal} received, good bye"));
    Ok(())
}

/// The same for a server whose visitors must not notice that it leaves: it goes on
/// for a moment after it was asked to end.
pub fn run_until_drained(work: impl FnOnce() + Send + 'static) -> nix::Result<()> {
    let signal = work_until_signal(work)?;
    log(&format!(
        "{signal} received, going on for {} s",
        DRAIN.as_secs()
    ));
    std::thread::sleep(DRAIN);
    log("good bye");
    Ok(())
}

fn work_until_signal(work: impl FnOnce() + Send + 'static) -> nix::Result<Signal> {
    let signals: SigSet = [Signal::SIGTERM, Signal::SIGINT].into_iter().collect();
    signals.thread_block()?;
    std::thread::spawn(move || {
        work();
        std::process::exit(1);
    });
    signals.wait()
}

/// Prints a line to the log with the time of day in UTC.
pub fn log(text: &str) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    println!(
        "{:02}:{:02}:{:02} {text}",
        now / 3600 % 24,
        now / 60 % 60,
        now % 60
    );
}

/// A setting from the environment.
pub fn setting(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}
