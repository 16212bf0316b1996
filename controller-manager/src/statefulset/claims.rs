//! The claims of a StatefulSet's pods: made of its templates, one for each
//! ordinal, and kept or deleted with the pod or the set as
//! `persistentVolumeClaimRetentionPolicy` says: by who owns them, so that the
//! garbage collector does it.

use super::identity;
use hardway_proto::Kind;
use hardway_proto::meta::controller_ref;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

/// The templates.
pub fn templates(set: &StatefulSet) -> &[PersistentVolumeClaim] {
    let templates = set.spec.as_ref().map(|s| &s.volume_claim_templates);
    templates.and_then(|t| t.as_deref()).unwrap_or_default()
}

/// The name of the claim of a template for a pod's ordinal.
pub fn name(template: &PersistentVolumeClaim, set: &StatefulSet, ordinal: i32) -> String {
    format!("{}-{}", template.name(), identity::pod_name(set, ordinal))
}

/// The claims of a pod's ordinal, to be created.
pub fn of(set: &StatefulSet, ordinal: i32) -> Vec<PersistentVolumeClaim> {
    let selector = set.spec.as_ref().map(|s| &s.selector);
    let selected = selector
        .and_then(|s| s.match_labels.clone())
        .unwrap_or_default();
    let claims = templates(set).iter().map(|template| {
        let mut claim = template.clone();
        claim.metadata.name = Some(name(template, set, ordinal));
        claim.metadata.namespace = Some(set.namespace().into());
        let labels = claim.metadata.labels.get_or_insert_default();
        labels.extend(selected.clone());
        claim
    });
    claims.collect()
}

/// Whether claims are deleted with the set, and when it is scaled down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Retention {
    deletes_with_set: bool,
    deletes_when_scaled: bool,
}

impl Retention {
    fn of(set: &StatefulSet) -> Self {
        let policy = set.spec.as_ref();
        let policy = policy.and_then(|s| s.persistent_volume_claim_retention_policy.as_ref());
        let deletes = |field: Option<&String>| field.map(String::as_str) == Some("Delete");
        Self {
            deletes_with_set: deletes(policy.and_then(|p| p.when_deleted.as_ref())),
            deletes_when_scaled: deletes(policy.and_then(|p| p.when_scaled.as_ref())),
        }
    }
}

fn references(claim: &PersistentVolumeClaim) -> &[OwnerReference] {
    claim
        .metadata
        .owner_references
        .as_deref()
        .unwrap_or_default()
}

/// Whether a reference is to an object of this kind and name, whatever its UID.
fn names<K: Kind>(reference: &OwnerReference, object: &K) -> bool {
    reference.api_version == K::api_version()
        && reference.kind == K::KIND
        && reference.name == object.name()
}

fn is_owned_by<K: Kind>(claim: &PersistentVolumeClaim, object: &K) -> bool {
    references(claim).iter().any(|r| r.uid == object.uid())
}

fn is_owned_by_former<K: Kind>(claim: &PersistentVolumeClaim, object: &K) -> bool {
    let mut owners = references(claim).iter();
    owners.any(|r| names(r, object) && r.uid != object.uid())
}

/// Whether the claim belonged to a former pod of this name, and is about to
/// go with it: a new pod has to wait for a new claim.
pub fn goes_with_former_pod(claim: &PersistentVolumeClaim, set: &StatefulSet, pod: &Pod) -> bool {
    Retention::of(set).deletes_when_scaled && is_owned_by_former(claim, pod)
}

/// Whether somebody else controls the claim, where the policy asks for us to.
pub fn is_anothers(claim: &PersistentVolumeClaim, set: &StatefulSet, pod: &Pod) -> bool {
    let retention = Retention::of(set);
    if !retention.deletes_with_set && !retention.deletes_when_scaled {
        return false;
    }
    references(claim).iter().any(|reference| {
        if names(reference, set) {
            reference.uid != set.uid()
        } else if names(reference, pod) {
            reference.uid != pod.uid()
        } else {
            reference.controller == Some(true)
        }
    })
}

/// Who shall own the claim: the set, the pod.
fn owners(set: &StatefulSet, ordinal: i32) -> (bool, bool) {
    let Retention {
        deletes_with_set,
        deletes_when_scaled,
    } = Retention::of(set);
    let spec = set.spec.as_ref();
    let scaled_down = !spec.is_some_and(|spec| identity::is_in_range(spec, ordinal));
    match deletes_when_scaled && scaled_down {
        true => (false, true),
        false => (deletes_with_set, false),
    }
}

