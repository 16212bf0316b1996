//! Jobs and pods for the tests of this folder, and a cluster of one Job in
//! which everything can crash at any moment.

use super::conditions;
use super::memory::Memory;
use super::pods::{COMPLETION_INDEX, FINALIZER, is_tracked};
use super::scaling::{self, Step};
use super::state::{Known, State};
use super::verdict::{self, Verdict};
use super::{creation, tracking};
use hardway_proto::Kind;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use std::fmt::Display;
use std::sync::Arc;

/// So many seconds after the epoch.
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn merge(into: &mut Value, fields: Value) {
    for (field, value) in fields.as_object().unwrap() {
        into[field] = value.clone();
    }
}

/// A Job in the making.
pub struct JobBuilder(Value);

impl JobBuilder {
    /// Without indexes.
    pub fn plain(parallelism: i32, completions: Option<i32>) -> Self {
        Self(json!({
            "metadata": {"name": "j", "namespace": "d", "uid": "job", "resourceVersion": "1"},
            "spec": {
                "parallelism": parallelism, "completions": completions, "backoffLimit": 6,
                "completionMode": "NonIndexed", "suspend": false,
                "podReplacementPolicy": "TerminatingOrFailed",
                "selector": {"matchLabels": {"app": "j"}},
                "template": {
                    "metadata": {"labels": {"app": "j"}},
                    "spec": {"restartPolicy": "Never", "containers": [{"name": "c"}]},
                },
            },
            "status": {},
        }))
    }

    /// With an index for each completion.
    pub fn indexed(parallelism: i32, completions: i32) -> Self {
        Self::plain(parallelism, Some(completions)).with(json!({"completionMode": "Indexed"}))
    }

    /// With other fields in its spec.
    pub fn with(mut self, spec: Value) -> Self {
        merge(&mut self.0["spec"], spec);
        self
    }

    /// With other fields in its status.
    pub fn status(mut self, status: Value) -> Self {
        merge(&mut self.0["status"], status);
        self
    }

    /// Being deleted.
    pub fn leaving(mut self) -> Self {
        self.0["metadata"]["deletionTimestamp"] = json!("1970-01-01T00:00:00Z");
        self
    }

    /// The Job.
    pub fn build(self) -> Job {
        serde_json::from_value(self.0).unwrap()
    }
}

/// A tracked pod in the making.
pub struct PodBuilder(Value);

impl PodBuilder {
    /// In a phase.
    pub fn new(name: &str, phase: &str) -> Self {
        Self(json!({
            "metadata": {
                "name": name, "namespace": "d", "uid": name, "labels": {"app": "j"},
                "finalizers": [FINALIZER], "annotations": {},
                "creationTimestamp": "1970-01-01T00:00:00Z",
            },
            "spec": {"containers": [{"name": "c"}]},
            "status": {"phase": phase},
        }))
    }

    /// For an index.
    pub fn index(self, index: i32) -> Self {
        self.annotated(COMPLETION_INDEX, index)
    }

    /// With an annotation.
    pub fn annotated(mut self, key: &str, value: impl Display) -> Self {
        self.0["metadata"]["annotations"][key] = json!(value.to_string());
        self
    }

    /// Whose container ended so.
    pub fn exit_code(self, code: i32) -> Self {
        let state = json!({"terminated": {"exitCode": code, "finishedAt": "1970-01-01T00:00:00Z"}});
        self.status(
            json!({"containerStatuses": [{"name": "c", "ready": false, "restartCount": 0,
            "image": "", "imageID": "", "state": state}]}),
        )
    }

    /// With other fields in its status.
    pub fn status(mut self, status: Value) -> Self {
        merge(&mut self.0["status"], status);
        self
    }

    /// Which is ready.
    pub fn ready(self) -> Self {
        self.status(json!({"conditions": [{"type": "Ready", "status": "True"}]}))
    }

    /// Being deleted.
    pub fn leaving(mut self) -> Self {
        self.0["metadata"]["deletionTimestamp"] = json!("1970-01-01T00:00:00Z");
        self
    }

    /// Whose end has been counted.
    pub fn released(mut self) -> Self {
        self.0["metadata"]["finalizers"] = json!([]);
        self
    }

    /// The pod.
    pub fn build(self) -> Arc<Pod> {
        Arc::new(serde_json::from_value(self.0).unwrap())
    }
}

/// So many pods of a phase.
pub fn some(count: usize, phase: &str) -> Vec<Arc<Pod>> {
    let name = |n| format!("{phase}-{n}").to_lowercase();
    (0..count)
        .map(|n| PodBuilder::new(&name(n), phase).build())
        .collect()
}

/// What follows from a Job and its pods, an hour after the epoch.
pub fn state(job: &Job, pods: Vec<Arc<Pod>>) -> State {
    state_at(job, pods, at(3600))
}

