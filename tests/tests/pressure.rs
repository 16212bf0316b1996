//! A node's resources: pods get more or less of them while they run, and go when they run out.

use hardway_tests::manifest::{IDLE, container, pod};
use hardway_tests::pods::{self, sh};
use hardway_tests::{Kubectl, Lab, Namespace, defer, steps, until, wait};
use serde_json::{Value, json};

const NODE: &str = "worker-2";

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn resources_of_a_node_are_shared_out() {
    let namespace = Namespace::new("pressure");
    let steps: &[steps::Step<Namespace>] = &[
        ("resized in place", resized_in_place),
        ("resized with a restart", resized_with_a_restart),
        (
            "resized while the kubelet is away",
            resized_without_a_kubelet,
        ),
        ("no room to be resized", no_room),
        ("evicted when the disk is full", evicted),
        ("files of the node's logs", node_logs),
    ];
    steps::run(&namespace, &namespace, steps);
}

/// A pod that has a CPU quota and a limit of memory.
fn create(namespace: &Namespace, name: &str, memory_policy: &str) {
    let mut main = container("main", IDLE);
    main["resources"] = json!({
        "requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"},
    });
    main["resizePolicy"] = json!([{"resourceName": "memory", "restartPolicy": memory_policy}]);
    namespace.create(&pod(name, json!({"containers": [main], "nodeName": NODE})));
    pods::wait_pod(namespace, name);
}

fn resize(namespace: &Namespace, name: &str, resources: &Value) {
    let patch = json!({"spec": {"containers": [{"name": "main", "resources": resources}]}});
    let patch = patch.to_string();
    let call = [
        "patch",
        "pod",
        name,
        "--subresource",
        "resize",
        "--patch",
        &patch,
    ];
    namespace.try_call(&call, "").ok().expect("a resize");
}

/// Waits until the status tells that a limit is so.
#[track_caller]
fn wait_limit(namespace: &Namespace, name: &str, resource: &str, amount: &str) -> pods::Pod {
    let what = format!("has a {resource} limit of {amount}");
    pods::wait_until(namespace, name, &what, |pod| {
        let status = &pod.value()["status"]["containerStatuses"][0];
        let running = !status["state"]["running"].is_null();
        running && status["resources"]["limits"][resource] == amount
    })
}

fn restarts(pod: &pods::Pod) -> u64 {
    pod.containers()[0].1
}

/// What the kernel holds a container to: its CPU quota in microseconds of 100 ms, its bytes of
/// memory; of cgroups of either version.
fn limits(namespace: &Namespace, name: &str) -> (String, String) {
    let script = "cd /sys/fs/cgroup; cat cpu.max 2>/dev/null || cat cpu/cpu.cfs_quota_us; \
                  cat memory.max 2>/dev/null || cat memory/memory.limit_in_bytes";
    let told = sh(namespace, name, script);
    let mut lines = told
        .lines()
        .map(|line| line.split(' ').next().unwrap_or_default());
    let mut next = || lines.next().unwrap_or_default().to_owned();
    (next(), next())
}

fn resized_in_place(namespace: &Namespace) {
    create(namespace, "grows", "NotRequired");
    let mebi = |count: u64| (count << 20).to_string();
    assert_eq!(limits(namespace, "grows"), ("10000".into(), mebi(64)));
    resize(
        namespace,
        "grows",
        &json!({"limits": {"cpu": "200m", "memory": "96Mi"}}),
    );
    let grown = wait_limit(namespace, "grows", "memory", "96Mi");
    assert_eq!(limits(namespace, "grows"), ("20000".into(), mebi(96)));
    resize(
        namespace,
        "grows",
        &json!({"limits": {"cpu": "150m"}, "requests": {"cpu": "20m"}}),
    );
    let shrunk = wait_limit(namespace, "grows", "cpu", "150m");
    assert_eq!(limits(namespace, "grows").0, "15000");
    assert_eq!((restarts(&grown), restarts(&shrunk)), (0, 0));
    assert_eq!(grown.uid(), shrunk.uid());
    let refused = namespace.try_call(
        &[
            "patch",
            "pod",
            "grows",
            "--subresource",
            "resize",
            "--patch",
            r#"{"spec":{"containers":[{"name":"main","resources":{"limits":{"memory":"64Mi"}}}]}}"#,
        ],
        "",
    );
    assert!(!refused.success);
    let why = "memory limits cannot be decreased unless resizePolicy is RestartContainer";
    assert!(refused.stderr.contains(why), "{}", refused.stderr);
}

