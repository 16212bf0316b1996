//! Signs the kubeconfig that says where the cluster is, so that who has a
//! bootstrap token can trust it: the ConfigMap `cluster-info` of kube-public
//! gets a detached JWS of its `kubeconfig` for each token (RFC 7515, as
//! kubeadm reads it). Without that ConfigMap nothing is done.

use crate::Work;
use crate::bootstrap_tokens::signing;
use crate::context::Context;
use crate::informers::Informers;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hardway_client::controller::{self, Next};
use hardway_client::queue::WorkQueue;
use hardway_client::{Client, Store};
use hardway_proto::Status;
use hardway_proto::meta::ObjectKey;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use ring::hmac;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where the ConfigMap is.
pub const NAMESPACE: &str = "kube-public";
/// Its name.
pub const CLUSTER_INFO: &str = "cluster-info";
const KUBECONFIG: &str = "kubeconfig";
/// What a signature's key begins with; the token's ID follows.
const SIGNATURE: &str = "jws-kubeconfig-";

struct Controller {
    client: Client,
    tokens: Store<Secret>,
    infos: Store<ConfigMap>,
}

/// The controller.
pub fn register(informers: &mut Informers, context: &Context) -> Work {
    let queue = WorkQueue::new();
    let controller = Controller {
        client: context.client.clone(),
        tokens: informers.bootstrap_tokens.store(),
        infos: informers.cluster_info.store(),
    };
    let on_token = queue.clone();
    informers
        .bootstrap_tokens
        .subscribe(move |_| on_token.add(()));
    let on_info = queue.clone();
    informers.cluster_info.subscribe(move |_| on_info.add(()));
    Box::pin(async move {
        controller.tokens.wait_synced().await;
        controller.infos.wait_synced().await;
        controller::run("bootstrapsigner", queue, 1, |()| controller.reconcile()).await;
    })
}

/// A JWS by HMAC-SHA256 with its content left out.
fn detached(content: &str, id: &str, secret: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"HS256","kid":"{id}"}}"#));
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(content));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signature = hmac::sign(&key, signed.as_bytes());
    format!("{header}..{}", URL_SAFE_NO_PAD.encode(signature))
}

/// What the ConfigMap should hold; nothing if it holds that already, or names
/// no cluster.
fn signed(
    info: &ConfigMap,
    tokens: &[Arc<Secret>],
    now: Timestamp,
) -> Option<BTreeMap<String, String>> {
    let data = info.data.as_ref()?;
    let kubeconfig = data.get(KUBECONFIG).filter(|text| !text.is_empty())?;
    let kept = data.iter().filter(|(key, _)| !key.starts_with(SIGNATURE));
    let mut next: BTreeMap<_, _> = kept.map(|(k, v)| (k.clone(), v.clone())).collect();
    for (id, secret) in tokens.iter().filter_map(|token| signing(token, now)) {
        let signature = detached(kubeconfig, id, secret);
        next.insert(format!("{SIGNATURE}{id}"), signature);
    }
    (next != *data).then_some(next)
}

impl Controller {
    async fn reconcile(&self) -> Result<Next, Status> {
        let Some(info) = self.infos.get(&ObjectKey::new(NAMESPACE, CLUSTER_INFO)) else {
            return Ok(Next::Done);
        };
        // A token that ends is deleted, which is heard of.
        let Some(data) = signed(&info, &self.tokens.list(), Timestamp::now()) else {
            return Ok(Next::Done);
        };
        let mut next = ConfigMap::clone(&info);
        next.data = Some(data);
        let api = self.client.namespaced::<ConfigMap>(NAMESPACE);
        match api.update(&next).await {
            Err(status) if !status.is_conflict() && !status.is_not_found() => Err(status),
            // Somebody was quicker, which is heard of too.
            _ => Ok(Next::Done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap_tokens::sample;
    use serde_json::json;

    fn info(data: serde_json::Value) -> ConfigMap {
        serde_json::from_value(json!({"metadata": {"name": CLUSTER_INFO}, "data": data})).unwrap()
    }

    fn tokens(ids: &[&str]) -> Vec<Arc<Secret>> {
        let more = [("usage-bootstrap-signing", "true")];
        let secret = |id: &&str| Arc::new(serde_json::from_value(sample(id, &more)).unwrap());
        ids.iter().map(secret).collect()
    }

    /// From Kubernetes' own test of its signer.
    #[test]
    fn a_signature_is_the_one_that_kubernetes_makes() {
        let signature = detached(
            "Hello from the other side. I must have called a thousand times.",
            "joshua",
            "my voice is my passcode",
        );
        assert_eq!(
            signature,
            "eyJhbGciOiJIUzI1NiIsImtpZCI6Impvc2h1YSJ9..VShe2taLd-YTrmWuRkcL_8QTNDHYxQIEBsAYYiIj1_8"
        );
    }

    #[test]
    fn every_token_has_its_signature_and_nobody_else() {
        let now = Timestamp::now();
        let fresh = info(json!({"kubeconfig": "text", "other": "x"}));
        let data = signed(&fresh, &tokens(&["aaaaaa", "bbbbbb"]), now).unwrap();
        let keys: Vec<_> = data.keys().map(String::as_str).collect();
        let both = ["jws-kubeconfig-aaaaaa", "jws-kubeconfig-bbbbbb"];
        assert_eq!(keys, [both[0], both[1], "kubeconfig", "other"]);
        let mut current = fresh.clone();
        current.data = Some(data);
        assert_eq!(signed(&current, &tokens(&["aaaaaa", "bbbbbb"]), now), None);
        let fewer = signed(&current, &tokens(&["bbbbbb"]), now).unwrap();
        assert!(!fewer.contains_key(both[0]) && fewer.contains_key(both[1]));
        let other = info(json!({"kubeconfig": "other text"}));
        let changed = signed(&other, &tokens(&["bbbbbb"]), now).unwrap();
        assert_ne!(changed[both[1]], fewer[both[1]]);
        assert_eq!(
            signed(&info(json!({"a": "b"})), &tokens(&["aaaaaa"]), now),
            None
        );
    }
}
