//! The kubelet's API on port 10250: HTTPS with client certificates, for the
//! apiserver, or bearer tokens: logs, streams, pods, figures, health.

mod access;
mod cadvisor;
mod logs;
mod metrics;
mod node_logs;
mod query;
mod stats;
mod streams;

use crate::context::Context;
use crate::manager::Pods;
use crate::node::machine::Machine;
use crate::usage::Meter;
use access::Access;
use bytes::Bytes;
use hardway_client::api::Client;
use hardway_client::delegation::{Identity, Tokens};
use hardway_client::health::{self, Checks};
use hardway_client::serving::{self, Bounds, Peer, caught, descriptors};
use hardway_client::tls;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use k8s_openapi::api::core::v1::Pod;
use query::Query;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// An answer that isn't what was asked for: status and text.
#[derive(Debug)]
struct Refusal(StatusCode, String);

impl Refusal {
    fn not_found(text: impl Into<String>) -> Self {
        Self(StatusCode::NOT_FOUND, text.into())
    }

    fn bad_request(text: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, text.into())
    }

    fn internal(error: impl ToString) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

/// The server's state.
pub struct Server {
    context: Arc<Context>,
    pods: Pods,
    access: Access,
    tokens: Tokens,
    checks: Arc<Checks>,
    meter: Meter,
    machine: Machine,
}

impl Server {
    /// A server that lets those in whom the apiserver allows.
    pub fn new(
        context: Arc<Context>,
        pods: Pods,
        client: Client,
        node: String,
        checks: Arc<Checks>,
    ) -> Arc<Self> {
        Arc::new(Self {
            meter: Meter::new(&context.cgroups),
            machine: Machine::look(),
            context,
            pods,
            access: Access::new(client.clone(), node),
            tokens: Tokens::new(client),
            checks,
        })
    }

    /// Serves until the future is dropped.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, tls: Arc<tls::Server>) {
        let server = serving::Server::new(listener, tls, Bounds::of_descriptors(descriptors()));
        server.run(KubeletApi(self), std::future::pending()).await;
    }

    async fn route(
        &self,
        request: Request<Incoming>,
        peer: Peer,
    ) -> Result<Response<Body>, Refusal> {
        let uri = request.uri().clone();
        let path = uri.path();
        let parts: Vec<String> = path
            .trim_matches('/')
            .split('/')
            .map(query::decode)
            .collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let allowed = match path {
            "/healthz" | "/livez" | "/readyz" => true,
            _ => {
                let identity = match peer.certificate().and_then(Identity::of) {
                    Some(identity) => Some(identity),
                    None => {
                        let named = self.tokens.identity(request.headers()).await;
                        named.map_err(|status| {
                            let code = StatusCode::from_u16(status.code);
                            Refusal(code.unwrap_or(StatusCode::UNAUTHORIZED), status.message)
                        })?
                    }
                };
                let identity = identity
                    .ok_or_else(|| Refusal(StatusCode::UNAUTHORIZED, "Unauthorized".into()))?;
                peer.prove(identity.name());
                let method = request.method();
                self.access.check(&identity, method, &parts).await?;
                true
            }
        };
        let health = health::respond(&self.checks, request.method(), path, uri.query(), allowed);
        if let Some(response) = health {
            return Ok(response.map(|body| body.map_err(|never| match never {}).boxed_unsync()));
        }
        let query = Query::parse(uri.query().unwrap_or_default());
        allow_method(request.method(), parts.first().copied().unwrap_or_default())?;
        let get = request.method() == Method::GET;
        match parts.as_slice() {
            ["pods"] if get => self.list_pods(false).await,
            ["runningpods"] if get => self.list_pods(true).await,
            ["stats", "summary"] if get => {
                stats::summary(&self.context, &self.pods, &self.meter).await
            }
            ["metrics", "resource"] if get => metrics::resource(&self.context, &self.meter).await,
            ["metrics", "cadvisor"] if get => {
                cadvisor::cadvisor(&self.context, &self.pods, &self.meter, &self.machine).await
            }
            ["metrics", "probes"] if get => {
                let told = self.context.probes.metrics().render();
                Ok(metrics::answer(told.map_err(Refusal::internal)?))
            }
            ["logs", names @ ..] if get => {
                let directory = Path::new(node_logs::DIRECTORY);
                node_logs::answer(directory, path, names, &query).await
            }
            ["containerLogs", namespace, name, container] if get => {
                let pod = self.pod(namespace, name, None)?;
                logs::answer(self.context.clone(), &pod, container, &query).await
            }
            [
                what @ ("exec" | "attach" | "run"),
                namespace,
                name,
                rest @ ..,
            ] => {
                let (uid, container) = match rest {
                    [container] => (None, *container),
                    [uid, container] => (Some(*uid), *container),
                    _ => return Err(Refusal::not_found("404 page not found")),
                };
                let pod = self.pod(namespace, name, uid)?;
                match *what {
                    "run" => streams::run(&self.context, &pod, container, &query).await,
                    "exec" => streams::exec(&self.context, &pod, container, &query, request).await,
                    _ => streams::attach(&self.context, &pod, container, &query, request).await,
                }
            }
            ["portForward", namespace, name, rest @ ..] => {
                let pod = self.pod(namespace, name, rest.first().copied())?;
                streams::port_forward(&self.context, &pod, &query, request).await
            }
            _ => Err(Refusal::not_found("404 page not found")),
        }
    }

    fn pod(&self, namespace: &str, name: &str, uid: Option<&str>) -> Result<Arc<Pod>, Refusal> {
        self.pods
            .find(namespace, name, uid)
            .ok_or_else(|| Refusal::not_found(format!("pod {name:?} not found")))
    }

    async fn list_pods(&self, running: bool) -> Result<Response<Body>, Refusal> {
        let mut items = self.pods.list(&self.context);
        if running {
            items.retain(|pod| crate::pod::phase(pod) == "Running");
        }
        let list = k8s_openapi::List::<Pod> {
            items,
            ..Default::default()
        };
        json(&list)
    }
}

