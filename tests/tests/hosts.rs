//! A cluster on Debian hosts under systemd, made by the commands of the documentation.
//!
//! Runs only when it is named: `cargo hardway test --only e2e --suite hosts`. It needs no
//! lab: it boots hosts of its own.

#[path = "hosts/chapter1.rs"]
mod chapter1;
#[path = "hosts/cluster.rs"]
mod cluster;
#[path = "hosts/faults.rs"]
mod faults;
#[path = "hosts/full_disk.rs"]
mod full_disk;
#[path = "hosts/losses.rs"]
mod losses;
#[path = "hosts/members.rs"]
mod members;
#[path = "hosts/packages.rs"]
mod packages;
#[path = "hosts/renewal.rs"]
mod renewal;
#[path = "hosts/repeated.rs"]
mod repeated;
#[path = "hosts/restore.rs"]
mod restore;
#[path = "hosts/room.rs"]
mod room;
#[path = "hosts/rotation.rs"]
mod rotation;
#[path = "hosts/tarball.rs"]
mod tarball;
#[path = "hosts/three.rs"]
mod three;
#[path = "hosts/traces.rs"]
mod traces;
#[path = "hosts/upgrade.rs"]
mod upgrade;

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use hardway_tests::host::Host;
use hardway_tests::{page, steps};

use cluster::{Cluster, address, folder, site};

#[test]
#[ignore = "boots hosts: cargo hardway test --only e2e --suite hosts"]
fn hosts_are_hosts() {
    let site = site();
    let one = site.host("one", address(2));
    let two = site.host("two", address(3));
    assert_eq!(one.run("hostname"), "one\n");
    let reaches = |from: &Host, to: Ipv4Addr| {
        let refused = from.try_run(&format!("exec 3<>/dev/tcp/{to}/7777")).stderr;
        assert!(refused.contains("Connection refused"), "{refused}");
    };
    reaches(&one, two.address);

    one.run("echo kept >/root/kept");
    // A file in memory goes with the power.
    let boot = |host: &Host| {
        host.run("[ -e /run/boot ] || cat /proc/sys/kernel/random/uuid >/run/boot; cat /run/boot")
    };
    let (first, other) = (boot(&one), boot(&two));
    one.reboot();
    let second = boot(&one);
    assert_ne!(first, second);
    assert_eq!(second, boot(&one));
    two.power_cut();
    assert!(!two.try_run("true").success);
    two.power_on();
    assert_ne!(other, boot(&two));
    reaches(&one, two.address);
    reaches(&two, one.address);
    assert_eq!(one.run("cat /root/kept"), "kept\n");

    drop((one, two, site));
    let left = Command::new("sh")
        .args([
            "-c",
            "ip netns list; cat /proc/self/mounts; ls /sys/fs/cgroup/*",
        ])
        .output()
        .expect("sh");
    let left = String::from_utf8_lossy(&left.stdout);
    assert!(!left.contains("hardway-hosts"), "{left}");
    // What else is in that folder others may use.
    let disks = folder().join("run");
    assert!(!left.contains(&disks.display().to_string()), "{left}");
}

/// No machines are made: that takes a hypervisor.
#[test]
#[ignore = "needs vagrant: cargo hardway test --only e2e --suite hosts"]
fn vagrant_takes_the_vagrantfile() {
    let home = tempfile::tempdir().expect("a folder");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    let output = Command::new("vagrant")
        .args(["validate", "--ignore-provider"])
        .current_dir(folder)
        .env("HOME", home.path())
        .env("VAGRANT_DOTFILE_PATH", home.path().join("machines"))
        .output()
        .expect("vagrant");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complained}");
}

#[test]
#[ignore = "boots hosts: cargo hardway test --only e2e --suite hosts"]
fn a_cluster_can_be_made_in_ten_commands() {
    let cluster = Cluster::boot(&["worker-1", "worker-2"]);
    let blocks = page::read("docs/hosts.md");
    let (up, rest) = cluster::split(&blocks, "Removing a node");
    let (changes, down) = cluster::split(rest, "Removing it all");
    cluster.follow(up);
    let explain = || cluster.explain();
    let steps = [faults::STEPS, renewal::STEPS, chapter1::STEPS].concat();
    steps::run_explained(&cluster, &explain, &steps);
    cluster.follow(changes);
    joins_again(&cluster);
    cluster.follow(down);
    cluster
        .host("worker-2")
        .run("hardway reset --force; apt-get purge --yes hardway-node hardway-tool");
    cluster.assert_nothing_left();
}

