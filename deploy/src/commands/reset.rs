//! `hardway reset`: this host leaves its cluster, and nothing of it stays but what was
//! installed.

use std::fs;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anstream::{print, println};

use crate::backup::staged::{ASIDE, moved_aside};
use crate::etcd;
use crate::failure::{Failure, OrFail, Result};
use crate::host::control_plane::{administrator, here};
use crate::host::departure::{self, Departure};
use crate::host::steps::Steps;
use crate::host::{Layout, cluster, host_ports, systemd};
use crate::packaging::Package;
use crate::shell;
use crate::upgrade::journal;

/// Files and folders of a cluster on its hosts.
const FILES: &[&str] = &[
    "/etc/cni/net.d/10-flannel.conflist",
    "/etc/hardway",
    "/var/lib/cni",
    "/var/lib/hardway/agents",
    "/var/lib/hardway/apiserver",
    "/var/lib/hardway/controller-manager",
    "/var/lib/hardway/etcd",
    "/var/lib/hardway/flannel-lite",
    "/var/lib/hardway/kubelet",
    "/var/lib/hardway/proxy",
    "/var/lib/hardway/restore",
    "/var/lib/hardway/scheduler",
    // A backup with the keys of the CAs is in it.
    journal::FOLDER,
    "/var/lib/kubelet",
    "/var/log/containers",
    "/var/log/hardway",
    "/var/log/pods",
];
/// What a restore has put in the place of others, which it moved aside: `etcd.before-TIME`.
const RESTORED: [&str; 2] = ["/etc/hardway", etcd::DATA];
/// Folders that go when nothing of others is in them. What pods have kept in volumes is theirs.
const FOLDERS: &[&str] = &["/var/lib/hardway", "/var/lib/hardway-volumes", "/run/netns"];
/// Devices of the overlay and of pods.
const LINKS: &[&str] = &["flannel.1", "cni0"];
/// nftables' tables of proxy and flannel-lite.
const TABLES: &[&str] = &["hardway-proxy", "hardway-flannel-lite"];
/// The CNI network of pods, as flannel-lite calls it.
const NETWORK: &str = "cbr0";
/// Stopped after its member was taken out.
const ETCD: &str = "hardway-etcd.service";
/// Where the kernel shows cgroups.
const CGROUPS: &str = "/sys/fs/cgroup";
/// How long processes that were killed may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);
/// Below these, things are mounted for pods.
const MOUNTED: &[&str] = &["/var/lib/kubelet", "/run/netns"];

/// What `reset` may be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Don't ask
    #[arg(long)]
    pub force: bool,
    /// Leave even if the other control planes can't write any more without this one
    #[arg(long)]
    pub lose_majority: bool,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Root of the host's file system
    #[arg(long, value_name = "FOLDER", default_value = "/")]
    pub root: PathBuf,
}

/// Has it leave.
pub fn run(options: &Options) -> Result<()> {
    let layout = Layout::new(&options.root);
    let departure = departure(&layout, options)?;
    if !options.dry_run && !options.force {
        confirm(&layout, &departure)?;
    }
    if let Departure::Unknown(why) = &departure {
        println!(
            "warning: this host's member stays in etcd, and counts: {why}\n  if there are other control planes, on one of them:  hardway etcd remove NAME"
        );
    }
    steps(&layout, departure).run(options.dry_run)
}

/// What becomes of etcd's members without this host.
fn departure(layout: &Layout, options: &Options) -> Result<Departure> {
    let is_control_plane = layout.etc().join(cluster::FILE).exists();
    if !layout.is_running() || !is_control_plane {
        return Ok(Departure::None);
    }
    match here(layout) {
        Ok(cluster) => departure::find(layout, cluster.address.into(), options.lose_majority),
        Err(failure) => Ok(Departure::Unknown(failure.to_string())),
    }
}

fn confirm(layout: &Layout, departure: &Departure) -> Result<()> {
    let refuse = |why: &str| {
        Err(Failure::new("reset this host", why).way_out("if you mean it:  hardway reset --force"))
    };
    if !std::io::stdin().is_terminal() {
        return refuse("nobody can be asked whether to");
    }
    let lost = match departure {
        Departure::Member { .. } => "this host from the control plane, which goes on without it",
        _ if layout.path(etcd::DATA).exists() => "all objects and keys of the cluster, for good",
        _ => "all pods of this host, and its certificates",
    };
    print!("This removes {lost}. Go on? [y/N] ");
    let _ = std::io::stdout().flush();
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .or_fail(|| "read the answer")?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => refuse("you didn't say yes"),
    }
}

