//! The downward API: what a pod may learn about itself through `fieldRef` and
//! `resourceFieldRef`.

use hardway_proto::Kind;
use hardway_proto::quantity::Quantity;
use k8s_openapi::api::core::v1::{
    Container, ObjectFieldSelector, Pod, PodSpec, ResourceFieldSelector,
};
use std::collections::BTreeMap;

/// What isn't in the pod object itself (yet) when its containers are made.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The pod's addresses, primary first.
    pub pod_ips: Vec<String>,
    /// The node's addresses, primary first.
    pub host_ips: Vec<String>,
    /// What the node can give to pods, e.g. `cpu` and `memory`: the limit of
    /// containers that have none.
    pub allocatable: BTreeMap<String, Quantity>,
}

/// The value of a field of the pod, as text.
pub fn field(pod: &Pod, reference: &ObjectFieldSelector, facts: &Facts) -> Result<String, String> {
    let spec = || pod.spec.as_ref();
    let path = reference.field_path.as_str();
    Ok(match path {
        "metadata.name" => pod.name().to_owned(),
        "metadata.namespace" => pod.namespace().to_owned(),
        "metadata.uid" => pod.uid().to_owned(),
        "metadata.labels" => format_map(pod.metadata.labels.as_ref()),
        "metadata.annotations" => format_map(pod.metadata.annotations.as_ref()),
        "spec.nodeName" => spec().and_then(|s| s.node_name.clone()).unwrap_or_default(),
        "spec.serviceAccountName" => spec()
            .and_then(|s| s.service_account_name.clone())
            .unwrap_or_default(),
        "status.podIP" => facts.pod_ips.first().cloned().unwrap_or_default(),
        "status.podIPs" => facts.pod_ips.join(","),
        "status.hostIP" => facts.host_ips.first().cloned().unwrap_or_default(),
        "status.hostIPs" => facts.host_ips.join(","),
        _ => {
            let (map, key) = subscript(path).ok_or_else(|| unsupported(path))?;
            let map = match map {
                "metadata.labels" => pod.metadata.labels.as_ref(),
                "metadata.annotations" => pod.metadata.annotations.as_ref(),
                _ => return Err(unsupported(path)),
            };
            map.and_then(|m| m.get(key)).cloned().unwrap_or_default()
        }
    })
}

fn unsupported(path: &str) -> String {
    format!("unsupported fieldPath: {path}")
}

/// Splits `metadata.labels['x']`.
fn subscript(path: &str) -> Option<(&str, &str)> {
    path.strip_suffix("']")?.split_once("['")
}

/// A map as a downward API file has it: one `key="value"` per line, sorted.
fn format_map(map: Option<&BTreeMap<String, String>>) -> String {
    let lines = map
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={value:?}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// A container of the pod, of any sort, by name.
fn container<'a>(spec: &'a PodSpec, name: &str) -> Option<&'a Container> {
    let init = spec.init_containers.iter().flatten();
    spec.containers.iter().chain(init).find(|c| c.name == name)
}

/// The value of a container's resource, in units of the divisor, rounded up.
/// `own` is the container that asks, if any.
pub fn resource(
    pod: &Pod,
    own: Option<&Container>,
    reference: &ResourceFieldSelector,
    facts: &Facts,
) -> Result<String, String> {
    let name = reference.container_name.as_deref().unwrap_or_default();
    let named = pod.spec.as_ref().and_then(|s| container(s, name));
    let of = match (named, own) {
        (Some(container), _) => container,
        (None, Some(own)) if name.is_empty() => own,
        _ => return Err(format!("container {name} not found")),
    };
    let text = reference.resource.as_str();
    let (kind, resource) = text
        .split_once('.')
        .filter(|(_, resource)| {
            matches!(*resource, "cpu" | "memory" | "ephemeral-storage")
                || resource.starts_with("hugepages-")
        })
        .ok_or_else(|| format!("unsupported container resource : {text}"))?;
    let resources = of.resources.as_ref();
    let amount = match kind {
        "limits" => amount(resources.and_then(|r| r.limits.as_ref()), resource)?
            .or_else(|| facts.allocatable.get(resource).copied()),
        "requests" => amount(resources.and_then(|r| r.requests.as_ref()), resource)?,
        _ => return Err(format!("unsupported container resource : {text}")),
    };
    let amount = amount.unwrap_or_default();
    let divisor: Quantity = match &reference.divisor {
        Some(divisor) => parse(&divisor.0)?,
        None => Quantity::default(),
    };
    // An absent divisor means 1: a core, a byte.
    let (amount, divisor) = if resource == "cpu" {
        let divisor = divisor.milli_value();
        (
            amount.milli_value(),
            if divisor == 0 { 1000 } else { divisor },
        )
    } else {
        (amount.value(), divisor.value().max(1))
    };
    Ok(((amount + divisor - 1) / divisor).to_string())
}

