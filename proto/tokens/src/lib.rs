//! Service account tokens as they are written down: keys, signatures, claims.
//! The apiserver signs and verifies with it, the controller manager signs the
//! tokens that are kept in Secrets. Pure.

mod der;
pub mod jwt;
pub mod keys;
pub mod secret;

pub use keys::{KeyError, SigningKey, VerifyingKey};
