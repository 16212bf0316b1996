//! Events about etcd's space, of the Service `kubernetes`: `kubectl get events` shows them.

use super::{Level, Usage};
use crate::bootstrap::target_of;
use crate::pipeline::{Body, Pipeline, Request, Verb};
use hardway_proto::Status;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Tells of a level that was reached.
pub async fn tell(pipeline: &Pipeline, level: Level, usage: Usage) {
    if let Err(status) = create(pipeline, level, usage).await {
        tracing::warn!(%status, "no event about etcd's space");
    }
}

async fn create(pipeline: &Pipeline, level: Level, usage: Usage) -> Result<(), Status> {
    let event = event(level, usage, Timestamp::now());
    let target = target_of(pipeline, &event)?;
    let request = Request::internal(Verb::Create, target, Body::Value(event));
    pipeline.dispatch(&request).await.map(drop)
}

fn event(level: Level, usage: Usage, now: Timestamp) -> Value {
    let way_out = "delete what is not needed; see also: hardway etcd recover-space";
    let (kind, reason, message) = match level {
        Level::Ample => ("Normal", "StorageHasRoom", format!("etcd: {usage}")),
        Level::Tight => (
            "Warning",
            "StorageNearlyFull",
            format!("etcd: {usage}. At 95% objects will neither be created nor grow: {way_out}"),
        ),
        _ => (
            "Warning",
            "StorageFull",
            format!("etcd: {usage}. Objects are neither created nor grow: {way_out}"),
        ),
    };
    let time = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": format!("kubernetes.{:x}", now.as_nanosecond()),
            "namespace": "default",
        },
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Service",
            "name": "kubernetes",
            "namespace": "default",
        },
        "type": kind,
        "reason": reason,
        "message": message,
        "count": 1,
        "firstTimestamp": time,
        "lastTimestamp": time,
        "source": {"component": "apiserver"},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_warnings_until_there_is_room() {
        let of = |level| {
            let event = event(level, Usage::default(), Timestamp::UNIX_EPOCH);
            (event["type"].clone(), event["reason"].clone())
        };
        assert_eq!(of(Level::Ample), (json!("Normal"), json!("StorageHasRoom")));
        let full = (json!("Warning"), json!("StorageFull"));
        assert_eq!(of(Level::Full), full);
        assert_eq!(of(Level::Alarm), full);
    }
}
