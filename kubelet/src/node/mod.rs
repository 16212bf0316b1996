//! This node in the API: registration, status and Lease.

pub mod events;
pub mod lease;
pub mod machine;
pub mod reserved;
mod runtime_health;
pub mod status;

use crate::cri;
use crate::eviction::NodePressure;
use crate::shutdown::Shutdown;
use crate::volumes::csi::VolumesInUse;
use events::Teller;
use hardway_client::Informer;
use hardway_client::api::{Api, Client, Patch};
use hardway_client::task;
use hardway_proto::meta::ObjectKey;
use hardway_proto::{Kind, Status};
use k8s_openapi::api::core::v1::{Node, NodeCondition, NodeSpec, NodeStatus, Taint};
use machine::Usage;
use runtime_health::RuntimeHealth;
use serde_json::{Value, json};
use status::Facts;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// How often we look whether something has changed.
const LOOK: Duration = Duration::from_secs(10);
/// And while the node isn't ready.
const EAGER_LOOK: Duration = Duration::from_secs(1);
/// How often the status is written if nothing has.
const HEARTBEAT: Duration = Duration::from_secs(300);

/// What the node is registered as.
#[derive(Clone)]
pub struct Registration {
    /// Facts that don't change.
    pub facts: Facts,
    /// Labels besides Kubernetes' own.
    pub labels: BTreeMap<String, String>,
    /// Taints of a new node.
    pub taints: Vec<Taint>,
    /// The directory whose disk counts.
    pub root: PathBuf,
}

/// Labels that every node has.
fn standard_labels(facts: &Facts) -> BTreeMap<String, String> {
    let pairs = [
        ("kubernetes.io/hostname", facts.name.as_str()),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", facts.machine.architecture),
        ("beta.kubernetes.io/os", "linux"),
        ("beta.kubernetes.io/arch", facts.machine.architecture),
    ];
    pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
}

/// Reads `key=value` pairs.
pub fn parse_labels(texts: &[String]) -> Result<BTreeMap<String, String>, String> {
    texts
        .iter()
        .map(|text| {
            let (key, value) = text
                .split_once('=')
                .ok_or_else(|| format!("--node-labels {text:?}: must be key=value"))?;
            Ok((key.to_owned(), value.to_owned()))
        })
        .collect()
}

/// Reads `key[=value]:effect`.
pub fn parse_taints(texts: &[String]) -> Result<Vec<Taint>, String> {
    texts
        .iter()
        .map(|text| {
            let invalid = || {
                format!(
                    "--register-with-taints {text:?}: must be key=value:effect with effect NoSchedule, PreferNoSchedule or NoExecute"
                )
            };
            let (pair, effect) = text.rsplit_once(':').ok_or_else(invalid)?;
            if !matches!(effect, "NoSchedule" | "PreferNoSchedule" | "NoExecute") {
                return Err(invalid());
            }
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok(Taint {
                key: key.into(),
                value: (!value.is_empty()).then(|| value.to_owned()),
                effect: effect.into(),
                time_added: None,
            })
        })
        .collect()
}

