//! What is behind the port: REST and gRPC.

use crate::rest::Rest;
use crate::rest::body::Body;
use crate::trace::AuditId;
use crate::{background, grpc, rest};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hardway_access::authn;
use hardway_client::serving::{ConnectionLoad, Peer, Service, caught};
use hardway_proto::Status;
use http::{HeaderMap, Request, Response, header};
use hyper::body::Incoming;
use std::sync::Arc;
use tracing::Instrument;

/// Both protocols, on one port.
#[derive(Clone)]
pub struct Protocols {
    /// HTTP as Kubernetes speaks it.
    pub rest: Arc<Rest>,
    /// `hardway.v1.Api`.
    pub grpc: grpc::GrpcService,
}

impl Service for Protocols {
    type Body = Body;

    fn answer(
        &self,
        peer: Peer,
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> + Send {
        let protocols = self.clone();
        async move {
            let id = AuditId::of(request.headers());
            request.extensions_mut().insert(id.clone());
            let is_grpc = is_grpc(request.headers());
            let startup = protocols.rest.startup.clone();
            let answer = async move {
                if !authn::is_public(request.uri().path())
                    && let Err(status) = startup.knowing().await
                {
                    return refusal(is_grpc, status);
                }
                match is_grpc {
                    true => call(protocols.grpc, request, peer).await,
                    false => ask(protocols.rest, request, peer).await,
                }
            };
            let answer = caught(answer).instrument(id.span()).await;
            let mut answer = answer.unwrap_or_else(|panic| {
                tracing::error!(panic, "a request made the server panic");
                refusal(is_grpc, Status::panicked())
            });
            id.tell(&mut answer);
            answer
        }
    }

    fn serve(
        &self,
        connection: BoxFuture<'static, ()>,
        load: Arc<ConnectionLoad>,
    ) -> impl Future<Output = ()> + Send {
        background::serve(connection, load)
    }
}

/// The answer to a request that neither protocol takes.
fn refusal(is_grpc: bool, status: Status) -> Response<Body> {
    match is_grpc {
        true => grpc::refusal(status),
        false => rest::refusal(&status),
    }
}

fn call(
    grpc: grpc::GrpcService,
    request: Request<Incoming>,
    peer: Peer,
) -> BoxFuture<'static, Response<Body>> {
    async move { grpc.handle(request, peer).await }.boxed()
}

fn ask(
    rest: Arc<Rest>,
    request: Request<Incoming>,
    peer: Peer,
) -> BoxFuture<'static, Response<Body>> {
    async move { rest.handle(request, peer).await }.boxed()
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}
