//! Pods, their templates, events.

use super::Spec;
use super::cells::*;
use jiff::Timestamp;
use serde_json::Value;

pub fn spec(group: &str, _version: &str, kind: &str) -> Option<Spec> {
    Some(match (group, kind) {
        ("", "Pod") => (
            "Name|Ready|Status|Restarts|Age|IP+|Node+|Nominated Node+|Readiness Gates+",
            pod,
        ),
        ("", "PodTemplate") => ("Name|Containers|Images|Pod Labels", pod_template),
        ("", "Event") => (
            "Last Seen|Type|Reason|Object|Subobject+|Source+|Message|First Seen+|Count+|Name+",
            core_event,
        ),
        ("events.k8s.io", "Event") => (
            "Last Seen|Type|Reason|Object|Subobject+|Source+|Message|First Seen+|Count+|Name+",
            new_event,
        ),
        _ => return None,
    })
}

/// What of a pod its row is made of.
pub const LOOKS_AT: &[&str] = &[
    "metadata.creationTimestamp",
    "metadata.deletionTimestamp",
    "metadata.name",
    "spec.containers.name",
    "spec.initContainers.name",
    "spec.initContainers.restartPolicy",
    "spec.nodeName",
    "spec.readinessGates",
    "status.conditions.reason",
    "status.conditions.status",
    "status.conditions.type",
    "status.containerStatuses.lastState.terminated.finishedAt",
    "status.containerStatuses.ready",
    "status.containerStatuses.restartCount",
    "status.containerStatuses.state",
    "status.initContainerStatuses.lastState.terminated.finishedAt",
    "status.initContainerStatuses.name",
    "status.initContainerStatuses.ready",
    "status.initContainerStatuses.restartCount",
    "status.initContainerStatuses.started",
    "status.initContainerStatuses.state",
    "status.nominatedNodeName",
    "status.phase",
    "status.podIP",
    "status.podIPs",
    "status.reason",
];

/// What the containers' states add up to.
struct Summary {
    reason: String,
    ready: usize,
    total: usize,
    restarts: i64,
    last_restart: Option<Timestamp>,
}

fn pod(pod: &Value) -> Cells {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    let summary = summarise(pod);
    let restarts = match summary.last_restart {
        Some(last) if summary.restarts > 0 => Cell::Age {
            before: format!("{} (", summary.restarts),
            second: last.as_second(),
            after: " ago)",
        },
        _ => summary.restarts.to_string().into(),
    };
    let address = match list(&status["podIPs"]).first() {
        Some(first) => text_or(&first["ip"], NONE),
        None => text_or(&status["podIP"], NONE),
    };
    vec![
        name(pod),
        format!("{}/{}", summary.ready, summary.total).into(),
        summary.reason.into(),
        restarts,
        age(pod),
        address.into(),
        text_or(&spec["nodeName"], NONE).into(),
        text_or(&status["nominatedNodeName"], NONE).into(),
        gates(spec, status).into(),
    ]
}

fn gates(spec: &Value, status: &Value) -> String {
    let gates = list(&spec["readinessGates"]);
    if gates.is_empty() {
        return NONE.to_owned();
    }
    let open = gates
        .iter()
        .filter(|gate| is_true(&status["conditions"], text(&gate["conditionType"])))
        .count();
    format!("{open}/{}", gates.len())
}

fn summarise(pod: &Value) -> Summary {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    let mut summary = Summary {
        reason: text_or(&status["reason"], text(&status["phase"])).to_owned(),
        ready: 0,
        total: list(&spec["containers"]).len(),
        restarts: 0,
        last_restart: None,
    };
    let gated = |c: &Value| c["type"] == "PodScheduled" && c["reason"] == "SchedulingGated";
    if list(&status["conditions"]).iter().any(gated) {
        summary.reason = "SchedulingGated".into();
    }
    let initialising = init_containers(spec, status, &mut summary);
    if !initialising || is_true(&status["conditions"], "Initialized") {
        containers(status, &mut summary);
    }
    let deleted = !pod["metadata"]["deletionTimestamp"].is_null();
    if deleted && status["reason"] == "NodeLost" {
        summary.reason = "Unknown".into();
    } else if deleted && !matches!(text(&status["phase"]), "Succeeded" | "Failed") {
        summary.reason = "Terminating".into();
    }
    summary
}

