//! Issuing tokens: the `serviceaccounts/token` subresource.

use crate::objects::strings;
use crate::user::SERVICE_ACCOUNT_PREFIX;
use crate::{Objects, text};
use hardway_proto::{Status, status::Cause};
use hardway_tokens::jwt::{self, Claims, Private, Ref};
use hardway_tokens::{KeyError, SigningKey};
use jiff::Timestamp;
use parking_lot::RwLock;
use serde_json::{Value, json};

const DEFAULT_SECONDS: i64 = 3600;
const MIN_SECONDS: i64 = 600;
const MAX_SECONDS: i64 = 1 << 32;
/// What kubelets ask for on behalf of pods. Such a token lives on for a year,
/// for clients that never read it again, but counts as stale after this time.
const POD_SECONDS: i64 = 3607;
const EXTENDED_SECONDS: i64 = 365 * 24 * 3600;

/// Signs tokens.
pub struct TokenIssuer {
    issuer: String,
    key: RwLock<SigningKey>,
    audiences: Vec<String>,
}

impl TokenIssuer {
    /// Signs with the private key in `pem` (ECDSA P-256 or RSA; PKCS#8, SEC1
    /// or PKCS#1). `audiences` are those of tokens that ask for none.
    pub fn new(issuer: &str, pem: &str, audiences: Vec<String>) -> Result<Self, KeyError> {
        Ok(Self {
            issuer: issuer.into(),
            key: RwLock::new(SigningKey::from_pem(pem)?),
            audiences,
        })
    }

    /// Signs with this key from now on.
    pub fn replace_key(&self, key: SigningKey) {
        *self.key.write() = key;
    }

    /// Answers a TokenRequest for a service account.
    pub fn create(
        &self,
        objects: &dyn Objects,
        namespace: &str,
        service_account: &str,
        request: &Value,
    ) -> Result<Value, Status> {
        self.create_at(
            objects,
            namespace,
            service_account,
            request,
            Timestamp::now(),
        )
    }

    fn create_at(
        &self,
        objects: &dyn Objects,
        namespace: &str,
        name: &str,
        request: &Value,
        now: Timestamp,
    ) -> Result<Value, Status> {
        let account = objects
            .read("", "serviceaccounts", namespace, name)
            .ok_or_else(|| Status::not_found("", "serviceaccounts", name))?;
        let seconds = lifetime(request)?;
        let mut audiences: Vec<String> = strings(request, "/spec/audiences")
            .map(Into::into)
            .collect();
        if audiences.is_empty() {
            audiences = self.audiences.clone();
        }
        let mut private = Private {
            namespace: namespace.into(),
            serviceaccount: reference(&account),
            ..Private::default()
        };
        let bound = request
            .pointer("/spec/boundObjectRef")
            .filter(|v| v.is_object());
        if let Some(bound) = bound {
            bind(objects, namespace, name, bound, &mut private)?;
        }
        let issued = now.as_second();
        let mut lifetime = seconds;
        if seconds == POD_SECONDS && private.pod.is_some() && audiences == self.audiences {
            private.warnafter = Some(issued + seconds);
            lifetime = EXTENDED_SECONDS;
        }
        let claims = Claims {
            aud: audiences.clone(),
            exp: issued + lifetime,
            iat: issued,
            iss: self.issuer.clone(),
            jti: super::uuid()?,
            kubernetes: private,
            nbf: issued,
            sub: format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}"),
        };
        let token = jwt::encode(&claims, &self.key.read())
            .map_err(|_| Status::internal("failed to generate token: the key can't sign"))?;
        let time = |second| Timestamp::from_second(second).unwrap_or(now).to_string();
        Ok(json!({
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": name, "namespace": namespace, "creationTimestamp": time(issued)},
            "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": bound},
            "status": {"token": token, "expirationTimestamp": time(issued + seconds)},
        }))
    }
}

fn reference(object: &Value) -> Ref {
    Ref {
        name: text(object, "/metadata/name").into(),
        uid: text(object, "/metadata/uid").into(),
    }
}

/// The requested lifetime in seconds.
fn lifetime(request: &Value) -> Result<i64, Status> {
    let Some(seconds) = request
        .pointer("/spec/expirationSeconds")
        .and_then(Value::as_i64)
    else {
        return Ok(DEFAULT_SECONDS);
    };
    let wrong = match seconds {
        ..MIN_SECONDS => "may not specify a duration less than 10 minutes",
        MIN_SECONDS..=MAX_SECONDS => return Ok(seconds),
        _ => "may not specify a duration larger than 2^32 seconds",
    };
    let cause = Cause {
        reason: "FieldValueInvalid".into(),
        message: format!("Invalid value: {seconds}: {wrong}"),
        field: "spec.expirationSeconds".into(),
    };
    Err(Status::invalid(
        "authentication.k8s.io",
        "TokenRequest",
        "",
        vec![cause],
    ))
}

