//! How pods come to life, come back, and end.

use super::{create, ended, idle_with, merge, remove};
use hardway_tests::manifest::{IDLE, container};
use hardway_tests::pods::{self, sh};
use hardway_tests::text::assert_has;
use hardway_tests::{Namespace, until, wait};
use serde_json::json;

pub fn init_containers(namespace: &Namespace) {
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

pub fn failing_init(namespace: &Namespace) {
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

pub fn never_restarted(namespace: &Namespace) {
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

pub fn restarted_on_failure(namespace: &Namespace) {
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

pub fn crash_loop(namespace: &Namespace) {
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

pub fn missing_image(namespace: &Namespace) {
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

pub fn missing_config(namespace: &Namespace) {
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

pub fn update_image(namespace: &Namespace) {
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

pub fn deadline(namespace: &Namespace) {
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
