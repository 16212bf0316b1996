//! Jobs and CronJobs.

mod cron_job;
mod indexes;
mod policies;
mod spec;
mod status;
mod update;

pub(super) use cron_job::CRON_JOB;

use super::field::{Errors, Path};
use super::json::{
    default_text, ensure_object, flag, get, has, int, is_empty, list_mut, object_mut, set,
    set_default, text,
};
use super::kind::{Kind, WITH_STATUS};
use super::pod::warnings::of_template;
use super::{FieldErrors, labels, template};
use hardway_proto::{labels::Selector, names};
use serde_json::{Value, json};

/// Labels by which a Job finds its pods: the old names, and the present ones.
const CONTROLLER_UID: [&str; 2] = ["controller-uid", "batch.kubernetes.io/controller-uid"];
const JOB_NAME: [&str; 2] = ["job-name", "batch.kubernetes.io/job-name"];

fn default_job_spec(spec: &mut Value) {
    template::default_template(spec);
    if !has(spec, "completions") && !has(spec, "parallelism") {
        set(spec, "completions", 1);
    }
    set_default(spec, "parallelism", 1);
    let indexed = has(spec, "backoffLimitPerIndex");
    set_default(
        spec,
        "backoffLimit",
        if indexed { i64::from(i32::MAX) } else { 6 },
    );
    set_default(spec, "completionMode", "NonIndexed");
    set_default(spec, "suspend", false);
    set_default(spec, "manualSelector", false);
    let replacement = if has(spec, "podFailurePolicy") {
        "Failed"
    } else {
        "TerminatingOrFailed"
    };
    set_default(spec, "podReplacementPolicy", replacement);
    default_policy(spec);
}

/// A condition that a failure policy asks for is true, unless it says otherwise.
fn default_policy(spec: &mut Value) {
    if let Some(policy) = object_mut(spec, "podFailurePolicy") {
        for rule in list_mut(policy, "rules") {
            for pattern in list_mut(rule, "onPodConditions") {
                default_text(pattern, "status", "True");
            }
        }
    }
}

/// Gives a job its own selector, made of its UID, unless it brings one. What it has of
/// that already stays, and is looked at by the checks.
fn generate_selector(job: &mut Value) {
    if flag(get(job, "spec"), "manualSelector") {
        return;
    }
    let meta = get(job, "metadata");
    let (uid, name) = (text(meta, "uid").to_owned(), text(meta, "name").to_owned());
    let Some(spec) = object_mut(job, "spec").filter(|_| !uid.is_empty()) else {
        return;
    };
    set_default(spec, "selector", json!({}));
    if let Some(selector) = object_mut(spec, "selector")
        && let Some(labels) = ensure_object(selector, "matchLabels")
    {
        set_default(labels, CONTROLLER_UID[1], uid.as_str());
    }
    if let Some(labels) = ensure_object(spec, "template")
        .and_then(|t| ensure_object(t, "metadata"))
        .and_then(|m| ensure_object(m, "labels"))
    {
        for label in CONTROLLER_UID {
            set_default(labels, label, uid.as_str());
        }
        for label in JOB_NAME {
            set_default(labels, label, name.as_str());
        }
    }
}

/// Checks what [`generate_selector`] has made, with the labels' present names if these
/// have to be there.
fn check_generated(e: &mut Errors, job: &Value, present: bool) {
    let (meta, spec) = (get(job, "metadata"), get(job, "spec"));
    if flag(spec, "manualSelector") || !has(spec, "selector") {
        return;
    }
    let own = get(get(get(spec, "template"), "metadata"), "labels");
    let mut generated = json!({});
    for (labels, field) in [(CONTROLLER_UID, "uid"), (JOB_NAME, "name")] {
        let value = text(meta, field);
        for label in &labels[..if present { 2 } else { 1 }] {
            set(&mut generated, label, value);
            let at = Path::new("spec.template.metadata.labels").key(label);
            let detail = format!("must be '{value}'");
            match own.get(*label).and_then(Value::as_str) {
                None => e.required(&at, &detail),
                Some(found) if found != value => e.invalid(&at, own, &detail),
                Some(_) => {}
            }
        }
    }
    let selector = get(spec, "selector");
    if !labels::selects(selector, &generated) {
        let at = Path::new("spec.selector");
        e.invalid(&at, selector, "`selector` not auto-generated");
    }
}

fn check(e: &mut Errors, job: &Value, old: Option<&Value>, present_labels: bool) {
    check_generated(e, job, present_labels);
    let (path, spec) = (Path::new("spec"), get(job, "spec"));
    spec::check(e, &path, spec, old.map(|old| get(old, "spec")));
    let selector = get(spec, "selector");
    if selector.is_null() {
        e.required(&path.child("selector"), "");
    }
    labels::check_selector(e, &path.child("selector"), selector);
    // What can't be understood has been told of.
    if Selector::from_json(selector).is_ok() {
        template::check_labels(e, &path.child("template"), get(spec, "template"), selector);
    }
    check_host_name(e, job);
}

/// The host names of an indexed job's pods end in their index.
fn check_host_name(e: &mut Errors, job: &Value) {
    let spec = get(job, "spec");
    let completions = int(spec, "completions").unwrap_or_default();
    if text(spec, "completionMode") != "Indexed" || completions < 1 {
        return;
    }
    let name = text(get(job, "metadata"), "name");
    let longest = format!("{name}-{}", completions - 1);
    if !names::is_dns1123_label(&longest).is_empty() {
        let detail = format!("will not able to create pod with invalid DNS label: {longest}");
        e.invalid(&Path::new("metadata.name"), name, &detail);
    }
}

