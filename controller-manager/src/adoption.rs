//! Which objects belong to a controller: it adopts orphans that its selector
//! matches and releases what it doesn't match any more. Pods of a ReplicaSet,
//! ReplicaSets of a Deployment.

use crate::informers::{BY_CONTROLLER, orphans};
use hardway_client::api::Patch;
use hardway_client::informer::Change;
use hardway_client::{Client, Store};
use hardway_proto::labels::Selector;
use hardway_proto::meta::{ObjectKey, controller_of, controller_ref};
use hardway_proto::{Kind, Status};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use std::sync::Arc;

/// The key of an object's controller, if that is of kind `K`.
pub fn owner_of<K: Kind, C: Kind>(object: &C) -> Option<ObjectKey> {
    let owner = controller_of(object.meta()).filter(|owner| owner.kind == K::KIND)?;
    Some(ObjectKey::new(object.namespace(), &owner.name))
}

/// Whom a change of an object concerns: its owner, its former owner, and if
/// it is an orphan all that might adopt it.
pub fn concerned<K: Kind, C: Kind>(
    change: &Change<C>,
    owners: &Store<K>,
    selector_of: impl Fn(&K) -> Option<Selector>,
) -> Vec<ObjectKey> {
    let object = change.object().as_ref();
    let mut keys: Vec<_> = owner_of::<K, C>(object).into_iter().collect();
    if let Change::Applied { old: Some(old), .. } = change
        && let Some(former) = owner_of::<K, C>(old)
        && !keys.contains(&former)
    {
        keys.push(former);
    }
    if controller_of(object.meta()).is_none() && matches!(change, Change::Applied { .. }) {
        let labels = object.meta().labels.clone().unwrap_or_default();
        let candidates = owners.in_namespace(object.namespace());
        let matching = candidates
            .iter()
            .filter(|owner| selector_of(owner).is_some_and(|s| s.matches(&labels)));
        keys.extend(matching.map(|owner| ObjectKey::of(owner.as_ref())));
    }
    keys
}

/// The pods that an owner might claim: its own, and those of its namespace that are nobody's.
pub fn candidates<K: Kind>(owner: &K, pods: &Store<Pod>) -> Vec<Arc<Pod>> {
    let mut found = pods.by_index(BY_CONTROLLER, owner.uid());
    found.extend(pods.by_index(BY_CONTROLLER, &orphans(owner.namespace())));
    found
}

/// What to do with the objects of the owner's namespace.
#[derive(Debug)]
pub struct Claim<C> {
    /// Those that are the owner's.
    pub owned: Vec<Arc<C>>,
    /// Orphans to adopt.
    pub adopt: Vec<Arc<C>>,
    /// Those to let go.
    pub release: Vec<Arc<C>>,
}

/// Decides by owner references and labels. An owner that is being deleted
/// adopts nothing and releases nothing; orphans that are being deleted, or are not
/// `adoptable`, stay orphans.
pub fn claim<K: Kind, C: Kind>(
    owner: &K,
    selector: &Selector,
    objects: Vec<Arc<C>>,
    adoptable: impl Fn(&C) -> bool,
) -> Claim<C> {
    let mut claim = Claim {
        owned: Vec::new(),
        adopt: Vec::new(),
        release: Vec::new(),
    };
    let leaving = owner.meta().deletion_timestamp.is_some();
    for object in objects {
        let matches = match &object.meta().labels {
            Some(labels) => selector.matches(labels),
            None => selector.matches_with(|_| None),
        };
        match controller_of(object.meta()) {
            Some(reference) if reference.uid == owner.uid() => {
                if matches || leaving {
                    claim.owned.push(object);
                } else if object.meta().deletion_timestamp.is_none() {
                    claim.release.push(object);
                }
            }
            Some(_) => {}
            None => {
                let stays = object.meta().deletion_timestamp.is_none();
                if matches && stays && !leaving && adoptable(&object) {
                    claim.adopt.push(object);
                }
            }
        }
    }
    claim
}