/// Commands are run by POST alone; streams may begin with a GET, which is how
/// WebSocket begins.
fn allow_method(method: &Method, what: &str) -> Result<(), Refusal> {
    let allowed = match what {
        "run" => method == Method::POST,
        "exec" | "attach" | "portForward" => [Method::POST, Method::GET].contains(method),
        _ => true,
    };
    if allowed {
        return Ok(());
    }
    let text = "405: Method Not Allowed".into();
    Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, text))
}

/// The way in.
#[derive(Clone)]
struct KubeletApi(Arc<Server>);

impl serving::Service for KubeletApi {
    type Body = Body;

    async fn answer(&self, peer: Peer, request: Request<Incoming>) -> Response<Body> {
        let outcome = caught(self.0.route(request, peer))
            .await
            .unwrap_or_else(|panic| {
                tracing::error!(panic, "a request panicked");
                Err(Refusal::internal("the kubelet panicked at this request"))
            });
        outcome.unwrap_or_else(|Refusal(status, message)| {
            text(status, "text/plain; charset=utf-8", message + "\n")
        })
    }
}

fn json(value: &impl serde::Serialize) -> Result<Response<Body>, Refusal> {
    let body = serde_json::to_vec(value).map_err(Refusal::internal)?;
    Ok(text(StatusCode::OK, "application/json", body))
}

fn text(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(body.into()).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_not_run_by_following_a_link() {
        let allowed = |method: &Method, what| allow_method(method, what).is_ok();
        assert!(allowed(&Method::POST, "run"));
        assert!(!allowed(&Method::GET, "run"));
        assert!(allowed(&Method::GET, "exec") && allowed(&Method::POST, "exec"));
        assert!(!allowed(&Method::PUT, "attach"));
        let refused = allow_method(&Method::HEAD, "portForward").unwrap_err();
        assert_eq!(refused.0, StatusCode::METHOD_NOT_ALLOWED);
    }
}
