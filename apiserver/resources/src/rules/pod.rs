//! Pods: the heart of the matter.

mod affinity;
mod annotations;
mod containers;
mod defaults;
mod disabled;
mod env;
mod label_keys;
mod mounts;
mod options;
mod probes;
mod qos;
mod resize;
mod resources;
mod security;
mod spec;
mod update;
mod volumes;
pub(super) mod warnings;
mod windows;

pub(super) use affinity::{check_node_selector, check_tolerations, has_invalid_values};
pub(super) use annotations::{check as check_annotations, check_seccomp};
pub use defaults::default_spec;
pub(super) use disabled::drop_disabled;
pub use options::Options;
pub(super) use probes::check_port;
pub use qos::qos_class;
pub use resize::{take_resources, validate_resize};
pub(super) use resources::{canonical_map, check_overhead, check_quantity};
pub use spec::check_spec;
pub(super) use volumes::host_path;

use super::field::{Errors, Path};
use super::json::{flag, get, has, int, list, object_mut, set, text};
use super::kind::{Kind, WITH_STATUS};
use serde_json::{Value, json};

/// What is wrong with a pod, whatever it was before (`validatePodMetadataAndSpec`).
fn check(e: &mut Errors, pod: &Value, options: Options) {
    let (metadata, spec) = (get(pod, "metadata"), get(pod, "spec"));
    let path = Path::new("spec");
    let at = Path::new("metadata.annotations");
    annotations::check(e, &at, metadata, spec, options);
    check_spec(e, &path, spec, options);
    // Templates may have these.
    if text(spec, "serviceAccountName").is_empty() {
        tokens_of_nobody(e, &path.child("volumes"), spec);
    }
    for field in ["containers", "initContainers"] {
        for (i, container) in list(spec, field).iter().enumerate() {
            containers::trimmed_image(e, &path.child(field).index(i), container);
        }
    }
}

/// Tokens are those of a service account.
fn tokens_of_nobody(e: &mut Errors, path: &Path, spec: &Value) {
    for (i, volume) in list(spec, "volumes").iter().enumerate() {
        let path = path.index(i).child("projected.sources");
        let sources = list(get(volume, "projected"), "sources").iter().enumerate();
        for (j, _) in sources.filter(|(_, source)| has(source, "serviceAccountToken")) {
            let detail = "must not be specified when serviceAccountName is not set";
            e.forbidden(&path.index(j).child("serviceAccountToken"), detail);
        }
    }
}

/// What is wrong with a new pod (`ValidatePodCreate`).
fn check_new(e: &mut Errors, pod: &Value) {
    let (metadata, spec) = (get(pod, "metadata"), get(pod, "spec"));
    let path = Path::new("spec");
    check(e, pod, Options::of_pod(metadata));
    if !list(spec, "ephemeralContainers").is_empty() {
        e.forbidden(
            &path.child("ephemeralContainers"),
            "cannot be set on create",
        );
    }
    if !text(spec, "nodeName").is_empty() && !list(spec, "schedulingGates").is_empty() {
        let detail = "cannot be set until all schedulingGates have been cleared";
        e.forbidden(&path.child("nodeName"), detail);
    }
    check_seccomp(e, &path, metadata, spec);
    annotations::check_app_armor(e, &path, metadata, spec);
}

/// How a pod is checked that has an earlier version.
fn options_after<'a>(new: &'a Value, old: &Value) -> Options<'a> {
    Options::of_pod(get(new, "metadata")).after(Some(old))
}

