//! The driver for the cluster as a whole.

use crate::api::controller_server::Controller;
use crate::api::controller_service_capability::{Rpc, Type, rpc};
use crate::api::volume_capability::AccessType;
use crate::api::*;
use crate::driver::{Driver, is_name, required};
use std::fs;
use std::io;
use tonic::{Request, Response, Status};

/// Size of a volume of which no size is asked.
const DEFAULT_SIZE: i64 = 1 << 20;

fn bytes(range: Option<&CapacityRange>) -> i64 {
    range.map_or(0, |range| range.required_bytes)
}

fn missing_is_fine(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[tonic::async_trait]
impl Controller for Driver {
    async fn create_volume(
        &self,
        request: Request<CreateVolumeRequest>,
    ) -> Result<Response<CreateVolumeResponse>, Status> {
        let request = request.into_inner();
        let name = &request.name;
        self.faults.meet("CreateVolume", name, "").await?;
        required(name, "name")?;
        is_name(name)?;
        let first = request.volume_capabilities.first();
        let first =
            first.ok_or_else(|| Status::invalid_argument("volume_capabilities are required"))?;
        let is_block = matches!(first.access_type, Some(AccessType::Block(_)));
        let asked = bytes(request.capacity_range.as_ref());
        let asked = if asked == 0 { DEFAULT_SIZE } else { asked };
        if self.data(name).is_ok() {
            if self.size(name) < asked {
                let text = format!("volume {name} is there, and smaller");
                return Err(Status::already_exists(text));
            }
        } else {
            self.make(name, asked, is_block)?;
        }
        Ok(Response::new(CreateVolumeResponse {
            volume: Some(Volume {
                capacity_bytes: self.size(name),
                volume_id: name.clone(),
                volume_context: request.parameters,
                accessible_topology: Vec::new(),
            }),
        }))
    }

    async fn delete_volume(
        &self,
        request: Request<DeleteVolumeRequest>,
    ) -> Result<Response<DeleteVolumeResponse>, Status> {
        let volume = request.into_inner().volume_id;
        self.faults.meet("DeleteVolume", &volume, "").await?;
        required(&volume, "volume_id")?;
        // What can't be a volume of this driver's is gone.
        if is_name(&volume).is_ok() {
            missing_is_fine(fs::remove_dir_all(self.folder(&volume)))?;
        }
        Ok(Response::new(DeleteVolumeResponse {}))
    }

    async fn controller_publish_volume(
        &self,
        request: Request<ControllerPublishVolumeRequest>,
    ) -> Result<Response<ControllerPublishVolumeResponse>, Status> {
        let request = request.into_inner();
        let (volume, node) = (&request.volume_id, &request.node_id);
        self.faults
            .meet("ControllerPublishVolume", volume, node)
            .await?;
        self.data(volume)?;
        required(node, "node_id")?;
        let attachment = self.attachment(volume, node);
        fs::create_dir_all(attachment.parent().unwrap_or(&attachment))?;
        fs::write(attachment, "")?;
        let context = [("device".to_owned(), format!("/dev/{volume}"))];
        Ok(Response::new(ControllerPublishVolumeResponse {
            publish_context: context.into(),
        }))
    }

    async fn controller_unpublish_volume(
        &self,
        request: Request<ControllerUnpublishVolumeRequest>,
    ) -> Result<Response<ControllerUnpublishVolumeResponse>, Status> {
        let request = request.into_inner();
        let (volume, node) = (&request.volume_id, &request.node_id);
        self.faults
            .meet("ControllerUnpublishVolume", volume, node)
            .await?;
        is_name(volume)?;
        missing_is_fine(fs::remove_file(self.attachment(volume, node)))?;
        Ok(Response::new(ControllerUnpublishVolumeResponse {}))
    }

    async fn validate_volume_capabilities(
        &self,
        request: Request<ValidateVolumeCapabilitiesRequest>,
    ) -> Result<Response<ValidateVolumeCapabilitiesResponse>, Status> {
        let request = request.into_inner();
        self.data(&request.volume_id)?;
        if request.volume_capabilities.is_empty() {
            return Err(Status::invalid_argument("volume_capabilities are required"));
        }
        Ok(Response::new(ValidateVolumeCapabilitiesResponse {
            confirmed: Some(validate_volume_capabilities_response::Confirmed {
                volume_context: request.volume_context,
                volume_capabilities: request.volume_capabilities,
                parameters: request.parameters,
            }),
            message: String::new(),
        }))
    }

    async fn controller_get_capabilities(
        &self,
        _: Request<ControllerGetCapabilitiesRequest>,
    ) -> Result<Response<ControllerGetCapabilitiesResponse>, Status> {
        let mut all = vec![rpc::Type::CreateDeleteVolume, rpc::Type::ExpandVolume];
        if self.settings.attaches {
            all.push(rpc::Type::PublishUnpublishVolume);
        }
        let capability = |can: rpc::Type| ControllerServiceCapability {
            r#type: Some(Type::Rpc(Rpc { r#type: can.into() })),
        };
        Ok(Response::new(ControllerGetCapabilitiesResponse {
            capabilities: all.into_iter().map(capability).collect(),
        }))
    }

    async fn controller_expand_volume(
        &self,
        request: Request<ControllerExpandVolumeRequest>,
    ) -> Result<Response<ControllerExpandVolumeResponse>, Status> {
        let request = request.into_inner();
        let volume = &request.volume_id;
        self.faults
            .meet("ControllerExpandVolume", volume, "")
            .await?;
        self.data(volume)?;
        let size = self
            .size(volume)
            .max(bytes(request.capacity_range.as_ref()));
        fs::write(self.folder(volume).join("size"), size.to_string())?;
        Ok(Response::new(ControllerExpandVolumeResponse {
            capacity_bytes: size,
            node_expansion_required: true,
        }))
    }
}
