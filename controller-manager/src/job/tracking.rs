//! Counts the ends of pods, each once, whatever crashes.
//!
//! A pod that has ended keeps a finalizer until its end is on record. First its
//! UID goes into the status (`uncountedTerminatedPods`; of an indexed Job's
//! successes the index, `completedIndexes`). Then the finalizer is taken off.
//! Then the UID leaves the status, and the counter goes up, in one write. So
//! whoever comes after a crash knows of each pod which of the three were done.

use super::conditions;
use super::failure_policy::{self, Action};
use super::pods::{has_succeeded, uid};
use super::spec;
use super::state::{State, uncounted};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::JobStatus;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::collections::HashSet;
use std::sync::Arc;

/// At most this many ends are on record uncounted: their UIDs take about 20 KB.
const MAX_UNCOUNTED: usize = 500;

/// What the status now has on record.
pub struct Recorded {
    /// Pods whose finalizer comes off once the status is written.
    pub release: Vec<Arc<Pod>>,
    /// UIDs of pods that have it.
    pub tracked: HashSet<String>,
    /// Whether there are more pods than fit on record at a time.
    pub more: bool,
    /// What the Job's policy said of failures that are new on record.
    pub actions: Vec<Action>,
}

/// Puts the ends of pods, and the verdict, on record in the status.
pub fn record(state: &mut State, now: Timestamp) -> Recorded {
    let pods = state.pods.iter().filter(|pod| state.is_tracked(pod));
    let mut pods: Vec<Arc<Pod>> = pods.cloned().collect();
    let tracked: HashSet<String> = pods.iter().map(|pod| uid(pod).to_owned()).collect();
    settle(state.status_mut(), &tracked);
    if spec::is_indexed(state.spec()) {
        pods.sort_by_key(|pod| state.index_of(pod));
    }
    let (mut succeeded, mut failed) = {
        let (succeeded, failed) = uncounted(state.status());
        let list = |uids: HashSet<&str>| uids.into_iter().map(String::from).collect::<Vec<_>>();
        (list(succeeded), list(failed))
    };
    succeeded.sort();
    failed.sort();
    let (mut release, mut actions, mut indexes, mut more) = (Vec::new(), Vec::new(), 0, false);
    for pod in pods {
        if succeeded.len() + failed.len() + indexes >= MAX_UNCOUNTED {
            more = true;
            break;
        }
        if !may_go(state, &pod) {
            continue;
        }
        match end_of(state, &pod) {
            End::Index(index) => {
                indexes += usize::from(!state.written_indexes.contains(index));
            }
            End::Succeeded => push_new(&mut succeeded, uid(&pod)),
            End::Failed(action) if !failed.iter().any(|known| known == uid(&pod)) => {
                actions.extend(action);
                failed.push(uid(&pod).to_owned());
            }
            End::Failed(_) | End::Uncounted => {}
            End::Ignored => actions.push(Action::Ignore),
        }
        release.push(pod);
    }
    let list = |uids: Vec<String>| (!uids.is_empty()).then_some(uids);
    let on_record = state
        .status_mut()
        .uncounted_terminated_pods
        .get_or_insert_default();
    on_record.succeeded = list(succeeded);
    on_record.failed = list(failed);
    if spec::is_indexed(state.spec()) {
        record_indexes(state);
    }
    if let Some(verdict) = state.verdict.clone() {
        let (r#type, status) = (verdict.interim(), state.status_mut());
        if conditions::when_true(status, r#type).is_none() {
            conditions::set(status, r#type, true, &verdict.reason, &verdict.message, now);
        }
    }
    Recorded {
        release,
        tracked,
        more,
        actions,
    }
}

fn push_new(uids: &mut Vec<String>, uid: &str) {
    if !uids.iter().any(|known| known == uid) {
        uids.push(uid.to_owned());
    }
}

/// Whether a pod may lose its finalizer: all may when the Job is over or goes,
/// else those that have ended. One that a replacement carries on counting from
/// stays until there is one.
fn may_go(state: &State, pod: &Pod) -> bool {
    if state.job.metadata.deletion_timestamp.is_some()
        || state.verdict.is_some()
        || has_succeeded(pod)
    {
        return true;
    }
    let index = state.index_of(pod);
    let awaited = index.and_then(|index| state.awaiting_replacement.get(&index));
    state.has_failed(pod) && awaited.is_none_or(|awaited| uid(awaited) != uid(pod))
}

/// What a pod's end counts as.
enum End {
    /// A success of this index.
    Index(i32),
    Succeeded,
    /// A failure, of which the Job's policy may have said this.
    Failed(Option<Action>),
    /// Nothing, since the Job's policy says so.
    Ignored,
    /// Nothing.
    Uncounted,
}

fn end_of(state: &State, pod: &Pod) -> End {
    let (_, failed) = uncounted(state.status());
    let indexed = spec::is_indexed(state.spec());
    if has_succeeded(pod) && !failed.contains(uid(pod)) {
        return match state.index_of(pod) {
            Some(index) if indexed => End::Index(index),
            None if indexed => End::Uncounted,
            _ => End::Succeeded,
        };
    }
    // Once the Job has failed, so has whatever didn't end by itself.
    let job_failed = state
        .verdict
        .as_ref()
        .is_some_and(|verdict| !verdict.success);
    let policy = state.spec().pod_failure_policy.as_ref();
    let fails =
        (state.has_failed(pod) || job_failed) && (!indexed || state.index_of(pod).is_some());
    match fails.then(|| failure_policy::judge(policy, pod)) {
        Some(Some(Action::Ignore)) => End::Ignored,
        Some(action) => End::Failed(action),
        None => End::Uncounted,
    }
}

fn record_indexes(state: &mut State) {
    let failed = state.failed_indexes.as_ref().map(ToString::to_string);
    let succeeded = state.succeeded_indexes.clone();
    let status = state.status_mut();
    status.succeeded = count(succeeded.len());
    let text = succeeded.to_string();
    status.completed_indexes = (!text.is_empty()).then_some(text);
    status.failed_indexes = failed;
}

/// A counter as Kubernetes writes it: zero is left out.
fn count(number: i32) -> Option<i32> {
    (number != 0).then_some(number)
}

/// Counts pods on record that have no finalizer any more.
pub fn settle(status: &mut JobStatus, tracked: &HashSet<String>) {
    let Some(on_record) = &mut status.uncounted_terminated_pods else {
        return;
    };
    let settle = |uids: &mut Option<Vec<String>>, counter: &mut Option<i32>| {
        let known = uids.take().unwrap_or_default();
        let before = known.len();
        let left: Vec<String> = known
            .into_iter()
            .filter(|uid| tracked.contains(uid))
            .collect();
        let more = (before - left.len()) as i32;
        *counter = count(counter.unwrap_or(0).saturating_add(more));
        *uids = (!left.is_empty()).then_some(left);
    };
    settle(&mut on_record.succeeded, &mut status.succeeded);
    settle(&mut on_record.failed, &mut status.failed);
}

/// Whether nothing is left to count or to wait for; then says so.
pub fn finish(state: &mut State, recorded: &Recorded, now: Timestamp) -> bool {
    let Some(verdict) = state.verdict.clone() else {
        return false;
    };
    let (succeeded, failed) = uncounted(state.status());
    let open = !succeeded.is_empty() || !failed.is_empty() || recorded.more;
    if open || state.terminating > 0 {
        return false;
    }
    let status = state.status_mut();
    let last = verdict.last();
    conditions::set(status, last, true, &verdict.reason, &verdict.message, now);
    if verdict.success {
        status.completion_time = Some(Time(now));
    }
    true
}

/// Writes down how many pods run, are ready and leave.
pub fn count_active(state: &mut State) {
    let (active, ready, terminating) = (state.active.len(), state.ready, state.terminating);
    let status = state.status_mut();
    status.active = count(active as i32);
    status.ready = Some(ready);
    status.terminating = Some(terminating);
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Cluster, JobBuilder, PodBuilder, at, conditions, some, state};
    use super::*;
    use crate::pod_ranking::is_active;
    use hardway_proto::Kind;
    use k8s_openapi::api::batch::v1::Job;
    use serde_json::{Value, json};

    /// The status after everything on record was written and let go.
    fn tracked(job: &Job, pods: Vec<Arc<Pod>>) -> (Value, Vec<String>) {
        let mut state = state(job, pods);
        count_active(&mut state);
        let recorded = record(&mut state, at(3600));
        let names = recorded.release.iter().map(|pod| pod.name().to_owned());
        (json!(state.status()), names.collect())
    }

    #[test]
    fn ends_are_put_on_record_before_pods_go() {
        let job = JobBuilder::plain(3, Some(3))
            .status(json!({"succeeded": 1}))
            .build();
        let pods = [
            some(1, "Succeeded"),
            some(1, "Failed"),
            vec![PodBuilder::new("r", "Running").ready().build()],
            vec![PodBuilder::new("l", "Running").leaving().build()],
            vec![PodBuilder::new("old", "Succeeded").released().build()],
        ];
        let (status, released) = tracked(&job, pods.concat());
        assert_eq!(
            status["uncountedTerminatedPods"],
            json!({"succeeded": ["succeeded-0"], "failed": ["failed-0", "l"]})
        );
        assert_eq!(released, ["succeeded-0", "failed-0", "l"]);
        let counts = ["active", "ready", "terminating", "succeeded", "failed"];
        let counts = counts.map(|field| status[field].as_i64());
        assert_eq!(counts, [Some(1), Some(1), Some(1), Some(1), None]);
    }

    #[test]
    fn pods_on_record_are_counted_once_they_are_let_go() {
        let job = JobBuilder::plain(3, Some(3))
            .status(json!({"failed": 2, "uncountedTerminatedPods":
                {"succeeded": ["gone", "a"], "failed": ["b", "c"]}}))
            .build();
        let pods = vec![
            PodBuilder::new("a", "Succeeded").build(),
            PodBuilder::new("b", "Failed").released().build(),
            PodBuilder::new("c", "Failed").build(),
        ];
        let (status, released) = tracked(&job, pods);
        assert_eq!(
            (&status["succeeded"], &status["failed"]),
            (&json!(1), &json!(3))
        );
        assert_eq!(
            status["uncountedTerminatedPods"],
            json!({"succeeded": ["a"], "failed": ["c"]})
        );
        assert_eq!(released, ["a", "c"]);
    }

    #[test]
    fn indexes_need_no_uids() {
        let pod =
            |name: &str, phase: &str, index| PodBuilder::new(name, phase).index(index).build();
        let job = JobBuilder::indexed(5, 5)
            .status(json!({"completedIndexes": "0"}))
            .build();
        let pods = vec![
            pod("again", "Succeeded", 0),
            pod("b", "Succeeded", 2),
            pod("a", "Succeeded", 1),
            pod("f", "Failed", 3),
            pod("beyond", "Failed", 9),
        ];
        let (status, released) = tracked(&job, pods);
        assert_eq!(status["completedIndexes"], "0-2");
        assert_eq!(status["succeeded"], 3);
        assert_eq!(status["uncountedTerminatedPods"], json!({"failed": ["f"]}));
        assert_eq!(released.len(), 5);
    }

    #[test]
    fn what_a_policy_ignores_is_let_go_uncounted() {
        let job = JobBuilder::plain(1, Some(1))
            .with(json!({"podFailurePolicy": {"rules": [{"action": "Ignore",
                "onExitCodes": {"operator": "In", "values": [3]}}]}}))
            .build();
        let (status, released) = tracked(
            &job,
            vec![
                PodBuilder::new("ignored", "Failed").exit_code(3).build(),
                PodBuilder::new("leaving", "Running").leaving().build(),
            ],
        );
        assert_eq!(status["uncountedTerminatedPods"], json!({}));
        assert_eq!(released, ["ignored"], "who leaves may yet end well");
    }

    #[test]
    fn a_failed_pod_stays_until_its_replacement_carries_on() {
        let job = JobBuilder::indexed(1, 1)
            .with(json!({"backoffLimitPerIndex": 1}))
            .build();
        let failed = PodBuilder::new("f", "Failed").index(0).build();
        let (status, released) = tracked(&job, vec![failed.clone()]);
        assert_eq!((released.len(), &status["failedIndexes"]), (0, &json!("")));
        let next = PodBuilder::new("n", "Pending").index(0).build();
        let (status, released) = tracked(&job, vec![failed, next]);
        assert_eq!(released, ["f"]);
        assert_eq!(status["uncountedTerminatedPods"], json!({"failed": ["f"]}));
        let last = PodBuilder::new("l", "Failed").index(0);
        let last = last.annotated("batch.kubernetes.io/job-index-failure-count", 1);
        let (status, released) = tracked(&job, vec![last.build()]);
        assert_eq!((released.len(), &status["failedIndexes"]), (1, &json!("0")));
    }

    #[test]
    fn a_record_has_its_limits() {
        let job = JobBuilder::plain(900, Some(900)).build();
        let mut state = state(&job, some(700, "Succeeded"));
        let recorded = record(&mut state, at(0));
        assert_eq!((recorded.release.len(), recorded.more), (500, true));
        assert!(!finish(&mut state, &recorded, at(0)));
    }

    #[test]
    fn when_a_job_has_failed_so_has_all_that_runs() {
        let job = JobBuilder::plain(2, Some(2))
            .with(json!({"backoffLimit": 0}))
            .build();
        let pods = [some(1, "Failed"), some(1, "Running"), some(1, "Succeeded")];
        let (status, released) = tracked(&job, pods.concat());
        assert_eq!(
            status["uncountedTerminatedPods"],
            json!({"succeeded": ["succeeded-0"], "failed": ["failed-0", "running-0"]})
        );
        assert_eq!(released.len(), 3);
        let status = serde_json::from_value(status).unwrap();
        assert_eq!(
            conditions(&status),
            ["FailureTarget"],
            "not before pods are gone"
        );
    }

    #[test]
    fn a_job_that_is_deleted_lets_its_pods_go() {
        let job = JobBuilder::plain(2, Some(2)).leaving().build();
        let (status, released) = tracked(&job, some(2, "Running"));
        assert_eq!(released.len(), 2);
        assert_eq!(status["uncountedTerminatedPods"], json!({}));
    }

    /// Whatever happens in whatever order: numbers that are drawn the same each time.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, limit: usize) -> usize {
            self.0 = self
                .0
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            ((self.0 >> 33) as usize) % limit
        }
    }

    /// Lets a Job run to its end while the controller dies again and again;
    /// says how many of its pods ended well, and otherwise.
    fn run(job: Job, seed: u64) -> (Cluster, usize, usize) {
        let mut dice = Dice(seed);
        let mut cluster = Cluster::new(job);
        let (mut succeeded, mut failed) = (0, 0);
        for _ in 0..2000 {
            if cluster.finished() {
                return (cluster, succeeded, failed);
            }
            cluster.sync([0, 1, 2, 3, 5, usize::MAX][dice.below(6)]);
            for pod in cluster.pods.iter_mut().filter(|pod| is_active(pod)) {
                let phase = match dice.below(8) {
                    0..3 => "Succeeded",
                    3 => "Failed",
                    _ => continue,
                };
                *(if phase == "Failed" {
                    &mut failed
                } else {
                    &mut succeeded
                }) += 1;
                pod.status.get_or_insert_default().phase = Some(phase.into());
            }
        }
        panic!("seed {seed}: not done: {}", json!(cluster.job.status));
    }

    #[test]
    fn each_end_counts_once_whatever_crashes() {
        for seed in 0..200 {
            let job = JobBuilder::plain(4, Some(20)).with(json!({"backoffLimit": 1000}));
            let (cluster, succeeded, failed) = run(job.build(), seed);
            let status = cluster.job.status.as_ref().unwrap();
            let counted = [status.succeeded, status.failed].map(|c| c.unwrap_or(0) as usize);
            assert_eq!(counted, [succeeded, failed], "seed {seed}");
            assert_eq!(succeeded, 20, "seed {seed}");
            assert_eq!(cluster.created, succeeded + failed, "seed {seed}");
            assert_eq!(conditions(status), ["SuccessCriteriaMet", "Complete"]);
            assert!(status.completion_time.is_some());
        }
    }

    #[test]
    fn each_index_succeeds_once_whatever_crashes() {
        for seed in 0..200 {
            let job = JobBuilder::indexed(6, 20).with(json!({"backoffLimit": 1000}));
            let (cluster, succeeded, failed) = run(job.build(), seed);
            let status = cluster.job.status.as_ref().unwrap();
            assert_eq!(
                status.completed_indexes.as_deref(),
                Some("0-19"),
                "seed {seed}"
            );
            assert_eq!(status.failed.unwrap_or(0) as usize, failed, "seed {seed}");
            assert_eq!(succeeded, 20, "seed {seed}");
        }
    }

    #[test]
    fn each_index_has_its_own_failures_whatever_crashes() {
        for seed in 0..200 {
            let job = JobBuilder::indexed(5, 12)
                .with(json!({"backoffLimit": i32::MAX, "backoffLimitPerIndex": 1}));
            let (cluster, succeeded, failed) = run(job.build(), seed);
            let status = cluster.job.status.as_ref().unwrap();
            let indexes = |text: &Option<String>| {
                super::super::indexes::Indexes::parse(text.as_deref().unwrap_or_default(), 12)
            };
            let lost = indexes(&status.failed_indexes);
            let done = indexes(&status.completed_indexes);
            assert_eq!(
                (done.len() + lost.len(), done.overlap(&lost)),
                (12, 0),
                "seed {seed}"
            );
            assert_eq!(done.len() as usize, succeeded, "seed {seed}");
            assert_eq!(status.failed.unwrap_or(0) as usize, failed, "seed {seed}");
            let end = if lost.is_empty() {
                "Complete"
            } else {
                "Failed"
            };
            assert_eq!(conditions(status).last(), Some(&end), "seed {seed}");
        }
    }
}
