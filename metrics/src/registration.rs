//! Who vouches for this server: it says so itself, in the APIService by which the apiserver
//! finds it. Its certificate is made at each start and signed by nobody else, so there is no
//! key to be kept or renewed. Those of other replicas stay beside it.

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
/// Certificates kept in the APIService: those of so many replicas, the newest first.
const KEPT: usize = 5;
/// Where a certificate ends in a PEM text.
const END: &str = "-----END CERTIFICATE-----";

/// This server, as its APIService has to name it.
#[derive(Clone, Debug)]
pub struct Own {
    /// Namespace and name of the Service in front of it.
    pub service: (String, String),
    /// Its certificate: PEM.
    pub certificate: String,
}

/// Keeps the certificate in the APIService, for ever.
pub async fn run(client: Client, own: Own) {
    let api = client.dynamic("apiregistration.k8s.io", "v1", "apiservices", "");
    loop {
        if let Err(status) = follow(&api, &own).await {
            tracing::warn!(%status, "the APIService of this server, retrying");
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn follow(api: &DynamicApi, own: &Own) -> Result<(), Status> {
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
        if let Some(patch) = missing(&object, own) {
            api.patch(&name, "", Patch::Merge(&patch)).await?;
            tracing::info!(name, "the apiserver knows this server's certificate");
        }
    }
    Ok(())
}

/// What is to be changed, if the APIService leads here and doesn't have the certificate.
/// Somebody else's change in between is none to be lost: the patch is of this version.
fn missing(object: &Value, own: &Own) -> Option<Value> {
    let (spec, service) = (&object["spec"], &object["spec"]["service"]);
    let (namespace, name) = &own.service;
    if service["namespace"] != **namespace || service["name"] != **name {
        return None;
    }
    let bundle = spec["caBundle"].as_str().unwrap_or_default();
    let bundle = String::from_utf8(STANDARD.decode(bundle).ok()?).ok()?;
    let others: Vec<&str> = bundle
        .split_inclusive(END)
        .map(str::trim)
        .filter(|certificate| certificate.ends_with(END))
        .collect();
    let certificate = own.certificate.trim();
    if others.contains(&certificate) && spec["insecureSkipTLSVerify"] != true {
        return None;
    }
    let others = others.into_iter().filter(|other| *other != certificate);
    let all: Vec<&str> = std::iter::once(certificate)
        .chain(others)
        .take(KEPT)
        .collect();
    let bundle = STANDARD.encode(all.join("\n") + "\n");
    Some(json!({
        "metadata": {"resourceVersion": object["metadata"]["resourceVersion"]},
        "spec": {"caBundle": bundle, "insecureSkipTLSVerify": false},
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(number: usize) -> Own {
        Own {
            service: ("kube-system".into(), "metrics-server".into()),
            certificate: format!("-----BEGIN CERTIFICATE-----\n{number}\n{END}\n"),
        }
    }

    fn api_service(spec: Value) -> Value {
        let mut spec = spec;
        spec["service"] = json!({"namespace": "kube-system", "name": "metrics-server"});
        json!({"metadata": {"resourceVersion": "7"}, "spec": spec})
    }

    /// The certificates in a patch, by their numbers.
    fn bundled(patch: &Value) -> Vec<usize> {
        let bundle = patch["spec"]["caBundle"].as_str().unwrap();
        let text = String::from_utf8(STANDARD.decode(bundle).unwrap()).unwrap();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    #[test]
    fn the_certificate_is_put_where_it_is_missing() {
        let patch = missing(&api_service(json!({})), &own(1)).unwrap();
        assert_eq!(bundled(&patch), [1]);
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        // It settles.
        let there = api_service(patch["spec"].clone());
        assert!(missing(&there, &own(1)).is_none());
        let mut insecure = there.clone();
        insecure["spec"]["insecureSkipTLSVerify"] = true.into();
        let patch = missing(&insecure, &own(1)).unwrap();
        assert_eq!(patch["spec"]["insecureSkipTLSVerify"], false);
    }

    #[test]
    fn replicas_live_side_by_side() {
        let mut spec = json!({});
        for number in 1..=KEPT {
            spec = missing(&api_service(spec), &own(number)).unwrap()["spec"].clone();
        }
        let all = api_service(spec);
        for number in 1..=KEPT {
            assert!(missing(&all, &own(number)).is_none(), "{number}");
        }
        // The oldest gives way to one that is new.
        let next = missing(&all, &own(KEPT + 1)).unwrap();
        assert_eq!(bundled(&next), [6, 5, 4, 3, 2]);
    }

    #[test]
    fn what_leads_elsewhere_is_left_alone() {
        let mut other = api_service(json!({}));
        other["spec"]["service"]["name"] = "another".into();
        assert!(missing(&other, &own(1)).is_none());
        assert!(
            missing(&json!({"spec": {}}), &own(1)).is_none(),
            "a local one"
        );
        assert!(missing(&Value::Null, &own(1)).is_none());
    }
}
