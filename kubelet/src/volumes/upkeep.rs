//! What is done for volumes of running pods from time to time. Nodes may read single claims,
//! and watch none (as in Kubernetes), so they have to look.

use super::plugin::{Expansion, Mounter, VolumeSpec, VolumeUsage};
use super::turns::Turns;
use super::{Manager, volumes_of};
use crate::context::Context;
use crate::manager::Pods;
use hardway_client::metrics::{IntGaugeVec, register_int_gauge_vec};
use hardway_client::panics;
use hardway_proto::Kind;
use hardway_proto::claims::{capacity, requested};
use hardway_proto::quantity::Quantity;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout_at};

/// How often it is done.
pub const PERIOD: Duration = Duration::from_secs(30);
/// How long what was measured waits for what is measured still.
const PROMPT: Duration = Duration::from_secs(5);

/// Volumes by UID of their pod.
pub(super) type Lasting = Mutex<HashMap<String, Arc<Vec<VolumeSpec>>>>;

/// What was measured, by UID of the pod.
pub(super) type Measured = Mutex<HashMap<String, Arc<Vec<UsedVolume>>>>;

/// Conditions of a claim that are over when its volume has its size.
const RESIZING: [&str; 4] = [
    "Resizing",
    "FileSystemResizePending",
    "ControllerResizeError",
    "NodeResizeError",
];

/// An event about a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Whether something went wrong.
    pub is_warning: bool,
    /// The event's reason.
    pub reason: &'static str,
    /// Its message.
    pub message: String,
}

/// How full a volume of a pod is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedVolume {
    /// Its name in the pod.
    pub name: String,
    /// Its claim's name, if it has one.
    pub claim: Option<String>,
    /// The figures.
    pub usage: VolumeUsage,
}

/// Looks after the volumes of all running pods, for ever.
pub async fn run(context: Arc<Context>, pods: Pods) {
    let mut rounds = Rounds::default();
    let mut ticks = interval_at(Instant::now() + PERIOD, PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let active = pods.active();
        for pod in &active {
            rounds.begin(pod.uid(), look_after(context.clone(), pod.clone()));
        }
        rounds.wait(PROMPT).await;
        tell(&active, &context.volumes);
    }
}

async fn look_after(context: Arc<Context>, pod: Arc<Pod>) {
    for note in context.volumes.upkeep(&pod).await {
        let Note {
            is_warning,
            reason,
            message,
        } = note;
        context.pod_event(&pod, is_warning, reason, message);
    }
    context.volumes.measure(&pod).await;
}

/// Work for pods in rounds, at one time for each: a driver that hangs keeps no other pod from
/// its next round. It ends with this.
#[derive(Default)]
struct Rounds {
    turns: Turns,
    tasks: JoinSet<()>,
}

impl Rounds {
    /// Begins the work for a pod, unless that of an earlier round goes on.
    fn begin(&mut self, uid: &str, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(turn) = self.turns.take(uid) {
            let uid = uid.to_owned();
            self.tasks.spawn(async move {
                let _turn = turn;
                if let Err(panic) = panics::catch(work).await {
                    tracing::error!(uid, %panic, "looking after the volumes of a pod panicked");
                }
            });
        }
    }

    /// Waits until all work is done, but no longer than this.
    async fn wait(&mut self, patience: Duration) {
        let end = Instant::now() + patience;
        while let Ok(Some(_)) = timeout_at(end, self.tasks.join_next()).await {}
    }
}

/// Gauges by the claim that a volume is for, as Kubernetes has them.
struct Gauges([IntGaugeVec; 6]);

static GAUGES: LazyLock<Gauges> = LazyLock::new(|| {
    let gauge = |name: &str, help: &str| {
        register_int_gauge_vec!(name, help, &["namespace", "persistentvolumeclaim"])
            .expect("the name is registered once")
    };
    Gauges([
        gauge(
            "kubelet_volume_stats_available_bytes",
            "Number of available bytes in the volume",
        ),
        gauge(
            "kubelet_volume_stats_capacity_bytes",
            "Capacity in bytes of the volume",
        ),
        gauge(
            "kubelet_volume_stats_used_bytes",
            "Number of used bytes in the volume",
        ),
        gauge(
            "kubelet_volume_stats_inodes_free",
            "Number of free inodes in the volume",
        ),
        gauge(
            "kubelet_volume_stats_inodes",
            "Maximum number of inodes in the volume",
        ),
        gauge(
            "kubelet_volume_stats_inodes_used",
            "Number of used inodes in the volume",
        ),
    ])
});

/// Sets the gauges to what was measured last.
fn tell(pods: &[Arc<Pod>], volumes: &Manager) {
    for gauge in &GAUGES.0 {
        gauge.reset();
    }
    for pod in pods {
        for UsedVolume { claim, usage, .. } in volumes.measured(pod.uid()).iter() {
            let Some(claim) = claim else {
                continue;
            };
            let figures = [
                usage.available,
                usage.capacity,
                usage.used,
                usage.inodes_free,
                usage.inodes,
                usage.inodes_used,
            ];
            for (gauge, figure) in GAUGES.0.iter().zip(figures) {
                let figure = i64::try_from(figure).unwrap_or(i64::MAX);
                gauge
                    .with_label_values(&[pod.namespace(), claim])
                    .set(figure);
            }
        }
    }
}

