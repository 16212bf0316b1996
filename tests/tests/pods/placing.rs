//! Where pods may run, and how they are made to leave.

use super::{create, idle_with, remove};
use hardway_tests::manifest::{IDLE, container, pod};
use hardway_tests::pods;
use hardway_tests::{Lab, Namespace, until, wait};
use serde_json::json;

pub fn unschedulable(namespace: &Namespace) {
    let much = json!({"resources": {"requests": {"cpu": "1000", "memory": "1Ti"}}});
    create(namespace, "huge", idle_with(much), json!({}));
    create(
        namespace,
        "picky",
        container("main", IDLE),
        json!({"nodeSelector": {"no": "such"}}),
    );
    for (name, reason) in [
        (
            "huge",
            "0/2 nodes are available: 2 Insufficient cpu, 2 Insufficient memory.",
        ),
        (
            "picky",
            "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.",
        ),
    ] {
        until(&format!("{name} is told why it waits"), || {
            let told = namespace.try_run(&format!("describe pod {name}")).ok()?;
            wait::holds(
                told.contains(reason) && told.contains("FailedScheduling"),
                told,
            )
        });
        remove(namespace, name);
    }
}

pub fn node_selector(namespace: &Namespace) {
    let node = Lab::open().workers()[1].name.clone();
    create(
        namespace,
        "there",
        container("main", IDLE),
        json!({"nodeSelector": {"kubernetes.io/hostname": node}}),
    );
    assert_eq!(pods::wait_pod(namespace, "there").node(), node);
    remove(namespace, "there");
}

pub fn static_pod(namespace: &Namespace) {
    let lab = Lab::open();
    let node = lab.workers()[0].name.clone();
    let file = lab.path(&format!("nodes/{node}/manifests/fixed.yml"));
    let mut manifest = pod("fixed", json!({"containers": [container("main", IDLE)]}));
    manifest["metadata"]["namespace"] = json!(namespace.name);
    std::fs::write(&file, manifest.to_string()).expect("write the manifest");
    let _gone = hardway_tests::defer(|| drop(std::fs::remove_file(&file)));
    let name = format!("fixed-{node}");
    let mirror = pods::wait_pod(namespace, &name);
    assert_eq!(
        mirror.value()["metadata"]["ownerReferences"][0]["kind"],
        "Node"
    );
    let containers = mirror.containers();
    // Deleting the mirror doesn't end the pod.
    namespace.run(&format!("delete pod {name} --wait=false"));
    until("there is a new mirror of the same containers", || {
        let fresh = pods::try_get(namespace, &name)?;
        let good = fresh.uid() != mirror.uid() && fresh.containers() == containers;
        wait::holds(good, format!("{fresh:?}"))
    });
    std::fs::remove_file(&file).expect("remove the manifest");
    pods::wait_gone(namespace, &name);
}

pub fn eviction(namespace: &Namespace) {
    create(namespace, "evicted", container("main", IDLE), json!({}));
    pods::wait_pod(namespace, "evicted");
    let body = json!({
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": {"name": "evicted", "namespace": namespace.name},
    });
    let path = format!(
        "/api/v1/namespaces/{}/pods/evicted/eviction",
        namespace.name
    );
    namespace.feed(&format!("create --raw {path} -f -"), &body.to_string());
    pods::wait_gone(namespace, "evicted");
}
