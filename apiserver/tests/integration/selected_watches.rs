//! Watches of few objects: of a node's, of one by its name, of a namespace. Others' changes don't
//! wake them; so each is compared with what a watch of all objects says that it is to be told.

use crate::common::requests::Watch;
use crate::common::{Lab, PODS, pod, service_account};
use futures_util::future::{join, join_all};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const NODES: usize = 12;
const WRITERS: usize = 4;
/// So many pods come and go, one after the other, of each writer.
const TURNS: usize = 6;

/// Type, name and revision of an event.
type Told = (String, String, u64);

/// A field selector, and whether it selects a pod.
type Selector = (String, Box<dyn Fn(&Value) -> bool>);

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn revision(object: &Value) -> u64 {
    text(&object["metadata"]["resourceVersion"])
        .parse()
        .unwrap()
}

fn by_field(field: &str, path: &'static str, value: &str) -> Selector {
    let value = value.to_owned();
    let selector = format!("fieldSelector={field}%3D{value}");
    let is_selected = move |pod: &Value| pod.pointer(path).map(text).unwrap_or_default() == value;
    (selector, Box::new(is_selected))
}

fn of_node(node: &str) -> Selector {
    by_field("spec.nodeName", "/spec/nodeName", node)
}

/// What is to be told after a revision of the pods that are selected, by all changes of all pods.
fn expected(changes: &[Value], is_selected: &dyn Fn(&Value) -> bool, after: u64) -> Vec<Told> {
    let mut selected = BTreeMap::new();
    let mut told = Vec::new();
    for change in changes {
        let pod = &change["object"];
        let name = text(&pod["metadata"]["name"]);
        let was = selected.get(&name).copied().unwrap_or_default();
        let is = change["type"] != "DELETED" && is_selected(pod);
        let kind = match (was, is) {
            (false, false) => None,
            (false, true) => Some("ADDED"),
            (true, true) => Some("MODIFIED"),
            (true, false) => Some("DELETED"),
        };
        told.extend(kind.map(|kind| (kind.to_owned(), name.clone(), revision(pod))));
        selected.insert(name, is);
    }
    told.retain(|(_, _, revision)| *revision > after);
    told
}

/// The next events, as many as are expected.
async fn hear(watch: &mut Watch, count: usize) -> Vec<Told> {
    let mut told = Vec::new();
    while told.len() < count {
        let event = watch.next().await.expect("the watch goes on");
        let object = &event["object"];
        let name = text(&object["metadata"]["name"]);
        told.push((text(&event["type"]), name, revision(object)));
    }
    told
}

/// Creates pods, has them get nodes, changes them, and deletes them.
async fn write(lab: &Lab, writer: usize) {
    for turn in 0..TURNS {
        let name = format!("p{writer}-{turn}");
        let path = format!("{PODS}/{name}");
        lab.create(PODS, &pod(&name)).await;
        let node = format!("node-{}", (writer * 5 + turn * 7) % NODES);
        let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name},
            "target": {"kind": "Node", "name": node}});
        lab.create(&format!("{path}/binding"), &binding).await;
        let labels = json!({"metadata": {"labels": {"turn": turn.to_string()}}});
        assert_eq!(lab.merge(&path, &labels).await.0, 200);
        let at_once = json!({"gracePeriodSeconds": 0});
        assert_eq!(lab.delete(&path, &at_once).await.0, 200);
    }
}

/// Watches what is selected, from a list on.
async fn list_and_watch(lab: &Lab, selector: &str) -> (u64, Watch) {
    let (code, list) = lab.get(&format!("{PODS}?{selector}")).await;
    assert_eq!(code, 200, "{list}");
    let revision = revision(&list);
    let path = format!("{PODS}?watch=1&resourceVersion={revision}&{selector}");
    (revision, lab.watch(&path).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_watches_few_objects_is_told_all_of_them_and_nothing_else() {
    let lab = Lab::start().await;
    service_account(&lab).await;
    let nodes: Vec<String> = (0..NODES).map(|number| format!("node-{number}")).collect();
    let mut selectors: Vec<Selector> = nodes.iter().map(|node| of_node(node)).collect();
    // Those that wait for a node, one by its name, and both at once.
    selectors.push(of_node(""));
    for name in ["p0-0", "p3-5"] {
        selectors.push(by_field("metadata.name", "/metadata/name", name));
    }
    let (selector, of_one) = of_node("node-5");
    let both = move |pod: &Value| of_one(pod) && pod["metadata"]["name"] == "p1-0";
    let selector = format!("{selector},metadata.name%3Dp1-0");
    selectors.push((selector, Box::new(both)));

    let (begin, mut all) = list_and_watch(&lab, "").await;
    let watch_each = || join_all(selectors.iter().map(|(it, _)| list_and_watch(&lab, it)));
    let early = watch_each().await;
    let writers = join_all((0..WRITERS).map(|writer| write(&lab, writer)));
    let (late, _) = join(watch_each(), writers).await;
    // The last that each of them is told.
    let mut last = 0;
    let again = nodes
        .iter()
        .map(|node| (format!("end-{node}"), node.as_str()));
    let again: Vec<_> = again
        .chain([
            ("p0-0".into(), ""),
            ("p3-5".into(), ""),
            ("p1-0".into(), "node-5"),
        ])
        .collect();
    for (name, node) in again {
        let mut pod = pod(&name);
        if !node.is_empty() {
            pod["spec"]["nodeName"] = node.into();
        }
        last = revision(&lab.create(PODS, &pod).await);
    }
    let mut changes = Vec::new();
    while changes
        .last()
        .is_none_or(|it: &Value| revision(&it["object"]) < last)
    {
        changes.push(all.next().await.expect("the watch goes on"));
    }
    assert!(changes.len() >= WRITERS * TURNS * 4);
    for ((selector, is_selected), watches) in selectors.iter().zip(early.into_iter().zip(late)) {
        for (after, mut watch) in [watches.0, watches.1] {
            let expected = expected(&changes, is_selected, after.max(begin));
            assert!(!expected.is_empty(), "{selector}");
            let told = hear(&mut watch, expected.len()).await;
            assert_eq!(told, expected, "{selector}, from {after}");
        }
    }
}

/// Nothing wakes such a watch; it says all the same how far it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bookmarks_tell_of_what_concerns_others() {
    let lab = Lab::start().await;
    service_account(&lab).await;
    let (selector, _) = of_node("nobody's");
    let options = "watch=1&allowWatchBookmarks=true&timeoutSeconds=4";
    let mut watch = lab.watch(&format!("{PODS}?{options}&{selector}")).await;
    let other = revision(&lab.create(PODS, &pod("other")).await);
    let bookmark = watch.next().await.expect("one comes before its end");
    assert_eq!(bookmark["type"], "BOOKMARK", "{bookmark}");
    assert!(revision(&bookmark["object"]) >= other, "{bookmark}");
    assert_eq!(watch.next().await, None);
}
