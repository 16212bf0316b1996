//! What may be said in a Job's status, which controllers of others may write as well:
//! see `managedBy`.

use super::super::FieldErrors;
use super::super::field::{Errors, Path};
use super::super::json::{get, has, int, list, text};
use super::indexes;
use serde_json::Value;
use std::collections::HashSet;

/// One version of a Job.
#[derive(Clone, Copy)]
struct Version<'a> {
    spec: &'a Value,
    status: &'a Value,
}

impl<'a> Version<'a> {
    fn of(job: &'a Value) -> Self {
        Self {
            spec: get(job, "spec"),
            status: get(job, "status"),
        }
    }

    fn is(self, condition: &str) -> bool {
        let mut all = list(self.status, "conditions").iter();
        all.any(|c| text(c, "type") == condition && text(c, "status") == "True")
    }

    fn finished(self) -> bool {
        self.is("Complete") || self.is("Failed")
    }

    fn count(self, field: &str) -> i64 {
        int(self.status, field).unwrap_or_default()
    }

    fn indexed(self) -> bool {
        text(self.spec, "completionMode") == "Indexed"
    }
}

/// Compares two versions. What didn't change is let be: a changed spec may have made it
/// wrong, and its controller has to get the chance to put it right.
pub(super) fn validate(new: &Value, old: &Value) -> FieldErrors {
    let (new, old) = (Version::of(new), Version::of(old));
    let path = Path::new("status");
    Errors::collect(|e| {
        for field in ["active", "succeeded", "failed", "ready", "terminating"] {
            e.non_negative(&path.child(field), int(new.status, field));
        }
        uncounted(e, &path.child("uncountedTerminatedPods"), new);
        conditions(e, &path.child("conditions"), new, old);
        times(e, &path, new, old);
        finished(e, &path, new, old);
        index_lists(e, &path, new, old);
        counters(e, &path, new, old);
    })
}

fn uncounted(e: &mut Errors, path: &Path, new: Version<'_>) {
    let pods = get(new.status, "uncountedTerminatedPods");
    let mut seen = HashSet::new();
    for field in ["succeeded", "failed"] {
        for (i, uid) in list(pods, field).iter().enumerate() {
            let at = path.child(field).index(i);
            let uid = uid.as_str().unwrap_or_default();
            if uid.is_empty() {
                e.invalid(&at, uid, "must not be empty");
            } else if !seen.insert(uid) {
                e.duplicate(&at, uid);
            }
        }
    }
}

fn conditions(e: &mut Errors, path: &Path, new: Version<'_>, old: Version<'_>) {
    let changed = |condition| new.is(condition) != old.is(condition);
    let mut refuse = |refused: bool, words: &str| {
        if refused {
            e.invalid_unshown(path, words);
        }
    };
    let (complete, failed) = (new.is("Complete"), new.is("Failed"));
    let (target, met) = (new.is("FailureTarget"), new.is("SuccessCriteriaMet"));
    refuse(
        complete && failed && (changed("Complete") || changed("Failed")),
        "cannot set Complete=True and Failed=true conditions",
    );
    refuse(
        complete && target && (changed("Complete") || changed("FailureTarget")),
        "cannot set Complete=True and FailureTarget=true conditions",
    );
    refuse(
        met && failed,
        "cannot set SuccessCriteriaMet=True and Failed=true conditions",
    );
    refuse(
        met && target,
        "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions",
    );
    refuse(
        has(new.spec, "successPolicy") && complete && !met,
        "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True",
    );
    for condition in ["Failed", "Complete", "FailureTarget"] {
        refuse(
            old.is(condition) && !new.is(condition),
            &format!("cannot disable the terminal {condition}=True condition"),
        );
    }
    refuse(
        old.is("SuccessCriteriaMet") && !met,
        "cannot disable the SuccessCriteriaMet=True condition",
    );
    refuse(
        old.is("Complete") && !old.is("SuccessCriteriaMet") && met,
        "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions",
    );
}

fn times(e: &mut Errors, path: &Path, new: Version<'_>, old: Version<'_>) {
    let [start, end] = ["startTime", "completionTime"];
    let time = |version: Version<'_>, field| {
        let text = text(version.status, field);
        text.parse::<jiff::Timestamp>().ok()
    };
    let changed = |field| get(new.status, field) != get(old.status, field);
    let at = path.child(end);
    let (given, complete) = (get(new.status, end), new.is("Complete"));
    if changed(end) || complete != old.is("Complete") {
        if !given.is_null() && !complete {
            let words = "cannot set completionTime when there is no Complete=True condition";
            e.invalid(&at, given, words);
        }
        if given.is_null() && complete {
            e.required(&at, "completionTime is required for Complete jobs");
        }
    }
    let (began, ended) = (time(new, start), time(new, end));
    if (changed(start) || changed(end)) && began.is_some() && ended.is_some() && ended < began {
        e.invalid(&at, given, "completionTime cannot be set before startTime");
    }
    if time(old, end).is_some() && ended.is_some() && changed(end) {
        e.invalid(&at, given, "completionTime cannot be mutated");
    }
    // One that goes on after it was held starts anew.
    let held = get(new.spec, "suspend") == &Value::Bool(true) || old.is("Suspended");
    if changed(start) && has(old.status, start) && !held {
        e.required(
            &path.child(start),
            "startTime cannot be removed for unsuspended job",
        );
    }
}

