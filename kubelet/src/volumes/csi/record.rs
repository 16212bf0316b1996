//! What is written down of a volume before a driver is asked for it: `vol_data.json`, with
//! Kubernetes' fields (`pkg/volume/csi/csi_mounter.go`, `volDataKey`).

use super::attachment::Attached;
use super::source::Source;
use crate::volumes::note;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The file's name.
const FILE: &str = "vol_data.json";

/// Whose volume it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Record {
    /// The driver.
    pub driver_name: String,
    /// What the driver calls the volume.
    pub volume_handle: String,
    /// What the cluster calls it; for a pod's.
    #[serde(rename = "specVolID", skip_serializing_if = "String::is_empty")]
    pub spec_volume_id: String,
    /// The node; for a pod's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node_name: String,
    /// The VolumeAttachment's name; empty if the volume needs none.
    #[serde(rename = "attachmentID", skip_serializing_if = "String::is_empty")]
    pub attachment_id: String,
    /// `Persistent` or `Ephemeral`; for a pod's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub volume_lifecycle_mode: String,
}

/// A volume that was made ready for the node, or was going to be.
pub(super) struct Staged {
    pub record: Record,
    /// The folder of its record.
    pub dir: PathBuf,
    pub is_block: bool,
}

impl Record {
    /// Of a volume in a pod.
    pub fn of_pod(source: &Source, node: &str, attached: Option<&Attached>) -> Self {
        let mode = if source.is_inline {
            "Ephemeral"
        } else {
            "Persistent"
        };
        Self {
            driver_name: source.driver.clone(),
            volume_handle: source.handle.clone(),
            spec_volume_id: source.name.clone(),
            node_name: node.to_owned(),
            attachment_id: attached.map(|a| a.name.clone()).unwrap_or_default(),
            volume_lifecycle_mode: mode.to_owned(),
        }
    }

    /// Of a volume on the node.
    pub fn of_node(source: &Source, attached: Option<&Attached>) -> Self {
        Self {
            driver_name: source.driver.clone(),
            volume_handle: source.handle.clone(),
            attachment_id: attached.map(|a| a.name.clone()).unwrap_or_default(),
            ..Self::default()
        }
    }

    /// What tells the volume from all others.
    pub fn key(&self) -> String {
        format!("{}^{}", self.driver_name, self.volume_handle)
    }

    /// The name that a node's status has for it.
    pub fn unique_name(&self) -> String {
        format!("{}/{}", super::NAME, self.key())
    }

    /// Whether somebody attached it, and would detach it.
    pub fn is_attached(&self) -> bool {
        !self.attachment_id.is_empty()
    }

    /// What is written in a folder, if anything.
    ///
    /// # Errors
    /// If it can't be read, or says nothing.
    pub fn read(dir: &Path) -> io::Result<Option<Self>> {
        let Some(record): Option<Self> = note::read(dir, FILE)? else {
            return Ok(None);
        };
        match record.driver_name.is_empty() || record.volume_handle.is_empty() {
            true => Err(io::Error::other("it names no driver or no volume")),
            false => Ok(Some(record)),
        }
    }

    /// Writes it into a folder: whole, or not at all.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        note::write(dir, FILE, self)
    }

    /// Writes it into a folder, and makes another one, beside everything else: the disk may be
    /// slow.
    pub async fn note(&self, dir: &Path, folder: Option<&Path>) -> Result<(), String> {
        let (record, at) = (self.clone(), dir.to_owned());
        let folder = folder.map(Path::to_owned);
        let write = move || -> io::Result<()> {
            record.write(&at)?;
            folder.map_or(Ok(()), |folder| crate::root_dir::make(&folder))
        };
        let written = tokio::task::spawn_blocking(write).await;
        let written = written.map_err(|error| error.to_string())?;
        written.map_err(|error| format!("cannot write {}: {error}", dir.display()))
    }

    /// Takes it away, and its folder, which is empty by then.
    pub fn remove(dir: &Path) -> io::Result<()> {
        note::remove(dir, FILE)?;
        note::missing_is_fine(fs::remove_dir(dir))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn records_are_those_of_kubernetes() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Record::read(dir.path()).unwrap(), None);
        let record = Record {
            driver_name: "d.io".into(),
            volume_handle: "v-1".into(),
            spec_volume_id: "pv".into(),
            node_name: "n".into(),
            attachment_id: "csi-1".into(),
            volume_lifecycle_mode: "Persistent".into(),
        };
        record.write(dir.path()).unwrap();
        let text = fs::read(dir.path().join(FILE)).unwrap();
        let json: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(
            json,
            json!({"driverName": "d.io", "volumeHandle": "v-1", "specVolID": "pv", "nodeName": "n",
                   "attachmentID": "csi-1", "volumeLifecycleMode": "Persistent"})
        );
        assert_eq!(Record::read(dir.path()).unwrap(), Some(record.clone()));
        assert_eq!(record.unique_name(), "kubernetes.io/csi/d.io^v-1");
        // Half a file is none of ours: it is written beside and moved.
        fs::write(dir.path().join(FILE), "{\"driverName\"").unwrap();
        assert!(Record::read(dir.path()).is_err());
        Record::remove(dir.path()).unwrap();
        assert!(!dir.path().exists());
    }
}
