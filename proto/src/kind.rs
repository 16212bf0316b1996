//! Typed objects: which kinds components use, and how they are read from and
//! written to JSON. The (de)serialisers are instantiated here, once for all
//! components, because they are what compiles slowest.

use crate::lenient;
use k8s_openapi::api::{
    apps::v1 as apps, autoscaling::v2 as autoscaling, batch::v1 as batch,
    certificates::v1 as certificates, coordination::v1 as coordination, core::v1 as core,
    discovery::v1 as discovery, events::v1 as events, networking::v1 as networking,
    node::v1 as node, policy::v1 as policy, rbac::v1 as rbac, scheduling::v1 as scheduling,
    storage::v1 as storage,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Group, version and plural name of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceId {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// API version, e.g. `v1`.
    pub version: &'static str,
    /// Plural resource name, e.g. `pods`.
    pub resource: &'static str,
}

/// A kind of object that components use typed.
pub trait Kind: Clone + std::fmt::Debug + Send + Sync + 'static {
    /// The resource that serves it.
    const RESOURCE: ResourceId;
    /// The kind's name, e.g. `Pod`.
    const KIND: &'static str;
    /// Whether objects live in namespaces.
    const NAMESPACED: bool;

    /// Reads an object from JSON, as leniently as Kubernetes' own clients do.
    fn parse(json: &[u8]) -> Result<Self, serde_json::Error>;
    /// Writes it as JSON, with `apiVersion` and `kind`.
    fn encode(&self) -> Vec<u8>;
    /// Its metadata.
    fn meta(&self) -> &ObjectMeta;
    /// Its metadata, to change.
    fn meta_mut(&mut self) -> &mut ObjectMeta;

    /// `group/version`, or the version alone for the core group.
    fn api_version() -> String {
        let ResourceId { group, version, .. } = Self::RESOURCE;
        if group.is_empty() {
            version.to_owned()
        } else {
            format!("{group}/{version}")
        }
    }
    /// Its name, or `""`.
    fn name(&self) -> &str {
        self.meta().name.as_deref().unwrap_or_default()
    }
    /// Its namespace, or `""`.
    fn namespace(&self) -> &str {
        self.meta().namespace.as_deref().unwrap_or_default()
    }
    /// Its UID, or `""`.
    fn uid(&self) -> &str {
        self.meta().uid.as_deref().unwrap_or_default()
    }
    /// Its resource version, or `""`.
    fn resource_version(&self) -> &str {
        self.meta().resource_version.as_deref().unwrap_or_default()
    }
}

/// An object of which only the metadata is read: for what treats all kinds
/// alike, such as garbage collection. Belongs to whatever resource it was
/// read from; writing it writes its metadata only.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct PartialObject {
    /// The metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
}

impl Kind for PartialObject {
    const RESOURCE: ResourceId = ResourceId {
        group: "",
        version: "",
        resource: "",
    };
    const KIND: &'static str = "PartialObjectMetadata";
    const NAMESPACED: bool = true;

    fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        lenient::from_slice(json)
    }
    fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("metadata has string keys only")
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

macro_rules! kinds {
    ($($ty:ty, $group:literal, $version:literal, $plural:literal, $kind:literal, $namespaced:literal;)*) => {
        $(
        impl Kind for $ty {
            const RESOURCE: ResourceId = ResourceId { group: $group, version: $version, resource: $plural };
            const KIND: &'static str = $kind;
            const NAMESPACED: bool = $namespaced;

            fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
                lenient::from_slice(json)
            }
            fn encode(&self) -> Vec<u8> {
                serde_json::to_vec(self).expect("API objects have string keys only")
            }
            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }
            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    )*
        /// Shows a visitor every kind.
        pub fn each(visitor: &mut impl KindVisitor) {
            $(visitor.visit::<$ty>();)*
        }
    };
}

/// Does the same with each of the kinds, see [`each`].
pub trait KindVisitor {
    /// Called once for each kind.
    fn visit<K: Kind>(&mut self);
}

kinds! {
    core::ConfigMap, "", "v1", "configmaps", "ConfigMap", true;
    core::Endpoints, "", "v1", "endpoints", "Endpoints", true;
    core::Event, "", "v1", "events", "Event", true;
    core::LimitRange, "", "v1", "limitranges", "LimitRange", true;
    core::Namespace, "", "v1", "namespaces", "Namespace", false;
    core::Node, "", "v1", "nodes", "Node", false;
    core::PersistentVolume, "", "v1", "persistentvolumes", "PersistentVolume", false;
    core::PersistentVolumeClaim, "", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", true;
    core::Pod, "", "v1", "pods", "Pod", true;
    core::PodTemplate, "", "v1", "podtemplates", "PodTemplate", true;
    core::ReplicationController, "", "v1", "replicationcontrollers", "ReplicationController", true;
    core::ResourceQuota, "", "v1", "resourcequotas", "ResourceQuota", true;
    core::Secret, "", "v1", "secrets", "Secret", true;
    core::Service, "", "v1", "services", "Service", true;
    core::ServiceAccount, "", "v1", "serviceaccounts", "ServiceAccount", true;
    apps::ControllerRevision, "apps", "v1", "controllerrevisions", "ControllerRevision", true;
    apps::DaemonSet, "apps", "v1", "daemonsets", "DaemonSet", true;
    apps::Deployment, "apps", "v1", "deployments", "Deployment", true;
    apps::ReplicaSet, "apps", "v1", "replicasets", "ReplicaSet", true;
    apps::StatefulSet, "apps", "v1", "statefulsets", "StatefulSet", true;
    autoscaling::HorizontalPodAutoscaler, "autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", true;
    batch::CronJob, "batch", "v1", "cronjobs", "CronJob", true;
    batch::Job, "batch", "v1", "jobs", "Job", true;
    certificates::CertificateSigningRequest, "certificates.k8s.io", "v1", "certificatesigningrequests", "CertificateSigningRequest", false;
    coordination::Lease, "coordination.k8s.io", "v1", "leases", "Lease", true;
    discovery::EndpointSlice, "discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", true;
    events::Event, "events.k8s.io", "v1", "events", "Event", true;
    networking::Ingress, "networking.k8s.io", "v1", "ingresses", "Ingress", true;
    networking::IngressClass, "networking.k8s.io", "v1", "ingressclasses", "IngressClass", false;
    networking::NetworkPolicy, "networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", true;
    node::RuntimeClass, "node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", false;
    policy::PodDisruptionBudget, "policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", true;
    rbac::ClusterRole, "rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", false;
    rbac::ClusterRoleBinding, "rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", false;
    rbac::Role, "rbac.authorization.k8s.io", "v1", "roles", "Role", true;
    rbac::RoleBinding, "rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", true;
    scheduling::PriorityClass, "scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", false;
    storage::CSIDriver, "storage.k8s.io", "v1", "csidrivers", "CSIDriver", false;
    storage::CSINode, "storage.k8s.io", "v1", "csinodes", "CSINode", false;
    storage::CSIStorageCapacity, "storage.k8s.io", "v1", "csistoragecapacities", "CSIStorageCapacity", true;
    storage::StorageClass, "storage.k8s.io", "v1", "storageclasses", "StorageClass", false;
    storage::VolumeAttachment, "storage.k8s.io", "v1", "volumeattachments", "VolumeAttachment", false;
}
