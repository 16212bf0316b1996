//! Where pods may and should go: affinities, tolerations, spreading.

use super::super::field::{Errors, Path};
use super::super::json::{get, has, int, list, text};
use super::super::labels;
use super::label_keys;
use super::options::Options;
use hardway_proto::names;
use serde_json::Value;
use std::collections::BTreeMap;

/// A `NodeSelector`, of pods and of persistent volumes; any values may be let pass.
pub fn check_node_selector(e: &mut Errors, path: &Path, selector: &Value, any_values: bool) {
    let terms = list(selector, "nodeSelectorTerms");
    if terms.is_empty() {
        e.required(
            &path.child("nodeSelectorTerms"),
            "must have at least one node selector term",
        );
    }
    for (i, term) in terms.iter().enumerate() {
        let path = path.child("nodeSelectorTerms").index(i);
        check_term(e, &path, term, any_values);
    }
}

/// Whether a `NodeSelector` asks for values that no label can have.
pub fn has_invalid_values(selector: &Value) -> bool {
    let terms = list(selector, "nodeSelectorTerms").iter();
    let mut expressions = terms.flat_map(|term| list(term, "matchExpressions"));
    expressions.any(|expression| {
        let values = |e: &mut Errors| labels::check_values(e, &Path::default(), expression);
        !Errors::collect(values).is_empty()
    })
}

/// What a pod requires of its node.
pub fn required_nodes(spec: &Value) -> &Value {
    get(get(get(spec, "affinity"), "nodeAffinity"), REQUIRED)
}

fn check_term(e: &mut Errors, path: &Path, term: &Value, any_values: bool) {
    for (i, expression) in list(term, "matchExpressions").iter().enumerate() {
        let path = path.child("matchExpressions").index(i);
        labels::check_expression(e, &path, expression, true);
        if !any_values {
            labels::check_values(e, &path, expression);
        }
    }
    for (i, field) in list(term, "matchFields").iter().enumerate() {
        check_field(e, &path.child("matchFields").index(i), field);
    }
}

/// A requirement of a node's fields, of which there is its name.
fn check_field(e: &mut Errors, path: &Path, field: &Value) {
    let (at, values) = (path.child("values"), list(field, "values"));
    let operator = text(field, "operator");
    if !["In", "NotIn"].contains(&operator) {
        let detail = "not a valid selector operator";
        e.invalid(&path.child("operator"), operator, detail);
    } else if values.len() != 1 {
        e.required(
            &at,
            "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
        );
    }
    let key = text(field, "key");
    if key != "metadata.name" {
        let detail = "not a valid field selector key";
        return e.invalid(&path.child("key"), key, detail);
    }
    for (i, value) in values.iter().enumerate() {
        let value = value.as_str().unwrap_or_default();
        e.each(&at.index(i), value, names::is_dns1123_subdomain(value));
    }
}

fn check_weight(e: &mut Errors, path: &Path, preference: &Value) {
    let weight = int(preference, "weight").unwrap_or_default();
    if !(1..=100).contains(&weight) {
        e.invalid(&path.child("weight"), weight, "must be in the range 1-100");
    }
}

fn check_selectors(e: &mut Errors, path: &Path, term: &Value, any_values: bool) {
    for field in ["labelSelector", "namespaceSelector"] {
        labels::check_selector_with(e, &path.child(field), get(term, field), any_values);
    }
}

fn check_pod_term(e: &mut Errors, path: &Path, term: &Value, options: Options) {
    check_selectors(e, path, term, options.any_selector_values);
    for namespace in list(term, "namespaces") {
        let name = namespace.as_str().unwrap_or_default();
        // As Kubernetes names it.
        let problems = names::is_dns1123_label(name);
        e.each(&path.child("namespace"), name, problems);
    }
    label_keys::check_term(e, path, term);
    let key = text(term, "topologyKey");
    let at = path.child("topologyKey");
    if key.is_empty() {
        e.required(&at, "can not be empty");
    }
    e.each(&at, key, names::is_qualified_name(key));
}

