//! Which resources there are to read, and which an answer about a kind needs.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use crate::causes::CAUSES;

type Text = Cow<'static, str>;

/// A resource of the API. Shown as kubectl names it: `pods`, `deployments.apps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Empty for the core group.
    pub group: Text,
    /// Versions whose objects are read alike, the best first; the first that is served is taken.
    pub versions: Cow<'static, [Text]>,
    /// The name in paths.
    pub plural: Text,
    /// The kind of its objects.
    pub kind: Text,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
    /// Kinds whose objects may be the reason why one of this is not well.
    pub(crate) leads_to: &'static [&'static str],
}

impl Resource {
    /// A resource that the table does not have, such as a custom one.
    pub fn other(group: &str, version: &str, plural: &str, kind: &str, namespaced: bool) -> Self {
        Self {
            group: Cow::Owned(group.to_owned()),
            versions: Cow::Owned(vec![Cow::Owned(version.to_owned())]),
            plural: Cow::Owned(plural.to_owned()),
            kind: Cow::Owned(kind.to_owned()),
            namespaced,
            leads_to: &[],
        }
    }

    /// The path of its list: of one namespace, or of all.
    pub fn path(&self, version: &str, namespace: Option<&str>) -> String {
        let base = match &*self.group {
            "" => format!("/api/{version}"),
            group => format!("/apis/{group}/{version}"),
        };
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => format!("{base}/namespaces/{namespace}/{}", self.plural),
            None => format!("{base}/{}", self.plural),
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.group {
            "" => f.write_str(&self.plural),
            group => write!(f, "{}.{group}", self.plural),
        }
    }
}

const V1: &[Text] = &[Cow::Borrowed("v1")];
const V1_BETA1: &[Text] = &[Cow::Borrowed("v1"), Cow::Borrowed("v1beta1")];
/// The second version of autoscaling, and its last beta, which Kubernetes 1.20 to 1.22 serve.
const V2: &[Text] = &[Cow::Borrowed("v2"), Cow::Borrowed("v2beta2")];

const fn row(
    group: &'static str,
    versions: &'static [Text],
    plural: &'static str,
    kind: &'static str,
    namespaced: bool,
    leads_to: &'static [&'static str],
) -> Resource {
    Resource {
        group: Cow::Borrowed(group),
        versions: Cow::Borrowed(versions),
        plural: Cow::Borrowed(plural),
        kind: Cow::Borrowed(kind),
        namespaced,
        leads_to,
    }
}

/// Every resource that a cause reads.
static RESOURCES: &[Resource] = &[
    row(
        "",
        V1,
        "pods",
        "Pod",
        true,
        &["PersistentVolumeClaim", "Node"],
    ),
    row("", V1, "nodes", "Node", false, &[]),
    row("", V1, "events", "Event", true, &[]),
    row("", V1, "services", "Service", true, &["Pod"]),
    row("", V1, "namespaces", "Namespace", false, &["APIService"]),
    row("", V1, "configmaps", "ConfigMap", true, &[]),
    row("", V1, "secrets", "Secret", true, &[]),
    row("", V1, "serviceaccounts", "ServiceAccount", true, &[]),
    row(
        "",
        V1,
        "persistentvolumeclaims",
        "PersistentVolumeClaim",
        true,
        &["Pod"],
    ),
    row("", V1, "persistentvolumes", "PersistentVolume", false, &[]),
    row("", V1, "resourcequotas", "ResourceQuota", true, &[]),
    row(
        "",
        V1,
        "replicationcontrollers",
        "ReplicationController",
        true,
        &["Pod"],
    ),
    row(
        "apps",
        V1,
        "deployments",
        "Deployment",
        true,
        &["ReplicaSet"],
    ),
    row("apps", V1, "replicasets", "ReplicaSet", true, &["Pod"]),
    row("apps", V1, "statefulsets", "StatefulSet", true, &["Pod"]),
    row("apps", V1, "daemonsets", "DaemonSet", true, &["Pod"]),
    row("batch", V1_BETA1, "cronjobs", "CronJob", true, &["Job"]),
    row("batch", V1, "jobs", "Job", true, &["Pod"]),
    row(
        "autoscaling",
        V2,
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
        true,
        &[
            "Deployment",
            "ReplicaSet",
            "StatefulSet",
            "ReplicationController",
            "APIService",
        ],
    ),
    row(
        "policy",
        V1_BETA1,
        "poddisruptionbudgets",
        "PodDisruptionBudget",
        true,
        &["Pod"],
    ),
    row(
        "networking.k8s.io",
        V1,
        "ingresses",
        "Ingress",
        true,
        &["Service"],
    ),
    row(
        "networking.k8s.io",
        V1,
        "ingressclasses",
        "IngressClass",
        false,
        &[],
    ),
    row(
        "discovery.k8s.io",
        V1_BETA1,
        "endpointslices",
        "EndpointSlice",
        true,
        &[],
    ),
    row(
        "storage.k8s.io",
        V1,
        "storageclasses",
        "StorageClass",
        false,
        &[],
    ),
    row("storage.k8s.io", V1, "csidrivers", "CSIDriver", false, &[]),
    row(
        "storage.k8s.io",
        V1,
        "volumeattachments",
        "VolumeAttachment",
        false,
        &[],
    ),
    row("coordination.k8s.io", V1, "leases", "Lease", true, &[]),
    row(
        "certificates.k8s.io",
        V1,
        "certificatesigningrequests",
        "CertificateSigningRequest",
        false,
        &[],
    ),
    row(
        "apiregistration.k8s.io",
        V1,
        "apiservices",
        "APIService",
        false,
        &["Service"],
    ),
    row(
        "admissionregistration.k8s.io",
        V1,
        "validatingwebhookconfigurations",
        "ValidatingWebhookConfiguration",
        false,
        &["Service"],
    ),
    row(
        "admissionregistration.k8s.io",
        V1,
        "mutatingwebhookconfigurations",
        "MutatingWebhookConfiguration",
        false,
        &["Service"],
    ),
];

