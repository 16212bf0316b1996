//! APIServices of what this server serves itself, kept as they should be.

use super::status;
use crate::backend::Unavailable;
use crate::pipeline::{Body, Pipeline, Request, Target, Verb};
use hardway_proto::Status;
use hardway_resources::registry::Snapshot;
use hardway_resources::rows;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The group of APIServices; it has none itself.
pub const GROUP: &str = "apiregistration.k8s.io";
/// The plural name.
pub const PLURAL: &str = "apiservices";
/// Who keeps an APIService: `onstart` for built-in groups, `true` for those of definitions.
const MANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";
/// Priorities of what definitions bring (`crdregistration_controller.go`).
const CUSTOM: (i64, i64) = (1000, 100);

/// Where groups are told among each other (`DefaultGenericAPIServicePriorities` of
/// Kubernetes' `pkg/controlplane/apiserver/aggregator.go` and `apiVersionPriorities` of
/// `cmd/kube-apiserver/app`). The last one is ours: Kubernetes 1.33 has no such group.
const PRIORITIES: [(&str, i64); 20] = [
    ("", 18_000),
    ("apps", 17_800),
    ("events.k8s.io", 17_750),
    ("authentication.k8s.io", 17_700),
    ("authorization.k8s.io", 17_600),
    ("autoscaling", 17_500),
    ("batch", 17_400),
    ("certificates.k8s.io", 17_300),
    ("networking.k8s.io", 17_200),
    ("policy", 17_100),
    ("rbac.authorization.k8s.io", 17_000),
    ("storage.k8s.io", 16_800),
    ("admissionregistration.k8s.io", 16_700),
    ("apiextensions.k8s.io", 16_700),
    ("scheduling.k8s.io", 16_600),
    ("coordination.k8s.io", 16_500),
    ("node.k8s.io", 16_300),
    ("discovery.k8s.io", 16_200),
    ("flowcontrol.apiserver.k8s.io", 16_100),
    ("extensions", 15_000),
];

/// Where a group that this server has is told.
pub fn priority(group: &str) -> i64 {
    match group {
        // Through it all others are told.
        GROUP => 20_000,
        _ => {
            let found = PRIORITIES.iter().find(|(name, _)| *name == group);
            found.map_or(CUSTOM.0, |(_, priority)| *priority)
        }
    }
}

/// The priority of a version of a built-in group, before others that are less preferred:
/// 15 for `v1`, 9 for the last one that is older than that.
fn version_priority(version: &str, others: &[&str]) -> i64 {
    let is_stable = |version: &str| !version.contains("beta") && !version.contains("alpha");
    let stable = is_stable(version);
    let after = others.iter().filter(|it| is_stable(it) == stable).count();
    let after = i64::try_from(after).unwrap_or(0);
    match stable {
        true => 15 + 15 * after,
        false => 9 + after.min(5),
    }
}

/// The APIServices that there should be, by name.
fn wanted(table: &Snapshot) -> BTreeMap<String, Value> {
    let groups = table.groups().into_iter().chain([""]);
    let mut all = BTreeMap::new();
    for group in groups.filter(|group| *group != GROUP) {
        let is_built_in = group.is_empty() || rows::GROUPS.contains(&group);
        let versions = table.versions(group);
        for (place, version) in versions.iter().enumerate() {
            let version_priority = match (group, is_built_in) {
                ("", _) => 1,
                (_, true) => version_priority(version, &versions[place + 1..]),
                (_, false) => CUSTOM.1,
            };
            let name = format!("{version}.{group}");
            let object = json!({
                "apiVersion": format!("{GROUP}/v1"),
                "kind": "APIService",
                "metadata": {
                    "name": name,
                    "labels": {MANAGED: if is_built_in { "onstart" } else { "true" }},
                },
                "spec": {
                    "group": group,
                    "version": version,
                    "groupPriorityMinimum": priority(group),
                    "versionPriority": version_priority,
                },
            });
            all.insert(name, object);
        }
    }
    all
}

