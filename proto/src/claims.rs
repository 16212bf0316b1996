//! Which volume a claim may have: what the controller that binds them and the scheduler
//! have to agree on (`k8s.io/component-helpers/storage/volume` and
//! `pkg/controller/volume/persistentvolume` of Kubernetes).

use crate::Kind;
use crate::labels::Selector;
use crate::meta::controller_of;
use crate::placement::term_matches;
use crate::quantity::Quantity;
use k8s_openapi::api::core::v1::{
    ObjectReference, PersistentVolume, PersistentVolumeClaim, Pod, Volume,
};
use k8s_openapi::api::storage::v1::StorageClass;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Where claims and volumes named their class before there was a field.
pub const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
/// On a claim: it and its volume name each other.
pub const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// On a claim or volume: a controller chose what it is bound to, and may choose anew.
pub const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
/// On a volume: who made it for its claim.
pub const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// On a claim: the node for whose pod a volume is to be made.
pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// On a claim: who is to make its volume.
pub const PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";

/// The same before 1.23, which some provisioners still look at.
pub const PROVISIONER_BETA: &str = "volume.beta.kubernetes.io/storage-provisioner";

/// What a class says whose volumes nobody makes.
pub const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// Why a claim can't have a volume that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// It is smaller than asked for.
    #[error("requested PV is too small")]
    Capacity,
    /// It is of another class.
    #[error("storageClassName does not match")]
    Class,
    /// One is a file system, the other a block device.
    #[error("incompatible volumeMode")]
    Mode,
    /// It can't be used in a way that is asked for.
    #[error("incompatible accessMode")]
    AccessMode,
}

/// An annotation of an object.
pub fn annotation<'a, K: Kind>(object: &'a K, name: &str) -> Option<&'a str> {
    let annotations = object.meta().annotations.as_ref()?;
    annotations.get(name).map(String::as_str)
}

/// The claim of one of a pod's volumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodClaim<'a> {
    /// Its name, in the pod's namespace.
    pub name: Cow<'a, str>,
    /// Whether it is made for this pod alone, and goes with it.
    pub is_ephemeral: bool,
}

/// The claim of a volume of a pod, if it has one.
pub fn of_volume<'a>(pod: &Pod, volume: &'a Volume) -> Option<PodClaim<'a>> {
    let is_ephemeral = volume.ephemeral.is_some();
    let name = match &volume.persistent_volume_claim {
        _ if is_ephemeral => Cow::Owned(format!("{}-{}", pod.name(), volume.name)),
        Some(claim) => Cow::Borrowed(claim.claim_name.as_str()),
        None => return None,
    };
    Some(PodClaim { name, is_ephemeral })
}

/// The claims of a pod's volumes, in their order.
pub fn of_volumes(pod: &Pod) -> impl Iterator<Item = PodClaim<'_>> {
    let volumes = pod.spec.iter().flat_map(|s| s.volumes.iter().flatten());
    volumes.filter_map(|volume| of_volume(pod, volume))
}

/// The claims that a pod's volumes name, or that are made for them, each once.
pub fn of_pod(pod: &Pod) -> BTreeSet<Cow<'_, str>> {
    of_volumes(pod).map(|claim| claim.name).collect()
}

/// Whether a claim was made for a pod: another may have had its name before.
///
/// # Errors
/// If not, in Kubernetes' words.
pub fn made_for(claim: &PersistentVolumeClaim, pod: &Pod) -> Result<(), String> {
    let is_owned = controller_of(&claim.metadata).is_some_and(|owner| owner.uid == pod.uid());
    match is_owned {
        true => Ok(()),
        false => Err(format!(
            "PVC {}/{} was not created for pod {}/{} (pod is not owner)",
            claim.namespace(),
            claim.name(),
            pod.namespace(),
            pod.name()
        )),
    }
}

/// Whether claims of a class wait for a pod that is scheduled.
pub fn waits_for_consumer(class: &StorageClass) -> bool {
    class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer")
}

/// Whether volumes of a class may be made for nodes with these labels.
pub fn allows_labels(class: &StorageClass, labels: &BTreeMap<String, String>) -> bool {
    let Some(terms) = class.allowed_topologies.as_ref().filter(|t| !t.is_empty()) else {
        return true;
    };
    terms.iter().any(|term| {
        let mut expressions = term.match_label_expressions.iter().flatten();
        expressions.all(|e| {
            let value = labels.get(&e.key);
            value.is_some_and(|value| e.values.contains(value))
        })
    })
}

/// The class of a claim: `None` if it names none, so that the default one counts; empty if
/// it wants a volume without a class.
pub fn class_of_claim(claim: &PersistentVolumeClaim) -> Option<&str> {
    let field = || claim.spec.as_ref()?.storage_class_name.as_deref();
    annotation(claim, CLASS_ANNOTATION).or_else(field)
}

