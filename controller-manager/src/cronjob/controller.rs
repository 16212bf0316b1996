//! Brings one CronJob a step further, and says so in its status.

use super::Clock;
use super::decision::{self, Event};
use super::jobs::{self, forget, is_active};
use crate::conflicts;
use crate::informers::BY_CONTROLLER;
use crate::written::{self, Written};
use hardway_client::api::DeleteParams;
use hardway_client::controller::Next;
use hardway_client::events::{EventType, Recorder, reference};
use hardway_client::metrics::{Histogram, register_histogram};
use hardway_client::{Client, Store};
use hardway_proto::meta::{ObjectKey, controller_of};
use hardway_proto::status::NAMESPACE_TERMINATING;
use hardway_proto::{Kind, Status};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::sync::LazyLock;

/// Buckets of a second to eight minutes, as Kubernetes has them.
static CREATION_SKEW: LazyLock<Histogram> = LazyLock::new(|| {
    let buckets = (0..10).map(|power| f64::from(1 << power)).collect();
    register_histogram!(
        "cronjob_controller_job_creation_skew_duration_seconds",
        "Time between when a cronjob is scheduled to be run, and when the corresponding job is created.",
        buckets
    )
    .expect("the name is registered once")
});

/// The controller's hands.
pub struct Controller {
    /// The apiserver.
    pub client: Client,
    /// Where events go.
    pub recorder: Recorder,
    /// All CronJobs.
    pub cron_jobs: Store<CronJob>,
    /// All Jobs.
    pub jobs: Store<Job>,
    /// CronJobs whose status was written.
    pub written: Written,
    /// The clock on the wall.
    pub clock: Clock,
}

impl Controller {
    /// Brings a CronJob a step further.
    pub async fn reconcile(&self, key: ObjectKey) -> Result<Next, Status> {
        let Some(stored) = self.cron_jobs.get(&key) else {
            self.written.forget(&key);
            return Ok(Next::Done);
        };
        if self.written.is_ahead_of(stored.as_ref()) {
            // The cache wakes this key when it has caught up.
            return Ok(Next::After(written::TIMEOUT));
        }
        // What is found out on the way is kept here, and written once at the end,
        // whatever else fails.
        let mut cron = (*stored).clone();
        cron.status.get_or_insert_default();
        let outcome = self.sync(&mut cron).await;
        if cron.status != stored.status {
            let api = self.client.namespaced::<CronJob>(cron.namespace());
            match api.update_status(&cron).await {
                Ok(cron) => self.written.note(&cron),
                Err(status) if status.is_not_found() => {}
                Err(status) => return conflicts::wait_out(Err(status)),
            }
        }
        conflicts::wait_out(outcome)
    }

    async fn sync(&self, cron: &mut CronJob) -> Result<Next, Status> {
        self.follow(cron).await?;
        let now = (self.clock)();
        let decision = decision::decide(cron, &TimeZone::system(), now);
        self.record(cron, decision.events);
        if let Some(time) = decision.start {
            if replaces(cron) {
                self.delete_active(cron).await?;
            }
            self.start(cron, time).await?;
        }
        let soon = decision
            .timetable
            .and_then(|table| table.next_in(cron, now));
        Ok(soon.map_or(Next::Done, Next::After))
    }

    /// Brings the status up to date with the CronJob's Jobs, and clears away old ones.
    async fn follow(&self, cron: &mut CronJob) -> Result<(), Status> {
        let all = self.jobs.by_index(BY_CONTROLLER, cron.uid());
        for job in jobs::surplus(cron, &all) {
            // What can't be deleted now is old enough next time, too.
            if self.delete(cron, &job).await.is_err() {
                tracing::warn!(job = %ObjectKey::of(job.as_ref()), "an old Job stays");
            }
        }
        let status = cron.status.get_or_insert_default();
        let followed = jobs::follow(status, &all);
        self.record(cron, followed.events);
        if !followed.unexpected.is_empty() {
            let api = self.client.namespaced::<CronJob>(cron.namespace());
            let fresh = api.get(cron.name()).await?;
            if fresh.resource_version() != cron.resource_version() {
                let why = "its status is about to change";
                return Err(Status::conflict("batch", "cronjobs", cron.name(), why));
            }
        }
        let unexpected = followed.unexpected.iter().map(|job| {
            let message = format!(
                "Saw a job that the controller did not create or forgot: {}",
                job.name()
            );
            (EventType::Warning, "UnexpectedJob", message)
        });
        self.record(cron, unexpected.collect());
        let api = self.client.namespaced::<Job>(cron.namespace());
        for job in followed.missing {
            let (name, uid) = (job.name.unwrap_or_default(), job.uid.unwrap_or_default());
            // The cache may be behind.
            if api
                .get_opt(&name)
                .await?
                .is_some_and(|job| job.uid() == uid)
            {
                continue;
            }
            forget(cron.status.get_or_insert_default(), &uid);
            let message = format!("Active job went missing: {name}");
            self.record(cron, vec![(EventType::Normal, "MissingJob", message)]);
        }
        Ok(())
    }

