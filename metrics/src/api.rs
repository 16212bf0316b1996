//! `metrics.k8s.io/v1beta1`: paths and documents, as metrics-server has them.

use crate::placed::Placed;
use crate::storage::{Containers, Storage, Usage};
use crate::table::{self, Row};
use hardway_client::Store;
use hardway_proto::labels::Selector;
use hardway_proto::meta::ObjectKey;
use hardway_proto::{Kind, Status};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The group.
pub const GROUP: &str = "metrics.k8s.io";
/// Its version.
pub const VERSION: &str = "v1beta1";

/// What a path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `/apis`.
    Groups,
    /// `/apis/metrics.k8s.io`.
    Group,
    /// `/apis/metrics.k8s.io/v1beta1`.
    Resources,
    /// Nodes: one, or all.
    Nodes {
        /// The node.
        name: Option<String>,
    },
    /// Pods: one, those of a namespace, or all.
    Pods {
        /// The namespace.
        namespace: Option<String>,
        /// The pod.
        name: Option<String>,
    },
}

/// Reads a path; nothing for one that isn't served.
pub fn asked(path: &str) -> Option<Asked> {
    let decode = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    let parts: Vec<String> = path.trim_matches('/').split('/').map(decode).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let some = |part: &&str| Some((*part).to_owned());
    let ["apis", below @ ..] = parts.as_slice() else {
        return None;
    };
    match below {
        [] => Some(Asked::Groups),
        [GROUP] => Some(Asked::Group),
        [GROUP, VERSION, below @ ..] => match below {
            [] => Some(Asked::Resources),
            ["nodes"] => Some(Asked::Nodes { name: None }),
            ["nodes", name] => Some(Asked::Nodes { name: some(name) }),
            ["pods"] => Some(Asked::Pods {
                namespace: None,
                name: None,
            }),
            ["namespaces", namespace, "pods"] => Some(Asked::Pods {
                namespace: some(namespace),
                name: None,
            }),
            ["namespaces", namespace, "pods", name] => Some(Asked::Pods {
                namespace: some(namespace),
                name: some(name),
            }),
            _ => None,
        },
        _ => None,
    }
}

/// CPU, memory, and the time they are of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Nanoseconds in a second.
    pub cpu: u64,
    /// Bytes.
    pub memory: u64,
    /// Milliseconds.
    pub window: i64,
}

impl Amounts {
    /// As a quantity.
    pub fn cpu(&self) -> String {
        quantity(self.cpu, 1000, &["n", "u", "m", "", "k", "M"])
    }

    /// As a quantity.
    pub fn memory(&self) -> String {
        quantity(self.memory, 1024, &["", "Ki", "Mi", "Gi", "Ti", "Pi"])
    }

    fn usage(&self) -> Value {
        json!({"cpu": self.cpu(), "memory": self.memory()})
    }
}

/// In the largest unit in which it is whole, as Kubernetes writes quantities.
fn quantity(mut amount: u64, step: u64, units: &[&str]) -> String {
    let mut unit = 0;
    while amount > 0 && amount.is_multiple_of(step) && unit + 1 < units.len() {
        amount /= step;
        unit += 1;
    }
    match amount {
        0 => "0".to_owned(),
        amount => format!("{amount}{}", units[unit]),
    }
}

impl From<Usage> for Amounts {
    fn from(usage: Usage) -> Self {
        Self {
            cpu: usage.cpu,
            memory: usage.memory,
            window: usage.window,
        }
    }
}

/// Milliseconds as Go writes a duration: `1m0.5s`.
pub fn duration(millis: i64) -> String {
    let (minutes, rest) = (millis / 60_000, millis % 60_000);
    let seconds = format!("{}.{:03}", rest / 1000, rest % 1000);
    let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
    match minutes {
        0 => format!("{seconds}s"),
        minutes if minutes < 60 => format!("{minutes}m{seconds}s"),
        minutes => format!("{}h{}m{seconds}s", minutes / 60, minutes % 60),
    }
}

