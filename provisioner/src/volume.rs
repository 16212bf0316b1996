//! The volume that is made for a claim, and what comes next for it.

use crate::claim::Place;
use hardway_proto::Kind;
use hardway_proto::claims::{PROVISIONED_BY, annotation, reference_to};
use k8s_openapi::api::core::v1::{
    LocalVolumeSource, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PersistentVolume,
    PersistentVolumeClaim, PersistentVolumeSpec, VolumeNodeAffinity,
};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Holds a volume until its folder is gone, also if the volume is deleted before its claim.
pub const FINALIZER: &str = "external-provisioner.volume.kubernetes.io/finalizer";
/// On a volume: the node that has its folder.
pub const NODE: &str = "hardway.example/node";
const HOSTNAME: &str = "kubernetes.io/hostname";

/// The name of the volume for a claim.
pub fn name(claim: &PersistentVolumeClaim) -> String {
    format!("pvc-{}", claim.uid())
}

/// Its folder, with words for who looks at the disk.
pub fn folder(claim: &PersistentVolumeClaim, root: &Path) -> PathBuf {
    let name = name(claim);
    root.join(format!("{name}_{}_{}", claim.namespace(), claim.name()))
}

/// The volume for a claim, on the node of the place.
///
/// # Errors
/// If nothing ties it to the node.
pub fn new(
    claim: &PersistentVolumeClaim,
    class: &StorageClass,
    place: &Place<'_>,
) -> Result<PersistentVolume, String> {
    let node = place.node.name();
    let labels = place.node.metadata.labels.as_ref();
    let host = labels
        .and_then(|labels| labels.get(HOSTNAME))
        .ok_or_else(|| format!("node {node:?} has no label {HOSTNAME}"))?;
    let policy = class.reclaim_policy.as_deref().unwrap_or("Delete");
    let annotations = [(PROVISIONED_BY, place.provisioner), (NODE, node)];
    let annotations = annotations.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let spec = claim.spec.as_ref();
    let resources = spec.and_then(|spec| spec.resources.as_ref());
    let storage = resources.and_then(|r| r.requests.as_ref()?.get("storage").cloned());
    let here = NodeSelectorRequirement {
        key: HOSTNAME.into(),
        operator: "In".into(),
        values: Some(vec![host.clone()]),
    };
    let here = NodeSelectorTerm {
        match_expressions: Some(vec![here]),
        match_fields: None,
    };
    Ok(PersistentVolume {
        metadata: ObjectMeta {
            name: Some(name(claim)),
            annotations: Some(BTreeMap::from(annotations)),
            finalizers: (policy == "Delete").then(|| vec![FINALIZER.to_owned()]),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeSpec {
            access_modes: spec.and_then(|spec| spec.access_modes.clone()),
            capacity: storage.map(|amount| BTreeMap::from([("storage".to_owned(), amount)])),
            claim_ref: Some(reference_to(claim)),
            local: Some(LocalVolumeSource {
                fs_type: None,
                path: folder(claim, place.root).display().to_string(),
            }),
            node_affinity: Some(VolumeNodeAffinity {
                required: Some(NodeSelector {
                    node_selector_terms: vec![here],
                }),
            }),
            persistent_volume_reclaim_policy: Some(policy.to_owned()),
            storage_class_name: Some(class.name().to_owned()),
            volume_mode: Some("Filesystem".to_owned()),
            ..PersistentVolumeSpec::default()
        }),
        status: None,
    })
}

/// Where a volume's folder is.
pub fn path(volume: &PersistentVolume) -> &str {
    let local = volume.spec.as_ref().and_then(|spec| spec.local.as_ref());
    local.map_or("", |local| local.path.as_str())
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Nothing,
    /// It is to be held until its folder is gone.
    Hold,
    /// Its folder stays: nothing holds it.
    Release,
    /// Its folder goes, then it.
    Delete,
    /// It goes, as its node did with the folder.
    Forget,
}

/// Decides on node `node`. `is_node` says whether there is a node of a name.
pub fn next(
    volume: &PersistentVolume,
    provisioner: &str,
    node: &str,
    is_node: impl Fn(&str) -> bool,
) -> Step {
    let of = annotation(volume, NODE).unwrap_or_default();
    let is_gone = || !of.is_empty() && !is_node(of);
    if annotation(volume, PROVISIONED_BY) != Some(provisioner) || of != node && !is_gone() {
        return Step::Nothing;
    }
    let spec = volume.spec.as_ref();
    let policy = spec.and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
    let phase = volume.status.as_ref().and_then(|s| s.phase.as_deref());
    let is_held = holders(volume).any(|held| held == FINALIZER);
    match (policy, phase) {
        (Some("Delete"), Some("Released")) if of == node => Step::Delete,
        (Some("Delete"), Some("Released")) => Step::Forget,
        (Some("Delete"), _) if !is_held && volume.metadata.deletion_timestamp.is_none() => {
            Step::Hold
        }
        (Some("Delete"), _) => Step::Nothing,
        _ if is_held => Step::Release,
        _ => Step::Nothing,
    }
}

