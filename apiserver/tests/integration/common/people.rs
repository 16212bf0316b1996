//! People and components that ask the apiserver for something, each on a
//! connection of their own.

use super::Lab;
use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Somebody on a connection of their own.
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
    user: &'static str,
    groups: &'static [&'static str],
}

/// How a request was answered.
pub struct Answer {
    pub code: u16,
    pub headers: HeaderMap,
    /// What came, and the same as JSON if it is.
    pub bytes: Bytes,
    pub body: Value,
    pub took: Duration,
}

impl Client {
    /// The administrator, acting as somebody.
    pub async fn new(lab: &Lab, user: &'static str, groups: &'static [&'static str]) -> Self {
        let tls = lab.acting("admin");
        Self {
            sender: lab.connect(&tls).await.expect("the apiserver is there"),
            user,
            groups,
        }
    }

    pub async fn send(&mut self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let request = request_of(self.user, self.groups, method, path, body);
        self.send_request(request).await
    }

    /// Reads in one of these forms.
    pub async fn get_as(&mut self, path: &str, accept: &'static str) -> Answer {
        let mut request = request_of(self.user, self.groups, Method::GET, path, None);
        let accept = http::HeaderValue::from_static(accept);
        request.headers_mut().insert("accept", accept);
        self.send_request(request).await
    }

    async fn send_request(&mut self, request: Request<Full<Bytes>>) -> Answer {
        self.sender.ready().await.expect("the connection is kept");
        let begun = Instant::now();
        let response = self.sender.send_request(request).await.expect("an answer");
        let (parts, incoming) = response.into_parts();
        let whole = incoming.collect().await.expect("a whole answer");
        let bytes = whole.to_bytes();
        Answer {
            code: parts.status.as_u16(),
            headers: parts.headers,
            took: begun.elapsed(),
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
            bytes,
        }
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }
}

/// What the administrator sends who acts as somebody.
pub fn request_of(
    user: &str,
    groups: &[&str],
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Request<Full<Bytes>> {
    let content_type = match method {
        Method::PATCH => "application/merge-patch+json",
        _ => "application/json",
    };
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header("content-type", content_type)
        .header("impersonate-user", user);
    for group in groups {
        request = request.header("impersonate-group", *group);
    }
    let body = body.map(Value::to_string).unwrap_or_default();
    request.body(Full::new(Bytes::from(body))).unwrap()
}

/// Everybody may do everything with ConfigMaps.
pub async fn permit(lab: &Lab) {
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let role = json!({"metadata": {"name": "maps"}, "rules": [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}]});
    lab.create(&format!("{rbac}/clusterroles"), &role).await;
    let binding = json!({"metadata": {"name": "maps"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "maps"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "people"}]});
    lab.create(&format!("{rbac}/clusterrolebindings"), &binding)
        .await;
}