/// A claim's size as its status has it.
fn current(claim: &PersistentVolumeClaim) -> Quantity {
    let status = claim.status.as_ref().and_then(|s| s.capacity.as_ref());
    let storage = status.and_then(|capacity| capacity.get("storage"));
    storage.and_then(|q| q.0.parse().ok()).unwrap_or_default()
}

/// What the status of a claim becomes when the node is done with its volume.
fn resized(claim: &PersistentVolumeClaim, size: Quantity, outcome: &Expansion) -> Value {
    let status = claim.status.clone().unwrap_or_default();
    let mut conditions = status.conditions.unwrap_or_default();
    let mut allocated = status.allocated_resource_statuses.unwrap_or_default();
    let mut patch =
        json!({"metadata": {"resourceVersion": claim.resource_version()}, "status": {}});
    match outcome {
        Expansion::Done => {
            conditions.retain(|condition| !RESIZING.contains(&condition.type_.as_str()));
            // A field of null is taken out.
            patch["status"]["capacity"] = json!({"storage": size.to_string()});
            patch["status"]["conditions"] = json!(conditions);
            if allocated.remove("storage").is_some() {
                patch["status"]["allocatedResourceStatuses"] = json!({"storage": null});
            }
        }
        Expansion::Later => {}
        Expansion::Infeasible(_) => {
            patch["status"]["allocatedResourceStatuses"] =
                json!({"storage": "NodeResizeInfeasible"});
        }
    }
    patch
}

impl Manager {
    /// Looks after the volumes of a running pod; answers what is to be told of them.
    pub async fn upkeep(&self, pod: &Pod) -> Vec<Note> {
        let mut notes = Vec::new();
        let specs = self.lasting(pod).await;
        for spec in specs.iter() {
            let Some(plugin) = self.plugin(spec) else {
                continue;
            };
            let host = &self.host;
            if let Err(error) = plugin.republish(&Mounter { host, pod, spec }).await {
                notes.push(Note {
                    is_warning: true,
                    reason: "FailedMount",
                    message: super::SET_UP.failed(spec.name(), error).to_string(),
                });
            }
            notes.extend(self.expand(pod, spec).await);
        }
        notes
    }

    /// Volumes of a pod that need looking after. Those that can't be found are left out until
    /// the next time.
    async fn lasting(&self, pod: &Pod) -> Arc<Vec<VolumeSpec>> {
        if let Some(known) = self.lasting.lock().get(pod.uid()) {
            return known.clone();
        }
        let mut specs = Vec::new();
        let mut all = true;
        for volume in volumes_of(pod) {
            let is_claim = volume.persistent_volume_claim.is_some() || volume.ephemeral.is_some();
            if !is_claim && volume.csi.is_none() {
                continue;
            }
            match self.find(pod, volume).await {
                Ok(spec) => specs.push(spec),
                Err(_) => all = false,
            }
        }
        let specs = Arc::new(specs);
        if all && self.pod_dir(pod.uid()).exists() {
            specs.iter().for_each(|spec| self.note_size(pod, spec));
            let uid = pod.uid().to_owned();
            self.lasting.lock().insert(uid, specs.clone());
        }
        specs
    }

    /// Keeps how large a volume is that a pod has from now on.
    pub(super) fn note_size(&self, pod: &Pod, spec: &VolumeSpec) {
        if let Some(persistent) = &spec.persistent {
            let size = current(&persistent.claim);
            self.sizes.came(persistent.volume.name(), pod.uid(), size);
        }
    }

    /// Has a volume's file system follow, if its claim, or what it was on this node, is smaller
    /// than the volume has become.
    async fn expand(&self, pod: &Pod, spec: &VolumeSpec) -> Option<Note> {
        let known = spec.persistent.as_ref()?;
        let objects = self.host.objects.as_ref();
        let claim = objects
            .claim(pod.namespace(), known.claim.name())
            .await
            .ok()?;
        claim.status.as_ref()?.capacity.as_ref()?;
        let told = current(&claim);
        let here = self.sizes.of(known.volume.name()).unwrap_or(told);
        if requested(&claim) <= told.min(here) {
            return None;
        }
        let volume = objects.volume(known.volume.name()).await.ok()?;
        let size = capacity(&volume);
        let is_told = told >= size;
        if size <= told.min(here) || !is_told && is_given_up(&claim) {
            return None;
        }
        let mut spec = spec.clone();
        let persistent = spec.persistent.as_mut()?;
        (persistent.claim, persistent.volume) = (claim.clone(), volume);
        let plugin = self.plugin(&spec)?;
        let (host, spec) = (&self.host, &spec);
        let expanded = match here < size {
            true => {
                let mounter = Mounter { host, pod, spec };
                plugin.expand(&mounter, size.value()).await
            }
            // What was missing is that the claim says so.
            false => Ok(Expansion::Done),
        };
        if expanded == Ok(Expansion::Done) {
            self.sizes.expanded(spec.name(), size);
        }
        let outcome = match expanded {
            Ok(Expansion::Later) => return None,
            Ok(outcome) if is_told => Ok(outcome),
            Ok(outcome) => {
                let patch = resized(&claim, size, &outcome);
                let written = objects
                    .patch_claim(pod.namespace(), claim.name(), &patch)
                    .await;
                written.map(|()| outcome).map_err(|e| e.to_string())
            }
            Err(error) => Err(error),
        };
        let failed = |error: &str| Note {
            is_warning: true,
            reason: "FileSystemResizeFailed",
            message: format!(
                "MountVolume.NodeExpandVolume failed for volume {:?} : {error}",
                spec.name()
            ),
        };
        Some(match outcome {
            Ok(Expansion::Done | Expansion::Later) => Note {
                is_warning: false,
                reason: "FileSystemResizeSuccessful",
                message: format!(
                    "MountVolume.NodeExpandVolume succeeded for volume {:?}",
                    spec.name()
                ),
            },
            Ok(Expansion::Infeasible(error)) => failed(&error),
            Err(error) => failed(&error),
        })
    }

