//! Why a pod fits nowhere, told as `kubectl describe` users know it.

use crate::framework::Rejection;
use std::collections::BTreeMap;

/// The filters' verdicts on all nodes.
#[derive(Clone, Debug, Default)]
pub struct FitError {
    /// How many nodes there are.
    pub nodes: usize,
    /// What keeps the pod from all nodes alike; then no node was looked at.
    pub everywhere: Option<Rejection>,
    /// Rejections, by the node's position.
    pub rejections: Vec<(usize, Rejection)>,
    /// What preemption adds, without the leading `preemption: `.
    pub preemption: Option<String>,
}

/// `1 a, 2 b` of reasons with their counts, sorted as text like Kubernetes does.
pub fn histogram<'a>(reasons: impl Iterator<Item = &'a str>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason).or_default() += 1;
    }
    let mut parts: Vec<String> = counts
        .into_iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    parts.sort();
    parts.join(", ")
}

impl FitError {
    /// The message of the FailedScheduling event and the PodScheduled condition.
    pub fn message(&self) -> String {
        if self.nodes == 0 {
            return "no nodes available to schedule pods".into();
        }
        let mut text = format!("0/{} nodes are available", self.nodes);
        let list = match &self.everywhere {
            Some(rejection) => rejection.reasons.join(", "),
            None => {
                let all = self.rejections.iter();
                histogram(all.flat_map(|(_, r)| r.reasons.iter().map(String::as_str)))
            }
        };
        if !list.is_empty() {
            text.push_str(&format!(": {list}."));
        }
        if let Some(preemption) = &self.preemption {
            text.push_str(&format!(" preemption: {preemption}"));
        }
        text
    }

    /// The plugins that rejected a node, each once.
    pub fn plugins(&self) -> Vec<&'static str> {
        let rejections = self.rejections.iter().map(|(_, rejection)| rejection);
        let all = rejections.chain(&self.everywhere);
        let mut names: Vec<_> = all.map(|rejection| rejection.plugin).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_kubernetes_tells_it() {
        let rejection = |reason: &str| Rejection {
            plugin: "NodePorts",
            reasons: vec![reason.into()],
            resolvable: true,
        };
        let ports = "node(s) didn't have free ports for the requested pod ports";
        let error = FitError {
            nodes: 3,
            everywhere: None,
            rejections: vec![
                (0, rejection(ports)),
                (1, rejection(ports)),
                (2, rejection("node(s) were unschedulable")),
            ],
            preemption: Some(
                "0/3 nodes are available: 2 No preemption victims found for incoming pod.".into(),
            ),
        };
        assert_eq!(
            error.message(),
            "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't have free ports for the requested pod ports. preemption: 0/3 nodes are available: 2 No preemption victims found for incoming pod."
        );
        let error = FitError {
            nodes: 3,
            everywhere: Some(rejection(
                "pod has unbound immediate PersistentVolumeClaims",
            )),
            ..FitError::default()
        };
        assert_eq!(
            error.message(),
            "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims."
        );
        assert_eq!(error.plugins(), ["NodePorts"]);
        assert_eq!(
            FitError::default().message(),
            "no nodes available to schedule pods"
        );
    }
}
