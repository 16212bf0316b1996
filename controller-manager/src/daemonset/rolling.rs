//! A rolling update: old pods are replaced on as many nodes at once as the
//! bounds allow. Without a surge the old pod goes before the new one comes;
//! with one they change places when the new one is available
//! (`pkg/controller/daemon/update.go`).

use super::daemons::{Bounds, Changes, Daemons, is_leaving};
use super::placement::Fit;
use k8s_openapi::api::core::v1::Pod;
use std::sync::Arc;

/// A node's pods of the two versions.
struct Versions<'a> {
    new: Option<&'a Arc<Pod>>,
    old: Option<&'a Arc<Pod>>,
}

/// `None` if there are two of one version: that is cleaned up first.
fn versions<'a>(daemons: &'a Daemons, node: &str) -> Option<Versions<'a>> {
    let (mut new, mut old) = (None, None);
    for pod in daemons.on(node).iter().filter(|pod| !is_leaving(pod)) {
        let version = match daemons.is_updated(pod) {
            true => &mut new,
            false => &mut old,
        };
        if version.replace(pod).is_some() {
            return None;
        }
    }
    Some(Versions { new, old })
}

/// What brings the update a step further.
pub fn advance(daemons: &Daemons) -> Changes {
    let bounds = daemons.bounds();
    match bounds.surge {
        0 => replace(daemons, &bounds),
        surge => change_places(daemons, surge),
    }
}

fn replace(daemons: &Daemons, bounds: &Bounds) -> Changes {
    let mut unavailable = 0;
    let mut useless = Vec::new();
    let mut available = Vec::new();
    for node in daemons.concerned() {
        let Some(versions) = versions(daemons, node) else {
            unavailable += 1;
            continue;
        };
        match versions {
            Versions {
                new: Some(new),
                old: None,
            } => unavailable += usize::from(!daemons.is_available(new)),
            Versions {
                new: None,
                old: Some(old),
            } => match daemons.is_available(old) {
                true => available.push(old.clone()),
                // Nothing is lost by replacing it.
                false => useless.push(old.clone()),
            },
            // One is about to come or to go.
            _ => unavailable += 1,
        }
    }
    available.truncate(bounds.unavailable.saturating_sub(unavailable));
    useless.extend(available);
    Changes {
        delete: useless,
        ..Changes::default()
    }
}

