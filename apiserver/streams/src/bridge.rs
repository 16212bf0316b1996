//! A WebSocket client on one side, a kubelet's SPDY endpoint on the other.

mod plan;
mod unwrap;

pub(crate) use plan::Plan;
pub(crate) use unwrap::unwrap;

use crate::connect::Io;
use crate::spdy::{Codec, Frame};
use crate::websocket::{ERROR, Protocol, Said};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use hardway_proto::Status;
use plan::Channel;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_util::codec::Framed;

/// How long the kubelet may take to accept the streams.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a client may take to answer a close.
const FAREWELL: Duration = Duration::from_secs(5);

/// Larger messages are cut into data frames of this size.
const CHUNK: usize = 64 << 10;

type Spdy<S> = Framed<S, Codec>;

/// Translates the client's channels to streams until either side is done.
pub(crate) async fn translate<C: Io, S: Io>(
    client: WebSocketStream<C>,
    server: S,
    plan: Plan,
    protocol: Protocol,
) {
    let (to_client, mut from_client) = client.split();
    let (mut to_server, from_server) = Framed::new(server, Codec::default()).split();
    for channel in &plan.channels {
        let open = Frame::SynStream {
            stream: channel.stream,
            headers: channel.headers.clone(),
            fin: false,
        };
        if let Err(error) = to_server.send(open).await {
            return tracing::debug!(%error, "kubelet ended the connection");
        }
    }
    let ready = Notify::new();
    let (pings, pinged) = mpsc::channel(8);
    let inward = Inward {
        from_client: &mut from_client,
        to_server,
        channels: &plan.channels,
        protocol,
        ready: &ready,
        pinged,
    };
    let mut outward = Outward {
        to_client,
        from_server,
        plan: &plan,
        protocol,
        ready: &ready,
        pings,
        error_told: false,
    };
    tokio::select! {
        () = inward.run() => return,
        result = outward.run() => if result.is_err() { return },
    }
    close(&mut outward.to_client, &mut from_client).await;
}

/// Closes the connection to the client in good order: what it sends meanwhile
/// is read, so that a reset can't overtake the last bytes towards it.
pub(crate) async fn close<C: Io>(
    to_client: &mut SplitSink<WebSocketStream<C>, Message>,
    from_client: &mut SplitStream<WebSocketStream<C>>,
) {
    let frame = CloseFrame {
        code: CloseCode::Normal,
        reason: "".into(),
    };
    let closing = async {
        to_client.send(Message::Close(Some(frame))).await?;
        while let Some(Ok(_)) = from_client.next().await {}
        to_client.close().await
    };
    if !matches!(tokio::time::timeout(FAREWELL, closing).await, Ok(Ok(()))) {
        tracing::debug!("client did not answer the close");
    }
}

/// From the client to the kubelet.
struct Inward<'a, C, S> {
    from_client: &'a mut SplitStream<WebSocketStream<C>>,
    to_server: SplitSink<Spdy<S>, Frame>,
    channels: &'a [Channel],
    protocol: Protocol,
    ready: &'a Notify,
    pinged: mpsc::Receiver<u32>,
}

impl<C: Io, S: Io> Inward<'_, C, S> {
    /// Runs until the client is gone.
    async fn run(mut self) {
        // What arrives on a stream before it is accepted gets lost there.
        let accepted = tokio::time::timeout(PATIENCE, self.ready.notified()).await;
        if accepted.is_err() {
            tracing::debug!("kubelet did not accept the streams in time");
            return;
        }
        loop {
            let sent = tokio::select! {
                Some(id) = self.pinged.recv() => self.to_server.send(Frame::Ping(id)).await,
                message = self.from_client.next() => match message {
                    Some(Ok(Message::Close(_))) | None => break,
                    Some(Err(error)) => {
                        tracing::debug!(%error, "client ended the connection");
                        break;
                    }
                    Some(Ok(message)) => match self.protocol.decode(message) {
                        Ok(Some(said)) => self.pass(said).await,
                        Ok(None) => Ok(()),
                        Err(error) => {
                            tracing::debug!(%error, "client sent a message that makes no sense");
                            break;
                        }
                    },
                },
            };
            if sent.is_err() {
                // The other direction has the kubelet's last words.
                std::future::pending::<()>().await;
            }
        }
        let _ = self
            .to_server
            .send(Frame::GoAway { last: 0, status: 0 })
            .await;
    }

    async fn pass(&mut self, said: Said) -> std::io::Result<()> {
        let (index, mut data, fin) = match said {
            Said::Data(index, data) => (index, data, false),
            Said::Closed(index) => (index, Bytes::new(), true),
        };
        let channel = self
            .channels
            .iter()
            .find(|c| c.index == index && c.writable);
        let Some(stream) = channel.map(|c| c.stream) else {
            return Ok(());
        };
        loop {
            let head = data.split_to(data.len().min(CHUNK));
            let last = data.is_empty();
            if !head.is_empty() || fin {
                let frame = Frame::Data {
                    stream,
                    data: head,
                    fin: fin && last,
                };
                self.to_server.send(frame).await?;
            }
            if last {
                return Ok(());
            }
        }
    }
}

