//! Objects that are being deleted and do not go: who holds them by a finalizer.

use crate::causes::{ANY, Cause};
use crate::cluster::Cluster;
use crate::diagnosis::Evidence;
use crate::finding::Finding;
use crate::object::{Json, Object};
use crate::words::{few, one_line, span};
use hardway_proto::references::claim;

pub(super) const CAUSE: Cause = Cause {
    name: "deleting",
    about: "an object, or a whole namespace, that is being deleted and does not go",
    kinds: &[ANY, "Namespace"],
    reads: &["Pod", "PersistentVolumeClaim", "APIService"],
    find,
};

/// Controllers take their finalizers off within seconds.
const PATIENCE: i64 = 10;
/// A namespace has pods in it that take their time to end.
const PATIENCE_WITH_NAMESPACES: i64 = 30;

/// Finalizers of Kubernetes' own: what they wait for.
const KNOWN: &[(&str, &str)] = &[
    (
        "foregroundDeletion",
        "the garbage collector, until its dependents are deleted",
    ),
    (
        "orphan",
        "the garbage collector, until its dependents have lost it as their owner",
    ),
    (
        "kubernetes.io/pvc-protection",
        "the controller manager, until no pod uses the claim",
    ),
    (
        "kubernetes.io/pv-protection",
        "the controller manager, until no claim is bound to the volume",
    ),
    (
        "external-provisioner.volume.kubernetes.io/finalizer",
        "the volume's CSI provisioner, until it has deleted the storage",
    ),
    (
        "kubernetes.io/pv-controller",
        "the controller manager, until the storage is deleted",
    ),
    (
        "service.kubernetes.io/load-balancer-cleanup",
        "the cloud's controller, until the load balancer is gone",
    ),
    (
        "batch.kubernetes.io/job-tracking",
        "the job controller, until it has counted the pod",
    ),
    (
        "customresourcecleanup.apiextensions.k8s.io",
        "the API server, until all objects of the definition are deleted",
    ),
];

fn find<'a>(cluster: &Cluster<'a>, object: &Object<'a>) -> Vec<Finding> {
    let Some(deleted) = object.deleted() else {
        return Vec::new();
    };
    let age = cluster.seconds_since(deleted);
    let patience = match object.kind {
        "Namespace" => PATIENCE_WITH_NAMESPACES,
        _ => PATIENCE,
    };
    if age < patience {
        return Vec::new();
    }
    let found = match object.kind {
        "Namespace" => namespace(cluster, object),
        _ => held(cluster, object).or_else(|| pod_stays(cluster, object, age)),
    };
    found
        .map(|it| it.since(Some(deleted)))
        .into_iter()
        .collect()
}

fn finalizers<'a>(object: &Object<'a>) -> Vec<&'a str> {
    let list = object.value.list("/metadata/finalizers").iter();
    list.filter_map(|it| it.as_str()).collect()
}

/// Whose a finalizer is: who is known to take it off, or its domain, and who wrote it.
fn whose(object: &Object<'_>, finalizer: &str) -> String {
    if let Some((_, waits)) = KNOWN.iter().find(|(name, _)| *name == finalizer) {
        return (*waits).to_owned();
    }
    let marker = format!("v:\"{finalizer}\"");
    let writers = object.value.list("/metadata/managedFields").iter();
    let mut writers = writers.filter(|it| {
        let fields = it.pointer("/fieldsV1/f:metadata/f:finalizers");
        fields.is_some_and(|it| it.get(&marker).is_some())
    });
    let writer = writers.find_map(|it| it.text("/manager"));
    let domain = finalizer.split_once('/').map(|(domain, _)| domain);
    match (writer, domain) {
        (Some(writer), Some(domain)) => {
            format!("whoever serves {domain}; {writer} has put it there")
        }
        (Some(writer), None) => format!("{writer}, which has put it there"),
        (None, Some(domain)) => format!("whoever serves {domain}"),
        (None, None) => "nobody known".to_owned(),
    }
}

