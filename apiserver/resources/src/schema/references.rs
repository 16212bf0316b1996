//! Holds the table of references to the schemas: a field by which pods or
//! volumes name another object must be known to it.

use super::Schema;
use super::builtin::kind;
use hardway_proto::references::{
    CONTAINERS, IN_CONTAINER, IN_PERSISTENT_VOLUME, IN_SPEC, IN_VOLUME,
};
use std::collections::BTreeSet;

/// Words in the names of fields that lead to other objects, in lower case.
const WORDS: [&str; 6] = [
    "secret",
    "configmap",
    "claim",
    "serviceaccount",
    "trustbundle",
    "objectreference",
];

/// Fields that look like references and are none, each with the reason.
const NO_REFERENCES: [&str; 8] = [
    // A file on the node.
    "volumes.[].cephfs.secretFile",
    // A field of a token's volume, not a name of anything.
    "volumes.[].projected.sources.[].serviceAccountToken.audience",
    "volumes.[].projected.sources.[].serviceAccountToken.path",
    // The claim's name within the pod.
    "resourceClaims.[].name",
    // What is made from it is told by the pod's status.
    "resourceClaims.[].resourceClaimTemplateName",
    // Names of the pod's own resourceClaims.
    "resources.claims.[].name",
    "{containers}.[].resources.claims.[].name",
    "{containers}.[].resources.claims.[].request",
];

/// Every text within a schema, as a path.
fn texts(schema: &Schema, path: &str, found: &mut BTreeSet<String>) {
    let below = |name: &str| match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    };
    if let Some(items) = schema.items() {
        return texts(&items, &below("[]"), found);
    }
    let fields = &schema.node().fields;
    for name in fields.keys() {
        texts(
            &schema.field(name).expect("it is listed"),
            &below(name),
            found,
        );
    }
    if fields.is_empty() && schema.node().ty == super::Type::String {
        found.insert(path.to_owned());
    }
}

/// The texts of a spec that may name another object: of what lies below a
/// field that sounds like it, those that are called like a name, and with it
/// all whose own name sounds like it. A claim's template is another object.
fn suspects(kind_name: &str) -> BTreeSet<String> {
    let spec = kind("", "v1", kind_name)
        .and_then(|schema| schema.field("spec"))
        .expect("a built-in kind with a spec");
    let mut all = BTreeSet::new();
    texts(&spec, "", &mut all);
    all.retain(|path| {
        let lower = path.to_lowercase();
        let last = lower.rsplit('.').next().unwrap_or_default();
        let parents = lower.trim_end_matches(last);
        let sounds = |text: &str| WORDS.iter().any(|word| text.contains(word));
        let is_name = last.ends_with("name") && last != "drivername";
        (sounds(last) || sounds(parents) && is_name) && !path.contains("volumeClaimTemplate")
    });
    all
}

#[test]
fn every_reference_of_a_pod_is_known() {
    let mut known: BTreeSet<String> = IN_SPEC.iter().map(|(path, _)| (*path).to_owned()).collect();
    known.extend(
        IN_VOLUME
            .iter()
            .map(|(path, _)| format!("volumes.[].{path}")),
    );
    for list in CONTAINERS {
        known.extend(
            IN_CONTAINER
                .iter()
                .map(|(path, _)| format!("{list}.[].{path}")),
        );
        known.extend(
            NO_REFERENCES
                .iter()
                .map(|path| path.replace("{containers}", list)),
        );
    }
    let unknown: Vec<String> = suspects("Pod").difference(&known).cloned().collect();
    assert_eq!(
        unknown, [""; 0],
        "not in the tables of proto/src/references.rs"
    );
}

#[test]
fn the_table_has_no_misspelt_places() {
    let spec = kind("", "v1", "Pod").and_then(|schema| schema.field("spec"));
    let mut all = BTreeSet::new();
    texts(&spec.expect("pods have a spec"), "", &mut all);
    for (path, _) in IN_SPEC {
        assert!(all.contains(*path), "{path}");
    }
    for (path, _) in IN_VOLUME {
        assert!(all.contains(&format!("volumes.[].{path}")), "{path}");
    }
    for (list, (path, _)) in CONTAINERS
        .iter()
        .flat_map(|list| IN_CONTAINER.iter().map(move |place| (list, place)))
    {
        assert!(all.contains(&format!("{list}.[].{path}")), "{list} {path}");
    }
}

#[test]
fn every_secret_of_a_volume_is_known() {
    let known = |path: &String| {
        let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
        IN_PERSISTENT_VOLUME.contains(&parent)
            // Controllers read these, kubelets don't.
            || parent.starts_with("csi.controller")
            // A file on the node.
            || path == "cephfs.secretFile"
    };
    let unknown: Vec<String> = suspects("PersistentVolume")
        .into_iter()
        .filter(|path| path.to_lowercase().contains("secret") && !known(path))
        .collect();
    assert_eq!(
        unknown, [""; 0],
        "not in the tables of proto/src/references.rs"
    );
}
