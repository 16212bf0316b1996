//! What a Job may ask for.

use super::super::field::{Errors, Path};
use super::super::json::{get, has, int, text};
use super::super::networking::domain_prefixed;
use super::super::template;
use super::policies;
use serde_json::Value;

/// How many pods of an indexed job may run at a time, and how many indexes may fail:
/// the status lists them.
const MAX_INDEXES: i64 = 100_000;
/// The same above so many completions.
const MANY_COMPLETIONS: i64 = 100_000;
const MAX_INDEXES_OF_MANY: i64 = 10_000;
const MAX_MANAGER: usize = 63;

/// `spec` of a Job, or of a CronJob's template; faults of an earlier version's template of
/// pods may stay.
pub(super) fn check(e: &mut Errors, path: &Path, spec: &Value, old: Option<&Value>) {
    for field in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        e.non_negative(&path.child(field), int(spec, field));
    }
    if has(spec, "maxFailedIndexes") && !has(spec, "backoffLimitPerIndex") {
        e.required(
            &path.child("backoffLimitPerIndex"),
            "when maxFailedIndexes is specified",
        );
    }
    if has(spec, "managedBy") {
        manager(e, &path.child("managedBy"), text(spec, "managedBy"));
    }
    let mode = get(spec, "completionMode");
    e.one_of_if_set(
        &path.child("completionMode"),
        mode,
        &["NonIndexed", "Indexed"],
    );
    match mode.as_str() {
        Some("Indexed") => indexed(e, path, spec),
        None | Some("NonIndexed") => {
            for field in ["backoffLimitPerIndex", "maxFailedIndexes"] {
                if let Some(value) = int(spec, field) {
                    e.invalid(
                        &path.child(field),
                        value,
                        "requires indexed completion mode",
                    );
                }
            }
        }
        _ => {}
    }
    if has(spec, "podFailurePolicy") {
        policies::failure(e, &path.child("podFailurePolicy"), spec);
    }
    if has(spec, "successPolicy") {
        policies::success(e, &path.child("successPolicy"), spec);
    }
    policies::replacement(e, &path.child("podReplacementPolicy"), spec);
    let before = old.map(|old| get(old, "template"));
    template::check(e, &path.child("template"), get(spec, "template"), before);
    restart_policy(e, &path.child("template.spec.restartPolicy"), spec);
}

fn restart_policy(e: &mut Errors, path: &Path, spec: &Value) {
    match text(get(get(spec, "template"), "spec"), "restartPolicy") {
        "" | "Always" => e.required(path, "valid values: \"OnFailure\", \"Never\""),
        other @ "OnFailure" if has(spec, "podFailurePolicy") => e.invalid(
            path,
            other,
            "only \"Never\" is supported when podFailurePolicy is specified",
        ),
        "OnFailure" | "Never" => {}
        other => e.not_supported(path, other, &["OnFailure", "Never"]),
    }
}

fn indexed(e: &mut Errors, path: &Path, spec: &Value) {
    let completions = int(spec, "completions");
    if completions.is_none() {
        e.required(
            &path.child("completions"),
            "when completion mode is Indexed",
        );
    }
    let mut at_most = |field: &str, limit: i64, when: &str| {
        if let Some(value) = int(spec, field).filter(|value| *value > limit) {
            let detail = format!("must be less than or equal to {limit}{when}");
            e.invalid(&path.child(field), value, &detail);
        }
    };
    at_most(
        "parallelism",
        MAX_INDEXES,
        " when completion mode is Indexed",
    );
    if let Some(failed) = int(spec, "maxFailedIndexes")
        && completions.is_some_and(|completions| failed > completions)
    {
        let detail = "must be less than or equal to completions";
        e.invalid(&path.child("maxFailedIndexes"), failed, detail);
    }
    let mut at_most = |field: &str, limit: i64, when: &str| {
        if let Some(value) = int(spec, field).filter(|value| *value > limit) {
            let detail = format!("must be less than or equal to {limit}{when}");
            e.invalid(&path.child(field), value, &detail);
        }
    };
    at_most("maxFailedIndexes", MAX_INDEXES, "");
    let many = completions.is_some_and(|completions| completions > MANY_COMPLETIONS);
    if many && has(spec, "backoffLimitPerIndex") {
        let when = format!(
            " when completions are above {MANY_COMPLETIONS} and used with backoff limit per index"
        );
        at_most("parallelism", MAX_INDEXES_OF_MANY, &when);
        at_most("maxFailedIndexes", MAX_INDEXES_OF_MANY, &when);
        if !has(spec, "maxFailedIndexes") {
            let detail = format!("must be specified when completions is above {MANY_COMPLETIONS}");
            e.required(&path.child("maxFailedIndexes"), &detail);
        }
    }
}

