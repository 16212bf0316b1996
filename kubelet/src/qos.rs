//! Resources of pods and containers: quality of service, what the runtime is
//! told about CPU and memory, and how the kernel picks its victims.

use crate::cri::LinuxContainerResources;
use crate::cri::api::HugepageLimit;
use crate::pod;
use hardway_proto::quantity::Quantity;
use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use std::collections::BTreeMap;

/// Quality of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Every container's limits are its requests.
    Guaranteed,
    /// Something is requested or limited.
    Burstable,
    /// Nothing is.
    BestEffort,
}

impl Class {
    /// As in `status.qosClass`.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Guaranteed => "Guaranteed",
            Class::Burstable => "Burstable",
            Class::BestEffort => "BestEffort",
        }
    }
}

const PERIOD: i64 = 100_000;
const MIN_QUOTA: i64 = 1000;
const MIN_SHARES: i64 = 2;
const MAX_SHARES: i64 = 262_144;

type Amounts = BTreeMap<String, Text>;

fn amount(list: Option<&Amounts>, name: &str) -> Option<Quantity> {
    list?.get(name)?.0.parse().ok()
}

fn requests(container: &Container) -> Option<&Amounts> {
    container.resources.as_ref()?.requests.as_ref()
}

fn limits(container: &Container) -> Option<&Amounts> {
    container.resources.as_ref()?.limits.as_ref()
}

/// What a container requests of a resource; a limit alone is a request too.
pub fn request(container: &Container, name: &str) -> Option<Quantity> {
    amount(requests(container), name).or_else(|| amount(limits(container), name))
}

/// What a container is limited to.
pub fn limit(container: &Container, name: &str) -> Option<Quantity> {
    amount(limits(container), name)
}

/// The pod's class.
pub fn class(pod: &Pod) -> Class {
    let mut any = false;
    let mut guaranteed = true;
    for container in pod::all_containers(pod) {
        for name in ["cpu", "memory"] {
            let positive = |q: Option<Quantity>| q.filter(|q| !q.is_zero());
            let (request, limit) = (
                positive(request(container, name)),
                positive(limit(container, name)),
            );
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && request == limit;
        }
    }
    match (any, guaranteed) {
        (false, _) => Class::BestEffort,
        (true, true) => Class::Guaranteed,
        (true, false) => Class::Burstable,
    }
}

/// What the whole pod asks for: its containers and sidecars together, or its
/// largest init container if that is more, and its overhead.
pub fn pod_total(pod: &Pod, of: impl Fn(&Container) -> Option<Quantity>, name: &str) -> Quantity {
    let value = |container| of(container).unwrap_or_default();
    let mut running = Quantity::default();
    let mut peak = Quantity::default();
    for init in pod::init_containers(pod) {
        if pod::is_sidecar(init) {
            running += value(init);
            peak = peak.max(running);
        } else {
            peak = peak.max(running + value(init));
        }
    }
    for container in &pod::spec(pod).containers {
        running += value(container);
    }
    let overhead = amount(pod::spec(pod).overhead.as_ref(), name).unwrap_or_default();
    running.max(peak) + overhead
}

/// What the scheduler counts the pod's request of a resource to be.
pub fn pod_request(pod: &Pod, name: &str) -> Quantity {
    pod_total(pod, |c| request(c, name), name)
}

/// CPU shares of thousandths of a core.
pub fn shares(milli: i64) -> i64 {
    if milli == 0 {
        return MIN_SHARES;
    }
    (milli.saturating_mul(1024) / 1000).clamp(MIN_SHARES, MAX_SHARES)
}

/// CPU quota per period of thousandths of a core.
pub fn quota(milli: i64) -> i64 {
    (milli.saturating_mul(PERIOD) / 1000).max(MIN_QUOTA)
}

/// How willing the kernel is to kill a container when memory runs out.
pub fn oom_score_adj(pod: &Pod, container: &Container, memory_capacity: i64) -> i64 {
    let critical = pod::spec(pod).priority.is_some_and(|p| p >= 2_000_000_000);
    if critical {
        return -997;
    }
    match class(pod) {
        Class::Guaranteed => -997,
        Class::BestEffort => 1000,
        Class::Burstable => {
            let requested = request(container, "memory").unwrap_or_default().value();
            let share = 1000i128 * i128::from(requested) / i128::from(memory_capacity.max(1));
            let score = 1000 - i64::try_from(share).unwrap_or(1000);
            // Between guaranteed pods and best-effort ones.
            if score < 3 {
                3
            } else if score == 1000 {
                999
            } else {
                score
            }
        }
    }
}

/// The huge pages a container may have, of each size it names.
fn hugepage_limits(container: &Container) -> Vec<HugepageLimit> {
    let limits = limits(container).into_iter().flatten();
    let sized = limits.filter_map(|(name, limit)| {
        let size: Quantity = name.strip_prefix("hugepages-")?.parse().ok()?;
        let limit: Quantity = limit.0.parse().ok()?;
        Some(HugepageLimit {
            page_size: page_size(size.value()),
            limit: u64::try_from(limit.value()).ok()?,
        })
    });
    sized.collect()
}

