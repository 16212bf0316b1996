//! StatefulSets: pods with names that stay, made and replaced one after
//! another, and claims that belong to each of the names.
//!
//! The decisions are pure and have a file each: [`actions`] says what is to be
//! done next; [`identity`] what a pod of an ordinal is like; [`claims`] which
//! claims it has, and who owns them; [`status`] what the StatefulSet shows of
//! it. [`controller`] carries out.

mod actions;
mod claims;
mod controller;
mod identity;
mod status;
#[cfg(test)]
mod testing;

use crate::context::Context;
use crate::expectations::Expectations;
use crate::informers::{Informers, follow};
use crate::{Work, adoption};
use controller::Controller;
use hardway_client::Store;
use hardway_client::controller::run;
use hardway_client::informer::Change;
use hardway_client::queue::WorkQueue;
use hardway_proto::Kind;
use hardway_proto::labels::Selector;
use hardway_proto::meta::ObjectKey;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use std::sync::Arc;

const WORKERS: usize = 5;

/// The controller.
pub fn register(informers: &mut Informers, context: &Context) -> Work {
    let queue = WorkQueue::new();
    let expectations = Arc::new(Expectations::default());
    let controller = Controller {
        client: context.client.clone(),
        recorder: context.recorder("statefulset-controller"),
        sets: informers.stateful_sets.store(),
        pods: informers.pods.store(),
        claims: informers.claims.store(),
        revisions: informers.controller_revisions.store(),
        expectations: expectations.clone(),
    };
    follow(&mut informers.stateful_sets, &queue);
    let (on_pod, sets) = (queue.clone(), informers.stateful_sets.store());
    informers.pods.subscribe(move |change| {
        expectations.follow::<StatefulSet>(change);
        for set in adoption::concerned(change, &sets, selector) {
            on_pod.add(set);
        }
        if let Some(set) = set_of_name_left(change, &sets) {
            on_pod.add(set);
        }
    });
    let (on_claim, sets) = (queue.clone(), informers.stateful_sets.store());
    informers.claims.subscribe(move |change| {
        for set in sets_with_claim(change.object(), &sets) {
            on_claim.add(set);
        }
    });
    let (on_revision, sets) = (queue.clone(), informers.stateful_sets.store());
    informers.controller_revisions.subscribe(move |change| {
        for set in adoption::concerned(change, &sets, selector) {
            on_revision.add(set);
        }
    });
    Box::pin(async move {
        controller.sets.wait_synced().await;
        controller.pods.wait_synced().await;
        controller.claims.wait_synced().await;
        controller.revisions.wait_synced().await;
        run("statefulset", queue, WORKERS, |key| {
            controller.reconcile(key)
        })
        .await;
    })
}

fn selector(set: &StatefulSet) -> Option<Selector> {
    Selector::from_label_selector(&set.spec.as_ref()?.selector).ok()
}

/// The StatefulSet that may have waited for the name of a pod that is gone,
/// whoever's it was.
fn set_of_name_left(change: &Change<Pod>, sets: &Store<StatefulSet>) -> Option<ObjectKey> {
    let Change::Deleted(pod) = change else {
        return None;
    };
    let (set, _) = pod.name().rsplit_once('-')?;
    let key = ObjectKey::new(pod.namespace(), set);
    sets.get(&key).map(|_| key)
}

/// The StatefulSets whose pods may use a claim, by its name.
fn sets_with_claim(claim: &PersistentVolumeClaim, sets: &Store<StatefulSet>) -> Vec<ObjectKey> {
    let mut candidates = sets.in_namespace(claim.namespace());
    candidates.retain(|set| {
        let templates = set.spec.iter();
        let mut templates = templates.flat_map(|s| s.volume_claim_templates.iter().flatten());
        templates.any(|template| {
            let rest = claim.name().strip_prefix(template.name());
            let rest = rest.and_then(|rest| rest.strip_prefix('-'));
            rest.is_some_and(|pod| identity::ordinal(set, pod).is_some())
        })
    });
    let keys = candidates.iter().map(|set| ObjectKey::of(set.as_ref()));
    keys.collect()
}
