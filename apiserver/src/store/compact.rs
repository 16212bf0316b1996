//! Keeps etcd's history short: revisions older than five minutes go. Of several apiservers one does
//! it each time, as in Kubernetes: the one that counts up the version of a key which they agree on.

use super::{Store, StoreError};
use etcd_client::{Compare, CompareOp, Txn, TxnOp, TxnOpResponse};
use std::collections::VecDeque;
use std::time::Duration;

/// How long history is kept.
const KEEP: Duration = Duration::from_secs(300);
/// One compaction each: a large one at once stalls etcd.
const STEP: Duration = Duration::from_secs(30);

/// The key whose version says how often it was done (`compact_rev_key` in k8s.io/apiserver's
/// `compact.go`); its value is the revision.
const TURN: &str = "compact_rev_key";

/// Compacts for ever. A revision that is gone already is no fault.
pub async fn compact_periodically(store: Store) {
    let mut seen: VecDeque<i64> = VecDeque::new();
    let mut version = 0;
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
        let outcome = match store.take_turn(version, old).await {
            Ok(Ok(())) => {
                version += 1;
                store.compact(old).await
            }
            Ok(Err(now)) => {
                version = now;
                Ok(())
            }
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) | Err(StoreError::Compacted(_)) => {}
            Err(error) => tracing::warn!(revision = old, %error, "compaction failed"),
        }
    }
}

impl Store {
    /// Takes the turn to compact up to `revision`, if nobody has since the key had this version;
    /// otherwise says which version it has.
    async fn take_turn(&self, version: i64, revision: i64) -> Result<Result<(), i64>, StoreError> {
        let taken = Txn::new()
            .when([Compare::version(TURN, CompareOp::Equal, version)])
            .and_then([TxnOp::put(TURN, revision.to_string(), None)])
            .or_else([TxnOp::get(TURN, None)]);
        let mut kv = self.kv.clone();
        let answer = self.timed("txn", kv.txn(taken)).await?;
        if answer.succeeded() {
            return Ok(Ok(()));
        }
        let found = answer.op_responses().into_iter().find_map(|op| match op {
            TxnOpResponse::Get(mut get) => get.take_kvs().into_iter().next(),
            _ => None,
        });
        Ok(Err(found.map_or(0, |pair| pair.version())))
    }
}
