//! What a pod's manifest asks for is what its containers find.

use std::time::Duration;

use hardway_tests::manifest::{IDLE, container, pod, web_server};
use hardway_tests::pods::{self, sh};
use hardway_tests::text::assert_has;
use hardway_tests::{Lab, Namespace, steps, until, wait, within};
use serde_json::{Value, json};

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn pods_are_what_they_ask_for() {
    let namespace = Namespace::new("pods");
    let steps: &[steps::Step<Namespace>] = &[
        ("init containers in order", init_containers),
        ("failing init container", failing_init),
        ("restart policy Never", never_restarted),
        ("restart policy OnFailure", restarted_on_failure),
        ("crash loop", crash_loop),
        ("image that isn't there", missing_image),
        ("config that isn't there", missing_config),
        ("environment", environment),
        ("command and arguments", command_and_arguments),
        ("emptyDir", empty_dir),
        ("hostPath", host_path),
        ("configMap and secret volumes", config_volumes),
        ("projected volume", projected),
        ("subPath", sub_path),
        ("readiness probe", readiness_probe),
        ("liveness probe", liveness_probe),
        ("startup probe", startup_probe),
        ("hooks", hooks),
        ("termination message", termination_message),
        ("grace period", grace_period),
        ("security context", security_context),
        ("resources", resources),
        ("too large for any node", unschedulable),
        ("out of memory", out_of_memory),
        ("shared process namespace", shared_processes),
        ("node selector", node_selector),
        ("static pod", static_pod),
        ("update of an image", update_image),
        ("eviction", eviction),
        ("deadline", deadline),
    ];
    steps::run(&namespace, &namespace, steps);
}

/// Creates a pod of one container whose parts are given, without waiting.
fn create(namespace: &Namespace, name: &str, main: Value, mut spec: Value) {
    spec["containers"] = json!([main]);
    namespace.create(&pod(name, spec));
}

/// A container that idles, with something more.
fn idle_with(more: Value) -> Value {
    merge(container("main", IDLE), more)
}

fn merge(mut into: Value, more: Value) -> Value {
    for (key, value) in more.as_object().into_iter().flatten() {
        into[key] = value.clone();
    }
    into
}

fn remove(namespace: &Namespace, name: &str) {
    namespace.run(&format!("delete pod {name} --wait=false"));
}

fn ended(pod: &pods::Pod) -> bool {
    ["Succeeded", "Failed"].contains(&pod.phase().as_str())
}

fn init_containers(namespace: &Namespace) {
    let mount = json!([{"name": "shared", "mountPath": "/shared"}]);
    let with =
        |name: &str, script: &str| merge(container(name, script), json!({"volumeMounts": mount}));
    let spec = json!({
        "restartPolicy": "Never",
        "initContainers": [
            with("first", "echo first >> /shared/log"),
            with("second", "echo second >> /shared/log"),
        ],
        "volumes": [{"name": "shared", "emptyDir": {}}],
    });
    create(namespace, "init", with("main", "cat /shared/log"), spec);
    let done = pods::wait_until(namespace, "init", "done", ended);
    assert_eq!(done.phase(), "Succeeded");
    assert_eq!(namespace.run("logs init -c main"), "first\nsecond\n");
    let finished =
        |name: &str| done.container(name)["state"]["terminated"]["finishedAt"].to_string();
    let started = |name: &str| done.container(name)["state"]["terminated"]["startedAt"].to_string();
    assert!(finished("first") <= started("second") && finished("second") <= started("main"));
    assert_eq!(
        done.container("first")["state"]["terminated"]["reason"],
        "Completed"
    );
    let shown = namespace.run("get pod init");
    assert_has(&shown, &["init 0/1 Completed 0"]);
}