fn finished(e: &mut Errors, path: &Path, new: Version<'_>, old: Version<'_>) {
    if !new.finished() {
        return;
    }
    let news = !old.finished();
    let changed = |field| news || get(new.status, field) != get(old.status, field);
    if new.count("active") > 0 && changed("active") {
        let words = "active>0 is invalid for finished job";
        e.invalid(&path.child("active"), new.count("active"), words);
    }
    // A job that wants nothing done may end while it is held.
    let nothing =
        get(new.spec, "suspend") == &Value::Bool(true) && int(new.spec, "completions") == Some(0);
    if !has(new.status, "startTime") && changed("startTime") && !nothing {
        e.required(
            &path.child("startTime"),
            "startTime is required for finished job",
        );
    }
    let field = "uncountedTerminatedPods";
    let pods = get(new.status, field);
    let some = !list(pods, "succeeded").is_empty() || !list(pods, "failed").is_empty();
    if some && changed(field) {
        let words = "uncountedTerminatedPods needs to be empty for finished job";
        e.invalid(&path.child(field), pods, words);
    }
}

fn index_lists(e: &mut Errors, path: &Path, new: Version<'_>, old: Version<'_>) {
    let [completed, failed] = ["completedIndexes", "failedIndexes"];
    let changed = |field| get(new.status, field) != get(old.status, field);
    let completions = int(new.spec, "completions");
    let limited = has(new.spec, "backoffLimitPerIndex");
    for (field, checked) in [(completed, true), (failed, limited)] {
        let indexes = text(new.status, field);
        if let Some(completions) = completions.filter(|_| checked && changed(field))
            && let Err(problem) = indexes::count(indexes, completions)
        {
            let words = format!("error parsing {field}: {problem}");
            e.invalid(&path.child(field), indexes, &words);
        }
    }
    let done = text(new.status, completed);
    if changed(completed) && !done.is_empty() && !new.indexed() {
        let words = "cannot set non-empty completedIndexes when non-indexed completion mode";
        e.invalid(&path.child(completed), done, words);
    }
    let lost = text(new.status, failed);
    if changed(failed) && has(new.status, failed) && !limited {
        let words = "cannot set non-null failedIndexes when backoffLimitPerIndex is null";
        e.invalid(&path.child(failed), lost, words);
    }
    if let Some(completions) = completions.filter(|_| changed(completed) || changed(failed))
        && let Some(index) = indexes::shared(done, lost, completions)
    {
        let words = format!("failedIndexes and completedIndexes overlap at index: {index}");
        e.invalid(&path.child(failed), lost, &words);
    }
}