/// Notes the object the token is bound to.
fn bind(
    objects: &dyn Objects,
    namespace: &str,
    account: &str,
    bound: &Value,
    private: &mut Private,
) -> Result<(), Status> {
    let (version, kind) = (text(bound, "/apiVersion"), text(bound, "/kind"));
    let (name, uid) = (text(bound, "/name"), text(bound, "/uid"));
    let (resource, home) = match (version, kind) {
        ("v1", "Pod") => ("pods", namespace),
        ("v1", "Secret") => ("secrets", namespace),
        ("v1", "Node") => ("nodes", ""),
        _ => {
            return Err(Status::bad_request(format!(
                "cannot bind token for serviceaccount {account:?} to object of type {version}, Kind={kind}"
            )));
        }
    };
    let object = objects
        .read("", resource, home, name)
        .ok_or_else(|| Status::not_found("", resource, name))?;
    let found = reference(&object);
    if !uid.is_empty() && uid != found.uid {
        return Err(Status::conflict(
            "",
            kind,
            name,
            &format!(
                "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
            ),
        ));
    }
    match kind {
        "Pod" => {
            if text(&object, "/spec/serviceAccountName") != account {
                return Err(Status::bad_request(format!(
                    "cannot bind token for serviceaccount {account:?} to pod running with different serviceaccount name."
                )));
            }
            let node = text(&object, "/spec/nodeName");
            if !node.is_empty() {
                private.node = Some(objects.read("", "nodes", "", node).map_or_else(
                    || Ref {
                        name: node.into(),
                        uid: String::new(),
                    },
                    |node| reference(&node),
                ));
            }
            private.pod = Some(found);
        }
        "Secret" => private.secret = Some(found),
        _ => private.node = Some(found),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TokenVerifier;
    use crate::objects::fake::Fake;

    fn setup() -> (Fake, TokenIssuer, TokenVerifier) {
        let fake = Fake::default();
        fake.put(
            "",
            "serviceaccounts",
            json!({"metadata": {"name": "web", "namespace": "shop", "uid": "sa-1"}}),
        );
        fake.put(
            "",
            "nodes",
            json!({"metadata": {"name": "n1", "uid": "node-1"}}),
        );
        fake.put(
            "",
            "pods",
            json!({
            "metadata": {"name": "p", "namespace": "shop", "uid": "pod-1"},
            "spec": {"serviceAccountName": "web", "nodeName": "n1"}}),
        );
        let pem = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let audiences = vec!["https://kubernetes".to_owned()];
        let issuer = TokenIssuer::new("https://kubernetes", &pem, audiences.clone()).unwrap();
        let verifier = TokenVerifier::new("https://kubernetes", &[pem], audiences).unwrap();
        (fake, issuer, verifier)
    }

    fn bound() -> Value {
        json!({"spec": {"expirationSeconds": 3607, "boundObjectRef":
            {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "pod-1"}}})
    }

    #[test]
    fn a_bound_token_proves_its_pod() {
        let (fake, issuer, verifier) = setup();
        let answer = issuer.create(&fake, "shop", "web", &bound()).unwrap();
        let token = text(&answer, "/status/token");
        let now = Timestamp::now();
        let (user, audiences) = verifier.verify(&fake, token, &[], now).unwrap();
        assert_eq!(user.name, "system:serviceaccount:shop:web");
        assert_eq!(user.uid, "sa-1");
        assert_eq!(user.extra["authentication.kubernetes.io/pod-name"], ["p"]);
        assert_eq!(
            user.extra["authentication.kubernetes.io/pod-uid"],
            ["pod-1"]
        );
        assert_eq!(user.extra["authentication.kubernetes.io/node-name"], ["n1"]);
        assert!(user.extra["authentication.kubernetes.io/credential-id"][0].starts_with("JTI="));
        assert_eq!(audiences, ["https://kubernetes"]);
        let other = ["vault".to_owned()];
        assert!(verifier.verify(&fake, token, &other, now).is_err());
        let next_year = Timestamp::from_second(now.as_second() + 366 * 24 * 3600).unwrap();
        assert_eq!(
            verifier.verify(&fake, token, &[], next_year).unwrap_err(),
            "service account token has expired"
        );
        let (_, _, stranger) = setup();
        assert!(stranger.verify(&fake, token, &[], now).is_err());
        fake.put(
            "",
            "pods",
            json!({"metadata": {"name": "p", "namespace": "shop", "uid": "pod-2"}}),
        );
        assert!(verifier.verify(&fake, token, &[], now).is_err());
    }

    #[test]
    fn forged_tokens_are_refused() {
        let (fake, issuer, verifier) = setup();
        let answer = issuer.create(&fake, "shop", "web", &json!({})).unwrap();
        let token = text(&answer, "/status/token").to_owned();
        let parts: Vec<&str> = token.split('.').collect();
        let none = format!("eyJhbGciOiJub25lIn0.{}.", parts[1]);
        for forged in [
            none,
            format!("{}.{}.", parts[0], parts[1]),
            format!("{token}A"),
            "a.b".into(),
        ] {
            assert!(
                verifier
                    .verify(&fake, &forged, &[], Timestamp::now())
                    .is_err(),
                "{forged}"
            );
        }
    }

    #[test]
    fn requests_are_validated() {
        let (fake, issuer, _) = setup();
        let create = |request| {
            issuer
                .create(&fake, "shop", "web", &request)
                .unwrap_err()
                .message
        };
        assert!(create(json!({"spec": {"expirationSeconds": 60}})).ends_with(
            "spec.expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes"
        ));
        let mut stale = bound();
        stale["spec"]["boundObjectRef"]["uid"] = json!("pod-0");
        assert!(create(stale).contains("does not match the UID in record"));
        assert!(
            issuer
                .create(&fake, "shop", "nobody", &json!({}))
                .unwrap_err()
                .is_not_found()
        );
    }
}
