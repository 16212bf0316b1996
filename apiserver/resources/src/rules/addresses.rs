//! Addresses that are taken as they are, and may mean another to others: the warnings of
//! `k8s.io/apimachinery/pkg/util/validation/ip.go`.

use super::field::Path;
use ipnetwork::IpNetwork;
use std::net::IpAddr;

/// Warns of an IP address that isn't in its usual form.
pub(super) fn of_ip(warnings: &mut Vec<String>, path: &Path, text: &str) {
    let Ok(IpAddr::V6(ip)) = text.parse() else {
        return;
    };
    if let Some(mapped) = ip.to_ipv4_mapped() {
        let mapped = mapped.to_string();
        warnings.push(format!("{path}: non-standard IP address {text:?} will be considered invalid in a future Kubernetes release: use {mapped:?}"));
    } else if ip.to_string() != text {
        let usual = ip.to_string();
        warnings.push(format!(
            "{path}: IPv6 address {text:?} should be in RFC 5952 canonical format ({usual:?})"
        ));
    }
}

/// Warns of a range that is written in more than one way, or with bits that don't belong
/// to it.
pub(super) fn of_cidr(warnings: &mut Vec<String>, path: &Path, text: &str) {
    let Some((range, length)) = text.parse::<IpNetwork>().ok().zip(text.split_once('/')) else {
        return;
    };
    let before = warnings.len();
    let (ip, prefix) = (range.ip(), range.prefix());
    let whole = format!("{}/{prefix}", range.network());
    if ip != range.network() {
        let bits = if ip.is_ipv4() { 32 } else { 128 };
        let single = format!("{ip}/{bits}");
        warnings.push(format!("{path}: CIDR value {text:?} is ambiguous in this context (should be {whole:?} or {single:?}?)"));
    }
    let mapped = matches!(ip, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some());
    if mapped || length.1 != prefix.to_string() {
        warnings.push(format!("{path}: non-standard CIDR value {text:?} will be considered invalid in a future Kubernetes release: use {whole:?}"));
    }
    let usual = format!("{ip}/{prefix}");
    if warnings.len() == before && ip.is_ipv6() && usual != text {
        warnings.push(format!(
            "{path}: IPv6 CIDR value {text:?} should be in RFC 5952 canonical format ({usual:?})"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(of: fn(&mut Vec<String>, &Path, &str), text: &str) -> Vec<String> {
        let mut warnings = Vec::new();
        of(&mut warnings, &Path::new("spec.a[0]"), text);
        warnings
    }

    /// Cases of `TestGetWarningsForIP`.
    #[test]
    fn addresses_have_a_usual_form() {
        for usual in ["192.12.2.2", "2001:db8::2", "no address"] {
            assert_eq!(told(of_ip, usual), [""; 0]);
        }
        assert_eq!(
            told(of_ip, "::ffff:192.12.2.2"),
            [
                r#"spec.a[0]: non-standard IP address "::ffff:192.12.2.2" will be considered invalid in a future Kubernetes release: use "192.12.2.2""#
            ]
        );
        assert_eq!(
            told(of_ip, "2001:db8:0:0::2"),
            [
                r#"spec.a[0]: IPv6 address "2001:db8:0:0::2" should be in RFC 5952 canonical format ("2001:db8::2")"#
            ]
        );
    }

    /// Cases of `TestGetWarningsForCIDR`.
    #[test]
    fn ranges_have_a_usual_form() {
        for usual in ["192.12.2.0/24", "2001:db8::/64", "no range"] {
            assert_eq!(told(of_cidr, usual), [""; 0]);
        }
        for (text, expected) in [
            (
                "192.12.2.8/24",
                r#"spec.a[0]: CIDR value "192.12.2.8/24" is ambiguous in this context (should be "192.12.2.0/24" or "192.12.2.8/32"?)"#,
            ),
            (
                "192.12.2.0/024",
                r#"spec.a[0]: non-standard CIDR value "192.12.2.0/024" will be considered invalid in a future Kubernetes release: use "192.12.2.0/24""#,
            ),
            (
                "2001:db8:0:0::/64",
                r#"spec.a[0]: IPv6 CIDR value "2001:db8:0:0::/64" should be in RFC 5952 canonical format ("2001:db8::/64")"#,
            ),
            (
                "2001:db8::1/64",
                r#"spec.a[0]: CIDR value "2001:db8::1/64" is ambiguous in this context (should be "2001:db8::/64" or "2001:db8::1/128"?)"#,
            ),
        ] {
            assert_eq!(told(of_cidr, text), [expected]);
        }
    }
}
