//! What the elements of each set and map consist of.

use crate::elements::Set;

/// A part of a key, or of what a map has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// An IPv4 address.
    Address,
    /// An IPv4 address, or a network with the length of its prefix.
    Range,
    /// A protocol above IP.
    Protocol,
    /// A port.
    Port,
    /// A packet's mark.
    Mark,
}

impl Field {
    /// nftables' name for the type.
    pub fn type_name(self) -> &'static str {
        match self {
            Field::Address | Field::Range => "ipv4_addr",
            Field::Protocol => "inet_proto",
            Field::Port => "inet_service",
            Field::Mark => "mark",
        }
    }
}

/// What a map has for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// Nothing: it is a set.
    None,
    /// `drop`, or `goto` a chain.
    Verdict,
    /// Values.
    Fields(&'static [Field]),
}

use Field::{Address, Mark, Port, Protocol, Range};

impl Set {
    /// The parts of its keys.
    pub fn key(self) -> &'static [Field] {
        match self {
            Set::ClusterIps => &[Address],
            Set::Hairpin => &[Address, Address],
            Set::Services | Set::ServicesInside | Set::NoEndpoints | Set::Guarded => {
                &[Address, Protocol, Port]
            }
            Set::NodePorts | Set::NodePortsInside | Set::NodePortsNoEndpoints => &[Protocol, Port],
            Set::Endpoints | Set::Slots => &[Address, Protocol, Port, Mark],
            Set::NodePortEndpoints | Set::NodePortSlots => &[Protocol, Port, Mark],
            Set::Sources => &[Address, Protocol, Port, Range],
        }
    }

    /// What it has for them.
    pub fn data(self) -> Data {
        match self {
            Set::ClusterIps | Set::Hairpin | Set::Guarded | Set::Sources => Data::None,
            Set::Services
            | Set::ServicesInside
            | Set::NodePorts
            | Set::NodePortsInside
            | Set::NoEndpoints
            | Set::NodePortsNoEndpoints => Data::Verdict,
            Set::Endpoints | Set::NodePortEndpoints => Data::Fields(&[Address, Port]),
            Set::Slots | Set::NodePortSlots => Data::Fields(&[Mark]),
        }
    }
}

/// The parts of an element as it is written.
pub const SEPARATOR: &str = " . ";

/// The types of some fields, as a declaration has them.
pub fn type_names(fields: &[Field]) -> String {
    let names: Vec<&str> = fields.iter().map(|field| field.type_name()).collect();
    names.join(SEPARATOR)
}
