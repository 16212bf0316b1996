//! Whether an object is what somebody waits for it to be.

use serde_json::Value;

/// How far an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It is ready, or done.
    Ready,
    /// Not yet, and what is missing.
    Waiting(String),
    /// It won't be, unless somebody does something.
    Failed(String),
}

use Readiness::{Failed, Ready, Waiting};

/// A container that waits for one of these won't start by itself soon.
const STUCK: [&str; 6] = [
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "ErrImageNeverPull",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
];

/// How far an object is, by its kind. Kinds that do nothing are ready. Of a Service its
/// `slices` count.
pub fn of(object: &Value, slices: &[Value]) -> Readiness {
    let behind = object["status"]["observedGeneration"].as_i64().unwrap_or(0)
        < object["metadata"]["generation"].as_i64().unwrap_or(0);
    match object["kind"].as_str().unwrap_or_default() {
        "Pod" => pod(object),
        "Deployment" | "StatefulSet" | "ReplicaSet" | "DaemonSet" if behind => {
            Waiting("its controller has not seen it yet".to_owned())
        }
        "Deployment" | "StatefulSet" => match condition(object, "Progressing") {
            Some(progressing) if progressing["status"] == "False" => Failed(text(progressing)),
            _ => replicas(object, &["updatedReplicas", "readyReplicas"]),
        },
        "ReplicaSet" | "ReplicationController" => replicas(object, &["readyReplicas"]),
        "DaemonSet" => {
            let status = &object["status"];
            count(
                status,
                "numberReady",
                status["desiredNumberScheduled"].as_i64().unwrap_or(0),
            )
        }
        "Job" => job(object),
        "PersistentVolumeClaim" => match object["status"]["phase"].as_str() {
            Some("Bound") => Ready,
            Some("Lost") => Failed("its volume is lost".to_owned()),
            _ => Waiting("not bound".to_owned()),
        },
        "Service" => service(object, slices),
        _ => Ready,
    }
}

fn pod(pod: &Value) -> Readiness {
    let status = &pod["status"];
    let reason = |of: &Value| {
        let reason = of["reason"].as_str().unwrap_or_default();
        let message = of["message"].as_str().unwrap_or_default();
        format!("{reason}: {message}")
    };
    match status["phase"].as_str() {
        Some("Succeeded") => return Ready,
        Some("Failed") => return Failed(reason(status)),
        _ => {}
    }
    let lists = ["initContainerStatuses", "containerStatuses"];
    let containers = lists
        .iter()
        .flat_map(|list| status[*list].as_array().into_iter().flatten());
    for container in containers {
        let waiting = &container["state"]["waiting"];
        if waiting["reason"]
            .as_str()
            .is_some_and(|reason| STUCK.contains(&reason))
        {
            return Failed(reason(waiting));
        }
    }
    match condition(pod, "Ready") {
        Some(ready) if ready["status"] == "True" => Ready,
        _ => match condition(pod, "PodScheduled") {
            Some(scheduled) if scheduled["status"] == "False" => Waiting(text(scheduled)),
            _ => Waiting("not ready".to_owned()),
        },
    }
}

fn job(job: &Value) -> Readiness {
    match (condition(job, "Complete"), condition(job, "Failed")) {
        (Some(done), _) if done["status"] == "True" => Ready,
        (_, Some(failed)) if failed["status"] == "True" => Failed(text(failed)),
        _ => Waiting("not complete".to_owned()),
    }
}

fn service(service: &Value, slices: &[Value]) -> Readiness {
    let spec = &service["spec"];
    let selects = spec["selector"]
        .as_object()
        .is_some_and(|selector| !selector.is_empty());
    let endpoints = slices
        .iter()
        .flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
    let mut ready = endpoints.filter(|endpoint| endpoint["conditions"]["ready"] != false);
    match !selects || spec["type"] == "ExternalName" || ready.next().is_some() {
        true => Ready,
        false => Waiting("no ready endpoints".to_owned()),
    }
}