/// A size as the kernel's controller names it: `2MB`.
fn page_size(mut bytes: i64) -> String {
    let mut units = ["B", "KB", "MB", "GB", "TB"].iter();
    let mut unit = units.next();
    while bytes >= 1024 && units.len() > 0 {
        bytes /= 1024;
        unit = units.next();
    }
    format!("{bytes}{}", unit.unwrap_or(&""))
}

/// What the runtime is told about a container.
pub fn container_resources(
    pod: &Pod,
    container: &Container,
    memory_capacity: i64,
) -> LinuxContainerResources {
    let cpu_request = request(container, "cpu").unwrap_or_default().milli_value();
    let cpu_limit = limit(container, "cpu").unwrap_or_default().milli_value();
    let memory = limit(container, "memory").unwrap_or_default().value();
    LinuxContainerResources {
        cpu_shares: shares(cpu_request),
        cpu_period: PERIOD,
        cpu_quota: if cpu_limit > 0 { quota(cpu_limit) } else { 0 },
        memory_limit_in_bytes: memory,
        oom_score_adj: oom_score_adj(pod, container, memory_capacity),
        hugepage_limits: hugepage_limits(container),
        ..Default::default()
    }
}

/// What the pod's own cgroup is given: shares always, quota and memory only
/// if every container is limited.
pub fn pod_resources(pod: &Pod) -> LinuxContainerResources {
    let all_limited =
        |name| pod::all_containers(pod).all(|c| limit(c, name).is_some_and(|q| !q.is_zero()));
    let total = |name| pod_total(pod, |c| limit(c, name), name);
    let cpu = total("cpu").milli_value();
    LinuxContainerResources {
        cpu_shares: shares(pod_request(pod, "cpu").milli_value()),
        cpu_period: PERIOD,
        cpu_quota: if all_limited("cpu") { quota(cpu) } else { 0 },
        memory_limit_in_bytes: if all_limited("memory") {
            total("memory").value()
        } else {
            0
        },
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{PodSpec, ResourceRequirements};

    fn container(requests: &[(&str, &str)], limits: &[(&str, &str)]) -> Container {
        let list = |pairs: &[(&str, &str)]| {
            Some(
                pairs
                    .iter()
                    .map(|(k, v)| ((*k).into(), Text((*v).into())))
                    .collect(),
            )
        };
        Container {
            resources: Some(ResourceRequirements {
                requests: list(requests),
                limits: list(limits),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn pod(containers: Vec<Container>) -> Pod {
        Pod {
            spec: Some(PodSpec {
                containers,
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn classes() {
        let full = [("cpu", "1"), ("memory", "1Gi")];
        assert_eq!(class(&pod(vec![container(&[], &full)])), Class::Guaranteed);
        assert_eq!(class(&pod(vec![container(&full, &[])])), Class::Burstable);
        assert_eq!(class(&pod(vec![container(&[], &[])])), Class::BestEffort);
        let mixed = pod(vec![container(&full, &full), container(&[], &[])]);
        assert_eq!(class(&mixed), Class::Burstable);
    }

    #[test]
    fn runtime_figures() {
        let one = container(&[("cpu", "250m")], &[("cpu", "500m"), ("memory", "64Mi")]);
        let pod = pod(vec![one.clone()]);
        let resources = container_resources(&pod, &one, 1 << 30);
        assert_eq!(resources.cpu_shares, 256);
        assert_eq!(resources.cpu_quota, 50_000);
        assert_eq!(resources.memory_limit_in_bytes, 64 << 20);
        assert_eq!(resources.oom_score_adj, 938);
        assert_eq!(shares(0), 2);
    }

    #[test]
    fn huge_pages_are_limited_by_their_size() {
        let one = container(&[], &[("hugepages-2Mi", "4Mi"), ("hugepages-1Gi", "1Gi")]);
        let made = container_resources(&pod(vec![one.clone()]), &one, 1 << 30);
        let limits: Vec<(String, u64)> = made
            .hugepage_limits
            .into_iter()
            .map(|limit| (limit.page_size, limit.limit))
            .collect();
        assert_eq!(limits, [("1GB".into(), 1 << 30), ("2MB".into(), 4 << 20)]);
        assert_eq!(page_size(64 << 10), "64KB");
    }

    #[test]
    fn init_containers_count_by_their_peak() {
        let mut pod = pod(vec![container(&[("cpu", "100m")], &[])]);
        let init = container(&[("cpu", "1")], &[]);
        pod.spec.as_mut().unwrap().init_containers = Some(vec![init]);
        assert_eq!(pod_request(&pod, "cpu").milli_value(), 1000);
    }
}
