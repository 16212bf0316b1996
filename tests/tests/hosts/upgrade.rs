//! `hardway upgrade`, host by host, while clients write: forth, interrupted, and back.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hardway_tests::host::Host;
use hardway_tests::page;
use hardway_tests::steps::Step;
use hardway_tests::wait::{holds, until, within};
use tempfile::TempDir;

use super::cluster::{self, Cluster, packages};
use super::packages::{NEWER, newer, of_version};
use super::three::{GAP, MORE, all_well, longest_gap, under_load};

/// How an upgrade is typed, with the tool of the new packages.
const UPGRADE: &str = "new/tool/usr/bin/hardway upgrade new";
/// Version of packages that are older than those under test.
const OLDER: &str = "0.0.1";

/// The checks, in their order: what goes forth comes back.
pub const STEPS: &[Step<Cluster>] = &[
    ("nothing goes in the wrong order", order_is_kept),
    ("host by host, as the page has it", host_by_host),
    ("and back", back),
    ("one that loses power goes on", interrupted),
];

/// The version of hardway's packages on a host.
fn version(host: &Host) -> String {
    host.run("dpkg-query --show --showformat='${Version}' hardway-tool")
}

/// The packages in a folder `new` of a host, and the tool out of them.
fn give(host: &Host, folder: &Path) {
    host.run("rm -rf new; mkdir new");
    for entry in std::fs::read_dir(folder).expect("packages").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        host.copy(&entry.path(), &format!("/root/new/{name}"));
    }
    host.run("dpkg-deb --extract new/hardway-tool_*.deb new/tool");
}

/// What is refused changes nothing.
fn order_is_kept(cluster: &Cluster) {
    let host = &cluster.control_plane;
    let refused = |packages: &TempDir, why: &str| {
        give(host, packages.path());
        let said = host.try_run(UPGRADE);
        assert!(!said.success, "{}", said.stdout);
        let said = said.stdout + &said.stderr;
        assert!(said.contains(why), "{said}");
        host.run("rm -r new; ! [ -e /var/lib/hardway/upgrade ]");
    };
    let before = version(host);
    let sed = |what: &str| {
        let folder = newer();
        let script = format!(
            "cd '{}' && for deb in hardway-*.deb; do
                 dpkg-deb --raw-extract $deb content && rm $deb &&
                 sed -E -i '{what}' content/DEBIAN/control &&
                 dpkg-deb --root-owner-group -Znone --build content . >/dev/null 2>&1 && rm -r content
             done",
            folder.path().display()
        );
        let output = std::process::Command::new("bash")
            .args(["-ec", &script])
            .status();
        assert!(output.expect("bash").success(), "{script}");
        folder
    };
    let two_ahead = sed("s/^Kubernetes-Version: .*/Kubernetes-Version: 1.35.0+hardway9.0.0/");
    refused(&two_ahead, "more than one minor version");
    let mixed = sed("/^Package: hardway-tool/,$ s/^Version: .*/Version: 98.0/");
    refused(&mixed, "they must be of one");

    // With one member down nobody may take another one away.
    let lost = &cluster.more_control_planes[1];
    lost.run("systemctl stop hardway-etcd");
    refused(
        &newer(),
        "without this host 1 of 3 etcd members would be left",
    );
    lost.run("systemctl start hardway-etcd");
    all_well(cluster);

    // A node before its control plane.
    let next = sed("s/^Kubernetes-Version: .*/Kubernetes-Version: 1.34.0+hardway9.0.0/");
    let worker = &cluster.workers[0];
    give(worker, next.path());
    let said = worker.try_run(UPGRADE);
    assert!(
        !said.success && said.stderr.contains("control planes go first"),
        "{}",
        said.stderr
    );
    worker.run("rm -r new");
    assert_eq!(version(host), before);
}

fn host_by_host(cluster: &Cluster) {
    let newer = newer();
    cluster.offer(newer.path());
    let operations = page::read("docs/operations.md");
    let blocks = cluster::section(&operations, "Upgrade");
    let gap = under_load(cluster, "upgrade", |load| {
        let since = load.now();
        cluster.follow(&blocks);
        load.pass(Duration::from_secs(2));
        longest_gap(load, since)
    });
    let upgraded = || cluster.hosts().filter(|host| host.name != "worker-2");
    for host in upgraded() {
        assert_eq!(version(host), NEWER, "{}", host.name);
    }
    all_well(cluster);
    let units = super::faults::units(cluster);
    for (host, unit) in units
        .into_iter()
        .filter(|(host, _)| host.name != "worker-2")
    {
        let id = host.property(unit, "MainPID");
        let environment = host.run(&format!("tr '\\0' '\\n' </proc/{id}/environ"));
        assert!(
            environment.contains(&format!("PACKAGE={NEWER}")),
            "{unit} on {}",
            host.name
        );
    }
    assert!(gap < GAP, "no write for {gap:.1?}");
    cluster.offer(&packages());
}

