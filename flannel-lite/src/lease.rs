//! The subnet that this node's pods live in, and whether it can be used.

use hardway_proto::Kind;
use ipnetwork::Ipv4Network;
use k8s_openapi::api::core::v1::Node;
use std::sync::Arc;

/// Why there is no lease to work with (yet).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The node isn't registered.
    #[error("node {0:?} doesn't exist yet; its kubelet registers it")]
    NoNode(String),
    /// The node has no subnet.
    #[error(
        "node {0:?} has no spec.podCIDR yet; the controller manager gives it one when it runs with --cluster-cidr"
    )]
    NoSubnet(String),
    /// Not an IPv4 network that pods fit in.
    #[error(
        "node {node:?}: spec.podCIDR {cidr:?} is not an IPv4 network with room for pods; delete the Node so that it is given a new one"
    )]
    Unusable {
        /// The node's name.
        node: String,
        /// What it has.
        cidr: String,
    },
    /// Not part of the cluster's range.
    #[error(
        "node {node:?}: spec.podCIDR {subnet} is outside the cluster's range {cluster}; correct --cluster-cidr here or at the controller manager"
    )]
    Outside {
        /// The node's name.
        node: String,
        /// What it has.
        subnet: Ipv4Network,
        /// Where it should be.
        cluster: Ipv4Network,
    },
    /// Another node has (part of) it too.
    #[error(
        "node {node:?}: spec.podCIDR {subnet} overlaps {other_subnet} of node {other:?}; delete one of the two Nodes so that it is given a new one"
    )]
    Overlap {
        /// The node's name.
        node: String,
        /// What it has.
        subnet: Ipv4Network,
        /// The other node's name.
        other: String,
        /// What that one has.
        other_subnet: Ipv4Network,
    },
}

impl Refusal {
    /// Time will tell, nobody did anything wrong.
    pub fn is_waiting(&self) -> bool {
        matches!(self, Self::NoNode(_) | Self::NoSubnet(_))
    }
}

/// The subnet of a node, where it is an IPv4 network with a base, a gateway and a pod.
pub fn subnet_of(node: &Node) -> Option<Ipv4Network> {
    let text = node.spec.as_ref()?.pod_cidr.as_ref()?;
    let subnet: Ipv4Network = text.parse().ok()?;
    (text.contains('/') && subnet.ip() == subnet.network() && subnet.prefix() <= 30)
        .then_some(subnet)
}

/// The own node's subnet, if it is fit for use.
pub fn verify(
    nodes: &[Arc<Node>],
    own: &str,
    cluster: Option<Ipv4Network>,
) -> Result<Ipv4Network, Refusal> {
    let name = || own.to_owned();
    let node = nodes
        .iter()
        .find(|node| node.name() == own)
        .ok_or_else(|| Refusal::NoNode(name()))?;
    let cidr = node.spec.as_ref().and_then(|spec| spec.pod_cidr.clone());
    let cidr = cidr
        .filter(|cidr| !cidr.is_empty())
        .ok_or_else(|| Refusal::NoSubnet(name()))?;
    let subnet = subnet_of(node).ok_or_else(|| Refusal::Unusable { node: name(), cidr })?;
    if let Some(cluster) = cluster
        && !subnet.is_subnet_of(cluster)
    {
        return Err(Refusal::Outside {
            node: name(),
            subnet,
            cluster,
        });
    }
    let others = nodes.iter().filter(|node| node.name() != own);
    for (other, other_subnet) in others.filter_map(|node| Some((node.name(), subnet_of(node)?))) {
        if subnet.overlaps(other_subnet) {
            return Err(Refusal::Overlap {
                node: name(),
                subnet,
                other: other.to_owned(),
                other_subnet,
            });
        }
    }
    Ok(subnet)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn nodes(subnets: &[(&str, &str)]) -> Vec<Arc<Node>> {
        let node = |(name, cidr): &(&str, &str)| {
            let node = json!({"metadata": {"name": name}, "spec": {"podCIDR": cidr}});
            Arc::new(serde_json::from_value(node).unwrap())
        };
        subnets.iter().map(node).collect()
    }

    fn refusal(subnets: &[(&str, &str)], cluster: Option<&str>) -> String {
        let cluster = cluster.map(|text| text.parse().unwrap());
        verify(&nodes(subnets), "a", cluster)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_subnet_of_ones_own_is_taken() {
        let nodes = nodes(&[("a", "10.244.1.0/24"), ("b", "10.244.2.0/24"), ("c", "")]);
        let subnet = "10.244.1.0/24".parse().unwrap();
        assert_eq!(verify(&nodes, "a", None), Ok(subnet));
        let cluster = "10.244.0.0/16".parse().ok();
        assert_eq!(verify(&nodes, "a", cluster), Ok(subnet));
    }

    #[test]
    fn without_node_or_subnet_it_waits() {
        for nodes in [nodes(&[("b", "10.244.2.0/24")]), nodes(&[("a", "")])] {
            assert!(verify(&nodes, "a", None).unwrap_err().is_waiting());
        }
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        for cidr in [
            "fd00:1::/64",
            "10.244.1.7/24",
            "10.244.1.0",
            "10.244.1.0/31",
        ] {
            let text = refusal(&[("a", cidr)], None);
            assert!(text.contains("is not an IPv4 network"), "{text}");
            assert!(text.contains(cidr), "{text}");
        }
        let text = refusal(&[("a", "10.244.1.0/24")], Some("10.200.0.0/16"));
        assert!(text.contains("outside the cluster's range 10.200.0.0/16"));
        let text = refusal(&[("a", "10.244.1.0/24"), ("b", "10.244.0.0/23")], None);
        assert!(
            text.contains("overlaps 10.244.0.0/23 of node \"b\""),
            "{text}"
        );
    }
}
