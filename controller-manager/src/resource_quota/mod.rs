//! Shows in the status of ResourceQuotas what their namespaces use of them. Nothing is
//! refused by it: the apiserver sums up what is stored for that.

mod counts;

use crate::Work;
use crate::context::Context;
use crate::informers::Informers;
use counts::{Counts, UNKNOWN};
use hardway_client::controller::{self, Next};
use hardway_client::informer::Change;
use hardway_client::queue::WorkQueue;
use hardway_client::{Client, Informer, Store};
use hardway_proto::meta::ObjectKey;
use hardway_proto::quota::{Amounts, counted_by, given_up_at, matches_scopes, usage};
use hardway_proto::{Kind, Status};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerStatus, PersistentVolumeClaim, Pod, ResourceQuota, ResourceQuotaStatus, Service,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

struct Controller {
    client: Client,
    quotas: Store<ResourceQuota>,
    pods: Store<Pod>,
    services: Store<Service>,
    claims: Store<PersistentVolumeClaim>,
    counts: Arc<Counts>,
}

/// The controller.
pub fn register(informers: &mut Informers, context: &Context) -> Work {
    let queue = WorkQueue::new();
    let quotas = informers.quotas.store();
    let on_count = {
        let (quotas, queue) = (quotas.clone(), queue.clone());
        move |namespace: &str| add_all(&quotas, &queue, namespace)
    };
    let counts = Arc::new(Counts::new(context.client.clone(), Arc::new(on_count)));
    let (of_quotas, on_quota, watches) = (quotas.clone(), queue.clone(), counts.clone());
    informers.quotas.subscribe(move |change| {
        if stops_counting(change) {
            watches.keep(&needed(&of_quotas));
        }
        add_all(&of_quotas, &on_quota, change.object().namespace());
    });
    let (of_pods, on_pod) = (quotas.clone(), queue.clone());
    informers.pods.subscribe(move |change| {
        // Each pod is counted anew: not for every word of its status.
        if !is_same_use(change) {
            add_all(&of_pods, &on_pod, change.object().namespace());
        }
    });
    look_again(&mut informers.services, &quotas, &queue);
    look_again(&mut informers.claims, &quotas, &queue);
    let controller = Controller {
        client: context.client.clone(),
        quotas,
        pods: informers.pods.store(),
        services: informers.services.store(),
        claims: informers.claims.store(),
        counts,
    };
    Box::pin(async move {
        controller.quotas.wait_synced().await;
        controller.pods.wait_synced().await;
        controller.services.wait_synced().await;
        controller.claims.wait_synced().await;
        controller::run("resourcequota", queue, 4, |key| controller.reconcile(key)).await;
    })
}

/// Whatever changes in a namespace may change what its quotas show.
fn look_again<K: Kind>(
    informer: &mut Informer<K>,
    quotas: &Store<ResourceQuota>,
    queue: &WorkQueue<ObjectKey>,
) {
    let (quotas, queue) = (quotas.clone(), queue.clone());
    informer.subscribe(move |change| add_all(&quotas, &queue, change.object().namespace()));
}

/// Whether a pod changed in nothing that quotas count.
fn is_same_use(change: &Change<Pod>) -> bool {
    let Change::Applied {
        old: Some(old),
        new,
    } = change
    else {
        return false;
    };
    old.spec == new.spec
        && counted_of_status(old) == counted_of_status(new)
        && old.metadata.deletion_timestamp == new.metadata.deletion_timestamp
}

/// What of a pod's status says how much it counts with: whether it has ended, and what it has
/// while it is being resized.
fn counted_of_status(pod: &Pod) -> Option<impl PartialEq> {
    let status = pod.status.as_ref()?;
    let held = |statuses: &Option<Vec<ContainerStatus>>| -> Vec<_> {
        let statuses = statuses.iter().flatten();
        let held = |s: &ContainerStatus| {
            (
                s.name.clone(),
                s.resources.clone(),
                s.allocated_resources.clone(),
            )
        };
        statuses.map(held).collect()
    };
    let mut conditions = status.conditions.iter().flatten();
    let pending = conditions.find(|condition| condition.type_ == "PodResizePending");
    Some((
        status.phase.clone(),
        held(&status.container_statuses),
        held(&status.init_container_statuses),
        pending.and_then(|condition| condition.reason.clone()),
    ))
}

fn add_all(quotas: &Store<ResourceQuota>, queue: &WorkQueue<ObjectKey>, namespace: &str) {
    for quota in quotas.in_namespace(namespace) {
        queue.add(ObjectKey::of(quota.as_ref()));
    }
}

