//! Amounts of resources: what a pod asks for, what a node has.

use hardway_proto::quantity::Quantity as Amount;
use k8s_openapi::api::core::v1::{Container, PodSpec};
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

fn requests(container: &Container, defaults: bool) -> Resources {
    let list = container
        .resources
        .as_ref()
        .and_then(|r| r.requests.as_ref());
    let mut resources = list.map(Resources::from_list).unwrap_or_default();
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
pub fn pod_requests(spec: &PodSpec, defaults: bool) -> Resources {
    let mut total = Resources::default();
    for container in &spec.containers {
        total.add(&requests(container, defaults), 1);
    }
    let mut sidecars = Resources::default();
    let mut initial = Resources::default();
    for container in spec.init_containers.iter().flatten() {
        let mut own = requests(container, defaults);
        if container.restart_policy.as_deref() == Some("Always") {
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

    fn spec(value: serde_json::Value) -> PodSpec {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn init_containers_count_by_their_maximum_and_sidecars_throughout() {
        let cpu = |c: &str| json!({"name": "c", "resources": {"requests": {"cpu": c}}});
        let mut sidecar = cpu("100m");
        sidecar["restartPolicy"] = "Always".into();
        let spec = spec(json!({
            "containers": [cpu("200m"), cpu("300m")],
            "initContainers": [sidecar, cpu("1")],
        }));
        assert_eq!(pod_requests(&spec, false).milli_cpu, 1100);
    }

    #[test]
    fn scoring_assumes_something_where_nothing_is_asked() {
        let spec = spec(json!({"containers": [{"name": "c"}]}));
        assert_eq!(pod_requests(&spec, false), Resources::default());
        assert_eq!(pod_requests(&spec, true).milli_cpu, 100);
        assert_eq!(pod_requests(&spec, true).memory, 200 << 20);
    }
}
