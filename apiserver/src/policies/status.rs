//! The status of validating policies. Kubernetes has a controller of its controller manager
//! write it; here the server does, which has the schemas and the language.

use super::type_checking;
use crate::bootstrap::target_of;
use crate::cache::ResourceCache;
use crate::pipeline::{Body, Pipeline, Request, Target, Verb};
use hardway_proto::Status;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const GROUP: &str = "admissionregistration.k8s.io";
const PLURAL: &str = "validatingadmissionpolicies";
/// How long to wait before trying again what failed.
const RETRY: Duration = Duration::from_secs(5);

/// Follows the policies for ever.
pub async fn run(pipeline: Arc<Pipeline>) {
    pipeline.cache.loaded().await;
    let Some(of) = pipeline.cache.of(GROUP, PLURAL) else {
        return;
    };
    let mut changes = of.changes();
    loop {
        changes.borrow_and_update();
        let changed = changes.changed();
        match reconcile(&pipeline, &of).await {
            Ok(()) => {
                if changed.await.is_err() {
                    return;
                }
            }
            Err(status) => {
                tracing::warn!(why = status.message, "a policy's status can't be written");
                if let Ok(Err(_)) = tokio::time::timeout(RETRY, changed).await {
                    return;
                }
            }
        }
    }
}

/// Brings the status of all policies to their present generation.
async fn reconcile(pipeline: &Pipeline, of: &ResourceCache) -> Result<(), Status> {
    let mut outcome = Ok(());
    for entry in of.list(None).0 {
        let mut policy = entry.value();
        if policy["status"]["observedGeneration"] == policy["metadata"]["generation"] {
            continue;
        }
        let table = pipeline.registry.snapshot();
        let warnings = type_checking::check(&policy, &table);
        note(&mut policy, warnings);
        let written = write(pipeline, policy).await;
        outcome = outcome.and(written);
    }
    outcome
}

fn note(policy: &mut Value, warnings: Vec<Value>) {
    let mut checked = json!({});
    if !warnings.is_empty() {
        checked["expressionWarnings"] = warnings.into();
    }
    let generation = policy["metadata"]["generation"].clone();
    policy["status"]["observedGeneration"] = generation;
    policy["status"]["typeChecking"] = checked;
}

async fn write(pipeline: &Pipeline, policy: Value) -> Result<(), Status> {
    let target = Target {
        subresource: "status".into(),
        ..target_of(pipeline, &policy)?
    };
    let request = Request::internal(Verb::Update, target, Body::Value(policy));
    match pipeline.dispatch(&request).await {
        // Somebody was faster: the change is on its way here.
        Err(status) if status.is_not_found() || status.is_conflict() => Ok(()),
        outcome => outcome.map(drop),
    }
}
