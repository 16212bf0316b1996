//! The streams of a command in a pod, side by side over a WebSocket: the first byte of each
//! message says whose it is (k8s.io/apimachinery, `pkg/util/remotecommand/constants.go`).

use std::hash::{BuildHasher, RandomState};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use http::header::{
    CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::{ApiError, Call};
use crate::connection::with_causes;
use crate::target::Target;

/// The subprotocols, the newest first: only it can end one stream.
const PROTOCOLS: &str = "v5.channel.k8s.io, v4.channel.k8s.io";
const CLOSING: &str = "v5.channel.k8s.io";
/// Largest message that is taken. Runtimes send 32 KiB at a time.
const MESSAGE: usize = 4 << 20;
/// The channel that ends another one.
const CLOSE: u8 = 255;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// What a message is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// What the command reads.
    Stdin,
    /// What it writes.
    Stdout,
    /// Its complaints.
    Stderr,
    /// How it ended, as a `Status`.
    Status,
}

impl Channel {
    fn number(self) -> u8 {
        match self {
            Self::Stdin => 0,
            Self::Stdout => 1,
            Self::Stderr => 2,
            Self::Status => 3,
        }
    }

    fn of(number: u8) -> Option<Self> {
        let all = [Self::Stdin, Self::Stdout, Self::Stderr, Self::Status];
        all.into_iter().find(|channel| channel.number() == number)
    }
}

/// Where the command's input goes.
pub struct Outgoing {
    path: String,
    sink: SplitSink<Socket, Message>,
    can_close: bool,
}

/// Where its output comes from.
pub struct Incoming {
    path: String,
    stream: SplitStream<Socket>,
}

/// Opens a connection and has it become the streams.
pub(super) async fn open(target: &Target, path: &str) -> Result<(Outgoing, Incoming), ApiError> {
    let fail = |why: &dyn ToString| broken(path, why);
    // It is no secret; it need only be new (RFC 6455, 4.1).
    let mut nonce = [0; 16];
    for half in nonce.chunks_mut(8) {
        half.copy_from_slice(&RandomState::new().hash_one(path).to_ne_bytes());
    }
    let request = Request::get(path)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_PROTOCOL, PROTOCOLS)
        .header(SEC_WEBSOCKET_KEY, STANDARD.encode(nonce))
        .body(Full::new(Bytes::new()))
        .map_err(|error| fail(&error))?;
    let signed = target.sign(request).await.map_err(|error| fail(&error))?;
    let request = without_server(signed).map_err(|error| fail(&error))?;
    let stream = target.dial_for_stream().await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| fail(&with_causes(&error)))?;
    // It ends with what it becomes; what goes wrong with it, that says.
    tokio::spawn(connection.with_upgrades());
    let answer = sender.send_request(request).await;
    let answer = answer.map_err(|error| fail(&with_causes(&error)))?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        let status = answer.status();
        let body = answer.into_body().collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        return Err(ApiError::refused(&Call::get(path), status, &body));
    }
    let protocol = answer.headers().get(SEC_WEBSOCKET_PROTOCOL);
    let can_close = protocol.is_some_and(|it| it == CLOSING);
    let upgraded = hyper::upgrade::on(answer).await;
    let io = TokioIo::new(upgraded.map_err(|error| fail(&with_causes(&error)))?);
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE))
        .max_frame_size(Some(MESSAGE));
    let socket = WebSocketStream::from_raw_socket(io, Role::Client, Some(config)).await;
    let (sink, stream) = socket.split();
    let outgoing = Outgoing {
        path: path.to_owned(),
        sink,
        can_close,
    };
    let incoming = Incoming {
        path: path.to_owned(),
        stream,
    };
    Ok((outgoing, incoming))
}

fn broken(path: &str, why: &dyn ToString) -> ApiError {
    ApiError::Broken {
        call: Call::get(path).to_string(),
        why: why.to_string(),
    }
}

/// A request as HTTP/1.1 has it: the server is in a header, and not in the first line.
fn without_server<T>(request: Request<T>) -> Result<Request<T>, http::Error> {
    let (mut parts, body) = request.into_parts();
    if let Some(authority) = parts.uri.authority() {
        let host = http::HeaderValue::from_str(authority.as_str())?;
        parts.headers.insert(HOST, host);
    }
    let path = parts.uri.path_and_query();
    parts.uri = Uri::builder()
        .path_and_query(path.map_or("/", |it| it.as_str()))
        .build()?;
    Ok(Request::from_parts(parts, body))
}

impl Outgoing {
    /// Sends input.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn send(&mut self, input: &[u8]) -> Result<(), ApiError> {
        self.message(Channel::Stdin.number(), input).await
    }

    /// Ends the input, where the server's protocol can.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn end(&mut self) -> Result<(), ApiError> {
        match self.can_close {
            true => self.message(CLOSE, &[Channel::Stdin.number()]).await,
            false => Ok(()),
        }
    }

    async fn message(&mut self, channel: u8, bytes: &[u8]) -> Result<(), ApiError> {
        let mut message = Vec::with_capacity(bytes.len() + 1);
        message.push(channel);
        message.extend_from_slice(bytes);
        let sent = self.sink.send(Message::binary(message)).await;
        sent.map_err(|error| broken(&self.path, &with_causes(&error)))
    }
}

impl Incoming {
    /// The next bytes, and what they are of; none at the end. Empty messages, with which
    /// servers say that a stream is open, are left out.
    pub async fn next(&mut self) -> Option<Result<(Channel, Bytes), ApiError>> {
        loop {
            match self.stream.next().await? {
                Ok(Message::Binary(bytes)) => {
                    if let Some(piece) = piece(bytes) {
                        return Some(Ok(piece));
                    }
                }
                Ok(Message::Close(_)) => return None,
                Ok(_) => {}
                Err(error) => return Some(Err(broken(&self.path, &with_causes(&error)))),
            }
        }
    }
}

fn piece(mut message: Bytes) -> Option<(Channel, Bytes)> {
    let channel = Channel::of(*message.first()?)?;
    let rest = message.split_off(1);
    (!rest.is_empty()).then_some((channel, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_says_whose_the_rest_is() {
        let of = |bytes: &'static [u8]| piece(Bytes::from_static(bytes));
        assert_eq!(of(b"\x01abc"), Some((Channel::Stdout, "abc".into())));
        assert_eq!(of(b"\x03{}"), Some((Channel::Status, "{}".into())));
        for nothing in [&b"\x02"[..], b"", b"\xff\x01", b"\x07x"] {
            assert_eq!(piece(Bytes::from_static(nothing)), None);
        }
    }

    #[test]
    fn the_server_is_named_in_a_header_alone() {
        let request = Request::get("https://10.0.0.1:6443/api/v1/x?a=b&c")
            .body(())
            .unwrap();
        let request = without_server(request).unwrap();
        assert_eq!(request.uri(), "/api/v1/x?a=b&c");
        assert_eq!(request.headers()[HOST], "10.0.0.1:6443");
    }
}
