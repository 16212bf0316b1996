//! Which processes run on which host, and with which flags.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::addons;
use crate::lab::Lab;
use crate::lab::control::Spec;
use crate::lab::process;
use crate::pki::{CLUSTER_CA, Pki};
use crate::plan::{API_PORT, Host, Role};

mod control_plane;
pub mod kubernetes;
mod node;
mod parts;

use parts::Parts;

/// Packages of the workspace whose programs run on hosts; each has a binary of its name.
pub const ON_HOSTS: &[&str] = &[
    "hardway-apiserver",
    "hardway-controller-manager",
    "hardway-scheduler",
    "hardway-kubelet",
    "hardway-proxy",
    "hardway-flannel-lite",
];
/// Packages of the workspace whose programs the tool runs for its user, and finds beside the
/// others.
pub const FOR_USERS: &[&str] = &["hardway-why", "hardway-follow", "hardway-dashboard"];

/// All packages whose programs are built for a cluster: what runs on its hosts, what runs in
/// it as add-ons, and what looks at it.
pub fn packages() -> Vec<&'static str> {
    let mut packages = [ON_HOSTS, FOR_USERS].concat();
    for addon in addons::ADDONS {
        // A program may look at a cluster from within, too.
        if !packages.contains(&addon.package()) {
            packages.push(addon.package());
        }
    }
    packages
}

/// Processes of a host of the control plane in the order they start.
pub const CONTROL_PLANE: &[&str] = &[
    "etcd",
    "registry",
    "apiserver",
    "controller-manager",
    "scheduler",
];
/// Processes of a worker in the order they start.
pub const WORKER: &[&str] = &["containerd", "kubelet", "flannel-lite", "proxy"];

/// The processes of a host of this role, in the order they start.
pub fn of_role(role: Role) -> Vec<&'static str> {
    match role {
        Role::ControlPlane => CONTROL_PLANE.to_vec(),
        Role::Worker => WORKER.to_vec(),
        Role::ControlPlaneAndWorker => [CONTROL_PLANE, WORKER].concat(),
    }
}

/// The processes of a host that this lab runs, in the order they start.
pub fn specs(lab: &Lab, host: &Host) -> Vec<Spec> {
    of_role(host.role)
        .into_iter()
        .filter(|name| lab.wants(name))
        .map(|name| spec(lab, host, name))
        .collect()
}

/// One process of a host.
pub fn spec(lab: &Lab, host: &Host, name: &str) -> Spec {
    let parts = match lab.swapped(host, name) {
        Some(program) => kubernetes::parts(lab, host, name, program),
        None => parts(lab, host, name),
    };
    // What systemd gives a unit with a StateDirectory: there it keeps what it has learned.
    let state = lab.state(host, name).display().to_string();
    let mut environment = BTreeMap::from([
        ("PATH".to_owned(), path_with_administrators()),
        ("STATE_DIRECTORY".to_owned(), state),
    ]);
    if lab.has_faults() {
        let folder = lab.faults(host, name).display().to_string();
        environment.insert("HARDWAY_FAULTS".to_owned(), folder);
    }
    Spec {
        name: name.to_owned(),
        fingerprint: process::fingerprint(&parts.command, &parts.reads),
        command: parts.command,
        environment,
        log: lab.log(host, name),
    }
}

fn parts(lab: &Lab, host: &Host, name: &str) -> Parts {
    match name {
        "etcd" => control_plane::etcd(lab, host),
        "registry" => control_plane::registry(lab, host),
        "apiserver" => control_plane::apiserver(lab, host),
        "controller-manager" => control_plane::controller_manager(lab, host),
        "scheduler" => control_plane::scheduler(lab, host),
        "containerd" => node::containerd(lab, host),
        "kubelet" => node::kubelet(lab, host),
        "proxy" => node::proxy(lab, host),
        _ => node::flannel_lite(lab, host),
    }
}

/// The health port of a component, where it has one.
pub fn health_port(name: &str) -> Option<u16> {
    Some(match name {
        "etcd" => 2379,
        "apiserver" => API_PORT,
        "kubelet" => 10250,
        "proxy" => 10256,
        "controller-manager" => 10257,
        "flannel-lite" => 10258,
        "scheduler" => 10259,
        _ => return None,
    })
}

fn path_with_administrators() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{path}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin")
}

