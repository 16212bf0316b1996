//! Which headers are passed on, and which back: these, and no others. Pure.
//!
//! So no credentials and no impersonation of the page's reach the API server, no cookie of
//! whoever answers reaches the browser, and what belongs to one connection stays on it.

use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH,
    RETRY_AFTER, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, WARNING,
};
use http::{HeaderMap, HeaderName, HeaderValue};

const FORTH: &[HeaderName] = &[
    ACCEPT,
    ACCEPT_ENCODING,
    CONTENT_TYPE,
    IF_MATCH,
    IF_NONE_MATCH,
];
const FORTH_UPGRADING: &[HeaderName] = &[
    SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION,
    SEC_WEBSOCKET_EXTENSIONS,
];
static BACK: [HeaderName; 6] = [
    CONTENT_TYPE,
    CONTENT_ENCODING,
    WARNING,
    RETRY_AFTER,
    ETAG,
    HeaderName::from_static("audit-id"),
];
const BACK_UPGRADING: &[HeaderName] = &[
    SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_EXTENSIONS,
];
/// A WebSocket's list of protocols may carry a bearer token, since browsers can send no other
/// header with one.
const TOKEN_PROTOCOL: &str = "base64url.bearer.authorization.k8s.io.";

/// Those of a request.
pub fn forth(headers: &HeaderMap, upgrades: bool) -> HeaderMap {
    let mut out = picked(headers, FORTH);
    if upgrades {
        out.extend(picked(headers, FORTH_UPGRADING));
        let protocols = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
        let protocols = protocols.filter_map(|value| value.to_str().ok());
        let protocols = protocols.flat_map(|value| value.split(',')).map(str::trim);
        let protocols: Vec<&str> = protocols
            .filter(|protocol| !protocol.starts_with(TOKEN_PROTOCOL) && !protocol.is_empty())
            .collect();
        if let Ok(value) = HeaderValue::from_str(&protocols.join(", "))
            && !value.is_empty()
        {
            out.insert(SEC_WEBSOCKET_PROTOCOL, value);
        }
    }
    out
}

/// Those of an answer.
pub fn back(headers: &HeaderMap, upgrades: bool) -> HeaderMap {
    let mut out = picked(headers, &BACK);
    if upgrades {
        out.extend(picked(headers, BACK_UPGRADING));
    }
    out
}

fn picked(headers: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let mut out = HeaderMap::new();
    for name in names {
        for value in headers.get_all(name) {
            out.append(name.clone(), value.clone());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_static(name);
            map.append(name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn credentials_and_what_belongs_to_a_connection_stay_behind() {
        let asked = map(&[
            ("accept", "application/json"),
            ("content-type", "application/merge-patch+json"),
            ("authorization", "Bearer stolen"),
            ("cookie", "__Host-hardway-dashboard=secret"),
            ("impersonate-user", "system:admin"),
            ("impersonate-group", "system:masters"),
            ("impersonate-extra-scopes", "all"),
            ("x-remote-user", "admin"),
            ("x-remote-group", "system:masters"),
            ("x-forwarded-for", "10.0.0.1"),
            ("connection", "x-remote-user"),
            ("transfer-encoding", "chunked"),
            ("te", "trailers"),
            ("proxy-authorization", "Basic eA=="),
            ("sec-websocket-protocol", "v5.channel.k8s.io"),
            ("host", "evil"),
        ]);
        let sent = forth(&asked, false);
        let mut names: Vec<&str> = sent.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "content-type"]);
    }

    #[test]
    fn a_websocket_brings_no_token_among_its_protocols() {
        let asked = map(&[
            ("sec-websocket-key", "a"),
            ("sec-websocket-version", "13"),
            (
                "sec-websocket-protocol",
                "base64url.bearer.authorization.k8s.io.dG9r, v5.channel.k8s.io",
            ),
            ("sec-websocket-protocol", "v4.channel.k8s.io"),
        ]);
        let sent = forth(&asked, true);
        assert_eq!(
            sent[SEC_WEBSOCKET_PROTOCOL],
            "v5.channel.k8s.io, v4.channel.k8s.io"
        );
        assert_eq!(sent[SEC_WEBSOCKET_KEY], "a");
        let only = map(&[(
            "sec-websocket-protocol",
            "base64url.bearer.authorization.k8s.io.dG9r",
        )]);
        assert!(forth(&only, true).is_empty());
    }

    #[test]
    fn answers_set_no_cookies_and_every_warning_comes_back() {
        let answer = map(&[
            ("content-type", "application/json"),
            ("set-cookie", "a=b"),
            ("warning", "299 - \"one\""),
            ("warning", "299 - \"two\""),
            ("content-security-policy", "default-src *"),
            ("service-worker-allowed", "/"),
            ("content-length", "3"),
        ]);
        let back = back(&answer, false);
        assert_eq!(back.get_all(WARNING).iter().count(), 2);
        assert_eq!(back.len(), 3);
        assert_eq!(back[CONTENT_TYPE], "application/json");
    }
}
