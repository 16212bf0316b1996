//! What stands against a pod on a node, computed as the scheduler's filters have it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use hardway_proto::labels::Selector;
use hardway_proto::placement::{self, HostPort};
use hardway_proto::quantity::Quantity;
use hardway_proto::quota::{Amounts, amounts, pod_total};
use hardway_proto::references::claim;
use k8s_openapi::api::core::v1::{NodeSelectorTerm, PodSpec, Taint};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::object::{Json, Object};

/// What a pod asks of a node.
pub(super) struct Asked<'a> {
    pod: Object<'a>,
    spec: PodSpec,
    requests: Amounts,
    ports: Vec<HostPort>,
    /// Terms of anti-affinity.
    apart: Vec<Neighbours<'a>>,
    /// Terms of affinity that the pod itself does not match.
    beside: Vec<Neighbours<'a>>,
}

/// Pods that a term of affinity names.
struct Neighbours<'a> {
    topology: &'a str,
    /// One of them for each value of the topology's label.
    there: HashMap<&'a str, Object<'a>>,
}

impl<'a> Neighbours<'a> {
    /// Of the namespaces that the term names, or the pod's own. Selectors of namespaces, and what
    /// other pods have against this one, the scheduler's message tells.
    fn of(cluster: &Cluster<'a>, pod: &Object<'a>, term: &'a Value) -> Option<Self> {
        let topology = term.text("/topologyKey")?;
        let selector = Selector::from_json(term.get("labelSelector")?).ok()?;
        let named = term.list("/namespaces").iter().filter_map(Value::as_str);
        let mut namespaces: Vec<&str> = named.collect();
        if namespaces.is_empty() {
            namespaces.push(pod.namespace());
        }
        let mut there = HashMap::new();
        let selected = namespaces
            .iter()
            .flat_map(|it| cluster.selected(it, &selector));
        for other in selected.filter(|it| it.name() != pod.name()) {
            let node = other.value.text("/spec/nodeName");
            let node = node.and_then(|name| cluster.get("Node", "", name));
            if let Some(domain) = node.and_then(|it| it.label(topology)) {
                there.entry(domain).or_insert(other);
            }
        }
        Some(Self { topology, there })
    }

    /// One that is in the same domain as the node.
    fn near(&self, node: &Object<'_>) -> Option<&Object<'a>> {
        self.there.get(node.label(self.topology)?)
    }
}

/// All that a node is asked for, in writing: the same for pods that are alike, whatever their
/// names and owners are.
pub(super) fn what_is_asked(pod: &Object<'_>) -> String {
    let spec = |field: &str| pod.value.get("spec").and_then(|it| it.get(field));
    let volumes = pod.value.list("/spec/volumes").iter();
    let claims: Vec<_> = volumes.filter_map(|it| claim(pod.value, it)).collect();
    let parts = |list: &str| {
        let containers = pod.value.list(list).iter();
        let parts = containers.map(|it| ["ports", "resources", "restartPolicy"].map(|p| it.get(p)));
        parts.collect::<Vec<_>>()
    };
    let fields = [
        "nodeName",
        "nodeSelector",
        "affinity",
        "tolerations",
        "overhead",
        "resources",
    ];
    let fields = fields.map(spec);
    // By its labels a pod is the first of a group that wants to be together.
    let labels = fields[2].and_then(|_| pod.value.pointer("/metadata/labels"));
    let (containers, first) = (parts("/spec/containers"), parts("/spec/initContainers"));
    serde_json::json!([pod.namespace(), fields, labels, containers, first, claims]).to_string()
}

impl<'a> Asked<'a> {
    /// Nothing if the spec can't be read.
    pub fn of(cluster: &Cluster<'a>, pod: &Object<'a>) -> Option<Self> {
        const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
        let terms = |kind: &str| pod.value.list(&format!("/spec/affinity/{kind}/{REQUIRED}"));
        // The first of a group that wants to be together is let in anywhere.
        let is_own = |term: &Value| {
            let selector = term.get("labelSelector").map(Selector::from_json);
            selector.is_some_and(|it| it.is_ok_and(|it| it.matches_with(|key| pod.label(key))))
        };
        let apart = terms("podAntiAffinity").iter();
        let beside = terms("podAffinity").iter().filter(|it| !is_own(it));
        let spec: PodSpec = serde_json::from_value(pod.value.get("spec")?.clone()).ok()?;
        Some(Self {
            pod: *pod,
            requests: pod_total(pod.value, "requests"),
            ports: placement::host_ports(&spec),
            apart: apart
                .filter_map(|it| Neighbours::of(cluster, pod, it))
                .collect(),
            beside: beside
                .filter_map(|it| Neighbours::of(cluster, pod, it))
                .collect(),
            spec,
        })
    }
}

/// One reason why a node does not take a pod.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Obstacle {
    /// It is cordoned.
    Cordoned,
    /// The pod does not tolerate a taint.
    Tainted(Taint),
    /// Labels that the pod's node selector wants and the node lacks.
    Selector(Vec<(String, String)>),
    /// The required node affinity does not match.
    Affinity,
    /// Less is free than asked for, and whether the node could ever have it.
    Resource {
        name: String,
        asked: Quantity,
        free: Quantity,
        capacity: Quantity,
    },
    /// A pod has the port.
    Port { port: i32, holder: String },
    /// A volume of the pod is reachable from other nodes only.
    Volume { claim: String },
    /// A pod there must not be beside this one.
    AntiAffinity { other: String, topology: String },
    /// No pod there that this one must be beside.
    PodAffinity { topology: String },
}