/// Whether initialisation is still on its way (or failed). Afterwards the
/// summary counts the restarts of sidecars only, unless it is.
fn init_containers(spec: &Value, status: &Value, summary: &mut Summary) -> bool {
    let specs = list(&spec["initContainers"]);
    let is_sidecar = |name: &Value| {
        specs
            .iter()
            .any(|c| c["name"] == *name && c["restartPolicy"] == "Always")
    };
    summary.total += specs
        .iter()
        .filter(|c| c["restartPolicy"] == "Always")
        .count();
    let (mut sidecar_restarts, mut last_sidecar_restart) = (0, None);
    let mut initialising = false;
    for (index, container) in list(&status["initContainerStatuses"]).iter().enumerate() {
        let (state, sidecar) = (&container["state"], is_sidecar(&container["name"]));
        summary.restarts += int(&container["restartCount"]);
        summary.last_restart = summary.last_restart.max(last_finished(container));
        if sidecar {
            sidecar_restarts += int(&container["restartCount"]);
            last_sidecar_restart = last_sidecar_restart.max(last_finished(container));
        }
        let terminated = &state["terminated"];
        if terminated.is_object() && int(&terminated["exitCode"]) == 0 {
            continue;
        }
        if sidecar && container["started"] == true {
            summary.ready += usize::from(container["ready"] == true);
            continue;
        }
        summary.reason = if terminated.is_object() {
            format!("Init:{}", ended(terminated))
        } else {
            match text(&state["waiting"]["reason"]) {
                "" | "PodInitializing" => format!("Init:{index}/{}", specs.len()),
                reason => format!("Init:{reason}"),
            }
        };
        initialising = true;
        break;
    }
    if !initialising || is_true(&status["conditions"], "Initialized") {
        summary.restarts = sidecar_restarts;
        summary.last_restart = last_sidecar_restart;
    }
    initialising
}

fn containers(status: &Value, summary: &mut Summary) {
    let mut running = false;
    for container in list(&status["containerStatuses"]).iter().rev() {
        let state = &container["state"];
        summary.restarts += int(&container["restartCount"]);
        summary.last_restart = summary.last_restart.max(last_finished(container));
        if !text(&state["waiting"]["reason"]).is_empty() {
            summary.reason = text(&state["waiting"]["reason"]).to_owned();
        } else if state["terminated"].is_object() {
            summary.reason = ended(&state["terminated"]);
        } else if container["ready"] == true && state["running"].is_object() {
            running = true;
            summary.ready += 1;
        }
    }
    if summary.reason == "Completed" && running {
        let ready = is_true(&status["conditions"], "Ready");
        summary.reason = if ready { "Running" } else { "NotReady" }.into();
    }
}

fn last_finished(container: &Value) -> Option<Timestamp> {
    timestamp(&container["lastState"]["terminated"]["finishedAt"])
}

