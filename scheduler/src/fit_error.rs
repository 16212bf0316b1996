//! Why a pod fits nowhere, told as `kubectl describe` users know it.

use crate::framework::Rejection;
use crate::rejections::Rejections;

/// The filters' verdicts on all nodes.
#[derive(Clone, Debug, Default)]
pub struct FitError {
    /// How many nodes there are.
    pub nodes: usize,
    /// What keeps the pod from all nodes alike; then no node was looked at.
    pub everywhere: Option<Rejection>,
    /// What the filters said of the nodes.
    pub rejections: Rejections,
    /// What preemption adds, without the leading `preemption: `.
    pub preemption: Option<String>,
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
            None => self.rejections.reasons().text(),
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
        match &self.everywhere {
            Some(rejection) => vec![rejection.plugin],
            None => self.rejections.plugins(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_kubernetes_tells_it() {
        let rejection = |reason: &'static str| Rejection {
            plugin: "NodePorts",
            reasons: vec![reason.into()],
            resolvable: true,
        };
        let ports = "node(s) didn't have free ports for the requested pod ports";
        let mut rejections = Rejections::default();
        rejections.add(0, rejection(ports));
        rejections.add(1, rejection(ports));
        rejections.add(2, rejection("node(s) were unschedulable"));
        let error = FitError {
            nodes: 3,
            everywhere: None,
            rejections,
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
