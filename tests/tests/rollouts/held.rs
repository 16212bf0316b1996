//! Rollouts that are held, done all at once, or get stuck.

use hardway_tests::{Kubectl, pods, until, wait};
use serde_json::{Value, json};

use super::{MISSING, Rollouts, idle, name, revision};

fn conditions_of<'a>(object: &'a Value, kind: &str) -> &'a Value {
    let conditions = object["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    let found = conditions.find(|condition| condition["type"] == kind);
    found.unwrap_or(&Value::Null)
}

pub fn pause_and_resume(rollouts: &Rollouts) {
    let kubectl = &rollouts.namespace;
    rollouts.create(&idle("paused", 1, json!({})));
    let paused = kubectl.run("rollout pause deployment/paused");
    assert_eq!(paused, "deployment.apps/paused paused\n");
    let condition = rollouts.wait_reason("paused", "Progressing", "DeploymentPaused");
    assert_eq!(
        (&condition["status"], &condition["message"]),
        (&json!("Unknown"), &json!("Deployment is paused"))
    );
    kubectl.run("set image deploy/paused main=busybox:latest");
    kubectl.run("set env deploy/paused COLOUR=blue");
    // It is scaled all the same, with the template it has.
    kubectl.run("scale deploy/paused --replicas=2");
    rollouts.wait_sizes("paused", &[2]);
    let restart = kubectl.refused("rollout restart deploy/paused", "");
    assert!(
        restart.contains("can't restart paused deployment"),
        "{restart}"
    );
    let resumed = kubectl.run("rollout resume deployment/paused");
    assert_eq!(resumed, "deployment.apps/paused resumed\n");
    rollouts.rolled_out("paused");
    rollouts.wait_sizes("paused", &[0, 2]);
    let sets = rollouts.sets("paused");
    let container = &sets[1]["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        (&container["image"], &container["env"][0]["value"]),
        (&json!("busybox:latest"), &json!("blue"))
    );
}

pub fn recreate(rollouts: &Rollouts) {
    let kubectl = &rollouts.namespace;
    let mut manifest = idle("recreated", 2, json!({"strategy": {"type": "Recreate"}}));
    let container = &mut manifest["spec"]["template"]["spec"]["containers"][0];
    container["command"] = json!([
        "sh",
        "-c",
        "trap 'sleep 2; exit 0' TERM; while :; do sleep 1000 & wait; done"
    ]);
    rollouts.create(&manifest);
    kubectl.run("set env deploy/recreated VERSION=2");
    // At no moment are pods of both templates there, those that are leaving included.
    until("all pods are of the new template", || {
        let mut list = kubectl.try_json("get pods -l app=recreated")?;
        let pods = list["items"]
            .as_array_mut()
            .map(std::mem::take)
            .unwrap_or_default();
        let hash = |pod: &Value| pod["metadata"]["labels"]["pod-template-hash"].clone();
        let ended = |pod: &&Value| {
            pod["status"]["phase"] == "Succeeded" || pod["status"]["phase"] == "Failed"
        };
        let mut hashes: Vec<Value> = pods.iter().filter(|pod| !ended(pod)).map(hash).collect();
        hashes.sort_by_key(Value::to_string);
        hashes.dedup();
        assert!(hashes.len() <= 1, "{hashes:?} at once: {pods:?}");
        let newest = rollouts.try_sets("recreated")?.pop().unwrap_or_default();
        let label = &newest["metadata"]["labels"]["pod-template-hash"];
        wait::holds(
            revision(&newest) == 2 && hashes.first() == Some(label),
            format!("{hashes:?}"),
        )
    });
    rollouts.rolled_out("recreated");
    rollouts.wait_sizes("recreated", &[0, 2]);
}

