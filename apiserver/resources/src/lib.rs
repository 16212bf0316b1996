//! The table of resources: a kind is a row of data here plus its own rules.
//!
//! Everything that differs between kinds is read off this table: discovery,
//! OpenAPI, strict decoding, defaulting, validation, printer columns,
//! selectable fields, merge keys for patches and server-side apply.

pub mod cell;
pub mod crd;
pub mod discovery;
pub mod excerpt;
pub mod jsonpath;
pub mod openapi;
pub mod printers;
pub mod registry;
pub mod resource;
pub mod rows;
pub mod rules;
pub mod scale;
pub mod schema;
pub mod strict;
pub mod table;

pub use registry::Registry;
pub use resource::Resource;
pub use schema::Schema;
