//! What runs pods.

use super::Spec;
use super::cells::*;
use serde_json::Value;

pub fn spec(_group: &str, version: &str, kind: &str) -> Option<Spec> {
    Some(match kind {
        "ReplicationController" | "ReplicaSet" => (
            "Name|Desired:i|Current:i|Ready:i|Age|Containers+|Images+|Selector+",
            replica_set,
        ),
        "Deployment" => (
            "Name|Ready|Up-to-date|Available|Age|Containers+|Images+|Selector+",
            deployment,
        ),
        "StatefulSet" => ("Name|Ready|Age|Containers+|Images+", stateful_set),
        "DaemonSet" => (
            "Name|Desired:i|Current:i|Ready:i|Up-to-date:i|Available:i|Node Selector|Age|Containers+|Images+|Selector+",
            daemon_set,
        ),
        "ControllerRevision" => ("Name|Controller|Revision|Age", controller_revision),
        "Job" => (
            "Name|Status|Completions|Duration|Age|Containers+|Images+|Selector+",
            job,
        ),
        "CronJob" => (
            "Name|Schedule|Timezone|Suspend:b|Active:i|Last Schedule|Age|Containers+|Images+|Selector+",
            cron_job,
        ),
        "HorizontalPodAutoscaler" => (
            "Name|Reference|Targets|MinPods|MaxPods|Replicas|Age",
            if version == "v1" {
                autoscaler_v1
            } else {
                autoscaler
            },
        ),
        "Scale" => ("Name|Desired:i|Available:i|Age", scale),
        "PodDisruptionBudget" => (
            "Name|Min Available|Max Unavailable|Allowed Disruptions:i|Age",
            disruption_budget,
        ),
        _ => return None,
    })
}

fn scale(object: &Value) -> Cells {
    vec![
        name(object),
        int(&object["spec"]["replicas"]).into(),
        int(&object["status"]["replicas"]).into(),
        age(object),
    ]
}

fn replica_set(object: &Value) -> Cells {
    let (spec, status) = (&object["spec"], &object["status"]);
    let [names, images] = containers(&spec["template"]["spec"]);
    vec![
        name(object),
        int(&spec["replicas"]).into(),
        int(&status["replicas"]).into(),
        int(&status["readyReplicas"]).into(),
        age(object),
        names,
        images,
        selector(&spec["selector"]).into(),
    ]
}

fn ready_of(object: &Value) -> Cell {
    let (spec, status) = (&object["spec"], &object["status"]);
    format!(
        "{}/{}",
        int(&status["readyReplicas"]),
        int(&spec["replicas"])
    )
    .into()
}

fn deployment(object: &Value) -> Cells {
    let (spec, status) = (&object["spec"], &object["status"]);
    let [names, images] = containers(&spec["template"]["spec"]);
    vec![
        name(object),
        ready_of(object),
        int(&status["updatedReplicas"]).into(),
        int(&status["availableReplicas"]).into(),
        age(object),
        names,
        images,
        selector(&spec["selector"]).into(),
    ]
}

fn stateful_set(object: &Value) -> Cells {
    let [names, images] = containers(&object["spec"]["template"]["spec"]);
    vec![name(object), ready_of(object), age(object), names, images]
}

fn daemon_set(object: &Value) -> Cells {
    let (spec, status) = (&object["spec"], &object["status"]);
    let pods = &spec["template"]["spec"];
    let [names, images] = containers(pods);
    let count = |field: &str| Cell::from(int(&status[field]));
    vec![
        name(object),
        count("desiredNumberScheduled"),
        count("currentNumberScheduled"),
        count("numberReady"),
        count("updatedNumberScheduled"),
        count("numberAvailable"),
        selector(&pods["nodeSelector"]).into(),
        age(object),
        names,
        images,
        selector(&spec["selector"]).into(),
    ]
}