/// Keeps the node in the API up to date for as long as the future lives.
pub async fn keep(
    client: Client,
    runtime: cri::Handle,
    registration: Registration,
    mut teller: Teller,
    shutdown: Shutdown,
    in_use: VolumesInUse,
    pressure: NodePressure,
) {
    let api = client.all::<Node>();
    let mut facts = registration.facts.clone();
    // Others may say of this node what it knows better: after a time out of
    // touch, that nothing is known of it.
    let told = Arc::new(Notify::new());
    let on_change = told.clone();
    let (own, following) = Informer::new(client.all::<Node>())
        .fields(format!("metadata.name={}", facts.name))
        .on_change(move |_| on_change.notify_one())
        .spawn();
    let _watch = AbortOnDropHandle::new(following);
    let (begins, at_once) = (shutdown.clone(), told.clone());
    task::spawn_job("node-shutdown", async move {
        begins.begun().await;
        at_once.notify_one();
    });
    let (mut changes, at_once) = (in_use.wanted(), told.clone());
    task::spawn_job("volumes-in-use", async move {
        // Pods wait until the node says so.
        while changes.changed().await.is_ok() {
            at_once.notify_one();
        }
    });
    let mut health = RuntimeHealth::new(Instant::now());
    let (mut pressures, at_once) = (pressure.changes(), told.clone());
    task::spawn_job("node-pressure", async move {
        while pressures.changed().await.is_ok() {
            at_once.notify_one();
        }
    });
    let mut written: Option<(NodeStatus, Instant)> = None;
    let mut cidr = String::new();
    loop {
        refresh(&mut facts, runtime.as_ref(), &mut health, &registration).await;
        if shutdown.has_begun() && !std::mem::replace(&mut facts.shuts_down, true) {
            teller.shuts_down();
        }
        let used = in_use.begin_report();
        facts.volumes_in_use = used.iter().cloned().collect();
        facts.pressure = pressure.conditions();
        let mut wanted = status::compute(&facts);
        let shown = own.get(&ObjectKey::new("", &facts.name));
        if let Some(node) = &shown {
            teller.seen(node);
        }
        if let Some(shown) = shown.as_ref().and_then(|node| node.status.as_ref()) {
            status::allocate_extended(&mut wanted, shown);
        }
        if let Some((last, at)) = &written {
            keep_transitions(&mut wanted, last);
            let contradicted = shown.as_ref().is_some_and(|n| contradicts(n, &wanted));
            if !differs(&wanted, last) && at.elapsed() < HEARTBEAT && !contradicted {
                let pause = pause(&wanted, &health);
                let _ = tokio::time::timeout(pause, told.notified()).await;
                continue;
            }
        }
        let known = match &written {
            None => register(&api, &registration).await,
            // What others said meanwhile counts: to the API it was so.
            Some((last, _)) => Ok(known_as(shown.as_deref(), last)),
        };
        // A kubelet that comes up while the runtime does not answer yet has nothing to
        // say against what the node was.
        if let (Ok(Some(old)), None) = (&known, &facts.runtime)
            && is_ready(old)
        {
            tokio::time::sleep(EAGER_LOOK).await;
            continue;
        }
        let outcome = match &known {
            Ok(known) => {
                if let (None, Some(old)) = (&written, known) {
                    keep_transitions(&mut wanted, old);
                    status::allocate_extended(&mut wanted, old);
                }
                write(&api, &facts.name, &wanted, known.as_ref()).await
            }
            Err(status) => Err(status.clone()),
        };
        match outcome {
            Ok(node) => {
                in_use.end_report(&used);
                let known = known.ok().flatten();
                if written.is_none() {
                    teller.registered(known.as_ref(), &wanted);
                } else {
                    teller.changed(events::conditions(known.as_ref()), &wanted);
                }
                let assigned = node.spec.and_then(|s| s.pod_cidr).unwrap_or_default();
                if !assigned.is_empty() && assigned != cidr {
                    if let Err(error) = runtime.update_pod_cidr(&assigned).await {
                        tracing::debug!(%error, "the runtime takes no pod range");
                    }
                    cidr = assigned;
                }
                let wait = pause(&wanted, &health);
                written = Some((wanted, Instant::now()));
                let _ = tokio::time::timeout(wait, told.notified()).await;
            }
            Err(status) => {
                tracing::warn!(node = facts.name, %status, "the node can't be written; will try again");
                if status.is_not_found() {
                    written = None;
                }
                tokio::time::sleep(EAGER_LOOK).await;
            }
        }
    }
}

fn is_ready(status: &NodeStatus) -> bool {
    let conditions = status.conditions.as_deref().unwrap_or_default();
    conditions
        .iter()
        .any(|c: &NodeCondition| c.type_ == "Ready" && c.status == "True")
}

fn pause(status: &NodeStatus, health: &RuntimeHealth) -> Duration {
    if is_ready(status) && health.answers() {
        LOOK
    } else {
        EAGER_LOOK
    }
}

async fn refresh(
    facts: &mut Facts,
    runtime: &dyn cri::Runtime,
    health: &mut RuntimeHealth,
    registration: &Registration,
) {
    facts.usage = Usage::look(&registration.root);
    facts.huge_pages = machine::huge_pages();
    let answer = runtime.status().await.map_err(|error| error.to_string());
    health.observe(answer, &mut facts.runtime, Instant::now());
    // Again while it is wrong: it is a matter of a file and a restart.
    if (facts.version.runtime_name.is_empty() || facts.systemd_cgroups)
        && let Ok(info) = runtime.info().await
    {
        facts.systemd_cgroups = cri::cgroup_driver::is_systemd(&info);
    }
    if facts.version.runtime_name.is_empty()
        && let Ok(version) = runtime.version().await
    {
        facts.version = version;
    }
    if let Ok(images) = runtime.list_images().await {
        facts.images = images;
    }
}

