//! Bodies of gRPC calls on their way in: bounded in time and bytes, since
//! what takes the messages apart keeps them whole.

use crate::pipeline::HeldBytes;
use crate::rest::body::{BoxError, READ_TIME};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::time::Sleep;

/// A body whose bytes are counted, and which comes in time or not at all.
pub struct Intake<B> {
    inner: B,
    /// Kept by the call, too: its message lives longer than the body.
    held: Arc<Mutex<HeldBytes>>,
    deadline: Pin<Box<Sleep>>,
}

impl<B> Intake<B> {
    /// Takes a body in; the clock starts now.
    pub fn new(inner: B, held: Arc<Mutex<HeldBytes>>) -> Self {
        Self {
            inner,
            held,
            deadline: Box::pin(tokio::time::sleep(READ_TIME)),
        }
    }
}

impl<B> Body for Intake<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        let frame = match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                return self.deadline.as_mut().poll(cx).map(|()| {
                    let status = crate::rest::body::too_slow(READ_TIME);
                    Some(Err(status.to_grpc()))
                });
            }
        };
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && let Err(status) = self.held.lock().take(data.len())
        {
            return Poll::Ready(Some(Err(status.to_grpc())));
        }
        let broken = |error: B::Error| tonic::Status::from_error(error.into());
        Poll::Ready(frame.map(|frame| frame.map_err(broken)))
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
    use crate::pipeline::Bodies;
    use hardway_access::User;
    use http_body_util::{BodyExt, StreamBody};

    fn held(total: usize) -> Arc<Mutex<HeldBytes>> {
        let bodies = Arc::new(Bodies::new(total, total));
        Arc::new(Mutex::new(bodies.of(&User::new("jane", ["dev"]))))
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_call() {
        let silence = futures_util::stream::pending::<Result<Frame<Bytes>, BoxError>>();
        let mut body = Intake::new(StreamBody::new(silence), held(10));
        let error = body.frame().await.unwrap().unwrap_err();
        assert_eq!(error.code(), tonic::Code::DeadlineExceeded);
    }

    #[tokio::test]
    async fn bytes_are_counted() {
        let piece = || Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"12345678")));
        let stream = futures_util::stream::iter([piece(), piece()]);
        let mut body = Intake::new(StreamBody::new(stream), held(10));
        assert!(body.frame().await.unwrap().is_ok());
        let error = body.frame().await.unwrap().unwrap_err();
        assert_eq!(error.code(), tonic::Code::ResourceExhausted);
    }
}
