//! A Job and its pods at one moment, counted and judged: see `syncJob` of
//! Kubernetes' Job controller.

use super::backoff::Failures;
use super::failure_policy::{self, Action};
use super::indexes::Indexes;
use super::pods::{completion_index, has_failed, has_succeeded, is_terminating, is_tracked, uid};
use super::verdict::{self, Verdict};
use super::{pods, spec};
use crate::pod_ranking::{is_active, is_ready};
use hardway_proto::Kind;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What is known of a Job besides its object.
pub struct Known {
    /// Its pods.
    pub pods: Vec<Arc<Pod>>,
    /// UIDs of pods whose finalizer was taken off, though they may still show it.
    pub released: HashSet<String>,
    /// Failures that were counted before.
    pub failures: Failures,
}

/// A Job, its pods, and what follows from them.
pub struct State {
    /// The Job. Its status is brought up to date step by step, and written at the end.
    pub job: Job,
    /// All its pods.
    pub pods: Vec<Arc<Pod>>,
    /// Those that neither have ended nor leave.
    pub active: Vec<Arc<Pod>>,
    /// How many of these are ready.
    pub ready: i32,
    /// How many are leaving, and have not ended yet.
    pub terminating: i32,
    /// How many have succeeded; of an indexed Job, for how many indexes.
    pub succeeded: i32,
    /// Pods that have failed, without those that the policy ignores.
    pub failed: i32,
    /// Failures that the next pods have to wait for.
    pub failures: Failures,
    /// The indexes that succeeded, as written in the status.
    pub written_indexes: Indexes,
    /// The indexes that have succeeded.
    pub succeeded_indexes: Indexes,
    /// The indexes that have failed, if each has a limit of its own.
    pub failed_indexes: Option<Indexes>,
    /// By index: the failed pod that stays until its replacement carries on its count.
    pub awaiting_replacement: HashMap<i32, Arc<Pod>>,
    /// How the Job ends, if that is certain.
    pub verdict: Option<Verdict>,
    released: HashSet<String>,
}

impl State {
    /// Counts and judges. The Job must have a spec.
    pub fn of(job: &Job, known: Known, now: Timestamp) -> Self {
        let pods = known.pods;
        let active: Vec<_> = pods.iter().filter(|p| is_active(p)).cloned().collect();
        let mut state = Self {
            job: job.clone(),
            ready: active.iter().filter(|p| is_ready(p)).count() as i32,
            terminating: pods.iter().filter(|p| is_terminating(p)).count() as i32,
            active,
            pods,
            succeeded: 0,
            failed: 0,
            failures: known.failures,
            written_indexes: Indexes::default(),
            succeeded_indexes: Indexes::default(),
            failed_indexes: None,
            awaiting_replacement: HashMap::new(),
            verdict: None,
            released: known.released,
        };
        let first_start = !spec::is_suspended(state.spec());
        let status = state.job.status.get_or_insert_default();
        status.uncounted_terminated_pods.get_or_insert_default();
        if status.start_time.is_none() && first_start {
            status.start_time = Some(Time(now));
        }
        state.count();
        state.verdict = verdict::of(&state, now);
        state
    }

    /// What the Job asks for.
    pub fn spec(&self) -> &JobSpec {
        self.job
            .spec
            .as_ref()
            .expect("a Job without one isn't looked at")
    }

    /// The status as far as it is brought up to date.
    pub fn status(&self) -> &JobStatus {
        self.job.status.as_ref().expect("it was filled in at first")
    }

    /// The same, to change.
    pub fn status_mut(&mut self) -> &mut JobStatus {
        self.job.status.get_or_insert_default()
    }

    /// Whether a pod's end is still to be counted.
    pub fn is_tracked(&self, pod: &Pod) -> bool {
        is_tracked(pod) && !self.released.contains(uid(pod))
    }

    /// A pod's index, if it is one of the Job's.
    pub fn index_of(&self, pod: &Pod) -> Option<i32> {
        completion_index(pod).filter(|index| *index < spec::completions(self.spec()))
    }

    /// Whether a pod has failed.
    pub fn has_failed(&self, pod: &Pod) -> bool {
        has_failed(pod, self.spec())
    }

    /// Tracked pods, of which those of an indexed Job have one of its indexes.
    fn valid(&self) -> impl Iterator<Item = &Arc<Pod>> {
        let indexed = spec::is_indexed(self.spec());
        let valid = move |pod: &&Arc<Pod>| {
            self.is_tracked(pod) && (!indexed || self.index_of(pod).is_some())
        };
        self.pods.iter().filter(valid)
    }

