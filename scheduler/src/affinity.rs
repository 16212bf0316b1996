//! What a pod wishes about other pods: to be near some of them, or far from some.

use crate::namespaces::{Namespaces, selects};
use crate::pod_info::PodInfo;
use crate::pod_set::{PodSet, selector};
use hardway_proto::Kind;
use hardway_proto::labels::Selector;
use k8s_openapi::api::core::v1::{Pod, PodAffinityTerm, WeightedPodAffinityTerm};

/// A pod's wishes about other pods, made ready to be matched: they are looked at for each pod
/// that is to be placed beside it.
#[derive(Clone, Debug, Default)]
pub struct Affinity {
    /// The terms of required affinity.
    pub required: Vec<Term>,
    /// The terms of required anti-affinity.
    pub required_anti: Vec<Term>,
    /// The preferred terms with their weights; those of anti-affinity are negative.
    pub preferred: Vec<(i64, Term)>,
}

/// One of its terms.
#[derive(Clone, Debug)]
pub struct Term {
    selector: Selector,
    /// The names of namespaces that it means, sorted.
    namespaces: Vec<String>,
    /// It means those, too, whose labels this matches.
    by_label: Selector,
    /// The label whose values are the domains.
    pub topology_key: String,
}

impl Affinity {
    /// A pod's; `None` if it has no such wishes.
    pub fn of(pod: &Pod) -> Option<Self> {
        let affinity = pod.spec.as_ref()?.affinity.as_ref()?;
        let (near, far) = (&affinity.pod_affinity, &affinity.pod_anti_affinity);
        if near.is_none() && far.is_none() {
            return None;
        }
        let home = pod.namespace();
        let terms = |terms: Option<&Vec<PodAffinityTerm>>| -> Vec<Term> {
            let terms = terms.into_iter().flatten();
            terms.map(|term| Term::new(home, term)).collect()
        };
        let weighted = |terms: Option<&Vec<WeightedPodAffinityTerm>>, sign: i64| -> Vec<_> {
            let terms = terms.into_iter().flatten();
            let weighted = terms.map(|term| {
                let weight = sign * i64::from(term.weight);
                (weight, Term::new(home, &term.pod_affinity_term))
            });
            weighted.collect()
        };
        let (near, far) = (near.as_ref(), far.as_ref());
        let required = near.and_then(|a| {
            a.required_during_scheduling_ignored_during_execution
                .as_ref()
        });
        let required_anti = far.and_then(|a| {
            a.required_during_scheduling_ignored_during_execution
                .as_ref()
        });
        let liked = near.and_then(|a| {
            a.preferred_during_scheduling_ignored_during_execution
                .as_ref()
        });
        let disliked = far.and_then(|a| {
            a.preferred_during_scheduling_ignored_during_execution
                .as_ref()
        });
        let mut preferred = weighted(liked, 1);
        preferred.extend(weighted(disliked, -1));
        Some(Self {
            required: terms(required),
            required_anti: terms(required_anti),
            preferred,
        })
    }
}

impl Term {
    /// Of a pod in a namespace. It means pods in the namespaces that it names and in those that
    /// its selector selects, or in the pod's own if it has neither.
    fn new(home: &str, term: &PodAffinityTerm) -> Self {
        let mut namespaces = term.namespaces.clone().unwrap_or_default();
        if namespaces.is_empty() && term.namespace_selector.is_none() {
            namespaces.push(home.to_owned());
        }
        namespaces.sort_unstable();
        Self {
            selector: selector(term.label_selector.as_ref()),
            namespaces,
            by_label: selector(term.namespace_selector.as_ref()),
            topology_key: term.topology_key.clone(),
        }
    }

    /// Whether it means a pod.
    pub fn means(&self, pod: &PodInfo, namespaces: &Namespaces) -> bool {
        selects(&self.selector, pod.pod.meta())
            && (self.names(&pod.key.namespace)
                || self.by_label.is_everything()
                || !self.by_label.is_nothing()
                    && selects(&self.by_label, &namespaces.get(&pod.key.namespace).metadata))
    }

    fn names(&self, namespace: &str) -> bool {
        let names = &self.namespaces;
        names
            .binary_search_by(|name| name.as_str().cmp(namespace))
            .is_ok()
    }

    /// All pods that it means, as namespaces are labelled now.
    pub fn pods(&self, namespaces: &Namespaces) -> PodSet {
        let names = match (self.by_label.is_everything(), self.by_label.is_nothing()) {
            (true, _) => None,
            (_, true) => Some(self.namespaces.clone()),
            _ => {
                let selected = namespaces.selected(&self.by_label);
                Some([self.namespaces.as_slice(), &selected].concat())
            }
        };
        PodSet::new(names, self.selector.clone())
    }
}
