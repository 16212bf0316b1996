//! What the cluster is told of this node's drivers: the CSINode, and on the Node the drivers'
//! names for it and where they say it stands (`pkg/volume/csi/nodeinfomanager`).

use super::client::api::NodeGetInfoResponse;
use hardway_client::api::{Api, Client, Patch};
use hardway_proto::{Kind, Status};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::storage::v1::{CSINode, CSINodeDriver, VolumeNodeResources};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The drivers' names for a node, as JSON: by driver.
const NODE_IDS: &str = "csi.volume.kubernetes.io/nodeid";

/// How often a change is tried that somebody else's comes before.
const TRIES: usize = 5;

/// Writes what this node has.
#[derive(Clone)]
pub struct Announcer {
    nodes: Api<Node>,
    csi_nodes: Api<CSINode>,
    name: String,
}

/// A driver as the CSINode has it.
fn entry(name: &str, info: &NodeGetInfoResponse) -> CSINodeDriver {
    let limit = i32::try_from(info.max_volumes_per_node)
        .ok()
        .filter(|count| *count > 0);
    let topology = info
        .accessible_topology
        .iter()
        .flat_map(|t| t.segments.keys());
    let keys: Vec<String> = topology.cloned().collect();
    CSINodeDriver {
        name: name.to_owned(),
        node_id: info.node_id.clone(),
        topology_keys: (!keys.is_empty()).then_some(keys),
        allocatable: limit.map(|count| VolumeNodeResources { count: Some(count) }),
    }
}

/// What has to be changed on the Node, if anything: `id` is the driver's name for it, none if
/// the driver is gone.
///
/// # Errors
/// If somebody else says that the node stands elsewhere.
fn node_patch(
    node: &Node,
    driver: &str,
    info: Option<&NodeGetInfoResponse>,
) -> Result<Option<Value>, String> {
    let annotations = node.metadata.annotations.as_ref();
    let ids = annotations.and_then(|all| all.get(NODE_IDS));
    let ids: BTreeMap<String, String> = ids
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let mut wanted = ids.clone();
    let mut labels = Map::new();
    match info {
        None => {
            wanted.remove(driver);
        }
        Some(info) => {
            wanted.insert(driver.to_owned(), info.node_id.clone());
            let present = node.metadata.labels.clone().unwrap_or_default();
            for (key, value) in info.accessible_topology.iter().flat_map(|t| &t.segments) {
                match present.get(key) {
                    Some(known) if known == value => {}
                    Some(known) => {
                        return Err(format!(
                            "detected topology value collision: driver reported {key:?}:{value:?} but existing label is {key:?}:{known:?}"
                        ));
                    }
                    None => {
                        labels.insert(key.clone(), json!(value));
                    }
                }
            }
        }
    }
    if wanted == ids && labels.is_empty() {
        return Ok(None);
    }
    let text = match wanted.is_empty() {
        true => Value::Null,
        false => json!(json!(wanted).to_string()),
    };
    let metadata = json!({"annotations": {NODE_IDS: text}, "labels": labels,
        "resourceVersion": node.resource_version()});
    Ok(Some(json!({"metadata": metadata})))
}

impl Announcer {
    /// Of a node.
    pub fn new(client: &Client, node: &str) -> Self {
        Self {
            nodes: client.all(),
            csi_nodes: client.all(),
            name: node.to_owned(),
        }
    }

    /// Makes the CSINode if it isn't there.
    ///
    /// # Errors
    /// If the apiserver refuses, or the node isn't registered yet.
    pub async fn ensure(&self) -> Result<CSINode, Status> {
        if let Some(known) = self.csi_nodes.get_opt(&self.name).await? {
            return Ok(known);
        }
        let node = self.nodes.get(&self.name).await?;
        let mut new = CSINode::default();
        new.metadata.name = Some(self.name.clone());
        new.metadata.owner_references = Some(vec![OwnerReference {
            api_version: "v1".into(),
            kind: "Node".into(),
            name: self.name.clone(),
            uid: node.uid().to_owned(),
            ..OwnerReference::default()
        }]);
        match self.csi_nodes.create(&new).await {
            Err(status) if status.is_already_exists() => self.csi_nodes.get(&self.name).await,
            outcome => outcome,
        }
    }

    /// Takes a driver in.
    ///
    /// # Errors
    /// What is in the way.
    pub(super) async fn install(
        &self,
        driver: &str,
        info: &NodeGetInfoResponse,
    ) -> Result<(), String> {
        self.change(driver, Some(info)).await
    }