/// From the kubelet to the client.
struct Outward<'a, C, S> {
    to_client: SplitSink<WebSocketStream<C>, Message>,
    from_server: SplitStream<Spdy<S>>,
    plan: &'a Plan,
    protocol: Protocol,
    ready: &'a Notify,
    pings: mpsc::Sender<u32>,
    error_told: bool,
}

/// The client is gone.
struct ClientGone;

impl<C: Io, S: Io> Outward<'_, C, S> {
    /// Runs until every stream towards the client has ended.
    async fn run(&mut self) -> Result<(), ClientGone> {
        for (channel, greeting) in self.plan.greetings() {
            self.tell(channel, &greeting).await?;
        }
        let mut waiting: BTreeSet<u32> = self.plan.channels.iter().map(|c| c.stream).collect();
        let readable = self.plan.channels.iter().filter(|c| c.readable);
        let mut open: BTreeSet<u32> = readable.map(|c| c.stream).collect();
        while !open.is_empty() {
            let frame = match self.from_server.next().await {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => {
                    tracing::debug!(%error, "kubelet ended the connection");
                    break;
                }
                None => break,
            };
            match frame {
                Frame::SynReply { stream, fin, .. } => {
                    accepted(&mut waiting, stream, self.ready);
                    ended(&mut open, stream, fin);
                }
                Frame::RstStream { stream, .. } => {
                    accepted(&mut waiting, stream, self.ready);
                    ended(&mut open, stream, true);
                }
                Frame::Data { stream, data, fin } => {
                    let channel = self
                        .plan
                        .channels
                        .iter()
                        .find(|c| c.stream == stream && c.readable);
                    if let Some(channel) = channel
                        && !data.is_empty()
                    {
                        self.data(channel.index, &data).await?;
                    }
                    ended(&mut open, stream, fin);
                }
                Frame::Headers { stream, fin, .. } => ended(&mut open, stream, fin),
                Frame::Ping(id) => {
                    // A full queue means that answers are under way already.
                    let _ = self.pings.try_send(id);
                }
                Frame::SynStream { .. }
                | Frame::Settings(_)
                | Frame::GoAway { .. }
                | Frame::WindowUpdate { .. } => {}
            }
        }
        if !self.error_told && self.plan.command {
            let status = Status::internal(
                "the connection to the node ended before the command's status arrived",
            );
            let status = serde_json::to_vec(&status).unwrap_or_default();
            self.data(ERROR, &status).await?;
        }
        Ok(())
    }

    async fn data(&mut self, channel: u8, data: &[u8]) -> Result<(), ClientGone> {
        if !self.plan.command || channel != ERROR {
            return self.tell(channel, data).await;
        }
        self.error_told = true;
        if self.protocol.status {
            return self.tell(channel, data).await;
        }
        // Old protocols say in words what went wrong, and nothing otherwise.
        match serde_json::from_slice::<Status>(data) {
            Ok(status) if status.status == "Success" => Ok(()),
            Ok(status) => self.tell(channel, status.message.as_bytes()).await,
            Err(_) => self.tell(channel, data).await,
        }
    }

    async fn tell(&mut self, channel: u8, data: &[u8]) -> Result<(), ClientGone> {
        let message = self.protocol.encode(channel, data);
        self.to_client.send(message).await.map_err(|_| ClientGone)
    }
}

fn accepted(waiting: &mut BTreeSet<u32>, stream: u32, ready: &Notify) {
    if waiting.remove(&stream) && waiting.is_empty() {
        ready.notify_one();
    }
}

fn ended(open: &mut BTreeSet<u32>, stream: u32, fin: bool) {
    if fin {
        open.remove(&stream);
    }
}
