//! Real clients: kubectl of many versions, the Python client, raw requests.

use std::process::Command;

use hardway_tests::kubectl::{Kubectl, finish};
use hardway_tests::manifest::{IDLE, container, pod};
use hardway_tests::text::assert_has;
use hardway_tests::{Lab, Namespace, http, pods, steps, tls, until, wait};
use serde_json::{Value, json};

/// A namespace with a pod that every client looks into.
fn namespace() -> Namespace {
    let namespace = Namespace::new("clients");
    let script = format!(
        "echo hello; mkdir /www; hostname > /www/index.html; httpd -p 8080 -h /www; {IDLE}"
    );
    let mut manifest = pod(
        "target",
        json!({"containers": [container("main", &script)]}),
    );
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
        println!("skipped: the Python client can't be installed here: {error}");
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
        ("server-side apply", server_side_apply),
        ("client-side apply", client_side_apply),
        ("diff", diff),
        ("watch", watch),
        ("watch with bookmarks", bookmarks),
        ("a version that is yet to come", from_the_future),
        ("pages", pages),
        ("selectors", selectors),
        ("generated names", generated_names),
        ("finalizers", finalizers),
        ("delete a collection", delete_collection),
        ("namespace goes with all that is in it", namespace_goes),
        ("custom resources", custom_resources),
        ("proxies", proxies),
        ("wait", wait_for),
        ("api-resources", api_resources),
        ("events for a pod", pod_events),
    ];
    steps::run(&namespace, &namespace, steps);
}

fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

fn server_side_apply(namespace: &Namespace) {
    let apply = |manager: &str, data: Value, more: &str| {
        let line = format!("apply --server-side --field-manager={manager} {more} -f -");
        namespace.try_feed(&line, &config_map("shared", data).to_string())
    };
    let done =
        |output: hardway_tests::kubectl::Output| output.ok().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(
        done(apply("alice", json!({"a": "1", "b": "1"}), "")),
        "configmap/shared serverside-applied\n"
    );
    // What both say alike they own together.
    done(apply("bob", json!({"a": "1", "c": "1"}), ""));
    let refused = apply("bob", json!({"b": "2"}), "");
    assert_has(
        &refused.stderr,
        &[
            "error: Apply failed with 1 conflict: conflict with \"alice\": .data.b",
            "Please review the fields above--they currently have other managers.",
        ],
    );
    assert_eq!(
        namespace.json("get configmap shared")["data"],
        json!({"a": "1", "b": "1", "c": "1"})
    );
    done(apply("bob", json!({"b": "2"}), "--force-conflicts"));
    // Bob gave up c, and a is alice's alone.
    assert_eq!(
        namespace.json("get configmap shared")["data"],
        json!({"a": "1", "b": "2"})
    );
    done(apply("alice", json!({}), ""));
    assert_eq!(
        namespace.json("get configmap shared")["data"],
        json!({"b": "2"})
    );
    let managed = namespace.json("get configmap shared --show-managed-fields");
    let managers = managed["metadata"]["managedFields"].to_string();
    assert!(
        managers.contains("\"bob\"") && managers.contains("f:b"),
        "{managers}"
    );
}

fn client_side_apply(namespace: &Namespace) {
    let manifest = |containers: Value| {
        json!({
            "apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": "merged"},
            "spec": {"replicas": 0, "selector": {"app": "merged"}, "template": {
                "metadata": {"labels": {"app": "merged"}}, "spec": {"containers": containers},
            }},
        })
        .to_string()
    };
    let one = json!({"name": "one", "image": "busybox:1.36", "env": [{"name": "A", "value": "1"}]});
    let two = json!({"name": "two", "image": "busybox:1.36"});
    namespace.feed("apply -f -", &manifest(json!([one, two])));
    // What others set stays; what is taken out of the manifest goes.
    namespace.run("scale rc merged --replicas=0");
    namespace.run(r#"patch rc merged -p '{"spec":{"template":{"spec":{"containers":[{"name":"one","env":[{"name":"B","value":"2"}]}]}}}}'"#);
    namespace.feed("apply -f -", &manifest(json!([one])));
    let live = namespace.json("get rc merged");
    let containers = &live["spec"]["template"]["spec"]["containers"];
    assert_eq!(containers.as_array().map(Vec::len), Some(1), "{containers}");
    let names: Vec<&Value> = containers[0]["env"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|v| &v["name"])
        .collect();
    assert!(
        names.contains(&&json!("A")) && names.contains(&&json!("B")),
        "{containers}"
    );
    namespace.run("delete rc merged");
}

