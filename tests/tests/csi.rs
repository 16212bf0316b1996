//! A driver of the Container Storage Interface: made of folders that all hosts share
//! (`tests/csi-driver`), on each node as a privileged pod, as real ones are.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use hardway_tests::kubectl::Kubectl;
use hardway_tests::manifest::{BUSYBOX, IDLE, container, pod};
use hardway_tests::pods;
use hardway_tests::{Lab, Namespace, cleanup, defer, program, steps, until, wait, within};
use serde_json::{Value, json};

/// What the steps share.
struct Driver {
    namespace: Namespace,
    /// The driver's name.
    name: String,
    /// Its folder.
    root: PathBuf,
}

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn drivers_give_volumes_to_pods() {
    let namespace = Namespace::new("csi");
    let name = format!("{}.folders.test", namespace.name);
    let root = Lab::open().path(&format!("volumes/{name}"));
    fs::create_dir_all(&root).expect("make the driver's folder");
    let driver = Driver {
        namespace,
        name,
        root,
    };
    let _globals: Vec<_> = globals(&driver)
        .iter()
        .map(cleanup::create_global)
        .collect();
    install(&driver);
    let steps: &[steps::Step<Driver>] = &[
        ("data that stays", data),
        ("a volume of its pod's", inline),
        ("a driver that was away", away),
        ("a volume that grows", growth),
    ];
    steps::run(&driver, &driver.namespace, steps);
    // The driver is needed until all its volumes are given back.
    let namespace = &driver.namespace;
    namespace.run("delete pod -l app.kubernetes.io/part-of=csi-test --grace-period=1");
    namespace.run("delete pvc --all");
    until("the driver has deleted its volumes", || {
        let left = fs::read_dir(driver.root.join("volumes"));
        let left = left.map(Iterator::count).unwrap_or(0);
        wait::holds(left == 0, left)
    });
}

fn globals(driver: &Driver) -> [Value; 3] {
    let Driver {
        namespace, name, ..
    } = driver;
    [
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": name},
            "spec": {"attachRequired": true, "podInfoOnMount": true, "fsGroupPolicy": "File",
                     "volumeLifecycleModes": ["Persistent", "Ephemeral"]}}),
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
            "provisioner": name, "allowVolumeExpansion": true, "reclaimPolicy": "Delete"}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                        "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "default",
                          "namespace": namespace.name}]}),
    ]
}

fn host_path(name: &str, path: &str) -> Value {
    json!({"name": name, "hostPath": {"path": path}})
}

/// A pod of the driver's.
fn template(driver: &Driver, app: &str, arguments: Value, mounts: Value, volumes: Value) -> Value {
    let root = driver.root.display().to_string();
    let mut all = vec![
        json!("/driver"),
        json!("--name"),
        json!(driver.name),
        json!("--root"),
        json!(root),
        // It stages what is attached only.
        json!("--attaches"),
    ];
    all.extend(arguments.as_array().expect("arguments").iter().cloned());
    let mut mounts = mounts.as_array().expect("mounts").clone();
    let mut folders = volumes.as_array().expect("volumes").clone();
    folders.push(host_path("root", &root));
    mounts.push(json!({"name": "root", "mountPath": root}));
    let mut spec = json!({
        "terminationGracePeriodSeconds": 1, "volumes": folders, "containers": [{
            "name": "driver", "image": BUSYBOX, "command": all, "volumeMounts": mounts,
            "securityContext": {"privileged": true},
            "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]}],
    });
    program::mount(&mut spec, "hardway-csi-driver", "/driver");
    json!({"metadata": {"labels": {"app": app}}, "spec": spec})
}

fn install(driver: &Driver) {
    let namespace = &driver.namespace;
    let selector = |app: &str| json!({"matchLabels": {"app": app}});
    let kubelet = json!([{"name": "kubelet", "mountPath": "/var/lib/kubelet",
                          "mountPropagation": "Bidirectional"}]);
    let node = template(
        driver,
        "csi-node",
        json!(["node", "--node", "$(NODE)"]),
        kubelet,
        json!([host_path("kubelet", "/var/lib/kubelet")]),
    );
    namespace.create(&json!({"apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": "csi-node"},
        "spec": {"selector": selector("csi-node"), "template": node}}));
    let controller = template(
        driver,
        "csi-controller",
        json!(["controller"]),
        json!([]),
        json!([]),
    );
    namespace.create(&json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "csi-controller"},
        "spec": {"selector": selector("csi-controller"), "template": controller}}));
    for worker in Lab::open().workers() {
        until("the driver is registered on all workers", || {
            let node = Kubectl::stock().try_json(&format!("get csinode {}", worker.name))?;
            let drivers = node["spec"]["drivers"].as_array();
            let ours = drivers
                .into_iter()
                .flatten()
                .find(|d| d["name"] == driver.name.as_str());
            let ours = ours.ok_or_else(|| node.to_string())?;
            wait::holds(
                ours["nodeID"] == worker.name.as_str() && ours["allocatable"]["count"] == 100,
                ours,
            )
        });
    }
}