    /// Starts the Job for a time. One that was started before and then forgotten
    /// is remembered.
    async fn start(&self, cron: &mut CronJob, time: Timestamp) -> Result<(), Status> {
        let api = self.client.namespaced::<Job>(cron.namespace());
        let new = jobs::job(cron, time);
        let job = match api.create(&new).await {
            Ok(job) => {
                let created = job.metadata.creation_timestamp.as_ref();
                let late = created.map(|created| created.0.duration_since(time));
                CREATION_SKEW.observe(late.unwrap_or_default().as_secs_f64());
                let message = format!("Created job {}", job.name());
                self.record(cron, vec![(EventType::Normal, "SuccessfulCreate", message)]);
                job
            }
            Err(status) if status.has_cause(NAMESPACE_TERMINATING) => return Ok(()),
            Err(status) if status.is_already_exists() => {
                let job = api.get(new.name()).await?;
                let owner = controller_of(&job.metadata);
                let own = owner.is_some_and(|owner| owner.uid == cron.uid());
                let known = cron
                    .status
                    .as_ref()
                    .is_some_and(|s| is_active(s, job.uid()));
                if !own || known {
                    return Ok(());
                }
                job
            }
            Err(status) => {
                let message = format!("Error creating job: {status}");
                self.record(cron, vec![(EventType::Warning, "FailedCreate", message)]);
                return Err(status);
            }
        };
        let status = cron.status.get_or_insert_default();
        if crate::job::finished(&job).is_none() {
            status.active.get_or_insert_default().push(reference(&job));
        }
        status.last_schedule_time = Some(Time(time));
        Ok(())
    }

    /// Deletes all Jobs that run.
    async fn delete_active(&self, cron: &mut CronJob) -> Result<(), Status> {
        let api = self.client.namespaced::<Job>(cron.namespace());
        let active = cron.status.as_ref().and_then(|s| s.active.clone());
        for job in active.unwrap_or_default() {
            let name = job.name.unwrap_or_default();
            match api.get(&name).await {
                Ok(job) => self.delete(cron, &job).await?,
                Err(status) => {
                    let message = format!("Get job: {status}");
                    self.record(cron, vec![(EventType::Warning, "FailedGet", message)]);
                    return Err(status);
                }
            }
        }
        Ok(())
    }

    async fn delete(&self, cron: &mut CronJob, job: &Job) -> Result<(), Status> {
        let options = DeleteParams {
            propagation_policy: Some("Background"),
            ..DeleteParams::of(job.uid())
        };
        let api = self.client.namespaced::<Job>(job.namespace());
        match api.delete(job.name(), &options).await {
            Err(status) if !status.is_not_found() => {
                let message = format!("Deleted job: {status}");
                self.record(cron, vec![(EventType::Warning, "FailedDelete", message)]);
                return Err(status);
            }
            _ => {}
        }
        forget(cron.status.get_or_insert_default(), job.uid());
        let message = format!("Deleted job {}", job.name());
        self.record(cron, vec![(EventType::Normal, "SuccessfulDelete", message)]);
        Ok(())
    }

    fn record(&self, cron: &CronJob, events: Vec<Event>) {
        for (r#type, reason, message) in events {
            self.recorder
                .event(reference(cron), r#type, reason, message);
        }
    }
}

fn replaces(cron: &CronJob) -> bool {
    let policy = cron
        .spec
        .as_ref()
        .and_then(|s| s.concurrency_policy.as_deref());
    policy == Some("Replace")
}
