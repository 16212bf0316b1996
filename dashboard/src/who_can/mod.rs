//! Who may do something, by the RBAC objects that the viewer may read.

pub mod access;

use crate::api;
use crate::dashboard::Asking;
use crate::failure::{Failure, json};
use access::{Action, Permit, Rbac};
use axum::extract::Query;
use axum::response::Response;
use http::StatusCode;
use k8s_openapi::List;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::Client;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

/// What is asked.
#[derive(Deserialize)]
pub struct Asked {
    verb: String,
    #[serde(default)]
    group: String,
    #[serde(default)]
    resource: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    path: String,
}

#[derive(Serialize)]
struct Answer {
    subjects: Vec<Permit>,
    complete: bool,
    unread: Vec<String>,
}

/// `GET /who-can`.
///
/// # Errors
/// 400 if it is not said what is to be done.
pub async fn answer(
    Asking(viewer): Asking,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let action = action(asked)?;
    let namespace = match &action {
        Action::Resource { namespace, .. } => namespace.clone(),
        Action::Path { .. } => None,
    };
    let (rbac, unread) = read(&viewer.client, namespace.as_deref()).await;
    let answer = Answer {
        subjects: access::who_can(&rbac, &action),
        complete: unread.is_empty(),
        unread,
    };
    Ok(json(StatusCode::OK, &answer))
}

fn action(asked: Asked) -> Result<Action, Failure> {
    let bad = |message: &str| Err(Failure::new(StatusCode::BAD_REQUEST, message));
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let verb = asked.verb;
    if verb.is_empty() {
        return bad("which verb?");
    }
    match (some(asked.resource), some(asked.path)) {
        (Some(resource), None) => Ok(Action::Resource {
            verb,
            group: asked.group,
            resource,
            namespace: some(asked.namespace),
            name: some(asked.name),
        }),
        (None, Some(path)) => Ok(Action::Path { verb, path }),
        _ => bad("want a resource, or a path, and not both"),
    }
}

/// Reads roles and bindings; says what could not be read.
async fn read(client: &Client, namespace: Option<&str>) -> (Rbac, Vec<String>) {
    const BASE: &str = "/apis/rbac.authorization.k8s.io/v1";
    let mut unread = Vec::new();
    let mut rbac = Rbac::default();
    let mut failed = |what: &str, failure: Failure| {
        unread.push(format!("{what}: {}", failure.message()));
    };
    match api::read::<List<ClusterRole>>(client, &format!("{BASE}/clusterroles")).await {
        Ok(list) => rbac.cluster_roles = list.items,
        Err(failure) => failed("clusterroles", failure),
    }
    let path = format!("{BASE}/clusterrolebindings");
    match api::read::<List<ClusterRoleBinding>>(client, &path).await {
        Ok(list) => rbac.cluster_role_bindings = list.items,
        Err(failure) => failed("clusterrolebindings", failure),
    }
    if let Some(namespace) = namespace {
        let namespace = utf8_percent_encode(namespace, NON_ALPHANUMERIC);
        let base = format!("{BASE}/namespaces/{namespace}");
        match api::read::<List<Role>>(client, &format!("{base}/roles")).await {
            Ok(list) => rbac.roles = list.items,
            Err(failure) => failed("roles", failure),
        }
        match api::read::<List<RoleBinding>>(client, &format!("{base}/rolebindings")).await {
            Ok(list) => rbac.role_bindings = list.items,
            Err(failure) => failed("rolebindings", failure),
        }
    }
    (rbac, unread)
}
