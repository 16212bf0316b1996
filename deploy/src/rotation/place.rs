//! Whose files are changed: those of this host of a control plane, or those of a lab.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::observe;
use crate::api::{Api, text};
use crate::commands::{certificates::renew, init};
use crate::failure::{Failure, Result};
use crate::host::cluster::Cluster;
use crate::host::discovery::{self, Found};
use crate::host::{Layout, systemd};
use crate::http::{self, Identity};
use crate::lab::{Lab, process, starting};
use crate::pki::{CLUSTER_CA, ETCD_CA, Pki, YEAR};
use crate::{encryption, shell};

/// How long etcd may take to be healthy again.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where etcd listens for clients.
const ETCD_PORT: u16 = 2379;

/// A host, or a lab.
#[derive(Debug)]
pub enum Place {
    /// All hosts of a lab's control plane have the same CAs, and are changed together.
    Lab(Box<Lab>),
    /// This host of a control plane.
    Host(Box<(Layout, Cluster)>),
}

impl Place {
    /// The lab, or else this host.
    ///
    /// # Errors
    /// If this is no host of a control plane.
    pub fn here(lab: Option<&Lab>) -> Result<Self> {
        if let Some(lab) = lab {
            return Ok(Self::Lab(Box::new(lab.clone())));
        }
        let layout = Layout::new(Path::new("/"));
        let cluster = init::here(&layout)?;
        Ok(Self::Host(Box::new((layout, cluster))))
    }

    /// The certificates and keys.
    pub fn pki(&self) -> Pki {
        match self {
            Self::Lab(lab) => lab.pki(),
            Self::Host(host) => host.0.pki(),
        }
    }

    /// The folder that all of it is in.
    pub fn folder(&self) -> PathBuf {
        match self {
            Self::Lab(lab) => lab.folder.clone(),
            Self::Host(host) => host.0.etc(),
        }
    }

    /// How the apiserver encrypts what it stores.
    pub fn encryption(&self) -> PathBuf {
        self.folder().join(encryption::FILE)
    }

    /// The administrator, asking the apiserver.
    pub fn api(&self) -> Api {
        match self {
            Self::Lab(lab) => lab.api(),
            Self::Host(host) => init::administrator(&host.0, &host.1),
        }
    }

    /// As whom apiservers are asked.
    pub fn administrator(&self) -> Identity {
        self.pki().identity(CLUSTER_CA, "admin")
    }

    /// The addresses of the control plane's hosts whose files these are.
    pub fn own(&self) -> Vec<Ipv4Addr> {
        match self {
            Self::Lab(lab) => {
                let hosts = lab.plan.control_planes();
                hosts.into_iter().map(|host| host.address).collect()
            }
            Self::Host(host) => vec![host.1.address],
        }
    }

    /// The addresses of the control plane's hosts whose files are others.
    ///
    /// # Errors
    /// In the apiserver's words.
    pub fn others(&self) -> Result<Vec<SocketAddr>> {
        let own = self.own();
        let is_own = |at: &SocketAddr| own.iter().any(|ip| at.ip() == *ip);
        let mut all = observe::look(&self.api())?.apiservers;
        all.retain(|at| !is_own(at));
        Ok(all)
    }

    /// Nodes that aren't Ready, by name.
    ///
    /// # Errors
    /// In the apiserver's words.
    pub fn nodes_not_ready(&self) -> Result<Vec<String>> {
        let nodes = observe::look(&self.api())?.nodes;
        let away = nodes.into_iter().filter(|node| !node.is_ready);
        Ok(away.map(|node| node.name).collect())
    }

    /// Apiservers that go by other encryption configurations than those with these hashes.
    ///
    /// # Errors
    /// If one of them can't be asked.
    pub fn apiservers_with_other_configurations(&self, hashes: &[String]) -> Result<Vec<String>> {
        const INFO: &str = "apiserver_encryption_config_controller_last_config_info";
        let identity = self.administrator();
        let mut others = Vec::new();
        for at in observe::look(&self.api())?.apiservers {
            let samples = observe::samples(at, &identity, INFO)?;
            let mut labels = samples.iter().flat_map(|(labels, _)| labels);
            if !labels.any(|hash| hashes.contains(hash)) {
                others.push(format!("apiserver {at}"));
            }
        }
        Ok(others)
    }

