//! DefaultPreemption: which pods of lower priority would have to go so that a
//! pod fits, and on which node that hurts least.

use crate::budgets::{Allowances, Budgets};
use crate::fit_error::FitError;
use crate::framework::{Cycle, Framework, Nodes, Reason};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use crate::rejections::Reasons;
use crate::selection::Selection;
use jiff::Timestamp;
use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

const NO_VICTIMS: &str = "No preemption victims found for incoming pod";
const NOT_HELPFUL: &str = "Preemption is not helpful for scheduling";

/// So many nodes with pods to evict are enough to choose from: a share of those where eviction
/// could help, and at least so many (`minCandidateNodesPercentage` and
/// `minCandidateNodesAbsolute`).
const CANDIDATES_PERCENT: usize = 10;
const MIN_CANDIDATES: usize = 100;

/// A node and the pods to evict from it.
#[derive(Debug)]
pub struct Preemption {
    /// The node's name.
    pub node: String,
    /// The pods to evict, most important first.
    pub victims: Vec<Arc<PodInfo>>,
}

/// Why nobody is evicted for a pod: the text after `preemption: ` in its condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It may not have anybody evicted, or not now. Room that is kept for it stays so.
    NotEligible(&'static str),
    /// There is nobody whose leaving would help.
    NoCandidates(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NotEligible(why) => write!(f, "not eligible due to {why}."),
            Refusal::NoCandidates(why) => f.write_str(why),
        }
    }
}

/// Finds whom to evict for a pod that fits nowhere.
pub struct Preemptor<'a> {
    /// The plugins that say whether it fits.
    pub framework: &'a Framework,
    /// What should not be violated.
    pub budgets: &'a Budgets,
    /// Whom room is kept for: it is no longer there for others.
    pub selection: &'a Selection,
}

impl Preemptor<'_> {
    /// Finds the preemption that hurts least for a pod. `nominated` is the node where room is
    /// kept for it.
    ///
    /// # Errors
    /// Why there is none.
    pub fn find<'n>(
        &self,
        pod: &PodInfo,
        nominated: Option<&str>,
        nodes: impl Into<Nodes<'n>>,
        fit: &FitError,
    ) -> Result<Preemption, Refusal> {
        let nodes = nodes.into();
        if pod.spec().and_then(|s| s.preemption_policy.as_deref()) == Some("Never") {
            return Err(Refusal::NotEligible("preemptionPolicy=Never"));
        }
        if nominated.is_some_and(|node| is_being_cleared(pod, node, nodes, fit)) {
            let why = "a terminating pod on the nominated node";
            return Err(Refusal::NotEligible(why));
        }
        let mut candidates = Vec::new();
        let mut reasons = Reasons::default();
        let not_helpful = match fit.everywhere {
            Some(_) => fit.nodes,
            None => fit.rejections.unresolvable(),
        };
        reasons.add(NOT_HELPFUL.into(), not_helpful);
        let resolvable = fit.rejections.resolvable();
        let enough = enough_candidates(resolvable.len());
        let mut trials = Trials {
            framework: self.framework,
            selection: self.selection,
            pod,
            nodes,
            allowances: self.budgets.allowances(),
            as_they_are: None,
        };
        for &at in resolvable {
            match trials.victims_on(at) {
                Ok(victims) => candidates.push((nodes.at(at), victims)),
                Err(why) => why.into_iter().for_each(|reason| reasons.add(reason, 1)),
            }
            if candidates.len() >= enough {
                break;
            }
        }
        let cheapest = candidates
            .into_iter()
            .min_by_key(|(_, victims)| victims.harm());
        let (node, victims) = cheapest.ok_or_else(|| {
            let list = reasons.text();
            Refusal::NoCandidates(format!("0/{} nodes are available: {list}.", fit.nodes))
        })?;
        Ok(Preemption {
            node: node.name.clone(),
            victims: victims.pods,
        })
    }
}

/// How many nodes with pods to evict are enough, of so many where eviction could help.
fn enough_candidates(nodes: usize) -> usize {
    (nodes * CANDIDATES_PERCENT / 100)
        .max(MIN_CANDIDATES)
        .min(nodes)
}

/// Whether room is being made on the node where some is kept for a pod: pods that were evicted
/// for it, or for another one, are still there.
fn is_being_cleared(pod: &PodInfo, node: &str, nodes: Nodes<'_>, fit: &FitError) -> bool {
    let Some(at) = nodes.position(node) else {
        return false;
    };
    // Where evicting cannot help any more, another node is to be looked for.
    if !fit.rejections.resolvable().contains(&at) {
        return false;
    }
    let mut others = nodes.at(at).pods.values();
    others.any(|other| other.priority < pod.priority && is_preempted(other))
}

