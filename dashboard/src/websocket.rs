//! WebSockets, as far as the page's live connection needs them (RFC 6455).

use crate::failure::Failure;
use axum::body::Body;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// The longest message a page may send.
pub const LONGEST: usize = 64 << 10;

/// A WebSocket of a page.
pub type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Takes a handshake: what to answer, and what becomes of the connection after it.
///
/// # Errors
/// 400 if it is none.
pub fn accept(request: &mut Request<Body>) -> Result<(Response, OnUpgrade), Failure> {
    let none = || Failure::new(StatusCode::BAD_REQUEST, "this is for WebSockets");
    let answer = handshake(request.headers()).ok_or_else(none)?;
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    Ok((answer, upgrade.ok_or_else(none)?))
}

fn handshake(headers: &HeaderMap) -> Option<Response> {
    const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let protocol = headers.get(header::UPGRADE)?.as_bytes();
    if !protocol.eq_ignore_ascii_case(b"websocket")
        || headers.get(header::SEC_WEBSOCKET_VERSION)? != "13"
    {
        return None;
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?;
    let mut hash = ring::digest::Context::new(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key.as_bytes());
    hash.update(MAGIC);
    let proof = HeaderValue::from_str(&STANDARD.encode(hash.finish())).ok()?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let out = response.headers_mut();
    out.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    out.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    out.insert(header::SEC_WEBSOCKET_ACCEPT, proof);
    Some(response)
}

/// The WebSocket, once the answer is sent. Whoever sends more than [`LONGEST`] at once, is cut off.
///
/// # Errors
/// If the connection is gone.
pub async fn socket(upgrade: OnUpgrade) -> Result<Socket, hyper::Error> {
    let config = WebSocketConfig::default()
        .read_buffer_size(4 << 10)
        .write_buffer_size(16 << 10)
        .max_message_size(Some(LONGEST))
        .max_frame_size(Some(LONGEST));
    let io = TokioIo::new(upgrade.await?);
    Ok(WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshake_is_that_of_rfc_6455() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (header::UPGRADE, "WebSocket"),
            (header::SEC_WEBSOCKET_VERSION, "13"),
            (header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let answer = handshake(&headers).unwrap();
        let proof = &answer.headers()[header::SEC_WEBSOCKET_ACCEPT];
        assert_eq!(proof, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        headers.insert(header::UPGRADE, HeaderValue::from_static("h2c"));
        assert!(handshake(&headers).is_none());
    }
}
