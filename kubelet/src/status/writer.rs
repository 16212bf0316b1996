//! Writes statuses to the apiserver: the newest of each pod, promptly, until
//! it is there; and takes pods that are over out of the API.

use super::conditions::{OWNED, PASSING};
use super::now;
use hardway_client::api::{Api, Client, DeleteParams, Patch};
use hardway_client::controller::{self, Next};
use hardway_client::queue::WorkQueue;
use hardway_client::steps::{self, Step};
use hardway_client::{task, trace};
use hardway_proto::meta::ObjectKey;
use hardway_proto::{Kind, Status};
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodStatus};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How many pods are written at once.
const WORKERS: usize = 8;
/// How long a status that couldn't be written waits at most: as long as Kubernetes' kubelet
/// (`syncPeriod`). After a control plane was away everybody waits for these.
const LONGEST_RETRY: Duration = Duration::from_secs(10);

struct Entry {
    namespace: String,
    name: String,
    wanted: PodStatus,
    /// What the apiserver was last told, or had when we first saw the pod.
    written: Option<PodStatus>,
    /// Whether the pod goes once the status is there.
    remove: bool,
}

/// What of a status is worth to be told to who follows the pod.
#[derive(PartialEq, Eq)]
struct Shown<'a> {
    phase: &'a str,
    reason: &'a str,
    address: &'a str,
    is_ready: bool,
}

impl<'a> Shown<'a> {
    fn of(status: &'a PodStatus) -> Self {
        let text = |field: &'a Option<String>| field.as_deref().unwrap_or_default();
        let conditions = status.conditions.iter().flatten();
        let is_ready =
            |condition: &PodCondition| condition.type_ == "Ready" && condition.status == "True";
        Self {
            phase: text(&status.phase),
            reason: text(&status.reason),
            address: text(&status.pod_ip),
            is_ready: conditions.into_iter().any(is_ready),
        }
    }

    fn step(&self, key: ObjectKey, uid: &str) -> Step {
        Step::of("pods", key, uid, "status")
            .with("phase", self.phase)
            .with("reason", self.reason)
            .with("address", self.address)
            .with("ready", self.is_ready)
    }
}

/// Takes statuses; clones share.
#[derive(Clone)]
pub struct Writer {
    entries: Arc<Mutex<HashMap<String, Entry>>>,
    queue: WorkQueue<String>,
    /// Something was written, or needn't be any more.
    progress: Arc<Notify>,
}

impl Writer {
    /// Starts writing in the background.
    pub fn start(client: Client) -> Self {
        let writer = Self {
            entries: Arc::default(),
            queue: WorkQueue::new().retrying_within(LONGEST_RETRY),
            progress: Arc::default(),
        };
        let this = writer.clone();
        task::spawn_critical("pod-status", async move {
            let queue = this.queue.clone();
            controller::run("pod-status", queue, WORKERS, |uid: String| {
                let (this, client) = (this.clone(), client.clone());
                trace::scope(uid.clone(), async move { this.write(&client, &uid).await })
            })
            .await;
        });
        writer
    }

    /// The status of a pod is this now. `pod` is the API's object (for a
    /// static pod: its mirror). Answers what it will look like, with the
    /// times of conditions.
    pub fn set(&self, pod: &Pod, status: PodStatus) -> PodStatus {
        let uid = pod.uid().to_owned();
        let mut entries = self.entries.lock();
        let entry = entries.entry(uid.clone()).or_insert_with(|| Entry {
            namespace: pod.namespace().into(),
            name: pod.name().into(),
            wanted: pod.status.clone().unwrap_or_default(),
            written: pod.status.clone(),
            remove: false,
        });
        let wanted = with_times(status, &entry.wanted);
        let shown = Shown::of(&wanted);
        if shown != Shown::of(&entry.wanted) {
            let key = ObjectKey::new(entry.namespace.as_str(), entry.name.as_str());
            steps::record(shown.step(key, &uid));
        }
        if entry.wanted != wanted || entry.written.as_ref() != Some(&wanted) {
            entry.wanted = wanted.clone();
            self.queue.add(uid);
        }
        wanted
    }

    /// The API shows a pod. While its node was out of touch others may have
    /// said that it isn't ready: what the kubelet knows is written again.
    pub fn observe(&self, pod: &Pod) {
        let Some(told) = &pod.status else {
            return;
        };
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.get_mut(pod.uid())
            && entry.written.as_ref() == Some(&entry.wanted)
            && contradicts(told, &entry.wanted)
        {
            entry.written = Some(told.clone());
            self.queue.add(pod.uid().to_owned());
        }
    }

    /// The pod has ended and nothing of it is left on this node: once its
    /// status is written, it goes.
    pub fn remove(&self, pod: &Pod) {
        let mut entries = self.entries.lock();
        let entry = entries
            .entry(pod.uid().to_owned())
            .or_insert_with(|| Entry {
                namespace: pod.namespace().into(),
                name: pod.name().into(),
                wanted: pod.status.clone().unwrap_or_default(),
                written: pod.status.clone(),
                remove: true,
            });
        entry.remove = true;
        self.queue.add(pod.uid().to_owned());
    }

