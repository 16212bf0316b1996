//! Watches the nodes and keeps the data path and this node's announcement as
//! they say.

use crate::announce::{Announcement, condition_patch};
use crate::data_path::{self, DataPath, DesiredState, Local, Uplink};
use crate::kernel::Kernel;
use crate::lease;
use crate::peers::{self, Peer};
use hardway_client::api::Patch;
use hardway_client::controller::{self, Next};
use hardway_client::metrics::{IntGauge, register_int_gauge};
use hardway_client::queue::WorkQueue;
use hardway_client::steps::{self, Step};
use hardway_client::{Client, Informer, Store};
use hardway_proto::{Kind, Status as ApiStatus};
use ipnetwork::Ipv4Network;
use k8s_openapi::api::core::v1::Node;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// How long something that others did to the kernel's tables lasts at most.
const RESYNC: Duration = Duration::from_secs(60);

/// How soon an interface or address that isn't there is looked for again.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

static PEERS: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!("flannel_lite_peers", "Nodes that tunnels lead to.")
        .expect("the name is registered once")
});

/// What the flags say.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The Node that is this one.
    pub node_name: String,
    /// Range of all pods' addresses.
    pub cluster_cidr: Option<Ipv4Network>,
    /// Where the tunnels go out; an address that is missing is the Node's InternalIP.
    pub uplink: Uplink,
}

/// Whether pods of this node are connected, and if not, why.
#[derive(Clone)]
pub struct Status {
    nodes: Store<Node>,
    path: Arc<Mutex<Result<(), String>>>,
}

impl Status {
    /// For `/readyz`.
    pub fn check(&self) -> Result<(), String> {
        self.nodes.check()?;
        self.path.lock().clone()
    }

