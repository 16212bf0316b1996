//! Subresources that are streams from elsewhere: logs, exec, attach,
//! port-forward, and the proxies to nodes, pods and services.

mod kubelet;
mod options;
mod proxies;

pub use proxies::proxyable;

use crate::pipeline::{Admitted, Pipeline, Target, Verb, metadata};
use crate::rest::body::{self, Body};
use crate::{cache::join, metrics};
use hardway_access::audit;
use hardway_proto::Status;
use hardway_resources::rows::{Handler, Stream};
use hardway_streams::Upstream;
use hardway_streams::http_proxy::{self, Exposed};
use hardway_streams::messages::{Content, Handshake};
use hardway_streams::upgrade::{self, Service};
use http::{Method, Request, Response};
use hyper::body::Incoming;
use serde_json::Value;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

/// How kubelets are spoken to.
pub struct Upstreams {
    /// TLS towards kubelets: their CA, and the certificate shown to them.
    pub kubelets: Option<Arc<hardway_client::tls::Client>>,
}

/// A stream under way: it is counted, and the audit log is told of its end,
/// when nobody holds it any more.
struct Connection {
    client: IpAddr,
    _counted: metrics::LongRunning,
    recorded: OnceLock<audit::Running>,
}

impl Connection {
    /// One that begins now.
    fn new(client: IpAddr) -> Arc<Self> {
        Arc::new(Self {
            client,
            _counted: metrics::long_running("CONNECT"),
            recorded: OnceLock::new(),
        })
    }

    /// How an upstream appears to the client, who asks for `rest` of it.
    fn exposed(&self, path: &str, rest: &str) -> Exposed {
        Exposed {
            prefix: path.strip_suffix(rest).unwrap_or(path).to_owned(),
            client: Some(self.client),
        }
    }

    /// Has the audit log told of the end.
    fn record(&self, running: audit::Running) {
        let _ = self.recorded.set(running);
    }
}

/// What permission a method needs here.
pub fn verb(method: &Method) -> Verb {
    match *method {
        Method::POST => Verb::Create,
        Method::PUT => Verb::Update,
        Method::PATCH => Verb::Patch,
        Method::DELETE => Verb::Delete,
        _ => Verb::Get,
    }
}

/// What a target connects to, if it is a stream.
fn stream_of(target: &Target) -> Option<Stream> {
    match target.handler()? {
        Handler::Stream(stream) => Some(stream),
        _ => None,
    }
}

impl Upstreams {
    /// Whether a target is answered from here rather than from the store.
    pub fn serves(&self, target: &Target) -> bool {
        stream_of(target).is_some()
    }

    /// Passes an admitted request on, which comes from a client at this address and asks
    /// for `rest` of what it is connected to. It lasts as long as the connection.
    pub async fn forward(
        &self,
        pipeline: &Pipeline,
        request: Request<Incoming>,
        admitted: Admitted,
        rest: &str,
        client: IpAddr,
    ) -> Result<Response<Body>, Status> {
        let connection = Connection::new(client);
        let answer = self
            .connect(pipeline, request, &admitted, rest, connection.clone())
            .await?;
        if let Some(running) = admitted.record().started(answer.status().as_u16()) {
            connection.record(running);
        }
        Ok(answer.map(|body| body::holding(body, connection)))
    }

