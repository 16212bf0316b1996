//! What nodes tell each other, as annotations and a condition of their Node.

use crate::peers::Mac;
use k8s_openapi::api::core::v1::Node;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// The network's identifier on the wire; all nodes use the same.
pub const VNI: u32 = 1;

const BACKEND_TYPE: &str = "flannel.alpha.coreos.com/backend-type";
const BACKEND_DATA: &str = "flannel.alpha.coreos.com/backend-data";
const PUBLIC_IP: &str = "flannel.alpha.coreos.com/public-ip";
const SUBNET_MANAGER: &str = "flannel.alpha.coreos.com/kube-subnet-manager";
const BACKEND: &str = "vxlan";

const CONDITION: &str = "NetworkUnavailable";
const REASON: &str = "FlannelIsUp";

#[derive(Serialize, Deserialize)]
struct BackendData {
    #[serde(rename = "VNI")]
    vni: u32,
    #[serde(rename = "VtepMAC")]
    vtep_mac: String,
}

/// A node's end of the tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The node's address.
    pub public_ip: Ipv4Addr,
    /// Its VXLAN device's Ethernet address.
    pub vtep_mac: Mac,
}

impl Announcement {
    /// What a node announced, if it is one of this overlay.
    pub fn of(node: &Node) -> Option<Self> {
        let annotations = node.metadata.annotations.as_ref()?;
        if annotations.get(BACKEND_TYPE)? != BACKEND {
            return None;
        }
        let data: BackendData = serde_json::from_str(annotations.get(BACKEND_DATA)?).ok()?;
        if data.vni != VNI {
            return None;
        }
        Some(Self {
            public_ip: annotations.get(PUBLIC_IP)?.parse().ok()?,
            vtep_mac: data.vtep_mac.parse().ok()?,
        })
    }

    fn annotations(&self) -> BTreeMap<String, String> {
        let data = json!({"VNI": VNI, "VtepMAC": self.vtep_mac.to_string()});
        [
            (BACKEND_TYPE, BACKEND.to_owned()),
            (BACKEND_DATA, data.to_string()),
            (PUBLIC_IP, self.public_ip.to_string()),
            (SUBNET_MANAGER, "true".to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }

    /// The merge patch that makes the node say so, if it doesn't already.
    pub fn patch(&self, node: &Node) -> Option<Value> {
        let there = node.metadata.annotations.clone().unwrap_or_default();
        let mut wanted = self.annotations();
        wanted.retain(|key, value| there.get(key) != Some(value));
        (!wanted.is_empty()).then(|| json!({"metadata": {"annotations": wanted}}))
    }
}

/// The strategic merge patch of the status that tells that the node's network
/// works, if it isn't told already. `now` in RFC 3339.
pub fn condition_patch(node: &Node, now: &str) -> Option<Value> {
    let conditions = node.status.as_ref().and_then(|s| s.conditions.as_ref());
    let told = conditions.into_iter().flatten().any(|condition| {
        condition.type_ == CONDITION
            && condition.status == "False"
            && condition.reason.as_deref() == Some(REASON)
    });
    (!told).then(|| {
        json!({"status": {"conditions": [{
            "type": CONDITION,
            "status": "False",
            "reason": REASON,
            "message": "Flannel is running on this node",
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        }]}})
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcement() -> Announcement {
        Announcement {
            public_ip: "10.88.0.11".parse().unwrap(),
            vtep_mac: "02:00:00:00:00:0a".parse().unwrap(),
        }
    }

    #[test]
    fn what_is_announced_is_understood_and_not_said_twice() {
        let patch = announcement().patch(&Node::default()).unwrap();
        let data = &patch["metadata"]["annotations"][BACKEND_DATA];
        assert_eq!(data, r#"{"VNI":1,"VtepMAC":"02:00:00:00:00:0a"}"#);
        let node: Node = serde_json::from_value(patch).unwrap();
        assert_eq!(Announcement::of(&node), Some(announcement()));
        assert_eq!(announcement().patch(&node), None);
    }

    #[test]
    fn only_what_changed_is_said() {
        let node = announcement().patch(&Node::default()).unwrap();
        let node: Node = serde_json::from_value(node).unwrap();
        let mut moved = announcement();
        moved.public_ip = "10.88.0.21".parse().unwrap();
        let expected = json!({"metadata": {"annotations": {PUBLIC_IP: "10.88.0.21"}}});
        assert_eq!(moved.patch(&node), Some(expected));
    }

    #[test]
    fn other_overlays_are_not_ours() {
        let patch = announcement().patch(&Node::default()).unwrap();
        for (key, value) in [
            (BACKEND_TYPE, "host-gw"),
            (BACKEND_DATA, r#"{"VNI":2,"VtepMAC":"02:00:00:00:00:0a"}"#),
            (BACKEND_DATA, "null"),
            (PUBLIC_IP, "fd00::1"),
        ] {
            let mut patch = patch.clone();
            patch["metadata"]["annotations"][key] = value.into();
            let node: Node = serde_json::from_value(patch).unwrap();
            assert_eq!(Announcement::of(&node), None, "{key}: {value}");
        }
    }

    #[test]
    fn the_condition_is_set_once() {
        let now = "2026-01-02T03:04:05Z";
        let patch = condition_patch(&Node::default(), now).unwrap();
        let node: Node = serde_json::from_value(patch).unwrap();
        assert_eq!(condition_patch(&node, now), None);
        let down = json!({"status": {"conditions": [
            {"type": "NetworkUnavailable", "status": "True", "reason": "NoRouteCreated"},
        ]}});
        let node: Node = serde_json::from_value(down).unwrap();
        assert!(condition_patch(&node, now).is_some());
    }
}
