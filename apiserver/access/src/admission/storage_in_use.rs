//! StorageObjectInUseProtection: volumes and claims in use outlive their
//! deletion.

use super::{Context, Plugin, Review, array_at};
use hardway_proto::Status;
use serde_json::{Value, json};

/// The plugin.
pub struct StorageObjectInUseProtection;

impl Plugin for StorageObjectInUseProtection {
    fn mutate(&self, _: &Context, review: &Review, object: &mut Value) -> Result<(), Status> {
        let finalizer = if review.creates("", "persistentvolumeclaims") {
            "kubernetes.io/pvc-protection"
        } else if review.creates("", "persistentvolumes") {
            "kubernetes.io/pv-protection"
        } else {
            return Ok(());
        };
        let finalizers = array_at(&mut object["metadata"], "finalizers");
        if !finalizers.iter().any(|f| f == finalizer) {
            finalizers.push(json!(finalizer));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use super::*;

    #[test]
    fn claims_and_volumes_get_their_finalizer() {
        let bench = Bench::new();
        let volume = json!({"metadata": {"name": "v"}});
        let stored = bench.create("", "persistentvolumes", volume).unwrap();
        assert_eq!(
            stored["metadata"]["finalizers"],
            json!(["kubernetes.io/pv-protection"])
        );
    }
}
