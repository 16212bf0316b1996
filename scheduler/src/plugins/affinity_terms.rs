//! What pod affinity and topology spreading share: which pods a selector means.

use crate::pod_info::PodInfo;
use hardway_proto::Kind;
use hardway_proto::labels::{Operator, Requirement, Selector};
use k8s_openapi::api::core::v1::{Affinity, PodAffinityTerm};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// A pod affinity term, made ready to be matched.
#[derive(Clone, Debug)]
pub struct Term {
    selector: Selector,
    namespaces: Vec<String>,
    /// An empty namespaceSelector means every namespace.
    all_namespaces: bool,
    /// The label whose values are the domains.
    pub topology_key: String,
}

impl Term {
    /// From a term of `owner`.
    pub fn new(owner: &PodInfo, term: &PodAffinityTerm) -> Self {
        let mut namespaces = term.namespaces.clone().unwrap_or_default();
        if namespaces.is_empty() && term.namespace_selector.is_none() {
            namespaces.push(owner.key.namespace.clone());
        }
        let selector = selector(
            owner,
            term.label_selector.as_ref(),
            term.match_label_keys.as_deref().unwrap_or_default(),
        );
        Self {
            selector,
            namespaces,
            all_namespaces: term.namespace_selector.is_some(),
            topology_key: term.topology_key.clone(),
        }
    }

    /// Whether a pod is one the term means.
    pub fn matches(&self, pod: &PodInfo) -> bool {
        (self.all_namespaces || self.namespaces.contains(&pod.key.namespace))
            && selects(&self.selector, pod)
    }
}

/// A label selector narrowed to the owner's own values of some label keys.
pub fn selector(owner: &PodInfo, base: Option<&LabelSelector>, keys: &[String]) -> Selector {
    let Some(base) = base else {
        return Selector::nothing();
    };
    let Ok(selector) = Selector::from_label_selector(base) else {
        return Selector::nothing();
    };
    let labels = owner.pod.meta().labels.as_ref();
    let mut requirements = selector.requirements().to_vec();
    for key in keys {
        if let Some(value) = labels.and_then(|l| l.get(key))
            && let Ok(requirement) = Requirement::new(key, Operator::In, vec![value.clone()])
        {
            requirements.push(requirement);
        }
    }
    Selector::of(requirements)
}

/// Whether a selector matches a pod's labels.
pub fn selects(selector: &Selector, pod: &PodInfo) -> bool {
    match &pod.pod.meta().labels {
        Some(labels) => selector.matches(labels),
        None => selector.matches_with(|_| None),
    }
}

fn affinity(pod: &PodInfo) -> Option<&Affinity> {
    pod.spec()?.affinity.as_ref()
}

/// The pod's required affinity terms.
pub fn required_affinity(pod: &PodInfo) -> Vec<Term> {
    let terms = affinity(pod)
        .and_then(|a| a.pod_affinity.as_ref())
        .and_then(|a| {
            a.required_during_scheduling_ignored_during_execution
                .as_ref()
        });
    terms
        .into_iter()
        .flatten()
        .map(|t| Term::new(pod, t))
        .collect()
}

/// The pod's required anti-affinity terms.
pub fn required_anti_affinity(pod: &PodInfo) -> Vec<Term> {
    let terms = affinity(pod)
        .and_then(|a| a.pod_anti_affinity.as_ref())
        .and_then(|a| {
            a.required_during_scheduling_ignored_during_execution
                .as_ref()
        });
    terms
        .into_iter()
        .flatten()
        .map(|t| Term::new(pod, t))
        .collect()
}

/// The pod's preferred terms with their weights; anti-affinity's are negative.
pub fn preferred(pod: &PodInfo) -> Vec<(i64, Term)> {
    let near = affinity(pod)
        .and_then(|a| a.pod_affinity.as_ref())
        .and_then(|a| {
            a.preferred_during_scheduling_ignored_during_execution
                .as_ref()
        });
    let far = affinity(pod)
        .and_then(|a| a.pod_anti_affinity.as_ref())
        .and_then(|a| {
            a.preferred_during_scheduling_ignored_during_execution
                .as_ref()
        });
    let near = near.into_iter().flatten().map(|t| (i64::from(t.weight), t));
    let far = far.into_iter().flatten().map(|t| (-i64::from(t.weight), t));
    near.chain(far)
        .map(|(weight, t)| (weight, Term::new(pod, &t.pod_affinity_term)))
        .collect()
}
