//! What a pod of a StatefulSet is like: its name, its labels, its volumes.

use super::claims;
use crate::controller_revision::POD_LABEL;
use crate::pod_control::pod_of;
use hardway_proto::Kind;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume};

/// The label with the pod's name, so that a Service can select one pod.
const NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
/// The label with the pod's ordinal.
const INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";

/// The lowest ordinal.
pub fn start(spec: &StatefulSetSpec) -> i32 {
    let ordinals = spec.ordinals.as_ref();
    ordinals.and_then(|o| o.start).unwrap_or(0)
}

/// How many pods there shall be.
pub fn replicas(spec: &StatefulSetSpec) -> i32 {
    spec.replicas.unwrap_or(1)
}

/// Whether there shall be a pod of this ordinal.
pub fn is_in_range(spec: &StatefulSetSpec, ordinal: i32) -> bool {
    let start = start(spec);
    (start..start.saturating_add(replicas(spec))).contains(&ordinal)
}

/// The ordinal of a pod with this name, if it is one of the set's.
pub fn ordinal(set: &StatefulSet, pod: &str) -> Option<i32> {
    let text = pod.strip_prefix(set.name())?.strip_prefix('-')?;
    let ordinal: i32 = text.parse().ok()?;
    (ordinal.to_string() == text && ordinal >= 0).then_some(ordinal)
}

/// The name of the pod with this ordinal.
pub fn pod_name(set: &StatefulSet, ordinal: i32) -> String {
    format!("{}-{ordinal}", set.name())
}

/// The name of the revision that a pod was made of.
pub fn revision(pod: &Pod) -> &str {
    let labels = pod.metadata.labels.as_ref();
    let revision = labels.and_then(|l| l.get(POD_LABEL));
    revision.map(String::as_str).unwrap_or_default()
}

/// A new pod.
pub fn pod(set: &StatefulSet, template: &PodTemplateSpec, revision: &str, ordinal: i32) -> Pod {
    let mut pod = pod_of(set, template);
    pod.metadata.name = Some(pod_name(set, ordinal));
    label(&mut pod, ordinal);
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(POD_LABEL.into(), revision.into());
    mount(set, &mut pod, ordinal);
    let spec = pod.spec.get_or_insert_default();
    spec.hostname = pod.metadata.name.clone();
    let service = set.spec.as_ref().and_then(|s| s.service_name.clone());
    spec.subdomain = service.filter(|name| !name.is_empty());
    pod
}

fn label(pod: &mut Pod, ordinal: i32) {
    let name = pod.name().to_owned();
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(NAME_LABEL.into(), name);
    labels.insert(INDEX_LABEL.into(), ordinal.to_string());
}

/// Puts the claims of the ordinal in place of volumes of their names.
fn mount(set: &StatefulSet, pod: &mut Pod, ordinal: i32) {
    let templates = claims::templates(set);
    if templates.is_empty() {
        return;
    }
    let volumes = pod
        .spec
        .get_or_insert_default()
        .volumes
        .get_or_insert_default();
    volumes.retain(|volume| templates.iter().all(|claim| claim.name() != volume.name));
    let claims = templates.iter().map(|claim| Volume {
        name: claim.name().into(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: claims::name(claim, set, ordinal),
            read_only: None,
        }),
        ..Default::default()
    });
    let others = std::mem::take(volumes);
    *volumes = claims.chain(others).collect();
}

/// Whether a pod carries its name as a label.
fn is_labelled(pod: &Pod) -> bool {
    let labels = pod.metadata.labels.as_ref();
    labels.and_then(|l| l.get(NAME_LABEL)).map(String::as_str) == Some(pod.name())
}

/// Whether a pod has the volumes of all its claims.
fn is_mounted(set: &StatefulSet, pod: &Pod, ordinal: i32) -> bool {
    claims::templates(set).iter().all(|claim| {
        let volumes = pod.spec.iter().flat_map(|s| s.volumes.iter().flatten());
        let mut sources = volumes
            .filter(|volume| volume.name == claim.name())
            .filter_map(|volume| volume.persistent_volume_claim.as_ref());
        sources.any(|source| source.claim_name == claims::name(claim, set, ordinal))
    })
}

/// The pod as it should be, if it isn't: an adopted one may lack what belongs
/// to its ordinal.
pub fn repaired(set: &StatefulSet, pod: &Pod, ordinal: i32) -> Option<Pod> {
    let (labelled, mounted) = (is_labelled(pod), is_mounted(set, pod, ordinal));
    if labelled && mounted {
        return None;
    }
    let mut repaired = pod.clone();
    if !labelled {
        label(&mut repaired, ordinal);
    }
    if !mounted {
        mount(set, &mut repaired, ordinal);
    }
    Some(repaired)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{set, template};
    use super::*;
    use serde_json::json;

    #[test]
    fn names_tell_the_ordinal() {
        let set = set(json!({}));
        assert_eq!(pod_name(&set, 3), "db-3");
        assert_eq!(ordinal(&set, "db-3"), Some(3));
        for stranger in [
            "db-", "db-x", "db-03", "db-+3", "db--3", "other-3", "db-a-3",
        ] {
            assert_eq!(ordinal(&set, stranger), None, "{stranger}");
        }
    }

    #[test]
    fn the_range_begins_where_it_is_told_to() {
        let spec = set(json!({"replicas": 2, "ordinals": {"start": 5}}))
            .spec
            .unwrap();
        let inside: Vec<i32> = (0..10).filter(|n| is_in_range(&spec, *n)).collect();
        assert_eq!(inside, [5, 6]);
    }

    #[test]
    fn a_pod_has_name_host_labels_and_claims_of_its_ordinal() {
        let set = set(json!({
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}],
        }));
        let mut template = template("db:1");
        let volumes = json!([{"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}]);
        let spec = template.spec.as_mut().unwrap();
        spec.volumes = serde_json::from_value(volumes).unwrap();
        let pod = pod(&set, &template, "db-abc", 4);
        let labels = pod.metadata.labels.as_ref().unwrap();
        let label = |key: &str| labels[key].as_str();
        assert_eq!(pod.name(), "db-4");
        assert_eq!(label("app"), "db");
        assert_eq!(label("statefulset.kubernetes.io/pod-name"), "db-4");
        assert_eq!(label("apps.kubernetes.io/pod-index"), "4");
        assert_eq!(label("controller-revision-hash"), "db-abc");
        assert_eq!(revision(&pod), "db-abc");
        let spec = pod.spec.as_ref().unwrap();
        assert_eq!(spec.hostname.as_deref(), Some("db-4"));
        assert_eq!(spec.subdomain.as_deref(), Some("peers"));
        let volumes = serde_json::to_value(&spec.volumes).unwrap();
        let claim = json!({"claimName": "data-db-4"});
        assert_eq!(
            volumes,
            json!([{"name": "data", "persistentVolumeClaim": claim}, {"name": "tmp", "emptyDir": {}}])
        );
        assert_eq!(repaired(&set, &pod, 4), None);
        let mut adopted = pod.clone();
        adopted.metadata.labels.as_mut().unwrap().remove(NAME_LABEL);
        assert_eq!(repaired(&set, &adopted, 4), Some(pod));
    }
}
