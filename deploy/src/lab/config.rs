//! Configuration files of the programs that are not ours: containerd, the image
//! registry, and where containerd finds which images.

use std::fmt::Write;
use std::path::Path;

use super::Lab;
use crate::failure::Result;
use crate::plan::{Host, REGISTRY_PORT};
use crate::shell;

/// Where containerd listens inside a host.
pub const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";

/// Image hosts that the lab's registry mirrors, and where they really are.
const MIRRORED: &[(&str, &str)] = &[
    ("docker.io", "https://registry-1.docker.io"),
    ("registry.k8s.io", "https://registry.k8s.io"),
    // Where Kubernetes' tests had their images from until 1.24.
    ("gcr.io", "https://gcr.io"),
    ("k8s.gcr.io", "https://k8s.gcr.io"),
];

/// Image host of the project's own images, which are nowhere but in the lab.
pub const OWN_IMAGES: &str = "hardway.example";

/// Writes the configuration of a worker's container runtime.
pub fn ensure_worker(lab: &Lab, host: &Host) -> Result<()> {
    let disk = lab.disk(host);
    let text = containerd(&disk, host, &file_system(&disk));
    shell::write_file(&disk.join("containerd.toml"), text.as_bytes(), 0o644)?;
    shell::make_directory(&disk.join("cni/net.d"))?;
    shell::make_directory(&disk.join("manifests"))?;
    // Pods that take the node's DNS settings get these.
    let resolv = std::fs::read("/etc/resolv.conf").unwrap_or_default();
    shell::write_file(&disk.join("resolv.conf"), &resolv, 0o644)?;
    let mirrors = lab.plan.registries();
    for (name, upstream) in MIRRORED.iter().copied().chain([(OWN_IMAGES, "")]) {
        let beyond = (lab.internet && !upstream.is_empty()).then_some(upstream);
        let file = disk.join("certs.d").join(name).join("hosts.toml");
        shell::write_file(&file, mirrors_of(name, &mirrors, beyond).as_bytes(), 0o644)?;
    }
    Ok(())
}

/// Writes the configuration of a host's image registry.
pub fn ensure_registry(lab: &Lab, host: &Host) -> Result<()> {
    let text = format!(
        "version: 0.1
log:
  level: warn
storage:
  filesystem:
    rootdirectory: {}
http:
  addr: {}:{REGISTRY_PORT}
",
        serde_json::Value::from(lab.registry().display().to_string()),
        host.address
    );
    shell::write_file(&lab.disk(host).join("registry.yml"), text.as_bytes(), 0o644)
}

/// How containerd reaches an image host: the mirrors first, one after the other. What lies
/// `beyond` is asked for what they lack; without it that must be a mirror as well, or a
/// misspelt image costs a DNS timeout.
fn mirrors_of(name: &str, mirrors: &[String], beyond: Option<&str>) -> String {
    let url = |mirror: &String| format!("http://{mirror}/v2/{name}");
    let (server, override_path) = match (beyond, mirrors.first()) {
        (None, Some(first)) => (url(first), "override_path = true\n"),
        (beyond, _) => (beyond.unwrap_or_default().to_owned(), ""),
    };
    let mut text = format!("server = \"{server}\"\n{override_path}");
    for mirror in mirrors {
        let _ = write!(
            text,
            "
[host.\"{}\"]
  capabilities = [\"pull\", \"resolve\"]
  override_path = true
",
            url(mirror)
        );
    }
    text
}

/// Kind of the file system that holds a path, from the longest mount point.
fn file_system(path: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            Some((words.next()?, words.next()?))
        })
        .filter(|(point, _)| path.starts_with(point))
        .max_by_key(|(point, _)| point.len())
        .map_or_else(String::new, |(_, kind)| kind.to_owned())
}

fn containerd(disk: &Path, host: &Host, file_system: &str) -> String {
    // The kernel refuses an overlay on top of an overlay.
    let snapshotter = if file_system == "overlay" {
        "native"
    } else {
        "overlayfs"
    };
    let (disk, cgroup) = (disk.display(), &host.cgroup);
    format!(
        r#"version = 2
root = "{disk}/containerd"
state = "/run/containerd"
oom_score = 0
# Without this it would stay up with its CRI service dead.
required_plugins = ["io.containerd.grpc.v1.cri"]
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.internal.v1.restart",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.tracing.processor.v1.otlp",
]

[cgroup]
  path = "/{cgroup}/runtime"

[grpc]
  address = "{CONTAINERD_SOCKET}"

[ttrpc]
  address = "{CONTAINERD_SOCKET}.ttrpc"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.k8s.io/pause:3.10"
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  netns_mounts_under_state_dir = true
  disable_apparmor = true
  restrict_oom_score_adj = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{disk}/cni/net.d"

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    default_runtime_name = "runc"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false

    # For RuntimeClasses; Kubernetes' own tests look for a handler of this name.
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.test-handler]
      runtime_type = "io.containerd.runc.v2"

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.test-handler.options]
        SystemdCgroup = false

  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{disk}/certs.d"
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    #[test]
    fn containerd_keeps_its_things_on_the_hosts_disk() {
        let host = Plan::of_lab(1, 1).workers().remove(0);
        let text = containerd(Path::new("/lab/nodes/worker-1"), &host, "ext4");
        for line in [
            "root = \"/lab/nodes/worker-1/containerd\"",
            "  path = \"/lab-1-worker-1/runtime\"",
            "    conf_dir = \"/lab/nodes/worker-1/cni/net.d\"",
            "    snapshotter = \"overlayfs\"",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}");
        }
        assert!(
            containerd(Path::new("/lab"), &host, "overlay").contains("snapshotter = \"native\"")
        );
    }

    #[test]
    fn a_mirror_names_a_server_so_that_misses_are_quick() {
        let mirrors = ["10.88.0.10:5000".to_owned(), "10.88.0.202:5000".to_owned()];
        let here = mirrors_of("docker.io", &mirrors, None);
        assert!(here.starts_with(
            "server = \"http://10.88.0.10:5000/v2/docker.io\"\noverride_path = true\n"
        ));
        assert_eq!(
            here.matches("\n[host.\"http://10.88.0.").count(),
            2,
            "{here}"
        );
        let there = mirrors_of("docker.io", &mirrors, Some("https://registry-1.docker.io"));
        assert!(there.starts_with("server = \"https://registry-1.docker.io\"\n\n[host."));
    }

    #[test]
    fn the_longest_mount_point_counts() {
        assert_eq!(file_system(Path::new("/proc/self")), "proc");
    }
}