fn held<'a>(cluster: &Cluster<'a>, object: &Object<'a>) -> Option<Finding> {
    let finalizers = finalizers(object);
    let first = finalizers.first()?;
    let evidence = finalizers.iter().map(|it| {
        object.field(
            "/metadata/finalizers",
            format!("{it}: to be taken off by {}", whose(object, it)),
        )
    });
    let finding = Finding::error(format!(
        "is being deleted, and held by the finalizer {}",
        few(&finalizers, 2)
    ))
    .key(*first)
    .says(evidence);
    let users = match *first {
        "kubernetes.io/pvc-protection" => users(cluster, object),
        _ => Vec::new(),
    };
    let uses = format!("uses pvc/{}", object.name());
    let uses = users
        .iter()
        .map(|pod| pod.field("/spec/volumes", uses.as_str()));
    let finding = finding.says(uses).says(bound_to(object, first));
    let finding = users.iter().take(3).fold(finding, |finding, pod| {
        finding.run(
            format!("end {}, if the claim's data may go", again(cluster, pod)),
            pod.kubectl("delete"),
        )
    });
    Some(match take_off(object) {
        Some(command) => finding
            .advise("see that the controller that takes it off runs")
            .run(
                "if that controller is gone for good, take the finalizer off: what it would have cleaned up stays",
                command,
            ),
        None => finding.advise("leave the finalizer to who takes it off: without it what it protects is lost, or is never cleaned up"),
    })
}

/// The command that takes all finalizers off. None if one is Kubernetes' own: these protect
/// what is in use, and somebody who takes them off is there.
fn take_off(object: &Object<'_>) -> Option<String> {
    let is_known = |finalizer: &str| KNOWN.iter().any(|(name, _)| *name == finalizer);
    if finalizers(object).into_iter().any(is_known) {
        return None;
    }
    Some(format!(
        "{} --type=merge -p '{{\"metadata\":{{\"finalizers\":null}}}}'",
        object.kubectl("patch")
    ))
}

/// The pods that keep a claim, as its protection counts them: those that have a node, also
/// ended ones (`pkg/controller/volume/pvcprotection/pvc_protection_controller.go`).
fn users<'a>(cluster: &Cluster<'a>, object: &Object<'a>) -> Vec<Object<'a>> {
    let pods = cluster.within("Pod", object.namespace()).iter();
    let uses = |pod: &&Object<'a>| {
        let volumes = pod.value.list("/spec/volumes").iter();
        let mut claims = volumes.filter_map(|volume| claim(pod.value, volume));
        pod.value.text("/spec/nodeName").is_some() && claims.any(|name| name == object.name())
    };
    pods.filter(uses).copied().collect()
}

/// A pod, and who would make it again.
fn again(cluster: &Cluster<'_>, pod: &Object<'_>) -> String {
    let own = pod.subject();
    let head = cluster.find(&own).map(|it| cluster.head(it).subject());
    match head.filter(|it| *it != own) {
        Some(head) => format!("{own} ({head} makes another)"),
        None => own.to_string(),
    }
}

/// The claim that a volume is protected for.
fn bound_to(object: &Object<'_>, finalizer: &str) -> Option<Evidence> {
    let protected = finalizer == "kubernetes.io/pv-protection";
    let claim = object
        .value
        .text("/spec/claimRef/name")
        .filter(|_| protected);
    claim.map(|name| object.field("/spec/claimRef", format!("bound to pvc/{name}")))
}

/// A pod without finalizers goes when its kubelet says that nothing of it runs any more.
fn pod_stays<'a>(cluster: &Cluster<'a>, pod: &Object<'a>, age: i64) -> Option<Finding> {
    if pod.kind != "Pod" {
        return None;
    }
    let node = pod.value.text("/spec/nodeName")?;
    let summary = format!(
        "should have ended {} ago, and its node {node} has not said that it has",
        span(age)
    );
    let finding = Finding::error(summary)
        .symptom()
        .says([pod.field("/metadata/deletionTimestamp", "the time to end politely is over")])
        .says(cluster.event(pod, &["FailedKillPod", "FailedPreStopHook"]).map(|it| it.evidence()))
        .run("see how the node is", format!("kubectl describe node {node}"))
        .run(
            "if the node is gone for good, take the pod out of the API; what still runs there goes on unseen",
            format!("kubectl delete pod {}{} --grace-period=0 --force", pod.name(), pod.flag()),
        );
    Some(finding)
}

