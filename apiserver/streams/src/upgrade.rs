//! exec, attach and port-forward.
//!
//! The kubelet's side is always SPDY. A client that speaks SPDY gets a tunnel;
//! one that speaks WebSocket has its channels translated to SPDY streams, or,
//! port-forwarding with kubectl, its SPDY bytes taken out of the messages.

use crate::bridge::{self, Plan};
use crate::connect::{Body, BoxError, Unreachable, Upstream, empty, wanted_upgrade};
use crate::tunnel::{self, Held};
use crate::websocket;
use bytes::Bytes;
use hardway_proto::Status;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

/// The prefix of a WebSocket subprotocol whose messages carry SPDY bytes.
const TUNNELLED: &str = "SPDY/3.1+";

/// What is streamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// exec and attach. The upstream's query says which streams there are:
    /// `input`, `output`, `error`, `tty`.
    Command,
    /// Ports. WebSocket clients without SPDY name them in their query (`ports`).
    PortForward,
}

/// Connects a client's upgrade request to the kubelet.
///
/// `Ok` is the answer to send: 101, or whatever the kubelet said instead.
/// `held` is kept until the stream ends.
pub async fn proxy<B>(
    request: Request<B>,
    upstream: &Upstream,
    service: Service,
    held: Held,
) -> Result<Response<Body>, Status>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    match wanted_upgrade(request.headers()) {
        None => Err(Status::bad_request("Upgrade request required")),
        Some(to) if to.eq_ignore_ascii_case("websocket") => {
            let (parts, _) = request.into_parts();
            from_websocket(Request::from_parts(parts, ()), upstream, service, held).await
        }
        Some(_) => tunnel::raw(request, upstream, held)
            .await
            .map_err(no_backend),
    }
}

fn no_backend(error: Unreachable) -> Status {
    Status::failure(500, "", format!("error dialing backend: {error}"))
}

async fn from_websocket(
    mut request: Request<()>,
    upstream: &Upstream,
    service: Service,
    held: Held,
) -> Result<Response<Body>, Status> {
    let offered = websocket::offered(request.headers());
    let refused = || {
        Status::bad_request(format!(
            "unable to upgrade: none of the requested subprotocols is supported: {offered:?}"
        ))
    };
    let tunnelled = offered.iter().find(|p| p.starts_with(TUNNELLED)).copied();
    let (chosen, spoken, mode) = match tunnelled {
        Some(name) if service == Service::PortForward => {
            (name.to_owned(), name[TUNNELLED.len()..].to_owned(), None)
        }
        _ => {
            let protocol = websocket::negotiate(&offered).ok_or_else(refused)?;
            let (plan, spoken) = match service {
                Service::Command => (Plan::command(&upstream.path_and_query), "v4.channel.k8s.io"),
                Service::PortForward => {
                    let query = request.uri().query().unwrap_or_default();
                    (Plan::ports(query)?, "portforward.k8s.io")
                }
            };
            (
                protocol.name.to_owned(),
                spoken.to_owned(),
                Some((plan, protocol)),
            )
        }
    };
    let response = websocket::accept(request.headers(), &chosen)
        .ok_or_else(|| Status::bad_request("not a WebSocket handshake of version 13"))?;

    let mut answer = ask(upstream, &spoken).await?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(answer.map(|b| UnsyncBoxBody::new(b.map_err(Into::into))));
    }
    let server = hyper::upgrade::on(&mut answer);
    let client = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let (client, server) = match tokio::try_join!(client, server) {
            Ok(both) => both,
            Err(error) => return tracing::debug!(%error, "upgrade failed"),
        };
        let server = TokioIo::new(server);
        let client = WebSocketStream::from_raw_socket(
            TokioIo::new(client),
            Role::Server,
            Some(websocket::config()),
        )
        .await;
        match mode {
            Some((plan, protocol)) => bridge::translate(client, server, plan, protocol).await,
            None => bridge::unwrap(client, server).await,
        }
        drop(held);
    });
    Ok(response)
}

/// Asks the kubelet for SPDY.
async fn ask(upstream: &Upstream, protocol: &str) -> Result<Response<Incoming>, Status> {
    let mut request = Request::new(empty());
    *request.method_mut() = Method::POST;
    let headers = request.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("SPDY/3.1"));
    let protocol = HeaderValue::from_str(protocol)
        .map_err(|_| Status::bad_request(format!("invalid subprotocol {protocol:?}")))?;
    headers.insert("x-stream-protocol-version", protocol);
    upstream.send(request).await.map_err(no_backend)
}
