//! StatefulSets and DaemonSets: pods that keep their names and come in order, pods that
//! are on every node; rolled to a new version and back, scaled, and followed when people
//! delete pods or label nodes.

use hardway_tests::manifest::{IDLE, container};
use hardway_tests::pods::{self, Pod};
use hardway_tests::text::assert_has;
use hardway_tests::{Lab, Namespace, defer, steps, until, wait};
use serde_json::{Value, json};

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn sets_keep_their_pods() {
    let namespace = Namespace::new("sets");
    let steps: &[steps::Step<Namespace>] = &[
        ("one after another", ordered),
        ("a canary", canary),
        ("claims that go", claims),
        ("orphans are adopted", orphans),
        ("nothing to go back to", same_bytes),
        ("a pod on every node", daemons),
        ("the new one before the old one", surge),
    ];
    steps::run_side_by_side(&namespace, &namespace, steps);
}

/// Who rolls, places and runs pods is killed in the middle of it, and started again.
#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn rollouts_outlive_who_makes_them() {
    let lab = Lab::open();
    lab.wait_well();
    let namespace = Namespace::new("rolled");
    namespace.create(&stateful("db", json!({"replicas": 3})));
    namespace.create(&set("DaemonSet", "agent", json!({})));
    let rolled = || {
        for set in ["sts/db", "ds/agent"] {
            namespace.run(&format!("rollout status {set} --timeout=90s"));
        }
    };
    rolled();
    for set in ["sts/db", "ds/agent"] {
        namespace.run(&format!("set env {set} VERSION=2"));
    }
    until("the first pod is replaced", || {
        let pod = pods::try_get(&namespace, "db-2")?;
        wait::holds(version(&pod) == "2", pod.value())
    });
    let workers = lab.workers();
    let kubelet = format!("kubelet@{}", workers[0].name);
    let processes = ["controller-manager", "scheduler", "apiserver", &kubelet];
    let start = || processes.map(|process| lab.try_tool(&format!("start {process}")));
    let _back = defer(|| drop(start()));
    for process in processes {
        lab.tool(&format!("kill {process}"));
    }
    start();
    lab.wait_well();
    rolled();
    let updated = |app: &str, count: usize| {
        let pods = pods::wait_ready(&namespace, &format!("app={app}"), count);
        assert!(pods.iter().all(|pod| version(pod) == "2"), "{pods:?}");
        pods
    };
    updated("agent", workers.len());
    assert_downwards(&updated("db", 3));
}

/// Pods, in order of their names, came the last one first, each when the one after it
/// was ready.
#[track_caller]
fn assert_downwards(pods: &[Pod]) {
    for pair in pods.windows(2) {
        let (ready, next) = (ready_since(&pair[1]), created(&pair[0]));
        assert!(ready <= next, "{} before {ready}", pair[0].name());
    }
}

