//! The disruption budgets of the cluster: whose pods preemption would rather leave alone.

use crate::namespaces::selects;
use crate::pod_info::PodInfo;
use hardway_client::{Client, Informer, Store};
use hardway_proto::Kind;
use hardway_proto::labels::Selector;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use std::collections::HashMap;
use std::sync::Arc;

/// All budgets that are known; clones share them.
#[derive(Clone, Default)]
pub struct Budgets(Store<PodDisruptionBudget>);

/// Follows the budgets of the cluster.
pub fn informer(client: &Client) -> Informer<PodDisruptionBudget> {
    Informer::new(client.all()).trim(|budget| {
        budget.metadata.annotations = None;
        if let Some(status) = &mut budget.status {
            status.conditions = None;
        }
    })
}

impl Budgets {
    /// Those that an informer keeps.
    pub fn kept_by(informer: &Informer<PodDisruptionBudget>) -> Self {
        Self(informer.store())
    }

    /// What they allow now.
    pub fn allowances(&self) -> Allowances<'_> {
        Allowances {
            budgets: self,
            of: HashMap::new(),
        }
    }
}

/// What budgets allow; each namespace's are read once.
pub struct Allowances<'a> {
    budgets: &'a Budgets,
    of: HashMap<String, Vec<Allowance>>,
}

struct Allowance {
    budget: Arc<PodDisruptionBudget>,
    selector: Selector,
    /// How many more pods may be evicted.
    evictions: i64,
}

impl Allowance {
    fn of(budget: Arc<PodDisruptionBudget>) -> Option<Self> {
        let selector = budget.spec.as_ref()?.selector.as_ref()?;
        let selector = Selector::from_label_selector(selector).ok()?;
        let allowed = budget.status.as_ref().map_or(0, |s| s.disruptions_allowed);
        // As in Kubernetes' preemption, one that selects everything protects nothing.
        (!selector.is_everything()).then_some(Self {
            budget,
            selector,
            evictions: allowed.into(),
        })
    }

    /// Whether evicting a pod takes one of the evictions; not if that is counted already.
    fn is_for(&self, pod: &PodInfo) -> bool {
        let status = self.budget.status.as_ref();
        let counted = status.and_then(|status| status.disrupted_pods.as_ref());
        selects(&self.selector, pod.pod.meta())
            && counted.is_none_or(|counted| !counted.contains_key(&pod.key.name))
    }
}

impl Allowances<'_> {
    /// For each of these pods whether a budget forbids its eviction, when those before it have
    /// been evicted (`filterPodsWithPDBViolation` in Kubernetes' preemption).
    pub fn forbid(&mut self, pods: &[Arc<PodInfo>]) -> Vec<bool> {
        if self.budgets.0.is_empty() {
            return vec![false; pods.len()];
        }
        let mut taken: HashMap<(&str, usize), i64> = HashMap::new();
        let mut forbid = Vec::with_capacity(pods.len());
        for pod in pods {
            let namespace = pod.key.namespace.as_str();
            if !self.of.contains_key(namespace) {
                let budgets = self.budgets.0.in_namespace(namespace).into_iter();
                let all = budgets.filter_map(Allowance::of).collect();
                self.of.insert(namespace.to_owned(), all);
            }
            let mut is_forbidden = false;
            let all = self.of.get(namespace).into_iter().flatten().enumerate();
            for (at, allowance) in all.filter(|(_, allowance)| allowance.is_for(pod)) {
                let taken = taken.entry((namespace, at)).or_default();
                *taken += 1;
                is_forbidden |= *taken > allowance.evictions;
            }
            forbid.push(is_forbidden);
        }
        forbid
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use serde_json::Value;

    /// Budgets made of JSON.
    pub fn budgets(all: Vec<Value>) -> Budgets {
        let budgets = Budgets::default();
        for budget in all {
            let budget = serde_json::from_value(budget).expect("a budget");
            budgets.0.insert(Arc::new(budget));
        }
        budgets
    }
}

#[cfg(test)]
mod tests {
    use super::testing::budgets;
    use super::*;
    use serde_json::{Value, json};

    fn budget(selector: Value, allowed: i32, disrupted: Value) -> Value {
        json!({"metadata": {"namespace": "d", "name": "b"}, "spec": {"selector": selector},
            "status": {"disruptionsAllowed": allowed, "disruptedPods": disrupted,
                "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1}})
    }

    fn pod(namespace: &str, name: &str, labels: Value) -> Arc<PodInfo> {
        let object = json!({"metadata": {"namespace": namespace, "name": name, "labels": labels},
            "spec": {"containers": []}});
        Arc::new(PodInfo::new(Arc::new(
            serde_json::from_value(object).unwrap(),
        )))
    }

    #[test]
    fn a_budget_forbids_what_is_more_than_it_allows() {
        let web = || json!({"app": "web"});
        let pods = [
            pod("d", "one", web()),
            pod("d", "other", json!({"app": "db"})),
            pod("elsewhere", "far", web()),
            pod("d", "two", web()),
            pod("d", "bare", Value::Null),
        ];
        let forbidden = |budget: Value| budgets(vec![budget]).allowances().forbid(&pods);
        let selector = || json!({"matchLabels": web()});
        let none = [false; 5];
        assert_eq!(
            forbidden(budget(selector(), 0, json!({}))),
            [true, false, false, true, false]
        );
        assert_eq!(
            forbidden(budget(selector(), 1, json!({}))),
            [false, false, false, true, false]
        );
        assert_eq!(forbidden(budget(selector(), 2, json!({}))), none);
        // That pod's eviction has been allowed, and is counted.
        let time = "2026-01-01T00:00:00Z";
        assert_eq!(forbidden(budget(selector(), 1, json!({"one": time}))), none);
        for everything in [json!({}), Value::Null] {
            assert_eq!(forbidden(budget(everything, 0, json!({}))), none);
        }
        assert_eq!(budgets(vec![]).allowances().forbid(&pods), none);
    }
}
