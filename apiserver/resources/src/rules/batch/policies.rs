//! Policies of Jobs: what a failed pod means, and which successes are enough.

use super::super::field::{Errors, Path};
use super::super::json::{get, has, int, is_empty, list, text};
use super::indexes;
use hardway_proto::names;
use serde_json::Value;
use std::collections::BTreeSet;

const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];
const OPERATORS: [&str; 2] = ["In", "NotIn"];
const STATUSES: [&str; 3] = ["False", "True", "Unknown"];
const MAX_RULES: usize = 20;
const MAX_PATTERNS: usize = 20;
const MAX_EXIT_CODES: usize = 255;
/// How long the indexes of a success may be, in bytes.
const MAX_INDEXES: usize = 64 * 1024;

/// One of a few words, that has to be there.
fn word(e: &mut Errors, path: &Path, value: &str, known: &[&str]) {
    if value.is_empty() {
        let known: Vec<String> = known.iter().map(|word| format!("{word:?}")).collect();
        return e.required(path, &format!("valid values: [{}]", known.join(" ")));
    }
    e.one_of(path, value, known);
}

/// `podFailurePolicy`
pub(super) fn failure(e: &mut Errors, path: &Path, spec: &Value) {
    let (rules, at) = (
        list(get(spec, "podFailurePolicy"), "rules"),
        path.child("rules"),
    );
    if rules.len() > MAX_RULES {
        e.too_many(&at, rules.len(), MAX_RULES);
    }
    // Each looks at all containers; of too many enough was said.
    for (i, rule) in rules.iter().take(MAX_RULES).enumerate() {
        failure_rule(e, &at.index(i), rule, spec);
    }
}

fn failure_rule(e: &mut Errors, path: &Path, rule: &Value, spec: &Value) {
    let (at, action) = (path.child("action"), text(rule, "action"));
    word(e, &at, action, &ACTIONS);
    if action == "FailIndex" && !has(spec, "backoffLimitPerIndex") {
        e.invalid(&at, action, "requires the backoffLimitPerIndex to be set");
    }
    let (codes, conditions) = (get(rule, "onExitCodes"), list(rule, "onPodConditions"));
    if !codes.is_null() {
        exit_codes(e, &path.child("onExitCodes"), codes, spec);
    }
    let at = path.child("onPodConditions");
    if conditions.len() > MAX_PATTERNS {
        e.too_many(&at, conditions.len(), MAX_PATTERNS);
    }
    for (i, pattern) in conditions.iter().enumerate() {
        let (at, kind) = (at.index(i), text(pattern, "type"));
        e.each(&at.child("type"), kind, names::is_qualified_name(kind));
        word(e, &at.child("status"), text(pattern, "status"), &STATUSES);
    }
    match (codes.is_null(), conditions.is_empty()) {
        (false, false) => e.invalid_unshown(
            path,
            "specifying both OnExitCodes and OnPodConditions is not supported",
        ),
        (true, true) => e.invalid_unshown(
            path,
            "specifying one of OnExitCodes and OnPodConditions is required",
        ),
        _ => {}
    }
}

fn exit_codes(e: &mut Errors, path: &Path, wanted: &Value, spec: &Value) {
    let operator = text(wanted, "operator");
    word(e, &path.child("operator"), operator, &OPERATORS);
    let template = get(get(spec, "template"), "spec");
    let containers = ["containers", "initContainers"];
    let mut containers = containers.iter().flat_map(|field| list(template, field));
    let name = text(wanted, "containerName");
    if has(wanted, "containerName") && !containers.any(|c| text(c, "name") == name) {
        e.invalid(
            &path.child("containerName"),
            name,
            "must be one of the container or initContainer names in the pod template",
        );
    }
    let (at, values) = (path.child("values"), list(wanted, "values"));
    if values.is_empty() {
        e.invalid(&at, get(wanted, "values"), "at least one value is required");
    } else if values.len() > MAX_EXIT_CODES {
        e.too_many(&at, values.len(), MAX_EXIT_CODES);
    }
    let codes: Vec<i64> = values.iter().filter_map(Value::as_i64).collect();
    let mut seen = BTreeSet::new();
    for (i, code) in codes.iter().enumerate() {
        if operator == "In" && *code == 0 {
            e.invalid(&at.index(i), *code, "must not be 0 for the In operator");
        }
        if !seen.insert(*code) {
            e.duplicate(&at.index(i), *code);
        }
    }
    if !codes.is_sorted() {
        e.invalid(&at, get(wanted, "values"), "must be ordered");
    }
}

/// `successPolicy`
pub(super) fn success(e: &mut Errors, path: &Path, spec: &Value) {
    let policy = get(spec, "successPolicy");
    if text(spec, "completionMode") != "Indexed" {
        return e.invalid(path, policy, "requires indexed completion mode");
    }
    let (rules, at) = (list(policy, "rules"), path.child("rules"));
    if rules.is_empty() {
        e.required(
            &at,
            "at least one rules must be specified when the successPolicy is specified",
        );
    }
    if rules.len() > MAX_RULES {
        e.too_many(&at, rules.len(), MAX_RULES);
    }
    // Without it there is another complaint already.
    let Some(completions) = int(spec, "completions") else {
        return;
    };
    for (i, rule) in rules.iter().take(MAX_RULES).enumerate() {
        success_rule(e, &at.index(i), rule, completions);
    }
}

