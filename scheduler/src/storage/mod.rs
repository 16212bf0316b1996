//! Claims of pods, and the volumes that they have or get: which go with a node ([`claims`]),
//! and how they are bound before the pod is ([`binding`]).

mod binding;
mod capacity;
pub mod claims;
mod limits;
#[cfg(test)]
pub(crate) mod testing;

pub use claims::{Choice, Claims, Mismatch};
pub use limits::{Attachable, Limits};

use hardway_client::{Client, Informer, Store};
use hardway_proto::Kind;
use hardway_proto::claims::{claim_ref, class_of_volume};
use hardway_proto::meta::ObjectKey;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::{
    CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment,
};
use std::sync::Arc;
use tokio::sync::watch;

/// Index of volumes that are for nobody, by their class: one pod looks at these alone.
const FREE: &str = "free";
/// Index of volumes by the `namespace/name` of the claim that they are for.
const OF_CLAIM: &str = "claim";
/// Index of capacities by their class, and of attachments by their node.
const CLASS: &str = "class";
const NODE: &str = "node";

/// All that is known of storage; clones share it.
#[derive(Clone)]
pub struct Storage {
    claims: Store<PersistentVolumeClaim>,
    volumes: Store<PersistentVolume>,
    classes: Store<StorageClass>,
    drivers: Store<CSIDriver>,
    csi_nodes: Store<CSINode>,
    capacities: Store<CSIStorageCapacity>,
    attachments: Store<VolumeAttachment>,
    /// How many changes there have been.
    changes: Arc<watch::Sender<u64>>,
}

fn free_class(volume: &PersistentVolume) -> Vec<String> {
    match claim_ref(volume) {
        None => vec![class_of_volume(volume).to_owned()],
        Some(_) => Vec::new(),
    }
}

fn claim_of(volume: &PersistentVolume) -> Vec<String> {
    let name = claim_ref(volume).map(|of| {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        format!("{}/{}", text(&of.namespace), text(&of.name))
    });
    name.into_iter().collect()
}

fn class_of_capacity(capacity: &CSIStorageCapacity) -> Vec<String> {
    vec![capacity.storage_class_name.clone()]
}

fn node_of(attachment: &VolumeAttachment) -> Vec<String> {
    vec![attachment.spec.node_name.clone()]
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            claims: Store::default(),
            volumes: Store::new(&[(FREE, free_class), (OF_CLAIM, claim_of)]),
            classes: Store::default(),
            drivers: Store::default(),
            csi_nodes: Store::default(),
            capacities: Store::new(&[(CLASS, class_of_capacity)]),
            attachments: Store::new(&[(NODE, node_of)]),
            changes: Arc::new(watch::channel(0).0),
        }
    }
}

impl Storage {
    /// Whether all is known that has to be.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self) -> Result<(), String> {
        self.claims.check()?;
        self.volumes.check()?;
        self.classes.check()?;
        self.drivers.check()?;
        self.csi_nodes.check()?;
        self.capacities.check()?;
        self.attachments.check()
    }

    /// Waits until it is.
    pub async fn wait_synced(&self) {
        self.claims.wait_synced().await;
        self.volumes.wait_synced().await;
        self.classes.wait_synced().await;
        self.drivers.wait_synced().await;
        self.csi_nodes.wait_synced().await;
        self.capacities.wait_synced().await;
        self.attachments.wait_synced().await;
    }

    /// Says to those who wait that something has changed.
    pub fn changed(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Another one after each change: what was computed with the same is still so.
    pub fn version(&self) -> u64 {
        *self.changes.borrow()
    }

    /// A claim of a namespace.
    pub fn claim(&self, namespace: &str, name: &str) -> Option<Arc<PersistentVolumeClaim>> {
        self.claims.get(&ObjectKey::new(namespace, name))
    }

    /// A volume by its name.
    pub fn volume(&self, name: &str) -> Option<Arc<PersistentVolume>> {
        self.volumes.get(&ObjectKey::new("", name))
    }

    fn class(&self, name: &str) -> Option<Arc<StorageClass>> {
        self.classes.get(&ObjectKey::new("", name))
    }
}

/// What keeps a [`Storage`] as it is in the cluster.
pub struct Informers {
    /// What they fill.
    pub storage: Storage,
    claims: Informer<PersistentVolumeClaim>,
    volumes: Informer<PersistentVolume>,
    classes: Informer<StorageClass>,
    drivers: Informer<CSIDriver>,
    csi_nodes: Informer<CSINode>,
    capacities: Informer<CSIStorageCapacity>,
    attachments: Informer<VolumeAttachment>,
}

impl Informers {
    /// Of the whole cluster.
    pub fn new(client: &Client) -> Self {
        let claims = Informer::new(client.all());
        let volumes = Informer::new(client.all())
            .index(FREE, free_class)
            .index(OF_CLAIM, claim_of);
        let classes = Informer::new(client.all());
        let drivers = Informer::new(client.all());
        let csi_nodes = Informer::new(client.all());
        let capacities = Informer::new(client.all()).index(CLASS, class_of_capacity);
        let attachments = Informer::new(client.all()).index(NODE, node_of);
        let storage = Storage {
            claims: claims.store(),
            volumes: volumes.store(),
            classes: classes.store(),
            drivers: drivers.store(),
            csi_nodes: csi_nodes.store(),
            capacities: capacities.store(),
            attachments: attachments.store(),
            ..Storage::default()
        };
        Self {
            storage,
            claims,
            volumes,
            classes,
            drivers,
            csi_nodes,
            capacities,
            attachments,
        }
    }

    /// Has this called after each change.
    pub fn on_change(&mut self, handler: impl Fn() + Clone + Send + Sync + 'static) {
        fn follow<K: Kind>(
            informer: &mut Informer<K>,
            handler: &(impl Fn() + Clone + Send + Sync + 'static),
        ) {
            let handler = handler.clone();
            informer.subscribe(move |_| handler());
        }
        follow(&mut self.claims, &handler);
        follow(&mut self.volumes, &handler);
        follow(&mut self.classes, &handler);
        follow(&mut self.drivers, &handler);
        follow(&mut self.csi_nodes, &handler);
        follow(&mut self.capacities, &handler);
        follow(&mut self.attachments, &handler);
    }

    /// Starts them.
    pub fn start(self) {
        self.claims.start();
        self.volumes.start();
        self.classes.start();
        self.drivers.start();
        self.csi_nodes.start();
        self.capacities.start();
        self.attachments.start();
    }
}
