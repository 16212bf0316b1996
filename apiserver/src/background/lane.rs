//! Lanes: requests that give way together.

use super::permits::{Permits, Permitted};
use super::run;
use crate::store::Slots;
use std::sync::Arc;

tokio::task_local! {
    static LANE: Arc<Lane>;
}

/// Requests that give way together, and wait for each other.
#[derive(Default)]
pub struct Lane {
    permits: Permits,
    /// Where they wait for etcd.
    pub etcd: Slots,
}

impl Lane {
    /// The lane of the request that is worked on; none if it gives way to nobody.
    pub fn current() -> Option<Arc<Self>> {
        LANE.try_with(Arc::clone).ok()
    }

    /// Works on a request of this lane in the background.
    ///
    /// # Panics
    /// If the request does.
    pub async fn run<T: Send + 'static>(
        self: Arc<Self>,
        request: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let permits = self.permits.clone();
        run(Permitted::new(&permits, LANE.scope(self, request))).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::background::THREADS;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::Duration;

    #[tokio::test]
    async fn a_lane_stands_in_front_of_nobody_in_another() {
        let (busy, other) = (Arc::new(Lane::default()), Arc::new(Lane::default()));
        // Somebody has many requests that never wait.
        let running = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let over = Arc::new(AtomicBool::new(false));
        let many = (0..100).map(|_| {
            let (running, most, over) = (running.clone(), most.clone(), over.clone());
            busy.clone().run(async move {
                while !over.load(Ordering::Relaxed) {
                    let now = 1 + running.fetch_add(1, Ordering::Relaxed);
                    most.fetch_max(now, Ordering::Relaxed);
                    running.fetch_sub(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
            })
        });
        let many = tokio::spawn(futures_util::future::join_all(many));
        let own = other.clone();
        let lane = other.run(async move {
            tokio::task::yield_now().await;
            Lane::current().is_some_and(|lane| Arc::ptr_eq(&lane, &own))
        });
        let lane = tokio::time::timeout(Duration::from_secs(20), lane).await;
        assert!(lane.expect("it is not kept waiting"), "the lane is known");
        over.store(true, Ordering::Relaxed);
        many.await.unwrap();
        assert!(most.load(Ordering::Relaxed) <= *THREADS);
        assert!(Lane::current().is_none());
    }
}