fn claim(driver: &Driver, name: &str) {
    driver
        .namespace
        .create(&json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": driver.name,
                 "resources": {"requests": {"storage": "1Mi"}}}}));
}

fn user(driver: &Driver, name: &str, volume: Value, node: Option<&str>) {
    let mut main = container("main", IDLE);
    main["volumeMounts"] = json!([{"name": "data", "mountPath": "/data"}]);
    let mut volume = volume;
    volume["name"] = json!("data");
    let mut spec = json!({"containers": [main], "volumes": [volume]});
    if let Some(node) = node {
        spec["nodeName"] = json!(node);
    }
    let mut pod = pod(name, spec);
    pod["metadata"]["labels"]["app.kubernetes.io/part-of"] = json!("csi-test");
    driver.namespace.create(&pod);
}

fn of_claim(name: &str) -> Value {
    json!({"persistentVolumeClaim": {"claimName": name}})
}

fn ready(driver: &Driver, name: &str) -> pods::Pod {
    pods::wait_until(&driver.namespace, name, "ready", |pod| pod.ready())
}

/// A claim gets a volume, a pod writes into it, and is deleted while its kubelet is dead; the
/// next pod, on another node, finds what was written, and the first node has nothing mounted.
fn data(driver: &Driver) {
    let (lab, namespace) = (Lab::open(), &driver.namespace);
    claim(driver, "data");
    user(driver, "first", of_claim("data"), None);
    let node = ready(driver, "first").node();
    pods::sh(namespace, "first", "echo kept > /data/file");
    let volume = namespace.json("get pvc data")["spec"]["volumeName"].clone();
    let volume = volume.as_str().expect("the claim is bound");
    let mounts = || lab.on(&node, "cat /proc/self/mountinfo");
    assert!(mounts().contains(&format!("kubernetes.io~csi/{volume}/mount")));
    {
        let _back = defer(|| drop(lab.try_tool(&format!("start kubelet@{node}"))));
        lab.tool(&format!("kill kubelet@{node}"));
        namespace.run("delete pod first --grace-period=0 --force");
    }
    until("the new kubelet has given the volume back", || {
        let mounts = mounts();
        wait::holds(!mounts.contains(volume), mounts)
    });
    let others = lab.workers().into_iter().map(|worker| worker.name);
    let other = others
        .into_iter()
        .find(|name| *name != node)
        .expect("two workers");
    user(driver, "second", of_claim("data"), Some(&other));
    ready(driver, "second");
    assert_eq!(pods::sh(namespace, "second", "cat /data/file"), "kept\n");
    namespace.run("delete pod second");
}

/// A volume that a pod brings along ends with it.
fn inline(driver: &Driver) {
    user(
        driver,
        "inline",
        json!({"csi": {"driver": driver.name}}),
        None,
    );
    let pod = ready(driver, "inline");
    pods::sh(&driver.namespace, "inline", "echo mine > /data/file");
    let volumes = || -> Vec<PathBuf> {
        let entries = fs::read_dir(driver.root.join("volumes"))
            .into_iter()
            .flatten()
            .flatten();
        let inline = entries.filter(|e| e.file_name().to_string_lossy().starts_with("csi-"));
        inline.map(|entry| entry.path()).collect()
    };
    let [volume] = &volumes()[..] else {
        panic!("one volume was made: {:?}", volumes());
    };
    let told = fs::read_to_string(volume.join("told")).expect("what the driver was told");
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(
        told["context"]["csi.storage.k8s.io/pod.uid"],
        pod.uid().as_str()
    );
    driver.namespace.run("delete pod inline");
    assert!(volumes().is_empty(), "the pod is gone after its volume");
}