    /// The pod isn't in the API any more.
    pub fn forget(&self, uid: &str) {
        self.entries.lock().remove(uid);
        self.progress.notify_waiters();
    }

    /// Waits until the apiserver has been told everything.
    pub async fn settled(&self) {
        loop {
            let mut progress = std::pin::pin!(self.progress.notified());
            progress.as_mut().enable();
            let is_told = |entry: &Entry| entry.written.as_ref() == Some(&entry.wanted);
            if self.entries.lock().values().all(is_told) {
                return;
            }
            progress.await;
        }
    }

    /// The status last set.
    pub fn get(&self, uid: &str) -> Option<PodStatus> {
        self.entries.lock().get(uid).map(|e| e.wanted.clone())
    }

    async fn write(&self, client: &Client, uid: &str) -> Result<Next, Status> {
        let (namespace, name, patch, wanted, remove) = {
            let entries = self.entries.lock();
            let Some(entry) = entries.get(uid) else {
                return Ok(Next::Done);
            };
            let patch = difference(entry.written.as_ref(), &entry.wanted);
            let (namespace, name) = (entry.namespace.clone(), entry.name.clone());
            (namespace, name, patch, entry.wanted.clone(), entry.remove)
        };
        let api = client.namespaced::<Pod>(&namespace);
        if let Some(status) = patch {
            let body = json!({"metadata": {"uid": uid}, "status": status});
            match api.patch_status(&name, Patch::Strategic(&body)).await {
                Ok(_) => self.note_written(uid, wanted),
                Err(status) => return self.gone_or(&api, &name, uid, status).await,
            }
        }
        if remove {
            match api.delete(&name, &DeleteParams::now(uid)).await {
                Ok(()) => {}
                Err(status) => return self.gone_or(&api, &name, uid, status).await,
            }
        }
        Ok(Next::Done)
    }

    fn note_written(&self, uid: &str, written: PodStatus) {
        if let Some(entry) = self.entries.lock().get_mut(uid) {
            entry.written = Some(written);
        }
        self.progress.notify_waiters();
    }

    /// A pod that isn't there, or is another one by now, needs no status.
    async fn gone_or(
        &self,
        api: &Api<Pod>,
        name: &str,
        uid: &str,
        status: Status,
    ) -> Result<Next, Status> {
        let gone = if status.is_conflict() {
            let present = api.get_opt(name).await?;
            present.is_none_or(|pod| pod.uid() != uid)
        } else {
            status.is_not_found()
        };
        if !gone {
            return Err(status);
        }
        tracing::debug!(uid, %status, "the pod is gone from the apiserver");
        Ok(Next::Done)
    }
}

/// Whether the API says other than the kubelet about one of its conditions.
fn contradicts(told: &PodStatus, wanted: &PodStatus) -> bool {
    let told = told.conditions.as_deref().unwrap_or_default();
    wanted.conditions.iter().flatten().any(|ours| {
        told.iter()
            .any(|theirs| theirs.type_ == ours.type_ && theirs.status != ours.status)
    })
}

/// Conditions get the time of their last transition: that of before, if they
/// are as they were.
fn with_times(mut status: PodStatus, old: &PodStatus) -> PodStatus {
    let before = old.conditions.as_deref().unwrap_or_default();
    for condition in status.conditions.iter_mut().flatten() {
        let same = before
            .iter()
            .find(|b| b.type_ == condition.type_ && b.status == condition.status);
        condition.last_transition_time = same
            .and_then(|b| b.last_transition_time.clone())
            .or_else(|| Some(now()));
    }
    status
}

