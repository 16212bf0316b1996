//! Verifying tokens: signature, issuer, audience, time, and that everything
//! they are bound to still exists.

use crate::user::SERVICE_ACCOUNT_PREFIX;
use crate::{Objects, Recent, User, text};
use base64::{Engine, engine::general_purpose::STANDARD};
use hardway_tokens::jwt::{self, Claims, Ref};
use hardway_tokens::{KeyError, VerifyingKey, secret};
use jiff::Timestamp;
use parking_lot::RwLock;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How long the token of a deleted object is still accepted, and how far
/// clocks may differ.
const LEEWAY_SECONDS: i64 = 60;

/// Of so many tokens it is known that they are signed as they should be.
const SIGNED: usize = 16_384;

/// Keys, each with its id.
type Keys = Vec<(String, VerifyingKey)>;

/// Verifies tokens.
pub struct TokenVerifier {
    issuer: String,
    keys: RwLock<Keys>,
    /// How often the keys were replaced.
    generation: AtomicU64,
    audiences: Vec<String>,
    /// Tokens whose signature was verified lately, by their SHA-256, and with which generation
    /// of the keys. All else that makes a token good is looked at each time.
    signed: Recent<Vec<u8>, u64>,
}

impl TokenVerifier {
    /// Accepts tokens of `issuer` signed by any of the keys in the PEM texts
    /// (public or private keys) for any of the `audiences`.
    pub fn new(issuer: &str, pems: &[String], audiences: Vec<String>) -> Result<Self, KeyError> {
        Ok(Self {
            issuer: issuer.into(),
            keys: RwLock::new(keys(pems)?),
            generation: AtomicU64::new(0),
            audiences,
            signed: Recent::with_room_for(SIGNED),
        })
    }