/// Conditions that are as before keep the time of their transition.
fn keep_transitions(wanted: &mut NodeStatus, last: &NodeStatus) {
    let old = last.conditions.as_deref().unwrap_or_default();
    for condition in wanted.conditions.iter_mut().flatten() {
        let same = old
            .iter()
            .find(|c| c.type_ == condition.type_ && c.status == condition.status);
        if let Some(same) = same {
            condition.last_transition_time = same.last_transition_time.clone();
        }
    }
}

/// Whether the API says other than the kubelet about one of its conditions.
fn contradicts(node: &Node, wanted: &NodeStatus) -> bool {
    let told = node.status.as_ref().and_then(|s| s.conditions.as_deref());
    let told = told.unwrap_or_default();
    wanted.conditions.iter().flatten().any(|ours| {
        told.iter()
            .any(|theirs| theirs.type_ == ours.type_ && theirs.status != ours.status)
    })
}

/// Whether anything but heartbeats differs.
fn differs(a: &NodeStatus, b: &NodeStatus) -> bool {
    let still = |status: &NodeStatus| {
        let mut status = status.clone();
        for condition in status.conditions.iter_mut().flatten() {
            condition.last_heartbeat_time = None;
        }
        status
    };
    still(a) != still(b)
}

/// The status as the API has it, or as it was written last.
fn known_as(shown: Option<&Node>, last: &NodeStatus) -> Option<NodeStatus> {
    let shown = shown.and_then(|node| node.status.clone());
    shown.or_else(|| Some(last.clone()))
}

async fn write(
    api: &Api<Node>,
    name: &str,
    wanted: &NodeStatus,
    known: Option<&NodeStatus>,
) -> Result<Node, Status> {
    let body = json!({"status": patch(wanted, known)});
    api.patch_status(name, Patch::Strategic(&body)).await
}

/// The status as a patch: conditions are merged with those of others, and so is capacity,
/// everything else is as we say. `known` is what the API has; nothing if it has what
/// the node was just created with. Where there are no addresses to merge with,
/// Kubernetes before 1.28 would take the directive for one.
fn patch(wanted: &NodeStatus, known: Option<&NodeStatus>) -> Value {
    let mut value = serde_json::to_value(wanted).unwrap_or_default();
    let has_addresses = known.is_none_or(|known| known.addresses.is_some());
    if let Some(addresses) = value.get_mut("addresses").and_then(Value::as_array_mut)
        && has_addresses
    {
        addresses.insert(0, json!({"$patch": "replace"}));
    }
    if known.is_some_and(|known| known.volumes_in_use.is_some()) && wanted.volumes_in_use.is_none()
    {
        value["volumesInUse"] = Value::Null;
    }
    let gone = known.and_then(|known| known.allocatable.as_ref());
    let gone = gone.into_iter().flat_map(BTreeMap::keys);
    if let Some(allocatable) = value["allocatable"].as_object_mut() {
        for name in gone {
            allocatable.entry(name).or_insert(Value::Null);
        }
    }
    value
}

/// Creates the node, or brings the labels of an existing one up to date.
/// Answers the status that an existing one had.
async fn register(
    api: &Api<Node>,
    registration: &Registration,
) -> Result<Option<NodeStatus>, Status> {
    let name = &registration.facts.name;
    let mut labels = standard_labels(&registration.facts);
    labels.extend(registration.labels.clone());
    let annotation = json!({"volumes.kubernetes.io/controller-managed-attach-detach": "true"});
    if let Some(node) = api.get_opt(name).await? {
        let present = node.metadata.labels.clone().unwrap_or_default();
        if labels.iter().all(|(k, v)| present.get(k) == Some(v)) {
            return Ok(node.status);
        }
        let body = json!({"metadata": {"labels": labels, "annotations": annotation}});
        let node = api.patch(name, Patch::Merge(&body)).await?;
        return Ok(node.status);
    }
    let mut node = Node::default();
    node.metadata.name = Some(name.clone());
    node.metadata.labels = Some(labels);
    node.metadata.annotations = serde_json::from_value(annotation).ok();
    node.spec = Some(NodeSpec {
        taints: (!registration.taints.is_empty()).then(|| registration.taints.clone()),
        ..Default::default()
    });
    // A status from the start: nobody takes the node for one that fell silent.
    node.status = Some(status::compute(&registration.facts));
    match api.create(&node).await {
        Err(status) if status.is_already_exists() => Ok(api.get(name).await?.status),
        outcome => {
            tracing::info!(node = outcome?.name(), "registered");
            Ok(None)
        }
    }
}

