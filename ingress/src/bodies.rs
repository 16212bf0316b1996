//! Bodies on their way, whose next piece has to come in time.

use bytes::Bytes;
use hardway_client::serving::BoxError;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use parking_lot::Mutex;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// A body of any kind.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// No body.
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body of a text.
pub fn text(text: impl Into<Bytes>) -> Body {
    let whole = Full::new(text.into());
    whole.map_err(|never| match never {}).boxed_unsync()
}

/// Why a body ends before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its next piece did not come in time")]
pub struct Late;

/// Whether an error is that a body's pieces did not come in time.
pub fn is_late(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<Late>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// When something last moved.
#[derive(Clone, Debug)]
pub struct Progress(Arc<Mutex<Instant>>);

impl Progress {
    /// It begins now.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// Something moves now.
    pub fn mark(&self) {
        *self.0.lock() = Instant::now();
    }

    /// Ends when nothing has moved for so long.
    pub async fn silent_for(&self, patience: Duration) {
        loop {
            let due = *self.0.lock() + patience;
            if due <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(due).await;
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

/// A body that breaks off when its next piece takes longer than that.
pub struct Timed<B> {
    inner: B,
    patience: Duration,
    timer: Pin<Box<Sleep>>,
    waiting: bool,
    progress: Progress,
}

impl<B> Timed<B> {
    /// The same body, with an end to patience.
    pub fn new(inner: B, patience: Duration, progress: Progress) -> Self {
        Self {
            inner,
            patience,
            timer: Box::pin(tokio::time::sleep(patience)),
            waiting: false,
            progress,
        }
    }
}

impl<B> HttpBody for Timed<B>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
            this.waiting = false;
            this.progress.mark();
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        if !std::mem::replace(&mut this.waiting, true) {
            this.timer.as_mut().reset(Instant::now() + this.patience);
        }
        ready!(this.timer.as_mut().poll(cx));
        Poll::Ready(Some(Err(Late.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{StreamExt, stream};
    use http_body_util::StreamBody;

    #[tokio::test(start_paused = true)]
    async fn each_piece_has_its_time() {
        let timed = |patience| {
            let slow = stream::iter(0..3).then(|_| async {
                tokio::time::sleep(Duration::from_secs(9)).await;
                Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"x")))
            });
            let slow = StreamBody::new(Box::pin(slow));
            Timed::new(slow, Duration::from_secs(patience), Progress::new())
        };
        let whole = timed(10).collect().await.unwrap();
        assert_eq!(whole.to_bytes(), "xxx");
        let error = timed(8).collect().await.unwrap_err();
        assert!(is_late(&*error));
    }
}
