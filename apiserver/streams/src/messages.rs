//! An answer that goes on, a log or a watch, as the messages of a WebSocket: what
//! dashboards in a browser ask for (`k8s.io/apiserver/pkg/util/wsstream`, and
//! `WatchServer.HandleWS`).

use crate::bridge;
use crate::connect::{Body, Io, wanted_upgrade};
use crate::websocket;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use hardway_proto::Status;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// How long a client may take for a message: as long as for a piece of any other answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a client is pinged: of a peer that vanished TCP learns only by what it
/// doesn't acknowledge, and a quiet log has nothing else to send.
const PING: Duration = Duration::from_secs(30);

/// The largest message that a client may send, in bytes; none has a meaning.
const LARGEST: usize = 4 << 10;

/// What the messages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Whatever there is, as it comes: a log. The client may have it in base64.
    Bytes,
    /// One line each, as text: a watch.
    Lines,
}

/// A client's wish to have the answer to its request over a WebSocket.
pub struct Handshake {
    client: OnUpgrade,
    response: Response<Body>,
    framing: Framing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Binary,
    Base64,
    Lines,
}

impl Handshake {
    /// Takes the opening handshake out of a request, so that what is left asks for the
    /// same without. `None` if there is none.
    ///
    /// # Errors
    /// 400 where it is no handshake of RFC 6455, or offers subprotocols of which none
    /// is spoken here.
    pub fn take<B>(request: &mut Request<B>, content: Content) -> Result<Option<Self>, Status> {
        let wanted = wanted_upgrade(request.headers());
        if !wanted.is_some_and(|to| to.eq_ignore_ascii_case("websocket")) {
            return Ok(None);
        }
        let headers = request.headers();
        let (protocol, framing) = negotiate(headers, content)?;
        let response = websocket::accept(headers, protocol)
            .ok_or_else(|| Status::bad_request("not a WebSocket handshake of version 13"))?;
        let client = hyper::upgrade::on(&mut *request);
        for name in [
            header::CONNECTION,
            header::UPGRADE,
            header::SEC_WEBSOCKET_KEY,
            header::SEC_WEBSOCKET_VERSION,
            header::SEC_WEBSOCKET_PROTOCOL,
            header::SEC_WEBSOCKET_EXTENSIONS,
        ] {
            request.headers_mut().remove(name);
        }
        Ok(Some(Self {
            client,
            response,
            framing,
        }))
    }

    /// Sends what an answer says as messages; the client is answered with the handshake.
    /// An answer that is a failure stays as it is.
    pub fn carry(self, answer: Response<Body>) -> Response<Body> {
        if answer.status() != StatusCode::OK {
            return answer;
        }
        let Self {
            client,
            response,
            framing,
        } = self;
        tokio::spawn(async move {
            match client.await {
                Ok(client) => tell(TokioIo::new(client), answer.into_body(), framing).await,
                Err(error) => tracing::debug!(%error, "upgrade failed"),
            }
        });
        response
    }
}

/// The subprotocol and how its messages are made.
fn negotiate(headers: &HeaderMap, content: Content) -> Result<(&str, Framing), Status> {
    let offered: Vec<&str> = websocket::offered(headers)
        .into_iter()
        .filter(|name| !name.starts_with(websocket::BEARER_PROTOCOL))
        .collect();
    if content == Content::Lines {
        // Whatever it is called, a watch is told in text.
        return Ok((offered.first().copied().unwrap_or_default(), Framing::Lines));
    }
    let known = |name: &&str| match *name {
        "binary.k8s.io" | "channel.k8s.io" => Some(Framing::Binary),
        "base64.binary.k8s.io" | "base64.channel.k8s.io" => Some(Framing::Base64),
        _ => None,
    };
    if offered.is_empty() {
        return Ok(("", Framing::Binary));
    }
    let chosen = offered.iter().find_map(|name| Some((*name, known(name)?)));
    chosen.ok_or_else(|| {
        Status::bad_request(format!(
            "unable to upgrade: none of the requested subprotocols is supported: {offered:?}"
        ))
    })
}

/// Sends until there is no more to say, or the client is gone.
async fn tell<C: Io>(client: C, mut body: Body, framing: Framing) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(LARGEST))
        .max_frame_size(Some(LARGEST));
    let client = WebSocketStream::from_raw_socket(client, Role::Server, Some(config)).await;
    let (mut to_client, mut from_client) = client.split();
    let mut rest = BytesMut::new();
    // The first message is empty, as Kubernetes' is: proxies see that it is open.
    if framing != Framing::Lines && !send(&mut to_client, framing.message(Bytes::new())).await {
        return;
    }
    let mut pings = interval_at(Instant::now() + PING, PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            said = from_client.next() => match said {
                // Nothing it says matters, but that it is there.
                Some(Ok(message)) if !message.is_close() => continue,
                _ => return,
            },
            _ = pings.tick() => match send(&mut to_client, Message::Ping(Bytes::new())).await {
                true => continue,
                false => return,
            },
        };
        let data = match frame {
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Some(Err(error)) => {
                tracing::debug!(%error, "the answer ended early");
                break;
            }
            None => break,
        };
        for message in framing.messages(data, &mut rest) {
            if !send(&mut to_client, message).await {
                return;
            }
        }
    }
    bridge::close(&mut to_client, &mut from_client).await;
}