fn resized_with_a_restart(namespace: &Namespace) {
    create(namespace, "begins-anew", "RestartContainer");
    resize(
        namespace,
        "begins-anew",
        &json!({"limits": {"memory": "48Mi"}}),
    );
    let resized = wait_limit(namespace, "begins-anew", "memory", "48Mi");
    assert_eq!(restarts(&resized), 1);
    assert_eq!(limits(namespace, "begins-anew").1, (48 << 20).to_string());
}

fn resized_without_a_kubelet(namespace: &Namespace) {
    let lab = Lab::open();
    create(namespace, "meanwhile", "NotRequired");
    lab.tool(&format!("kill kubelet@{NODE}"));
    resize(namespace, "meanwhile", &json!({"limits": {"cpu": "300m"}}));
    lab.tool(&format!("start kubelet@{NODE}"));
    let resized = wait_limit(namespace, "meanwhile", "cpu", "300m");
    assert_eq!(limits(namespace, "meanwhile").0, "30000");
    assert_eq!(restarts(&resized), 0);
}

fn no_room(namespace: &Namespace) {
    create(namespace, "greedy", "NotRequired");
    resize(
        namespace,
        "greedy",
        &json!({"requests": {"cpu": "900"}, "limits": {"cpu": "900"}}),
    );
    let pending = |pod: &pods::Pod| -> Value {
        let conditions = pod.value()["status"]["conditions"].as_array().cloned();
        let mut conditions = conditions.unwrap_or_default().into_iter();
        let found = conditions.find(|c| c["type"] == "PodResizePending");
        found.unwrap_or_default()
    };
    let refused = pods::wait_until(namespace, "greedy", "can't be resized", |pod| {
        !pending(pod).is_null()
    });
    let condition = pending(&refused);
    assert_eq!(condition["reason"], "Infeasible", "{condition}");
    let message = condition["message"].as_str().unwrap_or_default();
    let words = "Node didn't have enough capacity: cpu, requested: 900000, capacity: ";
    assert!(message.starts_with(words), "{message}");
    assert_eq!(
        limits(namespace, "greedy").0,
        "10000",
        "it keeps what it has"
    );
    resize(
        namespace,
        "greedy",
        &json!({"requests": {"cpu": "50m"}, "limits": {"cpu": "100m"}}),
    );
    pods::wait_until(namespace, "greedy", "asks for what it has", |pod| {
        pending(pod).is_null()
    });
}

/// A pod that writes so much, and then idles.
fn writer(name: &str, mebi: u32, priority: Option<&str>) -> Value {
    let script = format!("dd if=/dev/zero of=/data/file bs=1048576 count={mebi}; {IDLE}");
    let mut main = container("main", &script);
    main["volumeMounts"] = json!([{"name": "data", "mountPath": "/data"}]);
    let volumes = json!([{"name": "data", "emptyDir": {}}]);
    let mut spec = json!({"containers": [main], "volumes": volumes, "nodeName": NODE});
    if let Some(class) = priority {
        spec["priorityClassName"] = json!(class);
    }
    pod(name, spec)
}

