//! What every component does the same way: connect to the apiserver with
//! mutual TLS, list and watch into a cache, work off keyed queues, elect a
//! leader, record events, and serve health and metrics.
//!
//! A component's `main` usually reads: parse [`flags::Common`], call
//! [`logging::init`], build a [`Client`] with [`flags::Common::client`],
//! start informers ([`informer::Informer`]) and a [`controller`], serve
//! [`health`], let the [`watchdog`] look after it, and wait for
//! [`signals::shutdown`] or for a [`task`] to fail.

pub mod api;
mod bearer;
pub mod certificate;
pub mod channel;
pub mod clock;
pub mod controller;
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
pub mod queue;
pub mod rest;
pub mod serving;
pub mod signals;
pub mod store;
pub mod systemd;
pub mod task;
pub mod tls;
pub mod trace;
mod transport;
pub mod unreadable;
pub mod vital;
pub mod watchdog;

pub use api::{Api, Client, DynamicApi, Target, WatchParams};
pub use informer::Informer;
pub use store::Store;
