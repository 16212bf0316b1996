//! A definition with two versions, between which the webhook server converts: what is shown
//! when the apiserver dies amid lists, and how objects come to be stored in the other version.

use std::sync::atomic::{AtomicBool, Ordering};

use hardway_tests::kubectl::Kubectl;
use hardway_tests::{cleanup, defer, pods, until, wait};
use serde_json::{Value, json};

use crate::hooks::Hooks;

/// So many objects are stored.
const COUNT: usize = 150;

/// `hosts`: with `spec.hostPort` in `v1`, with `host` and `port` in `v2`.
fn definition(hooks: &Hooks, group: &str) -> Value {
    let version = |name: &str, fields: &[&str]| {
        let fields: serde_json::Map<String, Value> = fields
            .iter()
            .map(|field| ((*field).to_owned(), json!({"type": "string"})))
            .collect();
        json!({"name": name, "served": true, "storage": name == "v1",
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": {"type": "object", "properties": fields}}}}})
    };
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("hosts.{group}")},
        "spec": {"group": group, "scope": "Namespaced",
            "names": {"plural": "hosts", "singular": "host", "kind": "Host"},
            "versions": [version("v1", &["hostPort"]), version("v2", &["host", "port"])],
            "conversion": {"strategy": "Webhook", "webhook": {
                "clientConfig": hooks.client_config("convert"),
                "conversionReviewVersions": ["v1"]}}}})
}

/// Defines `hosts` in a group and makes some in `v1`. The definition goes with the value.
fn define(hooks: &Hooks, group: &str) -> cleanup::Deferred<impl FnMut() + use<>> {
    let definition = cleanup::create_global(&definition(hooks, group));
    let established = format!("wait --for=condition=Established crd/hosts.{group}");
    Kubectl::stock().run(&established);
    let hosts: Vec<Value> = (0..COUNT)
        .map(|number| {
            json!({"apiVersion": format!("{group}/v1"), "kind": "Host",
                "metadata": {"name": format!("h{number}")},
                "spec": {"hostPort": format!("h{number}:80")}})
        })
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": hosts});
    until("the definition is served", || {
        let resource = format!("get hosts.v1.{group}");
        hooks.namespace.try_run(&resource).ok()
    });
    hooks.namespace.create(&list);
    definition
}

/// Both, of one definition.
pub fn converted_and_moved(hooks: &Hooks) {
    let group = hooks.unique("conversion");
    let _definition = define(hooks, &group);
    apiserver_killed(hooks, &group);
    another_storage_version(hooks, &group);
}

/// The hosts in `v2`, as `HOST PORT` each.
fn shown(hooks: &Hooks, group: &str) -> Result<Vec<String>, String> {
    let list = hooks.namespace.try_json(&format!("get hosts.v2.{group}"))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let items = list["items"].as_array().into_iter().flatten();
    Ok(items
        .map(|item| {
            format!(
                "{} {}",
                text(&item["spec"]["host"]),
                text(&item["spec"]["port"])
            )
        })
        .collect())
}

fn expected() -> Vec<String> {
    let mut all: Vec<String> = (0..COUNT).map(|number| format!("h{number} 80")).collect();
    // Lists are in the order of names, which are the first words.
    all.sort();
    all
}

/// Lists are whole and right, or failures: while the apiserver is killed and after it.
fn apiserver_killed(hooks: &Hooks, group: &str) {
    let lab = &hooks.lab;
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _ends = defer(|| over.store(true, Ordering::Relaxed));
        let _back = defer(|| drop(lab.try_tool("start apiserver")));
        let lists = scope.spawn(|| {
            let (mut good, mut failed) = (0, 0);
            while !over.load(Ordering::Relaxed) {
                match shown(hooks, group) {
                    Ok(list) => {
                        assert_eq!(list, expected());
                        good += 1;
                    }
                    Err(_) => failed += 1,
                }
            }
            (good, failed)
        });
        lab.tool("kill apiserver");
        lab.tool("start apiserver");
        let list = until("hosts are shown again", || shown(hooks, group));
        assert_eq!(list, expected());
        over.store(true, Ordering::Relaxed);
        let (good, failed) = lists.join().expect("no list was wrong");
        eprintln!("   {good} lists, {failed} failures");
    });
}

