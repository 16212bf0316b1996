//! Keeps the default objects up, follows what is configured, and tells in the
//! status of flow schemas whether their priority level exists.

use super::Fairness;
use super::defaults::{self, AUTOUPDATE, GROUP, LEVEL, SCHEMA};
use crate::bootstrap::target_of;
use crate::cache::ResourceCache;
use crate::pipeline::{Body, Options, PatchKind, Pipeline, Request, Target, Verb};
use crate::rest::health::Startup;
use hardway_fairness::{FlowSchema, PriorityLevel};
use hardway_proto::Status;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often seats are moved between levels.
const ADJUSTED_EVERY: Duration = Duration::from_secs(10);
/// How long to wait between two passes at least: two who do not agree on an object
/// must not keep an apiserver busy. At first also before trying again what failed …
const PAUSE: Duration = Duration::from_millis(500);
/// … and then ever longer, up to this: what can't be written stays so for long.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Field managers, as Kubernetes names them.
const PRODUCER: &str = "api-priority-and-fairness-config-producer-v1";
const CONSUMER: &str = "api-priority-and-fairness-config-consumer-v1";
const DANGLING: &str = "Dangling";

/// Moves seats between levels, for ever.
pub async fn adjust_periodically(pipeline: Arc<Pipeline>, fairness: Arc<Fairness>) {
    let mut tick = tokio::time::interval(ADJUSTED_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if fairness.adjust() {
            follow(&pipeline, &fairness);
        }
    }
}

/// Follows the configuration, for ever.
pub async fn run(pipeline: Arc<Pipeline>, fairness: Arc<Fairness>, startup: Arc<Startup>) {
    pipeline.cache.loaded().await;
    let changes = |kind| {
        let cache = cache_of(&pipeline, kind);
        cache.expect("both kinds are built in").changes()
    };
    let (mut schemas, mut levels) = (changes(SCHEMA), changes(LEVEL));
    let mut retry = PAUSE;
    loop {
        schemas.mark_unchanged();
        levels.mark_unchanged();
        follow(&pipeline, &fairness);
        let failed = objects(&pipeline).await;
        // What was made is followed before the server calls itself ready. What could
        // not be is the affair of its object: the others are followed all the same.
        let fresh = pipeline.cache.fresh().await.is_ok();
        if fresh {
            follow(&pipeline, &fairness);
            startup.fairness.store(true, Ordering::Release);
        }
        tokio::time::sleep(PAUSE).await;
        let changed = async {
            tokio::select! {
                _ = schemas.changed() => {}
                _ = levels.changed() => {}
            }
        };
        if fresh && failed == 0 {
            retry = PAUSE;
            changed.await;
        } else {
            let _ = tokio::time::timeout(retry, changed).await;
            retry = (retry * 2).min(LONGEST_PAUSE);
        }
    }
}

fn plural(kind: &str) -> &'static str {
    match kind {
        SCHEMA => "flowschemas",
        _ => "prioritylevelconfigurations",
    }
}

fn cache_of(pipeline: &Pipeline, kind: &str) -> Option<Arc<ResourceCache>> {
    pipeline.cache.of(GROUP, plural(kind))
}

/// What is stored of a kind, by name.
fn stored(pipeline: &Pipeline, kind: &str) -> Vec<(String, Value)> {
    let entries = cache_of(pipeline, kind).map(|of| of.list(None).0);
    let entries = entries.unwrap_or_default();
    let named = entries
        .iter()
        .map(|entry| (entry.name().to_owned(), entry.value()));
    named.collect()
}

/// An object, which need not be there.
fn target(pipeline: &Pipeline, kind: &str, name: &str) -> Result<Target, Status> {
    let object = json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": kind, "metadata": {"name": name},
    });
    target_of(pipeline, &object)
}

/// Puts what is configured into effect. An object that can't be read is as if
/// it weren't there.
fn follow(pipeline: &Pipeline, fairness: &Fairness) {
    let read = |kind: &str| {
        let of = cache_of(pipeline, kind).map(|of| of.list(None).0);
        of.unwrap_or_default()
    };
    let told = |kind: &str, key: &str, error: &dyn std::fmt::Display| {
        tracing::warn!(kind, name = key, %error, "the object can't be followed");
    };
    let levels: Vec<PriorityLevel> = read(LEVEL)
        .iter()
        .filter_map(|entry| {
            PriorityLevel::parse(entry.bytes())
                .inspect_err(|error| told(LEVEL, &entry.key, error))
                .ok()
        })
        .collect();
    let schemas: Vec<FlowSchema> = read(SCHEMA)
        .iter()
        .filter_map(|entry| {
            FlowSchema::parse(entry.bytes())
                .inspect_err(|error| told(SCHEMA, &entry.key, error))
                .ok()
        })
        .collect();
    fairness.configure(&levels, &schemas);
}

