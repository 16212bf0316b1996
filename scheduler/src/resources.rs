//! Amounts of resources: what a pod asks for, what a node has.

use hardway_proto::quantity::Quantity as Amount;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use std::collections::BTreeMap;

/// What a container that asks for nothing counts as when nodes are scored,
/// so that many such pods don't pile up (Kubernetes' `pkg/scheduler/util`).
const DEFAULT_MILLI_CPU: i128 = 100;
const DEFAULT_MEMORY: i128 = 200 * 1024 * 1024;

/// Resource amounts: CPU in thousandths, all else in units (bytes). Each is
/// given in 64 bits, and in 128 no sum of such can overflow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// CPU in thousandths of a core.
    pub milli_cpu: i128,
    /// Memory in bytes.
    pub memory: i128,
    /// Local storage in bytes.
    pub ephemeral_storage: i128,
    /// Extended resources and huge pages.
    pub others: BTreeMap<String, i128>,
}

fn amount(quantity: &Quantity) -> Option<Amount> {
    quantity.0.parse().ok()
}

impl Resources {
    /// From a resource list; what can't be parsed counts as nothing (the
    /// apiserver admits only well-formed quantities).
    pub fn from_list(list: &BTreeMap<String, Quantity>) -> Self {
        let mut resources = Self::default();
        for (name, quantity) in list {
            let Some(amount) = amount(quantity) else {
                continue;
            };
            match name.as_str() {
                "cpu" => resources.milli_cpu = amount.milli_value().into(),
                "memory" => resources.memory = amount.value().into(),
                "ephemeral-storage" => resources.ephemeral_storage = amount.value().into(),
                "pods" => {}
                _ => {
                    resources.others.insert(name.clone(), amount.value().into());
                }
            }
        }
        resources
    }

    /// Adds, `sign` being 1 or -1.
    pub fn add(&mut self, other: &Self, sign: i128) {
        self.milli_cpu += sign * other.milli_cpu;
        self.memory += sign * other.memory;
        self.ephemeral_storage += sign * other.ephemeral_storage;
        for (name, amount) in &other.others {
            *self.others.entry(name.clone()).or_default() += sign * amount;
        }
    }

    /// Whether any of them is more.
    pub fn exceeds(&self, other: &Self) -> bool {
        self.milli_cpu > other.milli_cpu
            || self.memory > other.memory
            || self.ephemeral_storage > other.ephemeral_storage
            || self
                .others
                .iter()
                .any(|(name, amount)| other.others.get(name).is_none_or(|theirs| amount > theirs))
    }

    fn max(&mut self, other: &Self) {
        self.milli_cpu = self.milli_cpu.max(other.milli_cpu);
        self.memory = self.memory.max(other.memory);
        self.ephemeral_storage = self.ephemeral_storage.max(other.ephemeral_storage);
        for (name, amount) in &other.others {
            let mine = self.others.entry(name.clone()).or_default();
            *mine = (*mine).max(*amount);
        }
    }
}

/// What containers have, as their kubelet tells; it is more than they ask for while they are
/// being resized.
struct Held<'a> {
    statuses: Vec<&'a ContainerStatus>,
    /// What is asked for never comes: the node hasn't so much.
    is_infeasible: bool,
}

impl<'a> Held<'a> {
    fn of(pod: &'a Pod) -> Self {
        let status = pod.status.as_ref();
        let init = status.and_then(|s| s.init_container_statuses.as_ref());
        let main = status.and_then(|s| s.container_statuses.as_ref());
        let statuses = init.into_iter().chain(main).flatten();
        let mut conditions = status
            .and_then(|s| s.conditions.as_ref())
            .into_iter()
            .flatten();
        let is_infeasible = conditions.any(|condition| {
            condition.type_ == "PodResizePending"
                && condition.reason.as_deref() == Some("Infeasible")
        });
        Self {
            statuses: statuses.filter(|s| s.resources.is_some()).collect(),
            is_infeasible,
        }
    }

    /// What a container is to be counted with (`determineContainerReqs` in Kubernetes'
    /// `k8s.io/component-helpers/resource`).
    fn adjust(&self, container: &Container, asked: Resources) -> Resources {
        let mut statuses = self.statuses.iter();
        let Some(status) = statuses.find(|status| status.name == container.name) else {
            return asked;
        };
        let has = status.resources.as_ref().and_then(|r| r.requests.as_ref());
        let mut counted = has.map(Resources::from_list).unwrap_or_default();
        if let Some(allocated) = &status.allocated_resources {
            counted.max(&Resources::from_list(allocated));
        }
        if !self.is_infeasible {
            counted.max(&asked);
        }
        counted
    }
}

