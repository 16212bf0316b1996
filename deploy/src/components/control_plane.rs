//! The processes of a lab's hosts of the control plane.

use super::component;
use super::parts::{Parts, program};
use crate::lab::Lab;
use crate::pki::{CLUSTER_CA, ETCD_CA, FRONT_PROXY_CA};
use crate::plan::{API_PORT, CLUSTER_DOMAIN, Host, POD_CIDR, SERVICE_CIDR};

pub(super) fn etcd(lab: &Lab, host: &Host) -> Parts {
    let pki = lab.control_plane_pki(host);
    let clients = format!("https://127.0.0.1:2379,https://{}:2379", host.address);
    let members = lab.plan.control_planes();
    let peers = peer_url(lab, host);
    let of_member = |it: &Host| format!("{}={}", it.name, peer_url(lab, it));
    let cluster: Vec<String> = members.iter().map(of_member).collect();
    let (certificate, key, ca) = (
        pki.certificate("etcd-server"),
        pki.key("etcd-server"),
        pki.certificate(ETCD_CA),
    );
    Parts::new(&program("etcd"))
        .flag("name", &host.name)
        .path("data-dir", &lab.disk(host).join("etcd"))
        .flag("listen-client-urls", &clients)
        .flag("advertise-client-urls", &clients)
        .flag("listen-peer-urls", &peers)
        .flag("initial-advertise-peer-urls", &peers)
        .flag("initial-cluster", cluster.join(","))
        .flag("initial-cluster-state", "new")
        // Who comes back from a cut doesn't have the others elect anew.
        .flag("pre-vote", true)
        .flag("client-cert-auth", true)
        .path("cert-file", &certificate)
        .path("key-file", &key)
        .file("trusted-ca-file", ca.clone())
        .flag("peer-client-cert-auth", true)
        .path("peer-cert-file", &certificate)
        .path("peer-key-file", &key)
        .file("peer-trusted-ca-file", ca)
        .flag("quota-backend-bytes", 8_u64 << 30)
        .flag("snapshot-count", 10_000)
        .flag("logger", "zap")
        .flag("log-outputs", "stderr")
}

/// Where a member hears the others. One alone needs not be reached.
fn peer_url(lab: &Lab, host: &Host) -> String {
    match lab.plan.control_planes {
        1 => "https://127.0.0.1:2380".to_owned(),
        _ => format!("https://{}:2380", host.address),
    }
}

/// The store's members, the host's own first: the others are for when that is down.
fn etcd_servers(lab: &Lab, host: &Host) -> String {
    let others = lab.plan.control_planes().into_iter();
    let others = others.filter(|other| other != host);
    let mut all = vec!["https://127.0.0.1:2379".to_owned()];
    all.extend(others.map(|other| format!("https://{}:2379", other.address)));
    all.join(",")
}

pub(super) fn registry(lab: &Lab, host: &Host) -> Parts {
    let config = lab.disk(host).join("registry.yml");
    let mut parts = Parts::new(&program("docker-registry"))
        .word("serve")
        .word(&config.display().to_string());
    parts.reads.push(config);
    parts
}

pub(super) fn apiserver(lab: &Lab, host: &Host) -> Parts {
    let pki = lab.control_plane_pki(host);
    let folder = pki.certificate("sa").with_file_name("sa.pub");
    Parts::new(&lab.binaries.join("hardway-apiserver"))
        .flag("etcd-servers", etcd_servers(lab, host))
        .path("etcd-cafile", &pki.certificate(ETCD_CA))
        .path("etcd-certfile", &pki.certificate("apiserver-etcd-client"))
        .path("etcd-keyfile", &pki.key("apiserver-etcd-client"))
        .path("encryption-provider-config", &lab.encryption())
        .flag("encryption-provider-config-automatic-reload", true)
        .flag("bind-address", "0.0.0.0")
        .flag("advertise-address", host.address)
        .flag("secure-port", API_PORT)
        .path("tls-cert-file", &pki.certificate("apiserver"))
        .path("tls-private-key-file", &pki.key("apiserver"))
        .path("client-ca-file", &pki.certificate(CLUSTER_CA))
        .flag("enable-bootstrap-token-auth", true)
        .file("service-account-key-file", folder)
        .file("service-account-signing-key-file", pki.key("sa"))
        .flag(
            "service-account-issuer",
            format!("https://kubernetes.default.svc.{CLUSTER_DOMAIN}"),
        )
        .flag("service-cluster-ip-range", SERVICE_CIDR)
        .path(
            "kubelet-client-certificate",
            &pki.certificate("apiserver-kubelet-client"),
        )
        .path("kubelet-client-key", &pki.key("apiserver-kubelet-client"))
        .path(
            "kubelet-certificate-authority",
            &pki.certificate(CLUSTER_CA),
        )
        .path(
            "proxy-client-cert-file",
            &pki.certificate("front-proxy-client"),
        )
        .path("proxy-client-key-file", &pki.key("front-proxy-client"))
        .file(
            "requestheader-client-ca-file",
            pki.certificate(FRONT_PROXY_CA),
        )
        .flag("requestheader-allowed-names", "front-proxy-client")
        .path("audit-log-path", &lab.disk(host).join("log/audit.log"))
}

/// What a component of the control plane is started with.
fn of_control_plane(lab: &Lab, host: &Host, name: &str, port: u16) -> Parts {
    let folders = (
        lab.control_plane_pki(host),
        lab.control_plane_kubeconfigs(host),
    );
    component(lab, folders, name, name, port)
}

pub(super) fn scheduler(lab: &Lab, host: &Host) -> Parts {
    of_control_plane(lab, host, "scheduler", 10259)
}

pub(super) fn controller_manager(lab: &Lab, host: &Host) -> Parts {
    let pki = lab.control_plane_pki(host);
    of_control_plane(lab, host, "controller-manager", 10257)
        .flag("cluster-cidr", POD_CIDR)
        .path("root-ca-file", &pki.certificate(CLUSTER_CA))
        .file("service-account-private-key-file", pki.key("sa"))
        .path("cluster-signing-cert-file", &pki.certificate(CLUSTER_CA))
        .path("cluster-signing-key-file", &pki.key(CLUSTER_CA))
}
