//! Networks: `cidr("192.168.0.0/24")`, `isCIDR`, `containsIP`, `containsCIDR` and their
//! parts. Kubernetes' `k8s.io/apiserver/pkg/cel/library/cidr.go`.

use super::costs::{TRAVERSAL, estimate_read, read, scaled, size, size_of};
use super::ip::{self, Ip, address, parse};
use super::quote::quoted;
use crate::cost::{CostRange, SizeRange};
use crate::value::Opaque;
use crate::{Error, Overload, Type, Value};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) const TYPE: Type = Type::Opaque("net.CIDR");

/// An address and the length of its prefix; the address may have bits beyond it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cidr {
    address: IpAddr,
    length: u8,
}

impl Opaque for Cidr {
    fn type_of(&self) -> Type {
        TYPE
    }

    fn equals(&self, other: &dyn Opaque) -> bool {
        other.downcast::<Cidr>().is_some_and(|other| self == other)
    }

    /// The bytes that the prefix has a part of.
    fn size(&self) -> Option<u64> {
        Some(u64::from(self.length).div_ceil(8))
    }
}

pub(super) fn overloads() -> Vec<Overload> {
    vec![
        Overload::global("cidr", "string_to_cidr", [Type::String], TYPE, |args| {
            Ok(Value::opaque(Cidr::of(args.first())?))
        })
        .costs(read, estimate_read),
        Overload::global(
            "isCIDR",
            "is_cidr",
            [Type::String],
            Type::Bool,
            |args| match args {
                [Value::String(text)] => Ok(Cidr::parse(text).is_ok().into()),
                _ => Err(Error::NoSuchOverload),
            },
        )
        .costs(read, estimate_read),
        Overload::global("string", "cidr_to_string", [TYPE], Type::String, |args| {
            let cidr = receiver(args)?;
            Ok(Value::string(format!("{}/{}", cidr.address, cidr.length)))
        }),
        Overload::member("ip", "cidr_ip", [TYPE], ip::TYPE, |args| {
            Ok(Value::opaque(Ip(receiver(args)?.address)))
        }),
        Overload::member(
            "prefixLength",
            "cidr_prefix_length",
            [TYPE],
            Type::Int,
            |args| Ok(Value::Int(receiver(args)?.length.into())),
        ),
        Overload::member("masked", "cidr_masked", [TYPE], TYPE, |args| {
            Ok(Value::opaque(receiver(args)?.masked()))
        }),
        Overload::member(
            "containsIP",
            "cidr_contains_ip_ip",
            [TYPE, ip::TYPE],
            Type::Bool,
            contains_ip,
        )
        .costs(|args, _| cost_of_ip(args), |_| estimate_of_ip().into()),
        Overload::member(
            "containsIP",
            "cidr_contains_ip_string",
            [TYPE, Type::String],
            Type::Bool,
            contains_ip,
        )
        .costs(
            |args, _| cost_of_ip(args).saturating_add(cost_of_text(args)),
            |operands| {
                estimate_of_ip()
                    .plus(size_of(operands, 1).scaled(TRAVERSAL))
                    .into()
            },
        ),
        Overload::member(
            "containsCIDR",
            "cidr_contains_cidr",
            [TYPE, TYPE],
            Type::Bool,
            contains_cidr,
        )
        .costs(|args, _| cost_of_cidr(args), |_| estimate_of_cidr().into()),
        Overload::member(
            "containsCIDR",
            "cidr_contains_cidr_string",
            [TYPE, Type::String],
            Type::Bool,
            contains_cidr,
        )
        .costs(
            |args, _| cost_of_cidr(args).saturating_add(cost_of_text(args)),
            |operands| {
                estimate_of_cidr()
                    .plus(size_of(operands, 1).scaled(TRAVERSAL))
                    .into()
            },
        ),
    ]
}

impl Cidr {
    fn parse(text: &str) -> Result<Self, String> {
        let words = "network address parse error during conversion from string:";
        let (address, length) = parse::prefix(text).map_err(|why| format!("{words} {why}"))?;
        match address {
            IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => Err(format!(
                "IPv4-mapped IPv6 address {} is not allowed",
                quoted(text)
            )),
            _ => Ok(Self { address, length }),
        }
    }

    /// A network that is given as such, or as text.
    fn of(value: Option<&Value>) -> Result<Self, Error> {
        match value {
            Some(Value::String(text)) => Self::parse(text).map_err(|why| {
                // Kubernetes says so twice.
                Error::function(format!(
                    "network address parse error during conversion from string: {why}"
                ))
            }),
            Some(value) => value.downcast().copied().ok_or(Error::NoSuchOverload),
            None => Err(Error::NoSuchOverload),
        }
    }

    /// Without the bits beyond the prefix.
    fn masked(self) -> Self {
        let address = match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX
                    .checked_shl(32 - u32::from(self.length))
                    .unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX
                    .checked_shl(128 - u32::from(self.length))
                    .unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        };
        Self { address, ..self }
    }

    fn contains(self, address: IpAddr) -> bool {
        let same_family = address.is_ipv4() == self.address.is_ipv4();
        same_family && Self { address, ..self }.masked() == self.masked()
    }
}

fn receiver(args: &[Value]) -> Result<Cidr, Error> {
    match args.first() {
        Some(value @ Value::Opaque(_)) => Cidr::of(Some(value)),
        _ => Err(Error::NoSuchOverload),
    }
}

fn contains_ip<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    let address = match args.get(1) {
        Some(Value::String(text)) => address(text)?,
        Some(value) => value.downcast::<Ip>().ok_or(Error::NoSuchOverload)?.0,
        None => return Err(Error::NoSuchOverload),
    };
    Ok(receiver(args)?.contains(address).into())
}

fn contains_cidr<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    let (outer, inner) = (receiver(args)?, Cidr::of(args.get(1))?);
    Ok(Value::Bool(
        outer.length <= inner.length && outer.contains(inner.address),
    ))
}

/// As many bytes of both are compared as the prefix has.
fn cost_of_ip(args: &[Value]) -> u64 {
    scaled(2 * size(args, 0), TRAVERSAL)
}

/// The inner network is masked before.
fn cost_of_cidr(args: &[Value]) -> u64 {
    cost_of_ip(args) + scaled(size(args, 0), TRAVERSAL) + 1
}

/// A text is read before.
fn cost_of_text(args: &[Value]) -> u64 {
    scaled(size(args, 1), TRAVERSAL)
}

/// The bytes of an address of either family.
const ADDRESS: SizeRange = SizeRange::new(4, 16);

fn estimate_of_ip() -> CostRange {
    ADDRESS.plus(ADDRESS).scaled(TRAVERSAL)
}

fn estimate_of_cidr() -> CostRange {
    estimate_of_ip()
        .plus(ADDRESS.scaled(TRAVERSAL))
        .plus(CostRange::fixed(1))
}
