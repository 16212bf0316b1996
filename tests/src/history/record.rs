//! Writing a history down, by many threads at the same time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{History, List, Operation, Watch};

/// A history that is being written down.
#[derive(Debug)]
pub struct Recorder {
    began: Instant,
    history: Mutex<History>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            history: Mutex::default(),
        }
    }
}

impl Recorder {
    /// The time since the history began. Whoever asks takes it before the question is sent, and
    /// after the answer is there.
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Notes an operation that is over.
    pub fn operation(&self, operation: Operation) {
        self.lock().operations.push(operation);
    }

    /// Notes a list.
    pub fn list(&self, list: List) {
        self.lock().lists.push(list);
    }

    /// Notes a watch that is over.
    pub fn watch(&self, watch: Watch) {
        self.lock().watches.push(watch);
    }

    /// How many of the operations that are over are such.
    pub fn count(&self, is_such: impl Fn(&Operation) -> bool) -> usize {
        let history = self.lock();
        history.operations.iter().filter(|it| is_such(it)).count()
    }

    /// What was written down so far.
    pub fn history(&self) -> History {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
