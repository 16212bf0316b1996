//! Continue tokens: where a list goes on, and at which revision.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hardway_proto::Status;
use serde::{Deserialize, Serialize};

/// A continue token, in Kubernetes' own form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    v: String,
    /// The revision of the first page; -1: whatever is current.
    rv: i64,
    /// The first key of the page, `namespace/name`.
    start: String,
}

impl Token {
    /// To go on after a key. The zero byte makes it the next possible one.
    pub fn after(key: &str, revision: i64) -> Self {
        Self {
            v: "meta.k8s.io/v1".into(),
            rv: revision,
            start: format!("{key}\0"),
        }
    }

    /// The revision to list at; `None`: the current one.
    pub fn revision(&self) -> Option<i64> {
        (self.rv > 0).then_some(self.rv)
    }

    /// The key to start from.
    pub fn start(&self) -> &str {
        &self.start
    }

    /// As sent to clients.
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// Reads what a client sends.
    pub fn decode(text: &str) -> Result<Self, Status> {
        let invalid = |why: &str| Status::bad_request(format!("continue key is not valid: {why}"));
        let bytes = URL_SAFE_NO_PAD
            .decode(text.trim_end_matches('='))
            .map_err(|error| invalid(&error.to_string()))?;
        let token: Self =
            serde_json::from_slice(&bytes).map_err(|error| invalid(&error.to_string()))?;
        if token.v != "meta.k8s.io/v1" {
            return Err(invalid("server does not recognize this encoded version"));
        }
        if token.rv == 0 || token.start.is_empty() || token.start.starts_with('/') {
            return Err(invalid(
                "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
            ));
        }
        Ok(token)
    }

    /// 410 when the token's revision is gone, with a token that goes on from
    /// the same place in what is current.
    pub fn expired(&self) -> Status {
        let mut status = Status::expired(
            "The provided continue parameter is too old to display a consistent list result. \
             You can start a new list without the continue parameter, or use the continue token \
             in this response to retrieve the remainder of the results. Continuing with the \
             provided token results in an inconsistent list - objects that were created, \
             modified, or deleted between the time the first chunk was returned and now may show \
             up in the list.",
        );
        let token = Self {
            rv: -1,
            ..self.clone()
        };
        status
            .metadata
            .insert("continue".into(), token.encode().into());
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_the_trip() {
        let token = Token::after("default/web", 42);
        let back = Token::decode(&token.encode()).unwrap();
        assert_eq!(back, token);
        assert_eq!((back.revision(), back.start()), (Some(42), "default/web\0"));
    }

    #[test]
    fn expired_tokens_go_on_inconsistently() {
        let status = Token::after("a", 5).expired();
        assert_eq!(status.code, 410);
        let next = Token::decode(status.metadata["continue"].as_str().unwrap()).unwrap();
        assert_eq!((next.revision(), next.start()), (None, "a\0"));
    }

    #[test]
    fn refuses_garbage() {
        for text in [
            "%%%",
            "e30",
            &URL_SAFE_NO_PAD.encode(r#"{"v":"other","rv":1,"start":"a"}"#),
        ] {
            assert_eq!(Token::decode(text).unwrap_err().code, 400);
        }
    }
}
