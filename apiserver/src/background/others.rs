//! Whether anybody is there to give way to.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Those who give way to nobody.
pub static OTHERS: LazyLock<Others> = LazyLock::new(Others::default);

/// Others count as present for so long after they came.
const PRESENT: Duration = Duration::from_millis(50);

/// The longest rest.
const LONGEST_REST: Duration = Duration::from_millis(20);

/// When somebody came who gives way to nobody.
pub struct Others {
    epoch: Instant,
    /// Milliseconds after the epoch.
    came: AtomicU64,
}

impl Default for Others {
    fn default() -> Self {
        Self {
            // Nobody came just before.
            epoch: Instant::now() - PRESENT,
            came: AtomicU64::default(),
        }
    }
}

impl Others {
    /// Somebody comes.
    pub fn come(&self) {
        let now = self.epoch.elapsed().as_millis() as u64;
        self.came.store(now, Ordering::Relaxed);
    }

    /// Whether somebody is there, or was lately.
    pub fn are_present(&self) -> bool {
        let now = self.epoch.elapsed().as_millis() as u64;
        now - self.came.load(Ordering::Relaxed).min(now) < PRESENT.as_millis() as u64
    }

    /// How long those who give way rest: while others are present, as long as they have
    /// had etcd or a processor.
    pub fn rest(&self, took: Duration) -> Duration {
        match self.are_present() {
            true => took.min(LONGEST_REST),
            false => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rest_has_a_bound() {
        let others = Others::default();
        let took = Duration::from_millis(1);
        assert_eq!(others.rest(took), Duration::ZERO, "nobody is there");
        others.come();
        assert_eq!(others.rest(took), took);
        assert_eq!(others.rest(Duration::from_secs(5)), LONGEST_REST);
    }
}
