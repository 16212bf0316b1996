//! The driver on a node.

use crate::api::node_server::Node;
use crate::api::node_service_capability::{Rpc, Type, rpc};
use crate::api::volume_capability::AccessType;
use crate::api::volume_usage::Unit;
use crate::api::*;
use crate::driver::{Driver, is_name, required};
use std::fs;
use std::path::Path;
use tonic::{Request, Response, Status};

fn wants_block(capability: Option<&VolumeCapability>) -> Result<bool, Status> {
    let capability =
        capability.ok_or_else(|| Status::invalid_argument("volume_capability is required"))?;
    match &capability.access_type {
        Some(AccessType::Block(_)) => Ok(true),
        Some(AccessType::Mount(_)) => Ok(false),
        None => Err(Status::invalid_argument("access_type is required")),
    }
}

/// Whether a pod brings its volume along.
fn is_inline(request: &NodePublishVolumeRequest) -> bool {
    let context = &request.volume_context;
    context
        .get("csi.storage.k8s.io/ephemeral")
        .is_some_and(|value| value == "true")
}

#[tonic::async_trait]
impl Node for Driver {
    async fn node_stage_volume(
        &self,
        request: Request<NodeStageVolumeRequest>,
    ) -> Result<Response<NodeStageVolumeResponse>, Status> {
        let request = request.into_inner();
        let (volume, target) = (&request.volume_id, &request.staging_target_path);
        self.faults.meet("NodeStageVolume", volume, target).await?;
        let data = self.data(volume)?;
        required(target, "staging_target_path")?;
        let is_block = wants_block(request.volume_capability.as_ref())?;
        let attachment = self.attachment(volume, &self.settings.node_id);
        if self.settings.attaches && !attachment.exists() {
            let node = &self.settings.node_id;
            let text = format!("volume {volume} is not attached to node {node}");
            return Err(Status::failed_precondition(text));
        }
        if !is_block {
            self.mounts.bind(&data, Path::new(target), false)?;
        }
        Ok(Response::new(NodeStageVolumeResponse {}))
    }

    async fn node_unstage_volume(
        &self,
        request: Request<NodeUnstageVolumeRequest>,
    ) -> Result<Response<NodeUnstageVolumeResponse>, Status> {
        let request = request.into_inner();
        let (volume, target) = (&request.volume_id, &request.staging_target_path);
        self.faults
            .meet("NodeUnstageVolume", volume, target)
            .await?;
        is_name(volume)?;
        required(target, "staging_target_path")?;
        let target = Path::new(target);
        if self.mounts.is_mounted(target)? {
            self.mounts.unbind(target)?;
        }
        Ok(Response::new(NodeUnstageVolumeResponse {}))
    }

    async fn node_publish_volume(
        &self,
        request: Request<NodePublishVolumeRequest>,
    ) -> Result<Response<NodePublishVolumeResponse>, Status> {
        let request = request.into_inner();
        let (volume, target) = (&request.volume_id, &request.target_path);
        self.faults
            .meet("NodePublishVolume", volume, target)
            .await?;
        is_name(volume)?;
        required(target, "target_path")?;
        let is_block = wants_block(request.volume_capability.as_ref())?;
        let told = serde_json::json!({"context": request.volume_context, "secrets": request.secrets,
            "published": request.publish_context, "readOnly": request.readonly});
        if is_inline(&request) {
            self.make(volume, 0, false)?;
        }
        let data = self.data(volume)?;
        fs::write(self.folder(volume).join("told"), told.to_string())?;
        let staging = Path::new(&request.staging_target_path);
        if self.settings.stages
            && !is_inline(&request)
            && !is_block
            && !self.mounts.is_mounted(staging)?
        {
            let text = format!(
                "volume {volume} is not staged at {:?}",
                request.staging_target_path
            );
            return Err(Status::failed_precondition(text));
        }
        self.mounts
            .bind(&data, Path::new(target), request.readonly)?;
        Ok(Response::new(NodePublishVolumeResponse {}))
    }

