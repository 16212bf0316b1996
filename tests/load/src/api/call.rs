//! A request, before it is sent.

use std::fmt;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE};
use http::{Method, Request};
use http_body_util::Full;
use serde_json::Value;

use super::ApiError;
use crate::target::Outgoing;

/// How a patch is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patch {
    /// RFC 7396.
    Merge,
    /// Kubernetes' own, by the fields' merge keys.
    Strategic,
    /// RFC 6902.
    Json,
}

/// A request.
#[derive(Debug, Clone)]
pub struct Call {
    method: Method,
    path: String,
    accept: &'static str,
    content_type: &'static str,
    gzip: bool,
    body: Bytes,
}

impl Call {
    fn new(method: Method, path: impl Into<String>, body: Bytes) -> Self {
        Self {
            method,
            path: path.into(),
            accept: "application/json",
            content_type: "application/json",
            gzip: false,
            body,
        }
    }

    /// Reads a path, which has its query with it.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path, Bytes::new())
    }

    /// Creates an object in a collection.
    pub fn post(path: impl Into<String>, object: &Value) -> Self {
        Self::new(Method::POST, path, object.to_string().into())
    }

    /// Replaces an object.
    pub fn put(path: impl Into<String>, object: &Value) -> Self {
        Self::new(Method::PUT, path, object.to_string().into())
    }

    /// Changes an object.
    pub fn patch(path: impl Into<String>, kind: Patch, patch: &Value) -> Self {
        let mut call = Self::new(Method::PATCH, path, patch.to_string().into());
        call.content_type = match kind {
            Patch::Merge => "application/merge-patch+json",
            Patch::Strategic => "application/strategic-merge-patch+json",
            Patch::Json => "application/json-patch+json",
        };
        call
    }

    /// Deletes an object or a collection.
    pub fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path, Bytes::new())
    }

    /// With another form of the answer than JSON.
    pub fn accept(mut self, accept: &'static str) -> Self {
        self.accept = accept;
        self
    }

    /// With an answer that may be compressed.
    pub fn gzip(mut self) -> Self {
        self.gzip = true;
        self
    }

    pub(super) fn request(&self) -> Result<Outgoing, ApiError> {
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(self.path.as_str())
            .header(ACCEPT, self.accept);
        if !self.body.is_empty() {
            request = request.header(CONTENT_TYPE, self.content_type);
        }
        if self.gzip {
            request = request.header(ACCEPT_ENCODING, "gzip");
        }
        request
            .body(Full::new(self.body.clone()))
            .map_err(|error| ApiError::Broken {
                call: self.to_string(),
                why: error.to_string(),
            })
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}