fn diff(namespace: &Namespace) {
    namespace.create(&config_map("differs", json!({"colour": "red"})));
    let same = namespace.try_feed(
        "diff -f -",
        &config_map("differs", json!({"colour": "red"})).to_string(),
    );
    assert_eq!(same.code, Some(0), "{same:?}");
    let other = namespace.try_feed(
        "diff -f -",
        &config_map("differs", json!({"colour": "green"})).to_string(),
    );
    assert_eq!(other.code, Some(1), "{other:?}");
    assert_has(&other.stdout, &["- colour: red", "+ colour: green"]);
    assert_eq!(
        namespace.json("get configmap differs")["data"]["colour"],
        "red"
    );
}

/// The events of a raw watch that ends by itself.
fn events(namespace: &Namespace, query: &str) -> Vec<Value> {
    let path = format!(
        "/api/v1/namespaces/{}/configmaps?watch=1&{query}",
        namespace.name
    );
    let told = namespace.run(&format!("get --raw '{path}'"));
    told.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect()
}

fn watch(namespace: &Namespace) {
    let version = namespace.json("get configmaps")["metadata"]["resourceVersion"].clone();
    let start = version.as_str().filter(|version| !version.is_empty());
    let start = start.map_or_else(|| list_version(namespace), str::to_owned);
    namespace.create(&config_map("watched", json!({"a": "1"})));
    namespace.run("label configmap watched seen=yes");
    namespace.run("delete configmap watched");
    let query =
        format!("resourceVersion={start}&timeoutSeconds=1&fieldSelector=metadata.name%3Dwatched");
    let kinds: Vec<Value> = events(namespace, &query)
        .iter()
        .map(|event| event["type"].clone())
        .collect();
    assert_eq!(kinds, ["ADDED", "MODIFIED", "DELETED"]);
    // To a watch with a selector, gaining the label is coming and losing it going.
    let query = format!("resourceVersion={start}&timeoutSeconds=1&labelSelector=seen%3Dyes");
    let kinds: Vec<Value> = events(namespace, &query)
        .iter()
        .map(|event| event["type"].clone())
        .collect();
    assert_eq!(kinds, ["ADDED", "DELETED"]);
}

fn list_version(namespace: &Namespace) -> String {
    let list = namespace.run(&format!(
        "get --raw /api/v1/namespaces/{}/configmaps",
        namespace.name
    ));
    let list: Value = serde_json::from_str(&list).expect("a list");
    assert_eq!(list["kind"], "ConfigMapList");
    list["metadata"]["resourceVersion"]
        .as_str()
        .expect("a version")
        .to_owned()
}

fn bookmarks(namespace: &Namespace) {
    let query = "allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1";
    let told = events(namespace, query);
    let end = told.iter().position(|event| event["type"] == "BOOKMARK");
    let end = end.unwrap_or_else(|| panic!("no bookmark: {told:?}"));
    let mark = &told[end]["object"];
    assert_eq!(
        mark["metadata"]["annotations"]["k8s.io/initial-events-end"],
        "true"
    );
    assert!(
        mark["metadata"]["resourceVersion"]
            .as_str()
            .is_some_and(|v| !v.is_empty()),
        "{mark}"
    );
    assert!(
        told[..end].iter().all(|event| event["type"] == "ADDED"),
        "{told:?}"
    );
    assert!(
        told[..end]
            .iter()
            .any(|event| event["object"]["metadata"]["name"] == "kube-root-ca.crt")
    );
}

/// Asked over a plain connection: kubectl would ask again and again.
fn from_the_future(namespace: &Namespace) {
    let lab = Lab::open();
    let api = format!("{}:6443", lab.control_plane());
    let path = format!(
        "/api/v1/namespaces/{}/configmaps?resourceVersion=9999999999",
        namespace.name
    );
    let answer = tls::get(&lab, "ca", &api, &path, Some("admin")).expect("an answer");
    assert_eq!(answer.status, 504);
    let status: Value = serde_json::from_str(&answer.body).expect("a Status");
    assert_eq!(status["reason"], "Timeout");
    assert!(
        status["message"]
            .as_str()
            .is_some_and(|m| m.starts_with("Too large resource version: 9999999999, current: ")),
        "{status}"
    );
}

