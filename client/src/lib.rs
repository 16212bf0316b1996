//! What every component does the same way: connect to the apiserver with
//! mutual TLS, list and watch into a cache, work off keyed queues, elect a
//! leader, record events, and serve health and metrics.
//!
//! A component's `main` usually reads: parse [`flags::Common`], call
//! [`logging::init`], build a [`Client`] with [`flags::Common::client`],
//! start informers ([`informer::Informer`]) and a [`controller`], serve
//! [`health`], let the [`watchdog`] look after it, and wait for
//! [`signals::shutdown`] or for a [`task`] to fail.
//!
//! A controller in full, which keeps a ConfigMap `greeting` in every namespace:
//!
//! ```no_run
//! use hardway_client::controller::{self, Next};
//! use hardway_client::kubeconfig::Kubeconfig;
//! use hardway_client::queue::WorkQueue;
//! use hardway_client::{Client, Informer};
//! use hardway_proto::{Kind, Status};
//! use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Kubeconfig::load("/etc/hardway/greeter.kubeconfig".as_ref())?;
//! let client = Client::new(&config, "greeter")?;
//! let queue = WorkQueue::new();
//!
//! // What changes becomes a key; many changes of one namespace are one key.
//! let added = queue.clone();
//! let namespaces = Informer::new(client.all::<Namespace>())
//!     .on_change(move |change| added.add(change.object().name().to_owned()))
//!     .start();
//! namespaces.wait_synced().await;
//!
//! controller::run("greeter", queue, 1, |namespace| {
//!     let api = client.namespaced::<ConfigMap>(&namespace);
//!     async move {
//!         let mut map = ConfigMap::default();
//!         map.metadata.name = Some("greeting".into());
//!         match api.create(&map).await {
//!             Err(status) if !status.is_already_exists() => Err(status),
//!             _ => Ok::<_, Status>(Next::Done),
//!         }
//!     }
//! })
//! .await;
//! # Ok(()) }
//! ```

pub mod api;
pub mod apiservers;
mod bearer;
pub mod certificate;
pub mod channel;
pub mod clock;
pub mod controller;
pub mod delegation;
pub mod events;
pub mod expiry;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
#[cfg(any(debug_assertions, feature = "faults"))]
pub mod faults;
pub mod flags;
pub mod health;
pub mod host;
pub mod in_cluster;
pub mod informer;
pub mod kubeconfig;
pub mod leader;
pub mod logging;
pub mod metrics;
pub mod notify;
pub mod panics;
pub mod pod_health;
pub mod queue;
pub mod rest;
mod sending;
pub mod serving;
pub mod shrink;
pub mod signals;
pub mod steps;
pub mod store;
pub mod systemd;
pub mod task;
pub mod tls;
pub mod trace;
mod transport;
pub mod turns;
pub mod unreadable;
pub mod vital;
pub mod watchdog;

pub use api::{Api, Client, DynamicApi, Target, WatchParams};
pub use informer::Informer;
pub use store::Store;
