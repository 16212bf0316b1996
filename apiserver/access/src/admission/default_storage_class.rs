//! DefaultStorageClass: a claim that names no class gets the default one.

use super::{Context, Plugin, Review, newest_default};
use hardway_proto::Status;
use serde_json::Value;

const ANNOTATION: &str = "storageclass.kubernetes.io/is-default-class";

/// The plugin.
pub struct DefaultStorageClass;

impl Plugin for DefaultStorageClass {
    fn mutate(&self, cx: &Context, review: &Review, claim: &mut Value) -> Result<(), Status> {
        if !review.creates("", "persistentvolumeclaims") {
            return Ok(());
        }
        let beta = "/metadata/annotations/volume.beta.kubernetes.io~1storage-class";
        let named = claim
            .pointer("/spec/storageClassName")
            .is_some_and(Value::is_string);
        if named || claim.pointer(beta).is_some() {
            return Ok(());
        }
        let classes = cx
            .objects
            .read_all("storage.k8s.io", "storageclasses", None);
        if let Some(class) = newest_default(classes, ANNOTATION) {
            claim["spec"]["storageClassName"] = class["metadata"]["name"].clone();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use super::*;
    use serde_json::json;

    #[test]
    fn the_newest_default_wins() {
        let bench = Bench::new();
        for (name, year) in [("old", 2020), ("new", 2021)] {
            bench.fake.put(
                "storage.k8s.io",
                "storageclasses",
                json!({"metadata": {
                "name": name, "creationTimestamp": format!("{year}-01-01T00:00:00Z"),
                "annotations": {ANNOTATION: "true"}}}),
            );
        }
        let claim = |spec: Value| {
            let claim = json!({"metadata": {"name": "c", "namespace": "shop"}, "spec": spec});
            bench.create("", "persistentvolumeclaims", claim).unwrap()
        };
        assert_eq!(claim(json!({}))["spec"]["storageClassName"], "new");
        assert_eq!(
            claim(json!({"storageClassName": ""}))["spec"]["storageClassName"],
            ""
        );
    }
}