fn ended(terminated: &Value) -> String {
    match (text(&terminated["reason"]), int(&terminated["signal"])) {
        ("", 0) => format!("ExitCode:{}", int(&terminated["exitCode"])),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn pod_template(object: &Value) -> Cells {
    let [names, images] = super::cells::containers(&object["template"]["spec"]);
    let labels = selector(&object["template"]["metadata"]["labels"]);
    vec![name(object), names, images, labels.into()]
}

fn core_event(event: &Value) -> Cells {
    let fields = [
        "firstTimestamp",
        "lastTimestamp",
        "count",
        "involvedObject",
        "source",
        "reportingComponent",
        "message",
    ];
    show_event(event, fields)
}

fn new_event(event: &Value) -> Cells {
    let fields = [
        "deprecatedFirstTimestamp",
        "deprecatedLastTimestamp",
        "deprecatedCount",
        "regarding",
        "deprecatedSource",
        "reportingController",
        "note",
    ];
    show_event(event, fields)
}

fn show_event(event: &Value, fields: [&str; 7]) -> Cells {
    let [first, last, count, about, source, controller, message] =
        fields.map(|field| &event[field]);
    let first = match first {
        Value::Null => since(&event["eventTime"]),
        time => since(time),
    };
    let series = &event["series"];
    let (last, count) = match last {
        _ if series.is_object() => (since(&series["lastObservedTime"]), int(&series["count"])),
        Value::Null => (first.clone(), int(count).max(1)),
        time => (since(time), int(count).max(1)),
    };
    let kind = text(&about["kind"]).to_lowercase();
    let target = match text(&about["name"]) {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    let component = text_or(&source["component"], text(controller));
    let source = match text_or(&source["host"], text(&event["reportingInstance"])) {
        "" => component.to_owned(),
        host => format!("{component}, {host}"),
    };
    vec![
        last,
        event["type"].clone().into(),
        event["reason"].clone().into(),
        target.into(),
        text(&about["fieldPath"]).into(),
        source.into(),
        text(message).trim().into(),
        first,
        count.into(),
        name(event),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::excerpt::{Excerpt, Fields};
    use serde_json::json;

    fn shown(spec: Value, status: Value, deleted: bool) -> (String, String, String) {
        let mut object = json!({
            "metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": spec, "status": status,
        });
        if deleted {
            object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:30Z".into();
        }
        let cells = pod(&object);
        let text_of = object.to_string();
        let excerpt = Excerpt::read(text_of.as_bytes(), &Fields::of(LOOKS_AT)).unwrap();
        assert_eq!(pod(&excerpt.object), cells, "that is all it looks at");
        let now = "2026-01-01T00:10:00Z".parse().expect("a time");
        let cell = |i: usize| text(&cells[i].at(now)).to_owned();
        (cell(1), cell(2), cell(3))
    }

    fn told(ready: &str, status: &str, restarts: &str) -> (String, String, String) {
        (ready.into(), status.into(), restarts.into())
    }

    fn two() -> Value {
        json!({"containers": [{"name": "a"}, {"name": "b"}]})
    }

    #[test]
    fn pods_in_their_states() {
        let up = json!({"ready": true, "restartCount": 0, "state": {"running": {}}});
        assert_eq!(
            shown(
                two(),
                json!({"phase": "Running", "containerStatuses": [up, up]}),
                false
            ),
            told("2/2", "Running", "0")
        );
        assert_eq!(
            shown(two(), json!({"phase": "Pending"}), false),
            told("0/2", "Pending", "0")
        );
        let crashing = json!({"ready": false, "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"finishedAt": "2026-01-01T00:05:00Z"}}});
        assert_eq!(
            shown(
                two(),
                json!({"phase": "Running", "containerStatuses": [up, crashing]}),
                false
            ),
            told("1/2", "CrashLoopBackOff", "3 (5m ago)")
        );
        assert_eq!(
            shown(
                two(),
                json!({"phase": "Running", "containerStatuses": [up, up]}),
                true
            ),
            told("2/2", "Terminating", "0")
        );
        let done = json!({"restartCount": 0, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}});
        assert_eq!(
            shown(
                two(),
                json!({"phase": "Succeeded", "containerStatuses": [done, done]}),
                true
            ),
            told("0/2", "Completed", "0")
        );
        assert_eq!(
            shown(
                two(),
                json!({"phase": "Running", "containerStatuses": [done, up],
                "conditions": [{"type": "Ready", "status": "False"}]}),
                false
            ),
            told("1/2", "NotReady", "0")
        );
        assert_eq!(
            shown(
                two(),
                json!({"phase": "Failed", "reason": "Evicted"}),
                false
            ),
            told("0/2", "Evicted", "0")
        );
        let killed =
            json!({"restartCount": 0, "state": {"terminated": {"exitCode": 137, "signal": 9}}});
        assert_eq!(
            shown(
                two(),
                json!({"phase": "Failed", "containerStatuses": [killed]}),
                false
            )
            .1,
            "Signal:9"
        );
    }

    #[test]
    fn pods_that_initialise() {
        let spec = json!({"initContainers": [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}],
            "containers": [{"name": "a"}]});
        let running = json!({"name": "i", "state": {"running": {}}});
        assert_eq!(
            shown(
                spec.clone(),
                json!({"phase": "Pending", "initContainerStatuses": [running]}),
                false
            ),
            told("0/2", "Init:0/2", "0")
        );
        let failed =
            json!({"name": "i", "restartCount": 1, "state": {"terminated": {"exitCode": 2}}});
        assert_eq!(
            shown(
                spec.clone(),
                json!({"phase": "Pending", "initContainerStatuses": [failed]}),
                false
            ),
            told("0/2", "Init:ExitCode:2", "1")
        );
        let done = json!({"name": "i", "state": {"terminated": {"exitCode": 0}}});
        let sidecar = json!({"name": "s", "started": true, "ready": true, "restartCount": 1, "state": {"running": {}}});
        let up = json!({"name": "a", "ready": true, "state": {"running": {}}});
        assert_eq!(
            shown(
                spec,
                json!({"phase": "Running", "initContainerStatuses": [done, sidecar],
                "containerStatuses": [up]}),
                false
            ),
            told("2/2", "Running", "1")
        );
    }
}