/// Whether a pod was evicted for a more important one, and has not gone yet.
fn is_preempted(pod: &PodInfo) -> bool {
    let status = pod.pod.status.iter();
    let mut conditions = status.flat_map(|s| s.conditions.iter().flatten());
    pod.pod.metadata.deletion_timestamp.is_some()
        && conditions.any(|c| {
            c.type_ == "DisruptionTarget"
                && c.status == "True"
                && c.reason.as_deref() == Some("PreemptionByScheduler")
        })
}

/// The pods to evict from a node.
struct Victims {
    /// Most important first.
    pods: Vec<Arc<PodInfo>>,
    /// How many of them budgets forbid to evict.
    forbidden: usize,
}

impl Victims {
    /// How much it hurts if they go, by what counts first (`pickOneNodeForPreemption`): budgets
    /// that are violated, the highest priority, all priorities, how many they are, and how long
    /// the most important ones have been there.
    fn harm(&self) -> impl Ord + use<> {
        // Above zero, so that fewer pods of a negative priority are less.
        let weight = |pod: &Arc<PodInfo>| i64::from(pod.priority) + i64::from(i32::MAX) + 1;
        let highest = self.pods.iter().map(|pod| pod.priority).max();
        let first = self.pods.iter().filter(|pod| Some(pod.priority) == highest);
        (
            self.forbidden,
            highest,
            self.pods.iter().map(weight).sum::<i64>(),
            self.pods.len(),
            Reverse(first.map(|pod| started(pod)).min()),
        )
    }
}

/// Tries what would be if pods left a node.
struct Trials<'a> {
    framework: &'a Framework,
    selection: &'a Selection,
    pod: &'a PodInfo,
    nodes: Nodes<'a>,
    allowances: Allowances<'a>,
    /// Prepared for the nodes as they are, once there is anything to try.
    as_they_are: Option<Cycle>,
}

impl Trials<'_> {
    /// The fewest pods of lower priority that have to leave the node, of those that budgets
    /// forbid to evict as few as can be.
    fn victims_on(&mut self, at: usize) -> Result<Victims, Vec<Reason>> {
        let node = self.nodes.at(at);
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
        // Give back as many as possible: first those that are not to be evicted, and among
        // them the most important first.
        lower.sort_by_cached_key(|other| importance(other));
        let forbidden = self.allowances.forbid(&lower);
        let (mut protected, mut others) = (Vec::new(), Vec::new());
        for (other, is_forbidden) in lower.into_iter().zip(forbidden) {
            match is_forbidden {
                true => protected.push(other),
                false => others.push(other),
            }
        }
        let mut pods = self.not_given_back(at, &mut trial, protected);
        let forbidden = pods.len();
        pods.extend(self.not_given_back(at, &mut trial, others));
        // It would fit without anybody leaving, so that it is not for eviction to help.
        if pods.is_empty() {
            return Err(vec![NO_VICTIMS.into()]);
        }
        pods.sort_by_cached_key(|pod| importance(pod));
        Ok(Victims { pods, forbidden })
    }

    /// Puts pods back as long as the new one still fits; returns those that have to stay away.
    fn not_given_back(
        &mut self,
        at: usize,
        trial: &mut NodeInfo,
        pods: Vec<Arc<PodInfo>>,
    ) -> Vec<Arc<PodInfo>> {
        let mut victims = Vec::new();
        for pod in pods {
            trial.add_pod(pod.clone());
            if self.fits(at, trial).is_err() {
                trial.remove_pod(&pod.key);
                victims.push(pod);
            }
        }
        victims
    }

    /// Whether the pod fits on a node as it would be after some evictions, also beside those
    /// for which room is kept there: two that count on the same room would wait for each other.
    fn fits(&mut self, at: usize, trial: &NodeInfo) -> Result<(), Vec<Reason>> {
        let (framework, selection) = (self.framework, self.selection);
        let (pod, nodes) = (self.pod, self.nodes);
        let as_they_are = self
            .as_they_are
            .get_or_insert_with(|| framework.prepare(pod, nodes));
        let verdict = if as_they_are.follows_pods() {
            let as_it_would_be = framework.prepare(pod, nodes.with(at, trial));
            selection.fits(framework, &as_it_would_be, pod, trial)
        } else {
            selection.fits(framework, as_they_are, pod, trial)
        };
        verdict.map_err(|rejection| rejection.reasons)
    }
}

/// Who is more important comes first: by priority, then by how long it has been there.
fn importance(pod: &PodInfo) -> impl Ord + use<> {
    (Reverse(pod.priority), started(pod))
}

