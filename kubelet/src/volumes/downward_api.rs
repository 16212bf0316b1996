//! `downwardAPI`: fields of the pod as files.

use super::atomic::{File, Payload};
use super::config_map::DEFAULT_MODE;
use super::files;
use super::plugin::{Mounter, Step, VolumePlugin, VolumeSpec};
use crate::downward::{self, Facts};
use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, DownwardAPIVolumeSource, Pod};
use std::path::PathBuf;

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

/// The plugin.
pub(super) struct DownwardApi;

impl VolumePlugin for DownwardApi {
    fn name(&self) -> &'static str {
        "kubernetes.io/downward-api"
    }

    fn supports(&self, spec: &VolumeSpec) -> bool {
        spec.volume.downward_api.is_some()
    }

    fn requires_remount(&self, _spec: &VolumeSpec) -> bool {
        true
    }

    fn is_read_only(&self, _spec: &VolumeSpec) -> bool {
        true
    }

    fn publish<'a>(&'a self, mounter: &'a Mounter<'a>) -> Step<'a, PathBuf> {
        Box::pin(async move {
            let Mounter { host, pod, spec } = mounter;
            let source = spec.volume.downward_api.clone().unwrap_or_default();
            let payload = payload(&source, pod, &host.facts)?;
            files::write(mounter, mounter.dir(self), files::Medium::Memory, payload).await
        })
    }
}

/// The files of a volume.
fn payload(source: &DownwardAPIVolumeSource, pod: &Pod, facts: &Facts) -> Result<Payload, String> {
    let items = source.items.as_deref().unwrap_or_default();
    files(items, source.default_mode, pod, facts)
}
