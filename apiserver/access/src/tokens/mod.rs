//! Service account tokens: issuing and verifying.

mod issuer;
mod verifier;

pub use hardway_tokens::{KeyError, SigningKey};
pub use issuer::TokenIssuer;
pub use verifier::TokenVerifier;
pub(crate) use verifier::shared;

/// A random UUID (version 4).
pub(crate) fn uuid() -> Result<String, hardway_proto::Status> {
    let mut bytes = [0u8; 16];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes)
        .map_err(|_| hardway_proto::Status::internal("the system has no random numbers"))?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    Ok(parts.join("-"))
}
