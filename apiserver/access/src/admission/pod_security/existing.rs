//! The pods that are there when a namespace is given another level: they stay, but
//! whoever changes it is told which of them could not come again.

use super::{Level, Policy};
use crate::objects::parse;
use crate::text;
use bytes::Bytes;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

/// How many pods are looked at …
const MOST: usize = 3000;
/// … and for how long.
const LONGEST: Duration = Duration::from_secs(1);

/// Pods of which the same is to be said.
struct Offenders {
    /// The first of them by name.
    name: String,
    count: usize,
}

/// Whether pods have to be looked at when the enforced policy changes so.
pub(super) fn is_stricter(new: &Policy, old: &Policy) -> bool {
    new.shown != old.shown
        && new.level != Level::Privileged
        && (new.version != old.version || new.level > old.level)
}

/// Warnings of the pods of a namespace that a policy forbids.
pub(super) fn warnings(namespace: &str, policy: &Policy, pods: &[Bytes]) -> Vec<String> {
    let deadline = Instant::now() + LONGEST;
    let mut alike: BTreeMap<String, Offenders> = BTreeMap::new();
    let mut owners: HashSet<String> = HashSet::new();
    let mut replicas = Vec::new();
    let mut checked = 0;
    let mut look = |pod: &Value| {
        checked += 1;
        if let Some(reasons) = policy.reasons(&pod["metadata"], &pod["spec"]) {
            let name = text(pod, "/metadata/name");
            let alike = alike.entry(reasons).or_insert_with(|| Offenders {
                name: name.to_owned(),
                count: 0,
            });
            alike.count += 1;
            if name < alike.name.as_str() {
                alike.name = name.to_owned();
            }
        }
        checked < MOST && Instant::now() < deadline
    };
    // Of pods that are the same by their owner one is as good as all.
    let mut goes_on = true;
    for bytes in pods {
        let Some(pod) = parse(bytes).filter(|_| goes_on) else {
            continue;
        };
        match owner(&pod) {
            Some(owner) if !owners.insert(owner.to_owned()) => replicas.push(bytes),
            _ => goes_on = look(&pod),
        }
    }
    for bytes in replicas {
        if let Some(pod) = parse(bytes).filter(|_| goes_on) {
            goes_on = look(&pod);
        }
    }
    let mut warnings = Vec::new();
    if checked < pods.len() {
        let all = pods.len();
        warnings.push(format!(
            "new PodSecurity enforce level only checked against the first {checked} of {all} existing pods"
        ));
    }
    if !alike.is_empty() {
        let level = &policy.shown;
        warnings.push(format!(
            "existing pods in namespace {namespace:?} violate the new PodSecurity enforce level {level:?}"
        ));
    }
    let mut told: Vec<String> = alike
        .iter()
        .map(|(reasons, Offenders { name, count })| match count {
            1 => format!("{name}: {reasons}"),
            2 => format!("{name} (and 1 other pod): {reasons}"),
            count => format!("{name} (and {} other pods): {reasons}", count - 1),
        })
        .collect();
    told.sort();
    warnings.extend(told);
    warnings
}

/// The UID of the controller that a pod belongs to.
fn owner(pod: &Value) -> Option<&str> {
    let owners = pod["metadata"]["ownerReferences"].as_array()?;
    let controller = owners.iter().find(|owner| owner["controller"] == true)?;
    controller["uid"].as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn policy(level: &str) -> Policy {
        let labels = json!({"pod-security.kubernetes.io/enforce": level});
        Policy::of(&json!({"metadata": {"labels": labels}}), "enforce")
    }

    fn pod(name: &str, owner: Option<&str>, spec: Value) -> Bytes {
        let owners = owner.map(|uid| json!([{"uid": uid, "controller": true}]));
        let pod = json!({"metadata": {"name": name, "ownerReferences": owners}, "spec": spec});
        Bytes::from(pod.to_string())
    }

    #[test]
    fn what_is_alike_is_told_once() {
        let plain = json!({"containers": [{"name": "c"}]});
        let host = json!({"hostNetwork": true, "containers": [{"name": "c"}]});
        let pods = [
            pod("p2", None, plain.clone()),
            pod("p1", None, plain.clone()),
            pod("p3", Some("a"), plain.clone()),
            pod("h", None, host),
        ];
        let restricted = "allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile";
        assert_eq!(
            warnings("shop", &policy("restricted"), &pods),
            [
                "existing pods in namespace \"shop\" violate the new PodSecurity enforce level \"restricted:latest\"".to_owned(),
                format!("h: host namespaces, {restricted}"),
                format!("p1 (and 2 other pods): {restricted}"),
            ]
        );
        assert_eq!(
            warnings("shop", &policy("baseline"), &pods)[1..],
            ["h: host namespaces"]
        );
        assert_eq!(warnings("shop", &policy("restricted"), &[]), [""; 0]);
        let many: Vec<Bytes> = (0..MOST + 5)
            .map(|n| pod(&format!("p{n}"), Some("a"), json!({})))
            .collect();
        let first = &warnings("shop", &policy("baseline"), &many)[0];
        assert!(first.ends_with("of 3005 existing pods"), "{first}");
    }

    #[test]
    fn only_a_stricter_level_matters() {
        let is = |new: &str, old: &str| is_stricter(&policy(new), &policy(old));
        assert!(is("restricted", "baseline") && is("baseline", "privileged"));
        assert!(!is("baseline", "restricted") && !is("baseline", "baseline"));
        assert!(!is("privileged", "restricted"));
    }
}