    /// From now on tokens are accepted that one of these keys has signed, and no others.
    ///
    /// # Errors
    /// If there is a key that can't be used; those before stay.
    pub fn replace_keys(&self, pems: &[String]) -> Result<(), KeyError> {
        let keys = keys(pems)?;
        *self.keys.write() = keys;
        self.generation.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Changes whenever the keys were replaced.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Whether tokens are accepted that the key with this id has signed.
    pub fn knows(&self, id: &str) -> bool {
        self.keys.read().iter().any(|(known, _)| known == id)
    }

    /// Audiences of the apiserver itself.
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// The JWKS document at `/openid/v1/jwks`.
    pub fn jwks(&self) -> Value {
        json!({"keys": self.keys.read().iter().map(|(_, key)| key.jwk()).collect::<Vec<_>>()})
    }

    /// The document at `/.well-known/openid-configuration`.
    pub fn discovery(&self, jwks_uri: &str) -> Value {
        let keys = self.keys.read();
        let mut algorithms: Vec<&str> = keys.iter().map(|(_, key)| key.algorithm()).collect();
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
        jwt::claims::<Value>(token).is_some_and(|claims| {
            let issuer = text(&claims, "/iss");
            issuer == self.issuer || issuer == secret::ISSUER
        })
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
        if !self.is_signed(token) {
            return Err("invalid bearer token: no known key has signed it".into());
        }
        let wanted = match audiences.is_empty() {
            true => &self.audiences,
            false => audiences,
        };
        if let Some(claims) = secret::Claims::of(token) {
            // It names no audience, so it is meant for the apiserver alone.
            let shared = shared(&self.audiences, wanted)?;
            return Ok((kept_in_secret(objects, token, claims)?, shared));
        }
        let claims: Claims =
            jwt::claims(token).ok_or("invalid bearer token: it is not a service account token")?;
        if claims.iss != self.issuer {
            return Err("invalid bearer token: it is from another issuer".into());
        }
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

    /// Whether one of the keys has signed a token.
    fn is_signed(&self, token: &str) -> bool {
        let digest = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
        // Before the keys are looked at: what was signed with a former one is verified again.
        let generation = self.generation();
        if self.signed.get(digest.as_ref()) == Some(generation) {
            return true;
        }
        let is_signed = jwt::is_signed(token, &self.keys.read());
        if is_signed {
            self.signed.put(digest.as_ref().to_vec(), generation);
        }
        is_signed
    }

    /// The service account, if it and what the token is bound to still exist.
    fn subject(&self, objects: &dyn Objects, claims: Claims, now: i64) -> Result<User, String> {
        let private = claims.kubernetes;
        let (namespace, account) = (&private.namespace, &private.serviceaccount);
        if claims.sub != format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{}", account.name) {
            return Err("invalid bearer token: subject and claims differ".into());
        }
        let exists = |resource, namespace: &str, reference: &Ref| {
            let stored = objects.get("", resource, namespace, &reference.name);
            match stored.is_some_and(|stored| lives(&stored, reference, now)) {
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

/// All keys in PEM texts, each once.
fn keys(pems: &[String]) -> Result<Keys, KeyError> {
    let mut keys = Keys::new();
    for pem in pems {
        for key in VerifyingKey::all_from_pem(pem)? {
            keys.push((key.id(), key));
        }
    }
    keys.sort_by(|a, b| a.0.cmp(&b.0));
    keys.dedup_by(|a, b| a.0 == b.0);
    Ok(keys)
}

/// What of an object says which one it is; pods are large, and asked for with each request.
#[derive(Deserialize)]
struct Identified {
    metadata: Identity,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Identity {
    uid: String,
    deletion_timestamp: Option<Timestamp>,
}

/// Whether a stored object is the one meant and not long deleted.
fn lives(stored: &[u8], reference: &Ref, now: i64) -> bool {
    let Ok(Identified { metadata }) = serde_json::from_slice(stored) else {
        return false;
    };
    let deleted = metadata.deletion_timestamp;
    metadata.uid == reference.uid && deleted.is_none_or(|at| at.as_second() >= now - LEEWAY_SECONDS)
}

/// The service account of a token that is kept in a Secret, if the Secret
/// still has it and the account still exists.
fn kept_in_secret(
    objects: &dyn Objects,
    token: &str,
    claims: secret::Claims,
) -> Result<User, String> {
    let (namespace, name) = (&claims.namespace, &claims.account);
    if claims.sub != format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}") {
        return Err("invalid bearer token: subject and claims differ".into());
    }
    let exists = |object: &Arc<Value>| text(object, "/metadata/deletionTimestamp").is_empty();
    let kept = objects
        .read("", "secrets", namespace, &claims.secret)
        .filter(exists)
        .ok_or("service account token has been invalidated")?;
    let data = STANDARD.decode(text(&kept, "/data/token"));
    if data.ok().as_deref() != Some(token.as_bytes()) {
        return Err("service account token does not match server's copy".into());
    }
    let account = objects
        .read("", "serviceaccounts", namespace, name)
        .filter(exists)
        .ok_or_else(|| format!("ServiceAccount {namespace}/{name} has been deleted"))?;
    let uid = text(&account, "/metadata/uid");
    if uid != claims.uid {
        return Err(format!(
            "ServiceAccount UID ({uid}) does not match claim ({})",
            claims.uid
        ));
    }
    Ok(User::service_account(namespace, name, uid))
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
    use crate::objects::fake::Fake;

    #[test]
    fn a_token_in_a_secret_is_good_as_long_as_both_are_there() {
        let pem = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let key = hardway_tokens::SigningKey::from_pem(&pem).unwrap();
        let own = vec!["https://k".to_owned()];
        let verifier = TokenVerifier::new("https://k", &[pem], own.clone()).unwrap();
        let token = secret::Claims::new("shop", "s", "web", "sa-1").sign(&key);
        let token = token.unwrap();
        let fake = Fake::default();
        let account = |uid| json!({"metadata": {"name": "web", "namespace": "shop", "uid": uid}});
        let kept = |token: &str| {
            json!({"metadata": {"name": "s", "namespace": "shop"},
                "data": {"token": STANDARD.encode(token)}})
        };
        let verify = |audiences: &[String]| {
            let answer = verifier.verify(&fake, &token, audiences, Timestamp::now());
            answer.map(|(user, audiences)| (user.name, audiences))
        };
        assert!(verifier.is_ours(&token));
        assert!(verify(&[]).unwrap_err().contains("has been invalidated"));
        fake.put("", "secrets", kept(&token));
        assert!(verify(&[]).unwrap_err().contains("has been deleted"));
        fake.put("", "serviceaccounts", account("sa-1"));
        let user = "system:serviceaccount:shop:web".to_owned();
        assert_eq!(verify(&[]), Ok((user, own)));
        assert!(verify(&["vault".to_owned()]).is_err());
        fake.put("", "serviceaccounts", account("sa-2"));
        assert!(verify(&[]).unwrap_err().contains("does not match claim"));
        fake.put("", "secrets", kept("another"));
        assert!(verify(&[]).unwrap_err().contains("server's copy"));
    }

    #[test]
    fn a_known_signature_is_good_only_as_long_as_its_key() {
        let pem = || rcgen::KeyPair::generate().unwrap().serialize_pem();
        let (own, other) = (pem(), pem());
        let key = hardway_tokens::SigningKey::from_pem(&own).unwrap();
        let verifier = TokenVerifier::new("https://k", std::slice::from_ref(&own), vec![]);
        let verifier = verifier.unwrap();
        let token = secret::Claims::new("shop", "s", "web", "sa-1").sign(&key);
        let token = token.unwrap();
        let kept = || verifier.signed.kept();
        assert!(verifier.is_signed(&token) && verifier.is_signed(&token));
        assert_eq!(kept(), 1);
        // A letter less is another token, and no good one is known by it.
        assert!(!verifier.is_signed(&token[..token.len() - 1]));
        assert_eq!(kept(), 1);
        verifier.replace_keys(&[other]).unwrap();
        assert!(!verifier.is_signed(&token));
        verifier.replace_keys(&[own]).unwrap();
        assert!(verifier.is_signed(&token));
    }

    #[test]
    fn what_a_token_is_bound_to_is_known_by_its_uid() {
        let reference = Ref {
            name: "web-0".into(),
            uid: "u-1".into(),
        };
        let at: Timestamp = "2026-01-01T00:01:00Z".parse().unwrap();
        let lives = |metadata: Value| {
            let pod = json!({"metadata": metadata, "spec": {"containers": []}});
            lives(pod.to_string().as_bytes(), &reference, at.as_second())
        };
        assert!(lives(json!({"uid": "u-1"})));
        assert!(lives(
            json!({"uid": "u-1", "deletionTimestamp": "2026-01-01T00:00:00Z"})
        ));
        assert!(!lives(
            json!({"uid": "u-1", "deletionTimestamp": "2025-12-31T23:59:59Z"})
        ));
        assert!(!lives(json!({"uid": "u-2"})) && !lives(json!({})));
    }

    #[test]
    fn keys_are_replaced_as_a_whole_or_not_at_all() {
        let pem = || rcgen::KeyPair::generate().unwrap().serialize_pem();
        let id = |pem: &str| {
            hardway_tokens::SigningKey::from_pem(pem)
                .unwrap()
                .public()
                .id()
        };
        let (old, new) = (pem(), pem());
        let verifier = TokenVerifier::new("https://k", std::slice::from_ref(&old), vec![]).unwrap();
        let both = format!("{old}{new}");
        verifier.replace_keys(&[both]).unwrap();
        // Documents that were made of the keys are made anew.
        assert_eq!(verifier.generation(), 1);
        assert!(verifier.knows(&id(&old)) && verifier.knows(&id(&new)));
        verifier.replace_keys(&["nonsense".into()]).unwrap_err();
        assert_eq!(verifier.generation(), 1);
        assert!(verifier.knows(&id(&old)));
        verifier.replace_keys(std::slice::from_ref(&new)).unwrap();
        assert!(!verifier.knows(&id(&old)) && verifier.knows(&id(&new)));
    }

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
