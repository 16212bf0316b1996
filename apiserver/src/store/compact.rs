//! Keeps etcd's history short: revisions older than five minutes go.

use super::{Store, StoreError};
use std::collections::VecDeque;
use std::time::Duration;

/// How long history is kept.
const KEEP: Duration = Duration::from_secs(300);
/// One compaction each: a large one at once stalls etcd.
const STEP: Duration = Duration::from_secs(30);

/// Compacts for ever. Several apiservers may do it: a revision that is gone
/// already is no fault.
pub async fn compact_periodically(store: Store) {
    let mut seen: VecDeque<i64> = VecDeque::new();
    let mut tick = tokio::time::interval(STEP);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let keep = (KEEP.as_secs() / STEP.as_secs()) as usize;
    loop {
        tick.tick().await;
        let Ok(revision) = store.revision().await else {
            continue;
        };
        seen.push_back(revision);
        if seen.len() <= keep {
            continue;
        }
        let Some(old) = seen.pop_front() else {
            continue;
        };
        match store.compact(old).await {
            Ok(()) | Err(StoreError::Compacted(_)) => {}
            Err(error) => tracing::warn!(revision = old, %error, "compaction failed"),
        }
    }
}
