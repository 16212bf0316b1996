//! The node's file with the cluster's CA follows what the cluster publishes, so that a CA can be
//! replaced without anybody going to the nodes. It is read over a connection that the file
//! itself vouches for; what has nothing in common with the file is refused. On a host that has the
//! CA's key beside it, which is one of the control plane, the file is the source of what is
//! published, and is left alone.

use hardway_client::Store;
use hardway_client::api::Client;
use hardway_client::certificate::take_up;
use hardway_client::informer::{Change, Informer};
use k8s_openapi::api::core::v1::ConfigMap;
use std::path::PathBuf;

/// Where the controller manager publishes it: the namespace's pods mount the same.
const NAMESPACE: &str = "kube-system";
const NAME: &str = "kube-root-ca.crt";
const KEY: &str = "ca.crt";

/// Follows it for as long as the process runs.
pub fn follow(client: &Client, file: PathBuf) -> Store<ConfigMap> {
    Informer::new(client.namespaced::<ConfigMap>(NAMESPACE))
        .fields(format!("metadata.name={NAME}"))
        .on_change(move |change| {
            let Change::Applied { new, .. } = change else {
                return;
            };
            if file.with_extension("key").exists() {
                return;
            }
            let Some(bundle) = new.data.as_ref().and_then(|data| data.get(KEY)) else {
                return;
            };
            match take_up(&file, bundle) {
                Ok(true) => tracing::info!(file = %file.display(), "the cluster's CA has changed"),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "the published CA is not taken up"),
            }
        })
        .start()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardway_client::fake::Fake;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
    use serde_json::json;

    fn authority() -> String {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().pem()
    }

    #[tokio::test]
    async fn the_file_follows_what_is_published_and_nobody_elses() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.crt");
        let [old, new, other] = [(); 3].map(|()| authority());
        std::fs::write(&file, &old).unwrap();
        let (fake, client) = Fake::start(Vec::new());
        let publish = |namespace: &str, name: &str, bundle: &str| {
            let metadata = json!({"namespace": namespace, "name": name});
            let map = json!({"metadata": metadata, "data": {"ca.crt": bundle}});
            fake.create("", "configmaps", map);
        };
        publish(NAMESPACE, "other", &other);
        publish("default", NAME, &other);
        publish(NAMESPACE, NAME, &format!("{new}{old}"));
        let _followed = follow(&client, file.clone());
        let both = format!("{new}{old}");
        let text = || std::fs::read_to_string(&file).unwrap();
        fake.wait_until("the bundle is in the file", |_| text() == both)
            .await;
        // Of a control plane the file is its own.
        std::fs::write(dir.path().join("own.crt"), &old).unwrap();
        std::fs::write(dir.path().join("own.key"), "").unwrap();
        let own = dir.path().join("own.crt");
        let followed = follow(&client, own.clone());
        followed.wait_synced().await;
        assert_eq!(std::fs::read_to_string(own).unwrap(), old);
    }
}
