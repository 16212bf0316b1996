//! Admission: what is changed in objects on their way in, and what is refused
//! for reasons that lie outside the object.
//!
//! One file per plugin, with Kubernetes' names; [`PLUGINS`] is the order. What is in-tree is
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
mod pod_security;
pub mod policies;
mod priority;
mod resource_quota;
mod review;
mod runtime_class;
mod service_account;
mod storage_in_use;
mod taint_nodes;
pub mod webhooks;

pub use review::{
    AnnotationLevel, AuditAnnotation, GroupVersionKind, Notes, Operation, Reinvocation,
    ResourceKind, Review, Versions,
};

use crate::{Authorizer, Objects, text};
use futures_util::future::BoxFuture;
use hardway_proto::Status;
use serde_json::{Map, Value};
use std::sync::Arc;
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
enum Link {
    Plugin(Box<dyn Plugin>),
    Stage(Box<dyn Stage>),
}

/// How a link is made.
enum Make {
    Plugin(fn() -> Box<dyn Plugin>),
    Stage(fn() -> Box<dyn Stage>),
}

/// The chain in Kubernetes' order (`AllOrderedPlugins`): name, whether it is on unless
/// switched off, constructor.
const PLUGINS: &[(&str, bool, Make)] = &[
    (
        "NamespaceLifecycle",
        true,
        Make::Plugin(|| Box::new(namespace_lifecycle::NamespaceLifecycle)),
    ),
    (
        "LimitRanger",
        true,
        Make::Plugin(|| Box::new(limit_ranger::LimitRanger)),
    ),
    (
        "ServiceAccount",
        true,
        Make::Plugin(|| Box::new(service_account::ServiceAccount)),
    ),
    (
        "NodeRestriction",
        true,
        Make::Plugin(|| Box::new(node_restriction::NodeRestriction)),
    ),
    (
        "TaintNodesByCondition",
        true,
        Make::Plugin(|| Box::new(taint_nodes::TaintNodesByCondition)),
    ),
    (
        "PodSecurity",
        true,
        Make::Plugin(|| Box::new(pod_security::PodSecurity)),
    ),
    (
        "Priority",
        true,
        Make::Plugin(|| Box::new(priority::Priority)),
    ),
    (
        "DefaultTolerationSeconds",
        true,
        Make::Plugin(|| Box::new(default_tolerations::DefaultTolerationSeconds)),
    ),
    (
        "ExtendedResourceToleration",
        false,
        Make::Plugin(|| Box::new(extended_resources::ExtendedResourceToleration)),
    ),
    (
        "DefaultStorageClass",
        true,
        Make::Plugin(|| Box::new(default_storage_class::DefaultStorageClass)),
    ),
    (
        "StorageObjectInUseProtection",
        true,
        Make::Plugin(|| Box::new(storage_in_use::StorageObjectInUseProtection)),
    ),
    (
        "PersistentVolumeClaimResize",
        true,
        Make::Plugin(|| Box::new(claim_resize::PersistentVolumeClaimResize)),
    ),
    (
        "RuntimeClass",
        true,
        Make::Plugin(|| Box::new(runtime_class::RuntimeClass)),
    ),
    (
        "CertificateApproval",
        true,
        Make::Plugin(|| Box::new(certificates::Approval)),
    ),
    (
        "CertificateSigning",
        true,
        Make::Plugin(|| Box::new(certificates::Signing)),
    ),
    (
        "CertificateSubjectRestriction",
        true,
        Make::Plugin(|| Box::new(certificates::SubjectRestriction)),
    ),
    (
        "DefaultIngressClass",
        true,
        Make::Plugin(|| Box::new(default_ingress_class::DefaultIngressClass)),
    ),
    (
        "DenyServiceExternalIPs",
        false,
        Make::Plugin(|| Box::new(deny_external_ips::DenyServiceExternalIps)),
    ),
    (
        "MutatingAdmissionPolicy",
        true,
        Make::Stage(|| Box::<policies::Mutating>::default()),
    ),
    (
        "MutatingAdmissionWebhook",
        true,
        Make::Stage(|| Box::<webhooks::Mutating>::default()),
    ),
    (
        "ValidatingAdmissionPolicy",
        true,
        Make::Stage(|| Box::<policies::Validating>::default()),
    ),
    (
        "ValidatingAdmissionWebhook",
        true,
        Make::Stage(|| Box::<webhooks::Validating>::default()),
    ),
    (
        "ResourceQuota",
        true,
        Make::Plugin(|| Box::new(resource_quota::ResourceQuota::default())),
    ),
];

/// A plugin that doesn't exist.
#[derive(Debug, thiserror::Error)]
#[error("admission plugin {0:?} is unknown; there are {known}", known = names())]
pub struct UnknownPlugin(String);