fn controller_revision(object: &Value) -> Cells {
    let owner = list(&object["metadata"]["ownerReferences"])
        .iter()
        .find(|owner| owner["controller"] == true);
    let owner = owner.map_or(NONE.to_owned(), |owner| {
        let kind = text(&owner["kind"]).to_lowercase();
        let group = text(&owner["apiVersion"])
            .split_once('/')
            .map_or("", |(group, _)| group);
        match group {
            "" => format!("{kind}/{}", text(&owner["name"])),
            group => format!("{kind}.{group}/{}", text(&owner["name"])),
        }
    });
    vec![
        name(object),
        owner.into(),
        int(&object["revision"]).into(),
        age(object),
    ]
}

fn job(object: &Value) -> Cells {
    let (spec, status) = (&object["spec"], &object["status"]);
    let succeeded = int(&status["succeeded"]);
    let completions = match (spec["completions"].as_i64(), int(&spec["parallelism"])) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallelism @ 2..) => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    };
    let [start, end] = ["startTime", "completionTime"].map(|field| timestamp(&status[field]));
    let duration = match (start, end) {
        (None, _) => "".into(),
        (Some(start), None) => Cell::since(start),
        (Some(start), Some(end)) => human(end.as_second() - start.as_second()).into(),
    };
    let conditions = &status["conditions"];
    let state = if is_true(conditions, "Complete") {
        "Complete"
    } else if is_true(conditions, "Failed") {
        "Failed"
    } else if !object["metadata"]["deletionTimestamp"].is_null() {
        "Terminating"
    } else {
        ["Suspended", "FailureTarget", "SuccessCriteriaMet"]
            .into_iter()
            .find(|condition| is_true(conditions, condition))
            .unwrap_or("Running")
    };
    let [names, images] = containers(&spec["template"]["spec"]);
    vec![
        name(object),
        state.into(),
        completions.into(),
        duration,
        age(object),
        names,
        images,
        selector(&spec["selector"]).into(),
    ]
}

fn cron_job(object: &Value) -> Cells {
    let (spec, status) = (&object["spec"], &object["status"]);
    let job = &spec["jobTemplate"]["spec"];
    let [names, images] = containers(&job["template"]["spec"]);
    let last = &status["lastScheduleTime"];
    vec![
        name(object),
        spec["schedule"].clone().into(),
        text_or(&spec["timeZone"], NONE).into(),
        bool_pointer(&spec["suspend"]).into(),
        list(&status["active"]).len().into(),
        if last.is_null() {
            NONE.into()
        } else {
            since(last)
        },
        age(object),
        names,
        images,
        selector(&job["selector"]).into(),
    ]
}

fn autoscaler_row(object: &Value, targets: String) -> Cells {
    let (spec, status) = (&object["spec"], &object["status"]);
    let target = &spec["scaleTargetRef"];
    vec![
        name(object),
        format!("{}/{}", text(&target["kind"]), text(&target["name"])).into(),
        targets.into(),
        int_or_string(&spec["minReplicas"], UNSET).into(),
        int(&spec["maxReplicas"]).into(),
        int(&status["currentReplicas"]).into(),
        age(object),
    ]
}

fn percent(value: &Value) -> String {
    value
        .as_i64()
        .map_or(UNKNOWN.to_owned(), |n| format!("{n}%"))
}

fn autoscaler_v1(object: &Value) -> Cells {
    let wanted = &object["spec"]["targetCPUUtilizationPercentage"];
    let targets = if wanted.is_null() {
        NONE.to_owned()
    } else {
        let current = percent(&object["status"]["currentCPUUtilizationPercentage"]);
        format!("cpu: {current}/{}", percent(wanted))
    };
    autoscaler_row(object, targets)
}

