//! REST: HTTP as Kubernetes speaks it.

pub mod body;
mod deadline;
mod documents;
pub mod health;
pub mod negotiate;
mod objects;
pub mod path;
mod remote;

pub use documents::{Documents, GIT_VERSION};

use crate::aggregation::remote::Remote;
use crate::fairness::{self, Classified};
use crate::metrics;
use crate::pipeline::{
    Answer, Body as RequestBody, HeldBytes, Options, Origin, PatchKind, Pipeline, Record, Request,
    TIMEOUT, Target, Verb, pairs,
};
use crate::protobuf;
use crate::subresources::{self, Upstreams};
use crate::trace;
use body::Body;
use hardway_access::{Attributes, UNAUTHENTICATED, User, audit, authn};
use hardway_client::serving::{Peer, caught};
use hardway_proto::Status;
use hardway_resources::rows::{Handler, Part};
use hardway_resources::table::Include;
use hardway_streams::messages::{Content, Handshake};
use health::Startup;
use http::{HeaderMap, HeaderValue, Method, Response, header, request::Parts};
use hyper::body::Incoming;
use negotiate::{Form, InProtobuf};
use objects::Representation;
use path::ResourcePath;
use std::sync::Arc;
use std::time::Instant;

/// The REST service.
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

/// Who sends a request, and how the answer goes back.
struct Caller<'a> {
    user: User,
    peer: &'a Peer,
    form: Form,
    gzip: bool,
    record: Record,
    /// When the answer must have begun; none for what may last.
    deadline: Option<Instant>,
}

/// What is asked for, by the method and the path.
struct Asked {
    /// As RBAC names it; the method's name where there is no resource.
    verb: String,
    resource: Option<ResourcePath>,
}

/// Who sends a request; impersonation included.
///
/// `asked` says what is asked for, by nobody yet: the audit log is told of
/// those that are refused here.
pub fn identify(
    pipeline: &Pipeline,
    path: &str,
    headers: &HeaderMap,
    peer: &Peer,
    origin: &mut Origin,
    asked: Attributes<'_>,
) -> Result<User, Status> {
    let certificate = peer.certificate();
    let proven = pipeline
        .authenticator
        .authenticate_path(path, headers, certificate);
    let (user, outcome) = match proven {
        Ok(user) => {
            if !user.is_in(UNAUTHENTICATED) {
                peer.prove(&user.name);
            }
            let outcome = acting(pipeline, &user, headers);
            (user, outcome)
        }
        Err(status) => (User::default(), Err(status)),
    };
    match outcome {
        Ok(None) => Ok(user),
        Ok(Some(acting)) => {
            origin.impersonator = Some(user);
            Ok(acting)
        }
        Err(status) => {
            let tried = audit::attempted(headers, certificate.is_some());
            let asked = Attributes {
                user: &user,
                ..asked
            };
            origin.record_stranger(pipeline.audit.as_ref(), &asked, &tried, &status);
            if status.code == 401 {
                // As Kubernetes does: strangers can't go on asking at no cost.
                peer.leave();
            }
            Err(status)
        }
    }
}

/// Whom a user acts as, if anybody else.
fn acting(pipeline: &Pipeline, user: &User, headers: &HeaderMap) -> Result<Option<User>, Status> {
    let Some(wish) = authn::impersonate(user, headers)? else {
        return Ok(None);
    };
    for attributes in wish.checks(user) {
        pipeline.authorizer.check(&attributes)?;
    }
    Ok(Some(wish.user))
}

/// What a request to a path asks for.
fn asked<'a>(
    user: &'a User,
    verb: &'a str,
    path: &'a str,
    resource: Option<&'a ResourcePath>,
) -> Attributes<'a> {
    match resource {
        None => Attributes::path(user, verb, path),
        Some(of) => Attributes {
            user,
            verb,
            group: &of.group,
            version: &of.version,
            resource: &of.resource,
            subresource: &of.subresource,
            namespace: &of.namespace,
            name: &of.name,
            fields: None,
            path: "",
            is_resource: true,
        },
    }
}

