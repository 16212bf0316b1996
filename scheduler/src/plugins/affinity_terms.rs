//! What pod affinity and topology spreading share: which pods a selector means.

use crate::namespaces::selects;
use crate::pod_info::PodInfo;
use hardway_proto::Kind;
use hardway_proto::labels::Selector;
use k8s_openapi::api::core::v1::{Affinity, PodAffinityTerm};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// The names of the namespaces that a selector selects, as far as they matter. Asked only
/// where a term has one that doesn't simply select all.
pub type Select<'a> = &'a dyn Fn(&Selector) -> Vec<String>;

/// A pod affinity term, made ready to be matched.
#[derive(Clone, Debug)]
pub struct Term {
    selector: Selector,
    /// The names of those that it means, sorted.
    namespaces: Vec<String>,
    all_namespaces: bool,
    /// The label whose values are the domains.
    pub topology_key: String,
}

impl Term {
    /// From a term of `owner`. It means the namespaces that it names and those that its
    /// selector selects, or the owner's if it has neither.
    pub fn new(owner: &PodInfo, term: &PodAffinityTerm, select: Select<'_>) -> Self {
        let mut namespaces = term.namespaces.clone().unwrap_or_default();
        if namespaces.is_empty() && term.namespace_selector.is_none() {
            namespaces.push(owner.key.namespace.clone());
        }
        let others = selector(term.namespace_selector.as_ref());
        let all_namespaces = others.is_everything();
        if !all_namespaces && !others.is_nothing() {
            namespaces.extend(select(&others));
        }
        namespaces.sort_unstable();
        Self {
            selector: selector(term.label_selector.as_ref()),
            namespaces,
            all_namespaces,
            topology_key: term.topology_key.clone(),
        }
    }

    /// Whether a pod is one the term means.
    pub fn matches(&self, pod: &PodInfo) -> bool {
        (self.all_namespaces || self.namespaces.binary_search(&pod.key.namespace).is_ok())
            && selects(&self.selector, pod.pod.meta())
    }
}

/// What a label selector selects: nothing if there is none.
pub fn selector(selector: Option<&LabelSelector>) -> Selector {
    let selector = selector.map(Selector::from_label_selector);
    let selector = selector.and_then(Result::ok);
    selector.unwrap_or_else(Selector::nothing)
}

fn affinity(pod: &PodInfo) -> Option<&Affinity> {
    pod.spec()?.affinity.as_ref()
}

/// The pod's required affinity terms.
pub fn required_affinity(pod: &PodInfo, select: Select<'_>) -> Vec<Term> {
    let terms = affinity(pod)
        .and_then(|a| a.pod_affinity.as_ref())
        .and_then(|a| {
            a.required_during_scheduling_ignored_during_execution
                .as_ref()
        });
    terms
        .into_iter()
        .flatten()
        .map(|t| Term::new(pod, t, select))
        .collect()
}

/// The pod's required anti-affinity terms.
pub fn required_anti_affinity(pod: &PodInfo, select: Select<'_>) -> Vec<Term> {
    let terms = affinity(pod)
        .and_then(|a| a.pod_anti_affinity.as_ref())
        .and_then(|a| {
            a.required_during_scheduling_ignored_during_execution
                .as_ref()
        });
    terms
        .into_iter()
        .flatten()
        .map(|t| Term::new(pod, t, select))
        .collect()
}

/// The pod's preferred terms with their weights; anti-affinity's are negative.
pub fn preferred(pod: &PodInfo, select: Select<'_>) -> Vec<(i64, Term)> {
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
        .map(|(weight, t)| (weight, Term::new(pod, &t.pod_affinity_term, select)))
        .collect()
}
