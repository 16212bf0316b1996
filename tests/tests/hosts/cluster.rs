//! A cluster of hosts, and following a page of the documentation on it.

use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Instant;

use hardway_tests::Kubectl;
use hardway_tests::host::{Host, Site};
use hardway_tests::kubectl::Output;
use hardway_tests::page::Block;
use hardway_tests::wait::{holds, until};
use tempfile::TempDir;

/// `scp` for hosts on which nothing serves ssh: their disks are at hand.
const SCP: &str = r#"
scp() {
    local word words=()
    for word; do
        case $word in
        root@*:*)
            local host=${word#root@}; local path=${host#*:}; host=${host%%:*}
            case $path in /*) ;; *) path=/root/$path ;; esac
            words+=($DISKS/$host/root$path) ;;
        *) words+=("$word") ;;
        esac
    done
    cp --recursive "${words[@]}"
}
"#;

/// The folder of $HARDWAY_HOSTS.
pub fn folder() -> PathBuf {
    let folder = std::env::var_os("HARDWAY_HOSTS").map(PathBuf::from);
    folder.expect("run this with `cargo hardway test --only e2e --suite hosts`")
}

/// Where hosts are plugged in. Its own address is taken by nobody else: who asks it for
/// names is refused at once.
pub fn site() -> Site {
    let folder = folder();
    let site = Site::new(&folder.join("run"), &folder.join("debian"));
    site.outside(address(1));
    site
}

/// The folder of $HARDWAY_PACKAGES.
pub fn packages() -> PathBuf {
    std::env::var_os("HARDWAY_PACKAGES")
        .expect("HARDWAY_PACKAGES")
        .into()
}

/// What a page needs of a clone of the repository, with the packages built.
fn clone() -> TempDir {
    let laptop = TempDir::new().expect("a folder");
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::create_dir(laptop.path().join("target"))
        .and_then(|()| symlink(packages(), laptop.path().join("target/packages")))
        .and_then(|()| symlink(repository.join("deploy"), laptop.path().join("deploy")))
        .expect("links");
    laptop
}

/// An address of the documentation's network.
pub fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 88, 0, last)
}

/// The blocks up to a heading, and from there.
#[track_caller]
pub fn split<'a>(blocks: &'a [Block], heading: &str) -> (&'a [Block], &'a [Block]) {
    let at = blocks.iter().position(|block| block.heading == heading);
    blocks.split_at(at.unwrap_or_else(|| panic!("no commands under {heading:?}")))
}

/// Hosts that are to be a cluster. The order of fields is that in which they go.
pub struct Cluster {
    /// Host of the control plane.
    pub control_plane: Host,
    /// Hosts of nodes.
    pub workers: Vec<Host>,
    site: Site,
    /// The folder of whoever types the commands.
    laptop: TempDir,
}

impl Cluster {
    /// Boots a control plane and workers, on which nothing is installed yet.
    pub fn boot(workers: &[&str]) -> Self {
        let site = site();
        let boot = |name: &str, last: u8| {
            let host = site.host(name, address(last));
            host.write("/etc/resolv.conf", &format!("nameserver {}\n", address(1)));
            host
        };
        let control_plane = boot("control-plane", 10);
        control_plane.copy(Kubectl::stock().program(), "/usr/local/bin/kubectl");
        let number = |name: &&str| boot(name, 10 + name.as_bytes().last().map_or(0, |c| c - b'0'));
        Self {
            workers: workers.iter().map(number).collect(),
            control_plane,
            site,
            laptop: clone(),
        }
    }

    /// All hosts.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        std::iter::once(&self.control_plane).chain(&self.workers)
    }

    /// A host by its name.
    #[track_caller]
    pub fn host(&self, name: &str) -> &Host {
        let host = self.hosts().find(|host| host.name == name);
        host.unwrap_or_else(|| panic!("there is no host {name}"))
    }

    /// Runs kubectl on the control plane.
    pub fn try_kubectl(&self, line: &str) -> Output {
        let config = "/etc/hardway/kubeconfig/admin.kubeconfig";
        let line = format!("kubectl --kubeconfig={config} {line}");
        self.control_plane.try_run_within(120, &line)
    }

    /// The same; it must succeed.
    #[track_caller]
    pub fn kubectl(&self, line: &str) -> String {
        let output = self.try_kubectl(line);
        assert!(
            output.success,
            "kubectl {line}\n{}{}",
            output.stdout, output.stderr
        );
        output.stdout
    }

    /// Waits until a node is Ready.
    #[track_caller]
    pub fn wait_ready(&self, node: &str) {
        until(&format!("node {node} is Ready"), || {
            let line = format!("get node {node} --no-headers");
            let shown = self.try_kubectl(&line).ok()?;
            holds(
                shown.split_whitespace().nth(1) == Some("Ready"),
                format!("{shown}{}", self.host(node).journal("hardway-kubelet")),
            )
        });
    }

    /// Types the commands of a page, each where it says. What is to be tried with images
    /// is preceded by what a registry would do.
    #[track_caller]
    pub fn follow(&self, blocks: &[Block]) {
        for block in blocks {
            if block.heading == "Does it work?" {
                self.give_images();
            }
            let began = Instant::now();
            let output = self.try_block(&self.fill_in(block));
            let took = began.elapsed();
            if !output.success {
                self.explain();
            }
            assert!(
                output.success,
                "under {:?}, on {}, after {took:.1?}:\n{}\n{}{}",
                block.heading, block.host, block.script, output.stdout, output.stderr
            );
            eprintln!("   {took:6.1?} {}: {}", block.host, block.heading);
            // What the tool did, and how long each step took.
            for line in output.stdout.lines().filter(|line| line.contains('✓')) {
                eprintln!("   {line}");
            }
        }
    }

    /// The block with a token in place of the words TOKEN and HASH, which a reader takes
    /// from the line that `hardway init` or `hardway token create` prints.
    fn fill_in(&self, block: &Block) -> Block {
        if !block.script.contains("--token TOKEN --ca-cert-hash HASH") {
            return block.clone();
        }
        let printed = self.control_plane.run("hardway token create");
        let after = |flag: &str| {
            let word = printed
                .split_whitespace()
                .skip_while(|word| *word != flag)
                .nth(1);
            word.unwrap_or_else(|| panic!("no {flag} in {printed}"))
        };
        let script = block
            .script
            .replace("TOKEN", after("--token"))
            .replace("HASH", after("--ca-cert-hash"));
        Block {
            script,
            ..block.clone()
        }
    }

    /// The line to type on a host that is to join, as `hardway token create` prints it.
    #[track_caller]
    pub fn join_command(&self) -> String {
        let printed = self.control_plane.run("hardway token create");
        let line = printed
            .lines()
            .find(|line| line.starts_with("hardway join"));
        line.unwrap_or_else(|| panic!("no line to type in {printed}"))
            .to_owned()
    }

    fn try_block(&self, block: &Block) -> Output {
        let script = format!("set -e\n{}", block.script);
        if block.host != "laptop" {
            return self.host(&block.host).try_run(&script);
        }
        self.site.try_run(&format!(
            "cd '{}'\nDISKS='{}'\n{SCP}\n{script}",
            self.laptop.path().display(),
            folder().join("run").display(),
        ))
    }

    /// Gives the workers all images that are used here: they can't pull any.
    pub fn give_images(&self) {
        for host in &self.workers {
            let has_runtime = host.try_run("command -v ctr").success;
            if !has_runtime || host.path("/root/images.tar").exists() {
                continue;
            }
            host.copy(&folder().join("images.tar"), "/root/images.tar");
            host.run("ctr --namespace k8s.io images import images.tar");
        }
    }

    /// Prints what there is to see after a failure.
    pub fn explain(&self) {
        for line in ["get nodes,pods -A -o wide", "get events -A"] {
            let output = self.try_kubectl(line);
            eprintln!("$ kubectl {line}\n{}{}", output.stdout, output.stderr);
        }
        for host in self.hosts() {
            let units = host
                .try_run("systemctl list-units --no-pager --no-legend 'hardway-*' 'containerd*'");
            eprintln!("{}:\n{}{}", host.name, units.stdout, units.stderr);
        }
    }

    /// Nothing of hardway is on any host.
    #[track_caller]
    pub fn assert_nothing_left(&self) {
        for host in self.hosts() {
            let left = host.run(
                "find / /run -xdev \\( -path /proc -o -path /sys -o -path /root -o -path /var/lib/dpkg \
                     -o -path /var/log/journal -o -path /tmp \\) -prune -o -name '*hardway*' -print
                 find /var/lib/kubelet /var/lib/cni /var/log/pods /var/log/containers 2>/dev/null || true
                 find /sys/fs/cgroup -type d -name '*kubepods*'
                 systemctl list-unit-files --no-legend 'hardway*'
                 systemctl list-units --all --no-legend 'hardway*'
                 ip -o link | grep -E 'cni0|flannel|veth.*cni' || true
                 nft list tables 2>/dev/null | grep hardway || true
                 find /etc/cni/net.d -mindepth 1 2>/dev/null || true
                 pgrep --list-full 'hardway|etcd|containerd-shim' || true",
            );
            assert!(left.trim().is_empty(), "{}:\n{left}", host.name);
        }
    }
}
