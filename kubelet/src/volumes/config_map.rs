//! `configMap`: the data of a ConfigMap as files.

use super::atomic::{File, Payload};
use super::files::{Content, Medium};
use super::plugin::{Mounter, Step};
use crate::objects::{self, Objects};
use hardway_proto::Kind;
use k8s_openapi::api::core::v1::{ConfigMapVolumeSource, KeyToPath, Volume};
use std::collections::BTreeMap;

/// Mode of files where nothing is said.
pub(super) const DEFAULT_MODE: i32 = 0o644;

/// Which keys become which files, and with which modes.
pub(super) struct Selection<'a> {
    pub items: &'a [KeyToPath],
    pub optional: Option<bool>,
    pub default_mode: Option<i32>,
    /// How errors name a key: `config` or `secret`.
    pub noun: &'static str,
}

impl Selection<'_> {
    /// Picks files out of data.
    pub fn apply(&self, data: BTreeMap<String, Vec<u8>>) -> Result<Payload, String> {
        let default = self.default_mode.unwrap_or(DEFAULT_MODE);
        let file = |data: Vec<u8>, mode: Option<i32>| File {
            data,
            mode: mode.unwrap_or(default) as u32,
            owner: None,
        };
        if self.items.is_empty() {
            let files = data.into_iter().map(|(key, data)| (key, file(data, None)));
            return Ok(files.collect());
        }
        let mut payload = Payload::new();
        for item in self.items {
            match data.get(&item.key) {
                Some(data) => {
                    payload.insert(item.path.clone(), file(data.clone(), item.mode));
                }
                None if self.optional == Some(true) => {}
                None => {
                    let noun = self.noun;
                    return Err(format!("references non-existent {noun} key: {}", item.key));
                }
            }
        }
        Ok(payload)
    }
}

/// The files a ConfigMap makes.
pub(super) async fn files(
    name: &str,
    selection: Selection<'_>,
    objects: &dyn Objects,
    namespace: &str,
) -> Result<Payload, String> {
    let found = objects.config_map(namespace, name).await;
    let map = objects::optional(found, selection.optional).map_err(|e| e.to_string())?;
    let Some(map) = map else {
        return Ok(Payload::new());
    };
    let text = map.data.iter().flatten();
    let binary = map.binary_data.iter().flatten();
    let data = text
        .map(|(key, text)| (key.clone(), text.clone().into_bytes()))
        .chain(binary.map(|(key, bytes)| (key.clone(), bytes.0.clone())));
    selection.apply(data.collect())
}

impl Content for ConfigMapVolumeSource {
    const PLUGIN: &'static str = "kubernetes.io/configmap";
    const MEDIUM: Medium = Medium::Disk;

    fn of(volume: &Volume) -> Option<&Self> {
        volume.config_map.as_ref()
    }

    fn files<'a>(&'a self, mounter: &'a Mounter<'a>) -> Step<'a, Payload> {
        let selection = Selection {
            items: self.items.as_deref().unwrap_or_default(),
            optional: self.optional,
            default_mode: self.default_mode,
            noun: "config",
        };
        let objects = mounter.host.objects.as_ref();
        let namespace = mounter.pod.namespace();
        Box::pin(files(&self.name, selection, objects, namespace))
    }
}
