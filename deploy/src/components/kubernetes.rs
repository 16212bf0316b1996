//! Kubernetes' own components in the place of ours: with which of their flags they do
//! the same work.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Parts;
use crate::failure::{Failure, OrFail, Result};
use crate::lab::Lab;
use crate::lab::config::CONTAINERD_SOCKET;
use crate::pki::CLUSTER_CA;
use crate::plan::{CLUSTER_DNS, CLUSTER_DOMAIN, Host, POD_CIDR, SERVICE_CIDR};
use crate::shell;

/// The processes that have a counterpart in Kubernetes.
pub const REPLACEABLE: &[&str] = &["controller-manager", "scheduler", "kubelet", "proxy"];

/// A program of Kubernetes that does a process' work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Where it is.
    pub file: PathBuf,
    /// The second number of its version: 20 of v1.20.2. Flags come and go with it.
    pub minor: u32,
}

impl Program {
    /// Asks a program for its version.
    ///
    /// # Errors
    /// If it can't be run, or does not answer as Kubernetes' components do.
    pub fn ask(file: &Path) -> Result<Self> {
        let said = shell::run(&file.display().to_string(), &["--version"])?;
        let minor = minor_version(&said).ok_or_else(|| {
            Failure::new(
                format!("ask {} for its version", file.display()),
                format!(
                    "it is no component of Kubernetes: it says `{}`",
                    said.trim()
                ),
            )
        })?;
        let file = file.to_owned();
        Ok(Self { file, minor })
    }
}

/// The second number in `Kubernetes v1.20.2`.
fn minor_version(said: &str) -> Option<u32> {
    let version = said.trim().strip_prefix("Kubernetes v1.")?;
    let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// The command line of `program` in the place of a process.
pub(super) fn parts(lab: &Lab, host: &Host, name: &str, program: &Program) -> Parts {
    let start = Parts::new(&program.file);
    match name {
        "scheduler" => control_plane(start, lab, host, "scheduler", 10259),
        "controller-manager" => controller_manager(start, lab, host),
        "kubelet" => kubelet(start, lab, host, program),
        _ => proxy(start, lab, host),
    }
}

/// What scheduler and controller manager have in common.
fn control_plane(start: Parts, lab: &Lab, host: &Host, name: &str, port: u16) -> Parts {
    let pki = lab.control_plane_pki(host);
    let folder = lab.control_plane_kubeconfigs(host);
    let kubeconfig = folder.join(format!("{name}.kubeconfig"));
    start
        .file("kubeconfig", kubeconfig.clone())
        .path("authentication-kubeconfig", &kubeconfig)
        .path("authorization-kubeconfig", &kubeconfig)
        .flag("bind-address", "0.0.0.0")
        .flag("secure-port", port)
        .path("tls-cert-file", &pki.certificate(name))
        .path("tls-private-key-file", &pki.key(name))
        .path("client-ca-file", &pki.certificate(CLUSTER_CA))
        .flag("leader-elect", true)
}

fn controller_manager(start: Parts, lab: &Lab, host: &Host) -> Parts {
    let pki = lab.control_plane_pki(host);
    control_plane(start, lab, host, "controller-manager", 10257)
        .flag("controllers", "*,bootstrapsigner,tokencleaner")
        .flag("use-service-account-credentials", true)
        .flag("allocate-node-cidrs", true)
        .flag("cluster-cidr", POD_CIDR)
        .flag("service-cluster-ip-range", SERVICE_CIDR)
        .path("root-ca-file", &pki.certificate(CLUSTER_CA))
        .file("service-account-private-key-file", pki.key("sa"))
        .path("cluster-signing-cert-file", &pki.certificate(CLUSTER_CA))
        .path("cluster-signing-key-file", &pki.key(CLUSTER_CA))
}

fn kubelet(start: Parts, lab: &Lab, host: &Host, program: &Program) -> Parts {
    let kubeconfig = format!("kubelet-{}.kubeconfig", host.name);
    let mut parts = start
        .file("config", kubelet_config_file(lab, host))
        .file("kubeconfig", lab.kubeconfigs().join(kubeconfig))
        .flag("hostname-override", &host.name)
        .flag("node-ip", host.address)
        .flag("root-dir", ROOT_DIR);
    if program.minor < 24 {
        // Docker was the default until then; the flag itself is gone since 1.27.
        parts = parts.flag("container-runtime", "remote");
    }
    if program.minor < 27 {
        parts = parts.flag("container-runtime-endpoint", endpoint());
    }
    parts
}

const ROOT_DIR: &str = "/var/lib/kubelet";

fn endpoint() -> String {
    format!("unix://{CONTAINERD_SOCKET}")
}

fn kubelet_config_file(lab: &Lab, host: &Host) -> PathBuf {
    lab.disk(host).join("kubelet.json")
}

/// What Kubernetes' kubelet is told by a file.
fn kubelet_config(lab: &Lab, host: &Host, program: &Program) -> serde_json::Value {
    let pki = lab.pki();
    let disk = lab.disk(host);
    let serving = format!("kubelet-{}-serving", host.name);
    let mut config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": "0.0.0.0",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": pki.certificate(CLUSTER_CA)},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", host.cgroup),
        "clusterDNS": [CLUSTER_DNS],
        "clusterDomain": CLUSTER_DOMAIN,
        // The hosts share the machine's disk and memory with whatever else is on it.
        "evictionHard": {
            "imagefs.available": "1%",
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
        },
        "failSwapOn": false,
        "imageGCHighThresholdPercent": 100,
        "oomScoreAdj": 0,
        "resolvConf": disk.join("resolv.conf"),
        "staticPodPath": disk.join("manifests"),
        "tlsCertFile": pki.certificate(&serving),
        "tlsPrivateKeyFile": pki.key(&serving),
    });
    if program.minor >= 27 {
        config["containerRuntimeEndpoint"] = json!(endpoint());
    }
    config
}

