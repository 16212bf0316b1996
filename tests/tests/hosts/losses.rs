//! Control planes that are lost, one, two and all at a time, and what comes back by itself.

use std::time::{Duration, Instant};

use hardway_tests::host::Host;
use hardway_tests::load::Load;
use hardway_tests::page;
use hardway_tests::steps::Step;
use hardway_tests::wait::{holds, until, within};

use super::cluster::{self, Cluster};
use super::three::{self, GAP, all_well, joins, longest_gap, under_load, writes_go_on};

/// The checks, each of which leaves everything well.
pub const STEPS: &[Step<Cluster>] = &[
    ("each control plane does kubectl's work", each_answers),
    ("the host that leads etcd loses power", the_leader_is_lost),
    ("another host loses power", a_follower_is_lost),
    ("a host is shut down in order", one_is_shut_down),
    ("two hosts lose power", two_are_lost),
    ("a control plane is replaced", one_is_replaced),
    ("all hosts lose power", power_cut),
    ("all hosts are rebooted", reboot),
];

fn each_answers(cluster: &Cluster) {
    for (number, host) in cluster.control_planes().enumerate() {
        let run = |line: &str| {
            let output = Cluster::try_kubectl_on(host, line);
            output
                .ok()
                .unwrap_or_else(|why| panic!("{}: {why}", host.name))
        };
        let name = format!("from-{}", host.name);
        run(&format!(
            "create configmap {name} --from-literal=number={number}"
        ));
        for other in cluster.control_planes() {
            let line = format!("get configmap {name} -o jsonpath={{.data.number}}");
            let read = Cluster::try_kubectl_on(other, &line).ok();
            assert_eq!(read, Ok(number.to_string()), "written on {}", host.name);
        }
        assert!(run("get nodes").contains("worker-1"));
    }
    cluster.kubectl("delete configmap --all");
}

/// Takes a host's power while clients write, gives it back, and waits until all is well.
fn lose(cluster: &Cluster, host: &Host, namespace: &str, take: impl Fn(&Host) + Send + Sync) {
    let gap = under_load(cluster, namespace, |load| {
        let since = load.now();
        take(host);
        writes_go_on(load, load.now());
        load.pass(Duration::from_secs(3));
        let gap = longest_gap(load, since);
        // The node hasn't noticed: it writes its lease, and pods can be made.
        let other = cluster
            .control_planes()
            .find(|other| other.name != host.name)
            .expect("another control plane");
        let ready = Cluster::try_kubectl_on(other, "get nodes --no-headers").ok();
        assert!(
            ready.as_ref().is_ok_and(|said| said.contains(" Ready ")),
            "{ready:?}"
        );
        let began = Instant::now();
        host.power_on();
        all_well(cluster);
        eprintln!(
            "      {} is of use {:.1?} after its power came",
            host.name,
            began.elapsed()
        );
        gap
    });
    assert!(gap < GAP, "{}: no write for {gap:.1?}", host.name);
}

fn the_leader_is_lost(cluster: &Cluster) {
    lose(
        cluster,
        three::leader(cluster),
        "leader-lost",
        Host::power_cut,
    );
}

fn a_follower_is_lost(cluster: &Cluster) {
    let leader = &three::leader(cluster).name;
    let follower = cluster.control_planes().find(|host| host.name != *leader);
    lose(
        cluster,
        follower.expect("another"),
        "follower-lost",
        Host::power_cut,
    );
}

fn one_is_shut_down(cluster: &Cluster) {
    lose(
        cluster,
        &cluster.more_control_planes[1],
        "shut-down",
        Host::shut_down,
    );
}

/// The one that is left serves what it has to whoever says that it may be old, and refuses the
/// rest in words; nothing is lost, and all goes on when another one is back.
fn two_are_lost(cluster: &Cluster) {
    let lost = &cluster.more_control_planes;
    under_load(cluster, "two-lost", |load| {
        for host in lost {
            host.power_cut();
        }
        stale_when_asked(load);
        let back = Instant::now();
        lost[0].power_on();
        within(Duration::from_secs(120), "two of three write", || {
            let since = load.now();
            load.pass(Duration::from_secs(1));
            holds(load.writes_since(since) > 0, "none is answered")
        });
        eprintln!(
            "      writes go on {:.1?} after the second host's power came",
            back.elapsed()
        );
        lost[1].power_on();
        all_well(cluster);
    });
}

fn stale_when_asked(load: &Load) {
    let patience = Duration::from_secs(40);
    within(patience, "the majority's loss is noticed", || {
        match load.ask(0, "", patience) {
            Ok(answer) if answer.status == 200 => Err("it is answered as ever".to_owned()),
            Ok(answer) => {
                eprintln!("      refused: {} {}", answer.status, answer.body.trim());
                let is_clear = [500, 503, 504].contains(&answer.status)
                    && answer.body.contains("\"kind\":\"Status\"");
                holds(is_clear, &answer.body)
            }
            Err(why) => Err(why),
        }
    });
    until("what may be old is served", || {
        let answer = load.ask(0, "?resourceVersion=0", Duration::from_secs(5))?;
        holds(answer.status == 200, answer.body)
    });
}

/// As docs/operations.md has it: the member is taken out by its name, and a fresh host of the
/// same name and address joins.
fn one_is_replaced(cluster: &Cluster) {
    let lost = &cluster.more_control_planes[1];
    let operations = page::read("docs/operations.md");
    lost.power_cut();
    until("another host leads", || {
        let shown = cluster.control_plane.try_run("hardway etcd members").stdout;
        let mut lines = shown.lines();
        let is_so = lines.any(|line| line.contains(" leader ") && !line.starts_with(&lost.name));
        holds(is_so, &shown)
    });
    cluster.follow(&cluster::section(&operations, "One of three, for good"));
    let lease = format!("apiserver-{}", lost.address);
    let leases = cluster.kubectl("get leases --namespace kube-system --output name");
    assert!(
        !leases.lines().any(|line| line.ends_with(&lease)),
        "{leases}"
    );
    cluster.replace_control_plane(lost);
    joins(cluster, &lost.name);
    all_well(cluster);
    each_answers(cluster);
}

fn power_cut(cluster: &Cluster) {
    cluster.kubectl("create configmap kept --from-literal=a=b");
    for host in cluster.hosts() {
        host.power_cut();
    }
    come_back(cluster);
}

fn reboot(cluster: &Cluster) {
    cluster.kubectl("create configmap kept --from-literal=a=b");
    std::thread::scope(|scope| {
        for host in cluster.hosts() {
            scope.spawn(|| host.shut_down());
        }
    });
    come_back(cluster);
}

/// All hosts get power, and nobody types anything.
fn come_back(cluster: &Cluster) {
    let began = Instant::now();
    std::thread::scope(|scope| {
        for host in cluster.hosts() {
            scope.spawn(|| host.power_on());
        }
    });
    all_well(cluster);
    eprintln!(
        "      all well {:.1?} after the power came",
        began.elapsed()
    );
    cluster.kubectl("get configmap kept");
    cluster.kubectl("delete configmap kept");
}
