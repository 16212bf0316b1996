//! Label keys whose values a pod's selectors take from the pod itself.

use super::super::field::{Errors, Path};
use super::super::json::{entries, get, has, list, list_mut, object_mut, set_default, text};
use super::affinity::{PREFERRED, REQUIRED};
use hardway_proto::names;
use serde_json::{Value, json};
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
pub fn check_term(e: &mut Errors, path: &Path, term: &Value) {
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
    check_selector(e, path, term);
    let others: BTreeSet<&str> = keys(term, "mismatchLabelKeys").collect();
    for (i, key) in keys(term, "matchLabelKeys").enumerate() {
        if others.contains(key) {
            let detail = "exists in both matchLabelKeys and mismatchLabelKeys";
            e.invalid(&path.child("matchLabelKeys").index(i), key, detail);
        }
    }
}

/// A key may not be in the selector, too: where it is there twice, one is of the client, the
/// other of [`merge`].
fn check_selector(e: &mut Errors, path: &Path, term: &Value) {
    let selector = get(term, "labelSelector");
    let indexes: HashMap<&str, usize> = keys(term, "matchLabelKeys")
        .enumerate()
        .map(|(i, key)| (key, i))
        .collect();
    let mut seen: BTreeSet<&str> = entries(selector, "matchLabels")
        .map(|(key, _)| key.as_str())
        .collect();
    for expression in list(selector, "matchExpressions") {
        let key = text(expression, "key");
        if let Some(index) = indexes.get(key).filter(|_| seen.contains(key)) {
            // As Kubernetes names it.
            e.invalid(&path.index(*index), key, TWICE);
        }
        seen.insert(key);
    }
}

/// Has the affinities of a new pod to other pods select by the values that it has itself of
/// its terms' keys (`mutatePodAffinity` of `pkg/registry/core/pod`). A key of which it has no
/// label says nothing, nor do any where there is no selector: that means no pods.
pub fn merge(pod: &mut Value) {
    let labels = get(get(pod, "metadata"), "labels").clone();
    let Some(affinity) = object_mut(pod, "spec").and_then(|spec| object_mut(spec, "affinity"))
    else {
        return;
    };
    for kind in ["podAffinity", "podAntiAffinity"] {
        let Some(pods) = object_mut(affinity, kind) else {
            continue;
        };
        for preference in list_mut(pods, PREFERRED) {
            if let Some(term) = object_mut(preference, "podAffinityTerm") {
                merge_term(term, &labels);
            }
        }
        for term in list_mut(pods, REQUIRED) {
            merge_term(term, &labels);
        }
    }
}

fn merge_term(term: &mut Value, labels: &Value) {
    let mut added = Vec::new();
    for (field, operator) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
        for key in keys(term, field).filter(|key| has(labels, key)) {
            let value = text(labels, key);
            added.push(json!({"key": key, "operator": operator, "values": [value]}));
        }
    }
    let Some(selector) = object_mut(term, "labelSelector").filter(|_| !added.is_empty()) else {
        return;
    };
    set_default(selector, "matchExpressions", json!([]));
    let expressions = selector.get_mut("matchExpressions");
    if let Some(expressions) = expressions.and_then(Value::as_array_mut) {
        expressions.extend(added);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expression(key: &str, operator: &str, value: &str) -> Value {
        json!({"key": key, "operator": operator, "values": [value]})
    }

    /// A pod with a term in each of the four places.
    fn pod(term: &Value) -> Value {
        let terms = json!({REQUIRED: [term], PREFERRED: [{"weight": 10, "podAffinityTerm": term}]});
        json!({
            "metadata": {"name": "a", "labels": {"country": "Japan", "city": "Kyoto"}},
            "spec": {"affinity": {"podAffinity": terms, "podAntiAffinity": terms}},
        })
    }

    fn merged(term: Value) -> Value {
        let mut merged = pod(&term);
        merge(&mut merged);
        let affinity = &merged["spec"]["affinity"];
        let first = affinity["podAffinity"][REQUIRED][0].clone();
        assert_eq!(merged, pod(&first), "all four alike");
        first
    }

    /// As in `Test_mutatePodAffinity` of Kubernetes' `pkg/registry/core/pod`.
    #[test]
    fn keys_become_expressions_of_the_selector() {
        let region = || expression("region", "In", "Asia");
        let selector = json!({"matchExpressions": [region()]});
        for (keys, added) in [
            (
                json!({"matchLabelKeys": ["country", "city"]}),
                vec![
                    expression("country", "In", "Japan"),
                    expression("city", "In", "Kyoto"),
                ],
            ),
            (
                json!({"mismatchLabelKeys": ["country", "city"]}),
                vec![
                    expression("country", "NotIn", "Japan"),
                    expression("city", "NotIn", "Kyoto"),
                ],
            ),
            (
                json!({"mismatchLabelKeys": ["city"], "matchLabelKeys": ["country"]}),
                vec![
                    expression("country", "In", "Japan"),
                    expression("city", "NotIn", "Kyoto"),
                ],
            ),
            (
                json!({"matchLabelKeys": ["city", "not-there"]}),
                vec![expression("city", "In", "Kyoto")],
            ),
            (json!({}), vec![]),
        ] {
            let mut term = keys.clone();
            term["labelSelector"] = selector.clone();
            let mut expected = term.clone();
            let expressions = [vec![region()], added].concat();
            expected["labelSelector"]["matchExpressions"] = json!(expressions);
            assert_eq!(merged(term), expected, "{keys}");
        }
    }

    #[test]
    fn a_selector_of_everything_is_narrowed_and_none_stays_none() {
        let narrowed = merged(json!({"labelSelector": {}, "matchLabelKeys": ["city"]}));
        let expected = json!([expression("city", "In", "Kyoto")]);
        assert_eq!(narrowed["labelSelector"]["matchExpressions"], expected);
        let untouched = json!({"labelSelector": {}, "matchLabelKeys": ["x"]});
        assert_eq!(merged(untouched.clone()), untouched);
        let none = json!({"matchLabelKeys": ["city"], "mismatchLabelKeys": ["country"]});
        assert_eq!(merged(none.clone()), none);
    }

    #[test]
    fn a_key_that_the_client_selects_by_as_well_is_told_of_once_merged() {
        let told = |term: Value| {
            let check = |e: &mut Errors| check_term(e, &Path::new("term"), &term);
            let causes = Errors::collect(check).into_iter();
            let texts = causes.map(|cause| format!("{}: {}", cause.field, cause.message));
            texts.collect::<Vec<_>>()
        };
        let twice = [format!("term[0]: Invalid value: \"city\": {TWICE}")];
        let by_label = json!({"matchLabels": {"city": "Kyoto"}});
        let by_expression = json!({"matchExpressions": [expression("city", "NotIn", "Nara")]});
        for selector in [by_label, by_expression] {
            let term = json!({"labelSelector": selector, "matchLabelKeys": ["city"]});
            // As templates and earlier pods have it.
            assert_eq!(told(term.clone()), [""; 0]);
            assert_eq!(told(merged(term)), twice);
            let term = json!({"labelSelector": selector, "mismatchLabelKeys": ["city"]});
            assert_eq!(told(merged(term)), [""; 0]);
        }
        let fine = json!({"labelSelector": {}, "matchLabelKeys": ["city"]});
        assert_eq!(told(merged(fine)), [""; 0]);
    }
}
