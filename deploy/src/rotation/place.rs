//! Whose files are changed: those of this host of a control plane, or those of a lab.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anstream::println;
use jiff::Timestamp;
use serde_json::json;

use super::control_planes::{self, Without};
use super::missing::{Missing, missing};
use super::observe;
use crate::api::{Api, text};
use crate::failure::{Failure, OrFail, Result};
use crate::host::cluster::Cluster;
use crate::host::discovery::{self, Found};
use crate::host::shared_keys::secret;
use crate::host::{Layout, control_plane, systemd};
use crate::http::{self, Identity};
use crate::lab::{Lab, process, starting};
use crate::pki::{CLUSTER_CA, ETCD_CA, Pki, YEAR};
use crate::{encryption, etcd, shell};

/// How long etcd may take to be healthy again.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often its members are asked while they are waited for.
const LOOK: Duration = Duration::from_secs(1);
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
        let cluster = control_plane::here(&layout)?;
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
            Self::Host(host) => control_plane::administrator(&host.0, &host.1),
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
        let hosts = self.cluster()?.control_planes.into_iter();
        let apiservers = hosts.map(|host| host.apiserver);
        Ok(apiservers.filter(|at| !is_own(at)).collect())
    }

    /// Who is in the cluster, whether they are there just now or not.
    ///
    /// # Errors
    /// In the apiserver's words, or if no member of etcd can say who they are.
    pub fn cluster(&self) -> Result<observe::Cluster> {
        let known = observe::look(&self.api())?;
        let members = self.etcd(&known.endpoints).members();
        let members = members.or_fail(|| "ask etcd for its members")?;
        let members: Vec<(IpAddr, String)> = members
            .iter()
            .filter_map(|member| Some((self.address_of(member)?, member.label())))
            .collect();
        Ok(observe::Cluster {
            control_planes: control_planes::all(
                &known.endpoints,
                &known.leases,
                &known.nodes,
                &members,
            ),
            nodes: known.nodes,
        })
    }

    /// Refuses what `--without-host` says of hosts that aren't in the control plane.
    ///
    /// # Errors
    /// If there is one, or the cluster can't be asked.
    pub fn check(&self, without: &Without) -> Result<()> {
        if without.hosts.is_empty() {
            return Ok(());
        }
        let hosts = self.cluster()?.control_planes;
        let unknown = control_planes::unknown(&hosts, without);
        if unknown.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = hosts.iter().map(|host| host.name()).collect();
        Err(Failure::new(
            format!("leave {} out", unknown.join(", ")),
            format!(
                "no control plane is called so: there are {}",
                names.join(", ")
            ),
        ))
    }

    /// etcd, by the members of these hosts or, where none of them answers, by those of others.
    fn etcd(&self, apiservers: &[SocketAddr]) -> etcd::Client {
        let own = self.own().into_iter().map(IpAddr::V4);
        let others = apiservers.iter().map(SocketAddr::ip);
        let mut all = Vec::new();
        for ip in own.chain(others) {
            let at = self.etcd_at(ip);
            if !all.contains(&at) {
                all.push(at);
            }
        }
        etcd::Client::new(all, self.pki().identity(ETCD_CA, "apiserver-etcd-client"))
    }

    /// The address of a member's host. One that is alone may know itself as 127.0.0.1 only.
    fn address_of(&self, member: &etcd::Member) -> Option<IpAddr> {
        let at = member.peer_address().or_else(|| member.client_address())?;
        match at.ip().is_loopback() {
            true => self.own().first().copied().map(IpAddr::V4),
            false => Some(at.ip()),
        }
    }

    /// Puts the keys that all control planes have alike, and those that are to sign, where other
    /// hosts find them if there are any, and says what to type there: this command, with the key
    /// that opens them.
    ///
    /// # Errors
    /// If a file is missing, or in the apiserver's words.
    pub fn hand_over(&self, command: &str) -> Result<()> {
        let Self::Host(host) = self else {
            return Ok(());
        };
        if self.others()?.is_empty() {
            return Ok(());
        }
        let key = secret::upload(&self.api(), &host.0.etc(), Timestamp::now())?;
        println!(
            "  on each other control plane, within two hours:\n      {command} --certificate-key {key}"
        );
        Ok(())
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

    /// Apiservers that go by other encryption configurations than those with these hashes, and
    /// those that can't be asked.
    ///
    /// # Errors
    /// If it isn't known which there are.
    pub fn apiservers_with_other_configurations(
        &self,
        hashes: &[String],
        without: &Without,
    ) -> Result<Vec<Missing>> {
        const INFO: &str = "apiserver_encryption_config_controller_last_config_info";
        let identity = self.administrator();
        let mut others = Vec::new();
        for host in self.cluster()?.control_planes {
            if host.is_left_out(without) {
                continue;
            }
            let who = format!("apiserver {}", host.apiserver);
            let samples = match observe::samples(host.apiserver, &identity, INFO) {
                Ok(samples) => samples,
                Err(failure) => {
                    let why = format!("can't be asked: {}", failure.why);
                    others.push(missing(who, why, host.way_out()));
                    continue;
                }
            };
            let mut labels = samples.iter().flat_map(|(labels, _)| labels);
            if !labels.any(|hash| hashes.contains(hash)) {
                others.push(missing(who, "goes by another configuration", ""));
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
                control_plane::renew(&host.0, now, YEAR, false)?;
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
    /// reads whom to believe only at its start. Each only when the other members are well enough
    /// to do without it.
    ///
    /// # Errors
    /// If they aren't, or if it isn't healthy in time; then the others aren't restarted.
    pub fn restart_etcd(&self) -> Result<()> {
        self.restart_each_etcd(|ip| self.wait_for_other_members(ip))
    }

    /// The same for one that doesn't run, or that no other believes: nobody is asked first.
    ///
    /// # Errors
    /// If it isn't healthy in time; then the others aren't restarted.
    pub fn restart_stopped_etcd(&self) -> Result<()> {
        self.restart_each_etcd(|_| Ok(()))
    }

    /// Waits until etcd's other members can do without the one of a host: another one may be
    /// restarting just now.
    fn wait_for_other_members(&self, ip: Ipv4Addr) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let listed = observe::look(&self.api()).map(|known| known.endpoints);
            let survey = self.etcd(&listed.unwrap_or_default()).survey();
            let survey = match survey {
                Ok(survey) => survey,
                Err(_) if Instant::now() < deadline => {
                    std::thread::sleep(LOOK);
                    continue;
                }
                Err(error) => return Err(Failure::new("ask etcd for its members", error)),
            };
            let others = survey.iter().filter(|(member, _)| {
                !member.is_learner && self.address_of(member) != Some(IpAddr::V4(ip))
            });
            let others: Vec<(String, Option<String>)> = others
                .map(|(member, status)| {
                    let trouble = match status {
                        Ok(status) if status.is_healthy() => None,
                        Ok(_) => Some("it has no leader".to_owned()),
                        Err(error) => Some(error.to_string()),
                    };
                    (member.label(), trouble)
                })
                .collect();
            let missing = control_planes::needed_for_restart(&others);
            if missing.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                let all: Vec<String> = missing.iter().map(ToString::to_string).collect();
                return Err(Failure::new(
                    format!("restart etcd of {ip}, without which nothing could be written"),
                    all.join("; "),
                ));
            }
            std::thread::sleep(LOOK);
        }
    }

    fn restart_each_etcd(&self, before: impl Fn(Ipv4Addr) -> Result<()>) -> Result<()> {
        match self {
            Self::Lab(lab) => {
                for host in lab.plan.control_planes() {
                    before(host.address)?;
                    process::stop(lab, &host, "etcd", true)?;
                    starting::start(lab, &host, "etcd")?;
                    starting::wait_healthy(lab, &host, "etcd")?;
                }
                Ok(())
            }
            Self::Host(host) => {
                before(host.1.address)?;
                systemd::start(&["hardway-etcd.service"], true, PATIENCE)?;
                let deadline = Instant::now() + PATIENCE;
                let identity = self.pki().identity(ETCD_CA, "apiserver-etcd-client");
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ETCD_PORT));
                loop {
                    let why = match http::get_tls(address, "/health", &identity) {
                        Ok(answer) if answer.status == 200 => return Ok(()),
                        Ok(answer) => String::from_utf8_lossy(&answer.body).into_owned(),
                        Err(failure) => failure.to_string(),
                    };
                    if Instant::now() > deadline {
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

    /// Whether this is how an apiserver is called that runs on these hosts.
    pub fn is_own_apiserver(&self, who: &str) -> bool {
        let at = who.strip_prefix("apiserver ");
        let at = at.and_then(|at| at.parse::<SocketAddr>().ok());
        at.is_some_and(|at| self.own().iter().any(|ip| at.ip() == *ip))
    }

    /// Where etcd of a host is asked: at its address, the own at this host's loopback.
    pub fn etcd_at(&self, ip: IpAddr) -> SocketAddr {
        let is_own = self.own().iter().any(|own| ip == *own);
        match matches!(self, Self::Host(_)) && is_own {
            true => SocketAddr::from((Ipv4Addr::LOCALHOST, ETCD_PORT)),
            false => SocketAddr::new(ip, ETCD_PORT),
        }
    }
}

/// How a member of etcd is called.
pub fn etcd_name(at: SocketAddr) -> String {
    format!("etcd {at}")
}
