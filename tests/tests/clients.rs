//! Real clients: kubectl of many versions, the Python client, raw requests.

use hardway_tests::kubectl::{Kubectl, finish};
use hardway_tests::manifest::{IDLE, PROBE_TIMEOUT, container, pod};
use hardway_tests::text::assert_has;
use hardway_tests::{Lab, Namespace, http, pods, steps};
use serde_json::{Value, json};
use std::process::Command;

#[path = "clients/applying.rs"]
mod applying;
#[path = "clients/objects.rs"]
mod objects;
#[path = "clients/reading.rs"]
mod reading;

/// A namespace with a pod that every client looks into.
fn namespace() -> Namespace {
    let namespace = Namespace::new("clients");
    let script = format!(
        "echo hello; mkdir /www; hostname > /www/index.html; httpd -p 8080 -h /www; {IDLE}"
    );
    let mut main = container("main", &script);
    main["readinessProbe"] = json!({
        "httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1, "timeoutSeconds": PROBE_TIMEOUT,
    });
    let mut manifest = pod("target", json!({"containers": [main]}));
    manifest["metadata"]["labels"] = json!({"app": "target", "for": "clients"});
    namespace.create(&manifest);
    pods::wait_pod(&namespace, "target");
    namespace
}

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn every_kubectl_works() {
    let namespace = namespace();
    let mut failed = Vec::new();
    for (version, kubectl) in Kubectl::versions() {
        let here = namespace.by(&kubectl);
        let try_all = std::panic::AssertUnwindSafe(|| works(&version, &here));
        if std::panic::catch_unwind(try_all).is_err() {
            failed.push(version);
        }
    }
    assert!(
        failed.is_empty(),
        "kubectl of these versions fails: {}",
        failed.join(", ")
    );
}

/// One version of kubectl through its daily work; streams over both protocols.
fn works(version: &str, kubectl: &Kubectl) {
    eprintln!("   kubectl {version}");
    assert_has(&kubectl.run("get pods -o wide"), &["target 1/1 Running 0"]);
    let name = format!("by-{}", version.replace('.', "-"));
    let manifest = |value: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name}, "data": {"a": value},
        })
        .to_string()
    };
    assert_eq!(
        kubectl.feed("create -f -", &manifest("1")),
        format!("configmap/{name} created\n")
    );
    kubectl.feed("apply -f -", &manifest("1"));
    assert_eq!(
        kubectl.feed("apply -f -", &manifest("2")),
        format!("configmap/{name} configured\n")
    );
    assert_eq!(
        kubectl.feed("apply -f -", &manifest("2")),
        format!("configmap/{name} unchanged\n")
    );
    assert_eq!(
        kubectl.json(&format!("get configmap {name}"))["data"]["a"],
        "2"
    );
    assert_has(
        &kubectl.run("explain pod.spec.containers"),
        &["containers", "image"],
    );
    assert!(
        kubectl
            .run(&format!("delete configmap {name}"))
            .contains("deleted")
    );
    let wrong = manifest("3").replace("data", "dataa");
    let told = kubectl.refused("create -f -", &wrong);
    assert!(told.contains("unknown field \"dataa\""), "{told}");
    assert_eq!(kubectl.run("logs target"), "hello\n");
    for sockets in ["true", "false"] {
        let kubectl = kubectl
            .env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", sockets)
            .env("KUBECTL_PORT_FORWARD_WEBSOCKETS", sockets);
        assert_eq!(
            kubectl.feed("exec -i target -- cat", "through\n"),
            "through\n"
        );
        let failing = kubectl.try_run("exec target -- sh -c 'exit 4'");
        assert_eq!(failing.code, Some(4), "{failing:?}");
        let forward = kubectl.spawn("port-forward target :8080 --address=127.0.0.1");
        let told = forward.wait_for("Forwarding from 127.0.0.1:");
        let port = told
            .split("127.0.0.1:")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        let address = format!("127.0.0.1:{}", port.expect("a port"));
        for _ in 0..3 {
            let answer = http::get(&address, "/").unwrap_or_else(|e| panic!("{version}: {e}"));
            assert_eq!(answer.body, "target\n");
        }
    }
}

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn the_python_client_works() {
    let folder = tempfile::tempdir().expect("a folder for Python");
    let run = |program: &std::path::Path, words: &[&str]| {
        let mut command = Command::new("timeout");
        command
            .args(["--kill-after=5", "180"])
            .arg(program)
            .args(words);
        finish(&mut command, "").ok()
    };
    let bin = folder.path().join("bin");
    let place = folder.path().display().to_string();
    let installed = run("python3".as_ref(), &["-m", "venv", &place]).and_then(|_| {
        run(
            &bin.join("pip"),
            &[
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "kubernetes",
            ],
        )
    });
    if let Err(error) = installed {
        let why = error.lines().last().unwrap_or("it fails").to_owned();
        Lab::open().leave_out("the Python client, which can't be installed here", &why);
        return;
    }
    let namespace = namespace();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/client.py");
    let told = run(&bin.join("python3"), &[script, &namespace.name, "target"]);
    assert_eq!(told.as_deref(), Ok("all fine\n"));
}

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn the_api_answers_as_kubernetes_does() {
    let namespace = namespace();
    let steps: &[steps::Step<Namespace>] = &[
        ("server-side apply", applying::server_side_apply),
        ("client-side apply", applying::client_side_apply),
        ("diff", applying::diff),
        ("watch", reading::watch),
        ("watch with bookmarks", reading::bookmarks),
        ("a version that is yet to come", reading::from_the_future),
        ("pages", reading::pages),
        ("selectors", reading::selectors),
        ("generated names", objects::generated_names),
        ("finalizers", objects::finalizers),
        ("delete a collection", objects::delete_collection),
        (
            "namespace goes with all that is in it",
            objects::namespace_goes,
        ),
        ("custom resources", objects::custom_resources),
        ("proxies", objects::proxies),
        ("wait", objects::wait_for),
        ("api-resources", objects::api_resources),
        ("events for a pod", objects::pod_events),
    ];
    steps::run(&namespace, &namespace, steps);
}

fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}
