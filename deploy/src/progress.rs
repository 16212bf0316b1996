//! Progress on the terminal: one line per step, with the time it took.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anstream::{print, println};

use crate::failure::Result;

/// Prints steps as they happen.
pub struct Progress {
    began: Instant,
    terminal: bool,
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress {
    /// Starts the clock.
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            terminal: std::io::stdout().is_terminal(),
        }
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Says what goes on, in a line of its own.
    pub fn say(&self, what: &str) {
        println!("  … {what}");
    }

    /// Runs one step; its answer says what was done, e.g. "kept" or "3 issued".
    pub fn step<T: Outcome>(&self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.terminal {
            print!("  … {name}");
            let _ = std::io::stdout().flush();
        }
        let began = Instant::now();
        let result = work();
        let took = seconds(began.elapsed());
        let start = if self.terminal { "\r\x1b[K" } else { "" };
        match &result {
            Ok(outcome) => println!("{start}  ✓ {name}{} ({took})", outcome.describe()),
            Err(_) => println!("{start}  ✗ {name} ({took})"),
        }
        result
    }
}

/// What a step has to say about its result.
pub trait Outcome {
    /// Text appended to the step's name, with its separator.
    fn describe(&self) -> String;
}

impl Outcome for () {
    fn describe(&self) -> String {
        String::new()
    }
}

impl Outcome for String {
    fn describe(&self) -> String {
        if self.is_empty() {
            String::new()
        } else {
            format!(": {self}")
        }
    }
}

/// `0.4 s`, `12.3 s`, `3 min 05 s`.
pub fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(120) {
        return format!("{:.1} s", time.as_secs_f64());
    }
    format!("{} min {:02} s", time.as_secs() / 60, time.as_secs() % 60)
}

/// Age as kubectl shows it: `42s`, `3m7s`, `5h12m`, `3d4h`.
pub fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m{}s", seconds / 60, seconds % 60),
        7200..172_800 => format!("{}h{}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{}h", seconds / 86400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_well() {
        assert_eq!(seconds(Duration::from_millis(420)), "0.4 s");
        assert_eq!(seconds(Duration::from_secs(185)), "3 min 05 s");
        assert_eq!(age(42), "42s");
        assert_eq!(age(187), "3m7s");
        assert_eq!(age(18_720), "5h12m");
        assert_eq!(age(273_600), "3d4h");
    }
}
