//! Jobs and CronJobs.

use super::field::{Errors, Path};
use super::json::{
    default_text, ensure_object, flag, get, has, int, object_mut, set, set_default, text,
};
use super::kind::{Kind, WITH_STATUS};
use super::pod::warnings::of_template;
use super::{labels, template};
use hardway_proto::names;
use serde_json::{Value, json};

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
    default_text(spec, "completionMode", "NonIndexed");
    set_default(spec, "suspend", false);
    let replacement = if has(spec, "podFailurePolicy") {
        "Failed"
    } else {
        "TerminatingOrFailed"
    };
    default_text(spec, "podReplacementPolicy", replacement);
}

/// Gives a job its own selector, made of its UID, unless it brings one.
fn generate_selector(job: &mut Value) {
    if flag(get(job, "spec"), "manualSelector") {
        return;
    }
    let meta = get(job, "metadata");
    let (uid, name) = (text(meta, "uid").to_owned(), text(meta, "name").to_owned());
    if uid.is_empty() {
        return;
    }
    let Some(spec) = object_mut(job, "spec") else {
        return;
    };
    set_default(spec, "selector", json!({}));
    if let Some(selector) = object_mut(spec, "selector")
        && let Some(labels) = ensure_object(selector, "matchLabels")
    {
        set(labels, "batch.kubernetes.io/controller-uid", uid.clone());
    }
    if let Some(labels) = ensure_object(spec, "template")
        .and_then(|t| ensure_object(t, "metadata"))
        .and_then(|m| ensure_object(m, "labels"))
    {
        for (label, value) in [("controller-uid", &uid), ("job-name", &name)] {
            set_default(labels, label, value.as_str());
            set_default(
                labels,
                &format!("batch.kubernetes.io/{label}"),
                value.as_str(),
            );
        }
    }
}

fn check_job_spec(e: &mut Errors, path: &Path, spec: &Value) {
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
    let mode = text(spec, "completionMode");
    let at = path.child("completionMode");
    e.one_of(&at, mode, &["Indexed", "NonIndexed"]);
    if mode == "Indexed" && !has(spec, "completions") {
        e.required(
            &path.child("completions"),
            "when completion mode is Indexed",
        );
    }
    if !has(spec, "template") {
        return e.required(&path.child("template"), "");
    }
    let pods = get(spec, "template");
    template::check(e, &path.child("template"), pods);
    let at = path.child("template.spec.restartPolicy");
    match text(get(pods, "spec"), "restartPolicy") {
        "OnFailure" | "Never" => {}
        "Always" => {
            e.required(&at, "valid values: \"OnFailure\", \"Never\"");
        }
        other => e.not_supported(&at, other, &["OnFailure", "Never"]),
    }
}

pub(super) const JOB: Kind = Kind {
    default: |job| {
        if let Some(spec) = ensure_object(job, "spec") {
            default_job_spec(spec);
        }
        let own = get(get(get(get(job, "spec"), "template"), "metadata"), "labels").clone();
        if let Some(meta) = ensure_object(job, "metadata")
            && super::json::is_empty(get(meta, "labels"))
            && !super::json::is_empty(&own)
        {
            set(meta, "labels", own);
        }
    },
    prepare_create: generate_selector,
    validate: |job| {
        Errors::collect(|e| {
            let (path, spec) = (Path::new("spec"), get(job, "spec"));
            check_job_spec(e, &path, spec);
            labels::check_selector(e, &path.child("selector"), get(spec, "selector"));
            if !has(spec, "selector") {
                e.required(&path.child("selector"), "");
            } else {
                let own = get(get(get(spec, "template"), "metadata"), "labels");
                if !labels::selects(get(spec, "selector"), own) {
                    e.invalid(
                        &path.child("template.metadata.labels"),
                        own,
                        "`selector` does not match template `labels`",
                    );
                }
            }
        })
    },
    validate_update: |new, old| {
        Errors::collect(|e| {
            let path = Path::new("spec");
            let (new, old) = (get(new, "spec"), get(old, "spec"));
            let elastic = text(new, "completionMode") == "Indexed"
                && get(new, "completions") == get(new, "parallelism");
            if !elastic {
                e.immutable(
                    &path.child("completions"),
                    get(new, "completions"),
                    get(old, "completions"),
                );
            }
            // A suspended job may still be told where its pods go.
            let suspended = flag(old, "suspend");
            if !suspended {
                e.immutable(
                    &path.child("template"),
                    get(new, "template"),
                    get(old, "template"),
                );
            }
            for field in [
                "selector",
                "completionMode",
                "podFailurePolicy",
                "backoffLimitPerIndex",
                "managedBy",
            ] {
                e.immutable(&path.child(field), get(new, field), get(old, field));
            }
        })
    },
    unknown_label: |label| format!("field label {label:?} not supported for Job"),
    fields: |job| {
        let succeeded = int(get(job, "status"), "succeeded").unwrap_or_default();
        vec![("status.successful", succeeded.to_string())]
    },
    validate_status: super::status::job,
    warnings: |new, old| of_template(new, old, "spec.template", true),
    ..WITH_STATUS
};

