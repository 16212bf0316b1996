//! Which pods somebody means by namespaces and a selector of labels.

use crate::namespaces::selects;
use crate::pod_info::PodInfo;
use hardway_proto::Kind;
use hardway_proto::labels::Selector;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// Pods of some namespaces whose labels a selector matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSet {
    /// Sorted names; `None` for all namespaces.
    namespaces: Option<Vec<String>>,
    selector: Selector,
}

impl PodSet {
    /// Those of these namespaces, or of all.
    pub fn new(namespaces: Option<Vec<String>>, selector: Selector) -> Self {
        let sorted = |mut names: Vec<String>| {
            names.sort_unstable();
            names
        };
        Self {
            namespaces: namespaces.map(sorted),
            selector,
        }
    }

    /// Whether a pod is one of them.
    pub fn contains(&self, pod: &PodInfo) -> bool {
        let is_there = |names: &Vec<String>| names.binary_search(&pod.key.namespace).is_ok();
        self.namespaces.as_ref().is_none_or(is_there) && selects(&self.selector, pod.pod.meta())
    }
}

/// What a label selector selects: nothing if there is none.
pub fn selector(selector: Option<&LabelSelector>) -> Selector {
    let selector = selector.map(Selector::from_label_selector);
    let selector = selector.and_then(Result::ok);
    selector.unwrap_or_else(Selector::nothing)
}
