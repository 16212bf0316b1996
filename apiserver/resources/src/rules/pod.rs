//! Pods: the heart of the matter.

mod affinity;
mod containers;
mod defaults;
mod env;
mod probes;
mod qos;
mod resize;
mod resources;
mod security;
mod spec;
mod update;
mod volumes;
pub(super) mod warnings;

pub(super) use affinity::{check_node_selector, check_tolerations};
pub use defaults::default_spec;
pub(super) use probes::check_port;
pub use qos::qos_class;
pub use resize::{take_resources, validate_resize};
pub(super) use resources::{canonical_map, check_overhead, check_quantity};
pub(super) use security::check_annotations;
pub use spec::check_spec;
pub(super) use volumes::host_path;

use super::field::{Errors, Path};
use super::json::{flag, get, int, set, text};
use super::kind::{Kind, WITH_STATUS};
use serde_json::{Value, json};

/// What it costs to delete a pod, for controllers that have to choose.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The cost of deletion in a pod's or template's annotations is a number,
/// written without plus sign or leading zeros.
pub(super) fn check_deletion_cost(e: &mut Errors, path: &Path, metadata: &Value) {
    let annotations = get(metadata, "annotations");
    let Some(cost) = get(annotations, DELETION_COST).as_str() else {
        return;
    };
    if cost
        .parse::<i32>()
        .map(|number| number.to_string())
        .as_deref()
        != Ok(cost)
    {
        let path = path.child("annotations").key(DELETION_COST);
        e.invalid(&path, cost, "must be a 32bit integer");
    }
}

