//! Deployments: each template gets a ReplicaSet of its own, and pods move from
//! the old ones to the new one as the strategy says.
//!
//! The decisions are pure and have a file each: [`step`] says what comes next,
//! by [`rolling`] and [`scaling`]; [`status`] what the Deployment shows of it;
//! [`revision`] and [`history`] which templates are remembered. [`controller`]
//! carries out.

mod conditions;
mod controller;
mod history;
mod revision;
mod rollback;
mod rolling;
mod scaling;
mod sets;
mod settings;
mod status;
mod step;
mod template;
#[cfg(test)]
mod testing;

use crate::Work;
use crate::adoption;
use crate::context::Context;
use crate::informers::{Informers, follow};
use crate::pod_ranking::is_finished;
use crate::written::Written;
use controller::Controller;
use hardway_client::Store;
use hardway_client::controller::run;
use hardway_client::informer::Change;
use hardway_client::queue::WorkQueue;
use hardway_proto::Kind;
use hardway_proto::labels::Selector;
use hardway_proto::meta::{ObjectKey, controller_of};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;

const WORKERS: usize = 5;

/// The controller.
pub fn register(informers: &mut Informers, context: &Context) -> Work {
    let queue = WorkQueue::new();
    let controller = Controller {
        client: context.client.clone(),
        recorder: context.recorder("deployment-controller"),
        deployments: informers.deployments.store(),
        sets: informers.replica_sets.store(),
        pods: informers.pods.store(),
        written: Written::default(),
        written_sets: Written::default(),
    };
    follow(&mut informers.deployments, &queue);
    let (on_set, deployments) = (queue.clone(), informers.deployments.store());
    informers.replica_sets.subscribe(move |change| {
        for owner in adoption::concerned(change, &deployments, selector) {
            on_set.add(owner);
        }
    });
    let (on_pod, sets) = (queue.clone(), informers.replica_sets.store());
    informers.pods.subscribe(move |change| {
        if let Some(key) = ended(change, &sets) {
            on_pod.add(key);
        }
    });
    Box::pin(async move {
        controller.deployments.wait_synced().await;
        controller.sets.wait_synced().await;
        controller.pods.wait_synced().await;
        run("deployment", queue, WORKERS, |key| {
            controller.reconcile(key)
        })
        .await;
    })
}

fn selector(deployment: &Deployment) -> Option<Selector> {
    Selector::from_label_selector(&deployment.spec.as_ref()?.selector).ok()
}

/// The Deployment of a pod that has ended: it may be the last old one that a
/// recreation waits for.
fn ended(change: &Change<Pod>, sets: &Store<ReplicaSet>) -> Option<ObjectKey> {
    let pod = change.object();
    if !matches!(change, Change::Deleted(_)) && !is_finished(pod) {
        return None;
    }
    let owner = controller_of(&pod.metadata).filter(|o| o.kind == ReplicaSet::KIND)?;
    let set = sets.get(&ObjectKey::new(pod.namespace(), &owner.name))?;
    adoption::owner_of::<Deployment, _>(set.as_ref()).filter(|_| set.uid() == owner.uid)
}
