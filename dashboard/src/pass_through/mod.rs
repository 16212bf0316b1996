//! The Kubernetes API, as the viewer: requests go through with the viewer's credentials in place
//! of whatever the page sent, answers come back as they stream, and WebSockets become tunnels.

pub mod headers;
pub mod path;

use crate::api::USER_AGENT;
use crate::body;
use crate::dashboard::Asking;
use crate::failure::Failure;
use crate::headers::Foreign;
use crate::origin::is_upgrade;
use crate::viewer::{Connection, Viewer};
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures_util::StreamExt;
use http::{HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::sync::Arc;

/// The longest body: what API servers take.
const LONGEST: usize = 3 << 20;

/// `ANY /k8s/…`.
///
/// # Errors
/// If it is not passed on, or the API server does not answer.
pub async fn pass(Asking(viewer): Asking, request: Request) -> Result<Response, Failure> {
    let uri = request.uri();
    let path = uri.path().strip_prefix("/k8s").unwrap_or_default();
    path::check(path)?;
    let target = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    match is_upgrade(request.headers()) {
        true => tunnel(&viewer, &target, request).await,
        false => send(&viewer, &target, request).await,
    }
}

async fn send(viewer: &Arc<Viewer>, target: &str, request: Request) -> Result<Response, Failure> {
    let (head, body) = request.into_parts();
    let body = body::read(body, LONGEST).await?;
    let mut onward = http::Request::new(kube::client::Body::from(body));
    *onward.method_mut() = head.method;
    *onward.uri_mut() = parsed(target)?;
    *onward.headers_mut() = headers::forth(&head.headers, false);
    name_ourselves(&mut onward);
    let answer = viewer.client.send(onward).await?;
    let (head, body) = answer.into_parts();
    let until = viewer.clone();
    let until = async move { until.leaving().await };
    let body = body.into_data_stream().take_until(until);
    let mut response = Response::new(Body::from_stream(body));
    *response.status_mut() = head.status;
    *response.headers_mut() = headers::back(&head.headers, false);
    response.extensions_mut().insert(Foreign);
    Ok(response)
}

/// Opens a WebSocket at the API server, and joins it with the page's, byte by byte.
async fn tunnel(
    viewer: &Arc<Viewer>,
    target: &str,
    mut request: Request,
) -> Result<Response, Failure> {
    let page = request.extensions_mut().remove::<OnUpgrade>();
    let protocol = request.headers().get(header::UPGRADE);
    let (true, Some(page)) = (is_websocket(protocol), page) else {
        let message = "only WebSockets are passed on, over HTTP/1.1";
        return Err(Failure::new(StatusCode::BAD_REQUEST, message));
    };
    let connection = viewer.connect()?;
    let mut onward = http::Request::new(kube::client::Body::empty());
    *onward.uri_mut() = parsed(target)?;
    *onward.headers_mut() = headers::forth(request.headers(), true);
    let upgrading = onward.headers_mut();
    upgrading.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    upgrading.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    name_ourselves(&mut onward);
    let mut answer = viewer.client.send(onward).await?;
    let upgraded = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
    let mut headers = headers::back(answer.headers(), upgraded);
    if !upgraded {
        let (head, body) = answer.into_parts();
        let mut response = Response::new(Body::new(body));
        *response.status_mut() = head.status;
        *response.headers_mut() = headers;
        response.extensions_mut().insert(Foreign);
        return Ok(response);
    }
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    let api_server = hyper::upgrade::on(&mut answer);
    tokio::spawn(join(page, api_server, viewer.clone(), connection));
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = headers;
    Ok(response)
}

fn is_websocket(value: Option<&HeaderValue>) -> bool {
    value.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

async fn join(page: OnUpgrade, api_server: OnUpgrade, viewer: Arc<Viewer>, _counts: Connection) {
    let joined = async {
        let (page, api_server) = tokio::try_join!(page, api_server)?;
        let (mut page, mut api_server) = (TokioIo::new(page), TokioIo::new(api_server));
        tokio::io::copy_bidirectional(&mut page, &mut api_server).await?;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
    };
    tokio::select! {
        outcome = joined => if let Err(error) = outcome {
            tracing::debug!(error, "a tunnel ended");
        },
        () = viewer.leaving() => {}
    }
}

fn name_ourselves(request: &mut http::Request<kube::client::Body>) {
    let name = HeaderValue::from_static(USER_AGENT);
    request.headers_mut().insert(header::USER_AGENT, name);
}

fn parsed(target: &str) -> Result<http::Uri, Failure> {
    target
        .parse()
        .map_err(|error| Failure::new(StatusCode::BAD_REQUEST, format!("{target:?}: {error}")))
}
