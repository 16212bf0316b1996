//! How many pods their owners want.

use crate::scale::{self, Scales, group_of};
use hardway_client::Store;
use hardway_proto::Kind;
use hardway_proto::meta::{ObjectKey, controller_of};
use hardway_proto::status::qualified;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, ReplicationController};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Those that are known from caches, and all others by their scale.
pub struct Owners {
    pub replication_controllers: Store<ReplicationController>,
    pub replica_sets: Store<ReplicaSet>,
    pub deployments: Store<Deployment>,
    pub stateful_sets: Store<StatefulSet>,
    pub scales: Scales,
}

/// What the owners of pods want.
#[derive(Debug, Default, PartialEq)]
pub struct Wanted {
    /// Replicas of all of them together.
    pub replicas: i32,
    /// Whether some pods have no owner.
    pub has_unmanaged: bool,
}

impl Owners {
    /// The replicas that the owners of pods want, each owner counted once.
    ///
    /// # Errors
    /// If an owner isn't there, or has no scale.
    pub async fn wanted(&self, pods: &[Arc<Pod>]) -> Result<Wanted, String> {
        let mut wanted = Wanted::default();
        // By the UID of the pods' owner: that of an owner above it, and its replicas.
        let mut known: BTreeMap<&str, (String, i32)> = BTreeMap::new();
        for pod in pods {
            let Some(owner) = controller_of(&pod.metadata) else {
                wanted.has_unmanaged = true;
                continue;
            };
            if !known.contains_key(owner.uid.as_str()) {
                let found = self.scale_of(pod.namespace(), owner).await?;
                let found = found
                    .ok_or_else(|| format!("found no controllers for pod {:?}", pod.name()))?;
                known.insert(&owner.uid, found);
            }
        }
        let each: BTreeMap<String, i32> = known.into_values().collect();
        wanted.replicas = each.into_values().fold(0, i32::saturating_add);
        Ok(wanted)
    }

    /// Who says how many pods an owner has, and how many. For the ReplicaSets of
    /// a Deployment that is the Deployment: in a rollout it has several.
    async fn scale_of(
        &self,
        namespace: &str,
        owner: &OwnerReference,
    ) -> Result<Option<(String, i32)>, String> {
        let group = group_of(&owner.api_version);
        let group = group
            .ok_or_else(|| format!("unexpected GroupVersion string: {}", owner.api_version))?;
        let key = ObjectKey::new(namespace, &owner.name);
        // None is cached as itself: an object by that name and with that UID.
        fn same<K: Kind>(object: Option<Arc<K>>, owner: &OwnerReference) -> Option<Arc<K>> {
            object.filter(|object| object.uid() == owner.uid)
        }
        let cached = match (group, owner.kind.as_str()) {
            ("", "ReplicationController") => {
                let found = same(self.replication_controllers.get(&key), owner);
                found.and_then(|rc| rc.spec.as_ref()?.replicas)
            }
            ("apps", "StatefulSet") => {
                let found = same(self.stateful_sets.get(&key), owner);
                found.and_then(|set| set.spec.as_ref()?.replicas)
            }
            ("apps", "Deployment") => {
                let found = same(self.deployments.get(&key), owner);
                found.and_then(|deployment| deployment.spec.as_ref()?.replicas)
            }
            ("apps", "ReplicaSet") => {
                let set = same(self.replica_sets.get(&key), owner);
                let above = set.as_ref().and_then(|rs| controller_of(&rs.metadata));
                if let Some(above) = above.filter(|o| o.kind == Deployment::KIND) {
                    return Box::pin(self.scale_of(namespace, above)).await;
                }
                set.and_then(|rs| rs.spec.as_ref()?.replicas)
            }
            _ => None,
        };
        if let Some(replicas) = cached {
            return Ok(Some((owner.uid.clone(), replicas)));
        }
        let found = self.scales.get(namespace, group, &owner.kind, &owner.name);
        match found.await {
            Ok(found) if found.scale.metadata.uid.as_deref() == Some(&owner.uid) => {
                let replicas = found.scale.spec.and_then(|spec| spec.replicas);
                Ok(Some((owner.uid.clone(), replicas.unwrap_or_default())))
            }
            // Another one of that name.
            Ok(_) => Ok(None),
            Err(scale::Error::Refused(status)) if status.is_not_found() => {
                let details = status.details.as_ref();
                match details.is_some_and(|details| !details.name.is_empty()) {
                    true => Ok(None),
                    // It isn't the object that isn't there.
                    false => Err(self.without_scale(group, &owner.kind).await),
                }
            }
            Err(error) => Err(error.to_string()),
        }
    }

