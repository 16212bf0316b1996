//! What is ill is restarted, what is not ready gets no visitors, what leaves does so
//! without a request lost; and people are told all of it.

#[path = "self_healing/departures.rs"]
mod departures;

use departures::{departures, leaving, wait_endpoint};
use hardway_tests::manifest::{
    IDLE, PROBE_TIMEOUT, container, file_probe, pod, service, web_server,
};
use hardway_tests::pods::{self, sh};
use hardway_tests::terminal::Terminal;
use hardway_tests::text::{assert_has, squeezed};
use hardway_tests::{Kubectl, Lab, Namespace, steps, until, wait};
use serde_json::{Value, json};

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn the_cluster_heals_itself() {
    let namespace = Namespace::new("healing");
    let steps: &[steps::Step<Namespace>] = &[
        ("liveness and its back-off", liveness),
        ("startup probe that fails", startup),
        ("grace period of a probe", probe_grace),
        ("sidecar with probes", sidecar),
        ("readiness comes and goes", readiness),
        ("leaving, the last one serves", leaving),
        ("debugging", debugging),
        ("events of nodes", node_events),
    ];
    steps::run_side_by_side(&namespace, &namespace, steps);
}

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn pods_leave_without_a_request_lost() {
    departures(&Namespace::new("departures"));
}

/// A pod of one container that has something more.
fn create(namespace: &Namespace, name: &str, mut main: Value, more: Value, spec: Value) {
    for (key, value) in more.as_object().into_iter().flatten() {
        main[key] = value.clone();
    }
    let mut spec = spec;
    spec["containers"] = json!([main]);
    namespace.create(&pod(name, spec));
}

/// Waits until `describe` has lines, each with all of its parts.
#[track_caller]
fn wait_told(kubectl: &Kubectl, what: &str, lines: &[&[&str]]) {
    until(&format!("describe {what} tells it all"), || {
        let told = squeezed(&kubectl.try_run(&format!("describe {what}")).ok()?);
        let has = |parts: &&[&str]| {
            let mut lines = told.lines();
            lines.any(|line| parts.iter().all(|part| line.contains(part)))
        };
        match lines.iter().find(|parts| !has(parts)) {
            None => Ok(()),
            Some(missing) => Err(format!("{missing:?} is missing in\n{told}")),
        }
    });
}

