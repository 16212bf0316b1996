//! Which pods a Job needs next, and which are too many: see `manageJob` of
//! Kubernetes' Job controller.

use super::backoff::pause_of_index;
use super::pods::{completion_index, is_terminating};
use super::spec;
use super::state::State;
use crate::pod_control::BURST;
use crate::pod_ranking::first_to_go;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What brings the number of active pods to what is asked for.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Pods for these indexes, or for none in particular.
    Create(Vec<Option<i32>>),
    /// They are too many; their ends don't count.
    Delete(Vec<Arc<Pod>>),
    /// Nothing, as far as is known now.
    Nothing,
}

/// The next step, and in how long there may be another one because a pause
/// after failures is over.
pub fn next(state: &State, now: Timestamp) -> (Step, Option<Duration>) {
    let job_spec = state.spec();
    if spec::is_suspended(job_spec) {
        let step = match state.active.is_empty() {
            true => Step::Nothing,
            false => Step::Delete(state.active.clone()),
        };
        return (step, None);
    }
    let (active, target) = (state.active.len() as i32, target(state));
    let mut surplus = surplus(state, usize::try_from(active - target).unwrap_or(0));
    if !surplus.is_empty() {
        // Either or: pods that are needed as well come next time.
        surplus.truncate(BURST);
        return (Step::Delete(surplus), None);
    }
    let leaving = match spec::replaces_ended_only(job_spec) {
        true => state.terminating,
        false => 0,
    };
    let Ok(missing) = usize::try_from(target - leaving - active) else {
        return (Step::Nothing, None);
    };
    create(state, missing.min(BURST), now)
}

/// How many pods shall be active.
fn target(state: &State) -> i32 {
    let parallelism = spec::parallelism(state.spec());
    match state.spec().completions {
        Some(completions) => completions
            .saturating_sub(state.succeeded)
            .min(parallelism)
            .max(0),
        // One that has succeeded speaks for all; who still runs may end.
        None if state.succeeded > 0 => state.active.len() as i32,
        None => parallelism,
    }
}

/// Pods that have to go: at least so many, and all of an indexed Job that are
/// there twice or have no index of its own.
fn surplus(state: &State, at_least: usize) -> Vec<Arc<Pod>> {
    let (mut gone, mut left) = (Vec::new(), Vec::new());
    if spec::is_indexed(state.spec()) {
        let mut by_index: BTreeMap<i32, Vec<Arc<Pod>>> = BTreeMap::new();
        for pod in &state.active {
            match state.index_of(pod) {
                Some(index) => by_index.entry(index).or_default().push(pod.clone()),
                None => gone.push(pod.clone()),
            }
        }
        for pods in by_index.into_values() {
            let mut ranked = first_to_go(pods.clone(), &[], pods.len(), None);
            left.extend(ranked.pop());
            gone.extend(ranked);
        }
    } else {
        left.clone_from(&state.active);
    }
    let more = at_least.saturating_sub(gone.len());
    gone.extend(first_to_go(left, &[], more, None));
    gone
}

fn create(state: &State, missing: usize, now: Timestamp) -> (Step, Option<Duration>) {
    if missing == 0 {
        return (Step::Nothing, None);
    }
    let job_spec = state.spec();
    let per_index = spec::backoff_limit_per_index(job_spec).is_some();
    let pause = state.failures.pause(now);
    if !per_index && !pause.is_zero() {
        return (Step::Nothing, Some(pause));
    }
    if !spec::is_indexed(job_spec) {
        return (Step::Create(vec![None; missing]), None);
    }
    let mut indexes = pending(state, missing);
    let mut soon = None;
    if per_index {
        let pause = |index: &i32| {
            let failed = state.awaiting_replacement.get(index);
            failed.map_or(Duration::ZERO, |pod| pause_of_index(pod, now))
        };
        let pauses = indexes.iter().map(pause);
        soon = pauses.filter(|pause| !pause.is_zero()).min();
        indexes.retain(|index| pause(index).is_zero());
    }
    match indexes.is_empty() {
        true => (Step::Nothing, soon),
        false => (Step::Create(indexes.into_iter().map(Some).collect()), soon),
    }
}