fn time(millis: i64) -> String {
    let seconds = Timestamp::from_second(millis.div_euclid(1000));
    seconds.unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

fn now() -> String {
    time(Timestamp::now().as_millisecond())
}

/// `/apis/metrics.k8s.io/v1beta1`.
pub fn resources() -> Value {
    let resource = |name: &str, kind: &str, namespaced: bool| {
        json!({
            "name": name,
            "singularName": "",
            "namespaced": namespaced,
            "kind": kind,
            "verbs": ["get", "list"],
        })
    };
    json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": format!("{GROUP}/{VERSION}"),
        "resources": [resource("nodes", "NodeMetrics", false), resource("pods", "PodMetrics", true)],
    })
}

/// `/apis/metrics.k8s.io`.
pub fn group() -> Value {
    let version = json!({"groupVersion": format!("{GROUP}/{VERSION}"), "version": VERSION});
    json!({
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": GROUP,
        "versions": [version],
        "preferredVersion": version,
    })
}

/// `/apis`.
pub fn groups() -> Value {
    let mut group = group();
    if let Some(group) = group.as_object_mut() {
        group.remove("kind");
        group.remove("apiVersion");
    }
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group]})
}

/// What is known of the cluster, and what its nodes say.
pub struct Metrics {
    /// Points of nodes and pods.
    pub storage: Arc<Storage>,
    /// Nodes.
    pub nodes: Store<Node>,
    /// Running pods.
    pub pods: Store<Placed>,
}

/// Which objects of a list are wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Label selector, or empty.
    pub labels: String,
    /// Field selector, or empty.
    pub fields: String,
}

impl Metrics {
    /// Answers with nodes.
    ///
    /// # Errors
    /// 404 for one of which nothing is known, 400 for selectors that make no sense.
    pub fn nodes(
        &self,
        name: Option<&str>,
        wanted: &Wanted,
        as_table: bool,
    ) -> Result<Value, Status> {
        let row = |node: &Node| {
            let usage = self.storage.node(node.name())?;
            let labels = node.metadata.labels.clone().unwrap_or_default();
            let amounts = Amounts::from(usage);
            let object = json!({
                "metadata": metadata("", node.name(), &labels),
                "timestamp": time(usage.at),
                "window": duration(usage.window),
                "usage": amounts.usage(),
            });
            Some(Row { object, amounts })
        };
        if let Some(name) = name {
            let node = self.nodes.get(&ObjectKey::new("", name));
            let node = node.ok_or_else(|| Status::not_found("", "nodes", name))?;
            let row = row(&node);
            let row = row.ok_or_else(|| Status::not_found(GROUP, "nodemetrics", name))?;
            return Ok(one("NodeMetrics", row, as_table));
        }
        let selection = Selection::of(wanted)?;
        let mut nodes = self.nodes.list();
        nodes.sort_by(|a, b| a.name().cmp(b.name()));
        let rows = nodes
            .iter()
            .filter(|node| selection.has("", node.name(), node.metadata.labels.as_ref()))
            .filter_map(|node| row(node));
        Ok(all("NodeMetrics", rows.collect(), as_table))
    }

    /// Answers with pods.
    ///
    /// # Errors
    /// As for nodes.
    pub fn pods(
        &self,
        namespace: Option<&str>,
        name: Option<&str>,
        wanted: &Wanted,
        as_table: bool,
    ) -> Result<Value, Status> {
        if let (Some(namespace), Some(name)) = (namespace, name) {
            let (key, told) = (
                ObjectKey::new(namespace, name),
                format!("{namespace}/{name}"),
            );
            let pod = self.pods.get(&key);
            let pod = pod.ok_or_else(|| Status::not_found("", "pods", &told))?;
            let containers = self.storage.pod(&pod.node, &key);
            let containers =
                containers.ok_or_else(|| Status::not_found(GROUP, "podmetrics", &told))?;
            return Ok(one("PodMetrics", of_pod(&pod, containers), as_table));
        }
        let selection = Selection::of(wanted)?;
        // In the order of their keys.
        let pods = match namespace {
            Some(namespace) => self.pods.in_namespace(namespace),
            None => self.pods.list(),
        };
        let row = |pod: &Arc<Placed>| {
            let labels = pod.metadata.labels.as_ref();
            if !selection.has(pod.namespace(), pod.name(), labels) {
                return None;
            }
            let key = ObjectKey::of(pod.as_ref());
            Some(of_pod(pod, self.storage.pod(&pod.node, &key)?))
        };
        let rows = pods.iter().filter_map(row);
        Ok(all("PodMetrics", rows.collect(), as_table))
    }
}

