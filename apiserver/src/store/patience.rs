//! For how long etcd is waited for, and when another of its members is asked.

use super::error::classify;
use super::{Store, StoreError, TIMEOUT};
use crate::metrics;
use etcd_client::{Error, GetOptions, GetResponse};
use parking_lot::Mutex;
use std::convert::Infallible;
use std::pin::pin;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// What takes longer is asked about: perhaps another member would do it.
const SLOW: Duration = Duration::from_millis(600);
/// Before it is asked about again.
const STILL_SLOW: Duration = Duration::from_secs(1);
/// For so long a read goes from one member to the next, as while they elect a leader.
const GO_ROUND: Duration = Duration::from_secs(4);
/// For so long it waits for the only member, which may be about to restart.
const WAIT: Duration = Duration::from_secs(3);
/// Before the next one is tried.
const PAUSE: Duration = Duration::from_millis(50);

/// What is done, but takes longer than this, is told: most often etcd's disk is slow, or several
/// share it.
const LONG: Duration = Duration::from_secs(1);
/// How often.
const TELL: Duration = Duration::from_secs(30);

static TARDY: Mutex<Tardy> = Mutex::new(Tardy::new());

/// Requests that took long, since that was told last.
struct Tardy {
    count: u32,
    longest: Duration,
    told: Option<Instant>,
}

impl Tardy {
    const fn new() -> Self {
        Self {
            count: 0,
            longest: Duration::ZERO,
            told: None,
        }
    }

    /// Says whether it was told.
    fn note(&mut self, operation: &str, took: Duration, now: Instant) -> bool {
        if took < LONG {
            return false;
        }
        self.count += 1;
        self.longest = self.longest.max(took);
        if self
            .told
            .is_some_and(|told| now.duration_since(told) < TELL)
        {
            return false;
        }
        let (requests, longest) = (self.count, self.longest);
        tracing::warn!(
            operation,
            requests,
            ?longest,
            "etcd is slow: see its disk (etcd_disk_wal_fsync_duration_seconds and \
             etcd_disk_backend_commit_duration_seconds in its metrics)"
        );
        *self = Self {
            told: Some(now),
            ..Self::new()
        };
        true
    }
}

impl Store {
    /// Waits for the answer to a request. A member that doesn't answer is left for one that
    /// does; what then becomes of the request is an error.
    pub(super) async fn timed<T>(
        &self,
        operation: &str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, StoreError> {
        let start = Instant::now();
        let mut call = pin!(timeout(TIMEOUT, call));
        let doubting = async || -> Infallible {
            sleep(SLOW).await;
            loop {
                self.connection.doubt("it is slow").await;
                sleep(STILL_SLOW).await;
            }
        };
        let result = tokio::select! {
            outcome = &mut call => match outcome {
                Ok(result) => result.map_err(|error| classify(&error)),
                Err(_) => Err(StoreError::Timeout),
            },
            never = doubting() => match never {},
        };
        let took = start.elapsed();
        metrics::etcd_request(operation, took, result.is_ok());
        if result.is_ok() {
            TARDY.lock().note(operation, took, Instant::now());
        }
        result
    }

    /// Goes to another member, if one is well, or waits a little.
    pub(super) async fn elsewhere(&self, why: &str) {
        if !self.connection.doubt(why).await {
            sleep(PAUSE).await;
        }
    }

    /// Reads, from another member if one can't say it, or again from the only one: that makes no
    /// difference.
    pub(super) async fn read_again(
        &self,
        operation: &str,
        key: Vec<u8>,
        options: GetOptions,
    ) -> Result<GetResponse, StoreError> {
        let start = Instant::now();
        loop {
            let patience = match self.connection.has_others() {
                true => GO_ROUND,
                false => WAIT,
            };
            let mut kv = self.kv.clone();
            let call = kv.get(key.clone(), Some(options.clone()));
            match self.timed(operation, call).await {
                Err(StoreError::Unavailable(why) | StoreError::NotBegun(why))
                    if start.elapsed() < patience =>
                {
                    self.elsewhere(&why).await;
                }
                answer => return answer,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_told_now_and_then() {
        let (mut tardy, now) = (Tardy::new(), Instant::now());
        assert!(!tardy.note("txn", LONG / 2, now));
        assert!(tardy.note("txn", LONG, now));
        assert!(!tardy.note("txn", LONG * 3, now + TELL / 2));
        assert_eq!((tardy.count, tardy.longest), (1, LONG * 3));
        assert!(tardy.note("txn", LONG, now + TELL));
        assert_eq!(tardy.count, 0);
    }
}