    /// Whether that is new.
    fn set(&self, status: Result<(), String>) -> bool {
        let mut current = self.path.lock();
        let changed = *current != status;
        *current = status;
        changed
    }
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    DataPath(#[from] data_path::Error),
    #[error("announce this node: {0}")]
    Announce(#[from] ApiStatus),
}

/// The agent of one node.
pub struct Agent<K> {
    settings: Settings,
    client: Client,
    nodes: Store<Node>,
    queue: WorkQueue<()>,
    path: tokio::sync::Mutex<DataPath<K>>,
    status: Status,
    /// The subnets of the other nodes to which there is a way; none before the first.
    reached: Mutex<Option<BTreeSet<Ipv4Network>>>,
}

impl<K: Kernel> Agent<K> {
    /// Starts watching the nodes.
    pub fn start(client: Client, settings: Settings, path: DataPath<K>) -> Self {
        let queue = WorkQueue::new();
        let on_node = queue.clone();
        let nodes = Informer::new(client.all::<Node>())
            .on_change(move |_| on_node.add(()))
            .start();
        let waiting = Err("the nodes were not looked at yet".to_owned());
        let status = Status {
            nodes: nodes.clone(),
            path: Arc::new(Mutex::new(waiting)),
        };
        Self {
            settings,
            client,
            nodes,
            queue,
            path: tokio::sync::Mutex::new(path),
            status,
            reached: Mutex::default(),
        }
    }

    /// Readiness, kept up to date.
    pub fn status(&self) -> Status {
        self.status.clone()
    }

    /// Works until dropped; the data path stays as it is then.
    pub async fn run(&self) {
        self.nodes.wait_synced().await;
        self.queue.add(());
        let work = controller::run("flannel-lite", self.queue.clone(), 1, |()| self.reconcile());
        let resync = async {
            loop {
                tokio::time::sleep(RESYNC).await;
                self.path.lock().await.forget();
                self.queue.add(());
            }
        };
        tokio::join!(work, resync);
    }

    async fn reconcile(&self) -> Result<Next, Error> {
        let nodes = self.nodes.list();
        let own = &self.settings.node_name;
        let subnet = match lease::verify(&nodes, own, self.settings.cluster_cidr) {
            Ok(subnet) => subnet,
            // Only a change of the nodes can help, and that comes by itself.
            Err(refusal) => {
                let reason = refusal.to_string();
                if self.status.set(Err(reason.clone())) {
                    if refusal.is_waiting() {
                        tracing::info!(reason, "waiting for a lease");
                    } else {
                        tracing::error!(reason, "the lease can't be used");
                    }
                }
                return Ok(Next::Done);
            }
        };
        let Some(node) = nodes.iter().find(|node| node.name() == own) else {
            return Ok(Next::Done);
        };
        let wanted = DesiredState {
            uplink: uplink(&self.settings.uplink, node),
            subnet,
            cluster: self.settings.cluster_cidr,
            mac: Announcement::of(node).map(|announced| announced.vtep_mac),
            peers: peers::desired(&nodes, own),
        };
        let begun = Instant::now();
        let local = match self.path.lock().await.apply(&wanted).await {
            Ok(local) => local,
            Err(error @ data_path::Error::Uplink(_)) => {
                if self.status.set(Err(error.to_string())) {
                    tracing::error!(%error, "the overlay waits for its interface");
                }
                return Ok(Next::After(LOOK_AGAIN));
            }
            Err(error) => {
                self.status.set(Err(error.to_string()));
                return Err(error.into());
            }
        };
        self.tell_reached(&nodes, &wanted.peers, begun);
        PEERS.set(i64::try_from(wanted.peers.len()).unwrap_or(i64::MAX));
        self.announce(node, local).await?;
        if self.status.set(Ok(())) {
            tracing::info!(%subnet, address = %local.address, mac = %local.mac, "the overlay is up");
        }
        Ok(Next::Done)
    }

    /// Tells who follows a Node that this one has a way to its pods, or none any more.
    fn tell_reached(&self, nodes: &[Arc<Node>], peers: &BTreeSet<Peer>, begun: Instant) {
        let now: BTreeSet<Ipv4Network> = peers.iter().map(|peer| peer.subnet).collect();
        let before = self.reached.lock().replace(now.clone());
        // What was there at the start isn't news.
        let Some(before) = before else {
            return;
        };
        for node in nodes {
            let subnet = node.spec.as_ref().and_then(|spec| spec.pod_cidr.as_ref());
            let Some(subnet) = subnet.and_then(|subnet| subnet.parse().ok()) else {
                continue;
            };
            let what = match (before.contains(&subnet), now.contains(&subnet)) {
                (false, true) => "route",
                (true, false) => "route removed",
                _ => continue,
            };
            let step = Step::about(node.as_ref(), what).since(begun);
            steps::record(step.with("subnet", subnet));
        }
    }

    async fn announce(&self, node: &Node, local: Local) -> Result<(), ApiStatus> {
        let api = self.client.all::<Node>();
        let announcement = Announcement {
            public_ip: local.address,
            vtep_mac: local.mac,
        };
        if let Some(patch) = announcement.patch(node) {
            api.patch(node.name(), Patch::Merge(&patch)).await?;
        }
        let now = jiff::Timestamp::now()
            .strftime("%Y-%m-%dT%H:%M:%SZ")
            .to_string();
        if let Some(patch) = condition_patch(node, &now) {
            api.patch_status(node.name(), Patch::Strategic(&patch))
                .await?;
        }
        Ok(())
    }
}

/// The uplink of the flags; without any, the one with the Node's InternalIP.
fn uplink(flags: &Uplink, node: &Node) -> Uplink {
    if flags.iface.is_some() || flags.address.is_some() {
        return flags.clone();
    }
    let addresses = node.status.as_ref().and_then(|s| s.addresses.as_ref());
    let internal = addresses
        .into_iter()
        .flatten()
        .filter(|address| address.type_ == "InternalIP")
        .find_map(|address| address.address.parse::<Ipv4Addr>().ok());
    Uplink {
        iface: None,
        address: internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn without_flags_the_internal_address_tells_the_uplink() {
        let node = json!({"status": {"addresses": [
            {"type": "Hostname", "address": "a"},
            {"type": "InternalIP", "address": "fd00::1"},
            {"type": "InternalIP", "address": "10.88.0.11"},
        ]}});
        let node: Node = serde_json::from_value(node).unwrap();
        let found = uplink(&Uplink::default(), &node);
        assert_eq!(found.address, "10.88.0.11".parse().ok());
        let flags = Uplink {
            iface: Some("eth1".into()),
            address: None,
        };
        assert_eq!(uplink(&flags, &node), flags);
    }
}