fn requests(container: &Container, held: Option<&Held<'_>>, defaults: bool) -> Resources {
    let list = container
        .resources
        .as_ref()
        .and_then(|r| r.requests.as_ref());
    let asked = list.map(Resources::from_list).unwrap_or_default();
    let mut resources = match held {
        Some(held) => held.adjust(container, asked),
        None => asked,
    };
    if defaults {
        let asks = |name: &str| list.is_some_and(|l| l.contains_key(name));
        if !asks("cpu") {
            resources.milli_cpu = DEFAULT_MILLI_CPU;
        }
        if !asks("memory") {
            resources.memory = DEFAULT_MEMORY;
        }
    }
    resources
}

/// What a pod asks for: the larger of its containers together and of each
/// init container in its turn, sidecars (restartable init containers) counting
/// with both, plus its overhead. With `defaults`, containers without requests
/// count as something (for scoring).
pub fn pod_requests(pod: &Pod, defaults: bool) -> Resources {
    let mut total = Resources::default();
    let Some(spec) = &pod.spec else {
        return total;
    };
    let held = Held::of(pod);
    for container in &spec.containers {
        total.add(&requests(container, Some(&held), defaults), 1);
    }
    let mut sidecars = Resources::default();
    let mut initial = Resources::default();
    for container in spec.init_containers.iter().flatten() {
        let stays = container.restart_policy.as_deref() == Some("Always");
        let mut own = requests(container, Some(&held).filter(|_| stays), defaults);
        if stays {
            total.add(&own, 1);
            sidecars.add(&own, 1);
            initial.max(&sidecars);
        } else {
            own.add(&sidecars, 1);
            initial.max(&own);
        }
    }
    total.max(&initial);
    if let Some(list) = spec.resources.as_ref().and_then(|r| r.requests.as_ref()) {
        // Requests for the pod as a whole replace those of its containers.
        let whole = Resources::from_list(list);
        if list.contains_key("cpu") {
            total.milli_cpu = whole.milli_cpu;
        }
        if list.contains_key("memory") {
            total.memory = whole.memory;
        }
    }
    if let Some(overhead) = &spec.overhead {
        total.add(&Resources::from_list(overhead), 1);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(spec: serde_json::Value) -> Pod {
        serde_json::from_value(json!({"spec": spec})).unwrap()
    }

    /// `TestPodResourceRequests` of `k8s.io/component-helpers/resource`.
    #[test]
    fn while_a_pod_is_resized_the_larger_amount_counts() {
        let resized = |asked: &str, has: &str, reason: &str| {
            let mut pod = pod(json!({"containers": [
                {"name": "c", "resources": {"requests": {"cpu": asked}}}]}));
            let status = json!({
                "conditions": [{"type": "PodResizePending", "status": "True", "reason": reason}],
                "containerStatuses": [{"name": "c", "ready": true, "restartCount": 0, "image": "i",
                    "imageID": "i", "resources": {"requests": {"cpu": has}},
                    "allocatedResources": {"cpu": "200m"}}],
            });
            pod.status = serde_json::from_value(status).unwrap();
            pod_requests(&pod, false).milli_cpu
        };
        assert_eq!(resized("1", "300m", "Deferred"), 1000, "it will grow");
        assert_eq!(resized("100m", "300m", ""), 300, "it has not shrunk yet");
        assert_eq!(
            resized("100m", "100m", ""),
            200,
            "nor has what it was given"
        );
        assert_eq!(resized("64", "300m", "Infeasible"), 300, "it never will");
    }

    #[test]
    fn init_containers_count_by_their_maximum_and_sidecars_throughout() {
        let cpu = |c: &str| json!({"name": "c", "resources": {"requests": {"cpu": c}}});
        let mut sidecar = cpu("100m");
        sidecar["restartPolicy"] = "Always".into();
        let pod = pod(json!({
            "containers": [cpu("200m"), cpu("300m")],
            "initContainers": [sidecar, cpu("1")],
        }));
        assert_eq!(pod_requests(&pod, false).milli_cpu, 1100);
    }

    #[test]
    fn scoring_assumes_something_where_nothing_is_asked() {
        let pod = pod(json!({"containers": [{"name": "c"}]}));
        assert_eq!(pod_requests(&pod, false), Resources::default());
        assert_eq!(pod_requests(&pod, true).milli_cpu, 100);
        assert_eq!(pod_requests(&pod, true).memory, 200 << 20);
    }
}
