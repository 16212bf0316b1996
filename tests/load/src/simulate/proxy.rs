//! What a kube-proxy asks: Services, their endpoints, and its node, each watched. It writes
//! nothing. All proxies of a cluster are one user.

use super::World;
use super::follow::{Followed, follow, list};
use super::objects;
use crate::api::Api;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::sync::Arc;
use std::time::Duration;

/// As whom it asks.
pub const USER: &str = "system:kube-proxy";
/// How many watches it has.
pub const WATCHES: u64 = 3;

/// Services and slices that others care for, and Services that need nobody
/// (`!service.kubernetes.io/headless,!service.kubernetes.io/service-proxy-name`).
const SELECTOR: &str = "labelSelector=%21service.kubernetes.io%2Fheadless%2C%21service.kubernetes.io%2Fservice-proxy-name";

/// Is the proxy of a node for as long as it is polled.
pub async fn run(api: Api, number: u64, world: Arc<World>) {
    let own = format!(
        "fieldSelector=metadata.name%3D{}",
        objects::node_name(number)
    );
    let slices = format!("/apis/discovery.k8s.io/{}/endpointslices", world.slices);
    let followed: [Followed; WATCHES as usize] = [
        Followed::some("/api/v1/services", SELECTOR),
        Followed::some(&slices, SELECTOR),
        Followed::some("/api/v1/nodes", &own),
    ];
    let mut versions = Vec::new();
    {
        let _turn = world.door.acquire().await;
        for followed in &followed {
            // What fails here is asked for once more when it is followed.
            versions.push(list(&api, followed).await.ok());
        }
    }
    let patience = Duration::from_secs(300 + number * 11 % 300);
    let all = followed
        .iter()
        .zip(versions)
        .map(|(followed, version)| follow(&api, followed, version, patience, &world.tally, &()));
    let mut all: FuturesUnordered<_> = all.collect();
    while all.next().await.is_some() {}
}
