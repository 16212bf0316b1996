//! The pipeline: what happens to every request, whichever door it came
//! through. Audit, share fairly, authorise, decode, default, admit, validate,
//! admit, store, answer.

mod bodies;
pub mod continuation;
mod create;
mod decode;
mod delete;
mod eviction;
mod heavy;
mod limits;
pub mod metadata;
mod modify;
mod options;
pub mod present;
mod read;
mod request;
mod seats;
mod selection;
mod services;
mod subresource;
mod update;
mod watch;
mod write;
pub mod yaml;

pub use bodies::{Bodies, HeldBytes};
pub use options::{
    DeleteOptions, FieldValidation, Options, Propagation, decode as url_decode, pairs,
};
pub use read::Listing;
pub use request::{Answer, Body, Object, PatchKind, Request, Target, Verb};
pub use seats::{Held, Seat, Seats};
pub use selection::Selection;
pub use services::{Network, Services};
pub use watch::{Watch, WatchItem, bookmark};

use crate::background::OTHERS;
use crate::cache::Cache;
use crate::metrics;
use crate::store::Store;
use crate::trace::{self, AuditId};
use hardway_access::{
    Admission, Attributes, Authenticator, Authorizer, Operation, Reviews, TokenIssuer, User, audit,
};
use hardway_client::serving::{Burden, caught};
use hardway_proto::Status;
use hardway_proto::fields::FieldSelector;
use hardway_resources::Registry;
use hardway_resources::rows::Handler;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// How long a request that is no watch or stream may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Everything requests need.
pub struct Pipeline {
    /// The table of resources.
    pub registry: Arc<Registry>,
    /// The watch cache.
    pub cache: Arc<Cache>,
    /// etcd.
    pub store: Store,
    /// Who sends a request.
    pub authenticator: Arc<Authenticator>,
    /// Who may do what.
    pub authorizer: Arc<Authorizer>,
    /// What is changed and refused.
    pub admission: Admission,
    /// The reviews API.
    pub reviews: Reviews,
    /// Signs service account tokens, if there is a key.
    pub tokens: Option<Arc<TokenIssuer>>,
    /// The audit log, if there is one.
    pub audit: Option<Arc<audit::Log>>,
    /// What requests take before they are worked on.
    pub seats: Seats,
    /// How many bytes of requests are held.
    pub bodies: Arc<Bodies>,
    /// Cluster IPs and node ports.
    pub services: Services,
}

/// Where a request comes from, for the audit log.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The request's name in all logs.
    pub audit_id: AuditId,
    /// Path and query.
    pub uri: String,
    /// The client's address.
    pub address: String,
    /// Its user agent.
    pub agent: String,
    /// Who it really is, if it acts as somebody else.
    pub impersonator: Option<User>,
    /// Whether much is asked for on the connection.
    pub burden: Arc<Burden>,
}

