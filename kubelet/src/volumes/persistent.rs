//! Volumes that outlive pods: the claim that a pod names, and what it is bound to.

use super::plugin::{Persistent, VolumeHost};
use hardway_proto::Kind;
use hardway_proto::claims::{PodClaim, allows_node, is_bound, is_for, made_for, volume_name};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};

/// What a pod's volume has of a claim, if this pod and this node may have it.
///
/// # Errors
/// Why it can't be had, in Kubernetes' words where it has them.
pub(super) async fn find(
    host: &VolumeHost,
    pod: &Pod,
    claim: &PodClaim<'_>,
) -> Result<Persistent, String> {
    let found = find_bound(host, pod.namespace(), &claim.name).await?;
    if claim.is_ephemeral {
        // Who made it for something else didn't mean it for this pod.
        made_for(&found.claim, pod)?;
    }
    Ok(found)
}

/// The claim of this name and its volume, if this node may have it.
async fn find_bound(
    host: &VolumeHost,
    namespace: &str,
    claim_name: &str,
) -> Result<Persistent, String> {
    let objects = host.objects.as_ref();
    let claim = objects
        .claim(namespace, claim_name)
        .await
        .map_err(|e| format!("failed to fetch PVC from API server: {e}"))?;
    check_claim(&claim)?;
    let volume = objects.volume(volume_name(&claim)).await.map_err(|e| {
        format!(
            "failed to fetch PV {:?} from API server: {e}",
            volume_name(&claim)
        )
    })?;
    if volume
        .spec
        .as_ref()
        .is_some_and(|s| s.node_affinity.is_some())
    {
        // A pod may name its node itself, past the scheduler.
        let node = objects.node().await.map_err(|e| e.to_string())?;
        let labels = node.metadata.labels.clone().unwrap_or_default();
        if !allows_node(&volume, node.name(), &labels) {
            let why = "MountVolume.NodeAffinity check failed: no matching NodeSelectorTerms";
            return Err(why.to_owned());
        }
    }
    check_volume(&volume, &claim)?;
    Ok(Persistent { claim, volume })
}

fn check_claim(claim: &PersistentVolumeClaim) -> Result<(), String> {
    if claim.metadata.deletion_timestamp.is_some() {
        return Err("PVC is being deleted".to_owned());
    }
    match is_bound(claim) {
        true => Ok(()),
        false => Err("PVC is not bound".to_owned()),
    }
}

fn check_volume(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Result<(), String> {
    match is_for(volume, claim) {
        true => Ok(()),
        false => Err(format!(
            "PV {:?} is not bound to the expected PVC {}/{}",
            volume.name(),
            claim.namespace(),
            claim.name()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::downward::Facts;
    use crate::objects::fake::Fake;
    use crate::volumes::system::fake;
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn claim(more: Value) -> PersistentVolumeClaim {
        let mut metadata = json!({"name": "data", "namespace": "n", "uid": "u", "annotations":
            {"pv.kubernetes.io/bind-completed": "yes"}});
        for (field, value) in more.as_object().unwrap() {
            metadata[field] = value.clone();
        }
        let object = json!({"metadata": metadata, "spec": {"volumeName": "v"}});
        serde_json::from_value(object).unwrap()
    }

    fn host(objects: Fake) -> VolumeHost {
        VolumeHost {
            root: "/nowhere".into(),
            objects: Arc::new(objects),
            system: Arc::new(fake::Fake::default()),
            facts: Facts::default(),
        }
    }

    #[test]
    fn a_claim_must_be_bound_and_stay() {
        assert_eq!(check_claim(&claim(json!({}))), Ok(()));
        let unbound = claim(json!({"annotations": {}}));
        assert_eq!(check_claim(&unbound), Err("PVC is not bound".to_owned()));
        let gone = claim(json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}));
        assert_eq!(check_claim(&gone), Err("PVC is being deleted".to_owned()));
    }

    #[test]
    fn only_the_claims_own_volume_is_mounted() {
        let volume = |uid: &str| -> PersistentVolume {
            let of = json!({"namespace": "n", "name": "data", "uid": uid});
            let spec = json!({"local": {"path": "/disk"}, "claimRef": of});
            serde_json::from_value(json!({"metadata": {"name": "v"}, "spec": spec})).unwrap()
        };
        assert_eq!(check_volume(&volume("u"), &claim(json!({}))), Ok(()));
        let others = check_volume(&volume("other"), &claim(json!({}))).unwrap_err();
        assert_eq!(others, r#"PV "v" is not bound to the expected PVC n/data"#);
    }

    #[tokio::test]
    async fn a_claims_volume_is_found() {
        let local = host(Fake::default().with_claim(json!({"local": {"path": "/"}})));
        let found = find_bound(&local, "n", "data").await.unwrap();
        assert_eq!((found.volume.name(), found.claim.name()), ("v", "data"));
        let affinity = |host: &str| {
            json!({"local": {"path": "/"}, "nodeAffinity": {"required": {"nodeSelectorTerms": [{
                "matchExpressions": [{"key": "host", "operator": "In", "values": [host]}]}]}}})
        };
        let here = host(Fake::default().with_claim(affinity("here")));
        assert!(find_bound(&here, "n", "data").await.is_ok());
        let there = host(Fake::default().with_claim(affinity("there")));
        let refused = find_bound(&there, "n", "data").await.unwrap_err();
        assert!(
            refused.contains("no matching NodeSelectorTerms"),
            "{refused}"
        );
        let missing = find_bound(&local, "n", "other").await.unwrap_err();
        assert!(missing.contains("persistentvolumeclaim"), "{missing}");
    }

    #[tokio::test]
    async fn a_pod_gets_the_claim_that_was_made_for_it_alone() {
        let local = host(Fake::default().with_claim(json!({"local": {"path": "/"}})));
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "web", "namespace": "n",
            "uid": "1"}}))
        .unwrap();
        let claim = |is_ephemeral: bool| PodClaim {
            name: "data".into(),
            is_ephemeral,
        };
        assert!(find(&local, &pod, &claim(false)).await.is_ok());
        let refused = find(&local, &pod, &claim(true)).await.unwrap_err();
        let expected = "PVC n/data was not created for pod n/web (pod is not owner)";
        assert_eq!(refused, expected);
    }
}
