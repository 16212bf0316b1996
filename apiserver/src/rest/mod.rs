//! The REST door: HTTP as Kubernetes speaks it.

pub mod body;
mod documents;
pub mod health;
pub mod negotiate;
mod objects;
pub mod path;
mod protobuf;

pub use documents::{Documents, GIT_VERSION};

use crate::metrics;
use crate::pipeline::{
    Answer, Body as RequestBody, Options, Origin, PatchKind, Pipeline, Request, Target, Verb,
    pairs, yaml,
};
use crate::subresources::{self, Upstreams};
use body::Body;
use hardway_access::{Attributes, User, authn};
use hardway_proto::Status;
use hardway_resources::table::Include;
use health::Startup;
use http::{HeaderMap, HeaderValue, Method, Response, header, request::Parts};
use hyper::body::Incoming;
use negotiate::Form;
use objects::Wanted;
use path::ResourcePath;
use rustls_pki_types::CertificateDer;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// The REST door.
pub struct Rest {
    /// Where requests go.
    pub pipeline: Arc<Pipeline>,
    /// Discovery and its like.
    pub documents: Documents,
    /// What health looks at.
    pub startup: Arc<Startup>,
    /// Kubelets, pods and services, for streams and proxies.
    pub upstreams: Upstreams,
}

/// Who is at the other end of a connection.
#[derive(Clone)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Its certificate, verified.
    pub certificate: Option<Arc<CertificateDer<'static>>>,
}

/// A user, and who acts as that user.
pub struct Identity {
    /// On whose behalf.
    pub user: User,
    /// Who it really is.
    pub impersonator: Option<User>,
}

/// Who sends a request; impersonation included.
pub fn identify(
    pipeline: &Pipeline,
    path: &str,
    headers: &HeaderMap,
    peer: &Peer,
) -> Result<Identity, Status> {
    let certificate = peer.certificate.as_deref();
    let user = pipeline
        .authenticator
        .authenticate_path(path, headers, certificate)?;
    match authn::impersonate(&user, headers)? {
        None => Ok(Identity {
            user,
            impersonator: None,
        }),
        Some(wish) => {
            for attributes in wish.checks(&user) {
                pipeline.authorizer.check(&attributes)?;
            }
            let acting = wish.user.clone();
            Ok(Identity {
                user: acting,
                impersonator: Some(user),
            })
        }
    }
}

impl Rest {
    /// Answers one request.
    pub async fn handle(&self, request: http::Request<Incoming>, peer: Peer) -> Response<Body> {
        let headers = request.headers();
        let text = |name: header::HeaderName| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let accept = text(header::ACCEPT);
        let mut form = match Form::accepted(accept) {
            Ok(form) => form,
            Err(_) if documents::wants_protobuf(accept) => Form::default(),
            Err(status) => return objects::failure(&status, Form::default()),
        };
        form.pretty = pretty(
            request.uri().query().unwrap_or_default(),
            text(header::USER_AGENT),
        );
        let gzip = text(header::ACCEPT_ENCODING).contains("gzip");
        match self.answer(request, &peer, form, gzip).await {
            Ok(response) => response,
            Err(status) => objects::failure(&status, form),
        }
    }

