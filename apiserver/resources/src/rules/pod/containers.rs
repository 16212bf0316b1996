//! Containers: ordinary, init, sidecar and ephemeral.

use super::super::field::{Errors, Path};
use super::super::json::{flag, get, has, int, list, text};
use super::options::Options;
use super::volumes::Volumes;
use super::{env, mounts, probes, resources, security};
use hardway_proto::names;
use serde_json::Value;
use std::collections::BTreeSet;

/// What is said of fields that an ephemeral container has not.
const NOT_EPHEMERAL: &str = "cannot be set for an Ephemeral Container";

/// All containers of a pod and where they are, in the order in which Kubernetes visits
/// them (`VisitContainersWithPath`).
pub fn all<'a>(path: &Path, spec: &'a Value) -> impl Iterator<Item = (Path, &'a Value)> + use<'a> {
    let path = path.clone();
    let fields = ["initContainers", "containers", "ephemeralContainers"];
    fields.into_iter().flat_map(move |field| {
        let path = path.child(field);
        let containers = list(spec, field).iter().enumerate();
        containers.map(move |(i, container)| (path.index(i), container))
    })
}

/// A pod's spec, and what the checks of a container ask of it.
#[derive(Clone, Copy)]
struct Pod<'a> {
    path: &'a Path,
    spec: &'a Value,
    volumes: &'a Volumes<'a>,
    options: Options<'a>,
    /// How long the pod has to end, in seconds.
    grace: i64,
}

/// The three lists of containers of a pod, which has these volumes.
pub fn check(e: &mut Errors, path: &Path, spec: &Value, volumes: &Volumes, options: Options) {
    let pod = Pod {
        path,
        spec,
        volumes,
        options,
        grace: int(spec, "terminationGracePeriodSeconds").unwrap_or(30),
    };
    let mut names = BTreeSet::new();
    pod.ordinary(e, &mut names);
    pod.init(e, &mut names);
    pod.ephemeral(e, names);
}

impl<'a> Pod<'a> {
    fn ordinary(&self, e: &mut Errors, names: &mut BTreeSet<&'a str>) {
        let (path, containers) = (self.path.child("containers"), list(self.spec, "containers"));
        if containers.is_empty() {
            return e.required(&path, "");
        }
        for (i, container) in containers.iter().enumerate() {
            let path = path.index(i);
            self.common(e, &path, container);
            once(e, &path, container, names);
            probes::check(e, &path, container, self.grace);
            if has(container, "restartPolicy") {
                let detail = "may not be set for non-init containers";
                e.forbidden(&path.child("restartPolicy"), detail);
            }
        }
        host_port_conflicts(e, &path, containers);
    }

    fn init(&self, e: &mut Errors, names: &mut BTreeSet<&'a str>) {
        let all = self.path.child("initContainers");
        for (i, container) in list(self.spec, "initContainers").iter().enumerate() {
            let path = all.index(i);
            self.common(e, &path, container);
            let restart = get(container, "restartPolicy").as_str();
            if let Some(policy) = restart.filter(|policy| *policy != "Always") {
                e.not_supported(&path.child("restartPolicy"), policy, &["Always"]);
            }
            once(e, &path, container, names);
            // They run one after another, and Kubernetes looks at each by itself.
            host_port_conflicts(e, &all, std::slice::from_ref(container));
            if restart == Some("Always") {
                probes::check(e, &path, container, self.grace);
                continue;
            }
            let fields = [
                "lifecycle",
                "livenessProbe",
                "readinessProbe",
                "startupProbe",
            ];
            for field in fields.iter().filter(|field| has(container, field)) {
                let detail = "may not be set for init containers without restartPolicy=Always";
                e.forbidden(&path.child(field), detail);
            }
        }
    }

    fn ephemeral(&self, e: &mut Errors, mut names: BTreeSet<&'a str>) {
        let others = names.clone();
        for (i, container) in list(self.spec, "ephemeralContainers").iter().enumerate() {
            let path = self.path.child("ephemeralContainers").index(i);
            self.common(e, &path, container);
            trimmed_image(e, &path, container);
            once(e, &path, container, &mut names);
            let target = text(container, "targetContainerName");
            if !target.is_empty() && !others.contains(target) {
                e.not_found(&path.child("targetContainerName"), target);
            }
            only_ephemeral(e, &path, container);
        }
    }

