//! WebSockets: what two sides have agreed to go on with instead of HTTP.

use crate::bodies::Progress;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

/// How long neither side may say anything.
const IDLE: Duration = Duration::from_secs(3600);
const BUFFER: usize = 16 << 10;

/// Carries bytes both ways until both sides have ended, one breaks, or nobody has said anything
/// for an hour.
pub async fn carry(client: OnUpgrade, backend: OnUpgrade) {
    let (client, backend) = match tokio::try_join!(client, backend) {
        Ok((client, backend)) => (TokioIo::new(client), TokioIo::new(backend)),
        Err(error) => {
            tracing::debug!(%error, "no tunnel");
            return;
        }
    };
    if let Err(error) = both_ways(client, backend, IDLE).await {
        tracing::debug!(%error, "tunnel broke");
    }
}

async fn both_ways<A, B>(a: A, b: B, idle: Duration) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite,
    B: AsyncRead + AsyncWrite,
{
    let (from_a, to_a) = tokio::io::split(a);
    let (from_b, to_b) = tokio::io::split(b);
    let progress = Progress::new();
    let ways = async {
        tokio::try_join!(
            one_way(from_a, to_b, &progress),
            one_way(from_b, to_a, &progress)
        )
    };
    tokio::select! {
        ended = ways => ended.map(drop),
        () = progress.silent_for(idle) => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn one_way<A: AsyncRead, B: AsyncWrite>(
    mut from: ReadHalf<A>,
    mut to: WriteHalf<B>,
    progress: &Progress,
) -> io::Result<()> {
    let mut bytes = vec![0; BUFFER];
    loop {
        let length = from.read(&mut bytes).await?;
        progress.mark();
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&bytes[..length]).await?;
        to.flush().await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    #[tokio::test(start_paused = true)]
    async fn both_sides_are_heard_to_their_end() {
        let ((mut client, a), (b, mut backend)) = (duplex(64), duplex(64));
        let tunnel = tokio::spawn(both_ways(a, b, IDLE));
        client.write_all(b"ask").await.unwrap();
        client.shutdown().await.unwrap();
        let mut asked = String::new();
        backend.read_to_string(&mut asked).await.unwrap();
        backend.write_all(b"answer").await.unwrap();
        drop(backend);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!((asked.as_str(), answer.as_str()), ("ask", "answer"));
        assert!(tunnel.await.unwrap().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_it() {
        let ((_client, a), (b, _backend)) = (duplex(64), duplex(64));
        assert!(both_ways(a, b, IDLE).await.is_err());
    }
}
