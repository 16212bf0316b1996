//! Deletes pods from nodes whose NoExecute taints they don't tolerate, or
//! tolerate no longer.

use crate::Work;
use crate::context::Context;
use crate::informers::{BY_NODE, Informers};
use hardway_client::api::{DeleteParams, Patch};
use hardway_client::controller::{self, Next};
use hardway_client::events::{EventType, Recorder, reference};
use hardway_client::informer::Change;
use hardway_client::queue::WorkQueue;
use hardway_client::{Client, Store};
use hardway_proto::meta::ObjectKey;
use hardway_proto::placement::tolerates;
use hardway_proto::{Kind, Status};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use parking_lot::Mutex;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

struct Controller {
    client: Client,
    recorder: Recorder,
    nodes: Store<Node>,
    pods: Store<Pod>,
    /// When each pod that has to leave some day was first seen to: by UID, as the next
    /// of its name has all its time before it.
    seen: Arc<Mutex<HashMap<String, Timestamp>>>,
}

/// The controller.
pub fn register(informers: &mut Informers, context: &Context) -> Work {
    let queue = WorkQueue::new();
    let controller = Controller {
        client: context.client.clone(),
        recorder: context.recorder("taint-eviction-controller"),
        nodes: informers.nodes.store(),
        pods: informers.pods.store(),
        seen: Arc::default(),
    };
    let seen = Arc::clone(&controller.seen);
    let (on_node, pods) = (queue.clone(), informers.pods.store());
    informers.nodes.subscribe(move |change| {
        if let Change::Applied { old, new } = change
            && !old
                .as_ref()
                .is_some_and(|old| no_execute(old) == no_execute(new))
        {
            for pod in pods.by_index(BY_NODE, new.name()) {
                on_node.add(ObjectKey::of(pod.as_ref()));
            }
        }
    });
    let on_pod = queue.clone();
    informers.pods.subscribe(move |change| {
        if let Change::Deleted(pod) = &change {
            seen.lock().remove(pod.uid());
        }
        if let Change::Applied { old, new } = change {
            let node = |pod: &Pod| pod.spec.as_ref().and_then(|s| s.node_name.clone());
            let tolerations = |pod: &Pod| pod.spec.as_ref().and_then(|s| s.tolerations.clone());
            let news = old
                .as_ref()
                .is_none_or(|old| node(old) != node(new) || tolerations(old) != tolerations(new));
            if news && node(new).is_some() {
                on_pod.add(ObjectKey::of(new.as_ref()));
            }
        }
    });
    Box::pin(async move {
        controller.nodes.wait_synced().await;
        controller.pods.wait_synced().await;
        controller::run("taint-eviction", queue, 4, |key| controller.reconcile(key)).await;
    })
}

fn no_execute(node: &Node) -> Vec<Taint> {
    let taints = node.spec.as_ref().and_then(|s| s.taints.clone());
    let mut taints = taints.unwrap_or_default();
    taints.retain(|t| t.effect == "NoExecute");
    taints
}

/// When a pod has to leave.
#[derive(Debug, PartialEq)]
enum Verdict {
    Stay,
    LeaveAt(Timestamp),
}

/// A taint without toleration: at once. Otherwise the shortest toleration
/// counts, from when the last of the taints was added; where none says when
/// that was, as `kubectl taint` doesn't, from when the pod was first `seen`
/// with them.
fn verdict(
    taints: &[Taint],
    tolerations: &[Toleration],
    now: Timestamp,
    seen: Timestamp,
) -> Verdict {
    if taints.is_empty() {
        return Verdict::Stay;
    }
    let mut shortest: Option<i64> = None;
    for taint in taints {
        let mut covering = tolerations
            .iter()
            .filter(|t| tolerates(t, taint))
            .peekable();
        if covering.peek().is_none() {
            return Verdict::LeaveAt(now);
        }
        for seconds in covering.filter_map(|t| t.toleration_seconds) {
            shortest = Some(shortest.map_or(seconds, |s| s.min(seconds)));
        }
    }
    let Some(seconds) = shortest else {
        return Verdict::Stay;
    };
    let since = taints
        .iter()
        .filter_map(|t| t.time_added.as_ref())
        .map(|t| t.0)
        .max();
    let wait = jiff::SignedDuration::from_secs(seconds.max(0));
    Verdict::LeaveAt(since.unwrap_or(seen).saturating_add(wait).unwrap_or(now))
}

