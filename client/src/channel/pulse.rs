//! Whether the other side of a connection is still heard of.

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// When something was heard last, whether anybody waits for an answer, and the means to cut the
/// connection.
#[derive(Debug)]
pub(super) struct Pulse {
    began: Instant,
    /// Milliseconds after that.
    heard: AtomicU64,
    /// When the first of those that wait now began to.
    waiting_since: AtomicU64,
    waiting: AtomicUsize,
    came: Notify,
    is_cut: AtomicBool,
    reason: Mutex<String>,
    reader: AtomicWaker,
    /// The connection is nobody's any more, or cut.
    pub(super) over: CancellationToken,
}

impl Pulse {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            heard: AtomicU64::new(0),
            waiting_since: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            came: Notify::new(),
            is_cut: AtomicBool::new(false),
            reason: Mutex::default(),
            reader: AtomicWaker::new(),
            over: CancellationToken::new(),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Bytes came.
    pub(super) fn hear(&self) {
        self.heard.store(self.now(), Ordering::Relaxed);
    }

    /// Somebody waits for an answer until this is dropped.
    pub(super) fn wait(self: &Arc<Self>) -> Waiting {
        if self.waiting.fetch_add(1, Ordering::AcqRel) == 0 {
            self.waiting_since.store(self.now(), Ordering::Release);
            self.came.notify_one();
        }
        Waiting(self.clone())
    }

    /// For how long somebody has waited without anything being heard.
    fn silence(&self) -> Option<Duration> {
        if self.waiting.load(Ordering::Acquire) == 0 {
            return None;
        }
        let since = self.waiting_since.load(Ordering::Acquire);
        let since = since.max(self.heard.load(Ordering::Relaxed));
        Some(Duration::from_millis(self.now().saturating_sub(since)))
    }

    /// Returns when somebody waits and nothing has been heard for this long. Costs nothing while
    /// nobody waits.
    pub(super) async fn silent(&self, limit: Duration) {
        loop {
            match self.silence() {
                None => self.came.notified().await,
                Some(silence) if silence >= limit => return,
                Some(silence) => tokio::time::sleep(limit - silence).await,
            }
        }
    }

    /// Breaks the connection: whoever waits for an answer hears of it at once.
    pub(super) fn cut(&self, reason: &str) {
        *self.reason.lock() = reason.to_owned();
        self.is_cut.store(true, Ordering::Release);
        self.reader.wake();
        self.over.cancel();
    }

    /// Why nothing may be read or written any more. `reader` is woken when that changes.
    pub(super) fn check(&self, reader: Option<&Waker>) -> io::Result<()> {
        if let Some(reader) = reader {
            self.reader.register(reader);
        }
        match self.is_cut.load(Ordering::Acquire) {
            true => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                self.reason.lock().clone(),
            )),
            false => Ok(()),
        }
    }
}

/// Somebody waits for an answer.
#[derive(Debug)]
pub(super) struct Waiting(Arc<Pulse>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    const LIMIT: Duration = Duration::from_millis(500);

    #[tokio::test(start_paused = true)]
    async fn silence_counts_while_somebody_waits() {
        let pulse = Pulse::new();
        tokio::time::advance(LIMIT * 3).await;
        assert!(pulse.silent(LIMIT).now_or_never().is_none());
        let waiting = pulse.wait();
        let began = Instant::now();
        pulse.silent(LIMIT).await;
        assert!(began.elapsed() >= LIMIT && began.elapsed() < LIMIT * 2);
        pulse.hear();
        assert!(pulse.silent(LIMIT).now_or_never().is_none());
        tokio::time::advance(LIMIT).await;
        assert!(pulse.silent(LIMIT).now_or_never().is_some());
        drop(waiting);
        assert!(pulse.silent(LIMIT).now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_heard_of_now_and_then_is_not_silent() {
        let pulse = Pulse::new();
        let _waiting = pulse.wait();
        let mut silent = std::pin::pin!(pulse.silent(LIMIT));
        for _ in 0..10 {
            let most = tokio::time::timeout(LIMIT - Duration::from_millis(50), &mut silent);
            assert!(most.await.is_err());
            pulse.hear();
        }
    }

    #[test]
    fn what_is_cut_can_be_neither_read_nor_written() {
        let pulse = Pulse::new();
        assert!(pulse.check(None).is_ok());
        pulse.cut("no answer");
        assert_eq!(pulse.check(None).unwrap_err().to_string(), "no answer");
        assert!(pulse.over.is_cancelled());
    }
}