/// The same at another time.
pub fn state_at(job: &Job, pods: Vec<Arc<Pod>>, now: Timestamp) -> State {
    let known = Known {
        pods,
        released: Default::default(),
        failures: Default::default(),
    };
    State::of(job, known, now)
}

/// The true conditions of a Job.
pub fn conditions(status: &JobStatus) -> Vec<&str> {
    let all = status.conditions.iter().flatten();
    let all = all.filter(|c| c.status == "True");
    all.map(|c| c.type_.as_str()).collect()
}

/// A cluster with nothing but one Job and its pods.
pub struct Cluster {
    /// The Job as stored.
    pub job: Job,
    /// Its pods as stored.
    pub pods: Vec<Pod>,
    /// How many pods were ever created.
    pub created: usize,
    memory: Memory,
    now: Timestamp,
    /// How many writes succeed before the controller dies.
    writes: usize,
}

/// The controller died.
#[derive(Debug)]
struct Crash;

impl Cluster {
    /// With a Job that has just been created.
    pub fn new(job: Job) -> Self {
        Self {
            job,
            pods: Vec::new(),
            created: 0,
            memory: Memory::default(),
            now: at(0),
            writes: usize::MAX,
        }
    }

    /// Whether the Job is over.
    pub fn finished(&self) -> bool {
        conditions::finished(&self.job).is_some()
    }

    /// Lets the controller look at the Job once, far away from any pause. It
    /// dies after so many writes, and then knows nothing any more.
    pub fn sync(&mut self, writes: usize) {
        self.now += jiff::SignedDuration::from_hours(1);
        self.writes = writes;
        if self.try_sync().is_err() {
            self.memory = Memory::default();
        }
    }

    fn write(&mut self) -> Result<(), Crash> {
        self.writes = self.writes.checked_sub(1).ok_or(Crash)?;
        Ok(())
    }

    fn write_status(&mut self, state: &State) -> Result<(), Crash> {
        if self.job.status != state.job.status {
            self.write()?;
            self.job.status.clone_from(&state.job.status);
        }
        Ok(())
    }

    fn release(&mut self, uid: &str) -> Result<(), Crash> {
        self.write()?;
        let pod = self.pods.iter_mut().find(|pod| pod.uid() == uid).unwrap();
        pod.metadata.finalizers = None;
        self.collect();
        Ok(())
    }

    fn delete(&mut self, uid: &str) -> Result<(), Crash> {
        self.write()?;
        let now = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(self.now);
        if let Some(pod) = self.pods.iter_mut().find(|pod| pod.uid() == uid) {
            pod.metadata.deletion_timestamp = Some(now);
        }
        self.collect();
        Ok(())
    }

    /// Pods that were deleted and have no finalizer are gone at once.
    fn collect(&mut self) {
        self.pods
            .retain(|pod| pod.metadata.deletion_timestamp.is_none() || is_tracked(pod));
    }

    fn try_sync(&mut self) -> Result<(), Crash> {
        if self.finished() {
            return Ok(());
        }
        let known = Known {
            pods: self.pods.iter().cloned().map(Arc::new).collect(),
            released: self.memory.released(&self.job),
            failures: self.memory.failures(&self.job),
        };
        let mut state = State::of(&self.job, known, self.now);
        if state.verdict.is_some() {
            for pod in state.active.clone() {
                self.delete(pod.uid())?;
                state.left(&[pod]);
            }
        } else {
            match scaling::next(&state, self.now).0 {
                Step::Create(indexes) => {
                    for index in indexes {
                        let mut pod = creation::pod(&state, index);
                        self.write()?;
                        let name = format!("pod-{}", self.created);
                        self.created += 1;
                        pod.metadata.name = Some(name.clone());
                        pod.metadata.uid = Some(name);
                        self.pods.push(pod.clone());
                        state.active.push(Arc::new(pod));
                    }
                }
                Step::Delete(pods) => {
                    for pod in pods {
                        self.release(pod.uid())?;
                        self.delete(pod.uid())?;
                        state.left(&[pod]);
                    }
                }
                Step::Nothing => {}
            }
            if verdict::is_complete(&state) {
                state.verdict = Some(Verdict::completed());
            } else {
                verdict::note_suspension(&mut state, self.now);
            }
        }
        tracking::count_active(&mut state);
        let mut recorded = tracking::record(&mut state, self.now);
        self.write_status(&state)?;
        for pod in &recorded.release {
            self.release(pod.uid())?;
            recorded.tracked.remove(pod.uid());
        }
        tracking::settle(state.status_mut(), &recorded.tracked);
        tracking::finish(&mut state, &recorded, self.now);
        self.write_status(&state)
    }
}
