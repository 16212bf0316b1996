//! Which apiservers there are: known from the endpoints of the Service `kubernetes`, and kept in
//! a file, so that a process also starts where the one that its kubeconfig names is gone.
//!
//! Only addresses are learned, never whom to trust: each of them must show a certificate of the
//! cluster's CA for [`NAME`], which only apiservers have. A node's own certificate, for its
//! address, is not enough.

use crate::api::{Client, DynamicApi, WatchParams};
use crate::channel::{Kept, Server, Servers};
use crate::queue::backoff;
use crate::task;
use futures_util::StreamExt;
use hardway_proto::Status;
use hardway_proto::api::EventType;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// What the certificates of apiservers that were learned must be for.
const NAME: &str = "kubernetes.default.svc";
/// The port of theirs that serves the API.
const PORT: &str = "https";
/// First and longest pause before an apiserver that could not say it is asked again.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));
/// Before one is asked again that won't say it to this identity, as Kubernetes' own.
const ASK_AGAIN: Duration = Duration::from_secs(600);

/// Takes over what the file knows, and follows from then on which apiservers there are. Without a
/// file they are forgotten with the process.
pub fn follow(client: &Client, path: Option<PathBuf>) {
    let Some(servers) = client.servers().cloned() else {
        return;
    };
    let file = path.map(Kept::at);
    let known = file.as_ref().map(Kept::read).unwrap_or_default();
    let known: Vec<Server> = known.iter().filter_map(|line| learned(line)).collect();
    if !known.is_empty() {
        servers.set_listed(known);
    }
    let client = client.clone();
    task::spawn_critical("apiservers", async move {
        let slices = client.dynamic("discovery.k8s.io", "v1", "endpointslices", "default");
        let mut failures = 0;
        loop {
            let pause = match watch(&slices, &servers, file.as_ref()).await {
                Ok(()) => {
                    failures = 0;
                    RETRY.0
                }
                Err(status) if matches!(status.code, 403 | 404) => ASK_AGAIN,
                Err(status) => {
                    tracing::debug!(%status, "cannot follow which apiservers there are");
                    failures += 1;
                    backoff(failures, RETRY.0, RETRY.1)
                }
            };
            tokio::time::sleep(pause).await;
        }
    });
}

/// One that was learned, at `host:port`.
fn learned(address: &str) -> Option<Server> {
    let mut server = Server::of_url(&format!("https://{address}")).ok()?;
    server.name = NAME.to_owned();
    Some(server)
}

/// Lists, and follows until the watch ends.
async fn watch(
    slices: &DynamicApi,
    servers: &Arc<Servers>,
    file: Option<&Kept>,
) -> Result<(), Status> {
    let fields = "metadata.name=kubernetes";
    let list = slices.list("", fields).await?;
    for slice in &list.items {
        take_over(&slice.json, servers, file);
    }
    let params = WatchParams {
        fields: fields.into(),
        resource_version: list.resource_version.to_string(),
        ..Default::default()
    };
    let mut events = pin!(slices.watch(&params).await?);
    while let Some(event) = events.next().await {
        let event = event?;
        let is_there = matches!(event.r#type(), EventType::Added | EventType::Modified);
        if let (true, Some(slice)) = (is_there, &event.object) {
            take_over(&slice.json, servers, file);
        }
    }
    Ok(())
}

fn take_over(slice: &[u8], servers: &Servers, file: Option<&Kept>) {
    let slice: EndpointSlice = match serde_json::from_slice(slice) {
        Ok(slice) => slice,
        Err(error) => {
            return tracing::warn!(%error, "the endpoints of the apiservers make no sense");
        }
    };
    let addresses = addresses(&slice);
    if addresses.is_empty() {
        // There is at least the one that says so.
        return;
    }
    let listed = addresses.iter().filter_map(|address| learned(address));
    if servers.set_listed(listed.collect()) {
        tracing::info!(?addresses, "the apiservers there are");
        if let Some(file) = file {
            file.write(&addresses);
        }
    }
}

/// `host:port` of those that are ready, in order.
fn addresses(slice: &EndpointSlice) -> Vec<String> {
    let ports = slice.ports.iter().flatten();
    let port = ports
        .clone()
        .find(|port| port.name.as_deref() == Some(PORT));
    let Some(port) = port.and_then(|port| port.port) else {
        return Vec::new();
    };
    let is_ready = |conditions: Option<&k8s_openapi::api::discovery::v1::EndpointConditions>| {
        conditions.and_then(|conditions| conditions.ready) != Some(false)
    };
    let ready = slice
        .endpoints
        .iter()
        .filter(|endpoint| is_ready(endpoint.conditions.as_ref()));
    let mut addresses: Vec<String> = ready
        .flat_map(|endpoint| &endpoint.addresses)
        .map(|address| match address.contains(':') {
            true => format!("[{address}]:{port}"),
            false => format!("{address}:{port}"),
        })
        .collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Order;
    use serde_json::json;

    fn slice(endpoints: serde_json::Value) -> Vec<u8> {
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": "kubernetes", "namespace": "default"},
            "addressType": "IPv4", "endpoints": endpoints,
            "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}],
        });
        slice.to_string().into_bytes()
    }

    #[tokio::test]
    async fn those_that_are_ready_are_listed_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let file = Kept::at(dir.path().join("state").join("apiservers"));
        let given = Server::of_url("https://192.0.2.1:6443").unwrap();
        let servers = Servers::new(vec![given.clone()], Order::ByLot);
        let endpoints = json!([
            {"addresses": ["192.0.2.2"], "conditions": {"ready": true}},
            {"addresses": ["192.0.2.3"], "conditions": {"ready": false}},
            {"addresses": ["192.0.2.1"]},
        ]);
        take_over(&slice(endpoints), &servers, Some(&file));
        let mut listed = servers.listed();
        listed.sort();
        assert_eq!(listed, [given, learned("192.0.2.2:6443").unwrap()]);
        assert_eq!(listed[1].name, "kubernetes.default.svc");
        assert_eq!(file.read(), ["192.0.2.1:6443", "192.0.2.2:6443"]);
        take_over(&slice(json!([])), &servers, Some(&file));
        assert_eq!(servers.listed().len(), 2, "nobody forgets all");
        take_over(b"nonsense", &servers, Some(&file));
        assert_eq!(file.read().len(), 2);
    }
}