/// The class of a volume, or `""`.
pub fn class_of_volume(volume: &PersistentVolume) -> &str {
    let field = || volume.spec.as_ref()?.storage_class_name.as_deref();
    let class = annotation(volume, CLASS_ANNOTATION).or_else(field);
    class.unwrap_or_default()
}

/// The claim that a volume is for.
pub fn claim_ref(volume: &PersistentVolume) -> Option<&ObjectReference> {
    volume.spec.as_ref()?.claim_ref.as_ref()
}

/// The volume that a claim names, or `""`.
pub fn volume_name(claim: &PersistentVolumeClaim) -> &str {
    let name = claim.spec.as_ref().and_then(|s| s.volume_name.as_deref());
    name.unwrap_or_default()
}

/// Whether a volume is for this claim; one that an administrator keeps for it names no UID.
pub fn is_for(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    claim_ref(volume).is_some_and(|of| {
        let uid = of.uid.as_deref().unwrap_or_default();
        of.name.as_deref() == Some(claim.name())
            && of.namespace.as_deref() == Some(claim.namespace())
            && (uid.is_empty() || uid == claim.uid())
    })
}

/// Whether a claim and its volume name each other.
pub fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    !volume_name(claim).is_empty() && annotation(claim, BIND_COMPLETED).is_some()
}

/// The size that a claim asks for.
pub fn requested(claim: &PersistentVolumeClaim) -> Quantity {
    let resources = claim.spec.as_ref().and_then(|s| s.resources.as_ref());
    let storage = resources.and_then(|r| r.requests.as_ref()?.get("storage"));
    storage.and_then(|q| q.0.parse().ok()).unwrap_or_default()
}

/// A volume's size.
pub fn capacity(volume: &PersistentVolume) -> Quantity {
    let capacity = volume.spec.as_ref().and_then(|s| s.capacity.as_ref());
    let storage = capacity.and_then(|c| c.get("storage"));
    storage.and_then(|q| q.0.parse().ok()).unwrap_or_default()
}

/// How a volume can be used, e.g. `ReadWriteOnce`.
fn modes_of_volume(volume: &PersistentVolume) -> &[String] {
    let spec = volume.spec.as_ref();
    spec.and_then(|s| s.access_modes.as_deref())
        .unwrap_or_default()
}

fn same_volume_mode(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    fn mode(mode: Option<&String>) -> &str {
        mode.map_or("Filesystem", String::as_str)
    }
    mode(volume.spec.as_ref().and_then(|s| s.volume_mode.as_ref()))
        == mode(claim.spec.as_ref().and_then(|s| s.volume_mode.as_ref()))
}

/// Whether a claim can have a volume that it names.
///
/// # Errors
/// The first reason against it.
pub fn satisfies(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Result<(), Mismatch> {
    if requested(claim) > capacity(volume) {
        return Err(Mismatch::Capacity);
    }
    if class_of_claim(claim).unwrap_or_default() != class_of_volume(volume) {
        return Err(Mismatch::Class);
    }
    if !same_volume_mode(volume, claim) {
        return Err(Mismatch::Mode);
    }
    match has_access_modes(volume, claim) {
        true => Ok(()),
        false => Err(Mismatch::AccessMode),
    }
}

/// Whether a claim asks to be used in a way, e.g. `ReadWriteOncePod`.
pub fn asks_for_mode(claim: &PersistentVolumeClaim, mode: &str) -> bool {
    let asked = claim.spec.as_ref().and_then(|s| s.access_modes.as_ref());
    asked.into_iter().flatten().any(|asked| asked == mode)
}

fn has_access_modes(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let asked = claim.spec.as_ref().and_then(|s| s.access_modes.as_ref());
    let modes = modes_of_volume(volume);
    asked.into_iter().flatten().all(|mode| modes.contains(mode))
}

/// Whether a volume can be used on a node.
pub fn allows_node(
    volume: &PersistentVolume,
    name: &str,
    labels: &BTreeMap<String, String>,
) -> bool {
    let affinity = volume.spec.as_ref().and_then(|s| s.node_affinity.as_ref());
    affinity
        .and_then(|a| a.required.as_ref())
        .is_none_or(|required| {
            let mut terms = required.node_selector_terms.iter();
            terms.any(|term| term_matches(term, name, labels))
        })
}

/// The volumes that come into question for a claim which names none.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    /// One that is kept for it. Then it gets no other: if that can't be used somewhere, the
    /// claim gets nothing there.
    pub kept: Option<Arc<PersistentVolume>>,
    /// Those that are free and large enough, the best first: with the fewest other uses, and
    /// of these the smallest.
    pub free: Vec<Arc<PersistentVolume>>,
}

