//! The real kernel: rtnetlink for devices and tables, `nft` for rules.

use crate::egress;
use crate::kernel::{Interface, Kernel, KernelError, Vxlan};
use crate::peers::{Entry, Mac};
use futures_util::TryStreamExt;
use ipnetwork::Ipv4Network;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use rtnetlink::packet_route::link::{
    InfoData, InfoVxlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use rtnetlink::{AddressMessageBuilder, Error, Handle, LinkUnspec, LinkVxlan, RouteMessageBuilder};
use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Stdio;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::task::JoinHandle;

/// The tables of the network namespace it was opened in.
pub struct Netlink {
    handle: Handle,
}

impl Netlink {
    /// Opens a connection. The task serves it; when it ends, nothing works any more.
    pub fn open() -> std::io::Result<(Self, JoinHandle<()>)> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        Ok((Self { handle }, tokio::spawn(connection)))
    }

    async fn links(&self) -> Result<Vec<LinkMessage>, KernelError> {
        let links = self.handle.link().get().execute();
        links.try_collect().await.map_err(failed("list interfaces"))
    }

    async fn neighbours(
        &self,
        index: u32,
        family: AddressFamily,
    ) -> Result<Vec<NeighbourMessage>, KernelError> {
        let request = self.handle.neighbours().get().set_address_family(family);
        let all: Vec<_> = request
            .execute()
            .try_collect()
            .await
            .map_err(failed("list neighbours"))?;
        let ours = all.into_iter().filter(|n| n.header.ifindex == index);
        Ok(ours.collect())
    }

    /// The routes of the main table.
    async fn all_routes(&self) -> Result<Vec<RouteMessage>, KernelError> {
        let query = RouteMessageBuilder::<Ipv4Addr>::new().build();
        let mut all: Vec<_> = self
            .handle
            .route()
            .get(query)
            .execute()
            .try_collect()
            .await
            .map_err(failed("list routes"))?;
        all.retain(|route| route.header.table == RouteHeader::RT_TABLE_MAIN);
        Ok(all)
    }

    async fn routes(&self, index: u32) -> Result<Vec<RouteMessage>, KernelError> {
        let mut ours = self.all_routes().await?;
        ours.retain(|route| {
            route.header.protocol != RouteProtocol::Kernel
                && route.attributes.contains(&RouteAttribute::Oif(index))
        });
        Ok(ours)
    }
}

fn failed<E: Display>(action: impl Display) -> impl FnOnce(E) -> KernelError {
    move |error| KernelError {
        action: action.to_string(),
        reason: error.to_string(),
    }
}

/// Gone is gone, whoever removed it.
fn unless_gone(result: Result<(), Error>) -> Result<(), Error> {
    const ENOENT: i32 = -2;
    const ESRCH: i32 = -3;
    const ENODEV: i32 = -19;
    const EADDRNOTAVAIL: i32 = -99;
    match result {
        Err(Error::NetlinkError(error))
            if [ENOENT, ESRCH, ENODEV, EADDRNOTAVAIL].contains(&error.raw_code()) =>
        {
            Ok(())
        }
        result => result,
    }
}

fn mac(bytes: &[u8]) -> Option<Mac> {
    bytes.try_into().ok().map(Mac)
}

fn vxlan(infos: &[LinkInfo]) -> Option<Vxlan> {
    let data = infos.iter().find_map(|info| match info {
        LinkInfo::Data(InfoData::Vxlan(data)) => Some(data),
        _ => None,
    })?;
    let mut vxlan = Vxlan {
        vni: 0,
        parent: 0,
        local: Ipv4Addr::UNSPECIFIED,
        port: 0,
        learning: true,
    };
    for item in data {
        match item {
            InfoVxlan::Id(vni) => vxlan.vni = *vni,
            InfoVxlan::Link(parent) => vxlan.parent = *parent,
            InfoVxlan::Local(local) => vxlan.local = *local,
            InfoVxlan::Port(port) => vxlan.port = *port,
            InfoVxlan::Learning(learning) => vxlan.learning = *learning,
            _ => {}
        }
    }
    Some(vxlan)
}

fn interface(message: LinkMessage) -> Interface {
    let mut interface = Interface {
        index: message.header.index,
        up: message.header.flags.contains(LinkFlags::Up),
        ..Interface::default()
    };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => interface.name = name,
            LinkAttribute::Mtu(mtu) => interface.mtu = mtu,
            LinkAttribute::Address(bytes) => interface.mac = mac(&bytes),
            LinkAttribute::Controller(bridge) => interface.bridge = Some(bridge),
            LinkAttribute::LinkInfo(infos) => interface.vxlan = vxlan(&infos),
            _ => {}
        }
    }
    interface
}

