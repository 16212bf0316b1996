//! What the programs inside the images share.

pub mod store;

use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::signal::{SigSet, Signal};

/// Runs `work` in a thread and ends the process when it is asked to terminate:
/// process 1 of a container hears only the signals it listens to.
pub fn run_until_terminated(work: impl FnOnce() + Send + 'static) -> nix::Result<()> {
    let signals: SigSet = [Signal::SIGTERM, Signal::SIGINT].into_iter().collect();
    signals.thread_block()?;
    std::thread::spawn(move || {
        work();
        std::process::exit(1);
    });
    let signal = signals.wait()?;
    log(&format!("{signal} received, good bye"));
    Ok(())
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