/// Those of `volumes` that a claim could have, wherever it is used.
///
/// Claims whose selector can't be read match no volume.
pub fn candidates<'a>(
    claim: &PersistentVolumeClaim,
    volumes: impl Iterator<Item = &'a Arc<PersistentVolume>>,
) -> Candidates {
    let selector = claim.spec.as_ref().and_then(|s| s.selector.as_ref());
    let selector = match selector.map(Selector::from_label_selector) {
        None => Selector::everything(),
        Some(selector) => selector.unwrap_or_else(|_| Selector::nothing()),
    };
    let (none, asked) = (BTreeMap::new(), requested(claim));
    let suits = |volume: &PersistentVolume| {
        volume.metadata.deletion_timestamp.is_none()
            && same_volume_mode(volume, claim)
            && has_access_modes(volume, claim)
            && asked <= capacity(volume)
    };
    let class = class_of_claim(claim).unwrap_or_default();
    // The cheapest first: there may be many.
    let is_free = |volume: &PersistentVolume| {
        let phase = volume.status.as_ref().and_then(|s| s.phase.as_deref());
        claim_ref(volume).is_none()
            && phase == Some("Available")
            && class_of_volume(volume) == class
            && selector.matches(volume.metadata.labels.as_ref().unwrap_or(&none))
    };
    let mut found = Candidates::default();
    for volume in volumes {
        // What somebody keeps for it may be of another class.
        if is_for(volume, claim) && suits(volume) {
            found.kept.get_or_insert_with(|| volume.clone());
        } else if is_free(volume) && suits(volume) {
            found.free.push(volume.clone());
        }
    }
    found.free.sort_by_cached_key(|volume| {
        let modes = modes_of_volume(volume).len();
        (modes, capacity(volume), volume.name().to_owned())
    });
    found
}

/// The volume that a claim which names none gets: the best of the [`candidates`] that are
/// usable.
pub fn best_match(
    claim: &PersistentVolumeClaim,
    volumes: &[Arc<PersistentVolume>],
    usable: impl Fn(&PersistentVolume) -> bool,
) -> Option<Arc<PersistentVolume>> {
    let found = candidates(claim, volumes.iter());
    match found.kept {
        Some(volume) => usable(&volume).then_some(volume),
        None => found.free.into_iter().find(|volume| usable(volume)),
    }
}

/// The volume as it names a claim, so that nobody else gets it; `None` if it does.
pub fn kept_for(
    volume: &PersistentVolume,
    claim: &PersistentVolumeClaim,
) -> Option<PersistentVolume> {
    let former = claim_ref(volume);
    if former.is_some_and(|of| of.uid.as_deref() == Some(claim.uid())) {
        return None;
    }
    let mut new = volume.clone();
    if former.is_none() {
        let annotations = new.metadata.annotations.get_or_insert_default();
        annotations.insert(BOUND_BY_CONTROLLER.into(), "yes".into());
    }
    new.spec.get_or_insert_default().claim_ref = Some(reference_to(claim));
    Some(new)
}

