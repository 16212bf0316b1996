//! A Service's cluster IPs, their families, and how many of those it wants.

use super::is_headless;
use crate::rules::field::{Errors, Path};
use crate::rules::json::{get, has, list, text};
use hardway_proto::names;
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::IpAddr;

const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];
const POLICIES: [&str; 3] = ["PreferDualStack", "RequireDualStack", "SingleStack"];
const ONCE: &str = "may not change once set";

/// `ValidateServiceClusterIPsRelatedFields` of Kubernetes, but that an address alone is the
/// first of its list.
pub(super) fn check(e: &mut Errors, spec: &Value) {
    if text(spec, "type") == "ExternalName" {
        return;
    }
    let path = Path::new("spec");
    let (at, all) = (path.child("clusterIPs"), get(spec, "clusterIPs"));
    let (first, listed) = (text(spec, "clusterIP"), list(spec, "clusterIPs"));
    match (first, listed) {
        (_, []) => {}
        ("", _) => e.invalid(&at, all, "must be empty when `clusterIP` is not specified"),
        (first, [head, ..]) if head != first => {
            e.invalid(&at, all, "first value must match `clusterIP`");
        }
        _ => {}
    }
    check_families(e, &path, spec);
    e.one_of_if_set(
        &path.child("ipFamilyPolicy"),
        get(spec, "ipFamilyPolicy"),
        &POLICIES,
    );
    let alone = (listed.is_empty() && !first.is_empty()).then_some(first);
    let listed = listed.iter().map(|ip| ip.as_str().unwrap_or_default());
    check_addresses(e, &at, &listed.chain(alone).collect::<Vec<_>>(), spec);
}

fn check_families(e: &mut Errors, path: &Path, spec: &Value) {
    let mut seen = BTreeSet::new();
    for (i, family) in list(spec, "ipFamilies").iter().enumerate() {
        let at = path.child("ipFamilies").index(i);
        e.one_of_if_set(&at, family, &FAMILIES);
        if !seen.insert(family.as_str()) {
            e.duplicate(&at, family);
        }
    }
}

fn check_addresses(e: &mut Errors, path: &Path, ips: &[&str], spec: &Value) {
    let mut wrong = false;
    for (i, ip) in ips.iter().enumerate() {
        if i == 0 && *ip == "None" {
            if ips.len() > 1 {
                wrong = true;
                let detail = "'None' must be the first and only value";
                e.invalid(path, get(spec, "clusterIPs"), detail);
            }
            continue;
        }
        let problems = names::is_ip(ip);
        wrong |= !problems.is_empty();
        e.each(&path.index(i), ip, problems);
    }
    if ips.len() > 2 {
        e.invalid(
            path,
            get(spec, "clusterIPs"),
            "may only hold up to 2 values",
        );
    }
    // Of what is no address nothing more can be said.
    if wrong {
        return;
    }
    let is_v6 = |ip: &str| matches!(ip.parse(), Ok(IpAddr::V6(_)));
    let newer = ips.iter().filter(|ip| is_v6(ip)).count();
    if ips.len() > 1 && (newer == 0 || newer == ips.len()) {
        let detail = "may specify no more than one IP for each IP family";
        e.invalid(path, get(spec, "clusterIPs"), detail);
    }
    if ips == ["None"] {
        return;
    }
    for (i, (ip, family)) in ips.iter().zip(list(spec, "ipFamilies")).enumerate() {
        let (known, fits) = match family.as_str() {
            Some("IPv4") => ("IPv4", !is_v6(ip)),
            Some("IPv6") => ("IPv6", is_v6(ip)),
            _ => continue,
        };
        if !fits {
            let detail = format!("expected an {known} value as indicated by `ipFamilies[{i}]`");
            e.invalid(&path.index(i), *ip, &detail);
        }
    }
}

