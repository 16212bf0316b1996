//! For how long kubelets may keep what they have read, by the size of the cluster: an
//! annotation of each Node. Hardway's kubelet watches and keeps nothing; Kubernetes' own reads
//! it.

use crate::Work;
use crate::context::Context;
use crate::informers::Informers;
use hardway_client::api::Patch;
use hardway_client::controller::{self, Next};
use hardway_client::informer::Change;
use hardway_client::queue::WorkQueue;
use hardway_client::{Client, Store};
use hardway_proto::meta::ObjectKey;
use hardway_proto::{Kind, Status};
use k8s_openapi::api::core::v1::Node;
use parking_lot::Mutex;
use serde_json::json;

const ANNOTATION: &str = "node.alpha.kubernetes.io/ttl";

/// Numbers of nodes from which on and up to which a time in seconds is good. They overlap, so
/// that a node more or less changes nothing (`pkg/controller/ttl/ttl_controller.go`).
const STEPS: [(usize, usize, u32); 5] = [
    (0, 100, 0),
    (90, 500, 15),
    (450, 1000, 30),
    (900, 2000, 60),
    (1800, usize::MAX, 300),
];

/// The step for a number of nodes, coming from another one.
fn step(mut at: usize, nodes: usize) -> usize {
    while nodes > STEPS[at].1 {
        at += 1;
    }
    while nodes < STEPS[at].0 {
        at -= 1;
    }
    at
}

struct Controller {
    client: Client,
    nodes: Store<Node>,
    queue: WorkQueue<String>,
    step: Mutex<usize>,
}

/// The controller.
pub fn register(informers: &mut Informers, context: &Context) -> Work {
    let queue = WorkQueue::new();
    let controller = Controller {
        client: context.client.clone(),
        nodes: informers.nodes.store(),
        queue: queue.clone(),
        step: Mutex::default(),
    };
    let on_node = queue.clone();
    informers.nodes.subscribe(move |change| {
        let is_news = match change {
            Change::Applied {
                old: Some(old),
                new,
            } => annotation(old) != annotation(new),
            _ => true,
        };
        if is_news {
            on_node.add(change.object().name().to_owned());
        }
    });
    Box::pin(async move {
        controller.nodes.wait_synced().await;
        controller::run("ttl", queue, 5, |node| controller.reconcile(node)).await;
    })
}

fn annotation(node: &Node) -> Option<&str> {
    let annotations = node.metadata.annotations.as_ref()?;
    annotations.get(ANNOTATION).map(String::as_str)
}

impl Controller {
    async fn reconcile(&self, name: String) -> Result<Next, Status> {
        let (was, now) = {
            let mut at = self.step.lock();
            let now = step(*at, self.nodes.len());
            (std::mem::replace(&mut *at, now), now)
        };
        if was != now {
            for node in self.nodes.list() {
                self.queue.add(node.name().to_owned());
            }
        }
        let seconds = STEPS[now].2.to_string();
        let node = self.nodes.get(&ObjectKey::new("", &name));
        if node.is_none_or(|node| annotation(&node) == Some(&seconds)) {
            return Ok(Next::Done);
        }
        let patch = json!({"metadata": {"annotations": {ANNOTATION: seconds}}});
        let api = self.client.all::<Node>();
        match api.patch(&name, Patch::Merge(&patch)).await {
            Err(status) if !status.is_not_found() => Err(status),
            _ => Ok(Next::Done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_more_or_less_changes_nothing() {
        let mut at = 0;
        for (nodes, seconds) in [
            (3, 0),
            (100, 0),
            (101, 15),
            (90, 15),
            (89, 0),
            (5000, 300),
            (1800, 300),
            (1799, 60),
            (500, 30),
            (501, 30),
            (0, 0),
        ] {
            at = step(at, nodes);
            assert_eq!(STEPS[at].2, seconds, "{nodes}");
        }
    }
}
