//! IP addresses: `ip("192.168.0.1")`, `isIP`, `ip.isCanonical`, `family` and the ranges.
//! Kubernetes' `k8s.io/apiserver/pkg/cel/library/ip.go`.

pub(super) mod parse;

use super::costs::{estimate_read, estimate_read_twice, read, read_twice};
use super::quote::quoted;
use crate::value::Opaque;
use crate::{Error, Overload, Type, Value};
use std::net::{IpAddr, Ipv4Addr};

pub(super) const TYPE: Type = Type::Opaque("net.IP");

/// An address.
#[derive(Debug)]
pub(super) struct Ip(pub IpAddr);

impl Opaque for Ip {
    fn type_of(&self) -> Type {
        TYPE
    }

    fn equals(&self, other: &dyn Opaque) -> bool {
        other
            .downcast::<Ip>()
            .is_some_and(|other| self.0 == other.0)
    }

    fn size(&self) -> Option<u64> {
        Some(if self.0.is_ipv4() { 4 } else { 16 })
    }
}

pub(super) fn overloads() -> Vec<Overload> {
    let is = |name, id, call| Overload::member(name, id, [TYPE], Type::Bool, call);
    vec![
        Overload::global(
            "ip",
            "string_to_ip",
            [Type::String],
            TYPE,
            |args| match args {
                [Value::String(text)] => Ok(Value::opaque(Ip(address(text)?))),
                _ => Err(Error::NoSuchOverload),
            },
        )
        .costs(read, estimate_read),
        Overload::global(
            "isIP",
            "is_ip",
            [Type::String],
            Type::Bool,
            |args| match args {
                [Value::String(text)] => Ok(address(text).is_ok().into()),
                _ => Err(Error::NoSuchOverload),
            },
        )
        .costs(read, estimate_read),
        Overload::global(
            "ip.isCanonical",
            "ip_is_canonical",
            [Type::String],
            Type::Bool,
            |args| match args {
                [Value::String(text)] => Ok(Value::Bool(address(text)?.to_string() == **text)),
                _ => Err(Error::NoSuchOverload),
            },
        )
        .costs(read_twice, estimate_read_twice),
        Overload::global("string", "ip_to_string", [TYPE], Type::String, |args| {
            Ok(Value::string(receiver(args)?.to_string()))
        }),
        Overload::member("family", "ip_family", [TYPE], Type::Int, |args| {
            Ok(Value::Int(if receiver(args)?.is_ipv4() { 4 } else { 6 }))
        }),
        is("isUnspecified", "ip_is_unspecified", |args| {
            Ok(receiver(args)?.is_unspecified().into())
        }),
        is("isLoopback", "ip_is_loopback", |args| {
            Ok(receiver(args)?.is_loopback().into())
        }),
        is(
            "isLinkLocalMulticast",
            "ip_is_link_local_multicast",
            |args| Ok(is_link_local_multicast(receiver(args)?).into()),
        ),
        is("isLinkLocalUnicast", "ip_is_link_local_unicast", |args| {
            Ok(is_link_local_unicast(receiver(args)?).into())
        }),
        is("isGlobalUnicast", "ip_is_global_unicast", |args| {
            Ok(is_global_unicast(receiver(args)?).into())
        }),
    ]
}

/// The address that a text is: without a zone, and IPv4 written as such.
pub(super) fn address(text: &str) -> Result<IpAddr, Error> {
    let refused = |why: String| Err(Error::Function(why));
    let text_quoted = || quoted(text);
    match parse::address(text) {
        Err(why) => refused(format!(
            "IP Address {} parse error during conversion from string: {why}",
            text_quoted()
        )),
        Ok((_, Some(_))) => refused(format!(
            "IP address {} with zone value is not allowed",
            text_quoted()
        )),
        Ok((IpAddr::V6(address), None)) if address.to_ipv4_mapped().is_some() => refused(format!(
            "IPv4-mapped IPv6 address {} is not allowed",
            text_quoted()
        )),
        Ok((address, None)) => Ok(address),
    }
}

fn receiver(args: &[Value]) -> Result<IpAddr, Error> {
    let ip = args.first().and_then(|value| value.downcast::<Ip>());
    ip.map(|ip| ip.0).ok_or(Error::NoSuchOverload)
}

fn is_link_local_multicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.octets()[..3] == [224, 0, 0],
        IpAddr::V6(address) => address.segments()[0] & 0xff0f == 0xff02,
    }
}

fn is_link_local_unicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.segments()[0] & 0xffc0 == 0xfe80,
    }
}

/// As Go has it, to which private addresses are global.
fn is_global_unicast(address: IpAddr) -> bool {
    address != IpAddr::V4(Ipv4Addr::BROADCAST)
        && !address.is_unspecified()
        && !address.is_loopback()
        && !address.is_multicast()
        && !is_link_local_unicast(address)
}