impl Pipeline {
    /// Takes a request all the way, as soon as it has a seat among those that
    /// are worked on. Its entry in the audit log is completed.
    ///
    /// The doors call this when the body is there: a client that sends slowly
    /// keeps nobody from a seat.
    ///
    /// `respond` makes of the outcome what is sent. This too is done in the background
    /// for whoever has many requests at a time.
    pub async fn run<T: Send + 'static, F: Future<Output = T> + Send>(
        self: &Arc<Self>,
        request: Request,
        mut entry: Option<audit::Entry>,
        respond: impl FnOnce(Request, Result<Answer, Status>) -> F + Send + 'static,
    ) -> T {
        if let (Some(entry), Body::Json(body)) = (&mut entry, &request.body)
            && entry.wants_request()
            && let Ok(object) = serde_json::from_slice(body)
        {
            entry.request_object(&object);
        }
        let seat = match self.seats.take(&request, &self.cache).await {
            Ok(seat) => seat,
            Err(status) => {
                let mut outcome = Err(status);
                complete(entry, &mut outcome);
                return respond(request, outcome).await;
            }
        };
        let lane = seat.lane();
        let (behind, burden) = (self.clone(), request.burden.clone());
        let work = async move {
            let outcome = behind.seated(&request, entry, seat).await;
            respond(request, outcome).await
        };
        match lane {
            Some(lane) => {
                burden.note();
                lane.run(work).await
            }
            None => {
                OTHERS.come();
                work.await
            }
        }
    }

    /// Does what is asked in the seat that was taken for it.
    async fn seated(
        &self,
        request: &Request,
        mut entry: Option<audit::Entry>,
        seat: Seat,
    ) -> Result<Answer, Status> {
        let mut outcome = match caught(self.admit(request, &mut entry)).await {
            Ok(answer) => answer.map(|answer| answer.keeping(seat)),
            Err(panic) => {
                tracing::error!(panic, "a request made the server panic");
                if let Some(entry) = entry.take() {
                    entry.panicked(&panic);
                }
                Err(Status::panicked())
            }
        };
        complete(entry, &mut outcome);
        outcome
    }

    /// The audit log's entry for a request that has come in. An error means that it
    /// can't be written, and that the request must not go on without.
    pub fn begin_audit(
        &self,
        origin: &Origin,
        asked: &Attributes,
    ) -> Result<Option<audit::Entry>, Status> {
        trace::asked(asked);
        let Some(log) = &self.audit else {
            return Ok(None);
        };
        log.begin(&described(origin, asked))
            .map_err(Status::internal)
    }

    /// Notes a request that went no further than to the question who asks:
    /// nobody could be told (and what they tried), or one who may not act as
    /// somebody else.
    pub fn audit_stranger(
        &self,
        origin: &Origin,
        asked: &Attributes,
        tried: &str,
        status: &Status,
    ) {
        if status.code != 401 {
            if let Ok(Some(entry)) = self.begin_audit(origin, asked) {
                entry.complete(status.code, &status.reason, &status.message);
            }
        } else if let Some(log) = &self.audit {
            log.unauthenticated(&described(origin, asked), tried);
        }
    }

    /// Checks permission, and does it.
    async fn admit(
        &self,
        request: &Request,
        entry: &mut Option<audit::Entry>,
    ) -> Result<Answer, Status> {
        #[cfg(debug_assertions)]
        panic_if_asked(request);
        self.allows(request)?;
        let target = &request.target;
        self.permit_selected(&request.user, target, request.verb, &request.options, entry)?;
        if let Some(removed) = target.resource.removed {
            metrics::outdated(
                target.group(),
                &target.version,
                target.plural(),
                &target.subresource,
                removed,
            );
            if let Some(entry) = entry {
                entry.outdated(removed);
            }
        }
        let work = heavy::heavy(self.weight(request), self.dispatch(request));
        tokio::time::timeout(TIMEOUT, work)
            .await
            .unwrap_or_else(|_| {
                let seconds = TIMEOUT.as_secs();
                let why = format!("the request could not be completed within {seconds} s");
                Err(match request.verb.is_read() {
                    true => Status::timeout(why),
                    false => Status::outcome_unknown(why),
                })
            })
    }

    /// May the user do this to the objects that the options select? What is
    /// limited to fields is permitted as such; a list or watch pinned to one name
    /// as that object is: kubelets follow single objects this way.
    pub fn permit_selected(
        &self,
        user: &User,
        target: &Target,
        verb: Verb,
        options: &Options,
        entry: &mut Option<audit::Entry>,
    ) -> Result<(), Status> {
        let fields = match verb {
            Verb::List | Verb::Watch | Verb::DeleteCollection => {
                FieldSelector::parse(&options.field_selector).unwrap_or_default()
            }
            _ => FieldSelector::default(),
        };
        let pinned = fields
            .exact("metadata.name")
            .filter(|_| verb != Verb::DeleteCollection)
            .map(|name| target.named(&target.namespace, name));
        let target = pinned.as_ref().unwrap_or(target);
        let asked = target.attributes(user, verb.as_str());
        self.permit(&asked.limited_to(&fields), entry)
    }

    /// Bytes of what a request brings and changes.
    fn weight(&self, request: &Request) -> usize {
        let brought = match &request.body {
            Body::Empty | Body::Value(_) => 0,
            Body::Json(bytes) | Body::Yaml(bytes) | Body::Patch(_, bytes) => bytes.len(),
        };
        let stored = match request.verb {
            Verb::Update | Verb::Patch => self.cache_of(&request.target).ok(),
            _ => None,
        };
        let stored = stored.and_then(|cache| cache.get(&request.target.key()));
        brought + stored.map_or(0, |entry| entry.bytes().len())
    }

    /// May the user do this? The audit log keeps the answer.
    pub fn permit(
        &self,
        asked: &Attributes,
        entry: &mut Option<audit::Entry>,
    ) -> Result<(), Status> {
        let decision = self.authorizer.authorize(asked);
        if let Some(entry) = entry {
            entry.decided(&decision);
        }
        match decision.is_allowed() {
            true => Ok(()),
            false => Err(asked.forbidden(decision.reason())),
        }
    }

    /// May the user do this?
    pub fn authorise(&self, user: &User, target: &Target, verb: &str) -> Result<(), Status> {
        self.authorizer.check(&target.attributes(user, verb))
    }

    /// Whether the resource, or its subresource, knows the verb.
    fn allows(&self, request: &Request) -> Result<(), Status> {
        let target = &request.target;
        let verb = request.verb.as_str();
        let allowed = match target.subresource.as_str() {
            "" => target.resource.allows(verb),
            name => target
                .resource
                .subresource(name)
                .ok_or_else(Status::no_such_resource)?
                .verbs
                .iter()
                .any(|v| v == verb),
        };
        match allowed {
            true => Ok(()),
            false => Err(Status::method_not_allowed()),
        }
    }

    /// Does what is asked, past all checks of permission: the apiserver's own
    /// requests start here.
    pub async fn dispatch(&self, request: &Request) -> Result<Answer, Status> {
        let target = &request.target;
        if let Some(version) = target.resource.version(&target.version)
            && let Some(text) = &version.deprecation
        {
            request.warn(text);
        }
        if let Some(answer) = self.virtual_resource(request).await? {
            return Ok(Answer::Object(answer));
        }
        let object = match (request.verb, target.handler()) {
            (Verb::List, _) => return Ok(Answer::List(self.list(request).await?)),
            (Verb::Watch, _) => return Ok(Answer::Watch(Box::new(self.watch(request).await?))),
            (Verb::Get, Some(Handler::Scale)) => self.as_scale(target, &self.get(request).await?),
            (Verb::Get, _) => self.get(request).await,
            (Verb::Create, None) => self.create(request).await,
            (Verb::Create, _) => self.create_subresource(request).await,
            (Verb::Update, Some(Handler::Scale)) => self.update_scale(request).await,
            (Verb::Update, _) => self.update(request).await,
            (Verb::Patch, _) => self.patch(request).await,
            (Verb::Delete, _) => self.delete(request).await,
            (Verb::DeleteCollection, _) => self.delete_collection(request).await,
        };
        object.map(Answer::Object)
    }

    /// Resources that aren't stored: reviews, bindings, component statuses.
    async fn virtual_resource(&self, request: &Request) -> Result<Option<Object>, Status> {
        let target = &request.target;
        match (target.group(), target.plural()) {
            ("authentication.k8s.io" | "authorization.k8s.io", plural) => {
                let body = decode::object(request)?;
                self.cache.fresh().await?;
                let answer =
                    self.reviews
                        .create(plural, &target.namespace, &body, &request.user)?;
                Ok(Some(Object::of(&answer).created()))
            }
            ("", "bindings") => {
                let body = decode::object(request)?;
                let mut bound = Request::internal(
                    Verb::Create,
                    target.named(&target.namespace, metadata::text(&body, "name")),
                    Body::Value(body),
                );
                bound.user = request.user.clone();
                Ok(Some(self.bind(&bound).await?))
            }
            ("", "componentstatuses") => Ok(Some(self.component_statuses(request).await?)),
            _ => Ok(None),
        }
    }

    /// etcd's health, in the shape of a resource long deprecated.
    async fn component_statuses(&self, request: &Request) -> Result<Object, Status> {
        let (status, message) = match self.store.revision().await {
            Ok(_) => ("True", "ok".to_owned()),
            Err(error) => ("False", error.to_string()),
        };
        let item = serde_json::json!({
            "kind": "ComponentStatus",
            "apiVersion": "v1",
            "metadata": {"name": "etcd-0", "creationTimestamp": Value::Null},
            "conditions": [{"type": "Healthy", "status": status, "message": message}],
        });
        match (request.verb, request.target.name.as_str()) {
            (Verb::List, _) => Ok(Object::of(&serde_json::json!({
                "kind": "ComponentStatusList", "apiVersion": "v1", "metadata": {}, "items": [item],
            }))),
            (_, "etcd-0") => Ok(Object::of(&item)),
            _ => Err(request.target.not_found()),
        }
    }

    /// May this stream (exec, attach, proxy …) be opened for a user who is
    /// permitted to?
    pub fn admit_connect(&self, user: &User, target: &Target) -> Result<(), Status> {
        let request = Request::internal(Verb::Create, target.clone(), Body::Empty);
        let mut review = write::review(&request, target, Operation::Connect);
        review.user = user;
        self.admission.validate(&review, None, None)
    }
}