/// When a pod was started; one that wasn't yet, after all others.
fn started(pod: &PodInfo) -> Timestamp {
    let status = pod.pod.status.as_ref();
    let time = status.and_then(|status| status.start_time.as_ref());
    time.map_or(Timestamp::MAX, |time| time.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budgets::testing::budgets;
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
        attempt_with(Storage::default(), Budgets::default(), None, pod, nodes)
    }

    fn attempt_with(
        storage: Storage,
        budgets: Budgets,
        nominated: Option<&str>,
        pod: &PodInfo,
        nodes: &[Arc<NodeInfo>],
    ) -> Result<Preemption, String> {
        let selection = Selection::default();
        attempt_beside(&selection, storage, budgets, nominated, pod, nodes)
    }

    fn attempt_beside(
        selection: &Selection,
        storage: Storage,
        budgets: Budgets,
        nominated: Option<&str>,
        pod: &PodInfo,
        nodes: &[Arc<NodeInfo>],
    ) -> Result<Preemption, String> {
        let framework = default_profile(storage, Namespaces::default());
        let cycle = framework.prepare(pod, nodes);
        let mut rejections = Rejections::default();
        for (at, node) in nodes.iter().enumerate() {
            if let Err(rejection) = selection.fits(&framework, &cycle, pod, node) {
                rejections.add(at, rejection);
            }
        }
        let fit = FitError {
            nodes: nodes.len(),
            rejections,
            ..FitError::default()
        };
        let preemptor = Preemptor {
            framework: &framework,
            budgets: &budgets,
            selection,
        };
        let found = preemptor.find(pod, nominated, nodes, &fit);
        found.map_err(|why| why.to_string())
    }

    /// Room that one has others leave for is not there for the next: each finds its own, and
    /// the last one none.
    #[test]
    fn no_two_count_on_the_same_room() {
        let low = |name| pod(name, 1, "2");
        let nodes = [
            node("a", vec![low("a1"), low("a2")]),
            node("b", vec![low("b1")]),
        ];
        let mut selection = Selection::default();
        let mut attempt = |name| {
            let pod = pod(name, 100, "3");
            let (storage, budgets) = (Storage::default(), Budgets::default());
            let found = attempt_beside(&selection, storage, budgets, None, &pod, &nodes);
            found.map(|found| {
                selection.nominate(Arc::new(pod), &found.node);
                (found.node, found.victims.len())
            })
        };
        assert_eq!(attempt("first").unwrap(), ("b".to_owned(), 1));
        assert_eq!(attempt("second").unwrap(), ("a".to_owned(), 2));
        let refused = attempt("third").unwrap_err();
        assert!(refused.contains("2 Insufficient cpu"), "{refused}");
    }

    /// Nobody has to go where there is room but for those whom it is kept for.
    #[test]
    fn nobody_is_evicted_where_it_would_not_help() {
        let nodes = [node("a", vec![pod("small", 1, "100m")])];
        let mut selection = Selection::default();
        selection.nominate(Arc::new(pod("first", 100, "3")), "a");
        let second = pod("second", 100, "3");
        let (storage, budgets) = (Storage::default(), Budgets::default());
        let found = attempt_beside(&selection, storage, budgets, None, &second, &nodes);
        assert!(found.is_err(), "{found:?}");
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
        let found = attempt_with(
            storage(),
            Budgets::default(),
            None,
            &with_claim("p", 100),
            &nodes,
        )
        .unwrap();
        assert_eq!(found.node, "b");
        let names: Vec<_> = found.victims.iter().map(|v| &v.key.name).collect();
        assert_eq!(names, ["user"]);
        // One that is as important keeps it.
        let refused = attempt_with(
            storage(),
            Budgets::default(),
            None,
            &with_claim("p", 1),
            &nodes,
        );
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

    /// "Preemption should respect PDBs" in Kubernetes' documentation of preemption: victims whose
    /// budgets are not violated come first, but the pod is placed in any case.
    #[test]
    fn budgets_are_kept_where_they_can_be() {
        let of_app = |name: &str, priority: i32, app: &str| {
            let mut object = (*pod(name, priority, "2").pod).clone();
            object.metadata.labels = Some([("app".to_owned(), app.to_owned())].into());
            PodInfo::new(Arc::new(object))
        };
        let budget = json!({"metadata": {"namespace": "d", "name": "b"},
            "spec": {"selector": {"matchLabels": {"app": "web"}}},
            "status": {"disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 1,
                       "expectedPods": 1}});
        let attempt = |pod: &PodInfo, nodes: &[Arc<NodeInfo>]| {
            let budgets = budgets(vec![budget.clone()]);
            attempt_with(Storage::default(), budgets, None, pod, nodes).unwrap()
        };
        let names = |found: &Preemption| -> Vec<String> {
            let victims = found.victims.iter();
            victims.map(|v| v.key.name.clone()).collect()
        };
        // On one node: the other one goes, though it is more important.
        let both = [node("a", vec![of_app("x", 1, "web"), of_app("y", 2, "db")])];
        assert_eq!(names(&attempt(&pod("p", 100, "2"), &both)), ["y"]);
        assert_eq!(names(&attempt(&pod("p", 100, "4"), &both)), ["y", "x"]);
        // Of two nodes: that of the more important pods.
        let two = [
            node("a", vec![of_app("x", 1, "web"), of_app("v", 1, "web")]),
            node("b", vec![of_app("y", 2, "db"), of_app("w", 2, "db")]),
        ];
        assert_eq!(attempt(&pod("p", 100, "2"), &two).node, "b");
    }

    /// `pickOneNodeForPreemption`: with all else equal, where the most important victim has been
    /// there for the shortest time.
    #[test]
    fn of_equal_nodes_the_one_with_the_latest_victim_is_chosen() {
        let since = |name: &str, hour: u32| {
            let mut object = (*pod(name, 1, "4").pod).clone();
            let status = json!({"startTime": format!("2026-01-01T{hour:02}:00:00Z")});
            object.status = Some(serde_json::from_value(status).unwrap());
            PodInfo::new(Arc::new(object))
        };
        let nodes = [
            node("a", vec![since("x", 1)]),
            node("b", vec![since("y", 3)]),
            node("c", vec![since("z", 2)]),
        ];
        assert_eq!(attempt(&pod("p", 100, "2"), &nodes).unwrap().node, "b");
        // Fewer victims count more, also where all priorities are negative.
        let nodes = [
            node("a", vec![pod("x", -5, "2"), pod("y", -5, "2")]),
            node("b", vec![pod("z", -5, "4")]),
        ];
        assert_eq!(attempt(&pod("p", 100, "4"), &nodes).unwrap().node, "b");
    }

    #[test]
    fn while_its_victims_leave_a_pod_has_no_others_evicted() {
        let leaving = |condition: serde_json::Value| {
            let mut object = (*pod("x", 1, "4").pod).clone();
            object.metadata.deletion_timestamp =
                serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
            let status = json!({"conditions": [condition]});
            object.status = Some(serde_json::from_value(status).unwrap());
            PodInfo::new(Arc::new(object))
        };
        let condition =
            |reason: &str| json!({"type": "DisruptionTarget", "status": "True", "reason": reason});
        let attempt = |nominated: &str, reason: &str| {
            let nodes = [
                node("a", vec![leaving(condition(reason))]),
                node("b", vec![pod("y", 1, "4")]),
            ];
            attempt_with(
                Storage::default(),
                Budgets::default(),
                Some(nominated),
                &pod("p", 100, "2"),
                &nodes,
            )
        };
        assert_eq!(
            attempt("a", "PreemptionByScheduler").unwrap_err(),
            "not eligible due to a terminating pod on the nominated node."
        );
        assert!(attempt("b", "PreemptionByScheduler").is_ok());
        assert!(attempt("gone", "PreemptionByScheduler").is_ok());
        assert!(attempt("a", "EvictionByEvictionAPI").is_ok());
    }

    /// `calculateNumCandidates`.
    #[test]
    fn of_many_nodes_some_are_enough_to_choose_from() {
        assert_eq!(enough_candidates(0), 0);
        assert_eq!(enough_candidates(50), 50);
        assert_eq!(enough_candidates(500), 100);
        assert_eq!(enough_candidates(5_000), 500);
    }

    /// What a pod wants to be far from goes, wherever it is on the node.
    #[test]
    fn a_pod_that_others_are_in_the_way_of_has_them_evicted() {
        let labels = json!({"kubernetes.io/hostname": "a"});
        let object = json!({"metadata": {"name": "a", "labels": labels},
            "status": {"allocatable": {"cpu": "4", "memory": "1Gi", "pods": "10"}}});
        let mut info = NodeInfo::named("a");
        info.set_node(Arc::new(serde_json::from_value(object).unwrap()));
        let term = json!({"topologyKey": "kubernetes.io/hostname",
            "labelSelector": {"matchLabels": {"app": "db"}}});
        let loner = |name: &str, priority: i32, label: &str| {
            let object = json!({"metadata": {"namespace": "d", "name": name, "uid": name,
                    "labels": {"app": label}},
                "spec": {"priority": priority, "containers": [], "affinity": {"podAntiAffinity":
                    {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}});
            PodInfo::new(Arc::new(serde_json::from_value(object).unwrap()))
        };
        for pod in [loner("x", 1, "db"), pod("y", 1, "1")] {
            info.add_pod(Arc::new(pod));
        }
        let nodes = [Arc::new(info)];
        let found = attempt(&loner("p", 100, "db"), &nodes).unwrap();
        let names: Vec<_> = found.victims.iter().map(|v| &v.key.name).collect();
        assert_eq!(names, ["x"]);
    }
}
