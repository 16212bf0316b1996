//! One write as admission sees it.

use crate::{Objects, User, text};
use futures_util::future::BoxFuture;
use hardway_proto::Status;
use hardway_proto::status::qualified;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

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

/// A kind in its version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct GroupVersionKind {
    /// API group; empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// e.g. `Deployment`, `Scale`.
    pub kind: String,
}

/// A resource in one of the versions that serve it, and the kind of what is sent to it there
/// (to a subresource, if the request is about one).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ResourceKind {
    /// API group; empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural name.
    pub resource: String,
    /// What is sent.
    pub kind: GroupVersionKind,
}

/// The versions in which a request's resource is served, and its objects in them. In-tree
/// plugins see an object as it is kept; webhooks and policies in the version that they know.
pub trait Versions: Send + Sync {
    /// All others than the one that was asked for, in the order in which they are served.
    fn others(&self) -> Vec<ResourceKind>;

    /// The labels of what is sent; a Scale has none, whatever its object has.
    fn labels<'v>(&self, object: &'v Value) -> Option<&'v Map<String, Value>> {
        object["metadata"]["labels"].as_object()
    }

    /// A kept object as a version has it.
    ///
    /// # Errors
    /// If it can't be converted.
    fn show<'a>(
        &'a self,
        kept: &'a Value,
        shown_as: &'a ResourceKind,
    ) -> BoxFuture<'a, Result<Value, Status>>;

    /// A shown object as a JSON patch makes it.
    ///
    /// # Errors
    /// If the patch can't be applied.
    fn patch(&self, shown: &Value, operations: &[u8]) -> Result<Value, String>;

    /// Makes a kept object what was shown and has been changed: decoded, defaulted and
    /// converted back.
    ///
    /// # Errors
    /// If it is none of its kind any more, or can't be converted.
    fn take<'a>(
        &'a self,
        shown: Value,
        shown_as: &'a ResourceKind,
        kept: &'a mut Value,
    ) -> BoxFuture<'a, Result<(), Status>>;
}

/// From which audit level on an annotation is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnnotationLevel {
    /// `Metadata`: always.
    Metadata,
    /// `Request`: with the request's body.
    Request,
}

/// A line for the request's audit event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditAnnotation {
    /// A qualified name.
    pub key: String,
    /// Its text.
    pub value: String,
    /// Where it is kept.
    pub level: AnnotationLevel,
}

/// One write, as admission sees it.
pub struct Review<'a> {
    /// Who writes.
    pub user: &'a User,
    /// What is being done.
    pub operation: Operation,
    /// API group of the row that keeps the objects; empty for the core group.
    pub group: &'a str,
    /// The version they are kept in.
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
    /// CreateOptions, UpdateOptions, PatchOptions or DeleteOptions; null for CONNECT.
    pub options: &'a Value,
    /// The resource as it was asked for.
    pub requested: ResourceKind,
    /// The resource's versions.
    pub versions: &'a dyn Versions,
    /// When the request's time is over.
    pub deadline: Instant,
    /// What is remembered of the request from one stage to the next.
    pub notes: Notes,
}

/// What the stages remember of a request, and what they have to tell.
#[derive(Default)]
pub struct Notes {
    /// `Warning:` headers that are to be sent; plugins' start with `Default`.
    pub warnings: Mutex<Vec<String>>,
    /// For the audit log.
    pub annotations: Mutex<Vec<AuditAnnotation>>,
    /// Who had a turn, and how that went, for the metrics.
    pub turns: Mutex<Vec<Turn>>,
    /// Whether a stage wrote to the object at all.
    changed: AtomicBool,
    /// Whether a stage changed the object such that the others have to see it again, …
    again: AtomicBool,
    /// … and whether they do so now.
    second: AtomicBool,
    /// Which mutating policies that concerns.
    pub policies: Mutex<Reinvocation>,
    /// Which mutating webhooks that concerns.
    pub webhooks: Mutex<Reinvocation>,
    others: OnceLock<Vec<ResourceKind>>,
    namespace: OnceLock<Option<Arc<Value>>>,
}

/// A plugin's or stage's part in one phase of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Its name.
    pub plugin: &'static str,
    /// How long it took.
    pub took: Duration,
    /// Whether it refused the request.
    pub rejected: bool,
}

/// Who of a stage has to see an object again that others have changed since
/// (`webhookReinvokeContext` of `k8s.io/apiserver`).
#[derive(Default)]
pub struct Reinvocation {
    /// Who wants to, and has been asked since the last change.
    asked: BTreeSet<String>,
    /// Who has to be asked in the second round.
    due: BTreeSet<String>,
    /// The object as the stage left it.
    output: Option<Value>,
}

impl Reinvocation {
    /// Somebody was asked who wants to be asked again.
    pub fn asked(&mut self, id: &str) {
        self.asked.insert(id.to_owned());
    }

    /// Somebody has changed the object.
    pub fn changed(&mut self) {
        self.due.append(&mut self.asked);
    }

    /// Whether somebody has to be asked again.
    pub fn is_due(&self, id: &str) -> bool {
        self.due.contains(id)
    }

