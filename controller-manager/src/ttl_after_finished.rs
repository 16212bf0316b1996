//! Jobs that have ended go, with their pods, when their
//! `ttlSecondsAfterFinished` are over.

use crate::Work;
use crate::context::Context;
use crate::informers::Informers;
use crate::job::finished;
use hardway_client::api::DeleteParams;
use hardway_client::controller::{self, Next};
use hardway_client::queue::WorkQueue;
use hardway_client::{Client, Store};
use hardway_proto::meta::ObjectKey;
use hardway_proto::{Kind, Status};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use std::time::Duration;

const WORKERS: usize = 5;

struct Controller {
    client: Client,
    jobs: Store<Job>,
}

/// The controller.
pub fn register(informers: &mut Informers, context: &Context) -> Work {
    let queue = WorkQueue::new();
    let controller = Controller {
        client: context.client.clone(),
        jobs: informers.jobs.store(),
    };
    let on_job = queue.clone();
    informers.jobs.subscribe(move |change| {
        let job = change.object();
        if expiry(job).is_some() {
            on_job.add(ObjectKey::of(job.as_ref()));
        }
    });
    Box::pin(async move {
        controller.jobs.wait_synced().await;
        let name = "ttl-after-finished-controller";
        controller::run(name, queue, WORKERS, |key| controller.reconcile(key)).await;
    })
}

/// When a Job that has ended goes, unless it is going already.
fn expiry(job: &Job) -> Option<Timestamp> {
    let ttl = job.spec.as_ref()?.ttl_seconds_after_finished?;
    let end = finished(job)?.last_transition_time.as_ref()?.0;
    let stays = job.metadata.deletion_timestamp.is_none();
    let at = end.checked_add(SignedDuration::from_secs(ttl.into())).ok();
    at.filter(|_| stays)
}

/// How long it has until then; zero if its time is over.
fn time_left(job: &Job, now: Timestamp) -> Option<Duration> {
    let left = now.duration_until(expiry(job)?);
    Some(Duration::try_from(left).unwrap_or_default())
}

impl Controller {
    async fn reconcile(&self, key: ObjectKey) -> Result<Next, Status> {
        let job = self.jobs.get(&key);
        match job.and_then(|job| time_left(&job, Timestamp::now())) {
            None => return Ok(Next::Done),
            Some(left) if !left.is_zero() => return Ok(Next::After(left)),
            Some(_) => {}
        }
        // The cache may be behind: its time may have been prolonged.
        let api = self.client.namespaced::<Job>(&key.namespace);
        let job = api.get_opt(&key.name).await?;
        let Some(job) =
            job.filter(|job| time_left(job, Timestamp::now()).is_some_and(|left| left.is_zero()))
        else {
            return Ok(Next::Done);
        };
        let options = DeleteParams {
            resource_version: Some(job.resource_version().to_owned()),
            propagation_policy: Some("Foreground"),
            ..DeleteParams::of(job.uid())
        };
        match api.delete(job.name(), &options).await {
            Err(status) if !status.is_not_found() => Err(status),
            _ => Ok(Next::Done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn job(ttl: Value, condition: Value) -> Job {
        serde_json::from_value(json!({
            "metadata": {"name": "j"},
            "spec": {"template": {}, "ttlSecondsAfterFinished": ttl},
            "status": {"conditions": [condition]},
        }))
        .unwrap()
    }

    #[test]
    fn time_runs_from_the_end() {
        let ended = |r#type: &str, status: &str| json!({"type": r#type, "status": status, "lastTransitionTime": "1970-01-01T00:01:00Z"});
        for (ttl, condition, left) in [
            (json!(60), ended("Complete", "True"), Some(20)),
            (json!(60), ended("Failed", "True"), Some(20)),
            (json!(30), ended("Complete", "True"), Some(0)),
            (json!(0), ended("Complete", "True"), Some(0)),
            (json!(null), ended("Complete", "True"), None),
            (json!(60), ended("Complete", "False"), None),
            (json!(60), ended("SuccessCriteriaMet", "True"), None),
        ] {
            let now = Timestamp::from_second(100).unwrap();
            let job = job(ttl.clone(), condition.clone());
            let left_now = time_left(&job, now).map(|left| left.as_secs());
            assert_eq!(left_now, left, "{ttl} {condition}");
        }
        let mut going = job(json!(0), ended("Complete", "True"));
        going.metadata.deletion_timestamp = Some(
            k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::now()),
        );
        assert_eq!(time_left(&going, Timestamp::now()), None);
    }
}
