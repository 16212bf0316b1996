//! Disks that are full: of one control plane, and of all. What that stopped goes on by itself when
//! there is room.

use std::time::{Duration, Instant};

use hardway_tests::host::Host;
use hardway_tests::steps::Step;
use hardway_tests::wait::{holds, within};

use super::cluster::Cluster;
use super::three::{self, GAP, all_well, longest_gap, under_load, writes_go_on};

/// The checks, in their order.
pub const STEPS: &[Step<Cluster>] = &[
    ("each etcd gets a small disk of its own", small_disks),
    ("the disk of etcd's leader is full", one_is_full),
    ("all disks are full", all_are_full),
];

/// Where etcd has its data.
const DATA: &str = "/var/lib/hardway/etcd";
/// What takes the room.
const BALLAST: &str = "/var/lib/hardway/etcd/ballast";

/// A file system in memory takes the place of etcd's folder: etcd sets 64 MiB aside for each of
/// its logs.
fn small_disks(cluster: &Cluster) {
    for host in cluster.control_planes() {
        host.run(&format!(
            "set -e
             systemctl stop hardway-etcd
             cp --archive {DATA} moved
             mount -t tmpfs -o size=400m tmpfs {DATA}
             cp --archive moved/. {DATA}
             rm -r moved
             systemctl start hardway-etcd"
        ));
        all_well(cluster);
    }
}

fn fill(host: &Host) {
    let said = host.try_run(&format!("dd if=/dev/zero of={BALLAST} bs=64k status=none"));
    assert!(said.stderr.contains("No space left"), "{}", said.stderr);
}

fn make_room(host: &Host) {
    host.run(&format!("rm {BALLAST}"));
}

fn one_is_full(cluster: &Cluster) {
    let host = three::leader(cluster);
    let gap = under_load(cluster, "one-is-full", |load| {
        let since = load.now();
        fill(host);
        writes_go_on(load, load.now());
        load.pass(Duration::from_secs(10));
        let gap = longest_gap(load, since);
        let state = host.property("hardway-etcd", "ActiveState");
        eprintln!("      etcd of {} is {state} then", host.name);
        let began = Instant::now();
        make_room(host);
        all_well(cluster);
        eprintln!(
            "      all well {:.1?} after there was room",
            began.elapsed()
        );
        gap
    });
    assert!(gap < GAP, "no write for {gap:.1?}");
}

/// Writes end with an error in words, reads go on as far as the members can agree; nothing that
/// was acknowledged is lost.
fn all_are_full(cluster: &Cluster) {
    let large = "x".repeat(200_000);
    let write = |number: u32| {
        cluster.control_plane.write("/root/large", &large);
        cluster.try_kubectl(&format!(
            "create configmap large-{number} --from-file=large --request-timeout=15s"
        ))
    };
    for host in cluster.control_planes() {
        fill(host);
    }
    let mut written = 0;
    let refused = within(Duration::from_secs(240), "there is no room at last", || {
        let output = write(written);
        if output.success {
            written += 1;
        }
        holds(!output.success, format!("{written} objects fit")).map(|()| output.stderr)
    });
    eprintln!("      after {written} objects: {}", refused.trim());
    assert!(written > 0, "nothing was acknowledged that could be lost");
    let began = Instant::now();
    for host in cluster.control_planes() {
        make_room(host);
    }
    all_well(cluster);
    eprintln!(
        "      all well {:.1?} after there was room",
        began.elapsed()
    );
    let listed = cluster.kubectl("get configmaps --no-headers");
    for number in 0..written {
        assert!(
            listed.contains(&format!("large-{number} ")),
            "large-{number} is lost"
        );
    }
    assert!(write(written + 1).success);
    cluster.kubectl("delete configmaps --all");
}
