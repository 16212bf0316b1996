//! Room in etcd's file: given back while clients write, refused before it ends, and recovered by
//! command when it has ended. As docs/operations.md says.

use std::time::Duration;

use hardway_tests::kubectl::Output;
use hardway_tests::page;
use hardway_tests::steps::Step;
use hardway_tests::wait::{holds, within};

use super::cluster::{self, Cluster};
use super::three::{all_well, under_load};

/// The checks, in their order.
pub const STEPS: &[Step<Cluster>] = &[
    ("room is given back while clients write", given_back),
    ("each etcd gets a small quota", small_quota),
    ("growth is refused, and goes on when there is room", refused),
    ("an alarm is taken back by command", alarm),
    ("each etcd gets its quota again", former_quota),
];

/// What etcd may have. Its last fiftieth, in which nothing grows any more, has to last for what goes
/// on nevertheless: leases, deletions and short changes, in files that grow by more than that.
const QUOTA: u32 = 128 << 20;
const SETTINGS: &str = "/etc/default/hardway-etcd";
/// Bytes of an object that takes room: a few of them fit into that fiftieth.
const LARGE: usize = 400_000;
/// etcd's own client, as the apiserver.
pub const ETCDCTL: &str = "ETCDCTL_API=3 etcdctl --endpoints=https://127.0.0.1:2379 \
     --cacert=/etc/hardway/pki/etcd-ca.crt --cert=/etc/hardway/pki/apiserver-etcd-client.crt \
     --key=/etc/hardway/pki/apiserver-etcd-client.key";

fn given_back(cluster: &Cluster) {
    let operations = page::read("docs/operations.md");
    let blocks = cluster::section(&operations, "Room for etcd, and full disks");
    under_load(cluster, "given-back", |_| cluster.follow(&blocks));
    all_well(cluster);
}

fn small_quota(cluster: &Cluster) {
    cluster
        .control_plane
        .write("/root/large", &"x".repeat(LARGE));
    for host in cluster.control_planes() {
        host.run(&format!("! [ -e {SETTINGS} ] || cp {SETTINGS} settings"));
        host.write(SETTINGS, &format!("FLAGS=--quota-backend-bytes={QUOTA}\n"));
        host.run("systemctl restart hardway-etcd");
        all_well(cluster);
    }
}

fn former_quota(cluster: &Cluster) {
    for host in cluster.control_planes() {
        host.run(&format!(
            "if [ -e settings ]; then mv settings {SETTINGS}; else rm {SETTINGS}; fi
             systemctl restart hardway-etcd"
        ));
        all_well(cluster);
    }
}

/// A write of a large object.
fn write(cluster: &Cluster, number: u32) -> Output {
    cluster.try_kubectl(&format!(
        "create configmap large-{number} --from-file=large --request-timeout=15s"
    ))
}

/// The apiservers refuse what grows before etcd refuses everything: what is there can be deleted,
/// and then all goes on without anybody's help.
fn refused(cluster: &Cluster) {
    let mut written = 0;
    let said = within(Duration::from_secs(240), "growth is refused", || {
        let output = write(cluster, written);
        written += u32::from(output.success);
        holds(!output.success, format!("{written} objects fit")).map(|()| output.stderr)
    });
    eprintln!("      after {written} objects: {}", said.trim());
    assert!(said.contains("database space exceeded"), "{said}");
    assert_eq!(alarms(cluster), "", "etcd itself still writes");
    // What needs no room goes on: leases, which nodes are Ready by, and deletions.
    cluster.kubectl("annotate --overwrite node worker-1 note=short");
    cluster.kubectl("delete configmaps --all");
    within(Duration::from_secs(180), "there is room again", || {
        write(cluster, 0).ok().map(drop)
    });
    cluster.kubectl("delete configmap large-0");
    all_well(cluster);
}

/// While no apiserver looks after etcd its file grows until etcd refuses everything.
fn alarm(cluster: &Cluster) {
    let host = &cluster.control_plane;
    let each = |line: &str| {
        for host in cluster.control_planes() {
            host.run(line);
        }
    };
    each("systemctl stop hardway-apiserver");
    let filled = host.run(&format!(
        "count=0
         while {ETCDCTL} put ballast/$count <large >/dev/null 2>error; do count=$((count+1)); done
         echo $count; cat error"
    ));
    eprintln!("      {}", filled.trim().replace('\n', ": "));
    assert!(filled.contains("database space exceeded"), "{filled}");
    assert!(alarms(cluster).contains("NOSPACE"));
    // What is in the way goes; that alone changes nothing.
    host.run(&format!("{ETCDCTL} del --prefix ballast/"));
    let still = host.try_run(&format!("{ETCDCTL} put one more"));
    assert!(!still.success, "{}", still.stdout);
    let said = host.run("hardway etcd recover-space");
    assert!(said.contains("the alarm is taken back"), "{said}");
    assert_eq!(alarms(cluster), "");
    each("systemctl start hardway-apiserver");
    all_well(cluster);
    cluster.kubectl("create configmap afterwards --from-literal=a=b");
    cluster.kubectl("delete configmap afterwards");
    host.run("rm large error");
}

/// etcd's alarms.
#[track_caller]
fn alarms(cluster: &Cluster) -> String {
    let said = cluster.control_plane.run(&format!("{ETCDCTL} alarm list"));
    said.trim().to_owned()
}