/// The disk of a kubelet is a small one in memory, so that it can be filled.
fn evicted(namespace: &Namespace) {
    let lab = Lab::open();
    let kubectl = Kubectl::stock();
    let sh = |script: &str| lab.try_tool(&format!("node exec {NODE} sh -c '{script}'"));
    let command = sh("tr \"\\0\" \"\\n\" < /proc/$(pgrep -x hardway-kubelet)/cmdline");
    let command = command.ok().expect("the kubelet's command");
    let command: String = command.lines().map(|word| format!("\"{word}\" ")).collect();
    lab.tool(&format!("stop kubelet@{NODE}"));
    let _again = defer(|| {
        sh("kill $(cat /run/pressure.pid); sleep 1; umount -l /run/pressure");
        lab.tool(&format!("start kubelet@{NODE}"));
    });
    let script = format!(
        "mkdir -p /run/pressure; mount -t tmpfs -o size=64m pressure /run/pressure; \
         setsid {} --root-dir=/run/pressure --eviction-hard=\"nodefs.available<20Mi\" \
         --eviction-pressure-transition-period=2s </dev/null >/run/pressure.log 2>&1 & \
         echo $! > /run/pressure.pid",
        command
    );
    sh(&script).ok().expect("a kubelet on a small disk");

    for manifest in [writer("modest", 4, None), writer("hungry", 30, None)] {
        namespace.create(&manifest);
    }
    for name in ["modest", "hungry"] {
        pods::wait_pod(namespace, name);
    }
    namespace.create(&writer("needed", 20, Some("system-node-critical")));
    let gone = pods::wait_until(namespace, "hungry", "evicted", |pod| {
        pod.phase() == "Failed"
    });
    let status = &gone.value()["status"];
    assert_eq!(status["reason"], "Evicted", "{status}");
    let message = status["message"].as_str().unwrap_or_default();
    let words =
        "The node was low on resource: ephemeral-storage. Threshold quantity: 20Mi, available: ";
    assert!(message.starts_with(words), "{message}");
    let conditions = status["conditions"].to_string();
    assert!(conditions.contains("TerminationByKubelet"), "{conditions}");
    let condition = || {
        let node = kubectl.try_json(&format!("get node {NODE}"))?;
        let conditions = node["status"]["conditions"].as_array().cloned();
        let mut conditions = conditions.unwrap_or_default().into_iter();
        let disk = conditions
            .find(|c| c["type"] == "DiskPressure")
            .unwrap_or_default();
        let taints = node["spec"]["taints"].to_string();
        let tainted = taints.contains("node.kubernetes.io/disk-pressure");
        Ok::<_, String>((disk["status"] == "True", tainted, taints))
    };
    until("the node has room again", || {
        let (short, tainted, seen) = condition()?;
        wait::holds(!short && !tainted, seen)
    });
    for name in ["modest", "needed"] {
        assert_eq!(pods::get(namespace, name).phase(), "Running", "{name}");
    }
    let events = kubectl.run(&format!(
        "get events --field-selector involvedObject.name={NODE}"
    ));
    for reason in [
        "EvictionThresholdMet",
        "NodeHasDiskPressure",
        "NodeHasNoDiskPressure",
    ] {
        assert!(events.contains(reason), "{reason}: {events}");
    }
    namespace.run("delete pod modest hungry needed --wait=false");
    for name in ["modest", "hungry", "needed"] {
        pods::wait_gone(namespace, name);
    }
}

fn node_logs(_: &Namespace) {
    let kubectl = Kubectl::stock();
    let logs = format!("get --raw /api/v1/nodes/{NODE}/proxy/logs/");
    let page = kubectl.run(&logs);
    assert!(page.contains("<a href=\"pods/\">pods/</a>"), "{page}");
    // kubectl doesn't show the reason, which is no Status.
    let refused = kubectl.try_run(&format!("{logs}?query=kubelet"));
    assert!(
        !refused.success && refused.stderr.contains("BadRequest"),
        "{}",
        refused.stderr
    );
}