/// Jobs from before the labels' present names may go on without them.
fn validate_changed(new: &Value, old: &Value) -> FieldErrors {
    let labels = get(get(get(get(old, "spec"), "template"), "metadata"), "labels");
    let present = has(labels, CONTROLLER_UID[1]) && has(labels, JOB_NAME[1]);
    Errors::collect(|e| {
        check(e, new, Some(old), present);
        update::check(e, new, old);
    })
}

fn warnings(new: &Value, old: Option<&Value>) -> Vec<String> {
    let mut warnings = of_template(new, old, "spec.template", true);
    let generation = |job| get(get(job, "metadata"), "generation");
    if old.is_none_or(|old| generation(old) != generation(new)) {
        warnings.extend(spec::warning(get(new, "spec")));
    }
    warnings
}

pub(super) const JOB: Kind = Kind {
    default: |job| {
        if let Some(spec) = ensure_object(job, "spec") {
            default_job_spec(spec);
        }
        let own = get(get(get(get(job, "spec"), "template"), "metadata"), "labels").clone();
        if let Some(meta) = ensure_object(job, "metadata")
            && is_empty(get(meta, "labels"))
            && !is_empty(&own)
        {
            set(meta, "labels", own);
        }
    },
    prepare_create: |job| {
        template::drop_disabled_of_spec(job, &Value::Null);
        generate_selector(job);
    },
    prepare_update: template::drop_disabled_of_spec,
    validate: |job| Errors::collect(|e| check(e, job, None, true)),
    validate_update: |new, old| Errors::collect(|e| update::check(e, new, old)),
    validate_changed: Some(validate_changed),
    unknown_label: |label| format!("field label {label:?} not supported for Job"),
    fields: |job| {
        let succeeded = int(get(job, "status"), "succeeded").unwrap_or_default();
        vec![("status.successful", succeeded.to_string())]
    },
    validate_status: status::validate,
    warnings,
    ..WITH_STATUS
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::KindRules;

    pub(super) fn job(spec: Value) -> Value {
        let mut job = json!({"metadata": {"name": "pi", "uid": "u1"}, "spec": {"template": {
            "spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "x:1"}]}}}});
        for (field, value) in spec.as_object().unwrap() {
            job["spec"][field] = value.clone();
        }
        JOB.default(&mut job);
        KindRules::prepare_create(&JOB, &mut job);
        JOB.default(&mut job);
        job
    }

    pub(super) fn messages(causes: FieldErrors) -> Vec<String> {
        let causes = causes.into_iter();
        causes
            .map(|c| format!("{}: {}", c.field, c.message))
            .collect()
    }

    #[test]
    fn jobs_select_their_own_pods() {
        let made = job(json!({}));
        assert_eq!(
            made["spec"]["selector"]["matchLabels"],
            json!({"batch.kubernetes.io/controller-uid": "u1"})
        );
        let labels = json!({"controller-uid": "u1", "batch.kubernetes.io/controller-uid": "u1",
            "job-name": "pi", "batch.kubernetes.io/job-name": "pi"});
        assert_eq!(made["spec"]["template"]["metadata"]["labels"], labels);
        assert_eq!(made["metadata"]["labels"], labels);
        let spec = &made["spec"];
        assert_eq!(
            (&spec["backoffLimit"], &spec["completions"]),
            (&json!(6), &json!(1))
        );
        assert_eq!(messages(KindRules::validate(&JOB, &made)), [""; 0]);
    }

    #[test]
    fn labels_that_were_chosen_must_be_right() {
        let mut wrong = job(json!({}));
        wrong["spec"]["template"]["metadata"]["labels"]["job-name"] = json!("e");
        let messages = messages(KindRules::validate(&JOB, &wrong));
        assert!(
            messages[0].starts_with("spec.template.metadata.labels[job-name]: Invalid value: {")
        );
        assert!(messages[0].ends_with("must be 'pi'"));
        // Jobs of old had no other labels.
        let mut old = job(json!({}));
        let labels = json!({"controller-uid": "u1", "job-name": "pi"});
        old["spec"]["template"]["metadata"]["labels"] = labels;
        old["spec"]["selector"]["matchLabels"] = json!({"controller-uid": "u1"});
        assert_eq!(KindRules::validate(&JOB, &old).len(), 2);
        assert_eq!(JOB.validate_changed(&old, &old).causes, []);
    }

    #[test]
    fn what_a_policy_asks_for_is_true() {
        let made = job(json!({"podFailurePolicy": {"rules": [{"action": "Ignore",
            "onPodConditions": [{"type": "DisruptionTarget"}]}]}}));
        let spec = &made["spec"];
        let pattern = &spec["podFailurePolicy"]["rules"][0]["onPodConditions"][0];
        assert_eq!(pattern["status"], "True");
        assert_eq!(spec["podReplacementPolicy"], "Failed");
        let limited =
            job(json!({"completionMode": "Indexed", "completions": 3, "backoffLimitPerIndex": 1}));
        assert_eq!(limited["spec"]["backoffLimit"], i32::MAX);
    }

    #[test]
    fn pods_of_indexed_jobs_get_host_names() {
        let mut long = job(json!({"completionMode": "Indexed", "completions": 11}));
        let name = "x".repeat(61);
        long["metadata"]["name"] = json!(name);
        let messages = messages(KindRules::validate(&JOB, &long));
        assert_eq!(
            messages.last().unwrap(),
            &format!(
                "metadata.name: Invalid value: {name:?}: will not able to create pod with invalid DNS label: {name}-10"
            )
        );
    }
}
