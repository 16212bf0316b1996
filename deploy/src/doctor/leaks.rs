//! What pods that are gone have left on a node: mounts, cgroups, addresses, chains of others.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Line;
use super::facts::Facts;

/// The pods that a node is to have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pods {
    uids: BTreeSet<String>,
    addresses: BTreeSet<String>,
}

impl Pods {
    /// Those of a list of the API.
    pub fn of(list: &Value) -> Self {
        let mut pods = Self::default();
        for pod in list["items"].as_array().into_iter().flatten() {
            let text = |pointer: &str| {
                pod.pointer(pointer)
                    .and_then(Value::as_str)
                    .map(str::to_owned)
            };
            pods.uids.extend(text("/metadata/uid"));
            // Pods that come from files have another UID on their node.
            pods.uids
                .extend(text("/metadata/annotations/kubernetes.io~1config.mirror"));
            let all = pod.pointer("/status/podIPs").and_then(Value::as_array);
            let all = all.into_iter().flatten();
            pods.addresses
                .extend(all.filter_map(|it| it["ip"].as_str().map(str::to_owned)));
            // One without an address yet may have one on its node already.
        }
        pods
    }
}

/// All of it. `cgroup` is a part of the path of this host's cgroups, where several hosts share
/// a kernel.
pub fn check(facts: &Facts, pods: &Pods, cgroup: &str) -> Vec<Line> {
    let mounts = facts.lines("mounts").iter();
    let mounts = mounts.filter_map(|it| it.split_once("/pods/")?.1.split('/').next());
    let groups = facts
        .lines("cgroups")
        .iter()
        .filter(|it| it.contains(cgroup));
    let groups = groups
        .filter_map(|it| it.rsplit_once("/pod"))
        .map(|(_, uid)| uid);
    let is_address = |it: &&str| it.parse::<std::net::IpAddr>().is_ok();
    let leases = facts
        .lines("leases")
        .iter()
        .map(|it| it.trim())
        .filter(is_address);
    vec![
        line(
            "mounts",
            mounts.filter(|it| !pods.uids.contains(*it)).collect(),
            "restart the node's kubelet: it unmounts what is left",
        ),
        line(
            "pod cgroups",
            groups.filter(|it| !pods.uids.contains(*it)).collect(),
            "restart the node's kubelet: it removes what is left",
        ),
        line(
            "addresses",
            leases.filter(|it| !pods.addresses.contains(*it)).collect(),
            "see whose they are in /var/lib/cni/networks, and remove the files of pods that are gone",
        ),
        tables(facts),
    ]
}

fn line(what: &'static str, left: BTreeSet<&str>, way_out: &str) -> Line {
    match left.len() {
        0 => Line::good(what, "none without a pod"),
        n => {
            let shown: Vec<&str> = left.into_iter().take(3).collect();
            Line::warning(
                what,
                format!("{n} without a pod: {}", shown.join(", ")),
                way_out,
            )
        }
    }
}

/// Another proxy's rules send packets to where pods were.
fn tables(facts: &Facts) -> Line {
    let all = facts.lines("tables").iter();
    let others: Vec<&str> = all
        .filter_map(|it| it.split_whitespace().last())
        .filter(|it| it.starts_with("kube-proxy"))
        .collect();
    let own = facts
        .lines("tables")
        .iter()
        .any(|it| it.contains("hardway-proxy"));
    match others.is_empty() || !own {
        true => Line::good("nft tables", "no other proxy's"),
        false => Line::warning(
            "nft tables",
            format!(
                "another proxy's rules are there as well: {}",
                others.join(", ")
            ),
            "remove them:  nft delete table ip kube-proxy",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;
    use serde_json::json;

    #[test]
    fn what_belongs_to_no_pod_is_told() {
        let pods = Pods::of(
            &json!({"items": [{"metadata": {"uid": "aa"}, "status": {"podIPs": [{"ip": "10.244.0.2"}]}}]}),
        );
        let facts = Facts::parse(
            "[mounts]\n/\n/var/lib/kubelet/pods/aa/volumes/x\n/var/lib/kubelet/pods/bb/volumes/x\n\
             [cgroups]\n/sys/fs/cgroup/lab-1-a/kubepods/podaa\n/sys/fs/cgroup/lab-2-a/kubepods/podzz\n\
             [leases]\n10.244.0.2\n10.244.0.9\nlast_reserved_ip.0\nlock\n\
             [tables]\ntable ip hardway-proxy\ntable ip kube-proxy\n",
        );
        let all = check(&facts, &pods, "lab-1-a");
        let states: Vec<State> = all.iter().map(|it| it.state).collect();
        assert_eq!(
            states,
            [State::Warning, State::Good, State::Warning, State::Warning]
        );
        assert_eq!(all[0].says, "1 without a pod: bb");
        assert_eq!(all[2].says, "1 without a pod: 10.244.0.9");
        let none = check(&Facts::default(), &Pods::default(), "");
        assert!(none.iter().all(|it| it.state == State::Good));
    }
}
