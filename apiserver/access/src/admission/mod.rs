//! Admission: what is changed in objects on their way in, and what is refused
//! for reasons that lie outside the object.
//!
//! One file per plugin, with Kubernetes' names; [`PLUGINS`] is the order.

mod certificates;
mod claim_resize;
mod default_ingress_class;
mod default_storage_class;
mod default_tolerations;
mod deny_external_ips;
mod escalation;
mod extended_resources;
mod limit_ranger;
mod namespace_lifecycle;
mod node_restriction;
mod overlay_restriction;
mod pod_security;
mod priority;
mod resource_quota;
mod runtime_class;
mod service_account;
mod storage_in_use;
mod taint_nodes;

use crate::{Authorizer, Objects, User, text};
use hardway_proto::Status;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use std::sync::Arc;

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A new object (or subresource body).
    Create,
    /// A change: PUT, PATCH, apply.
    Update,
    /// A deletion.
    Delete,
    /// exec, attach, port-forward, proxy.
    Connect,
}

impl Operation {
    /// As Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// One write, as admission sees it.
pub struct Review<'a> {
    /// Who writes.
    pub user: &'a User,
    /// What is being done.
    pub operation: Operation,
    /// API group; empty for the core group.
    pub group: &'a str,
    /// API version.
    pub version: &'a str,
    /// Plural resource name.
    pub resource: &'a str,
    /// Kind of the resource.
    pub kind: &'a str,
    /// Subresource, or empty.
    pub subresource: &'a str,
    /// Namespace, or empty.
    pub namespace: &'a str,
    /// Object name; empty while `generateName` hasn't been used.
    pub name: &'a str,
    /// Whether nothing will be stored.
    pub dry_run: bool,
    /// CreateOptions, UpdateOptions or DeleteOptions; may be null.
    pub options: &'a Value,
    /// `Warning:` headers that plugins want sent; start with `Default`.
    pub warnings: Mutex<Vec<String>>,
}

impl Review<'_> {
    /// Whether the write is of this resource itself, not a subresource.
    fn is_of(&self, group: &str, resource: &str) -> bool {
        self.is_sub(group, resource, "")
    }

    /// Whether the write is of this subresource.
    fn is_sub(&self, group: &str, resource: &str, subresource: &str) -> bool {
        (self.group, self.resource, self.subresource) == (group, resource, subresource)
    }

    /// Whether a new object of this resource is being made.
    fn creates(&self, group: &str, resource: &str) -> bool {
        self.operation == Operation::Create && self.is_of(group, resource)
    }

    /// The 403 of a plugin.
    fn forbid(&self, object: Option<&Value>, why: impl AsRef<str>) -> Status {
        let of = |pointer| object.map(|o| text(o, pointer)).unwrap_or_default();
        let name = [
            self.name,
            of("/metadata/name"),
            of("/metadata/generateName"),
        ];
        let name = name.into_iter().find(|n| !n.is_empty()).unwrap_or_default();
        Status::forbidden(self.group, self.resource, name, why.as_ref())
    }
}

/// What plugins may look at.
struct Context {
    objects: Arc<dyn Objects>,
    authorizer: Arc<Authorizer>,
}

/// A plugin. Both phases have a default that lets everything pass.
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

type Make = fn() -> Box<dyn Plugin>;

