//! Verifying tokens: signature, issuer, audience, time, and that everything
//! they are bound to still exists.

use super::jwt::{self, Claims, Ref};
use super::keys::{KeyError, VerifyingKey};
use crate::user::SERVICE_ACCOUNT_PREFIX;
use crate::{Objects, User, text};
use jiff::Timestamp;
use serde_json::{Value, json};

/// How long the token of a deleted object is still accepted, and how far
/// clocks may differ.
const LEEWAY_SECONDS: i64 = 60;

/// Verifies tokens.
pub struct TokenVerifier {
    issuer: String,
    keys: Vec<(String, VerifyingKey)>,
    audiences: Vec<String>,
}

impl TokenVerifier {
    /// Accepts tokens of `issuer` signed by any of the keys in the PEM texts
    /// (public or private keys) for any of the `audiences`.
    pub fn new(issuer: &str, pems: &[String], audiences: Vec<String>) -> Result<Self, KeyError> {
        let mut keys: Vec<(String, VerifyingKey)> = Vec::new();
        for pem in pems {
            for key in VerifyingKey::all_from_pem(pem)? {
                keys.push((key.id(), key));
            }
        }
        keys.sort_by(|a, b| a.0.cmp(&b.0));
        keys.dedup_by(|a, b| a.0 == b.0);
        Ok(Self {
            issuer: issuer.into(),
            keys,
            audiences,
        })
    }

    /// Audiences of the apiserver itself.
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// The JWKS document at `/openid/v1/jwks`.
    pub fn jwks(&self) -> Value {
        json!({"keys": self.keys.iter().map(|(_, key)| key.jwk()).collect::<Vec<_>>()})
    }

    /// The document at `/.well-known/openid-configuration`.
    pub fn discovery(&self, jwks_uri: &str) -> Value {
        let mut algorithms: Vec<&str> = self.keys.iter().map(|(_, key)| key.algorithm()).collect();
        algorithms.sort_unstable();
        algorithms.dedup();
        json!({
            "issuer": self.issuer,
            "jwks_uri": jwks_uri,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": algorithms,
        })
    }

    /// Whether a token claims to be of this issuer, so that no other
    /// authenticator needs to look at it.
    pub fn is_ours(&self, token: &str) -> bool {
        jwt::claims::<Value>(token).is_some_and(|claims| text(&claims, "/iss") == self.issuer)
    }

    /// The user a token proves, and for which of the wanted `audiences` (none:
    /// the apiserver's own) it is meant.
    pub fn verify(
        &self,
        objects: &dyn Objects,
        token: &str,
        audiences: &[String],
        now: Timestamp,
    ) -> Result<(User, Vec<String>), String> {
        if !jwt::is_signed(token, &self.keys) {
            return Err("invalid bearer token: no known key has signed it".into());
        }
        let claims: Claims =
            jwt::claims(token).ok_or("invalid bearer token: it is not a service account token")?;
        if claims.iss != self.issuer {
            return Err("invalid bearer token: it is from another issuer".into());
        }
        let wanted = match audiences.is_empty() {
            true => &self.audiences,
            false => audiences,
        };
        let shared = shared(&claims.aud, wanted)?;
        let now = now.as_second();
        if now > claims.exp {
            return Err("service account token has expired".into());
        }
        if now + LEEWAY_SECONDS < claims.nbf.max(claims.iat) {
            return Err("service account token is not valid yet".into());
        }
        Ok((self.subject(objects, claims, now)?, shared))
    }

    /// The service account, if it and what the token is bound to still exist.
    fn subject(&self, objects: &dyn Objects, claims: Claims, now: i64) -> Result<User, String> {
        let private = claims.kubernetes;
        let (namespace, account) = (&private.namespace, &private.serviceaccount);
        if claims.sub != format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{}", account.name) {
            return Err("invalid bearer token: subject and claims differ".into());
        }
        let exists = |resource, namespace: &str, reference: &Ref| {
            let object = objects.read("", resource, namespace, &reference.name);
            match object.is_some_and(|object| lives(&object, reference, now)) {
                true => Ok(()),
                false => Err("service account token has been invalidated".to_owned()),
            }
        };
        exists("serviceaccounts", namespace, account)?;
        if let Some(pod) = &private.pod {
            exists("pods", namespace, pod)?;
        }
        if let Some(secret) = &private.secret {
            exists("secrets", namespace, secret)?;
        }
        // A pod's node is information; only a token bound to a node alone
        // depends on it.
        if let (Some(node), None) = (&private.node, &private.pod) {
            exists("nodes", "", node)?;
        }
        let mut user = User::service_account(namespace, &account.name, &account.uid);
        let mut tell = |key: &str, value: String| {
            if !value.is_empty() {
                let key = format!("authentication.kubernetes.io/{key}");
                user.extra.insert(key, vec![value]);
            }
        };
        if !claims.jti.is_empty() {
            tell("credential-id", format!("JTI={}", claims.jti));
        }
        if let Some(pod) = private.pod {
            tell("pod-name", pod.name);
            tell("pod-uid", pod.uid);
        }
        if let Some(node) = private.node {
            tell("node-name", node.name);
            tell("node-uid", node.uid);
        }
        Ok(user)
    }
}

/// Whether an object is the one meant and not long deleted.
fn lives(object: &Value, reference: &Ref, now: i64) -> bool {
    let deleted = text(object, "/metadata/deletionTimestamp").parse::<Timestamp>();
    text(object, "/metadata/uid") == reference.uid
        && deleted.map_or(true, |at| at.as_second() >= now - LEEWAY_SECONDS)
}

/// Those wanted audiences that a token is meant for, of which there must be one.
pub(crate) fn shared(meant: &[String], wanted: &[String]) -> Result<Vec<String>, String> {
    let shared: Vec<String> = wanted
        .iter()
        .filter(|audience| meant.contains(audience))
        .cloned()
        .collect();
    match shared.is_empty() {
        true => Err(format!(
            "token audiences {meant:?} is invalid for the target audiences {wanted:?}"
        )),
        false => Ok(shared),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publishes_its_keys() {
        let pem = rcgen::KeyPair::generate().unwrap().public_key_pem();
        let verifier = TokenVerifier::new("https://k", &[pem.clone(), pem], vec![]).unwrap();
        assert_eq!(verifier.jwks()["keys"].as_array().unwrap().len(), 1);
        let document = verifier.discovery("https://k/openid/v1/jwks");
        assert_eq!(
            document["id_token_signing_alg_values_supported"],
            json!(["ES256"])
        );
    }
}