impl Obstacle {
    /// In words that follow a number of nodes.
    pub fn kind(&self) -> String {
        match self {
            Self::Cordoned => "cordoned".to_owned(),
            Self::Tainted(taint) => match taint.key.as_str() {
                "node.kubernetes.io/not-ready" | "node.kubernetes.io/unreachable" => {
                    "not Ready".to_owned()
                }
                key => format!("with the taint {key}"),
            },
            Self::Selector(_) => "without the labels of its node selector".to_owned(),
            Self::Affinity => "outside its node affinity".to_owned(),
            Self::Resource { name, .. } => format!("with too little {name}"),
            Self::Port { port, .. } => format!("with port {port} taken"),
            Self::Volume { .. } => "out of reach of its volume".to_owned(),
            Self::AntiAffinity { .. } => "with a pod it must not be beside".to_owned(),
            Self::PodAffinity { .. } => "without a pod it must be beside".to_owned(),
        }
    }

    /// How much is free of what is too little.
    pub fn free(&self) -> Option<Quantity> {
        match self {
            Self::Resource { free, .. } => Some(*free),
            _ => None,
        }
    }

    /// What would take it away, and a command for it.
    pub fn help(&self, pod: &Object<'_>, node: &str) -> (String, Option<String>) {
        let command = |text: String| Some(text);
        match self {
            Self::Cordoned => (
                format!("open {node} to new pods"),
                command(format!("kubectl uncordon {node}")),
            ),
            Self::Tainted(taint) if taint.key.starts_with("node.kubernetes.io/") => (
                format!("mend {node}: its taint {} goes with the cause", taint.key),
                command(format!("hardway why node/{node}")),
            ),
            Self::Tainted(taint) => (
                format!(
                    "give the pod a toleration for {}, or take the taint off {node}",
                    written(taint)
                ),
                command(format!("kubectl taint node {node} {}-", taint_name(taint))),
            ),
            Self::Selector(labels) => {
                let labels: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
                (
                    format!(
                        "label a node as the pod asks, such as {node}, or change its node selector"
                    ),
                    command(format!("kubectl label node {node} {}", labels.join(" "))),
                )
            }
            Self::Affinity => (
                "change the pod's node affinity, or label a node so that it matches".to_owned(),
                command("kubectl get nodes --show-labels".to_owned()),
            ),
            Self::Resource {
                name,
                asked,
                free,
                capacity,
            } if asked > capacity => (
                format!(
                    "ask for less {name}: {node} has {capacity} in all, of which {free} is free; or add a larger node"
                ),
                None,
            ),
            Self::Resource { name, free, .. } => (
                format!("ask for at most {free} {name}, make room on {node}, or add a node"),
                command(format!(
                    "kubectl get pods -A --field-selector spec.nodeName={node}"
                )),
            ),
            Self::Port { port, holder } => (
                format!(
                    "take another host port than {port}, which {holder} has, or do without one: a Service needs none"
                ),
                None,
            ),
            Self::Volume { claim } => (
                format!(
                    "have {node}'s topology reach the volume of pvc/{claim}, or let the pod run where the volume is"
                ),
                command(format!("kubectl describe pvc {claim}{}", pod.flag())),
            ),
            Self::AntiAffinity { topology, .. } => (
                format!(
                    "add a node (another {topology}), or prefer its anti-affinity instead of requiring it"
                ),
                None,
            ),
            Self::PodAffinity { topology } => (
                format!(
                    "have a pod that its affinity names run in the same {topology}, or prefer the affinity instead of requiring it"
                ),
                None,
            ),
        }
    }
}

