//! How far it is, on the terminal: one line on stderr, which the next one replaces. Where
//! stderr is no terminal nothing is written.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// No more often than this: a terminal is slow.
const PAUSE: Duration = Duration::from_millis(100);
/// Characters of a whole bar.
const WIDTH: usize = 30;

/// Whether and where progress is shown.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    shown: bool,
}

/// The progress of one thing.
#[derive(Clone)]
pub struct Bar {
    state: Option<Arc<State>>,
}

struct State {
    name: String,
    total: u64,
    done: AtomicU64,
    drawn: Mutex<Option<Instant>>,
}

impl Progress {
    /// Shown if stderr is a terminal.
    pub fn on_terminal() -> Self {
        Self {
            shown: std::io::stderr().is_terminal(),
        }
    }

    /// Never shown.
    pub fn hidden() -> Self {
        Self { shown: false }
    }

    /// Takes away the line of what was given up.
    pub fn clear(&self) {
        if self.shown {
            write("\r\x1b[K");
        }
    }

    /// Begins a bar, unless there is nothing to do.
    pub fn bar(&self, name: &str, total: u64) -> Bar {
        let bar = Bar {
            state: (self.shown && total > 0).then(|| {
                Arc::new(State {
                    name: name.to_owned(),
                    total,
                    done: AtomicU64::new(0),
                    drawn: Mutex::new(None),
                })
            }),
        };
        bar.draw();
        bar
    }
}

impl Bar {
    /// One more is through.
    pub fn advance(&self) {
        if let Some(state) = &self.state {
            state.done.fetch_add(1, Ordering::Relaxed);
            self.draw();
        }
    }

    /// Takes the line away.
    pub fn end(&self) {
        if self.state.is_some() {
            write("\r\x1b[K");
        }
    }

    fn draw(&self) {
        let Some(state) = &self.state else { return };
        // Who finds somebody drawing has nothing newer to say.
        let Some(mut drawn) = state.drawn.try_lock() else {
            return;
        };
        if drawn.is_none_or(|at| at.elapsed() >= PAUSE) {
            let done = state.done.load(Ordering::Relaxed);
            write(&format!("\r\x1b[K{}", line(&state.name, done, state.total)));
            *drawn = Some(Instant::now());
        }
    }
}

/// What can't be written to a terminal is not worth an error.
fn write(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}

fn line(name: &str, done: u64, total: u64) -> String {
    let share = match total {
        0 => 0.0,
        total => (done as f64 / total as f64).min(1.0),
    };
    let full = (share * WIDTH as f64) as usize;
    format!(
        "  {name:<32} {}{} {done}/{total}",
        "█".repeat(full),
        "░".repeat(WIDTH - full)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_full_as_the_work_is_done() {
        let full = |done, total| line("x", done, total).matches('█').count();
        assert_eq!(full(0, 10), 0);
        assert_eq!(full(5, 10), WIDTH / 2);
        assert_eq!(full(10, 10), WIDTH);
        // More than was thought, and nothing at all.
        assert_eq!((full(12, 10), full(0, 0)), (WIDTH, 0));
    }
}