    async fn without_scale(&self, group: &str, kind: &str) -> String {
        let resource = match self.scales.resources(group, kind).await {
            Ok(found) if !found.is_empty() => qualified(group, &found[0].resource),
            _ => qualified(group, kind),
        };
        format!("{resource} does not implement the scale subresource")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardway_client::fake::Fake;
    use hardway_proto::api::ResourceInfo;
    use serde_json::{Value, json};

    fn owners(client: &hardway_client::Client) -> Owners {
        Owners {
            replication_controllers: Store::default(),
            replica_sets: Store::default(),
            deployments: Store::default(),
            stateful_sets: Store::default(),
            scales: Scales::new(client),
        }
    }

    fn reference(version: &str, kind: &str, name: &str) -> Value {
        json!({"apiVersion": version, "kind": kind, "name": name, "uid": name, "controller": true})
    }

    fn pod(name: &str, owner: Option<Value>) -> Arc<Pod> {
        let owners: Vec<Value> = owner.into_iter().collect();
        Arc::new(
            serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "d", "ownerReferences": owners}}))
            .unwrap(),
        )
    }

    fn add<K: Kind>(store: &Store<K>, name: &str, replicas: i32, owner: Option<Value>) {
        let owners: Vec<Value> = owner.into_iter().collect();
        let object = json!({
            "metadata": {"name": name, "namespace": "d", "uid": name, "ownerReferences": owners},
            "spec": {"replicas": replicas, "selector": {}, "template": {}}});
        store.insert(Arc::new(K::parse(object.to_string().as_bytes()).unwrap()));
    }

    #[tokio::test]
    async fn every_owner_counts_once() {
        let (fake, client) = Fake::start(vec![ResourceInfo {
            group: "example.com".into(),
            version: "v1".into(),
            resource: "widgets".into(),
            kind: "Widget".into(),
            namespaced: true,
            ..ResourceInfo::default()
        }]);
        fake.create(
            "example.com",
            "widgets",
            json!({
            "metadata": {"name": "w", "namespace": "d", "uid": "w"}, "spec": {"replicas": 7}}),
        );
        let owners = owners(&client);
        let deployment = reference("apps/v1", "Deployment", "deploy");
        add(&owners.deployments, "deploy", 5, None);
        add(&owners.replica_sets, "new", 3, Some(deployment.clone()));
        add(&owners.replica_sets, "old", 2, Some(deployment));
        add(&owners.replica_sets, "alone", 4, None);
        add(&owners.stateful_sets, "db", 2, None);
        add(&owners.replication_controllers, "rc", 1, None);
        let set = |name| Some(reference("apps/v1", "ReplicaSet", name));
        let pods = [
            pod("a", set("new")),
            pod("b", set("old")),
            pod("c", set("alone")),
            pod("d", set("alone")),
            pod("e", Some(reference("apps/v1", "StatefulSet", "db"))),
            pod("f", Some(reference("v1", "ReplicationController", "rc"))),
            pod("g", Some(reference("example.com/v1", "Widget", "w"))),
            pod("h", None),
        ];
        let wanted = owners.wanted(&pods).await.unwrap();
        assert_eq!(
            (wanted.replicas, wanted.has_unmanaged),
            (5 + 4 + 2 + 1 + 7, true)
        );
        let gone = [pod("a", Some(reference("example.com/v1", "Widget", "x")))];
        let words = r#"found no controllers for pod "a""#;
        assert_eq!(owners.wanted(&gone).await.unwrap_err(), words);
        let strange = [pod("a", Some(reference("batch/v1", "Job", "j")))];
        let words = r#"no matches for kind "Job" in group "batch""#;
        assert_eq!(owners.wanted(&strange).await.unwrap_err(), words);
    }
}
