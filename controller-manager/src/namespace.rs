//! Empties namespaces that are being deleted, then lets them go; says in
//! their conditions what holds them up.

use crate::Work;
use crate::context::Context;
use crate::informers::Informers;
use hardway_client::controller::{self, Next};
use hardway_client::informer::Change;
use hardway_client::queue::WorkQueue;
use hardway_client::{Client, Store};
use hardway_proto::api::ResourceInfo;
use hardway_proto::meta::ObjectKey;
use hardway_proto::status::qualified;
use hardway_proto::{Kind, Status};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, NamespaceCondition, NamespaceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// While content remains and nothing tells of its going, look again.
const RECHECK: Duration = Duration::from_secs(5);

struct Controller {
    client: Client,
    namespaces: Store<Namespace>,
}

/// The controller.
pub fn register(informers: &mut Informers, context: &Context) -> Work {
    let queue = WorkQueue::new();
    let controller = Controller {
        client: context.client.clone(),
        namespaces: informers.namespaces.store(),
    };
    let on_namespace = queue.clone();
    informers.namespaces.subscribe(move |change| {
        if change.object().metadata.deletion_timestamp.is_some() {
            on_namespace.add(change.object().name().to_owned());
        }
    });
    let (on_pod, namespaces) = (queue.clone(), informers.namespaces.store());
    informers.pods.subscribe(move |change| {
        if let Change::Deleted(pod) = change {
            let namespace = namespaces.get(&ObjectKey::new("", pod.namespace()));
            if namespace.is_some_and(|n| n.metadata.deletion_timestamp.is_some()) {
                on_pod.add(pod.namespace().to_owned());
            }
        }
    });
    Box::pin(async move {
        controller.namespaces.wait_synced().await;
        controller::run("namespace", queue, 5, |name| controller.reconcile(name)).await;
    })
}

/// What is left of a namespace.
#[derive(Debug, Default, PartialEq)]
struct Remains {
    /// `GROUP/VERSION` of what nobody could be asked about.
    undiscovered: Vec<String>,
    objects: BTreeMap<String, usize>,
    finalizers: BTreeMap<String, usize>,
    failures: Vec<String>,
}

#[derive(Deserialize)]
struct Finalized {
    metadata: Finalizers,
}

#[derive(Deserialize)]
struct Finalizers {
    #[serde(default)]
    finalizers: Vec<String>,
}

/// What is said of groups that can't be asked for (`ErrGroupDiscoveryFailed` of client-go).
fn undiscovered(versions: &[String]) -> String {
    let each = versions.iter();
    let each: Vec<String> = each
        .map(|version| format!("{version}: stale GroupVersion discovery: {version}"))
        .collect();
    format!(
        "Discovery failed for some groups, {} failing: unable to retrieve the complete list of server APIs: {}",
        each.len(),
        each.join(", ")
    )
}

/// The conditions of a namespace that still holds something.
fn conditions(remains: &Remains, now: Timestamp) -> Vec<NamespaceCondition> {
    let condition = |r#type: &str, bad: bool, reasons: (&str, &str), messages: (String, &str)| {
        let (status, reason, message) = if bad {
            ("True", reasons.0, messages.0)
        } else {
            ("False", reasons.1, messages.1.to_owned())
        };
        NamespaceCondition {
            type_: r#type.into(),
            status: status.into(),
            reason: Some(reason.into()),
            message: Some(message),
            last_transition_time: Some(Time(now)),
        }
    };
    let objects: Vec<String> = remains
        .objects
        .iter()
        .map(|(resource, count)| format!("{resource} has {count} resource instances"))
        .collect();
    let finalizers: Vec<String> = remains
        .finalizers
        .iter()
        .map(|(finalizer, count)| format!("{finalizer} in {count} resource instances"))
        .collect();
    vec![
        condition(
            "NamespaceDeletionDiscoveryFailure",
            !remains.undiscovered.is_empty(),
            ("DiscoveryFailed", "ResourcesDiscovered"),
            (
                undiscovered(&remains.undiscovered),
                "All resources successfully discovered",
            ),
        ),
        condition(
            "NamespaceDeletionGroupVersionParsingFailure",
            false,
            ("GroupVersionParsingFailed", "ParsedGroupVersions"),
            (String::new(), "All legacy kube types successfully parsed"),
        ),
        condition(
            "NamespaceDeletionContentFailure",
            !remains.failures.is_empty(),
            ("ContentDeletionFailed", "ContentDeleted"),
            (
                format!(
                    "Failed to delete all resource types, {} remaining: {}",
                    remains.failures.len(),
                    remains.failures.join(", ")
                ),
                "All content successfully deleted, may be waiting on finalization",
            ),
        ),
        condition(
            "NamespaceContentRemaining",
            !objects.is_empty(),
            ("SomeResourcesRemain", "ContentRemoved"),
            (
                format!("Some resources are remaining: {}", objects.join(", ")),
                "All content successfully removed",
            ),
        ),
        condition(
            "NamespaceFinalizersRemaining",
            !finalizers.is_empty(),
            ("SomeFinalizersRemain", "ContentHasNoFinalizers"),
            (
                format!(
                    "Some content in the namespace has finalizers remaining: {}",
                    finalizers.join(", ")
                ),
                "All content-preserving finalizers finished",
            ),
        ),
    ]
}

