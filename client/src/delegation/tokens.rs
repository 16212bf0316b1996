//! Who comes with a bearer token, such as a metrics server with that of its service
//! account: whom the apiserver names for it.

use super::Identity;
use crate::api::Client;
use hardway_proto::Status;
use http::{HeaderMap, header};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// How long an answer counts, as `--authentication-token-webhook-cache-ttl` of
/// Kubernetes' kubelet.
const COUNTS: Duration = Duration::from_secs(120);
/// Answers kept of each sort: that strangers come with many tokens makes nobody else's be
/// asked for again.
const CACHE: usize = 1024;
/// Questions at once: strangers' tokens are asked for as well.
const AT_ONCE: usize = 8;

type Hash = [u8; 32];

/// The answers that count, by the tokens' hashes.
#[derive(Default)]
struct Answers {
    /// Whom a token names.
    somebody: HashMap<Hash, (Instant, Identity)>,
    /// Tokens that name nobody.
    nobody: HashMap<Hash, Instant>,
}

impl Answers {
    fn get(&self, hash: &Hash, now: Instant) -> Option<Option<Identity>> {
        let counts = |at: &Instant| now.saturating_duration_since(*at) < COUNTS;
        if let Some((_, identity)) = self.somebody.get(hash).filter(|(at, _)| counts(at)) {
            return Some(Some(identity.clone()));
        }
        self.nobody.get(hash).filter(|at| counts(at)).map(|_| None)
    }

    fn insert(&mut self, hash: Hash, identity: Option<Identity>, now: Instant) {
        match identity {
            Some(identity) => {
                make_room(&mut self.somebody);
                self.somebody.insert(hash, (now, identity));
            }
            None => {
                make_room(&mut self.nobody);
                self.nobody.insert(hash, now);
            }
        }
    }
}

fn make_room<T>(answers: &mut HashMap<Hash, T>) {
    if answers.len() >= CACHE {
        answers.clear();
    }
}

/// Asks the apiserver.
pub struct Tokens {
    client: Client,
    permits: Semaphore,
    answers: Mutex<Answers>,
}

/// The token that a request shows.
fn shown(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Review {
    status: ReviewStatus,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ReviewStatus {
    authenticated: bool,
    user: User,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct User {
    username: String,
    groups: Vec<String>,
}

/// Whom a TokenReview that was answered names.
fn named(review: &[u8]) -> Result<Option<Identity>, serde_json::Error> {
    let Review { status } = serde_json::from_slice(review)?;
    let is_somebody = status.authenticated && !status.user.username.is_empty();
    Ok(is_somebody.then(|| Identity::named(status.user.username, status.user.groups)))
}

impl Tokens {
    /// Asks with this client.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            permits: Semaphore::new(AT_ONCE),
            answers: Mutex::default(),
        }
    }

    /// Whom a request's token names; nobody if it shows none, or one that is no good.
    ///
    /// # Errors
    /// 401, if the apiserver can't be asked.
    pub async fn identity(&self, headers: &HeaderMap) -> Result<Option<Identity>, Status> {
        let Some(token) = shown(headers) else {
            return Ok(None);
        };
        let hash: Hash = Sha256::digest(token).into();
        if let Some(identity) = self.answers.lock().get(&hash, Instant::now()) {
            return Ok(identity);
        }
        let _permit = self.permits.acquire().await.map_err(Status::internal)?;
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token},
        });
        let api = self
            .client
            .dynamic("authentication.k8s.io", "v1", "tokenreviews", "");
        let answer = api.create("", "", review.to_string().into_bytes()).await;
        let answer = answer.map_err(|status| {
            tracing::warn!(%status, "whom a token names can't be asked");
            Status::unauthorized()
        })?;
        let identity = named(&answer.json).map_err(Status::internal)?;
        let mut answers = self.answers.lock();
        answers.insert(hash, identity.clone(), Instant::now());
        Ok(identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_those_of_bearers() {
        let shown_by = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            shown(&headers).map(str::to_owned)
        };
        assert_eq!(shown_by("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(shown_by("bearer  abc ").as_deref(), Some("abc"));
        for other in ["Basic abc", "Bearer", "Bearer  ", "abc"] {
            assert_eq!(shown_by(other), None, "{other}");
        }
        assert_eq!(shown(&HeaderMap::new()), None);
    }

    #[test]
    fn only_who_is_authenticated_is_somebody() {
        let user =
            json!({"username": "system:serviceaccount:a:b", "groups": ["system:authenticated"]});
        let review = |status| named(json!({ "status": status }).to_string().as_bytes()).unwrap();
        let identity = review(json!({"authenticated": true, "user": user})).unwrap();
        assert_eq!(identity.name(), "system:serviceaccount:a:b");
        assert!(review(json!({"authenticated": false, "user": user})).is_none());
        assert!(review(json!({"user": user, "error": "no"})).is_none());
        assert!(review(json!({"authenticated": true, "user": {}})).is_none());
        assert!(named(b"[").is_err());
    }

    #[test]
    fn strangers_take_no_answer_from_those_who_are_known() {
        let now = Instant::now();
        let mut answers = Answers::default();
        let hash = |number: usize| -> Hash { Sha256::digest(number.to_string()).into() };
        let user = Identity::named("u".to_owned(), Vec::new());
        answers.insert(hash(0), Some(user), now);
        for number in 1..=3 * CACHE {
            answers.insert(hash(number), None, now);
        }
        assert!(answers.get(&hash(0), now).is_some_and(|of| of.is_some()));
        assert!(
            answers
                .get(&hash(3 * CACHE), now)
                .is_some_and(|of| of.is_none())
        );
        assert!(answers.nobody.len() <= CACHE);
        assert!(answers.get(&hash(0), now + COUNTS).is_none());
    }

    #[tokio::test]
    async fn without_an_apiserver_nobody_comes_in() {
        let nowhere = tonic::transport::Endpoint::from_static("http://127.0.0.1:1");
        let client = Client::from_channel(nowhere.connect_lazy(), "test");
        let tokens = Tokens::new(client);
        let mut headers = HeaderMap::new();
        assert!(tokens.identity(&headers).await.unwrap().is_none());
        headers.insert(header::AUTHORIZATION, "Bearer x".parse().unwrap());
        assert_eq!(tokens.identity(&headers).await.unwrap_err().code, 401);
        let answers = tokens.answers.lock();
        assert!(answers.nobody.is_empty(), "that is no answer");
    }
}