/// The rules of pods.
pub(super) const POD: Kind = Kind {
    status: r#"{"phase":"Pending"}"#,
    default: |pod| {
        if let Some(spec) = super::json::ensure_object(pod, "spec") {
            default_spec(spec);
            // Only pods themselves, not templates of them.
            super::json::set_default(spec, "enableServiceLinks", true);
            resources::default_requests(spec);
        }
    },
    prepare_create: |pod| {
        let class = qos_class(get(pod, "spec"));
        let mut status = json!({"phase": "Pending", "qosClass": class});
        // Nobody else tells of it: the scheduler leaves such pods alone.
        if !super::json::list(get(pod, "spec"), "schedulingGates").is_empty() {
            let gated = json!({"type": "PodScheduled", "status": "False", "lastProbeTime": null,
                "lastTransitionTime": null, "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates"});
            set(&mut status, "conditions", json!([gated]));
        }
        set(pod, "status", status);
    },
    prepare_status_update: |new, old| {
        // Deletion is asked of the main resource, and the class is settled at birth.
        let class = get(get(old, "status"), "qosClass").clone();
        if let Some(status) = super::json::object_mut(new, "status")
            && !class.is_null()
        {
            set(status, "qosClass", class);
        }
    },
    validate: |pod| {
        Errors::collect(|e| {
            let (metadata, spec) = (get(pod, "metadata"), get(pod, "spec"));
            check_deletion_cost(e, &Path::new("metadata"), metadata);
            check_annotations(e, &Path::new("metadata"), metadata, spec);
            check_spec(e, &Path::new("spec"), spec);
        })
    },
    validate_update: |new, old| {
        Errors::collect(|e| {
            update::check_annotations(e, new, old);
            update::check(e, get(new, "spec"), get(old, "spec"));
        })
    },
    // Kubernetes knows `status.podIPs` as a label, but no pod has anything there.
    label_aliases: &[
        ("spec.host", "spec.nodeName"),
        ("status.podIPs", "status.podIPs"),
    ],
    fields: |pod| {
        let (spec, status) = (get(pod, "spec"), get(pod, "status"));
        let of = |value: &str| value.to_owned();
        vec![
            ("spec.nodeName", of(text(spec, "nodeName"))),
            ("spec.restartPolicy", of(text(spec, "restartPolicy"))),
            ("spec.schedulerName", of(text(spec, "schedulerName"))),
            (
                "spec.serviceAccountName",
                of(text(spec, "serviceAccountName")),
            ),
            ("spec.hostNetwork", flag(spec, "hostNetwork").to_string()),
            ("status.phase", of(text(status, "phase"))),
            ("status.podIP", of(text(status, "podIP"))),
            (
                "status.nominatedNodeName",
                of(text(status, "nominatedNodeName")),
            ),
        ]
    },
    grace: |pod| {
        let spec = get(pod, "spec");
        let phase = text(get(pod, "status"), "phase");
        // Nothing has to be stopped where nothing was started or all has ended.
        if text(spec, "nodeName").is_empty() || ["Failed", "Succeeded"].contains(&phase) {
            return Some(0);
        }
        Some(int(spec, "terminationGracePeriodSeconds").unwrap_or(30))
    },
    // Of changes there are none: they are many, and mostly made by machines.
    warnings: |pod, old| match old {
        None => warnings::of_pod(pod),
        Some(_) => Vec::new(),
    },
    validate_status: |new, old| {
        let mut errors = Errors::collect(|e| update::check_annotations(e, new, old));
        errors.extend(super::status::pod(new, old));
        errors
    },
    ..WITH_STATUS
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::KindRules;

    fn pod() -> Value {
        let mut pod = json!({"metadata": {"name": "a"}, "spec": {"containers": [
            {"name": "web", "image": "nginx", "ports": [{"containerPort": 80}]},
        ]}});
        POD.default(&mut pod);
        pod
    }

    #[test]
    fn nobody_makes_a_pod_a_mirror_or_takes_that_off() {
        let with = |annotations: Value| {
            let mut pod = pod();
            pod["metadata"]["annotations"] = annotations;
            pod
        };
        let told = |new: Value, old: Value| -> Vec<String> {
            let (new, old) = (with(new), with(old));
            let whole = POD.validate_update(&new, &old);
            assert_eq!(whole, POD.validate_status_update(&new, &old).causes);
            whole.iter().map(|cause| cause.message.clone()).collect()
        };
        for (key, name) in [
            ("kubernetes.io/config.mirror", "mirror pod"),
            ("kubernetes.io/config.source", "pod source"),
        ] {
            assert_eq!(told(json!({key: "x"}), json!({key: "x"})), [""; 0]);
            assert_eq!(
                told(json!({key: "x"}), json!({})),
                [format!("Forbidden: may not add {name} annotation")]
            );
            for changed in [json!({}), json!({key: "y"})] {
                assert_eq!(
                    told(changed, json!({key: "x"})),
                    [format!(
                        "Forbidden: may not remove or update {name} annotation"
                    )]
                );
            }
        }
        assert_eq!(told(json!({"a": "b"}), json!({})), [""; 0]);
    }

    #[test]
    fn the_cost_of_deletion_is_a_number() {
        let with = |cost: &str| {
            let mut pod = pod();
            pod["metadata"]["annotations"] = json!({DELETION_COST: cost});
            messages(&pod)
        };
        assert_eq!(with("-10"), [""; 0]);
        for wrong in ["cheap", "+1", "007", "3000000000"] {
            let complaint = format!(
                "metadata.annotations[{DELETION_COST}]: Invalid value: {wrong:?}: must be a 32bit integer"
            );
            assert_eq!(with(wrong), [complaint]);
        }
    }

    fn messages(pod: &Value) -> Vec<String> {
        let causes = KindRules::validate(&POD, pod);
        causes
            .iter()
            .map(|c| format!("{}: {}", c.field, c.message))
            .collect()
    }

    #[test]
    fn ephemeral_containers_have_little_of_their_own() {
        let mut pod = pod();
        pod["spec"]["ephemeralContainers"] = json!([
            {"name": "good", "image": "tools", "targetContainerName": "web", "resources": {}},
            {"name": "bad", "image": "tools", "targetContainerName": "nobody",
             "resources": {"limits": {"cpu": "1"}}, "ports": [{"containerPort": 1}]},
        ]);
        POD.default(&mut pod);
        let at = "spec.ephemeralContainers[1]";
        let forbidden = "Forbidden: cannot be set for an Ephemeral Container";
        assert_eq!(
            messages(&pod),
            [
                format!("{at}.ports: {forbidden}"),
                format!("{at}.resources: {forbidden}"),
                format!("{at}.targetContainerName: Not found: \"nobody\""),
            ]
        );
    }

    #[test]
    fn defaults() {
        let pod = pod();
        let spec = &pod["spec"];
        assert_eq!(spec["restartPolicy"], "Always");
        assert_eq!(spec["dnsPolicy"], "ClusterFirst");
        assert_eq!(spec["terminationGracePeriodSeconds"], 30);
        assert_eq!(spec["securityContext"], json!({}));
        assert_eq!(spec["schedulerName"], "default-scheduler");
        assert_eq!(spec["enableServiceLinks"], true);
        let container = &spec["containers"][0];
        assert_eq!(container["imagePullPolicy"], "Always");
        assert_eq!(container["terminationMessagePath"], "/dev/termination-log");
        assert_eq!(container["terminationMessagePolicy"], "File");
        assert_eq!(container["ports"][0]["protocol"], "TCP");
        let mut again = pod.clone();
        POD.default(&mut again);
        assert_eq!(again, pod);
        assert_eq!(messages(&pod), [""; 0]);
    }

    #[test]
    fn create_resets_status() {
        let mut pod = pod();
        pod["status"] = json!({"phase": "Running", "podIP": "1.2.3.4"});
        KindRules::prepare_create(&POD, &mut pod);
        assert_eq!(
            pod["status"],
            json!({"phase": "Pending", "qosClass": "BestEffort"})
        );
        pod["spec"]["schedulingGates"] = json!([{"name": "example.com/wait"}]);
        KindRules::prepare_create(&POD, &mut pod);
        let gated = &pod["status"]["conditions"];
        assert_eq!(gated.as_array().map(Vec::len), Some(1));
        assert_eq!(
            (&gated[0]["type"], &gated[0]["status"], &gated[0]["reason"]),
            (
                &json!("PodScheduled"),
                &json!("False"),
                &json!("SchedulingGated")
            )
        );
    }

    #[test]
    fn grace() {
        let mut pod = pod();
        assert_eq!(POD.default_grace_period(&pod), Some(0));
        pod["spec"]["nodeName"] = json!("n1");
        assert_eq!(POD.default_grace_period(&pod), Some(30));
    }

    #[test]
    fn errors_of_containers() {
        let mut pod = pod();
        pod["spec"]["containers"] = json!([
            {"name": "web"},
            {"name": "web", "image": "x:1", "ports": [
                {"name": "http", "containerPort": 0}, {"name": "http", "containerPort": 70000}]},
            {"name": "Up", "image": "x:1", "volumeMounts": [{"name": "data", "mountPath": "/d"}],
             "env": [{"name": "A", "valueFrom": {}}], "imagePullPolicy": "Often"},
        ]);
        POD.default(&mut pod);
        assert_eq!(
            messages(&pod),
            [
                "spec.containers[0].image: Required value",
                r#"spec.containers[1].name: Duplicate value: "web""#,
                "spec.containers[1].ports[0].containerPort: Required value",
                r#"spec.containers[1].ports[1].name: Duplicate value: "http""#,
                "spec.containers[1].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
                r#"spec.containers[2].name: Invalid value: "Up": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"#,
                r#"spec.containers[2].env[0].valueFrom: Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"#,
                r#"spec.containers[2].volumeMounts[0].name: Not found: "data""#,
                r#"spec.containers[2].imagePullPolicy: Unsupported value: "Often": supported values: "Always", "IfNotPresent", "Never""#,
            ]
        );
    }

    #[test]
    fn errors_of_the_spec() {
        let mut pod = pod();
        pod["spec"]["restartPolicy"] = json!("Sometimes");
        pod["spec"]["volumes"] =
            json!([{"name": "v", "hostPath": {"path": "/a/../b"}}, {"name": "v", "emptyDir": {}}]);
        pod["spec"]["containers"][0]["resources"] =
            json!({"limits": {"cpu": "1"}, "requests": {"cpu": "2", "memory": "-1"}});
        POD.default(&mut pod);
        assert_eq!(
            messages(&pod),
            [
                r#"spec.volumes[0].hostPath.path: Invalid value: "/a/../b": must not contain '..'"#,
                r#"spec.volumes[1].name: Duplicate value: "v""#,
                r#"spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1"#,
                r#"spec.containers[0].resources.requests[memory]: Invalid value: "-1": must be greater than or equal to 0"#,
                r#"spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never""#,
            ]
        );
        let none = KindRules::validate(
            &POD,
            &json!({"spec": {"restartPolicy": "Always", "dnsPolicy": "Default"}}),
        );
        assert_eq!(none[0].field, "spec.containers");
        assert_eq!(none[0].message, "Required value");
    }

    #[test]
    fn host_ports_collide() {
        let mut pod = pod();
        pod["spec"]["containers"] = json!([
            {"name": "a", "image": "x:1", "ports": [{"containerPort": 80, "hostPort": 80}]},
            {"name": "b", "image": "x:1", "ports": [{"containerPort": 81, "hostPort": 80}]},
        ]);
        POD.default(&mut pod);
        assert_eq!(
            messages(&pod),
            [r#"spec.containers[1].ports[0].hostPort: Duplicate value: "TCP//80""#]
        );
        pod["spec"]["hostNetwork"] = json!(true);
        assert!(messages(&pod)[1].ends_with("must match `hostPort` when `hostNetwork` is true"));
    }

    #[test]
    fn updates_may_change_little() {
        let old = pod();
        let mut new = old.clone();
        new["spec"]["containers"][0]["image"] = json!("nginx:2");
        new["spec"]["activeDeadlineSeconds"] = json!(5);
        new["spec"]["tolerations"] = json!([{"key": "a", "operator": "Exists"}]);
        assert!(KindRules::validate_update(&POD, &new, &old).is_empty());
        new["spec"]["nodeName"] = json!("n2");
        let found = KindRules::validate_update(&POD, &new, &old);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].field, "spec");
        assert!(found[0].message.starts_with("Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n"));
    }

    #[test]
    fn quality_of_service() {
        let class =
            |resources: Value| qos_class(&json!({"containers": [{"resources": resources}]}));
        assert_eq!(class(json!({})), "BestEffort");
        assert_eq!(class(json!({"requests": {"cpu": "1"}})), "Burstable");
        let both = json!({"cpu": "1", "memory": "1Gi"});
        assert_eq!(
            class(json!({"requests": both, "limits": both})),
            "Guaranteed"
        );
    }
}