/// The versions in which etcd has the hosts: how many in `v1`, and in `v2`.
fn stored(hooks: &Hooks, group: &str) -> (usize, usize) {
    let line = format!("get --prefix /registry/{group}/hosts/ --print-value-only");
    let objects = hooks.lab.etcdctl(&line);
    let count = |version: &str| {
        let is_in = json!(format!("{group}/{version}"));
        let objects = objects
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        objects
            .filter(|object: &Value| object["apiVersion"] == is_in)
            .count()
    };
    (count("v1"), count("v2"))
}

/// `hardway storage migrate`: without the webhook it fails and says why, killed in its midst it
/// can be said again, and at its end the old version may leave the definition.
fn another_storage_version(hooks: &Hooks, group: &str) {
    let (lab, namespace) = (&hooks.lab, &hooks.namespace);
    let name = format!("hosts.{group}");
    let stored_versions = || {
        let crd = Kubectl::stock().json(&format!("get crd {name}"));
        crd["status"]["storedVersions"].clone()
    };
    let patch = |operations: &Value| {
        let operations = operations.to_string();
        let words = ["patch", "crd", &name, "--type=json", "-p", &operations];
        Kubectl::stock().try_call(&words, "")
    };
    let move_storage = json!([
        {"op": "replace", "path": "/spec/versions/0/storage", "value": false},
        {"op": "replace", "path": "/spec/versions/1/storage", "value": true}]);
    assert!(patch(&move_storage).success);
    assert_eq!(stored_versions(), json!(["v1", "v2"]));
    assert_eq!(stored(hooks, group), (COUNT, 0));
    let drop_v1 = json!([{"op": "remove", "path": "/spec/versions/0"}]);
    let refused = patch(&drop_v1);
    assert!(
        refused.stderr.contains(
            "status.storedVersions[0]: Invalid value: \"v1\": missing from spec.versions"
        ),
        "{refused:?}"
    );

    namespace.run("scale deployment hooks --replicas=0");
    until("the server is gone", || {
        let left = pods::try_list(namespace, "app=hooks")?.len();
        wait::holds(left == 0, left)
    });
    let migrate = format!("storage migrate {name}");
    let failed = lab.try_tool(&migrate);
    assert!(!failed.success, "{failed:?}");
    let why = format!("conversion webhook for {group}/v1, Kind=Host failed: ");
    assert!(failed.stdout.contains(&why), "{failed:?}");
    assert_eq!(stored_versions(), json!(["v1", "v2"]));
    namespace.run("scale deployment hooks --replicas=1");
    pods::wait_ready(namespace, "app=hooks", 1);

    let interrupted = std::thread::scope(|scope| {
        let migration = scope.spawn(|| lab.try_tool(&migrate));
        until("some objects have moved", || {
            let (old, new) = stored(hooks, group);
            wait::holds(new > 0, format!("{old} in v1, {new} in v2"))
        });
        let _back = defer(|| drop(lab.try_tool("start apiserver")));
        lab.tool("kill apiserver");
        migration.join().expect("the tool ends")
    });
    assert!(!interrupted.success, "{interrupted:?}");
    until("the apiserver is back", || {
        Kubectl::stock().try_run("get --raw /readyz").ok()
    });
    assert_eq!(stored_versions(), json!(["v1", "v2"]));
    let (old, new) = stored(hooks, group);
    assert!(old > 0 && new > 0, "{old} in v1, {new} in v2");
    assert_eq!(
        lab.tool(&migrate),
        format!("{name}: {COUNT} objects\n{name}: storedVersions is [v2]\n")
    );
    assert_eq!(stored(hooks, group), (0, COUNT));
    assert_eq!(stored_versions(), json!(["v2"]));
    let dropped = patch(&drop_v1);
    assert!(dropped.success, "{dropped:?}");
    assert_eq!(shown(hooks, group), Ok(expected()));
}
