//! REST: HTTP as Kubernetes speaks it.

mod asked;
pub mod body;
mod deadline;
mod documents;
pub mod health;
mod identity;
mod intake;
mod lists;
pub mod negotiate;
mod objects;
mod outcome;
mod partial;
pub mod path;
mod remote;
mod steps;

pub use documents::{Documents, GIT_VERSION};
pub use identity::identify;
pub(crate) use outcome::record;

use crate::aggregation::remote::Remote;
use crate::fairness;
use crate::metrics;
use crate::pipeline::{
    Body as RequestBody, Door, Options, Origin, Pipeline, Record, Request, Story, TIMEOUT, Target,
    Verb, pairs,
};
use crate::subresources::{self, Upstreams};
use asked::{Asked, attributes, verb};
use body::Body;
use hardway_access::{Attributes, User};
use hardway_client::serving::{Peer, caught};
use hardway_proto::Status;
use hardway_resources::table::Include;
use hardway_streams::messages::{Content, Handshake};
use health::Startup;
use http::{HeaderMap, Method, Response, header};
use hyper::body::Incoming;
use negotiate::{Form, InProtobuf};
use objects::Representation;
use outcome::tell;
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
        let asked = Asked::of(&request, resource);
        let query = request.uri().query().unwrap_or_default();
        let allotted = match steps::lasts(path, query) {
            true => Ok(None),
            false => deadline::allotted(&asked.verb, asked.resource.as_ref(), query),
        };
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
            certified: peer.certificate().is_some(),
            impersonator: None,
            load: peer.load.clone(),
        };
        let nobody = User::default();
        let asked = attributes(&nobody, &verb, &path, resource.as_ref());
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
            return self.resource(request, resource, caller, &origin).await;
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
        if path == steps::PATH {
            return steps::answer(&self.pipeline, query, caller);
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
        let asked = attributes(&caller.user, verb.as_str(), "", Some(path));
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
        origin: &Origin,
    ) -> Result<Response<Body>, Status> {
        let start = Instant::now();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let target = match self.target(&path) {
            None if self.pipeline.defines_more().await => self.target(&path),
            found => found,
        };
        let Some(target) = target else {
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
        asked.story = Story::begin(Door::Rest, origin, &asked.user, asked.verb, &asked.target);
        let wanted = Representation {
            form,
            include,
            gzip: caller.gzip,
        };
        let respond = move |request, outcome| outcome::respond(request, outcome, wanted, start);
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
            false => intake::read(&parts, incoming, asked, &mut held).await,
        };
        let response = self.pipeline.run(admitted, brought, respond).await;
        Ok(match socket {
            Some(socket) => socket.carry(response),
            None => response,
        })
    }
}

fn header_text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// A failure in the form that everybody reads.
pub fn refusal(status: &Status) -> Response<Body> {
    objects::failure(status, Form::default())
}

/// What is below no API is answered like any web page that isn't there.
fn no_such_page() -> Response<Body> {
    body::text(404, "404 page not found\n")
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