impl Rest {
    /// Answers one request.
    pub async fn handle(&self, request: http::Request<Incoming>, peer: Peer) -> Response<Body> {
        let accept = header_text(request.headers(), header::ACCEPT);
        let mut form = match Form::accepted(accept, InProtobuf::Objects) {
            Ok(form) => form,
            Err(_) if !negotiates(request.uri().path()) => Form::default(),
            Err(_) if self.connects(request.uri().path()) => Form::default(),
            Err(_) if self.remote(request.uri().path()).is_some() => Form::default(),
            Err(_) if documents::wants_protobuf(accept) => Form::default(),
            Err(_) if documents::aggregated(request.uri().path(), accept).is_some() => {
                Form::default()
            }
            Err(status) => return objects::failure(&status, Form::default()),
        };
        form.pretty = pretty(
            request.uri().query().unwrap_or_default(),
            header_text(request.headers(), header::USER_AGENT),
        );
        let gzip = header_text(request.headers(), header::ACCEPT_ENCODING).contains("gzip");
        let record = Record::default();
        let path = request.uri().path();
        let resource = path::parse(path).filter(|_| !path.starts_with("/openapi/"));
        let verb = asked_verb(&request, resource.as_ref());
        let query = request.uri().query().unwrap_or_default();
        let allotted = deadline::allotted(&verb, resource.as_ref(), query);
        let deadline = match &allotted {
            Ok(allotted) => allotted.map(|time| Instant::now() + time),
            Err(_) => Some(Instant::now() + TIMEOUT),
        };
        let caller = Caller {
            user: User::default(),
            peer: &peer,
            form,
            gzip,
            record: record.clone(),
            deadline,
        };
        let asked = Asked { verb, resource };
        let answer = caught(self.answer(request, asked, caller, allotted.err()));
        let answered = match deadline {
            None => answer.await,
            Some(deadline) => tokio::time::timeout_at(deadline.into(), answer)
                .await
                .unwrap_or_else(|_| Ok(Err(Status::out_of_time()))),
        };
        let outcome = answered.unwrap_or_else(|panic| {
            tracing::error!(panic, "a request made the server panic");
            record.panicked(&panic);
            Err(Status::panicked())
        });
        // What the pipeline has not seen ends here.
        match outcome {
            Ok(response) => {
                record.completed(response.status().as_u16());
                response
            }
            Err(status) => {
                record.failed(&status);
                objects::failure(&status, form)
            }
        }
    }

    /// What a path is about, if there is such a resource.
    fn target(&self, path: &ResourcePath) -> Option<Target> {
        let registry = &self.pipeline.registry;
        let resource = registry
            .lookup(&path.group, &path.version, &path.resource)
            .filter(|found| path.namespace.is_empty() || found.namespaced())?;
        Some(Target {
            version: path.version.clone(),
            namespace: path.namespace.clone(),
            name: path.name.clone(),
            subresource: path.subresource.clone(),
            resource,
        })
    }

    /// Another server that serves a path in this one's place.
    fn remote(&self, path: &str) -> Option<Arc<Remote>> {
        self.pipeline.aggregation.serves(path)
    }

    /// Whether it isn't this server that answers.
    fn connects(&self, path: &str) -> bool {
        let target = path::parse(path).and_then(|path| self.target(&path));
        target.is_some_and(|target| target.connects())
    }

    /// `unclear`: what is wrong with the time it asks for.
    async fn answer(
        &self,
        request: http::Request<Incoming>,
        Asked { verb, resource }: Asked,
        mut caller: Caller<'_>,
        unclear: Option<Status>,
    ) -> Result<Response<Body>, Status> {
        let peer = caller.peer;
        let path = request.uri().path().to_owned();
        let mut origin = Origin {
            audit_id: request.extensions().get().cloned().unwrap_or_default(),
            uri: request
                .uri()
                .path_and_query()
                .map_or_else(String::new, ToString::to_string),
            address: peer.address.ip().to_string(),
            agent: header_text(request.headers(), header::USER_AGENT).to_owned(),
            impersonator: None,
            load: peer.load.clone(),
        };
        let nobody = User::default();
        let asked = asked(&nobody, &verb, &path, resource.as_ref());
        caller.user = identify(
            &self.pipeline,
            &path,
            request.headers(),
            peer,
            &mut origin,
            asked,
        )?;
        let user = &caller.user;
        let asked = Attributes { user, ..asked };
        let log = self.pipeline.audit.as_ref();
        caller.record.begin(log, &origin, &asked)?;
        if let Some(unclear) = unclear {
            return Err(unclear);
        }
        if let Some(remote) = self.remote(&path) {
            let resource = resource.as_ref();
            return remote::answer(&self.pipeline, remote, request, &asked, resource, &caller)
                .await;
        }
        if let Some(resource) = resource {
            return self.resource(request, resource, caller).await;
        }
        let (digest, details) = fairness::path_digest(user, &verb, &path);
        let seats = &self.pipeline.seats;
        let (classified, seat) = seats.take_one(user, &digest, details).await;
        let answer = match seat {
            Ok(_seat) => self.page(&request, &asked, &caller).await,
            Err(status) => Err(status),
        };
        let mut response = answer.unwrap_or_else(|status| {
            caller.record.failed(&status);
            objects::failure(&status, caller.form)
        });
        tell(&mut response, classified.as_ref());
        Ok(response)
    }

