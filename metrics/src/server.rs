//! Requests: who asks and whether they may is the apiserver's word; then they are answered.

use crate::api::{self, Asked, GROUP, Metrics, VERSION, Wanted};
use crate::authentication::Authentication;
use crate::table;
use bytes::Bytes;
use hardway_client::delegation::{Attributes, Identity, Reviews};
use hardway_client::health::{self, Checks};
use hardway_client::serving::{self, Peer, caught};
use hardway_proto::Status;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use std::sync::Arc;

/// All that answers need.
pub struct Server {
    /// Who asks.
    pub authentication: Authentication,
    /// What they may do.
    pub reviews: Reviews,
    /// What is told.
    pub metrics: Metrics,
    /// Whether it can be.
    pub checks: Checks,
}

/// The way in.
#[derive(Clone)]
pub struct Service(pub Arc<Server>);

impl serving::Service for Service {
    type Body = Full<Bytes>;

    async fn answer(&self, peer: Peer, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let answered = caught(self.0.answer(&peer, request)).await;
        let outcome = answered.unwrap_or_else(|panic| {
            tracing::error!(panic, "a request panicked");
            Err(Status::panicked())
        });
        outcome.unwrap_or_else(|status| {
            let code = StatusCode::from_u16(status.code);
            let body = serde_json::to_vec(&status).unwrap_or_default();
            json(code.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body)
        })
    }
}

fn json(code: StatusCode, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = code;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

impl Server {
    async fn answer(
        &self,
        peer: &Peer,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Status> {
        let (path, query) = (request.uri().path(), request.uri().query());
        if matches!(path, "/healthz" | "/livez" | "/readyz")
            && let Some(answer) =
                health::respond(&self.checks, request.method(), path, query, false)
        {
            return Ok(answer);
        }
        let identity = self
            .authentication
            .identity(peer.certificate(), request.headers())
            .await?;
        let identity = identity.ok_or_else(Status::unauthorized)?;
        peer.prove(identity.name());
        let asked = api::asked(path);
        self.permit(&identity, request.method(), path, asked.as_ref())
            .await?;
        if let Some(answer) = health::respond(&self.checks, request.method(), path, query, true) {
            return Ok(answer);
        }
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return Err(Status::method_not_allowed());
        }
        let asked = asked.ok_or_else(Status::no_such_resource)?;
        let accept = request.headers().get(header::ACCEPT);
        let accept = accept.and_then(|value| value.to_str().ok());
        let as_table = table::is_wanted(accept.unwrap_or_default());
        let wanted = wanted(query.unwrap_or_default());
        let answer = self.look(&asked, &wanted, as_table)?;
        let body = serde_json::to_vec(&answer).map_err(Status::internal)?;
        Ok(json(StatusCode::OK, body))
    }

    fn look(&self, asked: &Asked, wanted: &Wanted, as_table: bool) -> Result<Value, Status> {
        match asked {
            Asked::Groups => Ok(api::groups()),
            Asked::Group => Ok(api::group()),
            Asked::Resources => Ok(api::resources()),
            Asked::Nodes { name } => self.metrics.nodes(name.as_deref(), wanted, as_table),
            Asked::Pods { namespace, name } => {
                let (namespace, name) = (namespace.as_deref(), name.as_deref());
                self.metrics.pods(namespace, name, wanted, as_table)
            }
        }
    }

    async fn permit(
        &self,
        identity: &Identity,
        method: &Method,
        path: &str,
        asked: Option<&Asked>,
    ) -> Result<(), Status> {
        let attributes = attributes(method, path, asked);
        match self.reviews.allows(identity, &attributes).await? {
            true => Ok(()),
            false => Err(forbidden(identity, &attributes)),
        }
    }
}

/// What a request is, to whom decides.
fn attributes(method: &Method, path: &str, asked: Option<&Asked>) -> Attributes {
    let reads = [Method::GET, Method::HEAD].contains(method);
    let of = |resource: &str, namespace: &str, name: &Option<String>| Attributes::Resource {
        verb: match (reads, name) {
            (true, Some(_)) => "get".into(),
            (true, None) => "list".into(),
            _ => method.as_str().to_ascii_lowercase(),
        },
        group: GROUP.into(),
        version: VERSION.into(),
        resource: resource.into(),
        subresource: String::new(),
        namespace: namespace.into(),
        name: name.clone().unwrap_or_default(),
    };
    match asked {
        Some(Asked::Nodes { name }) => of("nodes", "", name),
        Some(Asked::Pods { namespace, name }) => {
            of("pods", namespace.as_deref().unwrap_or_default(), name)
        }
        _ => Attributes::Path {
            verb: method.as_str().to_ascii_lowercase(),
            path: path.to_owned(),
        },
    }
}

/// 403 in Kubernetes' words.
fn forbidden(identity: &Identity, attributes: &Attributes) -> Status {
    let user = identity.name();
    let message = match attributes {
        Attributes::Path { verb, path } => {
            format!("forbidden: User {user:?} cannot {verb} path {path:?}")
        }
        Attributes::Resource {
            verb,
            resource,
            namespace,
            name,
            ..
        } => {
            let what = match name.as_str() {
                "" => format!("{resource}.{GROUP} is forbidden"),
                name => format!("{resource}.{GROUP} {name:?} is forbidden"),
            };
            let scope = match namespace.as_str() {
                "" => "at the cluster scope".to_owned(),
                namespace => format!("in the namespace {namespace:?}"),
            };
            format!(
                "{what}: User {user:?} cannot {verb} resource {resource:?} in API group {GROUP:?} {scope}"
            )
        }
    };
    Status::failure(403, "Forbidden", message)
}

fn wanted(query: &str) -> Wanted {
    let value = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let value = pairs.find(|(key, _)| *key == name)?.1.replace('+', " ");
        Some(percent_decode_str(&value).decode_utf8_lossy().into_owned())
    };
    Wanted {
        labels: value("labelSelector").unwrap_or_default(),
        fields: value("fieldSelector").unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_what_rbac_knows_them_as() {
        let of = |method: Method, path: &str| attributes(&method, path, api::asked(path).as_ref());
        let root = "/apis/metrics.k8s.io/v1beta1";
        let verb = |attributes: Attributes| match attributes {
            Attributes::Resource {
                verb,
                resource,
                namespace,
                name,
                ..
            } => format!("{verb} {resource} {namespace} {name}"),
            Attributes::Path { verb, path } => format!("{verb} {path}"),
        };
        assert_eq!(
            verb(of(Method::GET, &format!("{root}/nodes"))),
            "list nodes  "
        );
        assert_eq!(
            verb(of(Method::GET, &format!("{root}/namespaces/a/pods/b"))),
            "get pods a b"
        );
        assert_eq!(verb(of(Method::GET, root)), format!("get {root}"));
        assert_eq!(verb(of(Method::DELETE, "/metrics")), "delete /metrics");
        let jane = Identity::named("jane".into(), Vec::new());
        assert_eq!(
            forbidden(&jane, &of(Method::GET, &format!("{root}/nodes"))).message,
            "nodes.metrics.k8s.io is forbidden: User \"jane\" cannot list resource \"nodes\" in API group \"metrics.k8s.io\" at the cluster scope"
        );
    }

    #[test]
    fn selectors_are_decoded() {
        let wanted = wanted("labelSelector=app%20in+%28a%2Cb%29&x=1");
        assert_eq!(wanted.labels, "app in (a,b)");
        assert_eq!(wanted.fields, "");
    }
}
