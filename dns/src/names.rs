//! Domain names: their labels, and the addresses that some of them spell.

use hickory_proto::rr::Name;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The labels of a name, in lower case, the top one first. `None` where one
/// isn't text, which no name of a cluster is.
pub fn labels(name: &Name) -> Option<Vec<String>> {
    let mut labels = name
        .iter()
        .map(|label| Some(std::str::from_utf8(label).ok()?.to_ascii_lowercase()))
        .collect::<Option<Vec<String>>>()?;
    labels.reverse();
    Some(labels)
}

/// The labels that a name adds to a zone, the top one first; `None` outside of
/// the zone.
pub fn below(name: &Name, zone: &Name) -> Option<Vec<String>> {
    if !zone.zone_of(name) {
        return None;
    }
    let mut labels = labels(name)?;
    Some(labels.split_off(usize::from(zone.num_labels())))
}

/// The name that labels make below a zone; `None` if it would be too long.
pub fn join(labels: &[&str], zone: &Name) -> Option<Name> {
    let name = Name::from_labels(labels.iter().map(|label| label.as_bytes())).ok()?;
    let mut name = name.append_domain(zone).ok()?;
    name.set_fqdn(true);
    Some(name)
}

/// A name from a text, which may end in a dot.
pub fn parse(text: &str) -> Option<Name> {
    let mut name = Name::from_ascii(text).ok()?;
    name.set_fqdn(true);
    Some(name)
}

/// An address as a label: `10-244-1-2`. A label begins and ends with a digit,
/// so an address that is cut short at its end gets a zero there.
pub fn dashed(ip: IpAddr) -> String {
    let mut text = ip.to_string().replace(['.', ':'], "-");
    if text.starts_with('-') {
        text.insert(0, '0');
    }
    if text.ends_with('-') {
        text.push('0');
    }
    text
}

/// The address that a label spells.
pub fn undashed(label: &str) -> Option<IpAddr> {
    let dotted: Result<Ipv4Addr, _> = label.replace('-', ".").parse();
    match dotted {
        Ok(ip) => Some(ip.into()),
        Err(_) => {
            let ip: Ipv6Addr = label.replace('-', ":").parse().ok()?;
            Some(ip.into())
        }
    }
}

/// The address that a name in `in-addr.arpa` or `ip6.arpa` stands for.
pub fn reversed(name: &Name) -> Option<IpAddr> {
    let labels = labels(name)?;
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    match labels.as_slice() {
        ["arpa", "in-addr", octets @ ..] if octets.len() == 4 => {
            octets.join(".").parse::<Ipv4Addr>().ok().map(Into::into)
        }
        ["arpa", "ip6", digits @ ..] if digits.len() == 32 => {
            let mut number = 0_u128;
            for digit in digits {
                if digit.len() != 1 {
                    return None;
                }
                number = number << 4 | u128::from_str_radix(digit, 16).ok()?;
            }
            Some(Ipv6Addr::from(number).into())
        }
        _ => None,
    }
}

/// The zone within which a range of addresses has its names, seen from one of
/// them: as large as fits into the range.
pub fn reverse_zone(name: &Name, prefix: u8, ip: IpAddr) -> Name {
    let (digits, bits) = match ip {
        IpAddr::V4(_) => (4, 8),
        IpAddr::V6(_) => (32, 4),
    };
    let kept = usize::from(prefix).div_ceil(bits).min(digits);
    name.trim_to(kept + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        parse(text).unwrap()
    }

    #[test]
    fn labels_come_from_the_top_and_in_lower_case() {
        let zone = name("cluster.local");
        let told = below(&name("Web.Shop.SVC.Cluster.Local."), &zone);
        assert_eq!(told.unwrap(), ["svc", "shop", "web"]);
        assert_eq!(below(&zone, &zone).unwrap(), [""; 0]);
        assert_eq!(below(&name("example.com"), &zone), None);
        assert_eq!(below(&name("xcluster.local"), &zone), None);
        let joined = join(&["_http", "_tcp", "web"], &zone).unwrap();
        assert_eq!(joined, name("_http._tcp.web.cluster.local."));
        assert_eq!(join(&["a".repeat(64).as_str()], &zone), None);
    }

    #[test]
    fn addresses_have_dashes() {
        for (ip, label) in [
            ("10.244.1.2", "10-244-1-2"),
            ("2001:db8::1", "2001-db8--1"),
            ("::1", "0--1"),
            ("fd00::", "fd00--0"),
        ] {
            let ip: IpAddr = ip.parse().unwrap();
            assert_eq!(dashed(ip), label);
            assert_eq!(undashed(label), Some(ip));
        }
        for label in ["10-244-1", "10-244-1-256", "web", "", "1-2-3-4-5"] {
            assert_eq!(undashed(label), None, "{label}");
        }
    }

    #[test]
    fn reverse_names_are_addresses() {
        let ip: IpAddr = "10.96.0.10".parse().unwrap();
        let v4 = name("10.0.96.10.in-addr.arpa");
        assert_eq!(reversed(&v4), Some(ip));
        assert_eq!(reverse_zone(&v4, 16, ip), name("96.10.in-addr.arpa"));
        assert_eq!(reverse_zone(&v4, 12, ip), name("96.10.in-addr.arpa"));
        let ip: IpAddr = "fd00::1".parse().unwrap();
        let digits = format!("1.{}0.0.d.f.ip6.arpa", "0.".repeat(27));
        assert_eq!(reversed(&name(&digits)), Some(ip));
        assert_eq!(
            reverse_zone(&name(&digits), 16, ip),
            name("0.0.d.f.ip6.arpa")
        );
        for text in ["96.10.in-addr.arpa", "x.0.96.10.in-addr.arpa", "ip6.arpa"] {
            assert_eq!(reversed(&name(text)), None, "{text}");
        }
    }
}
