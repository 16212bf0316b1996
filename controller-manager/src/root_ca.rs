//! Publishes the cluster's CA in every namespace, where pods mount it from.

use crate::Work;
use crate::context::Context;
use crate::informers::{Informers, ROOT_CA};
use crate::service_account::is_active;
use hardway_client::controller::{self, Next};
use hardway_client::queue::WorkQueue;
use hardway_client::{Client, Store};
use hardway_proto::meta::ObjectKey;
use hardway_proto::{Kind, Status};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use std::collections::BTreeMap;
use std::path::PathBuf;

struct Controller {
    client: Client,
    file: PathBuf,
    namespaces: Store<Namespace>,
    published: Store<ConfigMap>,
}

/// The controller; `None` without `--root-ca-file`.
pub fn register(informers: &mut Informers, context: &Context) -> Option<Work> {
    let queue = WorkQueue::new();
    let controller = Controller {
        client: context.client.clone(),
        file: context.settings.root_ca_file.clone()?,
        namespaces: informers.namespaces.store(),
        published: informers.root_cas.store(),
    };
    let on_namespace = queue.clone();
    informers
        .namespaces
        .subscribe(move |change| on_namespace.add(change.object().name().to_owned()));
    let on_config_map = queue.clone();
    informers
        .root_cas
        .subscribe(move |change| on_config_map.add(change.object().namespace().to_owned()));
    Some(Box::pin(async move {
        controller.namespaces.wait_synced().await;
        controller.published.wait_synced().await;
        controller::run("root-ca", queue, 2, |name| controller.reconcile(name)).await;
    }))
}

impl Controller {
    async fn reconcile(&self, namespace: String) -> Result<Next, Status> {
        let active = self.namespaces.get(&ObjectKey::new("", &namespace));
        if !active.is_some_and(|n| is_active(&n)) {
            return Ok(Next::Done);
        }
        // Read each time: a renewed CA is published without a restart.
        let text = std::fs::read_to_string(&self.file).map_err(|e| {
            Status::internal(format!("--root-ca-file {}: {e}", self.file.display()))
        })?;
        let data = BTreeMap::from([("ca.crt".to_owned(), text)]);
        let current = self.published.get(&ObjectKey::new(&namespace, ROOT_CA));
        let api = self.client.namespaced::<ConfigMap>(&namespace);
        let outcome = match current {
            Some(current) if current.data.as_ref() == Some(&data) => return Ok(Next::Done),
            Some(current) => {
                let mut next = ConfigMap::clone(&current);
                next.data = Some(data);
                api.update(&next).await
            }
            None => {
                let mut next = ConfigMap {
                    data: Some(data),
                    ..Default::default()
                };
                next.metadata.name = Some(ROOT_CA.into());
                next.metadata.namespace = Some(namespace.clone());
                next.metadata.annotations = Some(BTreeMap::from([(
                    "kubernetes.io/description".to_owned(),
                    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.".to_owned(),
                )]));
                api.create(&next).await
            }
        };
        match outcome {
            Ok(_) => Ok(Next::Done),
            Err(status) if status.is_already_exists() || status.is_not_found() => Ok(Next::Done),
            Err(status) => Err(status),
        }
    }
}