fn proxy(start: Parts, lab: &Lab, host: &Host) -> Parts {
    let kubeconfig = format!("kube-proxy-{}.kubeconfig", host.name);
    start
        .file("kubeconfig", lab.kubeconfigs().join(kubeconfig))
        .flag("hostname-override", &host.name)
        .flag("cluster-cidr", POD_CIDR)
        .flag("proxy-mode", "iptables")
        .flag("healthz-bind-address", "0.0.0.0:10256")
        // These are the machine's, and can't be set from within a host's namespace.
        .flag("conntrack-max-per-core", 0)
        .flag("conntrack-min", 0)
        .flag("conntrack-tcp-timeout-established", "0s")
        .flag("conntrack-tcp-timeout-close-wait", "0s")
        .flag("oom-score-adj", 0)
}

/// Makes what a replacement counts on that ours makes for itself: its configuration,
/// and for a kubelet the cgroup below which its pods are.
///
/// # Errors
/// If that can't be written.
pub fn prepare(lab: &Lab, host: &Host, name: &str, program: &Program) -> Result<()> {
    if name != "kubelet" {
        return Ok(());
    }
    let text = format!("{:#}\n", kubelet_config(lab, host, program));
    shell::write_file(&kubelet_config_file(lab, host), text.as_bytes(), 0o644)?;
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = fs::read_dir(root).or_fail(|| "list the cgroup hierarchies")?;
    let mut hierarchies: Vec<PathBuf> = hierarchies
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect();
    if root.join("cgroup.controllers").exists() {
        hierarchies = vec![root.to_owned()];
    }
    for hierarchy in hierarchies {
        shell::make_directory(&hierarchy.join(&host.cgroup))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::spec;
    use crate::components::tests::lab;

    fn command(name: &str, minor: u32) -> Vec<String> {
        let mut lab = lab();
        let hosts = lab.plan.hosts();
        let host = match name {
            "kubelet" | "proxy" => &hosts[2],
            _ => &hosts[0],
        };
        let file = PathBuf::from("/k8s").join(name);
        let key = format!("{name}@{}", host.name);
        lab.swapped.insert(key, Program { file, minor });
        spec(&lab, host, name).command
    }

    #[test]
    fn versions_are_read_off_what_the_components_say() {
        assert_eq!(minor_version("Kubernetes v1.20.2\n"), Some(20));
        assert_eq!(minor_version("Kubernetes v1.33.0-alpha.1\n"), Some(33));
        assert_eq!(minor_version("hardway-kubelet 0.1.0\n"), None);
        assert!(Program::ask(Path::new("/bin/echo")).is_err());
    }

    #[test]
    fn every_replacement_comes_with_the_identity_of_what_it_replaces() {
        for name in REPLACEABLE {
            let command = command(name, 20);
            assert_eq!(command[0], format!("/k8s/{name}"));
            let kubeconfig = match *name {
                "kubelet" => "kubelet-worker-2",
                "proxy" => "kube-proxy-worker-2",
                other => other,
            };
            let flag = format!("--kubeconfig=/lab/kubeconfig/{kubeconfig}.kubeconfig");
            assert!(command.contains(&flag), "{command:?}");
        }
    }

    #[test]
    fn the_controller_manager_signs_with_the_same_keys() {
        let theirs = command("controller-manager", 20);
        let lab = lab();
        let ours = spec(&lab, &lab.plan.control_plane(), "controller-manager").command;
        for flag in [
            "service-account-private-key-file",
            "cluster-signing-key-file",
        ] {
            let of = |command: &[String]| {
                let start = format!("--{flag}=");
                command
                    .iter()
                    .find(|word| word.starts_with(&start))
                    .cloned()
            };
            assert_eq!(of(&theirs), of(&ours));
            assert!(of(&ours).is_some(), "{flag}");
        }
    }

    #[test]
    fn flags_are_those_of_the_version() {
        // CHANGELOG-1.24: "--container-runtime" defaults to remote; CHANGELOG-1.27: it is
        // removed, and the endpoint goes into the configuration file.
        let has = |minor, start: &str| {
            let command = command("kubelet", minor);
            command.iter().any(|word| word.starts_with(start))
        };
        assert!(has(20, "--container-runtime=remote"));
        assert!(!has(24, "--container-runtime="));
        assert!(has(26, "--container-runtime-endpoint=unix://"));
        assert!(!has(27, "--container-runtime-endpoint"));
        let lab = lab();
        let host = lab.plan.workers().remove(0);
        let config = |minor| {
            let file = PathBuf::new();
            kubelet_config(&lab, &host, &Program { file, minor })
        };
        assert!(config(26)["containerRuntimeEndpoint"].is_null());
        assert_eq!(config(27)["containerRuntimeEndpoint"], endpoint());
        assert_eq!(config(20)["cgroupRoot"], "/lab-worker-1");
        assert_eq!(config(20)["clusterDNS"][0], "10.96.0.10");
    }
}