pub fn proportional(rollouts: &Rollouts) {
    let kubectl = &rollouts.namespace;
    let bounds =
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}});
    rollouts.create(&idle("spread", 3, json!({"strategy": bounds})));
    kubectl.run(&format!("set image deploy/spread main={MISSING}"));
    // Four pods are allowed, two must be available.
    rollouts.wait_sizes("spread", &[2, 2]);
    kubectl.run("scale deploy/spread --replicas=6");
    // Seven are allowed: three more, in halves, the odd one for the newer.
    rollouts.wait_sizes("spread", &[3, 4]);
    let annotations = &rollouts.sets("spread")[0]["metadata"]["annotations"];
    assert_eq!(
        annotations["deployment.kubernetes.io/desired-replicas"],
        "6"
    );
    assert_eq!(annotations["deployment.kubernetes.io/max-replicas"], "7");
    // Back to what works: the broken ones go at once.
    kubectl.run("rollout undo deploy/spread");
    rollouts.rolled_out("spread");
    rollouts.wait_sizes("spread", &[0, 6]);
    pods::wait_ready(kubectl, "app=spread", 6);
}

pub fn deadline(rollouts: &Rollouts) {
    let kubectl = &rollouts.namespace;
    rollouts.create(&idle("stuck", 1, json!({})));
    // From here on: a busy machine may take longer for the first pod.
    kubectl.run(r#"patch deploy stuck -p '{"spec": {"progressDeadlineSeconds": 4}}'"#);
    kubectl.run(&format!("set image deploy/stuck main={MISSING}"));
    let told = kubectl.refused("rollout status deploy/stuck --timeout=60s", "");
    assert!(
        told.contains("error: deployment \"stuck\" exceeded its progress deadline"),
        "{told}"
    );
    let condition = rollouts.wait_reason("stuck", "Progressing", "ProgressDeadlineExceeded");
    assert_eq!(condition["status"], "False");
    let newest = rollouts.sets("stuck").pop().unwrap_or_default();
    let message = format!(
        "ReplicaSet \"{}\" has timed out progressing.",
        name(&newest)
    );
    assert_eq!(condition["message"], message);
    // What there was before still serves.
    let deployment = kubectl.json("get deploy stuck");
    assert_eq!(conditions_of(&deployment, "Available")["status"], "True");
    pods::wait_until(kubectl, &broken(kubectl), "waiting for its image", |pod| {
        pod.container("main")["state"]["waiting"]["reason"] == "ImagePullBackOff"
    });
    // A disruption budget goes by what the Deployment wants, not by the sum of both.
    kubectl.run("create poddisruptionbudget stuck --selector=app=stuck --max-unavailable=1");
    until("the budget expects one pod", || {
        let budget = kubectl.try_json("get pdb stuck")?;
        wait::holds(budget["status"]["expectedPods"] == 1, budget)
    });
    kubectl.run("rollout undo deploy/stuck");
    // Until the broken pod is gone the deadline is still passed, and kubectl says so.
    rollouts.wait_reason("stuck", "Progressing", "NewReplicaSetAvailable");
    rollouts.rolled_out("stuck");
    rollouts.wait_sizes("stuck", &[0, 1]);
}

/// The pod that isn't ready.
fn broken(kubectl: &Kubectl) -> String {
    let pods = pods::try_list(kubectl, "app=stuck").unwrap_or_default();
    let broken = pods.iter().find(|pod| !pod.ready()).map(pods::Pod::name);
    broken.expect("there is a pod that isn't ready")
}

pub fn min_ready_seconds(rollouts: &Rollouts) {
    let kubectl = &rollouts.namespace;
    kubectl.create(&idle("patient", 1, json!({"minReadySeconds": 4})));
    let pod = pods::wait_ready(kubectl, "app=patient", 1).remove(0);
    rollouts.rolled_out("patient");
    let deployment = kubectl.json("get deploy patient");
    let since = |object: &Value, kind| {
        let time = &conditions_of(object, kind)["lastTransitionTime"];
        seconds(time.as_str().unwrap_or_default())
    };
    let waited = (since(&deployment, "Available") - since(pod.value(), "Ready")).rem_euclid(86_400);
    assert!(
        (4..40).contains(&waited),
        "available {waited} s after it was ready"
    );
}

/// The second of the day in an RFC 3339 time.
fn seconds(time: &str) -> i64 {
    let parts = time.get(11..19).unwrap_or_default().split(':');
    parts.fold(0, |sum, part| sum * 60 + part.parse::<i64>().unwrap_or(0))
}
