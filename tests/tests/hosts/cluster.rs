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

/// The blocks under a heading.
#[track_caller]
pub fn section(blocks: &[Block], heading: &str) -> Vec<Block> {
    let found: Vec<Block> = blocks
        .iter()
        .filter(|block| block.heading == heading)
        .cloned()
        .collect();
    assert!(!found.is_empty(), "no commands under {heading:?}");
    found
}

/// The word after another one in a text.
fn word_after(text: &str, flag: &str) -> Option<String> {
    let mut words = text.split_whitespace().skip_while(|word| *word != flag);
    words.nth(1).map(str::to_owned)
}

/// Says where names are looked up. What Debian offers is on the host already, and what it has
/// anew can't be reached: apt needn't ask for that more than once.
fn furnish(host: &Host) {
    host.write("/etc/resolv.conf", &format!("nameserver {}\n", address(1)));
    host.write("/etc/apt/apt.conf.d/95once", "Acquire::Retries \"0\";\n");
}

fn give_kubectl(host: &Host) {
    host.copy(Kubectl::stock().program(), "/usr/local/bin/kubectl");
}

/// Hosts that are to be a cluster. The order of fields is that in which they go.
pub struct Cluster {
    /// Host of the control plane, the first of them where there are more.
    pub control_plane: Host,
    /// Further hosts of the control plane.
    pub more_control_planes: Vec<Host>,
    /// Hosts of nodes.
    pub workers: Vec<Host>,
    /// Where they are plugged in.
    pub site: Site,
    /// The folder of whoever types the commands.
    laptop: TempDir,
}

impl Cluster {
    /// Boots a control plane and workers, on which nothing is installed yet.
    pub fn boot(workers: &[&str]) -> Self {
        Self::boot_several(&[], workers)
    }

    /// The same with further control planes.
    pub fn boot_several(more_control_planes: &[&str], workers: &[&str]) -> Self {
        let site = site();
        let boot = |name: &str, last: u8| {
            let host = site.host(name, address(last));
            furnish(&host);
            host
        };
        let boot_control_plane = |name: &str, last: u8| {
            let host = boot(name, last);
            give_kubectl(&host);
            host
        };
        let digit = |name: &str| name.as_bytes().last().map_or(0, |c| c - b'0');
        let numbered = |name: &&str| boot_control_plane(name, 10 * digit(name));
        let worker = |name: &&str| boot(name, 10 + digit(name));
        Self {
            control_plane: boot_control_plane("control-plane", 10),
            more_control_planes: more_control_planes.iter().map(numbered).collect(),
            workers: workers.iter().map(worker).collect(),
            site,
            laptop: clone(),
        }
    }

    /// Makes a control plane's host, which has no power, a fresh one that has.
    #[track_caller]
    pub fn replace_control_plane(&self, host: &Host) {
        self.site.reinstall(host);
        host.power_on();
        furnish(host);
        give_kubectl(host);
    }

    /// Has the laptop offer other packages than those under test.
    #[track_caller]
    pub fn offer(&self, packages: &Path) {
        let link = self.laptop.path().join("target/packages");
        std::fs::remove_file(&link)
            .and_then(|()| symlink(packages, &link))
            .unwrap_or_else(|error| panic!("offer {}: {error}", packages.display()));
    }

    /// All hosts.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.control_planes().chain(&self.workers)
    }

    /// Hosts of the control plane.
    pub fn control_planes(&self) -> impl Iterator<Item = &Host> {
        std::iter::once(&self.control_plane).chain(&self.more_control_planes)
    }

    /// A host by its name.
    #[track_caller]
    pub fn host(&self, name: &str) -> &Host {
        let host = self.hosts().find(|host| host.name == name);
        host.unwrap_or_else(|| panic!("there is no host {name}"))
    }

    /// Runs kubectl on the control plane.
    pub fn try_kubectl(&self, line: &str) -> Output {
        Self::try_kubectl_on(&self.control_plane, line)
    }

    /// The same on another one.
    pub fn try_kubectl_on(control_plane: &Host, line: &str) -> Output {
        let config = "/etc/hardway/kubeconfig/admin.kubeconfig";
        let line = format!("kubectl --kubeconfig={config} {line}");
        control_plane.try_run_within(120, &line)
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
        let mut printed_key = None;
        for block in blocks {
            if block.heading == "Does it work?" {
                self.give_images();
            }
            let began = Instant::now();
            let output = self.try_block(&self.fill_in(block, printed_key.as_deref()));
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
            printed_key = word_after(&output.stdout, "--certificate-key").or(printed_key);
            // What the tool did, and how long each step took.
            for line in output.stdout.lines().filter(|line| line.contains('✓')) {
                eprintln!("   {line}");
            }
        }
    }

    /// The block with what a reader takes from the line that a command prints in place of the
    /// words TOKEN, HASH and KEY: from that of `hardway token create`, or, for a key alone, from
    /// that of a block before.
    fn fill_in(&self, block: &Block, printed_key: Option<&str>) -> Block {
        let needs_key = block.script.contains("--certificate-key KEY");
        let script = if block.script.contains("--token TOKEN --ca-cert-hash HASH") {
            let printed = self.control_plane.run(match needs_key {
                true => "hardway token create --control-plane",
                false => "hardway token create",
            });
            let after = |flag: &str| {
                word_after(&printed, flag).unwrap_or_else(|| panic!("no {flag} in {printed}"))
            };
            let script = block
                .script
                .replace("TOKEN", &after("--token"))
                .replace("HASH", &after("--ca-cert-hash"));
            match needs_key {
                true => script.replace("KEY", &after("--certificate-key")),
                false => script,
            }
        } else if needs_key {
            let key = printed_key.unwrap_or_else(|| panic!("no key was printed before {block:?}"));
            block.script.replace("KEY", key)
        } else {
            block.script.clone()
        };
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
