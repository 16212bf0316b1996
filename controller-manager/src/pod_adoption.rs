//! Which pods belong to a controller: it adopts orphans that its selector
//! matches and releases pods that it doesn't match any more.

use crate::pod_ranking::is_active;
use hardway_client::Client;
use hardway_client::api::Patch;
use hardway_proto::labels::Selector;
use hardway_proto::meta::{controller_of, controller_ref};
use hardway_proto::{Kind, Status};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use std::sync::Arc;

/// What to do with the pods of the owner's namespace.
#[derive(Debug, Default)]
pub struct Claim {
    /// Pods that are the owner's.
    pub owned: Vec<Arc<Pod>>,
    /// Orphans to adopt.
    pub adopt: Vec<Arc<Pod>>,
    /// Pods to let go.
    pub release: Vec<Arc<Pod>>,
}

/// Decides by owner references and labels. An owner that is being deleted
/// adopts nothing and releases nothing.
pub fn claim<K: Kind>(owner: &K, selector: &Selector, pods: Vec<Arc<Pod>>) -> Claim {
    let mut claim = Claim::default();
    let leaving = owner.meta().deletion_timestamp.is_some();
    for pod in pods {
        let matches = match &pod.metadata.labels {
            Some(labels) => selector.matches(labels),
            None => selector.matches_with(|_| None),
        };
        match controller_of(&pod.metadata) {
            Some(reference) if reference.uid == owner.uid() => {
                if matches || leaving {
                    claim.owned.push(pod);
                } else if pod.metadata.deletion_timestamp.is_none() {
                    claim.release.push(pod);
                }
            }
            Some(_) => {}
            None => {
                if matches && !leaving && is_active(&pod) {
                    claim.adopt.push(pod);
                }
            }
        }
    }
    claim
}

/// Carries a claim out; returns the pods that are the owner's afterwards.
pub async fn carry_out<K: Kind>(
    client: &Client,
    owner: &K,
    claim: Claim,
) -> Result<Vec<Arc<Pod>>, Status> {
    let api = client.namespaced::<Pod>(owner.namespace());
    let mut owned = claim.owned;
    if !claim.adopt.is_empty() {
        // The cache may be behind: adopt only for an owner that still stands.
        let fresh = client
            .namespaced::<K>(owner.namespace())
            .get(owner.name())
            .await?;
        if fresh.uid() != owner.uid() || fresh.meta().deletion_timestamp.is_some() {
            return Err(Status::conflict(
                "",
                K::KIND,
                owner.name(),
                "it is gone or being deleted",
            ));
        }
    }
    for pod in claim.adopt {
        let patch =
            json!({"metadata": {"uid": pod.uid(), "ownerReferences": [controller_ref(owner)]}});
        match api.patch(pod.name(), Patch::Strategic(&patch)).await {
            Ok(adopted) => owned.push(Arc::new(adopted)),
            Err(status) if status.is_not_found() || status.is_conflict() || status.code == 422 => {}
            Err(status) => return Err(status),
        }
    }
    for pod in claim.release {
        let reference = json!({"$patch": "delete", "uid": owner.uid()});
        let patch = json!({"metadata": {"uid": pod.uid(), "ownerReferences": [reference]}});
        match api.patch(pod.name(), Patch::Strategic(&patch)).await {
            Ok(_) => {}
            Err(status) if status.is_not_found() || status.is_conflict() || status.code == 422 => {}
            Err(status) => return Err(status),
        }
    }
    Ok(owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ReplicationController;
    use std::collections::BTreeMap;

    fn pod(name: &str, app: &str, owner: Option<&str>) -> Arc<Pod> {
        let mut object = json!({"metadata": {"name": name, "labels": {"app": app}}});
        if let Some(uid) = owner {
            object["metadata"]["ownerReferences"] = json!([
                {"apiVersion": "v1", "kind": "ReplicationController", "name": "x", "uid": uid, "controller": true}]);
        }
        Arc::new(serde_json::from_value(object).unwrap())
    }

    #[test]
    fn adopts_orphans_and_releases_strangers() {
        let mut rc = ReplicationController::default();
        rc.metadata.uid = Some("me".into());
        let selector = Selector::from_map(&BTreeMap::from([("app".into(), "web".into())]));
        let pods = || {
            vec![
                pod("mine", "web", Some("me")),
                pod("relabelled", "db", Some("me")),
                pod("orphan", "web", None),
                pod("other", "web", Some("you")),
            ]
        };
        let names =
            |pods: &[Arc<Pod>]| pods.iter().map(|p| p.name().to_owned()).collect::<Vec<_>>();
        let result = claim(&rc, &selector, pods());
        assert_eq!(names(&result.owned), ["mine"]);
        assert_eq!(names(&result.adopt), ["orphan"]);
        assert_eq!(names(&result.release), ["relabelled"]);
        rc.metadata.deletion_timestamp = Some(
            k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::now()),
        );
        let result = claim(&rc, &selector, pods());
        assert!(result.adopt.is_empty() && result.release.is_empty());
    }
}
