//! What is installed where there are no Debian packages of hardway.

use hardway_tests::host::Host;
use hardway_tests::wait::{holds, until};

use super::cluster::{Cluster, packages};
use super::faults;

fn install(host: &Host, role: &str) {
    host.run(&format!("./hardway-*/install.sh {role}"));
}

/// It says what is missing, installs, installs again over what runs, and is removed.
pub fn installs_and_removes(cluster: &Cluster) {
    let (control_plane, worker) = (&cluster.control_plane, &cluster.workers[0]);
    let tarball = std::fs::read_dir(packages())
        .expect("packages")
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().ends_with(".tar.gz"))
        .expect("a tarball");
    for host in cluster.hosts() {
        host.copy(&tarball, "/root/hardway.tar.gz");
        host.run("tar --extract --file hardway.tar.gz");
    }
    let refused = worker.try_run("./hardway-*/install.sh node");
    assert!(!refused.success);
    for program in ["containerd", "nft", "/usr/lib/cni/bridge"] {
        assert!(refused.stderr.contains(program), "{}", refused.stderr);
    }
    assert!(!worker.path("/usr/bin/hardway").exists());

    let apt = "apt-get update && apt-get install --yes --no-install-recommends";
    control_plane.run(&format!("{apt} etcd-server"));
    worker.run(&format!(
        "{apt} conntrack containerd containernetworking-plugins iptables nftables runc"
    ));
    install(control_plane, "control-plane");
    install(worker, "node");
    control_plane.run(&format!("hardway init --address {}", control_plane.address));
    worker.run(&cluster.join_command());
    cluster.wait_ready("worker-1");

    let own = "FLAGS=--container-log-max-files=4\n";
    worker.write("/etc/default/hardway-kubelet", own);
    for (host, role, unit) in [
        (control_plane, "control-plane", "hardway-apiserver"),
        (worker, "node", "hardway-kubelet"),
    ] {
        let old = host.property(unit, "MainPID");
        install(host, role);
        until(&format!("{unit} is another process"), || {
            let new = host.property(unit, "MainPID");
            holds(new != old && new != "0", &new)
        });
        host.wait_active(unit);
    }
    assert_eq!(worker.run("cat /etc/default/hardway-kubelet"), own);
    for unit in faults::CONTROL_PLANE {
        control_plane.wait_active(unit);
    }
    cluster.wait_ready("worker-1");

    for (host, role) in [(worker, "node"), (control_plane, "control-plane")] {
        host.run("hardway reset --force");
        host.run(&format!(
            "./hardway-*/install.sh --remove {role}; rm -r hardway-* hardway.tar.gz"
        ));
    }
    cluster.assert_nothing_left();
}
