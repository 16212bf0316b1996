//! Reading the files, and one connection for all questions.

use crate::common::Lab;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::Path;

/// A file of facts.
pub fn read<T: DeserializeOwned>(name: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The path of a group's version: `v1`, `apps/v1`.
pub fn root(api_version: &str) -> String {
    match api_version {
        "v1" => "/api/v1".to_owned(),
        _ => format!("/apis/{api_version}"),
    }
}

/// What asks.
pub struct Client(SendRequest<Full<Bytes>>);

impl Client {
    pub async fn new(lab: &Lab) -> Self {
        Self(lab.connect(&lab.acting("admin")).await.unwrap())
    }

    /// The code and the body of an answer.
    pub async fn ask(
        &mut self,
        method: Method,
        path: &str,
        accept: &str,
        body: &Value,
    ) -> (u16, Value) {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("accept", accept)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        self.0.ready().await.unwrap();
        let answer = self.0.send_request(request).await.unwrap();
        let code = answer.status().as_u16();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice(&bytes).unwrap())
    }

    pub async fn get(&mut self, path: &str, accept: &str) -> Value {
        let (code, value) = self.ask(Method::GET, path, accept, &Value::Null).await;
        assert_eq!(code, 200, "{path}: {value}");
        value
    }
}