    /// Answers what is about no resource.
    async fn page(
        &self,
        request: &http::Request<Incoming>,
        asked: &Attributes<'_>,
        caller: &Caller<'_>,
    ) -> Result<Response<Body>, Status> {
        let path = request.uri().path();
        self.pipeline.permit(asked, &caller.record)?;
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return match path.starts_with("/api") {
                true => Err(Status::method_not_allowed()),
                false => Ok(no_such_page()),
            };
        }
        let query = request.uri().query().unwrap_or_default();
        if let Some(response) = health::respond(path, query, &self.pipeline, &self.startup).await {
            return Ok(response);
        }
        if path == "/metrics" {
            for of in self.pipeline.cache.all() {
                let resource = &of.resource;
                let name = hardway_proto::status::qualified(&resource.group, &resource.plural);
                metrics::objects(&name, of.len());
            }
            if let Some(log) = &self.pipeline.audit {
                metrics::audit(log.counts());
            }
            let text = hardway_client::metrics::render();
            let content_type = hardway_client::metrics::CONTENT_TYPE;
            return Ok(body::respond(200, content_type, body::full(text)));
        }
        if let Some(fairness) = self.pipeline.seats.fairness() {
            let detailed =
                pairs(query).any(|(name, v)| name == "includeRequestDetails" && !v.is_empty());
            if let Some(text) = fairness::respond(fairness, path, detailed) {
                return Ok(body::text(200, text));
            }
        }
        let accept = header_text(request.headers(), header::ACCEPT);
        let form = match caller.form.within(accept, documents::in_protobuf(path)) {
            Err(_) if !negotiates(path) => Form::default(),
            form => form?,
        };
        Ok(self
            .documents
            .respond(path, request.headers(), &self.pipeline, form, caller.gzip)
            .unwrap_or_else(no_such_page))
    }

    /// A path to a resource that isn't there. Who may not ask isn't told so.
    fn unknown(
        &self,
        method: &Method,
        query: &str,
        path: &ResourcePath,
        caller: &Caller<'_>,
    ) -> Result<Response<Body>, Status> {
        let verb = verb(method, query, path)?;
        let asked = asked(&caller.user, verb.as_str(), "", Some(path));
        self.pipeline.permit(&asked, &caller.record)?;
        let served = self.pipeline.registry.snapshot();
        match served.of_version(&path.group, &path.version).is_empty() {
            true => Ok(no_such_page()),
            false => Err(Status::no_such_resource()),
        }
    }

    async fn resource(
        &self,
        mut request: http::Request<Incoming>,
        path: ResourcePath,
        caller: Caller<'_>,
    ) -> Result<Response<Body>, Status> {
        let start = Instant::now();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let Some(target) = self.target(&path) else {
            return self.unknown(request.method(), &query, &path, &caller);
        };
        let accept = header_text(request.headers(), header::ACCEPT);
        let mut form = caller.form;
        if target.resource.custom {
            form = form.within(accept, InProtobuf::Metadata)?;
        }
        target.check_names()?;
        if !target.has_table() && !target.connects() {
            form = form.without_table(accept)?;
        }
        let mut asked = Request {
            agent: header_text(request.headers(), header::USER_AGENT).to_owned(),
            load: caller.peer.load.clone(),
            ..Request::new(caller.user, Verb::Get, target)
        };
        if let Some(deadline) = caller.deadline {
            asked.deadline = deadline;
        }
        if self.upstreams.serves(&asked.target) {
            asked.verb = subresources::verb(request.method());
            let admitted = self.pipeline.admit(asked, &caller.record).await;
            let admitted = admitted.map_err(|refused| refused.status)?;
            let client = caller.peer.address.ip();
            return self
                .upstreams
                .forward(&self.pipeline, request, admitted, &path.rest, client)
                .await;
        }
        let include = pairs(&query)
            .find(|(name, _)| name == "includeObject")
            .and_then(|(_, value)| Include::parse(&value))
            .unwrap_or_default();
        asked.verb = verb(request.method(), &query, &path)?;
        asked.target.check_verb(asked.verb)?;
        let mut socket = None;
        if asked.verb == Verb::Watch {
            socket = Handshake::take(&mut request, Content::Lines)?;
        }
        if socket.is_some() {
            // Messages are lines of text.
            let accept = header_text(request.headers(), header::ACCEPT);
            form = form.within(accept, InProtobuf::Nothing)?;
        }
        asked.options = Options::from_query(&query)?;
        let wanted = Representation {
            form,
            include,
            gzip: caller.gzip,
        };
        let respond = move |request, outcome| respond(request, outcome, wanted, start);
        let (parts, incoming) = request.into_parts();
        let admitted = match self.pipeline.admit(asked, &caller.record).await {
            Ok(admitted) => admitted,
            Err(refused) => {
                // Of who may not do this no body is kept in memory.
                body::skip(incoming).await;
                return Ok(respond(refused.request, Err(refused.status)).await);
            }
        };
        let asked = admitted.request();
        let mut held = self.pipeline.bodies.of(&asked.user);
        let brought = match asked.verb.is_read() {
            true => Ok(RequestBody::Empty),
            false => read_body(&parts, incoming, asked, &mut held).await,
        };
        let response = self.pipeline.run(admitted, brought, respond).await;
        Ok(match socket {
            Some(socket) => socket.carry(response),
            None => response,
        })
    }
}

