//! Custom resources: follows CustomResourceDefinitions, adds and removes rows
//! of the table, and tells in their status what is served.

use crate::bootstrap::target_of;
use crate::cache::{Entry, ResourceCache};
use crate::pipeline::{Body, Options, Pipeline, Request, Target, Verb, metadata};
use crate::rest::health::Startup;
use hardway_proto::Status;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Holds a definition until its objects are gone.
const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";
const GROUP: &str = "apiextensions.k8s.io";
const PLURAL: &str = "customresourcedefinitions";
/// How long to wait before trying again what failed, doubled each time …
const RETRY: Duration = Duration::from_secs(1);
/// … up to this.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// A definition that is served.
struct Served {
    group: String,
    plural: String,
    spec: Value,
}

/// Follows the definitions for ever.
pub async fn run(pipeline: Arc<Pipeline>, startup: Arc<Startup>) {
    pipeline.cache.loaded().await;
    let Some(of) = pipeline.cache.of(GROUP, PLURAL) else {
        return;
    };
    let mut changes = of.changes();
    let mut served = HashMap::new();
    let mut retry = RETRY;
    loop {
        changes.borrow_and_update();
        let clean = reconcile(&pipeline, &of, &mut served).await;
        startup
            .customs
            .send_if_modified(|known| !std::mem::replace(known, true));
        if clean {
            retry = RETRY;
            if changes.changed().await.is_err() {
                return;
            }
        } else {
            // What nobody could have written through here stays wrong for long.
            let wait = tokio::time::timeout(retry, changes.changed());
            if let Ok(Err(_)) = wait.await {
                return;
            }
            retry = (retry * 2).min(LONGEST_RETRY);
        }
    }
}

/// Brings table and definitions together; false if something has to be tried
/// again.
async fn reconcile(
    pipeline: &Pipeline,
    of: &ResourceCache,
    served: &mut HashMap<String, Served>,
) -> bool {
    let (entries, _) = of.list(None);
    let mut clean = true;
    for entry in &entries {
        if let Err(status) = definition(pipeline, entry, served).await {
            tracing::warn!(name = entry.name(), %status, "custom resource definition, retrying");
            clean = false;
        }
    }
    let gone: Vec<String> = served
        .keys()
        .filter(|name| !entries.iter().any(|entry| entry.name() == *name))
        .cloned()
        .collect();
    for name in gone {
        if let Some(old) = served.remove(&name) {
            pipeline.registry.remove_custom(&old.group, &old.plural);
            pipeline.cache.remove(&old.group, &old.plural);
        }
    }
    clean
}

async fn definition(
    pipeline: &Pipeline,
    entry: &Entry,
    served: &mut HashMap<String, Served>,
) -> Result<(), Status> {
    let crd = entry.value();
    let target = target_of(pipeline, &crd)?;
    let known = served
        .get(entry.name())
        .is_some_and(|old| old.spec == crd["spec"]);
    if !known {
        match pipeline.registry.add_custom(&crd) {
            Ok(resource) => {
                served.insert(
                    entry.name().to_owned(),
                    Served {
                        group: resource.group.clone(),
                        plural: resource.plural.clone(),
                        spec: crd["spec"].clone(),
                    },
                );
                pipeline.cache.add(resource).await;
            }
            Err(refused) => {
                let why = refused.to_string();
                return tell(pipeline, &target, &crd, "False", "NotAccepted", &why).await;
            }
        }
    }
    if metadata::is_terminating(&crd) {
        return clean_up(pipeline, &target, &crd).await;
    }
    let finalizers = crd["metadata"]["finalizers"].as_array();
    if !finalizers.is_some_and(|list| list.iter().any(|finalizer| finalizer == FINALIZER)) {
        let mut crd = crd.clone();
        metadata::set_finalizer(&mut crd, FINALIZER, true);
        let request = Request::internal(Verb::Update, target, Body::Value(crd));
        // Its event brings us back for the status.
        return pipeline.dispatch(&request).await.map(drop);
    }
    tell(
        pipeline,
        &target,
        &crd,
        "True",
        "NoConflicts",
        "no conflicts found",
    )
    .await
}