/// Counters go up. An elastic job, which was made smaller, may forget successes.
fn counters(e: &mut Errors, path: &Path, new: Version<'_>, old: Version<'_>) {
    let elastic = new.indexed() && get(new.spec, "completions") == get(new.spec, "parallelism");
    for (field, may_fall) in [("failed", false), ("succeeded", elastic)] {
        if new.count(field) < old.count(field) && !may_fall {
            let words = format!("cannot decrease the {field} counter");
            e.invalid(&path.child(field), new.count(field), &words);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{job, messages};
    use super::*;
    use serde_json::json;

    const START: &str = "2026-01-01T00:00:00Z";
    const END: &str = "2026-01-01T00:01:00Z";

    fn with(conditions: &[&str], status: Value) -> Value {
        let conditions = conditions
            .iter()
            .map(|c| json!({"type": c, "status": "True"}));
        let mut all = json!({"startTime": START, "conditions": conditions.collect::<Vec<_>>()});
        for (field, value) in status.as_object().unwrap() {
            all[field] = value.clone();
        }
        all
    }

    fn changed(spec: Value, new: Value, old: Value) -> Vec<String> {
        let (mut before, mut after) = (job(spec.clone()), job(spec));
        before["status"] = old;
        after["status"] = new;
        messages(validate(&after, &before))
    }

    #[test]
    fn a_job_ends_step_by_step() {
        let ended = json!({"completionTime": END, "uncountedTerminatedPods": {}});
        let steps = [
            json!({}),
            with(&[], json!({"active": 1, "ready": 1})),
            with(
                &["SuccessCriteriaMet"],
                json!({"uncountedTerminatedPods": {"succeeded": ["a"]}}),
            ),
            with(&["SuccessCriteriaMet", "Complete"], ended),
        ];
        for pair in steps.windows(2) {
            let messages = changed(json!({}), pair[1].clone(), pair[0].clone());
            assert_eq!(messages, [""; 0], "{}", pair[1]);
        }
    }

    #[test]
    fn what_does_not_go_together() {
        let complete = ["SuccessCriteriaMet", "Complete"];
        for (new, words) in [
            (
                with(&complete, json!({"active": 1, "completionTime": END})),
                "status.active: Invalid value: 1: active>0 is invalid for finished job",
            ),
            (
                with(&complete, json!({})),
                "status.completionTime: Required value: completionTime is required for Complete jobs",
            ),
            (
                with(&complete, json!({"completionTime": "2025-01-01T00:00:00Z"})),
                r#"status.completionTime: Invalid value: "2025-01-01T00:00:00Z": completionTime cannot be set before startTime"#,
            ),
            (
                with(&["Failed"], json!({"startTime": null})),
                "status.startTime: Required value: startTime is required for finished job",
            ),
            (
                with(
                    &["Failed"],
                    json!({"uncountedTerminatedPods": {"failed": ["a"]}}),
                ),
                r#"status.uncountedTerminatedPods: Invalid value: {"failed":["a"]}: uncountedTerminatedPods needs to be empty for finished job"#,
            ),
            (
                with(&["SuccessCriteriaMet", "FailureTarget"], json!({})),
                "status.conditions: Invalid value: cannot set SuccessCriteriaMet=True and FailureTarget=true conditions",
            ),
            (
                with(&["Complete", "Failed"], json!({"completionTime": END})),
                "status.conditions: Invalid value: cannot set Complete=True and Failed=true conditions",
            ),
            (
                with(&[], json!({"completedIndexes": "1"})),
                r#"status.completedIndexes: Invalid value: "1": error parsing completedIndexes: too large index: "1""#,
            ),
            (
                with(&[], json!({"failedIndexes": ""})),
                r#"status.failedIndexes: Invalid value: "": cannot set non-null failedIndexes when backoffLimitPerIndex is null"#,
            ),
            (
                with(
                    &[],
                    json!({"uncountedTerminatedPods": {"succeeded": ["a"], "failed": ["a", ""]}}),
                ),
                r#"status.uncountedTerminatedPods.failed[0]: Duplicate value: "a""#,
            ),
        ] {
            let messages = changed(json!({}), new.clone(), json!({}));
            assert_eq!(messages.first().map(String::as_str), Some(words), "{new}");
        }
    }

    #[test]
    fn what_is_not_taken_back() {
        let counted = |succeeded: i64, failed: i64| {
            with(&[], json!({"succeeded": succeeded, "failed": failed}))
        };
        assert_eq!(
            changed(json!({}), counted(1, 1), counted(2, 2)),
            [
                "status.failed: Invalid value: 1: cannot decrease the failed counter",
                "status.succeeded: Invalid value: 1: cannot decrease the succeeded counter",
            ]
        );
        let elastic = json!({"completionMode": "Indexed", "completions": 3, "parallelism": 3});
        assert_eq!(changed(elastic, counted(1, 2), counted(2, 2)), [""; 0]);
        assert_eq!(
            changed(
                json!({}),
                with(&[], json!({})),
                with(&["FailureTarget"], json!({}))
            ),
            [
                "status.conditions: Invalid value: cannot disable the terminal FailureTarget=True condition"
            ]
        );
        let later = || with(&[], json!({"startTime": END}));
        assert_eq!(
            changed(json!({}), later(), with(&[], json!({}))),
            ["status.startTime: Required value: startTime cannot be removed for unsuspended job"]
        );
        assert_eq!(
            changed(json!({}), later(), with(&["Suspended"], json!({}))),
            [""; 0]
        );
        assert_eq!(
            changed(json!({"suspend": true}), later(), with(&[], json!({}))),
            [""; 0]
        );
    }

    #[test]
    fn indexes_fail_or_succeed() {
        let spec =
            json!({"completionMode": "Indexed", "completions": 5, "backoffLimitPerIndex": 0});
        let lists = |completed: &str, failed: &str| {
            with(
                &[],
                json!({"completedIndexes": completed, "failedIndexes": failed}),
            )
        };
        assert_eq!(
            changed(spec.clone(), lists("0,2", "1,3"), json!({})),
            [""; 0]
        );
        assert_eq!(
            changed(spec.clone(), lists("0,2-4", "3"), json!({})),
            [
                r#"status.failedIndexes: Invalid value: "3": failedIndexes and completedIndexes overlap at index: 3"#
            ]
        );
        let same = lists("0-9", "3");
        assert_eq!(
            changed(spec, same.clone(), same),
            [""; 0],
            "nothing has changed"
        );
    }
}
