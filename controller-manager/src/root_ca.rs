//! Publishes the cluster's CA in every namespace, where pods mount it from.

use crate::Work;
use crate::changed_file;
use crate::context::Context;
use crate::informers::{Informers, ROOT_CA};
use crate::service_account::is_active;
use hardway_client::controller::{self, Next};
use hardway_client::queue::WorkQueue;
use hardway_client::{Client, Store};
use hardway_proto::meta::ObjectKey;
use hardway_proto::status::NAMESPACE_TERMINATING;
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
        tokio::join!(
            controller.follow_file(&queue),
            controller::run("root-ca", queue.clone(), 2, |name| controller
                .reconcile(name)),
        );
    }))
}

impl Controller {
    /// Has every namespace looked at when the file changes.
    async fn follow_file(&self, queue: &WorkQueue<String>) {
        changed_file::follow(&self.file, || {
            tracing::info!(file = %self.file.display(), "the CA has changed and is published");
            for namespace in self.namespaces.list() {
                queue.add(namespace.name().to_owned());
            }
        })
        .await;
    }

    async fn reconcile(&self, namespace: String) -> Result<Next, Status> {
        let active = self.namespaces.get(&ObjectKey::new("", &namespace));
        if !active.is_some_and(|n| is_active(&n)) {
            return Ok(Next::Done);
        }
        // Read each time: a renewed CA is published without a restart.
        let text = std::fs::read_to_string(&self.file).map_err(|e| {
            Status::internal(format!("--root-ca-file {}: {e}", self.file.display()))
        })?;
        if !text.contains("-----BEGIN CERTIFICATE-----") {
            return Err(Status::internal(format!(
                "--root-ca-file {}: holds no certificate",
                self.file.display()
            )));
        }
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
            Err(status)
                if status.is_already_exists()
                    || status.is_not_found()
                    || status.has_cause(NAMESPACE_TERMINATING) =>
            {
                Ok(Next::Done)
            }
            Err(status) => Err(status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Settings;
    use hardway_client::fake::Fake;
    use hardway_client::task;
    use serde_json::json;
    use std::sync::Arc;
    use std::time::Duration;

    #[tokio::test]
    async fn what_is_published_follows_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.crt");
        let pem = |name: &str| format!("-----BEGIN CERTIFICATE-----\n{name}\n");
        std::fs::write(&file, pem("old")).unwrap();
        let (fake, client) = Fake::start(Vec::new());
        for name in ["a", "b"] {
            let namespace = json!({"metadata": {"name": name}, "status": {"phase": "Active"}});
            fake.create("", "namespaces", namespace);
        }
        let context = Context {
            client: client.clone(),
            settings: Arc::new(Settings {
                root_ca_file: Some(file.clone()),
                ..Settings::default()
            }),
        };
        let mut informers = Informers::new(&client);
        let work = register(&mut informers, &context).unwrap();
        let mut tasks = task::Group::default();
        informers.start(&mut tasks);
        let work = tokio::spawn(work);
        let published = async |text: String| {
            let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
            loop {
                let all = fake.objects("", "configmaps");
                if all.len() == 2 && all.iter().all(|m| m["data"]["ca.crt"] == *text) {
                    return;
                }
                assert!(tokio::time::Instant::now() < deadline, "{all:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        published(pem("old")).await;
        // Half written: what is there stays.
        std::fs::write(&file, "").unwrap();
        std::fs::write(dir.path().join("new"), pem("new")).unwrap();
        std::fs::rename(dir.path().join("new"), &file).unwrap();
        published(pem("new")).await;
        work.abort();
    }
}