fn pages(namespace: &Namespace) {
    for number in 0..5 {
        namespace.create(&config_map(&format!("page-{number}"), json!({})));
    }
    let list = |query: &str| -> Value {
        let path = format!("/api/v1/namespaces/{}/configmaps?{query}", namespace.name);
        serde_json::from_str(&namespace.run(&format!("get --raw '{path}'"))).expect("a list")
    };
    let first = list("limit=2");
    assert_eq!(first["items"].as_array().map(Vec::len), Some(2));
    assert!(
        first["metadata"]["remainingItemCount"].as_u64() >= Some(3),
        "{}",
        first["metadata"]
    );
    let token = first["metadata"]["continue"]
        .as_str()
        .expect("a continuation")
        .replace('=', "%3D")
        .replace('+', "%2B");
    // What comes in between doesn't show in pages to come.
    namespace.create(&config_map("zzz", json!({})));
    let second = list(&format!("limit=500&continue={token}"));
    assert_eq!(
        second["metadata"]["resourceVersion"],
        first["metadata"]["resourceVersion"]
    );
    let names = second["items"].to_string();
    assert!(
        names.contains("page-4") && !names.contains("\"zzz\""),
        "{names}"
    );
    assert_eq!(
        namespace
            .run("get configmaps --chunk-size=2 -o name")
            .lines()
            .count(),
        namespace.run("get configmaps -o name").lines().count()
    );
}

fn selectors(namespace: &Namespace) {
    assert_eq!(
        namespace.run(
            "get pods --field-selector=status.phase=Running,spec.restartPolicy!=Never -o name"
        ),
        "pod/target\n"
    );
    assert_eq!(
        namespace.run("get pods -l 'for notin (others),app' -o name"),
        "pod/target\n"
    );
    assert_eq!(namespace.run("get pods -l '!app' -o name"), "");
    let told = namespace.refused("get pods --field-selector=spec.colour=red", "");
    assert!(
        told.contains("field label not supported: spec.colour"),
        "{told}"
    );
    let sorted = namespace
        .run("get pods -o custom-columns=NAME:.metadata.name,IP:.status.podIP --no-headers");
    assert!(sorted.starts_with("target "), "{sorted}");
}

fn generated_names(namespace: &Namespace) {
    let mut manifest = config_map("", json!({}));
    manifest["metadata"] = json!({"generateName": "some-"});
    let told = namespace.create(&manifest);
    let name = told
        .trim_start_matches("configmap/")
        .trim_end_matches(" created\n");
    assert!(name.starts_with("some-") && name.len() == 10, "{told}");
}

fn finalizers(namespace: &Namespace) {
    let mut manifest = config_map("held", json!({}));
    manifest["metadata"]["finalizers"] = json!(["example.com/hold"]);
    namespace.create(&manifest);
    namespace.run("delete configmap held --wait=false");
    let held = namespace.json("get configmap held");
    assert!(held["metadata"]["deletionTimestamp"].is_string(), "{held}");
    namespace.run(r#"patch configmap held --type=merge -p '{"metadata":{"finalizers":null}}'"#);
    assert!(
        namespace
            .refused("get configmap held", "")
            .contains("(NotFound)")
    );
}

fn delete_collection(namespace: &Namespace) {
    for name in ["heap-1", "heap-2"] {
        namespace.create(&config_map(name, json!({})));
        namespace.run(&format!("label configmap {name} heap=yes"));
    }
    namespace.run("delete configmaps -l heap=yes");
    assert_eq!(namespace.run("get configmaps -l heap=yes -o name"), "");
    namespace.run("get configmap kube-root-ca.crt");
}

fn namespace_goes(namespace: &Namespace) {
    let other = Namespace::new("going");
    // Holds the namespace in its last state until this test has looked at it.
    let mut held = config_map("inside", json!({}));
    held["metadata"]["finalizers"] = json!(["example.com/look-first"]);
    other.create(&held);
    other.create(&pod(
        "inside",
        json!({"containers": [container("main", IDLE)]}),
    ));
    pods::wait_pod(&other, "inside");
    namespace.run(&format!("delete namespace {} --wait=false", other.name));
    let told = other.refused("create -f -", &config_map("late", json!({})).to_string());
    let expected = format!(
        "configmaps \"late\" is forbidden: unable to create new content in namespace {} because it is being terminated",
        other.name
    );
    assert!(told.contains(&expected), "{told}");
    until("the namespace tells what holds it", || {
        let told = other.json(&format!("get namespace {}", other.name))["status"]["conditions"]
            .to_string();
        wait::holds(
            told.contains("example.com/look-first in 1 resource instances"),
            told,
        )
    });
    other.run(r#"patch configmap inside --type=merge -p '{"metadata":{"finalizers":null}}'"#);
    until("the namespace is gone", || {
        let told = namespace.try_run(&format!("get namespace {}", other.name));
        wait::holds(told.stderr.contains("(NotFound)"), format!("{told:?}"))
    });
}

fn custom_resources(namespace: &Namespace) {
    let group = format!("{}.example.com", namespace.name);
    let name = format!("buses.{group}");
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": name},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"plural": "buses", "singular": "bus", "kind": "Bus", "shortNames": ["bs"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": [{"name": "Seats", "type": "integer", "jsonPath": ".spec.seats"}],
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "required": ["seats"], "properties": {
                        "seats": {"type": "integer", "minimum": 1},
                        "colour": {"type": "string", "default": "red"},
                    }},
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                }}},
            }],
        },
    });
    let stock = Kubectl::stock();
    let _gone = hardway_tests::defer(|| {
        drop(Kubectl::stock().try_run(&format!("delete crd {name} --wait=false")))
    });
    stock.create(&definition);
    stock.run(&format!(
        "wait --for=condition=Established crd/{name} --timeout=20s"
    ));
    let bus = |name: &str, spec: Value| json!({"apiVersion": format!("{group}/v1"), "kind": "Bus", "metadata": {"name": name}, "spec": spec});
    until("a bus can be made", || {
        namespace
            .try_feed("create -f -", &bus("one", json!({"seats": 50})).to_string())
            .ok()
    });
    assert_has(&namespace.run("get bs"), &["NAME SEATS", "one 50"]);
    assert_eq!(namespace.json("get bus one")["spec"]["colour"], "red");
    let told = namespace.refused("create -f -", &bus("two", json!({"seats": 0})).to_string());
    assert_has(
        &told,
        &[
            "The Bus \"two\" is invalid: spec.seats: Invalid value: 0: spec.seats in body should be greater than or equal to 1",
        ],
    );
    let told = namespace.refused("create -f -", &bus("two", json!({})).to_string());
    assert_has(
        &told,
        &["The Bus \"two\" is invalid: spec.seats: Required value"],
    );
    let told = namespace.refused(
        "create -f -",
        &bus("two", json!({"seats": 1, "wings": 2})).to_string(),
    );
    assert!(
        told.contains("strict decoding error: unknown field \"spec.wings\""),
        "{told}"
    );
    namespace.feed("apply -f -", &bus("three", json!({"seats": 3})).to_string());
    assert_eq!(
        namespace.feed("apply -f -", &bus("three", json!({"seats": 4})).to_string()),
        format!("bus.{group}/three configured\n")
    );
    until("it is explained", || {
        let told = namespace.try_run("explain bus.spec").ok()?;
        wait::holds(told.contains("seats") && told.contains("<integer>"), told)
    });
    stock.run(&format!("delete crd {name}"));
    until("the resource is gone", || {
        let told = namespace.try_run("get buses");
        wait::holds(
            told.stderr
                .contains("the server doesn't have a resource type \"buses\"")
                || told
                    .stderr
                    .contains("could not find the requested resource"),
            format!("{told:?}"),
        )
    });
}

