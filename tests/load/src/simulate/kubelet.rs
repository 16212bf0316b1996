//! What a kubelet asks of the API server when nothing is wrong: six watches, a Lease every
//! ten seconds, its node's status every five minutes, and a status for each pod it gets. It
//! has one connection, as the node's user.

use super::World;
use super::follow::{Followed, Listener, follow, list};
use super::objects::{self, NAMESPACE, ROOT_CA};
use crate::api::{Api, ApiError, Call, Patch};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many watches it has.
pub const WATCHES: u64 = 6;

/// How often a Lease is renewed: a quarter of its 40 seconds (pkg/kubelet, NewController).
const RENEWAL: Duration = Duration::from_secs(10);
/// How often a status that has not changed is told (nodeStatusReportFrequency).
const REPORT: Duration = Duration::from_secs(300);
/// Collection of Leases.
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

/// The place of the node's pods among them.
const PODS: usize = 0;

/// What is watched: what is the node's own, and what all nodes have to know.
fn followed(node: &str) -> [Followed; WATCHES as usize] {
    let own = format!("fieldSelector=metadata.name%3D{node}");
    let pods = format!("fieldSelector=spec.nodeName%3D{node}");
    let root_ca = format!("fieldSelector=metadata.name%3D{ROOT_CA}");
    let maps = format!("/api/v1/namespaces/{NAMESPACE}/configmaps");
    [
        Followed::some("/api/v1/pods", &pods),
        Followed::some("/api/v1/nodes", &own),
        Followed::some(&maps, &root_ca),
        Followed::all("/api/v1/services"),
        Followed::all("/apis/node.k8s.io/v1/runtimeclasses"),
        Followed::all("/apis/storage.k8s.io/v1/csidrivers"),
    ]
}

/// Of a watched pod only what is needed.
#[derive(Deserialize)]
struct Event {
    r#type: String,
    object: Pod,
}

#[derive(Deserialize)]
struct Pod {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

/// Is the kubelet of a node for as long as it is polled.
pub async fn run(api: Api, number: u64, world: Arc<World>) {
    let node = objects::node_name(number);
    let followed = followed(&node);
    let mut versions = Vec::new();
    {
        // Not all at once: handshakes would time out behind each other.
        let _turn = world.door.acquire().await;
        for followed in &followed {
            // What fails here is asked for once more when it is followed.
            versions.push(list(&api, followed).await.ok());
        }
    }
    // Watches don't all end at the same time (client-go: five to ten minutes).
    let patience = Duration::from_secs(300 + number * 7 % 300);
    let starter = Starter {
        api: &api,
        world: &world,
    };
    let mut all: FuturesUnordered<BoxFuture<'_, ()>> = FuturesUnordered::new();
    for (place, (followed, version)) in followed.iter().zip(versions).enumerate() {
        all.push(match place {
            PODS => Box::pin(follow(
                &api,
                followed,
                version,
                patience,
                &world.tally,
                &starter,
            )),
            _ => Box::pin(follow(&api, followed, version, patience, &world.tally, &())),
        });
    }
    let phase = |interval: Duration| interval.mul_f64((number * 37 % 100) as f64 / 100.0);
    all.push(Box::pin(renew(&api, &node, phase(RENEWAL), &world)));
    all.push(Box::pin(report(&api, &node, phase(REPORT), &world)));
    while all.next().await.is_some() {}
}

/// Has each new pod run as soon as it is seen.
struct Starter<'a> {
    api: &'a Api,
    world: &'a World,
}

impl Listener for Starter<'_> {
    async fn event(&self, line: &[u8]) {
        let tally = &self.world.tally;
        let event: Event = match serde_json::from_slice(line) {
            Ok(event) => event,
            Err(error) => {
                let why = error.to_string();
                return tally.failed(&ApiError::Unreadable { why });
            }
        };
        if event.r#type == "ADDED" {
            let name = event.object.metadata.name;
            let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{name}/status");
            let call = Call::patch(path, Patch::Strategic, &objects::running(&seconds()));
            tally.wrote(self.api.send(&call).await);
        }
    }
}

/// Renews the Lease. What was answered last says which version is replaced, as the kubelet
/// remembers it, too.
async fn renew(api: &Api, node: &str, phase: Duration, world: &World) {
    let path = format!("{LEASES}/{node}");
    let mut known: Option<Value> = None;
    let mut interval = tokio::time::interval_at(tokio::time::Instant::now() + phase, RENEWAL);
    loop {
        interval.tick().await;
        let now = format!("{:.6}", jiff::Timestamp::now());
        let call = match known.take() {
            Some(mut lease) => {
                lease["spec"]["renewTime"] = now.into();
                Call::put(&path, &lease)
            }
            None => {
                let lease = objects::lease(node, &now);
                match api.send(&Call::get(&path)).await {
                    Err(error) if error.code() == Some(404) => Call::post(LEASES, &lease),
                    _ => Call::patch(&path, Patch::Merge, &lease),
                }
            }
        };
        let began = Instant::now();
        let answer = api.send(&call).await;
        let took = began.elapsed();
        let answer = answer.and_then(|answer| answer.json());
        known = answer.as_ref().ok().cloned();
        world.tally.renewed(took, answer);
    }
}

/// Tells the node's status.
async fn report(api: &Api, node: &str, phase: Duration, world: &World) {
    let path = format!("/api/v1/nodes/{node}/status");
    let mut interval = tokio::time::interval_at(tokio::time::Instant::now() + phase, REPORT);
    loop {
        interval.tick().await;
        let call = Call::patch(&path, Patch::Strategic, &objects::status(&seconds()));
        world.tally.wrote(api.send(&call).await);
    }
}

fn seconds() -> String {
    format!("{:.0}", jiff::Timestamp::now())
}
