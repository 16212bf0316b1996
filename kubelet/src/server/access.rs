//! Who may use the kubelet's API: cluster administrators, and whom the
//! apiserver's authorizers allow the node's subresource.

use super::Refusal;
use hardway_client::api::Client;
use hardway_client::delegation::{Attributes, Identity, Reviews};
use http::{Method, StatusCode};

/// Decides.
pub struct Access {
    reviews: Reviews,
    node: String,
}

/// The node's subresources that a path belongs to, by its decoded segments:
/// whoever is allowed one of them may go there. Those that are narrow come
/// before `proxy`, which is nearly everything (KubeletFineGrainedAuthz).
fn subresources(path: &[&str]) -> &'static [&'static str] {
    match path.first().copied().unwrap_or_default() {
        "stats" => &["stats"],
        "metrics" => &["metrics"],
        "logs" => &["log"],
        "checkpoint" => &["checkpoint"],
        "pods" | "runningpods" => &["pods", "proxy"],
        "configz" => &["configz", "proxy"],
        _ => &["proxy"],
    }
}

/// What is done there. Running something in a container is no reading, also
/// where WebSocket begins it with a GET.
fn verb(method: &Method, path: &[&str]) -> &'static str {
    if let Some(&("exec" | "attach" | "run" | "portForward")) = path.first() {
        return "create";
    }
    match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "get",
    }
}

impl Access {
    /// For a node's API.
    pub fn new(client: Client, node: String) -> Self {
        Self {
            reviews: Reviews::new(client),
            node,
        }
    }

    /// Refuses those who may not. `path` is in decoded segments.
    pub async fn check(
        &self,
        identity: &Identity,
        method: &Method,
        path: &[&str],
    ) -> Result<(), Refusal> {
        if identity.is_expired(jiff::Timestamp::now().as_second()) {
            return Err(Refusal(StatusCode::UNAUTHORIZED, "Unauthorized".into()));
        }
        let (verb, subresources) = (verb(method, path), subresources(path));
        for subresource in subresources {
            let asked = Attributes::Resource {
                verb: verb.into(),
                group: String::new(),
                version: "v1".into(),
                resource: "nodes".into(),
                subresource: (*subresource).into(),
                namespace: String::new(),
                name: self.node.clone(),
            };
            let allowed = self.reviews.allows(identity, &asked).await;
            let allowed = allowed.map_err(|status| {
                Refusal::internal(format!(
                    "Authorization error (user={}, verb={verb}, resource=nodes, subresource={subresource}): {status}",
                    identity.name()
                ))
            })?;
            if allowed {
                return Ok(());
            }
        }
        Err(Refusal(
            StatusCode::FORBIDDEN,
            format!(
                "Forbidden (user={}, verb={verb}, resource=nodes, subresource(s)=[{}])",
                identity.name(),
                subresources.join(" ")
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_narrow_is_asked_for_before_proxy() {
        assert_eq!(subresources(&["stats", "summary"]), ["stats"]);
        assert_eq!(subresources(&["metrics"]), ["metrics"]);
        assert_eq!(subresources(&["logs", "x"]), ["log"]);
        assert_eq!(subresources(&["checkpoint", "a"]), ["checkpoint"]);
        assert_eq!(subresources(&["pods"]), ["pods", "proxy"]);
        assert_eq!(subresources(&["runningpods", ""]), ["pods", "proxy"]);
        assert_eq!(subresources(&["configz"]), ["configz", "proxy"]);
        for other in ["containerLogs", "exec", "run", ""] {
            assert_eq!(subresources(&[other]), ["proxy"]);
        }
    }

    #[test]
    fn running_something_is_no_reading() {
        for stream in ["exec", "attach", "run", "portForward"] {
            assert_eq!(verb(&Method::GET, &[stream, "ns", "pod"]), "create");
        }
        assert_eq!(verb(&Method::GET, &["containerLogs", "ns"]), "get");
        assert_eq!(verb(&Method::POST, &["pods"]), "create");
        assert_eq!(verb(&Method::HEAD, &["pods"]), "get");
    }
}
