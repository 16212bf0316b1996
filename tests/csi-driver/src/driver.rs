//! The driver's volumes: `volumes/ID` in its folder, each with what is in it (`data`) and its
//! size in bytes (`size`); beside them, to which nodes they are attached (`attached/ID@NODE`).

use crate::api::{
    GetPluginCapabilitiesRequest, GetPluginCapabilitiesResponse, GetPluginInfoRequest,
    GetPluginInfoResponse, PluginCapability, ProbeRequest, ProbeResponse,
    identity_server::Identity, plugin_capability,
};
use crate::faults::Faults;
use crate::mounts::Mounts;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// What a driver is like.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name.
    pub name: String,
    /// What it calls the node.
    pub node_id: String,
    /// Its folder.
    pub root: PathBuf,
    /// Whether volumes have to be attached, and staged, first.
    pub stages: bool,
    /// Whether it refuses to stage what isn't attached.
    pub attaches: bool,
    /// Whether it gives files to the pod's group itself.
    pub mount_group: bool,
    /// How many volumes a node has at most; 0 for no limit.
    pub limit: i64,
}

/// The driver; clones are the same one.
#[derive(Clone, Debug)]
pub struct Driver {
    pub(crate) settings: Arc<Settings>,
    pub(crate) mounts: Arc<Mounts>,
    /// What goes wrong on command.
    pub faults: Faults,
}

impl Driver {
    /// A driver on its folder.
    pub fn new(settings: Settings, mounts: Arc<Mounts>) -> Self {
        Self {
            faults: Faults::new(&settings.root),
            settings: Arc::new(settings),
            mounts,
        }
    }

    /// The folder of a volume.
    pub(crate) fn folder(&self, volume: &str) -> PathBuf {
        self.settings.root.join("volumes").join(volume)
    }

    /// What is in a volume, if it is there.
    pub(crate) fn data(&self, volume: &str) -> Result<PathBuf, Status> {
        is_name(volume)?;
        let data = self.folder(volume).join("data");
        match data.exists() {
            true => Ok(data),
            false => Err(Status::not_found(format!("volume {volume} does not exist"))),
        }
    }

    pub(crate) fn size(&self, volume: &str) -> i64 {
        let text = fs::read_to_string(self.folder(volume).join("size"));
        text.ok().and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Makes a volume unless it is there.
    pub(crate) fn make(&self, volume: &str, size: i64, is_block: bool) -> std::io::Result<()> {
        let folder = self.folder(volume);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("size"), size.to_string())?;
        let data = folder.join("data");
        match is_block {
            true if !data.exists() => fs::write(data, ""),
            true => Ok(()),
            false => fs::create_dir_all(data),
        }
    }

    pub(crate) fn attachment(&self, volume: &str, node: &str) -> PathBuf {
        let folder = self.settings.root.join("attached");
        folder.join(format!("{volume}@{node}"))
    }
}

/// What is missing in a message.
pub(crate) fn required(value: &str, field: &str) -> Result<(), Status> {
    match value.is_empty() {
        true => Err(Status::invalid_argument(format!("{field} is required"))),
        false => Ok(()),
    }
}

/// Volumes are folders: their names must be.
pub(crate) fn is_name(volume: &str) -> Result<(), Status> {
    required(volume, "volume_id")?;
    match Path::new(volume).components().count() == 1 && !volume.contains("..") {
        true => Ok(()),
        false => Err(Status::not_found(format!("{volume:?} is no volume"))),
    }
}

#[tonic::async_trait]
impl Identity for Driver {
    async fn get_plugin_info(
        &self,
        _: Request<GetPluginInfoRequest>,
    ) -> Result<Response<GetPluginInfoResponse>, Status> {
        Ok(Response::new(GetPluginInfoResponse {
            name: self.settings.name.clone(),
            vendor_version: env!("CARGO_PKG_VERSION").into(),
        }))
    }

    async fn get_plugin_capabilities(
        &self,
        _: Request<GetPluginCapabilitiesRequest>,
    ) -> Result<Response<GetPluginCapabilitiesResponse>, Status> {
        use plugin_capability::{Service, Type, service};
        let service = Service {
            r#type: service::Type::ControllerService.into(),
        };
        Ok(Response::new(GetPluginCapabilitiesResponse {
            capabilities: vec![PluginCapability {
                r#type: Some(Type::Service(service)),
            }],
        }))
    }

    async fn probe(&self, _: Request<ProbeRequest>) -> Result<Response<ProbeResponse>, Status> {
        Ok(Response::new(ProbeResponse { ready: Some(true) }))
    }
}