    /// Has the certificates and kubeconfigs follow the CAs, and every process find what it may
    /// read: those that another CA than today's has signed are issued anew.
    ///
    /// # Errors
    /// If a CA can't sign, or a file can't be written.
    pub fn settle(&self, now: SystemTime) -> Result<()> {
        match self {
            Self::Lab(lab) => crate::lab::identities::renew(lab, now, YEAR, false).map(drop),
            Self::Host(host) => {
                let options = renew::Options {
                    all: false,
                    valid_for: None,
                    root: host.0.root().to_owned(),
                };
                renew::of_host(&host.0, &options, now)?;
                systemd::apply_owners(&host.0, "hardway-control-plane.conf").map(drop)
            }
        }
    }

    /// Says in `kube-public/cluster-info`, if there is one, whom those are to believe who join.
    ///
    /// # Errors
    /// In the apiserver's words.
    pub fn publish_cluster_info(&self) -> Result<()> {
        let api = self.api();
        let Some(known) = api.get(discovery::PATH)? else {
            return Ok(());
        };
        let found = Found {
            ca: shell::read_text(&self.pki().certificate(CLUSTER_CA))?,
            ..discovery::read(text(&known["data"]["kubeconfig"]))?
        };
        let kubeconfig = discovery::kubeconfig(&found);
        let patch = json!({"data": {"kubeconfig": kubeconfig}});
        api.patch(discovery::PATH, &patch).map(drop)
    }

    /// Restarts etcd on these hosts, one after the other, and waits until each is healthy: it
    /// reads whom to believe only at its start.
    ///
    /// # Errors
    /// If it isn't healthy in time; then the others aren't restarted.
    pub fn restart_etcd(&self) -> Result<()> {
        match self {
            Self::Lab(lab) => {
                for host in lab.plan.control_planes() {
                    process::stop(lab, &host, "etcd", true)?;
                    starting::start(lab, &host, "etcd")?;
                    starting::wait_healthy(lab, &host, "etcd")?;
                }
                Ok(())
            }
            Self::Host(_) => {
                systemd::start(&["hardway-etcd.service"], true, PATIENCE)?;
                let deadline = std::time::Instant::now() + PATIENCE;
                let identity = self.pki().identity(ETCD_CA, "apiserver-etcd-client");
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ETCD_PORT));
                loop {
                    let why = match http::get_tls(address, "/health", &identity) {
                        Ok(answer) if answer.status == 200 => return Ok(()),
                        Ok(answer) => String::from_utf8_lossy(&answer.body).into_owned(),
                        Err(failure) => failure.to_string(),
                    };
                    if std::time::Instant::now() > deadline {
                        return Err(Failure::new("restart etcd", why)
                            .way_out("see what it says:  journalctl --unit hardway-etcd"));
                    }
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
        }
    }

    /// Whether this is how a member of etcd is called that runs on these hosts.
    pub fn is_own_etcd(&self, who: &str) -> bool {
        let own = self.own().into_iter().chain([Ipv4Addr::LOCALHOST]);
        own.map(|ip| SocketAddr::from((ip, ETCD_PORT)))
            .any(|at| who == etcd_name(at))
    }

    /// Where etcd's members are asked that belong to these apiservers: each at its host's
    /// address, the own at this host's loopback.
    pub fn etcd_members(&self, apiservers: &[SocketAddr]) -> Vec<SocketAddr> {
        let own = self.own();
        let is_lab = matches!(self, Self::Lab(_));
        let at = |server: &SocketAddr| match server.ip() {
            std::net::IpAddr::V4(ip) if own.contains(&ip) && !is_lab => {
                SocketAddr::from((Ipv4Addr::LOCALHOST, ETCD_PORT))
            }
            ip => SocketAddr::new(ip, ETCD_PORT),
        };
        apiservers.iter().map(at).collect()
    }
}

/// How a member of etcd is called.
pub fn etcd_name(at: SocketAddr) -> String {
    format!("etcd {at}")
}