/// The probe of the tutorial: it looks for a file that isn't there any more.
fn liveness(namespace: &Namespace) {
    let script = "touch /tmp/healthy; sleep 2; rm /tmp/healthy; trap 'exit 3' TERM; while :; do sleep 1000 & wait; done";
    let probe = json!({
        "imagePullPolicy": "Always",
        "livenessProbe": {
            "exec": {"command": ["cat", "/tmp/healthy"]},
            "initialDelaySeconds": 1, "periodSeconds": 1, "failureThreshold": 2,
            "timeoutSeconds": PROBE_TIMEOUT,
        },
    });
    create(
        namespace,
        "doomed",
        container("main", script),
        probe,
        json!({}),
    );
    pods::wait_until(namespace, "doomed", "running", |pod| {
        pod.phase() == "Running"
    });
    let looping = pods::wait_until(namespace, "doomed", "in CrashLoopBackOff", |pod| {
        pod.container("main")["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    });
    // That time may be over before the next question is asked, but it comes again.
    until("the table shows the back-off", || {
        let shown = squeezed(&namespace.try_run("get pod doomed").ok()?);
        wait::holds(shown.contains("doomed 0/1 CrashLoopBackOff "), shown)
    });
    let status = looping.container("main");
    let full_name = format!("doomed_{}({})", namespace.name, looping.uid());
    assert_eq!(
        status["state"]["waiting"]["message"],
        format!("back-off 10s restarting failed container=main pod={full_name}")
    );
    assert_eq!(status["restartCount"], 1);
    let last = &status["lastState"]["terminated"];
    assert_eq!(
        (&last["reason"], &last["exitCode"]),
        (&json!("Error"), &json!(3))
    );
    assert_eq!(looping.phase(), "Running");
    pods::wait_until(namespace, "doomed", "told to wait longer", |pod| {
        let message = pod.container("main")["state"]["waiting"]["message"].as_str();
        message.is_some_and(|message| message.starts_with("back-off 20s "))
    });
    let assigned = format!("Successfully assigned {}/doomed to worker-", namespace.name);
    let back_off = format!("Back-off restarting failed container main in pod {full_name}");
    wait_told(
        namespace,
        "pod doomed",
        &[
            &["Restart Count:"],
            &["Normal Scheduled", "default-scheduler", &assigned],
            &[
                "Normal Pulling",
                "(x",
                " over ",
                "kubelet Pulling image \"busybox:1.36\"",
            ],
            &[
                "Normal Pulled",
                "Successfully pulled image \"busybox:1.36\" in",
                "including waiting). Image size:",
                "bytes.",
            ],
            &["Normal Created", "(x", " over ", "Created container: main"],
            &["Normal Started", "(x", " over ", "Started container main"],
            &[
                "Warning Unhealthy",
                "(x",
                " over ",
                "Liveness probe failed: cat: can't open '/tmp/healthy': No such file or directory",
            ],
            &[
                "Normal Killing",
                "(x",
                " over ",
                "Container main failed liveness probe, will be restarted",
            ],
            &["Warning BackOff", "over", &back_off],
        ],
    );
    // Two failures end a container; it was started for the third time before the longer wait.
    let event = |reason: &str, message: &str, least: u64| {
        let line =
            format!("get events --field-selector involvedObject.name=doomed,reason={reason}");
        until(&format!("{reason} is counted"), || {
            let events = namespace.try_json(&line)?;
            let mut items = events["items"].as_array().into_iter().flatten();
            let found = items.find(|event| {
                let told = event["message"].as_str().unwrap_or_default();
                told.contains(message) && event["count"].as_u64() >= Some(least)
            });
            wait::holds(found.is_some(), &events)?;
            Ok(found.cloned().unwrap_or_default())
        })
    };
    event("Started", "Started container main", 3);
    event("Killing", "failed liveness probe", 3);
    let event = event("Unhealthy", "cat: can't open '/tmp/healthy'", 6);
    assert_eq!(
        event["involvedObject"]["fieldPath"],
        "spec.containers{main}"
    );
    assert_eq!(event["source"]["component"], "kubelet");
    assert_eq!(event["source"]["host"], json!(looping.node()));
    assert!(event["firstTimestamp"].as_str() < event["lastTimestamp"].as_str());
    namespace.run("delete pod doomed --wait=false");
}

fn startup(namespace: &Namespace) {
    let probes = json!({
        "ports": [{"name": "web", "containerPort": 8080}],
        "startupProbe": {
            "httpGet": {"path": "/none", "port": "web"},
            "periodSeconds": 1, "failureThreshold": 2, "initialDelaySeconds": 2,
        },
        // Not asked before the start is over: it would pass.
        "readinessProbe": {"httpGet": {"path": "/", "port": "web"}, "periodSeconds": 1},
    });
    create(namespace, "unstarted", web_server("web"), probes, json!({}));
    let up = pods::wait_until(namespace, "unstarted", "restarted", |pod| {
        let status = pod.container("web");
        assert!(
            status["ready"] != true && status["started"] != true,
            "{status}"
        );
        status["restartCount"].as_u64() >= Some(1)
    });
    assert!(!up.ready());
    wait_told(
        namespace,
        "pod unstarted",
        &[
            &[
                "Warning Unhealthy",
                "Startup probe failed: HTTP probe failed with statuscode: 404",
            ],
            &[
                "Normal Killing",
                "Container web failed startup probe, will be restarted",
            ],
        ],
    );
    namespace.run("delete pod unstarted --wait=false");
}

/// A probe's own grace period goes before the pod's.
fn probe_grace(namespace: &Namespace) {
    let probe = json!({"livenessProbe": {
        "tcpSocket": {"port": 1}, "periodSeconds": 1, "failureThreshold": 1,
        "terminationGracePeriodSeconds": 1,
    }});
    let stubborn = "trap '' TERM; while :; do sleep 1; done";
    let spec = json!({"terminationGracePeriodSeconds": 600});
    create(
        namespace,
        "stubborn",
        container("main", stubborn),
        probe,
        spec,
    );
    let pod = pods::wait_until(namespace, "stubborn", "restarted", |pod| {
        pod.container("main")["restartCount"].as_u64() >= Some(1)
    });
    assert_eq!(
        pod.container("main")["lastState"]["terminated"]["exitCode"],
        137
    );
    wait_told(
        namespace,
        "pod stubborn",
        &[&[
            "Liveness probe failed: dial tcp",
            ":1: connect: connection refused",
        ]],
    );
    namespace.run("delete pod stubborn --force");
}

/// A sidecar holds the others back until it has started, counts for readiness, and
/// is restarted alone.
fn sidecar(namespace: &Namespace) {
    let mut beside = container(
        "beside",
        &format!("sleep 2; touch /tmp/live /tmp/started; {IDLE}"),
    );
    beside["restartPolicy"] = json!("Always");
    beside["startupProbe"] = file_probe("/tmp/started");
    beside["startupProbe"]["failureThreshold"] = json!(30);
    beside["livenessProbe"] = file_probe("/tmp/live");
    beside["readinessProbe"] = file_probe("/tmp/ready");
    let spec = json!({"initContainers": [beside], "containers": [container("main", IDLE)]});
    namespace.create(&pod("accompanied", spec));
    let running = pods::wait_until(namespace, "accompanied", "running", |pod| {
        let (main, beside) = (pod.container("main"), pod.container("beside"));
        let runs = !main["state"]["running"].is_null();
        assert!(
            !runs || beside["started"] == true,
            "{}",
            pod.value()["status"]
        );
        runs
    });
    assert!(!running.ready());
    assert_has(
        &namespace.run("get pod accompanied"),
        &["accompanied 1/2 Running 0"],
    );
    let inside = |script: &str| {
        let call = [
            "exec",
            "accompanied",
            "-c",
            "beside",
            "--",
            "sh",
            "-c",
            script,
        ];
        assert!(namespace.try_call(&call, "").success, "{script}");
    };
    inside("touch /tmp/ready");
    pods::wait_pod(namespace, "accompanied");
    inside("rm /tmp/live");
    let restarted = pods::wait_until(namespace, "accompanied", "restarted in part", |pod| {
        pod.container("beside")["restartCount"] == 1
    });
    assert_eq!(restarted.container("main")["restartCount"], 0);
    wait_told(
        namespace,
        "pod accompanied",
        &[&[
            "Killing",
            "Container beside failed liveness probe, will be restarted",
        ]],
    );
    namespace.run("delete pod accompanied --wait=false");
}

fn readiness(namespace: &Namespace) {
    let probe = json!({"readinessProbe": {
        "exec": {"command": ["cat", "/tmp/ready"]}, "periodSeconds": 1, "failureThreshold": 2,
        "successThreshold": 2, "timeoutSeconds": PROBE_TIMEOUT,
    }});
    create(
        namespace,
        "moody",
        container("main", IDLE),
        probe,
        json!({}),
    );
    namespace.create(&service("moody", "moody", json!({})));
    wait_endpoint(namespace, "moody", [false, false, false]);
    // A pod has its address before its container runs.
    pods::wait_until(namespace, "moody", "running", |pod| {
        !pod.container("main")["state"]["running"].is_null()
    });
    sh(namespace, "moody", "touch /tmp/ready");
    wait_endpoint(namespace, "moody", [true, true, false]);
    let ip = pods::get(namespace, "moody").ip();
    wait_told(
        namespace,
        "service moody",
        &[&[&format!("Endpoints: {ip}:8080")]],
    );
    sh(namespace, "moody", "rm /tmp/ready");
    wait_endpoint(namespace, "moody", [false, false, false]);
    wait_told(
        namespace,
        "pod moody",
        &[
            &[
                "Warning Unhealthy",
                "over",
                "Readiness probe failed: cat: can't open '/tmp/ready': No such file or directory",
            ],
            &["ContainersReady False"],
        ],
    );
    assert_eq!(
        pods::get(namespace, "moody").container("main")["restartCount"],
        0
    );
    namespace.run("delete pod moody --wait=false");
}

/// `kubectl debug` puts a container of its own into a running pod.
fn debugging(namespace: &Namespace) {
    create(
        namespace,
        "patient",
        container("main", IDLE),
        json!({}),
        json!({}),
    );
    let before = pods::wait_pod(namespace, "patient").containers();
    let line = "debug -it patient --image=busybox:1.36 --target=main --container=tools -- sh";
    let mut terminal = Terminal::open(namespace, line, 24, 100);
    // The shell may have prompted before anybody was attached to it.
    until("the shell prompts", || {
        terminal.type_in("\n");
        let shown = terminal.shown();
        wait::holds(shown.contains("/ #"), format!("{shown:?}"))
    });
    until("it sees the processes of its target", || {
        terminal.type_in("ps | grep -q '[s]leep 1000' && echo found-$((40 + 2))\n");
        let shown = terminal.shown();
        wait::holds(shown.contains("found-42"), format!("{shown:?}"))
    });
    terminal.type_in("exit 7\n");
    terminal.wait_end();
    let ephemeral = |pod: &pods::Pod, name: &str| -> Value {
        let statuses = pod.value()["status"]["ephemeralContainerStatuses"].as_array();
        let mut statuses = statuses.into_iter().flatten();
        statuses
            .find(|s| s["name"] == name)
            .cloned()
            .unwrap_or_default()
    };
    let ended = pods::wait_until(namespace, "patient", "left by the debugger", |pod| {
        ephemeral(pod, "tools")["state"]["terminated"]["exitCode"] == 7
    });
    assert_eq!(ephemeral(&ended, "tools")["restartCount"], 0);
    until("what was shown is in the log", || {
        let log = namespace.try_run("logs patient -c tools").ok()?;
        wait::holds(log.contains("found-42"), log)
    });
    // One that wants no terminal, and sees only itself.
    let script =
        r#"debug patient --image=busybox:1.36 --container=teller -- sh -c "ps; echo told""#;
    namespace.run(script);
    let told = until("the log tells", || {
        let log = namespace.try_run("logs patient -c teller").ok()?;
        wait::holds(log.lines().any(|line| line == "told"), &log).map(|()| log)
    });
    assert!(!told.contains("sleep 1000"), "{told}");
    let after = pods::wait_until(namespace, "patient", "as before", |pod| {
        !ephemeral(pod, "teller")["state"]["terminated"].is_null()
    });
    assert_eq!(after.containers(), before, "the pod itself is untouched");
    assert!(after.ready());
    wait_told(
        namespace,
        "pod patient",
        &[
            &["Ephemeral Containers:"],
            &["Started", "Started container tools"],
        ],
    );
    let refused = namespace.refused("debug patient --image=busybox:1.36 --target=nobody", "");
    assert!(refused.contains("nobody"), "{refused}");
    namespace.run("delete pod patient --wait=false");
}

fn node_events(_: &Namespace) {
    let stock = Kubectl::stock();
    let node = Lab::open().workers()[0].name.clone();
    wait_told(
        &stock,
        &format!("node {node}"),
        &[
            &["Normal Starting", "kubelet Starting kubelet."],
            &[
                "Normal NodeHasSufficientMemory",
                &format!("kubelet Node {node} status is now: NodeHasSufficientMemory"),
            ],
            &[
                "Normal NodeHasNoDiskPressure",
                "status is now: NodeHasNoDiskPressure",
            ],
            &[
                "Normal NodeHasSufficientPID",
                "status is now: NodeHasSufficientPID",
            ],
            &[
                "Normal NodeAllocatableEnforced",
                "Updated Node Allocatable limit across pods",
            ],
            &[
                "Normal NodeReady",
                &format!("kubelet Node {node} status is now: NodeReady"),
            ],
            &[
                "Normal RegisteredNode",
                &format!("node-controller Node {node} event: Registered Node {node} in Controller"),
            ],
        ],
    );
}
