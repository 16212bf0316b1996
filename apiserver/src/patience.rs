//! Patience with clients that connect and then say nothing.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// A connection that fails if its first bytes take too long. What comes later
/// is the protocols' own business; before, they wait for ever.
pub struct Patient<S> {
    inner: S,
    /// How many bytes are still to come in time.
    wanted: usize,
    patience: Pin<Box<Sleep>>,
}

impl<S> Patient<S> {
    /// Waits for the first `wanted` bytes no longer than `time`.
    pub fn new(inner: S, wanted: usize, time: Duration) -> Self {
        Self {
            inner,
            wanted,
            patience: Box::pin(tokio::time::sleep(time)),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if self.wanted == 0 {
            return read;
        }
        if read.is_ready() {
            let came = buffer.filled().len() - before;
            self.wanted = self.wanted.saturating_sub(came);
            return read;
        }
        self.patience.as_mut().poll(cx).map(|()| {
            let text = "the client said nothing for too long";
            Err(io::Error::new(io::ErrorKind::TimedOut, text))
        })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn silence_ends_the_connection_but_only_at_the_beginning() {
        let time = Duration::from_millis(20);
        let (mut client, server) = tokio::io::duplex(64);
        let mut server = Patient::new(server, 3, time);
        client.write_all(b"PR").await.unwrap();
        let mut bytes = [0; 3];
        let error = server.read_exact(&mut bytes).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);

        let (mut client, server) = tokio::io::duplex(64);
        let mut server = Patient::new(server, 3, time);
        client.write_all(b"PRI").await.unwrap();
        server.read_exact(&mut bytes).await.unwrap();
        let later = tokio::time::timeout(2 * time, server.read_u8()).await;
        assert!(later.is_err(), "it waits");
    }
}