    async fn connect(
        &self,
        pipeline: &Pipeline,
        mut request: Request<Incoming>,
        admitted: &Admitted,
        rest: &str,
        connection: Arc<Connection>,
    ) -> Result<Response<Body>, Status> {
        let target = admitted.target();
        let stream = stream_of(target).ok_or_else(Status::no_such_resource)?;
        let mut query = request.uri().query().unwrap_or_default().to_owned();
        let mut rest = rest.to_owned();
        if target.connects() {
            let asked = options::read(target, &rest, &query);
            let mut admitted_as = asked.clone();
            pipeline.admit_connect(admitted, &mut admitted_as).await?;
            if admitted_as != asked {
                (rest, query) = options::write(&admitted_as, &query);
            }
        }
        let rest = rest.as_str();
        pipeline.cache.fresh().await?;
        let object = read(pipeline, target, "", target.plural(), &target.name)?;
        match stream {
            Stream::Log => {
                let socket = Handshake::take(&mut request, Content::Bytes)?;
                let answer = self.log(pipeline, request, target, &object, &query, &connection);
                let answer = answer.await?;
                Ok(match socket {
                    Some(socket) => {
                        socket.carry(answer.map(|body| body::holding(body, connection)))
                    }
                    None => answer,
                })
            }
            Stream::Exec | Stream::Attach => {
                let command = match stream {
                    Stream::Exec => "exec",
                    _ => "attach",
                };
                let path = kubelet::command_path(command, target, &object, &query)?;
                let upstream = self.kubelet_of(pipeline, target, &object, path)?;
                upgrade::proxy(request, &upstream, Service::Command, connection).await
            }
            Stream::PortForward => {
                let path = format!("/portForward/{}/{}", target.namespace, target.name);
                let upstream = self.kubelet_of(pipeline, target, &object, path)?;
                upgrade::proxy(request, &upstream, Service::PortForward, connection).await
            }
            Stream::Proxy if target.plural() == "nodes" => {
                let path = proxies::path(rest, &query);
                let upstream = self.kubelet(&target.name, &object, path)?;
                let exposed = connection.exposed(request.uri().path(), rest);
                Ok(http_proxy::expose(request, &upstream, &exposed, connection).await?)
            }
            Stream::Proxy => {
                let upstream = proxies::upstream(pipeline, target, &object, rest, &query)?;
                let exposed = connection.exposed(request.uri().path(), rest);
                Ok(http_proxy::expose(request, &upstream, &exposed, connection).await?)
            }
        }
    }

    /// What a container has said.
    async fn log(
        &self,
        pipeline: &Pipeline,
        request: Request<Incoming>,
        target: &Target,
        pod: &Value,
        query: &str,
        connection: &Arc<Connection>,
    ) -> Result<Response<Body>, Status> {
        // A pod that runs nowhere yet has said nothing.
        if pod["spec"]["nodeName"].as_str().is_none_or(str::is_empty) {
            return Ok(body::text(200, ""));
        }
        let path = kubelet::log_path(target, pod, query)?;
        let upstream = self.kubelet_of(pipeline, target, pod, path)?;
        let answer = http_proxy::forward(request, &upstream, connection.clone()).await;
        let answer = answer.map_err(|error| {
            let url = format!("https://{}{}", upstream.address, upstream.path_and_query);
            Status::failure(500, "", format!("Get {url:?}: {error}"))
        })?;
        kubelet::refused(answer).await
    }

    /// The kubelet of a pod's node.
    fn kubelet_of(
        &self,
        pipeline: &Pipeline,
        target: &Target,
        pod: &Value,
        path: String,
    ) -> Result<Upstream, Status> {
        let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
        if node.is_empty() {
            return Err(Status::bad_request(format!(
                "pod {} does not have a host assigned",
                target.name
            )));
        }
        let object = pipeline
            .cache
            .of("", "nodes")
            .and_then(|of| of.get(node))
            .ok_or_else(|| Status::not_found("", "nodes", node))?
            .value();
        self.kubelet(node, &object, path)
    }

    fn kubelet(
        &self,
        name: &str,
        node: &Value,
        path_and_query: String,
    ) -> Result<Upstream, Status> {
        let tls = self.kubelets.as_ref().ok_or_else(|| {
            Status::unavailable(
                "this server has no certificate for kubelets; start it with --kubelet-client-certificate, --kubelet-client-key and --kubelet-certificate-authority",
            )
        })?;
        let (host, port) = kubelet::address(node).ok_or_else(|| {
            Status::internal(format!(
                "no preferred addresses found for node {name:?}; known addresses: []"
            ))
        })?;
        proxies::proxyable(&host)?;
        Ok(Upstream {
            address: join_port(&host, port),
            server_name: host,
            common_name: Some(format!("system:node:{}", metadata::text(node, "name"))),
            tls: Some(tls.current()),
            path_and_query,
        })
    }
}

/// `HOST:PORT`, with brackets where they are needed.
fn join_port(host: &str, port: u64) -> String {
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

/// An object of the core group, from the cache. A name may carry a scheme and
/// a port, which don't count.
fn read(
    pipeline: &Pipeline,
    target: &Target,
    group: &str,
    plural: &str,
    name: &str,
) -> Result<Value, Status> {
    let name = match plural {
        "nodes" => name.split(':').next().unwrap_or_default(),
        _ if stream_of(target) == Some(Stream::Proxy) => proxies::split_name(name).1,
        _ => name,
    };
    let entry = pipeline
        .cache
        .of(group, plural)
        .and_then(|of| of.get(&join(&target.namespace, name)))
        .ok_or_else(|| Status::not_found(group, plural, name))?;
    let value = entry.value();
    debug_assert_eq!(metadata::text(&value, "name"), name);
    Ok(value)
}