/// The name of a controller.
fn manager(e: &mut Errors, path: &Path, name: &str) {
    domain_prefixed(e, path, name);
    if name.len() > MAX_MANAGER {
        e.too_long(path, MAX_MANAGER);
    }
}

/// What deserves a warning.
pub(super) fn warning(spec: &Value) -> Option<String> {
    let above = |field, limit| int(spec, field).is_some_and(|value| value > limit);
    let large = text(spec, "completionMode") == "Indexed"
        && above("completions", MANY_COMPLETIONS)
        && above("parallelism", MAX_INDEXES_OF_MANY);
    large.then(|| "spec: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{job, messages};
    use super::*;
    use serde_json::json;

    #[test]
    fn what_goes_together() {
        for (fields, words) in [
            (
                json!({"completionMode": "Indexed", "completions": 3, "backoffLimitPerIndex": 1, "maxFailedIndexes": 3}),
                &[][..],
            ),
            (json!({"completionMode": "Indexed"}), &[]),
            (
                json!({"completionMode": "Indexed", "completions": 3, "maxFailedIndexes": 4}),
                &[
                    "s.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
                    "s.maxFailedIndexes: Invalid value: 4: must be less than or equal to completions",
                ],
            ),
            (
                json!({"completionMode": "Indexed", "parallelism": 2}),
                &["s.completions: Required value: when completion mode is Indexed"],
            ),
            (
                json!({"backoffLimitPerIndex": 1}),
                &["s.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"],
            ),
            (
                json!({"completionMode": "Indexed", "completions": 100_001, "parallelism": 10_001, "backoffLimitPerIndex": 1}),
                &[
                    "s.parallelism: Invalid value: 10001: must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index",
                    "s.maxFailedIndexes: Required value: must be specified when completions is above 100000",
                ],
            ),
            (
                json!({"successPolicy": {"rules": []}}),
                &[
                    r#"s.successPolicy: Invalid value: {"rules":[]}: requires indexed completion mode"#,
                ],
            ),
            (
                json!({"podFailurePolicy": {"rules": []}, "podReplacementPolicy": "TerminatingOrFailed"}),
                &[
                    r#"s.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: "Failed""#,
                ],
            ),
            (
                json!({"managedBy": "example.com"}),
                &[
                    r#"s.managedBy: Invalid value: "example.com": must be a domain-prefixed path (such as "acme.io/foo")"#,
                ],
            ),
            (json!({"managedBy": "example.com/queue"}), &[]),
        ] {
            let job = job(fields.clone());
            let messages = messages(Errors::collect(|e| {
                check(e, &Path::new("s"), &job["spec"], None)
            }));
            assert_eq!(messages, words, "{fields}");
        }
    }

    #[test]
    fn pods_of_jobs_end() {
        let words = |policy: &str, more: serde_json::Value| {
            let mut job = job(more);
            job["spec"]["template"]["spec"]["restartPolicy"] = json!(policy);
            messages(Errors::collect(|e| {
                check(e, &Path::new("s"), &job["spec"], None)
            }))
        };
        let at = "s.template.spec.restartPolicy";
        assert_eq!(words("OnFailure", json!({})), [""; 0]);
        assert_eq!(
            words("Always", json!({})),
            [format!(
                r#"{at}: Required value: valid values: "OnFailure", "Never""#
            )]
        );
        assert_eq!(
            words("OnFailure", json!({"podFailurePolicy": {"rules": []}})),
            [format!(
                r#"{at}: Invalid value: "OnFailure": only "Never" is supported when podFailurePolicy is specified"#
            )]
        );
    }
}
