//! An operator: who writes a `Website` gets servers that show its pages.
//!
//! - `api`: the kind in its versions, with the rules of its schema, and its definition;
//! - `conversion`: from one version to the other;
//! - `admission`: what the apiserver asks before it stores a website;
//! - `desired`: what a website should have, and what is to be said of it: decisions only;
//! - `controller`: makes it so, through the API;
//! - `certificates`, `trust`: certificates of the webhooks, and telling the apiserver of them;
//! - `server`: the HTTPS server that the apiserver asks.

pub mod admission;
pub mod api;
pub mod certificates;
pub mod controller;
pub mod conversion;
pub mod desired;
pub mod server;
pub mod trust;