    /// What all containers have in common.
    fn common(&self, e: &mut Errors, path: &Path, container: &Value) {
        let name = text(container, "name");
        match name {
            "" => e.required(&path.child("name"), ""),
            _ => e.each(&path.child("name"), name, names::is_dns1123_label(name)),
        }
        if text(container, "image").is_empty() {
            e.required(&path.child("image"), "");
        }
        e.one_of(
            &path.child("terminationMessagePolicy"),
            text(container, "terminationMessagePolicy"),
            &["File", "FallbackToLogsOnError"],
        );
        ports(e, &path.child("ports"), list(container, "ports"));
        env::check(e, &path.child("env"), list(container, "env"));
        env::check_from(e, &path.child("envFrom"), list(container, "envFrom"));
        mounts::check(e, path, container, self.volumes);
        e.one_of(
            &path.child("imagePullPolicy"),
            text(container, "imagePullPolicy"),
            &["Always", "IfNotPresent", "Never"],
        );
        let amounts = get(container, "resources");
        resources::check(e, &path.child("resources"), amounts, self.options);
        let restart = text(self.spec, "restartPolicy");
        resize_policies(e, &path.child("resizePolicy"), container, restart);
        security::check_container(
            e,
            &path.child("securityContext"),
            get(container, "securityContext"),
            !security::has_host_users(self.spec),
        );
    }
}

/// A name is that of one container alone.
fn once<'a>(e: &mut Errors, path: &Path, container: &'a Value, names: &mut BTreeSet<&'a str>) {
    let name = text(container, "name");
    if !name.is_empty() && !names.insert(name) {
        e.duplicate(&path.child("name"), name);
    }
}

/// Spaces around an image's name, which templates may have.
pub fn trimmed_image(e: &mut Errors, path: &Path, container: &Value) {
    let image = text(container, "image");
    if image != image.trim() {
        let detail = "must not have leading or trailing whitespace";
        e.invalid(&path.child("image"), image, detail);
    }
}

/// What becomes of a container when it gets other resources; Kubernetes tells of the list
/// as a whole.
fn resize_policies(e: &mut Errors, path: &Path, container: &Value, pod_restart: &str) {
    let mut seen = BTreeSet::new();
    for (i, policy) in list(container, "resizePolicy").iter().enumerate() {
        let (resource, restart) = (text(policy, "resourceName"), text(policy, "restartPolicy"));
        if !seen.insert(resource) {
            e.duplicate(&path.index(i), resource);
        }
        for (value, known) in [
            (resource, ["cpu", "memory"]),
            (restart, ["NotRequired", "RestartContainer"]),
        ] {
            match value {
                "" => e.required(path, ""),
                value => e.one_of(path, value, &known),
            }
        }
        if pod_restart == "Never" && restart != "NotRequired" {
            let detail = "must be 'NotRequired' when `restartPolicy` is 'Never'";
            e.invalid(path, restart, detail);
        }
    }
}

/// What an ephemeral container can't have.
fn only_ephemeral(e: &mut Errors, path: &Path, container: &Value) {
    for field in [
        "ports",
        "resources",
        "resizePolicy",
        "restartPolicy",
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
        "lifecycle",
    ] {
        let value = get(container, field);
        // Resources are no pointer: those that are empty are none.
        let none = field == "resources" && value.as_object().is_some_and(|map| map.is_empty());
        if !value.is_null() && !none {
            e.forbidden(&path.child(field), NOT_EPHEMERAL);
        }
    }
    for (i, mount) in list(container, "volumeMounts").iter().enumerate() {
        for field in ["subPath", "subPathExpr"] {
            if !text(mount, field).is_empty() {
                let path = path.child("volumeMounts").index(i);
                e.forbidden(&path.child(field), NOT_EPHEMERAL);
            }
        }
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

/// On the host's network a container's port is the host's. In a template that may be left
/// to the pods that are made of it.
pub fn host_network_ports(e: &mut Errors, path: &Path, spec: &Value, options: Options) {
    if !flag(spec, "hostNetwork") {
        return;
    }
    for (i, container) in list(spec, "containers").iter().enumerate() {
        for (j, port) in list(container, "ports").iter().enumerate() {
            let of_host = int(port, "hostPort").unwrap_or_default();
            let must_match = options.pod.is_some() || of_host != 0;
            if must_match && of_host != int(port, "containerPort").unwrap_or_default() {
                let at = path.child("containers").index(i).child("ports").index(j);
                let detail = "must match `containerPort` when `hostNetwork` is true";
                e.invalid(&at.child("hostPort"), of_host, detail);
            }
        }
    }
}