fn success_rule(e: &mut Errors, path: &Path, rule: &Value, completions: i64) {
    let (wanted, count) = (text(rule, "succeededIndexes"), int(rule, "succeededCount"));
    let given = has(rule, "succeededIndexes");
    if !given && count.is_none() {
        let detail = "at least one of succeededCount or succeededIndexes must be specified";
        e.required(path, detail);
    }
    let at = path.child("succeededIndexes");
    if wanted.len() > MAX_INDEXES {
        e.too_long(&at, MAX_INDEXES);
    }
    let total = indexes::count(wanted, completions).unwrap_or_else(|problem| {
        e.invalid(
            &at,
            wanted,
            &format!("error parsing succeededIndexes: {problem}"),
        );
        0
    });
    let Some(count) = count else {
        return;
    };
    let at = path.child("succeededCount");
    e.non_negative(&at, Some(count));
    let mut at_most = |limit: i64, what: &str| {
        if count > limit {
            let detail = format!("must be less than or equal to {limit} (the number of {what})");
            e.invalid(&at, count, &detail);
        }
    };
    at_most(completions, "specified completions");
    if given {
        at_most(total, "indexes in the specified succeededIndexes field");
    }
}

/// `podReplacementPolicy`: with a failure policy, how a pod failed has to be known.
pub(super) fn replacement(e: &mut Errors, path: &Path, spec: &Value) {
    let known: &[&str] = match is_empty(get(spec, "podFailurePolicy")) {
        true => &["Failed", "TerminatingOrFailed"],
        false => &["Failed"],
    };
    e.one_of_if_set(path, get(spec, "podReplacementPolicy"), known);
}

#[cfg(test)]
mod tests {
    use super::super::tests::messages;
    use super::*;
    use serde_json::json;

    fn failures(rule: Value) -> Vec<String> {
        let spec = json!({"template": {"spec": {"containers": [{"name": "a"}]}},
            "podFailurePolicy": {"rules": [rule]}});
        messages(Errors::collect(|e| failure(e, &Path::new("p"), &spec)))
    }

    #[test]
    fn what_a_failure_policy_may_say() {
        let codes = |codes: Value| json!({"action": "Ignore", "onExitCodes": codes});
        for (rule, words) in [
            (codes(json!({"operator": "In", "values": [1, 2]})), &[][..]),
            (
                codes(json!({"operator": "In", "values": [0]})),
                &[
                    "p.rules[0].onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator",
                ],
            ),
            (
                codes(json!({"operator": "NotIn", "values": [2, 1, 1]})),
                &[
                    "p.rules[0].onExitCodes.values[2]: Duplicate value: 1",
                    "p.rules[0].onExitCodes.values: Invalid value: [2,1,1]: must be ordered",
                ],
            ),
            (
                codes(json!({"containerName": "b", "values": []})),
                &[
                    r#"p.rules[0].onExitCodes.operator: Required value: valid values: ["In" "NotIn"]"#,
                    r#"p.rules[0].onExitCodes.containerName: Invalid value: "b": must be one of the container or initContainer names in the pod template"#,
                    "p.rules[0].onExitCodes.values: Invalid value: []: at least one value is required",
                ],
            ),
            (
                json!({"action": "FailIndex", "onPodConditions": [{"type": "A", "status": "True"}]}),
                &[
                    r#"p.rules[0].action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set"#,
                ],
            ),
            (
                json!({"action": "X"}),
                &[
                    r#"p.rules[0].action: Unsupported value: "X": supported values: "Count", "FailIndex", "FailJob", "Ignore""#,
                    "p.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required",
                ],
            ),
        ] {
            assert_eq!(failures(rule.clone()), words, "{rule}");
        }
    }

    #[test]
    fn what_a_success_policy_may_say() {
        let messages = |rules: Value| {
            let spec = json!({"completionMode": "Indexed", "completions": 5,
                "successPolicy": {"rules": rules}});
            messages(Errors::collect(|e| success(e, &Path::new("p"), &spec)))
        };
        for (rules, words) in [
            (
                json!([{"succeededIndexes": "0,2-4", "succeededCount": 2}]),
                &[][..],
            ),
            (
                json!([]),
                &[
                    "p.rules: Required value: at least one rules must be specified when the successPolicy is specified",
                ],
            ),
            (
                json!([{}]),
                &[
                    "p.rules[0]: Required value: at least one of succeededCount or succeededIndexes must be specified",
                ],
            ),
            (
                json!([{"succeededIndexes": "0,9"}]),
                &[
                    r#"p.rules[0].succeededIndexes: Invalid value: "0,9": error parsing succeededIndexes: too large index: "9""#,
                ],
            ),
            (
                json!([{"succeededIndexes": "0", "succeededCount": 2}]),
                &[
                    "p.rules[0].succeededCount: Invalid value: 2: must be less than or equal to 1 (the number of indexes in the specified succeededIndexes field)",
                ],
            ),
            (
                json!([{"succeededCount": 6}]),
                &[
                    "p.rules[0].succeededCount: Invalid value: 6: must be less than or equal to 5 (the number of specified completions)",
                ],
            ),
        ] {
            assert_eq!(messages(rules.clone()), words, "{rules}");
        }
    }
}
