//! ExtendedResourceToleration: pods that ask for a device tolerate the taint
//! of its name.

use super::{Context, Plugin, Review, array_at};
use crate::objects::{fields, items};
use crate::text;
use hardway_proto::Status;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The plugin; off unless switched on.
pub struct ExtendedResourceToleration;

impl Plugin for ExtendedResourceToleration {
    fn mutate(&self, _: &Context, review: &Review, pod: &mut Value) -> Result<(), Status> {
        if !review.is_of("", "pods") {
            return Ok(());
        }
        let wanted: BTreeSet<String> = ["/spec/containers", "/spec/initContainers"]
            .into_iter()
            .flat_map(|list| items(pod, list))
            .flat_map(|container| fields(container, "/resources/requests"))
            .filter(|(name, _)| is_extended(name))
            .map(|(name, _)| name.to_owned())
            .collect();
        for resource in wanted {
            let tolerations = array_at(&mut pod["spec"], "tolerations");
            let is_met =
                |t: &Value| text(t, "/key") == resource && text(t, "/operator") == "Exists";
            if !tolerations.iter().any(is_met) {
                tolerations
                    .push(json!({"key": resource, "operator": "Exists", "effect": "NoSchedule"}));
            }
        }
        Ok(())
    }
}

fn is_extended(resource: &str) -> bool {
    resource.split_once('/').is_some_and(|(domain, _)| {
        !domain.ends_with("kubernetes.io") && !resource.starts_with("requests.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_a_domain_of_their_own() {
        assert!(is_extended("acme.com/gpu"));
        assert!(!is_extended("cpu") && !is_extended("node.kubernetes.io/x"));
    }
}
