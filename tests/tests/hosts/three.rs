//! A cluster of three control planes and a node, made by the commands of the documentation, and
//! clients of its API that write down what they were told.

use std::time::Duration;

use hardway_tests::history;
use hardway_tests::host::Host;
use hardway_tests::load::{Clients, Gaps, Load};
use hardway_tests::page;
use hardway_tests::wait::{holds, within};

use super::cluster::{self, Cluster};
use super::faults;

/// Control planes that come after the first.
pub const MORE: &[&str] = &["control-plane-2", "control-plane-3"];
/// How long writes may stand still when one control plane of three is lost: what is promised.
pub const GAP: Duration = Duration::from_secs(3);
/// How long a host may take to be of use again after its power came back, on a busy machine.
const RECOVERY: Duration = Duration::from_secs(180);
const CLIENTS: Clients = Clients {
    writers: 3,
    watchers: 2,
};

/// Makes it: as docs/hosts.md says for the first control plane and the node, and as
/// docs/operations.md says for the other two.
pub fn up() -> Cluster {
    up_with(&["worker-1"])
}

/// The same with a second node, to which the pods of the first can go.
pub fn up_with_two_nodes() -> Cluster {
    up_with(&["worker-1", "worker-2"])
}

fn up_with(workers: &[&str]) -> Cluster {
    let cluster = Cluster::boot_several(MORE, workers);
    let first = page::read("docs/hosts.md");
    cluster.follow(&cluster::section(&first, "Two hosts in ten commands"));
    if workers.len() > 1 {
        cluster.follow(&cluster::section(&first, "Adding a node"));
    }
    let operations = page::read("docs/operations.md");
    cluster.follow(&cluster::section(&operations, "Several control planes"));
    all_well(&cluster);
    cluster
}

/// Has a host join as a control plane that was reset, or is fresh: as docs/operations.md says.
#[track_caller]
pub fn joins(cluster: &Cluster, name: &str) {
    let operations = page::read("docs/operations.md");
    let blocks = cluster::section(&operations, "Several control planes");
    let of_host = blocks
        .into_iter()
        .filter(|block| block.host == name || block.host == "laptop");
    cluster.follow(&of_host.collect::<Vec<_>>());
}

/// Waits until every unit does its work, etcd's members are all well, every apiserver answers,
/// and the node is Ready.
#[track_caller]
pub fn all_well(cluster: &Cluster) {
    for (host, unit) in faults::units(cluster) {
        within(
            RECOVERY,
            &format!("{unit} is active on {}", host.name),
            || {
                let state = host.try_run(&format!("systemctl is-active {unit}"));
                holds(
                    state.success,
                    format!("{}{}", state.stdout, host.journal(unit)),
                )
            },
        );
    }
    for host in cluster.control_planes() {
        within(
            RECOVERY,
            &format!("all members are well, says {}", host.name),
            || host.try_run("hardway etcd members").ok().map(drop),
        );
        within(
            RECOVERY,
            &format!("the apiserver of {} is ready", host.name),
            || {
                Cluster::try_kubectl_on(host, "get --raw /readyz")
                    .ok()
                    .map(drop)
            },
        );
    }
    within(
        RECOVERY,
        "all control planes are endpoints of `kubernetes`",
        || {
            let path = "jsonpath={.subsets[*].addresses[*].ip}";
            let addresses = cluster
                .try_kubectl(&format!("get endpoints kubernetes -o {path}"))
                .ok()?;
            let count = addresses.split_whitespace().count();
            holds(count == cluster.control_planes().count(), addresses)
        },
    );
    for worker in &cluster.workers {
        cluster.wait_ready(&worker.name);
    }
}

/// Has clients of all apiservers write, read and watch while something happens. What they were
/// told afterwards is judged: nothing acknowledged is lost, and nothing is told that is not so.
#[track_caller]
pub fn under_load<T: Send>(
    cluster: &Cluster,
    namespace: &str,
    meanwhile: impl FnOnce(&Load) -> T + Send,
) -> T {
    let addresses: Vec<String> = cluster
        .control_planes()
        .map(|host| host.address.to_string())
        .collect();
    let seed = u64::from(std::process::id());
    eprintln!("      seed {seed}");
    let (report, result) = cluster.site.inside(|| {
        let load = Load::new(&cluster.control_plane.cluster(), &addresses, namespace);
        load.run(CLIENTS, seed, |load| {
            writes_go_on(load, Duration::ZERO);
            meanwhile(load)
        })
    });
    let verdict = history::check(&report.history);
    assert!(verdict.violations.is_empty(), "seed {seed}\n{verdict}");
    assert!(verdict.undecided.is_empty(), "seed {seed}\n{verdict}");
    result
}

/// Waits until writes are acknowledged again that were asked for after a moment.
#[track_caller]
pub fn writes_go_on(load: &Load, since: Duration) {
    within(Duration::from_secs(60), "writes go on", || {
        let count = load.writes_since(since);
        holds(count >= 20, format!("{count} writes were answered since"))
    });
}

/// How long writes stood still at most, from a moment until now.
pub fn longest_gap(load: &Load, since: Duration) -> Duration {
    let gaps = Gaps::between(&load.history(), since, load.now());
    eprintln!("      {gaps}");
    gaps.longest
}

/// Who leads etcd.
#[track_caller]
pub fn leader(cluster: &Cluster) -> &Host {
    let shown = cluster.control_plane.run("hardway etcd members");
    let line = shown.lines().find(|line| line.contains(" leader "));
    let name = line.and_then(|line| line.split_whitespace().next());
    cluster.host(name.unwrap_or_else(|| panic!("nobody leads:\n{shown}")))
}
