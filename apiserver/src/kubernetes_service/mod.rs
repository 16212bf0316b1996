//! The Service `kubernetes` in `default`: how pods, and everybody who learns of apiservers, reach
//! them.
//!
//! Every apiserver renews a Lease, and asks the others how they are ([`probe`]). The addresses of
//! those that live ([`peers`]) are the Service's endpoints; its own it adds while it is ready
//! ([`presence`]). One that stops takes itself out before it does.

mod peers;
mod presence;
mod probe;

use crate::bootstrap::{ensure_as, target_of};
use crate::pipeline::{Body, Pipeline, Request, Verb};
use crate::rest::health::{self, Startup};
use hardway_client::kubeconfig::Pem;
use hardway_proto::Status;
use jiff::Timestamp;
use parking_lot::Mutex;
use peers::{Lease, Peers, STALE};
use presence::Presence;
use probe::Probes;
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How often the own Lease is renewed.
const RENEW: Duration = Duration::from_secs(10);
/// How often others are asked how they are, if there are any.
const PROBE: Duration = Duration::from_millis(400);
/// Before what failed is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How long one that stops tries to take itself out.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);
const LABEL: &str = "apiserver.kubernetes.io/identity";

/// This apiserver as one of those behind the Service.
pub struct Member {
    /// The Service's address.
    pub cluster_ip: Ipv4Addr,
    /// Where others reach this one.
    pub address: Ipv4Addr,
    /// The port of all of them.
    pub port: u16,
    /// Who has signed the others' certificates.
    pub peer_ca: Pem,
    peers: Mutex<Peers>,
    presence: Mutex<Presence>,
    leaving: CancellationToken,
}

impl Member {
    /// One that is yet to [`run`](Self::run).
    pub fn new(cluster_ip: Ipv4Addr, address: Ipv4Addr, port: u16, peer_ca: Pem) -> Self {
        Self {
            cluster_ip,
            address,
            port,
            peer_ca,
            peers: Mutex::default(),
            presence: Mutex::default(),
            leaving: CancellationToken::new(),
        }
    }

    /// Keeps Service and endpoints as they should be, until it [leaves](Self::leave).
    pub async fn run(&self, pipeline: &Pipeline, startup: &Startup) {
        let running = async {
            let mut probes = self.probes().await;
            let mut renewed: Option<Instant> = None;
            loop {
                let outcome = self.go_round(pipeline, startup, &mut renewed).await;
                if let Err(status) = &outcome {
                    tracing::warn!(%status, "the Service kubernetes, retrying");
                }
                let others = self.peers.lock().asked(Instant::now());
                let next = match (&outcome, &renewed) {
                    (Err(_), _) | (_, None) => RETRY,
                    (Ok(()), Some(at)) => RENEW.saturating_sub(at.elapsed()),
                };
                if others.is_empty() {
                    sleep(next).await;
                    continue;
                }
                sleep(next.min(PROBE)).await;
                let answers = probes.ask(&others).await;
                let mut peers = self.peers.lock();
                for (address, answer) in answers {
                    peers.heard(&address, answer, Instant::now());
                }
            }
        };
        self.leaving.run_until_cancelled(running).await;
    }

    async fn probes(&self) -> Probes {
        loop {
            match Probes::new(&self.peer_ca, self.port) {
                Ok(probes) => return probes,
                Err(error) => {
                    tracing::warn!(%error, "cannot ask other apiservers how they are, retrying");
                    sleep(RENEW).await;
                }
            }
        }
    }

    /// Renews the Lease if it is time, and says where the apiservers are if that is news.
    async fn go_round(
        &self,
        pipeline: &Pipeline,
        startup: &Startup,
        renewed: &mut Option<Instant>,
    ) -> Result<(), Status> {
        let is_due = renewed.is_none_or(|at| at.elapsed() >= RENEW);
        if is_due {
            pipeline.cache.fresh().await?;
        }
        let own = self.address.to_string();
        let listed = listed(pipeline);
        let mut live = self.others(pipeline);
        if live.is_empty() || self.belongs(pipeline, startup, &listed).await {
            live.push(own.clone());
            live.sort();
        }
        if !is_due && listed == live {
            return Ok(());
        }
        // One that comes, or comes back, shows the others that it is there.
        let is_news = live.contains(&own) && !listed.contains(&own) && !self.address.is_loopback();
        let mine = match is_due || is_news {
            true => self.renew(pipeline).await,
            false => Ok(()),
        };
        if mine.is_ok() && (is_due || is_news) {
            *renewed = Some(Instant::now());
        }
        let served = match is_due {
            true => {
                ensure_as(
                    pipeline,
                    service(self.cluster_ip, self.port),
                    |found, wanted| {
                        take_over(found, wanted, &["ports"]);
                    },
                )
                .await
            }
            false => Ok(()),
        };
        let reached = self.publish(pipeline, &live).await;
        // One that can't be written keeps no other from it.
        mine.and(served).and(reached)
    }

