//! The page's files, which are part of the program.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use std::sync::LazyLock;

use crate::failure::Failure;

struct File {
    name: &'static str,
    kind: &'static str,
    plain: &'static [u8],
    packed: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// What each file is known by, in the order of [`FILES`].
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let tag = |file: &File| {
        let hash = ring::digest::digest(&ring::digest::SHA256, file.plain);
        format!("\"{}\"", URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]))
    };
    FILES.iter().map(tag).collect()
});

/// Answers a request for one of them.
pub async fn file(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let name = match uri.path() {
        "/" => "index.html",
        path => path.trim_start_matches('/'),
    };
    let Some(index) = FILES.iter().position(|file| file.name == name) else {
        return Failure::new(StatusCode::NOT_FOUND, format!("there is no {}", uri.path()))
            .into_response();
    };
    if method != Method::GET && method != Method::HEAD {
        return Failure::new(StatusCode::METHOD_NOT_ALLOWED, "it can only be read").into_response();
    }
    answer(&FILES[index], &TAGS[index], &headers)
}

fn answer(file: &File, tag: &str, asked: &HeaderMap) -> Response {
    let says = |name, text: &str| {
        let value = asked
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok());
        value.is_some_and(|value| value.split(',').any(|it| it.trim().starts_with(text)))
    };
    let mut response = Response::new(Body::empty());
    let packed = says(header::ACCEPT_ENCODING, "gzip");
    if says(header::IF_NONE_MATCH, tag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        let bytes = if packed { file.packed } else { file.plain };
        *response.body_mut() = Body::from(Bytes::from_static(bytes));
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: File = File {
        name: "a.js",
        kind: "text/javascript",
        plain: b"plain",
        packed: b"packed",
    };

    async fn body(headers: &[(&'static str, &'static str)]) -> (StatusCode, Bytes) {
        let headers = headers.iter().map(|(name, value)| {
            let name = http::HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        });
        let response = answer(&FILE, "\"tag\"", &headers.collect());
        let code = response.status();
        (
            code,
            axum::body::to_bytes(response.into_body(), 100)
                .await
                .unwrap(),
        )
    }

    #[tokio::test]
    async fn who_takes_gzip_gets_it_and_who_has_it_gets_nothing() {
        assert_eq!(body(&[]).await, (StatusCode::OK, Bytes::from("plain")));
        let packed = body(&[("accept-encoding", "br, gzip")]).await;
        assert_eq!(packed, (StatusCode::OK, Bytes::from("packed")));
        let known = body(&[("if-none-match", "\"x\", \"tag\"")]).await;
        assert_eq!(known, (StatusCode::NOT_MODIFIED, Bytes::new()));
    }

    #[test]
    fn the_page_is_in_the_program() {
        assert!(FILES.iter().any(|file| file.name == "index.html"));
    }
}
