//! The CAs, the key of service accounts and that of what is stored are replaced on three control
//! planes, as docs/operations.md says, while requests are made that must not fail.

use std::collections::BTreeMap;

use hardway_tests::host::Host;
use hardway_tests::page;
use hardway_tests::steps::Step;
use hardway_tests::wait::{holds, until};

use super::cluster::{self, Cluster};
use super::repeated::Repeated;
use super::room::ETCDCTL;
use super::three::all_well;

/// The checks, in their order.
pub const STEPS: &[Step<Cluster>] = &[
    ("the CAs are replaced", cas),
    ("the key of service accounts is replaced", service_accounts),
    ("the key of what is stored is replaced", stored),
    ("all comes back after a power cut", power_cut),
];

/// A write and a read, with the kubeconfig as it is just now.
const REQUESTS: &str = "kubectl --kubeconfig=/etc/hardway/kubeconfig/admin.kubeconfig \
     create configmap r-$(cat /proc/sys/kernel/random/uuid) && \
     kubectl --kubeconfig=/etc/hardway/kubeconfig/admin.kubeconfig get nodes worker-1";
/// The same with what is encrypted where it is stored.
const REQUESTS_OF_SECRETS: &str = "kubectl --kubeconfig=/etc/hardway/kubeconfig/admin.kubeconfig \
     create secret generic r-$(cat /proc/sys/kernel/random/uuid) --from-literal=a=b && \
     kubectl --kubeconfig=/etc/hardway/kubeconfig/admin.kubeconfig get secret s-1";
/// Secrets enough for the command to be stopped while it stores them anew.
const SECRETS: u32 = 400;
/// How the value of one begins in etcd: its last word is the name of the key that it is sealed with.
const SEALED: &str = "k8s:enc:secretbox:v1:[^:]*:";

fn cas(cluster: &Cluster) {
    cluster.give_images();
    cluster.kubectl("create deployment web --image=busybox:1.36 -- httpd -f -p 8080 -h /etc");
    cluster.kubectl("rollout status deployment/web --timeout=100s");
    let hashes = || {
        let of = |host: &Host| {
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
    without_a_failure(cluster, REQUESTS, || cluster.follow(&blocks));
}

/// Does something while requests are made, none of which fails.
fn without_a_failure(cluster: &Cluster, requests: &str, work: impl FnOnce()) {
    let asked = Repeated::start(&cluster.more_control_planes[0], requests);
    work();
    let outcome = asked.finish();
    eprintln!(
        "      {} of {} requests failed",
        outcome.failures.len(),
        outcome.times
    );
    outcome.assert_flawless();
    all_well(cluster);
}

fn stored(cluster: &Cluster) {
    let host = &cluster.control_plane;
    host.run(&format!(
        "for number in $(seq {SECRETS}); do
             echo ---
             echo \"{{apiVersion: v1, kind: Secret, metadata: {{name: s-$number}}, stringData: {{a: b}}}}\"
         done >secrets.yaml"
    ));
    cluster.kubectl("create --filename=secrets.yaml >/dev/null");
    let former = match sealed_with(host).into_iter().collect::<Vec<_>>().as_slice() {
        [(key, _)] => key.clone(),
        keys => panic!("one key seals all: {keys:?}"),
    };
    let operations = page::read("docs/operations.md");
    let blocks = cluster::section(&operations, "The key of what is stored");
    let (first, last): (Vec<_>, Vec<_>) = blocks
        .into_iter()
        .partition(|block| block.script.contains("--to-step"));
    without_a_failure(cluster, REQUESTS_OF_SECRETS, || {
        cluster.follow(&first);
        assert!(is_in_configuration(host, &former));
        // Killed when it has begun to store them anew.
        host.run(&format!(
            "{} >/dev/null 2>&1 & id=$!
             until [ $({ETCDCTL} get --prefix /registry/secrets/default/s- --print-value-only |
                 grep --text --only-matching '{SEALED}' | grep --count --invert-match ':{former}:') -gt 0 ]
             do :; done
             kill -KILL $id",
            last[0].script.trim()
        ));
        eprintln!("      when it was killed: {:?}", sealed_with(host));
        assert!(is_in_configuration(host, &former), "it had ended before");
        cluster.follow(&last);
    });
    let now = sealed_with(host);
    assert!(now.len() == 1 && !now.contains_key(&former), "{now:?}");
    let files = cluster
        .control_planes()
        .map(|host| host.run("cat /etc/hardway/encryption.yaml"));
    let mut files: Vec<String> = files.collect();
    files.dedup();
    assert_eq!(files.len(), 1, "all have the same keys");
    for host in cluster.control_planes() {
        assert!(!is_in_configuration(host, &former), "{}", host.name);
        let line = "get secret s-1 --output=jsonpath={.data.a}";
        let read = Cluster::try_kubectl_on(host, line).ok();
        assert_eq!(read.as_deref(), Ok("Yg=="), "{}", host.name);
    }
}

/// How many Secrets in etcd are sealed with each key.
#[track_caller]
fn sealed_with(host: &Host) -> BTreeMap<String, usize> {
    let names = host.run(&format!(
        "{ETCDCTL} get --prefix /registry/secrets/ --print-value-only |
             grep --text --only-matching '{SEALED}' | cut --delimiter=: --fields=5"
    ));
    let mut count = BTreeMap::new();
    for name in names.lines() {
        *count.entry(name.to_owned()).or_default() += 1;
    }
    count
}

/// Whether a host's apiserver is given a key of this name.
#[track_caller]
fn is_in_configuration(host: &Host, key: &str) -> bool {
    let text = host.run("cat /etc/hardway/encryption.yaml");
    text.lines()
        .any(|line| line.ends_with(&format!("name: {key}")))
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
