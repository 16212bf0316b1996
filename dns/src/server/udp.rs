//! Datagrams.

use crate::message::Transport;
use crate::resolver::Resolver;
use futures_util::poll;
use hardway_client::panics;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::Semaphore;

/// Questions are small; what is longer is noise.
const LARGEST: usize = 4096;
/// Questions that wait for other servers at a time. Further ones are dropped,
/// and their clients ask again.
const MOST_WAITING: usize = 4096;

/// Answers datagrams. What can be answered at once, which is everything about
/// the cluster, is answered in turn; what has to wait does not hold up the rest.
pub(super) async fn serve(socket: UdpSocket, resolver: Arc<Resolver>) {
    let socket = Arc::new(socket);
    let waiting = Arc::new(Semaphore::new(MOST_WAITING));
    let mut buffer = vec![0; LARGEST];
    loop {
        let (length, peer) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                // Mostly the echo of an answer that nobody waited for any more.
                tracing::debug!(%error, "cannot receive");
                tokio::time::sleep(Duration::from_millis(1)).await;
                continue;
            }
        };
        let (packet, resolver) = (buffer[..length].to_vec(), resolver.clone());
        let answer = async move { resolver.handle(packet, peer, Transport::Udp).await };
        // One packet must not end the server, whatever is in it.
        let mut answer = Box::pin(async move {
            panics::catch(answer).await.unwrap_or_else(|panic| {
                tracing::error!(%peer, %panic, "a question is not answered");
                None
            })
        });
        match poll!(&mut answer) {
            Poll::Ready(Some(answer)) => {
                let _ = socket.send_to(&answer, peer).await;
            }
            Poll::Ready(None) => {}
            Poll::Pending => {
                let Ok(place) = waiting.clone().try_acquire_owned() else {
                    continue;
                };
                let socket = socket.clone();
                tokio::spawn(async move {
                    if let Some(answer) = answer.await {
                        let _ = socket.send_to(&answer, peer).await;
                    }
                    drop(place);
                });
            }
        }
    }
}