/// Carries a claim out; returns the objects that are the owner's afterwards.
pub async fn carry_out<K: Kind, C: Kind>(
    client: &Client,
    owner: &K,
    claim: Claim<C>,
) -> Result<Vec<Arc<C>>, Status> {
    carry_out_with(client, owner, claim, &[]).await
}

/// The same; what is adopted gets finalizers, which what is let go loses.
pub async fn carry_out_with<K: Kind, C: Kind>(
    client: &Client,
    owner: &K,
    claim: Claim<C>,
    finalizers: &[&str],
) -> Result<Vec<Arc<C>>, Status> {
    let api = client.namespaced::<C>(owner.namespace());
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
    for object in claim.adopt {
        let reference = controller_ref(owner);
        let mut patch = json!({"metadata": {"uid": object.uid(), "ownerReferences": [reference]}});
        if !finalizers.is_empty() {
            patch["metadata"]["finalizers"] = json!(finalizers);
        }
        match api.patch(object.name(), Patch::Strategic(&patch)).await {
            Ok(adopted) => owned.push(Arc::new(adopted)),
            Err(status) if status.is_not_found() || status.is_conflict() || status.code == 422 => {}
            Err(status) => return Err(status),
        }
    }
    for object in claim.release {
        let reference = json!({"$patch": "delete", "uid": owner.uid()});
        let mut patch = json!({"metadata": {"uid": object.uid(), "ownerReferences": [reference]}});
        if !finalizers.is_empty() {
            patch["metadata"]["$deleteFromPrimitiveList/finalizers"] = json!(finalizers);
        }
        match api.patch(object.name(), Patch::Strategic(&patch)).await {
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
    use crate::pod_ranking::is_active;
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
    fn a_change_concerns_owners_of_now_and_before_and_who_might_adopt() {
        let owners = Store::<ReplicationController>::default();
        let owner = json!({"metadata": {"name": "x"}, "spec": {"selector": {"app": "web"}}});
        owners.insert(Arc::new(serde_json::from_value(owner).unwrap()));
        let names = |change: &Change<Pod>| -> Vec<String> {
            let selector = |rc: &ReplicationController| {
                Some(Selector::from_map(rc.spec.as_ref()?.selector.as_ref()?))
            };
            let keys = concerned(change, &owners, selector).into_iter();
            keys.map(|key| key.name).collect()
        };
        let applied = |old, new| Change::Applied { old, new };
        let orphan = || pod("a", "web", None);
        let mine = || pod("a", "db", Some("me"));
        assert_eq!(names(&applied(None, mine())), ["x"]);
        assert_eq!(names(&applied(Some(mine()), pod("a", "db", None))), ["x"]);
        assert_eq!(names(&applied(None, orphan())), ["x"]);
        assert_eq!(names(&applied(None, pod("a", "db", None))), [""; 0]);
        assert_eq!(names(&Change::Deleted(orphan())), [""; 0]);
        assert_eq!(names(&Change::Deleted(mine())), ["x"]);
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
        let leaving = || {
            let mut pod = pod("leaving", "web", None).as_ref().clone();
            let now = jiff::Timestamp::now();
            pod.metadata.deletion_timestamp =
                Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now));
            vec![Arc::new(pod)]
        };
        let result = claim(&rc, &selector, leaving(), |_| true);
        assert!(result.adopt.is_empty(), "it is being deleted");
        let result = claim(&rc, &selector, pods(), is_active);
        assert_eq!(names(&result.owned), ["mine"]);
        assert_eq!(names(&result.adopt), ["orphan"]);
        assert_eq!(names(&result.release), ["relabelled"]);
        rc.metadata.deletion_timestamp = Some(
            k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::now()),
        );
        let result = claim(&rc, &selector, pods(), is_active);
        assert!(result.adopt.is_empty() && result.release.is_empty());
    }
}
