//! `secret`: the data of a Secret as files in memory.

use super::atomic::Payload;
use super::config_map::Selection;
use super::files;
use super::plugin::{Mounter, Step, VolumePlugin, VolumeSpec};
use crate::objects::{self, Objects};
use hardway_proto::Kind;
use k8s_openapi::api::core::v1::SecretVolumeSource;
use std::path::PathBuf;

/// The files a Secret makes.
pub(super) async fn files(
    name: &str,
    selection: Selection<'_>,
    objects: &dyn Objects,
    namespace: &str,
) -> Result<Payload, String> {
    let found = objects.secret(namespace, name).await;
    let secret = objects::optional(found, selection.optional).map_err(|e| e.to_string())?;
    let Some(secret) = secret else {
        return Ok(Payload::new());
    };
    let data = secret.data.iter().flatten();
    let data = data.map(|(key, bytes)| (key.clone(), bytes.0.clone()));
    selection.apply(data.collect())
}

/// The plugin.
pub(super) struct Secret;

impl VolumePlugin for Secret {
    fn name(&self) -> &'static str {
        "kubernetes.io/secret"
    }

    fn supports(&self, spec: &VolumeSpec) -> bool {
        spec.volume.secret.is_some()
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
            let source = spec.volume.secret.clone().unwrap_or_default();
            let payload = payload(&source, host.objects.as_ref(), pod.namespace()).await?;
            files::write(mounter, mounter.dir(self), files::Medium::Memory, payload).await
        })
    }
}

/// The files of a volume.
async fn payload(
    source: &SecretVolumeSource,
    objects: &dyn Objects,
    namespace: &str,
) -> Result<Payload, String> {
    let selection = Selection {
        items: source.items.as_deref().unwrap_or_default(),
        optional: source.optional,
        default_mode: source.default_mode,
        noun: "secret",
    };
    let name = source.secret_name.as_deref().unwrap_or_default();
    files(name, selection, objects, namespace).await
}
