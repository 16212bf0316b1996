//! Claims and volumes: who gets which, where its pod runs then, and what is left when claims
//! and pods go.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use hardway_tests::kubectl::Kubectl;
use hardway_tests::manifest::{IDLE, container, pod};
use hardway_tests::pods;
use hardway_tests::text::assert_has;
use hardway_tests::{Deferred, Lab, Namespace, defer, steps, until, wait, within};
use serde_json::{Value, json};

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn claims_get_volumes() {
    let namespace = Namespace::new("storage");
    let steps: &[steps::Step<Namespace>] = &[
        ("a volume that fits", bound),
        ("data that stays", database),
        ("a volume that is made, and goes", provisioned),
        ("a claim for one pod", exclusive),
        ("a pod's own claim", ephemeral),
    ];
    steps::run_side_by_side(&namespace, &namespace, steps);
}

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn a_database_outlives_the_death_of_a_node() {
    replicated(&Namespace::new("replicated"));
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

/// A pod that has the claim `NAME` at `/data`.
fn user(name: &str, volume: Value) -> Value {
    let mut main = container("main", IDLE);
    main["volumeMounts"] = json!([{"name": "data", "mountPath": "/data"}]);
    let mut volume = volume;
    volume["name"] = json!("data");
    let spec = json!({"containers": [main], "volumes": [volume],
                      "terminationGracePeriodSeconds": 1});
    pod(name, spec)
}

fn claimed(name: &str) -> Value {
    json!({"persistentVolumeClaim": {"claimName": name}})
}

/// A claim that names no class.
fn classless(name: &str, mode: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
           "spec": {"accessModes": [mode], "resources": {"requests": {"storage": "10Mi"}}}})
}

/// The folder of a volume, on its node.
fn has_folder(node: &str, volume: &str) -> Result<bool, String> {
    let line = "ls /var/lib/hardway-volumes";
    let listed = Lab::open().try_on(node, line).ok()?;
    Ok(listed.lines().any(|name| name.starts_with(volume)))
}

/// A volume of the default class is made for its first pod while those who make it are
/// killed, and goes with its claim.
fn provisioned(namespace: &Namespace) {
    namespace.create(&classless("made", "ReadWriteOnce"));
    until("the claim says what it waits for", || {
        let told = namespace.try_run("describe pvc made").stdout;
        let why = "waiting for first consumer to be created before binding";
        wait::holds(told.contains(why), told)
    });
    namespace.create(&user("maker", claimed("made")));
    let agents = "-n kube-system -l k8s-app=hardway-provisioner --grace-period=0 --wait=false";
    Kubectl::stock().run(&format!("delete pods {agents}"));
    let pod = pods::wait_until(namespace, "maker", "ready", |pod| pod.ready());
    pods::sh(namespace, "maker", "echo kept > /data/file");
    let claim = namespace.json("get pvc made");
    assert_eq!(claim["spec"]["storageClassName"], "local-path");
    let name = claim["spec"]["volumeName"]
        .as_str()
        .expect("a volume")
        .to_owned();
    assert_eq!(has_folder(&pod.node(), &name), Ok(true));
    assert_has(
        &namespace.run("describe pvc made"),
        &["ExternalProvisioning"],
    );

    namespace.run("delete pod maker --grace-period=1");
    namespace.run("delete pvc made");
    until("the volume goes", || {
        let left = Kubectl::stock().try_run(&format!("get pv {name}"));
        wait::holds(left.stderr.contains("NotFound"), left.stdout)
    });
    assert_eq!(has_folder(&pod.node(), &name), Ok(false));
}

/// A second pod waits for a claim that only one may have, is told why, and gets it then.
fn exclusive(namespace: &Namespace) {
    namespace.create(&classless("alone", "ReadWriteOncePod"));
    namespace.create(&user("first", claimed("alone")));
    pods::wait_until(namespace, "first", "ready", |pod| pod.ready());
    namespace.create(&user("second", claimed("alone")));
    until("the second is told why it waits", || {
        let told = namespace.try_run("describe pod second").stdout;
        let why = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode";
        wait::holds(told.contains(why), told)
    });
    namespace.run("delete pod first --grace-period=1");
    pods::wait_until(namespace, "second", "ready", |pod| pod.ready());
}

