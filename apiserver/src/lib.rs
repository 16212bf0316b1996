//! The apiserver: two protocols (REST and gRPC), one pipeline, one table of
//! resources, one store on etcd.

pub mod aggregation;
pub mod backend;
mod background;
pub mod bootstrap;
pub mod cache;
pub mod client_ca;
pub mod conversion;
pub mod definitions;
pub mod fairness;
pub mod flags;
pub mod grpc;
pub mod kubernetes_service;
pub mod metrics;
pub mod pipeline;
pub mod policies;
pub mod protobuf;
mod protocols;
pub mod rest;
pub mod server;
mod service_account_keys;
pub mod space;
pub mod steps;
pub mod store;
pub mod subresources;
pub mod trace;
pub mod webhooks;
mod witness;
