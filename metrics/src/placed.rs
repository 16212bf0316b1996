//! What is known of a pod here: whose it is, its labels, and where it runs. A kubelet speaks
//! for the pods of its own node and no others.

use hardway_proto::Kind;
use hardway_proto::kind::ResourceId;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// A pod, without all that isn't needed.
#[derive(Clone, Debug, Default)]
pub struct Placed {
    /// Name, namespace, labels, and what tells one version from another.
    pub metadata: ObjectMeta,
    /// The node it is on; empty if there is none.
    pub node: Box<str>,
}

impl From<Pod> for Placed {
    fn from(pod: Pod) -> Self {
        let (metadata, spec) = (pod.metadata, pod.spec.unwrap_or_default());
        Self {
            metadata: ObjectMeta {
                name: metadata.name,
                namespace: metadata.namespace,
                labels: metadata.labels,
                resource_version: metadata.resource_version,
                uid: metadata.uid,
                ..ObjectMeta::default()
            },
            node: spec.node_name.unwrap_or_default().into(),
        }
    }
}

impl Kind for Placed {
    const RESOURCE: ResourceId = Pod::RESOURCE;
    const KIND: &'static str = Pod::KIND;
    const NAMESPACED: bool = Pod::NAMESPACED;

    fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        Pod::parse(json).map(Self::from)
    }

    fn encode(&self) -> Vec<u8> {
        let mut pod = Pod {
            metadata: self.metadata.clone(),
            ..Pod::default()
        };
        if !self.node.is_empty() {
            pod.spec.get_or_insert_default().node_name = Some(self.node.to_string());
        }
        pod.encode()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
