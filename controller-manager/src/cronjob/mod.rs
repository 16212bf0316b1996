//! CronJobs: a Job for each time of a schedule.
//!
//! The decisions are pure: [`times`] reckons when a Job is due, [`decision`]
//! says whether it starts, [`jobs`] what it looks like and what becomes of it.
//! [`controller`] carries out.

mod controller;
mod decision;
mod jobs;
#[cfg(test)]
mod testing;
mod times;

use crate::context::Context;
use crate::informers::Informers;
use crate::written::Written;
use crate::{Work, adoption};
use controller::Controller;
use hardway_client::controller::run;
use hardway_client::informer::Change;
use hardway_client::queue::WorkQueue;
use hardway_proto::meta::ObjectKey;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use k8s_openapi::api::batch::v1::CronJob;

const WORKERS: usize = 5;

/// Tells the time.
type Clock = fn() -> Timestamp;

/// The controller.
pub fn register(informers: &mut Informers, context: &Context) -> Work {
    register_by(informers, context, Timestamp::now)
}

/// The same, by another clock.
fn register_by(informers: &mut Informers, context: &Context, clock: Clock) -> Work {
    let queue = WorkQueue::new();
    let controller = Controller {
        client: context.client.clone(),
        recorder: context.recorder("cronjob-controller"),
        cron_jobs: informers.cron_jobs.store(),
        jobs: informers.jobs.store(),
        written: Written::default(),
        clock,
    };
    let on_cron_job = queue.clone();
    informers
        .cron_jobs
        .subscribe(move |change| changed(change, &on_cron_job, clock));
    let (on_job, cron_jobs) = (queue.clone(), informers.cron_jobs.store());
    informers.jobs.subscribe(move |change| {
        // Nobody adopts a Job.
        for cron_job in adoption::concerned(change, &cron_jobs, |_: &CronJob| None) {
            on_job.add(cron_job);
        }
    });
    Box::pin(async move {
        controller.cron_jobs.wait_synced().await;
        controller.jobs.wait_synced().await;
        run("cronjob", queue, WORKERS, |key| controller.reconcile(key)).await;
    })
}

/// Wakes a CronJob; one with another schedule only when that is due next, since
/// times that have passed were not meant by it.
fn changed(change: &Change<CronJob>, queue: &WorkQueue<ObjectKey>, clock: Clock) {
    let new = change.object();
    let key = ObjectKey::of(new.as_ref());
    if let Change::Applied { old: Some(old), .. } = change
        && let (Some(old), Some(spec)) = (&old.spec, &new.spec)
        && (&old.schedule, &old.time_zone) != (&spec.schedule, &spec.time_zone)
        && let Ok(table) = decision::timetable(spec, &TimeZone::system())
        && let Some(pause) = table.next_in(new, clock())
    {
        return queue.add_after(key, pause);
    }
    queue.add(key);
}

#[cfg(test)]
mod tests;