/// A pod waits for a driver that is away, is told so, and starts when it is back.
fn away(driver: &Driver) {
    let namespace = &driver.namespace;
    claim(driver, "away");
    user(driver, "holder", of_claim("away"), None);
    let node = ready(driver, "holder").node();
    pods::sh(namespace, "holder", "echo held > /data/file");
    let pause = json!({"spec": {"template": {"spec": {"nodeSelector": {"nowhere": "yes"}}}}});
    let patch = |body: &Value| {
        let body = body.to_string();
        let words = ["patch", "daemonset", "csi-node", "-p", &body];
        namespace
            .try_call(&words, "")
            .ok()
            .expect("patch the DaemonSet");
    };
    patch(&pause);
    until("the driver is nowhere", || {
        let left = namespace.run("get pods -l app=csi-node -o name");
        wait::holds(left.trim().is_empty(), left)
    });
    // What runs goes on.
    assert_eq!(pods::sh(namespace, "holder", "cat /data/file"), "held\n");
    user(driver, "waits", of_claim("away"), Some(&node));
    until("the pod is told why it waits", || {
        let told = namespace.try_run("describe pod waits").stdout;
        wait::holds(
            told.contains("FailedMount")
                && told.contains("not found in the list of registered CSI drivers"),
            told,
        )
    });
    patch(&json!({"spec": {"template": {"spec": {"nodeSelector": null}}}}));
    ready(driver, "waits");
    assert_eq!(pods::sh(namespace, "waits", "cat /data/file"), "held\n");
    namespace.run("delete pod holder waits");
}

/// A claim asks for more, and gets it while its pod runs.
fn growth(driver: &Driver) {
    let namespace = &driver.namespace;
    claim(driver, "grows");
    user(driver, "grower", of_claim("grows"), None);
    let node = ready(driver, "grower").node();
    let body = json!({"spec": {"resources": {"requests": {"storage": "2Mi"}}}}).to_string();
    let words = ["patch", "pvc", "grows", "-p", &body];
    namespace.try_call(&words, "").ok().expect("ask for more");
    // Nodes look every half minute.
    within(
        Duration::from_secs(90),
        "the claim has its new size",
        || {
            let claim = namespace.try_json("get pvc grows")?;
            let size = claim["status"]["capacity"]["storage"].as_str();
            let is_done = claim["status"]["conditions"]
                .as_array()
                .is_none_or(Vec::is_empty);
            wait::holds(matches!(size, Some("2Mi" | "2097152")) && is_done, &claim)
        },
    );
    let figures = |page: &str| {
        let path = format!("get --raw /api/v1/nodes/{node}/proxy/{page}");
        Kubectl::stock().try_run(&path).ok()
    };
    until("how full it is is told", || {
        let summary: Value = serde_json::from_str(&figures("stats/summary")?).expect("JSON");
        let pods = summary["pods"].as_array().into_iter().flatten();
        let mut volumes = pods.flat_map(|pod| pod["volume"].as_array().into_iter().flatten());
        let grown = |volume: &Value| {
            volume["pvcRef"]["name"] == "grows" && volume["capacityBytes"] == 2_097_152
        };
        wait::holds(volumes.any(grown), &summary)?;
        let metrics = figures("metrics")?;
        let mut lines = metrics.lines();
        let gauge = "kubelet_volume_stats_capacity_bytes{";
        let of = "persistentvolumeclaim=\"grows\"";
        let told = lines.any(|line| line.starts_with(gauge) && line.contains(of));
        wait::holds(told, "no gauge of the volume")
    });
    let events = namespace.run("get events");
    assert!(events.contains("FileSystemResizeSuccessful"), "{events}");
}
