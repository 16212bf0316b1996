//! Whether the pods of add-ons run, and what is in their way.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::Addon;
use crate::api::{Api, text};
use crate::failure::{Failure, Result};
use crate::watch;

/// How long an add-on may take to be available.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until all pods of these add-ons are available; tells their names.
///
/// # Errors
/// If one is not in time, with what the scheduler or the kubelet says of its pods.
pub fn wait(api: &mut Api, addons: &[&'static Addon]) -> Result<String> {
    let began = Instant::now();
    for addon in addons {
        for object in addon.workloads()? {
            wait_for(api, &object, began + PATIENCE)?;
        }
    }
    let names: Vec<&str> = addons.iter().map(|addon| addon.name).collect();
    Ok(names.join(", "))
}

fn wait_for(api: &mut Api, object: &Value, deadline: Instant) -> Result<()> {
    let path = watch::of_object(&api.path(object)?);
    let mut complaint = String::new();
    let waited = watch::until(api, &path, deadline, |workloads| {
        complaint = match workloads.first() {
            Some(workload) => lacking(object, workload).unwrap_or_default(),
            None => "it is gone".to_owned(),
        };
        complaint.is_empty().then_some(())
    })?;
    if waited.is_some() {
        return Ok(());
    }
    let name = text(&object["metadata"]["name"]);
    let namespace = text(&object["metadata"]["namespace"]);
    let pods = api.get(&pods_path(object))?.unwrap_or_default();
    let why = reason(object, items(&pods)).unwrap_or_default();
    Err(
        Failure::new(format!("wait for {name}"), format!("{complaint}{why}")).way_out(format!(
            "see what its pods say:  kubectl --namespace {namespace} describe pods"
        )),
    )
}

/// The pods of a workload's namespace.
fn pods_path(workload: &Value) -> String {
    let namespace = text(&workload["metadata"]["namespace"]);
    format!("/api/v1/namespaces/{namespace}/pods")
}

fn items(list: &Value) -> &[Value] {
    list["items"].as_array().map_or(&[], Vec::as_slice)
}

/// How an add-on is in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Its pods are not there.
    Absent,
    /// Its pods are there; with what they still lack, if anything.
    Present(Option<String>),
}

/// How an add-on is.
///
/// # Errors
/// If the apiserver can't be asked.
pub fn state(api: &mut Api, addon: &Addon) -> Result<State> {
    let mut state = State::Absent;
    for object in addon.workloads()? {
        let path = api.path(&object)?;
        match (api.get(&path)?, &state) {
            (Some(workload), State::Absent | State::Present(None)) => {
                state = State::Present(lacking(&object, &workload));
            }
            (None, State::Present(None)) => {
                let name = text(&object["metadata"]["name"]);
                state = State::Present(Some(format!("{name} is not there")));
            }
            _ => {}
        }
    }
    Ok(state)
}

/// Waits until there are no pods any more that a workload selects; says whether that is so.
///
/// # Errors
/// If the apiserver can't be asked.
pub fn wait_for_end(api: &Api, workload: &Value, deadline: Instant) -> Result<bool> {
    let none = watch::until(api, &pods_path(workload), deadline, |pods| {
        selected(workload, pods).next().is_none().then_some(())
    });
    Ok(none?.is_some())
}

/// The pods that a workload selects.
fn selected<'a>(workload: &'a Value, pods: &'a [Value]) -> impl Iterator<Item = &'a Value> {
    let labels = workload
        .pointer("/spec/selector/matchLabels")
        .and_then(Value::as_object)
        .filter(|labels| !labels.is_empty());
    pods.iter().filter(move |pod| {
        let own = &pod["metadata"]["labels"];
        labels.is_some_and(|labels| labels.iter().all(|(key, value)| own[key] == *value))
    })
}

