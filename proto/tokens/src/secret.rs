//! Tokens that are kept in Secrets of type
//! `kubernetes.io/service-account-token`. They never expire: they are good as
//! long as the Secret has them and the service account exists.

use crate::jwt;
use crate::keys::SigningKey;
use serde::{Deserialize, Serialize};

/// Who says to have issued them.
pub const ISSUER: &str = "kubernetes/serviceaccount";
/// The type of their Secrets.
pub const TYPE: &str = "kubernetes.io/service-account-token";
/// Annotation of the Secret: the name of its service account.
pub const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
/// Annotation of the Secret: the UID of its service account.
pub const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";
/// The key of the Secret's data that has the token.
pub const TOKEN: &str = "token";

/// What such a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// [`ISSUER`].
    pub iss: String,
    /// Namespace of the account and of the Secret.
    #[serde(rename = "kubernetes.io/serviceaccount/namespace")]
    pub namespace: String,
    /// Name of the Secret.
    #[serde(rename = "kubernetes.io/serviceaccount/secret.name")]
    pub secret: String,
    /// Name of the account.
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.name")]
    pub account: String,
    /// UID of the account.
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.uid")]
    pub uid: String,
    /// `system:serviceaccount:NAMESPACE:NAME`.
    pub sub: String,
}

impl Claims {
    /// Of a Secret, for an account of its namespace.
    pub fn new(namespace: &str, secret: &str, account: &str, uid: &str) -> Self {
        Self {
            iss: ISSUER.to_owned(),
            namespace: namespace.to_owned(),
            secret: secret.to_owned(),
            account: account.to_owned(),
            uid: uid.to_owned(),
            sub: format!("system:serviceaccount:{namespace}:{account}"),
        }
    }

    /// What a token says, if it is one of these. Nothing is trusted yet.
    pub fn of(token: &str) -> Option<Self> {
        jwt::claims::<Self>(token).filter(|claims| claims.iss == ISSUER)
    }

    /// The token.
    pub fn sign(&self, key: &SigningKey) -> Result<String, ring::error::Unspecified> {
        jwt::encode(self, key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::VerifyingKey;

    #[test]
    fn says_what_kubernetes_says() {
        let pem = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let key = SigningKey::from_pem(&pem).unwrap();
        let claims = Claims::new("shop", "web-token", "web", "u-1");
        let token = claims.sign(&key).unwrap();
        assert_eq!(Claims::of(&token), Some(claims));
        let keys = VerifyingKey::all_from_pem(&pem).unwrap();
        let keys: Vec<_> = keys.into_iter().map(|key| (key.id(), key)).collect();
        assert!(jwt::is_signed(&token, &keys));
        assert_eq!(
            jwt::claims::<serde_json::Value>(&token).unwrap(),
            serde_json::json!({
                "iss": "kubernetes/serviceaccount",
                "kubernetes.io/serviceaccount/namespace": "shop",
                "kubernetes.io/serviceaccount/secret.name": "web-token",
                "kubernetes.io/serviceaccount/service-account.name": "web",
                "kubernetes.io/serviceaccount/service-account.uid": "u-1",
                "sub": "system:serviceaccount:shop:web",
            })
        );
    }
}