/// Completes a request's entry in the audit log. A watch's goes on with its events.
fn complete(entry: Option<audit::Entry>, outcome: &mut Result<Answer, Status>) {
    let Some(mut entry) = entry else {
        return;
    };
    match outcome {
        Ok(Answer::Watch(watch)) => watch.record(entry.response_started(200)),
        Ok(Answer::Object(object)) => {
            if entry.wants_response()
                && let Ok(object) = serde_json::from_slice(&object.json)
            {
                entry.response_object(&object);
            }
            entry.complete(if object.created { 201 } else { 200 }, "", "");
        }
        Ok(Answer::List(_)) => entry.complete(200, "", ""),
        Err(status) => entry.complete(status.code, &status.reason, &status.message),
    }
}

/// A request as the audit log knows it.
fn described<'a>(origin: &'a Origin, asked: &'a Attributes<'a>) -> audit::Request<'a> {
    audit::Request {
        audit_id: &origin.audit_id.0,
        user: origin.impersonator.as_ref().unwrap_or(asked.user),
        impersonated: origin.impersonator.as_ref().map(|_| asked.user),
        verb: asked.verb,
        uri: &origin.uri,
        source_ips: std::slice::from_ref(&origin.address),
        user_agent: &origin.agent,
        group: asked.group,
        version: asked.version,
        resource: asked.resource,
        subresource: asked.subresource,
        namespace: asked.namespace,
        name: asked.name,
    }
}

/// Panics over a request whose user agent asks for it, so that it can be seen
/// what a panic does. In debug builds only.
#[cfg(debug_assertions)]
fn panic_if_asked(request: &Request) {
    if request.agent.starts_with("hardway-debug-panic/") {
        panic!("asked to panic by {:?}", request.user.name);
    }
}
