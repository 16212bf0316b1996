//! `downwardAPI`: fields of the pod as files.

use super::atomic::{File, Payload};
use super::config_map::DEFAULT_MODE;
use super::files::{Content, Medium};
use super::plugin::{Mounter, Step};
use crate::downward::{self, Facts};
use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, DownwardAPIVolumeSource, Pod, Volume};

/// The files that items make.
pub(super) fn files(
    items: &[DownwardAPIVolumeFile],
    default_mode: Option<i32>,
    pod: &Pod,
    facts: &Facts,
) -> Result<Payload, String> {
    let mut payload = Payload::new();
    for item in items {
        let text = if let Some(reference) = &item.field_ref {
            downward::field(pod, reference, facts)?
        } else if let Some(reference) = &item.resource_field_ref {
            downward::resource(pod, None, reference, facts)?
        } else {
            String::new()
        };
        let mode = item.mode.or(default_mode).unwrap_or(DEFAULT_MODE);
        let file = File {
            data: text.into_bytes(),
            mode: mode as u32,
            owner: None,
        };
        payload.insert(item.path.clone(), file);
    }
    Ok(payload)
}

impl Content for DownwardAPIVolumeSource {
    const PLUGIN: &'static str = "kubernetes.io/downward-api";
    const MEDIUM: Medium = Medium::Memory;

    fn of(volume: &Volume) -> Option<&Self> {
        volume.downward_api.as_ref()
    }

    fn files<'a>(&'a self, mounter: &'a Mounter<'a>) -> Step<'a, Payload> {
        let items = self.items.as_deref().unwrap_or_default();
        let made = files(items, self.default_mode, mounter.pod, &mounter.host.facts);
        Box::pin(std::future::ready(made))
    }
}
