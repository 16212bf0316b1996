//! A CronJob's Jobs: made of its template, followed while they run, and cleared
//! away when they are old.

use super::decision::{Event, job_name};
use crate::job::finished;
use hardway_client::events::EventType;
use hardway_proto::Kind;
use hardway_proto::cron::time_zone;
use hardway_proto::meta::controller_ref;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use k8s_openapi::api::batch::v1::{CronJob, CronJobStatus, Job};
use k8s_openapi::api::core::v1::ObjectReference;
use std::sync::Arc;

/// Annotation of a Job: for which time it was started.
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// The Job for a time, which it knows in the CronJob's zone.
pub fn job(cron: &CronJob, time: Timestamp) -> Job {
    let template = cron.spec.as_ref().map(|s| s.job_template.clone());
    let template = template.unwrap_or_default();
    let mut job = Job {
        spec: template.spec,
        ..Default::default()
    };
    let meta = template.metadata.unwrap_or_default();
    job.metadata.labels = meta.labels;
    job.metadata.annotations = meta.annotations;
    let zone = cron.spec.as_ref().and_then(|s| s.time_zone.as_deref());
    let zone = zone.and_then(|name| time_zone(name).ok());
    let annotations = job.metadata.annotations.get_or_insert_default();
    let time_there = rfc3339(time, zone.unwrap_or(TimeZone::UTC));
    annotations.insert(SCHEDULED.into(), time_there);
    job.metadata.name = Some(job_name(cron, time));
    job.metadata.namespace = Some(cron.namespace().into());
    job.metadata.owner_references = Some(vec![controller_ref(cron)]);
    job
}

fn rfc3339(time: Timestamp, zone: TimeZone) -> String {
    let there = time.to_zoned(zone);
    match there.offset().seconds() {
        0 => there.strftime("%FT%TZ").to_string(),
        _ => there.strftime("%FT%T%:z").to_string(),
    }
}

/// Whether a status knows of a Job that runs.
pub fn is_active(status: &CronJobStatus, uid: &str) -> bool {
    let mut active = status.active.iter().flatten();
    active.any(|job| job.uid.as_deref() == Some(uid))
}

/// Takes a Job off those that run.
pub fn forget(status: &mut CronJobStatus, uid: &str) {
    let active = status.active.take().unwrap_or_default();
    let left: Vec<_> = active
        .into_iter()
        .filter(|job| job.uid.as_deref() != Some(uid))
        .collect();
    status.active = (!left.is_empty()).then_some(left);
}

/// What a status doesn't know yet.
#[derive(Debug, Default, PartialEq)]
pub struct Followed {
    /// Events to record.
    pub events: Vec<Event>,
    /// Jobs that run, though the status doesn't say so.
    pub unexpected: Vec<Arc<Job>>,
    /// Jobs that run according to the status, but aren't to be seen.
    pub missing: Vec<ObjectReference>,
}

/// Brings a status up to date with the CronJob's Jobs.
pub fn follow(status: &mut CronJobStatus, jobs: &[Arc<Job>]) -> Followed {
    let mut followed = Followed::default();
    for job in jobs {
        let (known, end) = (is_active(status, job.uid()), finished(job));
        match end {
            None if !known => followed.unexpected.push(job.clone()),
            Some(end) if known => {
                forget(status, job.uid());
                let message = format!("Saw completed job: {}, status: {}", job.name(), end.type_);
                followed
                    .events
                    .push((EventType::Normal, "SawCompletedJob", message));
            }
            _ => {}
        }
        if end.is_some_and(|end| end.type_ == "Complete") {
            let done = job.status.as_ref().and_then(|s| s.completion_time.clone());
            status.last_successful_time = status.last_successful_time.take().max(done);
        }
    }
    let seen = |reference: &ObjectReference| {
        let mut jobs = jobs.iter();
        jobs.any(|job| reference.uid.as_deref() == Some(job.uid()))
    };
    let active = status.active.iter().flatten();
    followed.missing = active.filter(|job| !seen(job)).cloned().collect();
    followed
}

/// Jobs that have ended, beyond those that the CronJob keeps; the oldest first.
pub fn surplus(cron: &CronJob, jobs: &[Arc<Job>]) -> Vec<Arc<Job>> {
    let Some(spec) = &cron.spec else {
        return Vec::new();
    };
    let oldest = |end: &str, limit: Option<i32>| {
        let ended = |job: &&Arc<Job>| finished(job).is_some_and(|c| c.type_ == end);
        let mut ended: Vec<_> = jobs.iter().filter(ended).cloned().collect();
        ended.sort_by_key(|job| {
            let start = job.status.as_ref().and_then(|s| s.start_time.clone());
            // Those that never started come last.
            (start.is_none(), start, job.name().to_owned())
        });
        let limit = limit.and_then(|limit| usize::try_from(limit).ok());
        ended.truncate(ended.len().saturating_sub(limit.unwrap_or(usize::MAX)));
        ended
    };
    let mut old = oldest("Complete", spec.successful_jobs_history_limit);
    old.extend(oldest("Failed", spec.failed_jobs_history_limit));
    old
}

