//! Which API servers know the key that is to sign tokens of service accounts, and who still shows, or
//! keeps, a token of the former one.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;

use super::servers::{Server, apiservers};
use super::{Gates, STARTED};
use crate::api::text;
use crate::failure::Result;
use crate::host::token;
use crate::http;
use crate::rotation::missing::{Missing, missing};
use crate::rotation::observe::{Cluster, items, samples};
use crate::rotation::steps::Id;
use crate::rotation::window::Window;

/// When somebody last showed a token, by the key that it is signed with.
const TOKEN_KEYS: &str = "hardway_apiserver_service_account_key_last_use_timestamp_seconds";
/// Secrets that hold tokens, which never end.
const TOKEN_SECRETS: &str =
    "/api/v1/secrets?fieldSelector=type%3Dkubernetes.io%2Fservice-account-token";

impl Gates<'_> {
    pub(super) fn key_is_known(&self, cluster: &Cluster, next: &Id) -> Vec<Missing> {
        let mut all = Vec::new();
        let identity = self.place.administrator();
        for server in apiservers(cluster) {
            let answer = match http::get_tls(server.at, "/openid/v1/jwks", &identity) {
                Ok(answer) => answer,
                Err(failure) => {
                    all.push(server.away(failure.why));
                    continue;
                }
            };
            let keys: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let mut keys = keys["keys"].as_array().into_iter().flatten();
            if !keys.any(|key| key["kid"] == next.as_str()) {
                all.push(missing(
                    server.who,
                    "doesn't know the key that is to sign",
                    "on that host: hardway certificates rotate-service-account-key --resume --certificate-key KEY",
                ));
            }
        }
        all
    }

    pub(super) fn only_key_in_use(
        &self,
        cluster: &Cluster,
        signs: &Id,
        now: SystemTime,
    ) -> Result<Vec<Missing>> {
        let mut all = Vec::new();
        for server in apiservers(cluster) {
            let used = self.keys_used(&server, signs, now);
            all.extend(used.unwrap_or_else(|failure| vec![server.away(failure.why)]));
        }
        all.extend(kept_tokens(
            &self.place.api().get(TOKEN_SECRETS)?.unwrap_or_default(),
            signs,
        ));
        Ok(all)
    }

    /// Who has shown an apiserver a token of another key of late.
    fn keys_used(&self, server: &Server, signs: &Id, now: SystemTime) -> Result<Vec<Missing>> {
        let address = server.at;
        let identity = self.place.administrator();
        let started = samples(address, &identity, STARTED)?;
        let started = started.first().map_or(0.0, |(_, value)| *value);
        let used = samples(address, &identity, TOKEN_KEYS)?;
        let used = used.into_iter().filter_map(|(labels, at)| {
            let key = labels.into_iter().next()?;
            (key != *signs).then_some((format!("key {key}"), at))
        });
        let how = format!("kubectl get --raw /metrics | grep {TOKEN_KEYS}, at {address}");
        let window = Window::new(self.unused_for, self.switched_at().max(started), now);
        Ok(window.missing(&server.who, "a token of the former key", used, &how))
    }

    /// When the former key was put aside, in seconds since 1970.
    fn switched_at(&self) -> f64 {
        let file = self.place.pki().key("sa-former");
        let written = std::fs::metadata(file).and_then(|file| file.modified());
        let since = written
            .ok()
            .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        since.map_or(0.0, |since| since.as_secs_f64())
    }
}

/// The id of the key that a token says it is signed with.
fn key_of_token(token: &str) -> Option<Id> {
    let header = token.split('.').next()?;
    let header = BASE64_URL_SAFE_NO_PAD.decode(header).ok()?;
    let header: Value = serde_json::from_slice(&header).ok()?;
    header["kid"].as_str().map(str::to_owned)
}

/// Secrets whose tokens another key has signed than this one.
fn kept_tokens(secrets: &Value, signs: &Id) -> Vec<Missing> {
    let is_former = |secret: &&Value| {
        let token = token::field(secret, "token");
        key_of_token(&token).is_some_and(|key| key != *signs)
    };
    items(secrets)
        .filter(is_former)
        .map(|secret| {
            let metadata = &secret["metadata"];
            let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
            missing(
                format!("Secret {namespace}/{name}"),
                "holds a token of the former key, which never ends",
                format!("when nobody has a copy of it: kubectl patch secret {name} --namespace {namespace} --type json --patch '[{{\"op\": \"remove\", \"path\": \"/data/token\"}}]', and it is filled anew"),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use base64::prelude::BASE64_STANDARD;
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_with_tokens_of_a_former_key_are_named() {
        let secret = |name: &str, key: &str| {
            let header = json!({"alg": "ES256", "kid": key}).to_string();
            let token = format!("{}.e30.x", BASE64_URL_SAFE_NO_PAD.encode(header));
            json!({"metadata": {"namespace": "shop", "name": name},
                "data": {"token": BASE64_STANDARD.encode(token)}})
        };
        let all = json!({"items": [secret("old", "k1"), secret("new", "k2")]});
        let found = kept_tokens(&all, &"k2".to_owned());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].who, "Secret shop/old");
    }
}
