//! Lists and watches.

use super::config_map;
use hardway_tests::{Lab, Namespace, tls, until, wait};
use serde_json::{Value, json};

/// The events of a raw watch up to the first of a type.
pub fn events_to(namespace: &Namespace, query: &str, last: &str) -> Vec<Value> {
    let path = format!(
        "/api/v1/namespaces/{}/configmaps?watch=1&timeoutSeconds=60&{query}",
        namespace.name
    );
    let watch = namespace.spawn(&format!("get --raw '{path}'"));
    until(&format!("the watch tells {last}"), || {
        let told = watch.printed();
        // The last line may not be there as a whole.
        let whole = &told[..told.rfind('\n').map_or(0, |end| end + 1)];
        let events: Vec<Value> = whole
            .lines()
            .map(|line| serde_json::from_str(line).map_err(|e| format!("{e}: {line}")))
            .collect::<Result<_, _>>()?;
        let ends = events.iter().any(|event| event["type"] == last);
        wait::holds(ends, told.clone()).map(|()| events)
    })
}

pub fn watch(namespace: &Namespace) {
    let version = namespace.json("get configmaps")["metadata"]["resourceVersion"].clone();
    let start = version.as_str().filter(|version| !version.is_empty());
    let start = start.map_or_else(|| list_version(namespace), str::to_owned);
    namespace.create(&config_map("watched", json!({"a": "1"})));
    namespace.run("label configmap watched seen=yes");
    namespace.run("delete configmap watched");
    let query = format!("resourceVersion={start}&fieldSelector=metadata.name%3Dwatched");
    let kinds: Vec<Value> = events_to(namespace, &query, "DELETED")
        .iter()
        .map(|event| event["type"].clone())
        .collect();
    assert_eq!(kinds, ["ADDED", "MODIFIED", "DELETED"]);
    // To a watch with a selector, gaining the label is coming and losing it going.
    let query = format!("resourceVersion={start}&labelSelector=seen%3Dyes");
    let kinds: Vec<Value> = events_to(namespace, &query, "DELETED")
        .iter()
        .map(|event| event["type"].clone())
        .collect();
    assert_eq!(kinds, ["ADDED", "DELETED"]);
}

pub fn list_version(namespace: &Namespace) -> String {
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

pub fn bookmarks(namespace: &Namespace) {
    let query = "allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    let told = events_to(namespace, query, "BOOKMARK");
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
pub fn from_the_future(namespace: &Namespace) {
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

pub fn pages(namespace: &Namespace) {
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

pub fn selectors(namespace: &Namespace) {
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
