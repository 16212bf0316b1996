//! A backup is taken, and the cluster goes on from it: on the host that has lost its database, and
//! on a fresh one in its place. As docs/operations.md says.

use std::time::Instant;

use hardway_tests::page::{self, Block};
use hardway_tests::steps::Step;

use super::cluster::{self, Cluster};
use super::three::{MORE, all_well, joins};

/// The checks, in their order: each goes on with the backup of the first. The last one leaves one
/// control plane.
pub const STEPS: &[Step<Cluster>] = &[
    ("a backup is taken", backup),
    ("a host that has lost its database goes on", lost_database),
    ("a fresh host goes on", fresh_host),
];

/// The blocks under a heading, and those of them that are for other hosts than the first.
fn blocks(heading: &str) -> (Vec<Block>, Vec<Block>) {
    let operations = page::read("docs/operations.md");
    let all = cluster::section(&operations, heading);
    all.into_iter()
        .partition(|block| !MORE.contains(&block.host.as_str()))
}

fn backup(cluster: &Cluster) {
    cluster.give_images();
    cluster.kubectl("create deployment web --image=busybox:1.36 -- httpd -f -p 8080 -h /etc");
    cluster.kubectl("rollout status deployment/web --timeout=100s");
    // Acknowledged just before: it must be in it.
    cluster.kubectl("create secret generic kept --from-literal=a=b");
    cluster.follow(&blocks("Backup").0);
}

fn lost_database(cluster: &Cluster) {
    let seen = changed_since(cluster);
    cluster
        .control_plane
        .run("systemctl stop hardway-etcd; rm -r /var/lib/hardway/etcd/member");
    restore(cluster, "Restore", &seen);
    for name in MORE {
        joins(cluster, name);
    }
    all_well(cluster);
    as_backed_up(cluster, &seen);
}

fn fresh_host(cluster: &Cluster) {
    let seen = changed_since(cluster);
    cluster.control_plane.power_cut();
    cluster.replace_control_plane(&cluster.control_plane);
    cluster.follow(&blocks("Restore").1);
    let began = Instant::now();
    cluster.follow(&blocks("Onto a fresh host").0);
    eprintln!("      restored after {:.1?}", began.elapsed());
    as_backed_up(cluster, &seen);
}

/// Others are reset first, and then the first host goes on from the backup.
fn restore(cluster: &Cluster, heading: &str, seen: &str) {
    let (here, others) = blocks(heading);
    cluster.follow(&others);
    let began = Instant::now();
    cluster.follow(&here);
    eprintln!("      restored after {:.1?}", began.elapsed());
    as_backed_up(cluster, seen);
}

/// Writes what the backup doesn't have, and gives the revision that a client has seen then.
#[track_caller]
fn changed_since(cluster: &Cluster) -> String {
    cluster.kubectl("create configmap later --from-literal=a=b");
    cluster.kubectl("get configmap later --output=jsonpath={.metadata.resourceVersion}")
}

/// What was acknowledged before the backup is there, what came later is not; who goes on watching
/// where it was is told to list anew, and no revision is given out twice.
#[track_caller]
fn as_backed_up(cluster: &Cluster, seen: &str) {
    let value = cluster.kubectl("get secret kept --output=jsonpath={.data.a}");
    assert_eq!(value, "Yg==");
    let later = cluster.try_kubectl("get configmap later");
    assert!(later.stderr.contains("NotFound"), "{}", later.stdout);

    let path = "/api/v1/namespaces/default/configmaps?watch=true&timeoutSeconds=10";
    let watch = cluster.try_kubectl(&format!("get --raw '{path}&resourceVersion={seen}'"));
    let said = watch.stdout + &watch.stderr;
    assert!(said.contains("too old resource version"), "{said}");

    cluster.kubectl("create configmap probe --from-literal=a=b");
    let now = cluster.kubectl("get configmap probe --output=jsonpath={.metadata.resourceVersion}");
    let number = |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("{text}"));
    assert!(number(&now) > number(seen), "{now} after {seen}");
    cluster.kubectl("delete configmap probe");

    // The node goes on, and what ran on it.
    cluster.wait_ready("worker-1");
    cluster.kubectl("rollout status deployment/web --timeout=120s");
}