/// Conditions that the namespace controller writes when deleting does not get on, as
/// `pkg/controller/namespace/deletion/status_condition_utils.go` has them.
const STUCK: &[&str] = &[
    "NamespaceDeletionDiscoveryFailure",
    "NamespaceDeletionGroupVersionParsingFailure",
    "NamespaceDeletionContentFailure",
    "NamespaceFinalizersRemaining",
    "NamespaceContentRemaining",
];

fn namespace<'a>(cluster: &Cluster<'a>, namespace: &Object<'a>) -> Option<Finding> {
    let name = namespace.name();
    let bad = STUCK.iter().filter_map(|kind| namespace.condition(kind));
    let bad: Vec<_> = bad.filter(|it| it.status == "True").collect();
    let left: Vec<_> = cluster
        .objects()
        .filter(|it| it.namespace() == name && it.kind != "Lease")
        .filter(|it| it.deleted().is_some() && !finalizers(it).is_empty())
        .collect();
    let names: Vec<String> = left.iter().map(|it| it.subject().to_string()).collect();
    let holders: Vec<_> = left
        .iter()
        .flat_map(|it| {
            let said = |name: &str| format!("{name}: to be taken off by {}", whose(it, name));
            let all = finalizers(it).into_iter();
            all.map(move |name| it.field("/metadata/finalizers", said(name)))
                .collect::<Vec<_>>()
        })
        .take(10)
        .collect();
    let summary = match (bad.first(), names.is_empty()) {
        (_, false) => format!("is terminating: {} held by finalizers", few(&names, 3)),
        (Some(condition), true) => format!("is terminating: {}", one_line(condition.message)),
        (None, true) => "is terminating, and nothing tells why it takes so long".to_owned(),
    };
    let finding = Finding::error(summary)
        .symptom()
        .says(bad.iter().map(|it| namespace.told_by(it)))
        .says(holders);
    let discovery = bad.first().is_some_and(|it| it.kind == STUCK[0]);
    let mut finding = match discovery {
        true => finding.run(
            "an aggregated API does not answer, and may have objects here: mend it, or delete its APIService",
            "kubectl get apiservices",
        ),
        false => finding,
    };
    for object in left.iter().take(3) {
        let subject = object.subject();
        finding = match take_off(object) {
            Some(command) => finding.run(
                format!("let {subject} go: see that the finalizer's controller runs, or, if it is gone for good, take it off"),
                command,
            ),
            None => finding.run(
                format!("see what {subject} waits for"),
                format!("hardway why {subject} -n {name}"),
            ),
        };
    }
    if left.is_empty() && !discovery {
        finding = finding.run(
            "see what is left in it",
            format!("kubectl api-resources --verbs=list --namespaced -o name | xargs -n1 kubectl get --ignore-not-found --show-kind -n {name}"),
        );
    }
    Some(finding)
}

#[cfg(test)]
mod tests {
    use crate::fixtures::{NOW, ask, found, one, says};
    use serde_json::json;

    #[test]
    fn a_namespace_tells_which_object_and_whose_finalizer() {
        let namespace = json!({"metadata": {"name": "gone", "deletionTimestamp": "2025-01-01T00:00:00Z"},
            "status": {"phase": "Terminating", "conditions": [
                {"type": "NamespaceDeletionDiscoveryFailure", "status": "False", "reason": "ResourcesDiscovered",
                 "message": "All resources successfully discovered"},
                {"type": "NamespaceContentRemaining", "status": "True", "reason": "SomeResourcesRemain",
                 "message": "Some resources are remaining: configmaps. has 1 resource instances"},
                {"type": "NamespaceFinalizersRemaining", "status": "True", "reason": "SomeFinalizersRemain",
                 "message": "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"}]}});
        let held = json!({"metadata": {"name": "kept", "namespace": "gone",
            "deletionTimestamp": "2025-01-01T00:00:00Z", "finalizers": ["example.com/hold"],
            "managedFields": [{"manager": "widget-operator", "fieldsV1": {"f:metadata":
                {"f:finalizers": {".": {}, "v:\"example.com/hold\"": {}}}}}]}});
        let objects = [("Namespace", namespace), ("ConfigMap", held)];
        let told = ask(&objects, "Namespace", "gone");
        assert_eq!(
            told.summary,
            "configmap/kept: is being deleted, and held by the finalizer example.com/hold"
        );
        let told = one(&objects);
        assert_eq!(told.affected[0].to_string(), "namespace/gone");
        says(
            &told,
            "whoever serves example.com; widget-operator has put it there",
        );
        let told = &ask(&objects, "Namespace", "gone").causes[0];
        says(
            told,
            "Some content in the namespace has finalizers remaining",
        );
    }