fn of_pod(pod: &Placed, containers: Containers) -> Row {
    let labels = pod.metadata.labels.clone().unwrap_or_default();
    // The earliest time stands for all.
    let first = containers.iter().map(|(_, usage)| *usage);
    let first = first.min_by_key(|usage| usage.at);
    let (at, window) = first.map_or((0, 0), |usage| (usage.at, usage.window));
    let mut amounts = Amounts {
        window,
        ..Amounts::default()
    };
    for (_, usage) in &containers {
        amounts.cpu += usage.cpu;
        amounts.memory += usage.memory;
    }
    let containers: Vec<Value> = containers
        .iter()
        .map(|(name, usage)| json!({"name": name, "usage": Amounts::from(*usage).usage()}))
        .collect();
    let object = json!({
        "metadata": metadata(pod.namespace(), pod.name(), &labels),
        "timestamp": time(at),
        "window": duration(window),
        "containers": containers,
    });
    Row { object, amounts }
}

fn metadata(namespace: &str, name: &str, labels: &BTreeMap<String, String>) -> Value {
    let mut metadata = json!({"name": name, "creationTimestamp": now()});
    if !namespace.is_empty() {
        metadata["namespace"] = namespace.into();
    }
    if !labels.is_empty() {
        metadata["labels"] = json!(labels);
    }
    metadata
}

fn one(kind: &str, row: Row, as_table: bool) -> Value {
    if as_table {
        return table::table(vec![row]);
    }
    let mut object = row.object;
    object["kind"] = kind.into();
    object["apiVersion"] = format!("{GROUP}/{VERSION}").into();
    object
}

fn all(kind: &str, rows: Vec<Row>, as_table: bool) -> Value {
    if as_table {
        return table::table(rows);
    }
    json!({
        "kind": format!("{kind}List"),
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "metadata": {},
        "items": rows.into_iter().map(|row| row.object).collect::<Vec<_>>(),
    })
}

struct Selection {
    labels: Selector,
    fields: hardway_proto::fields::FieldSelector,
}

impl Selection {
    fn of(wanted: &Wanted) -> Result<Self, Status> {
        let labels = Selector::parse(&wanted.labels);
        let fields = hardway_proto::fields::FieldSelector::parse(&wanted.fields);
        Ok(Self {
            labels: labels.map_err(|error| Status::bad_request(error.to_string()))?,
            fields: fields.map_err(|error| Status::bad_request(error.to_string()))?,
        })
    }