/// Keeps the transition times of conditions that say what they said before.
fn merged(old: &[NamespaceCondition], mut new: Vec<NamespaceCondition>) -> Vec<NamespaceCondition> {
    for condition in &mut new {
        let known = old.iter().find(|c| c.type_ == condition.type_);
        if let Some(known) = known.filter(|c| c.status == condition.status) {
            condition
                .last_transition_time
                .clone_from(&known.last_transition_time);
        }
    }
    new
}

impl Controller {
    async fn reconcile(&self, name: String) -> Result<Next, Status> {
        let Some(namespace) = self.namespaces.get(&ObjectKey::new("", &name)) else {
            return Ok(Next::Done);
        };
        let holds = |n: &Namespace| {
            let spec: Option<&NamespaceSpec> = n.spec.as_ref();
            spec.and_then(|s| s.finalizers.as_ref())
                .is_some_and(|f| f.iter().any(|f| f == "kubernetes"))
        };
        if namespace.metadata.deletion_timestamp.is_none() || !holds(&namespace) {
            return Ok(Next::Done);
        }
        let remains = self.empty(&name).await?;
        let old = namespace
            .status
            .as_ref()
            .and_then(|s| s.conditions.clone())
            .unwrap_or_default();
        let new = merged(&old, conditions(&remains, Timestamp::now()));
        let mut updated = Namespace::clone(&namespace);
        if new != old {
            updated.status.get_or_insert_default().conditions = Some(new);
            updated = match self.client.all::<Namespace>().update_status(&updated).await {
                Err(status) if status.is_not_found() => return Ok(Next::Done),
                outcome => outcome?,
            };
        }
        // What nobody could be asked about may hold something, too.
        if !remains.objects.is_empty()
            || !remains.failures.is_empty()
            || !remains.undiscovered.is_empty()
        {
            return Ok(Next::After(RECHECK));
        }
        if let Some(spec) = &mut updated.spec {
            let others = spec.finalizers.take().unwrap_or_default();
            let others = others.into_iter().filter(|f| f != "kubernetes").collect();
            spec.finalizers = Some(others);
        }
        let api = self.client.all::<Namespace>();
        match api
            .dynamic()
            .update(&name, "finalize", updated.encode())
            .await
        {
            Err(status) if !status.is_not_found() => Err(status),
            _ => Ok(Next::Done),
        }
    }

    /// Deletes everything in the namespace; tells what is still there.
    async fn empty(&self, namespace: &str) -> Result<Remains, Status> {
        let discovery = self.client.discovery().await?;
        let mut remains = Remains {
            undiscovered: discovery.unavailable,
            ..Remains::default()
        };
        for resource in discovery
            .resources
            .iter()
            .filter(|r| r.namespaced && can(r, "list") && can(r, "delete"))
        {
            let name = qualified(&resource.group, &resource.resource);
            if let Err(status) = self
                .empty_of(namespace, resource, &name, &mut remains)
                .await
            {
                remains.failures.push(format!("{name}: {status}"));
            }
        }
        Ok(remains)
    }

    async fn empty_of(
        &self,
        namespace: &str,
        resource: &ResourceInfo,
        name: &str,
        remains: &mut Remains,
    ) -> Result<(), Status> {
        let api = self.client.resource(resource, namespace);
        let found = api.list("", "").await?.items;
        if found.is_empty() {
            return Ok(());
        }
        if can(resource, "deletecollection") {
            api.delete_collection("", "", &Default::default()).await?;
        } else {
            for object in found {
                match api.delete(&object.name, &Default::default()).await {
                    Err(status) if !status.is_not_found() => return Err(status),
                    _ => {}
                }
            }
        }
        for object in api.list("", "").await?.items {
            *remains.objects.entry(format!("{name}.")).or_default() += 1;
            let parsed: Option<Finalized> = serde_json::from_slice(&object.json).ok();
            for finalizer in parsed.into_iter().flat_map(|p| p.metadata.finalizers) {
                *remains.finalizers.entry(finalizer).or_default() += 1;
            }
        }
        Ok(())
    }
}

fn can(resource: &ResourceInfo, verb: &str) -> bool {
    resource.verbs.iter().any(|known| known == verb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_can_not_be_asked_is_named() {
        let remains = Remains {
            undiscovered: vec!["things.example.com/v1".into()],
            ..Default::default()
        };
        let list = conditions(&remains, Timestamp::now());
        assert_eq!(list[0].type_, "NamespaceDeletionDiscoveryFailure");
        assert_eq!(
            (list[0].status.as_str(), list[0].reason.as_deref()),
            ("True", Some("DiscoveryFailed"))
        );
        assert_eq!(
            list[0].message.as_deref(),
            Some(
                "Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs: things.example.com/v1: stale GroupVersion discovery: things.example.com/v1"
            )
        );
    }

    #[test]
    fn conditions_say_what_remains() {
        let remains = Remains {
            objects: BTreeMap::from([("pods.".into(), 2)]),
            ..Default::default()
        };
        let list = conditions(&remains, Timestamp::now());
        let remaining = list
            .iter()
            .find(|c| c.type_ == "NamespaceContentRemaining")
            .unwrap();
        assert_eq!(remaining.status, "True");
        assert_eq!(
            remaining.message.as_deref(),
            Some("Some resources are remaining: pods. has 2 resource instances")
        );
        let earlier = conditions(&Remains::default(), Timestamp::UNIX_EPOCH);
        let later = merged(&earlier, conditions(&Remains::default(), Timestamp::now()));
        assert_eq!(earlier, later);
    }
}
