//! Brings one Job a step further, and says so in its status.

use super::memory::Memory;
use super::pods::{FINALIZER, is_tracked};
use super::scaling::{self, Step};
use super::state::{Known, State};
use super::tracking::{self, Recorded};
use super::verdict::{self, Verdict};
use super::{Task, conditions, creation, is_orphan, monitor, spec};
use crate::pod_control::PodControl;
use crate::written::{self, Written};
use crate::{adoption, conflicts};
use futures_util::future::join_all;
use hardway_client::Store;
use hardway_client::api::Patch;
use hardway_client::controller::Next;
use hardway_client::events::{EventType, reference};
use hardway_proto::labels::Selector;
use hardway_proto::meta::ObjectKey;
use hardway_proto::{Kind, Status};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use std::sync::Arc;

/// The controller's hands.
pub struct Controller {
    /// All Jobs.
    pub jobs: Store<Job>,
    /// What creates and deletes pods.
    pub control: PodControl,
    /// What else is known.
    pub memory: Arc<Memory>,
    /// Jobs whose status was written.
    pub written: Written,
}

impl Controller {
    /// Brings a Job a step further, or looks after a pod that has none.
    pub async fn reconcile(&self, task: Task) -> Result<Next, Status> {
        conflicts::wait_out(match task {
            Task::Job(key) => self.sync(&key).await,
            Task::Orphan(key) => self.release_orphan(&key).await,
        })
    }

    async fn sync(&self, key: &ObjectKey) -> Result<Next, Status> {
        let job = self.jobs.get(key).filter(|job| {
            let finished = conditions::finished(job).is_some();
            job.spec.is_some() && !finished && !spec::is_managed_elsewhere(job)
        });
        let Some(job) = job else {
            self.control.expectations.forget(key);
            self.memory.forget(key);
            self.written.forget(key);
            return Ok(Next::Done);
        };
        if self.written.is_ahead_of(job.as_ref()) {
            // The cache wakes this key when it has caught up.
            return Ok(Next::After(written::TIMEOUT));
        }
        let mut sync = monitor::Sync::of(&job);
        let outcome = self.step(key, &job, &mut sync).await;
        sync.end(outcome.is_ok());
        outcome
    }

    async fn step(
        &self,
        key: &ObjectKey,
        job: &Arc<Job>,
        sync: &mut monitor::Sync,
    ) -> Result<Next, Status> {
        // Judged before the pods are read: what is satisfied now is in the cache.
        let satisfied = self.control.expectations.satisfied(key);
        let released = self.memory.released(job);
        let known = Known {
            pods: self.claim(job).await?,
            released,
            failures: self.memory.failures(job),
        };
        let now = Timestamp::now();
        let mut state = State::of(job, known, now);
        let (mut soon, mut suspension, mut outcome) = (None, None, Ok(()));
        if state.verdict.is_some() {
            let active = state.active.clone();
            outcome = self.delete(&mut state, &active).await;
            if !state.active.is_empty() || !satisfied {
                // There may be pods that are not known of yet.
                state.verdict = None;
            }
        } else {
            let managed = satisfied && job.metadata.deletion_timestamp.is_none();
            if managed {
                let (step, pause) = scaling::next(&state, now);
                soon = pause;
                sync.does(&step);
                outcome = match step {
                    Step::Create(indexes) => self.create(&mut state, &indexes).await,
                    Step::Delete(pods) => self.discard(&mut state, &pods).await,
                    Step::Nothing => Ok(()),
                };
            }
            if verdict::is_complete(&state) {
                state.verdict = Some(Verdict::completed());
            } else if managed {
                suspension = verdict::note_suspension(&mut state, now);
            }
            soon = soon
                .into_iter()
                .chain(verdict::time_left(&state, now))
                .min();
        }
        tracking::count_active(&mut state);
        self.track(job, state, now).await?;
        if let Some([reason, message]) = suspension {
            self.event(job, EventType::Normal, reason, message.into());
        }
        outcome?;
        Ok(soon.map_or(Next::Done, Next::After))
    }

    /// The Job's pods, after orphans were adopted and strangers let go.
    async fn claim(&self, job: &Job) -> Result<Vec<Arc<Pod>>, Status> {
        let selector = spec::selector(job).unwrap_or_else(Selector::nothing);
        let all = adoption::candidates(job, &self.control.pods);
        let claim = adoption::claim(job, &selector, all, |_| true);
        adoption::carry_out_with(&self.control.client, job, claim, &[FINALIZER]).await
    }

