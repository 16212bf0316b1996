//! Every field that a pod's spec can have, and what becomes of it on a node:
//! nothing that was accepted is ignored. A field that the API gets and that is
//! not here doesn't compile.

use crate::admission::Rejection;
use crate::{features, seccomp, sysctls};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EmptyDirVolumeSource, EphemeralContainer, Lifecycle,
    LifecycleHandler, Pod, PodSecurityContext, PodSpec, Probe, ResourceRequirements,
    SecurityContext, Volume, VolumeMount,
};
use serde_json::{Value, json};

/// What becomes of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FieldHandling {
    /// The kubelet does it: where.
    Done(&'static str),
    /// Others do it, and there is nothing for a node to do: who.
    Others(&'static str),
    /// The API refuses what can't be done.
    Api,
    /// The kubelet refuses what can't be done, with its reason.
    Refused,
}

use FieldHandling::{Api, Done, Others, Refused};

/// Lists the fields of a type. The pattern has all of them, or it is none.
macro_rules! fields {
    ($name:ident: $type:ident { $($field:ident: $fate:expr,)* }) => {
        const $name: &[(&str, FieldHandling)] = &[$((stringify!($field), $fate)),*];
        const _: fn($type) = |value| {
            let $type { $($field: _),* } = value;
        };
    };
}

fields!(SPEC: PodSpec {
    active_deadline_seconds: Done("worker"),
    affinity: Done("admission"),
    automount_service_account_token: Others("admission of the apiserver"),
    containers: Done("worker"),
    dns_config: Done("dns"),
    dns_policy: Done("dns"),
    enable_service_links: Done("env"),
    ephemeral_containers: Done("worker"),
    host_aliases: Done("hosts"),
    host_ipc: Done("security_context"),
    host_network: Done("security_context"),
    host_pid: Done("security_context"),
    host_users: Refused,
    hostname: Done("hosts"),
    image_pull_secrets: Done("images"),
    init_containers: Done("worker"),
    node_name: Done("app"),
    node_selector: Done("admission"),
    os: Refused,
    overhead: Done("qos"),
    preemption_policy: Others("scheduler"),
    priority: Done("qos"),
    priority_class_name: Others("admission of the apiserver"),
    readiness_gates: Done("status"),
    resource_claims: Refused,
    resources: Refused,
    restart_policy: Done("worker"),
    runtime_class_name: Done("worker"),
    scheduler_name: Others("scheduler"),
    scheduling_gates: Others("scheduler"),
    security_context: Done("security_context"),
    service_account: Others("the old name of serviceAccountName"),
    service_account_name: Done("objects"),
    set_hostname_as_fqdn: Done("sandbox"),
    share_process_namespace: Done("security_context"),
    subdomain: Done("hosts"),
    termination_grace_period_seconds: Done("worker"),
    tolerations: Done("admission"),
    topology_spread_constraints: Others("scheduler"),
    volumes: Done("volumes"),
});

fields!(POD_CONTEXT: PodSecurityContext {
    app_armor_profile: Refused,
    fs_group: Done("volumes"),
    fs_group_change_policy: Done("volumes"),
    run_as_group: Done("security_context"),
    run_as_non_root: Done("security_context"),
    run_as_user: Done("security_context"),
    se_linux_change_policy: Others("drivers with seLinuxMount; no volume is mounted with a label here"),
    se_linux_options: Done("security_context"),
    seccomp_profile: Done("seccomp"),
    supplemental_groups: Done("security_context"),
    supplemental_groups_policy: Refused,
    sysctls: Refused,
    windows_options: Others("nodes with Windows, as in Kubernetes"),
});

fields!(CONTAINER: Container {
    args: Done("env"),
    command: Done("env"),
    env: Done("env"),
    env_from: Done("env"),
    image: Done("images"),
    image_pull_policy: Done("images"),
    lifecycle: Done("hooks"),
    liveness_probe: Done("probes"),
    name: Refused,
    ports: Done("sandbox"),
    readiness_probe: Done("probes"),
    resize_policy: Done("allocation"),
    resources: Done("qos, allocation"),
    restart_policy: Api,
    security_context: Done("security_context"),
    startup_probe: Done("probes"),
    stdin: Done("container"),
    stdin_once: Done("container"),
    termination_message_path: Done("volumes"),
    termination_message_policy: Done("worker"),
    tty: Done("container"),
    volume_devices: Done("volumes"),
    volume_mounts: Done("volumes"),
    working_dir: Done("container"),
});

fields!(EPHEMERAL: EphemeralContainer {
    args: Done("env"),
    command: Done("env"),
    env: Done("env"),
    env_from: Done("env"),
    image: Done("images"),
    image_pull_policy: Done("images"),
    lifecycle: Api,
    liveness_probe: Api,
    name: Refused,
    ports: Api,
    readiness_probe: Api,
    resize_policy: Api,
    resources: Api,
    restart_policy: Api,
    security_context: Done("security_context"),
    startup_probe: Api,
    stdin: Done("container"),
    stdin_once: Done("container"),
    target_container_name: Done("worker"),
    termination_message_path: Done("volumes"),
    termination_message_policy: Done("worker"),
    tty: Done("container"),
    volume_devices: Api,
    volume_mounts: Done("volumes"),
    working_dir: Done("container"),
});

fields!(CONTEXT: SecurityContext {
    allow_privilege_escalation: Done("security_context"),
    app_armor_profile: Refused,
    capabilities: Done("security_context"),
    privileged: Done("security_context"),
    proc_mount: Done("security_context"),
    read_only_root_filesystem: Done("security_context"),
    run_as_group: Done("security_context"),
    run_as_non_root: Done("security_context"),
    run_as_user: Done("security_context"),
    se_linux_options: Done("security_context"),
    seccomp_profile: Done("seccomp"),
    windows_options: Others("nodes with Windows, as in Kubernetes"),
});

fields!(CAPABILITIES: Capabilities {
    add: Done("security_context"),
    drop: Done("security_context"),
});

fields!(RESOURCES: ResourceRequirements {
    claims: Refused,
    limits: Done("worker, eviction"),
    requests: Done("qos"),
});

fields!(LIFECYCLE: Lifecycle {
    post_start: Done("hooks"),
    pre_stop: Done("hooks"),
    stop_signal: Refused,
});

fields!(HANDLER: LifecycleHandler {
    exec: Done("hooks"),
    http_get: Done("hooks"),
    sleep: Done("hooks"),
    tcp_socket: Refused,
});

fields!(PROBE: Probe {
    exec: Done("probes"),
    failure_threshold: Done("probes"),
    grpc: Done("probes"),
    http_get: Done("probes"),
    initial_delay_seconds: Done("probes"),
    period_seconds: Done("probes"),
    success_threshold: Done("probes"),
    tcp_socket: Done("probes"),
    termination_grace_period_seconds: Done("probes"),
    timeout_seconds: Done("probes"),
});

fields!(PORT: ContainerPort {
    container_port: Done("sandbox"),
    host_ip: Done("sandbox"),
    host_port: Done("sandbox"),
    name: Done("probes"),
    protocol: Done("sandbox"),
});

fields!(MOUNT: VolumeMount {
    mount_path: Done("volumes"),
    mount_propagation: Done("volumes"),
    name: Done("volumes"),
    read_only: Done("volumes"),
    recursive_read_only: Refused,
    sub_path: Done("volumes"),
    sub_path_expr: Done("volumes"),
});

fields!(EMPTY_DIR: EmptyDirVolumeSource {
    medium: Refused,
    size_limit: Done("volumes, eviction"),
});

// A volume of a type that isn't here fails to be mounted, with its type's name.
fields!(VOLUME: Volume {
    aws_elastic_block_store: Refused,
    azure_disk: Refused,
    azure_file: Refused,
    cephfs: Refused,
    cinder: Refused,
    config_map: Done("volumes"),
    csi: Done("volumes"),
    downward_api: Done("volumes"),
    empty_dir: Done("volumes"),
    ephemeral: Done("volumes"),
    fc: Refused,
    flex_volume: Refused,
    flocker: Refused,
    gce_persistent_disk: Refused,
    git_repo: Refused,
    glusterfs: Refused,
    host_path: Done("volumes"),
    image: Refused,
    iscsi: Refused,
    name: Refused,
    nfs: Done("volumes"),
    persistent_volume_claim: Done("volumes"),
    photon_persistent_disk: Refused,
    portworx_volume: Refused,
    projected: Done("volumes"),
    quobyte: Refused,
    rbd: Refused,
    scale_io: Refused,
    secret: Done("volumes"),
    storageos: Refused,
    vsphere_volume: Refused,
});

const ALL: [&[(&str, FieldHandling)]; 14] = [
    SPEC,
    POD_CONTEXT,
    CONTAINER,
    EPHEMERAL,
    CONTEXT,
    CAPABILITIES,
    RESOURCES,
    LIFECYCLE,
    HANDLER,
    PROBE,
    PORT,
    MOUNT,
    EMPTY_DIR,
    VOLUME,
];

/// What a pod with this spec is told when it comes to a node without
/// AppArmor.
fn verdict(spec: Value) -> Result<(), Rejection> {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "a", "namespace": "d", "uid": "u"}, "spec": spec,
    }))
    .unwrap();
    features::check(&pod)
        .and_then(|()| sysctls::Allowed::new("6.1", &[]).unwrap().check(&pod))
        .and_then(|()| crate::apparmor::check(&pod, false))
        .and_then(|()| {
            features::check_sandbox(&pod).map_err(|e| Rejection::new("FailedCreatePodSandBox", e))
        })
}