impl Controller {
    async fn reconcile(&self, key: ObjectKey) -> Result<Next, Status> {
        let Some(quota) = self.quotas.get(&key) else {
            // Again: the look before this one may have begun to watch something since.
            self.counts.keep(&needed(&self.quotas));
            return Ok(Next::Done);
        };
        let (used, next) = self.used(&quota).await?;
        let hard = quota.spec.as_ref().and_then(|spec| spec.hard.clone());
        let status = ResourceQuotaStatus {
            hard: Some(hard.unwrap_or_default()),
            used: Some(used),
        };
        if quota.status.as_ref() == Some(&status) {
            return Ok(next);
        }
        let mut shown = ResourceQuota::clone(&quota);
        shown.status = Some(status);
        let api = self.client.namespaced::<ResourceQuota>(quota.namespace());
        match api.update_status(&shown).await {
            // Its event brings us back.
            Err(status) if status.is_conflict() || status.is_not_found() => Ok(next),
            outcome => outcome.map(|_| next),
        }
    }

    /// What is used of each thing that a quota limits, and when to look again though nothing
    /// changes. What no resource is there for is left out, as Kubernetes does.
    async fn used(
        &self,
        quota: &ResourceQuota,
    ) -> Result<(BTreeMap<String, Quantity>, Next), Status> {
        let scoped = value(quota)?;
        let now = Timestamp::now();
        let mut next = Next::Done;
        let mut used = BTreeMap::new();
        for (group, resource) in counted(quota) {
            let Some(objects) = self.objects(group, resource, quota.namespace()).await? else {
                next = earlier(next, UNKNOWN);
                continue;
            };
            let mut sum = Amounts::new();
            for object in objects {
                if matches_scopes(&scoped, resource, &object) {
                    if let Some(left) = time_left(&object, now) {
                        next = earlier(next, left);
                    }
                    for (what, amount) in usage(group, resource, &object, now) {
                        *sum.entry(what).or_default() += amount;
                    }
                }
            }
            let limited = names(quota).filter(|what| counted_by(what) == (group, resource));
            used.extend(limited.map(|what| {
                let amount = sum.get(what).copied().unwrap_or_default();
                (what.clone(), Quantity(amount.to_string()))
            }));
        }
        Ok((used, next))
    }

    /// The objects of a resource in a namespace, as far as usage depends on them; `None` if
    /// there is no such resource.
    async fn objects(
        &self,
        group: &str,
        resource: &str,
        namespace: &str,
    ) -> Result<Option<Vec<Value>>, Status> {
        fn all<K: Kind + serde::Serialize>(
            store: &Store<K>,
            namespace: &str,
        ) -> Result<Option<Vec<Value>>, Status> {
            let objects = store.in_namespace(namespace);
            let values = objects.iter().map(|object| value(object.as_ref()));
            values.collect::<Result<Vec<_>, _>>().map(Some)
        }
        match (group, resource) {
            ("", "pods") => all(&self.pods, namespace),
            ("", "services") => all(&self.services, namespace),
            ("", "persistentvolumeclaims") => all(&self.claims, namespace),
            ("", "resourcequotas") => all(&self.quotas, namespace),
            // Of all others it only matters how many there are.
            _ => {
                let count = self.counts.in_namespace(group, resource, namespace).await?;
                Ok(count.map(|count| vec![Value::Null; count]))
            }
        }
    }
}

/// Whether a quota may have been the last to need something counted.
fn stops_counting(change: &Change<ResourceQuota>) -> bool {
    match change {
        Change::Applied { old, new } => old.as_ref().is_some_and(|old| old.spec != new.spec),
        Change::Deleted(_) => true,
    }
}

/// What any quota needs counted.
fn needed(quotas: &Store<ResourceQuota>) -> BTreeSet<(String, String)> {
    let quotas = quotas.list();
    let all = quotas.iter().flat_map(|quota| counted(quota));
    all.map(|(group, resource)| (group.to_owned(), resource.to_owned()))
        .collect()
}

/// How long until a pod that doesn't end is given up.
fn time_left(object: &Value, now: Timestamp) -> Option<Duration> {
    let left = given_up_at(object)?.duration_since(now);
    // It is given up after that second.
    (!left.is_negative()).then(|| left.unsigned_abs() + Duration::from_secs(1))
}

fn earlier(next: Next, pause: Duration) -> Next {
    match next {
        Next::Done => Next::After(pause),
        Next::After(other) => Next::After(other.min(pause)),
    }
}

/// What a quota limits.
fn names(quota: &ResourceQuota) -> impl Iterator<Item = &String> {
    let hard = quota.spec.as_ref().and_then(|spec| spec.hard.as_ref());
    hard.into_iter().flat_map(BTreeMap::keys)
}

/// The resources whose objects use what a quota limits.
fn counted(quota: &ResourceQuota) -> BTreeSet<(&str, &str)> {
    names(quota).map(|what| counted_by(what)).collect()
}

fn value(object: &impl serde::Serialize) -> Result<Value, Status> {
    serde_json::to_value(object).map_err(Status::internal)
}

#[cfg(test)]
mod tests;
