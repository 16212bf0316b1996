//! What stands beside a real driver's controller: it makes volumes for claims, attaches them,
//! and has them grow, as Kubernetes' external-provisioner, -attacher and -resizer do.

use crate::api::controller_server::Controller;
use crate::api::volume_capability::access_mode::Mode;
use crate::api::volume_capability::{AccessMode, AccessType, BlockVolume, MountVolume};
use crate::api::{
    CapacityRange, ControllerExpandVolumeRequest, ControllerPublishVolumeRequest,
    ControllerUnpublishVolumeRequest, CreateVolumeRequest, DeleteVolumeRequest, VolumeCapability,
};
use crate::driver::Driver;
use hardway_client::api::{Client, DeleteParams, Patch};
use hardway_client::controller::{self, Next};
use hardway_client::queue::WorkQueue;
use hardway_client::{Informer, Store};
use hardway_proto::Kind;
use hardway_proto::claims::{self, annotation, capacity, requested};
use hardway_proto::meta::ObjectKey;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::{CSINode, StorageClass, VolumeAttachment};
use serde_json::json;
use tonic::Request;

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Claim(ObjectKey),
    Volume(ObjectKey),
    Attachment(ObjectKey),
}

type Outcome = Result<Next, Box<dyn std::error::Error + Send + Sync>>;

/// Everything that the three share.
struct Sidecars {
    driver: Driver,
    client: Client,
    claims: Store<PersistentVolumeClaim>,
    volumes: Store<PersistentVolume>,
    attachments: Store<VolumeAttachment>,
    classes: Store<StorageClass>,
    nodes: Store<CSINode>,
}

fn follow<K: Kind>(client: &Client, queue: &WorkQueue<Key>, key: fn(ObjectKey) -> Key) -> Store<K> {
    let queue = queue.clone();
    Informer::new(client.all::<K>())
        .on_change(move |change| queue.add(key(ObjectKey::of(change.object().as_ref()))))
        .start()
}

/// Works until the future is dropped.
pub async fn run(driver: Driver, client: Client) {
    let queue = WorkQueue::new();
    let sidecars = Sidecars {
        claims: follow(&client, &queue, Key::Claim),
        volumes: follow(&client, &queue, Key::Volume),
        attachments: follow(&client, &queue, Key::Attachment),
        classes: Informer::new(client.all()).start(),
        nodes: Informer::new(client.all()).start(),
        driver,
        client,
    };
    let sidecars = &sidecars;
    sidecars.classes.wait_synced().await;
    sidecars.nodes.wait_synced().await;
    sidecars.volumes.wait_synced().await;
    let work = |key| async move {
        match &key {
            Key::Claim(key) => sidecars.claim(key).await,
            Key::Volume(key) => sidecars.volume(key).await,
            Key::Attachment(key) => sidecars.attachment(key).await,
        }
    };
    controller::run("csi-sidecars", queue, 4, work).await;
}

fn capability(is_block: bool) -> VolumeCapability {
    let access_type = match is_block {
        true => AccessType::Block(BlockVolume {}),
        false => AccessType::Mount(MountVolume::default()),
    };
    let mode = Mode::SingleNodeWriter.into();
    VolumeCapability {
        access_type: Some(access_type),
        access_mode: Some(AccessMode { mode }),
    }
}

impl Sidecars {
    fn name(&self) -> &str {
        &self.driver.settings.name
    }

    async fn claim(&self, key: &ObjectKey) -> Outcome {
        let Some(claim) = self.claims.get(key) else {
            return Ok(Next::Done);
        };
        let is_going = claim.metadata.deletion_timestamp.is_some();
        match claims::volume_name(&claim).is_empty() {
            true if !is_going => self.provision(&claim).await,
            false if !is_going => self.expand(&claim).await,
            _ => Ok(Next::Done),
        }
    }

