//! A HorizontalPodAutoscaler by the metrics server's figures: more load, more pods; less
//! load, fewer; whoever is killed meanwhile.

use hardway_tests::manifest::container;
use hardway_tests::wait::holds;
use hardway_tests::{Lab, Namespace, until};
use serde_json::{Value, json};

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