fn failing_init(namespace: &Namespace) {
    let spec = json!({"initContainers": [container("wrong", "exit 3")]});
    create(namespace, "init-fails", container("main", IDLE), spec);
    until("it is told which init container fails", || {
        let shown = namespace.try_run("get pod init-fails").ok()?;
        wait::holds(shown.contains("Init:CrashLoopBackOff"), shown)
    });
    let pod = pods::get(namespace, "init-fails");
    assert_eq!(pod.phase(), "Pending");
    assert_eq!(
        pod.container("main")["state"]["waiting"]["reason"],
        "PodInitializing"
    );
    remove(namespace, "init-fails");
    let spec = json!({"restartPolicy": "Never", "initContainers": [container("wrong", "exit 3")]});
    create(namespace, "init-failed", container("main", IDLE), spec);
    let failed = pods::wait_until(namespace, "init-failed", "failed", ended);
    assert_eq!(failed.phase(), "Failed");
    assert_has(&namespace.run("get pod init-failed"), &["0/1 Init:Error 0"]);
}

fn never_restarted(namespace: &Namespace) {
    create(
        namespace,
        "never",
        container("main", "exit 5"),
        json!({"restartPolicy": "Never"}),
    );
    let failed = pods::wait_until(namespace, "never", "done", ended);
    assert_eq!(failed.phase(), "Failed");
    let state = &failed.container("main")["state"]["terminated"];
    assert_eq!(
        (&state["exitCode"], &state["reason"]),
        (&json!(5), &json!("Error"))
    );
    assert_eq!(failed.container("main")["restartCount"], 0);
    assert_has(&namespace.run("get pod never"), &["never 0/1 Error 0"]);
}