    async fn answer(
        &self,
        request: http::Request<Incoming>,
        peer: &Peer,
        form: Form,
        gzip: bool,
    ) -> Result<Response<Body>, Status> {
        let path = request.uri().path().to_owned();
        let who = identify(&self.pipeline, &path, request.headers(), peer)?;
        if let Some(resource) = path::parse(&path)
            && !path.starts_with("/openapi/")
        {
            return self
                .resource(request, peer, who, resource, form, gzip)
                .await;
        }
        let verb = request.method().as_str().to_ascii_lowercase();
        self.pipeline
            .authorizer
            .check(&Attributes::path(&who.user, &verb, &path))?;
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return match path.starts_with("/api") {
                true => Err(Status::method_not_allowed()),
                false => Ok(no_such_page()),
            };
        }
        let query = request.uri().query().unwrap_or_default();
        if let Some(response) = health::respond(&path, query, &self.pipeline, &self.startup).await {
            return Ok(response);
        }
        if path == "/metrics" {
            for of in self.pipeline.cache.all() {
                let resource = &of.resource;
                let name = hardway_proto::status::qualified(&resource.group, &resource.plural);
                metrics::objects(&name, of.len());
            }
            let text = hardway_client::metrics::render();
            let content_type = hardway_client::metrics::CONTENT_TYPE;
            return Ok(body::respond(200, content_type, body::full(text)));
        }
        Ok(self
            .documents
            .respond(&path, request.headers(), &self.pipeline, form, gzip)
            .unwrap_or_else(no_such_page))
    }

    /// A path to a resource that isn't there. Who may not ask isn't told so.
    fn unknown(
        &self,
        method: &Method,
        query: &str,
        path: &ResourcePath,
        user: &User,
    ) -> Result<Response<Body>, Status> {
        self.pipeline.authorizer.check(&Attributes {
            user,
            verb: verb(method, query, path)?.as_str(),
            group: &path.group,
            version: &path.version,
            resource: &path.resource,
            subresource: &path.subresource,
            namespace: &path.namespace,
            name: &path.name,
            path: "",
            is_resource: true,
        })?;
        let served = self.pipeline.registry.snapshot();
        match served.of_version(&path.group, &path.version).is_empty() {
            true => Ok(no_such_page()),
            false => Err(Status::no_such_resource()),
        }
    }

    async fn resource(
        &self,
        request: http::Request<Incoming>,
        peer: &Peer,
        who: Identity,
        path: ResourcePath,
        form: Form,
        gzip: bool,
    ) -> Result<Response<Body>, Status> {
        let start = Instant::now();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let registry = &self.pipeline.registry;
        let found = registry
            .lookup(&path.group, &path.version, &path.resource)
            .filter(|found| path.namespace.is_empty() || found.namespaced());
        let Some(resource) = found else {
            return self.unknown(request.method(), &query, &path, &who.user);
        };
        path::check_name(&path.name)?;
        let target = Target {
            version: path.version.clone(),
            namespace: path.namespace.clone(),
            name: path.name.clone(),
            subresource: path.subresource.clone(),
            resource,
        };
        let origin = Origin {
            uri: request
                .uri()
                .path_and_query()
                .map_or_else(String::new, ToString::to_string),
            address: peer.address.ip().to_string(),
            agent: header_text(request.headers(), header::USER_AGENT).to_owned(),
            impersonator: who.impersonator,
        };
        if self.upstreams.serves(&target) {
            let verb = subresources::verb(request.method());
            let entry = self.pipeline.begin_audit(&origin, &who.user, verb, &target);
            let outcome = self
                .upstreams
                .forward(&self.pipeline, request, &who.user, target, &path.rest)
                .await;
            if let Some(mut entry) = entry {
                match &outcome {
                    Ok(answer) => {
                        let code = answer.status().as_u16();
                        entry.response_started(code);
                        entry.complete(code, "", "");
                    }
                    Err(status) => entry.complete(status.code, &status.reason, &status.message),
                }
            }
            return outcome;
        }
        let include = pairs(&query)
            .find(|(name, _)| name == "includeObject")
            .and_then(|(_, value)| Include::parse(&value))
            .unwrap_or_default();
        let wanted = Wanted {
            form,
            include,
            gzip,
        };
        let (parts, incoming) = request.into_parts();
        let verb = verb(&parts.method, &query, &path)?;
        let mut options = Options::from_query(&query)?;
        // Of who has to wait, or may not do this, no body is kept in memory.
        let turn = self.pipeline.turn(&who.user, verb).and_then(|turn| {
            if !verb.is_read() {
                let verb = verb.as_str();
                self.pipeline.authorise(&who.user, &target, verb)?;
            }
            Ok(turn)
        });
        let body = match &turn {
            _ if verb.is_read() => RequestBody::Empty,
            Ok(_) => read_body(&parts, incoming, verb, &mut options).await?,
            Err(_) => {
                body::skip(incoming).await;
                RequestBody::Empty
            }
        };
        if resource_needs_namespace(&target, verb) {
            return Err(Status::bad_request(
                "an empty namespace may not be set during creation",
            ));
        }
        let request = Request {
            user: who.user,
            verb,
            options,
            body,
            agent: origin.agent.clone(),
            warnings: Default::default(),
            target,
        };
        let outcome = self.pipeline.run_in(turn, &origin, &request).await;
        record(&request, &outcome, start);
        let mut response = match outcome {
            Ok(Answer::Object(object)) => objects::object(&request.target, &object, wanted),
            Ok(Answer::List(listing)) => objects::list(listing, wanted),
            Ok(Answer::Watch(watch)) => objects::watch(*watch, wanted),
            Err(status) => objects::failure(&status, form),
        };
        for warning in request.warnings.into_inner() {
            let text = warning.replace('\\', "\\\\").replace('"', "\\\"");
            if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
                response.headers_mut().append(header::WARNING, value);
            }
        }
        Ok(response)
    }
}

