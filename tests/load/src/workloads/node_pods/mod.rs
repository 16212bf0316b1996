//! Pods that nodes really run, for workloads that need them.

mod lives;

pub(super) use lives::{Life, Lives};

use serde_json::{Value, json};

use crate::api::{Api, Call};
use crate::failure::{Failure, OrFail};
use crate::workload::Context;

/// The container's name.
pub(super) const CONTAINER: &str = "main";
/// What a pod runs that is only to be there. It ends when it is told to.
pub(super) const IDLE: &[&str] = &["sh", "-c", "trap exit TERM; sleep 86400 & wait"];

/// The nodes that any pod may run on.
///
/// # Errors
/// If the cluster doesn't say.
pub(super) async fn nodes(api: &Api) -> Result<Vec<String>, Failure> {
    let answer = api.send(&Call::get("/api/v1/nodes")).await;
    let list = answer.and_then(|answer| answer.json());
    let list = list.or_fail(|| "look for nodes".to_owned())?;
    let nodes = list["items"].as_array().map_or(&[][..], Vec::as_slice);
    let usable = nodes.iter().filter(|node| is_usable(node));
    let names = usable.filter_map(|node| node["metadata"]["name"].as_str());
    Ok(names.map(str::to_owned).collect())
}

/// Whether a node is ready and takes every pod.
fn is_usable(node: &Value) -> bool {
    let parts = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let is_ready = parts(&node["status"]["conditions"])
        .iter()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
    let keeps_out = parts(&node["spec"]["taints"])
        .iter()
        .any(|taint| taint["effect"] != "PreferNoSchedule");
    is_ready && !keeps_out && node["spec"]["unschedulable"] != true
}

/// A pod of one container that runs a command of the image.
pub(super) fn pod(context: &Context, name: &str, command: &[&str]) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "load"}},
        "spec": {
            "automountServiceAccountToken": false,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": CONTAINER,
                "image": context.sizes.image,
                "imagePullPolicy": "IfNotPresent",
                "command": command,
            }],
        },
    })
}

/// Creates a pod and waits until it is ready or, if its command is to end, has ended well.
///
/// # Errors
/// If it doesn't come to that.
pub(super) async fn run(context: &Context, lives: &Lives, pod: &Value) -> Result<Life, Failure> {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let api = context.api(0);
    lives.asked(name);
    let made = api.send(&Call::post(context.core("pods"), pod)).await;
    made.or_fail(|| format!("create the pod {name}"))?;
    lives.until_done(name).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_keeps_pods_out_is_not_usable() {
        let node = |ready: &str, spec: Value| {
            let condition = json!({"type": "Ready", "status": ready});
            json!({"spec": spec, "status": {"conditions": [condition]}})
        };
        assert!(is_usable(&node("True", json!({}))));
        let avoided = json!({"taints": [{"key": "a", "effect": "PreferNoSchedule"}]});
        assert!(is_usable(&node("True", avoided)));
        for (ready, spec) in [
            ("Unknown", json!({})),
            ("True", json!({"unschedulable": true})),
            (
                "True",
                json!({"taints": [{"key": "a", "effect": "NoSchedule"}]}),
            ),
            (
                "True",
                json!({"taints": [{"key": "a", "effect": "NoExecute"}]}),
            ),
        ] {
            assert!(!is_usable(&node(ready, spec.clone())), "{ready} {spec}");
        }
    }
}