#[cfg(test)]
mod tests {
    use super::super::testing::{CronBuilder, at};
    use super::*;
    use serde_json::{Value, json};

    fn ended(name: &str, end: &str, time: &str) -> Arc<Job> {
        let time = at(time).to_string();
        let conditions = match end {
            "" => json!([]),
            _ => json!([{"type": end, "status": "True"}]),
        };
        Arc::new(
            serde_json::from_value(json!({
                "metadata": {"name": name, "namespace": "d", "uid": name}, "spec": {"template": {}},
                "status": {"startTime": time, "completionTime": time, "conditions": conditions},
            }))
            .unwrap(),
        )
    }

    #[test]
    fn a_job_knows_its_time() {
        let template = json!({"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}},
            "spec": {"template": {}, "parallelism": 3}});
        let made = |zone: Value| {
            let cron = CronBuilder::new().with(json!({"jobTemplate": template, "timeZone": zone}));
            job(&cron.build(), at("11:00:00"))
        };
        let plain = made(Value::Null);
        assert_eq!(plain.name(), "c-28401780");
        assert_eq!(plain.metadata.labels.as_ref().unwrap()["a"], "b");
        assert_eq!(plain.spec.as_ref().unwrap().parallelism, Some(3));
        assert_eq!(
            plain.metadata.owner_references.as_ref().unwrap()[0].kind,
            "CronJob"
        );
        let scheduled = |job: Job| job.metadata.annotations.unwrap()[SCHEDULED].clone();
        assert_eq!(scheduled(plain), "2024-01-01T11:00:00Z");
        assert_eq!(
            scheduled(made(json!("Asia/Tokyo"))),
            "2024-01-01T20:00:00+09:00"
        );
        assert_eq!(
            scheduled(made(json!("Europe/London"))),
            "2024-01-01T11:00:00Z"
        );
    }

    #[test]
    fn jobs_are_followed_to_their_end() {
        let active = |names: &[&str]| {
            let active = names.iter().map(|name| json!({"name": name, "uid": name}));
            let active: Vec<Value> = active.collect();
            CronBuilder::new()
                .active(json!(active))
                .build()
                .status
                .unwrap()
        };
        let mut status = active(&["done", "failed", "runs", "lost"]);
        let jobs = [
            ended("done", "Complete", "11:00:00"),
            ended("before", "Complete", "10:00:00"),
            ended("failed", "Failed", "12:00:00"),
            ended("runs", "", "12:00:00"),
            ended("strange", "", "12:00:00"),
        ];
        let followed = follow(&mut status, &jobs);
        let messages: Vec<_> = followed
            .events
            .iter()
            .map(|(_, _, text)| text.as_str())
            .collect();
        assert_eq!(
            messages,
            [
                "Saw completed job: done, status: Complete",
                "Saw completed job: failed, status: Failed"
            ]
        );
        assert_eq!(followed.unexpected, [jobs[4].clone()]);
        assert_eq!(followed.missing.len(), 1);
        assert_eq!(status.last_successful_time.unwrap().0, at("11:00:00"));
        let left: Vec<_> = status
            .active
            .unwrap()
            .into_iter()
            .map(|job| job.uid.unwrap())
            .collect();
        assert_eq!(left, ["runs", "lost"]);
    }

    #[test]
    fn the_oldest_go() {
        let jobs = [
            ended("c2", "Complete", "12:00:00"),
            ended("c1", "Complete", "11:00:00"),
            ended("c3", "Complete", "13:00:00"),
            ended("f1", "Failed", "11:00:00"),
            ended("f2", "Failed", "12:00:00"),
            ended("r", "", "10:00:00"),
        ];
        let gone = |successful: Value, failed: Value| {
            let limits =
                json!({"successfulJobsHistoryLimit": successful, "failedJobsHistoryLimit": failed});
            let surplus = surplus(&CronBuilder::new().with(limits).build(), &jobs);
            surplus
                .iter()
                .map(|job| job.name().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(gone(json!(2), json!(1)), ["c1", "f1"]);
        assert_eq!(gone(json!(0), json!(9)), ["c1", "c2", "c3"]);
        assert_eq!(gone(Value::Null, Value::Null), [""; 0]);
    }
}
