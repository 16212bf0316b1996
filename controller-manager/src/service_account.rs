//! Every active namespace has a ServiceAccount called `default`.

use crate::Work;
use crate::context::Context;
use crate::informers::Informers;
use hardway_client::controller::{self, Next};
use hardway_client::queue::WorkQueue;
use hardway_client::{Client, Store};
use hardway_proto::meta::ObjectKey;
use hardway_proto::status::NAMESPACE_TERMINATING;
use hardway_proto::{Kind, Status};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};

const DEFAULT: &str = "default";

struct Controller {
    client: Client,
    namespaces: Store<Namespace>,
    accounts: Store<ServiceAccount>,
}

/// Whether things may still be created in a namespace.
pub fn is_active(namespace: &Namespace) -> bool {
    let phase = namespace.status.as_ref().and_then(|s| s.phase.as_deref());
    phase != Some("Terminating") && namespace.metadata.deletion_timestamp.is_none()
}

/// The controller.
pub fn register(informers: &mut Informers, context: &Context) -> Work {
    let queue = WorkQueue::new();
    let controller = Controller {
        client: context.client.clone(),
        namespaces: informers.namespaces.store(),
        accounts: informers.service_accounts.store(),
    };
    let on_namespace = queue.clone();
    informers
        .namespaces
        .subscribe(move |change| on_namespace.add(change.object().name().to_owned()));
    let on_account = queue.clone();
    informers
        .service_accounts
        .subscribe(move |change| on_account.add(change.object().namespace().to_owned()));
    Box::pin(async move {
        controller.namespaces.wait_synced().await;
        controller.accounts.wait_synced().await;
        controller::run("serviceaccount", queue, 2, |name| {
            controller.reconcile(name)
        })
        .await;
    })
}

impl Controller {
    async fn reconcile(&self, namespace: String) -> Result<Next, Status> {
        let active = self.namespaces.get(&ObjectKey::new("", &namespace));
        if !active.is_some_and(|n| is_active(&n))
            || self
                .accounts
                .get(&ObjectKey::new(&namespace, DEFAULT))
                .is_some()
        {
            return Ok(Next::Done);
        }
        let mut account = ServiceAccount::default();
        account.metadata.name = Some(DEFAULT.into());
        account.metadata.namespace = Some(namespace.clone());
        match self.client.namespaced(&namespace).create(&account).await {
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
