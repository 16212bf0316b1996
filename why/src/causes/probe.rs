//! A probe that fails, with what it said last.

use crate::causes::containers::{self, Container};
use crate::causes::{Cause, lasts};
use crate::cluster::{Cluster, Event};
use crate::finding::Finding;
use crate::object::{Json, Object};
use crate::words::one_line;

pub(super) const CAUSE: Cause = Cause {
    name: "probe",
    about: "a readiness, liveness or startup probe that fails, or a readiness gate that nobody sets",
    kinds: &["Pod"],
    reads: &["Event"],
    find,
};

/// How the kubelet begins the message of its event Unhealthy for each kind of probe.
const PROBES: &[(&str, &str)] = &[
    ("Readiness probe", "readinessProbe"),
    ("Liveness probe", "livenessProbe"),
    ("Startup probe", "startupProbe"),
];

/// A liveness probe that failed this long ago has been answered by a restart.
const RECENT: i64 = 300;

fn find<'a>(cluster: &Cluster<'a>, pod: &Object<'a>) -> Vec<Finding> {
    let all = containers::all(pod);
    let running = all.iter().filter(|it| it.is_running());
    let mut found: Vec<Finding> = running.filter_map(|it| failing(cluster, pod, it)).collect();
    found.extend(gate(pod));
    found
}

fn failing<'a>(
    cluster: &Cluster<'a>,
    pod: &Object<'a>,
    container: &Container<'a>,
) -> Option<Finding> {
    let is_ready = container.status.flag("/ready");
    let events = cluster.events(pod).into_iter();
    let unhealthy: Vec<&Event<'a>> = events.filter(|it| it.reason == "Unhealthy").collect();
    let last = |begins: &str| {
        unhealthy
            .iter()
            .copied()
            .find(|it| it.message.starts_with(begins))
    };
    let is_recent = |event: &Event<'_>| {
        event
            .last
            .is_none_or(|at| cluster.seconds_since(at) < RECENT)
    };
    for (begins, field) in PROBES {
        let Some(probe) = container.spec.get(field) else {
            continue;
        };
        let event = last(begins);
        let fails = match *field {
            "readinessProbe" => {
                let is_started = container.status.get("started") != Some(&false.into());
                !is_ready && is_started && (event.is_some() || is_late(cluster, container))
            }
            "startupProbe" => {
                container.status.get("started") == Some(&false.into()) && event.is_some()
            }
            _ => event.is_some_and(is_recent) && container.restarts() > 0,
        };
        if !fails {
            continue;
        }
        let output = event
            .map(|it| output(it.message))
            .filter(|it| !it.is_empty());
        let kind = begins.to_lowercase();
        let what = describe(probe);
        let summary = match &output {
            Some(output) => format!("{container}: its {kind} ({what}) fails: {output}"),
            None => format!("{container}: its {kind} ({what}) has not succeeded yet"),
        };
        let unready = pod
            .condition("ContainersReady")
            .filter(|it| it.status == "False");
        let finding = match *field {
            "livenessProbe" if is_ready => Finding::warning(summary),
            _ => Finding::error(summary),
        };
        let spec = format!("/spec/containers[{}]/{field}", container.name);
        let finding = finding
            .key(format!("{} {field}", container.name))
            .since(
                unready
                    .and_then(|it| it.since)
                    .or(event.and_then(|it| it.first)),
            )
            .says([pod.field(&spec, what)])
            .says(unready.map(|it| pod.told_by(&it)))
            .says(event.map(|it| it.evidence()))
            .run(
                "see what the program says",
                format!(
                    "kubectl logs {} -c {}{}",
                    pod.name(),
                    container.name,
                    pod.flag()
                ),
            );
        return Some(match port_is_told(container, probe) {
            Some(told) => finding.advise(told),
            None if output
                .as_deref()
                .is_some_and(|it| it.contains("deadline exceeded") || it.contains("timed out")) =>
            {
                finding.advise("give the probe more time: timeoutSeconds")
            }
            None => finding.advise("correct the probe, or what it asks"),
        });
    }
    None
}