    /// A second round begins with this object: whatever happened to it since the stage had
    /// it was done by others.
    pub fn begin_again(&mut self, object: Option<&Value>) {
        if self.output.as_ref() != object {
            self.changed();
        }
    }

    /// The stage is done with the object.
    pub fn end(&mut self, object: Option<&Value>) {
        // Nobody compares it where nobody is to be asked again.
        self.output = (!self.asked.is_empty()).then(|| object.cloned()).flatten();
    }
}

impl Notes {
    /// Adds a warning.
    pub fn warn(&self, text: impl Into<String>) {
        self.warnings.lock().push(text.into());
    }

    /// Adds a line for the audit log, where the first of a key counts.
    pub fn annotate(&self, key: String, value: String, level: AnnotationLevel) {
        let annotation = AuditAnnotation { key, value, level };
        self.annotations.lock().push(annotation);
    }

    /// Notes a turn that began then and has ended; those without a name aren't told of.
    pub(super) fn had_turn(
        &self,
        plugin: Option<&'static str>,
        begun: Instant,
        outcome: &Result<(), Status>,
    ) {
        if let Some(plugin) = plugin {
            let (took, rejected) = (begun.elapsed(), outcome.is_err());
            self.turns.lock().push(Turn {
                plugin,
                took,
                rejected,
            });
        }
    }

    /// All mutating stages and plugins have another turn, for a webhook or policy has changed
    /// the object.
    pub fn mutate_again(&self) {
        self.again.store(true, Ordering::Relaxed);
    }

    /// Whether this is the second turn of the mutating stages.
    pub fn is_second_round(&self) -> bool {
        self.second.load(Ordering::Relaxed)
    }

    /// Whether a webhook or policy has changed the object.
    pub fn is_changed(&self) -> bool {
        self.changed.load(Ordering::Relaxed)
    }

    /// A webhook or policy has changed the object.
    pub fn changed(&self) {
        self.changed.store(true, Ordering::Relaxed);
    }

    /// Begins the second turn, if there has to be one.
    pub(super) fn begin_second_round(&self) -> bool {
        let again = self.again.load(Ordering::Relaxed);
        again && !self.second.swap(true, Ordering::Relaxed)
    }
}

impl Review<'_> {
    /// Whether an object is made or changed.
    pub(super) fn writes(&self) -> bool {
        matches!(self.operation, Operation::Create | Operation::Update)
    }

    /// Whether the write is of this resource itself, not a subresource.
    pub(super) fn is_of(&self, group: &str, resource: &str) -> bool {
        self.is_sub(group, resource, "")
    }

    /// Whether the write is of this subresource.
    pub(super) fn is_sub(&self, group: &str, resource: &str, subresource: &str) -> bool {
        (self.group, self.resource, self.subresource) == (group, resource, subresource)
    }

    /// Whether a new object of this resource is being made.
    pub(super) fn creates(&self, group: &str, resource: &str) -> bool {
        self.operation == Operation::Create && self.is_of(group, resource)
    }

    /// The 403 of a plugin.
    pub fn forbid(&self, object: Option<&Value>, why: impl AsRef<str>) -> Status {
        let of = |pointer| object.map(|o| text(o, pointer)).unwrap_or_default();
        let name = [
            self.name,
            of("/metadata/name"),
            of("/metadata/generateName"),
        ];
        let name = name.into_iter().find(|n| !n.is_empty()).unwrap_or_default();
        Status::forbidden(self.group, self.resource, name, why.as_ref())
    }

    /// Whether it is about Namespaces, or a subresource of theirs.
    pub fn is_of_namespaces(&self) -> bool {
        self.group.is_empty() && self.resource == "namespaces"
    }

    /// The namespace, in which a Namespace is itself, as webhooks and policies are told.
    pub fn namespace_of<'v>(&'v self, object: Option<&'v Value>) -> &'v str {
        match self.is_of_namespaces() && self.namespace.is_empty() {
            true => self.name_of(object),
            false => self.namespace,
        }
    }

    /// The name; that of the object, where it was generated.
    pub fn name_of<'v>(&'v self, object: Option<&'v Value>) -> &'v str {
        match self.name {
            "" => object.map_or("", |object| text(object, "/metadata/name")),
            name => name,
        }
    }

    /// The resource in the versions that weren't asked for.
    pub fn others(&self) -> &[ResourceKind] {
        self.notes.others.get_or_init(|| self.versions.others())
    }

    /// The Namespace object of the request's namespace, if it has one that exists. Of a
    /// Namespace that is written this is what is stored.
    pub fn namespace_object(&self, objects: &dyn Objects) -> Option<&Value> {
        let find = || {
            let name = self.namespace_of(None);
            (!name.is_empty()).then(|| objects.read("", "namespaces", "", name))?
        };
        self.notes.namespace.get_or_init(find).as_deref()
    }

    /// How long the request may still take.
    pub fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// `deployments.apps`, for messages.
    pub fn qualified_resource(&self) -> String {
        qualified(&self.requested.group, &self.requested.resource)
    }
}
