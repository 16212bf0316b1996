//! The `scale` subresource of whatever has one: how many replicas an object is to
//! have, and which pods are its.

use hardway_client::Client;
use hardway_client::api::DynamicApi;
use hardway_proto::Status;
use hardway_proto::api::ResourceInfo;
use hardway_proto::status::Details;
use k8s_openapi::api::autoscaling::v1::Scale;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Why there is no scale.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such kind; the words are those of Kubernetes' REST mapper.
    #[error("no matches for kind {kind:?} in group {group:?}")]
    UnknownKind {
        /// The kind that was asked for.
        kind: String,
        /// Its group.
        group: String,
    },
    /// The apiserver says so.
    #[error(transparent)]
    Refused(#[from] Status),
}

/// What is served is asked for at most this often, however many kinds aren't: Kubernetes
/// resets its REST mapper every 30 s.
const DISCOVERY: Duration = Duration::from_secs(10);

/// Finds scales by the kind of what they belong to. Which resource serves a kind is
/// remembered, until one isn't served.
pub struct Scales {
    client: Client,
    /// What was served, and when. Held while it is asked for: others wait for the answer.
    served: Mutex<Option<(Instant, Vec<ResourceInfo>)>>,
}

/// A scale, and where it was read.
pub struct Found {
    /// What it says.
    pub scale: Scale,
    api: DynamicApi,
    name: String,
}

impl Found {
    /// Has it be this many replicas, unless it was changed meanwhile.
    ///
    /// # Errors
    /// What the apiserver says.
    pub async fn resize(mut self, replicas: i32) -> Result<(), Status> {
        self.scale.spec.get_or_insert_default().replicas = Some(replicas);
        let json = serde_json::to_vec(&self.scale).map_err(Status::internal)?;
        self.api.update(&self.name, "scale", json).await.map(|_| ())
    }
}

impl Scales {
    /// Of everything that the apiserver serves.
    pub fn new(client: &Client) -> Self {
        Self {
            client: client.clone(),
            served: Mutex::default(),
        }
    }

    /// The resources of a kind.
    ///
    /// # Errors
    /// If there are none, or the apiserver can't be asked.
    pub async fn resources(&self, group: &str, kind: &str) -> Result<Vec<ResourceInfo>, Error> {
        let of_kind = |all: &[ResourceInfo]| -> Result<Vec<ResourceInfo>, Error> {
            let here = all.iter().filter(|r| r.group == group && r.kind == kind);
            let found: Vec<ResourceInfo> = here.cloned().collect();
            if found.is_empty() {
                return Err(Error::UnknownKind {
                    kind: kind.into(),
                    group: group.into(),
                });
            }
            Ok(found)
        };
        let mut served = self.served.lock().await;
        if let Some((at, all)) = &*served {
            let found = of_kind(all);
            if found.is_ok() || at.elapsed() < DISCOVERY {
                return found;
            }
        }
        let all = self.client.discover().await?;
        let found = of_kind(&all);
        *served = Some((Instant::now(), all));
        found
    }

    /// The scale of an object, by the first of its kind's resources that has one.
    ///
    /// # Errors
    /// Why there is none; of several reasons the first.
    pub async fn get(
        &self,
        namespace: &str,
        group: &str,
        kind: &str,
        name: &str,
    ) -> Result<Found, Error> {
        let mut refused = None;
        for resource in self.resources(group, kind).await? {
            let api = self.client.resource(&resource, namespace);
            match api.get_subresource(name, "scale").await {
                Ok(object) => {
                    let scale = serde_json::from_slice(&object.json).map_err(|error| {
                        Status::internal(format!("the scale of {kind} {name:?}: {error}"))
                    })?;
                    let name = name.to_owned();
                    return Ok(Found { scale, api, name });
                }
                Err(status) => {
                    refused.get_or_insert(status);
                }
            }
        }
        let status = refused.unwrap_or_else(Status::no_such_resource);
        // That there is no such object says nothing of its kind, which may be served
        // elsewhere by now otherwise.
        let named = |details: &Details| !details.name.is_empty();
        if status.is_not_found() && !status.details.as_deref().is_some_and(named) {
            self.served
                .lock()
                .await
                .take_if(|(at, _)| at.elapsed() >= DISCOVERY);
        }
        Err(status.into())
    }
}

/// The group of an `apiVersion`; `None` if that isn't one.
pub fn group_of(api_version: &str) -> Option<&str> {
    match api_version.split_once('/') {
        None => Some(""),
        Some((_, version)) if version.contains('/') => None,
        Some((group, _)) => Some(group),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardway_client::fake::Fake;
    use serde_json::json;

    fn widgets(version: &str) -> ResourceInfo {
        ResourceInfo {
            group: "example.com".into(),
            version: version.into(),
            resource: "widgets".into(),
            kind: "Widget".into(),
            namespaced: true,
            ..ResourceInfo::default()
        }
    }

    #[tokio::test]
    async fn a_kind_is_found_that_came_later() {
        let (fake, client) = Fake::start(vec![widgets("v1")]);
        let scales = Scales::new(&client);
        let unknown = scales.get("d", "example.com", "Gadget", "g").await;
        let unknown = unknown.map(|found| found.name).unwrap_err();
        let words = r#"no matches for kind "Gadget" in group "example.com""#;
        assert_eq!(unknown.to_string(), words);
        let absent = scales.get("d", "example.com", "Widget", "w").await;
        assert!(matches!(absent, Err(Error::Refused(s)) if s.is_not_found()));
        let widget = json!({"metadata": {"name": "w", "namespace": "d"}, "spec": {"replicas": 2}});
        fake.create("example.com", "widgets", widget);
        let found = scales.get("d", "example.com", "Widget", "w").await.unwrap();
        found.resize(3).await.unwrap();
        let replicas = &fake.objects("example.com", "widgets")[0]["spec"]["replicas"];
        assert_eq!(*replicas, 3);
        // Kinds and objects that there are not are no reason to ask what is served each time.
        assert_eq!(fake.calls("discover "), 1);
        scales.served.lock().await.as_mut().unwrap().0 -= DISCOVERY;
        let unknown = scales.get("d", "example.com", "Gadget", "g").await;
        assert!(matches!(unknown, Err(Error::UnknownKind { .. })));
        assert_eq!(fake.calls("discover "), 2);
    }

    #[test]
    fn groups_are_read() {
        assert_eq!(group_of("v1"), Some(""));
        assert_eq!(group_of("apps/v1"), Some("apps"));
        assert_eq!(group_of("a/b/c"), None);
    }
}
