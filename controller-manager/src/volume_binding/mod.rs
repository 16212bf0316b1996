//! Binds claims to volumes: a claim gets one that fits, or is marked for whoever makes one;
//! volume and claim name each other. A volume whose claim is gone is released.
//!
//! The decisions are pure: [`claim`] and [`volume`] say what comes next, and how the objects
//! look then; which volume fits is in [`hardway_proto::claims`], because the scheduler has to
//! see it likewise. [`controller`] carries out.

mod claim;
mod controller;
#[cfg(test)]
mod testing;
mod volume;

use crate::Work;
use crate::context::Context;
use crate::informers::Informers;
use controller::{Controller, Task};
use hardway_client::queue::WorkQueue;
use hardway_proto::Kind;
use hardway_proto::claims::{claim_ref, is_bound, volume_name};
use hardway_proto::meta::ObjectKey;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

/// The controller.
pub fn register(informers: &mut Informers, context: &Context) -> Work {
    let queue = WorkQueue::new();
    let controller = Controller {
        client: context.client.clone(),
        recorder: context.recorder("persistentvolume-controller"),
        pods: informers.pods.store(),
        claims: informers.claims.store(),
        volumes: informers.volumes.store(),
        classes: informers.storage_classes.store(),
    };
    let (claims, volumes) = (controller.claims.clone(), controller.volumes.clone());
    let on_claim = queue.clone();
    informers.claims.subscribe(move |change| {
        let claim = change.object();
        on_claim.add(Task::Claim(ObjectKey::of(claim.as_ref())));
        // Those that are for it learn that it is bound, or gone.
        let is_its = |volume: &PersistentVolume| {
            volume_name(claim) == volume.name()
                || claim_ref(volume).is_some_and(|of| {
                    of.name.as_deref() == Some(claim.name())
                        && of.namespace.as_deref() == Some(claim.namespace())
                })
        };
        for volume in volumes.list().iter().filter(|volume| is_its(volume)) {
            on_claim.add(Task::Volume(volume.name().to_owned()));
        }
    });
    let on_volume = queue.clone();
    let (named, waiting) = (claims.clone(), claims);
    informers.volumes.subscribe(move |change| {
        let volume = change.object();
        on_volume.add(Task::Volume(volume.name().to_owned()));
        if let Some(key) = for_claim(volume) {
            on_volume.add(Task::Claim(key));
        }
        // Those that name it may have lost it; those that wait may have waited for it.
        let is_free = claim_ref(volume).is_none();
        let concerned = |claim: &PersistentVolumeClaim| {
            volume_name(claim) == volume.name() || is_free && !is_bound(claim)
        };
        for claim in named.list().iter().filter(|claim| concerned(claim)) {
            on_volume.add(Task::Claim(ObjectKey::of(claim.as_ref())));
        }
    });
    let on_class = queue.clone();
    informers.storage_classes.subscribe(move |_| {
        for claim in waiting.list().iter().filter(|claim| !is_bound(claim)) {
            on_class.add(Task::Claim(ObjectKey::of(claim.as_ref())));
        }
    });
    Box::pin(async move {
        controller.pods.wait_synced().await;
        controller.claims.wait_synced().await;
        controller.volumes.wait_synced().await;
        controller.classes.wait_synced().await;
        // One at a time: two claims want the same volume too easily.
        hardway_client::controller::run("persistentvolume-binder", queue, 1, |task| {
            controller.reconcile(task)
        })
        .await;
    })
}

/// The claim that a volume is for.
fn for_claim(volume: &PersistentVolume) -> Option<ObjectKey> {
    let of = claim_ref(volume)?;
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    Some(ObjectKey::new(text(&of.namespace), text(&of.name)))
}
