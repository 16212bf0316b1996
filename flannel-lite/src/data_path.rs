//! Brings the kernel (and the CNI configuration) to what is wanted.

use crate::announce::VNI;
use crate::cni::{BRIDGE, Cni};
use crate::egress;
use crate::kernel::{Interface, Kernel, KernelError, Vxlan};
use crate::peers::{Entry, Mac, Peer, diff, entries};
use ipnetwork::Ipv4Network;
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::net::Ipv4Addr;

const DEVICE: &str = "flannel.1";
const PORT: u16 = 8472;
/// What the tunnel adds to a packet: Ethernet, IP, UDP and VXLAN headers.
const OVERHEAD: u32 = 50;

/// How to find the device that leads to the other nodes; without either, it is
/// the one of the default route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uplink {
    /// Its name; else the device that has the address.
    pub iface: Option<String>,
    /// This node's address; else the device's first.
    pub address: Option<Ipv4Addr>,
}

/// What should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredState {
    /// Where the tunnels go out.
    pub uplink: Uplink,
    /// This node's pods.
    pub subnet: Ipv4Network,
    /// All pods; else the subnets of this node and its peers.
    pub cluster: Option<Ipv4Network>,
    /// The address a new VXLAN device is given, for peers that know it already.
    pub mac: Option<Mac>,
    /// The other nodes.
    pub peers: BTreeSet<Peer>,
}

/// This node's end of the tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// The node's address.
    pub address: Ipv4Addr,
    /// The VXLAN device's Ethernet address.
    pub mac: Mac,
}

/// Why the data path isn't as wanted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel or nft.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// Files.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// No device to send tunnels through.
    #[error(
        "no way to the other nodes: {0}; correct --iface or --public-ip, or wait until it comes"
    )]
    Uplink(String),
    /// The VXLAN device vanished while it was set up.
    #[error("{DEVICE} is gone again or has no Ethernet address; is something else managing it?")]
    Device,
}

/// What the kernel is known to have.
struct Applied {
    uplink: Uplink,
    subnet: Ipv4Network,
    device: u32,
    mtu: u32,
    local: Local,
    entries: BTreeSet<Entry>,
    rules: Option<String>,
}

/// The kernel's state, known from the first look at it and kept up to date.
pub struct DataPath<K> {
    kernel: K,
    cni: Cni,
    applied: Option<Applied>,
    loaded: Option<Loaded>,
}

/// Egress rules that were loaded, and how the kernel lists them.
struct Loaded {
    ruleset: String,
    listed: String,
}

impl<K: Kernel> DataPath<K> {
    /// One that knows nothing of the kernel yet.
    pub fn new(kernel: K, cni: Cni) -> Self {
        Self {
            kernel,
            cni,
            applied: None,
            loaded: None,
        }
    }

    /// Has the next [`apply`](Self::apply) look at the kernel's tables again.
    pub fn forget(&mut self) {
        self.applied = None;
    }

    /// Makes it so. After a failure the next call starts from what the kernel says.
    pub async fn apply(&mut self, wanted: &DesiredState) -> Result<Local, Error> {
        let known = self
            .applied
            .take()
            .filter(|known| known.uplink == wanted.uplink && known.subnet == wanted.subnet);
        let mut state = match known {
            Some(known) => known,
            None => self.establish(wanted).await?,
        };
        let desired = entries(&wanted.peers);
        let changes = diff(&desired, &state.entries);
        for entry in &changes.remove {
            self.kernel.remove(state.device, entry).await?;
        }
        for entry in &changes.add {
            self.kernel.add(state.device, entry).await?;
        }
        if !changes.remove.is_empty() || !changes.add.is_empty() {
            let (removed, added) = (changes.remove.len(), changes.add.len());
            tracing::info!(peers = wanted.peers.len(), added, removed, "peers changed");
        }
        state.entries = desired;
        let rules = egress::ruleset(wanted.subnet, &inside(wanted));
        if state.rules.as_ref() != Some(&rules) {
            self.load(&rules).await?;
            state.rules = Some(rules);
        }
        // Last: from here on pods are started.
        self.cni
            .write(&self.cni.conflist(wanted.subnet, state.mtu))?;
        Ok(self.applied.insert(state).local)
    }

