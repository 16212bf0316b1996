//! CronJobs.

use super::super::field::{Errors, Path};
use super::super::json::{
    default_text, ensure_object, flag, get, has, int, object_mut, set_default, text,
};
use super::super::kind::{Kind, WITH_STATUS};
use super::super::pod::warnings::of_template;
use super::super::template;
use super::{default_policy, spec};
use hardway_proto::{cron, names};
use serde_json::{Value, json};

/// A cron job's name leaves room for the eleven characters its jobs add.
fn check_name(name: &str) -> Vec<String> {
    let mut problems = names::is_dns1123_subdomain(name);
    if name.len() > 52 {
        problems.push("must be no more than 52 characters".to_owned());
    }
    problems
}

fn check(e: &mut Errors, cron: &Value, old: Option<&Value>) {
    let (path, spec) = (Path::new("spec"), get(cron, "spec"));
    schedule(e, &path.child("schedule"), spec, old);
    let same_zone = |old: &Value| get(get(old, "spec"), "timeZone") == get(spec, "timeZone");
    if has(spec, "timeZone") && !old.is_some_and(same_zone) {
        time_zone(e, &path.child("timeZone"), text(spec, "timeZone"));
    }
    let (at, policy) = (
        path.child("concurrencyPolicy"),
        text(spec, "concurrencyPolicy"),
    );
    e.one_of(&at, policy, &["Allow", "Forbid", "Replace"]);
    for field in [
        "startingDeadlineSeconds",
        "successfulJobsHistoryLimit",
        "failedJobsHistoryLimit",
    ] {
        e.non_negative(&path.child(field), int(spec, field));
    }
    let (path, job) = (
        path.child("jobTemplate.spec"),
        get(get(spec, "jobTemplate"), "spec"),
    );
    let before = old.map(|old| get(get(get(old, "spec"), "jobTemplate"), "spec"));
    spec::check(e, &path, job, before);
    if has(job, "selector") {
        let selector = get(job, "selector");
        e.invalid(
            &path.child("selector"),
            selector,
            "`selector` will be auto-generated",
        );
    }
    if flag(job, "manualSelector") {
        let manual = get(job, "manualSelector");
        e.not_supported(&path.child("manualSelector"), manual, &["nil", "false"]);
    }
}

fn drop_disabled(cron: &mut Value, old: &Value) {
    let job = object_mut(cron, "spec").and_then(|spec| object_mut(spec, "jobTemplate"));
    if let Some(job) = job {
        template::drop_disabled_of_spec(job, get(get(old, "spec"), "jobTemplate"));
    }
}

/// A zone in the schedule itself is left to CronJobs that have one already.
fn schedule(e: &mut Errors, path: &Path, spec: &Value, old: Option<&Value>) {
    let schedule = text(spec, "schedule");
    if schedule.is_empty() {
        return e.required(path, "");
    }
    if let Err(problem) = cron::Schedule::parse(schedule) {
        e.invalid(path, schedule, &problem.to_string());
    }
    if !schedule.contains("TZ") {
        return;
    }
    let had = old.is_some_and(|old| text(get(old, "spec"), "schedule").contains("TZ"));
    if !had {
        let words = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
        e.invalid(path, schedule, words);
    } else if has(spec, "timeZone") {
        let words = "cannot use both timeZone field and TZ or CRON_TZ in schedule";
        e.invalid(path, schedule, words);
    }
}

fn time_zone(e: &mut Errors, path: &Path, name: &str) {
    if name.is_empty() {
        return e.invalid(path, name, "timeZone must be nil or non-empty string");
    }
    if name.eq_ignore_ascii_case("local") {
        let words =
            "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        e.invalid(path, name, words);
    }
    // Go reads this one as the host's.
    if name != "Local"
        && let Err(problem) = cron::time_zone(name)
    {
        e.invalid(path, name, &problem.to_string());
    }
}

