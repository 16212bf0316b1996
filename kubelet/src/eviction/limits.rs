//! Whether a pod uses more than it may. Pure.

use super::usage::{Disk, Usage};
use crate::pod;
use hardway_proto::quantity::Quantity;
use k8s_openapi::api::core::v1::{Container, Pod, Volume};

/// The resource's name.
const STORAGE: &str = "ephemeral-storage";

/// Whether anything is limited that this module looks at.
pub fn is_limited(pod: &Pod) -> bool {
    let spec = pod::spec(pod);
    let mut volumes = spec.volumes.iter().flatten();
    spec.containers.iter().any(|c| storage_limit(c).is_some())
        || volumes.any(|volume| size_limit(volume).is_some())
}

/// Why a pod has to go: the limit, as metrics name it, and Kubernetes' words
/// (`pkg/kubelet/eviction/helpers.go`); none if it may stay.
pub fn excess(pod: &Pod, usage: &Usage) -> Option<(&'static str, String)> {
    let spec = pod::spec(pod);
    for volume in spec.volumes.iter().flatten() {
        if let (Some(limit), Some(used)) = (size_limit(volume), usage.volumes.get(&volume.name))
            && is_more(used.bytes, limit)
        {
            let message = format!(
                "Usage of EmptyDir volume {:?} exceeds the limit \"{limit}\". ",
                volume.name
            );
            return Some(("emptydirfs.limit", message));
        }
    }
    let limits: Vec<Quantity> = spec.containers.iter().filter_map(storage_limit).collect();
    if limits.is_empty() {
        return None;
    }
    let total: Quantity = limits.into_iter().sum();
    let containers = usage.containers.values().map(|c| c.layer + c.logs);
    let used: Disk = containers.chain(usage.volumes.values().copied()).sum();
    if is_more(used.bytes, total) {
        let message = format!(
            "Pod ephemeral local storage usage exceeds the total limit of containers {total}. "
        );
        return Some(("ephemeralpodfs.limit", message));
    }
    spec.containers.iter().find_map(|container| {
        let limit = storage_limit(container)?;
        let used = usage.containers.get(&container.name)?;
        is_more((used.layer + used.logs).bytes, limit).then(|| {
            let message = format!(
                "Container {} exceeded its local ephemeral storage limit \"{limit}\". ",
                container.name
            );
            ("ephemeralcontainerfs.limit", message)
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
    use super::super::usage::ContainerUsage;
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
        let disk = |bytes| Disk { bytes, inodes: 1 };
        let containers = containers.iter().map(|(name, bytes)| {
            let used = ContainerUsage {
                layer: disk(*bytes),
                ..Default::default()
            };
            ((*name).to_owned(), used)
        });
        let volumes = volumes.iter();
        Usage {
            containers: containers.collect(),
            volumes: volumes
                .map(|(name, bytes)| ((*name).to_owned(), disk(*bytes)))
                .collect(),
            ..Default::default()
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
            excess(&pod, &usage(&[], &[("cache", most + 1)])).unwrap().1,
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
            excess(&pod, &usage(&[("a", mega(2)), ("b", 0)], &[]))
                .unwrap()
                .1,
            "Container a exceeded its local ephemeral storage limit \"1Mi\". "
        );
        assert_eq!(
            excess(&pod, &usage(&[("a", mega(1))], &[("cache", mega(4))]))
                .unwrap()
                .1,
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
