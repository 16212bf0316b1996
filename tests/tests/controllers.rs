//! Controllers that mostly keep or remove what others left: each does its work where
//! people can see it.

use std::time::Duration;

use hardway_tests::manifest::{IDLE, container, pod, replication_controller, service};
use hardway_tests::text::assert_has;
use hardway_tests::{Lab, Namespace, pods, steps, until, wait, within};
use serde_json::{Value, json};

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn controllers_look_after_what_is_there() {
    let namespace = Namespace::new("controllers");
    let steps: &[steps::Step<Namespace>] = &[
        ("claim in use", claim_in_use),
        ("endpoints kept by hand", mirrored_endpoints),
        ("disruption budget", disruption_budget),
        ("pod of a node that never was", pod_of_no_node),
        ("dependents of what is gone", dependents),
    ];
    steps::run_side_by_side(&namespace, &namespace, steps);
}

/// Waits until an object is as wanted.
#[track_caller]
fn wait_object(namespace: &Namespace, what: &str, good: impl Fn(&Value) -> bool) {
    until(&format!("{what} is as wanted"), || {
        let object = namespace.try_json(&format!("get {what}"))?;
        wait::holds(good(&object), &object)
    });
}

#[track_caller]
fn wait_gone(namespace: &Namespace, what: &str) {
    until(&format!("{what} is gone"), || {
        let told = namespace.try_run(&format!("get {what}"));
        wait::holds(told.stderr.contains("(NotFound)"), format!("{told:?}"))
    });
}

fn claim_in_use(namespace: &Namespace) {
    namespace.create(&json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "kept"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }));
    let user = json!({
        "nodeName": Lab::open().workers()[0].name,
        "containers": [container("main", IDLE)],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "kept"}}],
    });
    namespace.create(&pod("user", user));
    namespace.run("delete pvc kept --wait=false");
    wait_object(namespace, "pvc kept", |claim| {
        claim["metadata"]["deletionTimestamp"].is_string()
            && claim["metadata"]["finalizers"] == json!(["kubernetes.io/pvc-protection"])
    });
    assert_has(
        &namespace.run("describe pvc kept"),
        &["Status:        Terminating", "Used By:       user"],
    );
    namespace.run("delete pod user --grace-period=0 --force");
    wait_gone(namespace, "pvc kept");
}

fn mirrored_endpoints(namespace: &Namespace) {
    namespace.create(&json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "outside"},
        "spec": {"ports": [{"port": 80, "targetPort": 8080}]},
    }));
    namespace.create(&json!({
        "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "outside"},
        "subsets": [{"addresses": [{"ip": "192.0.2.7"}], "ports": [{"port": 8080}]}],
    }));
    let slices = "endpointslices -l kubernetes.io/service-name=outside";
    wait_object(namespace, slices, |list| {
        let slice = &list["items"][0];
        slice["endpoints"][0]["addresses"] == json!(["192.0.2.7"])
            && slice["ports"][0]["port"] == 8080
            && slice["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"]
                == "endpointslicemirroring-controller.k8s.io"
    });
    namespace.run("delete endpoints outside");
    wait_object(namespace, slices, |list| list["items"] == json!([]));
}

fn disruption_budget(namespace: &Namespace) {
    let spec = json!({"containers": [container("main", IDLE)], "terminationGracePeriodSeconds": 0});
    namespace.create(&replication_controller("guarded", 1, spec));
    namespace.create(&json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "guard"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "guarded"}}},
    }));
    let only = pods::wait_ready(namespace, "app=guarded", 1)[0].name();
    let allowed = |count: i64| {
        wait_object(namespace, "pdb guard", |budget| {
            budget["status"]["disruptionsAllowed"] == count
                && budget["status"]["observedGeneration"] == 1
        });
    };
    allowed(0);
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": only},
    });
    let path = format!("/api/v1/namespaces/{}/pods/{only}/eviction", namespace.name);
    let evict = format!("create --raw {path} -f -");
    let told = namespace.refused(&evict, &eviction.to_string());
    assert_has(
        &told,
        &["Cannot evict pod as it would violate the pod's disruption budget."],
    );
    namespace.run("scale rc guarded --replicas=2");
    pods::wait_ready(namespace, "app=guarded", 2);
    allowed(1);
    namespace.feed(&evict, &eviction.to_string());
    pods::wait_gone(namespace, &only);
    pods::wait_ready(namespace, "app=guarded", 2);
}

/// Kubernetes waits 40 seconds, lest the node is only late to be told of.
fn pod_of_no_node(namespace: &Namespace) {
    namespace.create(&pod(
        "lost",
        json!({"containers": [container("main", IDLE)], "nodeName": "no-such-node"}),
    ));
    within(Duration::from_secs(90), "the pod is gone", || {
        let told = namespace.try_run("get pod lost");
        wait::holds(told.stderr.contains("(NotFound)"), format!("{told:?}"))
    });
}

fn dependents(namespace: &Namespace) {
    namespace.create(&service(
        "owner",
        "nobody",
        json!({"ports": [{"port": 80}]}),
    ));
    let uid = namespace.json("get service owner")["metadata"]["uid"].clone();
    let owned = |name: &str, more: Value| {
        let mut owner = json!({"apiVersion": "v1", "kind": "Service", "name": "owner", "uid": uid});
        for (key, value) in more.as_object().into_iter().flatten() {
            owner[key] = value.clone();
        }
        namespace.create(&json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "ownerReferences": [owner]},
        }));
    };
    owned("child", json!({}));
    // One whose owner was never there goes at once.
    owned(
        "stray",
        json!({"uid": "00000000-0000-0000-0000-000000000000"}),
    );
    wait_gone(namespace, "configmap stray");
    namespace.run("get configmap child");
    namespace.run("delete service owner");
    wait_gone(namespace, "configmap child");
}