/// How a volume names its claim.
pub fn reference_to(claim: &PersistentVolumeClaim) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".into()),
        kind: Some(PersistentVolumeClaim::KIND.into()),
        namespace: Some(claim.namespace().into()),
        name: Some(claim.name().into()),
        uid: Some(claim.uid().into()),
        resource_version: Some(claim.resource_version().into()),
        field_path: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn claim(spec: Value) -> PersistentVolumeClaim {
        let mut all = json!({"accessModes": ["ReadWriteOnce"], "storageClassName": "",
                             "resources": {"requests": {"storage": "1Gi"}}});
        for (field, value) in spec.as_object().unwrap() {
            all[field] = value.clone();
        }
        let metadata = json!({"name": "data", "namespace": "n", "uid": "u"});
        serde_json::from_value(json!({"metadata": metadata, "spec": all})).unwrap()
    }

    fn volume(name: &str, spec: Value) -> Arc<PersistentVolume> {
        let mut all = json!({"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
                             "hostPath": {"path": "/x"}});
        for (field, value) in spec.as_object().unwrap() {
            all[field] = value.clone();
        }
        let object = json!({"metadata": {"name": name, "labels": {"name": name}}, "spec": all,
                            "status": {"phase": "Available"}});
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn best(claim: &PersistentVolumeClaim, volumes: &[Arc<PersistentVolume>]) -> String {
        let best = best_match(claim, volumes, |_| true);
        best.map_or(String::new(), |volume| volume.name().to_owned())
    }

    #[test]
    fn the_smallest_that_is_large_enough_is_best() {
        let size = |size: &str| json!({"capacity": {"storage": size}});
        let volumes = [
            volume("small", size("500Mi")),
            volume("large", size("10Gi")),
            volume("fits", size("1Gi")),
        ];
        assert_eq!(best(&claim(json!({})), &volumes), "fits");
        let much = json!({"resources": {"requests": {"storage": "5Gi"}}});
        assert_eq!(best(&claim(much), &volumes), "large");
        let more = json!({"resources": {"requests": {"storage": "50Gi"}}});
        assert_eq!(best(&claim(more), &volumes), "");
    }

    #[test]
    fn few_other_uses_count_more_than_size() {
        let modes = json!(["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany"]);
        let volumes = [
            volume("many", json!({ "accessModes": modes })),
            volume("one", json!({"capacity": {"storage": "2Gi"}})),
        ];
        assert_eq!(best(&claim(json!({})), &volumes), "one");
        let shared = claim(json!({"accessModes": ["ReadWriteMany"]}));
        assert_eq!(best(&shared, &volumes), "many");
    }

    #[test]
    fn what_is_kept_for_a_claim_comes_first() {
        let of = |name: &str, uid: &str| {
            json!({"capacity": {"storage": "9Gi"},
                   "claimRef": {"namespace": "n", "name": name, "uid": uid}})
        };
        let mine = claim(json!({}));
        let volumes = [volume("free", json!({})), volume("kept", of("data", ""))];
        assert_eq!(best(&mine, &volumes), "kept");
        let volumes = [volume("free", json!({})), volume("former", of("data", "v"))];
        assert_eq!(best(&mine, &volumes), "free");
        let volumes = [volume("others", of("other", ""))];
        assert_eq!(best(&mine, &volumes), "");
        let mut kept = of("data", "");
        kept["storageClassName"] = json!("another");
        let volumes = [volume("free", json!({})), volume("kept", kept)];
        assert_eq!(best(&mine, &volumes), "kept", "whatever its class");
        let elsewhere = best_match(&mine, &volumes, |v| v.name() == "free");
        assert_eq!(elsewhere, None, "its data is not here");
    }

    #[test]
    fn classes_selectors_and_modes_must_fit() {
        let volumes = [
            volume("fast", json!({"storageClassName": "fast"})),
            volume("block", json!({"volumeMode": "Block"})),
            volume("plain", json!({})),
        ];
        assert_eq!(best(&claim(json!({})), &volumes), "plain");
        assert_eq!(
            best(&claim(json!({"storageClassName": "fast"})), &volumes),
            "fast"
        );
        assert_eq!(
            best(&claim(json!({"volumeMode": "Block"})), &volumes),
            "block"
        );
        let labels = json!({"selector": {"matchLabels": {"name": "other"}}});
        assert_eq!(best(&claim(labels), &volumes), "");
        let reason = |claim: &PersistentVolumeClaim| satisfies(&volumes[2], claim).unwrap_err();
        assert_eq!(
            reason(&claim(json!({"storageClassName": "x"}))),
            Mismatch::Class
        );
        let many = claim(json!({"accessModes": ["ReadWriteMany"]}));
        assert_eq!(reason(&many).to_string(), "incompatible accessMode");
    }

    #[test]
    fn a_pods_own_claims_are_known_by_its_name() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"namespace": "n", "name": "web", "uid": "p"}, "spec": {"containers": [],
            "volumes": [{"name": "scratch", "ephemeral": {}}, {"name": "tmp", "emptyDir": {}},
                        {"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]}}))
        .unwrap();
        let names: Vec<_> = of_pod(&pod).into_iter().collect();
        assert_eq!(names, ["data", "web-scratch"]);
        let mut made = claim(json!({}));
        let why = made_for(&made, &pod).unwrap_err();
        assert_eq!(
            why,
            "PVC n/data was not created for pod n/web (pod is not owner)"
        );
        made.metadata.owner_references = Some(vec![crate::meta::controller_ref(&pod)]);
        assert_eq!(made_for(&made, &pod), Ok(()));
    }

    #[test]
    fn a_local_volume_is_usable_on_its_node() {
        let affinity = json!({"nodeAffinity": {"required": {"nodeSelectorTerms": [{
            "matchExpressions": [{"key": "host", "operator": "In", "values": ["a"]}]}]}}});
        let local = volume("local", affinity);
        let labels = |host: &str| BTreeMap::from([("host".to_owned(), host.to_owned())]);
        assert!(allows_node(&local, "node", &labels("a")));
        assert!(!allows_node(&local, "node", &labels("b")));
        assert!(allows_node(&volume("any", json!({})), "node", &labels("b")));
    }
}