/// A set of pods labelled `app` with its name.
fn set(kind: &str, name: &str, mut spec: Value) -> Value {
    let mut main = container("main", IDLE);
    main["env"] = json!([{"name": "VERSION", "value": "1"}]);
    spec["selector"] = json!({"matchLabels": {"app": name}});
    let mut pod = json!({"containers": [main], "terminationGracePeriodSeconds": 10});
    if let Some(selector) = spec.as_object_mut().and_then(|s| s.remove("nodeSelector")) {
        pod["nodeSelector"] = selector;
    }
    spec["template"] = json!({"metadata": {"labels": {"app": name}}, "spec": pod});
    json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn stateful(name: &str, mut spec: Value) -> Value {
    spec["serviceName"] = json!(name);
    set("StatefulSet", name, spec)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The version in a pod's environment.
fn version(pod: &Pod) -> &str {
    text(&pod.value()["spec"]["containers"][0]["env"][0]["value"])
}

fn created(pod: &Pod) -> &str {
    text(&pod.value()["metadata"]["creationTimestamp"])
}

fn ready_since(pod: &Pod) -> &str {
    let conditions = pod.value()["status"]["conditions"].as_array();
    let ready = conditions
        .into_iter()
        .flatten()
        .find(|c| c["type"] == "Ready");
    ready.map_or("", |ready| text(&ready["lastTransitionTime"]))
}

/// Waits for the names of all pods of an app that aren't on their way out.
#[track_caller]
fn wait_names(namespace: &Namespace, app: &str, names: &[&str]) {
    until(&format!("pods of {app} are {names:?}"), || {
        let pods = pods::try_list(namespace, &format!("app={app}"))?;
        let seen: Vec<String> = pods.iter().map(Pod::name).collect();
        wait::holds(seen == names, format!("{seen:?}"))
    });
}

fn ordered(namespace: &Namespace) {
    namespace.create(&json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "db"},
        "spec": {"clusterIP": "None", "selector": {"app": "db"}, "ports": [{"port": 80}]},
    }));
    namespace.create(&stateful("db", json!({"replicas": 3})));
    let printed = namespace.run("rollout status sts/db --timeout=90s");
    assert_has(
        &printed,
        &["partitioned roll out complete: 3 new pods have been updated..."],
    );
    let first = pods::wait_ready(namespace, "app=db", 3);
    let names: Vec<String> = first.iter().map(Pod::name).collect();
    assert_eq!(names, ["db-0", "db-1", "db-2"]);
    for pair in first.windows(2) {
        let (ready, next) = (ready_since(&pair[0]), created(&pair[1]));
        assert!(ready <= next, "{} before {ready}", pair[1].name());
    }
    let labels = &first[2].value()["metadata"]["labels"];
    assert_eq!(labels["statefulset.kubernetes.io/pod-name"], "db-2");
    assert_eq!(labels["apps.kubernetes.io/pod-index"], "2");
    assert_eq!(pods::sh(namespace, "db-1", "hostname"), "db-1\n");
    until("the pods know each other by name", || {
        let name = format!("db-2.db.{}.svc.cluster.local", namespace.name);
        let found = pods::try_sh(namespace, "db-0", &format!("nslookup {name}")).ok()?;
        wait::holds(found.contains(&first[2].ip()), found)
    });

    // Whoever goes comes back under its name.
    namespace.run("delete pod db-1");
    pods::wait_until(namespace, "db-1", "another one, and ready", |pod| {
        pod.uid() != first[1].uid() && pod.ready()
    });

    namespace.run("set env sts/db VERSION=2");
    namespace.run("rollout status sts/db --timeout=90s");
    let second = pods::wait_ready(namespace, "app=db", 3);
    assert!(second.iter().all(|pod| version(pod) == "2"));
    let status = namespace.json("get sts db")["status"].clone();
    assert_eq!(
        status["currentRevision"], status["updateRevision"],
        "{status}"
    );
    assert_eq!(status["currentReplicas"], 3, "{status}");
    assert_downwards(&second);
    namespace.run("rollout undo sts/db");
    namespace.run("rollout status sts/db --timeout=90s");
    let third = pods::wait_ready(namespace, "app=db", 3);
    assert!(third.iter().all(|pod| version(pod) == "1"));
    let history = namespace.run("rollout history sts/db");
    assert_has(&history, &["2         <none>", "3         <none>"]);

    namespace.run("scale sts/db --replicas=1");
    wait_names(namespace, "db", &["db-0"]);
    let left = pods::wait_ready(namespace, "app=db", 1);
    assert_eq!(left[0].uid(), third[0].uid());
    assert_has(
        &namespace.run("describe sts db"),
        &["delete Pod db-2 in StatefulSet db successful"],
    );
}