/// Nodes first, then the control planes.
fn back(cluster: &Cluster) {
    let gap = under_load(cluster, "rollback", |load| {
        let since = load.now();
        let hosts: Vec<&Host> = cluster.workers[..1]
            .iter()
            .chain(cluster.control_planes())
            .collect();
        for host in hosts {
            let began = Instant::now();
            host.run("hardway upgrade --rollback --delete-emptydir-data");
            eprintln!("      {} is back after {:.1?}", host.name, began.elapsed());
        }
        load.pass(Duration::from_secs(2));
        longest_gap(load, since)
    });
    for host in cluster.hosts() {
        assert_ne!(version(host), NEWER, "{}", host.name);
    }
    all_well(cluster);
    assert!(gap < GAP, "no write for {gap:.1?}");
    let again = cluster.control_plane.try_run("hardway upgrade --rollback");
    assert!(again.stderr.contains("already"), "{}", again.stderr);
}

/// Power goes at some point of an upgrade; typed again, the same line ends it.
fn interrupted(cluster: &Cluster) {
    let host = &cluster.more_control_planes[0];
    let newer = newer();
    for at in ["\"Keep\"", "\"Install\""] {
        give(host, newer.path());
        host.run(&format!("{{ {UPGRADE}; }} >/dev/null 2>&1 </dev/null &"));
        let journal = "/var/lib/hardway/upgrade/journal.json";
        within(Duration::from_secs(120), &format!("{at} is done"), || {
            let text = host.try_run(&format!("cat {journal}")).stdout;
            holds(
                text.contains(at) && text.contains("\"is_finished\": false"),
                text,
            )
        });
        host.power_cut();
        host.power_on();
        until("the other control planes serve", || {
            cluster.try_kubectl("get --raw /readyz").ok().map(drop)
        });
        within(Duration::from_secs(180), "the same line ends it", || {
            host.try_run(UPGRADE).ok().map(drop)
        });
        assert_eq!(version(host), NEWER);
        all_well(cluster);
        host.run("hardway upgrade --rollback");
        all_well(cluster);
    }
}

/// Packages of an earlier version, in the folder $HARDWAY_OLD_PACKAGES; or else those under test
/// as if they were old.
fn older() -> (PathBuf, Option<TempDir>) {
    match std::env::var_os("HARDWAY_OLD_PACKAGES") {
        Some(folder) => (folder.into(), None),
        None => {
            let folder = of_version(OLDER);
            (folder.path().to_owned(), Some(folder))
        }
    }
}

/// A cluster that an earlier version has made is brought to the one under test, goes back, goes
/// there again, and gets further control planes.
pub fn of_an_earlier_version() {
    let cluster = Cluster::boot_several(MORE, &["worker-1"]);
    let (old, _kept) = older();
    cluster.offer(&old);
    let first = page::read("docs/hosts.md");
    cluster.follow(&cluster::section(&first, "Two hosts in ten commands"));
    cluster.give_images();
    cluster.kubectl("create secret generic kept --from-literal=a=b");
    cluster.kubectl("create deployment web --image=busybox:1.36 -- httpd -f -p 8080 -h /etc");
    cluster.kubectl("rollout status deployment/web --timeout=120s");
    let before = version(&cluster.control_plane);

    cluster.offer(&packages());
    let (control_plane, worker) = (&cluster.control_plane, &cluster.workers[0]);
    for host in [control_plane, worker] {
        give(host, &packages());
        let began = Instant::now();
        host.run(&format!("{UPGRADE} --no-drain"));
        eprintln!("   {} is upgraded after {:.1?}", host.name, began.elapsed());
    }
    assert_ne!(version(control_plane), before);
    still_there(&cluster);
    for host in [worker, control_plane] {
        host.run("hardway upgrade --rollback --no-drain");
        assert_eq!(version(host), before);
    }
    still_there(&cluster);
    for host in [control_plane, worker] {
        host.run(&format!("{UPGRADE} --no-drain"));
    }
    still_there(&cluster);
    let operations = page::read("docs/operations.md");
    cluster.follow(&cluster::section(&operations, "Several control planes"));
    all_well(&cluster);
    still_there(&cluster);
}

/// What was stored by one version is read by the other, and what ran runs.
fn still_there(cluster: &Cluster) {
    let value = cluster.kubectl("get secret kept -o jsonpath={.data.a}");
    assert_eq!(value, "Yg==");
    cluster.kubectl("rollout status deployment/web --timeout=120s");
    cluster.wait_ready("worker-1");
}
