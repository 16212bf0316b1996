//! Tokens of service accounts, asked for with TokenRequest and renewed in
//! time.

use super::Error;
use hardway_client::api::Client;
use hardway_client::clock;
use hardway_proto::{Kind, Status};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::HashMap;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// When to try again where a renewal failed.
const RETRY: SignedDuration = SignedDuration::from_secs(60);

/// No token is used longer than this, whatever its life.
const MAX_AGE: SignedDuration = SignedDuration::from_hours(24);

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    pod_uid: String,
    audience: String,
    expiration_seconds: i64,
}

/// A token, as the apiserver gave it.
#[derive(Clone, Debug)]
pub struct Token {
    /// The token.
    pub text: String,
    /// When it was asked for.
    pub issued: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
}

impl Token {
    /// When four fifths of its life are over.
    fn renewal(&self) -> Timestamp {
        let life = self.expires.duration_since(self.issued);
        let age = (life * 4 / 5).min(MAX_AGE);
        // Additions to times near now don't overflow.
        self.issued.checked_add(age).unwrap_or(self.expires)
    }

    fn is_stale(&self, now: Timestamp) -> bool {
        now >= self.renewal()
    }
}

/// A token and the task that will ask for its renewal.
struct Entry {
    token: Token,
    reminder: AbortHandle,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.reminder.abort();
    }
}

/// The tokens of this node's pods.
pub(super) struct Tokens {
    client: Client,
    /// Told the UID of a pod whose token should be renewed.
    due: mpsc::UnboundedSender<String>,
    cache: Mutex<HashMap<Key, Entry>>,
}

impl Tokens {
    pub(super) fn new(client: Client, due: mpsc::UnboundedSender<String>) -> Self {
        Self {
            client,
            due,
            cache: Mutex::default(),
        }
    }

    /// Keeps a token and has the pod looked at again at that time.
    fn keep(&self, key: Key, token: Token, again: Timestamp) {
        let (due, uid) = (self.due.clone(), key.pod_uid.clone());
        let reminder = tokio::spawn(async move {
            clock::until(again).await;
            // Nobody listens any more when the kubelet stops.
            let _ = due.send(uid);
        });
        let reminder = reminder.abort_handle();
        self.cache.lock().insert(key, Entry { token, reminder });
    }

    pub(super) async fn get(
        &self,
        pod: &Pod,
        audience: &str,
        expiration_seconds: i64,
    ) -> Result<Token, Error> {
        let key = Key {
            pod_uid: pod.uid().to_owned(),
            audience: audience.to_owned(),
            expiration_seconds,
        };
        let now = Timestamp::now();
        let cached = self.cache.lock().get(&key).map(|e| e.token.clone());
        if let Some(token) = cached.as_ref().filter(|t| !t.is_stale(now)) {
            return Ok(token.clone());
        }
        match self.request(pod, &key, now).await {
            Ok(token) => {
                self.keep(key, token.clone(), token.renewal());
                Ok(token)
            }
            // A stale token still works until it expires.
            Err(error) => match cached.filter(|t| t.expires > now) {
                Some(token) => {
                    tracing::warn!(pod = pod.name(), %error, "keeping the previous token");
                    self.keep(key, token.clone(), now + RETRY);
                    Ok(token)
                }
                None => Err(error),
            },
        }
    }

    async fn request(&self, pod: &Pod, key: &Key, now: Timestamp) -> Result<Token, Error> {
        let account = pod
            .spec
            .as_ref()
            .and_then(|s| s.service_account_name.as_deref())
            .filter(|name| !name.is_empty())
            .unwrap_or("default");
        let mut spec = json!({
            "audiences": [],
            "expirationSeconds": key.expiration_seconds,
            "boundObjectRef": {
                "apiVersion": "v1", "kind": "Pod", "name": pod.name(), "uid": pod.uid(),
            },
        });
        if !key.audience.is_empty() {
            spec["audiences"] = json!([key.audience]);
        }
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec,
        });
        let answer = self
            .client
            .namespaced::<ServiceAccount>(pod.namespace())
            .dynamic()
            .create(account, "token", body.to_string().into_bytes())
            .await
            .map_err(|status| Error::of::<ServiceAccount>(status, account))?;
        read(&answer.json, now).ok_or_else(|| {
            Error::Refused(Status::internal(format!(
                "the apiserver's answer to the token request for {account:?} can't be read"
            )))
        })
    }

    pub(super) fn forget(&self, pod_uid: &str) {
        self.cache.lock().retain(|key, _| key.pod_uid != pod_uid);
    }
}

fn read(json: &[u8], issued: Timestamp) -> Option<Token> {
    let answer: Value = serde_json::from_slice(json).ok()?;
    let status = answer.get("status")?;
    Some(Token {
        text: status.get("token")?.as_str()?.to_owned(),
        expires: status.get("expirationTimestamp")?.as_str()?.parse().ok()?,
        issued,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_after_four_fifths_of_its_life() {
        let json = br#"{"status": {"token": "t", "expirationTimestamp": "2026-01-01T01:00:00Z"}}"#;
        let token = read(json, "2026-01-01T00:00:00Z".parse().unwrap()).unwrap();
        assert!(!token.is_stale("2026-01-01T00:47:59Z".parse().unwrap()));
        assert!(token.is_stale("2026-01-01T00:48:00Z".parse().unwrap()));
    }

    #[test]
    fn stale_after_a_day_in_any_case() {
        let json = br#"{"status": {"token": "t", "expirationTimestamp": "2027-01-01T00:00:00Z"}}"#;
        let token = read(json, "2026-01-01T00:00:00Z".parse().unwrap()).unwrap();
        assert!(!token.is_stale("2026-01-01T23:59:59Z".parse().unwrap()));
        assert!(token.is_stale("2026-01-02T00:00:00Z".parse().unwrap()));
    }
}