fn autoscaler(object: &Value) -> Cells {
    let current = list(&object["status"]["currentMetrics"]);
    let mut shown = Vec::new();
    let metrics = list(&object["spec"]["metrics"]);
    for (index, metric) in metrics.iter().take(2).enumerate() {
        shown.push(self::metric(
            metric,
            current.get(index).unwrap_or(&Value::Null),
        ));
    }
    let targets = match metrics.len() {
        0 => NONE.to_owned(),
        1 | 2 => shown.join(", "),
        n => format!("{} + {} more...", shown.join(", "), n - 2),
    };
    autoscaler_row(object, targets)
}

/// One metric: what it is and what it should be.
fn metric(metric: &Value, current: &Value) -> String {
    let (field, label) = match text(&metric["type"]) {
        "Resource" => ("resource", text(&metric["resource"]["name"])),
        "ContainerResource" => (
            "containerResource",
            text(&metric["containerResource"]["name"]),
        ),
        "Pods" => ("pods", ""),
        "Object" => ("object", ""),
        "External" => ("external", ""),
        _ => return "<unknown type>".to_owned(),
    };
    let (target, current) = (&metric[field]["target"], &current[field]["current"]);
    let (now, wanted) = if !target["averageUtilization"].is_null() {
        (
            percent(&current["averageUtilization"]),
            percent(&target["averageUtilization"]),
        )
    } else if !target["averageValue"].is_null() {
        let wanted = match field {
            "pods" | "resource" | "containerResource" => text(&target["averageValue"]).to_owned(),
            _ => format!("{} (avg)", text(&target["averageValue"])),
        };
        (
            text_or(&current["averageValue"], UNKNOWN).to_owned(),
            wanted,
        )
    } else {
        (
            text_or(&current["value"], UNKNOWN).to_owned(),
            text(&target["value"]).to_owned(),
        )
    };
    match label {
        "" => format!("{now}/{wanted}"),
        label => format!("{label}: {now}/{wanted}"),
    }
}

fn disruption_budget(object: &Value) -> Cells {
    let (spec, status) = (&object["spec"], &object["status"]);
    vec![
        name(object),
        int_or_string(&spec["minAvailable"], "N/A").into(),
        int_or_string(&spec["maxUnavailable"], "N/A").into(),
        int(&status["disruptionsAllowed"]).into(),
        age(object),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn controllers() {
        let template = json!({"spec": {"containers": [
            {"name": "mongo", "image": "mongo"}, {"name": "web", "image": "web:1"}]}});
        let rc = json!({"metadata": {"name": "rc", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"replicas": 2, "selector": {"name": "web"}, "template": template},
            "status": {"replicas": 2, "readyReplicas": 1}});
        assert_eq!(
            shown(replica_set(&rc)),
            [
                json!("rc"),
                json!(2),
                json!(2),
                json!(1),
                json!("60s"),
                json!("mongo,web"),
                json!("mongo,web:1"),
                json!("name=web")
            ]
        );
        let deployment_cells = shown(deployment(
            &json!({"metadata": {"name": "d"}, "spec": {"replicas": 3}, "status": {"readyReplicas": 1}}),
        ));
        assert_eq!(deployment_cells[1], "1/3");
        assert_eq!(deployment_cells[4], "<unknown>");
    }

    #[test]
    fn jobs_and_autoscalers() {
        let cells = shown(job(
            &json!({"metadata": {"name": "j"}, "spec": {"completions": 1},
                "status": {"succeeded": 1, "startTime": "2026-01-01T00:00:00Z",
                    "completionTime": "2026-01-01T00:00:05Z",
                    "conditions": [{"type": "Complete", "status": "True"}]}}),
        ));
        assert_eq!(cells[1..4], [json!("Complete"), json!("1/1"), json!("5s")]);
        let cells = shown(autoscaler(
            &json!({"metadata": {"name": "h"}, "spec": {"maxReplicas": 3,
                "scaleTargetRef": {"kind": "Deployment", "name": "web"},
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80}}}]}}),
        ));
        assert_eq!(
            cells[1..4],
            [
                json!("Deployment/web"),
                json!("cpu: <unknown>/80%"),
                json!("<unset>")
            ]
        );
    }
}
