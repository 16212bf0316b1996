//! Gives every node a subnet of the cluster's pod range.

use crate::Work;
use crate::context::Context;
use crate::informers::Informers;
use hardway_client::api::Patch;
use hardway_client::controller::{self, Next};
use hardway_client::events::{EventType, Recorder, reference};
use hardway_client::queue::WorkQueue;
use hardway_client::{Client, Store};
use hardway_proto::meta::ObjectKey;
use hardway_proto::{Kind, Status};
use ipnetwork::IpNetwork;
use k8s_openapi::api::core::v1::Node;
use parking_lot::Mutex;
use serde_json::json;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

struct Controller {
    client: Client,
    recorder: Recorder,
    nodes: Store<Node>,
    range: IpNetwork,
    mask: u8,
    /// Given away but perhaps not yet seen in the cache.
    given: Mutex<HashMap<String, IpNetwork>>,
}

/// The controller; `None` without `--cluster-cidr`.
pub fn register(informers: &mut Informers, context: &Context) -> Option<Work> {
    let queue = WorkQueue::new();
    let controller = Controller {
        client: context.client.clone(),
        recorder: context.recorder("cidrAllocator"),
        nodes: informers.nodes.store(),
        range: context.settings.cluster_cidr?,
        mask: context.settings.node_cidr_mask_size,
        given: Mutex::default(),
    };
    let on_node = queue.clone();
    informers
        .nodes
        .subscribe(move |change| on_node.add(change.object().name().to_owned()));
    Some(Box::pin(async move {
        controller.nodes.wait_synced().await;
        // One worker: two nodes must not be given the same subnet.
        controller::run("node-ipam", queue, 1, |name| controller.reconcile(name)).await;
    }))
}

fn cidr_of(node: &Node) -> Option<IpNetwork> {
    node.spec.as_ref()?.pod_cidr.as_ref()?.parse().ok()
}

/// The `index`th subnet with that mask, if the range has so many.
fn subnet(range: IpNetwork, mask: u8, index: u128) -> Option<IpNetwork> {
    let bits = mask - range.prefix();
    if bits < 128 && index >= 1u128 << bits {
        return None;
    }
    let address = match range.network() {
        IpAddr::V4(base) => {
            let offset = u32::try_from(index).ok()?.checked_shl(u32::from(32 - mask));
            IpAddr::V4(Ipv4Addr::from(u32::from(base) + offset.unwrap_or(0)))
        }
        IpAddr::V6(base) => {
            let offset = index.checked_shl(u32::from(128 - mask)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(base) + offset))
        }
    };
    IpNetwork::new(address, mask).ok()
}

/// The first subnet that overlaps with none in use.
fn first_free(range: IpNetwork, mask: u8, used: &[IpNetwork]) -> Option<IpNetwork> {
    (0..)
        .map_while(|index| subnet(range, mask, index))
        .find(|candidate| {
            !used
                .iter()
                .any(|u| u.contains(candidate.network()) || candidate.contains(u.network()))
        })
}

impl Controller {
    async fn reconcile(&self, name: String) -> Result<Next, Status> {
        let node = self.nodes.get(&ObjectKey::new("", &name));
        let Some(node) = node else {
            self.given.lock().remove(&name);
            return Ok(Next::Done);
        };
        if cidr_of(&node).is_some() {
            self.given.lock().remove(&name);
            return Ok(Next::Done);
        }
        let mut used: Vec<_> = self
            .nodes
            .list()
            .iter()
            .filter_map(|n| cidr_of(n))
            .collect();
        let remembered = {
            let given = self.given.lock();
            used.extend(given.iter().filter(|(n, _)| **n != name).map(|(_, c)| *c));
            given.get(&name).copied()
        };
        let Some(cidr) = remembered.or_else(|| first_free(self.range, self.mask, &used)) else {
            let text = format!("Node {name} status is now: CIDRNotAvailable");
            self.recorder.event(
                reference(node.as_ref()),
                EventType::Normal,
                "CIDRNotAvailable",
                text,
            );
            return Err(Status::internal(format!(
                "node {name:?}: no subnet is left in {}; enlarge --cluster-cidr or --node-cidr-mask-size",
                self.range
            )));
        };
        self.given.lock().insert(name.clone(), cidr);
        let patch = json!({
            "metadata": {"resourceVersion": node.resource_version()},
            "spec": {"podCIDR": cidr.to_string(), "podCIDRs": [cidr.to_string()]},
        });
        match self
            .client
            .all::<Node>()
            .patch(&name, Patch::Merge(&patch))
            .await
        {
            Ok(_) => Ok(Next::Done),
            Err(status) if status.is_not_found() => Ok(Next::Done),
            Err(status) => Err(status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_are_given_in_order_and_reused() {
        let range: IpNetwork = "10.244.0.0/16".parse().unwrap();
        let net = |text: &str| text.parse::<IpNetwork>().unwrap();
        assert_eq!(first_free(range, 24, &[]), Some(net("10.244.0.0/24")));
        let used = [net("10.244.0.0/24"), net("10.244.2.0/24")];
        assert_eq!(first_free(range, 24, &used), Some(net("10.244.1.0/24")));
        assert_eq!(subnet(range, 24, 255), Some(net("10.244.255.0/24")));
        assert_eq!(subnet(range, 24, 256), None);
        assert_eq!(
            first_free(net("10.0.0.0/24"), 24, &[net("10.0.0.0/24")]),
            None
        );
        assert_eq!(
            subnet(net("fd00::/48"), 64, 1),
            Some(net("fd00:0:0:1::/64"))
        );
    }
}
