//! Label keys whose values a pod's selectors take from the pod itself.

use super::super::field::{Errors, Path};
use super::super::json::{entries, get, has, list, text};
use super::options::Options;
use hardway_proto::names;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};

const TWICE: &str = "exists in both matchLabelKeys and labelSelector";

fn keys<'a>(bearer: &'a Value, field: &str) -> impl Iterator<Item = &'a str> {
    list(bearer, field).iter().filter_map(Value::as_str)
}

/// Keys that a selector names.
fn selected(selector: &Value) -> impl Iterator<Item = &str> {
    let expressions = list(selector, "matchExpressions").iter();
    let labels = entries(selector, "matchLabels").map(|(key, _)| key.as_str());
    labels.chain(expressions.map(|expression| text(expression, "key")))
}

/// Those of a spreading constraint (`validateMatchLabelKeysInTopologySpread`).
pub fn check_constraint(e: &mut Errors, path: &Path, constraint: &Value) {
    let path = path.child("matchLabelKeys");
    let selector = get(constraint, "labelSelector");
    let selected: BTreeSet<&str> = selected(selector).collect();
    if selector.is_null() && !list(constraint, "matchLabelKeys").is_empty() {
        e.forbidden(&path, "must not be specified when labelSelector is not set");
    }
    for (i, key) in keys(constraint, "matchLabelKeys").enumerate() {
        let at = path.index(i);
        e.each(&at, key, names::is_qualified_name(key));
        if selected.contains(key) {
            e.invalid(&at, key, TWICE);
        }
    }
}

/// Those of an affinity to other pods (`validateMatchLabelKeysAndMismatchLabelKeys`).
pub fn check_term(e: &mut Errors, path: &Path, term: &Value, options: Options) {
    const FIELDS: [&str; 2] = ["matchLabelKeys", "mismatchLabelKeys"];
    let selector = get(term, "labelSelector");
    for field in FIELDS
        .into_iter()
        .filter(|field| !list(term, field).is_empty())
    {
        let path = path.child(field);
        if selector.is_null() {
            e.forbidden(&path, "must not be specified when labelSelector is not set");
            continue;
        }
        for (i, key) in keys(term, field).enumerate() {
            e.each(&path.index(i), key, names::is_qualified_name(key));
        }
    }
    if !selector.is_null() {
        check_selector(e, path, term, options);
    }
    let others: BTreeSet<&str> = keys(term, "mismatchLabelKeys").collect();
    for (i, key) in keys(term, "matchLabelKeys").enumerate() {
        if others.contains(key) {
            let detail = "exists in both matchLabelKeys and mismatchLabelKeys";
            e.invalid(&path.child("matchLabelKeys").index(i), key, detail);
        }
    }
}

/// A key may not be in the selector, too. Kubernetes adds an expression for each key of
/// which a new pod has the label, and looks for a key that is there twice then.
fn check_selector(e: &mut Errors, path: &Path, term: &Value, options: Options) {
    let selector = get(term, "labelSelector");
    let labels = options.pod.filter(|_| options.is_new);
    let labels = labels.map(|metadata| get(metadata, "labels"));
    let indexes: HashMap<&str, usize> = keys(term, "matchLabelKeys")
        .enumerate()
        .map(|(i, key)| (key, i))
        .collect();
    let mut seen: BTreeSet<&str> = entries(selector, "matchLabels")
        .map(|(key, _)| key.as_str())
        .collect();
    let expressions = list(selector, "matchExpressions").iter();
    let added = keys(term, "matchLabelKeys").chain(keys(term, "mismatchLabelKeys"));
    let added = added.filter(|key| labels.is_some_and(|labels| has(labels, key)));
    for key in expressions
        .map(|expression| text(expression, "key"))
        .chain(added)
    {
        if let Some(index) = indexes.get(key).filter(|_| seen.contains(key)) {
            // As Kubernetes names it.
            e.invalid(&path.index(*index), key, TWICE);
        }
        seen.insert(key);
    }
}
