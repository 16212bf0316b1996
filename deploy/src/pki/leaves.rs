//! Which certificates there are, and whom each is for.

use std::net::Ipv4Addr;

use super::{CLUSTER_CA, ETCD_CA, FRONT_PROXY_CA};
use crate::plan::{CLUSTER_DOMAIN, Host, KUBERNETES_SERVICE};

/// One certificate to have: who it is for and who vouches for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// File name without ending.
    pub file: String,
    /// File name of its CA.
    pub ca: &'static str,
    /// The user name it carries.
    pub common_name: String,
    /// The groups it carries.
    pub organizations: Vec<String>,
    /// Names and addresses it may serve under.
    pub names: Vec<String>,
    /// May identify a server.
    pub server: bool,
    /// May identify a client.
    pub client: bool,
}

/// What the apiserver is called besides its host's name and address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiNames {
    /// Domain of the cluster.
    pub domain: String,
    /// Address of the Service `kubernetes`.
    pub service: Ipv4Addr,
    /// More names and addresses.
    pub extra: Vec<String>,
}

impl Default for ApiNames {
    fn default() -> Self {
        Self {
            domain: CLUSTER_DOMAIN.to_owned(),
            service: KUBERNETES_SERVICE,
            extra: Vec::new(),
        }
    }
}

/// All certificates of a cluster with these hosts.
pub fn leaves(hosts: &[Host]) -> Vec<Leaf> {
    let mut all = Vec::new();
    for host in hosts {
        if host.role.is_control_plane() {
            all.extend(of_control_plane(host, &ApiNames::default()));
        }
        if host.role.runs_pods() {
            all.extend(of_worker(host));
        }
    }
    all
}

fn client(file: &str, ca: &'static str, common_name: &str, groups: &[&str]) -> Leaf {
    Leaf {
        file: file.to_owned(),
        ca,
        common_name: common_name.to_owned(),
        organizations: strings(groups),
        names: Vec::new(),
        server: false,
        client: true,
    }
}

fn server(file: &str, ca: &'static str, common_name: &str, names: Vec<String>) -> Leaf {
    Leaf {
        names,
        server: true,
        client: false,
        ..client(file, ca, common_name, &[])
    }
}

/// A component's certificate serves its health port as well.
fn both(file: &str, common_name: &str, names: Vec<String>) -> Leaf {
    Leaf {
        names,
        server: true,
        ..client(file, CLUSTER_CA, common_name, &[])
    }
}

/// What a host is called by others and by itself.
fn names_of(host: &Host) -> Vec<String> {
    strings(&[
        &host.name,
        &host.address.to_string(),
        "localhost",
        "127.0.0.1",
    ])
}

/// All certificates of a control plane's host.
pub fn of_control_plane(host: &Host, names: &ApiNames) -> Vec<Leaf> {
    let mut api_names = strings(&["kubernetes", "kubernetes.default", "kubernetes.default.svc"]);
    api_names.push(format!("kubernetes.default.svc.{}", names.domain));
    api_names.extend(names_of(host));
    api_names.push(names.service.to_string());
    api_names.extend(names.extra.iter().cloned());
    vec![
        // etcd talks to its peers with the certificate it serves with.
        Leaf {
            client: true,
            ..server("etcd-server", ETCD_CA, "etcd-server", names_of(host))
        },
        client(
            "apiserver-etcd-client",
            ETCD_CA,
            "kube-apiserver-etcd-client",
            &[],
        ),
        server("apiserver", CLUSTER_CA, "kube-apiserver", api_names),
        client(
            "apiserver-kubelet-client",
            CLUSTER_CA,
            "kube-apiserver-kubelet-client",
            &[],
        ),
        client(
            "front-proxy-client",
            FRONT_PROXY_CA,
            "front-proxy-client",
            &[],
        ),
        both(
            "controller-manager",
            "system:kube-controller-manager",
            names_of(host),
        ),
        both("scheduler", "system:kube-scheduler", names_of(host)),
        client("admin", CLUSTER_CA, "kubernetes-admin", &["system:masters"]),
    ]
}

fn of_worker(host: &Host) -> Vec<Leaf> {
    let file = |component: &str| format!("{component}-{}", host.name);
    let node = format!("system:node:{}", host.name);
    vec![
        client(&file("kubelet"), CLUSTER_CA, &node, &["system:nodes"]),
        server(
            &format!("{}-serving", file("kubelet")),
            CLUSTER_CA,
            &node,
            names_of(host),
        ),
        both(&file("kube-proxy"), "system:kube-proxy", names_of(host)),
        // Of its own node, which is all it may change.
        Leaf {
            organizations: strings(&["system:flannel-lite"]),
            ..both(
                &file("flannel-lite"),
                &format!("system:flannel-lite:{}", host.name),
                names_of(host),
            )
        },
    ]
}

fn strings(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}