type Quantities = BTreeMap<String, k8s_openapi::apimachinery::pkg::api::resource::Quantity>;

fn amount(map: Option<&Quantities>, name: &str) -> Result<Option<Quantity>, String> {
    let text = map.and_then(|m| m.get(name));
    text.map(|q| parse(&q.0)).transpose()
}

fn parse(text: &str) -> Result<Quantity, String> {
    text.parse().map_err(|e| format!("quantity {text:?}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod() -> Pod {
        serde_json::from_value(json!({
            "metadata": {
                "name": "web-1", "namespace": "shop", "uid": "u-1",
                "labels": {"app": "web", "tier": "fr\"ont"},
                "annotations": {"a/b": "line\nbreak"},
            },
            "spec": {
                "nodeName": "worker-1", "serviceAccountName": "robot",
                "containers": [{
                    "name": "main",
                    "resources": {
                        "limits": {"cpu": "1500m", "memory": "64Mi"},
                        "requests": {"cpu": "250m"},
                    },
                }, {"name": "plain"}],
            },
        }))
        .unwrap()
    }

    fn facts() -> Facts {
        Facts {
            pod_ips: vec!["10.244.1.5".into(), "fd00::5".into()],
            host_ips: vec!["10.88.0.11".into()],
            allocatable: [
                ("cpu".to_owned(), "2".parse().unwrap()),
                ("memory".to_owned(), "4Gi".parse().unwrap()),
            ]
            .into(),
        }
    }

    fn get(path: &str) -> Result<String, String> {
        let reference = ObjectFieldSelector {
            field_path: path.into(),
            ..Default::default()
        };
        field(&pod(), &reference, &facts())
    }

    #[test]
    fn fields_of_the_pod() {
        for (path, expected) in [
            ("metadata.name", "web-1"),
            ("metadata.namespace", "shop"),
            ("metadata.uid", "u-1"),
            ("metadata.labels['app']", "web"),
            ("metadata.labels['none']", ""),
            ("metadata.annotations['a/b']", "line\nbreak"),
            ("metadata.labels", "app=\"web\"\ntier=\"fr\\\"ont\""),
            ("metadata.annotations", "a/b=\"line\\nbreak\""),
            ("spec.nodeName", "worker-1"),
            ("spec.serviceAccountName", "robot"),
            ("status.podIP", "10.244.1.5"),
            ("status.podIPs", "10.244.1.5,fd00::5"),
            ("status.hostIP", "10.88.0.11"),
        ] {
            assert_eq!(get(path).as_deref(), Ok(expected), "{path}");
        }
        assert_eq!(
            get("spec.hostname").unwrap_err(),
            "unsupported fieldPath: spec.hostname"
        );
    }

    fn amount_of(container: &str, resource_name: &str, divisor: Option<&str>) -> String {
        let reference = serde_json::from_value(json!({
            "containerName": container, "resource": resource_name, "divisor": divisor,
        }))
        .unwrap();
        resource(&pod(), None, &reference, &facts()).unwrap()
    }

    #[test]
    fn resources_are_rounded_up_to_the_divisor() {
        assert_eq!(amount_of("main", "limits.cpu", None), "2");
        assert_eq!(amount_of("main", "limits.cpu", Some("1m")), "1500");
        assert_eq!(amount_of("main", "requests.cpu", Some("0")), "1");
        assert_eq!(amount_of("main", "limits.memory", Some("1Mi")), "64");
        assert_eq!(amount_of("main", "limits.memory", None), "67108864");
        assert_eq!(amount_of("plain", "limits.cpu", None), "2");
        assert_eq!(amount_of("plain", "limits.memory", Some("1Gi")), "4");
        assert_eq!(amount_of("plain", "requests.memory", None), "0");
    }

    #[test]
    fn an_unknown_container_is_named() {
        let reference = ResourceFieldSelector {
            container_name: Some("x".into()),
            resource: "limits.cpu".into(),
            ..Default::default()
        };
        let error = resource(&pod(), None, &reference, &facts()).unwrap_err();
        assert_eq!(error, "container x not found");
    }
}
