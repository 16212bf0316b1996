//! Looks at etcd's space for as long as the server runs, and does what is due.

use super::members::{Member, Members};
use super::upkeep::{self, Step};
use super::{Level, Usage, events, metrics};
use crate::pipeline::Pipeline;
use crate::store::{Servers, Store, StoreError};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Between two looks. etcd tells nobody by itself; what this server writes meanwhile it counts.
const SELDOM: Duration = Duration::from_secs(10);
/// Between two looks while there is little room.
const OFTEN: Duration = Duration::from_secs(2);
/// How much history is kept while there is little room: as long as a list takes whose pages
/// are of one revision.
const SHORT_HISTORY: Duration = Duration::from_secs(30);
/// After something was done in vain.
const PAUSE: Duration = Duration::from_secs(30);

/// What it remembers from one look to the next.
struct Keeper {
    level: Level,
    /// Revisions by the time at which they were current.
    revisions: VecDeque<(Instant, i64)>,
    /// When all history was forgotten because of an alarm.
    compacted: Option<Instant>,
    /// Nothing is done before; it failed.
    not_before: Option<Instant>,
}

/// Looks at it for ever.
pub async fn run(pipeline: Arc<Pipeline>, servers: Arc<Servers>) {
    let mut members = Members::new(servers);
    let mut keeper = Keeper {
        level: Level::Ample,
        revisions: VecDeque::new(),
        compacted: None,
        not_before: None,
    };
    loop {
        let seen = members.look().await;
        metrics::members(&seen);
        let usage = fullest(&seen);
        if let Some(usage) = usage {
            keeper.note(&pipeline, usage).await;
        }
        let pause = match keeper.act(&pipeline, &mut members, &seen).await {
            true => Duration::ZERO,
            // Before it has said how it is, or when it is away, nothing is known of it.
            false if keeper.level >= Level::Tight || usage.is_none() => OFTEN,
            false => SELDOM,
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = pipeline.space.look.notified() => {}
        }
    }
}

/// The usage of the member that is the first to have no room; none if no member answers.
fn fullest(members: &[Option<Member>]) -> Option<Usage> {
    let of = |member: &Member| Usage {
        size: member.size,
        in_use: member.in_use,
        quota: member.quota.unwrap_or(0),
        alarm: members.iter().flatten().any(|member| member.alarm),
    };
    let usages = members.iter().flatten().map(of);
    usages.max_by(|one, other| {
        let key = |it: &Usage| (it.level(), it.share(it.size));
        key(one)
            .partial_cmp(&key(other))
            .unwrap_or(std::cmp::Ordering::Equal)
    })
}

impl Keeper {
    /// Takes up what was seen, and tells of it if it is news.
    async fn note(&mut self, pipeline: &Pipeline, usage: Usage) {
        let level = usage.level();
        if level != self.level {
            match level {
                Level::Ample => tracing::info!(%usage, "etcd has room again"),
                Level::Tight => tracing::warn!(%usage, "etcd's space is nearly used up"),
                _ => {
                    tracing::error!(%usage, ?level, "etcd has too little space: growth is refused")
                }
            }
            // Before it holds: the event needs room itself.
            if level != Level::Alarm && (level > self.level || level == Level::Ample) {
                events::tell(pipeline, level, usage).await;
            }
            self.level = level;
        }
        pipeline.space.saw(usage);
    }

    /// Does the next thing that is due; says whether it is worth to look again at once.
    async fn act(
        &mut self,
        pipeline: &Pipeline,
        members: &mut Members,
        seen: &[Option<Member>],
    ) -> bool {
        if self.level >= Level::Full {
            self.shorten_history(pipeline).await;
        }
        if self.not_before.is_some_and(|until| Instant::now() < until) {
            return false;
        }
        let compacted = self.compacted.is_some_and(|at| at.elapsed() < PAUSE);
        let Some(step) = upkeep::next(seen, compacted) else {
            return false;
        };
        let begun = Instant::now();
        let outcome = match step {
            Step::Compact => self.forget_history(pipeline).await,
            Step::Defragment => members.defragment().await,
            Step::HandOver(to) => members.hand_over(to).await,
            Step::Disarm => members.disarm().await,
        };
        let took = begun.elapsed();
        match &outcome {
            Ok(()) => tracing::warn!(?step, ?took, "etcd's space: done"),
            Err(error) => {
                tracing::warn!(?step, ?took, %error, "etcd's space: in vain");
                self.not_before = Some(Instant::now() + PAUSE);
            }
        }
        outcome.is_ok()
    }

    async fn forget_history(&mut self, pipeline: &Pipeline) -> Result<(), String> {
        let store = &pipeline.store;
        let revision = store.revision().await.map_err(|error| error.to_string())?;
        forget(store, revision)
            .await
            .map_err(|error| error.to_string())?;
        self.compacted = Some(Instant::now());
        Ok(())
    }

    /// Lets go of history sooner than while there is room.
    async fn shorten_history(&mut self, pipeline: &Pipeline) {
        let Ok(revision) = pipeline.store.revision().await else {
            return;
        };
        self.revisions.push_back((Instant::now(), revision));
        let mut old = None;
        while let Some((at, revision)) = self.revisions.front().copied()
            && at.elapsed() >= SHORT_HISTORY
        {
            old = Some(revision);
            self.revisions.pop_front();
        }
        if let Some(revision) = old
            && let Err(error) = forget(&pipeline.store, revision).await
        {
            tracing::warn!(revision, %error, "compaction failed");
        }
    }
}

/// Forgets history; that others have done so is no fault.
async fn forget(store: &Store, revision: i64) -> Result<(), StoreError> {
    match store.compact(revision).await {
        Err(StoreError::Compacted(_)) => Ok(()),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fullest_member_counts_and_anybodys_alarm() {
        let member = |id, size| Member {
            id,
            leader: 1,
            votes: true,
            size,
            in_use: size,
            quota: Some(1000),
            alarm: id == 2,
        };
        let usage = fullest(&[Some(member(1, 900)), None, Some(member(2, 100))]).unwrap();
        assert_eq!((usage.size, usage.alarm), (900, true));
        assert_eq!(fullest(&[None]), None);
    }
}