/// The resource of a kind, if the table has it.
pub fn resource(kind: &str) -> Option<&'static Resource> {
    RESOURCES.iter().find(|it| it.kind == kind)
}

/// What [`problems`](crate::problems) reads.
pub fn everything() -> &'static [Resource] {
    RESOURCES
}

/// What [`explain`](crate::explain) reads for a subject of this kind: what the causes read that
/// are about it, or about whatever may be the reason why it is not well. For a kind that the
/// table does not have these are the events only; the object itself is the caller's to read.
pub fn needs(kind: &str) -> Vec<&'static Resource> {
    let mut kinds = BTreeSet::new();
    let mut ahead = vec![kind];
    let mut reads: BTreeSet<&str> = BTreeSet::from([kind, "Event"]);
    while let Some(kind) = ahead.pop() {
        if !kinds.insert(kind.to_owned()) {
            continue;
        }
        let known = resource(kind);
        reads.extend(known.map(|it| &*it.kind));
        ahead.extend(known.map_or(&[][..], |it| it.leads_to));
        let about = CAUSES.iter().filter(|cause| cause.kinds.contains(&kind));
        reads.extend(about.flat_map(|cause| cause.reads));
    }
    RESOURCES
        .iter()
        .filter(|it| reads.contains(&*it.kind))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(kind: &str) -> Vec<String> {
        needs(kind).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_kind_needs_what_it_leads_to() {
        let pod = names("Pod");
        for name in [
            "pods",
            "nodes",
            "events",
            "persistentvolumeclaims",
            "storageclasses.storage.k8s.io",
        ] {
            assert!(pod.iter().any(|it| it == name), "{name} of {pod:?}");
        }
        let deployment = names("Deployment");
        assert!(pod.iter().all(|it| deployment.contains(it)));
        assert!(!pod.iter().any(|it| it == "deployments.apps"));
        assert_eq!(names("Widget"), ["events"]);
    }

    #[test]
    fn every_kind_that_is_named_is_in_the_table() {
        let named = RESOURCES.iter().flat_map(|it| it.leads_to);
        let read = CAUSES.iter().flat_map(|it| it.reads.iter().chain(it.kinds));
        for kind in named.chain(read).filter(|it| **it != crate::causes::ANY) {
            assert!(resource(kind).is_some(), "{kind}");
        }
    }

    #[test]
    fn paths_are_those_of_the_api() {
        let pods = resource("Pod").unwrap();
        assert_eq!(
            pods.path("v1", Some("default")),
            "/api/v1/namespaces/default/pods"
        );
        let nodes = resource("Node").unwrap();
        assert_eq!(nodes.path("v1", Some("default")), "/api/v1/nodes");
        let jobs = resource("CronJob").unwrap();
        assert_eq!(jobs.path("v1beta1", None), "/apis/batch/v1beta1/cronjobs");
    }
}
