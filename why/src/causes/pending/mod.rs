//! A pod that no node takes: what stands against each node, and what would help.

mod obstacles;

use std::collections::BTreeMap;

use hardway_proto::references::claim;

use crate::causes::{Cause, lasts};
use crate::cluster::Cluster;
use crate::diagnosis::Evidence;
use crate::finding::Finding;
use crate::object::{Json, Object};
use crate::relations::waits_for_consumer;
use crate::words::{count, few, one_line};
use obstacles::{Asked, Obstacle};

pub(super) const CAUSE: Cause = Cause {
    name: "pending",
    about: "a pod that fits no node, waits for a gate, or that no scheduler has looked at",
    kinds: &["Pod"],
    reads: &[
        "Node",
        "Pod",
        "PersistentVolumeClaim",
        "PersistentVolume",
        "StorageClass",
        "Event",
    ],
    find,
};

/// How many pods that ask for different things are compared with all nodes. Of more pods the
/// scheduler's words are told.
const COMPARED: usize = 20;
/// A scheduler looks at a pod at once; after this there is none, or it is in trouble.
const UNSEEN: i64 = 10;

fn find<'a>(cluster: &Cluster<'a>, pod: &Object<'a>) -> Vec<Finding> {
    let is_pending = pod.value.text("/status/phase") == Some("Pending");
    if !is_pending || pod.value.text("/spec/nodeName").is_some() {
        return Vec::new();
    }
    let scheduled = pod
        .condition("PodScheduled")
        .filter(|it| it.status == "False");
    let found = match scheduled {
        Some(told) if told.reason == "SchedulingGated" => Some(gated(pod)),
        Some(told) => {
            let event = cluster.event(pod, &["FailedScheduling"]);
            let says = [pod.told_by(&told)].into_iter();
            let says = says.chain(
                event
                    .filter(|it| it.message != told.message)
                    .map(|it| it.evidence()),
            );
            Some(
                unschedulable(cluster, pod, told.message)
                    .since(told.since)
                    .says(says),
            )
        }
        None => lasts(cluster, pod.created(), UNSEEN).then(|| unseen(pod)),
    };
    let since = pod.created();
    let found = found.map(|it| match it.since {
        None => it.since(since),
        Some(_) => it,
    });
    found.into_iter().collect()
}

fn gated(pod: &Object<'_>) -> Finding {
    let gates = pod.value.list("/spec/schedulingGates").iter();
    let gates: Vec<&str> = gates.filter_map(|it| it.text("/name")).collect();
    Finding::warning(format!(
        "waits for its scheduling gates: {}",
        few(&gates, 3)
    ))
    .key("gates")
    .says([pod.field("/spec/schedulingGates", few(&gates, 10))])
    .advise("whoever put the gates there takes them off; see that this controller runs")
}

fn unseen(pod: &Object<'_>) -> Finding {
    let scheduler = pod
        .value
        .text("/spec/schedulerName")
        .unwrap_or("default-scheduler");
    let says = pod.field("/spec/schedulerName", scheduler);
    Finding::error(format!(
        "no scheduler has looked at it; it asks for {scheduler}"
    ))
    .key(scheduler)
    .says([
        says,
        pod.field("/status/conditions", "no condition PodScheduled"),
    ])
    .run(
        "see whether that scheduler runs",
        "kubectl get leases -n kube-system",
    )
}

fn unschedulable<'a>(cluster: &Cluster<'a>, pod: &Object<'a>, message: &str) -> Finding {
    if let Some(finding) = claims(cluster, pod, message) {
        return finding;
    }
    if !cluster.can_read("Node") {
        return Finding::error(format!("fits no node: {}", one_line(message)))
            .advise("the nodes may not be read; with permission to list nodes and pods each of them is told");
    }
    let nodes = cluster.all("Node");
    if nodes.is_empty() {
        return Finding::error("fits no node: the cluster has none")
            .advise("have a node join the cluster");
    }
    let scheduler_says =
        || Finding::error(format!("fits no node: {}", one_line(message))).key("nodes");
    let alike = obstacles::what_is_asked(pod);
    if let Some(known) = cluster.pending.borrow().get(&alike) {
        return known.clone();
    }
    if cluster.pending.borrow().len() >= COMPARED {
        return scheduler_says();
    }
    let Some(asked) = Asked::of(cluster, pod) else {
        return scheduler_says();
    };
    let against: Vec<(Object<'a>, Vec<Obstacle>)> = nodes
        .iter()
        .map(|node| (*node, obstacles::of(cluster, &asked, node)))
        .collect();
    let told = summary(&against, message);
    let finding = Finding::error(told).key("nodes").says(evidence(&against));
    let finding = remedies(finding, pod, &against);
    cluster.pending.borrow_mut().insert(alike, finding.clone());
    finding
}