fn change_places(daemons: &Daemons, max_surge: usize) -> Changes {
    let mut surging = 0;
    let mut available = 0;
    let mut delete = Vec::new();
    // On nodes where no new pod may come, and the old one is still of use.
    let mut leftover = Vec::new();
    let mut create = Vec::new();
    let mut candidates = Vec::new();
    for node in daemons.concerned() {
        let Some(Versions { new, old }) = versions(daemons, node) else {
            surging += 1;
            continue;
        };
        let serves = |pod: Option<&Arc<Pod>>| pod.is_some_and(|pod| daemons.is_available(pod));
        available += usize::from(serves(old.or(new)));
        match (old, new) {
            (None, _) => {}
            (Some(old), None) => match (daemons.fit(node) == Fit::Runs, serves(Some(old))) {
                (false, false) => delete.push(old.clone()),
                (false, true) => leftover.push(old.clone()),
                // Nothing is lost by having a second one at once.
                (true, false) => create.push(node.to_owned()),
                (true, true) => candidates.push(node.to_owned()),
            },
            (Some(old), Some(_)) => match serves(new) {
                true => delete.push(old.clone()),
                false => surging += 1,
            },
        }
    }
    // Everywhere else there must be an available one before.
    leftover.truncate(available.saturating_sub(daemons.desired()));
    delete.extend(leftover);
    candidates.truncate(max_surge.saturating_sub(surging));
    create.extend(candidates);
    Changes {
        create,
        delete,
        ..Changes::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{leaving, node, pod, ready, set, surging};
    use super::*;
    use hardway_proto::Kind;
    use jiff::Timestamp;
    use k8s_openapi::api::apps::v1::DaemonSet;
    use k8s_openapi::api::core::v1::Node;
    use serde_json::json;

    fn nodes() -> Vec<Arc<Node>> {
        ["a", "b", "c"].map(|name| node(name, json!({}))).into()
    }

    fn advance_on(set: &DaemonSet, nodes: &[Arc<Node>], pods: &[Arc<Pod>]) -> String {
        let now = Timestamp::from_second(100).unwrap();
        let changes = advance(&Daemons::new(set, "new", nodes, pods, now));
        let create = changes.create.iter().map(|node| format!("+{node}"));
        let delete = changes.delete.iter().map(|pod| format!("-{}", pod.name()));
        create.chain(delete).collect::<Vec<_>>().join(" ")
    }

    fn step(set: &DaemonSet, pods: &[Arc<Pod>]) -> String {
        advance_on(set, &nodes(), pods)
    }

    fn unavailable(max: i32) -> DaemonSet {
        let amounts = json!({"maxUnavailable": max, "maxSurge": 0});
        set(json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": amounts}}))
    }

    #[test]
    fn few_nodes_at_once_are_without_a_pod() {
        let mut pods = vec![
            ready("1", "a", "old"),
            ready("2", "b", "old"),
            ready("3", "c", "old"),
        ];
        assert_eq!(step(&unavailable(1), &pods), "-1");
        assert_eq!(step(&unavailable(2), &pods), "-1 -2");
        pods[0] = leaving(&pods[0]);
        assert_eq!(step(&unavailable(1), &pods), "");
        assert_eq!(step(&unavailable(1), &pods[1..]), "", "one is to come");
        pods[0] = pod("4", "a", "new", "Running");
        assert_eq!(step(&unavailable(1), &pods), "", "not ready yet");
        pods[0] = ready("4", "a", "new");
        assert_eq!(step(&unavailable(1), &pods), "-2");
    }

    #[test]
    fn old_pods_that_are_of_no_use_go_at_once() {
        let pods = [
            pod("1", "a", "old", "Running"),
            ready("2", "b", "old"),
            pod("3", "c", "old", "Pending"),
        ];
        assert_eq!(step(&unavailable(1), &pods), "-1 -3 -2");
        // They don't count against the bound; a new one does.
        let pods = [
            pods[0].clone(),
            ready("2", "b", "old"),
            pod("3", "c", "new", "Pending"),
        ];
        assert_eq!(step(&unavailable(1), &pods), "-1");
    }

    #[test]
    fn with_a_surge_the_new_one_comes_first() {
        let set = surging(1);
        let mut pods = vec![
            ready("1", "a", "old"),
            ready("2", "b", "old"),
            ready("3", "c", "old"),
        ];
        assert_eq!(step(&set, &pods), "+a");
        assert_eq!(step(&surging(2), &pods), "+a +b");
        pods.push(pod("4", "a", "new", "Running"));
        assert_eq!(step(&set, &pods), "", "not ready yet");
        pods[3] = ready("4", "a", "new");
        assert_eq!(step(&set, &pods), "+b -1");
        pods[0] = leaving(&pods[0]);
        assert_eq!(step(&set, &pods), "+b");
        pods[1] = pod("2", "b", "old", "Running");
        assert_eq!(step(&set, &pods), "+b +c", "2 is of no use");
    }

    #[test]
    fn a_surge_leaves_no_gap_on_nodes_that_are_given_up() {
        let set = surging(1);
        let taint = json!({"spec": {"taints": [{"key": "own", "effect": "NoSchedule"}]}});
        let nodes = [node("a", taint), node("b", json!({}))];
        let old = ready("1", "a", "old");
        let waiting = [old.clone(), pod("2", "b", "new", "Running")];
        assert_eq!(advance_on(&set, &nodes, &waiting), "");
        let there = [old, ready("2", "b", "new")];
        assert_eq!(advance_on(&set, &nodes, &there), "-1");
        let useless = [pod("1", "a", "old", "Running"), ready("2", "b", "new")];
        assert_eq!(advance_on(&set, &nodes, &useless), "-1");
    }
}
