//! The CAs and the key of service accounts of three control planes are replaced, as
//! docs/operations.md says, while requests are made that must not fail.

use hardway_tests::page;
use hardway_tests::steps::Step;
use hardway_tests::wait::{holds, until};

use super::cluster::{self, Cluster};
use super::repeated::Repeated;
use super::three::all_well;

/// The checks, in their order.
pub const STEPS: &[Step<Cluster>] = &[
    ("the CAs are replaced", cas),
    ("the key of service accounts is replaced", service_accounts),
    ("all comes back after a power cut", power_cut),
];

/// A write and a read, with the kubeconfig as it is just now.
const REQUESTS: &str = "kubectl --kubeconfig=/etc/hardway/kubeconfig/admin.kubeconfig \
     create configmap r-$(cat /proc/sys/kernel/random/uuid) && \
     kubectl --kubeconfig=/etc/hardway/kubeconfig/admin.kubeconfig get nodes worker-1";

fn cas(cluster: &Cluster) {
    cluster.give_images();
    cluster.kubectl("create deployment web --image=busybox:1.36 -- httpd -f -p 8080 -h /etc");
    cluster.kubectl("rollout status deployment/web --timeout=100s");
    let hashes = || {
        let of = |host: &hardway_tests::host::Host| {
            host.run("sha256sum </etc/hardway/pki/ca.crt; sha256sum </etc/hardway/pki/etcd-ca.crt")
        };
        cluster.control_planes().map(of).collect::<Vec<_>>()
    };
    let before = hashes();
    while_asked(cluster, "Replacing the CA");
    let after = hashes();
    assert!(before.iter().zip(&after).all(|(old, new)| old != new));
    assert!(after.iter().all(|it| *it == after[0]), "{after:#?}");
    // A pod is asked through its kubelet, whose certificate is the new CA's.
    until("pods are reached", || {
        cluster
            .try_kubectl("exec deployment/web -- true")
            .ok()
            .map(drop)
    });
}

fn service_accounts(cluster: &Cluster) {
    let keys = || {
        let said = cluster.kubectl("get --raw /openid/v1/jwks");
        said.matches("\"kid\"").count()
    };
    assert_eq!(keys(), 1);
    while_asked(cluster, "Keys of service accounts and of what is stored");
    assert_eq!(keys(), 2, "the old one is good until its tokens end");
}

/// Types the commands under a heading while requests are made on another control plane and from
/// the outside, none of which fails.
fn while_asked(cluster: &Cluster, heading: &str) {
    let operations = page::read("docs/operations.md");
    let blocks = cluster::section(&operations, heading);
    let asked = Repeated::start(&cluster.more_control_planes[0], REQUESTS);
    cluster.follow(&blocks);
    let outcome = asked.finish();
    eprintln!(
        "      {} of {} requests failed",
        outcome.failures.len(),
        outcome.times
    );
    outcome.assert_flawless();
    all_well(cluster);
}

fn power_cut(cluster: &Cluster) {
    for host in cluster.hosts() {
        host.power_cut();
    }
    std::thread::scope(|scope| {
        for host in cluster.hosts() {
            scope.spawn(|| host.power_on());
        }
    });
    all_well(cluster);
    until("the web server runs", || {
        let shown = cluster.kubectl("get deployment web --no-headers");
        holds(shown.contains("1/1"), shown)
    });
}