fn taint_name(taint: &Taint) -> String {
    format!("{}:{}", taint.key, taint.effect)
}

fn written(taint: &Taint) -> String {
    match taint.value.as_deref().filter(|it| !it.is_empty()) {
        Some(value) => format!("{}={value}:{}", taint.key, taint.effect),
        None => taint_name(taint),
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cordoned => f.write_str("it is cordoned"),
            Self::Tainted(taint) => write!(f, "its taint {} is not tolerated", written(taint)),
            Self::Selector(labels) => {
                let labels: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
                write!(f, "it has no label {}", labels.join(", "))
            }
            Self::Affinity => f.write_str("it does not match the required node affinity"),
            Self::Resource {
                name,
                asked,
                free,
                capacity,
            } => {
                write!(f, "{name}: {asked} asked for, {free} free of {capacity}")
            }
            Self::Port { port, holder } => write!(f, "{holder} has host port {port}"),
            Self::Volume { claim } => {
                write!(f, "the volume of pvc/{claim} can't be reached from it")
            }
            Self::AntiAffinity { other, topology } => {
                write!(
                    f,
                    "{other} is in the same {topology}, and they must not be together"
                )
            }
            Self::PodAffinity { topology } => {
                write!(f, "no pod that it must be beside is in the same {topology}")
            }
        }
    }
}

/// All that stands against a pod on a node.
pub(super) fn of<'a>(cluster: &Cluster<'a>, asked: &Asked<'a>, node: &Object<'a>) -> Vec<Obstacle> {
    let mut all = Vec::new();
    if let Some(spec) = node.value.get("spec") {
        all.extend(taints(asked, spec));
    }
    all.extend(labels(asked, node));
    all.extend(resources(cluster, asked, node));
    all.extend(ports(cluster, asked, node));
    all.extend(volumes(cluster, asked, node));
    all.extend(neighbours(asked, node));
    all
}

fn taints(asked: &Asked<'_>, spec: &Value) -> Vec<Obstacle> {
    const CORDON: &str = "node.kubernetes.io/unschedulable";
    let taints = spec.list("/taints").iter();
    let taints = taints.filter_map(|it| serde_json::from_value::<Taint>(it.clone()).ok());
    let tolerated = |taint: &Taint| placement::pod_tolerates(&asked.spec, taint);
    let mut all: Vec<Obstacle> = taints
        // The cordon is told by itself.
        .filter(|it| it.effect != "PreferNoSchedule" && it.key != CORDON && !tolerated(it))
        .map(Obstacle::Tainted)
        .collect();
    let cordon = Taint {
        key: CORDON.to_owned(),
        effect: "NoSchedule".to_owned(),
        ..Taint::default()
    };
    if spec.flag("/unschedulable") && !tolerated(&cordon) {
        all.push(Obstacle::Cordoned);
    }
    all
}

