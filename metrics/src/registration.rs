//! Who vouches for this server: it says so itself, in the APIService by which the apiserver
//! finds it. Its certificate is made at each start and signed by nobody else, so there is no
//! key to be kept or renewed.

use crate::api::{GROUP, VERSION};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::StreamExt;
use hardway_client::Client;
use hardway_client::api::{DynamicApi, Patch, WatchParams};
use hardway_proto::Status;
use serde_json::{Value, json};
use std::time::Duration;

/// How long to wait before looking again, after a failure.
const RETRY: Duration = Duration::from_secs(2);

/// Keeps the certificate in the APIService, for ever.
pub async fn run(client: Client, certificate: Vec<u8>) {
    let api = client.dynamic("apiregistration.k8s.io", "v1", "apiservices", "");
    let bundle = STANDARD.encode(certificate);
    loop {
        if let Err(status) = follow(&api, &bundle).await {
            tracing::warn!(%status, "the APIService of this server, retrying");
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn follow(api: &DynamicApi, bundle: &str) -> Result<(), Status> {
    let name = format!("{VERSION}.{GROUP}");
    let params = WatchParams {
        fields: format!("metadata.name={name}"),
        send_initial_events: true,
        ..WatchParams::default()
    };
    let mut events = std::pin::pin!(api.watch(&params).await?);
    while let Some(event) = events.next().await {
        let Some(object) = event?.object else {
            continue;
        };
        let object: Value = serde_json::from_slice(&object.json).unwrap_or_default();
        if let Some(patch) = missing(&object, bundle) {
            api.patch(&name, "", Patch::Merge(&patch)).await?;
            tracing::info!(name, "the apiserver knows this server's certificate");
        }
    }
    Ok(())
}

/// What is to be changed, if the APIService doesn't have the certificate.
fn missing(object: &Value, bundle: &str) -> Option<Value> {
    let spec = &object["spec"];
    let has_it = !spec["service"].is_object()
        || spec["caBundle"] == bundle && spec["insecureSkipTLSVerify"] != true;
    (!has_it).then(|| json!({"spec": {"caBundle": bundle, "insecureSkipTLSVerify": false}}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certificate_is_put_where_it_is_missing() {
        let of = |spec: Value| missing(&json!({ "spec": spec }), "YQ==");
        let service = json!({"namespace": "n", "name": "s"});
        let patch = of(json!({"service": service})).unwrap();
        assert_eq!(patch["spec"]["caBundle"], "YQ==");
        assert!(of(json!({"service": service, "caBundle": "other"})).is_some());
        assert!(of(json!({"service": service, "insecureSkipTLSVerify": true})).is_some());
        assert!(of(json!({"service": service, "caBundle": "YQ=="})).is_none());
        assert!(of(json!({})).is_none(), "a local one is nobody's");
        assert!(missing(&Value::Null, "YQ==").is_none());
    }
}
