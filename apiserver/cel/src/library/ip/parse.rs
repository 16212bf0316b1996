//! Addresses and prefixes read as Go's `net/netip` does, with its words for what is none.

use super::super::quote::quoted;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address, and its zone (`%eth0`) if it has one.
pub(in crate::library) fn address(text: &str) -> Result<(IpAddr, Option<&str>), String> {
    let read = match text.chars().find(|c| matches!(c, '.' | ':' | '%')) {
        Some('.') => v4(text).map(|fields| (IpAddr::V4(Ipv4Addr::from(fields)), None)),
        Some(':') => v6(text),
        Some(_) => Err(Fault::of("missing IPv6 address")),
        None => Err(Fault::of("unable to parse IP")),
    };
    read.map_err(|fault| {
        let at = fault.at.map(|at| format!(" (at {})", quoted(at)));
        format!(
            "ParseAddr({}): {}{}",
            quoted(text),
            fault.why,
            at.unwrap_or_default()
        )
    })
}

/// An address and the length of its prefix.
pub(in crate::library) fn prefix(text: &str) -> Result<(IpAddr, u8), String> {
    let fault = |why: String| format!("netip.ParsePrefix({}): {why}", quoted(text));
    let (before, bits) = text
        .rsplit_once('/')
        .ok_or_else(|| fault("no '/'".into()))?;
    let (ip, zone) = address(before).map_err(fault)?;
    if zone.is_some() {
        return Err(fault("IPv6 zones cannot be present in a prefix".into()));
    }
    let bad = || fault(format!("bad bits after slash: {}", quoted(bits)));
    let digits = bits.bytes().all(|byte| byte.is_ascii_digit());
    if bits.is_empty() || !digits || (bits.len() > 1 && bits.starts_with('0')) {
        return Err(bad());
    }
    let length: u64 = bits.parse().map_err(|_| bad())?;
    let most = if ip.is_ipv4() { 32 } else { 128 };
    match u8::try_from(length) {
        Ok(length) if length <= most => Ok((ip, length)),
        _ => Err(fault("prefix length out of range".into())),
    }
}

/// What is wrong, and where.
struct Fault<'t> {
    why: &'static str,
    at: Option<&'t str>,
}

impl<'t> Fault<'t> {
    fn of(why: &'static str) -> Self {
        Self { why, at: None }
    }

    fn at(why: &'static str, at: &'t str) -> Self {
        Self { why, at: Some(at) }
    }
}

fn v4(text: &str) -> Result<[u8; 4], Fault<'_>> {
    let mut fields = [0; 4];
    let (mut position, mut digits) = (0, 0);
    let mut value = 0u16;
    let bytes = text.as_bytes();
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                if digits == 1 && value == 0 {
                    return Err(Fault::of("IPv4 field has octet with leading zero"));
                }
                value = value * 10 + u16::from(byte - b'0');
                digits += 1;
                if value > 255 {
                    return Err(Fault::of("IPv4 field has value >255"));
                }
            }
            b'.' => {
                if digits == 0 || index + 1 == bytes.len() {
                    let why = "IPv4 field must have at least one digit";
                    return Err(Fault::at(why, &text[index..]));
                }
                if position == 3 {
                    return Err(Fault::of("IPv4 address too long"));
                }
                fields[position] = value as u8;
                position += 1;
                (value, digits) = (0, 0);
            }
            _ => return Err(Fault::at("unexpected character", &text[index..])),
        }
    }
    if position < 3 {
        return Err(Fault::of("IPv4 address too short"));
    }
    fields[3] = value as u8;
    Ok(fields)
}

fn v6(text: &str) -> Result<(IpAddr, Option<&str>), Fault<'_>> {
    let (mut rest, zone) = match text.split_once('%') {
        Some((_, "")) => return Err(Fault::of("zone must be a non-empty string")),
        Some((rest, zone)) => (rest, Some(zone)),
        None => (text, None),
    };
    let mut bytes = Vec::with_capacity(16);
    // Where in the bytes `::` was.
    let mut gap = None;
    if let Some(after) = rest.strip_prefix("::") {
        (gap, rest) = (Some(0), after);
    }
    while bytes.len() < 16 && !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_hexdigit())
            .unwrap_or(rest.len());
        if end > 4 {
            return Err(Fault::at("each group must have 4 or fewer digits", rest));
        }
        if end == 0 {
            let why = "each colon-separated field must have at least one digit";
            return Err(Fault::at(why, rest));
        }
        if rest[end..].starts_with('.') {
            if gap.is_none() && bytes.len() != 12 {
                let why = "embedded IPv4 address must replace the final 2 fields of the address";
                return Err(Fault::at(why, rest));
            }
            if bytes.len() > 12 {
                let why = "too many hex fields to fit an embedded IPv4 at the end of the address";
                return Err(Fault::at(why, rest));
            }
            bytes.extend(v4(rest)?);
            rest = "";
            break;
        }
        // At most four digits of 16 fit.
        let field = u16::from_str_radix(&rest[..end], 16).unwrap_or_default();
        bytes.extend(field.to_be_bytes());
        rest = &rest[end..];
        if rest.is_empty() {
            break;
        }
        let Some(after) = rest.strip_prefix(':') else {
            return Err(Fault::at("unexpected character, want colon", rest));
        };
        if after.is_empty() {
            return Err(Fault::at("colon must be followed by more characters", rest));
        }
        rest = after;
        if let Some(after) = rest.strip_prefix(':') {
            if gap.is_some() {
                return Err(Fault::at("multiple :: in address", rest));
            }
            (gap, rest) = (Some(bytes.len()), after);
        }
    }
    if !rest.is_empty() {
        return Err(Fault::at("trailing garbage after address", rest));
    }
    match (16 - bytes.len(), gap) {
        (0, None) => {}
        (0, Some(_)) => {
            let why = "the :: must expand to at least one field of zeros";
            return Err(Fault::of(why));
        }
        (_, None) => return Err(Fault::of("address string too short")),
        (missing, Some(gap)) => {
            bytes.splice(gap..gap, std::iter::repeat_n(0, missing));
        }
    }
    let address: [u8; 16] = bytes
        .try_into()
        .map_err(|_| Fault::of("address string too short"))?;
    Ok((IpAddr::V6(Ipv6Addr::from(address)), zone))
}