/// A cron job's name leaves room for the eleven characters its jobs add.
fn cron_name(name: &str) -> Vec<String> {
    let mut problems = names::is_dns1123_subdomain(name);
    if name.len() > 52 {
        problems.push("must be no more than 52 characters".to_owned());
    }
    problems
}

pub(super) const CRON_JOB: Kind = Kind {
    name: cron_name,
    warnings: |new, old| of_template(new, old, "spec.jobTemplate.spec.template", true),
    default: |cron| {
        let Some(spec) = object_mut(cron, "spec") else {
            return;
        };
        default_text(spec, "concurrencyPolicy", "Allow");
        set_default(spec, "suspend", false);
        set_default(spec, "successfulJobsHistoryLimit", 3);
        set_default(spec, "failedJobsHistoryLimit", 1);
        if let Some(template) = ensure_object(spec, "jobTemplate") {
            set_default(template, "metadata", json!({}));
            if let Some(job) = object_mut(template, "spec") {
                // The job's own fields are filled in when a job is made of it.
                template::default_template(job);
            }
        }
    },
    validate: |cron| {
        Errors::collect(|e| {
            let (path, spec) = (Path::new("spec"), get(cron, "spec"));
            let schedule = text(spec, "schedule");
            let at = path.child("schedule");
            if schedule.is_empty() {
                e.required(&at, "");
            } else if let Err(problem) = check_schedule(schedule) {
                e.invalid(&at, schedule, &problem);
            }
            if schedule.contains("TZ=") {
                e.invalid(
                    &at,
                    schedule,
                    "cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
                );
            }
            e.one_of(
                &path.child("concurrencyPolicy"),
                text(spec, "concurrencyPolicy"),
                &["Allow", "Forbid", "Replace"],
            );
            for field in [
                "startingDeadlineSeconds",
                "successfulJobsHistoryLimit",
                "failedJobsHistoryLimit",
            ] {
                e.non_negative(&path.child(field), int(spec, field));
            }
            if has(spec, "timeZone") && text(spec, "timeZone").is_empty() {
                e.invalid(
                    &path.child("timeZone"),
                    "",
                    "timeZone must be nil or non-empty string",
                );
            }
            check_job_spec(
                e,
                &path.child("jobTemplate.spec"),
                get(get(spec, "jobTemplate"), "spec"),
            );
        })
    },
    ..WITH_STATUS
};

/// Whether a schedule has the form of one; ranges are the controller's matter.
fn check_schedule(schedule: &str) -> Result<(), String> {
    if let Some(descriptor) = schedule.strip_prefix('@') {
        let known = [
            "yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly",
        ];
        if known.contains(&descriptor) || descriptor.starts_with("every ") {
            return Ok(());
        }
        return Err(format!("unrecognized descriptor: {schedule}"));
    }
    let parts: Vec<&str> = schedule
        .split_whitespace()
        .filter(|p| !p.contains("TZ="))
        .collect();
    if parts.len() != 5 {
        let list = parts.join(" ");
        return Err(format!(
            "expected exactly 5 fields, found {}: [{list}]",
            parts.len()
        ));
    }
    for part in parts {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "*/,-?".contains(c);
        if !part.chars().all(allowed) {
            return Err(format!(
                "failed to parse int from {part}: strconv.Atoi: parsing {part:?}: invalid syntax"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::KindRules;

    fn job() -> Value {
        let mut job = json!({"metadata": {"name": "pi", "uid": "u1"}, "spec": {"template": {
            "spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "x:1"}]}}}});
        JOB.default(&mut job);
        KindRules::prepare_create(&JOB, &mut job);
        job
    }

    #[test]
    fn jobs_select_their_own_pods() {
        let job = job();
        assert_eq!(
            job["spec"]["selector"]["matchLabels"],
            json!({"batch.kubernetes.io/controller-uid": "u1"})
        );
        assert_eq!(
            job["spec"]["template"]["metadata"]["labels"]["job-name"],
            "pi"
        );
        assert_eq!(
            (
                job["spec"]["backoffLimit"].as_i64(),
                job["spec"]["completions"].as_i64()
            ),
            (Some(6), Some(1))
        );
        assert_eq!(KindRules::validate(&JOB, &job), []);
        let mut new = job.clone();
        new["spec"]["template"]["spec"]["containers"][0]["image"] = json!("y:1");
        assert_eq!(
            KindRules::validate_update(&JOB, &new, &job)[0].field,
            "spec.template"
        );
    }

    #[test]
    fn schedules() {
        assert!(check_schedule("*/5 * * * 1-5").is_ok());
        assert!(check_schedule("@hourly").is_ok());
        assert_eq!(
            check_schedule("* * *").unwrap_err(),
            "expected exactly 5 fields, found 3: [* * *]"
        );
    }
}
