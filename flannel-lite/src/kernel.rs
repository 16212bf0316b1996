//! What is asked of the kernel, so that tests can answer instead of it.

use crate::peers::{Entry, Mac};
use ipnetwork::Ipv4Network;
use std::collections::BTreeSet;
use std::future::Future;
use std::net::Ipv4Addr;

/// The parameters of a VXLAN device that can't be changed while it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vxlan {
    /// The network's identifier.
    pub vni: u32,
    /// Index of the device below.
    pub parent: u32,
    /// This end's address.
    pub local: Ipv4Addr,
    /// UDP port of both ends.
    pub port: u16,
    /// Whether the forwarding table is filled from traffic.
    pub learning: bool,
}

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its largest packet.
    pub mtu: u32,
    /// Set up by the administrator.
    pub up: bool,
    /// Its Ethernet address.
    pub mac: Option<Mac>,
    /// The bridge it is a port of.
    pub bridge: Option<u32>,
    /// What kind of VXLAN device it is, if it is one.
    pub vxlan: Option<Vxlan>,
    /// Its IPv4 addresses, host-only ones aside.
    pub addresses: Vec<Ipv4Network>,
}

/// The kernel (or a tool) refused.
#[derive(Debug, thiserror::Error)]
#[error("{action}: {reason}")]
pub struct KernelError {
    /// What was tried.
    pub action: String,
    /// What it said.
    pub reason: String,
}

type Answer<T> = Result<T, KernelError>;

/// The tables of one network namespace. What is to be removed may be gone already.
pub trait Kernel {
    /// All interfaces.
    fn interfaces(&self) -> impl Future<Output = Answer<Vec<Interface>>>;
    /// Number of the interface that the default route leads out of, if there is one.
    fn default_interface(&self) -> impl Future<Output = Answer<Option<u32>>>;
    /// Makes a VXLAN device.
    fn create_vxlan(&self, name: &str, vxlan: &Vxlan, mac: Mac)
    -> impl Future<Output = Answer<()>>;
    /// Removes an interface.
    fn delete_link(&self, index: u32) -> impl Future<Output = Answer<()>>;
    /// Sets an interface up, with this MTU.
    fn set_up(&self, index: u32, mtu: u32) -> impl Future<Output = Answer<()>>;
    /// Gives an interface an address.
    fn add_address(&self, index: u32, address: Ipv4Network) -> impl Future<Output = Answer<()>>;
    /// Takes an address from it.
    fn remove_address(&self, index: u32, address: Ipv4Network) -> impl Future<Output = Answer<()>>;
    /// Permanent neighbours, forwarding entries and routes of a VXLAN device.
    fn entries(&self, index: u32) -> impl Future<Output = Answer<BTreeSet<Entry>>>;
    /// Sets one, replacing what is in its place.
    fn add(&self, index: u32, entry: &Entry) -> impl Future<Output = Answer<()>>;
    /// Removes one.
    fn remove(&self, index: u32, entry: &Entry) -> impl Future<Output = Answer<()>>;
    /// Loads an nftables ruleset in one transaction.
    fn load_rules(&self, ruleset: &str) -> impl Future<Output = Answer<()>>;
    /// The table of the egress rules as it is listed, without counts; empty
    /// text if there is none.
    fn list_rules(&self) -> impl Future<Output = Answer<String>>;
}
