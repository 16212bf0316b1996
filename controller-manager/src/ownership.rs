//! What is kept of an object where only who it is and who owns it matters: of these caches
//! there is one for each resource, with everything that the cluster holds.

use hardway_proto::kind::PartialObject;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Throws away all metadata but the object's identity, its version, its owners, its
/// finalizers and whether it is being deleted.
pub fn keep_ownership(object: &mut PartialObject) {
    let all = std::mem::take(&mut object.metadata);
    object.metadata = ObjectMeta {
        namespace: all.namespace,
        name: all.name,
        uid: all.uid,
        resource_version: all.resource_version,
        owner_references: all.owner_references,
        finalizers: all.finalizers,
        deletion_timestamp: all.deletion_timestamp,
        ..ObjectMeta::default()
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn identity_owners_and_end_are_kept_and_nothing_else() {
        let kept = json!({
            "namespace": "n", "name": "a", "uid": "u", "resourceVersion": "7",
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "o"}],
            "finalizers": ["orphan"], "deletionTimestamp": "2026-01-01T00:00:00Z",
        });
        let mut all = kept.clone();
        for (field, value) in [
            ("labels", json!({"a": "b"})),
            ("annotations", json!({"last": "applied"})),
            ("managedFields", json!([{"manager": "m"}])),
            ("creationTimestamp", json!("2025-01-01T00:00:00Z")),
        ] {
            all[field] = value;
        }
        let mut object: PartialObject = serde_json::from_value(json!({ "metadata": all })).unwrap();
        keep_ownership(&mut object);
        assert_eq!(serde_json::to_value(&object.metadata).unwrap(), kept);
    }
}
