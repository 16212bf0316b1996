//! Claims of pods, and the volumes that they have or get: which go with a node, and how they
//! are bound before the pod is.

use crate::node_info::NodeInfo;
use hardway_client::{Client, Informer, Store};
use hardway_proto::claims::{
    NO_PROVISIONER, SELECTED_NODE, allows_node, annotation, best_match, class_of_claim, is_bound,
    kept_for, of_pod, volume_name, waits_for_consumer,
};
use hardway_proto::meta::ObjectKey;
use hardway_proto::{Kind, Status};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long volumes may take to be made and bound, Kubernetes' `bindTimeoutSeconds`.
const BIND_TIMEOUT: Duration = Duration::from_secs(600);

/// Why a pod's claims don't go with a node, in Kubernetes' words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// There is no such claim.
    #[error("persistentvolumeclaim {0:?} not found")]
    NoClaim(String),
    /// It goes.
    #[error("persistentvolumeclaim {0:?} is being deleted")]
    ClaimGoes(String),
    /// Its volume was lost.
    #[error("node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)")]
    NoVolume,
    /// It gets its volume without regard to pods, and has none yet.
    #[error("pod has unbound immediate PersistentVolumeClaims")]
    Unbound,
    /// Its volume is elsewhere.
    #[error("node(s) had volume node affinity conflict")]
    Elsewhere,
    /// No volume for it is here, and none can be made.
    #[error("node(s) didn't find available persistent volumes to bind")]
    NothingToBind,
}

/// What a claim without a volume gets on a node.
#[derive(Clone, Debug)]
pub enum Choice {
    /// This volume.
    Volume(Arc<PersistentVolumeClaim>, Arc<PersistentVolume>),
    /// One that is made for it.
    Provision(Arc<PersistentVolumeClaim>),
}

impl Choice {
    fn claim(&self) -> &Arc<PersistentVolumeClaim> {
        match self {
            Self::Volume(claim, _) | Self::Provision(claim) => claim,
        }
    }
}

/// All claims, volumes and classes; clones share them.
#[derive(Clone)]
pub struct Storage {
    claims: Store<PersistentVolumeClaim>,
    volumes: Store<PersistentVolume>,
    classes: Store<StorageClass>,
    changes: Arc<watch::Sender<()>>,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            claims: Store::default(),
            volumes: Store::default(),
            classes: Store::default(),
            changes: Arc::new(watch::channel(()).0),
        }
    }
}