fn holders(volume: &PersistentVolume) -> impl Iterator<Item = &str> {
    let finalizers = volume.metadata.finalizers.iter().flatten();
    finalizers.map(String::as_str)
}

/// Its finalizers with or without ours.
pub fn finalizers(volume: &PersistentVolume, held: bool) -> Vec<&str> {
    let others = holders(volume).filter(|name| *name != FINALIZER);
    others.chain(held.then_some(FINALIZER)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{PROVISIONER_NAME, claim, class, node, place};
    use serde_json::json;

    fn made(policy: &str) -> PersistentVolume {
        let node = node("a");
        let class = class("WaitForFirstConsumer", json!({ "reclaimPolicy": policy }));
        new(&claim(json!({}), Some("a")), &class, &place(&node)).unwrap()
    }

    fn step(volume: &PersistentVolume, phase: &str, on: &str) -> Step {
        let mut volume = volume.clone();
        volume.status.get_or_insert_default().phase = Some(phase.into());
        next(&volume, PROVISIONER_NAME, on, |name| name != "gone")
    }

    #[test]
    fn a_volume_is_its_claims_and_its_nodes() {
        let volume = serde_json::to_value(made("Delete")).unwrap();
        let spec = &volume["spec"];
        assert_eq!(spec["capacity"]["storage"], "1Gi");
        assert_eq!(spec["accessModes"], json!(["ReadWriteOnce"]));
        assert_eq!(spec["storageClassName"], "local-path");
        assert_eq!(spec["local"]["path"], "/volumes/pvc-u_n_data");
        assert_eq!(spec["claimRef"]["uid"], "u");
        let terms = &spec["nodeAffinity"]["required"]["nodeSelectorTerms"];
        assert_eq!(
            terms[0]["matchExpressions"][0],
            json!({"key": "kubernetes.io/hostname", "operator": "In", "values": ["host-a"]})
        );
        assert_eq!(volume["metadata"]["finalizers"], json!([FINALIZER]));
        assert_eq!(made("Retain").metadata.finalizers, None);
    }

    #[test]
    fn a_released_volume_goes_with_its_folder_where_that_is() {
        let volume = made("Delete");
        assert_eq!(step(&volume, "Bound", "a"), Step::Nothing);
        assert_eq!(step(&volume, "Released", "a"), Step::Delete);
        assert_eq!(step(&volume, "Released", "b"), Step::Nothing);
        assert_eq!(step(&made("Retain"), "Released", "a"), Step::Nothing);
        let mut others = volume.clone();
        let annotations = others.metadata.annotations.as_mut().unwrap();
        annotations.insert(PROVISIONED_BY.into(), "x.io/p".into());
        assert_eq!(step(&others, "Released", "a"), Step::Nothing);
    }

    #[test]
    fn a_volume_outlives_no_node_for_ever() {
        let mut volume = made("Delete");
        let annotations = volume.metadata.annotations.as_mut().unwrap();
        annotations.insert(NODE.into(), "gone".into());
        assert_eq!(step(&volume, "Released", "a"), Step::Forget);
        assert_eq!(step(&volume, "Bound", "a"), Step::Nothing);
    }

    #[test]
    fn what_holds_it_follows_its_policy() {
        let mut volume = made("Delete");
        let policy = |volume: &mut PersistentVolume, policy: &str| {
            let spec = volume.spec.as_mut().unwrap();
            spec.persistent_volume_reclaim_policy = Some(policy.into());
        };
        policy(&mut volume, "Retain");
        assert_eq!(step(&volume, "Bound", "a"), Step::Release);
        let left = finalizers(&volume, false);
        volume.metadata.finalizers = Some(left.into_iter().map(str::to_owned).collect());
        assert_eq!(step(&volume, "Bound", "a"), Step::Nothing);
        policy(&mut volume, "Delete");
        assert_eq!(step(&volume, "Bound", "a"), Step::Hold);
        assert_eq!(finalizers(&volume, true), [FINALIZER]);
    }
}