fn canary(namespace: &Namespace) {
    let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 6}});
    namespace.create(&stateful(
        "quorum",
        json!({
            "replicas": 2, "ordinals": {"start": 5}, "podManagementPolicy": "Parallel",
            "updateStrategy": strategy,
        }),
    ));
    // 5 and 6, since it begins with 5; and the partition counts from there.
    namespace.run("rollout status sts/quorum --timeout=90s");
    wait_names(namespace, "quorum", &["quorum-5", "quorum-6"]);
    let partition = |number: u32| {
        let patch = json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": number}}}});
        namespace.run(&format!("patch sts quorum -p '{patch}'"));
    };
    partition(1);
    namespace.run("set env sts/quorum VERSION=2");
    namespace.run("rollout status sts/quorum --timeout=90s");
    let versions = || -> Vec<String> {
        let pods = pods::wait_ready(namespace, "app=quorum", 2);
        pods.iter().map(|pod| version(pod).to_owned()).collect()
    };
    assert_eq!(versions(), ["1", "2"]);
    partition(0);
    namespace.run("rollout status sts/quorum --timeout=90s");
    assert_eq!(versions(), ["2", "2"]);
}

fn claims(namespace: &Namespace) {
    let claim =
        json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}});
    namespace.create(&stateful(
        "stored",
        json!({
            "replicas": 1,
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}],
            "persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete", "whenDeleted": "Retain"},
        }),
    ));
    until("its claim is there", || {
        let claim = namespace.try_json("get pvc data-stored-0")?;
        wait::holds(claim["metadata"]["labels"]["app"] == "stored", &claim)
    });
    wait_names(namespace, "stored", &["stored-0"]);
    namespace.run("scale sts/stored --replicas=0");
    wait_names(namespace, "stored", &[]);
    until("its claim goes with it", || {
        let printed = namespace.try_run("get pvc data-stored-0");
        wait::holds(
            printed.stderr.contains("(NotFound)"),
            format!("{printed:?}"),
        )
    });
}

fn orphans(namespace: &Namespace) {
    let manifest = stateful("adopted", json!({"replicas": 1}));
    let seen = || {
        let of = |kind: &str| {
            let list = namespace.try_json(&format!("get {kind} -l app=adopted"))?;
            let items = list["items"].as_array().cloned().unwrap_or_default();
            Ok::<_, String>(items)
        };
        let mut all = of("controllerrevisions")?;
        all.extend(of("pods")?);
        Ok::<_, String>(all)
    };
    let uids = |all: &[Value]| -> Vec<Value> {
        all.iter()
            .map(|object| object["metadata"]["uid"].clone())
            .collect()
    };
    namespace.create(&manifest);
    pods::wait_ready(namespace, "app=adopted", 1);
    let before = seen().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(before.len(), 2, "{before:?}");
    namespace.run("delete sts adopted --cascade=orphan");
    let owner = |object: &Value| object["metadata"]["ownerReferences"][0]["uid"].clone();
    let left = seen().unwrap_or_else(|error| panic!("{error}"));
    assert!(
        left.iter().all(|object| owner(object).is_null()),
        "{left:?}"
    );
    namespace.create(&manifest);
    let set = namespace.json("get sts adopted")["metadata"]["uid"].clone();
    until("pod and revision are the new set's", || {
        let all = seen()?;
        let good = all.iter().all(|object| owner(object) == set) && uids(&all) == uids(&before);
        wait::holds(good, format!("{all:?}"))
    });
    namespace.run("rollout status sts/adopted --timeout=90s");
    let after = seen().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(uids(&after), uids(&before), "nothing is made anew");
}

/// kubectl compares a revision byte by byte with what it would write itself.
fn same_bytes(namespace: &Namespace) {
    for kind in ["StatefulSet", "DaemonSet"] {
        let nowhere = json!({"nodeSelector": {"hardway.example/none": "there"}});
        let mut manifest = set(kind, "unmoved", nowhere);
        manifest["spec"]["template"]["spec"]["containers"][0]["command"] = json!(["true"]);
        namespace.create(&manifest);
        let line = format!("rollout undo {kind}/unmoved --to-revision=1");
        until(&format!("{kind} is found to be at its revision"), || {
            let printed = namespace.try_run(&line).ok()?;
            let skipped = "skipped rollback (current template already matches revision 1)";
            wait::holds(printed.contains(skipped), printed)
        });
    }
}