impl Storage {
    /// Whether all are known.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self) -> Result<(), String> {
        self.claims.check()?;
        self.volumes.check()?;
        self.classes.check()
    }

    /// Waits until all are known.
    pub async fn wait_synced(&self) {
        self.claims.wait_synced().await;
        self.volumes.wait_synced().await;
        self.classes.wait_synced().await;
    }

    /// Says to those who wait that something has changed.
    pub fn changed(&self) {
        self.changes.send_replace(());
    }

    /// What the claims of a pod that have no volume get on a node.
    ///
    /// # Errors
    /// Why the pod can't be there.
    pub fn choose(&self, pod: &Pod, node: &NodeInfo) -> Result<Vec<Choice>, Mismatch> {
        let mut choices = Vec::new();
        for name in of_pod(pod) {
            let key = ObjectKey::new(pod.namespace(), name);
            let claim = self
                .claims
                .get(&key)
                .ok_or_else(|| Mismatch::NoClaim(name.to_owned()))?;
            if claim.metadata.deletion_timestamp.is_some() {
                return Err(Mismatch::ClaimGoes(name.to_owned()));
            }
            if is_bound(&claim) {
                self.check_volume(volume_name(&claim), node)?;
            } else {
                choices.push(self.choose_for(claim, node, &choices)?);
            }
        }
        Ok(choices)
    }

    fn check_volume(&self, name: &str, node: &NodeInfo) -> Result<(), Mismatch> {
        let volume = self.volumes.get(&ObjectKey::new("", name));
        let volume = volume.ok_or(Mismatch::NoVolume)?;
        match allows_node(&volume, &node.name, node.labels()) {
            true => Ok(()),
            false => Err(Mismatch::Elsewhere),
        }
    }

    fn choose_for(
        &self,
        claim: Arc<PersistentVolumeClaim>,
        node: &NodeInfo,
        others: &[Choice],
    ) -> Result<Choice, Mismatch> {
        let name = class_of_claim(&claim).unwrap_or_default();
        let class = self.classes.get(&ObjectKey::new("", name));
        let class = class.filter(|class| waits_for_consumer(class));
        let class = class
            .filter(|_| volume_name(&claim).is_empty())
            .ok_or(Mismatch::Unbound)?;
        let can_make = class.provisioner != NO_PROVISIONER && is_allowed(&class, node);
        if let Some(selected) = annotation(claim.as_ref(), SELECTED_NODE) {
            // It is being made.
            return match selected == node.name && can_make {
                true => Ok(Choice::Provision(claim)),
                false => Err(Mismatch::NothingToBind),
            };
        }
        let is_taken = |volume: &PersistentVolume| {
            let taken = |choice: &Choice| matches!(choice, Choice::Volume(_, v) if v.name() == volume.name());
            others.iter().any(taken)
        };
        let usable = |volume: &PersistentVolume| {
            allows_node(volume, &node.name, node.labels()) && !is_taken(volume)
        };
        match best_match(&claim, &self.volumes.list(), usable) {
            Some(volume) => Ok(Choice::Volume(claim, volume)),
            None if can_make => Ok(Choice::Provision(claim)),
            None => Err(Mismatch::NothingToBind),
        }
    }

    /// Carries choices out, and waits until the claims have their volumes.
    ///
    /// # Errors
    /// If somebody else got a volume, a claim changed or went, or it takes too long: the pod
    /// is to be scheduled anew.
    pub async fn bind(
        &self,
        client: &Client,
        choices: &[Choice],
        node: &str,
    ) -> Result<(), Status> {
        self.keep(client, choices, node)
            .await
            .map_err(|status| match status.is_not_found() {
                // Of a claim or a volume, not of the pod.
                true => Status::conflict("", "persistentvolumeclaims", "", &status.message),
                false => status,
            })?;
        let mut changes = self.changes.subscribe();
        let bound = async {
            while !self.are_bound(choices)? {
                // The sender is here too.
                let _ = changes.changed().await;
            }
            Ok(())
        };
        let timeout = || Status::timeout("timed out waiting for the claims to be bound");
        tokio::time::timeout(BIND_TIMEOUT, bound)
            .await
            .unwrap_or_else(|_| Err(timeout()))
    }

    /// Keeps volumes for their claims, and asks for those that are to be made.
    async fn keep(&self, client: &Client, choices: &[Choice], node: &str) -> Result<(), Status> {
        for choice in choices {
            match choice {
                Choice::Volume(claim, volume) => {
                    if let Some(kept) = kept_for(volume, claim) {
                        client.all().update(&kept).await?;
                    }
                }
                Choice::Provision(claim) => {
                    if annotation(claim.as_ref(), SELECTED_NODE).is_none() {
                        let mut new = claim.as_ref().clone();
                        let annotations = new.metadata.annotations.get_or_insert_default();
                        annotations.insert(SELECTED_NODE.into(), node.into());
                        client.namespaced(claim.namespace()).update(&new).await?;
                    }
                }
            }
        }
        Ok(())
    }

    fn are_bound(&self, choices: &[Choice]) -> Result<bool, Status> {
        let mut all = true;
        for choice in choices {
            let claim = choice.claim();
            let now = self.claims.get(&ObjectKey::of(claim.as_ref()));
            let now = now.filter(|now| now.uid() == claim.uid());
            let conflict =
                |why: &str| Status::conflict("", "persistentvolumeclaims", claim.name(), why);
            let now = now.ok_or_else(|| conflict("it was deleted"))?;
            // Ours was the only change of what was known then.
            let has_changed = now.resource_version() != claim.resource_version();
            let is_selected = annotation(now.as_ref(), SELECTED_NODE).is_some();
            if matches!(choice, Choice::Provision(_)) && has_changed && !is_selected {
                return Err(conflict("no volume can be made for it on the node"));
            }
            if let Choice::Volume(_, volume) = choice
                && is_bound(&now)
                && volume_name(&now) != volume.name()
            {
                return Err(conflict("it got another volume"));
            }
            all &= is_bound(&now);
        }
        Ok(all)
    }
}

/// Whether volumes of a class may be made for a node.
fn is_allowed(class: &StorageClass, node: &NodeInfo) -> bool {
    let Some(terms) = class.allowed_topologies.as_ref().filter(|t| !t.is_empty()) else {
        return true;
    };
    terms.iter().any(|term| {
        let mut expressions = term.match_label_expressions.iter().flatten();
        expressions.all(|e| {
            let value = node.labels().get(&e.key);
            value.is_some_and(|value| e.values.contains(value))
        })
    })
}

/// What keeps a [`Storage`] as it is in the cluster.
pub struct Informers {
    /// What they fill.
    pub storage: Storage,
    claims: Informer<PersistentVolumeClaim>,
    volumes: Informer<PersistentVolume>,
    classes: Informer<StorageClass>,
}

impl Informers {
    /// Of the whole cluster.
    pub fn new(client: &Client) -> Self {
        let claims = Informer::new(client.all());
        let volumes = Informer::new(client.all());
        let classes = Informer::new(client.all());
        let storage = Storage {
            claims: claims.store(),
            volumes: volumes.store(),
            classes: classes.store(),
            ..Storage::default()
        };
        Self {
            storage,
            claims,
            volumes,
            classes,
        }
    }

    /// Has this called after each change.
    pub fn on_change(&mut self, handler: impl Fn() + Clone + Send + Sync + 'static) {
        let (on_claim, on_volume, on_class) = (handler.clone(), handler.clone(), handler);
        self.claims.subscribe(move |_| on_claim());
        self.volumes.subscribe(move |_| on_volume());
        self.classes.subscribe(move |_| on_class());
    }

    /// Starts them.
    pub fn start(self) {
        self.claims.start();
        self.volumes.start();
        self.classes.start();
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Storage made of JSON.

    use super::*;
    use serde_json::Value;

    fn fill<K: Kind>(store: &Store<K>, objects: Value) {
        for object in objects.as_array().expect("a list") {
            let object = K::parse(object.to_string().as_bytes()).expect("an object");
            store.insert(Arc::new(object));
        }
    }

    /// One claim, some volumes and classes.
    pub fn storage(claim: Value, volumes: Value, classes: Value) -> Storage {
        let storage = Storage::default();
        fill(&storage.claims, Value::Array(vec![claim]));
        fill(&storage.volumes, volumes);
        fill(&storage.classes, classes);
        storage
    }
}
