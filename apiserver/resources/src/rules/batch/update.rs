//! What may change in a Job's spec.

use super::super::field::{Errors, Path};
use super::super::json::{flag, get, has, int, object_mut, remove, set, text};
use serde_json::Value;

/// Compares two versions of a Job.
pub(super) fn check(e: &mut Errors, new: &Value, old: &Value) {
    let path = Path::new("spec");
    let (spec, before) = (get(new, "spec"), get(old, "spec"));
    completions(e, &path.child("completions"), spec, before);
    let mut immutable = |field: &str| {
        e.immutable(&path.child(field), get(spec, field), get(before, field));
    };
    immutable("selector");
    // A job that has not begun yet may still be messages where its pods go.
    let begun = !flag(before, "suspend") || has(get(old, "status"), "startTime");
    match begun {
        true => immutable("template"),
        false => {
            let (template, before) = (get(spec, "template"), get(before, "template"));
            let before = with_directives(before, template);
            e.immutable(&path.child("template"), template, &before);
        }
    }
    for field in [
        "completionMode",
        "podFailurePolicy",
        "backoffLimitPerIndex",
        "managedBy",
        "successPolicy",
    ] {
        e.immutable(&path.child(field), get(spec, field), get(before, field));
    }
}

/// Indexed jobs are elastic: as many indexes as run at a time.
fn completions(e: &mut Errors, path: &Path, new: &Value, old: &Value) {
    let (completions, before) = (get(new, "completions"), get(old, "completions"));
    if text(new, "completionMode") != "Indexed" {
        return e.immutable(path, completions, before);
    }
    let together = int(new, "completions") == int(new, "parallelism");
    if completions != before && !completions.is_null() && !together {
        let detail = "can only be modified in tandem with spec.parallelism";
        e.invalid(path, completions, detail);
    }
}

/// A template with what another one says about where its pods go.
fn with_directives(template: &Value, new: &Value) -> Value {
    let mut template = template.clone();
    for (part, fields) in [
        ("metadata", &["annotations", "labels"][..]),
        ("spec", &["nodeSelector", "tolerations", "schedulingGates"]),
    ] {
        let from = get(new, part);
        if let Some(part) = object_mut(&mut template, part) {
            for field in fields {
                copy(part, from, field);
            }
        }
    }
    let affinity = get(get(new, "spec"), "affinity");
    if let Some(spec) = object_mut(&mut template, "spec") {
        let mut merged = get(spec, "affinity").clone();
        if merged.is_null() && !affinity.is_null() {
            merged = Value::Object(Default::default());
        }
        copy(&mut merged, affinity, "nodeAffinity");
        let cleared = affinity.is_null() && merged.as_object().is_some_and(|m| m.is_empty());
        match merged.is_null() || cleared {
            true => remove(spec, "affinity"),
            false => {
                set(spec, "affinity", merged);
                None
            }
        };
    }
    template
}

fn copy(to: &mut Value, from: &Value, field: &str) {
    match has(from, field) {
        true => set(to, field, get(from, field).clone()),
        false => {
            remove(to, field);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{job, messages};
    use super::*;
    use serde_json::json;

    fn changed(old: &Value, change: impl Fn(&mut Value)) -> Vec<String> {
        let mut new = old.clone();
        change(&mut new["spec"]);
        messages(Errors::collect(|e| check(e, &new, old)))
    }

    #[test]
    fn completions_change_with_parallelism() {
        let indexed = job(json!({"completionMode": "Indexed", "completions": 3, "parallelism": 3}));
        let both = |spec: &mut Value| {
            spec["completions"] = json!(5);
            spec["parallelism"] = json!(5);
        };
        let one = |spec: &mut Value| spec["completions"] = json!(5);
        assert_eq!(changed(&indexed, both), [""; 0]);
        assert_eq!(
            changed(&indexed, one),
            [
                "spec.completions: Invalid value: 5: can only be modified in tandem with spec.parallelism"
            ]
        );
        assert_eq!(
            changed(&job(json!({})), both),
            ["spec.completions: Invalid value: 5: field is immutable"]
        );
    }

    #[test]
    fn where_pods_go_may_change_until_it_begins() {
        let move_it = |spec: &mut Value| {
            let template = &mut spec["template"];
            template["metadata"]["labels"]["queue"] = json!("a");
            template["spec"]["nodeSelector"] = json!({"zone": "a"});
            template["spec"]["affinity"] = json!({"nodeAffinity": {}});
            template["spec"]["schedulingGates"] = json!([{"name": "a"}]);
        };
        let held = job(json!({"suspend": true}));
        assert_eq!(changed(&held, move_it), [""; 0]);
        let image =
            |spec: &mut Value| spec["template"]["spec"]["containers"][0]["image"] = json!("y");
        assert_eq!(changed(&held, image).len(), 1);
        let spread =
            |spec: &mut Value| spec["template"]["spec"]["affinity"] = json!({"podAffinity": {}});
        assert_eq!(changed(&held, spread).len(), 1);
        let mut begun = held.clone();
        begun["status"] = json!({"startTime": "2026-01-01T00:00:00Z"});
        assert!(changed(&begun, move_it)[0].starts_with("spec.template: Invalid value"));
        assert_eq!(changed(&job(json!({})), move_it).len(), 1);
    }

    #[test]
    fn policies_stay() {
        let old = job(json!({"completionMode": "Indexed", "completions": 3}));
        let policy = |spec: &mut Value| spec["successPolicy"] = json!({"rules": []});
        assert_eq!(
            changed(&old, policy),
            [r#"spec.successPolicy: Invalid value: {"rules":[]}: field is immutable"#]
        );
    }
}
