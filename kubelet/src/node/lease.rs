//! The node's Lease: renewed every 10 s, it says that the node lives.

use hardway_client::api::{Api, Client};
use hardway_proto::{Kind, Status};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, OwnerReference};
use std::time::Duration;

const NAMESPACE: &str = "kube-node-lease";
const DURATION_SECONDS: i32 = 40;
/// A quarter of the duration.
const PERIOD: Duration = Duration::from_secs(10);
/// After a failure.
const RETRY: Duration = Duration::from_secs(2);

/// Renews the lease for as long as the future lives.
pub async fn keep(client: Client, name: String) {
    let api = client.namespaced::<Lease>(NAMESPACE);
    let nodes = client.all::<Node>();
    let mut known = None;
    loop {
        let outcome = renew(&api, &nodes, &name, known.take()).await;
        let pause = match outcome {
            Ok(lease) => {
                known = Some(lease);
                PERIOD
            }
            Err(status) => {
                tracing::warn!(name, %status, "the node's lease can't be renewed; will try again");
                RETRY
            }
        };
        tokio::time::sleep(pause).await;
    }
}

async fn renew(
    api: &Api<Lease>,
    nodes: &Api<Node>,
    name: &str,
    known: Option<Lease>,
) -> Result<Lease, Status> {
    let current = match known {
        Some(lease) => Some(lease),
        None => api.get_opt(name).await?,
    };
    let exists = current.is_some();
    let mut lease = current.unwrap_or_default();
    lease.metadata.name = Some(name.into());
    lease.metadata.namespace = Some(NAMESPACE.into());
    if lease.metadata.owner_references.is_none()
        && let Some(node) = nodes.get_opt(name).await?
    {
        // So that the lease goes with its node.
        lease.metadata.owner_references = Some(vec![OwnerReference {
            api_version: "v1".into(),
            kind: "Node".into(),
            name: name.into(),
            uid: node.uid().into(),
            ..Default::default()
        }]);
    }
    let spec = lease.spec.take().unwrap_or_default();
    lease.spec = Some(LeaseSpec {
        holder_identity: Some(name.into()),
        lease_duration_seconds: Some(DURATION_SECONDS),
        renew_time: Some(MicroTime(Timestamp::now())),
        ..spec
    });
    if exists {
        api.update(&lease).await
    } else {
        api.create(&lease).await
    }
}
