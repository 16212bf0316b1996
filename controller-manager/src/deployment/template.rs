//! The pod template: what makes two of them the same, the hash that tells
//! their pods apart, and the ReplicaSet that is made of one.

use crate::hashes;
use hardway_proto::Kind;
use hardway_proto::meta::controller_ref;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;

/// The label with a template's hash, on ReplicaSets and their pods.
pub const HASH_LABEL: &str = "pod-template-hash";

/// The longest name an object can have.
const LONGEST_NAME: usize = 253;

/// The template without its hash label.
pub fn without_hash(template: &PodTemplateSpec) -> PodTemplateSpec {
    let mut plain = template.clone();
    let metadata = plain.metadata.get_or_insert_default();
    if let Some(labels) = &mut metadata.labels {
        labels.remove(HASH_LABEL);
    }
    metadata.labels = metadata.labels.take().filter(|labels| !labels.is_empty());
    metadata.annotations = metadata.annotations.take().filter(|a| !a.is_empty());
    plain
}

/// Whether two templates make the same pods, whatever their hash labels.
pub fn same(a: &PodTemplateSpec, b: &PodTemplateSpec) -> bool {
    without_hash(a) == without_hash(b)
}

/// A template's hash; `collisions` makes it another one.
pub fn hash(template: &PodTemplateSpec, collisions: Option<i32>) -> String {
    let json = serde_json::to_vec(template).expect("API objects have string keys only");
    let salt = collisions.map(i32::to_le_bytes).unwrap_or_default();
    let salt: &[u8] = if collisions.is_some() { &salt } else { &[] };
    hashes::of(json.iter().chain(salt))
}

/// The name of the ReplicaSet of a template.
fn name(deployment: &str, hash: &str) -> String {
    let room = LONGEST_NAME - hash.len() - 1;
    let kept = deployment.get(..room).unwrap_or(deployment);
    format!("{kept}-{hash}")
}

/// A new ReplicaSet with the Deployment's template.
pub fn replica_set(deployment: &Deployment, size: i32) -> Option<ReplicaSet> {
    let spec = deployment.spec.as_ref()?;
    let collisions = deployment.status.as_ref().and_then(|s| s.collision_count);
    let hash = hash(&spec.template, collisions);
    let mut template = spec.template.clone();
    let labels = template.metadata.get_or_insert_default();
    let labels = labels.labels.get_or_insert_default();
    labels.insert(HASH_LABEL.into(), hash.clone());
    let labels = labels.clone();
    let mut selector = spec.selector.clone();
    let selected = selector.match_labels.get_or_insert_default();
    selected.insert(HASH_LABEL.into(), hash.clone());
    let mut set = ReplicaSet {
        spec: Some(ReplicaSetSpec {
            replicas: Some(size),
            min_ready_seconds: spec.min_ready_seconds,
            selector,
            template: Some(template),
        }),
        ..Default::default()
    };
    set.metadata.name = Some(name(deployment.name(), &hash));
    set.metadata.namespace = Some(deployment.namespace().into());
    set.metadata.labels = Some(labels);
    set.metadata.owner_references = Some(vec![controller_ref(deployment)]);
    Some(set)
}

#[cfg(test)]
mod tests {
    use super::super::testing::deployment;
    use super::*;

    #[test]
    fn hashes_are_stable_and_differ_with_collisions() {
        let template = &deployment(1).spec.unwrap().template;
        assert_eq!(hash(template, None), hash(template, None));
        assert_ne!(hash(template, None), hash(template, Some(1)));
        assert_ne!(hash(template, Some(1)), hash(template, Some(2)));
        let mut other = template.clone();
        other.spec.as_mut().unwrap().containers[0].image = Some("app:2".into());
        assert_ne!(hash(template, None), hash(&other, None));
        assert!(!same(template, &other));
    }

    #[test]
    fn a_set_carries_the_hash_and_still_has_the_same_template() {
        let deployment = deployment(2);
        let set = replica_set(&deployment, 1).unwrap();
        let spec = set.spec.as_ref().unwrap();
        let hash = hash(&deployment.spec.as_ref().unwrap().template, None);
        assert_eq!(set.name(), format!("web-{hash}"));
        assert_eq!(set.metadata.labels.as_ref().unwrap()[HASH_LABEL], hash);
        let selected = spec.selector.match_labels.as_ref().unwrap();
        assert_eq!(
            (selected["app"].as_str(), &selected[HASH_LABEL]),
            ("web", &hash)
        );
        let template = spec.template.as_ref().unwrap();
        assert!(same(template, &deployment.spec.as_ref().unwrap().template));
        assert_eq!(
            set.metadata.owner_references.as_ref().unwrap()[0].name,
            "web"
        );
    }

    #[test]
    fn long_names_make_room_for_the_hash() {
        assert_eq!(name(&"a".repeat(253), "bcd").len(), 253);
        assert!(name(&"a".repeat(253), "bcd").ends_with("a-bcd"));
        assert_eq!(name("web", "bcd"), "web-bcd");
    }
}
