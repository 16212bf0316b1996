//! `secret`: the data of a Secret as files in memory.

use super::atomic::Payload;
use super::config_map::Selection;
use super::files::{Content, Medium};
use super::plugin::{Mounter, Step};
use crate::objects::{self, Objects};
use hardway_proto::Kind;
use k8s_openapi::api::core::v1::{SecretVolumeSource, Volume};

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

impl Content for SecretVolumeSource {
    const PLUGIN: &'static str = "kubernetes.io/secret";
    const MEDIUM: Medium = Medium::Memory;

    fn of(volume: &Volume) -> Option<&Self> {
        volume.secret.as_ref()
    }

    fn files<'a>(&'a self, mounter: &'a Mounter<'a>) -> Step<'a, Payload> {
        let selection = Selection {
            items: self.items.as_deref().unwrap_or_default(),
            optional: self.optional,
            default_mode: self.default_mode,
            noun: "secret",
        };
        let name = self.secret_name.as_deref().unwrap_or_default();
        let objects = mounter.host.objects.as_ref();
        let namespace = mounter.pod.namespace();
        Box::pin(files(name, selection, objects, namespace))
    }
}
