//! etcd's members: one leaves in order, and one goes on alone when the others are lost for good. As
//! docs/operations.md says.

use hardway_tests::page;
use hardway_tests::steps::Step;
use hardway_tests::wait::{holds, until};

use super::cluster::{self, Cluster};
use super::three::{MORE, all_well, joins, under_load};

/// The checks, each of which leaves three control planes.
pub const STEPS: &[Step<Cluster>] = &[
    ("a control plane leaves, and joins again", one_leaves),
    (
        "one goes on without the two that are lost",
        one_goes_on_alone,
    ),
];

fn one_leaves(cluster: &Cluster) {
    let operations = page::read("docs/operations.md");
    let blocks = cluster::section(&operations, "etcd's members");
    let gone = &cluster.more_control_planes[1];
    under_load(cluster, "one-leaves", |_| {
        cluster.follow(&blocks);
        assert_eq!(members(cluster), ["control-plane", "control-plane-2"]);
        assert_eq!(leases_of(cluster, &gone.address.to_string()), 0);
        joins(cluster, &gone.name);
        all_well(cluster);
    });
    assert_eq!(members(cluster).len(), 3);
}

/// Two hosts lose power and are given up; when they have it again they are no second cluster, and
/// join when they have been reset.
fn one_goes_on_alone(cluster: &Cluster) {
    let operations = page::read("docs/operations.md");
    let blocks = cluster::section(&operations, "Two of three, for good");
    let (here, on_the_others): (Vec<_>, Vec<_>) = blocks
        .into_iter()
        .partition(|block| block.host == cluster.control_plane.name);
    let lost = &cluster.more_control_planes;
    cluster.kubectl("create configmap kept --from-literal=a=b");
    for host in lost {
        host.power_cut();
    }
    // Until it has noticed, nothing is lost.
    until("it says what would be lost", || {
        let said = cluster
            .control_plane
            .try_run("hardway etcd force-new-cluster");
        let is_clear = !said.success && said.stderr.contains("would be none any more");
        holds(is_clear, said.stdout + &said.stderr)
    });
    cluster.follow(&here);
    assert_eq!(members(cluster), ["control-plane"]);
    cluster.kubectl("get configmap kept");
    cluster.kubectl("create configmap alone --from-literal=a=b");
    for host in lost {
        assert_eq!(leases_of(cluster, &host.address.to_string()), 0);
        host.power_on();
    }
    // Nobody has reset them yet. etcd tells them, and they end, each time that they are started.
    for host in lost {
        until(&format!("etcd of {} is turned away", host.name), || {
            let journal = host.journal("hardway-etcd");
            holds(journal.contains("permanently removed"), journal)
        });
    }
    assert_eq!(members(cluster), ["control-plane"]);
    cluster.kubectl("delete configmap alone");
    cluster.follow(&on_the_others);
    for name in MORE {
        joins(cluster, name);
    }
    all_well(cluster);
    assert_eq!(members(cluster).len(), 3);
    assert!(!cluster.try_kubectl("get configmap alone").success);
    cluster.kubectl("delete configmap kept");
}

/// The names of etcd's members.
#[track_caller]
fn members(cluster: &Cluster) -> Vec<String> {
    let shown = cluster.control_plane.run("hardway etcd members");
    let lines = shown.lines().skip(1);
    let names = lines.filter_map(|line| line.split_whitespace().next());
    names.map(str::to_owned).collect()
}

/// How many Leases of apiservers there are at an address.
#[track_caller]
fn leases_of(cluster: &Cluster, address: &str) -> usize {
    let shown = cluster.kubectl("get leases --namespace kube-system --output name");
    let name = format!("lease.coordination.k8s.io/apiserver-{address}");
    shown.lines().filter(|line| *line == name).count()
}