#[test]
fn what_a_node_cannot_do_is_refused_with_its_reason() {
    let in_container = |field: &str, value: Value| json!({"containers": [{"name": "c", "image": "i", field: value}]});
    let in_pod = |field: &str, value: Value| {
        let mut spec = json!({"containers": [{"name": "c", "image": "i"}]});
        spec[field] = value;
        spec
    };
    assert_eq!(verdict(in_pod("hostUsers", json!(true))), Ok(()));
    let context = |context: Value| in_pod("securityContext", context);
    let unexpected = "UnexpectedAdmissionError";
    for (spec, reason) in [
        (in_pod("hostUsers", json!(false)), "FailedCreatePodSandBox"),
        (
            in_pod("os", json!({"name": "windows"})),
            "PodOSNotSupported",
        ),
        (
            in_pod("resourceClaims", json!([{"name": "gpu"}])),
            unexpected,
        ),
        (
            in_pod("resources", json!({"limits": {"cpu": "1"}})),
            unexpected,
        ),
        (
            context(json!({"supplementalGroupsPolicy": "Strict"})),
            "SupplementalGroupsPolicyNotSupported",
        ),
        (
            context(json!({"appArmorProfile": {"type": "RuntimeDefault"}})),
            "AppArmor",
        ),
        (
            context(json!({"sysctls": [{"name": "kernel.msgmax", "value": "1"}]})),
            "SysctlForbidden",
        ),
        (
            in_container("resources", json!({"claims": [{"name": "gpu"}]})),
            unexpected,
        ),
        (
            in_container("lifecycle", json!({"stopSignal": "SIGUSR1"})),
            unexpected,
        ),
        (
            in_container(
                "securityContext",
                json!({"appArmorProfile": {"type": "Localhost",
                "localhostProfile": "x"}}),
            ),
            "AppArmor",
        ),
        (in_container("name", json!("a/b")), unexpected),
    ] {
        let refused = verdict(spec.clone()).expect_err(&spec.to_string());
        assert_eq!(refused.reason, reason, "{spec}");
        assert!(!refused.message.is_empty());
    }
    // What a profile can't give is an error of its container.
    let nowhere = seccomp::Seccomp {
        directory: "/nowhere".into(),
        default: true,
    };
    let pod = json!({"spec": context(json!({"seccompProfile":
        {"type": "Localhost", "localhostProfile": "none"}}))});
    let pod: Pod = serde_json::from_value(pod).unwrap();
    let container = &pod.spec.as_ref().unwrap().containers[0];
    assert!(nowhere.of(&pod, container).is_err());
}

/// What is done is done in a module that is there.
#[test]
fn what_is_done_is_where_it_says() {
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (field, fate) in ALL.iter().flat_map(|fields| fields.iter()) {
        let Done(modules) = fate else { continue };
        for module in modules.split(", ") {
            let file = source.join(format!("{module}.rs"));
            let folder = source.join(module).join("mod.rs");
            assert!(file.exists() || folder.exists(), "{field}: {module}");
        }
    }
}
