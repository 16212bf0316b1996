//! What `/metrics/probes` tells: how probes of containers ended, and how long they took. Names,
//! labels and help are those of Kubernetes 1.33 (`pkg/kubelet/prober/prober_manager.go`).

use super::{Kind, Outcome, Target};
use hardway_proto::Kind as _;
use parking_lot::Mutex;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, TextEncoder};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

const OF_RESULTS: [&str; 6] = [
    "probe_type",
    "result",
    "container",
    "pod",
    "namespace",
    "pod_uid",
];
const OF_DURATIONS: [&str; 4] = ["probe_type", "container", "pod", "namespace"];
const SUCCESSFUL: &str = "successful";
const FAILED: &str = "failed";

/// The figures of all probes; clones are the same.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    total: IntCounterVec,
    duration: HistogramVec,
    /// What was counted, by UID of the pod.
    known: Arc<Mutex<HashMap<String, BTreeSet<Key>>>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let total = Opts::new(
            "prober_probe_total",
            "[ALPHA] Cumulative number of a liveness, readiness or startup probe for a container by result.",
        );
        let duration = HistogramOpts::new(
            "prober_probe_duration_seconds",
            "[ALPHA] Duration in seconds for a probe response.",
        );
        let valid = "their names and labels are valid, and each is there once";
        let metrics = Self {
            registry: Registry::new(),
            total: IntCounterVec::new(total, &OF_RESULTS).expect(valid),
            duration: HistogramVec::new(duration, &OF_DURATIONS).expect(valid),
            known: Arc::default(),
        };
        let registered = metrics.registry.register(Box::new(metrics.total.clone()));
        registered.expect(valid);
        let registered = metrics
            .registry
            .register(Box::new(metrics.duration.clone()));
        registered.expect(valid);
        metrics
    }
}

impl Metrics {
    /// Counts one probing. One that couldn't be made has no result; only those that passed
    /// have a duration.
    pub(super) fn count(&self, kind: Kind, target: &Target, outcome: &Outcome, took: Duration) {
        let result = match outcome {
            Outcome::Success | Outcome::Warning(_) => SUCCESSFUL,
            Outcome::Failure(_) => FAILED,
            Outcome::Unknown(_) => return,
        };
        let (container, pod) = (&target.container.name, &target.pod);
        let key = Key {
            kind: kind.to_string(),
            container: container.clone(),
            pod: pod.name().to_owned(),
            namespace: pod.namespace().to_owned(),
        };
        let (name, namespace, uid) = (pod.name(), pod.namespace(), pod.uid());
        let of = [&*key.kind, result, container, name, namespace, uid];
        self.total.with_label_values(&of).inc();
        if result == SUCCESSFUL {
            let of = [&*key.kind, container, name, namespace];
            let duration = self.duration.with_label_values(&of);
            duration.observe(took.as_secs_f64());
        }
        self.known
            .lock()
            .entry(uid.to_owned())
            .or_default()
            .insert(key);
    }

    /// Forgets the probes of a pod that is gone.
    pub fn forget(&self, pod_uid: &str) {
        for Key {
            kind,
            container,
            pod,
            namespace,
        } in self.known.lock().remove(pod_uid).into_iter().flatten()
        {
            // Some have never succeeded, others never failed.
            for result in [SUCCESSFUL, FAILED] {
                let of = [&*kind, result, &container, &pod, &namespace, pod_uid];
                let _ = self.total.remove_label_values(&of);
            }
            let of = [&*kind, &container, &pod, &namespace];
            let _ = self.duration.remove_label_values(&of);
        }
    }

    /// All of them in Prometheus' text format.
    ///
    /// # Errors
    /// If they can't be written so.
    pub fn render(&self) -> Result<String, String> {
        let families = self.registry.gather();
        let text = TextEncoder::new().encode_to_string(&families);
        text.map_err(|error| error.to_string())
    }
}

/// Whose a figure is, but for the UID of its pod.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    kind: String,
    container: String,
    pod: String,
    namespace: String,
}
