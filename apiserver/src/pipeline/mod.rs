//! The pipeline: what happens to every request, whichever protocol it came
//! by. Audit, share fairly, authorize, decode, default, admit, validate,
//! admit, store, answer.

mod admission;
mod admitted;
mod bodies;
pub mod continuation;
mod create;
mod decode;
mod delete;
mod heavy;
mod limits;
pub mod metadata;
mod modify;
mod options;
mod part;
mod patch;
pub mod present;
mod quota_turn;
mod read;
mod record;
mod request;
mod seats;
mod selection;
mod services;
mod story;
mod subresource;
mod update;
mod versions;
mod watch;
mod write;
pub mod yaml;

pub use admitted::{Admitted, Refused};
pub use bodies::{Bodies, HeldBytes};
pub use options::{
    DeleteOptions, FieldValidation, Options, Propagation, decode as url_decode, pairs,
};
pub use read::Listing;
pub use record::{Origin, Record};
pub use request::{Answer, Body, Object, PatchKind, Request, Target, Verb};
pub use seats::{Held, Seat, Seats};
pub use selection::Selection;
pub use services::{Network, Services};
pub use story::{Door, Story};
pub use versions::Versions;
pub use watch::{Watch, WatchItem, bookmark};

use crate::aggregation::Aggregation;
use crate::cache::Cache;
use crate::conversion::Conversion;
use crate::space::Space;
use crate::steps::Steps;
use crate::store::Store;
use hardway_access::{
    Admission, Authenticator, Authorizer, Operation, Reviews, TokenIssuer, audit,
};
use hardway_proto::Status;
use hardway_resources::Registry;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// How long a request that is no watch or stream may take (`--request-timeout` of
/// kube-apiserver, whose default this is).
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// Everything requests need.
pub struct Pipeline {
    /// The table of resources.
    pub registry: Arc<Registry>,
    /// The watch cache.
    pub cache: Arc<Cache>,
    /// etcd.
    pub store: Store,
    /// How much room there is in it.
    pub space: Arc<Space>,
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
    /// Custom resources in other versions than they are stored in.
    pub conversion: Arc<Conversion>,
    /// What other servers serve.
    pub aggregation: Arc<Aggregation>,
    /// What all processes do.
    pub steps: Arc<Steps>,
    /// Up to which revision custom resources are served as their definitions say.
    pub defined: tokio::sync::watch::Sender<i64>,
}

/// Whether the pipeline itself does what is asked. A stream is opened by who brought the
/// request; of other subresources there are neither lists nor deletions. Permission for a
/// subresource is none for the object.
fn is_done_here(request: &Request) -> bool {
    use hardway_resources::rows::Handler;
    match (request.target.handler(), request.verb) {
        (None, _) => true,
        (Some(Handler::Stream(_)), _) => false,
        (Some(_), Verb::List | Verb::Watch | Verb::Delete | Verb::DeleteCollection) => false,
        (Some(_), _) => true,
    }
}

impl Pipeline {
    /// Does what is asked, past all checks of permission: the apiserver's own
    /// requests start here.
    pub async fn dispatch(&self, request: &Request) -> Result<Answer, Status> {
        let target = &request.target;
        if !is_done_here(request) {
            return Err(Status::method_not_allowed());
        }
        if let Some(version) = target.resource.version(&target.version)
            && let Some(text) = &version.deprecation
        {
            request.warn(text);
        }
        if let Some(answer) = self.virtual_resource(request).await? {
            return Ok(Answer::Object(answer));
        }
        let object = match request.verb {
            Verb::List => return Ok(Answer::List(self.list(request).await?)),
            Verb::Watch => return Ok(Answer::Watch(Box::new(self.watch(request).await?))),
            Verb::Get => subresource::shown(target, self.get(request).await?),
            Verb::Create if target.subresource.is_empty() => self.create(request).await,
            Verb::Create => self.act(request).await,
            Verb::Update => self.update(request).await,
            Verb::Patch => self.patch(request).await,
            Verb::Delete => self.delete(request).await,
            Verb::DeleteCollection => self.delete_collection(request).await,
        };
        object.map(Answer::Object)
    }

    /// Resources that aren't stored: reviews, bindings, component statuses.
    async fn virtual_resource(&self, request: &Request) -> Result<Option<Object>, Status> {
        let target = &request.target;
        match (target.group(), target.plural()) {
            ("authentication.k8s.io" | "authorization.k8s.io", plural) => {
                let mut body = decode::object(request)?;
                self.admit_body(request, Operation::Create, &mut body)
                    .await?;
                self.cache.fresh().await?;
                let answer =
                    self.reviews
                        .create(plural, &target.namespace, &body, &request.user)?;
                Ok(Some(Object::of(&answer).created()))
            }
            ("", "bindings") => {
                let body = decode::object(request)?;
                let name = metadata::text(&body, "name");
                let bound = target.named(&target.namespace, name);
                let bound = Request {
                    options: request.options.clone(),
                    body: Body::Value(body),
                    ..request.with(Verb::Create, bound)
                };
                let outcome = self.bind(&bound).await;
                request.tell_of(&bound);
                outcome.map(Some)
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
}
