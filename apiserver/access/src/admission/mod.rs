//! Admission: what is changed in objects on their way in, and what is refused
//! for reasons that lie outside the object.
//!
//! One file per plugin, with Kubernetes' names; [`plugins`] has the order. What is in-tree is
//! pure and answers at once ([`Plugin`]); webhooks and policies, which others wrote, are a
//! [`Stage`] and may wait.

mod certificates;
mod claim_resize;
pub mod compiled;
pub mod conditions;
mod default_ingress_class;
mod default_storage_class;
mod default_tolerations;
mod deny_external_ips;
mod escalation;
mod extended_resources;
mod limit_ranger;
pub mod matching;
mod namespace_lifecycle;
mod node_restriction;
mod overlay_restriction;
mod plugins;
mod pod_security;
pub mod policies;
mod priority;
mod resource_quota;
mod review;
mod runtime_class;
mod service_account;
mod storage_in_use;
mod taint_nodes;
#[cfg(test)]
mod testing;
pub mod webhooks;

pub use plugins::{UnknownPlugin, Validators};
pub use review::{
    AnnotationLevel, AuditAnnotation, GroupVersionKind, Notes, Operation, Reinvocation,
    ResourceKind, Review, Turn, Versions,
};

use crate::{Authorizer, Objects, text};
use futures_util::future::BoxFuture;
use hardway_proto::Status;
use plugins::{Make, PLUGINS, Phases};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Instant;
use webhooks::WebhookCaller;

/// What plugins may look at.
struct Context {
    objects: Arc<dyn Objects>,
    authorizer: Arc<Authorizer>,
    webhooks: Arc<dyn WebhookCaller>,
    policies: Arc<dyn policies::Host>,
}

/// An in-tree plugin. Both phases have a default that lets everything pass.
trait Plugin: Send + Sync {
    /// Changes an object about to be written (never called for deletions).
    fn mutate(&self, _: &Context, _: &Review, _: &mut Value) -> Result<(), Status> {
        Ok(())
    }
    /// Refuses a write.
    fn validate(
        &self,
        _: &Context,
        _: &Review,
        _new: Option<&Value>,
        _old: Option<&Value>,
    ) -> Result<(), Status> {
        Ok(())
    }
}

/// The objects of a write, as they are kept.
struct Written<'a> {
    /// As it shall be; of a CONNECT its options. Absent for deletions.
    new: Option<&'a mut Value>,
    /// As it is. Absent for creations.
    old: Option<&'a Value>,
}

/// A stage that asks others, or judges by what users wrote: it may have to wait. Both phases
/// have a default that lets everything pass.
trait Stage: Send + Sync {
    /// Changes an object about to be written, or refuses the write. Also called for
    /// deletions, and a second time if a stage wants that (see [`Notes::mutate_again`]).
    fn mutate<'a>(
        &'a self,
        _: &'a Context,
        _: &'a Review<'a>,
        _: Written<'a>,
    ) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(std::future::ready(Ok(())))
    }
    /// Refuses a write.
    fn validate<'a>(
        &'a self,
        _: &'a Context,
        _: &'a Review<'a>,
        _new: Option<&'a Value>,
        _old: Option<&'a Value>,
    ) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// One link of the chain.
struct Link {
    /// Kubernetes' name; the guards that can't be switched off have none.
    name: Option<&'static str>,
    phases: Phases,
    work: Work,
}

enum Work {
    Plugin(Box<dyn Plugin>),
    Stage(Box<dyn Stage>),
}

impl From<&plugins::Entry> for Link {
    fn from(entry: &plugins::Entry) -> Self {
        Self {
            name: Some(entry.name),
            phases: entry.phases,
            work: match entry.make {
                Make::Plugin(make) => Work::Plugin(make()),
                Make::Stage(make) => Work::Stage(make()),
            },
        }
    }
}

/// The chain: plugins and stages, in Kubernetes' order.
pub struct Admission {
    context: Context,
    links: Vec<Link>,
}

impl Admission {
    /// The default chain, which looks things up in `objects` and has webhooks called.
    pub fn new(
        objects: Arc<dyn Objects>,
        authorizer: Arc<Authorizer>,
        webhooks: Arc<dyn WebhookCaller>,
        policies: Arc<dyn policies::Host>,
    ) -> Self {
        Self::configured(objects, authorizer, webhooks, policies, &[], &[])
    }

    /// Whether there is a plugin of that name.
    pub fn check_name(name: &str) -> Result<(), UnknownPlugin> {
        match PLUGINS.iter().any(|entry| entry.name == name) {
            true => Ok(()),
            false => Err(UnknownPlugin(name.to_owned())),
        }
    }

