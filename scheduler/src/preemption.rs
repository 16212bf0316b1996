//! DefaultPreemption: which pods of lower priority would have to go so that a
//! pod fits, and on which node that hurts least.

use crate::fit_error::FitError;
use crate::framework::{Cycle, Framework, Nodes, Reason};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use crate::rejections::Reasons;
use std::cmp::Reverse;
use std::sync::Arc;

const NO_VICTIMS: &str = "No preemption victims found for incoming pod";
const NOT_HELPFUL: &str = "Preemption is not helpful for scheduling";

/// A node and the pods to evict from it.
#[derive(Debug)]
pub struct Preemption {
    /// The node's name.
    pub node: String,
    /// The pods to evict, most important first.
    pub victims: Vec<Arc<PodInfo>>,
}

/// Finds the preemption that hurts least, or says why there is none (the text
/// after `preemption: ` in the pod's condition).
pub fn find<'a>(
    framework: &Framework,
    pod: &PodInfo,
    nodes: impl Into<Nodes<'a>>,
    fit: &FitError,
) -> Result<Preemption, String> {
    let nodes = nodes.into();
    if pod.spec().and_then(|s| s.preemption_policy.as_deref()) == Some("Never") {
        return Err("not eligible due to preemptionPolicy=Never.".into());
    }
    let mut candidates = Vec::new();
    let mut reasons = Reasons::default();
    let not_helpful = match fit.everywhere {
        Some(_) => fit.nodes,
        None => fit.rejections.unresolvable(),
    };
    reasons.add(NOT_HELPFUL.into(), not_helpful);
    let mut trials = Trials::new(framework, pod, nodes);
    for &at in fit.rejections.resolvable() {
        match trials.victims_on(at) {
            Ok(victims) => candidates.push(Preemption {
                node: nodes[at].name.clone(),
                victims,
            }),
            Err(why) => why.into_iter().for_each(|reason| reasons.add(reason, 1)),
        }
    }
    let cheapest = candidates.into_iter().min_by_key(|candidate| {
        let priorities = || candidate.victims.iter().map(|v| i64::from(v.priority));
        (
            priorities().max(),
            priorities().sum::<i64>(),
            candidate.victims.len(),
        )
    });
    cheapest.ok_or_else(|| {
        let list = reasons.text();
        format!("0/{} nodes are available: {list}.", fit.nodes)
    })
}

/// Tries what would be if pods left a node.
struct Trials<'a> {
    framework: &'a Framework,
    pod: &'a PodInfo,
    nodes: Nodes<'a>,
    /// Prepared for the nodes as they are, once there is anything to try.
    as_they_are: Option<Cycle>,
}

impl<'a> Trials<'a> {
    fn new(framework: &'a Framework, pod: &'a PodInfo, nodes: Nodes<'a>) -> Self {
        Self {
            framework,
            pod,
            nodes,
            as_they_are: None,
        }
    }

    /// The fewest pods of lower priority that have to leave the node.
    fn victims_on(&mut self, at: usize) -> Result<Vec<Arc<PodInfo>>, Vec<Reason>> {
        let node = &self.nodes.all()[at];
        let than = self.pod.priority;
        if node.least_priority().is_none_or(|least| least >= than) {
            return Err(vec![NO_VICTIMS.into()]);
        }
        let lower = node.pods.values().filter(|other| other.priority < than);
        let mut lower: Vec<_> = lower.cloned().collect();
        let mut trial = NodeInfo::clone(node);
        for other in &lower {
            trial.remove_pod(&other.key);
        }
        self.fits(at, &trial)?;
        // Give back as many as possible, the most important first.
        lower.sort_by_key(|other| (Reverse(other.priority), started(other)));
        let mut victims = Vec::new();
        for other in lower {
            trial.add_pod(other.clone());
            if self.fits(at, &trial).is_err() {
                trial.remove_pod(&other.key);
                victims.push(other);
            }
        }
        Ok(victims)
    }

    /// Whether the pod fits on a node as it would be after some evictions.
    fn fits(&mut self, at: usize, trial: &NodeInfo) -> Result<(), Vec<Reason>> {
        let (framework, pod, nodes) = (self.framework, self.pod, self.nodes);
        let as_they_are = self
            .as_they_are
            .get_or_insert_with(|| framework.prepare(pod, nodes));
        let verdict = if as_they_are.follows_pods() {
            let mut all = nodes.to_vec();
            all[at] = Arc::new(trial.clone());
            framework.filter(&framework.prepare(pod, &all), pod, trial)
        } else {
            framework.filter(as_they_are, pod, trial)
        };
        verdict.map_err(|rejection| rejection.reasons)
    }
}

