//! How requests are sent: as many at a time as are answered, or at a fixed rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

/// Does something `total` times, `concurrency` of them at a time; `work` is given the worker
/// and the number of the turn.
pub async fn each<F>(
    total: u64,
    concurrency: usize,
    work: impl Fn(usize, u64) -> F + Send + Sync + 'static,
) where
    F: Future<Output = ()> + Send,
{
    let next = Arc::new(AtomicU64::new(0));
    let work = Arc::new(work);
    let mut workers = JoinSet::new();
    for worker in 0..concurrency {
        let (next, work) = (Arc::clone(&next), Arc::clone(&work));
        workers.spawn(async move {
            loop {
                let turn = next.fetch_add(1, Ordering::Relaxed);
                if turn >= total {
                    return;
                }
                work(worker, turn).await;
            }
        });
    }
    workers.join_all().await;
}

/// When each of the turns of a fixed rate is due, counted from the first.
pub fn due(turn: u64, rate: u32) -> Duration {
    Duration::from_secs_f64(turn as f64 / f64::from(rate))
}

/// Does something `total` times at a fixed rate, whether or not what was begun has ended: a
/// server that is slow must not get less to do. `work` is given the turn and when it was due,
/// from where its latency counts; so a stall is seen by all that were due in it.
pub async fn at_rate<F>(total: u64, rate: u32, work: impl Fn(u64, Instant) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let began = Instant::now();
    let mut going = JoinSet::new();
    for turn in 0..total {
        let due = began + due(turn, rate);
        tokio::time::sleep_until(due.into()).await;
        going.spawn(work(turn, due));
        while going.try_join_next().is_some() {}
    }
    going.join_all().await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::collections::BTreeSet;

    #[tokio::test]
    async fn every_turn_is_taken_once() {
        let seen: Arc<Mutex<Vec<u64>>> = Arc::default();
        let turns = Arc::clone(&seen);
        each(100, 7, move |worker, turn| {
            assert!(worker < 7);
            turns.lock().push(turn);
            tokio::task::yield_now()
        })
        .await;
        let seen = seen.lock();
        let distinct: BTreeSet<u64> = seen.iter().copied().collect();
        assert_eq!((seen.len(), distinct.len()), (100, 100));
    }

    #[tokio::test]
    async fn who_is_slow_keeps_nobody_waiting() {
        // Nobody ends before all have begun.
        let all = Arc::new(tokio::sync::Barrier::new(100));
        let turns: Arc<Mutex<Vec<u64>>> = Arc::default();
        let seen = Arc::clone(&turns);
        let began = Instant::now();
        at_rate(100, 1000, move |turn, due| {
            let (all, seen) = (Arc::clone(&all), Arc::clone(&seen));
            async move {
                assert!(due >= began && due <= Instant::now());
                seen.lock().push(turn);
                all.wait().await;
            }
        })
        .await;
        assert_eq!(turns.lock().len(), 100);
    }

    #[test]
    fn turns_are_due_evenly() {
        assert_eq!(due(0, 500), Duration::ZERO);
        assert_eq!(due(1, 500), Duration::from_millis(2));
        assert_eq!(due(5000, 500), Duration::from_secs(10));
    }
}