/// All plugins in Kubernetes' order: name, whether it is on unless switched
/// off, constructor.
const PLUGINS: &[(&str, bool, Make)] = &[
    ("NamespaceLifecycle", true, || {
        Box::new(namespace_lifecycle::NamespaceLifecycle)
    }),
    ("LimitRanger", true, || Box::new(limit_ranger::LimitRanger)),
    ("ServiceAccount", true, || {
        Box::new(service_account::ServiceAccount)
    }),
    ("NodeRestriction", true, || {
        Box::new(node_restriction::NodeRestriction)
    }),
    ("TaintNodesByCondition", true, || {
        Box::new(taint_nodes::TaintNodesByCondition)
    }),
    ("PodSecurity", true, || Box::new(pod_security::PodSecurity)),
    ("Priority", true, || Box::new(priority::Priority)),
    ("DefaultTolerationSeconds", true, || {
        Box::new(default_tolerations::DefaultTolerationSeconds)
    }),
    ("ExtendedResourceToleration", false, || {
        Box::new(extended_resources::ExtendedResourceToleration)
    }),
    ("DefaultStorageClass", true, || {
        Box::new(default_storage_class::DefaultStorageClass)
    }),
    ("StorageObjectInUseProtection", true, || {
        Box::new(storage_in_use::StorageObjectInUseProtection)
    }),
    ("PersistentVolumeClaimResize", true, || {
        Box::new(claim_resize::PersistentVolumeClaimResize)
    }),
    ("RuntimeClass", true, || {
        Box::new(runtime_class::RuntimeClass)
    }),
    ("CertificateApproval", true, || {
        Box::new(certificates::Approval)
    }),
    ("CertificateSigning", true, || {
        Box::new(certificates::Signing)
    }),
    ("CertificateSubjectRestriction", true, || {
        Box::new(certificates::SubjectRestriction)
    }),
    ("DefaultIngressClass", true, || {
        Box::new(default_ingress_class::DefaultIngressClass)
    }),
    ("DenyServiceExternalIPs", false, || {
        Box::new(deny_external_ips::DenyServiceExternalIps)
    }),
    ("ResourceQuota", true, || {
        Box::new(resource_quota::ResourceQuota::default())
    }),
];

/// A plugin that doesn't exist.
#[derive(Debug, thiserror::Error)]
#[error("admission plugin {0:?} is unknown; there are {known}", known = names())]
pub struct UnknownPlugin(String);

fn names() -> String {
    let names: Vec<&str> = PLUGINS.iter().map(|(name, ..)| *name).collect();
    names.join(", ")
}

/// The chain of plugins, in Kubernetes' order.
pub struct Admission {
    context: Context,
    plugins: Vec<Box<dyn Plugin>>,
}

impl Admission {
    /// The default chain, which looks things up in `objects`.
    pub fn new(objects: Arc<dyn Objects>, authorizer: Arc<Authorizer>) -> Self {
        Self::with(objects, authorizer, |_, default| default)
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
        enable: &[String],
        disable: &[String],
    ) -> Self {
        let has = |list: &[String], name: &str| list.iter().any(|n| n == name);
        Self::with(objects, authorizer, |name, default| {
            has(enable, name) || default && !has(disable, name)
        })
    }

    fn with(
        objects: Arc<dyn Objects>,
        authorizer: Arc<Authorizer>,
        wanted: impl Fn(&str, bool) -> bool,
    ) -> Self {
        // What protects RBAC and identities can't be switched off.
        let always: [Box<dyn Plugin>; 3] = [
            Box::new(escalation::Escalation),
            Box::new(overlay_restriction::OverlayRestriction),
            Box::new(certificates::Requester),
        ];
        let chosen = PLUGINS
            .iter()
            .filter(|(name, default, _)| wanted(name, *default))
            .map(|(.., make)| make());
        Self {
            context: Context {
                objects,
                authorizer,
            },
            plugins: always.into_iter().chain(chosen).collect(),
        }
    }

    /// The mutating phase: after defaulting, before validation.
    pub fn mutate(&self, review: &Review, object: &mut Value) -> Result<(), Status> {
        self.plugins
            .iter()
            .try_for_each(|plugin| plugin.mutate(&self.context, review, object))
    }

    /// The validating phase: after validation, before storing. `new` is absent
    /// for deletions, `old` for creations.
    pub fn validate(
        &self,
        review: &Review,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        self.plugins
            .iter()
            .try_for_each(|plugin| plugin.validate(&self.context, review, new, old))
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
    use crate::objects::fake::Fake;

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
            let admission = Admission::new(fake.clone(), authorizer);
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
            self.admission.mutate(&review, &mut object)?;
            self.admission.validate(&review, Some(&object), None)?;
            Ok(object)
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
            warnings: Mutex::default(),
        }
    }

    pub fn pod(name: &str) -> Value {
        serde_json::json!({
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        })
    }
}
