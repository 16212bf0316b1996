//! Who may do what, by SubjectAccessReviews.

use super::Identity;
use crate::api::Client;
use hardway_proto::Status;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long an answer counts, as in Kubernetes' kubelet.
const ALLOWED: Duration = Duration::from_secs(300);
const DENIED: Duration = Duration::from_secs(30);
/// Answers kept.
const CACHE: usize = 1024;

/// What somebody wants to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Attributes {
    /// Something with a resource.
    Resource {
        /// e.g. `list`.
        verb: String,
        /// API group; empty for the core group.
        group: String,
        /// API version.
        version: String,
        /// Plural name.
        resource: String,
        /// Subresource, or empty.
        subresource: String,
        /// Namespace, or empty for all or for cluster scope.
        namespace: String,
        /// Object name, or empty for all.
        name: String,
    },
    /// Something else.
    Path {
        /// The HTTP method in lower case.
        verb: String,
        /// e.g. `/metrics`.
        path: String,
    },
}

/// Asks the apiserver.
pub struct Reviews {
    client: Client,
    cache: Mutex<HashMap<(Identity, Attributes), (Instant, bool)>>,
}

impl Reviews {
    /// Asks with this client.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            cache: Mutex::default(),
        }
    }

    /// Whether somebody may do this.
    ///
    /// # Errors
    /// If the apiserver can't be asked.
    pub async fn allows(
        &self,
        identity: &Identity,
        attributes: &Attributes,
    ) -> Result<bool, Status> {
        if identity.is_master() {
            return Ok(true);
        }
        let key = (identity.clone(), attributes.clone());
        if let Some(allowed) = self.remembered(&key) {
            return Ok(allowed);
        }
        let api = self
            .client
            .dynamic("authorization.k8s.io", "v1", "subjectaccessreviews", "");
        let review = review(identity, attributes).to_string().into_bytes();
        let answer = api.create("", "", review).await?;
        let answer: Value = serde_json::from_slice(&answer.json).map_err(Status::internal)?;
        let allowed = answer["status"]["allowed"] == Value::Bool(true);
        let mut cache = self.cache.lock();
        if cache.len() >= CACHE {
            cache.clear();
        }
        cache.insert(key, (Instant::now(), allowed));
        Ok(allowed)
    }

    fn remembered(&self, key: &(Identity, Attributes)) -> Option<bool> {
        let cache = self.cache.lock();
        let (at, allowed) = cache.get(key)?;
        let counts = if *allowed { ALLOWED } else { DENIED };
        (at.elapsed() < counts).then_some(*allowed)
    }
}

fn review(identity: &Identity, attributes: &Attributes) -> Value {
    let mut spec = json!({"user": identity.name(), "groups": identity.groups()});
    match attributes {
        Attributes::Resource {
            verb,
            group,
            version,
            resource,
            subresource,
            namespace,
            name,
        } => {
            spec["resourceAttributes"] = json!({
                "verb": verb,
                "group": group,
                "version": version,
                "resource": resource,
                "subresource": subresource,
                "namespace": namespace,
                "name": name,
            });
        }
        Attributes::Path { verb, path } => {
            spec["nonResourceAttributes"] = json!({"verb": verb, "path": path});
        }
    }
    json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": spec,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn masters_are_nobodys_question() {
        let nowhere = tonic::transport::Endpoint::from_static("http://127.0.0.1:1");
        let reviews = Reviews::new(Client::from_channel(nowhere.connect_lazy(), "test"));
        let path = Attributes::Path {
            verb: "get".into(),
            path: "/metrics".into(),
        };
        let of = |groups: &[&str]| {
            let groups = groups.iter().map(|group| (*group).to_owned());
            Identity::named("jane".into(), groups.collect())
        };
        assert_eq!(
            reviews.allows(&of(&["system:masters"]), &path).await,
            Ok(true)
        );
        // Without an apiserver nobody else gets anywhere, and that is no answer to keep.
        assert!(reviews.allows(&of(&["dev"]), &path).await.is_err());
        assert!(reviews.cache.lock().is_empty());
    }

    #[test]
    fn reviews_say_what_is_asked_for() {
        let identity = Identity::named("jane".into(), vec!["dev".into()]);
        let attributes = Attributes::Resource {
            verb: "list".into(),
            group: "metrics.k8s.io".into(),
            version: "v1beta1".into(),
            resource: "pods".into(),
            subresource: String::new(),
            namespace: "shop".into(),
            name: String::new(),
        };
        let asked = review(&identity, &attributes);
        assert_eq!(asked["spec"]["resourceAttributes"]["namespace"], "shop");
        assert_eq!(asked["spec"]["groups"][0], "dev");
    }
}