    fn has(&self, namespace: &str, name: &str, labels: Option<&BTreeMap<String, String>>) -> bool {
        let none = BTreeMap::new();
        let field = |field: &str| match field {
            "metadata.name" => Some(name),
            "metadata.namespace" => Some(namespace),
            _ => None,
        };
        self.labels.matches(labels.unwrap_or(&none)) && self.fields.matches_with(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::{Point, Scrape};
    use std::collections::HashMap;

    fn metrics() -> Metrics {
        let storage = Arc::new(Storage::default());
        let (nodes, pods) = (Store::new(&[]), Store::new(&[]));
        let mut node = Node::default();
        node.metadata.name = Some("n1".into());
        nodes.insert(Arc::new(node));
        for (name, app) in [("a", "web"), ("b", "db")] {
            let mut pod = Placed {
                node: "n1".into(),
                ..Placed::default()
            };
            pod.metadata.name = Some(name.into());
            pod.metadata.namespace = Some("shop".into());
            pod.metadata.labels = Some(BTreeMap::from([("app".into(), app.into())]));
            pods.insert(Arc::new(pod));
        }
        for (at, cpu) in [(100_000, 0), (115_000, 3_000_000_000)] {
            let point = Point {
                at,
                began: 1,
                cpu,
                memory: 2048,
            };
            let containers = || vec![("main".into(), point), ("side".into(), point)];
            let key = |name: &str| ObjectKey::new("shop", name);
            storage.put(
                "n1",
                Scrape {
                    node: point,
                    pods: HashMap::from([(key("a"), containers()), (key("b"), containers())]),
                },
            );
        }
        Metrics {
            storage,
            nodes,
            pods,
        }
    }

    #[test]
    fn objects_are_metrics_servers() {
        let metrics = metrics();
        let node = metrics
            .nodes(Some("n1"), &Wanted::default(), false)
            .unwrap();
        assert_eq!(node["kind"], "NodeMetrics");
        assert_eq!(node["usage"], json!({"cpu": "200m", "memory": "2Ki"}));
        assert_eq!(node["window"], "15s");
        assert_eq!(node["timestamp"], "1970-01-01T00:01:55Z");
        let wanted = Wanted {
            labels: "app=web".into(),
            ..Wanted::default()
        };
        let pods = metrics.pods(Some("shop"), None, &wanted, false).unwrap();
        assert_eq!(pods["kind"], "PodMetricsList");
        assert_eq!(pods["items"].as_array().unwrap().len(), 1);
        let pod = &pods["items"][0];
        assert_eq!(pod["metadata"]["labels"]["app"], "web");
        assert_eq!(pod["containers"][1]["name"], "side");
        let all = metrics.pods(None, None, &Wanted::default(), false).unwrap();
        let names = all["items"].as_array().unwrap().iter();
        let names: Vec<&Value> = names.map(|pod| &pod["metadata"]["name"]).collect();
        assert_eq!(names, ["a", "b"]);
        let table = metrics.pods(None, None, &Wanted::default(), true).unwrap();
        assert_eq!(table["rows"][0]["cells"][1], "400m");
        let by_name = Wanted {
            fields: "metadata.name=b".into(),
            ..Wanted::default()
        };
        let pods = metrics.pods(None, None, &by_name, false).unwrap();
        assert_eq!(pods["items"][0]["metadata"]["name"], "b");
    }

    #[test]
    fn what_is_not_known_is_not_found() {
        let metrics = metrics();
        let wanted = Wanted::default();
        let said = |outcome: Result<Value, Status>| outcome.unwrap_err().message;
        assert_eq!(
            said(metrics.nodes(Some("n2"), &wanted, false)),
            "nodes \"n2\" not found"
        );
        metrics.storage.remove("n1");
        assert_eq!(
            said(metrics.pods(Some("shop"), Some("a"), &wanted, false)),
            "podmetrics.metrics.k8s.io \"shop/a\" not found"
        );
        assert!(metrics.nodes(None, &wanted, false).unwrap()["items"] == json!([]));
        let bad = Wanted {
            labels: "a in".into(),
            ..wanted
        };
        assert_eq!(metrics.nodes(None, &bad, false).unwrap_err().code, 400);
    }

    #[test]
    fn paths_and_durations() {
        let pods = |namespace: Option<&str>, name: Option<&str>| {
            Some(Asked::Pods {
                namespace: namespace.map(str::to_owned),
                name: name.map(str::to_owned),
            })
        };
        let root = "/apis/metrics.k8s.io/v1beta1";
        assert_eq!(asked("/apis"), Some(Asked::Groups));
        assert_eq!(asked(root), Some(Asked::Resources));
        assert_eq!(asked(&format!("{root}/pods")), pods(None, None));
        assert_eq!(
            asked(&format!("{root}/namespaces/shop/pods/a")),
            pods(Some("shop"), Some("a"))
        );
        for other in [
            "/",
            "/apis/apps/v1",
            "/apis/metrics.k8s.io/v1",
            "/apis/metrics.k8s.io/v1beta1/x",
        ] {
            assert_eq!(asked(other), None, "{other}");
        }
        assert_eq!(duration(15_020), "15.02s");
        assert_eq!(duration(60_500), "1m0.5s");
        assert_eq!(duration(10_000), "10s");
    }
}