fn daemons(namespace: &Namespace) {
    let workers = Lab::open().workers();
    let label = format!("{}/agents", namespace.name);
    let labelled = |worker: &str, value: &str| {
        namespace.run(&format!("label node {worker} {label}{value}"));
    };
    let _unlabelled = defer(|| {
        for worker in &workers {
            drop(namespace.try_run(&format!("label node {} {label}-", worker.name)));
        }
    });
    let mut selector = json!({});
    selector[&label] = json!("yes");
    namespace.create(&set(
        "DaemonSet",
        "agent",
        json!({"nodeSelector": selector}),
    ));
    until("there is no node for it", || {
        let status = namespace.try_json("get ds agent")?["status"].clone();
        let good = status["observedGeneration"] == 1 && status["desiredNumberScheduled"] == 0;
        wait::holds(good, &status)
    });
    labelled(&workers[0].name, "=yes");
    let only = pods::wait_ready(namespace, "app=agent", 1).remove(0);
    assert_eq!(only.node(), workers[0].name);
    labelled(&workers[1].name, "=yes");
    let both = pods::wait_ready(namespace, "app=agent", 2);
    assert!(both.iter().any(|pod| pod.uid() == only.uid()));

    namespace.run("set env ds/agent VERSION=2");
    let printed = namespace.run("rollout status ds/agent --timeout=90s");
    assert_has(&printed, &["daemon set \"agent\" successfully rolled out"]);
    let rolled = pods::wait_ready(namespace, "app=agent", 2);
    assert!(rolled.iter().all(|pod| version(pod) == "2"));
    let labels = &rolled[0].value()["metadata"]["labels"];
    assert_eq!(labels["pod-template-generation"], "2");
    namespace.run("rollout undo ds/agent");
    namespace.run("rollout status ds/agent --timeout=90s");
    let back = pods::wait_ready(namespace, "app=agent", 2);
    assert!(back.iter().all(|pod| version(pod) == "1"));

    labelled(&workers[0].name, "-");
    let left = pods::wait_ready(namespace, "app=agent", 1);
    assert_eq!(left[0].node(), workers[1].name);
    // What ends comes again.
    namespace.run(&format!("delete pod {}", left[0].name()));
    let again = pods::wait_ready(namespace, "app=agent", 1);
    assert_ne!(again[0].uid(), left[0].uid());
}

fn surge(namespace: &Namespace) {
    let amounts = json!({"maxSurge": 1, "maxUnavailable": 0});
    let strategy = json!({"type": "RollingUpdate", "rollingUpdate": amounts});
    namespace.create(&set(
        "DaemonSet",
        "log",
        json!({"updateStrategy": strategy}),
    ));
    namespace.run("rollout status ds/log --timeout=90s");
    let old = pods::wait_ready(namespace, "app=log", Lab::open().workers().len());
    namespace.run("rollout restart ds/log");
    namespace.run("rollout status ds/log --timeout=90s");
    let new = pods::wait_ready(namespace, "app=log", old.len());
    for (old, new) in old.iter().zip(by_node(&old, &new)) {
        assert_ne!(new.uid(), old.uid());
    }
    let printed = namespace.run("describe ds log");
    assert_has(&printed, &["SuccessfulCreate", "SuccessfulDelete"]);
}

/// The pods that are where others were, in the order of those.
fn by_node<'a>(old: &[Pod], new: &'a [Pod]) -> Vec<&'a Pod> {
    let at = |node: String| new.iter().find(|pod| pod.node() == node);
    let found: Vec<_> = old.iter().filter_map(|pod| at(pod.node())).collect();
    assert_eq!(found.len(), old.len(), "one on every node");
    found
}
