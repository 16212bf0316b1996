//! Jobs: pods that run to their end, as often as asked for.
//!
//! The decisions are pure and have a file each. [`state`] counts a Job's pods;
//! [`verdict`] says whether and how the Job ends, with [`failure_policy`] and
//! [`success_policy`]; [`scaling`] which pods it needs next, after a pause by
//! [`backoff`]; [`creation`] what they look like; [`tracking`] sees to it that
//! the end of each counts once. [`controller`] carries out.

mod backoff;
mod conditions;
mod controller;
mod creation;
mod failure_policy;
mod indexes;
mod memory;
mod monitor;
mod pods;
mod scaling;
mod spec;
mod state;
mod success_policy;
#[cfg(test)]
mod testing;
mod tracking;
mod verdict;

use crate::Work;
use crate::adoption;
use crate::context::Context;
use crate::expectations::Expectations;
use crate::informers::{BY_CONTROLLER, Informers};
use crate::pod_control::PodControl;
use crate::written::Written;
pub use conditions::finished;
use controller::Controller;
use hardway_client::Store;
use hardway_client::controller::run;
use hardway_client::informer::Change;
use hardway_client::queue::WorkQueue;
use hardway_proto::Kind;
use hardway_proto::meta::{ObjectKey, controller_of};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use memory::Memory;
use std::sync::Arc;

const WORKERS: usize = 5;

/// What to look at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Task {
    Job(ObjectKey),
    /// A pod with a finalizer that no Job takes off.
    Orphan(ObjectKey),
}

/// The controller.
pub fn register(informers: &mut Informers, context: &Context) -> Work {
    let queue = WorkQueue::new();
    let control = PodControl {
        client: context.client.clone(),
        recorder: context.recorder("job-controller"),
        pods: informers.pods.store(),
        expectations: Arc::new(Expectations::default()),
    };
    let controller = Controller {
        control,
        jobs: informers.jobs.store(),
        memory: Arc::new(Memory::default()),
        written: Written::default(),
    };
    let (on_job, pods) = (queue.clone(), informers.pods.store());
    informers
        .jobs
        .subscribe(move |change| job_changed(change, &pods, &on_job));
    let watcher = PodWatcher {
        jobs: informers.jobs.store(),
        expectations: controller.control.expectations.clone(),
        memory: controller.memory.clone(),
        queue: queue.clone(),
    };
    informers
        .pods
        .subscribe(move |change| watcher.changed(change));
    Box::pin(async move {
        controller.jobs.wait_synced().await;
        controller.control.pods.wait_synced().await;
        run("job", queue, WORKERS, |task| controller.reconcile(task)).await;
    })
}

/// Wakes the Job; one that is over or gone leaves pods to others.
fn job_changed(change: &Change<Job>, pods: &Store<Pod>, queue: &WorkQueue<Task>) {
    let job = change.object();
    monitor::job_changed(change);
    queue.add(Task::Job(ObjectKey::of(job.as_ref())));
    if matches!(change, Change::Deleted(_)) || finished(job).is_some() {
        for pod in pods.by_index(BY_CONTROLLER, job.uid()) {
            if pods::is_tracked(&pod) {
                queue.add(Task::Orphan(ObjectKey::of(pod.as_ref())));
            }
        }
    }
}

/// Whether a pod has the finalizer, but no Job that will take it off.
fn is_orphan(pod: &Pod, jobs: &Store<Job>) -> bool {
    if !pods::is_tracked(pod) {
        return false;
    }
    let Some(owner) = controller_of(&pod.metadata) else {
        return true;
    };
    if owner.kind != Job::KIND || owner.api_version != Job::api_version() {
        return false;
    }
    let job = jobs.get(&ObjectKey::new(pod.namespace(), &owner.name));
    match job.filter(|job| job.uid() == owner.uid) {
        Some(job) => finished(&job).is_some() && !spec::is_managed_elsewhere(&job),
        None => true,
    }
}

struct PodWatcher {
    jobs: Store<Job>,
    expectations: Arc<Expectations>,
    memory: Arc<Memory>,
    queue: WorkQueue<Task>,
}

impl PodWatcher {
    /// Wakes the Jobs that it concerns, and who cares for orphans.
    fn changed(&self, change: &Change<Pod>) {
        let pod = change.object();
        let gone = matches!(change, Change::Deleted(_));
        self.expectations.follow::<Job>(change);
        monitor::pod_changed(change);
        if (gone || !pods::is_tracked(pod))
            && let Some(job) = adoption::owner_of::<Job, Pod>(pod)
        {
            self.memory.settle(&job, pod.uid());
        }
        for job in adoption::concerned(change, &self.jobs, spec::selector) {
            self.queue.add(Task::Job(job));
        }
        if !gone && is_orphan(pod, &self.jobs) {
            self.queue.add(Task::Orphan(ObjectKey::of(pod.as_ref())));
        }
    }
}