    /// Loads the egress rules, unless they are there as they were loaded. Who
    /// loads rules without need has everybody else look for what has changed.
    async fn load(&mut self, ruleset: &str) -> Result<(), Error> {
        if let Some(loaded) = &self.loaded
            && loaded.ruleset == ruleset
            && loaded.listed == self.kernel.list_rules().await?
        {
            return Ok(());
        }
        self.kernel.load_rules(ruleset).await?;
        self.loaded = Some(Loaded {
            ruleset: ruleset.to_owned(),
            listed: self.kernel.list_rules().await?,
        });
        Ok(())
    }

    /// Devices and what else doesn't depend on peers.
    async fn establish(&self, wanted: &DesiredState) -> Result<Applied, Error> {
        let links = self.kernel.interfaces().await?;
        let default = self.kernel.default_interface().await?;
        let (uplink, address) = choose(&wanted.uplink, &links, default).map_err(Error::Uplink)?;
        let mtu = uplink.mtu.saturating_sub(OVERHEAD);
        let vxlan = Vxlan {
            vni: VNI,
            parent: uplink.index,
            local: address,
            port: PORT,
            learning: false,
        };
        if let Some(bridge) = links.iter().find(|link| link.name == BRIDGE)
            && let Some(reason) = bridge_unusable(bridge, &links, wanted.subnet)
        {
            tracing::warn!(BRIDGE, reason, "deleting the bridge; CNI makes a new one");
            self.kernel.delete_link(bridge.index).await?;
        }
        let device = self.device(&links, &vxlan, wanted.mac).await?;
        let own = Ipv4Network::from(wanted.subnet.network());
        for stale in device.addresses.iter().filter(|there| **there != own) {
            self.kernel.remove_address(device.index, *stale).await?;
        }
        if !device.addresses.contains(&own) {
            self.kernel.add_address(device.index, own).await?;
        }
        if !device.up || device.mtu != mtu {
            self.kernel.set_up(device.index, mtu).await?;
        }
        Ok(Applied {
            uplink: wanted.uplink.clone(),
            subnet: wanted.subnet,
            device: device.index,
            mtu,
            local: Local {
                address,
                mac: device.mac.ok_or(Error::Device)?,
            },
            entries: self.kernel.entries(device.index).await?,
            rules: None,
        })
    }

    /// The VXLAN device: the one that is there, if it is as it should be.
    async fn device(
        &self,
        links: &[Interface],
        vxlan: &Vxlan,
        mac: Option<Mac>,
    ) -> Result<Interface, Error> {
        let there = links.iter().find(|link| link.name == DEVICE);
        if let Some(device) = there {
            if device.vxlan.as_ref() == Some(vxlan) {
                return Ok(device.clone());
            }
            tracing::info!(
                device = DEVICE,
                "other parameters are needed; making it anew"
            );
            self.kernel.delete_link(device.index).await?;
        }
        let mac = mac.map_or_else(random_mac, Ok)?;
        self.kernel.create_vxlan(DEVICE, vxlan, mac).await?;
        tracing::info!(device = DEVICE, %mac, local = %vxlan.local, "made the VXLAN device");
        let links = self.kernel.interfaces().await?;
        let device = links.into_iter().find(|link| link.name == DEVICE);
        device.ok_or(Error::Device)
    }
}

fn random_mac() -> io::Result<Mac> {
    let mut bytes = [0; 6];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(Mac::local(bytes))
}

/// Where pods need no masquerading to.
fn inside(wanted: &DesiredState) -> Vec<Ipv4Network> {
    match wanted.cluster {
        Some(cluster) => vec![cluster],
        None => std::iter::once(wanted.subnet)
            .chain(wanted.peers.iter().map(|peer| peer.subnet))
            .collect(),
    }
}

