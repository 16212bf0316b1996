//! etcd's space: what is left is known before it ends, growth is refused first and deletions
//! last, and what can be won back is won back.

mod events;
mod level;
mod members;
mod metrics;
mod run;
mod upkeep;

pub use level::{Growth, LARGEST_LEASE, Level, SLACK, Usage};
pub use run::run;

use crate::store::StoreError;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// What is known of etcd's space, for who is about to write.
#[derive(Default)]
pub struct Space {
    seen: Mutex<Seen>,
    /// So much was written that it should be looked at again.
    look: Notify,
}

/// What was seen last, and what was written since.
#[derive(Clone, Copy, Default)]
struct Seen {
    usage: Usage,
    written: u64,
}

impl Seen {
    fn now(self) -> Usage {
        self.usage.after(self.written)
    }
}

impl Space {
    /// Whether a write may be done; what it means for the space is asked only where there is
    /// little.
    ///
    /// # Errors
    /// If there is too little for it.
    pub fn check(&self, growth: impl FnOnce() -> Growth) -> Result<(), StoreError> {
        let usage = self.seen.lock().now();
        let level = usage.level();
        if level < Level::Full || level.permits(growth()) {
            return Ok(());
        }
        metrics::refused();
        Err(StoreError::NoSpace(usage.to_string()))
    }

    /// Counts what was written, keys and values.
    pub fn wrote(&self, bytes: usize) {
        let mut seen = self.seen.lock();
        let before = seen.now().level();
        seen.written += level::cost(bytes);
        if seen.now().level() > before {
            self.look.notify_one();
        }
    }

    /// etcd itself has refused a write: there is news.
    pub fn look_again(&self) {
        self.look.notify_one();
    }

    /// How it was seen to be.
    fn saw(&self, usage: Usage) {
        *self.seen.lock() = Seen {
            usage,
            ..Seen::default()
        };
    }

    /// A line for a verbose health report, starting with `[!]`. Empty while there is room.
    pub fn report(&self) -> String {
        let usage = self.seen.lock().now();
        let what = match usage.level() {
            Level::Ample => return String::new(),
            Level::Tight => "objects can be written still",
            Level::Full => "objects are neither created nor grow",
            Level::Reserve => "nothing but what makes room is written",
            Level::Alarm => "alarm NOSPACE, only deletions are done",
        };
        format!("[!]etcd's space: {usage}; {what}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn what_is_written_between_two_looks_counts() {
        let space = Space::default();
        let quota = 1 << 20;
        let usage = Usage {
            quota,
            ..Usage::default()
        };
        space.saw(usage);
        let grows = || Growth::New;
        assert!(space.check(grows).is_ok() && space.report().is_empty());
        space.wrote(900 << 10);
        assert!(
            space.look.notified().now_or_never().is_some(),
            "it is tight"
        );
        assert!(space.check(grows).is_ok());
        assert!(
            space
                .report()
                .starts_with("[!]etcd's space: 88% of 1.0 MiB")
        );
        space.wrote(96 << 10);
        let refused = space.check(grows).unwrap_err();
        assert!(matches!(refused, StoreError::NoSpace(_)), "{refused}");
        assert!(space.check(|| Growth::Removal).is_ok());
        // A look that finds room ends it.
        space.saw(usage);
        assert!(space.check(grows).is_ok());
    }
}
