//! The built-in rows, as data: one file per family of groups.
//!
//! To add a kind, add a row here, its name to `build/kinds.rs`, its rules to
//! `src/rules` and, where `NAME AGE` doesn't suit, a printer.
//! The build script includes this module too, so it depends on nothing.

mod apps;
mod core;
mod extension;
mod networking;
mod old;
mod policy;
mod storage;
mod strategy;

pub use strategy::{Dependents, METADATA, ORDINARY, Strategy, VERSIONED};
use strategy::{ORPHANING, RETURNED, UPSERTED};

/// One built-in resource.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Served versions, preferred (and stored) first.
    pub versions: &'static [&'static str],
    /// e.g. `Pod`.
    pub kind: &'static str,
    /// e.g. `pods`.
    pub plural: &'static str,
    /// e.g. `po`.
    pub short_names: &'static [&'static str],
    /// e.g. `all`.
    pub categories: &'static [&'static str],
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// In alphabetical order, as discovery tells them.
    pub verbs: &'static [&'static str],
    /// In alphabetical order.
    pub subresources: &'static [Sub],
    /// The etcd prefix; empty where it is the plural name.
    pub prefix: &'static str,
    /// How it takes PUT and DELETE.
    pub strategy: Strategy,
    /// Group and version that keep this row's objects, if it only shows them
    /// in another shape: what `rules/conversions` has a conversion for.
    pub shows: Option<(&'static str, &'static str)>,
    /// Kubernetes' versions that deprecated and removed it, if it is old.
    pub deprecated: Option<(&'static str, &'static str)>,
}

/// A subresource of a built-in resource.
#[derive(Clone, Copy, Debug)]
pub struct Sub {
    /// e.g. `scale`.
    pub name: &'static str,
    /// What it can be asked.
    pub verbs: &'static [&'static str],
    /// Group, version and kind of its body where it isn't the resource itself.
    pub body: Option<(&'static str, &'static str, &'static str)>,
    /// What it is.
    pub handler: Handler,
    /// Which of [`METADATA`] a write of its field leaves as they are.
    pub keeps: &'static [&'static str],
}

/// What a subresource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handler {
    /// A part of the object, which a PUT or PATCH replaces, and metadata with it.
    Part(Part),
    /// Something that is done with the object when the subresource is created.
    Action(Action),
    /// Bytes from elsewhere.
    Stream(Stream),
}

/// A part of an object that is read and written by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What has become of it.
    Status,
    /// How many replicas there are, in the shape of a Scale.
    Scale,
    /// Whether a certificate is approved: the conditions of a CertificateSigningRequest.
    Approval,
    /// What holds a namespace: `spec.finalizers`.
    Finalizers,
    /// A pod's containers for looking at the others.
    EphemeralContainers,
    /// What a pod's containers ask for and get.
    Resources,
}

/// What is done with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A pod gets its node.
    Bind,
    /// A pod is deleted if that disturbs nobody.
    Evict,
    /// A service account gets a token.
    IssueToken,
    /// A Deployment goes back to an earlier revision.
    RollBack,
}

/// What is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// What a container runs.
    Attach,
    /// Another command in a container.
    Exec,
    /// What a container has said.
    Log,
    /// A pod's ports.
    PortForward,
    /// HTTP of a node, a pod or a Service.
    Proxy,
}

/// Verbs of an ordinary resource.
pub const FULL: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];
/// Verbs of a resource that is only asked, never kept.
pub const CREATE: &[&str] = &["create"];
const GET: &[&str] = &["get"];
const CONNECT: &[&str] = &["create", "get"];
const READ_WRITE: &[&str] = &["get", "patch", "update"];
const PROXY: &[&str] = &["create", "delete", "get", "patch", "update"];

const NAMESPACED: Row = Row {
    group: "",
    versions: &["v1"],
    kind: "",
    plural: "",
    short_names: &[],
    categories: &[],
    namespaced: true,
    verbs: FULL,
    subresources: &[],
    prefix: "",
    strategy: ORDINARY,
    shows: None,
    deprecated: None,
};
const CLUSTER: Row = Row {
    namespaced: false,
    ..NAMESPACED
};
const STATUS: Sub = part("status", Part::Status);
/// The status alone: no change of metadata comes with it.
const STATUS_ALONE: Sub = Sub {
    keeps: METADATA,
    ..STATUS
};
/// Its labels are those that its ReplicaSets have.
const DEPLOYMENT_STATUS: Sub = Sub {
    keeps: &["labels"],
    ..STATUS
};
const SCALE: Sub = Sub {
    body: Some(("autoscaling", "v1", "Scale")),
    ..part("scale", Part::Scale)
};

const fn sub(name: &'static str, verbs: &'static [&'static str], handler: Handler) -> Sub {
    Sub {
        name,
        verbs,
        body: None,
        handler,
        keeps: &[],
    }
}

/// A subresource that is a part of the object.
const fn part(name: &'static str, part: Part) -> Sub {
    sub(name, READ_WRITE, Handler::Part(part))
}

type Body = (&'static str, &'static str, &'static str);

/// A subresource that does something.
const fn action(name: &'static str, body: Body, action: Action) -> Sub {
    Sub {
        body: Some(body),
        ..sub(name, CREATE, Handler::Action(action))
    }
}

/// A subresource that connects.
const fn stream(name: &'static str, options: &'static str, stream: Stream) -> Sub {
    let verbs = match stream {
        Stream::Log => GET,
        Stream::Proxy => PROXY,
        _ => CONNECT,
    };
    Sub {
        body: Some(("", "v1", options)),
        ..sub(name, verbs, Handler::Stream(stream))
    }
}

/// The named groups in Kubernetes' order of priority.
pub const GROUPS: &[&str] = &[
    // Told first, by whom all others are told through.
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    // Last, so that clients that name no group prefer the present ones.
    "extensions",
];

/// All built-in rows; those that show another row's objects come after it.
pub fn all() -> impl Iterator<Item = &'static Row> {
    [
        core::ROWS,
        apps::ROWS,
        networking::ROWS,
        policy::ROWS,
        storage::ROWS,
        extension::ROWS,
        old::ROWS,
    ]
    .into_iter()
    .flatten()
}

/// The OpenAPI definition of a kind: `io.k8s.api.core.v1.Pod`.
pub fn definition(group: &str, version: &str, kind: &str) -> String {
    match group {
        "apiextensions.k8s.io" => {
            format!("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.{version}.{kind}")
        }
        "apiregistration.k8s.io" => {
            format!("io.k8s.kube-aggregator.pkg.apis.apiregistration.{version}.{kind}")
        }
        "" => format!("io.k8s.api.core.{version}.{kind}"),
        _ => {
            let package = group.split('.').next().unwrap_or(group);
            format!("io.k8s.api.{package}.{version}.{kind}")
        }
    }
}
