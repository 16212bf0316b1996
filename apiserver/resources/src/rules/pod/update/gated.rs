//! Pods that aren't scheduled yet may be told more closely where to go, never less.

use crate::rules::field::{Errors, Path};
use crate::rules::json::{entries, get, is_empty, list, remove, set};
use serde_json::{Value, json};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

fn node_affinity(spec: &Value) -> &Value {
    get(get(spec, "affinity"), "nodeAffinity")
}

/// Compares what two versions of a spec ask of nodes (`validateNodeSelectorMutation`,
/// `validateNodeAffinityMutation`).
pub fn check(e: &mut Errors, path: &Path, new: &Value, old: &Value) {
    let selector = get(new, "nodeSelector");
    if entries(old, "nodeSelector").any(|(label, value)| selector.get(label) != Some(value)) {
        let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
        e.invalid(&path.child("nodeSelector"), selector, detail);
    }
    if node_affinity(new) == node_affinity(old) {
        return;
    }
    let terms = |spec| list(get(node_affinity(spec), REQUIRED), "nodeSelectorTerms");
    let (after, before) = (terms(new), terms(old));
    if before.is_empty() {
        return;
    }
    let at = path.child("affinity.nodeAffinity").child(REQUIRED);
    let at = at.child("nodeSelectorTerms");
    if after.len() != before.len() {
        let detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        return e.invalid(&at, &Value::from(after), detail);
    }
    for (i, (new, old)) in after.iter().zip(before).enumerate() {
        if !only_adds(new, old) {
            let detail = "only additions are allowed (no mutations or deletions)";
            e.invalid(&at.index(i), new, detail);
        }
    }
}

/// Whether a term has all of another's requirements, in their order, and perhaps more. One
/// of none selects nothing, and stays so.
fn only_adds(new: &Value, old: &Value) -> bool {
    let fields = ["matchExpressions", "matchFields"];
    let is_nothing = |term| fields.iter().all(|field| list(term, field).is_empty());
    let begins_alike = |field: &&str| list(new, field).starts_with(list(old, field));
    match is_nothing(old) {
        true => is_nothing(new),
        false => fields.iter().all(begins_alike),
    }
}

/// Takes what has been compared from the old spec.
pub fn munge(spec: &mut Value, old: &Value) {
    set(spec, "nodeSelector", get(old, "nodeSelector").clone());
    if node_affinity(spec) == node_affinity(old) {
        return;
    }
    let mut affinity = get(spec, "affinity").clone();
    if affinity.is_null() {
        affinity = json!({});
    }
    match node_affinity(old) {
        Value::Null => drop(remove(&mut affinity, "nodeAffinity")),
        before => set(&mut affinity, "nodeAffinity", before.clone()),
    }
    // An affinity of nothing else is none, as it was before.
    if is_empty(&affinity) && get(old, "affinity").is_null() {
        affinity = Value::Null;
    }
    set(spec, "affinity", affinity);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(new: &Value, old: &Value) -> Vec<String> {
        let causes = Errors::collect(|e| check(e, &Path::new("spec"), new, old));
        let texts = causes.iter().map(|c| format!("{}: {}", c.field, c.message));
        texts.collect()
    }

    fn with(terms: Value) -> Value {
        json!({"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": terms}}}})
    }

    #[test]
    fn a_selector_is_added_to() {
        let old = json!({"nodeSelector": {"a": "b"}});
        let more = json!({"nodeSelector": {"a": "b", "c": "d"}});
        assert_eq!(told(&more, &old), [""; 0]);
        assert_eq!(told(&old, &json!({})), [""; 0]);
        assert_eq!(
            told(&old, &more),
            [
                r#"spec.nodeSelector: Invalid value: {"a":"b"}: only additions to spec.nodeSelector are allowed (no mutations or deletions)"#
            ]
        );
    }

    #[test]
    fn terms_are_added_to_but_not_their_list() {
        let [one, other] = ["a", "b"].map(|key| json!({"key": key, "operator": "Exists"}));
        let old = with(json!([{"matchExpressions": [one]}]));
        let at = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
        assert_eq!(told(&old, &json!({})), [""; 0]);
        let more = with(json!([{"matchExpressions": [one, other]}]));
        assert_eq!(told(&more, &old), [""; 0]);
        let less = told(&old, &more);
        assert_eq!(less.len(), 1);
        assert!(less[0].starts_with(&format!("{at}[0]: Invalid value: ")));
        assert!(less[0].ends_with("only additions are allowed (no mutations or deletions)"));
        let two = with(json!([{"matchExpressions": [one]}, {"matchExpressions": [other]}]));
        assert!(told(&two, &old)[0].starts_with(&format!("{at}: Invalid value: ")));
        // A term of no requirements selects nothing, and has to go on doing so.
        let nothing = with(json!([{}]));
        assert_eq!(told(&old, &nothing).len(), 1);
    }

    #[test]
    fn all_else_of_an_affinity_stays() {
        let old = json!({"affinity": {"podAffinity": {REQUIRED: []}}});
        let mut new = old.clone();
        new["affinity"]["nodeAffinity"] = json!({REQUIRED: {"nodeSelectorTerms": []}});
        munge(&mut new, &old);
        assert_eq!(new["affinity"], old["affinity"]);
        let mut new = with(json!([]));
        munge(&mut new, &json!({}));
        assert_eq!(new["affinity"], Value::Null);
        let mut new = json!({});
        let old = with(json!([]));
        munge(&mut new, &old);
        assert_eq!(new["affinity"], old["affinity"]);
    }
}