/// Writes the status, if it says something else.
async fn tell(
    pipeline: &Pipeline,
    target: &Target,
    crd: &Value,
    accepted: &str,
    reason: &str,
    message: &str,
) -> Result<(), Status> {
    let is = |kind: &str, status: &str| {
        let conditions = crd["status"]["conditions"].as_array();
        conditions.is_some_and(|list| {
            list.iter()
                .any(|c| c["type"] == kind && c["status"] == status)
        })
    };
    let names = accepted_names(&crd["spec"]["names"]);
    let stored = stored_versions(crd);
    let status = &crd["status"];
    if is("NamesAccepted", accepted)
        && is("Established", accepted)
        && (accepted == "False"
            || (status["acceptedNames"] == names && status["storedVersions"] == stored))
    {
        return Ok(());
    }
    let now = metadata::time(Timestamp::now());
    let condition = |kind: &str, reason: &str, message: &str| {
        json!({"type": kind, "status": accepted, "reason": reason, "message": message,
            "lastTransitionTime": now})
    };
    let (why, text) = match accepted {
        "True" => (
            "InitialNamesAccepted",
            "the initial names have been accepted",
        ),
        _ => ("NotAccepted", message),
    };
    let mut crd = crd.clone();
    crd["status"] = json!({
        "acceptedNames": names,
        "storedVersions": stored,
        "conditions": [
            condition("NamesAccepted", reason, message),
            condition("Established", why, text),
        ],
    });
    let target = Target {
        subresource: "status".into(),
        ..target.clone()
    };
    let request = Request::internal(Verb::Update, target, Body::Value(crd));
    pipeline.dispatch(&request).await.map(drop)
}

fn accepted_names(spec: &Value) -> Value {
    let mut names = spec.clone();
    let kind = spec["kind"].as_str().unwrap_or_default().to_owned();
    if names["listKind"].as_str().unwrap_or_default().is_empty() {
        names["listKind"] = format!("{kind}List").into();
    }
    if names["singular"].as_str().unwrap_or_default().is_empty() {
        names["singular"] = kind.to_lowercase().into();
    }
    names
}

/// Every version that objects may have been stored in.
fn stored_versions(crd: &Value) -> Value {
    let mut stored = crd["status"]["storedVersions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    for version in crd["spec"]["versions"].as_array().into_iter().flatten() {
        if version["storage"] == true && !stored.contains(&version["name"]) {
            stored.push(version["name"].clone());
        }
    }
    stored.into()
}

/// Deletes the objects of a definition that goes, then lets it go.
async fn clean_up(pipeline: &Pipeline, target: &Target, crd: &Value) -> Result<(), Status> {
    let group = crd["spec"]["group"].as_str().unwrap_or_default();
    let plural = crd["spec"]["names"]["plural"].as_str().unwrap_or_default();
    if let Some(resource) = pipeline.registry.resource(group, plural) {
        let all = Target {
            version: resource.versions[0].name.clone(),
            resource,
            namespace: String::new(),
            name: String::new(),
            subresource: String::new(),
        };
        let mut request = Request::internal(Verb::DeleteCollection, all.clone(), Body::Empty);
        request.options = Options::default();
        pipeline.dispatch(&request).await?;
        pipeline.cache.fresh().await?;
        let left = pipeline.cache.of(group, plural).map_or(0, |of| of.len());
        if left > 0 {
            return Err(Status::conflict(
                GROUP,
                PLURAL,
                &target.name,
                &format!("{left} objects are still held by their finalizers"),
            ));
        }
    }
    let mut crd = crd.clone();
    metadata::set_finalizer(&mut crd, FINALIZER, false);
    let request = Request::internal(Verb::Update, target.clone(), Body::Value(crd));
    match pipeline.dispatch(&request).await {
        Err(status) if status.is_not_found() => Ok(()),
        outcome => outcome.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions_are_completed() {
        let names = accepted_names(&json!({"plural": "crontabs", "kind": "CronTab"}));
        assert_eq!(names["singular"], "crontab");
        assert_eq!(names["listKind"], "CronTabList");
        let crd = json!({"status": {"storedVersions": ["v1beta1"]}, "spec": {"versions": [
            {"name": "v1", "storage": true}, {"name": "v1beta1", "storage": false}]}});
        assert_eq!(stored_versions(&crd), json!(["v1beta1", "v1"]));
    }
}
