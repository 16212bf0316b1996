//! `projected`: several sources in one directory, among them the token of the
//! pod's service account.

use super::atomic::{File, Payload};
use super::config_map::{self, DEFAULT_MODE, Selection};
use super::files::{Content, Medium};
use super::plugin::{Mounter, Step};
use super::{downward_api, ownership, secret};
use crate::downward::Facts;
use crate::objects::Objects;
use hardway_proto::Kind;
use k8s_openapi::api::core::v1::{
    Pod, ProjectedVolumeSource, ServiceAccountTokenProjection, Volume, VolumeProjection,
};

/// Life of a token where nothing is said.
const TOKEN_SECONDS: i64 = 3600;

impl Content for ProjectedVolumeSource {
    const PLUGIN: &'static str = "kubernetes.io/projected";
    const MEDIUM: Medium = Medium::Memory;

    fn of(volume: &Volume) -> Option<&Self> {
        volume.projected.as_ref()
    }

    fn files<'a>(&'a self, mounter: &'a Mounter<'a>) -> Step<'a, Payload> {
        let Mounter { host, pod, .. } = mounter;
        Box::pin(payload(self, pod, host.objects.as_ref(), &host.facts))
    }
}

/// The files of a volume; later sources win.
async fn payload(
    source: &ProjectedVolumeSource,
    pod: &Pod,
    objects: &dyn Objects,
    facts: &Facts,
) -> Result<Payload, String> {
    let mut payload = Payload::new();
    for projection in source.sources.iter().flatten() {
        let files = of_source(projection, source.default_mode, pod, objects, facts).await?;
        payload.extend(files);
    }
    Ok(payload)
}

async fn of_source(
    source: &VolumeProjection,
    default_mode: Option<i32>,
    pod: &Pod,
    objects: &dyn Objects,
    facts: &Facts,
) -> Result<Payload, String> {
    let namespace = pod.namespace();
    if let Some(projection) = &source.service_account_token {
        return token(projection, default_mode, pod, objects).await;
    }
    if let Some(projection) = &source.config_map {
        let selection = Selection {
            items: projection.items.as_deref().unwrap_or_default(),
            optional: projection.optional,
            default_mode,
            noun: "config",
        };
        return config_map::files(&projection.name, selection, objects, namespace).await;
    }
    if let Some(projection) = &source.secret {
        let selection = Selection {
            items: projection.items.as_deref().unwrap_or_default(),
            optional: projection.optional,
            default_mode,
            noun: "secret",
        };
        return secret::files(&projection.name, selection, objects, namespace).await;
    }
    if let Some(projection) = &source.downward_api {
        let items = projection.items.as_deref().unwrap_or_default();
        return downward_api::files(items, default_mode, pod, facts);
    }
    if source.cluster_trust_bundle.is_some() {
        return Err("projecting a clusterTrustBundle is not supported on this node".into());
    }
    Ok(Payload::new())
}

/// A token is readable by whom the containers run as and nobody else, where
/// that can be told from the pod's spec.
async fn token(
    projection: &ServiceAccountTokenProjection,
    default_mode: Option<i32>,
    pod: &Pod,
    objects: &dyn Objects,
) -> Result<Payload, String> {
    let audience = projection.audience.as_deref().unwrap_or_default();
    let seconds = projection.expiration_seconds.unwrap_or(TOKEN_SECONDS);
    let token = objects.token(pod, audience, seconds).await;
    let token = token.map_err(|e| format!("failed to fetch token: {e}"))?;
    let owner = ownership::common_user(pod);
    let mode = if owner.is_some() || ownership::fs_group(pod).is_some() {
        0o600
    } else {
        default_mode.unwrap_or(DEFAULT_MODE)
    };
    let file = File {
        data: token.text.into_bytes(),
        mode: mode as u32,
        owner,
    };
    Ok(Payload::from([(projection.path.clone(), file)]))
}