/// What all components but the apiserver have in common, with the folders of their certificates
/// and kubeconfigs.
fn component(
    lab: &Lab,
    (pki, kubeconfigs): (Pki, PathBuf),
    name: &str,
    certificate: &str,
    port: u16,
) -> Parts {
    let identity = certificate.trim_end_matches("-serving");
    debug_assert!(
        health_port(name) == Some(port),
        "the health check asks the port served"
    );
    Parts::new(&lab.binaries.join(format!("hardway-{name}")))
        .file(
            "kubeconfig",
            kubeconfigs.join(format!("{identity}.kubeconfig")),
        )
        .flag("secure-port", port)
        .path("tls-cert-file", &pki.certificate(certificate))
        .path("tls-private-key-file", &pki.key(certificate))
        .path("client-ca-file", &pki.certificate(CLUSTER_CA))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use super::*;
    use crate::plan::Plan;
    use crate::shell;

    /// Flags that say who a process is.
    const IDENTITY: &[&str] = &["--kubeconfig", "--tls-cert-file", "--tls-private-key-file"];

    /// Flags for etcd's first start, which on real hosts are in /etc/hardway/etcd.env.
    const FIRST_START: &[&str] = &["--initial-cluster", "--initial-cluster-state"];

    /// A lab that is nowhere.
    pub(crate) fn lab() -> Lab {
        Lab {
            folder: PathBuf::from("/lab"),
            plan: Plan::of_lab(0, 2),
            binaries: PathBuf::from("/bin/of/hardway"),
            internet: false,
            only: Vec::new(),
            swapped: BTreeMap::new(),
            ready: None,
        }
    }

    #[test]
    fn every_host_runs_its_processes_under_its_own_identity() {
        let lab = lab();
        let hosts = lab.plan.hosts();
        let names = |host| {
            specs(&lab, host)
                .into_iter()
                .map(|spec| spec.name)
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&hosts[0]), CONTROL_PLANE);
        assert_eq!(names(&hosts[2]), WORKER);
        let kubelet = spec(&lab, &hosts[2], "kubelet");
        assert_eq!(kubelet.command[0], "/bin/of/hardway/hardway-kubelet");
        for flag in [
            "--kubeconfig=/lab/kubeconfig/kubelet-worker-2.kubeconfig",
            "--tls-cert-file=/lab/pki/kubelet-worker-2-serving.crt",
            "--node-ip=10.88.0.12",
            "--cgroup-root=/lab-worker-2",
        ] {
            assert!(kubelet.command.iter().any(|word| word == flag), "{flag}");
        }
    }

    #[test]
    fn one_host_may_be_the_whole_cluster() {
        let mut lab = lab();
        lab.plan.cluster = Some("dev".to_owned());
        let host = lab.plan.control_plane();
        let all = specs(&lab, &host);
        assert_eq!(all.len(), CONTROL_PLANE.len() + WORKER.len());
        let mut ports: Vec<u16> = all.iter().filter_map(|it| health_port(&it.name)).collect();
        ports.push(crate::plan::REGISTRY_PORT);
        let count = ports.len();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), count, "two processes want one port: {ports:?}");
        let kubelet = spec(&lab, &host, "kubelet");
        let name = "--hostname-override=dev".to_owned();
        assert!(kubelet.command.contains(&name));
        assert!(!kubelet.command.iter().any(|word| word.contains("taints")));
    }

    #[test]
    fn etcd_lets_nobody_in_without_a_certificate() {
        let lab = lab();
        let etcd = spec(&lab, &lab.plan.control_plane(), "etcd");
        for flag in ["--client-cert-auth=true", "--peer-client-cert-auth=true"] {
            assert!(etcd.command.iter().any(|word| word == flag), "{flag}");
        }
        assert!(!etcd.command.iter().any(|word| word.contains("http://")));
    }

    #[test]
    fn members_of_a_control_plane_know_each_other_and_themselves_first() {
        let mut lab = lab();
        lab.plan.control_planes = 3;
        let hosts = lab.plan.control_planes();
        let has = |name: &str, flag: &str| {
            let command = spec(&lab, &hosts[1], name).command;
            assert!(
                command.iter().any(|word| word == flag),
                "{flag}\n{command:#?}"
            );
        };
        has(
            "etcd",
            "--initial-cluster=control-plane=https://10.88.0.10:2380,\
             control-plane-2=https://10.88.0.202:2380,control-plane-3=https://10.88.0.203:2380",
        );
        has("etcd", "--listen-peer-urls=https://10.88.0.202:2380");
        has(
            "etcd",
            "--key-file=/lab/pki/control-plane-2/etcd-server.key",
        );
        has(
            "apiserver",
            "--etcd-servers=https://127.0.0.1:2379,https://10.88.0.10:2379,https://10.88.0.203:2379",
        );
        has("apiserver", "--advertise-address=10.88.0.202");
        has(
            "scheduler",
            "--kubeconfig=/lab/kubeconfig/control-plane-2/scheduler.kubeconfig",
        );
    }

    #[test]
    fn the_units_for_real_hosts_have_the_same_flags() {
        let lab = lab();
        let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
        for host in &lab.plan.hosts()[..2] {
            // Debian brings a unit of its own for containerd; the registry is the lab's.
            let ours = |spec: &Spec| !["containerd", "registry"].contains(&spec.name.as_str());
            for spec in specs(&lab, host).into_iter().filter(ours) {
                let unit = units.join(format!("hardway-{}.service", spec.name));
                let text = shell::read_text(&unit).unwrap();
                let name = |word: &str| word.split('=').next().unwrap_or_default().to_owned();
                let mut here: Vec<String> =
                    spec.command[1..].iter().map(|word| name(word)).collect();
                here.retain(|flag| !FIRST_START.contains(&flag.as_str()));
                if host.role == Role::Worker {
                    // Nodes of real hosts ask for their certificates.
                    here.retain(|flag| !IDENTITY.contains(&flag.as_str()));
                    assert!(
                        text.contains("_IDENTITY=--kubeconfig="),
                        "{}",
                        unit.display()
                    );
                }
                let start = text
                    .lines()
                    .skip_while(|line| !line.starts_with("ExecStart="));
                let flags = start.map(str::trim).filter(|line| line.starts_with("--"));
                assert_eq!(
                    flags.map(name).collect::<Vec<_>>(),
                    here,
                    "{}",
                    unit.display()
                );
            }
        }
    }
}