/// The address of this node on the way to the apiserver.
pub async fn own_ip(server: &str) -> std::io::Result<std::net::IpAddr> {
    let (host, port) =
        hardway_client::channel::host_and_port(server).map_err(std::io::Error::other)?;
    // Nothing is sent: connecting a datagram socket only asks the routes.
    let socket = tokio::net::UdpSocket::bind("0.0.0.0:0").await?;
    socket.connect((host, port)).await?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Amount;

    #[test]
    fn flags() {
        let list = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        let taints = parse_taints(&list(&["a=b:NoSchedule", "c:NoExecute"])).unwrap();
        assert_eq!(taints[0].value.as_deref(), Some("b"));
        assert_eq!(taints[1].key, "c");
        assert!(parse_taints(&list(&["a:Sometimes"])).is_err());
        assert_eq!(parse_labels(&list(&["a=b"])).unwrap()["a"], "b");
        assert!(parse_labels(&list(&["a"])).is_err());
    }

    #[test]
    fn heartbeats_alone_are_no_difference() {
        let first = status::compute(&Facts::default());
        let mut second = first.clone();
        let later = crate::status::time(2_000_000_000_000_000_000);
        second.conditions.as_mut().unwrap()[0].last_heartbeat_time = Some(later);
        assert!(!differs(&first, &second));
        second.conditions.as_mut().unwrap()[0].status = "Unknown".into();
        assert!(differs(&first, &second));
    }

    #[test]
    fn addresses_replace_those_that_are_there() {
        let wanted = status::compute(&Facts {
            ips: vec!["10.0.0.1".into()],
            ..Default::default()
        });
        let count = |known| {
            let patch = patch(&wanted, known);
            let addresses = patch["addresses"].as_array().unwrap();
            addresses.len() - wanted.addresses.as_ref().unwrap().len()
        };
        assert_eq!(count(None), 1, "it was created with addresses");
        assert_eq!(count(Some(&wanted)), 1);
        assert_eq!(count(Some(&NodeStatus::default())), 0);
    }

    #[test]
    fn what_is_in_use_no_more_is_taken_out() {
        let none = status::compute(&Facts::default());
        let some = status::compute(&Facts {
            volumes_in_use: vec!["v".into()],
            ..Facts::default()
        });
        assert_eq!(patch(&some, None)["volumesInUse"], json!(["v"]));
        assert_eq!(
            patch(&none, Some(&some)).get("volumesInUse"),
            Some(&Value::Null)
        );
        assert_eq!(patch(&none, Some(&none)).get("volumesInUse"), None);
        assert!(differs(&none, &some));
    }

    #[test]
    fn pods_can_have_what_others_advertise_as_long_as_they_do() {
        let amounts = |name: &str| BTreeMap::from([(name.to_owned(), Amount("3".to_owned()))]);
        let mut shown = status::compute(&Facts::default());
        let mut wanted = shown.clone();
        let capacity = shown.capacity.as_mut().unwrap();
        capacity.extend(amounts("example.com/gpu"));
        capacity.extend(amounts("cpu"));
        status::allocate_extended(&mut wanted, &shown);
        let allocatable = wanted.allocatable.clone().unwrap();
        assert_eq!(allocatable["example.com/gpu"].0, "3");
        assert_eq!(allocatable["cpu"].0, "0", "not theirs to say");
        let last = wanted.clone();
        let now = status::compute(&Facts::default());
        assert!(differs(&now, &last));
        let patch = patch(&now, Some(&last));
        assert_eq!(
            patch["allocatable"].get("example.com/gpu"),
            Some(&Value::Null)
        );
        assert_eq!(patch["capacity"].get("example.com/gpu"), None);
    }

    #[test]
    fn what_others_say_of_the_node_is_noticed() {
        let wanted = status::compute(&Facts::default());
        let told = |r#type: &str, status: &str| {
            let mut told = wanted.clone();
            let conditions = told.conditions.as_mut().unwrap();
            conditions[0].type_ = r#type.into();
            conditions[0].status = status.into();
            Node {
                status: Some(told),
                ..Default::default()
            }
        };
        let first = &wanted.conditions.as_ref().unwrap()[0];
        let (ours, unknown) = (first.type_.as_str(), "Unknown");
        assert!(!contradicts(&told(ours, &first.status), &wanted));
        assert!(contradicts(&told(ours, unknown), &wanted));
        let node = told("NetworkUnavailable", unknown);
        assert!(!contradicts(&node, &wanted), "not the kubelet's to say");
    }
}