/// Creates, restores and removes default objects, and writes conditions; says with
/// how many objects that failed.
async fn objects(pipeline: &Pipeline) -> usize {
    let mut failed = 0;
    let mut note = |kind: &str, name: &str, outcome: Result<(), Status>| {
        if let Err(status) = outcome {
            tracing::warn!(kind, name, %status, "flow control object, retrying");
            failed += 1;
        }
    };
    let defaults = defaults::all();
    let identity = |default: &defaults::Default| {
        let text = |path| default.object.pointer(path).and_then(Value::as_str);
        let text = |path| text(path).unwrap_or_default().to_owned();
        (text("/kind"), text("/metadata/name"))
    };
    let identities: Vec<(String, String)> = defaults.iter().map(identity).collect();
    for (default, (kind, name)) in defaults.iter().zip(&identities) {
        note(kind, name, keep_up(pipeline, default).await);
    }
    for kind in [SCHEMA, LEVEL] {
        for (name, object) in stored(pipeline, kind) {
            let ours = object["metadata"]["annotations"][AUTOUPDATE] == "true";
            let default = identities.iter().any(|(k, n)| k == kind && *n == name);
            // One of another release.
            if ours && !default {
                note(kind, &name, remove(pipeline, kind, &name).await);
            }
        }
    }
    let levels: Vec<Value> = stored(pipeline, LEVEL)
        .into_iter()
        .map(|(_, l)| l)
        .collect();
    for (name, schema) in stored(pipeline, SCHEMA) {
        if let Some(condition) = dangling(&schema, &levels, Timestamp::now()) {
            let written = write_condition(pipeline, &name, condition).await;
            note(SCHEMA, &name, written);
        }
    }
    failed
}

async fn keep_up(pipeline: &Pipeline, default: &defaults::Default) -> Result<(), Status> {
    let target = target_of(pipeline, &default.object)?;
    let (verb, body) = match pipeline.cache_of(&target)?.get(&target.key()) {
        None => (Verb::Create, default.object.clone()),
        Some(entry) => match defaults::reconcile(&entry.value(), default) {
            None => return Ok(()),
            Some(updated) => (Verb::Update, updated),
        },
    };
    write(pipeline, verb, target, Body::Value(body), PRODUCER).await
}

async fn remove(pipeline: &Pipeline, kind: &str, name: &str) -> Result<(), Status> {
    let target = target(pipeline, kind, name)?;
    write(pipeline, Verb::Delete, target, Body::Empty, PRODUCER).await
}

async fn write_condition(pipeline: &Pipeline, name: &str, condition: Value) -> Result<(), Status> {
    let mut target = target(pipeline, SCHEMA, name)?;
    target.subresource = "status".into();
    let patch = json!({
        "apiVersion": target.api_version(), "kind": SCHEMA,
        "metadata": {"name": target.name},
        "status": {"conditions": [condition]},
    });
    let body = Body::Patch(PatchKind::Apply, patch.to_string().into());
    write(pipeline, Verb::Patch, target, body, CONSUMER).await
}

/// Writes; what others have done meanwhile is seen in the next pass.
async fn write(
    pipeline: &Pipeline,
    verb: Verb,
    target: Target,
    body: Body,
    manager: &str,
) -> Result<(), Status> {
    let mut request = Request::internal(verb, target, body);
    request.options = Options {
        field_manager: manager.into(),
        force: verb == Verb::Patch,
        force_given: verb == Verb::Patch,
        ..Options::default()
    };
    match pipeline.dispatch(&request).await {
        Err(status) if matches!(status.code, 404 | 409) => Ok(()),
        outcome => outcome.map(drop),
    }
}

/// The condition that a schema should have, if it has another.
fn dangling(schema: &Value, levels: &[Value], now: Timestamp) -> Option<Value> {
    let level = &schema["spec"]["priorityLevelConfiguration"]["name"];
    let exists = levels.iter().any(|l| l["metadata"]["name"] == *level);
    let object = "This FlowSchema references the PriorityLevelConfiguration object named";
    let (status, reason, message) = match exists {
        true => ("False", "Found", format!("{object} {level} and it exists")),
        false => (
            "True",
            "NotFound",
            format!("{object} {level} but there is no such object"),
        ),
    };
    let conditions = schema["status"]["conditions"].as_array();
    let found = conditions.and_then(|all| all.iter().find(|c| c["type"] == DANGLING));
    let same =
        |c: &Value| c["status"] == status && c["reason"] == reason && c["message"] == message;
    if found.is_some_and(same) {
        return None;
    }
    Some(json!({
        "type": DANGLING, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_without_its_level_dangles() {
        let mut schema = json!({"spec": {"priorityLevelConfiguration": {"name": "low"}}});
        let levels = [json!({"metadata": {"name": "low"}})];
        let now = Timestamp::UNIX_EPOCH;
        let condition = dangling(&schema, &[], now).unwrap();
        assert_eq!(condition["status"], "True");
        assert_eq!(
            condition["message"],
            "This FlowSchema references the PriorityLevelConfiguration object named \"low\" but there is no such object"
        );
        schema["status"] = json!({"conditions": [condition]});
        assert_eq!(dangling(&schema, &[], now), None);
        let condition = dangling(&schema, &levels, now).unwrap();
        assert_eq!(
            (&condition["status"], &condition["reason"]),
            (&json!("False"), &json!("Found"))
        );
        assert_eq!(condition["lastTransitionTime"], "1970-01-01T00:00:00Z");
    }
}
