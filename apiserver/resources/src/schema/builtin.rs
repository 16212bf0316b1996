//! The shapes of the built-in kinds, written by the build script.

use super::{Arena, Node, Schema, have_defaults};
use flate2::read::GzDecoder;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::LazyLock;

static SCHEMAS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/schemas.json.gz"));

#[derive(Deserialize)]
struct Written {
    nodes: Vec<Node>,
    roots: HashMap<String, usize>,
}

static ALL: LazyLock<All> = LazyLock::new(|| {
    let reader = std::io::BufReader::new(GzDecoder::new(SCHEMAS));
    let written: Written =
        serde_json::from_reader(reader).expect("the build script wrote these schemas");
    All {
        defaults: have_defaults(&written.nodes),
        nodes: written.nodes.into(),
        roots: written.roots,
    }
});

struct All {
    nodes: Box<[Node]>,
    roots: HashMap<String, usize>,
    /// Whether any of the nodes has a default.
    defaults: bool,
}

/// The schema of a definition, e.g. `io.k8s.api.core.v1.Pod`.
pub fn definition(name: &str) -> Option<Schema> {
    let all = &*ALL;
    Some(Schema {
        arena: Arena::BuiltIn(&all.nodes),
        id: *all.roots.get(name)?,
        defaults: all.defaults,
    })
}

/// The names of all definitions that there are: kinds, their lists, bodies, `ObjectMeta`.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.roots.keys().map(String::as_str)
}

/// The schema of a built-in kind.
pub fn kind(group: &str, version: &str, kind: &str) -> Option<Schema> {
    definition(&crate::rows::definition(group, version, kind))
}

/// The schema of `DeleteOptions`, the body of deletes.
pub fn delete_options() -> Schema {
    definition("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions")
        .expect("the build script writes DeleteOptions")
}

/// The schema of `metadata`, the same for every kind.
pub fn object_meta() -> Schema {
    definition("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
        .expect("the build script writes ObjectMeta")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{ListType, Type};

    fn at(kind_name: &str, group: &str, path: &str) -> Schema {
        let root = kind(group, "v1", kind_name).expect("a built-in kind");
        path.split('.').fold(root, |schema, field| match field {
            "[]" => schema.items().expect("a list"),
            _ => schema.field(field).expect(field),
        })
    }

    #[test]
    fn lists_merge_by_kubernetes_keys() {
        let containers = at("Pod", "", "spec.containers");
        assert_eq!(containers.node().list_type, ListType::Map);
        assert_eq!(containers.node().list_map_keys, ["name"]);
        assert_eq!(containers.node().patch_merge_key.as_deref(), Some("name"));
        assert!(containers.node().patch_merge);

        let ports = at("Service", "", "spec.ports");
        assert_eq!(ports.node().list_map_keys, ["port", "protocol"]);
        assert_eq!(ports.node().patch_merge_key.as_deref(), Some("port"));
        let protocol = at("Service", "", "spec.ports.[].protocol");
        assert_eq!(protocol.node().default, Some("TCP".into()));

        assert!(at("Pod", "", "spec.volumes").node().patch_retain_keys);
        assert!(
            at("Deployment", "apps", "spec.strategy")
                .node()
                .patch_retain_keys
        );
        assert!(at("Deployment", "apps", "spec.selector").node().atomic_map);
        assert!(at("Service", "", "spec.selector").node().atomic_map);
        let finalizers = at("Pod", "", "metadata.finalizers");
        assert_eq!(finalizers.node().list_type, ListType::Set);
        assert!(finalizers.node().patch_merge);
    }

    #[test]
    fn bodies_that_are_no_resources() {
        assert!(kind("autoscaling", "v1", "Scale").is_some());
        assert!(kind("policy", "v1", "Eviction").is_some());
        assert!(kind("authentication.k8s.io", "v1", "TokenRequest").is_some());
        assert!(delete_options().field("propagationPolicy").is_some());
    }

    #[test]
    fn types_and_formats() {
        let replicas = at("Deployment", "apps", "spec.replicas");
        assert_eq!(replicas.node().ty, Type::Integer);
        assert_eq!(replicas.node().format, "int32");
        let limits = at("Pod", "", "spec.containers.[].resources.limits.cpu");
        assert_eq!(limits.node().format, "quantity");
        let path = at("Pod", "", "spec.containers.[].livenessProbe.httpGet.port");
        assert_eq!(path.node().ty, Type::IntOrString);
        assert_eq!(at("Secret", "", "data.key").node().format, "byte");
        assert_eq!(
            at("Pod", "", "spec.containers.[]").node().name,
            "v1.Container"
        );
    }
}
