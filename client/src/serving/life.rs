//! How long a connection may do nothing, in every state it can be in.

use super::shared::Slot;
use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// What clients may take their time for.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// From the TCP connection to the end of the TLS handshake.
    pub handshake: Duration,
    /// From there to the end of the first request's head.
    pub head: Duration,
    /// From the end of an answer to the end of the next request's head.
    pub idle: Duration,
    /// To take the next piece of an answer.
    pub answer: Duration,
    /// To close a connection that was said goodbye to.
    pub goodbye: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            // As Kubernetes has it.
            idle: Duration::from_secs(90),
            answer: Duration::from_secs(60),
            goodbye: Duration::from_secs(10),
        }
    }
}

impl Deadlines {
    /// No deadline that begins later than now can end before this has passed.
    pub(super) fn shortest(&self) -> Duration {
        self.idle.min(self.answer)
    }
}

/// How a connection ends whose time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With a word that no more requests are taken.
    Goodbye,
    /// At once.
    Cut,
}

/// What a connection is doing.
#[derive(Debug)]
pub(super) struct Life {
    /// When it was opened, or something moved last.
    moved: Instant,
    /// Whether there was a request.
    asked: bool,
    /// Requests that aren't answered in full.
    under_way: usize,
    /// Those of them whose next piece the client has to take.
    untaken: usize,
}

impl Life {
    pub fn new(now: Instant) -> Self {
        Self {
            moved: now,
            asked: false,
            under_way: 0,
            untaken: 0,
        }
    }

    /// From now on the client may ask.
    pub fn begin(&mut self, now: Instant) {
        self.moved = now;
    }

    /// When the connection ends unless something moves; never while the
    /// server is at work.
    pub fn due(&self, deadlines: &Deadlines) -> Option<(Instant, End)> {
        match (self.under_way, self.asked) {
            (0, false) => Some((self.moved + deadlines.head, End::Cut)),
            (0, true) => Some((self.moved + deadlines.idle, End::Goodbye)),
            (n, _) if self.untaken == n => Some((self.moved + deadlines.answer, End::Cut)),
            _ => None,
        }
    }
}

/// A request that isn't answered in full; ends when dropped.
pub(super) struct RequestGuard {
    slot: Arc<Slot>,
    untaken: bool,
    /// The connection has become a stream, which is never idle.
    upgraded: bool,
}

impl RequestGuard {
    pub fn begin(slot: Arc<Slot>) -> Self {
        let mut life = slot.life.lock();
        life.asked = true;
        life.under_way += 1;
        let first = life.under_way == 1;
        drop(life);
        if first {
            slot.set_idle(false);
        }
        Self {
            slot,
            untaken: false,
            upgraded: false,
        }
    }

    /// The connection becomes a stream with this answer.
    pub fn upgrade(&mut self) {
        self.upgraded = true;
    }

    fn set_untaken(&mut self, untaken: bool) {
        let mut life = self.slot.life.lock();
        life.moved = Instant::now();
        if untaken != self.untaken {
            self.untaken = untaken;
            match untaken {
                true => life.untaken += 1,
                false => life.untaken -= 1,
            }
        }
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.set_untaken(false);
        let mut life = self.slot.life.lock();
        life.under_way -= 1;
        let last = life.under_way == 0;
        drop(life);
        if last && !self.upgraded {
            self.slot.set_idle(true);
        }
    }
}

/// The body of an answer, of which is known whether the client takes it.
/// What panics while it is made ends as a broken body.
pub struct TrackedBody<B> {
    inner: B,
    request: RequestGuard,
}

impl<B> TrackedBody<B> {
    pub(super) fn new(inner: B, request: RequestGuard) -> Self {
        Self { inner, request }
    }
}

impl<B> Body for TrackedBody<B>
where
    B: Body + Unpin,
    B::Data: Buf,
    B::Error: Into<super::BoxError>,
{
    type Data = B::Data;
    type Error = super::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        // Asked for more: what went before is on its way.
        if self.request.untaken {
            self.request.set_untaken(false);
        }
        let inner = &mut self.inner;
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| Pin::new(inner).poll_frame(cx)));
        let frame = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(frame)) => frame,
            Err(panic) => {
                let error = super::message(&*panic);
                return Poll::Ready(Some(Err(error.into())));
            }
        };
        self.request.set_untaken(true);
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Shared by a connection and its requests.
pub(super) type Shared = Mutex<Life>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_an_end_but_that_of_work() {
        let deadlines = Deadlines::default();
        let start = Instant::now();
        let due = |life: &Life| {
            life.due(&deadlines)
                .map(|(at, end)| ((at - start).as_secs(), end))
        };
        let mut life = Life::new(start);
        assert_eq!(due(&life), Some((10, End::Cut)));
        life.asked = true;
        assert_eq!(due(&life), Some((90, End::Goodbye)));
        life.under_way = 2;
        life.untaken = 1;
        assert_eq!(due(&life), None);
        life.untaken = 2;
        assert_eq!(due(&life), Some((60, End::Cut)));
    }
}