/// What has a host leave its cluster, in order.
fn steps(layout: &Layout, departure: Departure) -> Steps<'_> {
    let mut steps = Steps::default();
    // Those that depend on others first.
    let (units, etcd): (Vec<&str>, Vec<&str>) = [Package::Node, Package::ControlPlane]
        .iter()
        .flat_map(|package| package.units().iter().rev())
        .copied()
        .partition(|unit| *unit != ETCD);
    if let Departure::Member { others, .. } = &departure
        && let Some((_, other)) = others.first().copied()
    {
        steps.add("who joins is sent to another control plane", move || {
            point_to(layout, other)
        });
    }
    steps.add(
        format!("stop and disable {}", units.join(", ")),
        move || systemd::stop(layout, &units),
    );
    if let Departure::Member { id, leads, others } = departure {
        steps.add("take this host's member out of etcd", move || {
            departure::leave(layout, id, leads, &others)?;
            Ok(String::new())
        });
    }
    steps.add(format!("stop and disable {}", etcd.join(", ")), move || {
        systemd::stop(layout, &etcd)
    });
    if layout.is_running() {
        steps.add("end all pods", end_pods);
        steps.add("remove cgroups of pods", || {
            remove_cgroups(Path::new(CGROUPS))
        });
        steps.add(
            format!("unmount what is below {}", MOUNTED.join(", ")),
            || unmount(&shell::read_text(Path::new("/proc/self/mounts"))?),
        );
        steps.add(
            format!(
                "remove devices {}, nftables {}",
                LINKS.join(", "),
                TABLES.join(", ")
            ),
            || {
                for link in LINKS {
                    let _ = shell::run("ip", &["link", "delete", link]);
                }
                for table in TABLES {
                    let _ = shell::run("nft", &["delete", "table", "ip", table]);
                }
                Ok(String::new())
            },
        );
        steps.add("remove rules for ports of pods", close_host_ports);
    }
    let what = format!(
        "remove {}, {}",
        FILES.join(", "),
        RESTORED.map(|path| format!("{path}.{ASIDE}*")).join(", ")
    );
    steps.add(what, move || {
        let mut paths: Vec<PathBuf> = FILES.iter().map(|path| layout.path(path)).collect();
        for path in RESTORED {
            paths.extend(moved_aside(&layout.path(path)));
        }
        let mut removed = 0;
        for path in paths {
            removed += u32::from(shell::remove(&path)?);
        }
        for path in FOLDERS {
            let _ = fs::remove_dir(layout.path(path));
        }
        Ok(format!("{removed} were there"))
    });
    steps
}

/// Those who join are told of another control plane's address, should this one's be what
/// they are told. That the API can't be asked is no reason to stay.
fn point_to(layout: &Layout, other: SocketAddr) -> Result<String> {
    let cluster = here(layout)?;
    let api = administrator(layout, &cluster);
    let server = departure::server_of(other);
    let done = departure::point_elsewhere(&api, |it| it == cluster.address, &server);
    Ok(match done {
        Ok(true) => server,
        Ok(false) => "nobody is sent here".to_owned(),
        Err(failure) => format!("not done: {failure}"),
    })
}

/// Ends all containers of pods, and has containerd forget them.
fn end_pods() -> Result<String> {
    if !systemd::is_active("containerd.service") {
        return Ok("containerd doesn't run".to_owned());
    }
    let ctr = |arguments: &[&str]| {
        shell::run(
            "ctr",
            &[["--namespace", "k8s.io"].as_slice(), arguments].concat(),
        )
    };
    let ended = ctr(&["tasks", "list", "--quiet"])?;
    for task in ended.lines() {
        // One that has just ended by itself is no matter; one that can't be removed is.
        let _ = ctr(&["tasks", "kill", "--signal", "SIGKILL", "--all", task]);
        let _ = ctr(&["tasks", "delete", "--force", task]);
    }
    let containers = ctr(&["containers", "list", "--quiet"])?;
    let containers: Vec<&str> = containers.lines().collect();
    if !containers.is_empty() {
        ctr(&[["containers", "delete"].as_slice(), &containers].concat())?;
    }
    // It remembers pods until it starts anew.
    systemd::start(
        &["containerd.service"],
        true,
        std::time::Duration::from_secs(60),
    )?;
    Ok(format!("{} containers", containers.len()))
}