fn restarted_on_failure(namespace: &Namespace) {
    // Fails once, then succeeds: what it left behind is on a volume.
    let main = merge(
        container(
            "main",
            "test -e /shared/tried && exit 0; touch /shared/tried; exit 1",
        ),
        json!({"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}),
    );
    let spec =
        json!({"restartPolicy": "OnFailure", "volumes": [{"name": "shared", "emptyDir": {}}]});
    create(namespace, "on-failure", main, spec);
    let done = pods::wait_until(namespace, "on-failure", "done", ended);
    assert_eq!(done.phase(), "Succeeded");
    assert_eq!(done.container("main")["restartCount"], 1);
}

fn crash_loop(namespace: &Namespace) {
    create(
        namespace,
        "crash",
        container("main", "echo dying; exit 1"),
        json!({}),
    );
    let looping = pods::wait_until(namespace, "crash", "in CrashLoopBackOff", |pod| {
        pod.container("main")["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    });
    let status = looping.container("main");
    let message = status["state"]["waiting"]["message"]
        .as_str()
        .unwrap_or_default();
    assert!(
        message.starts_with("back-off ")
            && message.contains("restarting failed container=main pod=crash_"),
        "{message}"
    );
    assert_eq!(status["lastState"]["terminated"]["exitCode"], 1);
    assert_eq!(looping.phase(), "Running");
    until("the event is there", || {
        let told = namespace.try_run("describe pod crash").ok()?;
        wait::holds(
            told.contains("Back-off restarting failed container main in pod crash_"),
            told,
        )
    });
    remove(namespace, "crash");
}

fn missing_image(namespace: &Namespace) {
    let main = json!({"name": "main", "image": "hardway.example/test/none:1"});
    create(namespace, "imageless", main, json!({}));
    until("the image is told to be missing", || {
        let shown = namespace.try_run("get pod imageless").ok()?;
        let told = ["ErrImagePull", "ImagePullBackOff"]
            .iter()
            .any(|reason| shown.contains(reason));
        wait::holds(told, shown)
    });
    until("the events tell why", || {
        let told = namespace.try_run("describe pod imageless").ok()?;
        let why = told.contains("Failed to pull image \"hardway.example/test/none:1\"")
            && told.contains("Error: ErrImagePull");
        wait::holds(why, told)
    });
    remove(namespace, "imageless");
}

fn missing_config(namespace: &Namespace) {
    let main = idle_with(json!({"envFrom": [{"configMapRef": {"name": "late"}}]}));
    create(namespace, "configless", main, json!({}));
    let waiting = pods::wait_until(namespace, "configless", "told what is missing", |pod| {
        pod.container("main")["state"]["waiting"]["reason"] == "CreateContainerConfigError"
    });
    assert_eq!(
        waiting.container("main")["state"]["waiting"]["message"],
        "configmap \"late\" not found"
    );
    // Once it is there, the pod starts by itself.
    namespace.run("create configmap late --from-literal=LATE=yes");
    pods::wait_pod(namespace, "configless");
    assert_eq!(sh(namespace, "configless", "echo $LATE"), "yes\n");
    remove(namespace, "configless");
}

fn environment(namespace: &Namespace) {
    namespace.run("create configmap colours --from-literal=sky=blue --from-literal=GRASS=green");
    namespace.run("create secret generic secrets --from-literal=word=sesame");
    let field = |path: &str| json!({"fieldRef": {"fieldPath": path}});
    let main = idle_with(json!({
        "env": [
            {"name": "PLAIN", "value": "a b"},
            {"name": "REFERS", "value": "$(PLAIN)-$(NONE)-$$(PLAIN)"},
            {"name": "SKY", "valueFrom": {"configMapKeyRef": {"name": "colours", "key": "sky"}}},
            {"name": "NOT_THERE", "valueFrom": {"configMapKeyRef": {"name": "colours", "key": "sea", "optional": true}}},
            {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "secrets", "key": "word"}}},
            {"name": "POD", "valueFrom": field("metadata.name")},
            {"name": "SPACE", "valueFrom": field("metadata.namespace")},
            {"name": "NODE", "valueFrom": field("spec.nodeName")},
            {"name": "IP", "valueFrom": field("status.podIP")},
            {"name": "HOST_IP", "valueFrom": field("status.hostIP")},
            {"name": "LABEL", "valueFrom": field("metadata.labels['app']")},
            {"name": "ACCOUNT", "valueFrom": field("spec.serviceAccountName")},
            {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
        ],
        "envFrom": [{"configMapRef": {"name": "colours"}}, {"prefix": "S_", "secretRef": {"name": "secrets"}}],
        "resources": {"limits": {"cpu": "250m", "memory": "32Mi"}},
    }));
    create(namespace, "env", main, json!({}));
    let pod = pods::wait_pod(namespace, "env");
    let told = sh(namespace, "env", "env");
    let host_ip = pod.value()["status"]["hostIP"].as_str().unwrap_or_default();
    for line in [
        "PLAIN=a b",
        "REFERS=a b-$(NONE)-$(PLAIN)",
        "SKY=blue",
        "WORD=sesame",
        "POD=env",
        &format!("SPACE={}", namespace.name),
        &format!("NODE={}", pod.node()),
        &format!("IP={}", pod.ip()),
        &format!("HOST_IP={host_ip}"),
        "LABEL=env",
        "ACCOUNT=default",
        "CPU=250",
        "sky=blue",
        "GRASS=green",
        "S_word=sesame",
        "HOSTNAME=env",
        "KUBERNETES_PORT=tcp://10.96.0.1:443",
        "KUBERNETES_PORT_443_TCP_ADDR=10.96.0.1",
    ] {
        assert!(told.lines().any(|found| found == line), "{line} in\n{told}");
    }
    assert!(!told.contains("NOT_THERE"), "{told}");
    remove(namespace, "env");
}

fn command_and_arguments(namespace: &Namespace) {
    let main = json!({
        "name": "main", "image": "busybox:1.36",
        "command": ["echo", "$(GREETING)"], "args": ["$(POD)", "$$(POD)"],
        "env": [{"name": "GREETING", "value": "hello"}, {"name": "POD", "value": "pod"}],
        "workingDir": "/tmp",
    });
    create(namespace, "words", main, json!({"restartPolicy": "Never"}));
    pods::wait_until(namespace, "words", "done", ended);
    assert_eq!(namespace.run("logs words"), "hello pod $(POD)\n");
}

fn empty_dir(namespace: &Namespace) {
    let mount = json!({"volumeMounts": [
        {"name": "disk", "mountPath": "/disk"},
        {"name": "memory", "mountPath": "/memory"},
    ]});
    let spec = json!({
        "containers": [
            merge(container("writer", &format!("echo hi > /disk/file; {IDLE}")), mount.clone()),
            merge(container("reader", IDLE), mount),
        ],
        "volumes": [
            {"name": "disk", "emptyDir": {}},
            {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "8Mi"}},
        ],
    });
    namespace.create(&pod("empty-dir", spec));
    pods::wait_pod(namespace, "empty-dir");
    let read = |script: &str| {
        let call = [
            "exec",
            "empty-dir",
            "-c",
            "reader",
            "--",
            "sh",
            "-c",
            script,
        ];
        namespace.try_call(&call, "").ok()
    };
    until("the other container sees the file", || {
        read("cat /disk/file")
    });
    let mounts = read("mount").unwrap_or_else(|error| panic!("{error}"));
    let memory = mounts.lines().find(|line| line.contains(" /memory "));
    assert!(
        memory.is_some_and(|line| line.contains("tmpfs") && line.contains("size=8192k")),
        "{mounts}"
    );
    // It outlives its containers.
    namespace.try_run("exec empty-dir -c writer -- kill 1");
    pods::wait_until(namespace, "empty-dir", "restarted", |pod| {
        pod.container("writer")["restartCount"] == 1 && pod.ready()
    });
    assert_eq!(read("cat /disk/file").as_deref(), Ok("hi\n"));
    remove(namespace, "empty-dir");
}

fn host_path(namespace: &Namespace) {
    let lab = Lab::open();
    let node = lab.workers()[0].name.clone();
    let folder = format!("/data/{}", namespace.name);
    let main = idle_with(json!({"volumeMounts": [{"name": "host", "mountPath": "/host"}]}));
    let spec = |kind: &str| {
        json!({
            "nodeName": node,
            "volumes": [{"name": "host", "hostPath": {"path": folder, "type": kind}}],
        })
    };
    create(
        namespace,
        "host-path",
        main.clone(),
        spec("DirectoryOrCreate"),
    );
    pods::wait_pod(namespace, "host-path");
    sh(namespace, "host-path", "echo written > /host/file");
    assert_eq!(lab.on(&node, &format!("cat {folder}/file")), "written\n");
    create(namespace, "host-file", main, spec("File"));
    until("the wrong type is told", || {
        let told = namespace.try_run("describe pod host-file").ok()?;
        let why = told.contains("FailedMount") && told.contains("hostPath type check failed");
        wait::holds(why, told)
    });
    remove(namespace, "host-file");
    remove(namespace, "host-path");
}

fn config_volumes(namespace: &Namespace) {
    namespace.run("create configmap files --from-literal=one=1 --from-literal=two=2");
    namespace.run("create secret generic hidden --from-literal=key=value");
    let main = idle_with(json!({"volumeMounts": [
        {"name": "config", "mountPath": "/config"},
        {"name": "some", "mountPath": "/some"},
        {"name": "secret", "mountPath": "/secret", "readOnly": true},
    ]}));
    let spec = json!({"volumes": [
        {"name": "config", "configMap": {"name": "files"}},
        {"name": "some", "configMap": {"name": "files", "defaultMode": 0o400, "items": [{"key": "one", "path": "a/b"}]}},
        {"name": "secret", "secret": {"secretName": "hidden"}},
    ]});
    create(namespace, "configured", main, spec);
    pods::wait_pod(namespace, "configured");
    let read = |script: &str| sh(namespace, "configured", script);
    assert_eq!(read("cd /config; ls; cat one two"), "one\ntwo\n12");
    assert_eq!(
        read("cat /some/a/b; stat -L -c %a /some/a/b; ls /some"),
        "1400\na\n"
    );
    assert_eq!(
        read("cat /secret/key; grep -c ' /secret tmpfs' /proc/mounts"),
        "value1\n"
    );
    let refused = pods::try_sh(namespace, "configured", "echo x > /secret/new");
    assert!(
        refused.stderr.contains("Read-only file system"),
        "{refused:?}"
    );
    // A change arrives, all of it at once.
    namespace.run(r#"patch configmap files --type=merge -p '{"data":{"one":"changed","two":null,"three":"3"}}'"#);
    within(
        Duration::from_secs(90),
        "the change arrives in the pod",
        || {
            let told = pods::try_sh(namespace, "configured", "cd /config; ls; cat one").ok()?;
            wait::holds(told == "one\nthree\nchanged", told)
        },
    );
    remove(namespace, "configured");
}

fn projected(namespace: &Namespace) {
    namespace.run("create configmap part --from-literal=colour=red");
    let main = idle_with(json!({
        "volumeMounts": [{"name": "all", "mountPath": "/all"}],
        "resources": {"requests": {"cpu": "10m"}},
    }));
    let spec = json!({"volumes": [{"name": "all", "projected": {"sources": [
        {"configMap": {"name": "part"}},
        {"serviceAccountToken": {"path": "token", "audience": "somebody", "expirationSeconds": 600}},
        {"downwardAPI": {"items": [
            {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
            {"path": "cpu", "resourceFieldRef": {"containerName": "main", "resource": "requests.cpu", "divisor": "1m"}},
        ]}},
    ]}}]});
    create(namespace, "projected", main, spec);
    pods::wait_pod(namespace, "projected");
    let read = |script: &str| sh(namespace, "projected", script);
    assert_eq!(read("cat /all/colour"), "red");
    assert_eq!(read("cat /all/labels"), "app=\"projected\"");
    assert_eq!(read("cat /all/cpu"), "10");
    assert_eq!(read("cat /all/token").split('.').count(), 3);
    namespace.run("label pod projected more=yes");
    within(Duration::from_secs(90), "the new label arrives", || {
        let told = pods::try_sh(namespace, "projected", "cat /all/labels").ok()?;
        wait::holds(told.contains("more=\"yes\""), told)
    });
    // The account's own: authority, namespace, token.
    let folder = "/var/run/secrets/kubernetes.io/serviceaccount";
    assert_eq!(read(&format!("ls {folder}")), "ca.crt\nnamespace\ntoken\n");
    assert_eq!(read(&format!("cat {folder}/namespace")), namespace.name);
    remove(namespace, "projected");
}

fn sub_path(namespace: &Namespace) {
    namespace.run("create configmap subbed --from-literal=app.conf=content");
    let main = idle_with(json!({"volumeMounts": [
        {"name": "config", "mountPath": "/etc/app.conf", "subPath": "app.conf"},
        {"name": "disk", "mountPath": "/deep", "subPathExpr": "of/$(POD)"},
        {"name": "disk", "mountPath": "/whole"},
    ], "env": [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}));
    let spec = json!({"volumes": [
        {"name": "config", "configMap": {"name": "subbed"}},
        {"name": "disk", "emptyDir": {}},
    ]});
    create(namespace, "sub-path", main, spec);
    pods::wait_pod(namespace, "sub-path");
    let told = sh(
        namespace,
        "sub-path",
        "cat /etc/app.conf; touch /deep/file; ls /whole/of/sub-path",
    );
    assert_eq!(told, "contentfile\n");
    remove(namespace, "sub-path");
}

fn readiness_probe(namespace: &Namespace) {
    let main = idle_with(json!({"readinessProbe": {
        "exec": {"command": ["test", "-e", "/tmp/ready"]}, "periodSeconds": 1,
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

fn liveness_probe(namespace: &Namespace) {
    let probe = json!({"tcpSocket": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 1, "initialDelaySeconds": 2});
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

fn startup_probe(namespace: &Namespace) {
    // Liveness would end it at once; it isn't asked before the start is over.
    let main = merge(
        container("main", &format!("sleep 3; touch /tmp/started; {IDLE}")),
        json!({
            "startupProbe": {"exec": {"command": ["test", "-e", "/tmp/started"]}, "periodSeconds": 1, "failureThreshold": 30},
            "livenessProbe": {"exec": {"command": ["test", "-e", "/tmp/started"]}, "periodSeconds": 1, "failureThreshold": 1},
        }),
    );
    create(namespace, "startup", main, json!({}));
    let pod = pods::wait_pod(namespace, "startup");
    assert_eq!(pod.container("main")["restartCount"], 0);
    assert_eq!(pod.container("main")["started"], true);
    remove(namespace, "startup");
}

fn hooks(namespace: &Namespace) {
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
        "terminationGracePeriodSeconds": 5,
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

fn termination_message(namespace: &Namespace) {
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

fn grace_period(namespace: &Namespace) {
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
        json!({"terminationGracePeriodSeconds": 30}),
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
    assert!((1.5..15.0).contains(&graceful), "{graceful} s");
    let stubborn = duration("delete pod stubborn");
    assert!((2.5..15.0).contains(&stubborn), "{stubborn} s");
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
    assert!(forced < 10.0, "{forced} s");
    until("its containers go too", || {
        let left = lab.try_on(&node, "ctr -n k8s.io containers list").ok()?;
        let folders = lab.try_on(&node, "ls /var/lib/kubelet/pods").ok()?;
        wait::holds(!folders.contains(&uid), format!("{folders}\n{left}"))
    });
}

fn security_context(namespace: &Namespace) {
    let main = idle_with(json!({"securityContext": {
        "runAsUser": 1000, "runAsGroup": 2000, "readOnlyRootFilesystem": true,
        "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }, "volumeMounts": [{"name": "data", "mountPath": "/data"}]}));
    let spec = json!({
        "securityContext": {"fsGroup": 3000, "supplementalGroups": [4000], "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "80"}]},
        "volumes": [{"name": "data", "emptyDir": {}}],
    });
    create(namespace, "secure", main, spec);
    pods::wait_pod(namespace, "secure");
    let told = sh(
        namespace,
        "secure",
        "id -u; id -g; id -G; grep -E 'NoNewPrivs|CapEff|Seccomp:' /proc/self/status; cat /proc/sys/net/ipv4/ip_unprivileged_port_start",
    );
    assert_has(
        &told,
        &[
            "1000",
            "2000",
            "CapEff: 0000000000000000",
            "NoNewPrivs: 1",
            "Seccomp: 2",
            "80",
        ],
    );
    let groups: Vec<&str> = told.lines().nth(2).unwrap_or_default().split(' ').collect();
    for group in ["2000", "3000", "4000"] {
        assert!(groups.contains(&group), "{told}");
    }
    let refused = pods::try_sh(namespace, "secure", "touch /file");
    assert!(
        refused.stderr.contains("Read-only file system"),
        "{refused:?}"
    );
    assert_eq!(
        sh(
            namespace,
            "secure",
            "touch /data/file; stat -c %g /data/file"
        ),
        "3000\n"
    );
    remove(namespace, "secure");
    create(
        namespace,
        "rootless",
        idle_with(json!({"securityContext": {"runAsNonRoot": true}})),
        json!({}),
    );
    let waiting = pods::wait_until(namespace, "rootless", "refused", |pod| {
        pod.container("main")["state"]["waiting"]["reason"] == "CreateContainerConfigError"
    });
    let message = waiting.container("main")["state"]["waiting"]["message"].to_string();
    assert!(
        message.contains("container has runAsNonRoot and image will run as root"),
        "{message}"
    );
    remove(namespace, "rootless");
}

fn resources(namespace: &Namespace) {
    let limits = json!({"cpu": "200m", "memory": "64Mi"});
    create(
        namespace,
        "limited",
        idle_with(json!({"resources": {"limits": limits}})),
        json!({}),
    );
    create(
        namespace,
        "burstable",
        idle_with(json!({"resources": {"requests": {"cpu": "50m"}}})),
        json!({}),
    );
    let pod = pods::wait_pod(namespace, "limited");
    assert_eq!(pod.value()["status"]["qosClass"], "Guaranteed");
    assert_eq!(
        pod.value()["spec"]["containers"][0]["resources"]["requests"],
        limits
    );
    let script = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; \
        cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cut -d' ' -f1 /sys/fs/cgroup/cpu.max";
    assert_has(&sh(namespace, "limited", script), &["67108864", "20000"]);
    let burstable = pods::wait_pod(namespace, "burstable");
    assert_eq!(burstable.value()["status"]["qosClass"], "Burstable");
    let node = namespace.run(&format!("describe node {}", pod.node()));
    assert_has(
        &node,
        &[
            "Non-terminated Pods:",
            "limited 200m",
            "64Mi",
            "Allocated resources:",
        ],
    );
    remove(namespace, "limited");
    remove(namespace, "burstable");
}

fn unschedulable(namespace: &Namespace) {
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

fn out_of_memory(namespace: &Namespace) {
    let main = merge(
        container("main", "tail /dev/zero"),
        json!({"resources": {"limits": {"memory": "16Mi"}}}),
    );
    create(namespace, "greedy", main, json!({"restartPolicy": "Never"}));
    let done = pods::wait_until(namespace, "greedy", "done", ended);
    let state = &done.container("main")["state"]["terminated"];
    assert_eq!(
        (&state["reason"], &state["exitCode"]),
        (&json!("OOMKilled"), &json!(137))
    );
}

fn shared_processes(namespace: &Namespace) {
    let spec = json!({
        "shareProcessNamespace": true,
        "containers": [container("one", IDLE), container("two", "exec sleep 4321")],
    });
    namespace.create(&pod("together", spec));
    pods::wait_pod(namespace, "together");
    assert_has(&sh(namespace, "together", "ps"), &["/pause", "sleep 4321"]);
    remove(namespace, "together");
}

fn node_selector(namespace: &Namespace) {
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

fn static_pod(namespace: &Namespace) {
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

fn update_image(namespace: &Namespace) {
    let version =
        |number| json!({"name": "main", "image": format!("hardway.example/busmeme/web:{number}")});
    create(namespace, "updated", version(1), json!({}));
    let before = pods::wait_pod(namespace, "updated");
    namespace.run("set image pod/updated main=hardway.example/busmeme/web:2");
    let after = pods::wait_until(namespace, "updated", "of the new image", |pod| {
        pod.container("main")["restartCount"] == 1 && pod.ready()
    });
    assert_eq!(after.uid(), before.uid());
    assert_eq!(after.ip(), before.ip());
    assert_eq!(
        after.container("main")["image"],
        "hardway.example/busmeme/web:2"
    );
    assert_eq!(sh(namespace, "updated", "echo $BUSMEME_VERSION"), "2\n");
    remove(namespace, "updated");
}

fn eviction(namespace: &Namespace) {
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

fn deadline(namespace: &Namespace) {
    create(
        namespace,
        "late",
        container("main", IDLE),
        json!({"activeDeadlineSeconds": 2}),
    );
    let done = pods::wait_until(namespace, "late", "done", ended);
    assert_eq!(done.phase(), "Failed");
    assert_eq!(done.value()["status"]["reason"], "DeadlineExceeded");
}
