//! The Service `kubernetes` in `default`: how pods reach the apiservers.
//!
//! Every apiserver renews a Lease; the addresses of those with a fresh one are
//! the Service's endpoints.

use crate::bootstrap::ensure_as;
use crate::pipeline::Pipeline;
use hardway_proto::Status;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::time::Duration;

const RENEW: Duration = Duration::from_secs(10);
/// A lease not renewed for so long is that of an apiserver gone.
const STALE: SignedDuration = SignedDuration::from_secs(30);
const LABEL: &str = "apiserver.kubernetes.io/identity";

/// Keeps Service and endpoints as they should be, for ever.
pub async fn run(pipeline: &Pipeline, cluster_ip: Ipv4Addr, address: Ipv4Addr, port: u16) {
    let mut tick = tokio::time::interval(RENEW);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if let Err(status) = reconcile(pipeline, cluster_ip, address, port).await {
            tracing::warn!(%status, "the Service kubernetes, retrying");
            tick.reset_after(Duration::from_secs(1));
        }
    }
}

async fn reconcile(
    pipeline: &Pipeline,
    cluster_ip: Ipv4Addr,
    address: Ipv4Addr,
    port: u16,
) -> Result<(), Status> {
    let now = Timestamp::now();
    let renewed = ensure_as(pipeline, lease(address, now), |found, wanted| {
        take_over(found, wanted, &["renewTime", "holderIdentity"]);
    })
    .await;
    let served = ensure_as(pipeline, service(cluster_ip, port), |found, wanted| {
        take_over(found, wanted, &["ports"]);
    })
    .await;
    let reached = reconcile_addresses(pipeline, address, port, now).await;
    // One that can't be written keeps no other from it.
    renewed.and(served).and(reached)
}

/// Takes fields of the spec over; all of it where there is none.
fn take_over(found: &mut Value, wanted: &Value, fields: &[&str]) {
    let Some(spec) = found["spec"].as_object_mut() else {
        found["spec"] = wanted["spec"].clone();
        return;
    };
    for field in fields {
        spec.insert((*field).to_owned(), wanted["spec"][field].clone());
    }
}

/// Says where the apiservers are.
async fn reconcile_addresses(
    pipeline: &Pipeline,
    address: Ipv4Addr,
    port: u16,
    now: Timestamp,
) -> Result<(), Status> {
    if address.is_loopback() {
        // Nobody else could reach it; Endpoints refuse it, too.
        return Ok(());
    }
    pipeline.cache.fresh().await?;
    let leases = pipeline.cache.of("coordination.k8s.io", "leases");
    let leases = leases
        .map(|of| of.list(Some("kube-system")).0)
        .unwrap_or_default();
    let live: Vec<Value> = leases
        .iter()
        .filter(|entry| {
            entry
                .labels
                .get(LABEL)
                .is_some_and(|value| value == "kube-apiserver")
        })
        .map(|entry| entry.value())
        .collect();
    let mut addresses = live_addresses(&live, now);
    if addresses.is_empty() {
        addresses.push(address.to_string());
    }
    let told = ensure_as(pipeline, endpoints(&addresses, port), |found, wanted| {
        found["subsets"] = wanted["subsets"].clone();
    })
    .await;
    let sliced = ensure_as(pipeline, slice(&addresses, port), |found, wanted| {
        found["endpoints"] = wanted["endpoints"].clone();
        found["ports"] = wanted["ports"].clone();
    })
    .await;
    told.and(sliced)
}

fn lease(address: Ipv4Addr, now: Timestamp) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": format!("apiserver-{address}"),
            "namespace": "kube-system",
            "labels": {LABEL: "kube-apiserver"},
        },
        "spec": {
            "holderIdentity": address.to_string(),
            "leaseDurationSeconds": STALE.as_secs(),
            "renewTime": now.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string(),
        },
    })
}

/// The holders of leases that are fresh, in order.
fn live_addresses(leases: &[Value], now: Timestamp) -> Vec<String> {
    let mut addresses: Vec<String> = leases
        .iter()
        .filter(|lease| {
            let renewed = lease["spec"]["renewTime"].as_str();
            renewed
                .and_then(|text| text.parse::<Timestamp>().ok())
                .is_some_and(|renewed| now.duration_since(renewed) < STALE)
        })
        .filter_map(|lease| lease["spec"]["holderIdentity"].as_str())
        .map(str::to_owned)
        .collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

fn service(cluster_ip: Ipv4Addr, port: u16) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": cluster_ip.to_string(),
            "sessionAffinity": "None",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}],
        },
    })
}

fn endpoints(addresses: &[String], port: u16) -> Value {
    let addresses: Vec<Value> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
        },
        "subsets": [{
            "addresses": addresses,
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
        }],
    })
}

fn slice(addresses: &[String], port: u16) -> Value {
    let endpoints: Vec<Value> = addresses
        .iter()
        .map(|ip| json!({"addresses": [ip], "conditions": {"ready": true}}))
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "kubernetes"},
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fresh_leases_count() {
        let now: Timestamp = "2026-01-01T00:01:00Z".parse().unwrap();
        let held =
            |ip: &str, time: &str| json!({"spec": {"holderIdentity": ip, "renewTime": time}});
        let leases = [
            held("10.0.0.2", "2026-01-01T00:00:50.000000Z"),
            held("10.0.0.1", "2026-01-01T00:00:59.000000Z"),
            held("10.0.0.3", "2026-01-01T00:00:00.000000Z"),
        ];
        assert_eq!(live_addresses(&leases, now), ["10.0.0.1", "10.0.0.2"]);
    }
}
