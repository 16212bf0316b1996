//! The types of what expressions are told of a request.

use crate::{ObjectType, Type};

/// An object's type of fields in alphabetical or any other order.
fn object_of<const N: usize>(name: &str, fields: [(&str, Type); N]) -> Type {
    Type::object(ObjectType::new(name, fields))
}

fn texts<const N: usize>(names: [&'static str; N]) -> [(&'static str, Type); N] {
    names.map(|name| (name, Type::String))
}

/// `request`: an AdmissionRequest without what is told elsewhere.
pub fn request() -> Type {
    let list = || Type::list(Type::String);
    let kind = object_of(
        "kubernetes.GroupVersionKind",
        texts(["group", "version", "kind"]),
    );
    let resource = object_of(
        "kubernetes.GroupVersionResource",
        texts(["group", "version", "resource"]),
    );
    let user = object_of(
        "kubernetes.UserInfo",
        [
            ("username", Type::String),
            ("uid", Type::String),
            ("groups", list()),
            ("extra", Type::map(Type::String, list())),
        ],
    );
    object_of(
        "kubernetes.AdmissionRequest",
        [
            ("kind", kind.clone()),
            ("resource", resource.clone()),
            ("subResource", Type::String),
            ("requestKind", kind),
            ("requestResource", resource),
            ("requestSubResource", Type::String),
            ("name", Type::String),
            ("namespace", Type::String),
            ("operation", Type::String),
            ("userInfo", user),
            ("dryRun", Type::Bool),
            ("options", Type::Dyn),
        ],
    )
}

/// `namespaceObject`: a Namespace without what only servers are concerned with.
pub fn namespace() -> Type {
    let list = || Type::list(Type::String);
    let map = || Type::map(Type::String, Type::String);
    let condition = object_of(
        "kubernetes.NamespaceCondition",
        [
            ("status", Type::String),
            ("type", Type::String),
            ("lastTransitionTime", Type::Timestamp),
            ("message", Type::String),
            ("reason", Type::String),
        ],
    );
    let status = object_of(
        "kubernetes.NamespaceStatus",
        [
            ("conditions", Type::list(condition)),
            ("phase", Type::String),
        ],
    );
    let metadata = object_of(
        "kubernetes.NamespaceMetadata",
        [
            ("name", Type::String),
            ("generateName", Type::String),
            ("namespace", Type::String),
            ("labels", map()),
            ("annotations", map()),
            ("UID", Type::String),
            ("creationTimestamp", Type::Timestamp),
            ("deletionGracePeriodSeconds", Type::Int),
            ("deletionTimestamp", Type::Timestamp),
            ("generation", Type::Int),
            ("resourceVersion", Type::String),
            ("finalizers", list()),
        ],
    );
    let spec = object_of("kubernetes.NamespaceSpec", [("finalizers", list())]);
    object_of(
        "kubernetes.Namespace",
        [("metadata", metadata), ("spec", spec), ("status", status)],
    )
}