fn node_labels(node: &Object<'_>) -> BTreeMap<String, String> {
    let labels = node.value.map("/metadata/labels").into_iter();
    labels.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

fn labels(asked: &Asked<'_>, node: &Object<'_>) -> Option<Obstacle> {
    let labels = node_labels(node);
    if placement::allows_node(&asked.spec, node.name(), &labels) {
        return None;
    }
    let selector = asked.spec.node_selector.iter().flatten();
    let missing: Vec<_> = selector
        .filter(|(key, value)| labels.get(*key) != Some(value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    Some(match missing.is_empty() {
        true => Obstacle::Affinity,
        false => Obstacle::Selector(missing),
    })
}

fn resources<'a>(cluster: &Cluster<'a>, asked: &Asked<'a>, node: &Object<'a>) -> Vec<Obstacle> {
    let capacity = amounts(node.value, "/status/allocatable");
    let used = cluster.used(node.name());
    let one_pod = Quantity::from_value(1, hardway_proto::quantity::Format::DecimalSi);
    let requests = asked
        .requests
        .iter()
        .map(|(name, amount)| (name.as_str(), *amount));
    let requests = requests.chain([("pods", one_pod)]);
    requests
        .filter(|(_, amount)| !amount.is_zero())
        .filter_map(|(name, amount)| {
            // A node that says nothing of pods or disk has as many as asked for.
            let capacity = match capacity.get(name) {
                Some(capacity) => *capacity,
                None if name == "pods" || name == "ephemeral-storage" => return None,
                None => Quantity::default(),
            };
            let free = capacity - used.get(name).copied().unwrap_or_default();
            let free = if free.sign() < 0 {
                Quantity::default()
            } else {
                free
            };
            (amount > free).then(|| Obstacle::Resource {
                name: name.to_owned(),
                asked: amount,
                free,
                capacity,
            })
        })
        .collect()
}

fn ports<'a>(cluster: &Cluster<'a>, asked: &Asked<'a>, node: &Object<'a>) -> Vec<Obstacle> {
    if asked.ports.is_empty() {
        return Vec::new();
    }
    let mut all = Vec::new();
    let has_ports = |other: &&Object<'_>| {
        let lists = ["/spec/containers", "/spec/initContainers"].iter();
        let containers = lists.flat_map(|it| other.value.list(it));
        let mut ports = containers.flat_map(|it| it.list("/ports"));
        ports.any(|it| it.number("/hostPort").is_some())
    };
    for other in cluster.on_node(node.name()).iter().filter(has_ports) {
        let spec = other.value.get("spec").cloned().unwrap_or_default();
        let Ok(spec) = serde_json::from_value::<PodSpec>(spec) else {
            continue;
        };
        for theirs in placement::host_ports(&spec) {
            if asked.ports.iter().any(|it| it.collides(&theirs)) {
                all.push(Obstacle::Port {
                    port: theirs.port,
                    holder: format!("{}/{}", other.namespace(), other.name()),
                });
            }
        }
    }
    all
}

fn volumes<'a>(cluster: &Cluster<'a>, asked: &Asked<'a>, node: &Object<'a>) -> Vec<Obstacle> {
    let pod = asked.pod;
    let labels = node_labels(node);
    let reaches = |volume: &Object<'_>| {
        let terms = volume
            .value
            .list("/spec/nodeAffinity/required/nodeSelectorTerms");
        let mut terms = terms.iter().filter_map(|term| {
            let term: NodeSelectorTerm = serde_json::from_value(term.clone()).ok()?;
            Some(placement::term_matches(&term, node.name(), &labels))
        });
        let restricted = volume
            .value
            .pointer("/spec/nodeAffinity/required")
            .is_some();
        !restricted || terms.any(|it| it)
    };
    let names = pod.value.list("/spec/volumes").iter();
    names
        .filter_map(|volume| claim(pod.value, volume))
        .filter_map(|name| {
            let claim = cluster.get("PersistentVolumeClaim", pod.namespace(), &name)?;
            let volume = claim.value.text("/spec/volumeName")?;
            let volume = cluster.get("PersistentVolume", "", volume)?;
            (!reaches(&volume)).then(|| Obstacle::Volume {
                claim: name.into_owned(),
            })
        })
        .collect()
}

/// What required affinity and anti-affinity to pods say of a node.
fn neighbours(asked: &Asked<'_>, node: &Object<'_>) -> Vec<Obstacle> {
    let against = asked.apart.iter().filter_map(|term| {
        Some(Obstacle::AntiAffinity {
            other: term.near(node)?.subject().to_string(),
            topology: term.topology.to_owned(),
        })
    });
    let beside = asked.beside.iter().filter(|it| it.near(node).is_none());
    let beside = beside.map(|term| Obstacle::PodAffinity {
        topology: term.topology.to_owned(),
    });
    against.chain(beside).collect()
}