/// What may not become of the addresses and families of a Service that has them.
pub(super) fn check_change(e: &mut Errors, new: &Value, old: &Value) {
    if [new, old].iter().any(|s| text(s, "type") == "ExternalName") {
        return;
    }
    let (headless, was_headless) = (is_headless(new), is_headless(old));
    if headless && was_headless {
        return;
    }
    change_of_addresses(e, new, old);
    if headless == was_headless {
        change_of_families(e, new, old);
    }
}

fn change_of_addresses(e: &mut Errors, new: &Value, old: &Value) {
    let (path, all) = (Path::new("spec.clusterIPs"), get(new, "clusterIPs"));
    let (now, before) = (list(new, "clusterIPs"), list(old, "clusterIPs"));
    if now.len() == before.len() {
        for (i, (now, before)) in now.iter().zip(before).enumerate() {
            if now != before {
                e.invalid(&path.index(i), all, ONCE);
            }
        }
        return;
    }
    if now.is_empty() {
        e.invalid(&path.index(0), all, "primary clusterIP can not be unset");
    }
    if let (Some(now), Some(before)) = (now.first(), before.first())
        && now != before
    {
        e.invalid(&path.index(0), all, ONCE);
    }
    if now.len() == 1 && before.len() > 1 {
        released(e, new, "secondary clusterIP");
    }
}

fn change_of_families(e: &mut Errors, new: &Value, old: &Value) {
    let at = Path::new("spec.ipFamilies").index(0);
    let (now, before) = (list(new, "ipFamilies"), list(old, "ipFamilies"));
    if now.len() == before.len() {
        // Each that differs is told of as the first.
        for _ in now.iter().zip(before).filter(|(now, before)| now != before) {
            e.invalid(&at, get(new, "ipFamilies"), ONCE);
        }
        return;
    }
    if now.len() < before.len() && list(new, "clusterIPs").is_empty() {
        let detail = "primary ipFamily can not be unset";
        e.invalid(&at, get(new, "ipFamilies"), detail);
    }
    if let (Some(now), Some(before)) = (now.first(), before.first())
        && now != before
    {
        // Kubernetes shows the addresses.
        e.invalid(&at, get(new, "clusterIPs"), ONCE);
    }
    if now.len() == 1 && before.len() > 1 {
        released(e, new, "secondary ipFamily");
    }
}

/// Who gives the second of two back wants one only.
fn released(e: &mut Errors, new: &Value, what: &str) {
    let policy = get(new, "ipFamilyPolicy");
    if policy != "SingleStack" {
        let detail = format!("must be set to 'SingleStack' when releasing the {what}");
        e.invalid(&Path::new("spec.ipFamilyPolicy"), policy, &detail);
    }
}

