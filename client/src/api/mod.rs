//! The apiserver's verbs, typed ([`Api`]) and untyped ([`DynamicApi`]).

mod client;
mod dynamic;
mod options;
mod typed;

pub use client::Client;
pub use dynamic::{DynamicApi, ObjectList};
pub use options::{DeleteParams, Patch, WatchParams};
pub use typed::Api;

/// What requests are about: group, version, resource, namespace.
pub type Target = hardway_proto::api::Target;
