//! Two connections joined into one.

use crate::connect::{Body, BoxError, Unreachable, Upstream, empty, forwardable};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper_util::rt::TokioIo;
use std::any::Any;
use std::sync::Arc;

/// What is kept as long as a stream lasts.
pub type Held = Arc<dyn Any + Send + Sync>;

/// Passes an upgrade request on as it is. If the upstream switches protocols,
/// so does the client, and bytes are copied both ways; otherwise the
/// upstream's answer is the answer.
pub(crate) async fn raw<B>(
    mut request: Request<B>,
    upstream: &Upstream,
    held: Held,
) -> Result<Response<Body>, Unreachable>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let client = hyper::upgrade::on(&mut request);
    let (parts, body) = request.into_parts();
    let mut onward = Request::new(body);
    *onward.method_mut() = parts.method;
    *onward.headers_mut() = forwardable(&parts.headers);
    let mut response = upstream.send(onward).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(response.map(|b| UnsyncBoxBody::new(b.map_err(Into::into))));
    }
    let server = hyper::upgrade::on(&mut response);
    tokio::spawn(async move {
        let joined = async {
            let (client, server) = tokio::try_join!(client, server)?;
            let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
            tokio::io::copy_bidirectional(&mut client, &mut server).await?;
            Ok::<(), BoxError>(())
        };
        if let Err(error) = joined.await {
            tracing::debug!(%error, "tunnel ended");
        }
        drop(held);
    });
    let (parts, _) = response.into_parts();
    Ok(Response::from_parts(parts, empty()))
}