fn proxies(namespace: &Namespace) {
    let base = format!("/api/v1/namespaces/{}", namespace.name);
    assert_eq!(
        namespace.run(&format!("get --raw {base}/pods/target:8080/proxy/")),
        "target\n"
    );
    namespace.run("expose pod target --port=80 --target-port=8080");
    until("the service proxy answers", || {
        let told = namespace
            .try_run(&format!("get --raw {base}/services/target:80/proxy/"))
            .ok()?;
        wait::holds(told == "target\n", told)
    });
    let node = pods::get(namespace, "target").node();
    assert_eq!(
        namespace.run(&format!("get --raw /api/v1/nodes/{node}/proxy/healthz")),
        "ok"
    );
    let list = namespace.run(&format!("get --raw /api/v1/nodes/{node}/proxy/pods"));
    assert!(list.contains("\"target\""), "{list}");
}

fn wait_for(namespace: &Namespace) {
    let told = namespace.run("wait --for=condition=Ready pod/target --timeout=10s");
    assert_eq!(told, "pod/target condition met\n");
    let told =
        namespace.run("wait --for=jsonpath={.status.phase}=Running pod/target --timeout=10s");
    assert_eq!(told, "pod/target condition met\n");
    let told = namespace.refused("wait --for=delete pod/target --timeout=1s", "");
    assert!(
        told.contains("timed out waiting for the condition on pods/target"),
        "{told}"
    );
}

fn api_resources(namespace: &Namespace) {
    let told = namespace.run("api-resources -o wide");
    for row in [
        "pods po v1 true Pod create,delete,deletecollection,get,list,patch,update,watch all",
        "services svc v1 true Service",
        "deployments deploy apps/v1 true Deployment",
        "ingresses ing networking.k8s.io/v1 true Ingress",
        "customresourcedefinitions crd,crds apiextensions.k8s.io/v1 false CustomResourceDefinition",
    ] {
        assert_has(&told, &[row]);
    }
    let all = namespace.run("get all");
    assert_has(&all, &["pod/target"]);
}

fn pod_events(namespace: &Namespace) {
    let told = namespace.run("events --for=pod/target");
    assert_has(
        &told,
        &[
            "LAST SEEN TYPE REASON OBJECT MESSAGE",
            "Scheduled Pod/target Successfully assigned",
        ],
    );
}
