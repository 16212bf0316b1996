//! The WebSocket side: the opening handshake and Kubernetes' subprotocols,
//! which put several channels into one connection by a leading byte.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::connect::{Body, empty};

/// The prefix of a WebSocket subprotocol that carries a bearer token.
pub(crate) const BEARER_PROTOCOL: &str = "base64url.bearer.authorization.k8s.io.";

/// Standard input, from the client.
pub(crate) const STDIN: u8 = 0;
/// Standard output, to the client.
pub(crate) const STDOUT: u8 = 1;
/// Standard error, to the client.
pub(crate) const STDERR: u8 = 2;
/// How it ended, to the client.
pub(crate) const ERROR: u8 = 3;
/// Terminal sizes, from the client.
pub(crate) const RESIZE: u8 = 4;
/// Closes the channel named by the next byte (v5).
const CLOSE: u8 = 255;

/// A subprotocol of exec, attach and (as older clients do it) port-forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Protocol {
    /// As negotiated; empty if the client named none.
    pub name: &'static str,
    /// Text messages with a digit and base64 in place of bytes.
    base64: bool,
    /// The error channel carries a Status rather than text.
    pub status: bool,
    /// The client can close a channel.
    close: bool,
}

const fn protocol(name: &'static str, base64: bool, status: bool, close: bool) -> Protocol {
    Protocol {
        name,
        base64,
        status,
        close,
    }
}

/// The protocol of a client that names none.
const UNNAMED: Protocol = protocol("", false, false, false);

const PROTOCOLS: [Protocol; 5] = [
    protocol("v5.channel.k8s.io", false, true, true),
    protocol("v4.channel.k8s.io", false, true, false),
    protocol("v4.base64.channel.k8s.io", true, true, false),
    protocol("channel.k8s.io", false, false, false),
    protocol("base64.channel.k8s.io", true, false, false),
];

/// The subprotocols that a client offers, in its order.
pub(crate) fn offered(headers: &HeaderMap) -> Vec<&str> {
    let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    values
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .map(str::trim)
        .filter(|p| !p.is_empty())
        .collect()
}

/// The first of the offered subprotocols that is spoken here.
pub(crate) fn negotiate(offered: &[&str]) -> Option<Protocol> {
    if offered.is_empty() {
        return Some(UNNAMED);
    }
    let known = |name: &&str| PROTOCOLS.into_iter().find(|p| p.name == *name);
    offered.iter().find_map(known)
}

/// What a message of the client says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// Bytes for a channel.
    Data(u8, Bytes),
    /// The channel gets no more.
    Closed(u8),
}

impl Protocol {
    /// Reads a data message. `None`: nothing in it.
    pub(crate) fn decode(&self, message: Message) -> Result<Option<Said>, String> {
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Text(text) => Bytes::from(text),
            _ => return Ok(None),
        };
        let Some((&first, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        if self.base64 {
            let channel = first.wrapping_sub(b'0');
            let data = STANDARD
                .decode(rest)
                .map_err(|e| format!("channel {channel}: {e}"))?;
            return Ok(Some(Said::Data(channel, data.into())));
        }
        Ok(Some(match (first, rest) {
            (CLOSE, [channel]) if self.close => Said::Closed(*channel),
            (CLOSE, _) if self.close => return Err("a close signal names one channel".into()),
            _ => Said::Data(first, bytes.slice(1..)),
        }))
    }

    /// Writes a message to the client.
    pub(crate) fn encode(&self, channel: u8, data: &[u8]) -> Message {
        if self.base64 {
            return Message::text(format!("{channel}{}", STANDARD.encode(data)));
        }
        let mut out = BytesMut::with_capacity(1 + data.len());
        out.put_u8(channel);
        out.put_slice(data);
        Message::Binary(out.freeze())
    }
}

/// The answer that makes the connection a WebSocket, or `None` if the request
/// isn't a handshake of RFC 6455.
pub(crate) fn accept(headers: &HeaderMap, protocol: &str) -> Option<Response<Body>> {
    const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    if headers.get(header::SEC_WEBSOCKET_VERSION)? != "13" {
        return None;
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?;
    let mut hash = ring::digest::Context::new(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key.as_bytes());
    hash.update(MAGIC);
    let answer = HeaderValue::from_str(&STANDARD.encode(hash.finish())).ok()?;
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let out = response.headers_mut();
    out.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    out.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    out.insert(header::SEC_WEBSOCKET_ACCEPT, answer);
    if !protocol.is_empty() {
        out.insert(
            header::SEC_WEBSOCKET_PROTOCOL,
            HeaderValue::from_str(protocol).ok()?,
        );
    }
    Some(response)
}

/// Limits of what a client may send.
pub(crate) fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(16 << 20))
        .max_frame_size(Some(16 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_first_choice_wins() {
        let name = |offered: &[&str]| negotiate(offered).map(|p| p.name);
        assert_eq!(
            name(&["v5.channel.k8s.io", "v4.channel.k8s.io"]),
            Some("v5.channel.k8s.io")
        );
        assert_eq!(
            name(&["other", "base64.channel.k8s.io"]),
            Some("base64.channel.k8s.io")
        );
        assert_eq!(name(&["other"]), None);
        assert_eq!(name(&[]), Some(""));
    }

    #[test]
    fn the_handshake_is_that_of_rfc_6455() {
        let mut headers = HeaderMap::new();
        headers.insert("sec-websocket-version", HeaderValue::from_static("13"));
        headers.insert(
            "sec-websocket-key",
            HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="),
        );
        let response = accept(&headers, "v5.channel.k8s.io").unwrap();
        assert_eq!(
            response.headers()["sec-websocket-accept"],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert_eq!(
            response.headers()["sec-websocket-protocol"],
            "v5.channel.k8s.io"
        );
        assert!(accept(&HeaderMap::new(), "").is_none());
    }

    #[test]
    fn channels_are_told_by_their_first_byte() {
        let v5 = negotiate(&["v5.channel.k8s.io"]).unwrap();
        let said = v5.decode(Message::binary(vec![0, b'a'])).unwrap();
        assert_eq!(said, Some(Said::Data(STDIN, Bytes::from_static(b"a"))));
        assert_eq!(
            v5.decode(Message::binary(vec![255, 0])).unwrap(),
            Some(Said::Closed(0))
        );
        assert!(v5.decode(Message::binary(vec![255])).is_err());
        assert_eq!(v5.encode(STDOUT, b"x"), Message::binary(vec![1, b'x']));

        let base64 = negotiate(&["v4.base64.channel.k8s.io"]).unwrap();
        let said = base64.decode(Message::text("0aGk=")).unwrap();
        assert_eq!(said, Some(Said::Data(STDIN, Bytes::from_static(b"hi"))));
        assert_eq!(base64.encode(STDERR, b"hi"), Message::text("2aGk="));
        assert!(base64.decode(Message::text("0***")).is_err());
    }
}