/// Where what is required of other pods or nodes is said, and what is wished for.
pub const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
pub const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// A pod's `affinity`.
pub fn check(e: &mut Errors, path: &Path, affinity: &Value, options: Options) {
    let node = get(affinity, "nodeAffinity");
    let at = path.child("nodeAffinity");
    if has(node, REQUIRED) {
        let any_values = options.any_node_values;
        check_node_selector(e, &at.child(REQUIRED), get(node, REQUIRED), any_values);
    }
    for (i, preference) in list(node, PREFERRED).iter().enumerate() {
        let at = at.child(PREFERRED).index(i);
        check_weight(e, &at, preference);
        // What no label can be is only of no use here.
        check_term(
            e,
            &at.child("preference"),
            get(preference, "preference"),
            true,
        );
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let pods = get(affinity, kind);
        let at = path.child(kind);
        for (i, term) in list(pods, REQUIRED).iter().enumerate() {
            check_pod_term(e, &at.child(REQUIRED).index(i), term, options);
        }
        for (i, preference) in list(pods, PREFERRED).iter().enumerate() {
            let at = at.child(PREFERRED).index(i);
            check_weight(e, &at, preference);
            let term = get(preference, "podAffinityTerm");
            check_pod_term(e, &at.child("podAffinityTerm"), term, options);
        }
    }
}

/// The selectors in a pod's affinities to other pods, by themselves.
pub fn check_pod_selectors(e: &mut Errors, path: &Path, spec: &Value) {
    for kind in ["podAffinity", "podAntiAffinity"] {
        let pods = get(get(spec, "affinity"), kind);
        let preferred = list(pods, PREFERRED).iter();
        let preferred = preferred.map(|preference| get(preference, "podAffinityTerm"));
        for term in list(pods, REQUIRED).iter().chain(preferred) {
            check_selectors(e, path, term, false);
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
            "Equal" | "" => {
                let problems = names::is_label_value(value);
                if !problems.is_empty() {
                    e.invalid(&at, value, &problems.join(";"));
                }
            }
            "Exists" => {
                if !value.is_empty() {
                    let detail = "value must be empty when `operator` is 'Exists'";
                    e.invalid(&at, value, detail);
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
pub fn check_spread(e: &mut Errors, path: &Path, constraints: &[Value], options: Options) {
    let pair = |constraint| ["topologyKey", "whenUnsatisfiable"].map(|part| text(constraint, part));
    let pairs = constraints.iter().map(pair);
    let last: BTreeMap<[&str; 2], usize> = pairs.enumerate().map(|(i, pair)| (pair, i)).collect();
    for (i, constraint) in constraints.iter().enumerate() {
        let path = path.index(i);
        let skew = int(constraint, "maxSkew").unwrap_or_default();
        if skew <= 0 {
            e.invalid(&path.child("maxSkew"), skew, "must be greater than zero");
        }
        let [key, when] = pair(constraint);
        if key.is_empty() {
            e.required(&path.child("topologyKey"), "can not be empty");
        }
        let actions = ["DoNotSchedule", "ScheduleAnyway"];
        if !actions.contains(&when) {
            e.not_supported(&path.child("whenUnsatisfiable"), when, &actions);
        }
        // Told of all but the last.
        if last.get(&[key, when]).is_some_and(|last| *last > i) {
            let pair = format!("{{{key}, {when}}}");
            e.duplicate(&path.child("{topologyKey, whenUnsatisfiable}"), &pair);
        }
        if let Some(domains) = int(constraint, "minDomains") {
            min_domains(e, &path.child("minDomains"), domains, when);
        }
        for field in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            let policies = ["Honor", "Ignore"];
            if let Some(policy) = get(constraint, field).as_str()
                && !policies.contains(&policy)
            {
                e.not_supported(&path.child(field), policy, &policies);
            }
        }
        label_keys::check_constraint(e, &path, constraint);
        if !options.any_spread_selectors {
            let selector = get(constraint, "labelSelector");
            labels::check_selector(e, &path.child("labelSelector"), selector);
        }
    }
}

fn min_domains(e: &mut Errors, path: &Path, domains: i64, when: &str) {
    if domains <= 0 {
        e.invalid(path, domains, "must be greater than zero");
    }
    if when != "DoNotSchedule" {
        let detail =
            format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {when}");
        e.invalid(path, domains, &detail);
    }
}

/// The selectors of a pod's spreading constraints, by themselves.
pub fn check_spread_selectors(e: &mut Errors, path: &Path, spec: &Value) {
    for constraint in list(spec, "topologySpreadConstraints") {
        labels::check_selector(e, path, get(constraint, "labelSelector"));
    }
}
