//! What a cluster is asked.

use crate::cli::Arguments;
use crate::line::Object;
use futures_util::future::{join, join_all};
use http::Request;
use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Why a cluster can't be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kubeconfig.
    #[error("kubeconfig: {0}")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// The cluster said no, or nothing.
    #[error("the cluster: {0}")]
    Cluster(#[from] kube::Error),
    /// There is no such kind.
    #[error("the cluster has no kind {0:?}: `kubectl api-resources` lists those that it has")]
    Kind(String),
}

/// How long a connection to one of several apiservers may take.
const CONNECT: Duration = Duration::from_secs(3);

/// A kind of objects, as discovery tells of it.
#[derive(Clone, Debug, Default)]
struct Kind {
    group: String,
    version: String,
    plural: String,
    names: Vec<String>,
    is_namespaced: bool,
}

impl Kind {
    fn resource(&self) -> String {
        match self.group.as_str() {
            "" => self.plural.clone(),
            group => format!("{}.{group}", self.plural),
        }
    }

    fn path(&self, namespace: &str, name: &str) -> String {
        let mut path = match self.group.as_str() {
            "" => format!("/api/{}", self.version),
            group => format!("/apis/{group}/{}", self.version),
        };
        if self.is_namespaced && !namespace.is_empty() {
            path.push_str(&format!("/namespaces/{namespace}"));
        }
        for part in [&self.plural, name] {
            if !part.is_empty() {
                path.push('/');
                path.push_str(part);
            }
        }
        path
    }

    /// Whether people may mean it: by name, plural, short name, with or without the group.
    fn is_called(&self, text: &str) -> bool {
        let (name, group) = text.split_once('.').unwrap_or((text, ""));
        let named = self
            .names
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name));
        named && (group.is_empty() || group == self.group)
    }
}

/// A cluster, as whoever asks.
pub struct Cluster {
    client: Client,
    config: Config,
    namespace: String,
    kinds: Vec<Kind>,
}

