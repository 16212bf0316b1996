//! Security contexts of sandboxes and containers.

use crate::cri::Image;
use crate::cri::api::{
    Capability, Int64Value, LinuxContainerSecurityContext, LinuxSandboxSecurityContext,
    NamespaceMode, NamespaceOption, SeLinuxOption,
};
use crate::env::ConfigError;
use crate::seccomp::{self, Seccomp};
use crate::{apparmor, pod};
use k8s_openapi::api::core::v1::{
    Container, Pod, PodSecurityContext, SELinuxOptions, SecurityContext,
};

/// What of `/proc` and `/sys` containers don't see.
const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
/// What of `/proc` containers can't write.
const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

fn pod_context(pod: &Pod) -> PodSecurityContext {
    pod::spec(pod).security_context.clone().unwrap_or_default()
}

fn context(container: &Container) -> SecurityContext {
    container.security_context.clone().unwrap_or_default()
}

fn number(value: Option<i64>) -> Option<Int64Value> {
    value.map(|value| Int64Value { value })
}

fn namespaces(pod: &Pod) -> NamespaceOption {
    let spec = pod::spec(pod);
    let node_or = |host: Option<bool>, otherwise| {
        if host == Some(true) {
            NamespaceMode::Node
        } else {
            otherwise
        }
    };
    let shared = match spec.share_process_namespace {
        Some(true) => NamespaceMode::Pod,
        _ => NamespaceMode::Container,
    };
    NamespaceOption {
        network: node_or(spec.host_network, NamespaceMode::Pod).into(),
        pid: node_or(spec.host_pid, shared).into(),
        ipc: node_or(spec.host_ipc, NamespaceMode::Pod).into(),
        target_id: String::new(),
    }
}

fn selinux(options: Option<&SELinuxOptions>) -> Option<SeLinuxOption> {
    let options = options?.clone();
    Some(SeLinuxOption {
        user: options.user.unwrap_or_default(),
        role: options.role.unwrap_or_default(),
        r#type: options.type_.unwrap_or_default(),
        level: options.level.unwrap_or_default(),
    })
}

fn groups(context: &PodSecurityContext) -> Vec<i64> {
    let more = context.supplemental_groups.iter().flatten().copied();
    context.fs_group.into_iter().chain(more).collect()
}

/// Whether a container is privileged.
pub fn is_privileged(container: &Container) -> bool {
    let context = container.security_context.as_ref();
    context.and_then(|c| c.privileged) == Some(true)
}

/// The sandbox's context.
pub fn of_sandbox(pod: &Pod) -> LinuxSandboxSecurityContext {
    let context = pod_context(pod);
    LinuxSandboxSecurityContext {
        namespace_options: Some(namespaces(pod)),
        selinux_options: selinux(context.se_linux_options.as_ref()),
        run_as_user: number(context.run_as_user),
        // A group without a user is an error to runtimes.
        run_as_group: number(context.run_as_user.and(context.run_as_group)),
        supplemental_groups: groups(&context),
        privileged: pod::all_containers(pod).any(is_privileged),
        // What holds a sandbox open is the same for all pods, and needs little:
        // their own profiles are for their containers.
        seccomp: Some(seccomp::runtime_default()),
        ..Default::default()
    }
}

/// The namespaces of a container that may have to share the processes of
/// another one, given by its id; where they are shared already there is
/// nothing to do.
fn namespaces_with(pod: &Pod, target: Option<&str>) -> NamespaceOption {
    let own = namespaces(pod);
    match target {
        Some(id) if own.pid == i32::from(NamespaceMode::Container) => NamespaceOption {
            pid: NamespaceMode::Target.into(),
            target_id: id.to_owned(),
            ..own
        },
        _ => own,
    }
}

/// What the node has of profiles that confine containers.
pub struct Profiles<'a> {
    /// Those of seccomp.
    pub seccomp: &'a Seccomp,
    /// Whether the kernel enforces those of AppArmor.
    pub app_armor: bool,
}

/// A container's context: its own settings before the pod's. `target` is the
/// container whose processes it is to see.
pub fn of_container(
    pod: &Pod,
    container: &Container,
    image: Option<&Image>,
    target: Option<&str>,
    profiles: &Profiles<'_>,
) -> Result<LinuxContainerSecurityContext, ConfigError> {
    let general = pod_context(pod);
    let own = context(container);
    verify_non_root(pod, container, image)?;
    let user = own.run_as_user.or(general.run_as_user);
    let group = own.run_as_group.or(general.run_as_group);
    let image_user = image.and_then(|i| i.uid);
    let image_name = image.map(|i| i.username.clone()).unwrap_or_default();
    let privileged = is_privileged(container);
    let capabilities = own.capabilities.unwrap_or_default();
    let unmasked = own.proc_mount.as_deref() == Some("Unmasked") || privileged;
    let list = |paths: &[&str]| match unmasked {
        true => Vec::new(),
        false => paths.iter().map(|p| (*p).to_owned()).collect(),
    };
    let confined = profiles.seccomp.of(pod, container)?;
    let app_armor = apparmor::of(pod, container).filter(|_| profiles.app_armor);
    let may_escalate = own.allow_privilege_escalation.unwrap_or(true) || privileged;
    Ok(LinuxContainerSecurityContext {
        capabilities: Some(Capability {
            add_capabilities: capabilities.add.unwrap_or_default(),
            drop_capabilities: capabilities.drop.unwrap_or_default(),
            add_ambient_capabilities: Vec::new(),
        }),
        privileged,
        namespace_options: Some(namespaces_with(pod, target)),
        selinux_options: selinux(
            own.se_linux_options
                .as_ref()
                .or(general.se_linux_options.as_ref()),
        ),
        run_as_user: number(user).or(if image_name.is_empty() {
            image_user
        } else {
            None
        }),
        run_as_username: if user.is_none() && image_user.is_none() {
            image_name
        } else {
            String::new()
        },
        run_as_group: number(group),
        readonly_rootfs: own.read_only_root_filesystem.unwrap_or(false),
        supplemental_groups: groups(&general),
        no_new_privs: !may_escalate,
        masked_paths: list(&MASKED),
        readonly_paths: list(&READ_ONLY),
        seccomp: Some(if privileged {
            seccomp::unconfined()
        } else {
            confined
        }),
        apparmor_profile: app_armor
            .as_ref()
            .map(apparmor::old_name)
            .unwrap_or_default(),
        apparmor: app_armor.as_ref().map(apparmor::profile),
        ..Default::default()
    })
}