pub(crate) fn record(request: &Request, outcome: &Result<Answer, Status>, start: Instant) {
    let target = &request.target;
    let (code, verb) = match outcome {
        Ok(Answer::Object(object)) if object.created => (201, request.verb),
        Ok(_) => (200, request.verb),
        Err(status) => (status.code, request.verb),
    };
    let labels = metrics::Labels {
        verb: &verb.as_str().to_ascii_uppercase(),
        group: target.group(),
        version: &target.version,
        resource: target.plural(),
        subresource: &target.subresource,
        scope: match (target.name.is_empty(), target.namespace.is_empty()) {
            (false, _) => "resource",
            (true, false) => "namespace",
            (true, true) => "cluster",
        },
    };
    let took = (verb != Verb::Watch).then(|| start.elapsed());
    metrics::request(&labels, code, took);
}

fn header_text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

fn resource_needs_namespace(target: &Target, verb: Verb) -> bool {
    let reviews = target.resource.verbs == ["create"] && target.plural() != "bindings";
    verb == Verb::Create && target.resource.namespaced() && target.namespace.is_empty() && !reviews
}

/// What a method means here.
fn verb(method: &Method, query: &str, path: &ResourcePath) -> Result<Verb, Status> {
    let watching = path.watch
        || pairs(query).any(|(name, value)| {
            name == "watch" && !matches!(value.as_str(), "false" | "0" | "False")
        });
    Ok(match (method, path.name.is_empty()) {
        (&Method::GET | &Method::HEAD, _) if watching && path.subresource.is_empty() => Verb::Watch,
        (&Method::GET | &Method::HEAD, true) => Verb::List,
        (&Method::GET | &Method::HEAD, false) => Verb::Get,
        (&Method::POST, true) => Verb::Create,
        (&Method::POST, false) if !path.subresource.is_empty() => Verb::Create,
        (&Method::PUT, false) => Verb::Update,
        (&Method::PATCH, false) => Verb::Patch,
        (&Method::DELETE, false) => Verb::Delete,
        (&Method::DELETE, true) => Verb::DeleteCollection,
        _ => return Err(Status::method_not_allowed()),
    })
}

/// What is below no API is answered like any web page that isn't there.
fn no_such_page() -> Response<Body> {
    body::text(404, "404 page not found\n")
}

async fn read_body(
    parts: &Parts,
    incoming: Incoming,
    verb: Verb,
    options: &mut Options,
) -> Result<RequestBody, Status> {
    let bytes = body::read(incoming).await?;
    let content_type = header_text(&parts.headers, header::CONTENT_TYPE);
    let media = content_type.split(';').next().unwrap_or_default().trim();
    if verb == Verb::Patch {
        let kind = match media {
            "application/json-patch+json" => PatchKind::Json,
            "application/merge-patch+json" => PatchKind::Merge,
            "application/strategic-merge-patch+json" => PatchKind::Strategic,
            "application/apply-patch+yaml" => PatchKind::Apply,
            _ => {
                return Err(Status::unsupported_media_type(
                    "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml",
                ));
            }
        };
        return Ok(RequestBody::Patch(kind, bytes));
    }
    if bytes.is_empty() {
        return Ok(RequestBody::Empty);
    }
    let body = match media {
        "" | "application/json" | "*/*" => RequestBody::Json(bytes),
        protobuf::MEDIA_TYPE => RequestBody::Json(protobuf::to_json(&bytes)?.into()),
        "application/yaml" | "application/x-yaml" | "text/yaml" => RequestBody::Yaml(bytes),
        _ => {
            return Err(Status::unsupported_media_type(
                "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf",
            ));
        }
    };
    if matches!(verb, Verb::Delete | Verb::DeleteCollection) {
        let json: Value = match &body {
            RequestBody::Yaml(bytes) => yaml::read(bytes),
            RequestBody::Json(bytes) => serde_json::from_slice(bytes).map_err(|e| e.to_string()),
            _ => Ok(Value::Null),
        }
        .map_err(|error| Status::bad_request(format!("the body is no DeleteOptions: {error}")))?;
        options.apply_delete_body(&json)?;
        return Ok(RequestBody::Empty);
    }
    Ok(body)
}

/// Indented answers for people: asked for, or by the looks of the client.
fn pretty(query: &str, agent: &str) -> bool {
    match pairs(query).find(|(name, _)| name == "pretty") {
        Some((_, value)) => !matches!(value.as_str(), "false" | "0"),
        None => ["curl", "Wget", "Mozilla/5.0"]
            .iter()
            .any(|start| agent.starts_with(start)),
    }
}
