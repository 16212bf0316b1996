//! Questions that the server itself asks the cluster, as a viewer.

use crate::failure::Failure;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use kube::Client;
use kube::client::Body;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::Duration;

/// How long an answer that is no stream may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it may be: some pages of a list.
const LONGEST: usize = 64 << 20;

/// What a list is asked for in.
pub const JSON: &str = "application/json";

/// Reads what is at a path, query included.
///
/// # Errors
/// With what the API server says, or that it says nothing.
pub async fn get(client: &Client, uri: &str, accept: &'static str) -> Result<Bytes, Failure> {
    ask(client, Method::GET, uri, accept, Bytes::new()).await
}

/// Reads an object.
///
/// # Errors
/// As for [`get`], and if the answer is nothing of the kind.
pub async fn read<T: DeserializeOwned>(client: &Client, uri: &str) -> Result<T, Failure> {
    parsed(&get(client, uri, JSON).await?)
}

/// Who the API server says the viewer is: `username`, `groups` and more. One that does not say
/// (Kubernetes before 1.27) knows them at least.
///
/// # Errors
/// 401 if it does not know them.
pub async fn who_am_i(client: &Client) -> Result<Value, Failure> {
    for version in ["v1", "v1beta1"] {
        let group = format!("authentication.k8s.io/{version}");
        let body = json!({"apiVersion": group, "kind": "SelfSubjectReview"});
        let path = format!("/apis/{group}/selfsubjectreviews");
        match create(client, &path, &body).await {
            Err(failure) if failure.code() == StatusCode::NOT_FOUND => {}
            review => return Ok(review?["status"]["userInfo"].clone()),
        }
    }
    // Whoever is authenticated may ask that, and nobody else.
    let body = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": "default"}});
    let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    create(client, path, &body).await?;
    Ok(json!({"username": "(this Kubernetes does not say)", "groups": ["system:authenticated"]}))
}

async fn create(client: &Client, path: &str, object: &Value) -> Result<Value, Failure> {
    let body = object.to_string().into();
    parsed(&ask(client, Method::POST, path, JSON, body).await?)
}

/// Begins to read what is at a path: the answer's head is there, its body comes.
///
/// # Errors
/// As for [`get`].
pub async fn open(
    client: &Client,
    uri: &str,
    accept: &'static str,
) -> Result<Response<Body>, Failure> {
    let sent = client.send(request(Method::GET, uri, accept, Bytes::new())?);
    let answer = tokio::time::timeout(PATIENCE, sent)
        .await
        .map_err(|_| late())??;
    if answer.status().is_success() {
        return Ok(answer);
    }
    let code = answer.status();
    let body = collect(answer.into_body()).await?;
    Err(Failure::of_answer(code, &body))
}

async fn ask(
    client: &Client,
    method: Method,
    uri: &str,
    accept: &'static str,
    body: Bytes,
) -> Result<Bytes, Failure> {
    let request = request(method, uri, accept, body)?;
    let asked = async {
        let answer = client.send(request).await?;
        let code = answer.status();
        let body = collect(answer.into_body()).await?;
        match code.is_success() {
            true => Ok(body),
            false => Err(Failure::of_answer(code, &body)),
        }
    };
    let answer = tokio::time::timeout(PATIENCE, asked).await;
    answer.map_err(|_| late())?
}

async fn collect(body: Body) -> Result<Bytes, Failure> {
    let collected = Limited::new(body, LONGEST).collect().await;
    let collected = collected.map_err(|error| Failure::unreachable(&*error))?;
    Ok(collected.to_bytes())
}

fn request(
    method: Method,
    uri: &str,
    accept: &'static str,
    body: Bytes,
) -> Result<Request<Body>, Failure> {
    let request = Request::builder()
        .method(method)
        .uri(uri)
        .header(header::ACCEPT, HeaderValue::from_static(accept))
        .header(header::USER_AGENT, USER_AGENT);
    let request = match body.is_empty() {
        true => request,
        false => request.header(header::CONTENT_TYPE, JSON),
    };
    request
        .body(Body::from(body))
        .map_err(|error| Failure::new(StatusCode::BAD_REQUEST, error.to_string()))
}

/// What the API server knows the dashboard by.
pub const USER_AGENT: &str = concat!("hardway-dashboard/", env!("CARGO_PKG_VERSION"));

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        let message = format!("the API server's answer makes no sense: {error}");
        Failure::new(StatusCode::BAD_GATEWAY, message)
    })
}

fn late() -> Failure {
    let message = format!("the API server has not answered for {PATIENCE:?}");
    Failure::new(StatusCode::GATEWAY_TIMEOUT, message)
}