/// Whether a container has run for longer than its probes let it be without an answer.
fn is_late(cluster: &Cluster<'_>, container: &Container<'_>) -> bool {
    let probes = ["startupProbe", "readinessProbe"].into_iter();
    let probes = probes.filter_map(|it| container.spec.get(it));
    let since = container.status.time("/state/running/startedAt");
    lasts(cluster, since, probes.map(allowed).sum())
}

/// How many seconds pass until a probe that never succeeds counts as failed, with the API's
/// defaults for what it does not say.
fn allowed(probe: &serde_json::Value) -> i64 {
    let number = |field: &str, default| probe.number(field).unwrap_or(default).max(0);
    let tries = number("/periodSeconds", 10).saturating_mul(number("/failureThreshold", 3));
    number("/initialDelaySeconds", 0).saturating_add(tries)
}

/// What follows the words of the kubelet: `Readiness probe failed: HTTP probe failed with …`.
fn output(message: &str) -> String {
    let (_, output) = message.split_once(": ").unwrap_or(("", message));
    one_line(output)
}

/// What a probe does, in a few words.
fn describe(probe: &serde_json::Value) -> String {
    let port = |pointer: &str| match probe.pointer(pointer) {
        Some(serde_json::Value::String(name)) => name.clone(),
        Some(number) => number.to_string(),
        None => String::new(),
    };
    if probe.get("httpGet").is_some() {
        let path = probe.text("/httpGet/path").unwrap_or("/");
        return format!("GET {path} at port {}", port("/httpGet/port"));
    }
    if probe.get("tcpSocket").is_some() {
        return format!("connect to port {}", port("/tcpSocket/port"));
    }
    if probe.get("grpc").is_some() {
        return format!("gRPC health at port {}", port("/grpc/port"));
    }
    let command: Vec<&str> = probe
        .list("/exec/command")
        .iter()
        .filter_map(|it| it.as_str())
        .collect();
    format!("exec {}", one_line(&command.join(" ")))
}

/// Whether the probe asks a port that the container does not declare, while it declares others.
fn port_is_told(container: &Container<'_>, probe: &serde_json::Value) -> Option<String> {
    let port = probe
        .pointer("/httpGet/port")
        .or(probe.pointer("/tcpSocket/port"))?;
    let declared = container.spec.list("/ports");
    let is_declared = declared
        .iter()
        .any(|it| it.get("containerPort") == Some(port) || it.get("name") == Some(port));
    if declared.is_empty() || is_declared {
        return None;
    }
    let ports: Vec<String> = declared
        .iter()
        .filter_map(|it| it.number("/containerPort"))
        .map(|it| it.to_string())
        .collect();
    Some(format!(
        "the probe asks port {port}, the container declares {}",
        ports.join(", ")
    ))
}

/// A readiness gate whose condition nobody has set.
fn gate(pod: &Object<'_>) -> Option<Finding> {
    let containers = pod.condition("ContainersReady");
    if containers.is_none_or(|it| it.status != "True") {
        return None;
    }
    let gates = pod.value.list("/spec/readinessGates").iter();
    let mut gates = gates.filter_map(|it| it.text("/conditionType"));
    let closed = gates.find(|it| pod.condition(it).is_none_or(|it| it.status != "True"))?;
    let finding = Finding::error(format!(
        "its containers are ready, but its readiness gate {closed} is not True"
    ))
    .key(closed)
    .says(pod.condition("Ready").map(|it| pod.told_by(&it)))
    .advise(format!(
        "whoever sets the condition {closed} has not; see that this controller runs"
    ));
    Some(finding)
}

#[cfg(test)]
mod tests {
    use crate::fixtures::{event, found, one, says};
    use serde_json::{Value, json};

    fn pod(container: Value, status: Value) -> (&'static str, Value) {
        let pod = json!({"metadata": {"name": "web", "namespace": "default"},
            "spec": {"nodeName": "a", "containers": [container]},
            "status": {"phase": "Running", "conditions": [{"type": "ContainersReady", "status": "False",
                "reason": "ContainersNotReady", "message": "containers with unready status: [web]"}],
                "containerStatuses": [status]}});
        ("Pod", pod)
    }

