//! Whose turn it is among pods that wait for other resources. Pure; the order is the one that
//! Kubernetes documents (`sortPendingResizes` in `pkg/kubelet/allocation`).

use crate::{pod, qos};
use hardway_proto::Kind;
use k8s_openapi::api::core::v1::Pod;
use std::cmp::Reverse;
use std::sync::Arc;
use tokio::time::Instant;

/// A pod that asks for other resources than it was given.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The pod with what it asks for.
    pub wanted: Arc<Pod>,
    /// The same with what it was given.
    pub given: Arc<Pod>,
    /// Since when it has waited.
    pub since: Instant,
}

/// Puts first whose turn it is: who asks for nothing more, then by priority, then by class of
/// service, then who has waited longest.
pub fn sort(waiting: &mut [Waiting]) {
    waiting.sort_by_cached_key(|one| {
        let grows = ["cpu", "memory"].iter().any(|resource| {
            qos::pod_request(&one.wanted, resource) > qos::pod_request(&one.given, resource)
        });
        let priority = pod::spec(&one.wanted).priority.unwrap_or(0);
        let is_guaranteed = qos::class(&one.wanted) == qos::Class::Guaranteed;
        let uid = one.wanted.uid().to_owned();
        (grows, Reverse(priority), !is_guaranteed, one.since, uid)
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    /// The cases of `TestSortPendingResizes`, one for each rule.
    #[test]
    fn shrinking_then_priority_then_class_then_time() {
        let now = Instant::now();
        let pod = |name: &str, priority: i32, cpu: &str, limit: Option<&str>| -> Arc<Pod> {
            let mut resources = json!({"requests": {"cpu": cpu, "memory": "1Mi"}});
            if let Some(limit) = limit {
                resources["limits"] = json!({"cpu": limit, "memory": "1Mi"});
            }
            let spec = json!({"priority": priority, "containers": [
                {"name": "c", "resources": resources}]});
            let pod = json!({"metadata": {"name": name, "uid": name}, "spec": spec});
            Arc::new(serde_json::from_value(pod).unwrap())
        };
        let waiting = |name: &str, priority, to: &str, limit, seconds| Waiting {
            wanted: pod(name, priority, to, limit),
            given: pod(name, priority, "1", Some("1").filter(|_| limit.is_some())),
            since: now + Duration::from_secs(seconds),
        };
        let mut all = [
            waiting("late", 0, "2", None, 2),
            waiting("early", 0, "2", None, 1),
            waiting("guaranteed", 0, "2", Some("2"), 3),
            waiting("important", 10, "2", None, 3),
            waiting("shrinks", -1, "500m", None, 3),
        ];
        sort(&mut all);
        let names = all.map(|one| one.wanted.name().to_owned());
        let expected = ["shrinks", "important", "guaranteed", "early", "late"];
        assert_eq!(names, expected);
    }
}
