//! PersistentVolumeClaimResize: a claim grows only where its class lets volumes grow.

use super::{Context, Operation, Plugin, Review};
use crate::text;
use hardway_proto::Status;
use hardway_proto::quantity::Quantity;
use serde_json::Value;

/// The plugin.
pub struct PersistentVolumeClaimResize;

impl Plugin for PersistentVolumeClaimResize {
    fn validate(
        &self,
        cx: &Context,
        review: &Review,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        let is_change = review.operation == Operation::Update;
        let (Some(new), Some(old)) = (new, old) else {
            return Ok(());
        };
        if !is_change || !review.is_of("", "persistentvolumeclaims") || asked(new) <= asked(old) {
            return Ok(());
        }
        if text(old, "/status/phase") != "Bound" {
            let why = "Only bound persistent volume claims can be expanded";
            return Err(review.forbid(Some(new), why));
        }
        match may_grow(cx, class(new), class(old)) {
            true => Ok(()),
            false => {
                let why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize";
                Err(review.forbid(Some(new), why))
            }
        }
    }
}

fn asked(claim: &Value) -> Quantity {
    let amount = claim.pointer("/spec/resources/requests/storage");
    amount
        .and_then(|amount| Quantity::from_json(amount).ok())
        .unwrap_or_default()
}

fn class(claim: &Value) -> &str {
    let beta = "/metadata/annotations/volume.beta.kubernetes.io~1storage-class";
    match text(claim, beta) {
        "" => text(claim, "/spec/storageClassName"),
        class => class,
    }
}

fn may_grow(cx: &Context, class: &str, former: &str) -> bool {
    if class.is_empty() || class != former {
        return false;
    }
    let class = cx
        .objects
        .read("storage.k8s.io", "storageclasses", "", class);
    class.is_some_and(|class| class["allowVolumeExpansion"] == true)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, review};
    use super::*;
    use crate::User;
    use serde_json::json;

    #[test]
    fn a_claim_grows_as_its_class_allows() {
        let bench = Bench::new();
        for (name, allows) in [("grows", true), ("stays", false)] {
            let class = json!({"metadata": {"name": name}, "allowVolumeExpansion": allows});
            bench.fake.put("storage.k8s.io", "storageclasses", class);
        }
        let claim = |class: &str, size: &str, phase: &str| {
            json!({"metadata": {"name": "c", "namespace": "shop"}, "status": {"phase": phase},
                   "spec": {"storageClassName": class, "resources": {"requests": {"storage": size}}}})
        };
        let said = |class: &str, size: &str, phase: &str| {
            let user = User::new("jane", ["dev"]);
            let claims = "persistentvolumeclaims";
            let review = review(&user, Operation::Update, "", claims, "shop", "c");
            let (new, old) = (claim(class, size, phase), claim(class, "1Gi", phase));
            let verdict = bench.validate(&review, Some(&new), Some(&old));
            verdict.err().map_or(String::new(), |status| status.message)
        };
        assert_eq!(said("grows", "2Gi", "Bound"), "");
        assert_eq!(said("stays", "1Gi", "Bound"), "");
        let refused = said("stays", "2Gi", "Bound");
        assert!(refused.contains("the storageclass that provisions the pvc must support resize"));
        assert_eq!(said("", "2Gi", "Bound"), refused);
        let unbound = said("grows", "2Gi", "Pending");
        assert!(unbound.ends_with("Only bound persistent volume claims can be expanded"));
    }
}
