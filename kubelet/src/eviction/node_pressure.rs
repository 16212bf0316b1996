//! Which resources of the node are short, for all who ask: the node's status, and whoever
//! lets pods in.

use super::REASON;
use super::ranking::is_evictable;
use super::threshold::Condition;
use crate::admission::Rejection;
use crate::pod;
use crate::qos::{self, Class};
use hardway_proto::placement::pod_tolerates;
use k8s_openapi::api::core::v1::{Pod, Taint};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::watch;

/// The node's conditions; clones share them.
#[derive(Clone, Default)]
pub struct NodePressure(Arc<watch::Sender<BTreeSet<Condition>>>);

impl NodePressure {
    /// What is short now.
    pub fn conditions(&self) -> BTreeSet<Condition> {
        self.0.borrow().clone()
    }

    /// Hears of changes from now on.
    pub fn changes(&self) -> watch::Receiver<BTreeSet<Condition>> {
        self.0.subscribe()
    }

    pub(super) fn set(&self, conditions: BTreeSet<Condition>) {
        self.0.send_if_modified(|known| {
            let is_new = *known != conditions;
            *known = conditions;
            is_new
        });
    }

    /// Lets a new pod in, unless it would make things worse: what the node itself needs always,
    /// others while it is memory that is short and they ask for some, or tolerate that.
    ///
    /// # Errors
    /// In Kubernetes' words (`Admit` in `pkg/kubelet/eviction/eviction_manager.go`).
    pub fn admit(&self, new: &Pod) -> Result<(), Rejection> {
        let conditions = self.0.borrow();
        if conditions.is_empty() || !is_evictable(new) {
            return Ok(());
        }
        let taint = Taint {
            key: "node.kubernetes.io/memory-pressure".into(),
            effect: "NoSchedule".into(),
            ..Taint::default()
        };
        let only_memory = conditions.iter().eq([&Condition::MemoryPressure]);
        let may = qos::class(new) != Class::BestEffort || pod_tolerates(pod::spec(new), &taint);
        if only_memory && may {
            return Ok(());
        }
        let names: Vec<String> = conditions.iter().map(ToString::to_string).collect();
        let message = format!("The node had condition: [{}]. ", names.join(" "));
        Err(Rejection::new(REASON, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// `TestMemoryPressure`, `TestCriticalPodsEvictedNotAdmitted` and `TestDiskPressureNodeFs`
    /// of `pkg/kubelet/eviction/eviction_manager_test.go`.
    #[test]
    fn pods_that_would_make_it_worse_are_refused() {
        let pod = |spec: Value| -> Pod { serde_json::from_value(json!({"spec": spec})).unwrap() };
        let best_effort = pod(json!({"containers": [{"name": "a"}]}));
        let asks = json!([{"name": "a", "resources": {"requests": {"memory": "1Mi"}}}]);
        let burstable = pod(json!({"containers": asks}));
        let tolerations = json!([{"key": "node.kubernetes.io/memory-pressure", "effect": "NoSchedule", "operator": "Exists"}]);
        let tolerant = pod(json!({"containers": [{"name": "a"}], "tolerations": tolerations}));
        let critical = pod(json!({"containers": [{"name": "a"}], "priority": 2_000_000_000}));
        let pressure = NodePressure::default();
        let gets_in = |conditions: &[Condition]| {
            pressure.set(conditions.iter().copied().collect());
            [&best_effort, &burstable, &tolerant, &critical].map(|p| pressure.admit(p).is_ok())
        };
        assert_eq!(gets_in(&[]), [true; 4]);
        assert_eq!(
            gets_in(&[Condition::MemoryPressure]),
            [false, true, true, true]
        );
        assert_eq!(
            gets_in(&[Condition::DiskPressure]),
            [false, false, false, true]
        );
        let both = [Condition::MemoryPressure, Condition::PidPressure];
        assert_eq!(gets_in(&both), [false, false, false, true]);
        let told = pressure.admit(&burstable).unwrap_err();
        assert_eq!(told.reason, "Evicted");
        assert_eq!(
            told.message,
            "The node had condition: [MemoryPressure PIDPressure]. "
        );
    }
}