/// The claim with the owners that the policy asks for, if it has others now.
/// One of a former set or pod is left to the garbage collector.
pub fn with_owners(
    claim: &PersistentVolumeClaim,
    set: &StatefulSet,
    pod: &Pod,
    ordinal: i32,
) -> Option<PersistentVolumeClaim> {
    if is_owned_by_former(claim, set) || is_owned_by_former(claim, pod) {
        return None;
    }
    let (by_set, by_pod) = match is_anothers(claim, set, pod) {
        true => (false, false),
        false => owners(set, ordinal),
    };
    let ours = |r: &OwnerReference| r.uid == set.uid() || r.uid == pod.uid();
    let is_controller = |r: &OwnerReference| r.controller == Some(true);
    if (is_owned_by(claim, set), is_owned_by(claim, pod)) == (by_set, by_pod)
        && references(claim)
            .iter()
            .all(|r| !ours(r) || is_controller(r))
    {
        return None;
    }
    let mut references: Vec<_> = references(claim).to_vec();
    references.retain(|r| !names(r, set) && !names(r, pod));
    if by_set {
        references.push(controller_ref(set));
    }
    if by_pod {
        references.push(controller_ref(pod));
    }
    let mut owned = claim.clone();
    owned.metadata.owner_references = Some(references);
    Some(owned)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ready, set};
    use super::*;
    use serde_json::{Value, json};

    fn with_policy(when_deleted: &str, when_scaled: &str) -> StatefulSet {
        set(json!({
            "replicas": 2,
            "volumeClaimTemplates": [{"metadata": {"name": "data", "labels": {"a": "b"}}, "spec": {}}],
            "persistentVolumeClaimRetentionPolicy":
                {"whenDeleted": when_deleted, "whenScaled": when_scaled},
        }))
    }

    fn claim(owners: Value) -> PersistentVolumeClaim {
        let object = json!({"metadata": {"name": "data-db-1", "ownerReferences": owners}});
        serde_json::from_value(object).unwrap()
    }

    fn owner(kind: &str, name: &str, uid: &str) -> Value {
        let version = if kind == "Pod" { "v1" } else { "apps/v1" };
        json!({"apiVersion": version, "kind": kind, "name": name, "uid": uid, "controller": true})
    }

    #[test]
    fn claims_are_named_and_labelled_after_the_set() {
        let claims = of(&with_policy("Retain", "Retain"), 1);
        assert_eq!(claims.len(), 1);
        let labels = claims[0].metadata.labels.as_ref().unwrap();
        assert_eq!(claims[0].name(), "data-db-1");
        assert_eq!(claims[0].namespace(), "d");
        assert_eq!((labels["app"].as_str(), labels["a"].as_str()), ("db", "b"));
    }

    /// The kinds of owners that a claim without any gets.
    fn owners_of(set: &StatefulSet, ordinal: i32) -> Vec<String> {
        let pod = ready(set, ordinal, "r");
        let owned = with_owners(&claim(json!([])), set, &pod, ordinal);
        let owners = owned.and_then(|c| c.metadata.owner_references);
        let kinds = owners.into_iter().flatten().map(|r| r.kind);
        kinds.collect()
    }

    #[test]
    fn owners_follow_the_policy() {
        // deleted, scaled; within the range, beyond it.
        let table: [(&str, &str, &[&str], &[&str]); 4] = [
            ("Retain", "Retain", &[], &[]),
            ("Delete", "Retain", &["StatefulSet"], &["StatefulSet"]),
            ("Retain", "Delete", &[], &["Pod"]),
            ("Delete", "Delete", &["StatefulSet"], &["Pod"]),
        ];
        for (deleted, scaled, within, beyond) in table {
            let set = with_policy(deleted, scaled);
            assert_eq!(owners_of(&set, 1), within, "{deleted} {scaled}");
            assert_eq!(owners_of(&set, 2), beyond, "{deleted} {scaled}");
        }
    }

    #[test]
    fn owners_change_with_the_policy_and_strangers_stay() {
        let pod = |set: &StatefulSet| ready(set, 1, "r");
        let change = |set: &StatefulSet, owners: Value| -> Option<Vec<String>> {
            let owned = with_owners(&claim(owners), set, &pod(set), 1)?;
            let owners = owned.metadata.owner_references.into_iter().flatten();
            Some(owners.map(|r| r.kind).collect())
        };
        let ours = || owner("StatefulSet", "db", "set");
        let retain = with_policy("Retain", "Retain");
        assert_eq!(change(&retain, json!([ours()])), Some(vec![]));
        let stranger = || owner("Backup", "nightly", "b");
        assert_eq!(change(&retain, json!([stranger()])), None);
        let delete = with_policy("Delete", "Delete");
        assert_eq!(change(&delete, json!([ours()])), None);
        let mut lax = ours();
        lax["controller"] = json!(false);
        assert_eq!(
            change(&delete, json!([lax])),
            Some(vec!["StatefulSet".to_owned()])
        );
        // Another controller has it: no second one.
        assert!(is_anothers(
            &claim(json!([stranger()])),
            &delete,
            &pod(&delete)
        ));
        assert_eq!(change(&delete, json!([stranger()])), None);
        assert_eq!(
            change(&delete, json!([stranger(), ours()])),
            Some(vec!["Backup".to_owned()])
        );
        // A set of the same name was there before.
        assert_eq!(
            change(&delete, json!([owner("StatefulSet", "db", "old")])),
            None
        );
    }

    #[test]
    fn a_claim_that_goes_with_the_pod_before_is_not_for_the_next() {
        let claim = claim(json!([owner("Pod", "db-1", "before")]));
        let goes = |scaled| {
            let set = with_policy("Retain", scaled);
            goes_with_former_pod(&claim, &set, &ready(&set, 1, "r"))
        };
        assert!(goes("Delete"));
        assert!(!goes("Retain"));
    }
}