/// Claims that are not there, or not bound though they need no pod for it.
fn claims<'a>(cluster: &Cluster<'a>, pod: &Object<'a>, message: &str) -> Option<Finding> {
    let volumes = pod.value.list("/spec/volumes").iter();
    for name in volumes.filter_map(|volume| claim(pod.value, volume)) {
        let there = cluster.get("PersistentVolumeClaim", pod.namespace(), &name);
        match there {
            None if cluster.can_read("PersistentVolumeClaim") => {
                let near = cluster.near("PersistentVolumeClaim", pod.namespace(), &name);
                let meant = match near.first() {
                    Some(near) => format!("; there is {near}"),
                    None => String::new(),
                };
                let finding = Finding::error(format!("its claim {name} is not there{meant}"))
                    .key(name.clone())
                    .says([pod.field("/spec/volumes", format!("asks for pvc/{name}"))])
                    .run(
                        "make the claim, or name one that is there",
                        format!("kubectl get pvc{}", pod.flag()),
                    );
                return Some(finding);
            }
            Some(claim)
                if claim.value.text("/status/phase") == Some("Pending")
                    && !waits_for_consumer(cluster, &claim)
                    && message.contains("PersistentVolumeClaim") =>
            {
                let finding =
                    Finding::error(format!("waits for its claim {name}, which is not bound"))
                        .symptom()
                        .says([claim.field("/status/phase", "Pending")])
                        .run(
                            "see why the claim is not bound",
                            format!("hardway why pvc/{name}{}", pod.flag()),
                        );
                return Some(finding);
            }
            _ => {}
        }
    }
    None
}

/// Obstacles with the number of nodes that have them, the most frequent first.
fn summary(against: &[(Object<'_>, Vec<Obstacle>)], message: &str) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for obstacle in against.iter().flat_map(|(_, all)| all) {
        *counts.entry(obstacle.kind()).or_default() += 1;
    }
    let total = against.len();
    if counts.is_empty() {
        return format!(
            "fits none of {}: {}",
            count(total, "node"),
            one_line(message)
        );
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let parts: Vec<String> = counts
        .iter()
        .map(|(what, n)| format!("{n} {what}"))
        .collect();
    format!(
        "fits none of {}: {}",
        count(total, "node"),
        parts.join(", ")
    )
}

/// A line for each node; of many nodes those that come nearest.
fn evidence(against: &[(Object<'_>, Vec<Obstacle>)]) -> Vec<Evidence> {
    const MOST: usize = 8;
    let mut nodes: Vec<_> = against.iter().filter(|(_, all)| !all.is_empty()).collect();
    nodes.sort_by_key(|(_, all)| all.len());
    let more = nodes.len().saturating_sub(MOST);
    let mut lines: Vec<Evidence> = nodes
        .iter()
        .take(MOST)
        .map(|(node, all)| {
            let all: Vec<String> = all.iter().map(ToString::to_string).collect();
            node.compared(all.join("; "))
        })
        .collect();
    if let Some(last) = lines.last_mut().filter(|_| more > 0) {
        last.says
            .push_str(&format!(" (and {more} more nodes with as much against it)"));
    }
    lines
}

/// What the nodes that come nearest lack.
fn remedies(
    finding: Finding,
    pod: &Object<'_>,
    against: &[(Object<'_>, Vec<Obstacle>)],
) -> Finding {
    let fewest = against
        .iter()
        .map(|(_, all)| all.len())
        .filter(|n| *n > 0)
        .min();
    let nearest = against.iter().filter(|(_, all)| Some(all.len()) == fewest);
    let mut nearest: Vec<_> = nearest
        .flat_map(|(node, all)| all.iter().map(move |obstacle| (node.name(), obstacle)))
        .collect();
    // Of the nodes that lack the same the one with the most room is told.
    nearest.sort_by_key(|(_, obstacle)| std::cmp::Reverse(obstacle.free()));
    let mut kinds: Vec<String> = Vec::new();
    let mut helps = Vec::new();
    for (node, obstacle) in nearest {
        let kind = obstacle.kind();
        if !kinds.contains(&kind) {
            helps.push(obstacle.help(pod, node));
            kinds.push(kind);
        }
    }
    helps
        .into_iter()
        .take(4)
        .fold(finding, |finding, (advice, command)| match command {
            Some(command) => finding.run(advice, command),
            None => finding.advise(advice),
        })
}

#[cfg(test)]
mod tests;
