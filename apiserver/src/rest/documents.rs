//! Documents: discovery, OpenAPI, version, keys. Made once for each state of
//! the table and answered with an ETag.

use super::body::{self, Body};
use super::negotiate::{Form, InProtobuf, Media};
use crate::aggregation::Aggregation;
use crate::aggregation::discovery::{Remote, add_aggregated, add_groups, group};
use crate::pipeline::{Pipeline, present};
use bytes::Bytes;
use hardway_access::TokenVerifier;
use hardway_resources::discovery::{self, Aggregated};
use hardway_resources::openapi::{self, OpenApi};
use hardway_resources::registry::Snapshot;
use http::{HeaderMap, HeaderValue, Response, header};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// The Kubernetes version whose API is served.
pub const GIT_VERSION: &str = concat!("v1.33.0+hardway", env!("CARGO_PKG_VERSION"));

/// What the OpenAPI v2 document in protobuf is called. Clients ask for it with
/// an `@` in the name, too, which is no media type.
const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// Makes and keeps documents.
pub struct Documents {
    address: String,
    verifier: Option<Arc<TokenVerifier>>,
    openapi: OpenApi,
    kept: Mutex<CachedDocument>,
}

#[derive(Default)]
struct CachedDocument {
    /// Those of the table, of what other servers serve, and of the keys that verify tokens.
    generation: (u64, u64, u64),
    documents: HashMap<String, Document>,
}

#[derive(Clone)]
struct Document {
    bytes: Bytes,
    etag: String,
    content_type: String,
}

impl Documents {
    /// Documents of a server reached at `address`.
    pub fn new(address: String, verifier: Option<Arc<TokenVerifier>>) -> Self {
        Self {
            address,
            verifier,
            openapi: OpenApi::default(),
            kept: Mutex::default(),
        }
    }

    /// Answers the path of a document; `None` for any other.
    pub fn respond(
        &self,
        path: &str,
        headers: &HeaderMap,
        pipeline: &Pipeline,
        form: Form,
        gzip: bool,
    ) -> Option<Response<Body>> {
        let header = |name: header::HeaderName| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let table = pipeline.registry.snapshot();
        let known = header(header::IF_NONE_MATCH);
        let accept = header(header::ACCEPT);
        if path == "/openapi/v2" && wants_protobuf(accept) {
            let others = pipeline.aggregation.openapi_v2();
            let document = self.openapi.v2_protobuf(&table, &others);
            return Some(openapi_response(document, V2_PROTOBUF, known, gzip));
        }
        if let Some((document, hash)) = remote_openapi(path, &pipeline.aggregation) {
            let etag = format!("\"{hash}\"");
            if known == etag {
                return Some(not_modified(&etag));
            }
            let mut response = body::whole(200, document, "application/json", gzip);
            set(&mut response, header::ETAG, &etag);
            return Some(response);
        }
        if let Some(document) = self.openapi(path, &table, &pipeline.aggregation) {
            return Some(openapi_response(document, "application/json", known, gzip));
        }
        let aggregated = aggregated(path, accept);
        let document = self.document(path, aggregated, &table, &pipeline.aggregation)?;
        let form = match aggregated {
            Some(Aggregated { encoding, .. }) => Form {
                media: Media::named(encoding).unwrap_or(form.media),
                ..form
            },
            None => form,
        };
        if known == document.etag {
            return Some(not_modified(&document.etag));
        }
        let mut response = body::json(200, document.bytes, form, gzip);
        set(&mut response, header::ETAG, &document.etag);
        response
            .headers_mut()
            .append(header::VARY, HeaderValue::from_static("Accept"));
        if !document.content_type.is_empty() {
            set(&mut response, header::CONTENT_TYPE, &document.content_type);
        }
        Some(response)
    }

    fn openapi(
        &self,
        path: &str,
        table: &Snapshot,
        aggregation: &Aggregation,
    ) -> Option<openapi::Document> {
        match path.strip_prefix("/openapi/")? {
            "v2" => Some(self.openapi.v2(table, &aggregation.openapi_v2())),
            rest => self.openapi.v3(table, rest.strip_prefix("v3/")?),
        }
    }

    fn document(
        &self,
        path: &str,
        aggregated: Option<Aggregated>,
        table: &Arc<Snapshot>,
        aggregation: &Aggregation,
    ) -> Option<Document> {
        let path = path.trim_end_matches('/');
        let content_type = aggregated.map(Aggregated::content_type).unwrap_or_default();
        let key = format!("{path} {content_type}");
        let keys = self.verifier.as_ref().map_or(0, |it| it.generation());
        let generation = (table.generation(), aggregation.generation(), keys);
        let mut kept = self.kept.lock();
        if kept.generation != generation {
            *kept = CachedDocument {
                generation,
                ..CachedDocument::default()
            };
        }
        if let Some(document) = kept.documents.get(&key) {
            return Some(document.clone());
        }
        let value = self.make(path, aggregated, table, &aggregation.known())?;
        let bytes = present::to_bytes(&value);
        let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
        let hex: String = digest
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        let document = Document {
            etag: format!("\"{hex}\""),
            content_type,
            bytes,
        };
        kept.documents.insert(key, document.clone());
        Some(document)
    }