    /// The chain with plugins switched on and off by name; of one named in both
    /// lists it is on. Names that [`check_name`](Self::check_name) doesn't know
    /// mean nothing.
    pub fn configured(
        objects: Arc<dyn Objects>,
        authorizer: Arc<Authorizer>,
        webhooks: Arc<dyn WebhookCaller>,
        policies: Arc<dyn policies::Host>,
        enable: &[String],
        disable: &[String],
    ) -> Self {
        let has = |list: &[String], name: &str| list.iter().any(|n| n == name);
        let wanted = |name, default| has(enable, name) || default && !has(disable, name);
        // What protects RBAC and identities can't be switched off.
        let always: [Box<dyn Plugin>; 3] = [
            Box::new(escalation::Escalation),
            Box::new(overlay_restriction::OverlayRestriction),
            Box::new(certificates::Requester),
        ];
        let guards = always.map(|guard| Link {
            name: None,
            phases: Phases::Both,
            work: Work::Plugin(guard),
        });
        let chosen = PLUGINS
            .iter()
            .filter(|entry| wanted(entry.name, entry.default))
            .map(Link::from);
        Self {
            context: Context {
                objects,
                authorizer,
                webhooks,
                policies,
            },
            links: guards.into_iter().chain(chosen).collect(),
        }
    }

    /// The mutating phase: after defaulting, before validation. `new` is absent for
    /// deletions, `old` for creations; a deletion can only be refused.
    ///
    /// # Errors
    /// The refusal of the first link that has one.
    pub async fn mutate(
        &self,
        review: &Review<'_>,
        mut new: Option<&mut Value>,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        self.mutate_once(review, new.as_deref_mut(), old).await?;
        match review.notes.begin_second_round() {
            true => self.mutate_once(review, new, old).await,
            false => Ok(()),
        }
    }

    async fn mutate_once(
        &self,
        review: &Review<'_>,
        mut new: Option<&mut Value>,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        for link in self.links.iter().filter(|link| link.phases.mutate()) {
            let begun = Instant::now();
            let outcome = match (&link.work, new.as_deref_mut()) {
                (Work::Stage(stage), new) => {
                    let written = Written { new, old };
                    stage.mutate(&self.context, review, written).await
                }
                (Work::Plugin(plugin), Some(new)) if review.writes() => {
                    self.seeing_all(review, || plugin.mutate(&self.context, review, new))
                        .await
                }
                (Work::Plugin(_), _) => continue,
            };
            review.notes.had_turn(link.name, begun, &outcome);
            outcome?;
        }
        Ok(())
    }

    /// The validating phase: after validation, before storing. `new` is absent
    /// for deletions, `old` for creations.
    ///
    /// # Errors
    /// The refusal of the first link that has one.
    pub async fn validate(
        &self,
        review: &Review<'_>,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        self.validate_by(Validators::All, review, new, old).await
    }

    /// Some of the validating phase.
    ///
    /// # Errors
    /// The refusal of the first link that has one.
    pub async fn validate_by(
        &self,
        which: Validators,
        review: &Review<'_>,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        let links = self.links.iter();
        for link in links.filter(|link| link.phases.validate(which)) {
            let begun = Instant::now();
            let outcome = match &link.work {
                Work::Stage(stage) => stage.validate(&self.context, review, new, old).await,
                Work::Plugin(plugin) => {
                    self.seeing_all(review, || plugin.validate(&self.context, review, new, old))
                        .await
                }
            };
            review.notes.had_turn(link.name, begun, &outcome);
            outcome?;
        }
        Ok(())
    }

    /// Asks a plugin about a creation again if it refuses it and may not have seen the
    /// namespace, the service account or the quota that was written a moment ago.
    async fn seeing_all(
        &self,
        review: &Review<'_>,
        mut ask: impl FnMut() -> Result<(), Status>,
    ) -> Result<(), Status> {
        let objects = &self.context.objects;
        let seen = objects.shown();
        match ask() {
            Err(status)
                if review.operation == Operation::Create && matches!(status.code, 403 | 404) =>
            {
                match objects.catch_up().await? > seen {
                    true => ask(),
                    false => Err(status),
                }
            }
            outcome => outcome,
        }
    }
}

/// The object at a field of an object, made if it isn't there.
fn object_at<'a>(parent: &'a mut Value, field: &str) -> &'a mut Map<String, Value> {
    if !parent[field].is_object() {
        parent[field] = Value::Object(Map::new());
    }
    parent[field]
        .as_object_mut()
        .expect("was just made an object")
}

/// The array at a field of an object, made if it isn't there.
fn array_at<'a>(parent: &'a mut Value, field: &str) -> &'a mut Vec<Value> {
    if !parent[field].is_array() {
        parent[field] = Value::Array(Vec::new());
    }
    parent[field]
        .as_array_mut()
        .expect("was just made an array")
}

/// Of the objects annotated as default, the newest (the first by name among
/// equals).
fn newest_default(objects: Vec<Arc<Value>>, annotation: &str) -> Option<Arc<Value>> {
    let is_default = |object: &Arc<Value>| {
        let annotations = object.pointer("/metadata/annotations");
        annotations
            .and_then(|a| a.get(annotation))
            .and_then(Value::as_str)
            == Some("true")
    };
    objects.into_iter().filter(is_default).min_by(|a, b| {
        let time = |o| text(o, "/metadata/creationTimestamp");
        let name = |o| text(o, "/metadata/name");
        time(b).cmp(time(a)).then_with(|| name(a).cmp(name(b)))
    })
}