/// The device that leads to the other nodes and this node's address on it.
/// `default` is the number of the default route's.
fn choose<'a>(
    uplink: &Uplink,
    links: &'a [Interface],
    default: Option<u32>,
) -> Result<(&'a Interface, Ipv4Addr), String> {
    let has = |link: &Interface, ip| link.addresses.iter().any(|network| network.ip() == ip);
    let named = |name: &str| {
        let link = links.iter().find(|link| link.name == name);
        link.ok_or_else(|| format!("there is no interface {name:?}"))
    };
    let first = |link: &'a Interface| {
        let found = link.addresses.first().map(|network| (link, network.ip()));
        found.ok_or_else(|| format!("{} has no IPv4 address", link.name))
    };
    match (uplink.iface.as_deref(), uplink.address) {
        (Some(name), Some(ip)) => match named(name)? {
            link if has(link, ip) => Ok((link, ip)),
            link => Err(format!(
                "{ip} is not an address of {name} (it has {:?})",
                link.addresses
            )),
        },
        (Some(name), None) => first(named(name)?),
        (None, Some(ip)) => {
            let link = links.iter().find(|link| has(link, ip));
            let found = link.map(|link| (link, ip));
            found.ok_or_else(|| format!("no interface has the address {ip}"))
        }
        (None, None) => match links.iter().find(|link| Some(link.index) == default) {
            Some(link) => first(link),
            None => Err("neither an interface nor an address is given, the Node has no InternalIP, and there is no default route".into()),
        },
    }
}