    fn make(
        &self,
        path: &str,
        aggregated: Option<Aggregated>,
        table: &Snapshot,
        remotes: &[Remote],
    ) -> Option<Value> {
        if let Some(form) = aggregated {
            let mut document = discovery::aggregated(table, form, path == "/api");
            if path != "/api" {
                add_aggregated(&mut document, remotes);
            }
            return Some(document);
        }
        match path {
            "/api" => return Some(discovery::api_versions(&self.address)),
            "/apis" => {
                let mut document = discovery::groups(table);
                add_groups(&mut document, remotes);
                return Some(document);
            }
            "/openapi/v3" => {
                let mut index = self.openapi.index(table);
                add_openapi(&mut index, remotes);
                return Some(index);
            }
            "/version" => return Some(version()),
            "" => return Some(json!({"paths": paths(table, remotes)})),
            _ => {}
        }
        if let Some(verifier) = &self.verifier {
            match path {
                "/openid/v1/jwks" => return Some(verifier.jwks()),
                "/.well-known/openid-configuration" => {
                    let uri = format!("https://{}/openid/v1/jwks", self.address);
                    return Some(verifier.discovery(&uri));
                }
                _ => {}
            }
        }
        if let Some(version) = path.strip_prefix("/api/") {
            return discovery::resources(table, "", version);
        }
        match path.strip_prefix("/apis/")?.split_once('/') {
            None => {
                let name = path.strip_prefix("/apis/")?;
                group(discovery::group(table, name), name, remotes)
            }
            Some((group, version)) => discovery::resources(table, group, version),
        }
    }
}

/// The document of another server at a path below `/openapi/v3`, and its hash.
fn remote_openapi(path: &str, aggregation: &Aggregation) -> Option<(Bytes, String)> {
    let remote = aggregation.serves(path.strip_prefix("/openapi/v3")?)?;
    let (told, bytes) = remote.state().openapi.v3?;
    Some((bytes, told.hash))
}

/// Adds the documents of other servers to the index of `/openapi/v3`.
fn add_openapi(index: &mut Value, remotes: &[Remote]) {
    for Remote { spec, state } in remotes {
        if let Some((told, _)) = &state.openapi.v3 {
            let path = spec.root();
            let url = format!("/openapi/v3{path}?hash={}", told.hash);
            let path = path.trim_start_matches('/');
            index["paths"][path] = json!({"serverRelativeURL": url});
        }
    }
}

/// The aggregated form of discovery that a client asks for, where there is one.
pub fn aggregated(path: &str, accept: &str) -> Option<Aggregated> {
    match path.trim_end_matches('/') {
        "/api" | "/apis" => Aggregated::from_accept(accept),
        _ => None,
    }
}

/// What there is of a path's document in protobuf.
pub fn in_protobuf(path: &str) -> InProtobuf {
    match path.starts_with("/api") {
        true => InProtobuf::Objects,
        false => InProtobuf::Nothing,
    }
}

/// Whether a client asks for the OpenAPI v2 document in protobuf, by either of
/// its names.
pub fn wants_protobuf(accept: &str) -> bool {
    accept.contains("proto-openapi.spec.v2")
}

/// An OpenAPI document lies compressed; most clients take it so.
fn openapi_response(
    document: openapi::Document,
    content_type: &'static str,
    known: &str,
    gzip: bool,
) -> Response<Body> {
    let etag = format!("\"{}\"", document.hash);
    if known == etag {
        return not_modified(&etag);
    }
    let bytes = match gzip {
        true => Bytes::from(document.gzip.into_owned()),
        false => Bytes::from(document.text()),
    };
    let mut response = body::respond(200, content_type, body::full(bytes));
    if gzip {
        set(&mut response, header::CONTENT_ENCODING, "gzip");
    }
    set(&mut response, header::VARY, "Accept, Accept-Encoding");
    set(&mut response, header::ETAG, &etag);
    response
}

fn not_modified(etag: &str) -> Response<Body> {
    let mut response = body::respond(304, "application/json", body::full(""));
    // Caches take over the headers of a 304.
    response.headers_mut().remove(header::CONTENT_TYPE);
    set(&mut response, header::ETAG, etag);
    response
}

fn set(response: &mut Response<Body>, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// The commit that packages are built from; other builds don't say, or every commit would
/// have them built anew.
const COMMIT: Option<&str> = option_env!("HARDWAY_COMMIT");
/// Git's name for none. Kubernetes' tests want digits.
const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

fn version() -> Value {
    json!({
        "major": "1",
        "minor": "33",
        "gitVersion": GIT_VERSION,
        "gitCommit": COMMIT.unwrap_or(NO_COMMIT),
        "gitTreeState": if COMMIT.is_some() { "clean" } else { "not a git tree" },
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": "linux/amd64",
    })
}

/// What is served at the root: all paths, as Kubernetes lists them.
fn paths(table: &Snapshot, remotes: &[Remote]) -> Vec<String> {
    let mut paths: Vec<String> = [
        "/.well-known/openid-configuration",
        "/api",
        "/api/v1",
        "/apis",
        "/healthz",
        "/healthz/etcd",
        "/healthz/ping",
        "/livez",
        "/livez/ping",
        "/metrics",
        "/openapi/v2",
        "/openapi/v3",
        "/openid/v1/jwks",
        "/readyz",
        "/readyz/etcd",
        "/readyz/ping",
        "/version",
    ]
    .map(str::to_owned)
    .to_vec();
    for group in table.groups() {
        paths.push(format!("/apis/{group}"));
        for version in table.versions(group) {
            paths.push(format!("/apis/{group}/{version}"));
        }
    }
    for Remote { spec, .. } in remotes {
        paths.push(format!("/apis/{}", spec.group));
        paths.push(spec.root());
    }
    paths.sort();
    paths.dedup();
    paths
}
