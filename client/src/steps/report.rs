//! Hands the steps of this process to the apiserver, while somebody reads them there.

use super::{MOST_AT_ONCE, NEWS, READING, STEPS, ring::Ring};
use crate::api::Client;
use crate::queue::backoff;
use crate::{task, trace};
use futures_util::{Stream, StreamExt};
use hardway_proto::Status;
use hardway_proto::api::{self, StepReaders};
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::Notify;

/// First and longest pause after the apiserver went away.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// An apiserver that has no steps is asked again after this: it may have been replaced.
const ASK_AGAIN: Duration = Duration::from_secs(600);
/// For so long steps are gathered before they are handed in together.
const GATHER: Duration = Duration::from_millis(50);

/// Starts to report what this process [records](super::record). Costs nothing while nobody
/// reads: a stream of the client's connection on which nothing comes.
pub fn report(client: Client) {
    task::spawn_critical("steps", async move {
        let instance = trace::id();
        let mut failures = 0;
        loop {
            let why = follow(&client, &instance, &mut failures).await;
            READING.store(false, Ordering::Relaxed);
            let pause = match why {
                // Kubernetes' own, or an older one.
                Err(status) if is_unknown(&status) => ASK_AGAIN,
                Err(status) => {
                    tracing::debug!(%status, "cannot report steps; will try again");
                    failures += 1;
                    backoff(failures, RETRY.0, RETRY.1)
                }
                Ok(()) => RETRY.0,
            };
            tokio::time::sleep(pause).await;
        }
    });
}

/// Whether the apiserver has no such call, or none for this process.
fn is_unknown(status: &Status) -> bool {
    matches!(status.code, 403..=405)
}

/// Reports while the apiserver's stream lasts.
async fn follow(client: &Client, instance: &str, failures: &mut u32) -> Result<(), Status> {
    let mut readers = pin!(client.step_readers(instance).await?);
    *failures = 0;
    let mut told = match readers.next().await {
        Some(told) => told?,
        None => return Ok(()),
    };
    loop {
        let next = match told.reading {
            true => send(client, instance, told.next, readers.as_mut()).await?,
            false => readers.next().await.transpose()?,
        };
        match next {
            Some(next) => told = next,
            None => return Ok(()),
        }
    }
}

/// Sends what there is from that number on, and what comes, until there is news of readers.
async fn send(
    client: &Client,
    instance: &str,
    mut next: u64,
    mut readers: impl Stream<Item = Result<StepReaders, Status>> + Unpin,
) -> Result<Option<StepReaders>, Status> {
    READING.store(true, Ordering::Relaxed);
    // An empty one, at first, says that this is all.
    let mut is_due = true;
    let outcome = loop {
        let batch = batch(&STEPS.lock(), instance, next);
        let (first, count) = (batch.first, batch.steps.len());
        next = first + count as u64;
        if is_due || count > 0 {
            client.report_steps(batch).await?;
        }
        is_due = count == MOST_AT_ONCE;
        if is_due {
            continue;
        }
        tokio::select! {
            news = readers.next() => break news.transpose()?,
            () = gathered(&NEWS) => {}
        }
    };
    READING.store(false, Ordering::Relaxed);
    Ok(outcome)
}

/// Waits for a step, and a moment longer for those that come with it.
async fn gathered(news: &Notify) {
    news.notified().await;
    tokio::time::sleep(GATHER).await;
}

fn batch(ring: &Ring<api::Step>, instance: &str, next: u64) -> api::ReportStepsRequest {
    // Numbers that this process hasn't reached are none of its own.
    let next = if next > ring.next() { 0 } else { next };
    let first = next.max(ring.first());
    api::ReportStepsRequest {
        instance: instance.to_owned(),
        first,
        steps: ring.since(first).take(MOST_AT_ONCE).cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn steps_that_come_together_are_handed_in_together() {
        let (news, begun) = (Notify::new(), Instant::now());
        news.notify_one();
        gathered(&news).await;
        assert!(begun.elapsed() >= GATHER);
    }

    #[test]
    fn what_is_not_known_yet_is_handed_in() {
        let mut ring = Ring::new(300, 1 << 20);
        for time in 0..400 {
            let step = api::Step {
                time,
                ..api::Step::default()
            };
            ring.push(step, 1);
        }
        let first = batch(&ring, "i", 0);
        assert_eq!((first.first, first.steps.len()), (100, MOST_AT_ONCE));
        assert_eq!(first.steps[0].time, 100);
        let rest = batch(&ring, "i", 356);
        assert_eq!((rest.first, rest.steps.len()), (356, 44));
        let nothing = batch(&ring, "i", 400);
        assert_eq!((nothing.first, nothing.steps.len()), (400, 0));
    }
}
