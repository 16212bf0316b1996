//! How long the rules of definitions take. Whoever counts that says so once for the process.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Who is told how long something took.
#[derive(Clone, Copy, Debug)]
pub struct Observer {
    /// Compiling the rules of a schema.
    pub compiled: fn(Duration),
    /// Holding them against an object.
    pub evaluated: fn(Duration),
}

static OBSERVER: OnceLock<Observer> = OnceLock::new();

/// From now on this one is told. Only the first is.
pub fn observe(observer: Observer) {
    let _ = OBSERVER.set(observer);
}

pub(crate) fn compiling<T>(work: impl FnOnce() -> T) -> T {
    timed(work, |observer| observer.compiled)
}

pub(crate) fn evaluating<T>(work: impl FnOnce() -> T) -> T {
    timed(work, |observer| observer.evaluated)
}

fn timed<T>(work: impl FnOnce() -> T, of: fn(&Observer) -> fn(Duration)) -> T {
    let Some(observer) = OBSERVER.get() else {
        return work();
    };
    let begun = Instant::now();
    let outcome = work();
    of(observer)(begun.elapsed());
    outcome
}