/// Brings the APIServices to what the table serves. One that somebody else has made is
/// left alone.
///
/// # Errors
/// The first one of those that could not be written; all others are.
pub async fn reconcile(pipeline: &Pipeline, table: &Snapshot) -> Result<(), Status> {
    let Some(cache) = pipeline.cache.of(GROUP, PLURAL) else {
        return Ok(());
    };
    let wanted = wanted(table);
    let mut outcome = Ok(());
    let (entries, _) = cache.list(None);
    for entry in &entries {
        let is_managed = entry.labels.contains_key(MANAGED);
        let written = match wanted.get(entry.name()) {
            Some(object) if is_managed => update(pipeline, entry.value(), object).await,
            None if is_managed => delete(pipeline, entry.name()).await,
            _ => Ok(()),
        };
        outcome = outcome.and(written);
    }
    for (name, object) in &wanted {
        if cache.get(name).is_none() {
            let request = Request::internal(
                Verb::Create,
                target(pipeline, name)?,
                Body::Value(object.clone()),
            );
            outcome = outcome.and(pipeline.dispatch(&request).await.map(drop));
        }
    }
    for entry in cache.list(None).0 {
        let object = entry.value();
        if !object["spec"]["service"].is_object() {
            outcome = outcome.and(status::write(pipeline, entry.name(), &here()).await);
        }
    }
    outcome
}

/// What is said of a version that this server has itself.
fn here() -> Result<Unavailable, Unavailable> {
    Ok(Unavailable {
        reason: "Local",
        message: "Local APIServices are always available".into(),
    })
}

/// An APIService, as requests name it.
pub fn target(pipeline: &Pipeline, name: &str) -> Result<Target, Status> {
    let resource = pipeline.registry.lookup(GROUP, "v1", PLURAL);
    Ok(Target {
        resource: resource.ok_or_else(Status::no_such_resource)?,
        version: "v1".into(),
        namespace: String::new(),
        name: name.to_owned(),
        subresource: String::new(),
    })
}

async fn update(pipeline: &Pipeline, mut found: Value, wanted: &Value) -> Result<(), Status> {
    let name = wanted["metadata"]["name"].as_str().unwrap_or_default();
    if found["spec"] == wanted["spec"] {
        return Ok(());
    }
    found["spec"] = wanted["spec"].clone();
    let request = Request::internal(Verb::Update, target(pipeline, name)?, Body::Value(found));
    pipeline.dispatch(&request).await.map(drop)
}

async fn delete(pipeline: &Pipeline, name: &str) -> Result<(), Status> {
    let request = Request::internal(Verb::Delete, target(pipeline, name)?, Body::Empty);
    match pipeline.dispatch(&request).await {
        Err(status) if status.is_not_found() => Ok(()),
        outcome => outcome.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardway_resources::Registry;

    #[test]
    fn every_version_has_an_api_service_of_kubernetes_priority() {
        let all = wanted(&Registry::new().snapshot());
        let of = |name: &str| {
            let object = all.get(name).unwrap_or_else(|| panic!("{name}"));
            let spec = &object["spec"];
            (
                spec["groupPriorityMinimum"].as_i64().unwrap(),
                spec["versionPriority"].as_i64().unwrap(),
            )
        };
        assert_eq!(of("v1."), (18_000, 1));
        assert_eq!(of("v1.batch"), (17_400, 15));
        assert_eq!((of("v2.autoscaling").1, of("v1.autoscaling").1), (30, 15));
        assert_eq!((of("v1.apps").1, of("v1beta1.apps").1), (15, 9));
        assert!(!all.contains_key("v1.apiregistration.k8s.io"));
        // The order is the one in which groups are told.
        let told: Vec<i64> = rows::GROUPS.iter().map(|group| priority(group)).collect();
        assert!(told.is_sorted_by(|a, b| a >= b), "{told:?}");
    }
}