/// A pod's own claim comes, is bound and goes with it.
fn ephemeral(namespace: &Namespace) {
    let template = json!({"metadata": {"labels": {"made": "for-a-pod"}},
                          "spec": classless("", "ReadWriteOnce")["spec"]});
    let volume = json!({"ephemeral": {"volumeClaimTemplate": template}});
    namespace.create(&user("scratch", volume));
    let claim = wait_phase(namespace, "pvc scratch-data", "Bound");
    assert_eq!(claim["metadata"]["labels"]["made"], "for-a-pod");
    assert_eq!(claim["metadata"]["ownerReferences"][0]["name"], "scratch");
    pods::wait_until(namespace, "scratch", "ready", |pod| pod.ready());
    namespace.run("delete pod scratch --grace-period=1");
    until("its claim goes", || {
        let left = namespace.try_run("get pvc scratch-data");
        wait::holds(left.stderr.contains("NotFound"), left.stdout)
    });
}

/// The replicated store of the examples goes on while the node of one replica is dead, and
/// nobody is there to do anything about it; then that replica has what the others have.
fn replicated(namespace: &Namespace) {
    let lab = Lab::open();
    lab.wait_well();
    let example = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../deploy/examples/replicated-store"
    );
    namespace.run(&format!("apply -f {example}"));
    let all = pods::wait_ready(namespace, "app=store", 3);
    let alone = all
        .iter()
        .find(|pod| {
            all.iter()
                .filter(|other| other.node() == pod.node())
                .count()
                == 1
        })
        .expect("three pods are spread over two nodes");
    let other = all
        .iter()
        .find(|pod| pod.node() != alone.node())
        .expect("another");
    let put = |key: &str, value: &str| {
        // busybox' wget only knows POST.
        let request = format!(
            "printf 'PUT /keys/{key} HTTP/1.0\\r\\nContent-Length: {}\\r\\n\\r\\n{value}' | nc 127.0.0.1 7000",
            value.len()
        );
        until(&format!("{key} is written"), || {
            let answer = pods::try_sh(namespace, &other.name(), &request).ok()?;
            wait::holds(answer.starts_with("HTTP/1.1 200 "), answer)
        });
    };
    put("before", "the-storm");
    let volumes = || {
        let claims = namespace.json("get pvc -l app=store");
        let items = claims["items"].as_array().cloned().unwrap_or_default();
        let volume = |claim: &Value| claim["spec"]["volumeName"].to_string();
        items.iter().map(volume).collect::<Vec<_>>()
    };
    let had = volumes();
    assert_eq!(had.len(), 3);

    let back = defer(|| {
        for process in ["controller-manager", "scheduler"] {
            drop(lab.try_tool(&format!("start {process}")));
        }
        drop(lab.try_tool(&format!("node start {}", alone.node())));
    });
    lab.tool(&format!("node kill {}", alone.node()));
    // Names are asked for on every node: of whom is gone the proxies have to know before
    // nobody is left to say so.
    within(
        Duration::from_secs(90),
        "nothing leads to the dead node",
        || {
            let slices = Kubectl::stock().try_json("get endpointslices --all-namespaces")?;
            let slices = slices["items"].as_array().into_iter().flatten();
            let endpoints =
                slices.flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
            let mut there = endpoints.filter(|endpoint| {
                endpoint["nodeName"] == alone.node() && endpoint["conditions"]["serving"] == true
            });
            let left = there.next();
            wait::holds(left.is_none(), format!("{left:?}"))
        },
    );
    for process in ["controller-manager", "scheduler"] {
        lab.tool(&format!("kill {process}"));
    }
    put("during", "the-storm");
    drop(back);

    let port = "http://127.0.0.1:7000/local";
    for pod in &all {
        until(&format!("{} has all of it", pod.name()), || {
            let script = format!("wget -q -O - {port}");
            let lines = pods::try_sh(namespace, &pod.name(), &script).ok()?;
            let has = ["before", "during"].iter().all(|key| lines.contains(key));
            wait::holds(has, lines)
        });
    }
    assert_eq!(volumes(), had, "each has the volume that it had");
    lab.wait_well();
}