    /// Makes a volume for a claim that waits for one of this driver's.
    async fn provision(&self, claim: &PersistentVolumeClaim) -> Outcome {
        let asked = annotation(claim, claims::PROVISIONER);
        let asked =
            asked.or_else(|| annotation(claim, "volume.beta.kubernetes.io/storage-provisioner"));
        let class = claims::class_of_claim(claim).unwrap_or_default();
        let class = self.classes.get(&ObjectKey::new("", class));
        let (Some(class), Some(_)) = (class, asked.filter(|name| *name == self.name())) else {
            return Ok(Next::Done);
        };
        if claims::waits_for_consumer(&class) && annotation(claim, claims::SELECTED_NODE).is_none()
        {
            return Ok(Next::Done);
        }
        let spec = claim.spec.clone().unwrap_or_default();
        let name = format!("pvc-{}", claim.uid());
        let is_block = spec.volume_mode.as_deref() == Some("Block");
        let request = CreateVolumeRequest {
            name: name.clone(),
            capacity_range: Some(CapacityRange {
                required_bytes: requested(claim).value(),
                limit_bytes: 0,
            }),
            volume_capabilities: vec![capability(is_block)],
            parameters: class.parameters.clone().unwrap_or_default(),
            ..CreateVolumeRequest::default()
        };
        let made = self.driver.create_volume(Request::new(request)).await?;
        let made = made.into_inner().volume.unwrap_or_default();
        let volume = json!({
            "apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": {"name": name, "annotations": {claims::PROVISIONED_BY: self.name()}},
            "spec": {
                "accessModes": spec.access_modes,
                "capacity": {"storage": made.capacity_bytes.to_string()},
                "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": claim.name(),
                             "namespace": claim.namespace(), "uid": claim.uid()},
                "csi": {"driver": self.name(), "volumeHandle": made.volume_id,
                        "volumeAttributes": made.volume_context},
                "persistentVolumeReclaimPolicy": class.reclaim_policy.as_deref().unwrap_or("Delete"),
                "storageClassName": class.name(),
                "volumeMode": spec.volume_mode.as_deref().unwrap_or("Filesystem"),
            },
        });
        let volume = PersistentVolume::parse(volume.to_string().as_bytes())?;
        match self.client.all::<PersistentVolume>().create(&volume).await {
            Err(status) if !status.is_already_exists() => Err(status.to_string().into()),
            _ => Ok(Next::Done),
        }
    }

    /// Has a volume grow to what its claim asks.
    async fn expand(&self, claim: &PersistentVolumeClaim) -> Outcome {
        let volume = self
            .volumes
            .get(&ObjectKey::new("", claims::volume_name(claim)));
        let Some(volume) = volume else {
            return Ok(Next::Done);
        };
        let csi = volume.spec.as_ref().and_then(|spec| spec.csi.as_ref());
        let asked = requested(claim);
        let Some(csi) = csi.filter(|csi| csi.driver == self.name() && asked > capacity(&volume))
        else {
            return Ok(Next::Done);
        };
        let request = ControllerExpandVolumeRequest {
            volume_id: csi.volume_handle.clone(),
            capacity_range: Some(CapacityRange {
                required_bytes: asked.value(),
                limit_bytes: 0,
            }),
            ..ControllerExpandVolumeRequest::default()
        };
        let done = self
            .driver
            .controller_expand_volume(Request::new(request))
            .await?;
        let size = done.into_inner().capacity_bytes.to_string();
        let volumes = self.client.all::<PersistentVolume>();
        let patch = json!({"spec": {"capacity": {"storage": size}}});
        volumes
            .patch(volume.name(), Patch::Merge(&patch))
            .await
            .map_err(|e| e.to_string())?;
        // The node does the rest.
        let pending = json!({"status": {"conditions": [{"type": "FileSystemResizePending", "status": "True",
            "message": "Waiting for user to (re-)start a pod to finish file system resize of volume on node."}]}});
        let claims = self
            .client
            .namespaced::<PersistentVolumeClaim>(claim.namespace());
        let told = claims
            .patch_status(claim.name(), Patch::Merge(&pending))
            .await;
        told.map_err(|e| e.to_string())?;
        Ok(Next::Done)
    }

    /// Deletes a volume that was made for a claim which is gone.
    async fn volume(&self, key: &ObjectKey) -> Outcome {
        let Some(volume) = self.volumes.get(key) else {
            return Ok(Next::Done);
        };
        let spec = volume.spec.clone().unwrap_or_default();
        let phase = volume
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref());
        let policy = spec.persistent_volume_reclaim_policy.as_deref();
        let is_ours = annotation(volume.as_ref(), claims::PROVISIONED_BY) == Some(self.name());
        let Some(csi) = spec
            .csi
            .filter(|_| is_ours && phase == Some("Released") && policy == Some("Delete"))
        else {
            return Ok(Next::Done);
        };
        let request = DeleteVolumeRequest {
            volume_id: csi.volume_handle,
            ..DeleteVolumeRequest::default()
        };
        self.driver.delete_volume(Request::new(request)).await?;
        let volumes = self.client.all::<PersistentVolume>();
        match volumes
            .delete(volume.name(), &DeleteParams::of(volume.uid()))
            .await
        {
            Err(status) if !status.is_not_found() => Err(status.to_string().into()),
            _ => Ok(Next::Done),
        }
    }

    /// Attaches a volume, or detaches it.
    async fn attachment(&self, key: &ObjectKey) -> Outcome {
        let Some(attachment) = self.attachments.get(key) else {
            return Ok(Next::Done);
        };
        if attachment.spec.attacher != self.name() {
            return Ok(Next::Done);
        }
        let volume = attachment.spec.source.persistent_volume_name.as_deref();
        let volume = self
            .volumes
            .get(&ObjectKey::new("", volume.unwrap_or_default()));
        let csi = volume.as_ref().and_then(|v| v.spec.as_ref()?.csi.clone());
        let handle = csi.map(|csi| csi.volume_handle).unwrap_or_default();
        let node = self
            .nodes
            .get(&ObjectKey::new("", &attachment.spec.node_name));
        let drivers = node.iter().flat_map(|node| &node.spec.drivers);
        let node = drivers
            .into_iter()
            .find(|driver| driver.name == self.name());
        let node = node
            .map(|driver| driver.node_id.clone())
            .unwrap_or_default();
        let finalizer = format!("external-attacher/{}", self.name().replace('.', "-"));
        let finalizers = attachment.metadata.finalizers.clone().unwrap_or_default();
        let attachments = self.client.all::<VolumeAttachment>();
        let name = attachment.name();
        let failed = |status: hardway_proto::Status| status.to_string();
        if attachment.metadata.deletion_timestamp.is_some() {
            if !finalizers.contains(&finalizer) {
                return Ok(Next::Done);
            }
            if !handle.is_empty() && !node.is_empty() {
                let request = ControllerUnpublishVolumeRequest {
                    volume_id: handle,
                    node_id: node,
                    ..ControllerUnpublishVolumeRequest::default()
                };
                self.driver
                    .controller_unpublish_volume(Request::new(request))
                    .await?;
            }
            let kept: Vec<_> = finalizers.iter().filter(|f| **f != finalizer).collect();
            let patch = json!({"metadata": {"finalizers": kept}});
            attachments
                .patch(name, Patch::Merge(&patch))
                .await
                .map_err(failed)?;
            return Ok(Next::Done);
        }
        if attachment
            .status
            .as_ref()
            .is_some_and(|status| status.attached)
        {
            return Ok(Next::Done);
        }
        if !finalizers.contains(&finalizer) {
            let patch = json!({"metadata": {"finalizers": [finalizer]}});
            attachments
                .patch(name, Patch::Merge(&patch))
                .await
                .map_err(failed)?;
        }
        let request = ControllerPublishVolumeRequest {
            volume_id: handle,
            node_id: node,
            volume_capability: Some(capability(false)),
            ..ControllerPublishVolumeRequest::default()
        };
        let done = self
            .driver
            .controller_publish_volume(Request::new(request))
            .await;
        let (status, outcome) = match done {
            Ok(done) => {
                let metadata = done.into_inner().publish_context;
                (
                    json!({"attached": true, "attachError": null, "attachmentMetadata": metadata}),
                    Ok(Next::Done),
                )
            }
            Err(error) => {
                let text = format!(
                    "rpc error: code = {:?} desc = {}",
                    error.code(),
                    error.message()
                );
                (
                    json!({"attached": false, "attachError": {"message": text}}),
                    Err(error.into()),
                )
            }
        };
        let patch = json!({"status": status});
        attachments
            .patch_status(name, Patch::Merge(&patch))
            .await
            .map_err(failed)?;
        outcome
    }
}