fn address(message: &AddressMessage) -> Option<Ipv4Network> {
    let local = message.attributes.iter().find_map(|a| match a {
        AddressAttribute::Local(IpAddr::V4(ip)) => Some(*ip),
        _ => None,
    })?;
    (message.header.scope == AddressScope::Universe)
        .then(|| Ipv4Network::new(local, message.header.prefix_len).ok())?
}

fn neighbour(message: &NeighbourMessage) -> Option<(Ipv4Addr, Mac)> {
    let (mut ip, mut lladdr) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => {
                ip = Some(*address);
            }
            // Forwarding entries don't say which family their destination is of.
            NeighbourAttribute::Destination(NeighbourAddress::Other(bytes)) => {
                ip = <[u8; 4]>::try_from(&bytes[..]).ok().map(Ipv4Addr::from);
            }
            NeighbourAttribute::LinkLayerAddress(bytes) => lladdr = mac(bytes),
            _ => {}
        }
    }
    ip.zip(lladdr)
}

fn route(message: &RouteMessage) -> Option<Entry> {
    let (mut destination, mut via) = (Ipv4Addr::UNSPECIFIED, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(ip)) => destination = *ip,
            RouteAttribute::Gateway(RouteAddress::Inet(ip)) => via = Some(*ip),
            _ => {}
        }
    }
    let prefix = message.header.destination_prefix_length;
    let subnet = Ipv4Network::new(destination, prefix).ok()?;
    Some(Entry::Route { subnet, via })
}

fn route_message(index: u32, subnet: Ipv4Network, via: Option<Ipv4Addr>) -> RouteMessage {
    let route = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(subnet.network(), subnet.prefix())
        .output_interface(index);
    match via {
        Some(via) => route.gateway(via).onlink().build(),
        None => route.build(),
    }
}

/// The message that removes an entry: what identifies it, no more.
fn neighbour_message(index: u32, family: AddressFamily, ip: Ipv4Addr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family;
    message.header.ifindex = index;
    let destination = NeighbourAttribute::Destination(NeighbourAddress::Inet(ip));
    message.attributes.push(destination);
    message
}

impl Kernel for Netlink {
    async fn interfaces(&self) -> Result<Vec<Interface>, KernelError> {
        let links = self.links().await?;
        let mut interfaces: Vec<_> = links.into_iter().map(interface).collect();
        let addresses: Vec<_> = self
            .handle
            .address()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(failed("list addresses"))?;
        for message in addresses {
            let owner = interfaces
                .iter_mut()
                .find(|i| i.index == message.header.index);
            if let Some((owner, address)) = owner.zip(address(&message)) {
                owner.addresses.push(address);
            }
        }
        Ok(interfaces)
    }

    async fn default_interface(&self) -> Result<Option<u32>, KernelError> {
        let routes = self.all_routes().await?;
        let default = routes
            .iter()
            .filter(|r| r.header.destination_prefix_length == 0);
        let best = default.filter_map(|route| {
            let find = |wanted: fn(&RouteAttribute) -> Option<u32>| {
                route.attributes.iter().find_map(wanted)
            };
            let out = find(|a| match a {
                RouteAttribute::Oif(index) => Some(*index),
                _ => None,
            })?;
            let metric = find(|a| match a {
                RouteAttribute::Priority(metric) => Some(*metric),
                _ => None,
            });
            Some((metric.unwrap_or(0), out))
        });
        Ok(best.min().map(|(_, index)| index))
    }

    async fn create_vxlan(&self, name: &str, vxlan: &Vxlan, mac: Mac) -> Result<(), KernelError> {
        let message = LinkVxlan::new(name, vxlan.vni)
            .dev(vxlan.parent)
            .local(vxlan.local)
            .port(vxlan.port)
            .learning(vxlan.learning)
            // Given rather than left to chance: udev leaves such an address alone.
            .address(mac.0.to_vec())
            .build();
        let result = self.handle.link().add(message).execute().await;
        const EOPNOTSUPP: i32 = -95;
        let hint = match &result {
            Err(Error::NetlinkError(error)) if error.raw_code() == EOPNOTSUPP => {
                " (the kernel's module vxlan is missing; `modprobe vxlan` says why)"
            }
            _ => "",
        };
        result.map_err(failed(format!("create VXLAN device {name}{hint}")))
    }

    async fn delete_link(&self, index: u32) -> Result<(), KernelError> {
        let result = self.handle.link().del(index).execute().await;
        unless_gone(result).map_err(failed(format!("delete interface {index}")))
    }

    async fn set_up(&self, index: u32, mtu: u32) -> Result<(), KernelError> {
        let message = LinkUnspec::new_with_index(index).mtu(mtu).up().build();
        let result = self.handle.link().set(message).execute().await;
        result.map_err(failed(format!("set interface {index} up with MTU {mtu}")))
    }

