//! Reading the files, and one connection for all questions.

use crate::common::Lab;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::Path;
use std::sync::LazyLock;

/// A file of facts.
pub fn read<T: DeserializeOwned>(name: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/integration/golden")
        .join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of a folder of facts, by the names that `read` takes.
pub fn names(folder: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/integration/golden")
        .join(folder);
    let files = std::fs::read_dir(path).unwrap();
    let mut names: Vec<String> = files
        .map(|file| format!("{folder}/{}", file.unwrap().file_name().display()))
        .collect();
    names.sort();
    names
}

/// Where an object is created, by what discovery tells of its kind.
pub fn collection(object: &Value) -> String {
    static VERSIONS: LazyLock<Value> = LazyLock::new(|| read::<Value>("discovery.yaml"));
    let api_version = object["apiVersion"].as_str().unwrap();
    let entries = VERSIONS["versions"][api_version].as_object().unwrap();
    let mut entries = entries.iter().filter(|(name, _)| !name.contains('/'));
    let kind = entries.find(|(_, entry)| entry["kind"] == object["kind"]);
    let (name, entry) = kind.unwrap_or_else(|| panic!("no kind of {object}"));
    match entry["namespaced"] == true {
        true => format!("{}/namespaces/default/{name}", root(api_version)),
        false => format!("{}/{name}", root(api_version)),
    }
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