/// `runAsNonRoot` is kept: by the user given, else by the image's.
fn verify_non_root(
    pod: &Pod,
    container: &Container,
    image: Option<&Image>,
) -> Result<(), ConfigError> {
    let general = pod_context(pod);
    let own = context(container);
    if own.run_as_non_root.or(general.run_as_non_root) != Some(true) {
        return Ok(());
    }
    let fail = |what: String| {
        Err(ConfigError(format!(
            "{what} (pod: \"{}\", container: {})",
            pod::full_name(pod),
            container.name
        )))
    };
    match own.run_as_user.or(general.run_as_user) {
        Some(0) => {
            return fail("container's runAsUser breaks non-root policy".into());
        }
        Some(_) => return Ok(()),
        None => {}
    }
    // An image of which the user isn't known runs as root.
    let uid = image.and_then(|image| image.uid.as_ref());
    let name = image.map_or("", |image| image.username.as_str());
    match uid.map(|uid| uid.value) {
        None if !name.is_empty() => fail(format!(
            "container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is non-root"
        )),
        None | Some(0) => fail("container has runAsNonRoot and image will run as root".into()),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::PodSpec;

    fn pod(context: PodSecurityContext) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.name = Some("a".into());
        pod.metadata.namespace = Some("ns".into());
        pod.metadata.uid = Some("u".into());
        pod.spec = Some(PodSpec {
            security_context: Some(context),
            ..Default::default()
        });
        pod
    }

    fn make(
        pod: &Pod,
        container: &Container,
        image: Option<&Image>,
    ) -> Result<LinuxContainerSecurityContext, ConfigError> {
        let seccomp = Seccomp {
            directory: "/nowhere".into(),
            default: false,
        };
        let profiles = Profiles {
            seccomp: &seccomp,
            app_armor: false,
        };
        of_container(pod, container, image, None, &profiles)
    }

    #[test]
    fn whoever_may_be_root_breaks_run_as_non_root() {
        let pod = pod(PodSecurityContext {
            run_as_non_root: Some(true),
            ..Default::default()
        });
        let mut container = Container {
            name: "web".into(),
            ..Default::default()
        };
        let image = |uid: Option<i64>, name: &str| Image {
            uid: number(uid),
            username: name.into(),
            ..Default::default()
        };
        let root = "image will run as root";
        let named = "image has non-numeric user (app), cannot verify user is non-root";
        for (image, why) in [
            (Some(image(Some(0), "")), root),
            (Some(image(None, "")), root),
            (None, root),
            (Some(image(None, "app")), named),
        ] {
            let error = make(&pod, &container, image.as_ref()).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("container has runAsNonRoot and {why} (pod: \"a_ns(u)\", container: web)")
            );
        }
        assert!(make(&pod, &container, Some(&image(Some(7), ""))).is_ok());
        let context = container
            .security_context
            .insert(SecurityContext::default());
        context.run_as_user = Some(0);
        let error = make(&pod, &container, None).unwrap_err().to_string();
        assert!(error.starts_with("container's runAsUser breaks non-root policy"));
        container.security_context.as_mut().unwrap().run_as_user = Some(7);
        assert!(make(&pod, &container, None).is_ok());
    }

    #[test]
    fn processes_are_shared_with_the_target_unless_they_are_all_shared() {
        let mut pod = Pod::default();
        let own = namespaces_with(&pod, Some("c1"));
        assert_eq!(own.pid, i32::from(NamespaceMode::Target));
        assert_eq!(own.target_id, "c1");
        assert_eq!(namespaces_with(&pod, None), namespaces(&pod));
        pod.spec = Some(PodSpec {
            share_process_namespace: Some(true),
            ..Default::default()
        });
        assert_eq!(namespaces_with(&pod, Some("c1")), namespaces(&pod));
    }

    #[test]
    fn the_container_goes_before_the_pod() {
        let pod = pod(PodSecurityContext {
            run_as_user: Some(1000),
            fs_group: Some(7),
            ..Default::default()
        });
        let container = Container {
            security_context: Some(SecurityContext {
                run_as_user: Some(5),
                allow_privilege_escalation: Some(false),
                ..Default::default()
            }),
            ..Default::default()
        };
        let made = make(&pod, &container, None).unwrap();
        assert_eq!(made.run_as_user.unwrap().value, 5);
        assert_eq!(made.supplemental_groups, [7]);
        assert!(made.no_new_privs);
        assert_eq!(made.seccomp.unwrap(), seccomp::unconfined());
        let sandbox = of_sandbox(&pod).seccomp.unwrap();
        assert_eq!(sandbox, seccomp::runtime_default());
    }
}