    #[test]
    fn a_readiness_probe_is_told_with_its_output() {
        let container = json!({"name": "web", "ports": [{"containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "/ready", "port": 80}}});
        let status =
            json!({"name": "web", "ready": false, "started": true, "state": {"running": {}}});
        let said = event(
            "Pod",
            "web",
            "Unhealthy",
            "Readiness probe failed: HTTP probe failed with statuscode: 500",
        );
        let told = one(&[pod(container.clone(), status.clone()), said]);
        assert_eq!(
            told.summary,
            "container web: its readiness probe (GET /ready at port 80) fails: HTTP probe failed with statuscode: 500"
        );
        says(
            &told,
            "ContainersNotReady: containers with unready status: [web]",
        );
        assert_eq!(
            told.remedies[1].advice,
            "the probe asks port 80, the container declares 8080"
        );
        let told = one(&[pod(container.clone(), status)]);
        assert!(
            told.summary.ends_with("has not succeeded yet"),
            "{}",
            told.summary
        );
        let ready = json!({"name": "web", "ready": true, "state": {"running": {}}});
        assert_eq!(found(&[pod(container, ready)]), []);
    }

    #[test]
    fn a_container_that_has_just_started_has_time_to_be_ready() {
        let container = json!({"name": "web", "readinessProbe":
            {"tcpSocket": {"port": 80}, "initialDelaySeconds": 20, "periodSeconds": 5, "failureThreshold": 2}});
        let at = |started: &str| {
            let status = json!({"name": "web", "ready": false, "started": true,
                "state": {"running": {"startedAt": started}}});
            pod(container.clone(), status)
        };
        // Of the 30 s that it has 29 are over.
        assert_eq!(found(&[at("2025-01-01T00:09:31Z")]), []);
        let told = one(&[at("2025-01-01T00:09:30Z")]);
        assert!(told.summary.ends_with("has not succeeded yet"), "{told:?}");
        let said = event("Pod", "web", "Unhealthy", "Readiness probe failed: refused");
        let told = one(&[at("2025-01-01T00:09:59Z"), said]);
        assert!(told.summary.ends_with("fails: refused"), "{told:?}");
        let plain = json!({"httpGet": {"port": 80}});
        assert_eq!(super::allowed(&plain), 30);
    }

    #[test]
    fn startup_and_liveness_probes_are_told() {
        let container =
            json!({"name": "web", "startupProbe": {"exec": {"command": ["cat", "/up"]}}});
        let status =
            json!({"name": "web", "ready": false, "started": false, "state": {"running": {}}});
        let said = event(
            "Pod",
            "web",
            "Unhealthy",
            "Startup probe failed: cat: can't open '/up'",
        );
        let told = one(&[pod(container, status), said]);
        assert!(
            told.summary
                .contains("startup probe (exec cat /up) fails: cat: can't open"),
            "{}",
            told.summary
        );

        let container = json!({"name": "web", "livenessProbe": {"tcpSocket": {"port": 80}}});
        let status =
            json!({"name": "web", "ready": true, "restartCount": 1, "state": {"running": {}}});
        let said = event(
            "Pod",
            "web",
            "Unhealthy",
            "Liveness probe failed: dial tcp 10.244.0.9:80: connect: connection refused",
        );
        let told = one(&[pod(container, status), said]);
        assert!(
            told.summary.contains("connection refused"),
            "{}",
            told.summary
        );
    }

    #[test]
    fn a_gate_that_nobody_opens_is_told() {
        let (kind, mut pod) = pod(
            json!({"name": "web"}),
            json!({"name": "web", "ready": true, "state": {"running": {}}}),
        );
        pod["spec"]["readinessGates"] = json!([{"conditionType": "example.com/live"}]);
        pod["status"]["conditions"] = json!([{"type": "ContainersReady", "status": "True"},
            {"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady",
             "message": "corresponding condition of pod readiness gate \"example.com/live\" does not exist."}]);
        let told = one(&[(kind, pod)]);
        says(&told, "ReadinessGatesNotReady");
    }
}