    async fn add_address(&self, index: u32, address: Ipv4Network) -> Result<(), KernelError> {
        let request = self
            .handle
            .address()
            .add(index, IpAddr::V4(address.ip()), address.prefix());
        let result = request.replace().execute().await;
        result.map_err(failed(format!(
            "add address {address} to interface {index}"
        )))
    }

    async fn remove_address(&self, index: u32, address: Ipv4Network) -> Result<(), KernelError> {
        let message = AddressMessageBuilder::<Ipv4Addr>::new()
            .index(index)
            .address(address.ip(), address.prefix())
            .build();
        let result = self.handle.address().del(message).execute().await;
        unless_gone(result).map_err(failed(format!(
            "remove address {address} from interface {index}"
        )))
    }

    async fn entries(&self, index: u32) -> Result<BTreeSet<Entry>, KernelError> {
        let neighbours = self.neighbours(index, AddressFamily::Inet).await?;
        let forwards = self.neighbours(index, AddressFamily::Bridge).await?;
        let routes = self.routes(index).await?;
        // Others than permanent ones are the kernel's own notes.
        let neighbours = neighbours
            .iter()
            .filter(|n| n.header.state == NeighbourState::Permanent)
            .filter_map(neighbour)
            .map(|(ip, mac)| Entry::Neighbour { ip, mac });
        let forwards = forwards
            .iter()
            .filter_map(neighbour)
            .map(|(node_ip, mac)| Entry::Forward { mac, node_ip });
        let routes = routes.iter().filter_map(route);
        Ok(neighbours.chain(forwards).chain(routes).collect())
    }

    async fn add(&self, index: u32, entry: &Entry) -> Result<(), KernelError> {
        let neighbours = self.handle.neighbours();
        let result = match *entry {
            Entry::Neighbour { ip, mac } => {
                let request = neighbours.add(index, ip.into());
                request.link_layer_address(&mac.0).replace().execute().await
            }
            Entry::Forward { mac, node_ip } => {
                let request = neighbours
                    .add_bridge(index, &mac.0)
                    .destination(node_ip.into())
                    .flags(NeighbourFlags::Own);
                request.replace().execute().await
            }
            Entry::Route { subnet, via } => {
                let request = self.handle.route().add(route_message(index, subnet, via));
                request.replace().execute().await
            }
        };
        result.map_err(failed(format!("add {entry:?}")))
    }

    async fn remove(&self, index: u32, entry: &Entry) -> Result<(), KernelError> {
        let neighbours = self.handle.neighbours();
        let result = match *entry {
            Entry::Neighbour { ip, .. } => {
                let message = neighbour_message(index, AddressFamily::Inet, ip);
                neighbours.del(message).execute().await
            }
            Entry::Forward { mac, node_ip } => {
                let mut message = neighbour_message(index, AddressFamily::Bridge, node_ip);
                message.header.flags = NeighbourFlags::Own;
                let lladdr = NeighbourAttribute::LinkLayerAddress(mac.0.to_vec());
                message.attributes.push(lladdr);
                neighbours.del(message).execute().await
            }
            Entry::Route { subnet, via } => {
                let mut message = route_message(index, subnet, via);
                // Whoever made it, and however.
                message.header.protocol = RouteProtocol::Unspec;
                message.header.scope = RouteScope::NoWhere;
                message.header.kind = RouteType::Unspec;
                self.handle.route().del(message).execute().await
            }
        };
        unless_gone(result).map_err(failed(format!("remove {entry:?}")))
    }

    async fn load_rules(&self, ruleset: &str) -> Result<(), KernelError> {
        let action = "load the egress rules with nft (Debian's package nftables)";
        let mut child = Command::new("nft")
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed(action))?;
        // Dropped at the end of the block: nft reads up to the end of the file.
        if let Some(mut input) = child.stdin.take() {
            let written = input.write_all(ruleset.as_bytes()).await;
            written.map_err(failed(action))?;
        }
        let output = child.wait_with_output().await.map_err(failed(action))?;
        if output.status.success() {
            return Ok(());
        }
        Err(failed(action)(String::from_utf8_lossy(&output.stderr)))
    }

    async fn list_rules(&self) -> Result<String, KernelError> {
        let action = "list the egress rules with nft (Debian's package nftables)";
        let output = Command::new("nft")
            .args(["--stateless", "list", "table", "ip", egress::TABLE])
            .kill_on_drop(true)
            .output()
            .await
            .map_err(failed(action))?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        match output.status.success() {
            true => String::from_utf8(output.stdout).map_err(failed(action)),
            false if complaint.contains("No such file or directory") => Ok(String::new()),
            false => Err(failed(action)(complaint)),
        }
    }
}
