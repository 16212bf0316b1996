//! Carries out what was decided.

use super::claim::{self, Notice};
use super::{for_claim, volume};
use crate::informers::BY_CLAIM;
use hardway_client::controller::Next;
use hardway_client::events::{Recorder, reference};
use hardway_client::{Client, Store};
use hardway_proto::claims::{BIND_COMPLETED, annotation, is_for, kept_for};
use hardway_proto::meta::ObjectKey;
use hardway_proto::{Kind, Status};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;

/// What to look at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// A claim.
    Claim(ObjectKey),
    /// A volume, by its name.
    Volume(String),
}

/// What the controller works with.
pub struct Controller {
    /// The apiserver.
    pub client: Client,
    /// Where events go.
    pub recorder: Recorder,
    /// All pods.
    pub pods: Store<Pod>,
    /// All claims.
    pub claims: Store<PersistentVolumeClaim>,
    /// All volumes.
    pub volumes: Store<PersistentVolume>,
    /// All classes.
    pub classes: Store<StorageClass>,
}

impl Controller {
    /// Brings a claim or volume a step on.
    pub async fn reconcile(&self, task: Task) -> Result<Next, Status> {
        let outcome = match task {
            Task::Claim(key) => self.claim(&key).await,
            Task::Volume(name) => self.volume(&name).await,
        };
        match outcome {
            // It is gone, or has changed: the watch says so, and it is looked at again.
            Err(status) if status.is_not_found() || status.is_conflict() => Ok(Next::Done),
            other => other.map(|()| Next::Done),
        }
    }

    async fn claim(&self, key: &ObjectKey) -> Result<(), Status> {
        let Some(claim) = self.claims.get(key) else {
            return Ok(());
        };
        let goes = claim.metadata.deletion_timestamp.is_some();
        if goes && annotation(claim.as_ref(), BIND_COMPLETED).is_none() {
            return Ok(());
        }
        let api = self
            .client
            .namespaced::<PersistentVolumeClaim>(claim.namespace());
        let pods = self.pods.by_index(BY_CLAIM, &key.to_string());
        match claim::next(&claim, &self.volumes.list(), &self.classes.list(), &pods) {
            claim::Step::Bind(volume) => self.bind(&claim, &volume).await,
            claim::Step::Pending(notice) => {
                self.notice(claim.as_ref(), notice);
                match claim::in_phase(&claim, "Pending") {
                    Some(pending) => api.update_status(&pending).await.map(drop),
                    None => Ok(()),
                }
            }
            claim::Step::Classify(class) => {
                let mut new = (*claim).clone();
                new.spec.get_or_insert_default().storage_class_name = Some(class);
                api.update(&new).await.map(drop)
            }
            claim::Step::Provision(by, notice) => {
                if let Some(asked) = claim::provisioned(&claim, &by) {
                    api.update(&asked).await?;
                }
                self.notice(claim.as_ref(), Some(notice));
                Ok(())
            }
            claim::Step::Lost(notice) => {
                let Some(lost) = claim::in_phase(&claim, "Lost") else {
                    return Ok(());
                };
                api.update_status(&lost).await?;
                self.notice(claim.as_ref(), Some(notice));
                Ok(())
            }
        }
    }

    /// First the volume names its claim, so that nobody else gets it; then the claim its
    /// volume. Whatever was done when this ends halfway, the rest is done next time.
    async fn bind(
        &self,
        claim: &PersistentVolumeClaim,
        volume: &PersistentVolume,
    ) -> Result<(), Status> {
        let volumes = self.client.all::<PersistentVolume>();
        let claims = self
            .client
            .namespaced::<PersistentVolumeClaim>(claim.namespace());
        let mut volume = volume.clone();
        if let Some(named) = kept_for(&volume, claim) {
            volume = volumes.update(&named).await?;
        }
        if let Some(bound) = volume::in_phase(&volume, "Bound", None) {
            volume = volumes.update_status(&bound).await?;
        }
        let mut claim = claim.clone();
        if let Some(named) = claim::naming(&claim, &volume) {
            claim = claims.update(&named).await?;
        }
        if let Some(shown) = claim::showing(&claim, &volume) {
            claims.update_status(&shown).await?;
        }
        Ok(())
    }

    async fn volume(&self, name: &str) -> Result<(), Status> {
        let Some(volume) = self.volumes.get(&ObjectKey::new("", name)) else {
            return Ok(());
        };
        let claim = match for_claim(&volume) {
            None => None,
            Some(key) => match self.claims.get(&key).filter(|claim| is_for(&volume, claim)) {
                Some(claim) => Some((*claim).clone()),
                // A volume is not given up because a watch is late, or shows the former
                // claim of that name.
                None => {
                    let api = self.client.namespaced(&key.namespace);
                    api.get_opt(&key.name).await?
                }
            },
        };
        let api = self.client.all::<PersistentVolume>();
        match volume::next(&volume, claim.as_ref()) {
            volume::Step::Wait => Ok(()),
            volume::Step::Free => api.update(&volume::freed(&volume)).await.map(drop),
            volume::Step::Phase(phase, notice) => {
                let message = notice.as_ref().map(|notice| notice.message.as_str());
                let Some(new) = volume::in_phase(&volume, phase, message) else {
                    return Ok(());
                };
                api.update_status(&new).await?;
                self.notice(volume.as_ref(), notice);
                Ok(())
            }
        }
    }

    fn notice<K: Kind>(&self, object: &K, notice: Option<Notice>) {
        if let Some(notice) = notice {
            let about = reference(object);
            self.recorder
                .event(about, notice.r#type, notice.reason, notice.message);
        }
    }
}
