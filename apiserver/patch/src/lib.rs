//! What a PATCH does to an object, and who owns its fields.
//!
//! Four kinds of patch: JSON patch (RFC 6902), JSON merge patch (RFC 7386),
//! strategic merge patch and server-side apply. The last two read off the
//! resource's schema how lists and maps merge. Everything here is a pure
//! function of objects, patches and schemas; failures are the `Status` that
//! Kubernetes answers with.
//!
//! - [`json_patch()`], [`merge_patch`], [`strategic_merge`]: the new object.
//! - [`managed_fields::update`]: called by every write that is not an apply,
//!   just before storing, to keep `metadata.managedFields`.
//! - [`apply`]: server-side apply; keeps `metadata.managedFields` itself.

mod apply;
mod configuration;
pub mod fields;
mod go_format;
mod json;
pub mod managed_fields;
mod strategic;
mod typed;
mod versions;

pub use apply::{apply, check_applied};
pub use configuration::merge_configuration;
pub use fields::{FieldSet, PathElement};
pub use go_format::go_format;
pub use json::{JsonPatchError, apply_json_patch, json_patch, merge_patch, tested_json_patch};
pub use managed_fields::Writer;
pub use strategic::strategic_merge;
pub use versions::Versions;
