//! Probes, hooks and last words.

use super::{create, ended, idle_with, merge, remove};
use hardway_tests::manifest::{IDLE, PROBE_TIMEOUT, container, file_probe, web_server};
use hardway_tests::pods::{self, sh};
use hardway_tests::text::assert_has;
use hardway_tests::{Lab, Namespace, until, wait};
use serde_json::json;

pub fn readiness_probe(namespace: &Namespace) {
    let main = idle_with(json!({"readinessProbe": {
        "exec": {"command": ["test", "-e", "/tmp/ready"]}, "periodSeconds": 1,
        "timeoutSeconds": PROBE_TIMEOUT,
    }}));
    create(namespace, "unready", main, json!({}));
    pods::wait_until(namespace, "unready", "running", |pod| {
        pod.phase() == "Running"
    });
    until("the event tells of the probe", || {
        let told = namespace.try_run("describe pod unready").ok()?;
        wait::holds(told.contains("Readiness probe failed:"), told)
    });
    assert_has(
        &namespace.run("get pod unready"),
        &["unready 0/1 Running 0"],
    );
    sh(namespace, "unready", "touch /tmp/ready");
    pods::wait_pod(namespace, "unready");
    sh(namespace, "unready", "rm /tmp/ready");
    let pod = pods::wait_until(namespace, "unready", "not ready again", |pod| !pod.ready());
    assert_eq!(pod.container("main")["restartCount"], 0);
    remove(namespace, "unready");
}

pub fn liveness_probe(namespace: &Namespace) {
    let probe = json!({
        "tcpSocket": {"port": 8080}, "initialDelaySeconds": 2,
        "periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": PROBE_TIMEOUT,
    });
    let mut dies = web_server("web");
    dies["livenessProbe"] = probe;
    dies["command"] = json!([
        "sh",
        "-c",
        "mkdir -p /www; hostname > /www/index.html; httpd -p 8080 -h /www; sleep 4; killall httpd; trap 'exit 0' TERM; sleep 1000 & wait"
    ]);
    create(namespace, "liveness", dies, json!({}));
    pods::wait_until(namespace, "liveness", "restarted", |pod| {
        pod.container("web")["restartCount"].as_u64() >= Some(1)
    });
    until("the events tell why", || {
        let told = namespace.try_run("describe pod liveness").ok()?;
        let why = told.contains("Liveness probe failed: dial tcp")
            && told.contains("Container web failed liveness probe, will be restarted");
        wait::holds(why, told)
    });
    remove(namespace, "liveness");
}

pub fn startup_probe(namespace: &Namespace) {
    // Liveness would end it at once; it isn't asked before the start is over.
    let liveness = file_probe("/tmp/started");
    let startup = merge(liveness.clone(), json!({"failureThreshold": 30}));
    let main = merge(
        container("main", &format!("sleep 3; touch /tmp/started; {IDLE}")),
        json!({"startupProbe": startup, "livenessProbe": liveness}),
    );
    create(namespace, "startup", main, json!({}));
    let pod = pods::wait_pod(namespace, "startup");
    assert_eq!(pod.container("main")["restartCount"], 0);
    assert_eq!(pod.container("main")["started"], true);
    remove(namespace, "startup");
}

pub fn hooks(namespace: &Namespace) {
    let lab = Lab::open();
    let node = lab.workers()[0].name.clone();
    let folder = format!("/data/{}-hooks", namespace.name);
    let main = idle_with(json!({
        "volumeMounts": [{"name": "host", "mountPath": "/host"}],
        "lifecycle": {
            "postStart": {"exec": {"command": ["sh", "-c", "echo started >> /host/log"]}},
            "preStop": {"exec": {"command": ["sh", "-c", "echo stopping >> /host/log"]}},
        },
    }));
    let spec = json!({
        "nodeName": node,
        "terminationGracePeriodSeconds": 60,
        "volumes": [{"name": "host", "hostPath": {"path": folder, "type": "DirectoryOrCreate"}}],
    });
    create(namespace, "hooks", main, spec);
    pods::wait_pod(namespace, "hooks");
    assert_eq!(lab.on(&node, &format!("cat {folder}/log")), "started\n");
    namespace.run("delete pod hooks");
    assert_eq!(
        lab.on(&node, &format!("cat {folder}/log")),
        "started\nstopping\n"
    );
}

pub fn termination_message(namespace: &Namespace) {
    let never = json!({"restartPolicy": "Never"});
    create(
        namespace,
        "message",
        container(
            "main",
            "echo -n the last words > /dev/termination-log; exit 1",
        ),
        never.clone(),
    );
    let fallback = merge(
        container("main", "echo from the log; exit 1"),
        json!({"terminationMessagePolicy": "FallbackToLogsOnError"}),
    );
    create(namespace, "fallback", fallback, never);
    for (name, message) in [
        ("message", "the last words"),
        ("fallback", "from the log\n"),
    ] {
        let done = pods::wait_until(namespace, name, "done", ended);
        assert_eq!(
            done.container("main")["state"]["terminated"]["message"],
            message
        );
    }
}

pub fn grace_period(namespace: &Namespace) {
    let lab = Lab::open();
    // Takes its time, but less than it may.
    let main = container(
        "main",
        "trap 'sleep 2; exit 0' TERM; while :; do sleep 1000 & wait; done",
    );
    create(
        namespace,
        "graceful",
        main,
        json!({"terminationGracePeriodSeconds": 60}),
    );
    // Would not go by itself.
    let main = container("main", "trap '' TERM; while :; do sleep 1000; done");
    create(
        namespace,
        "stubborn",
        main,
        json!({"terminationGracePeriodSeconds": 3}),
    );
    pods::wait_pod(namespace, "graceful");
    pods::wait_pod(namespace, "stubborn");
    let duration = |line: &str| {
        let start = std::time::Instant::now();
        namespace.run(line);
        start.elapsed().as_secs_f64()
    };
    let graceful = duration("delete pod graceful");
    assert!((1.5..45.0).contains(&graceful), "{graceful} s");
    let stubborn = duration("delete pod stubborn");
    assert!((2.5..45.0).contains(&stubborn), "{stubborn} s");
    // By force: the object goes at once.
    create(
        namespace,
        "forced",
        container("main", "trap '' TERM; sleep 1000"),
        json!({"terminationGracePeriodSeconds": 300}),
    );
    let node = pods::wait_pod(namespace, "forced").node();
    let uid = pods::get(namespace, "forced").uid();
    let forced = duration("delete pod forced --grace-period=0 --force");
    assert!(forced < 45.0, "{forced} s");
    until("its containers go too", || {
        let left = lab.try_on(&node, "ctr -n k8s.io containers list").ok()?;
        let folders = lab.try_on(&node, "ls /var/lib/kubelet/pods").ok()?;
        wait::holds(!folders.contains(&uid), format!("{folders}\n{left}"))
    });
}
