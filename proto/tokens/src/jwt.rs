//! JSON Web Tokens, as far as service accounts need them.

use crate::keys::{SigningKey, VerifyingKey};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The claims of a service account token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// Audiences.
    #[serde(deserialize_with = "one_or_many")]
    pub aud: Vec<String>,
    /// Expires, in seconds since 1970.
    pub exp: i64,
    /// Issued.
    pub iat: i64,
    /// Issuer.
    pub iss: String,
    /// Unique id.
    #[serde(default)]
    pub jti: String,
    /// Kubernetes' own claims.
    #[serde(rename = "kubernetes.io")]
    pub kubernetes: Private,
    /// Not before.
    pub nbf: i64,
    /// `system:serviceaccount:NAMESPACE:NAME`.
    pub sub: String,
}

/// Kubernetes' own claims.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Private {
    /// Namespace of the service account.
    pub namespace: String,
    /// The node it is bound to, or the pod's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<Ref>,
    /// The pod it is bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<Ref>,
    /// The secret it is bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Ref>,
    /// The service account.
    pub serviceaccount: Ref,
    /// When a client should have fetched a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warnafter: Option<i64>,
}

/// An object, by name and UID.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ref {
    /// Name.
    pub name: String,
    /// UID.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audience {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Audience::deserialize(input)? {
        Audience::One(audience) => vec![audience],
        Audience::Many(audiences) => audiences,
    })
}

/// Signs claims into a token.
pub fn encode(
    claims: &impl Serialize,
    key: &SigningKey,
) -> Result<String, ring::error::Unspecified> {
    let public = key.public();
    let header = json!({"alg": public.algorithm(), "kid": public.id()});
    let claims = json!(claims);
    let message = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let message = message.join(".");
    let signature = key.sign(message.as_bytes())?;
    Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// The claims of a token with the JSON of which nothing is trusted yet.
pub fn claims<T: serde::de::DeserializeOwned>(token: &str) -> Option<T> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

/// What says of a token how to verify it.
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: String,
}

impl Header {
    /// Of a token with the JSON of which nothing is trusted yet.
    fn of(token: &str) -> Option<Self> {
        let header = token.split('.').next()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()
    }
}

/// The id of the key that a token says it is signed with; nothing if it names none.
pub fn key_id(token: &str) -> Option<String> {
    let header = Header::of(token)?;
    (!header.kid.is_empty()).then_some(header.kid)
}

/// Whether a token is signed by one of the keys (each with its id).
pub fn is_signed(token: &str, keys: &[(String, VerifyingKey)]) -> bool {
    let read = || {
        let (message, signature) = token.rsplit_once('.')?;
        let header = Header::of(token)?;
        Some((message, header, URL_SAFE_NO_PAD.decode(signature).ok()?))
    };
    read().is_some_and(|(message, header, signature)| {
        keys.iter()
            .filter(|(id, _)| header.kid.is_empty() || *id == header.kid)
            .any(|(_, key)| {
                key.algorithm() == header.alg && key.verify(message.as_bytes(), &signature)
            })
    })
}
