//! Which objects may be the reason why one is not well.

use hardway_proto::labels::Selector;
use hardway_proto::references::claim;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::object::{Json, Object};

/// The annotation by which a Deployment counts the revisions of its ReplicaSets.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// The objects directly below one. Those of a pod are below it only while it is not well:
/// whose pod runs is not harmed by its node's troubles.
pub(crate) fn below<'a>(cluster: &Cluster<'a>, object: &Object<'a>) -> Vec<Object<'a>> {
    let namespace = object.namespace();
    match object.kind {
        "Deployment" => current_replica_sets(cluster, object),
        "ReplicaSet" | "ReplicationController" | "StatefulSet" | "DaemonSet" | "Job" => {
            cluster.owned(object, "Pod")
        }
        "CronJob" => cluster.owned(object, "Job"),
        "Service" => service_pods(cluster, object),
        "PodDisruptionBudget" => {
            let selector = object
                .value
                .pointer("/spec/selector")
                .unwrap_or(&Value::Null);
            let selector = Selector::from_json(selector).unwrap_or_else(|_| Selector::nothing());
            cluster.selected(namespace, &selector)
        }
        "Ingress" => backends(object)
            .iter()
            .filter_map(|name| cluster.get("Service", namespace, name))
            .collect(),
        "HorizontalPodAutoscaler" => {
            let target = object.value.pointer("/spec/scaleTargetRef");
            let kind = target.and_then(|it| it.text("/kind"));
            let name = target.and_then(|it| it.text("/name"));
            let metrics = cluster.get("APIService", "", "v1beta1.metrics.k8s.io");
            let target = kind.zip(name);
            let target = target.and_then(|(kind, name)| cluster.get(kind, namespace, name));
            target.into_iter().chain(metrics).collect()
        }
        "Pod" if is_well(object) => Vec::new(),
        "Pod" => {
            let claims = object.value.list("/spec/volumes").iter();
            let claims = claims.filter_map(|volume| claim(object.value, volume));
            let claims = claims
                .filter_map(|name| cluster.get("PersistentVolumeClaim", namespace, &name))
                .filter(|claim| !waits_for_consumer(cluster, claim));
            let node = object.value.text("/spec/nodeName");
            let node = node.and_then(|name| cluster.get("Node", "", name));
            claims.chain(node).collect()
        }
        "PersistentVolumeClaim" if waits_for_consumer(cluster, object) => {
            let pods = cluster.within("Pod", namespace).iter();
            let uses = |pod: &&Object<'a>| {
                let volumes = pod.value.list("/spec/volumes").iter();
                let mut claims = volumes.filter_map(|volume| claim(pod.value, volume));
                claims.any(|name| name == object.name())
            };
            pods.filter(uses).copied().collect()
        }
        "Namespace" if object.deleted().is_some() => {
            let held = |it: &Object<'_>| {
                let finalizers = it.value.list("/metadata/finalizers");
                it.deleted().is_some() && !finalizers.is_empty()
            };
            let inside = cluster
                .objects()
                .filter(|it| it.namespace() == object.name());
            let apis = cluster.all("APIService").iter().copied();
            inside.filter(held).chain(apis).collect()
        }
        "APIService" => {
            let service = object.value.pointer("/spec/service");
            let service = service.and_then(|it| Some((it.text("/namespace")?, it.text("/name")?)));
            let service = service.and_then(|(ns, name)| cluster.get("Service", ns, name));
            service.into_iter().collect()
        }
        "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" => {
            let hooks = object.value.list("/webhooks").iter();
            let service = |hook: &Value| {
                let at = hook.pointer("/clientConfig/service")?;
                cluster.get("Service", at.text("/namespace")?, at.text("/name")?)
            };
            hooks.filter_map(service).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether a pod does what it is there for: it is ready, or has ended well.
pub(crate) fn is_well(pod: &Object<'_>) -> bool {
    let ready = pod.condition("Ready").is_some_and(|it| it.status == "True");
    ready || pod.value.text("/status/phase") == Some("Succeeded")
}

/// Whether a claim is bound only once a pod that uses it is scheduled.
pub(crate) fn waits_for_consumer(cluster: &Cluster<'_>, claim: &Object<'_>) -> bool {
    let class = claim.value.text("/spec/storageClassName");
    let class = class.and_then(|name| cluster.get("StorageClass", "", name));
    claim.value.text("/status/phase") == Some("Pending")
        && class
            .is_some_and(|it| it.value.text("/volumeBindingMode") == Some("WaitForFirstConsumer"))
}

/// A Deployment's newest ReplicaSet, and older ones that still want pods.
pub(crate) fn current_replica_sets<'a>(
    cluster: &Cluster<'a>,
    deployment: &Object<'_>,
) -> Vec<Object<'a>> {
    let revision = |set: &Object<'_>| set.annotation(REVISION)?.parse::<u64>().ok();
    let mut sets = cluster.owned(deployment, "ReplicaSet");
    sets.sort_by_key(|set| std::cmp::Reverse(revision(set)));
    let wants = |set: &Object<'_>| set.value.number("/spec/replicas").unwrap_or(1) > 0;
    let mut position = 0;
    sets.retain(|set| {
        position += 1;
        position == 1 || wants(set)
    });
    sets
}

/// The pods that a Service's selector selects; without a selector none.
pub(crate) fn service_pods<'a>(cluster: &Cluster<'a>, service: &Object<'_>) -> Vec<Object<'a>> {
    let selector = service.value.map("/spec/selector");
    if selector.is_empty() {
        return Vec::new();
    }
    let selector = selector.into_iter();
    let selector = selector.map(|(key, value)| (key.to_owned(), value.to_owned()));
    cluster.selected(
        service.namespace(),
        &Selector::from_map(&selector.collect()),
    )
}

/// The names of the Services that an Ingress sends requests to, each once.
pub(crate) fn backends<'a>(ingress: &Object<'a>) -> Vec<&'a str> {
    let rules = ingress.value.list("/spec/rules").iter();
    let paths = rules.flat_map(|rule| rule.list("/http/paths"));
    let named = paths.filter_map(|path| path.text("/backend/service/name"));
    let default = ingress.value.text("/spec/defaultBackend/service/name");
    let mut names: Vec<&str> = named.chain(default).collect();
    names.sort_unstable();
    names.dedup();
    names
}
