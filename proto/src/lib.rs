//! What crosses a wire: the gRPC services, and the vocabulary of objects that
//! every component speaks.

pub mod claims;
pub mod cron;
pub mod duration;
mod envelope;
pub mod fields;
pub mod kind;
pub mod labels;
mod lenient;
pub mod meta;
pub mod names;
pub mod placement;
pub mod quantity;
pub mod quota;
pub mod references;
mod selector_text;
pub mod status;
pub mod sysctl;

pub use kind::{Kind, ResourceId};
pub use status::Status;

/// The generated gRPC messages, client and server of `hardway.v1.Api`.
#[allow(missing_docs, clippy::all)]
pub mod api {
    tonic::include_proto!("hardway.v1");
}