impl Cluster {
    /// The one that the arguments name.
    ///
    /// # Errors
    /// If there is no such kubeconfig, or the cluster doesn't answer.
    pub async fn connect(arguments: &Arguments) -> Result<Self, Error> {
        let options = KubeConfigOptions {
            context: arguments.context.clone(),
            ..KubeConfigOptions::default()
        };
        let mut config = match &arguments.kubeconfig {
            Some(file) => {
                let file = Kubeconfig::read_from(file)?;
                Config::from_custom_kubeconfig(file, &options).await?
            }
            None => Config::from_kubeconfig(&options).await?,
        };
        // Nothing may happen for longer than that.
        config.read_timeout = None;
        let namespace = arguments.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config.clone())?;
        // A group whose server is away is left out, not waited for.
        let mut at_once = config.clone();
        at_once.default_retry = false;
        let kinds = kinds(&Client::try_from(at_once)?).await?;
        Ok(Self {
            client,
            config,
            namespace,
            kinds,
        })
    }

    /// What requests are sent with.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// All apiservers: their addresses, as the endpoints of the Service `kubernetes` in the
    /// namespace `default` name them, and what requests are sent to them with. None where these
    /// can't be read.
    pub async fn apiservers(&self) -> Vec<(String, Result<Client, kube::Error>)> {
        let kubernetes = Object {
            resource: "services".to_owned(),
            namespace: "default".to_owned(),
            name: "kubernetes".to_owned(),
        };
        let slices = self.slices(&kubernetes).await;
        let addresses = addresses(&slices).into_iter();
        addresses
            .map(|address| {
                let client = self.client_of(&address);
                (address, client)
            })
            .collect()
    }

    /// What requests are sent with to the apiserver at an address.
    fn client_of(&self, address: &str) -> Result<Client, kube::Error> {
        let url = format!("https://{address}/").parse();
        let mut config = self.config.clone();
        config.cluster_url = url.map_err(|error: http::uri::InvalidUri| {
            kube::Error::HttpError(http::Error::from(error))
        })?;
        config.connect_timeout = Some(CONNECT);
        // Every apiserver has it, whatever its address.
        let name = || "kubernetes.default.svc".to_owned();
        config.tls_server_name.get_or_insert_with(name);
        Client::try_from(config)
    }

    /// The object of that kind and name.
    ///
    /// # Errors
    /// If there is no such kind.
    pub fn object(&self, kind: &str, name: &str) -> Result<Object, Error> {
        let found = self.kinds.iter().find(|known| known.is_called(kind));
        let kind = found.ok_or_else(|| Error::Kind(kind.to_owned()))?;
        Ok(Object {
            resource: kind.resource(),
            namespace: if kind.is_namespaced {
                self.namespace.clone()
            } else {
                String::new()
            },
            name: name.to_owned(),
        })
    }

    fn kind(&self, resource: &str) -> Option<&Kind> {
        self.kinds.iter().find(|kind| kind.resource() == resource)
    }

    async fn read(&self, path: &str) -> Result<Value, kube::Error> {
        let request = Request::get(path).body(Vec::new());
        self.client
            .request(request.map_err(kube::Error::HttpError)?)
            .await
    }

    /// The object as it is; `None` if it isn't there (any more).
    pub async fn get(&self, object: &Object) -> Result<Option<Value>, Error> {
        let Some(kind) = self.kind(&object.resource) else {
            return Ok(None);
        };
        match self.read(&kind.path(&object.namespace, &object.name)).await {
            Ok(value) => Ok(Some(value)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The objects of a resource in a namespace; none of what may not be read.
    async fn list(&self, resource: &str, namespace: &str, query: &str) -> Vec<Value> {
        let Some(kind) = self.kind(resource) else {
            return Vec::new();
        };
        let path = format!("{}{query}", kind.path(namespace, ""));
        let list = self.read(&path).await.unwrap_or_default();
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// The events of all namespaces; of the one that is asked about where that is not allowed.
    pub async fn events(&self) -> Vec<Value> {
        let all = self.read("/api/v1/events").await;
        match all {
            Ok(list) => list["items"].as_array().cloned().unwrap_or_default(),
            Err(_) => self.list("events", &self.namespace, "").await,
        }
    }

    /// Who asks, as the cluster knows them.
    pub async fn user(&self) -> Option<String> {
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        let request = Request::post("/apis/authentication.k8s.io/v1/selfsubjectreviews")
            .header("content-type", "application/json")
            .body(review.to_string().into_bytes());
        let answer: Value = self.client.request(request.ok()?).await.ok()?;
        Some(
            answer["status"]["userInfo"]["username"]
                .as_str()?
                .to_owned(),
        )
    }

    /// The EndpointSlices of a Service.
    pub async fn slices(&self, service: &Object) -> Vec<Value> {
        let query = format!(
            "?labelSelector=kubernetes.io%2Fservice-name%3D{}",
            service.name
        );
        let resource = "endpointslices.discovery.k8s.io";
        self.list(resource, &service.namespace, &query).await
    }

    /// The Services of a namespace that select one of these pods of it. That takes two
    /// requests, however many pods they are.
    pub async fn services_of(&self, namespace: &str, pods: &[&Object]) -> Vec<(Object, String)> {
        let found = async {
            match pods {
                [pod] => self.get(pod).await.ok().flatten().into_iter().collect(),
                _ => self.list("pods", namespace, "").await,
            }
        };
        let (services, mut found) = join(self.list("services", namespace, ""), found).await;
        found.retain(|pod| pods.iter().any(|one| pod["metadata"]["name"] == *one.name));
        let selects = |service: &Value, pod: &Value| {
            let labels = &pod["metadata"]["labels"];
            let selector = service["spec"]["selector"].as_object();
            selector.is_some_and(|selector| {
                !selector.is_empty() && selector.iter().all(|(name, value)| labels[name] == *value)
            })
        };
        let ours = services
            .iter()
            .filter(|service| found.iter().any(|pod| selects(service, pod)));
        ours.map(|service| named("services", service)).collect()
    }

    /// What the object with this UID owns, and what that owns, with how many owners are
    /// between.
    pub async fn owned(&self, namespace: &str, uid: &str) -> Vec<(Object, String, usize)> {
        const OWNED: [&str; 4] = [
            "jobs.batch",
            "replicasets.apps",
            "pods",
            "endpointslices.discovery.k8s.io",
        ];
        let lists = OWNED.map(|resource| async move {
            let list = self.list(resource, namespace, "").await;
            list.into_iter()
                .map(|value| (resource, value))
                .collect::<Vec<_>>()
        });
        let all: Vec<_> = join_all(lists).await.into_iter().flatten().collect();
        descendants(&all, uid)
    }

    /// The object that an event or an owner reference names, by its kind.
    pub fn referred(&self, reference: &Value) -> Option<Object> {
        let text = |name: &str| reference[name].as_str().unwrap_or_default();
        let group = text("apiVersion")
            .split_once('/')
            .map_or("", |(group, _)| group);
        let is_it = |kind: &&Kind| kind.group == group && kind.is_called(text("kind"));
        let kind = self.kinds.iter().find(is_it)?;
        Some(Object {
            resource: kind.resource(),
            namespace: text("namespace").to_owned(),
            name: text("name").to_owned(),
        })
    }
}

/// The addresses of endpoints with the port that is called `https`.
fn addresses(slices: &[Value]) -> Vec<String> {
    let mut all = Vec::new();
    for slice in slices {
        let ports = slice["ports"].as_array().into_iter().flatten();
        let mut ports = ports.filter(|port| port["name"] == "https");
        let Some(port) = ports.find_map(|port| port["port"].as_u64()) else {
            continue;
        };
        let endpoints = slice["endpoints"].as_array().into_iter().flatten();
        let texts = endpoints.flat_map(|it| it["addresses"].as_array().into_iter().flatten());
        all.extend(
            texts
                .filter_map(Value::as_str)
                .map(|address| match address.contains(':') {
                    true => format!("[{address}]:{port}"),
                    false => format!("{address}:{port}"),
                }),
        );
    }
    all.sort();
    all.dedup();
    all
}

/// Those of the objects that the one with this UID owns, and what these own, with how many
/// owners are between. Each is met once, for objects may own each other.
fn descendants(all: &[(&str, Value)], uid: &str) -> Vec<(Object, String, usize)> {
    let mut owned: HashMap<&str, Vec<&(&str, Value)>> = HashMap::new();
    for object in all {
        for owner in owner_uids(&object.1) {
            owned.entry(owner).or_default().push(object);
        }
    }
    let mut met = HashSet::from([uid.to_owned()]);
    let (mut owners, mut found) = (vec![uid.to_owned()], Vec::new());
    for depth in 1.. {
        let mut children = Vec::new();
        for owner in &owners {
            for (resource, value) in owned.get(owner.as_str()).into_iter().flatten() {
                let (object, uid) = named(resource, value);
                if met.insert(uid.clone()) {
                    children.push(uid.clone());
                    found.push((object, uid, depth));
                }
            }
        }
        if children.is_empty() {
            break;
        }
        owners = children;
    }
    found
}

/// The UIDs of an object's owners.
pub fn owner_uids(object: &Value) -> impl Iterator<Item = &str> {
    let owners = object["metadata"]["ownerReferences"].as_array();
    owners
        .into_iter()
        .flatten()
        .filter_map(|owner| owner["uid"].as_str())
}

fn named(resource: &str, value: &Value) -> (Object, String) {
    let text = |name: &str| {
        value["metadata"][name]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let object = Object {
        resource: resource.to_owned(),
        namespace: text("namespace"),
        name: text("name"),
    };
    (object, text("uid"))
}

/// All kinds, the core group's first; of each group its preferred version.
async fn kinds(client: &Client) -> Result<Vec<Kind>, kube::Error> {
    let core = client.list_core_api_resources("v1").await?;
    let groups = client.list_api_groups().await?;
    let versions: Vec<String> = groups
        .groups
        .into_iter()
        .filter_map(|group| {
            group
                .preferred_version
                .or(group.versions.into_iter().next())
        })
        .map(|version| version.group_version)
        .collect();
    let lists = versions
        .iter()
        .map(|version| client.list_api_group_resources(version));
    // What another server serves and can't be asked now is left out.
    let lists = join_all(lists).await.into_iter().filter_map(Result::ok);
    let mut kinds = Vec::new();
    for list in std::iter::once(core).chain(lists) {
        let (group, version) = match list.group_version.split_once('/') {
            Some((group, version)) => (group, version),
            None => ("", list.group_version.as_str()),
        };
        for resource in list.resources {
            if resource.name.contains('/') {
                continue;
            }
            let mut names = vec![resource.name.clone(), resource.kind, resource.singular_name];
            names.extend(resource.short_names.into_iter().flatten());
            kinds.push(Kind {
                group: group.to_owned(),
                version: version.to_owned(),
                plural: resource.name,
                names,
                is_namespaced: resource.namespaced,
            });
        }
    }
    Ok(kinds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_many_names() {
        let kind = Kind {
            group: "apps".into(),
            version: "v1".into(),
            plural: "deployments".into(),
            names: ["deployments", "Deployment", "deployment", "deploy"]
                .map(Into::into)
                .into(),
            is_namespaced: true,
        };
        for name in ["deploy", "deployment", "Deployments", "deployment.apps"] {
            assert!(kind.is_called(name), "{name}");
        }
        assert!(!kind.is_called("deployment.extensions") && !kind.is_called("depl"));
        assert_eq!(
            kind.path("shop", "web"),
            "/apis/apps/v1/namespaces/shop/deployments/web"
        );
        assert_eq!(kind.path("", ""), "/apis/apps/v1/deployments");
    }

    #[test]
    fn apiservers_are_where_the_slices_say() {
        let slice = |addresses: &[&str], port: &str| {
            json!({"ports": [{"name": port, "port": 6443}],
                "endpoints": [{"addresses": addresses}]})
        };
        let slices = [
            slice(&["10.0.0.2"], "https"),
            slice(&["10.0.0.1", "fd00::1"], "https"),
            slice(&["10.0.0.9"], "other"),
            json!({"endpoints": null}),
        ];
        assert_eq!(
            addresses(&slices),
            ["10.0.0.1:6443", "10.0.0.2:6443", "[fd00::1]:6443"]
        );
    }

    #[test]
    fn objects_that_own_each_other_are_met_once() {
        let object = |name: &str, owners: &[&str]| {
            let owners: Vec<Value> = owners.iter().map(|uid| json!({"uid": uid})).collect();
            let metadata = json!({"name": name, "uid": name, "ownerReferences": owners});
            ("pods", json!({"metadata": metadata}))
        };
        let all = [
            object("a", &["root", "b"]),
            object("b", &["a"]),
            object("self", &["self", "b"]),
            object("root", &["b"]),
            object("other", &["nobody"]),
        ];
        let found = descendants(&all, "root");
        let found: Vec<(&str, usize)> = found
            .iter()
            .map(|(object, _, depth)| (object.name.as_str(), *depth))
            .collect();
        assert_eq!(found, [("a", 1), ("b", 2), ("self", 3)]);
    }
}
