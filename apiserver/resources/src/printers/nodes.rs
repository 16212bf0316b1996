//! Nodes, namespaces and what they hold.

use super::Spec;
use super::cells::*;
use serde_json::Value;

pub fn spec(_group: &str, _version: &str, kind: &str) -> Option<Spec> {
    Some(match kind {
        "Node" => (
            "Name|Status|Roles|Age|Version|Internal-IP+|External-IP+|OS-Image+|Kernel-Version+|Container-Runtime+",
            node,
        ),
        "Namespace" => ("Name|Status|Age", |object| {
            vec![
                name(object),
                object["status"]["phase"].clone().into(),
                age(object),
            ]
        }),
        "ConfigMap" => ("Name|Data|Age", |object| {
            let entries = size(&object["data"]) + size(&object["binaryData"]);
            vec![name(object), entries.into(), age(object)]
        }),
        "Secret" => ("Name|Type|Data|Age", |object| {
            vec![
                name(object),
                object["type"].clone().into(),
                size(&object["data"]).into(),
                age(object),
            ]
        }),
        "ServiceAccount" => ("Name|Secrets|Age", |object| {
            vec![
                name(object),
                list(&object["secrets"]).len().into(),
                age(object),
            ]
        }),
        "ResourceQuota" => ("Name|Request|Limit|Age", resource_quota),
        "ComponentStatus" => ("Name|Status|Message|Error", component_status),
        "Lease" => ("Name|Holder|Age", |object| {
            let holder = text(&object["spec"]["holderIdentity"]);
            vec![name(object), holder.into(), age(object)]
        }),
        "RuntimeClass" => ("Name|Handler|Age", |object| {
            let handler = object["handler"].clone();
            vec![name(object), handler.into(), age(object)]
        }),
        "PriorityClass" => (
            "Name|Value:i|Global-Default:b|Age|PreemptionPolicy",
            |object| {
                vec![
                    name(object),
                    int(&object["value"]).into(),
                    (object["globalDefault"] == true).into(),
                    age(object),
                    text(&object["preemptionPolicy"]).into(),
                ]
            },
        ),
        _ => return None,
    })
}

fn node(object: &Value) -> Cells {
    let (status, info) = (&object["status"], &object["status"]["nodeInfo"]);
    let ready = list(&status["conditions"])
        .iter()
        .find(|c| c["type"] == "Ready");
    let mut state = match ready.map(|c| c["status"] == "True") {
        Some(true) => "Ready",
        Some(false) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if object["spec"]["unschedulable"] == true {
        state.push_str(",SchedulingDisabled");
    }
    let address = |wanted: &str| {
        let found = list(&status["addresses"])
            .iter()
            .find(|a| a["type"] == wanted);
        found.map_or(NONE, |a| text(&a["address"])).to_owned()
    };
    vec![
        name(object),
        state.into(),
        joined(&roles(&object["metadata"]["labels"]), ",").into(),
        age(object),
        info["kubeletVersion"].clone().into(),
        address("InternalIP").into(),
        address("ExternalIP").into(),
        text_or(&info["osImage"], UNKNOWN).into(),
        text_or(&info["kernelVersion"], UNKNOWN).into(),
        text_or(&info["containerRuntimeVersion"], UNKNOWN).into(),
    ]
}

fn roles(labels: &Value) -> Vec<String> {
    let mut roles: Vec<String> = labels
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(
            |(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
                Some(role) => Some(role.to_owned()),
                None if key == "kubernetes.io/role" => Some(text(value).to_owned()),
                None => None,
            },
        )
        .filter(|role| !role.is_empty())
        .collect();
    roles.sort();
    roles.dedup();
    roles
}

fn resource_quota(object: &Value) -> Cells {
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    let hard = object["status"]["hard"].as_object();
    let zero = Value::from("0");
    for (resource, hard) in hard.into_iter().flatten() {
        let used = object["status"]["used"].get(resource).unwrap_or(&zero);
        let shown = format!("{resource}: {}/{}", text(used), text(hard));
        if resource.starts_with("limits.") {
            limits.push(shown);
        } else {
            requests.push(shown);
        }
    }
    vec![
        name(object),
        requests.join(", ").into(),
        limits.join(", ").into(),
        age(object),
    ]
}

fn component_status(object: &Value) -> Cells {
    let healthy = list(&object["conditions"])
        .iter()
        .find(|c| c["type"] == "Healthy");
    let shown = |field: &str| healthy.map_or("", |c| text(&c[field]));
    let status = match shown("status") {
        "True" => "Healthy",
        "False" => "Unhealthy",
        _ => "Unknown",
    };
    vec![
        name(object),
        status.into(),
        shown("message").into(),
        shown("error").into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_cordoned_node_with_a_role() {
        let object = json!({
            "metadata": {"name": "worker-1", "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": {"node-role.kubernetes.io/worker": "", "kubernetes.io/os": "linux"}},
            "spec": {"unschedulable": true},
            "status": {"conditions": [{"type": "Ready", "status": "True"}],
                "addresses": [{"type": "InternalIP", "address": "10.88.0.11"}],
                "nodeInfo": {"kubeletVersion": "v1.33.0"}},
        });
        let cells = shown(node(&object));
        let shown: Vec<&str> = cells.iter().map(text).collect();
        assert_eq!(
            shown[..7],
            [
                "worker-1",
                "Ready,SchedulingDisabled",
                "worker",
                "60s",
                "v1.33.0",
                "10.88.0.11",
                "<none>"
            ]
        );
    }
}
