//! A HorizontalPodAutoscaler by the metrics server's figures: more load, more pods; less
//! load, fewer; whoever is killed meanwhile. And by those of a server of custom and external
//! metrics behind the apiserver.

use hardway_tests::manifest::container;
use hardway_tests::metrics_server::MetricsServer;
use hardway_tests::wait::holds;
use hardway_tests::{Lab, Namespace, defer, pods, until};
use serde_json::{Value, json};
use std::net::Ipv4Addr;

/// Pods that are busy as long as there is a file in their ConfigMap.
fn deployment() -> Value {
    let script = "trap 'exit 0' TERM
        while :; do
            if test -e /load/busy; then i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done
            else sleep 1; fi
        done";
    let mut busy = container("busy", script);
    busy["resources"] = json!({"requests": {"cpu": "50m"}, "limits": {"cpu": "100m"}});
    busy["volumeMounts"] = json!([{"name": "load", "mountPath": "/load"}]);
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "busy"},
    "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "busy"}},
        "template": {"metadata": {"labels": {"app": "busy"}}, "spec": {
            "terminationGracePeriodSeconds": 1, "containers": [busy],
            "volumes": [{"name": "load", "configMap": {"name": "load"}}],
        }}}})
}

fn autoscaler() -> Value {
    let rules = json!({"stabilizationWindowSeconds": 0});
    json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "busy"},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "busy"},
            "minReplicas": 1, "maxReplicas": 3,
            "behavior": {"scaleUp": rules, "scaleDown": rules},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu",
                "target": {"type": "Utilization", "averageUtilization": 50}}}]}})
}

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn a_deployment_follows_its_load() {
    let (lab, namespace) = (Lab::open(), Namespace::new("autoscaling"));
    namespace.run("create configmap load --from-literal=busy=1");
    namespace.create(&deployment());
    namespace.create(&autoscaler());
    let replicas = |what: &str, number: i64| {
        until(what, || {
            let deployment = namespace.try_json("get deployment busy")?;
            let status = namespace.try_json("get hpa busy")?["status"].clone();
            holds(deployment["spec"]["replicas"] == number, &status)?;
            Ok(status)
        })
    };
    replicas("three are there for the load", 3);
    lab.tool("kill controller-manager");
    namespace.run(r#"patch configmap load --type=merge -p '{"data": {"busy": null}}'"#);
    lab.tool("start controller-manager");
    let status = replicas("one is enough without", 1);
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let active = conditions.clone().find(|c| c["type"] == "ScalingActive");
    assert_eq!(
        active.map(|c| &c["reason"]),
        Some(&json!("ValidMetricFound")),
        "{status}"
    );
    let events =
        namespace.run("get events --field-selector involvedObject.kind=HorizontalPodAutoscaler");
    for words in [
        "reason: cpu resource utilization (percentage of request) above target",
        "New size: 1; reason: All metrics below target",
    ] {
        assert!(events.contains(words), "{words}: {events}");
    }
}

/// A Deployment of one pod and its autoscaler, which has one metric.
fn scaled_by(name: &str, metric: &Value) -> Value {
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name});
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": {"app": name}}, "spec": {
                    "terminationGracePeriodSeconds": 0,
                    "containers": [container("idle", "sleep 3600")]}}}},
        {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": name},
            "spec": {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 5,
                "metrics": [metric]}}]})
}

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn metrics_of_others_come_from_a_server_behind_the_apiserver() {
    let (lab, namespace) = (Lab::open(), Namespace::new("metrics-of-others"));
    // This test's process is on the machine that the lab's hosts have as their outside world.
    let control_plane: Ipv4Addr = lab.control_plane().parse().expect("an address");
    let [a, b, c, _] = control_plane.octets();
    let server = MetricsServer::start([a, b, c, 1].into(), &namespace.name);
    let _groups = defer(|| {
        let groups = "v1beta2.custom.metrics.k8s.io v1beta1.external.metrics.k8s.io";
        drop(namespace.try_run(&format!("delete apiservice --ignore-not-found {groups}")));
    });
    namespace.create(&server.manifest(&namespace.name));
    for group in [
        "v1beta2.custom.metrics.k8s.io",
        "v1beta1.external.metrics.k8s.io",
    ] {
        namespace.run(&format!(
            "wait --for=condition=Available --timeout=30s apiservice/{group}"
        ));
    }
    let custom = format!(
        "custom.metrics.k8s.io/v1beta2/namespaces/{}",
        namespace.name
    );
    let external = format!(
        "external.metrics.k8s.io/v1beta1/namespaces/{}",
        namespace.name
    );
    let of = |kind: &str, name: &str, value: &str| {
        json!([{"describedObject": {"kind": kind, "name": name}, "metric": {"name": "any"},
            "timestamp": "2026-01-01T00:00:00Z", "value": value}])
    };
    server.set(
        &format!("{custom}/deployments.apps/by-object/queue_length"),
        of("Deployment", "by-object", "25"),
    );
    let series = |value: &str| json!({"metricName": "messages", "value": value, "timestamp": null});
    server.set(
        &format!("{external}/messages"),
        json!([series("1500m"), series("8500m")]),
    );
    let described = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "by-object"});
    let by_object = json!({"type": "Object", "object": {"describedObject": described,
        "metric": {"name": "queue_length"}, "target": {"type": "AverageValue", "averageValue": "10"}}});
    let by_external = json!({"type": "External", "external": {
        "metric": {"name": "messages", "selector": {"matchLabels": {"queue": "jobs"}}},
        "target": {"type": "AverageValue", "averageValue": "5"}}});
    let by_pods = json!({"type": "Pods", "pods": {"metric": {"name": "requests_per_second"},
        "target": {"type": "AverageValue", "averageValue": "10"}}});
    // Metrics of pods need their names; so these are there first.
    let mut first = scaled_by("by-pods", &by_pods);
    let autoscaler = first["items"].as_array_mut().and_then(Vec::pop);
    namespace.create(&first);
    namespace.create(&scaled_by("by-object", &by_object));
    namespace.create(&scaled_by("by-external", &by_external));
    let pod = pods::wait_ready(&namespace, "app=by-pods", 1).remove(0);
    server.set(
        &format!("{custom}/pods/*/requests_per_second"),
        of("Pod", &pod.name(), "31500m"),
    );
    namespace.create(&autoscaler.expect("two items"));
    // 25 by 10; 1.5 and 8.5 by 5; 31.5 by 10, all rounded up.
    for (name, replicas) in [("by-object", 3), ("by-external", 2), ("by-pods", 4)] {
        until(&format!("{name}: {replicas} replicas"), || {
            let deployment = namespace.try_json(&format!("get deployment {name}"))?;
            let autoscaler = namespace.try_json(&format!("get hpa {name}"))?;
            holds(
                deployment["spec"]["replicas"] == replicas,
                &autoscaler["status"],
            )
        });
    }
    let asked = server.asked();
    for part in [
        "/pods/*/requests_per_second?labelSelector=app%3Dby-pods",
        "/messages?labelSelector=queue%3Djobs",
    ] {
        assert!(
            asked.iter().any(|asked| asked.contains(part)),
            "{part}: {asked:?}"
        );
    }
}