fn replicas(object: &Value, counts: &[&str]) -> Readiness {
    let wanted = object["spec"]["replicas"].as_i64().unwrap_or(1);
    for name in counts {
        let counted = count(&object["status"], name, wanted);
        if counted != Ready {
            return counted;
        }
    }
    Ready
}

fn count(status: &Value, name: &str, wanted: i64) -> Readiness {
    match status[name].as_i64().unwrap_or(0) {
        there if there >= wanted => Ready,
        there => Waiting(format!("{name}: {there} of {wanted}")),
    }
}

fn condition<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let conditions = object["status"]["conditions"].as_array()?;
    conditions
        .iter()
        .find(|condition| condition["type"] == name)
}

fn text(condition: &Value) -> String {
    let part = |name: &str| condition[name].as_str().unwrap_or_default();
    format!("{}: {}", part("reason"), part("message"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pods_are_ready_done_or_stuck() {
        let pod = |status: Value| of(&json!({"kind": "Pod", "status": status}), &[]);
        let ready = |value: &str| json!([{"type": "Ready", "status": value}]);
        assert_eq!(
            pod(json!({"phase": "Running", "conditions": ready("True")})),
            Ready
        );
        assert_eq!(
            pod(json!({"phase": "Succeeded", "conditions": ready("False")})),
            Ready
        );
        let waits = pod(json!({"phase": "Running", "conditions": ready("False")}));
        assert_eq!(waits, Waiting("not ready".into()));
        let nowhere = json!([{"type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": "0/1 nodes"}]);
        let nowhere = pod(json!({"phase": "Pending", "conditions": nowhere}));
        assert_eq!(nowhere, Waiting("Unschedulable: 0/1 nodes".into()));
        let loops = json!([{"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "m"}}}]);
        let loops = pod(json!({"phase": "Running", "containerStatuses": loops}));
        assert_eq!(loops, Failed("CrashLoopBackOff: m".into()));
        let pulls = json!([{"state": {"waiting": {"reason": "ErrImagePull"}}}]);
        let pulls = pod(json!({"phase": "Pending", "containerStatuses": pulls}));
        assert!(matches!(pulls, Waiting(_)), "it may come yet");
    }

    #[test]
    fn what_has_replicas_is_ready_when_all_are() {
        let deployment = |generation: i64, updated: i64, ready: i64| {
            let object = json!({"kind": "Deployment", "metadata": {"generation": 2},
                "spec": {"replicas": 2}, "status": {"observedGeneration": generation,
                "updatedReplicas": updated, "readyReplicas": ready}});
            of(&object, &[])
        };
        assert_eq!(deployment(2, 2, 2), Ready);
        assert!(matches!(deployment(1, 2, 2), Waiting(_)));
        assert_eq!(
            deployment(2, 1, 2),
            Waiting("updatedReplicas: 1 of 2".into())
        );
        assert_eq!(deployment(2, 2, 1), Waiting("readyReplicas: 1 of 2".into()));
        let daemons =
            json!({"kind": "DaemonSet", "status": {"desiredNumberScheduled": 3, "numberReady": 2}});
        assert_eq!(of(&daemons, &[]), Waiting("numberReady: 2 of 3".into()));
        let job = json!({"kind": "Job", "status": {"conditions": [
            {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "m"}]}});
        assert_eq!(of(&job, &[]), Failed("BackoffLimitExceeded: m".into()));
        assert_eq!(of(&json!({"kind": "ConfigMap"}), &[]), Ready);
    }

    #[test]
    fn a_service_is_ready_with_an_endpoint() {
        let service = json!({"kind": "Service", "spec": {"selector": {"app": "web"}}});
        let slice = |ready: bool| json!({"endpoints": [{"conditions": {"ready": ready}}]});
        assert!(matches!(of(&service, &[]), Waiting(_)));
        assert!(matches!(of(&service, &[slice(false)]), Waiting(_)));
        assert_eq!(of(&service, &[slice(false), slice(true)]), Ready);
        assert_eq!(of(&json!({"kind": "Service", "spec": {}}), &[]), Ready);
    }
}
