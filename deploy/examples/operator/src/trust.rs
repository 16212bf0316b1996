//! Keeps the webhooks' certificates in a Secret, and tells the apiserver whom to believe.

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, CustomResourceExt, Resource};
use serde_json::{Value, json};

use crate::api::{OPERATOR, v1};
use crate::certificates::{self, Certificates};

/// The Secret.
const SECRET: &str = "website-operator-certificates";
/// The webhooks' names, in either configuration.
const WEBHOOK: &str = "websites.hardway.example";

/// Why the webhooks can't be called.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no certificate to serve with.
    #[error(transparent)]
    Certificates(#[from] certificates::Error),
    /// The API refused something, or can't be reached.
    #[error(transparent)]
    Api(#[from] kube::Error),
}

/// The certificates in use: those of the Secret, or new ones if there are none or they end.
///
/// # Errors
/// If they can't be made, or the Secret can't be written.
pub async fn certificates(client: &Client, namespace: &str) -> Result<Certificates, Error> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let found = secrets.get_opt(SECRET).await?;
    let data = found.as_ref().and_then(|secret| secret.data.as_ref());
    let kept = data.and_then(Certificates::from_data);
    let names = ["svc", "svc.cluster.local"];
    let names = names.map(|domain| format!("{OPERATOR}.{namespace}.{domain}"));
    let now = Timestamp::now();
    let certificates = match kept {
        Some(kept) if !kept.is_authority_due(now) && !kept.is_due(now) => return Ok(kept),
        Some(kept) if !kept.is_authority_due(now) => kept.renew(&names, now)?,
        _ => Certificates::make(&names, now)?,
    };
    // Who reads it and writes it back changes nothing that somebody else wrote meanwhile.
    let mut secret = found.unwrap_or_else(|| Secret {
        metadata: ObjectMeta {
            name: Some(SECRET.to_owned()),
            ..ObjectMeta::default()
        },
        type_: Some("kubernetes.io/tls".to_owned()),
        ..Secret::default()
    });
    let is_new = secret.metadata.resource_version.is_none();
    secret.data = Some(certificates.to_data());
    let parameters = PostParams::default();
    match is_new {
        true => secrets.create(&parameters, &secret).await?,
        false => secrets.replace(SECRET, &parameters, &secret).await?,
    };
    tracing::info!(secret = SECRET, "made a certificate");
    Ok(certificates)
}

/// Writes the authority into the definition and the webhooks' configurations, where it is the
/// operator's own field: whoever applies the manifests again leaves it alone.
///
/// # Errors
/// If one of them isn't there, or can't be written.
pub async fn announce(client: &Client, certificates: &Certificates) -> Result<(), kube::Error> {
    let authority = ByteString(certificates.authority.clone().into_bytes());
    let client_config = json!({"caBundle": authority});
    let webhooks = json!({"webhooks": [{"name": WEBHOOK, "clientConfig": client_config}]});
    let conversion = json!({"strategy": "Webhook", "webhook": {"clientConfig": client_config}});
    let definition = json!({"spec": {"conversion": conversion}});
    apply::<MutatingWebhookConfiguration>(client, OPERATOR, webhooks.clone()).await?;
    apply::<ValidatingWebhookConfiguration>(client, OPERATOR, webhooks).await?;
    let name = v1::Website::crd_name();
    apply::<CustomResourceDefinition>(client, name, definition).await
}

async fn apply<K>(client: &Client, name: &str, mut object: Value) -> Result<(), kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    object["apiVersion"] = json!(K::api_version(&()));
    object["kind"] = json!(K::kind(&()));
    let api: Api<K> = Api::all(client.clone());
    let parameters = PatchParams::apply(OPERATOR).force();
    api.patch(name, &parameters, &Patch::Apply(object)).await?;
    Ok(())
}
