//! What admission policies need of the server: kinds and schemas, patches, metrics; and what
//! they are told of themselves in their status.

mod host;
mod metrics;
mod status;
mod type_checking;
mod types;

pub use host::PolicyHost;
pub use status::run;
