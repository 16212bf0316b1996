//! Claims and volumes: who gets which, where its pod runs then, and what is left when claims
//! and pods go.

use std::fs;
use std::path::PathBuf;

use hardway_tests::kubectl::Kubectl;
use hardway_tests::manifest::{IDLE, container, pod};
use hardway_tests::pods;
use hardway_tests::text::assert_has;
use hardway_tests::{Deferred, Lab, Namespace, defer, steps, until, wait};
use serde_json::{Value, json};

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn claims_get_volumes() {
    let namespace = Namespace::new("storage");
    let steps: &[steps::Step<Namespace>] =
        &[("a volume that fits", bound), ("data that stays", database)];
    steps::run_side_by_side(&namespace, &namespace, steps);
}

/// Volumes and classes belong to no namespace: they go by themselves.
fn create_global(namespace: &Namespace, object: &Value) -> Deferred<impl FnMut() + use<>> {
    namespace.create(object);
    let kind = object["kind"].as_str().expect("its kind").to_lowercase();
    let name = object["metadata"]["name"]
        .as_str()
        .expect("its name")
        .to_owned();
    defer(move || drop(Kubectl::stock().try_run(&format!("delete {kind} {name} --wait=false"))))
}

fn volume(namespace: &Namespace, name: &str, spec: Value) -> Value {
    let mut all = json!({"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
                         "storageClassName": namespace.name});
    for (field, value) in spec.as_object().expect("fields") {
        all[field] = value.clone();
    }
    let name = format!("{}-{name}", namespace.name);
    json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
           "spec": all})
}

fn claim(namespace: &Namespace, storage: &str) -> Value {
    json!({"accessModes": ["ReadWriteOnce"], "storageClassName": namespace.name,
           "resources": {"requests": {"storage": storage}}})
}

/// A folder of the lab.
fn folder(name: &str) -> PathBuf {
    let path = Lab::open().path(&format!("volumes/{name}"));
    fs::create_dir_all(&path).expect("make a folder for a volume");
    path
}

#[track_caller]
fn wait_phase(namespace: &Namespace, what: &str, phase: &str) -> Value {
    until(&format!("{what} is {phase}"), || {
        let object = namespace.try_json(&format!("get {what}"))?;
        wait::holds(object["status"]["phase"] == phase, &object)
    });
    namespace.json(&format!("get {what}"))
}

fn bound(namespace: &Namespace) {
    let path = folder(&format!("{}-plain", namespace.name));
    namespace.create(&json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"}, "spec": claim(namespace, "1Gi")}));
    namespace.create(&pod(
        "user",
        json!({
            "containers": [{
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                "name": "main", "image": container("main", IDLE)["image"],
                "command": container("main", IDLE)["command"],
            }],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        }),
    ));
    until("the pod is told why it waits", || {
        let told = namespace.try_run("describe pod user").stdout;
        wait::holds(
            told.contains("unbound immediate PersistentVolumeClaims"),
            told,
        )
    });
    let small = volume(
        namespace,
        "small",
        json!({
        "capacity": {"storage": "1Mi"}, "hostPath": {"path": path}}),
    );
    let _small = create_global(namespace, &small);
    let fits = volume(namespace, "fits", json!({"hostPath": {"path": path}}));
    let _fits = create_global(namespace, &fits);
    let claim = wait_phase(namespace, "pvc data", "Bound");
    let name = format!("{}-fits", namespace.name);
    assert_eq!(claim["spec"]["volumeName"], name);
    assert_eq!(claim["status"]["capacity"]["storage"], "1Gi");
    pods::wait_until(namespace, "user", "ready", |pod| pod.ready());
    pods::sh(namespace, "user", "echo hello > /data/greeting");
    assert_eq!(
        fs::read_to_string(path.join("greeting")).unwrap(),
        "hello\n"
    );
    assert_has(
        &namespace.run("get pvc data"),
        &["Bound", &name, "1Gi", "RWO"],
    );

    namespace.run("delete pod user --grace-period=1");
    namespace.run("delete pvc data");
    let released = wait_phase(namespace, &format!("pv {name}"), "Released");
    assert_eq!(released["spec"]["claimRef"]["name"], "data");
    wait_phase(
        namespace,
        &format!("pv {}-small", namespace.name),
        "Available",
    );
}

/// A StatefulSet with a volume on each worker, whose pods come back to their data while the
/// controllers are killed.
fn database(namespace: &Namespace) {
    let lab = Lab::open();
    let class = format!("{}-local", namespace.name);
    let _class = create_global(
        namespace,
        &json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": class},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer"}),
    );
    let mut volumes = Vec::new();
    for worker in lab.workers() {
        let path = folder(&format!("{}-{}", namespace.name, worker.name));
        let spec = json!({
            "storageClassName": class, "local": {"path": path},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": [worker.name]}]}]}}});
        volumes.push(create_global(
            namespace,
            &volume(namespace, &worker.name, spec),
        ));
    }
    let mut main = container("main", IDLE);
    main["volumeMounts"] = json!([{"name": "data", "mountPath": "/data"}]);
    let mut wanted = claim(namespace, "1Mi");
    wanted["storageClassName"] = json!(class);
    namespace.create(&json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "store"},
        "spec": {
            "replicas": 2, "serviceName": "store",
            "selector": {"matchLabels": {"app": "store"}},
            "template": {"metadata": {"labels": {"app": "store"}},
                "spec": {"containers": [main], "terminationGracePeriodSeconds": 1}},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": wanted}]}}));
    let first = pods::wait_ready(namespace, "app=store", 2);
    assert_ne!(
        first[0].node(),
        first[1].node(),
        "each is where its volume is"
    );
    for pod in &first {
        let write = format!("echo {} > /data/name", pod.name());
        pods::sh(namespace, &pod.name(), &write);
    }
    for pod in &first {
        namespace.run(&format!("delete pod {} --wait=false", pod.name()));
    }
    for process in ["controller-manager", "scheduler"] {
        let _back = defer(|| drop(lab.try_tool(&format!("start {process}"))));
        lab.tool(&format!("kill {process}"));
    }
    for pod in &first {
        let name = pod.name();
        let again = pods::wait_until(namespace, &name, "another one, and ready", |new| {
            new.uid() != pod.uid() && new.ready()
        });
        assert_eq!(again.node(), pod.node());
        assert_eq!(
            pods::sh(namespace, &name, "cat /data/name"),
            format!("{name}\n")
        );
    }
    assert_has(
        &namespace.run("get pvc"),
        &["data-store-0", "data-store-1", "Bound", &class],
    );
}
