//! The metrics server: what nodes and pods use, for `kubectl top` and autoscalers.
//!
//! It scrapes each kubelet's `/metrics/resource` ([`scrape`]), keeps the last two points of
//! every container ([`storage`]), and serves what lies between them as `metrics.k8s.io/v1beta1`
//! ([`api`]) behind the apiserver, which tells it who asks ([`authentication`]).

pub mod api;
pub mod authentication;
pub mod exposition;
pub mod flags;
pub mod placed;
pub mod registration;
pub mod scrape;
pub mod server;
pub mod storage;
pub mod table;
