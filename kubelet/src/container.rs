//! What the runtime is told about a container.

use crate::cri::api::{ContainerMetadata, Device, ImageSpec, KeyValue, LinuxContainerConfig};
use crate::cri::{ContainerConfig, Image, LinuxContainerResources, Mount, labels};
use crate::env::{self, ConfigError};
use crate::sandbox;
use crate::security_context::{self, Profiles};
use crate::{pod, qos};
use k8s_openapi::api::core::v1::{Container, Pod};
use std::collections::BTreeMap;

/// Everything that a container's configuration is made of.
pub struct Parts<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// The container.
    pub container: &'a Container,
    /// Restarts before this life.
    pub restart_count: i32,
    /// The image's reference, as the runtime knows it.
    pub image_ref: String,
    /// The image.
    pub image: Option<&'a Image>,
    /// The environment.
    pub environment: Vec<(String, String)>,
    /// What is mounted.
    pub mounts: Vec<Mount>,
    /// Its block devices.
    pub devices: Vec<Device>,
    /// The node's memory in bytes.
    pub memory_capacity: i64,
    /// What its cgroup is given beside its limits: texts by file
    /// ([`crate::cgroups::Cgroups::of_container`]).
    pub cgroup: BTreeMap<String, String>,
    /// The runtime's id of the container whose processes it is to see.
    pub target: Option<&'a str>,
    /// Profiles that may confine it.
    pub profiles: Profiles<'a>,
}

/// Makes the configuration.
pub fn config(parts: Parts<'_>) -> Result<ContainerConfig, ConfigError> {
    let Parts { pod, container, .. } = parts;
    let (command, args) = env::command(container, &parts.environment);
    let security_context =
        security_context::of_container(pod, container, parts.image, parts.target, &parts.profiles)?;
    let attempt = u32::try_from(parts.restart_count).unwrap_or(0);
    let mut all_labels = sandbox::pod_labels(pod);
    all_labels.insert(labels::CONTAINER_NAME.into(), container.name.clone());
    Ok(ContainerConfig {
        metadata: Some(ContainerMetadata {
            name: container.name.clone(),
            attempt,
        }),
        image: Some(ImageSpec {
            image: parts.image_ref,
            user_specified_image: container.image.clone().unwrap_or_default(),
            ..Default::default()
        }),
        command,
        args,
        working_dir: container.working_dir.clone().unwrap_or_default(),
        envs: parts
            .environment
            .into_iter()
            .map(|(key, value)| KeyValue { key, value })
            .collect(),
        mounts: parts.mounts,
        devices: parts.devices,
        labels: all_labels,
        annotations: annotations(pod, container, parts.restart_count),
        log_path: format!("{}/{}.log", container.name, parts.restart_count),
        stdin: container.stdin.unwrap_or(false),
        stdin_once: container.stdin_once.unwrap_or(false),
        tty: container.tty.unwrap_or(false),
        linux: Some(LinuxContainerConfig {
            resources: Some(LinuxContainerResources {
                unified: parts.cgroup,
                ..qos::container_resources(pod, container, parts.memory_capacity)
            }),
            security_context: Some(security_context),
        }),
    })
}

fn annotations(pod: &Pod, container: &Container, restarts: i32) -> BTreeMap<String, String> {
    let or =
        |value: &Option<String>, default: &str| value.clone().unwrap_or_else(|| default.to_owned());
    BTreeMap::from([
        (labels::HASH.to_owned(), pod::container_hash(container)),
        (labels::RESTART_COUNT.to_owned(), restarts.to_string()),
        (
            labels::RESOURCES.to_owned(),
            serde_json::to_string(&container.resources.clone().unwrap_or_default())
                .unwrap_or_default(),
        ),
        (
            labels::TERMINATION_MESSAGE_PATH.to_owned(),
            or(&container.termination_message_path, "/dev/termination-log"),
        ),
        (
            labels::TERMINATION_MESSAGE_POLICY.to_owned(),
            or(&container.termination_message_policy, "File"),
        ),
        (
            labels::POD_GRACE_PERIOD.to_owned(),
            pod::grace_period(pod).to_string(),
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_can_be_known_again() {
        let container = Container {
            name: "web".into(),
            image: Some("web:1".into()),
            args: Some(vec!["$(A)".into()]),
            ..Default::default()
        };
        let pod = Pod::default();
        let seccomp = crate::seccomp::Seccomp {
            directory: "/".into(),
            default: true,
        };
        let made = config(Parts {
            pod: &pod,
            container: &container,
            restart_count: 3,
            image_ref: "sha256:1".into(),
            image: None,
            environment: vec![("A".into(), "b".into())],
            mounts: Vec::new(),
            devices: Vec::new(),
            memory_capacity: 1 << 30,
            cgroup: BTreeMap::from([("memory.oom.group".into(), "1".into())]),
            target: None,
            profiles: Profiles {
                seccomp: &seccomp,
                app_armor: false,
            },
        })
        .unwrap();
        assert_eq!(made.log_path, "web/3.log");
        assert_eq!(made.args, ["b"]);
        assert_eq!(made.annotations[labels::RESTART_COUNT], "3");
        assert_eq!(
            made.annotations[labels::HASH],
            pod::container_hash(&container)
        );
        assert_eq!(made.labels[labels::CONTAINER_NAME], "web");
        let resources = made.linux.unwrap().resources.unwrap();
        assert_eq!(resources.unified["memory.oom.group"], "1");
    }
}