/// The pipeline's outcome as HTTP has it.
async fn respond(
    request: Request,
    outcome: Result<Answer, Status>,
    wanted: Representation,
    start: Instant,
) -> Response<Body> {
    record(&request, &outcome, start);
    let mut response = match outcome {
        Ok(Answer::Object(object)) => objects::object(&request.target, object, wanted).await,
        Ok(Answer::List(listing)) => objects::list(listing, wanted).await,
        Ok(Answer::Watch(watch)) => objects::watch(*watch, wanted),
        Err(status) => objects::failure(&status, wanted.form),
    };
    tell(&mut response, request.classified.get());
    for warning in request.warnings.into_inner() {
        let text = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
    response
}

/// Tells in headers where a request belongs.
fn tell(response: &mut Response<Body>, classified: Option<&Classified>) {
    let Some(Classified { schema, level }) = classified else {
        return;
    };
    for (name, uid) in [
        ("x-kubernetes-pf-flowschema-uid", schema),
        ("x-kubernetes-pf-prioritylevel-uid", level),
    ] {
        if let Ok(value) = HeaderValue::from_str(uid)
            && !uid.is_empty()
        {
            response.headers_mut().insert(name, value);
        }
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
    let took = start.elapsed();
    trace::ended(outcome.as_ref().err(), took);
    let took = (verb != Verb::Watch).then_some(took);
    metrics::request(&labels, code, took);
}

fn header_text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// The verb of a request; its method's name where that means nothing here.
fn asked_verb(request: &http::Request<Incoming>, resource: Option<&ResourcePath>) -> String {
    let (method, query) = (request.method(), request.uri().query().unwrap_or_default());
    match resource.map(|resource| verb(method, query, resource)) {
        Some(Ok(verb)) => verb.as_str().to_owned(),
        _ => method.as_str().to_ascii_lowercase(),
    }
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

/// A failure in the form that everybody reads.
pub fn refusal(status: &Status) -> Response<Body> {
    objects::failure(status, Form::default())
}

/// What is below no API is answered like any web page that isn't there.
fn no_such_page() -> Response<Body> {
    body::text(404, "404 page not found\n")
}

async fn read_body(
    parts: &Parts,
    incoming: Incoming,
    request: &Request,
    held: &mut HeldBytes,
) -> Result<RequestBody, Status> {
    let (verb, target) = (request.verb, &request.target);
    let bytes = body::read(incoming, held).await?;
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
    let deletes = matches!(verb, Verb::Delete | Verb::DeleteCollection);
    // Custom resources have no messages; a Scale and the options of a delete have.
    let scales = target.handler() == Some(Handler::Part(Part::Scale));
    let in_protobuf = !target.resource.custom || scales || deletes;
    match media {
        "" | "application/json" | "*/*" => Ok(RequestBody::Json(bytes)),
        protobuf::MEDIA_TYPE if in_protobuf => {
            Ok(RequestBody::Json(protobuf::to_json(&bytes)?.into()))
        }
        "application/yaml" | "application/x-yaml" | "text/yaml" => Ok(RequestBody::Yaml(bytes)),
        _ => {
            let protobuf = match in_protobuf {
                true => ", application/vnd.kubernetes.protobuf",
                false => "",
            };
            Err(Status::unsupported_media_type(format!(
                "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml{protobuf}"
            )))
        }
    }
}

/// Whether a path's answer is in a form that the client accepts; version, health and
/// metrics have one only.
fn negotiates(path: &str) -> bool {
    path.starts_with("/api") || path.starts_with("/openapi/")
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