fn names() -> String {
    let names: Vec<&str> = PLUGINS.iter().map(|(name, ..)| *name).collect();
    names.join(", ")
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
        match PLUGINS.iter().any(|(known, ..)| *known == name) {
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
        let chosen = PLUGINS
            .iter()
            .filter(|(name, default, _)| wanted(name, *default))
            .map(|(.., make)| match make {
                Make::Plugin(make) => Link::Plugin(make()),
                Make::Stage(make) => Link::Stage(make()),
            });
        Self {
            context: Context {
                objects,
                authorizer,
                webhooks,
                policies,
            },
            links: always.map(Link::Plugin).into_iter().chain(chosen).collect(),
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
        for link in &self.links {
            let new = new.as_deref_mut();
            match (link, new) {
                (Link::Stage(stage), new) => {
                    let written = Written { new, old };
                    stage.mutate(&self.context, review, written).await?;
                }
                (Link::Plugin(plugin), Some(new)) if review.writes() => {
                    self.seeing_all(review, || plugin.mutate(&self.context, review, new))
                        .await?;
                }
                (Link::Plugin(_), _) => {}
            }
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
        for link in &self.links {
            match link {
                Link::Stage(stage) => stage.validate(&self.context, review, new, old).await?,
                Link::Plugin(plugin) => {
                    self.seeing_all(review, || plugin.validate(&self.context, review, new, old))
                        .await?;
                }
            }
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
fn newest_default(objects: Vec<Value>, annotation: &str) -> Option<Value> {
    let is_default = |object: &Value| {
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

#[cfg(test)]
mod testing {
    use super::*;
    use crate::User;
    use crate::objects::fake::Fake;
    use std::time::{Duration, Instant};

    /// An admission chain over a fake store with the namespace `shop`, its
    /// default service account, and what bootstrap makes.
    pub struct Bench {
        pub fake: Arc<Fake>,
        pub admission: Admission,
    }

    impl Bench {
        pub fn new() -> Self {
            let fake = Arc::new(Fake::default());
            for object in crate::bootstrap::objects() {
                match text(&object, "/kind") {
                    "Namespace" => fake.put("", "namespaces", object),
                    "PriorityClass" => fake.put("scheduling.k8s.io", "priorityclasses", object),
                    _ => {}
                }
            }
            let shop =
                serde_json::json!({"metadata": {"name": "shop"}, "status": {"phase": "Active"}});
            fake.put("", "namespaces", shop);
            let account = serde_json::json!({"metadata": {"name": "default", "namespace": "shop"}});
            fake.put("", "serviceaccounts", account);
            let authorizer = Arc::new(Authorizer::new(fake.clone()));
            let admission = Admission::new(
                fake.clone(),
                authorizer,
                Arc::new(Nobody),
                Arc::new(policies::tests::Server::default()),
            );
            Self { fake, admission }
        }

        /// Both phases of a create; the object as it would be stored.
        pub fn create(
            &self,
            group: &str,
            resource: &str,
            mut object: Value,
        ) -> Result<Value, Status> {
            let user = User::new("jane", ["dev"]);
            let namespace = text(&object, "/metadata/namespace").to_owned();
            let review = review(&user, Operation::Create, group, resource, &namespace, "");
            now(self.admission.mutate(&review, Some(&mut object), None))?;
            now(self.admission.validate(&review, Some(&object), None))?;
            Ok(object)
        }

        /// The validating phase.
        pub fn validate(
            &self,
            review: &Review,
            new: Option<&Value>,
            old: Option<&Value>,
        ) -> Result<(), Status> {
            now(self.admission.validate(review, new, old))
        }
    }

    /// No webhook answers.
    pub struct Nobody;

    impl WebhookCaller for Nobody {
        fn call<'a>(
            &'a self,
            _: &'a webhooks::ClientConfig,
            _: bytes::Bytes,
            _: Duration,
        ) -> BoxFuture<'a, Result<Value, webhooks::CallError>> {
            let nobody = webhooks::CallError::NoClient("there is nobody".into());
            Box::pin(std::future::ready(Err(nobody)))
        }
        fn observe(&self, _: &webhooks::Observation<'_>) {}
    }

    /// What comes of something that has nothing to wait for.
    pub fn now<T>(future: impl Future<Output = T>) -> T {
        futures_util::FutureExt::now_or_never(future).expect("it has to wait")
    }

    /// A resource with one version only, and what is sent in it as it is kept.
    pub struct Kept;

    impl Versions for Kept {
        fn others(&self) -> Vec<ResourceKind> {
            Vec::new()
        }
        fn show<'a>(
            &'a self,
            kept: &'a Value,
            _: &'a ResourceKind,
        ) -> BoxFuture<'a, Result<Value, Status>> {
            Box::pin(std::future::ready(Ok(kept.clone())))
        }
        /// Replaces members of the object, which is all that the tests do.
        fn patch(&self, shown: &Value, operations: &[u8]) -> Result<Value, String> {
            let mut patched = shown.clone();
            let operations: Vec<Value> =
                serde_json::from_slice(operations).map_err(|error| error.to_string())?;
            for operation in operations {
                let (parent, name) = text(&operation, "/path")
                    .rsplit_once('/')
                    .unwrap_or_default();
                match patched.pointer_mut(parent) {
                    Some(parent) => parent[name] = operation["value"].clone(),
                    None => return Err("there is no such path".to_owned()),
                }
            }
            Ok(patched)
        }
        fn take<'a>(
            &'a self,
            shown: Value,
            _: &'a ResourceKind,
            kept: &'a mut Value,
        ) -> BoxFuture<'a, Result<(), Status>> {
            *kept = shown;
            Box::pin(std::future::ready(Ok(())))
        }
    }

    pub fn review<'a>(
        user: &'a User,
        operation: Operation,
        group: &'a str,
        resource: &'a str,
        namespace: &'a str,
        name: &'a str,
    ) -> Review<'a> {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        Review {
            user,
            operation,
            group,
            version: "v1",
            resource,
            kind: "",
            subresource,
            namespace,
            name,
            dry_run: false,
            options: &Value::Null,
            requested: ResourceKind {
                group: group.into(),
                version: "v1".into(),
                resource: resource.into(),
                kind: GroupVersionKind::default(),
            },
            versions: &Kept,
            deadline: Instant::now() + Duration::from_secs(30),
            notes: Notes::default(),
        }
    }

    pub fn pod(name: &str) -> Value {
        serde_json::json!({
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        })
    }
}
