//! Answers balancers outside, which ask a node whether it has endpoints of a Service whose
//! traffic stays on the node (`healthCheckNodePort`), as `pkg/proxy/healthcheck` of Kubernetes
//! does: 200 if it has, 503 if not, over HTTP and to anybody.

use crate::service::HealthCheck;
use crate::syncer::Health;
use bytes::Bytes;
use hardway_client::events::{EventType, Recorder};
use hardway_client::serving::{Bounds, Peer, Server, Service};
use hardway_client::task::Group;
use hardway_proto::meta::ObjectKey;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use k8s_openapi::api::core::v1::ObjectReference;
use serde_json::json;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How much of the traffic the node should get, by the number of its endpoints.
const WEIGHT: HeaderName = HeaderName::from_static("x-load-balancing-endpoint-weight");

/// The ports at which balancers ask.
pub struct HealthChecks {
    recorder: Recorder,
    health: Health,
    open: BTreeMap<ObjectKey, Open>,
    /// Those whose port could not be had.
    refused: BTreeMap<ObjectKey, HealthCheck>,
}

/// A port at which is listened, until this is dropped.
struct Open {
    port: u16,
    endpoints: Arc<AtomicUsize>,
    _tasks: Group,
}

impl HealthChecks {
    /// None yet. What can't be listened for is told by `recorder`.
    pub fn new(recorder: Recorder, health: Health) -> Self {
        Self {
            recorder,
            health,
            open: BTreeMap::new(),
            refused: BTreeMap::new(),
        }
    }

    /// Answers about these Services from now on, or no longer.
    pub fn set(&mut self, asked: BTreeMap<ObjectKey, Option<HealthCheck>>) {
        // First what is closed: its port may be another's now.
        for (service, check) in &asked {
            self.refused.remove(service);
            let port = check.map(|check| check.port);
            if self
                .open
                .get(service)
                .is_some_and(|open| Some(open.port) != port)
            {
                self.open.remove(service);
            }
        }
        for (service, check) in asked {
            let Some(check) = check else { continue };
            if let Some(open) = self.open.get(&service) {
                open.endpoints.store(check.endpoints, Ordering::Relaxed);
                continue;
            }
            if let Err(error) = self.listen(&service, check) {
                let port = check.port;
                tracing::error!(%service, port, %error, "cannot listen for health checks");
                let about = ObjectReference {
                    kind: Some("Service".into()),
                    namespace: Some(service.namespace.clone()),
                    name: Some(service.name.clone()),
                    // As by kube-proxy, which has no other here.
                    uid: Some(service.to_string()),
                    ..ObjectReference::default()
                };
                let message = format!(
                    "failed to start healthcheck {service:?} on port {port}: {error}",
                    service = service.to_string()
                );
                let reason = "FailedToStartServiceHealthcheck";
                self.recorder
                    .event(about, EventType::Warning, reason, message);
                self.refused.insert(service, check);
            }
        }
    }

    /// Tries the ports again that could not be had.
    pub fn try_again(&mut self) {
        let refused = std::mem::take(&mut self.refused);
        for (service, check) in refused {
            if self.listen(&service, check).is_err() {
                self.refused.insert(service, check);
            }
        }
    }

    fn listen(&mut self, service: &ObjectKey, check: HealthCheck) -> std::io::Result<()> {
        let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, check.port));
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let endpoints = Arc::new(AtomicUsize::new(check.endpoints));
        let answers = Answers {
            service: Arc::new(service.clone()),
            endpoints: endpoints.clone(),
            health: self.health.clone(),
        };
        let server = Server::in_the_clear(listener, Bounds::HEALTH);
        let mut tasks = Group::default();
        tasks.add(tokio::spawn(async move {
            server.run(answers, std::future::pending()).await;
        }));
        let open = Open {
            port: check.port,
            endpoints,
            _tasks: tasks,
        };
        self.open.insert(service.clone(), open);
        Ok(())
    }
}

/// What is answered about one Service.
#[derive(Clone)]
struct Answers {
    service: Arc<ObjectKey>,
    endpoints: Arc<AtomicUsize>,
    health: Health,
}

impl Service for Answers {
    type Body = Full<Bytes>;

    async fn answer(&self, _: Peer, _: Request<Incoming>) -> Response<Full<Bytes>> {
        let endpoints = self.endpoints.load(Ordering::Relaxed);
        answer(&self.service, endpoints, self.health.check().is_ok())
    }
}

fn answer(service: &ObjectKey, endpoints: usize, healthy: bool) -> Response<Full<Bytes>> {
    let ObjectKey { namespace, name } = service;
    let said = json!({"service": {"namespace": namespace, "name": name},
        "localEndpoints": endpoints, "serviceProxyHealthy": healthy});
    let mut response = Response::new(Full::from(said.to_string()));
    if endpoints == 0 || !healthy {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(WEIGHT, HeaderValue::from(endpoints));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_without_endpoints_wants_no_traffic() {
        let service = ObjectKey::new("d", "web");
        for (endpoints, healthy, expected) in [(2, true, 200), (0, true, 503), (2, false, 503)] {
            let response = answer(&service, endpoints, healthy);
            assert_eq!(response.status(), expected);
            assert_eq!(response.headers()[&WEIGHT], endpoints.to_string().as_str());
        }
    }
}