/// Removes the cgroups that pods were in, of each hierarchy.
fn remove_cgroups(mount: &Path) -> Result<String> {
    let hierarchies = folders(mount);
    let roots = std::iter::once(mount.to_owned()).chain(hierarchies);
    let groups: Vec<PathBuf> = roots
        .map(|root| root.join("kubepods"))
        .filter(|group| group.is_dir())
        .collect();
    for group in &groups {
        let began = Instant::now();
        // A process that was killed is in its cgroup until it has ended.
        while let Err(error) = remove_cgroup(group) {
            if began.elapsed() > PATIENCE {
                return Err(Failure::new(format!("remove {}", group.display()), error)
                    .way_out("processes are in it still; see  systemd-cgls /kubepods"));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
    Ok(String::new())
}

fn remove_cgroup(group: &Path) -> std::io::Result<()> {
    folders(group)
        .iter()
        .try_for_each(|below| remove_cgroup(below))?;
    fs::remove_dir(group)
}

/// Folders in a folder, without links to some.
fn folders(of: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(of).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path()).collect()
}

/// Has ports of the host lead to no pods any more.
fn close_host_ports() -> Result<String> {
    if shell::find_program("iptables-save").is_none() {
        return Ok("iptables isn't installed".to_owned());
    }
    let saved = shell::run("iptables-save", &["--table", "nat"])?;
    if let Some(text) = host_ports::removal(&saved, NETWORK) {
        shell::run_with_input("iptables-restore", &["--noflush"], &text)?;
    }
    Ok(String::new())
}

/// Unmounts what is mounted for pods.
fn unmount(mounts: &str) -> Result<String> {
    let points = for_pods(mounts);
    for point in &points {
        shell::run("umount", &["--lazy", point])?;
        if point.starts_with("/run/netns/") {
            let _ = fs::remove_file(point);
        }
    }
    Ok(format!("{} mounts", points.len()))
}

/// Mount points for pods, inner ones first.
fn for_pods(mounts: &str) -> Vec<String> {
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let is_ours = |point: &&str| {
        let path = Path::new(point);
        let is_below = |folder: &&str| path.starts_with(folder) && path != Path::new(folder);
        // Other network namespaces may be somebody else's.
        let is_space = path.starts_with("/run/netns");
        let is_pods = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("cni-"));
        MOUNTED.iter().any(is_below) && (!is_space || is_pods)
    };
    let mut points: Vec<String> = points.filter(is_ours).map(str::to_owned).collect();
    points.sort();
    points.dedup();
    points.reverse();
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_mounted_for_pods_is_unmounted() {
        let mounts = "\
/dev/sda1 / ext4 rw 0 0
/dev/sdb1 /var/lib/kubelet ext4 rw 0 0
tmpfs /var/lib/kubelet/pods/u/volumes/s tmpfs rw 0 0
tmpfs /var/lib/kubelet/pods/u/volumes/s/inner tmpfs rw 0 0
nsfs /run/netns/cni-1234 nsfs rw 0 0
nsfs /run/netns/mine nsfs rw 0 0
tmpfs /var/lib/kubelet-other/x tmpfs rw 0 0
";
        assert_eq!(
            for_pods(mounts),
            [
                "/var/lib/kubelet/pods/u/volumes/s/inner",
                "/var/lib/kubelet/pods/u/volumes/s",
                "/run/netns/cni-1234",
            ]
        );
    }

    #[test]
    fn cgroups_of_pods_go_in_each_hierarchy() {
        let mount = tempfile::tempdir().unwrap();
        for group in [
            "cpu/kubepods/burstable/podx",
            "kubepods/pody",
            "cpu/system.slice/x",
        ] {
            fs::create_dir_all(mount.path().join(group)).unwrap();
        }
        std::os::unix::fs::symlink("cpu", mount.path().join("cpuacct")).unwrap();
        remove_cgroups(mount.path()).unwrap();
        let there = |group: &str| mount.path().join(group).exists();
        assert!(!there("cpu/kubepods") && !there("kubepods") && there("cpu/system.slice/x"));
    }

    #[test]
    fn nothing_of_a_cluster_stays() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str| {
            shell::write_file(&root.path().join(path), b"x", 0o644).unwrap();
        };
        let of_the_cluster = [
            "etc/hardway/pki/ca.key",
            "etc/hardway.before-20261127T120000Z/pki/ca.key",
            "var/lib/hardway/etcd/wal",
            "var/lib/hardway/etcd.before-20261127T120000Z/member/wal/x",
            "var/lib/hardway/restore/etc/hardway/pki/ca.key",
            "var/lib/hardway/upgrade/before-0.2.0.tar.gz",
            "var/lib/hardway/upgrade/journal.json",
            "var/lib/kubelet/x",
        ];
        let installed = [
            "etc/default/hardway-kubelet",
            "var/lib/hardway/containerd.toml",
            "var/lib/hardway-volumes/of-a-pod",
        ];
        for path in of_the_cluster.iter().chain(&installed) {
            write(path);
        }
        let options = |force, dry_run| Options {
            force,
            lose_majority: false,
            dry_run,
            root: root.path().to_owned(),
        };
        let there = |path: &str| root.path().join(path).exists();
        run(&options(false, true)).unwrap();
        assert!(of_the_cluster.iter().all(|path| there(path)));
        run(&options(true, false)).unwrap();
        for path in of_the_cluster {
            assert!(!there(path), "{path} stays");
        }
        // What was installed stays, and what pods have stored.
        for path in installed {
            assert!(there(path), "{path} is gone");
            fs::remove_file(root.path().join(path)).unwrap();
        }
        run(&options(true, false)).unwrap();
        let left = fs::read_dir(root.path().join("var/lib")).unwrap().count();
        assert_eq!(left, 0);
    }
}
