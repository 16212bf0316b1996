//! What is installed on hosts: one package for each role, and one for the tool.

use std::path::{Path, PathBuf};

use crate::failure::{OrFail, Result};
use crate::shell;
use tree::File;

pub mod deb;
pub mod manual;
pub mod tarball;
pub mod tree;

/// What the programs are, as the apiserver says it at `/version` (there with a `v` before it).
pub const KUBERNETES_VERSION: &str = concat!("1.33.0+hardway", env!("CARGO_PKG_VERSION"));
/// The form of what the programs store. A change that programs from before it can't read adds one:
/// `hardway upgrade` doesn't go back behind it.
pub const STORED_FORMAT: u32 = 1;

/// A package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Package {
    /// etcd's unit, apiserver, controller manager and scheduler.
    ControlPlane,
    /// containerd's configuration, kubelet, proxy and flannel-lite.
    Node,
    /// The tool, which both need.
    Tool,
}

/// Where the packages' files come from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The folder `deploy` of the repository.
    pub deploy: PathBuf,
    /// The programs.
    pub binaries: PathBuf,
    /// An archive of the images that every node needs.
    pub images: PathBuf,
}

impl Package {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::ControlPlane, Self::Node, Self::Tool];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::ControlPlane => "hardway-control-plane",
            Self::Node => "hardway-node",
            Self::Tool => "hardway-tool",
        }
    }

    /// Its programs.
    pub fn programs(self) -> &'static [&'static str] {
        match self {
            Self::ControlPlane => &[
                "hardway-apiserver",
                "hardway-controller-manager",
                "hardway-scheduler",
            ],
            Self::Node => &["hardway-flannel-lite", "hardway-kubelet", "hardway-proxy"],
            Self::Tool => &[
                "hardway",
                "hardway-dashboard",
                "hardway-follow",
                "hardway-why",
            ],
        }
    }

    /// The section of the manual for its programs: 1 for what users call, 8 for what serves.
    fn section(self) -> u8 {
        match self {
            Self::ControlPlane | Self::Node => 8,
            Self::Tool => 1,
        }
    }

    /// Its units, in the order they start.
    pub fn units(self) -> &'static [&'static str] {
        match self {
            Self::ControlPlane => &[
                "hardway-etcd.service",
                "hardway-apiserver.service",
                "hardway-controller-manager.service",
                "hardway-scheduler.service",
                "hardway-certificates.timer",
            ],
            Self::Node => &[
                "hardway-images.service",
                "hardway-flannel-lite.service",
                "hardway-proxy.service",
                "hardway-kubelet.service",
            ],
            Self::Tool => &[],
        }
    }

    /// Other files of the folder `systemd`, and the folder of /usr/lib that each goes to.
    fn snippets(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::ControlPlane => &[
                ("etcd.service.d/10-hardway.conf", "systemd/system"),
                // Started by its timer.
                ("hardway-certificates.service", "systemd/system"),
                ("sysusers.d/hardway-control-plane.conf", ""),
                ("tmpfiles.d/hardway-control-plane.conf", ""),
            ],
            Self::Node => &[
                ("containerd.service.d/10-hardway.conf", "systemd/system"),
                ("modules-load.d/hardway.conf", ""),
                ("sysctl.d/90-hardway.conf", ""),
                ("sysusers.d/hardway-node.conf", ""),
                ("tmpfiles.d/hardway-node.conf", ""),
            ],
            Self::Tool => &[],
        }
    }

    /// Debian packages it needs, besides the libraries its programs are linked with.
    fn depends(self) -> &'static [&'static str] {
        match self {
            Self::ControlPlane => &["etcd-client", "etcd-server", "systemd (>= 252)"],
            Self::Node => &[
                "conntrack",
                "containerd (>= 1.6)",
                "containernetworking-plugins",
                "iproute2",
                "iptables",
                "kmod",
                "nftables",
                "runc",
                "systemd (>= 252)",
            ],
            Self::Tool => &[],
        }
    }

    /// What it is: in a few words, and in some more.
    fn description(self) -> (&'static str, &'static str) {
        match self {
            Self::ControlPlane => (
                "Kubernetes control plane: apiserver, controller manager, scheduler",
                "Serves the Kubernetes API from etcd. `hardway init` makes a cluster of it.",
            ),
            Self::Node => (
                "Kubernetes node: kubelet, service proxy, overlay network",
                "Runs pods with containerd. `hardway join` makes the host a node of a cluster.",
            ),
            Self::Tool => (
                "tool that sets up and looks after a hardway cluster",
                "Makes certificates and tokens, has hosts join and leave, shows what a cluster does.",
            ),
        }
    }

    /// All its files.
    ///
    /// # Errors
    /// If one of the sources can't be read.
    pub fn files(self, sources: &Sources) -> Result<Vec<File>> {
        let systemd = sources.deploy.join("systemd");
        let mut files = Vec::new();
        for program in self.programs() {
            let from = sources.binaries.join(program);
            // The tool's own are made out of its command line, below.
            if *program != "hardway" {
                let help = shell::run(&from.display().to_string(), &["--help"])?;
                files.extend(manual::from_help(program, &help, self.section())?);
            }
            files.push(File::copy(&format!("usr/bin/{program}"), from, 0o755));
        }
        for unit in self.units() {
            let at = format!("usr/lib/systemd/system/{unit}");
            files.push(File::copy(&at, systemd.join(unit), 0o644));
            if let Some(service) = with_flags(&systemd.join(unit))? {
                files.push(defaults(&service));
            }
        }
        for (snippet, folder) in self.snippets() {
            let at = Path::new("usr/lib").join(folder).join(snippet);
            files.push(File::copy(
                &at.display().to_string(),
                systemd.join(snippet),
                0o644,
            ));
        }
        if self == Self::Node {
            let at = "usr/share/hardway/containerd.toml";
            files.push(File::copy(at, systemd.join("containerd.toml"), 0o644));
            let at = "usr/share/hardway/images.tar";
            files.push(File::copy(at, sources.images.clone(), 0o644));
        }
        if self == Self::Tool {
            files.extend(manual::files(crate::cli::command())?);
        }
        Ok(files)
    }
}

/// The service of a unit that takes the administrator's own flags.
fn with_flags(unit: &Path) -> Result<Option<String>> {
    let text = std::fs::read_to_string(unit).or_fail(|| format!("read {}", unit.display()))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("EnvironmentFile=-/etc/default/"));
    Ok(line.map(str::to_owned))
}

/// A file of the administrator, who finds it empty.
fn defaults(service: &str) -> File {
    let text = format!(
        "# Flags that {service}.service adds to its own; see {service} --help.\n# After a change: systemctl restart {service}\nFLAGS=\n"
    );
    File::text(&format!("etc/default/{service}"), &text)
}

#[cfg(test)]
mod tests;