    fn count(&mut self) {
        let (succeeded, failed) = uncounted(self.status());
        let (succeeded_before, failed_before) = (succeeded.len() as i32, failed.len() as i32);
        let new = |known: &HashSet<&str>, ended: &dyn Fn(&Pod) -> bool| -> Vec<Arc<Pod>> {
            let ended = self.valid().filter(|p| !known.contains(uid(p)) && ended(p));
            ended.cloned().collect()
        };
        let succeeded = new(&succeeded, &has_succeeded);
        let failed = new(&failed, &|pod| self.has_failed(pod));
        let policy = self.spec().pod_failure_policy.as_ref();
        let counting = failed.iter().filter(|p| failure_policy::counts(policy, p));
        let counting = counting.count() as i32;
        // Who may write the status may have written any number.
        let sum = |counted: Option<i32>, more: [i32; 2]| {
            let counted = counted.unwrap_or(0);
            more.into_iter().fold(counted, i32::saturating_add)
        };
        let status = self.status();
        let new = [succeeded.len() as i32, succeeded_before];
        (self.succeeded, self.failed) = (
            sum(status.succeeded, new),
            sum(status.failed, [counting, failed_before]),
        );
        self.failures = self.failures.after(&succeeded, &failed);
        if spec::is_indexed(self.spec()) {
            self.count_indexes();
        }
    }

    fn count_indexes(&mut self) {
        let completions = spec::completions(self.spec());
        let parse = |text: &Option<String>| {
            Indexes::parse(text.as_deref().unwrap_or_default(), completions)
        };
        let written = parse(&self.status().completed_indexes);
        let tracked = |chosen: &dyn Fn(&Pod) -> bool| -> Vec<i32> {
            let pods = self.valid().filter(|pod| chosen(pod));
            pods.filter_map(|pod| self.index_of(pod)).collect()
        };
        let succeeded = written.with(tracked(&has_succeeded));
        let (mut failed_indexes, mut awaiting) = (None, HashMap::new());
        if let Some(limit) = spec::backoff_limit_per_index(self.spec()) {
            let failed = tracked(&|pod| self.has_failed_its_index(pod, limit));
            let failed = parse(&self.status().failed_indexes).with(failed);
            awaiting = self.awaiting_replacement(&succeeded.union(&failed));
            failed_indexes = Some(failed);
        }
        self.succeeded = succeeded.len();
        self.failed_indexes = failed_indexes;
        self.awaiting_replacement = awaiting;
        self.written_indexes = written;
        self.succeeded_indexes = succeeded;
    }

    fn has_failed_its_index(&self, pod: &Pod, limit: i32) -> bool {
        let policy = self.spec().pod_failure_policy.as_ref();
        self.has_failed(pod)
            && match failure_policy::judge(policy, pod) {
                Some(Action::FailIndex) => true,
                Some(Action::Ignore) => false,
                _ => pods::index_failures(pod) >= limit,
            }
    }

    /// For each index that gets another pod: the pod that failed last.
    fn awaiting_replacement(&self, done: &Indexes) -> HashMap<i32, Arc<Pod>> {
        let indexes = self.active.iter().filter_map(|p| completion_index(p));
        let active: HashSet<i32> = indexes.collect();
        let rank = |pod: &Pod| {
            let ignored = pods::ignored_index_failures(pod);
            let failures = pods::index_failures(pod).saturating_add(ignored);
            (failures, pods::finished_at(pod))
        };
        let mut last: HashMap<i32, Arc<Pod>> = HashMap::new();
        for pod in self.valid().filter(|pod| self.has_failed(pod)) {
            let Some(index) = self.index_of(pod) else {
                continue;
            };
            if done.contains(index) || active.contains(&index) {
                continue;
            }
            let newer = last
                .get(&index)
                .is_none_or(|known| rank(known) <= rank(pod));
            if newer {
                last.insert(index, pod.clone());
            }
        }
        last
    }

    /// These active pods are leaving now.
    pub fn left(&mut self, gone: &[Arc<Pod>]) {
        let uids: HashSet<&str> = gone.iter().map(|pod| pod.uid()).collect();
        self.active.retain(|pod| !uids.contains(pod.uid()));
        self.terminating += gone.len() as i32;
        self.ready -= gone.iter().filter(|pod| is_ready(pod)).count() as i32;
    }
}

/// UIDs of pods that have ended and are in no counter yet: succeeded, failed.
pub fn uncounted(status: &JobStatus) -> (HashSet<&str>, HashSet<&str>) {
    fn set(uids: Option<&Vec<String>>) -> HashSet<&str> {
        uids.into_iter().flatten().map(String::as_str).collect()
    }
    let pods = status.uncounted_terminated_pods.as_ref();
    let succeeded = pods.and_then(|pods| pods.succeeded.as_ref());
    let failed = pods.and_then(|pods| pods.failed.as_ref());
    (set(succeeded), set(failed))
}