/// The rules of pods.
pub(super) const POD: Kind = Kind {
    status: r#"{"phase":"Pending"}"#,
    default: |pod| {
        if let Some(spec) = super::json::ensure_object(pod, "spec") {
            default_spec(spec);
            // Only pods themselves, not templates of them.
            super::json::set_default(spec, "enableServiceLinks", true);
            defaults::host_ports(spec);
            resources::default_requests(spec);
        }
    },
    prepare_create: |pod| {
        if let Some(spec) = object_mut(pod, "spec") {
            drop_disabled(spec, &Value::Null);
        }
        let class = qos_class(get(pod, "spec"));
        let mut status = json!({"phase": "Pending", "qosClass": class});
        // Nobody else tells of it: the scheduler leaves such pods alone.
        if !list(get(pod, "spec"), "schedulingGates").is_empty() {
            let gated = json!({"type": "PodScheduled", "status": "False", "lastProbeTime": null,
                "lastTransitionTime": null, "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates"});
            set(&mut status, "conditions", json!([gated]));
        }
        set(pod, "status", status);
    },
    complete_create: label_keys::merge,
    prepare_update: |new, old| {
        if let Some(spec) = object_mut(new, "spec") {
            drop_disabled(spec, get(old, "spec"));
        }
    },
    prepare_status_update: |new, old| {
        // Deletion is asked of the main resource, and the class is settled at birth.
        let class = get(get(old, "status"), "qosClass").clone();
        if let Some(status) = object_mut(new, "status")
            && !class.is_null()
        {
            set(status, "qosClass", class);
        }
    },
    validate: |pod| Errors::collect(|e| check_new(e, pod)),
    validate_again: Some(|new, old| Errors::collect(|e| check(e, new, options_after(new, old)))),
    validate_update: |new, old| {
        Errors::collect(|e| {
            annotations::check_update(e, new, old, options_after(new, old));
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
        let options = options_after(new, old);
        let mut errors = Errors::collect(|e| annotations::check_update(e, new, old, options));
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
            pod["spec"]["nodeName"] = json!("n1");
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
            pod["metadata"]["annotations"] = json!({annotations::DELETION_COST: cost});
            messages(&pod)
        };
        assert_eq!(with("-10"), [""; 0]);
        for wrong in ["cheap", "+1", "007", "3000000000"] {
            let key = annotations::DELETION_COST;
            let complaint = format!(
                "metadata.annotations[{key}]: Invalid value: {wrong:?}: must be a 32bit integer"
            );
            assert_eq!(with(wrong), [complaint]);
        }
    }

    fn texts(causes: crate::rules::FieldErrors) -> Vec<String> {
        let texts = causes.iter().map(|c| format!("{}: {}", c.field, c.message));
        texts.collect()
    }

    fn messages(pod: &Value) -> Vec<String> {
        texts(KindRules::validate(&POD, pod))
    }

    fn told_again(new: &Value, old: &Value) -> Vec<String> {
        texts(KindRules::validate_again(&POD, new, old))
    }

    #[test]
    fn faults_that_were_there_may_stay() {
        let selector = || {
            json!({"matchExpressions": [
            {"key": "a", "operator": "In", "values": ["x y"]}]})
        };
        let term = json!({"topologyKey": "zone", "labelSelector": selector()});
        let token = json!({"serviceAccountToken": {"path": "../x", "expirationSeconds": 600}});
        for (field, value) in [
            (
                "affinity",
                json!({"podAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": [term]}}),
            ),
            (
                "affinity",
                json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [selector()]}}}),
            ),
            (
                "topologySpreadConstraints",
                json!([{"maxSkew": 1, "topologyKey": "zone", "labelSelector": selector(),
                    "whenUnsatisfiable": "DoNotSchedule"}]),
            ),
            (
                "containers",
                json!([{"name": "web", "image": "x:1", "resources": {
                    "limits": {"cpu": "1", "hugepages-2Mi": "3Mi"}}}]),
            ),
            (
                "volumes",
                json!([{"name": "v", "projected": {"sources": [token]}}]),
            ),
            (
                "securityContext",
                json!({"seLinuxChangePolicy": "MountOption"}),
            ),
        ] {
            let mut faulty = pod();
            faulty["spec"]["serviceAccountName"] = json!("default");
            let mut good = faulty.clone();
            faulty["spec"][field] = value;
            for pod in [&mut faulty, &mut good] {
                POD.default(pod);
            }
            assert_ne!(messages(&faulty), [""; 0], "{field}");
            assert_ne!(told_again(&faulty, &good), [""; 0], "{field}");
            assert_eq!(told_again(&faulty, &faulty), [""; 0], "{field}");
        }
        let mut faulty = pod();
        faulty["metadata"]["annotations"] = json!({annotations::DELETION_COST: "much"});
        assert_eq!(told_again(&faulty, &pod()).len(), 1);
        assert_eq!(told_again(&faulty, &faulty), [""; 0]);
        let net = json!({"name": "net.core.somaxconn", "value": "1"});
        let mut faulty = pod();
        faulty["spec"]["hostNetwork"] = json!(true);
        faulty["spec"]["containers"][0]["ports"][0]["hostPort"] = json!(80);
        let good = faulty.clone();
        faulty["spec"]["securityContext"]["sysctls"] = json!([net]);
        assert_eq!(told_again(&faulty, &good).len(), 1);
        assert_eq!(told_again(&faulty, &faulty), [""; 0]);
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
        let mut told = vec![
            format!("{at}.targetContainerName: Not found: \"nobody\""),
            format!("{at}.ports: {forbidden}"),
            format!("{at}.resources: {forbidden}"),
        ];
        assert_eq!(told_again(&pod, &pod), told);
        told.push("spec.ephemeralContainers: Forbidden: cannot be set on create".to_owned());
        assert_eq!(messages(&pod), told);
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
                "spec.containers[1].ports[0].containerPort: Required value",
                r#"spec.containers[1].ports[1].name: Duplicate value: "http""#,
                "spec.containers[1].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
                r#"spec.containers[1].name: Duplicate value: "web""#,
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
        assert!(
            messages(&pod)[1].ends_with("must match `containerPort` when `hostNetwork` is true")
        );
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
