//! Containers: ordinary, init, sidecar and ephemeral.

use super::super::field::{Errors, Path};
use super::super::json::{flag, get, has, int, list, text};
use super::{env, probes, resources, security};
use hardway_proto::names;
use serde_json::Value;
use std::collections::BTreeSet;

/// What a container is, where rules differ.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Ordinary,
    Init,
    Ephemeral,
}

/// The three lists of containers of a pod.
pub fn check(e: &mut Errors, path: &Path, spec: &Value) {
    let grace = int(spec, "terminationGracePeriodSeconds").unwrap_or(30);
    let mut seen = BTreeSet::new();
    if list(spec, "containers").is_empty() {
        e.required(&path.child("containers"), "");
    }
    for (field, role) in [
        ("containers", Role::Ordinary),
        ("initContainers", Role::Init),
        ("ephemeralContainers", Role::Ephemeral),
    ] {
        for (i, container) in list(spec, field).iter().enumerate() {
            let path = path.child(field).index(i);
            check_one(e, &path, container, spec, &mut seen);
            by_role(e, &path, container, role, grace);
            if role == Role::Ephemeral {
                ephemeral(e, &path, container, spec);
            }
        }
        if role != Role::Ephemeral {
            host_port_conflicts(e, &path.child(field), list(spec, field));
        }
    }
    if flag(spec, "hostNetwork") {
        host_network_ports(e, path, spec);
    }
}

fn check_one<'a>(
    e: &mut Errors,
    path: &Path,
    container: &'a Value,
    spec: &Value,
    seen: &mut BTreeSet<&'a str>,
) {
    let name = text(container, "name");
    if name.is_empty() {
        e.required(&path.child("name"), "");
    } else {
        e.each(&path.child("name"), name, names::is_dns1123_label(name));
        if !seen.insert(name) {
            e.duplicate(&path.child("name"), name);
        }
    }
    let image = text(container, "image");
    if image.is_empty() {
        e.required(&path.child("image"), "");
    } else if image != image.trim() {
        e.invalid(
            &path.child("image"),
            image,
            "must not have leading or trailing whitespace",
        );
    }
    e.one_of(
        &path.child("terminationMessagePolicy"),
        text(container, "terminationMessagePolicy"),
        &["FallbackToLogsOnError", "File"],
    );
    ports(e, &path.child("ports"), list(container, "ports"));
    env::check(e, &path.child("env"), list(container, "env"));
    env::check_from(e, &path.child("envFrom"), list(container, "envFrom"));
    mounts(e, path, container, spec);
    e.one_of(
        &path.child("imagePullPolicy"),
        text(container, "imagePullPolicy"),
        &["Always", "IfNotPresent", "Never"],
    );
    resources::check(e, &path.child("resources"), get(container, "resources"));
    resize_policies(e, &path.child("resizePolicy"), container);
    security::check_container(
        e,
        &path.child("securityContext"),
        get(container, "securityContext"),
        !security::has_host_users(spec),
    );
}

fn resize_policies(e: &mut Errors, path: &Path, container: &Value) {
    for (i, policy) in list(container, "resizePolicy").iter().enumerate() {
        let path = path.index(i);
        e.one_of(
            &path.child("resourceName"),
            text(policy, "resourceName"),
            &["cpu", "memory"],
        );
        e.one_of(
            &path.child("restartPolicy"),
            text(policy, "restartPolicy"),
            &["NotRequired", "RestartContainer"],
        );
    }
}

/// Which containers may have probes, hooks and restart policies of their own.
fn by_role(e: &mut Errors, path: &Path, container: &Value, role: Role, grace: i64) {
    let restart = text(container, "restartPolicy");
    let sidecar = role == Role::Init && restart == "Always";
    if role == Role::Ordinary || sidecar {
        probes::check(e, path, container, grace);
    } else {
        let detail = match role {
            Role::Ephemeral => "cannot be set for an Ephemeral Container",
            _ => "may not be set for init containers without restartPolicy=Always",
        };
        for field in [
            "lifecycle",
            "livenessProbe",
            "readinessProbe",
            "startupProbe",
        ] {
            if has(container, field) {
                e.forbidden(&path.child(field), detail);
            }
        }
    }
    if !restart.is_empty() {
        let at = path.child("restartPolicy");
        match role {
            Role::Init => e.one_of(&at, restart, &["Always"]),
            Role::Ordinary => e.forbidden(&at, "may not be set for non-init containers"),
            Role::Ephemeral => e.forbidden(&at, "cannot be set for an Ephemeral Container"),
        }
    }
}

/// What else an ephemeral container can't have, and that its target is there.
fn ephemeral(e: &mut Errors, path: &Path, container: &Value, spec: &Value) {
    const DETAIL: &str = "cannot be set for an Ephemeral Container";
    if !list(container, "ports").is_empty() {
        e.forbidden(&path.child("ports"), DETAIL);
    }
    let resources = get(container, "resources").as_object();
    if resources.is_some_and(|resources| !resources.is_empty()) {
        e.forbidden(&path.child("resources"), DETAIL);
    }
    for (i, mount) in list(container, "volumeMounts").iter().enumerate() {
        for field in ["subPath", "subPathExpr"] {
            if !text(mount, field).is_empty() {
                let path = path.child("volumeMounts").index(i);
                e.forbidden(&path.child(field), DETAIL);
            }
        }
    }
    let target = text(container, "targetContainerName");
    let mut others = list(spec, "containers")
        .iter()
        .chain(list(spec, "initContainers"));
    if !target.is_empty() && !others.any(|other| text(other, "name") == target) {
        e.not_found(&path.child("targetContainerName"), target);
    }
}

