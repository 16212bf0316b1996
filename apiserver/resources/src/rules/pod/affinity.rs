//! Where pods may and should go: affinities, tolerations, spreading.

use super::super::field::{Errors, Path};
use super::super::json::{get, has, int, list, text};
use super::super::labels;
use hardway_proto::names;
use serde_json::Value;
use std::collections::BTreeMap;

/// A `NodeSelector`, of pods and of persistent volumes.
pub fn check_node_selector(e: &mut Errors, path: &Path, selector: &Value) {
    let terms = list(selector, "nodeSelectorTerms");
    if terms.is_empty() {
        e.required(
            &path.child("nodeSelectorTerms"),
            "must have at least one node selector term",
        );
    }
    for (i, term) in terms.iter().enumerate() {
        check_term(e, &path.child("nodeSelectorTerms").index(i), term);
    }
}

fn check_term(e: &mut Errors, path: &Path, term: &Value) {
    for (i, expression) in list(term, "matchExpressions").iter().enumerate() {
        labels::check_expression(
            e,
            &path.child("matchExpressions").index(i),
            expression,
            true,
        );
    }
    for (i, field) in list(term, "matchFields").iter().enumerate() {
        let path = path.child("matchFields").index(i);
        if !["In", "NotIn"].contains(&text(field, "operator")) {
            e.invalid(
                &path.child("operator"),
                text(field, "operator"),
                "not a valid selector operator",
            );
        } else if list(field, "values").len() != 1 {
            e.required(
                &path.child("values"),
                "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
            );
        }
        if text(field, "key") != "metadata.name" {
            e.invalid(
                &path.child("key"),
                text(field, "key"),
                "not a valid field selector key",
            );
        }
    }
}

fn check_weight(e: &mut Errors, path: &Path, preference: &Value) {
    let weight = int(preference, "weight").unwrap_or_default();
    if !(1..=100).contains(&weight) {
        e.invalid(&path.child("weight"), weight, "must be in the range 1-100");
    }
}

fn check_pod_term(e: &mut Errors, path: &Path, term: &Value) {
    labels::check_selector(e, &path.child("labelSelector"), get(term, "labelSelector"));
    labels::check_selector(
        e,
        &path.child("namespaceSelector"),
        get(term, "namespaceSelector"),
    );
    for namespace in list(term, "namespaces") {
        let name = namespace.as_str().unwrap_or_default();
        // As Kubernetes names it.
        let problems = names::is_dns1123_label(name);
        e.each(&path.child("namespace"), name, problems);
    }
    let key = text(term, "topologyKey");
    let at = path.child("topologyKey");
    if key.is_empty() {
        e.required(&at, "can not be empty");
    }
    e.each(&at, key, names::is_qualified_name(key));
}

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// A pod's `affinity`.
pub fn check(e: &mut Errors, path: &Path, affinity: &Value) {
    let node = get(affinity, "nodeAffinity");
    let at = path.child("nodeAffinity");
    if has(node, REQUIRED) {
        check_node_selector(e, &at.child(REQUIRED), get(node, REQUIRED));
    }
    for (i, preference) in list(node, PREFERRED).iter().enumerate() {
        let at = at.child(PREFERRED).index(i);
        check_weight(e, &at, preference);
        check_term(e, &at.child("preference"), get(preference, "preference"));
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let pods = get(affinity, kind);
        let at = path.child(kind);
        for (i, term) in list(pods, REQUIRED).iter().enumerate() {
            check_pod_term(e, &at.child(REQUIRED).index(i), term);
        }
        for (i, preference) in list(pods, PREFERRED).iter().enumerate() {
            let at = at.child(PREFERRED).index(i);
            check_weight(e, &at, preference);
            check_pod_term(
                e,
                &at.child("podAffinityTerm"),
                get(preference, "podAffinityTerm"),
            );
        }
    }
}

/// A pod's `tolerations`.
pub fn check_tolerations(e: &mut Errors, path: &Path, tolerations: &[Value]) {
    for (i, toleration) in tolerations.iter().enumerate() {
        let path = path.index(i);
        let (key, operator) = (text(toleration, "key"), text(toleration, "operator"));
        let effect = text(toleration, "effect");
        if !key.is_empty() {
            e.each(&path.child("key"), key, names::is_qualified_name(key));
        } else if operator != "Exists" {
            e.invalid(
                &path.child("operator"),
                operator,
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
            );
        }
        if has(toleration, "tolerationSeconds") && effect != "NoExecute" {
            e.invalid(
                &path.child("effect"),
                effect,
                "effect must be 'NoExecute' when `tolerationSeconds` is set",
            );
        }
        let value = text(toleration, "value");
        let at = path.child("operator");
        match operator {
            "Equal" | "" => e.each(&at, value, names::is_label_value(value)),
            "Exists" => {
                if !value.is_empty() {
                    e.invalid(
                        &at,
                        toleration,
                        "value must be empty when `operator` is 'Exists'",
                    );
                }
            }
            other => e.not_supported(&at, other, &["Equal", "Exists"]),
        }
        e.one_of(
            &path.child("effect"),
            effect,
            &["NoSchedule", "PreferNoSchedule", "NoExecute"],
        );
    }
}

/// A pod's `topologySpreadConstraints`.
pub fn check_spread(e: &mut Errors, path: &Path, constraints: &[Value]) {
    let pair = |constraint| ["topologyKey", "whenUnsatisfiable"].map(|part| text(constraint, part));
    let pairs = constraints.iter().map(pair);
    let last: BTreeMap<[&str; 2], usize> = pairs.enumerate().map(|(i, pair)| (pair, i)).collect();
    for (i, constraint) in constraints.iter().enumerate() {
        let path = path.index(i);
        let skew = int(constraint, "maxSkew").unwrap_or_default();
        if skew <= 0 {
            e.invalid(&path.child("maxSkew"), skew, "must be greater than zero");
        }
        let (key, when) = (
            text(constraint, "topologyKey"),
            text(constraint, "whenUnsatisfiable"),
        );
        if key.is_empty() {
            e.required(&path.child("topologyKey"), "can not be empty");
        } else {
            e.each(
                &path.child("topologyKey"),
                key,
                names::is_qualified_name(key),
            );
        }
        if !["DoNotSchedule", "ScheduleAnyway"].contains(&when) {
            e.not_supported(
                &path.child("whenUnsatisfiable"),
                when,
                &["DoNotSchedule", "ScheduleAnyway"],
            );
        }
        // Told of all but the last.
        if last.get(&[key, when]).is_some_and(|last| *last > i) {
            let pair = format!("{{{key}, {when}}}");
            e.duplicate(&path.child("{topologyKey, whenUnsatisfiable}"), &pair);
        }
        if int(constraint, "minDomains").is_some_and(|n| n <= 0) {
            let n = int(constraint, "minDomains").unwrap_or_default();
            e.invalid(&path.child("minDomains"), n, "must be greater than zero");
        }
        for field in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            e.one_of(
                &path.child(field),
                text(constraint, field),
                &["Honor", "Ignore"],
            );
        }
        labels::check_selector(
            e,
            &path.child("labelSelector"),
            get(constraint, "labelSelector"),
        );
    }
}