    /// How full the volumes of a pod were when that was looked at last.
    pub fn measured(&self, pod_uid: &str) -> Arc<Vec<UsedVolume>> {
        self.measured
            .lock()
            .get(pod_uid)
            .cloned()
            .unwrap_or_default()
    }

    /// Looks how full the volumes of a running pod are, as far as that can be told.
    pub(crate) async fn measure(&self, pod: &Pod) {
        let mut used = Vec::new();
        for spec in self.lasting(pod).await.iter() {
            let Some(plugin) = self.plugin(spec) else {
                continue;
            };
            let host = &self.host;
            match plugin.usage(&Mounter { host, pod, spec }).await {
                Ok(usage) => used.extend(usage.map(|usage| UsedVolume {
                    name: spec.volume.name.clone(),
                    claim: spec.persistent.as_ref().map(|p| p.claim.name().to_owned()),
                    usage,
                })),
                Err(error) => {
                    tracing::debug!(volume = spec.name(), error, "how full it is can't be told")
                }
            }
        }
        // It may have ended meanwhile.
        if !used.is_empty() && self.pod_dir(pod.uid()).exists() {
            self.measured
                .lock()
                .insert(pod.uid().to_owned(), Arc::new(used));
        }
    }
}

/// Whether a node has found that the size can't be had.
fn is_given_up(claim: &PersistentVolumeClaim) -> bool {
    let status = claim.status.as_ref();
    let allocated = status.and_then(|s| s.allocated_resource_statuses.as_ref()?.get("storage"));
    allocated.is_some_and(|status| status == "NodeResizeInfeasible")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    #[tokio::test(start_paused = true)]
    async fn who_hangs_keeps_nobody_from_the_next_round() {
        let mut rounds = Rounds::default();
        let [hung, done, panicked] = [(); 3].map(|()| Arc::new(AtomicUsize::new(0)));
        let count = |of: &Arc<AtomicUsize>| of.fetch_add(1, Relaxed);
        for _ in 0..3 {
            let (hangs, ends, panics) = (hung.clone(), done.clone(), panicked.clone());
            rounds.begin("a", async move {
                count(&hangs);
                std::future::pending::<()>().await;
            });
            rounds.begin("b", async move {
                count(&ends);
            });
            rounds.begin("c", async move {
                assert_eq!(count(&panics), usize::MAX, "it panics");
            });
            rounds.wait(PROMPT).await;
        }
        let counts = [hung, done, panicked].map(|count| count.load(Relaxed));
        assert_eq!(counts, [1, 3, 3]);
    }

    #[test]
    fn a_claim_that_has_its_size_says_so() {
        let claim = json!({"metadata": {"name": "data", "resourceVersion": "7"}, "spec": {}, "status": {
            "capacity": {"storage": "1Gi"}, "allocatedResourceStatuses": {"storage": "NodeResizePending"},
            "conditions": [{"type": "FileSystemResizePending", "status": "True"},
                           {"type": "Mine", "status": "True"}]}});
        let claim: PersistentVolumeClaim = serde_json::from_value(claim).unwrap();
        let done = resized(&claim, "2Gi".parse().unwrap(), &Expansion::Done);
        assert_eq!(done["status"]["capacity"]["storage"], "2Gi");
        assert_eq!(done["status"]["conditions"].as_array().unwrap().len(), 1);
        assert_eq!(done["status"]["conditions"][0]["type"], "Mine");
        assert_eq!(
            done["status"]["allocatedResourceStatuses"]["storage"],
            Value::Null
        );
        assert_eq!(done["metadata"]["resourceVersion"], "7");
        let never = resized(
            &claim,
            "2Gi".parse().unwrap(),
            &Expansion::Infeasible("no".into()),
        );
        let expected = json!({"allocatedResourceStatuses": {"storage": "NodeResizeInfeasible"}});
        assert_eq!(never["status"], expected);
    }
}