    async fn node_unpublish_volume(
        &self,
        request: Request<NodeUnpublishVolumeRequest>,
    ) -> Result<Response<NodeUnpublishVolumeResponse>, Status> {
        let request = request.into_inner();
        let (volume, target) = (&request.volume_id, &request.target_path);
        self.faults
            .meet("NodeUnpublishVolume", volume, target)
            .await?;
        is_name(volume)?;
        required(target, "target_path")?;
        self.mounts.unbind(Path::new(target))?;
        // Volumes that pods bring along are named so by Kubernetes.
        if volume.starts_with("csi-") {
            let gone = fs::remove_dir_all(self.folder(volume));
            gone.or_else(|error| match error.kind() {
                std::io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            })?;
        }
        Ok(Response::new(NodeUnpublishVolumeResponse {}))
    }

    async fn node_get_volume_stats(
        &self,
        request: Request<NodeGetVolumeStatsRequest>,
    ) -> Result<Response<NodeGetVolumeStatsResponse>, Status> {
        let request = request.into_inner();
        let (volume, path) = (&request.volume_id, &request.volume_path);
        self.faults.meet("NodeGetVolumeStats", volume, path).await?;
        let data = self.data(volume)?;
        required(path, "volume_path")?;
        if !self.mounts.is_mounted(Path::new(path))? {
            return Err(Status::not_found(format!(
                "volume {volume} is not at {path}"
            )));
        }
        let files = fs::read_dir(data)?.flatten();
        let used = files
            .filter_map(|file| Some(file.metadata().ok()?.len()))
            .sum::<u64>();
        let (total, used) = (self.size(volume), i64::try_from(used).unwrap_or(i64::MAX));
        Ok(Response::new(NodeGetVolumeStatsResponse {
            usage: vec![VolumeUsage {
                available: (total - used).max(0),
                total,
                used,
                unit: Unit::Bytes.into(),
            }],
            volume_condition: None,
        }))
    }

    async fn node_expand_volume(
        &self,
        request: Request<NodeExpandVolumeRequest>,
    ) -> Result<Response<NodeExpandVolumeResponse>, Status> {
        let request = request.into_inner();
        let (volume, path) = (&request.volume_id, &request.volume_path);
        self.faults.meet("NodeExpandVolume", volume, path).await?;
        self.data(volume)?;
        required(path, "volume_path")?;
        let size = self.size(volume);
        fs::write(self.folder(volume).join("node-size"), size.to_string())?;
        let capacity_bytes = size;
        Ok(Response::new(NodeExpandVolumeResponse { capacity_bytes }))
    }

    async fn node_get_capabilities(
        &self,
        _: Request<NodeGetCapabilitiesRequest>,
    ) -> Result<Response<NodeGetCapabilitiesResponse>, Status> {
        let mut all = vec![rpc::Type::GetVolumeStats, rpc::Type::ExpandVolume];
        if self.settings.stages {
            all.push(rpc::Type::StageUnstageVolume);
        }
        if self.settings.mount_group {
            all.push(rpc::Type::VolumeMountGroup);
        }
        let capability = |can: rpc::Type| NodeServiceCapability {
            r#type: Some(Type::Rpc(Rpc { r#type: can.into() })),
        };
        Ok(Response::new(NodeGetCapabilitiesResponse {
            capabilities: all.into_iter().map(capability).collect(),
        }))
    }

    async fn node_get_info(
        &self,
        _: Request<NodeGetInfoRequest>,
    ) -> Result<Response<NodeGetInfoResponse>, Status> {
        self.faults.meet("NodeGetInfo", "", "").await?;
        let segments = [(
            "csi.hardway.test/node".to_owned(),
            self.settings.node_id.clone(),
        )];
        Ok(Response::new(NodeGetInfoResponse {
            node_id: self.settings.node_id.clone(),
            max_volumes_per_node: self.settings.limit,
            accessible_topology: Some(Topology {
                segments: segments.into(),
            }),
        }))
    }
}