/// Why pods can't be attached to this bridge.
fn bridge_unusable(
    bridge: &Interface,
    links: &[Interface],
    subnet: Ipv4Network,
) -> Option<&'static str> {
    if bridge.addresses.iter().any(|a| !subnet.contains(a.ip())) {
        return Some("it has an address of another subnet");
    }
    // A first pod that failed leaves it like this, and then every later one fails.
    let no_ports = links.iter().all(|link| link.bridge != Some(bridge.index));
    (no_ports && bridge.mac == Some(Mac::ZERO)).then_some("it has neither ports nor a MAC address")
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::sync::Arc;

    /// Remembers what it is told, and each call.
    #[derive(Default)]
    struct State {
        links: Vec<Interface>,
        entries: BTreeSet<Entry>,
        calls: Vec<&'static str>,
        fail: Option<&'static str>,
        /// Where the default route leads.
        default: Option<u32>,
        rules: String,
    }

    #[derive(Clone, Default)]
    struct Fake(Arc<Mutex<State>>);

    impl Fake {
        fn call(&self, name: &'static str) -> Result<(), KernelError> {
            let mut state = self.0.lock();
            state.calls.push(name);
            if state.fail.take_if(|fail| *fail == name).is_some() {
                return Err(KernelError {
                    action: name.into(),
                    reason: "refused".into(),
                });
            }
            Ok(())
        }

        fn calls(&self) -> Vec<&'static str> {
            std::mem::take(&mut self.0.lock().calls)
        }
    }

    impl Kernel for Fake {
        async fn interfaces(&self) -> Result<Vec<Interface>, KernelError> {
            self.call("interfaces")?;
            Ok(self.0.lock().links.clone())
        }
        async fn default_interface(&self) -> Result<Option<u32>, KernelError> {
            Ok(self.0.lock().default)
        }
        async fn create_vxlan(&self, name: &str, v: &Vxlan, mac: Mac) -> Result<(), KernelError> {
            self.call("create_vxlan")?;
            self.0.lock().links.push(Interface {
                index: 9,
                name: name.into(),
                mac: Some(mac),
                vxlan: Some(*v),
                ..Interface::default()
            });
            Ok(())
        }
        async fn delete_link(&self, index: u32) -> Result<(), KernelError> {
            self.call("delete_link")?;
            self.0.lock().links.retain(|link| link.index != index);
            Ok(())
        }
        async fn set_up(&self, index: u32, mtu: u32) -> Result<(), KernelError> {
            self.call("set_up")?;
            let mut state = self.0.lock();
            let link = state.links.iter_mut().find(|link| link.index == index);
            let link = link.unwrap();
            (link.up, link.mtu) = (true, mtu);
            Ok(())
        }
        async fn add_address(&self, index: u32, a: Ipv4Network) -> Result<(), KernelError> {
            self.call("add_address")?;
            let mut state = self.0.lock();
            let link = state.links.iter_mut().find(|link| link.index == index);
            link.unwrap().addresses.push(a);
            Ok(())
        }
        async fn remove_address(&self, index: u32, a: Ipv4Network) -> Result<(), KernelError> {
            self.call("remove_address")?;
            let mut state = self.0.lock();
            let link = state.links.iter_mut().find(|link| link.index == index);
            link.unwrap().addresses.retain(|there| *there != a);
            Ok(())
        }
        async fn entries(&self, _: u32) -> Result<BTreeSet<Entry>, KernelError> {
            self.call("entries")?;
            Ok(self.0.lock().entries.clone())
        }
        async fn add(&self, _: u32, entry: &Entry) -> Result<(), KernelError> {
            self.call("add")?;
            self.0.lock().entries.insert(*entry);
            Ok(())
        }
        async fn remove(&self, _: u32, entry: &Entry) -> Result<(), KernelError> {
            self.call("remove")?;
            self.0.lock().entries.remove(entry);
            Ok(())
        }
        async fn load_rules(&self, ruleset: &str) -> Result<(), KernelError> {
            self.call("load_rules")?;
            self.0.lock().rules = ruleset.to_owned();
            Ok(())
        }
        async fn list_rules(&self) -> Result<String, KernelError> {
            Ok(self.0.lock().rules.clone())
        }
    }

    fn link(index: u32, name: &str, address: &str) -> Interface {
        Interface {
            index,
            name: name.into(),
            mtu: 1500,
            up: true,
            addresses: vec![address.parse().unwrap()],
            ..Interface::default()
        }
    }

    fn wanted() -> DesiredState {
        DesiredState {
            uplink: Uplink {
                iface: Some("eth0".into()),
                address: None,
            },
            subnet: "10.244.1.0/24".parse().unwrap(),
            cluster: None,
            mac: "02:00:00:00:00:0a".parse().ok(),
            peers: BTreeSet::from([Peer {
                subnet: "10.244.2.0/24".parse().unwrap(),
                node_ip: "10.88.0.12".parse().unwrap(),
                vtep_mac: "02:00:00:00:00:0b".parse().unwrap(),
            }]),
        }
    }

    fn path(fake: &Fake, folder: &tempfile::TempDir) -> DataPath<Fake> {
        fake.0.lock().links = vec![link(2, "eth0", "10.88.0.11/24")];
        let cni = Cni {
            conf_dir: folder.path().into(),
            data_dir: "/data".into(),
        };
        DataPath::new(fake.clone(), cni)
    }

    #[tokio::test]
    async fn a_second_time_nothing_is_done() {
        let (fake, folder) = (Fake::default(), tempfile::tempdir().unwrap());
        let mut path = path(&fake, &folder);
        let local = path.apply(&wanted()).await.unwrap();
        assert_eq!(local.mac, wanted().mac.unwrap());
        assert_eq!(local.address.to_string(), "10.88.0.11");
        let device = fake.0.lock().links[1].clone();
        assert_eq!((device.mtu, device.up), (1450, true));
        assert_eq!(device.addresses[0].to_string(), "10.244.1.0/32");
        assert_eq!(fake.0.lock().entries, entries(&wanted().peers));
        fake.calls();
        path.apply(&wanted()).await.unwrap();
        assert_eq!(fake.calls(), Vec::<&str>::new());
        let mut alone = wanted();
        alone.peers.clear();
        path.apply(&alone).await.unwrap();
        assert_eq!(fake.calls(), ["remove", "remove", "remove", "load_rules"]);
    }

    #[tokio::test]
    async fn rules_are_loaded_again_only_where_somebody_changed_them() {
        let (fake, folder) = (Fake::default(), tempfile::tempdir().unwrap());
        let mut path = path(&fake, &folder);
        let loads = async |path: &mut DataPath<Fake>| {
            path.forget();
            path.apply(&wanted()).await.unwrap();
            let calls = fake.calls();
            calls.iter().filter(|call| **call == "load_rules").count()
        };
        assert_eq!(loads(&mut path).await, 1);
        assert_eq!(loads(&mut path).await, 0);
        fake.0.lock().rules.clear();
        assert_eq!(loads(&mut path).await, 1);
        assert_eq!(loads(&mut path).await, 0);
    }

    #[tokio::test]
    async fn a_restart_keeps_what_fits_and_removes_what_is_stale() {
        let (fake, folder) = (Fake::default(), tempfile::tempdir().unwrap());
        let mut first = path(&fake, &folder);
        first.apply(&wanted()).await.unwrap();
        fake.calls();
        let mut second = DataPath::new(fake.clone(), first.cni.clone());
        let mut alone = wanted();
        alone.peers.clear();
        alone.mac = None;
        let local = second.apply(&alone).await.unwrap();
        assert_eq!(local.mac, wanted().mac.unwrap());
        assert!(!fake.calls().contains(&"create_vxlan"));
        assert!(fake.0.lock().entries.is_empty());
    }

    #[tokio::test]
    async fn an_uplink_that_comes_later_is_taken() {
        let (fake, folder) = (Fake::default(), tempfile::tempdir().unwrap());
        let mut path = path(&fake, &folder);
        let mut wanted = wanted();
        wanted.uplink = Uplink::default();
        let error = path.apply(&wanted).await.unwrap_err();
        assert!(matches!(error, Error::Uplink(_)), "{error}");
        fake.0.lock().default = Some(2);
        let local = path.apply(&wanted).await.unwrap();
        assert_eq!(local.address.to_string(), "10.88.0.11");
        wanted.uplink.address = "10.88.0.77".parse().ok();
        let error = path.apply(&wanted).await.unwrap_err().to_string();
        assert!(
            error.contains("no interface has the address 10.88.0.77"),
            "{error}"
        );
        let late = "10.88.0.77/24".parse().unwrap();
        fake.0.lock().links[0].addresses.push(late);
        assert_eq!(path.apply(&wanted).await.unwrap().address, late.ip());
    }

    #[tokio::test]
    async fn after_a_failure_the_kernel_is_asked() {
        let (fake, folder) = (Fake::default(), tempfile::tempdir().unwrap());
        let mut path = path(&fake, &folder);
        fake.0.lock().fail = Some("add");
        path.apply(&wanted()).await.unwrap_err();
        assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
        fake.calls();
        path.apply(&wanted()).await.unwrap();
        assert!(fake.calls().contains(&"entries"));
        assert_eq!(fake.0.lock().entries.len(), 3);
    }

    #[tokio::test]
    async fn a_new_lease_replaces_address_and_bridge() {
        let (fake, folder) = (Fake::default(), tempfile::tempdir().unwrap());
        let mut path = path(&fake, &folder);
        path.apply(&wanted()).await.unwrap();
        fake.0.lock().links.push(link(12, "cni0", "10.244.1.1/24"));
        let mut moved = wanted();
        moved.subnet = "10.244.7.0/24".parse().unwrap();
        path.apply(&moved).await.unwrap();
        let links = fake.0.lock().links.clone();
        assert!(links.iter().all(|link| link.name != "cni0"));
        let device = links.iter().find(|link| link.name == DEVICE).unwrap();
        assert_eq!(device.addresses, ["10.244.7.0/32".parse().unwrap()]);
        assert_eq!(device.mac, wanted().mac);
    }

    #[test]
    fn a_bridge_left_by_a_failed_pod_goes_and_a_working_one_stays() {
        let subnet = "10.244.1.0/24".parse().unwrap();
        let mut bridge = link(12, "cni0", "10.244.1.1/24");
        bridge.mac = Some(Mac::ZERO);
        let mut port = link(13, "veth1", "169.254.0.1/32");
        assert!(bridge_unusable(&bridge, std::slice::from_ref(&port), subnet).is_some());
        port.bridge = Some(12);
        assert_eq!(bridge_unusable(&bridge, &[port], subnet), None);
        bridge.mac = Some(Mac([2, 0, 0, 0, 0, 1]));
        assert_eq!(bridge_unusable(&bridge, &[], subnet), None);
    }

    #[test]
    fn the_uplink_is_found_by_name_or_address() {
        let links = [
            link(2, "eth0", "10.0.2.15/24"),
            link(3, "eth1", "10.88.0.11/24"),
        ];
        let choose_by = |iface: Option<&str>, address: Option<&str>, default| {
            let uplink = Uplink {
                iface: iface.map(Into::into),
                address: address.map(|text| text.parse().unwrap()),
            };
            choose(&uplink, &links, default).map(|(link, ip)| format!("{} {ip}", link.name))
        };
        let choose = |iface, address| choose_by(iface, address, None);
        let by_default = |index| choose_by(None, None, Some(index));
        assert_eq!(by_default(2), Ok("eth0 10.0.2.15".into()));
        assert!(by_default(7).unwrap_err().contains("no default route"));
        assert_eq!(choose(Some("eth1"), None), Ok("eth1 10.88.0.11".into()));
        assert_eq!(
            choose(None, Some("10.88.0.11")),
            Ok("eth1 10.88.0.11".into())
        );
        assert!(
            choose(Some("eth0"), Some("10.88.0.11"))
                .unwrap_err()
                .contains("10.0.2.15")
        );
        assert!(choose(Some("eth7"), None).unwrap_err().contains("eth7"));
        assert!(choose(None, None).is_err());
    }
}
