//! Servers beside the apiserver that leave it to the apiserver who is who and who may do
//! what: the kubelet, aggregated API servers. Whoever shows a certificate is whom it names;
//! whom a bearer token names ([`Tokens`]) and what somebody may do ([`Reviews`]) is asked,
//! and remembered.

mod identity;
mod reviews;
mod tokens;

pub use identity::Identity;
pub use reviews::{Attributes, Reviews};
pub use tokens::Tokens;