    #[test]
    fn an_aggregated_api_that_is_away_holds_a_namespace() {
        let namespace = json!({"metadata": {"name": "gone", "deletionTimestamp": "2025-01-01T00:00:00Z"},
            "status": {"conditions": [{"type": "NamespaceDeletionDiscoveryFailure", "status": "True",
                "reason": "DiscoveryFailed", "message": "Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs: metrics.k8s.io/v1beta1: stale GroupVersion discovery: metrics.k8s.io/v1beta1"}]}});
        let told = one(&[("Namespace", namespace)]);
        assert!(
            told.summary.contains("Discovery failed for some groups"),
            "{}",
            told.summary
        );
        assert_eq!(
            told.remedies[0].command.as_deref(),
            Some("kubectl get apiservices")
        );
    }

    #[test]
    fn only_finalizers_that_nobody_of_kubernetes_takes_off_are_offered_to_be_taken_off() {
        let commands = |finalizers: &[&str]| {
            let namespace =
                json!({"metadata": {"name": "gone", "deletionTimestamp": "2025-01-01T00:00:00Z"}});
            let held = json!({"metadata": {"name": "data", "namespace": "gone",
                "deletionTimestamp": "2025-01-01T00:00:00Z", "finalizers": finalizers}});
            let objects = [("Namespace", namespace), ("PersistentVolumeClaim", held)];
            let told = ask(&objects, "Namespace", "gone").causes;
            let remedies = told.into_iter().flat_map(|it| it.remedies);
            remedies.filter_map(|it| it.command).collect::<Vec<_>>()
        };
        let patch = "kubectl patch persistentvolumeclaim data -n gone --type=merge -p '{\"metadata\":{\"finalizers\":null}}'";
        assert!(commands(&["example.com/hold"]).iter().all(|it| it == patch));
        assert!(!commands(&["example.com/hold"]).is_empty());
        for known in [
            &["kubernetes.io/pvc-protection"][..],
            &["example.com/hold", "kubernetes.io/pvc-protection"],
            &["batch.kubernetes.io/job-tracking"],
        ] {
            let commands = commands(known);
            assert!(
                !commands.iter().any(|it| it.contains("patch")),
                "{commands:?}"
            );
        }
    }

    #[test]
    fn a_claim_is_held_by_the_pod_that_uses_it() {
        let claim = |deleted: &str| {
            json!({"metadata": {"name": "data", "namespace": "default",
            "deletionTimestamp": deleted, "finalizers": ["kubernetes.io/pvc-protection"]},
            "status": {"phase": "Bound"}})
        };
        let pod = json!({"metadata": {"name": "db", "namespace": "default"}, "spec": {"nodeName": "a", "volumes": [
            {"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        let told = one(&[
            ("PersistentVolumeClaim", claim("2025-01-01T00:00:00Z")),
            ("Pod", pod.clone()),
        ]);
        says(&told, "until no pod uses the claim");
        says(&told, "uses pvc/data");
        let commands: Vec<_> = told
            .remedies
            .iter()
            .filter_map(|it| it.command.as_deref())
            .collect();
        assert_eq!(commands, ["kubectl delete pod db -n default"]);
        assert_eq!(
            found(&[("PersistentVolumeClaim", claim(NOW)), ("Pod", pod)]),
            []
        );
    }
}
