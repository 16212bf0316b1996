//! Attaches volumes of CSI drivers to the nodes whose pods need them, and detaches them when
//! no pod does: by VolumeAttachments, which each driver's external-attacher carries out.
//!
//! There is no memory of what is attached where: the attachments are it, and who comes after a
//! restart goes on from them. [`attachment`] is how one looks, [`use_of`] who needs a volume
//! where, [`decision`] what comes next for a volume, [`report`] what a node is told, and
//! [`controller`] carries out.
//!
//! A kubelet uses a volume only while its Node's `volumesAttached` has it, and says in
//! `volumesInUse` before it does. So a volume is first taken out of the one, then looked for in
//! the other, and only then detached.

mod attachment;
mod controller;
mod decision;
mod report;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod use_of;

use crate::Work;
use crate::context::Context;
use crate::informers::{BY_NODE, Informers, NODE_OF_ATTACHMENT};
use crate::out_of_service::{is_ready, is_tainted};
use controller::{Controller, Memory, Task};
use hardway_client::informer::Change;
use hardway_client::queue::WorkQueue;
use hardway_proto::Kind;
use hardway_proto::claims::{of_volumes, volume_name};
use hardway_proto::meta::ObjectKey;
use k8s_openapi::api::core::v1::{Node, Pod};
use parking_lot::Mutex;
use std::sync::Arc;

/// The controller.
pub fn register(informers: &mut Informers, context: &Context) -> Work {
    prepare(informers, context).1
}

/// The controller, and what it remembers.
fn prepare(informers: &mut Informers, context: &Context) -> (Arc<Mutex<Memory>>, Work) {
    let queue = WorkQueue::new();
    let controller = Controller::new(informers, context, queue.clone());
    let memory = controller.memory();
    // A pod's claims lead to volumes.
    let (on_pod, claims) = (queue.clone(), informers.claims.store());
    let volumes_of = move |pod: &Pod| -> Vec<Task> {
        let named = of_volumes(pod).map(|claim| ObjectKey::new(pod.namespace(), claim.name));
        let claims = named.filter_map(|key| claims.get(&key));
        let names = claims.map(|claim| volume_name(&claim).to_owned());
        let names = names.filter(|name| !name.is_empty());
        names.map(Task::Volume).collect()
    };
    let of_pod = volumes_of.clone();
    informers.pods.subscribe(move |change| {
        for task in of_pod(change.object()) {
            on_pod.add(task);
        }
    });
    let on_claim = queue.clone();
    informers.claims.subscribe(move |change| {
        let name = volume_name(change.object());
        if !name.is_empty() {
            on_claim.add(Task::Volume(name.to_owned()));
        }
    });
    let on_volume = queue.clone();
    informers.volumes.subscribe(move |change| {
        let volume = change.object();
        if attachment::source(volume).is_some() {
            on_volume.add(Task::Volume(volume.name().to_owned()));
        }
    });
    let (on_driver, volumes) = (queue.clone(), informers.volumes.store());
    informers.csi_drivers.subscribe(move |change| {
        let driver = change.object().name();
        for volume in volumes.list() {
            if attachment::source(&volume).is_some_and(|source| source.driver == driver) {
                on_driver.add(Task::Volume(volume.name().to_owned()));
            }
        }
    });
    let (on_attachment, forgetful) = (queue.clone(), memory.clone());
    informers.attachments.subscribe(move |change| {
        if let Change::Deleted(gone) = change {
            forgetful.lock().forget(gone);
        }
        let spec = &change.object().spec;
        if let Some(volume) = &spec.source.persistent_volume_name {
            on_attachment.add(Task::Volume(volume.clone()));
        }
        on_attachment.add(Task::Node(spec.node_name.clone()));
    });
    let on_node = queue.clone();
    let (attachments, pods) = (informers.attachments.store(), informers.pods.store());
    informers.nodes.subscribe(move |change| {
        let name = change.object().name();
        match change {
            Change::Applied {
                old: Some(old),
                new,
            } if !has_changed(old, new) => return,
            // Its pods may be waiting for it.
            Change::Applied { old, new }
                if old
                    .as_ref()
                    .is_none_or(|old| use_of::is_managed(old) != use_of::is_managed(new)) =>
            {
                for task in pods
                    .by_index(BY_NODE, name)
                    .iter()
                    .flat_map(|pod| volumes_of(pod))
                {
                    on_node.add(task);
                }
            }
            _ => {}
        }
        on_node.add(Task::Node(name.to_owned()));
        for attachment in attachments.by_index(NODE_OF_ATTACHMENT, name) {
            if let Some(volume) = &attachment.spec.source.persistent_volume_name {
                on_node.add(Task::Volume(volume.clone()));
            }
        }
    });
    let work: Work = Box::pin(async move {
        controller.wait_synced().await;
        hardway_client::controller::run("attachdetach", queue, 8, |task| {
            controller.reconcile(task)
        })
        .await;
    });
    (memory, work)
}

/// Whether anything of a node changed that attachments go by.
fn has_changed(old: &Node, new: &Node) -> bool {
    let volumes = |node: &Node| {
        let status = node.status.clone().unwrap_or_default();
        (status.volumes_in_use, status.volumes_attached)
    };
    volumes(old) != volumes(new)
        || use_of::is_managed(old) != use_of::is_managed(new)
        || is_ready(old) != is_ready(new)
        || is_tainted(old) != is_tainted(new)
}