fn as_map(status: &PodStatus) -> Map<String, Value> {
    match serde_json::to_value(status) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// The strategic merge patch from one status to another; `None` if there is
/// nothing to tell. Conditions of others are left out, and so untouched.
fn difference(old: Option<&PodStatus>, new: &PodStatus) -> Option<Value> {
    let old = old.cloned().unwrap_or_default();
    let owned = |status: &PodStatus| {
        let mut list: Vec<PodCondition> = status.conditions.clone().unwrap_or_default();
        list.retain(|c| OWNED.contains(&c.type_.as_str()));
        list
    };
    let before = owned(&old);
    let (old_map, mut new_map) = (as_map(&old), as_map(new));
    let mut changed: Vec<Value> = new
        .conditions
        .iter()
        .flatten()
        .filter(|c| !before.contains(c))
        .map(|c| condition_patch(before.iter().find(|b| b.type_ == c.type_), c))
        .collect();
    let is_new = |kind: &str| new.conditions.iter().flatten().any(|c| c.type_ == kind);
    let passed = before.iter().map(|c| c.type_.as_str());
    let passed = passed.filter(|kind| PASSING.contains(kind) && !is_new(kind));
    changed.extend(passed.map(|kind| json!({"$patch": "delete", "type": kind})));
    let mut patch = Map::new();
    if !changed.is_empty() {
        patch.insert("conditions".into(), changed.into());
    }
    new_map.remove("conditions");
    for (field, value) in new_map.iter() {
        if old_map.get(field) != Some(value) {
            let mut value = value.clone();
            if matches!(field.as_str(), "podIPs" | "hostIPs") && old_map.contains_key(field) {
                // Merged by address: say that these are all. Where there is nothing to
                // merge with, Kubernetes before 1.28 would take this for an address.
                if let Value::Array(items) = &mut value {
                    items.insert(0, json!({"$patch": "replace"}));
                }
            }
            patch.insert(field.clone(), value);
        }
    }
    for field in old_map.keys() {
        // What others set stays theirs.
        let foreign = matches!(
            field.as_str(),
            "conditions"
                | "nominatedNodeName"
                | "resize"
                | "resourceClaimStatuses"
                | "observedGeneration"
                | "qosClass"
                | "startTime"
        );
        if !foreign && !new_map.contains_key(field) {
            patch.insert(field.clone(), Value::Null);
        }
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// A condition is merged into the one of its type: say what it hasn't any more.
fn condition_patch(old: Option<&PodCondition>, new: &PodCondition) -> Value {
    let mut patch = json!(new);
    for (field, had, has) in [
        ("reason", old.and_then(|c| c.reason.as_ref()), &new.reason),
        (
            "message",
            old.and_then(|c| c.message.as_ref()),
            &new.message,
        ),
    ] {
        if had.is_some() && has.is_none() {
            patch[field] = Value::Null;
        }
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::PodIP;

    fn status(phase: &str, conditions: &[(&str, &str)]) -> PodStatus {
        let list = conditions.iter().map(|(kind, value)| PodCondition {
            type_: (*kind).into(),
            status: (*value).into(),
            ..Default::default()
        });
        PodStatus {
            phase: Some(phase.into()),
            conditions: Some(list.collect()),
            ..Default::default()
        }
    }

    #[test]
    fn what_others_say_of_a_condition_is_noticed() {
        let wanted = status("Running", &[("Ready", "True")]);
        assert!(!contradicts(&wanted, &wanted));
        assert!(contradicts(
            &status("Running", &[("Ready", "False")]),
            &wanted
        ));
        assert!(!contradicts(
            &status("Running", &[("Other", "False")]),
            &wanted
        ));
    }

    #[test]
    fn only_what_changed_is_written() {
        let old = status(
            "Pending",
            &[("Ready", "False"), ("example.com/gate", "True")],
        );
        let mut new = status("Running", &[("Ready", "False")]);
        new.pod_ip = Some("10.0.0.1".into());
        let patch = difference(Some(&old), &new).unwrap();
        assert_eq!(patch, json!({"phase": "Running", "podIP": "10.0.0.1"}));
        assert_eq!(difference(Some(&new), &new), None);
        let back = difference(Some(&new), &old).unwrap();
        assert_eq!(back["podIP"], Value::Null);
    }

    #[test]
    fn addresses_replace_those_that_were_there() {
        let ips = |ip: &str| {
            let ip = PodIP { ip: ip.into() };
            PodStatus {
                pod_ips: Some(vec![ip]),
                ..Default::default()
            }
        };
        let (first, second) = (ips("10.0.0.1"), ips("10.0.0.2"));
        let patch = difference(None, &first).unwrap();
        assert_eq!(patch, json!({"podIPs": [{"ip": "10.0.0.1"}]}));
        let patch = difference(Some(&first), &second).unwrap();
        let items = json!([{"$patch": "replace"}, {"ip": "10.0.0.2"}]);
        assert_eq!(patch, json!({ "podIPs": items }));
    }

    #[test]
    fn what_a_condition_lost_is_taken_from_it() {
        let mut old = status("Running", &[("Ready", "False")]);
        old.conditions.as_mut().unwrap()[0].message = Some("why".into());
        let new = status("Running", &[("Ready", "True")]);
        let patch = difference(Some(&old), &new).unwrap();
        let ready = json!({"type": "Ready", "status": "True", "message": null});
        assert_eq!(patch, json!({ "conditions": [ready] }));
    }

    #[test]
    fn conditions_keep_their_time_until_they_change() {
        let stamped =
            |value| with_times(status("Running", &[("Ready", value)]), &Default::default());
        let mut first = stamped("True");
        let long_ago = super::super::time(1_000_000_000);
        first.conditions.as_mut().unwrap()[0].last_transition_time = Some(long_ago.clone());
        let time = |s: &PodStatus| {
            s.conditions.as_ref().unwrap()[0]
                .last_transition_time
                .clone()
        };
        let same = with_times(status("Running", &[("Ready", "True")]), &first);
        assert_eq!(time(&same), Some(long_ago.clone()));
        let other = with_times(status("Running", &[("Ready", "False")]), &first);
        assert_ne!(time(&other), Some(long_ago));
    }
}