/// The first indexes that are neither done nor being worked on.
fn pending(state: &State, count: usize) -> Vec<i32> {
    let job_spec = state.spec();
    let waits = spec::replaces_ended_only(job_spec);
    let leaving = state.pods.iter().filter(|pod| waits && is_terminating(pod));
    let busy = state.active.iter().chain(leaving);
    let mut taken = state
        .succeeded_indexes
        .with(busy.filter_map(|p| completion_index(p)));
    if let Some(failed) = &state.failed_indexes {
        taken = taken.union(failed);
    }
    taken.first_missing(count, spec::completions(job_spec))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{JobBuilder, PodBuilder, at, some, state, state_at};
    use super::*;
    use hardway_proto::Kind;
    use k8s_openapi::api::batch::v1::Job;
    use serde_json::json;

    /// Indexes to create (-1: any), and names to delete.
    fn step(job: &Job, pods: Vec<Arc<Pod>>) -> (Vec<i32>, Vec<String>) {
        match next(&state(job, pods), at(3600)).0 {
            Step::Create(indexes) => {
                let indexes = indexes.into_iter().map(|index| index.unwrap_or(-1));
                (indexes.collect(), vec![])
            }
            Step::Delete(pods) => {
                let mut names: Vec<_> = pods.iter().map(|pod| pod.name().to_owned()).collect();
                names.sort();
                (vec![], names)
            }
            Step::Nothing => (vec![], vec![]),
        }
    }

    #[test]
    fn as_many_run_as_are_still_needed() {
        // Parallelism, completions; pods that run, succeeded, failed; created, deleted.
        for (parallelism, completions, [running, succeeded, failed], created, deleted) in [
            (2, Some(5), [0, 0, 0], 2, 0),
            (2, None, [0, 0, 0], 2, 0),
            (2, Some(5), [2, 0, 0], 0, 0),
            (2, Some(5), [1, 1, 0], 1, 0),
            (2, Some(5), [1, 0, 1], 1, 0),
            (2, Some(5), [1, 4, 0], 0, 0),
            (2, Some(5), [2, 4, 0], 0, 1),
            (2, Some(5), [0, 5, 0], 0, 0),
            (2, None, [1, 1, 0], 0, 0),
            (2, None, [3, 0, 0], 0, 1),
            (0, Some(5), [2, 1, 0], 0, 2),
            (1, Some(0), [0, 0, 0], 0, 0),
            (9999, Some(9999), [0, 0, 0], 500, 0),
        ] {
            let job = JobBuilder::plain(parallelism, completions).build();
            let pods = [
                some(running, "Running"),
                some(succeeded, "Succeeded"),
                some(failed, "Failed"),
            ];
            let (create, delete) = step(&job, pods.concat());
            let case = format!("{parallelism} {completions:?} {running} {succeeded} {failed}");
            assert_eq!((create.len(), delete.len()), (created, deleted), "{case}");
        }
    }

    #[test]
    fn a_suspended_job_has_no_pods() {
        let job = JobBuilder::plain(2, Some(5))
            .with(json!({"suspend": true}))
            .build();
        assert_eq!(step(&job, some(2, "Running")).1.len(), 2);
        assert_eq!(step(&job, vec![]), (vec![], vec![]));
    }

    #[test]
    fn pods_pause_after_failures() {
        let job = JobBuilder::plain(2, Some(5)).build();
        let pods = || some(1, "Failed");
        let next_at = |second| next(&state_at(&job, pods(), at(second)), at(second));
        assert_eq!(next_at(4), (Step::Nothing, Some(Duration::from_secs(6))));
        assert_eq!(next_at(10), (Step::Create(vec![None; 2]), None));
    }

    #[test]
    fn who_leaves_is_replaced_at_once_or_once_ended() {
        let leaving = || vec![PodBuilder::new("a", "Running").index(0).leaving().build()];
        let job = JobBuilder::indexed(1, 2);
        assert_eq!(step(&job.build(), leaving()).0, [0]);
        let waits = json!({"podReplacementPolicy": "Failed"});
        let job = JobBuilder::indexed(1, 2).with(waits.clone()).build();
        assert_eq!(step(&job, leaving()).0, [0; 0]);
        let job = JobBuilder::indexed(2, 2).with(waits).build();
        assert_eq!(
            step(&job, leaving()).0,
            [1],
            "not the index of the one that leaves"
        );
    }

    #[test]
    fn the_first_indexes_that_are_open_are_worked_on() {
        let pod =
            |name: &str, phase: &str, index| PodBuilder::new(name, phase).index(index).build();
        let job = JobBuilder::indexed(3, 6).build();
        assert_eq!(step(&job, vec![]).0, [0, 1, 2]);
        let pods = vec![
            pod("a", "Succeeded", 0),
            pod("b", "Running", 2),
            pod("c", "Failed", 1),
        ];
        assert_eq!(step(&job, pods).0, [1, 3]);
        let job = JobBuilder::indexed(3, 6)
            .status(json!({"completedIndexes": "0-3"}))
            .build();
        assert_eq!(step(&job, vec![]).0, [4, 5]);
    }

    #[test]
    fn pods_that_are_no_use_go() {
        let pod = |name: &str, index| PodBuilder::new(name, "Running").index(index).build();
        let job = JobBuilder::indexed(4, 3).build();
        let twice = PodBuilder::new("twice", "Pending").index(1).build();
        let none = PodBuilder::new("none", "Running").build();
        let pods = vec![pod("a", 0), pod("b", 1), twice, none, pod("beyond", 3)];
        assert_eq!(step(&job, pods).1, ["beyond", "none", "twice"]);
        // An elastic Job that was made smaller.
        let job = JobBuilder::indexed(1, 1).build();
        assert_eq!(step(&job, vec![pod("a", 0), pod("b", 1)]).1, ["b"]);
    }

    #[test]
    fn each_index_has_a_pause_of_its_own() {
        let job = JobBuilder::indexed(3, 3)
            .with(json!({"backoffLimitPerIndex": 2}))
            .build();
        let failed = |second: i64| {
            let time = at(second).to_string();
            let ready = json!([{"type": "Ready", "status": "False", "lastTransitionTime": time}]);
            let pod = PodBuilder::new("f", "Failed").index(1);
            vec![pod.status(json!({"conditions": ready})).build()]
        };
        let next_at = |failed_at| next(&state(&job, failed(failed_at)), at(3600));
        let [zero, one, two] = [Some(0), Some(1), Some(2)];
        let soon = Some(Duration::from_secs(7));
        assert_eq!(next_at(3597), (Step::Create(vec![zero, two]), soon));
        assert_eq!(next_at(3000), (Step::Create(vec![zero, one, two]), None));
    }

    #[test]
    fn indexes_that_failed_for_good_are_left_alone() {
        let job = JobBuilder::indexed(3, 3)
            .with(json!({"backoffLimitPerIndex": 0}))
            .status(json!({"failedIndexes": "0"}))
            .build();
        let failed = PodBuilder::new("f", "Failed").index(2).build();
        assert_eq!(step(&job, vec![failed]).0, [1]);
    }
}
