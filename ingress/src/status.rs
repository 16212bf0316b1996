//! What the one replica that leads writes: where Ingresses are reached, and events of what
//! can't be had.

use crate::rules::Problem;
use crate::watching::World;
use hardway_client::api::Patch;
use hardway_client::events::{EventType, Recorder, reference};
use hardway_client::queue::backoff;
use hardway_client::task::Group;
use hardway_client::{Client, Informer, Store};
use hardway_proto::{Kind, Status};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::Ingress;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// The label that all replicas have.
const REPLICAS: &str = "k8s-app=hardway-ingress";
/// Nobody is told of what is put right within this time: objects come one after the other.
const SETTLED: Duration = Duration::from_secs(1);
/// First and longest pause after a failure.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Who writes, while it leads.
pub struct Writer {
    client: Client,
    recorder: Recorder,
    namespace: String,
    world: watch::Receiver<Arc<World>>,
}

impl Writer {
    /// For replicas in a namespace.
    pub fn new(client: Client, namespace: &str, world: watch::Receiver<Arc<World>>) -> Self {
        Self {
            recorder: Recorder::new(client.clone(), "hardway-ingress", None),
            client,
            namespace: namespace.to_owned(),
            world,
        }
    }

    /// Writes what has to be written, until dropped.
    pub async fn lead(&self) {
        let changed = Arc::new(Notify::new());
        let wake = changed.clone();
        let pods = Informer::new(self.client.namespaced::<Pod>(&self.namespace))
            .labels(REPLICAS)
            .trim(|pod| pod.spec = None)
            .on_change(move |_| wake.notify_one());
        let (pods, task) = pods.spawn();
        let mut tasks = Group::default();
        tasks.add(task);
        pods.wait_synced().await;
        let mut world = self.world.clone();
        world.mark_changed();
        let (mut told, mut failures) = (BTreeSet::new(), 0);
        loop {
            let pause = match failures {
                0 => Duration::MAX,
                failures => backoff(failures, RETRY.0, RETRY.1),
            };
            tokio::select! {
                known = world.changed() => if known.is_err() { return },
                () = changed.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
            tokio::time::sleep(SETTLED).await;
            let now = world.borrow_and_update().clone();
            self.tell(&now, &mut told);
            match self.write(&now, &reached(&pods)).await {
                Ok(()) => failures = 0,
                Err(status) => {
                    failures += 1;
                    tracing::warn!(%status, "the status of an Ingress is not written; trying again");
                }
            }
        }
    }

    /// Records an event of each problem that was not there before.
    fn tell(&self, world: &World, told: &mut BTreeSet<Problem>) {
        for problem in world.problems.difference(told) {
            let mut all = world.ingresses.iter();
            let found = all.find(|ingress| is(ingress, problem));
            if let Some(ingress) = found {
                let about = reference(ingress.as_ref());
                let message = problem.message.as_str();
                self.recorder
                    .event(about, EventType::Warning, problem.reason, message);
            }
        }
        told.clone_from(&world.problems);
    }

    async fn write(&self, world: &World, reached: &[String]) -> Result<(), Status> {
        if reached.is_empty() {
            // Nobody is ready, and so nobody knows better than what is there.
            return Ok(());
        }
        for ingress in world
            .ingresses
            .iter()
            .filter(|ingress| !says(ingress, reached))
        {
            let addresses = reached.iter().map(|ip| json!({"ip": ip}));
            let addresses: Vec<_> = addresses.collect();
            let patch = json!({"status": {"loadBalancer": {"ingress": addresses}}});
            let api = self.client.namespaced::<Ingress>(ingress.namespace());
            match api.patch_status(ingress.name(), Patch::Merge(&patch)).await {
                Err(status) if !status.is_not_found() => return Err(status),
                _ => {}
            }
        }
        Ok(())
    }
}

fn is(ingress: &Ingress, problem: &Problem) -> bool {
    let key = &problem.ingress;
    (ingress.namespace(), ingress.name()) == (key.namespace.as_str(), key.name.as_str())
}

/// Whether an Ingress' status has these addresses.
fn says(ingress: &Ingress, reached: &[String]) -> bool {
    let status = ingress.status.as_ref();
    let entries = status.and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref());
    let entries = entries.into_iter().flatten();
    entries
        .map(|entry| entry.ip.as_ref())
        .eq(reached.iter().map(Some))
}

/// The addresses of the nodes on which a replica is ready.
fn reached(pods: &Store<Pod>) -> Vec<String> {
    let nodes: BTreeSet<String> = pods.list().iter().filter_map(|pod| node_of(pod)).collect();
    nodes.into_iter().collect()
}

fn node_of(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let mut conditions = status.conditions.iter().flatten();
    let ready = conditions.any(|it| it.type_ == "Ready" && it.status == "True");
    let stays = pod.metadata.deletion_timestamp.is_none();
    (ready && stays).then(|| status.host_ip.clone()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, ip: &str, ready: &str) -> Arc<Pod> {
        let conditions = json!([{"type": "Ready", "status": ready}]);
        let pod =
            json!({"metadata": {"name": name}, "status": {"hostIP": ip, "conditions": conditions}});
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn ingresses_are_reached_where_replicas_are_ready() {
        let pods: Store<Pod> = Store::new(&[]);
        let mut leaving = Pod::clone(&pod("d", "10.0.0.4", "True"));
        leaving.metadata.deletion_timestamp =
            serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        for pod in [
            pod("a", "10.0.0.2", "True"),
            pod("b", "10.0.0.1", "True"),
            pod("c", "10.0.0.3", "False"),
            Arc::new(leaving),
        ] {
            pods.insert(pod);
        }
        assert_eq!(reached(&pods), ["10.0.0.1", "10.0.0.2"]);
    }

    #[test]
    fn nothing_is_written_twice() {
        let ingress = |addresses: &[&str]| -> Ingress {
            let addresses: Vec<_> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
            let status = json!({"loadBalancer": {"ingress": addresses}});
            serde_json::from_value(json!({"metadata": {}, "status": status})).unwrap()
        };
        let reached = ["10.0.0.1".to_owned(), "10.0.0.2".to_owned()];
        assert!(says(&ingress(&["10.0.0.1", "10.0.0.2"]), &reached));
        assert!(!says(&ingress(&["10.0.0.1"]), &reached));
        assert!(!says(&ingress(&[]), &reached));
    }
}
