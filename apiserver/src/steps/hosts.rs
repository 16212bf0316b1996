//! Which node has an address.

use bytes::Bytes;
use parking_lot::Mutex;
use serde::Deserialize;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// For so long an address is taken to be that of the same node …
const HIT: Duration = Duration::from_secs(60);
/// … and to be that of none. Nodes change all the time, and a thousand processes may come
/// at once: all nodes are read once for them.
const MISS: Duration = Duration::from_secs(1);

/// Addresses of nodes, read when somebody asks.
#[derive(Default)]
pub(super) struct Hosts(Mutex<Index>);

#[derive(Default)]
struct Index {
    read: Option<(Instant, u64)>,
    names: HashMap<IpAddr, Arc<str>>,
}

impl Hosts {
    /// The name of the node with that address, of nodes that are at this revision.
    pub(super) fn name_of(
        &self,
        address: IpAddr,
        revision: u64,
        nodes: impl FnOnce() -> Vec<Bytes>,
    ) -> Option<Arc<str>> {
        let mut index = self.0.lock();
        let known = index.names.get(&address);
        let lasts = if known.is_some() { HIT } else { MISS };
        let is_fresh = index
            .read
            .is_some_and(|(at, then)| then == revision || at.elapsed() < lasts);
        if is_fresh {
            return known.cloned();
        }
        index.names = nodes().iter().flat_map(|node| addresses(node)).collect();
        index.read = Some((Instant::now(), revision));
        index.names.get(&address).cloned()
    }
}

#[derive(Deserialize)]
struct Node {
    metadata: Metadata,
    status: Option<Status>,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Deserialize)]
struct Status {
    addresses: Option<Vec<Address>>,
}

#[derive(Deserialize)]
struct Address {
    address: String,
}

/// The addresses of a node; its names aren't any.
fn addresses(node: &[u8]) -> Vec<(IpAddr, Arc<str>)> {
    let Ok(node) = serde_json::from_slice::<Node>(node) else {
        return Vec::new();
    };
    let name: Arc<str> = node.metadata.name.into();
    let addresses = node.status.and_then(|status| status.addresses);
    let addresses = addresses.into_iter().flatten();
    addresses
        .filter_map(|one| Some((one.address.parse().ok()?, name.clone())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::cell::Cell;

    #[test]
    fn nodes_are_read_once_for_all_who_come() {
        let reads = Cell::new(0);
        let nodes = || {
            reads.set(reads.get() + 1);
            vec![
                json!({"metadata": {"name": "w1"}, "status": {"addresses": [
                    {"type": "Hostname", "address": "w1"},
                    {"type": "InternalIP", "address": "10.0.0.1"}]}})
                .to_string()
                .into(),
                json!({"metadata": {"name": "w2"}}).to_string().into(),
            ]
        };
        let hosts = Hosts::default();
        let of = |address: &str, revision| hosts.name_of(address.parse().unwrap(), revision, nodes);
        for _ in 0..1000 {
            assert_eq!(of("10.0.0.1", 7).as_deref(), Some("w1"));
            assert_eq!(of("10.0.0.2", 7), None);
        }
        assert_eq!(reads.get(), 1);
        // A heartbeat of a node moves none.
        assert_eq!(of("10.0.0.1", 8).as_deref(), Some("w1"));
        assert_eq!(reads.get(), 1);
    }
}
