//! Who may do what: authentication, authorization, admission, service account
//! tokens, the reviews API and the audit log.
//!
//! Everything here decides from JSON and from stored objects read through
//! [`Objects`]; nothing here writes to the store.

pub mod admission;
pub mod audit;
pub mod authn;
pub mod authz;
pub mod bootstrap;
mod objects;
mod recent;
pub mod reviews;
pub mod tokens;
mod user;

pub use admission::{Admission, AnnotationLevel, Operation, Review};
pub use authn::Authenticator;
pub use authz::{Attributes, Authorizer, Decision};
pub use objects::{Objects, text};
pub use recent::Recent;
pub use reviews::Reviews;
pub use tokens::{TokenIssuer, TokenVerifier};
pub use user::{MASTERS, UNAUTHENTICATED, User};
