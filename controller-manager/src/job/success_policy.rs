//! `spec.successPolicy`: which indexes are enough for a Job to have succeeded.

use super::indexes::Indexes;
use k8s_openapi::api::batch::v1::SuccessPolicy;

/// Which rule the indexes that succeeded fulfil, if any, in Kubernetes' words.
pub fn met(
    policy: Option<&SuccessPolicy>,
    completions: i32,
    succeeded: &Indexes,
) -> Option<String> {
    let rules = &policy?.rules;
    if succeeded.is_empty() {
        return None;
    }
    let at = rules.iter().position(|rule| {
        let Some(required) = &rule.succeeded_indexes else {
            return rule
                .succeeded_count
                .is_some_and(|count| succeeded.len() >= count);
        };
        let required = Indexes::parse(required, completions);
        let done = required.overlap(succeeded);
        let enough = rule.succeeded_count.is_some_and(|count| done >= count);
        !required.is_empty() && (done == required.len() || enough)
    })?;
    Some(format!("Matched rules at index {at}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn one_rule_is_enough() {
        for (rules, succeeded, rule) in [
            (json!([{"succeededIndexes": "0,2"}]), "0-2", Some(0)),
            (json!([{"succeededIndexes": "0,2"}]), "0,1", None),
            (json!([{"succeededCount": 2}]), "5,9", Some(0)),
            (json!([{"succeededCount": 2}]), "5", None),
            (json!([{"succeededCount": 0}]), "", None),
            (
                json!([{"succeededIndexes": "1-5", "succeededCount": 2}]),
                "0,1,4",
                Some(0),
            ),
            (
                json!([{"succeededIndexes": "1-5", "succeededCount": 2}]),
                "0,1,8",
                None,
            ),
            (
                json!([{"succeededIndexes": "9"}, {"succeededIndexes": "0"}]),
                "0",
                Some(1),
            ),
            (
                json!([{"succeededIndexes": "x", "succeededCount": 0}]),
                "0",
                None,
            ),
        ] {
            let policy: Value = json!({"rules": rules});
            let policy = serde_json::from_value(policy).unwrap();
            let succeeded = Indexes::parse(succeeded, 10);
            let words = rule.map(|at| format!("Matched rules at index {at}"));
            assert_eq!(met(Some(&policy), 10, &succeeded), words, "{rules}");
        }
        assert_eq!(met(None, 10, &Indexes::parse("0-9", 10)), None);
    }
}
