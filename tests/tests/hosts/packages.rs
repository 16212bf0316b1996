//! Packages that come, change and go on hosts of a cluster.

use std::path::PathBuf;
use std::process::Command;

use hardway_tests::host::Host;
use hardway_tests::wait::{holds, until};
use tempfile::TempDir;

use super::cluster::{Cluster, packages};
use super::repeated::Repeated;
use super::traces::Traces;

const WEB: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: busybox:1.36
        command: [httpd, -f, -p, "8080", -h, /etc]
        ports: [{containerPort: 8080, hostPort: 8081}]
        volumeMounts: [{name: scratch, mountPath: /scratch}, {name: memory, mountPath: /memory}]
      volumes:
      - {name: scratch, emptyDir: {}}
      - {name: memory, emptyDir: {medium: Memory}}
"#;
/// A pod that the kubelet runs by itself.
const STATIC: &str = r"apiVersion: v1
kind: Pod
metadata: {name: alone}
spec:
  containers:
  - {name: sleep, image: busybox:1.36, command: [sleep, '86400']}
";
/// Version of packages that are newer than those under test.
pub const NEWER: &str = "99.0";

/// The packages under test as a version that is to come.
pub fn newer() -> TempDir {
    of_version(NEWER)
}

/// The packages under test as another version: their units say so.
pub fn of_version(version: &str) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let script = format!(
        "set -e
         cd '{}'
         for deb in '{}'/hardway-*.deb; do
             dpkg-deb --raw-extract $deb content
             sed -E -i 's/^Version: .*/Version: {version}/; s/(hardway-tool \\(=) [^)]*/\\1 {version}/' \
                 content/DEBIAN/control
             find content/usr/lib/systemd/system -name 'hardway-*.service' -exec \
                 sed -i 's/^\\[Service\\]$/&\\nEnvironment=PACKAGE={version}/' '{{}}' + 2>/dev/null || true
             dpkg-deb --root-owner-group -Znone --build content . >/dev/null
             rm -r content
         done",
        folder.path().display(),
        packages().display(),
    );
    let output = Command::new("bash").args(["-c", &script]).output();
    let output = output.expect("bash");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    folder
}

