//! Jobs that fail or wait, and CronJobs that do not start any.

use crate::causes::Cause;
use crate::cluster::Cluster;
use crate::finding::Finding;
use crate::object::{Json, Object};
use crate::words::one_line;

pub(super) const CAUSE: Cause = Cause {
    name: "job",
    about: "a Job that has failed or is suspended, or a CronJob that starts none",
    kinds: &["Job", "CronJob"],
    reads: &["Event"],
    find,
};

fn find<'a>(cluster: &Cluster<'a>, object: &Object<'a>) -> Vec<Finding> {
    let found = match object.kind {
        "Job" => job(object),
        _ => cron_job(cluster, object),
    };
    found.into_iter().collect()
}

fn job(job: &Object<'_>) -> Option<Finding> {
    let failed = job.condition("Failed").or(job.condition("FailureTarget"));
    if let Some(failed) = failed.filter(|it| it.status == "True") {
        let help = match failed.reason {
            "DeadlineExceeded" => "allow it more time (activeDeadlineSeconds), or have it do less",
            "BackoffLimitExceeded" => "mend why its pods fail, then delete it and create it anew",
            _ => "delete it and create it anew",
        };
        let finding = Finding::error(format!("has failed: {}", one_line(failed.message)))
            .symptom()
            .since(failed.since)
            .says([job.told_by(&failed)])
            .advise(help)
            .run(
                "read what its pods have said",
                format!("kubectl logs job/{}{} --all-pods", job.name(), job.flag()),
            );
        return Some(finding);
    }
    let suspended = job.condition("Suspended").filter(|it| it.status == "True");
    let suspended = suspended?;
    let resume = format!(
        "kubectl patch job {}{} --type=merge -p '{{\"spec\":{{\"suspend\":false}}}}'",
        job.name(),
        job.flag()
    );
    let finding = Finding::info("is suspended: it runs no pods")
        .says([job.told_by(&suspended)])
        .run("let it go on", resume);
    Some(finding)
}

fn cron_job<'a>(cluster: &Cluster<'a>, cron: &Object<'a>) -> Option<Finding> {
    if cron.value.flag("/spec/suspend") {
        let resume = format!(
            "kubectl patch cronjob {}{} --type=merge -p '{{\"spec\":{{\"suspend\":false}}}}'",
            cron.name(),
            cron.flag()
        );
        let finding = Finding::info("is suspended: it starts no Jobs")
            .says([cron.field("/spec/suspend", "true")])
            .run("let it go on", resume);
        return Some(finding);
    }
    let event = cluster.event(
        cron,
        &[
            "FailedCreate",
            "UnparseableSchedule",
            "UnknownTimeZone",
            "TooManyMissedTimes",
            "FailedNeedsStart",
        ],
    )?;
    let summary = match event.reason {
        "TooManyMissedTimes" => "has missed more than 100 starts".to_owned(),
        "UnparseableSchedule" | "UnknownTimeZone" => "its schedule can't be read".to_owned(),
        _ => format!("starts no Job: {}", one_line(event.message)),
    };
    let finding = Finding::error(summary)
        .since(event.first)
        .says([event.evidence()])
        .run("correct it", cron.kubectl("edit"));
    Some(finding)
}

#[cfg(test)]
mod tests {
    use crate::fixtures::{ask, event, one, says};
    use serde_json::json;

    #[test]
    fn a_job_that_failed_leads_to_its_pod() {
        let job = json!({"metadata": {"name": "once", "namespace": "default", "uid": "j"},
            "status": {"failed": 1, "conditions": [{"type": "Failed", "status": "True",
            "reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit"}]}});
        let pod = json!({"metadata": {"name": "once-x", "namespace": "default",
                "ownerReferences": [{"kind": "Job", "name": "once", "uid": "j", "controller": true}]},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "c"}]},
            "status": {"phase": "Failed", "containerStatuses": [{"name": "c", "state": {"terminated":
                {"exitCode": 2, "reason": "Error"}}}]}});
        let objects = [("Job", job.clone()), ("Pod", pod)];
        let told = ask(&objects, "Job", "once");
        assert_eq!(told.summary, "pod/once-x: container c ended with code 2");
        says(
            &told.causes[0],
            "Job has reached the specified backoff limit",
        );
        // Its pods may be gone.
        let told = one(&[("Job", job)]);
        assert_eq!(
            told.summary,
            "has failed: Job has reached the specified backoff limit"
        );
    }

    #[test]
    fn cron_jobs_are_told() {
        let cron = |suspend: bool| {
            json!({"metadata": {"name": "nightly", "namespace": "default"},
            "spec": {"suspend": suspend, "schedule": "@daily"}})
        };
        let told = ask(&[("CronJob", cron(true))], "CronJob", "nightly");
        assert_eq!(told.summary, "is suspended: it starts no Jobs");
        let missed = event(
            "CronJob",
            "nightly",
            "TooManyMissedTimes",
            "too many missed start times: 101. Set or decrease .spec.startingDeadlineSeconds or check clock skew",
        );
        let told = one(&[("CronJob", cron(false)), missed]);
        assert_eq!(told.summary, "has missed more than 100 starts");
    }
}
