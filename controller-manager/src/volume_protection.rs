//! Lets go of claims and volumes that are being deleted once nobody uses them.
//! The finalizers that hold them are put on when they are created.

use crate::Work;
use crate::context::Context;
use crate::informers::Informers;
use crate::pod_ranking::is_finished;
use hardway_client::api::Patch;
use hardway_client::controller::{self, Next};
use hardway_client::queue::WorkQueue;
use hardway_client::{Api, Client, Store};
use hardway_proto::claims::of_pod;
use hardway_proto::meta::ObjectKey;
use hardway_proto::{Kind, Status};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use serde_json::json;
use std::sync::Arc;

const CLAIM_FINALIZER: &str = "kubernetes.io/pvc-protection";
const VOLUME_FINALIZER: &str = "kubernetes.io/pv-protection";

/// What to look at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Task {
    Claim(ObjectKey),
    Volume(String),
}

struct Controller {
    client: Client,
    pods: Store<Pod>,
    claims: Store<PersistentVolumeClaim>,
    volumes: Store<PersistentVolume>,
}

/// The controller.
pub fn register(informers: &mut Informers, context: &Context) -> Work {
    let queue = WorkQueue::new();
    let controller = Controller {
        client: context.client.clone(),
        pods: informers.pods.store(),
        claims: informers.claims.store(),
        volumes: informers.volumes.store(),
    };
    let on_claim = queue.clone();
    informers.claims.subscribe(move |change| {
        on_claim.add(Task::Claim(ObjectKey::of(change.object().as_ref())));
    });
    let on_volume = queue.clone();
    informers.volumes.subscribe(move |change| {
        on_volume.add(Task::Volume(change.object().name().to_owned()));
    });
    let on_pod = queue.clone();
    informers.pods.subscribe(move |change| {
        let pod = change.object();
        for name in of_pod(pod) {
            on_pod.add(Task::Claim(ObjectKey::new(pod.namespace(), &*name)));
        }
    });
    Box::pin(async move {
        controller.pods.wait_synced().await;
        controller.claims.wait_synced().await;
        controller.volumes.wait_synced().await;
        controller::run("volume-protection", queue, 1, |task| {
            controller.reconcile(task)
        })
        .await;
    })
}

/// Whether a pod on some node needs the claim. One without a node may wait in vain for
/// ever, and kubelets refuse pods whose claim is being deleted.
fn is_used(claim: &str, pods: &[Arc<Pod>]) -> bool {
    let has_node = |pod: &Pod| {
        pod.spec
            .as_ref()
            .is_some_and(|spec| spec.node_name.is_some())
    };
    pods.iter()
        .filter(|pod| has_node(pod) && !is_finished(pod))
        .any(|pod| of_pod(pod).contains(claim))
}

impl Controller {
    /// The cache may be late, and show no pod that has just got its node: it is asked for
    /// before data is given up.
    async fn pods_now(&self, namespace: &str) -> Result<Vec<Arc<Pod>>, Status> {
        let pods = self.client.namespaced::<Pod>(namespace);
        let all = pods.dynamic().list("", "").await?;
        let read = |pod: &hardway_proto::api::Object| Pod::parse(&pod.json).ok().map(Arc::new);
        Ok(all.items.iter().filter_map(read).collect())
    }

    async fn reconcile(&self, task: Task) -> Result<Next, Status> {
        match task {
            Task::Claim(key) => {
                let Some(claim) = self.claims.get(&key) else {
                    return Ok(Next::Done);
                };
                let pods = self.pods.in_namespace(&key.namespace);
                if is_held(claim.as_ref(), CLAIM_FINALIZER)
                    && !is_used(&key.name, &pods)
                    && !is_used(&key.name, &self.pods_now(&key.namespace).await?)
                {
                    let api = self.client.namespaced(&key.namespace);
                    release(&api, claim.as_ref(), CLAIM_FINALIZER).await?;
                }
            }
            Task::Volume(name) => {
                let Some(volume) = self.volumes.get(&ObjectKey::new("", &name)) else {
                    return Ok(Next::Done);
                };
                let phase = volume.status.as_ref().and_then(|s| s.phase.as_deref());
                if phase != Some("Bound") {
                    release(&self.client.all(), volume.as_ref(), VOLUME_FINALIZER).await?;
                }
            }
        }
        Ok(Next::Done)
    }
}

/// Whether an object that is being deleted has a finalizer.
fn is_held<K: Kind>(object: &K, finalizer: &str) -> bool {
    let finalizers = object.meta().finalizers.as_ref();
    object.meta().deletion_timestamp.is_some()
        && finalizers.is_some_and(|all| all.iter().any(|one| one == finalizer))
}

/// Takes the finalizer off an object that is being deleted.
async fn release<K: Kind>(api: &Api<K>, object: &K, finalizer: &str) -> Result<(), Status> {
    if !is_held(object, finalizer) {
        return Ok(());
    }
    let finalizers = object.meta().finalizers.clone().unwrap_or_default();
    let left: Vec<_> = finalizers.into_iter().filter(|f| f != finalizer).collect();
    let patch = json!({"metadata": {
        "uid": object.uid(), "resourceVersion": object.resource_version(), "finalizers": left,
    }});
    match api.patch(object.name(), Patch::Merge(&patch)).await {
        Err(status) if !status.is_not_found() => Err(status),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_used_while_a_living_pod_names_it() {
        let pod = |phase: &str, node: Option<&str>| -> Arc<Pod> {
            let volume = json!({"name": "v", "persistentVolumeClaim": {"claimName": "data"}});
            let spec = json!({"containers": [], "volumes": [volume], "nodeName": node});
            let object = json!({"spec": spec, "status": {"phase": phase}});
            Arc::new(serde_json::from_value(object).unwrap())
        };
        assert!(is_used("data", &[pod("Running", Some("a"))]));
        assert!(!is_used("other", &[pod("Running", Some("a"))]));
        assert!(!is_used("data", &[pod("Succeeded", Some("a"))]));
        assert!(!is_used("data", &[pod("Pending", None)]));
    }
}