/// Sends a message, unless the client is gone or doesn't take it in time. Meanwhile the
/// answer isn't asked for more, so that it can't end by itself.
async fn send<C: Io>(
    to_client: &mut SplitSink<WebSocketStream<C>, Message>,
    message: Message,
) -> bool {
    matches!(timeout(PATIENCE, to_client.send(message)).await, Ok(Ok(())))
}

impl Framing {
    /// The messages of a piece of the answer; a line that is not complete yet is kept.
    fn messages(self, data: Bytes, rest: &mut BytesMut) -> Vec<Message> {
        if data.is_empty() {
            return Vec::new();
        }
        if self != Self::Lines {
            return vec![self.message(data)];
        }
        rest.extend_from_slice(&data);
        let mut messages = Vec::new();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line = rest.split_to(end + 1).freeze();
            messages.push(self.message(line.slice(..end)));
        }
        messages
    }

    fn message(self, data: Bytes) -> Message {
        match self {
            Self::Binary => Message::Binary(data),
            Self::Base64 => Message::text(STANDARD.encode(data)),
            Self::Lines => match data.clone().try_into() {
                Ok(text) => Message::Text(text),
                Err(_) => Message::Binary(data),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use http_body::Frame;
    use http_body_util::StreamBody;

    fn offering(protocols: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::SEC_WEBSOCKET_PROTOCOL,
            HeaderValue::from_static(protocols),
        );
        headers
    }

    #[test]
    fn logs_come_as_bytes_or_in_base64() {
        let chosen = |protocols| negotiate(&offering(protocols), Content::Bytes).map(|(_, f)| f);
        let none = HeaderMap::new();
        let unnamed = negotiate(&none, Content::Bytes).unwrap();
        assert_eq!(unnamed, ("", Framing::Binary));
        assert_eq!(chosen("binary.k8s.io").unwrap(), Framing::Binary);
        assert_eq!(chosen("channel.k8s.io").unwrap(), Framing::Binary);
        assert_eq!(
            chosen("base64url.bearer.authorization.k8s.io.dG9r, base64.binary.k8s.io").unwrap(),
            Framing::Base64
        );
        assert_eq!(chosen("v9.other").unwrap_err().code, 400);
        let data = Bytes::from_static(b"hi\n\xff");
        let mut rest = BytesMut::new();
        assert_eq!(
            Framing::Base64.messages(data.clone(), &mut rest),
            [Message::text("aGkK/w==")]
        );
        assert_eq!(
            Framing::Binary.messages(data.clone(), &mut rest),
            [Message::Binary(data)]
        );
    }

    #[test]
    fn a_watch_comes_in_lines() {
        let offered = offering("base64.binary.k8s.io");
        let chosen = negotiate(&offered, Content::Lines).unwrap();
        assert_eq!(chosen, ("base64.binary.k8s.io", Framing::Lines));
        let mut rest = BytesMut::new();
        let mut told = |data: &'static str| {
            Framing::Lines.messages(Bytes::from_static(data.as_bytes()), &mut rest)
        };
        assert_eq!(
            told("{1}\n{2}\n{"),
            [Message::text("{1}"), Message::text("{2}")]
        );
        assert_eq!(told("3"), []);
        assert_eq!(told("}\n"), [Message::text("{3}")]);
    }

    fn client(io: tokio::io::DuplexStream) -> impl Future<Output = WebSocketStream<impl Io>> {
        WebSocketStream::from_raw_socket(io, Role::Client, None)
    }

    /// An answer that says this over and over.
    fn repeating(data: &'static [u8]) -> Body {
        let frame = move || Ok(Frame::data(Bytes::from_static(data)));
        let frames = futures_util::stream::repeat_with(frame);
        StreamBody::new(frames).boxed_unsync()
    }

    /// An answer that says nothing, and doesn't end.
    fn quiet() -> Body {
        let frames = futures_util::stream::pending();
        StreamBody::new(frames).boxed_unsync()
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_reads_is_left() {
        let (here, _there) = tokio::io::duplex(64);
        let begun = Instant::now();
        let told = timeout(
            Duration::from_secs(600),
            tell(here, repeating(b"hello\n"), Framing::Lines),
        );
        told.await.unwrap();
        assert_eq!(begun.elapsed().as_secs(), PATIENCE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn who_hears_nothing_is_pinged() {
        let (here, there) = tokio::io::duplex(1 << 10);
        let told = tokio::spawn(tell(here, quiet(), Framing::Lines));
        let mut client = client(there).await;
        let begun = Instant::now();
        for _ in 0..3 {
            let message = client.next().await.unwrap().unwrap();
            assert_eq!(message, Message::Ping(Bytes::new()));
        }
        assert_eq!(begun.elapsed().as_secs(), 3 * PING.as_secs());
        assert!(!told.is_finished());
        drop(client);
        told.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn large_messages_of_the_client_end_it() {
        let (here, there) = tokio::io::duplex(64 << 10);
        let told = tokio::spawn(tell(here, quiet(), Framing::Lines));
        let mut client = client(there).await;
        let text = |size| Message::text("x".repeat(size));
        client.send(text(LARGEST)).await.unwrap();
        let message = client.next().await.unwrap().unwrap();
        assert_eq!(message, Message::Ping(Bytes::new()));
        client.send(text(LARGEST + 1)).await.unwrap();
        let begun = Instant::now();
        told.await.unwrap();
        assert!(begun.elapsed() < PING);
    }
}
