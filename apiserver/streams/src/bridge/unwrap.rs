//! SPDY inside of WebSocket messages: kubectl's port-forward.

use crate::connect::Io;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// Copies bytes out of messages and into messages until either side ends.
pub(crate) async fn unwrap<C: Io, S: Io>(client: WebSocketStream<C>, server: S) {
    let (mut to_client, mut from_client) = client.split();
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let inward = async {
        while let Some(Ok(message)) = from_client.next().await {
            let sent = match message {
                Message::Binary(bytes) => to_server.write_all(&bytes).await,
                Message::Close(_) => break,
                _ => Ok(()),
            };
            if sent.is_err() {
                break;
            }
        }
        let _ = to_server.shutdown().await;
    };
    let outward = async {
        let mut buffer = bytes::BytesMut::with_capacity(32 << 10);
        loop {
            buffer.reserve(16 << 10);
            match from_server.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {
                    let message = Message::Binary(buffer.split().freeze());
                    if to_client.send(message).await.is_err() {
                        return;
                    }
                }
            }
        }
    };
    tokio::select! {
        () = inward => return,
        () = outward => {}
    }
    super::close(&mut to_client, &mut from_client).await;
}