fn started(pod: &PodInfo) -> Option<jiff::Timestamp> {
    let time = pod.pod.status.as_ref()?.start_time.as_ref()?;
    Some(time.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespaces::Namespaces;
    use crate::plugins::default_profile;
    use crate::rejections::Rejections;
    use crate::storage::Storage;
    use crate::storage::testing::storage;
    use serde_json::json;

    fn pod(name: &str, priority: i32, cpu: &str) -> PodInfo {
        let object = json!({
            "metadata": {"namespace": "d", "name": name, "uid": name},
            "spec": {"priority": priority, "containers": [
                {"name": "c", "resources": {"requests": {"cpu": cpu}}}]},
        });
        PodInfo::new(Arc::new(serde_json::from_value(object).unwrap()))
    }

    fn node(name: &str, pods: Vec<PodInfo>) -> Arc<NodeInfo> {
        let object = json!({"metadata": {"name": name},
            "status": {"allocatable": {"cpu": "4", "memory": "1Gi", "pods": "10"}}});
        let mut info = NodeInfo::named(name);
        info.set_node(Arc::new(serde_json::from_value(object).unwrap()));
        for pod in pods {
            info.add_pod(Arc::new(pod));
        }
        Arc::new(info)
    }

    fn attempt(pod: &PodInfo, nodes: &[Arc<NodeInfo>]) -> Result<Preemption, String> {
        attempt_with(Storage::default(), pod, nodes)
    }

    fn attempt_with(
        storage: Storage,
        pod: &PodInfo,
        nodes: &[Arc<NodeInfo>],
    ) -> Result<Preemption, String> {
        let framework = default_profile(storage, Namespaces::default());
        let cycle = framework.prepare(pod, nodes);
        let mut rejections = Rejections::default();
        for (at, node) in nodes.iter().enumerate() {
            if let Err(rejection) = framework.filter(&cycle, pod, node) {
                rejections.add(at, rejection);
            }
        }
        let fit = FitError {
            nodes: nodes.len(),
            rejections,
            ..FitError::default()
        };
        find(&framework, pod, nodes, &fit)
    }

    #[test]
    fn evicts_the_least_important_and_no_more_than_needed() {
        let nodes = [
            node("a", vec![pod("vip", 50, "4")]),
            node("b", vec![pod("x", 1, "2"), pod("y", 2, "2")]),
        ];
        let found = attempt(&pod("p", 100, "2"), &nodes).unwrap();
        assert_eq!(found.node, "b");
        let names: Vec<_> = found.victims.iter().map(|v| &v.key.name).collect();
        assert_eq!(names, ["x"]);
    }

    /// `ReadWriteOncePod` preemption as KEP 2485 has it: who uses the claim gives way to a pod
    /// of higher priority, wherever it is.
    #[test]
    fn a_claim_for_one_pod_is_taken_from_a_less_important_one() {
        let volume = json!({"metadata": {"name": "v", "uid": "v"}, "spec": {
            "accessModes": ["ReadWriteOncePod"], "capacity": {"storage": "1Gi"},
            "claimRef": {"namespace": "d", "name": "data", "uid": "u"}}});
        let claim = json!({"metadata": {"namespace": "d", "name": "data", "uid": "u",
            "annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
            "spec": {"accessModes": ["ReadWriteOncePod"], "volumeName": "v",
                     "resources": {"requests": {"storage": "1Gi"}}}});
        let with_claim = |name: &str, priority: i32| {
            let pod = pod(name, priority, "1");
            let mut object = (*pod.pod).clone();
            let volumes = json!([{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]);
            object.spec.as_mut().unwrap().volumes = serde_json::from_value(volumes).unwrap();
            PodInfo::new(Arc::new(object))
        };
        let storage = || storage(claim.clone(), json!([volume]), json!([]));
        let nodes = [
            node("a", vec![pod("bystander", 1, "1")]),
            node("b", vec![with_claim("user", 1), pod("other", 1, "1")]),
        ];
        let found = attempt_with(storage(), &with_claim("p", 100), &nodes).unwrap();
        assert_eq!(found.node, "b");
        let names: Vec<_> = found.victims.iter().map(|v| &v.key.name).collect();
        assert_eq!(names, ["user"]);
        // One that is as important keeps it.
        let refused = attempt_with(storage(), &with_claim("p", 1), &nodes);
        assert!(refused.is_err(), "{refused:?}");
    }

    #[test]
    fn says_why_there_is_nobody_to_evict() {
        let nodes = [node("a", vec![pod("x", 0, "4")])];
        assert_eq!(
            attempt(&pod("p", 0, "2"), &nodes).unwrap_err(),
            "0/1 nodes are available: 1 No preemption victims found for incoming pod."
        );
        assert_eq!(
            attempt(&pod("p", 0, "9"), &nodes).unwrap_err(),
            "0/1 nodes are available: 1 Preemption is not helpful for scheduling."
        );
    }
}