    /// Puts on record what has ended, lets those pods go, and counts them.
    async fn track(&self, stored: &Job, mut state: State, now: Timestamp) -> Result<(), Status> {
        let before = stored.status.clone().unwrap_or_default();
        let mut recorded = tracking::record(&mut state, now);
        let before = self.write(&mut state, before).await?;
        monitor::handled(&recorded.actions);
        self.memory.set_failures(stored, state.failures);
        let released = self.release(stored, &mut recorded).await;
        tracking::settle(state.status_mut(), &recorded.tracked);
        let finished = released.is_ok() && tracking::finish(&mut state, &recorded, now);
        self.write(&mut state, before).await?;
        monitor::counted(stored, &state.job);
        if finished {
            if let Some(verdict) = &state.verdict {
                monitor::finished(&state.job, verdict.success, &verdict.reason);
            }
            self.record_end(&state);
        }
        released
    }

    /// Writes the status, unless it is as it was `before`; returns it as stored.
    async fn write(&self, state: &mut State, before: JobStatus) -> Result<JobStatus, Status> {
        if *state.status() == before {
            return Ok(before);
        }
        let api = self.control.client.namespaced::<Job>(state.job.namespace());
        match api.update_status(&state.job).await {
            Ok(job) => {
                self.written.note(&job);
                state.job = job;
            }
            // Its pods still have to be let go.
            Err(status) if status.is_not_found() => {}
            Err(status) => return Err(status),
        }
        Ok(state.status_mut().clone())
    }

    /// Takes the finalizer off pods that are on record, and them off `tracked`.
    async fn release(&self, job: &Job, recorded: &mut Recorded) -> Result<(), Status> {
        let key = ObjectKey::of(job);
        let releases = recorded.release.iter().map(|pod| async {
            self.memory.releasing(job, pod.uid());
            let released = self.remove_finalizer(pod).await;
            if released.is_err() {
                self.memory.settle(&key, pod.uid());
            }
            (pod.uid().to_owned(), released)
        });
        let mut outcome = Ok(());
        for (uid, released) in join_all(releases).await {
            match released {
                Ok(()) => {
                    recorded.tracked.remove(&uid);
                }
                Err(status) => outcome = Err(status),
            }
        }
        outcome
    }

    async fn remove_finalizer(&self, pod: &Pod) -> Result<(), Status> {
        let patch = json!({"metadata": {
            "uid": pod.uid(),
            "$deleteFromPrimitiveList/finalizers": [FINALIZER],
        }});
        let api = self.control.client.namespaced::<Pod>(pod.namespace());
        match api.patch(pod.name(), Patch::Strategic(&patch)).await {
            Err(status) if !status.is_not_found() => Err(status),
            _ => Ok(()),
        }
    }

    async fn release_orphan(&self, key: &ObjectKey) -> Result<Next, Status> {
        if let Some(pod) = self
            .control
            .pods
            .get(key)
            .filter(|pod| is_orphan(pod, &self.jobs))
        {
            self.remove_finalizer(&pod).await?;
        }
        Ok(Next::Done)
    }

    async fn create(&self, state: &mut State, indexes: &[Option<i32>]) -> Result<(), Status> {
        let pods: Vec<_> = indexes.iter().map(|i| creation::pod(state, *i)).collect();
        let creation = self.control.create_counted(&state.job, pods).await;
        monitor::created(state, creation.pods.len(), creation.refused);
        state.active.extend(creation.pods);
        creation.outcome
    }

    /// Deletes active pods, after they have lost their finalizer: however they
    /// end, it doesn't count.
    async fn discard(&self, state: &mut State, pods: &[Arc<Pod>]) -> Result<(), Status> {
        let releases = pods.iter().map(|pod| async move {
            match is_tracked(pod) {
                true => self.remove_finalizer(pod).await,
                false => Ok(()),
            }
        });
        join_all(releases)
            .await
            .into_iter()
            .collect::<Result<(), Status>>()?;
        self.delete(state, pods).await
    }

    async fn delete(&self, state: &mut State, pods: &[Arc<Pod>]) -> Result<(), Status> {
        let (gone, outcome) = self.control.delete_counted(&state.job, pods).await;
        state.left(&gone);
        outcome
    }

    fn record_end(&self, state: &State) {
        let Some(verdict) = &state.verdict else {
            return;
        };
        let job = &state.job;
        if !verdict.success {
            let message = verdict.message.clone();
            return self.event(job, EventType::Warning, &verdict.reason, message);
        }
        let succeeded = state.status().succeeded.unwrap_or(0);
        if state
            .spec()
            .completions
            .is_some_and(|completions| succeeded > completions)
        {
            let text = "Too many succeeded pods running after completion count reached";
            self.event(job, EventType::Warning, "TooManySucceededPods", text.into());
        }
        self.event(job, EventType::Normal, "Completed", "Job completed".into());
    }

    fn event(&self, job: &Job, r#type: EventType, reason: &str, message: String) {
        let recorder = &self.control.recorder;
        recorder.event(reference(job), r#type, reason, message);
    }
}