/// Keeps an address and its list together where a client changed one of them
/// (`normalizeClusterIPs` of Kubernetes).
pub(super) fn pair(spec: &mut Value, old: &Value) {
    let first = text(spec, "clusterIP");
    if has(spec, "clusterIP")
        && first != text(old, "clusterIP")
        && get(spec, "clusterIPs") == get(old, "clusterIPs")
    {
        let paired = match first {
            "" => Vec::new(),
            first => vec![first.to_owned()],
        };
        crate::rules::json::set(spec, "clusterIPs", paired);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(check: impl FnOnce(&mut Errors)) -> Vec<String> {
        let causes = Errors::collect(check).into_iter();
        causes
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect()
    }

    /// Cases of `TestValidateServiceClusterIPsRelatedFields`.
    #[test]
    fn there_is_one_address_of_each_family() {
        for (ips, expected) in [
            (json!(["1.2.3.4", "fe00::1"]), vec![]),
            (json!(["None"]), vec![]),
            (
                json!(["None", "1.2.3.4"]),
                vec![
                    r#"spec.clusterIPs: Invalid value: ["None","1.2.3.4"]: 'None' must be the first and only value"#,
                ],
            ),
            (
                json!(["1.2.3.4", "None"]),
                vec![
                    r#"spec.clusterIPs[1]: Invalid value: "None": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"#,
                ],
            ),
            (
                json!(["1.2.3.4", "1.2.3.5"]),
                vec![
                    r#"spec.clusterIPs: Invalid value: ["1.2.3.4","1.2.3.5"]: may specify no more than one IP for each IP family"#,
                ],
            ),
            (
                json!(["1.2.3.4", "fe00::1", "1.2.3.5"]),
                vec![
                    r#"spec.clusterIPs: Invalid value: ["1.2.3.4","fe00::1","1.2.3.5"]: may only hold up to 2 values"#,
                ],
            ),
        ] {
            let spec = json!({"clusterIP": ips[0], "clusterIPs": ips});
            assert_eq!(told(|e| check(e, &spec)), expected, "{ips}");
        }
        let spec =
            json!({"clusterIP": "1.2.3.4", "clusterIPs": ["1.2.3.4"], "ipFamilies": ["IPv6"]});
        assert_eq!(
            told(|e| check(e, &spec)),
            [
                r#"spec.clusterIPs[0]: Invalid value: "1.2.3.4": expected an IPv6 value as indicated by `ipFamilies[0]`"#
            ]
        );
        let spec = json!({"clusterIPs": ["1.2.3.4"], "ipFamilyPolicy": "", "ipFamilies": [""]});
        assert_eq!(
            told(|e| check(e, &spec)),
            [
                r#"spec.clusterIPs: Invalid value: ["1.2.3.4"]: must be empty when `clusterIP` is not specified"#,
                r#"spec.ipFamilies[0]: Unsupported value: "": supported values: "IPv4", "IPv6""#,
                r#"spec.ipFamilyPolicy: Unsupported value: "": supported values: "PreferDualStack", "RequireDualStack", "SingleStack""#,
            ]
        );
    }

    /// Cases of `TestValidateServiceUpdate`.
    #[test]
    fn what_a_service_was_given_stays() {
        let dual = |policy: &str| {
            json!({"type": "ClusterIP", "clusterIP": "1.2.3.4", "clusterIPs": ["1.2.3.4", "2001::1"],
                "ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": policy})
        };
        let single = |policy: &str| {
            json!({"type": "ClusterIP", "clusterIP": "1.2.3.4", "clusterIPs": ["1.2.3.4"],
                "ipFamilies": ["IPv4"], "ipFamilyPolicy": policy})
        };
        let change = |new: &Value, old: &Value| told(|e| check_change(e, new, old));
        let both = dual("PreferDualStack");
        assert_eq!(change(&both, &single("SingleStack")), [""; 0]);
        assert_eq!(change(&single("SingleStack"), &both), [""; 0]);
        assert_eq!(
            change(&single("PreferDualStack"), &both),
            [
                r#"spec.ipFamilyPolicy: Invalid value: "PreferDualStack": must be set to 'SingleStack' when releasing the secondary clusterIP"#,
                r#"spec.ipFamilyPolicy: Invalid value: "PreferDualStack": must be set to 'SingleStack' when releasing the secondary ipFamily"#,
            ]
        );
        let mut other = both.clone();
        other["clusterIPs"][1] = json!("2001::2");
        other["ipFamilies"] = json!(["IPv6", "IPv4"]);
        assert_eq!(
            change(&other, &both),
            [
                r#"spec.clusterIPs[1]: Invalid value: ["1.2.3.4","2001::2"]: may not change once set"#,
                r#"spec.ipFamilies[0]: Invalid value: ["IPv6","IPv4"]: may not change once set"#,
                r#"spec.ipFamilies[0]: Invalid value: ["IPv6","IPv4"]: may not change once set"#,
            ]
        );
        let headless = json!({"clusterIP": "None", "clusterIPs": ["None"], "ipFamilies": ["IPv6"]});
        let same = json!({"clusterIP": "None", "clusterIPs": ["None"], "ipFamilies": ["IPv4"]});
        assert_eq!(change(&headless, &same), [""; 0]);
        assert_eq!(
            change(&headless, &single("SingleStack")),
            [r#"spec.clusterIPs[0]: Invalid value: ["None"]: may not change once set"#]
        );
        other["type"] = json!("ExternalName");
        assert_eq!(change(&other, &both), [""; 0]);
    }
}
