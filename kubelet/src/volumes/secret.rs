//! `secret`: the data of a Secret as files in memory.

use super::atomic::Payload;
use super::config_map::Selection;
use crate::objects::{self, Objects};
use k8s_openapi::api::core::v1::SecretVolumeSource;

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

/// The files of a volume.
pub(super) async fn payload(
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