impl Controller {
    async fn reconcile(&self, key: ObjectKey) -> Result<Next, Status> {
        let Some(pod) = self.pods.get(&key) else {
            return Ok(Next::Done);
        };
        if pod.metadata.deletion_timestamp.is_some() {
            return Ok(Next::Done);
        }
        let spec = pod.spec.as_ref();
        let node = spec
            .and_then(|s| s.node_name.as_ref())
            .and_then(|name| self.nodes.get(&ObjectKey::new("", name)));
        let Some(node) = node else {
            return Ok(Next::Done);
        };
        let tolerations = spec
            .and_then(|s| s.tolerations.as_deref())
            .unwrap_or_default();
        let now = Timestamp::now();
        let taints = no_execute(&node);
        let seen = self.seen.lock().get(pod.uid()).copied().unwrap_or(now);
        let at = match verdict(&taints, tolerations, now, seen) {
            Verdict::Stay => {
                self.seen.lock().remove(pod.uid());
                return Ok(Next::Done);
            }
            Verdict::LeaveAt(at) => at,
        };
        self.seen.lock().insert(pod.uid().to_owned(), seen);
        if let Ok(wait) = Duration::try_from(at.duration_since(now))
            && !wait.is_zero()
        {
            return Ok(Next::After(wait));
        }
        self.evict(&pod).await.map(|()| Next::Done)
    }

    async fn evict(&self, pod: &Pod) -> Result<(), Status> {
        let text = format!("Marking for deletion Pod {}", ObjectKey::of(pod));
        self.recorder.event(
            reference(pod),
            EventType::Normal,
            "TaintManagerEviction",
            text,
        );
        let api = self.client.namespaced::<Pod>(pod.namespace());
        let patch = json!({"status": {"conditions": [{
            "type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
            "lastTransitionTime": Time(Timestamp::now()),
        }]}});
        for outcome in [
            api.patch_status(pod.name(), Patch::Strategic(&patch))
                .await
                .map(|_| ()),
            api.delete(pod.name(), &DeleteParams::of(pod.uid())).await,
        ] {
            match outcome {
                Err(status) if !status.is_not_found() && !status.is_conflict() => {
                    return Err(status);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taint(key: &str, added: &str) -> Taint {
        serde_json::from_value(json!({"key": key, "effect": "NoExecute", "timeAdded": added}))
            .unwrap()
    }

    fn toleration(key: &str, seconds: Option<i64>) -> Toleration {
        serde_json::from_value(json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds}))
            .unwrap()
    }

    #[test]
    fn the_shortest_toleration_counts() {
        let now: Timestamp = "2024-01-01T00:01:00Z".parse().unwrap();
        let taints = [taint("a", "2024-01-01T00:00:00Z")];
        let verdict = |taints: &[Taint], tolerations: &[Toleration], now| {
            verdict(taints, tolerations, now, now)
        };
        assert_eq!(verdict(&[], &[], now), Verdict::Stay);
        assert_eq!(verdict(&taints, &[], now), Verdict::LeaveAt(now));
        assert_eq!(
            verdict(&taints, &[toleration("a", None)], now),
            Verdict::Stay
        );
        let both = [toleration("a", Some(300)), toleration("a", Some(90))];
        let at = "2024-01-01T00:01:30Z".parse().unwrap();
        assert_eq!(verdict(&taints, &both, now), Verdict::LeaveAt(at));
        let more = [taints[0].clone(), taint("b", "2024-01-01T00:00:30Z")];
        assert_eq!(verdict(&more, &both, now), Verdict::LeaveAt(now));
    }

    /// `kubectl taint` doesn't say when.
    #[test]
    fn a_taint_of_no_time_counts_from_when_it_was_seen() {
        let taint: Taint =
            serde_json::from_value(json!({"key": "a", "effect": "NoExecute"})).unwrap();
        let seen: Timestamp = "2024-01-01T00:01:00Z".parse().unwrap();
        let at = "2024-01-01T00:01:08Z".parse().unwrap();
        for second in 0..20 {
            let later = jiff::SignedDuration::from_secs(second);
            let now = seen.saturating_add(later).unwrap();
            let tolerations = [toleration("a", Some(8))];
            let verdict = verdict(std::slice::from_ref(&taint), &tolerations, now, seen);
            assert_eq!(verdict, Verdict::LeaveAt(at));
        }
    }
}