    /// Takes drivers out that are on this node no more: all that are not among these.
    ///
    /// # Errors
    /// What is in the way.
    pub(super) async fn keep_only(&self, drivers: &[String]) -> Result<(), String> {
        let known = self.ensure().await.map_err(|e| e.to_string())?;
        for gone in known
            .spec
            .drivers
            .iter()
            .filter(|d| !drivers.contains(&d.name))
        {
            self.change(&gone.name, None).await?;
        }
        Ok(())
    }

    async fn change(&self, driver: &str, info: Option<&NodeGetInfoResponse>) -> Result<(), String> {
        for _ in 0..TRIES {
            match self.try_change(driver, info).await? {
                Err(status) if status.is_conflict() => {}
                outcome => return outcome.map_err(|e| e.to_string()),
            }
        }
        Err("others keep changing it".to_owned())
    }

    /// The Node comes first: whoever sees a driver in the CSINode finds the labels of its
    /// topology.
    async fn try_change(
        &self,
        driver: &str,
        info: Option<&NodeGetInfoResponse>,
    ) -> Result<Result<(), Status>, String> {
        let node = match self.nodes.get(&self.name).await {
            Ok(node) => node,
            Err(status) => return Ok(Err(status)),
        };
        if let Some(patch) = node_patch(&node, driver, info)?
            && let Err(status) = self.nodes.patch(&self.name, Patch::Merge(&patch)).await
        {
            return Ok(Err(status));
        }
        let mut object = match self.ensure().await {
            Ok(object) => object,
            Err(status) => return Ok(Err(status)),
        };
        let wanted = info.map(|info| entry(driver, info));
        let known = object.spec.drivers.iter().find(|d| d.name == driver);
        if known == wanted.as_ref() {
            return Ok(Ok(()));
        }
        let replaces = known.is_some() && wanted.is_some();
        object.spec.drivers.retain(|d| d.name != driver);
        if replaces {
            // What a driver has said can't be changed, only taken back.
            object = match self.csi_nodes.update(&object).await {
                Ok(object) => object,
                Err(status) => return Ok(Err(status)),
            };
        }
        object.spec.drivers.extend(wanted);
        Ok(self.csi_nodes.update(&object).await.map(drop))
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::api::Topology;
    use super::*;

    fn info() -> NodeGetInfoResponse {
        NodeGetInfoResponse {
            node_id: "id-1".into(),
            max_volumes_per_node: 7,
            accessible_topology: Some(Topology {
                segments: BTreeMap::from([("d.io/zone".into(), "z".into())]),
            }),
        }
    }

    #[test]
    fn a_driver_says_its_limit_and_where_the_node_stands() {
        let made = entry("d.io", &info());
        assert_eq!(
            (made.name.as_str(), made.node_id.as_str()),
            ("d.io", "id-1")
        );
        assert_eq!(made.allocatable.unwrap().count, Some(7));
        assert_eq!(made.topology_keys.unwrap(), ["d.io/zone"]);
        let plain = NodeGetInfoResponse {
            node_id: "x".into(),
            ..NodeGetInfoResponse::default()
        };
        let made = entry("d.io", &plain);
        assert_eq!((made.allocatable, made.topology_keys), (None, None));
    }

    #[test]
    fn the_node_shows_ids_and_labels() {
        let mut node = Node::default();
        let patch = node_patch(&node, "d.io", Some(&info())).unwrap().unwrap();
        assert_eq!(
            patch["metadata"]["annotations"][NODE_IDS],
            r#"{"d.io":"id-1"}"#
        );
        assert_eq!(patch["metadata"]["labels"]["d.io/zone"], "z");
        let ids = BTreeMap::from([(NODE_IDS.to_owned(), r#"{"d.io":"id-1"}"#.to_owned())]);
        node.metadata.annotations = Some(ids);
        node.metadata.labels = Some([("d.io/zone".to_owned(), "z".to_owned())].into());
        assert_eq!(node_patch(&node, "d.io", Some(&info())), Ok(None));
        let gone = node_patch(&node, "d.io", None).unwrap().unwrap();
        assert_eq!(gone["metadata"]["annotations"][NODE_IDS], Value::Null);
        node.metadata.labels = Some([("d.io/zone".to_owned(), "y".to_owned())].into());
        let refused = node_patch(&node, "d.io", Some(&info())).unwrap_err();
        assert!(refused.contains("collision"), "{refused}");
    }
}
