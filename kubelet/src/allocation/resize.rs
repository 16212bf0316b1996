//! Whether a pod may have other resources, and what has to be done for it. Pure; reasons and
//! words are those of Kubernetes 1.33 (`canResizePod` in `pkg/kubelet/kubelet.go`).

use super::Resources;
use crate::{admission, pod, qos};
use hardway_proto::quantity::Quantity;
use k8s_openapi::api::core::v1::{Container, Node, Pod, ResourceRequirements};

/// Why a pod doesn't get what it asks for: the reason and message of its condition
/// `PodResizePending`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// `Deferred` while there is no room, `Infeasible` where there never is.
    pub reason: &'static str,
    /// In a sentence.
    pub message: String,
}

/// A pod with these resources in place of its own; none if they are the same.
pub fn with(pod: &Pod, resources: &Resources) -> Option<Pod> {
    let differs = |c: &Container| {
        let given = resources.get(&c.name);
        given.is_some_and(|given| *given != c.resources.clone().unwrap_or_default())
    };
    if !pod::all_containers(pod).any(differs) {
        return None;
    }
    let mut pod = pod.clone();
    let spec = pod.spec.get_or_insert_default();
    let init = spec.init_containers.iter_mut().flatten();
    for container in spec.containers.iter_mut().chain(init) {
        if let Some(given) = resources.get(&container.name) {
            container.resources = Some(given.clone());
        }
    }
    Some(pod)
}

/// Whether there is room for what a pod asks for now, beside the others.
///
/// # Errors
/// Why not.
pub fn check(new: &Pod, others: &[&Pod], node: &Node) -> Result<(), Pending> {
    if pod::is_static(new) {
        return Err(Pending {
            reason: "Infeasible",
            message: "In-place resize of static-pods is not supported".into(),
        });
    }
    let status = node.status.as_ref();
    let allocatable = status.and_then(|s| s.allocatable.as_ref());
    for resource in ["memory", "cpu"] {
        let figure = |quantity: Quantity| match resource {
            "cpu" => quantity.milli_value(),
            _ => quantity.value(),
        };
        let capacity = allocatable.and_then(|list| list.get(resource)?.0.parse().ok());
        let Some(capacity) = capacity.map(figure) else {
            continue;
        };
        let requested = figure(qos::pod_request(new, resource));
        if requested > capacity {
            return Err(Pending {
                reason: "Infeasible",
                message: format!(
                    "Node didn't have enough capacity: {resource}, requested: {requested}, capacity: {capacity}"
                ),
            });
        }
    }
    admission::check(new, others, node).map_err(|rejection| Pending {
        reason: "Deferred",
        message: rejection.message,
    })
}

/// What a container that runs needs to have other resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing: it has them.
    None,
    /// The runtime is asked.
    Update,
    /// It is made anew: its `resizePolicy` says so.
    Restart,
}

/// Compares what a container was given with what it has. One of which nobody knows what it
/// has is left alone.
pub fn change(container: &Container, has: Option<&ResourceRequirements>) -> Change {
    let Some(has) = has else {
        return Change::None;
    };
    let mut change = Change::None;
    for resource in ["cpu", "memory"] {
        let given = container.resources.as_ref();
        if given
            .map(|given| amounts(given, resource))
            .unwrap_or_default()
            == amounts(has, resource)
        {
            continue;
        }
        let policies = container.resize_policy.iter().flatten();
        let mut restarts = policies.filter(|policy| policy.restart_policy == "RestartContainer");
        match restarts.any(|policy| policy.resource_name == resource) {
            true => return Change::Restart,
            false => change = Change::Update,
        }
    }
    change
}

/// Request and limit.
fn amounts(of: &ResourceRequirements, resource: &str) -> [Option<Quantity>; 2] {
    [&of.requests, &of.limits].map(|list| list.as_ref()?.get(resource)?.0.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(cpu: &str, memory: &str) -> Pod {
        let resources = json!({"requests": {"cpu": cpu, "memory": memory}});
        let containers = json!([{"name": "main", "resources": resources}]);
        serde_json::from_value(json!({"spec": {"containers": containers}})).unwrap()
    }

    fn node() -> Node {
        let allocatable = json!({"cpu": "2", "memory": "4Gi", "pods": "10"});
        serde_json::from_value(json!({"status": {"allocatable": allocatable}})).unwrap()
    }

    /// `TestHandlePodResourcesResize` of `pkg/kubelet/kubelet_test.go`.
    #[test]
    fn there_is_room_or_there_may_be_or_there_never_is() {
        let other = pod("1", "1Gi");
        let check = |cpu, memory| check(&pod(cpu, memory), &[&other], &node());
        assert_eq!(check("1", "3Gi"), Ok(()));
        let deferred = check("1500m", "1Gi").unwrap_err();
        assert_eq!(deferred.reason, "Deferred");
        assert_eq!(
            deferred.message,
            "Node didn't have enough resource: cpu, requested: 1500, used: 1000, capacity: 2000"
        );
        let infeasible = check("3", "1Gi").unwrap_err();
        assert_eq!(infeasible.reason, "Infeasible");
        assert_eq!(
            infeasible.message,
            "Node didn't have enough capacity: cpu, requested: 3000, capacity: 2000"
        );
    }

    #[test]
    fn containers_are_changed_as_their_policies_say() {
        let container = |requests: Value, memory_policy: &str| -> Container {
            serde_json::from_value(json!({
                "name": "main", "resources": {"requests": requests},
                "resizePolicy": [{"resourceName": "memory", "restartPolicy": memory_policy}],
            }))
            .unwrap()
        };
        let has = container(json!({"cpu": "1", "memory": "1Gi"}), "").resources;
        let change = |requests, policy| change(&container(requests, policy), has.as_ref());
        let same = json!({"cpu": "1000m", "memory": "1024Mi"});
        assert_eq!(change(same, "RestartContainer"), Change::None);
        let cpu = json!({"cpu": "2", "memory": "1Gi"});
        assert_eq!(change(cpu, "RestartContainer"), Change::Update);
        let memory = json!({"cpu": "1", "memory": "2Gi"});
        assert_eq!(change(memory.clone(), "NotRequired"), Change::Update);
        assert_eq!(change(memory, "RestartContainer"), Change::Restart);
        let unknown = container(json!({"cpu": "9"}), "NotRequired");
        assert_eq!(super::change(&unknown, None), Change::None);
    }
}
