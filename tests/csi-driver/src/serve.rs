//! Sockets: the driver's own, and the one by which it makes itself known to a kubelet.

use crate::api::controller_server::ControllerServer;
use crate::api::identity_server::IdentityServer;
use crate::api::node_server::NodeServer;
use crate::driver::Driver;
use crate::registration::registration_server::{Registration, RegistrationServer};
use crate::registration::{
    InfoRequest, PluginInfo, RegistrationStatus, RegistrationStatusResponse,
};
use futures_util::Stream;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};
use tonic::transport::Server;
use tonic::{Request, Response, Status};

/// A socket, in the place of one that another process has left.
fn listen(socket: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if let Some(folder) = socket.parent() {
        fs::create_dir_all(folder)?;
    }
    UnixListener::bind(socket)
}

fn incoming(listener: UnixListener) -> impl Stream<Item = io::Result<UnixStream>> {
    futures_util::stream::unfold(listener, |listener| async move {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        Some((accepted, listener))
    })
}

/// Serves the driver until the future is dropped.
///
/// # Errors
/// If the socket can't be had.
pub async fn driver(driver: Driver, socket: &Path) -> io::Result<()> {
    let incoming = incoming(listen(socket)?);
    Server::builder()
        .add_service(IdentityServer::new(driver.clone()))
        .add_service(ControllerServer::new(driver.clone()))
        .add_service(NodeServer::new(driver))
        .serve_with_incoming(incoming)
        .await
        .map_err(io::Error::other)
}

/// Says who the driver is.
struct Registrar {
    name: String,
    endpoint: PathBuf,
}

#[tonic::async_trait]
impl Registration for Registrar {
    async fn get_info(&self, _: Request<InfoRequest>) -> Result<Response<PluginInfo>, Status> {
        Ok(Response::new(PluginInfo {
            r#type: "CSIPlugin".into(),
            name: self.name.clone(),
            endpoint: self.endpoint.to_string_lossy().into_owned(),
            supported_versions: vec!["1.0.0".into()],
        }))
    }

    async fn notify_registration_status(
        &self,
        status: Request<RegistrationStatus>,
    ) -> Result<Response<RegistrationStatusResponse>, Status> {
        let status = status.into_inner();
        match status.plugin_registered {
            true => tracing::info!("registered"),
            false => tracing::error!(error = status.error, "not registered"),
        }
        Ok(Response::new(RegistrationStatusResponse {}))
    }
}

/// The socket by which a driver makes itself known in a kubelet's folder.
pub fn registration_socket(name: &str, folder: &Path) -> PathBuf {
    folder.join(format!("{name}-reg.sock"))
}

/// Makes a driver known in a kubelet's folder until the future is dropped. `endpoint` is the
/// driver's socket as the kubelet sees it.
///
/// # Errors
/// If the socket can't be had.
pub async fn registrar(name: &str, endpoint: &Path, folder: &Path) -> io::Result<()> {
    let incoming = incoming(listen(&registration_socket(name, folder))?);
    let registrar = Registrar {
        name: name.to_owned(),
        endpoint: endpoint.to_owned(),
    };
    Server::builder()
        .add_service(RegistrationServer::new(registrar))
        .serve_with_incoming(incoming)
        .await
        .map_err(io::Error::other)
}