fn ports(e: &mut Errors, path: &Path, ports: &[Value]) {
    let mut seen = BTreeSet::new();
    for (i, port) in ports.iter().enumerate() {
        let path = path.index(i);
        let name = text(port, "name");
        if !name.is_empty() {
            let problems = names::is_port_name(name);
            if problems.is_empty() && !seen.insert(name) {
                e.duplicate(&path.child("name"), name);
            }
            e.each(&path.child("name"), name, problems);
        }
        match int(port, "containerPort").unwrap_or_default() {
            0 => e.required(&path.child("containerPort"), ""),
            number => in_range(e, &path.child("containerPort"), number),
        }
        match int(port, "hostPort").unwrap_or_default() {
            0 => {}
            number => in_range(e, &path.child("hostPort"), number),
        }
        e.one_of(
            &path.child("protocol"),
            text(port, "protocol"),
            &["SCTP", "TCP", "UDP"],
        );
    }
}

fn in_range(e: &mut Errors, path: &Path, number: i64) {
    for problem in names::is_port_number(number) {
        e.invalid(path, number, &problem);
    }
}

/// Two containers of a pod can't have the same port of the host.
fn host_port_conflicts(e: &mut Errors, path: &Path, containers: &[Value]) {
    let mut seen = BTreeSet::new();
    for (i, container) in containers.iter().enumerate() {
        for (j, port) in list(container, "ports").iter().enumerate() {
            let number = int(port, "hostPort").unwrap_or_default();
            if number == 0 {
                continue;
            }
            let key = format!(
                "{}/{}/{number}",
                text(port, "protocol"),
                text(port, "hostIP")
            );
            if !seen.insert(key.clone()) {
                e.duplicate(
                    &path.index(i).child("ports").index(j).child("hostPort"),
                    &key,
                );
            }
        }
    }
}

fn host_network_ports(e: &mut Errors, path: &Path, spec: &Value) {
    for field in ["containers", "initContainers"] {
        for (i, container) in list(spec, field).iter().enumerate() {
            for (j, port) in list(container, "ports").iter().enumerate() {
                let number = int(port, "containerPort").unwrap_or_default();
                if int(port, "hostPort").unwrap_or_default() != number {
                    let at = path.child(field).index(i).child("ports").index(j);
                    e.invalid(
                        &at.child("containerPort"),
                        number,
                        "must match `hostPort` when `hostNetwork` is true",
                    );
                }
            }
        }
    }
}

fn mounts(e: &mut Errors, path: &Path, container: &Value, spec: &Value) {
    let volumes: BTreeSet<&str> = list(spec, "volumes")
        .iter()
        .map(|v| text(v, "name"))
        .collect();
    let mut places = BTreeSet::new();
    let privileged = flag(get(container, "securityContext"), "privileged");
    // Some fields Kubernetes names without telling of which mount.
    let whole = path.child("volumeMounts");
    for (i, mount) in list(container, "volumeMounts").iter().enumerate() {
        let path = whole.index(i);
        let (name, place) = (text(mount, "name"), text(mount, "mountPath"));
        if name.is_empty() {
            e.required(&path.child("name"), "");
        }
        if !volumes.contains(name) {
            e.not_found(&path.child("name"), name);
        }
        if place.is_empty() {
            e.required(&path.child("mountPath"), "");
        }
        if !places.insert(place) {
            e.invalid(&path.child("mountPath"), place, "must be unique");
        }
        for field in ["subPath", "subPathExpr"] {
            if !text(mount, field).is_empty() {
                super::volumes::check_relative(e, &whole.child(field), text(mount, field));
            }
        }
        if !text(mount, "subPath").is_empty() && !text(mount, "subPathExpr").is_empty() {
            e.invalid(
                &path.child("subPathExpr"),
                text(mount, "subPathExpr"),
                "subPathExpr and subPath are mutually exclusive",
            );
        }
        let propagation = text(mount, "mountPropagation");
        let at = whole.child("mountPropagation");
        e.one_of(
            &at,
            propagation,
            &["Bidirectional", "HostToContainer", "None"],
        );
        if propagation == "Bidirectional" && !privileged {
            e.forbidden(
                &at,
                "Bidirectional mount propagation is available only to privileged containers",
            );
        }
    }
    let mut seen = BTreeSet::new();
    for (i, device) in list(container, "volumeDevices").iter().enumerate() {
        let path = path.child("volumeDevices").index(i);
        let (name, place) = (text(device, "name"), text(device, "devicePath"));
        if name.is_empty() {
            e.required(&path.child("name"), "");
        } else if !seen.insert(name) {
            e.invalid(&path.child("name"), name, "must be unique");
        }
        if !name.is_empty() && !volumes.contains(name) {
            e.not_found(&path.child("name"), name);
        }
        if place.is_empty() {
            e.required(&path.child("devicePath"), "");
        } else if !places.insert(place) {
            e.invalid(&path.child("devicePath"), place, "must be unique");
        }
        if place.split('/').any(|part| part == "..") {
            let detail = "can not contain backsteps ('..')";
            e.invalid(&path.child("devicePath"), place, detail);
        }
    }
}