    async fn renew(&self, pipeline: &Pipeline) -> Result<(), Status> {
        let lease = lease(self.address, Timestamp::now());
        ensure_as(pipeline, lease, |found, wanted| {
            take_over(found, wanted, &["renewTime", "holderIdentity"]);
        })
        .await
    }

    /// Whether the own address belongs among those of others: it is there, and others have no
    /// objection, or this apiserver is ready and has been out for long enough.
    async fn belongs(&self, pipeline: &Pipeline, startup: &Startup, listed: &[String]) -> bool {
        if self.address.is_loopback() {
            return true;
        }
        let own = self.address.to_string();
        let (taken_out, is_in, may_return) = {
            let (mut presence, now) = (self.presence.lock(), Instant::now());
            let taken_out = presence.seen(listed, &own, now);
            (taken_out, presence.is_in(), presence.may_return(now))
        };
        if let Some(pause) = taken_out {
            tracing::warn!(
                ?pause,
                "other apiservers have taken this one out of the Service kubernetes: it comes \
                 back after a pause, if it is ready"
            );
        }
        is_in || may_return && health::verdict(pipeline, startup).await.is_ok()
    }

    /// The addresses of the others that live, in order.
    fn others(&self, pipeline: &Pipeline) -> Vec<String> {
        let own = self.address.to_string();
        let mut leases = leases(pipeline, Timestamp::now());
        leases.retain(|lease| lease.address != own);
        let now = Instant::now();
        let mut peers = self.peers.lock();
        peers.read(&leases, now);
        peers.live(now)
    }

    /// Says where the apiservers are.
    async fn publish(&self, pipeline: &Pipeline, addresses: &[String]) -> Result<(), Status> {
        if self.address.is_loopback() {
            // Nobody else could reach it; Endpoints refuse it, too.
            return Ok(());
        }
        let told = ensure_as(
            pipeline,
            endpoints(addresses, self.port),
            |found, wanted| {
                found["subsets"] = wanted["subsets"].clone();
            },
        );
        let sliced = ensure_as(pipeline, slice(addresses, self.port), |found, wanted| {
            found["endpoints"] = wanted["endpoints"].clone();
            found["ports"] = wanted["ports"].clone();
        });
        let (told, sliced) = tokio::join!(told, sliced);
        told.and(sliced)
    }

    /// Gives the Lease back and takes the own address out, if there are others: for one that
    /// stops. It is served from the others then.
    pub async fn leave(&self, pipeline: &Pipeline) {
        self.leaving.cancel();
        let leaving = async {
            let live = self.others(pipeline);
            if live.is_empty() {
                return Ok(());
            }
            let target = target_of(pipeline, &lease(self.address, Timestamp::now()))?;
            let given_back = Request::internal(Verb::Delete, target, Body::Empty);
            let given_back = pipeline.dispatch(&given_back).await.map(drop);
            given_back.and(self.publish(pipeline, &live).await)
        };
        match timeout(LEAVE_WITHIN, leaving).await {
            Ok(Ok(())) => {}
            Ok(Err(status)) => tracing::warn!(%status, "cannot leave the Service kubernetes"),
            Err(_) => tracing::warn!("cannot leave the Service kubernetes in time"),
        }
    }
}

/// The Leases of apiservers, as the cache has them.
fn leases(pipeline: &Pipeline, now: Timestamp) -> Vec<Lease> {
    let leases = pipeline.cache.of("coordination.k8s.io", "leases");
    let leases = leases.map(|of| of.list(Some("kube-system")).0);
    let leases = leases.unwrap_or_default();
    let of_apiservers = leases.iter().filter(|entry| {
        entry
            .labels
            .get(LABEL)
            .is_some_and(|of| of == "kube-apiserver")
    });
    of_apiservers
        .filter_map(|entry| {
            let value = entry.value();
            let renewed = value["spec"]["renewTime"]
                .as_str()?
                .parse::<Timestamp>()
                .ok()?;
            Some(Lease {
                address: value["spec"]["holderIdentity"].as_str()?.to_owned(),
                revision: entry.revision,
                age: Duration::try_from(now.duration_since(renewed)).unwrap_or_default(),
            })
        })
        .collect()
}

/// The addresses that are told now, in order; nothing if Endpoints and EndpointSlice differ.
fn listed(pipeline: &Pipeline) -> Vec<String> {
    let of = |group: &str, resource: &str| {
        let entry = pipeline
            .cache
            .of(group, resource)?
            .get("default/kubernetes")?;
        Some(entry.value())
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let items = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let endpoints = of("", "endpoints").unwrap_or_default();
    let addresses = items(&endpoints["subsets"][0]["addresses"]);
    let mut told: Vec<String> = addresses.iter().filter_map(|at| text(&at["ip"])).collect();
    let slice = of("discovery.k8s.io", "endpointslices").unwrap_or_default();
    let ready = items(&slice["endpoints"]);
    let addresses = ready
        .iter()
        .flat_map(|endpoint| items(&endpoint["addresses"]));
    let mut sliced: Vec<String> = addresses.filter_map(|address| text(&address)).collect();
    told.sort();
    sliced.sort();
    match told == sliced {
        true => told,
        false => Vec::new(),
    }
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
