//! What is mounted into a container, and where.

use super::{Manager, Mounted, subpath};
use crate::cri::api::Device;
use crate::cri::{Mount, MountPropagation};
use crate::env::ConfigError;
use crate::expansion;
use crate::root_dir;
use hardway_proto::{Kind, names};
use k8s_openapi::api::core::v1::{Container, Pod, VolumeMount};
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

/// What a container's mounts depend on.
pub struct Request<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// The container, of any sort.
    pub container: &'a Container,
    /// Where the pod's volumes are, from [`Manager::mount`].
    pub volumes: &'a BTreeMap<String, Mounted>,
    /// The container's environment, for `subPathExpr`.
    pub environment: &'a [(String, String)],
    /// Content of `/etc/hosts`.
    pub hosts: &'a str,
}

const HOSTS: &str = "/etc/hosts";
const TERMINATION_LOG: &str = "/dev/termination-log";

impl Manager {
    /// Makes everything ready that is mounted into a container: its volumes,
    /// `/etc/hosts` and the file of its termination message.
    pub fn container_mounts(&self, request: &Request<'_>) -> Result<Vec<Mount>, ConfigError> {
        let Request { pod, container, .. } = request;
        let wanted = container.volume_mounts.as_deref().unwrap_or_default();
        let mut mounts = Vec::with_capacity(wanted.len() + 2);
        for (index, mount) in wanted.iter().enumerate() {
            mounts.push(self.volume_mount(request, index, mount)?);
        }
        let taken = |path: &str| wanted.iter().any(|m| m.mount_path == path);
        let dir = self.pod_dir(pod.uid());
        if !taken(HOSTS) {
            let file = dir.join("etc-hosts");
            let made = root_dir::make(&dir).and_then(|()| fs::write(&file, request.hosts));
            made.map_err(|e| ConfigError(format!("cannot write {}: {e}", file.display())))?;
            mounts.push(plain(HOSTS, file));
        }
        let log = container.termination_message_path.as_deref();
        let log = log
            .filter(|path| !path.is_empty())
            .unwrap_or(TERMINATION_LOG);
        if !taken(log) {
            let file = termination_file(&dir, &container.name).map_err(|e| {
                ConfigError(format!(
                    "cannot make the termination log of container {:?}: {e}",
                    container.name
                ))
            })?;
            mounts.push(plain(log, file));
        }
        Ok(mounts)
    }

    /// The block devices of a container.
    pub fn container_devices(&self, request: &Request<'_>) -> Result<Vec<Device>, ConfigError> {
        let wanted = request.container.volume_devices.iter().flatten();
        wanted
            .map(|device| {
                let volume = request.volumes.get(&device.name).ok_or_else(|| {
                    ConfigError(format!(
                        "cannot find volume {:?} to pass into container",
                        device.name
                    ))
                })?;
                if !volume.is_device {
                    return Err(ConfigError(format!(
                        "volume {:?} has volumeMode Filesystem, but is specified in volumeDevices",
                        device.name
                    )));
                }
                Ok(Device {
                    container_path: device.device_path.clone(),
                    host_path: volume.path.to_string_lossy().into_owned(),
                    permissions: if volume.read_only { "r" } else { "mrw" }.to_owned(),
                })
            })
            .collect()
    }

    fn volume_mount(
        &self,
        request: &Request<'_>,
        index: usize,
        mount: &VolumeMount,
    ) -> Result<Mount, ConfigError> {
        let container = &request.container.name;
        let volume = request.volumes.get(&mount.name).ok_or_else(|| {
            ConfigError(format!(
                "cannot find volume {:?} to mount into container {container:?}",
                mount.name
            ))
        })?;
        if volume.is_device {
            return Err(ConfigError(format!(
                "volume {:?} has volumeMode Block, but is specified in volumeMounts",
                mount.name
            )));
        }
        // `IfPossible` is content without; CRI before 1.30 has no way to ask for it.
        if mount.recursive_read_only.as_deref() == Some("Enabled") {
            return Err(ConfigError(format!(
                "volume {:?} requested recursive read-only mode, but it is not supported by the runtime",
                mount.name
            )));
        }
        let part = sub_path(mount, request.environment)?;
        let host_path = match part {
            None => volume.path.clone(),
            Some(part) => {
                let target = self
                    .pod_dir(request.pod.uid())
                    .join("volume-subpaths")
                    .join(&mount.name)
                    .join(container)
                    .join(index.to_string());
                subpath::prepare(&volume.path, &part, &target, self.host.system.as_ref()).map_err(|e| {
                    tracing::warn!(part = %part.display(), error = %e, "cannot prepare subPath");
                    ConfigError(format!(
                        "failed to prepare subPath for volumeMount {:?} of container {container:?}",
                        mount.name
                    ))
                })?;
                target
            }
        };
        let propagation = match mount.mount_propagation.as_deref() {
            Some("HostToContainer") => MountPropagation::PropagationHostToContainer,
            Some("Bidirectional") => MountPropagation::PropagationBidirectional,
            _ => MountPropagation::PropagationPrivate,
        };
        Ok(Mount {
            readonly: volume.read_only || mount.read_only == Some(true),
            propagation: propagation.into(),
            ..plain(&absolute(&mount.mount_path), host_path)
        })
    }
}

fn plain(container_path: &str, host_path: PathBuf) -> Mount {
    Mount {
        container_path: container_path.to_owned(),
        host_path: host_path.to_string_lossy().into_owned(),
        ..Default::default()
    }
}

fn absolute(path: &str) -> String {
    if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    }
}

/// The part of the volume that is meant, if not all of it.
fn sub_path(
    mount: &VolumeMount,
    environment: &[(String, String)],
) -> Result<Option<PathBuf>, ConfigError> {
    let set = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
    let part = match (set(&mount.sub_path), set(&mount.sub_path_expr)) {
        (_, Some(expression)) => {
            expansion::expand_all(&expression, expansion::in_list(environment))
                .map_err(|name| ConfigError(format!("missing value for {name:?}")))?
        }
        (Some(path), None) => path,
        (None, None) => return Ok(None),
    };
    let path = PathBuf::from(&part);
    if path.is_absolute() {
        return Err(ConfigError(format!(
            "error SubPath `{part}` must not be an absolute path"
        )));
    }
    if path.components().any(|c| c == Component::ParentDir) {
        return Err(ConfigError(format!(
            "unable to provision SubPath `{part}`: must not contain '..'"
        )));
    }
    Ok(Some(path))
}

/// A new file for each start, so that an old message isn't taken for a new one.
fn termination_file(pod_dir: &Path, container: &str) -> io::Result<PathBuf> {
    let dir = pod_dir.join("containers").join(container);
    root_dir::make(&dir)?;
    let file = dir.join(names::random_suffix(8));
    fs::write(&file, "")?;
    // The container may run as anybody.
    fs::set_permissions(&file, Permissions::from_mode(0o666))?;
    Ok(file)
}
