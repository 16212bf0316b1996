//! IPAddresses, each that of one Service, and the ServiceCIDRs they are from.

use super::check_cidr;
use crate::rules::field::{Errors, Path};
use crate::rules::json::{get, list, text};
use crate::rules::kind::{Kind, PLAIN, WITH_STATUS};
use hardway_proto::names;
use ipnetwork::IpNetwork;
use serde_json::Value;

/// An IPAddress's name is the address, in canonical form.
fn address_name(name: &str) -> Vec<String> {
    match name.parse::<std::net::IpAddr>() {
        Ok(ip) if ip.to_string() == name => Vec::new(),
        Ok(_) => vec!["must be a canonical format IP address".to_owned()],
        Err(_) => names::is_ip(name),
    }
}

/// Whose the address is. The group of Services is the empty one.
fn check_parent(e: &mut Errors, path: &Path, parent: &Value) {
    if parent.is_null() {
        return e.required(path, "");
    }
    let group = text(parent, "group");
    if !group.is_empty() {
        let problems = names::is_dns1123_subdomain(group);
        e.each(&path.child("group"), group, problems);
    }
    for (field, required) in [("resource", true), ("name", true), ("namespace", false)] {
        let (at, value) = (path.child(field), text(parent, field));
        match value {
            "" if required => e.required(&at, ""),
            value => e.each(&at, value, names::is_path_segment(value)),
        }
    }
}

pub(in crate::rules) const IP_ADDRESS: Kind = Kind {
    name: address_name,
    generation: true,
    validate: |address| {
        Errors::collect(|e| {
            let parent = get(get(address, "spec"), "parentRef");
            check_parent(e, &Path::new("spec.parentRef"), parent);
        })
    },
    validate_update: |new, old| {
        let parent = |object| get(get(object, "spec"), "parentRef");
        Errors::collect(|e| e.immutable(&Path::new("spec.parentRef"), parent(new), parent(old)))
    },
    ..PLAIN
};

fn check_range(e: &mut Errors, range: &Value) {
    let (path, spec) = (Path::new("spec.cidrs"), get(range, "spec"));
    let cidrs = list(spec, "cidrs");
    let family = |cidr: &Value| {
        let range: Option<IpNetwork> = cidr.as_str().and_then(|cidr| cidr.parse().ok());
        range.map(|range| range.is_ipv4())
    };
    match cidrs {
        [] => return e.required(&path, "at least one CIDR required"),
        [_] => {}
        [one, other] => match (family(one), family(other)) {
            (Some(one), Some(other)) if one != other => {}
            _ => {
                let detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
                return e.invalid(&path, spec, detail);
            }
        },
        _ => return e.invalid(&path, spec, "may only hold up to 2 values"),
    }
    for (i, cidr) in cidrs.iter().enumerate() {
        check_cidr(e, &path.index(i), cidr.as_str().unwrap_or_default());
    }
}

/// A second range, of the other family, may be added.
fn check_change(e: &mut Errors, new: &Value, old: &Value) {
    const FIXED: &str = "field is immutable";
    let path = Path::new("spec.cidrs");
    let of = |range| get(get(range, "spec"), "cidrs");
    let cidrs = |range| list(get(range, "spec"), "cidrs");
    match (cidrs(new), cidrs(old)) {
        (now, before) if now.len() == before.len() || (now.len(), before.len()) == (2, 1) => {
            for (i, (now, before)) in now.iter().zip(before).enumerate() {
                if now != before {
                    e.invalid(&path.index(i), now, FIXED);
                }
            }
        }
        _ => e.invalid(&path, of(new), FIXED),
    }
}

pub(in crate::rules) const SERVICE_CIDR: Kind = Kind {
    generation: false,
    validate: |range| Errors::collect(|e| check_range(e, range)),
    validate_update: |new, old| Errors::collect(|e| check_change(e, new, old)),
    ..WITH_STATUS
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::KindRules;
    use serde_json::json;

    fn changed(kind: Kind, new: &Value, old: &Value) -> Vec<String> {
        let causes = KindRules::validate_changed(&kind, new, old).causes;
        causes
            .into_iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect()
    }

    /// Cases of `TestValidateServiceCIDRUpdate`.
    #[test]
    fn a_range_stays_and_gets_another() {
        let range = |cidrs: &[&str]| json!({"spec": {"cidrs": cidrs}});
        let old = range(&["192.168.0.0/24"]);
        let change = |new: &[&str]| changed(SERVICE_CIDR, &range(new), &old);
        assert_eq!(change(&["192.168.0.0/24"]), [""; 0]);
        assert_eq!(change(&["192.168.0.0/24", "2001:db8::/64"]), [""; 0]);
        assert_eq!(
            change(&["192.168.1.0/24"]),
            [r#"spec.cidrs[0]: Invalid value: "192.168.1.0/24": field is immutable"#]
        );
        assert_eq!(
            change(&["2001:db8::/64", "192.168.0.0/24"]),
            [r#"spec.cidrs[0]: Invalid value: "2001:db8::/64": field is immutable"#]
        );
        assert_eq!(
            changed(
                SERVICE_CIDR,
                &old,
                &range(&["192.168.0.0/24", "2001:db8::/64"])
            ),
            [r#"spec.cidrs: Invalid value: ["192.168.0.0/24"]: field is immutable"#]
        );
    }

    #[test]
    fn an_address_stays_whose_it_is() {
        let address = |name: &str| json!({"spec": {"parentRef": {"resource": "services", "namespace": "a", "name": name}}});
        assert_eq!(changed(IP_ADDRESS, &address("a"), &address("a")), [""; 0]);
        assert_eq!(
            changed(IP_ADDRESS, &address("b"), &address("a")),
            [
                r#"spec.parentRef: Invalid value: {"name":"b","namespace":"a","resource":"services"}: field is immutable"#
            ]
        );
    }
}