/// The hosts with their packages and units.
fn roles(cluster: &Cluster) -> [(&Host, &'static str, &'static [&'static str]); 2] {
    [
        (
            &cluster.control_plane,
            "hardway-control-plane",
            super::faults::CONTROL_PLANE,
        ),
        (&cluster.workers[0], "hardway-node", super::faults::NODE),
    ]
}

/// Copies a folder's packages to a folder of the same name on all hosts.
fn give(cluster: &Cluster, from: &std::path::Path, to: &str) {
    for (host, package, _) in roles(cluster) {
        for entry in std::fs::read_dir(from).expect("packages").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(package) || name.starts_with("hardway-tool") {
                host.copy(&entry.path(), &format!("/root/{to}/{name}"));
            }
        }
    }
}

fn apt(host: &Host, words: &str) -> String {
    let settings = "--yes --no-install-recommends";
    host.run(&format!(
        "DEBIAN_FRONTEND=noninteractive apt-get install {settings} {words} 2>&1"
    ))
}

/// The packages of a folder are installed in place of what there is. What runs is of them
/// afterwards, containers haven't noticed, and no request to a pod fails meanwhile.
#[track_caller]
fn replace(cluster: &Cluster, words: &str, version: &str) {
    let worker = &cluster.workers[0];
    let before = super::faults::containers(worker);
    let asked = Repeated::start(
        &cluster.control_plane,
        &format!(
            "curl --silent --show-error --fail --max-time 5 http://{}:8081/passwd",
            worker.address
        ),
    );
    for (host, package, units) in roles(cluster) {
        let old: Vec<String> = units
            .iter()
            .map(|unit| host.property(unit, "MainPID"))
            .collect();
        apt(host, words);
        let installed = host.run(&format!(
            "dpkg-query --show --showformat='${{Version}}' {package}"
        ));
        assert_eq!(installed, version);
        for (unit, old) in units.iter().zip(old) {
            until(&format!("{unit} is of version {version}"), || {
                let new = host.property(unit, "MainPID");
                holds(new != old && new != "0", &new)
            });
            host.wait_active(unit);
            let id = host.property(unit, "MainPID");
            let environment = host.run(&format!("tr '\\0' '\\n' </proc/{id}/environ"));
            let is_newer = environment.contains(&format!("PACKAGE={NEWER}"));
            assert_eq!(is_newer, version == NEWER, "{unit}: {environment}");
            let program = host.run(&format!("readlink /proc/{id}/exe"));
            assert!(!program.contains("deleted"), "{unit}: {program}");
        }
    }
    let outcome = asked.finish();
    let (failed, times) = (outcome.failures.len(), outcome.times);
    eprintln!("   to version {version}: {failed} requests failed of {times}");
    outcome.assert_flawless();
    assert_eq!(super::faults::containers(worker), before);
    cluster.wait_ready(&worker.name);
}

/// A control plane and a node out of two fresh hosts; pods of all kinds run on it.
fn set_up(cluster: &Cluster) {
    let worker = &cluster.workers[0];
    cluster.control_plane.run(&format!(
        "hardway init --address {}",
        cluster.control_plane.address
    ));
    worker.run("mkdir -p /etc/hardway/manifests");
    worker.write("/etc/hardway/manifests/alone.yml", STATIC);
    worker.run(&cluster.join_command());
    cluster.give_images();
    cluster.control_plane.write("/root/web.yml", WEB);
    cluster.kubectl("apply -f web.yml");
    cluster.kubectl("rollout status deployment/web --timeout=100s");
    until("the static pod runs", || {
        let shown = cluster.kubectl("get pod alone-worker-1 --no-headers --ignore-not-found");
        holds(shown.contains("Running"), shown)
    });
    until("the web server answers", || {
        let url = format!("http://{}:8081/passwd", worker.address);
        let asked = cluster
            .control_plane
            .try_run(&format!("curl --silent --fail {url}"));
        asked.ok().map(drop)
    });
}

/// Installs, upgrades, downgrades, resets, sets up again, removes, and purges.
pub fn come_and_go(cluster: &Cluster) {
    let current: PathBuf = packages();
    let newer = newer();
    give(cluster, &current, "current");
    give(cluster, newer.path(), "newer");
    for (host, _, _) in roles(cluster) {
        host.run("apt-get update");
        apt(host, "./current/*.deb");
    }
    let version = cluster
        .control_plane
        .run("dpkg-query --show --showformat='${Version}' hardway-tool");
    let before = [
        Traces::of(&cluster.control_plane),
        Traces::of(&cluster.workers[0]),
    ];

    set_up(cluster);
    // What the administrator says stays over upgrades.
    let worker = &cluster.workers[0];
    let own = "FLAGS=--container-log-max-files=4\n";
    worker.write("/etc/default/hardway-kubelet", own);
    replace(cluster, "./newer/*.deb", NEWER);
    replace(cluster, "--allow-downgrades ./current/*.deb", &version);
    replace(cluster, "--reinstall ./current/*.deb", &version);
    assert_eq!(worker.run("cat /etc/default/hardway-kubelet"), own);
    let flags = worker.run("tr '\\0' ' ' </proc/$(pidof hardway-kubelet)/cmdline");
    assert!(flags.contains("--container-log-max-files=4"), "{flags}");

    for again in [false, true] {
        worker.run("hardway reset --force");
        cluster.control_plane.run("hardway reset --force");
        // containerd cleans up after itself when it has started.
        until("the hosts are as they were", || {
            let hosts = cluster.hosts().zip(&before);
            let left: Vec<_> = hosts
                .flat_map(|(host, before)| Traces::since(host, before))
                .collect();
            holds(left.is_empty(), format!("{left:#?}"))
        });
        if !again {
            set_up(cluster);
        }
    }
}

/// Who removes a package and installs it again has the node that was there.
pub fn stay(cluster: &Cluster) {
    set_up(cluster);
    let worker = &cluster.workers[0];
    worker.run("apt-get remove --yes hardway-node");
    // Pods go on, those of add-ons among them, whose processes are hardway's too.
    let left = worker.run(
        "systemctl list-units --all --no-legend 'hardway*'
         pgrep --list-full '^hardway-(kubelet|proxy|flannel)' || true",
    );
    assert_eq!(left, "");
    apt(worker, "./current/*.deb");
    worker.run(
        "systemctl enable --now hardway-images hardway-flannel-lite hardway-proxy hardway-kubelet",
    );
    cluster.wait_ready(&worker.name);
    cluster.kubectl("wait --for=condition=Ready pod --all --timeout=60s");
}

/// After a purge nothing is left, though nobody reset the hosts.
pub fn are_purged(cluster: &Cluster) {
    // Of cluster DNS a node that is drained keeps one pod, since there is no other node; and those
    // of DaemonSets.
    cluster.kubectl("delete deployment hardway-dns --namespace=kube-system");
    cluster.kubectl("delete daemonset hardway-provisioner --namespace=kube-system");
    cluster.kubectl("delete -f web.yml");
    cluster.workers[0].run("rm /etc/hardway/manifests/alone.yml");
    cluster.kubectl("drain worker-1 --delete-emptydir-data --force --timeout=60s");
    until("no pod runs", || {
        let tasks = super::faults::containers(&cluster.workers[0]);
        holds(tasks.lines().count() <= 1, tasks)
    });
    for (host, package, _) in roles(cluster) {
        host.run(&format!(
            "apt-get purge --yes {package} hardway-tool; rm -rf current newer"
        ));
    }
    cluster.assert_nothing_left();
}