fn warnings(new: &Value, old: Option<&Value>) -> Vec<String> {
    let schedule = text(get(new, "spec"), "schedule");
    let mut warnings = of_template(new, old, "spec.jobTemplate.spec.template", true);
    if schedule.contains("TZ") {
        warnings.push(format!("CRON_TZ or TZ used in {schedule:?} is not officially supported, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"));
    }
    warnings
}

pub(in super::super) const CRON_JOB: Kind = Kind {
    name: check_name,
    warnings,
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
            if let Some(job) = ensure_object(template, "spec") {
                // The job's own fields are filled in when a job is made of it.
                template::default_template(job);
                default_policy(job);
            }
        }
    },
    prepare_create: |cron| drop_disabled(cron, &Value::Null),
    prepare_update: drop_disabled,
    validate: |cron| Errors::collect(|e| check(e, cron, None)),
    validate_changed: Some(|new, old| Errors::collect(|e| check(e, new, Some(old)))),
    ..WITH_STATUS
};

#[cfg(test)]
mod tests {
    use super::super::tests::messages;
    use super::*;
    use crate::rules::KindRules;

    fn cron(fields: &Value) -> Value {
        let mut cron = json!({"metadata": {"name": "c"}, "spec": {"schedule": "*/5 * * * 1-5",
            "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never",
                "containers": [{"name": "a", "image": "x:1"}]}}}}}});
        for (field, value) in fields.as_object().unwrap() {
            cron["spec"][field] = value.clone();
        }
        CRON_JOB.default(&mut cron);
        cron
    }

    #[test]
    fn schedules_and_zones() {
        for (fields, words) in [
            (json!({}), ""),
            (json!({"timeZone": "Asia/Tokyo"}), ""),
            (json!({"schedule": "@every 5m"}), ""),
            (
                json!({"schedule": "* * *"}),
                r#"spec.schedule: Invalid value: "* * *": expected exactly 5 fields, found 3: [* * *]"#,
            ),
            (
                json!({"schedule": "60 * * * *"}),
                r#"spec.schedule: Invalid value: "60 * * * *": end of range (60) above maximum (59): 60"#,
            ),
            (
                json!({"schedule": "TZ=UTC 0 * * * *"}),
                r#"spec.schedule: Invalid value: "TZ=UTC 0 * * * *": cannot use TZ or CRON_TZ in schedule, use timeZone field instead"#,
            ),
            (
                json!({"timeZone": "Asia/Nowhere"}),
                r#"spec.timeZone: Invalid value: "Asia/Nowhere": unknown time zone Asia/Nowhere"#,
            ),
            (
                json!({"timeZone": ""}),
                r#"spec.timeZone: Invalid value: "": timeZone must be nil or non-empty string"#,
            ),
        ] {
            let messages = messages(KindRules::validate(&CRON_JOB, &cron(&fields)));
            assert_eq!(messages.join("|"), words, "{fields}");
        }
    }

    #[test]
    fn what_was_there_may_stay() {
        let old = cron(&json!({"schedule": "TZ=UTC 0 * * * *"}));
        assert_eq!(CRON_JOB.validate_changed(&old, &old).causes, []);
        let both = cron(&json!({"schedule": "TZ=UTC 0 * * * *", "timeZone": "UTC"}));
        assert_eq!(CRON_JOB.validate_changed(&both, &old).causes.len(), 1);
        let lost = cron(&json!({"timeZone": "Asia/Nowhere"}));
        assert_eq!(CRON_JOB.validate_changed(&lost, &lost).causes, []);
    }

    #[test]
    fn its_jobs_select_their_own_pods() {
        let mut cron = cron(&json!({}));
        cron["spec"]["jobTemplate"]["spec"]["selector"] = json!({});
        cron["spec"]["jobTemplate"]["spec"]["manualSelector"] = json!(true);
        assert_eq!(
            messages(KindRules::validate(&CRON_JOB, &cron)),
            [
                "spec.jobTemplate.spec.selector: Invalid value: {}: `selector` will be auto-generated",
                r#"spec.jobTemplate.spec.manualSelector: Unsupported value: true: supported values: "nil", "false""#,
            ]
        );
    }
}
