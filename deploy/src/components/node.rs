//! The processes of a lab's nodes.

use super::component;
use super::parts::{Parts, program};
use crate::lab::Lab;
use crate::lab::config::CONTAINERD_SOCKET;
use crate::plan::{CLUSTER_DNS, CLUSTER_DOMAIN, Host, POD_CIDR};

/// What a component of a node is started with.
fn of_node(lab: &Lab, name: &str, certificate: &str, port: u16) -> Parts {
    component(lab, (lab.pki(), lab.kubeconfigs()), name, certificate, port)
}

pub(super) fn containerd(lab: &Lab, host: &Host) -> Parts {
    Parts::new(&program("containerd")).file("config", lab.disk(host).join("containerd.toml"))
}

pub(super) fn kubelet(lab: &Lab, host: &Host) -> Parts {
    let disk = lab.disk(host);
    let certificate = format!("kubelet-{}-serving", host.name);
    of_node(lab, "kubelet", &certificate, 10250)
        .flag("hostname-override", &host.name)
        .flag("node-ip", host.address)
        .flag(
            "container-runtime-endpoint",
            format!("unix://{CONTAINERD_SOCKET}"),
        )
        .flag("root-dir", "/var/lib/kubelet")
        .flag("cgroup-root", format!("/{}", host.cgroup))
        .path("pod-manifest-path", &disk.join("manifests"))
        .flag("cluster-dns", CLUSTER_DNS)
        .flag("cluster-domain", CLUSTER_DOMAIN)
        .file("resolv-conf", disk.join("resolv.conf"))
        // The hosts share the machine's disk with whatever else is on it.
        .flag(
            "eviction-hard",
            "memory.available<100Mi,nodefs.available<1%,nodefs.inodesFree<1%,imagefs.available<1%",
        )
        .flag("shutdown-grace-period", "30s")
        .flag("shutdown-grace-period-critical-pods", "10s")
}

pub(super) fn proxy(lab: &Lab, host: &Host) -> Parts {
    of_node(lab, "proxy", &format!("kube-proxy-{}", host.name), 10256)
        .flag("hostname-override", &host.name)
        .flag("cluster-cidr", POD_CIDR)
}

pub(super) fn flannel_lite(lab: &Lab, host: &Host) -> Parts {
    of_node(
        lab,
        "flannel-lite",
        &format!("flannel-lite-{}", host.name),
        10258,
    )
    .flag("node-name", &host.name)
    .flag("public-ip", host.address)
    .flag("cluster-cidr", POD_CIDR)
    .path("cni-conf-dir", &lab.disk(host).join("cni/net.d"))
}