/// What a Deployment or DaemonSet still lacks. Which of them it is, the manifest's object says:
/// those of lists don't.
fn lacking(object: &Value, workload: &Value) -> Option<String> {
    let number = |pointer: &str| workload.pointer(pointer).and_then(Value::as_i64);
    let status = |field: &str| number(&format!("/status/{field}")).unwrap_or(0);
    let (wanted, updated, available, all) = match object["kind"] == "DaemonSet" {
        true => (
            status("desiredNumberScheduled"),
            status("updatedNumberScheduled"),
            status("numberAvailable"),
            status("currentNumberScheduled"),
        ),
        false => (
            number("/spec/replicas").unwrap_or(1),
            status("updatedReplicas"),
            status("availableReplicas"),
            status("replicas"),
        ),
    };
    if status("observedGeneration") < number("/metadata/generation").unwrap_or(0) {
        return Some("the controller manager has not looked at it".to_owned());
    }
    if updated < wanted {
        return Some(format!(
            "{updated} of {wanted} replicas are of this version"
        ));
    }
    if available < wanted {
        return Some(format!("{available} of {wanted} replicas are available"));
    }
    (all > wanted).then(|| format!("{} old replicas are still there", all - wanted))
}

/// Why a pod of an add-on doesn't run, in the scheduler's or the kubelet's words.
fn reason(workload: &Value, pods: &[Value]) -> Option<String> {
    let pods = selected(workload, pods);
    let says = |pod: &Value| {
        let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
        let unscheduled = conditions.into_iter().flatten().find(|condition| {
            condition["type"] == "PodScheduled" && condition["status"] == "False"
        });
        let containers = pod.pointer("/status/containerStatuses");
        let waiting = containers.and_then(Value::as_array).into_iter().flatten();
        let waiting = waiting.map(|container| &container["state"]["waiting"]["message"]);
        let mut messages = unscheduled
            .map(|it| &it["message"])
            .into_iter()
            .chain(waiting);
        let message = messages.find_map(Value::as_str)?;
        Some(format!("; {}: {message}", text(&pod["metadata"]["name"])))
    };
    pods.filter_map(says).next()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn dns() -> Value {
        let dns = super::super::find("dns").unwrap();
        dns.workloads().unwrap().remove(0)
    }

    #[test]
    fn what_is_in_the_way_of_a_pod_is_told() {
        let pod = |name: &str, status: Value| {
            let labels = json!({"k8s-app": "kube-dns"});
            json!({"metadata": {"name": name, "labels": labels}, "status": status})
        };
        let other = json!({"metadata": {"name": "x"}, "status": {"containerStatuses": [
            {"state": {"waiting": {"message": "not this one's"}}}]}});
        let running = pod(
            "a",
            json!({"conditions": [{"type": "PodScheduled", "status": "True"}]}),
        );
        let pending = pod(
            "b",
            json!({"conditions": [
            {"type": "PodScheduled", "status": "False", "message": "0/2 nodes are available"}]}),
        );
        let waiting = pod(
            "c",
            json!({"containerStatuses": [
            {"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}]}),
        );
        let of = |pods: &[&Value]| {
            let pods: Vec<Value> = pods.iter().map(|pod| (*pod).clone()).collect();
            reason(&dns(), &pods)
        };
        assert_eq!(of(&[&other, &running]), None);
        let told = of(&[&running, &pending, &waiting]).unwrap();
        assert_eq!(told, "; b: 0/2 nodes are available");
        assert_eq!(of(&[&waiting]).unwrap(), "; c: not found");
    }

    #[test]
    fn a_deployment_is_there_when_all_its_pods_are() {
        let with = |status: Value| json!({"metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": status});
        let good = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2});
        let lacking = |workload: &Value| super::lacking(&dns(), workload);
        assert_eq!(lacking(&with(good.clone())), None);
        let said = |field: &str, value: i64| {
            let mut status = good.clone();
            status[field] = json!(value);
            lacking(&with(status)).unwrap()
        };
        assert_eq!(
            said("availableReplicas", 1),
            "1 of 2 replicas are available"
        );
        assert_eq!(said("replicas", 3), "1 old replicas are still there");
        assert!(said("observedGeneration", 1).starts_with("the controller manager"));
        let on_nodes = |available: i64| {
            let status = json!({"desiredNumberScheduled": 2, "currentNumberScheduled": 2,
                "updatedNumberScheduled": 2, "numberAvailable": available});
            super::lacking(&json!({"kind": "DaemonSet"}), &json!({"status": status}))
        };
        assert_eq!(on_nodes(2), None);
        assert_eq!(on_nodes(1).unwrap(), "1 of 2 replicas are available");
    }
}
