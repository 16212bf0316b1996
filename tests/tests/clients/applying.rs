//! What apply and diff do.

use super::config_map;
use hardway_tests::Namespace;
use hardway_tests::text::assert_has;
use serde_json::{Value, json};

pub fn server_side_apply(namespace: &Namespace) {
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

pub fn client_side_apply(namespace: &Namespace) {
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

pub fn diff(namespace: &Namespace) {
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