/// A host that was reset joins as a new one does: with one command, in ten seconds (sixty
/// on a machine that does much else). One that gets no pods, though it is Ready, says so.
/// Its certificates live short, and are renewed.
fn joins_again(cluster: &Cluster) {
    let worker = cluster.host("worker-2");
    // There is never as much free.
    let settings = "/etc/default/hardway-kubelet";
    worker.write(settings, "FLAGS=--eviction-hard=nodefs.available<99%\n");
    let output = worker.try_run(&cluster.join_command());
    assert!(!output.success, "{}", output.stdout);
    let said = output.stdout + &output.stderr;
    assert!(
        said.contains("is Ready, but gets no pods while it has DiskPressure"),
        "{said}"
    );
    assert!(said.contains("df -h"), "{said}");
    worker.write(settings, "FLAGS=\n");
    worker.run("hardway reset --force");
    cluster.kubectl("delete node worker-2");

    let line = cluster.join_command();
    renewal::node_renews(cluster, worker, || {
        let began = Instant::now();
        worker.run(&line);
        let took = began.elapsed();
        eprintln!("   joined in {took:.1?}");
        let nodes = cluster.kubectl("get nodes worker-2 --no-headers");
        assert_eq!(nodes.split_whitespace().nth(1), Some("Ready"), "{nodes}");
        assert!(took.as_secs() < 60, "{took:?}");
    });
}

#[test]
#[ignore = "boots hosts: cargo hardway test --only e2e --suite hosts"]
fn packages_come_and_go() {
    let cluster = Cluster::boot(&["worker-1"]);
    packages::come_and_go(&cluster);
    packages::stay(&cluster);
    packages::are_purged(&cluster);
}

#[test]
#[ignore = "boots hosts: cargo hardway test --only e2e --suite hosts"]
fn a_tarball_will_do() {
    tarball::installs_and_removes(&Cluster::boot(&["worker-1"]));
}

#[test]
#[ignore = "boots hosts: cargo hardway test --only e2e --suite hosts"]
fn a_cluster_can_be_made_by_hand() {
    let cluster = Cluster::boot(&["worker-1"]);
    let blocks = page::read("docs/hard-way.md");
    let (up, down) = cluster::split(&blocks, "Taking it apart");
    cluster.follow(up);
    let explain = || cluster.explain();
    steps::run_explained(&cluster, &explain, faults::OF_A_HAND_MADE_CLUSTER);
    cluster.follow(down);
    cluster.assert_nothing_left();
}

#[test]
#[ignore = "boots hosts: cargo hardway test --only e2e --suite hosts"]
fn three_control_planes_lose_hosts() {
    let cluster = three::up();
    let explain = || cluster.explain();
    steps::run_explained(&cluster, &explain, losses::STEPS);
}

#[test]
#[ignore = "boots hosts: cargo hardway test --only e2e --suite hosts"]
fn full_disks_lose_nothing() {
    let cluster = three::up();
    let explain = || cluster.explain();
    steps::run_explained(&cluster, &explain, full_disk::STEPS);
}

/// In this order: what was restored last has one control plane.
#[test]
#[ignore = "boots hosts: cargo hardway test --only e2e --suite hosts"]
fn three_control_planes_are_looked_after() {
    let cluster = three::up();
    let explain = || cluster.explain();
    let steps = [members::STEPS, room::STEPS, restore::STEPS].concat();
    steps::run_explained(&cluster, &explain, &steps);
}

#[test]
#[ignore = "boots hosts: cargo hardway test --only e2e --suite hosts"]
fn three_control_planes_are_upgraded() {
    let cluster = three::up_with_two_nodes();
    let explain = || cluster.explain();
    steps::run_explained(&cluster, &explain, upgrade::STEPS);
}

#[test]
#[ignore = "boots hosts: cargo hardway test --only e2e --suite hosts"]
fn a_cluster_of_an_earlier_version_is_upgraded() {
    upgrade::of_an_earlier_version();
}

#[test]
#[ignore = "boots hosts: cargo hardway test --only e2e --suite hosts"]
fn keys_are_replaced_without_a_failed_request() {
    let cluster = three::up();
    let explain = || cluster.explain();
    steps::run_explained(&cluster, &explain, rotation::STEPS);
}
