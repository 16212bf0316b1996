//! What pods may ask for that this node can't give: it is refused with its
//! reason, never left out in silence.

use crate::admission::Rejection;
use crate::pod;
use hardway_proto::{Kind, names};
use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements};
use std::borrow::Cow;

/// Label by which pods name their operating system.
const OS_LABEL: &str = "kubernetes.io/os";

/// Containers of the pod, of every sort.
fn containers(pod: &Pod) -> impl Iterator<Item = Cow<'_, Container>> {
    let ephemeral = pod::ephemeral_containers(pod).map(|c| Cow::Owned(pod::ordinary(c)));
    pod::all_containers(pod).map(Cow::Borrowed).chain(ephemeral)
}

/// Refuses a pod that wants what this node doesn't have.
pub fn check(pod: &Pod) -> Result<(), Rejection> {
    let refuse = |reason: &str, message: &str| Err(Rejection::new(reason, message.to_owned()));
    let unexpected = |message: String| Err(Rejection::new("UnexpectedAdmissionError", message));
    let labels = pod.metadata.labels.as_ref();
    if labels
        .and_then(|l| l.get(OS_LABEL))
        .is_some_and(|os| os != "linux")
    {
        return refuse(
            "PodOSSelectorNodeLabelDoesNotMatch",
            "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label",
        );
    }
    let spec = pod::spec(pod);
    if spec.os.as_ref().is_some_and(|os| os.name != "linux") {
        return refuse(
            "PodOSNotSupported",
            "Failed to admit pod as the OS field doesn't match node OS",
        );
    }
    let context = spec.security_context.as_ref();
    let policy = context.and_then(|c| c.supplemental_groups_policy.as_deref());
    if policy.is_some_and(|policy| policy != "Merge") {
        return refuse(
            "SupplementalGroupsPolicyNotSupported",
            "SupplementalGroupsPolicy=Strict is not supported in this node",
        );
    }
    let claims = |resources: Option<&ResourceRequirements>| {
        resources.is_some_and(|r| r.claims.as_ref().is_some_and(|c| !c.is_empty()))
    };
    let any = containers(pod).any(|c| claims(c.resources.as_ref()));
    if any || spec.resource_claims.as_ref().is_some_and(|c| !c.is_empty()) {
        return unexpected("resource claims are not supported in this node".into());
    }
    if spec.resources.is_some() {
        return unexpected("resources of the pod as a whole are not supported in this node".into());
    }
    for container in containers(pod) {
        let name = &container.name;
        let lifecycle = container.lifecycle.as_ref();
        if lifecycle.is_some_and(|l| l.stop_signal.is_some()) {
            return unexpected(format!(
                "stopSignal of container {name:?} is not supported in this node"
            ));
        }
    }
    for (what, name) in path_names(pod) {
        if let Some(problem) = names::is_path_segment(name).first() {
            return unexpected(format!("{what} {name:?} {problem}"));
        }
    }
    Ok(())
}

/// Names that become parts of paths on this host.
fn path_names(pod: &Pod) -> Vec<(&'static str, &str)> {
    let spec = pod::spec(pod);
    let mut found = Vec::new();
    found.extend(pod::all_containers(pod).map(|c| ("container", c.name.as_str())));
    found.extend(pod::ephemeral_containers(pod).map(|c| ("container", c.name.as_str())));
    let volumes = spec.volumes.iter().flatten();
    found.extend(volumes.map(|v| ("volume", v.name.as_str())));
    found
}

/// Whether the pod's identity can be made a path of; what can't has no place
/// on this node at all.
pub fn has_safe_identity(pod: &Pod) -> bool {
    let parts = [pod.uid(), pod.namespace(), pod.name()];
    parts
        .iter()
        .all(|part| !part.is_empty() && names::is_path_segment(part).is_empty())
}

/// Why the pod's sandbox can't be as the pod wants it, if so.
pub fn check_sandbox(pod: &Pod) -> Result<(), String> {
    let spec = pod::spec(pod);
    if spec.host_users == Some(false) {
        let handler = spec.runtime_class_name.as_deref().unwrap_or_default();
        return Err(format!(
            "RuntimeClass handler {handler:?} does not support user namespaces"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_that_lead_elsewhere_are_no_names() {
        let pod = |uid: &str, container: &str, volume: &str| -> Pod {
            serde_json::from_value(json!({
                "metadata": {"name": "a", "namespace": "d", "uid": uid},
                "spec": {"containers": [{"name": container}], "volumes": [{"name": volume}]},
            }))
            .unwrap()
        };
        assert!(has_safe_identity(&pod("u-1", "c", "v")));
        for bad in ["", "..", "a/../b", "."] {
            assert!(!has_safe_identity(&pod(bad, "c", "v")), "{bad}");
        }
        assert!(check(&pod("u", "c", "v")).is_ok());
        assert!(check(&pod("u", "../c", "v")).is_err());
        let refused = check(&pod("u", "c", "..")).unwrap_err();
        assert_eq!(refused.reason, "UnexpectedAdmissionError");
        assert_eq!(refused.message, "volume \"..\" may not be '..'");
    }
}
