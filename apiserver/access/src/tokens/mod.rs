//! Service account tokens: issuing and verifying.

use crate::{Objects, User};
use hardway_proto::Status;
use serde_json::Value;

/// Signs tokens.
pub struct TokenIssuer {
    issuer: String,
}

/// Verifies tokens.
pub struct TokenVerifier {
    issuer: String,
}

/// A key that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("service account key: {0}")]
pub struct KeyError(pub String);

impl TokenIssuer {
    /// Signs with the private key in `pem` (ECDSA P-256 or RSA; PKCS#8, SEC1
    /// or PKCS#1). `audiences` are those of tokens that ask for none.
    pub fn new(issuer: &str, pem: &str, _audiences: Vec<String>) -> Result<Self, KeyError> {
        let _ = pem;
        Ok(Self {
            issuer: issuer.into(),
        })
    }

    /// Answers a TokenRequest for a service account.
    pub fn create(
        &self,
        _objects: &dyn Objects,
        _namespace: &str,
        _service_account: &str,
        _request: &Value,
    ) -> Result<Value, Status> {
        Err(Status::internal(&self.issuer))
    }
}

impl TokenVerifier {
    /// Accepts tokens of `issuer` signed by any of the keys in the PEM texts
    /// (public or private keys) for any of the `audiences`.
    pub fn new(issuer: &str, pems: &[String], _audiences: Vec<String>) -> Result<Self, KeyError> {
        let _ = pems;
        Ok(Self {
            issuer: issuer.into(),
        })
    }

    /// The JWKS document at `/openid/v1/jwks`.
    pub fn jwks(&self) -> Value {
        Value::Null
    }

    /// The document at `/.well-known/openid-configuration`.
    pub fn discovery(&self, _jwks_uri: &str) -> Value {
        Value::Null
    }

    /// The user a token proves, and the audiences it was accepted for.
    pub fn verify(
        &self,
        _objects: &dyn Objects,
        _token: &str,
        _audiences: &[String],
        _now: jiff::Timestamp,
    ) -> Result<(User, Vec<String>), String> {
        Err(self.issuer.clone())
    }
}
