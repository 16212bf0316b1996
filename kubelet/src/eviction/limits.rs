//! Whether a pod uses more than it may. Pure.

use crate::pod;
use hardway_proto::quantity::Quantity;
use k8s_openapi::api::core::v1::{Container, Pod, Volume};
use std::collections::BTreeMap;

/// The resource's name.
const STORAGE: &str = "ephemeral-storage";

/// What a pod uses of the node's disk, in bytes.
#[derive(Debug, Default, Clone)]
pub struct Usage {
    /// Writable layer and logs, by container.
    pub containers: BTreeMap<String, u64>,
    /// Volumes that lie on the node's disk, by name.
    pub volumes: BTreeMap<String, u64>,
}

/// Whether anything is limited that this module looks at.
pub fn is_limited(pod: &Pod) -> bool {
    let spec = pod::spec(pod);
    let mut volumes = spec.volumes.iter().flatten();
    spec.containers.iter().any(|c| storage_limit(c).is_some())
        || volumes.any(|volume| size_limit(volume).is_some())
}

/// Why a pod has to go, in Kubernetes' words (`pkg/kubelet/eviction/helpers.go`); none
/// if it may stay.
pub fn excess(pod: &Pod, usage: &Usage) -> Option<String> {
    let spec = pod::spec(pod);
    for volume in spec.volumes.iter().flatten() {
        if let (Some(limit), Some(used)) = (size_limit(volume), usage.volumes.get(&volume.name))
            && is_more(*used, limit)
        {
            return Some(format!(
                "Usage of EmptyDir volume {:?} exceeds the limit \"{limit}\". ",
                volume.name
            ));
        }
    }
    let limits: Vec<Quantity> = spec.containers.iter().filter_map(storage_limit).collect();
    if limits.is_empty() {
        return None;
    }
    let total: Quantity = limits.into_iter().sum();
    let used = usage.containers.values().chain(usage.volumes.values());
    if is_more(used.fold(0, |sum, used| sum.saturating_add(*used)), total) {
        return Some(format!(
            "Pod ephemeral local storage usage exceeds the total limit of containers {total}. "
        ));
    }
    spec.containers.iter().find_map(|container| {
        let limit = storage_limit(container)?;
        let used = *usage.containers.get(&container.name)?;
        is_more(used, limit).then(|| {
            format!(
                "Container {} exceeded its local ephemeral storage limit \"{limit}\". ",
                container.name
            )
        })
    })
}

fn is_more(used: u64, limit: Quantity) -> bool {
    i64::try_from(used).unwrap_or(i64::MAX) > limit.value()
}

/// What a container may write, if that is limited.
fn storage_limit(container: &Container) -> Option<Quantity> {
    let limits = container.resources.as_ref()?.limits.as_ref()?;
    limits.get(STORAGE)?.0.parse().ok()
}

/// What a volume may hold, if that is limited and the volume is on disk: one in memory
/// can't become larger.
fn size_limit(volume: &Volume) -> Option<Quantity> {
    let source = volume.empty_dir.as_ref()?;
    if source
        .medium
        .as_deref()
        .is_some_and(|medium| !medium.is_empty())
    {
        return None;
    }
    let limit: Quantity = source.size_limit.as_ref()?.0.parse().ok()?;
    (limit.value() > 0).then_some(limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(limits: &[(&str, Value)], volumes: Value) -> Pod {
        let container = |(name, limit): &(&str, Value)| {
            let limits = match limit {
                Value::Null => json!({"memory": "1Gi"}),
                limit => json!({STORAGE: limit}),
            };
            json!({"name": name, "resources": {"limits": limits}})
        };
        let containers: Vec<Value> = limits.iter().map(container).collect();
        let spec = json!({"containers": containers, "volumes": volumes});
        serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap()
    }

    fn usage(containers: &[(&str, u64)], volumes: &[(&str, u64)]) -> Usage {
        let of = |list: &[(&str, u64)]| {
            let list = list
                .iter()
                .map(|(name, bytes)| ((*name).to_owned(), *bytes));
            list.collect()
        };
        Usage {
            containers: of(containers),
            volumes: of(volumes),
        }
    }

    #[test]
    fn a_volume_over_its_size_is_too_much() {
        let volumes = json!([
            {"name": "cache", "emptyDir": {"sizeLimit": "1Mi"}},
            {"name": "free", "emptyDir": {}},
            {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        ]);
        let pod = pod(&[("c", Value::Null)], volumes);
        assert!(is_limited(&pod));
        let most = 1 << 20;
        let fine = usage(
            &[],
            &[("cache", most), ("free", most * 9), ("memory", most * 9)],
        );
        assert_eq!(excess(&pod, &fine), None);
        assert_eq!(
            excess(&pod, &usage(&[], &[("cache", most + 1)])).unwrap(),
            "Usage of EmptyDir volume \"cache\" exceeds the limit \"1Mi\". "
        );
    }

    #[test]
    fn containers_are_held_to_their_limits_and_the_pod_to_their_sum() {
        let volumes = json!([{"name": "cache", "emptyDir": {}}]);
        let pod = pod(&[("a", json!("1Mi")), ("b", json!("3Mi"))], volumes);
        let mega = |n: u64| n << 20;
        let fine = usage(&[("a", mega(1)), ("b", mega(3))], &[("cache", 0)]);
        assert_eq!(excess(&pod, &fine), None);
        assert_eq!(
            excess(&pod, &usage(&[("a", mega(2)), ("b", 0)], &[])).unwrap(),
            "Container a exceeded its local ephemeral storage limit \"1Mi\". "
        );
        assert_eq!(
            excess(&pod, &usage(&[("a", mega(1))], &[("cache", mega(4))])).unwrap(),
            "Pod ephemeral local storage usage exceeds the total limit of containers 4Mi. "
        );
    }

    #[test]
    fn where_nothing_is_limited_nothing_is_too_much() {
        let volumes = json!([{"name": "free", "emptyDir": {}}, {"name": "zero", "emptyDir": {"sizeLimit": "0"}}]);
        let pod = pod(&[("c", Value::Null)], volumes);
        assert!(!is_limited(&pod));
        let much = usage(&[("c", u64::MAX)], &[("free", u64::MAX), ("zero", 1)]);
        assert_eq!(excess(&pod, &much), None);
    }
}
