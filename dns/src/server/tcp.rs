//! Connections: many questions on one, answered in any order.

use crate::message::Transport;
use crate::resolver::Resolver;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Connections at a time.
const MOST_CONNECTIONS: usize = 256;
/// Questions of one connection that wait for their answer.
const MOST_WAITING: usize = 32;
/// How long a connection may be idle, and how long a message may take.
const IDLE: Duration = Duration::from_secs(10);

/// Answers connections.
pub(super) async fn serve(listener: TcpListener, resolver: Arc<Resolver>) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // Out of descriptors: give others time to close some.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Whoever comes when all places are taken is turned away.
        let Ok(place) = places.clone().try_acquire_owned() else {
            continue;
        };
        let resolver = resolver.clone();
        tokio::spawn(async move {
            if let Err(error) = converse(stream, peer, &resolver).await {
                tracing::debug!(%peer, %error, "connection ended");
            }
            drop(place);
        });
    }
}

async fn converse(stream: TcpStream, peer: SocketAddr, resolver: &Resolver) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (from, mut to) = stream.into_split();
    let mut waiting = FuturesUnordered::new();
    let mut next = Box::pin(timeout(IDLE, read(from)));
    let mut open = true;
    loop {
        tokio::select! {
            arrived = &mut next, if open && waiting.len() < MOST_WAITING => {
                let arrived = arrived.map_err(|_| io::Error::from(io::ErrorKind::TimedOut));
                match arrived {
                    Ok(Ok((packet, from))) => {
                        waiting.push(resolver.handle(packet, peer, Transport::Tcp));
                        next = Box::pin(timeout(IDLE, read(from)));
                    }
                    // Nothing more comes; what was asked is still answered.
                    Ok(Err(_)) | Err(_) => open = false,
                }
            }
            Some(answer) = waiting.next(), if !waiting.is_empty() => match answer {
                Some(answer) => write(&mut to, &answer).await?,
                // Who sends noise has nothing to say.
                None => return Ok(()),
            },
            else => return Ok(()),
        }
    }
}

/// The next message, and where further ones come from.
async fn read(mut from: OwnedReadHalf) -> io::Result<(Vec<u8>, OwnedReadHalf)> {
    let length = from.read_u16().await?;
    let mut packet = vec![0; length.into()];
    from.read_exact(&mut packet).await?;
    Ok((packet, from))
}

async fn write(to: &mut OwnedWriteHalf, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    let mut framed = Vec::with_capacity(message.len() + 2);
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    timeout(IDLE, to.write_all(&framed)).await?
}
