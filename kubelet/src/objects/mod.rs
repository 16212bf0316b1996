//! What the pods of this node refer to: ConfigMaps, Secrets, Services and
//! service account tokens.

mod tokens;

pub use tokens::Token;

use futures_util::future::BoxFuture;
use hardway_client::api::{Api, Client, Patch};
use hardway_client::{Informer, Store};
use hardway_proto::meta::ObjectKey;
use hardway_proto::references::{self, Referent};
use hardway_proto::{Kind, Status};
use k8s_openapi::api::core::v1::{
    ConfigMap, Node, PersistentVolume, PersistentVolumeClaim, Pod, Secret, Service,
};
use k8s_openapi::api::node::v1::RuntimeClass;
use k8s_openapi::api::storage::v1::{CSIDriver, VolumeAttachment};
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, OnceLock};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Why something a pod refers to can't be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It isn't there.
    #[error("{kind} {name:?} not found")]
    NotFound {
        /// The kind in lower case, as Kubernetes writes it here.
        kind: String,
        /// The object's name.
        name: String,
    },
    /// The apiserver didn't give it.
    #[error("{0}")]
    Refused(Status),
    /// The first list of services is still to come.
    #[error("services have not yet been read at least once, cannot construct envvars")]
    NotSynced,
}

impl Error {
    fn of<K: Kind>(status: Status, name: &str) -> Self {
        if status.is_not_found() {
            let kind = K::KIND.to_lowercase();
            let name = name.to_owned();
            Self::NotFound { kind, name }
        } else {
            Self::Refused(status)
        }
    }
}

/// Turns "not found" into `None` where the reference is optional.
pub fn optional<T>(found: Result<T, Error>, optional: Option<bool>) -> Result<Option<T>, Error> {
    match found {
        Err(Error::NotFound { .. }) if optional == Some(true) => Ok(None),
        other => other.map(Some),
    }
}

/// Access to what pods refer to; tests have a fake.
pub trait Objects: Send + Sync {
    /// A ConfigMap.
    fn config_map<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Arc<ConfigMap>, Error>>;

    /// A Secret.
    fn secret<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Arc<Secret>, Error>>;

    /// A claim of storage.
    fn claim<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Arc<PersistentVolumeClaim>, Error>>;

    /// The volume that a claim is bound to.
    fn volume<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Arc<PersistentVolume>, Error>>;

    /// What a driver says of itself, if anything.
    fn csi_driver<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Arc<CSIDriver>>, Error>>;

    /// Whether and how a volume is attached to a node.
    fn attachment<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Arc<VolumeAttachment>, Error>>;

    /// Changes the status of a claim by a merge patch.
    fn patch_claim<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        patch: &'a Value,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// The node that this is.
    fn node(&self) -> BoxFuture<'_, Result<Arc<Node>, Error>>;

    /// All services.
    fn services(&self) -> Result<Vec<Arc<Service>>, Error>;

    /// A token of the pod's service account, bound to the pod; an empty
    /// audience means the apiserver's.
    fn token<'a>(
        &'a self,
        pod: &'a Pod,
        audience: &'a str,
        expiration_seconds: i64,
    ) -> BoxFuture<'a, Result<Token, Error>>;
}

/// The live implementation: one watch per object that some pod refers to.
pub struct Cluster {
    client: Client,
    node: String,
    config_maps: Watches<ConfigMap>,
    secrets: Watches<Secret>,
    services: Store<Service>,
    csi_drivers: OnceLock<Store<CSIDriver>>,
    tokens: tokens::Tokens,
}

impl Cluster {
    /// Starts watching services, on a node. UIDs of pods whose references changed, or
    /// whose tokens are due for renewal, are sent to `changed`.
    pub fn new(client: Client, node: &str, changed: mpsc::UnboundedSender<String>) -> Self {
        Self {
            node: node.to_owned(),
            config_maps: Watches::new(client.clone(), changed.clone(), |map: &ConfigMap| {
                map.immutable == Some(true)
            }),
            secrets: Watches::new(client.clone(), changed.clone(), |secret: &Secret| {
                secret.immutable == Some(true)
            }),
            services: Informer::new(client.all::<Service>()).start(),
            csi_drivers: OnceLock::new(),
            client: client.clone(),
            tokens: tokens::Tokens::new(client, changed),
        }
    }

    /// Watches what the pod refers to until [`Cluster::unregister`].
    pub fn register(&self, pod: &Pod) {
        let json = serde_json::to_value(pod).expect("a pod has no keys but strings");
        let names = |of| references::names(&json, of);
        self.config_maps.follow(pod, names(Referent::ConfigMap));
        self.secrets.follow(pod, names(Referent::Secret));
    }

    /// Stops watching what only this pod referred to, and forgets its tokens.
    pub fn unregister(&self, pod_uid: &str) {
        self.config_maps.unfollow(pod_uid);
        self.secrets.unfollow(pod_uid);
        self.tokens.forget(pod_uid);
    }

    /// What the runtime calls a RuntimeClass; empty for its own default.
    pub async fn runtime_handler(&self, class: Option<&str>) -> Result<String, Error> {
        let Some(name) = class.filter(|name| !name.is_empty()) else {
            return Ok(String::new());
        };
        let found = self.client.all::<RuntimeClass>().get(name).await;
        found
            .map(|class| class.handler)
            .map_err(|status| Error::of::<RuntimeClass>(status, name))
    }

    /// Waits for the first list of services.
    pub async fn wait_synced(&self) {
        self.services.wait_synced().await;
    }
}

impl Objects for Cluster {
    fn config_map<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Arc<ConfigMap>, Error>> {
        Box::pin(self.config_maps.get(namespace, name))
    }

    fn secret<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Arc<Secret>, Error>> {
        Box::pin(self.secrets.get(namespace, name))
    }

    fn claim<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Arc<PersistentVolumeClaim>, Error>> {
        Box::pin(get(self.client.namespaced(namespace), name))
    }

    fn volume<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Arc<PersistentVolume>, Error>> {
        Box::pin(get(self.client.all(), name))
    }

    fn csi_driver<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Arc<CSIDriver>>, Error>> {
        Box::pin(async move {
            // Nodes whose pods have no such volumes don't watch.
            let drivers = self.csi_drivers.get_or_init(|| {
                let informer = Informer::new(self.client.all::<CSIDriver>());
                informer.start()
            });
            drivers.wait_synced().await;
            Ok(drivers.get(&ObjectKey::new("", name)))
        })
    }

    fn attachment<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Arc<VolumeAttachment>, Error>> {
        Box::pin(get(self.client.all(), name))
    }

    fn patch_claim<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        patch: &'a Value,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let claims: Api<PersistentVolumeClaim> = self.client.namespaced(namespace);
            let done = claims.patch_status(name, Patch::Merge(patch)).await;
            done.map(drop)
                .map_err(|status| Error::of::<PersistentVolumeClaim>(status, name))
        })
    }

    fn node(&self) -> BoxFuture<'_, Result<Arc<Node>, Error>> {
        Box::pin(get(self.client.all(), &self.node))
    }

    fn services(&self) -> Result<Vec<Arc<Service>>, Error> {
        if self.services.is_synced() {
            Ok(self.services.list())
        } else {
            Err(Error::NotSynced)
        }
    }

    fn token<'a>(
        &'a self,
        pod: &'a Pod,
        audience: &'a str,
        expiration_seconds: i64,
    ) -> BoxFuture<'a, Result<Token, Error>> {
        Box::pin(self.tokens.get(pod, audience, expiration_seconds))
    }
}

/// An object that is needed only once, when its pod starts.
async fn get<K: Kind>(api: Api<K>, name: &str) -> Result<Arc<K>, Error> {
    let found = api.get(name).await;
    found
        .map(Arc::new)
        .map_err(|status| Error::of::<K>(status, name))
}

/// One watched object.
struct Watched<K> {
    store: Store<K>,
    task: JoinHandle<()>,
    pods: HashSet<String>,
}

type Entries<K> = Arc<Mutex<HashMap<ObjectKey, Watched<K>>>>;

/// Watches of single objects of one kind, each as long as a pod needs it and
/// the object may change.
struct Watches<K> {
    client: Client,
    changed: mpsc::UnboundedSender<String>,
    is_immutable: fn(&K) -> bool,
    entries: Entries<K>,
}

impl<K: Kind> Watches<K> {
    fn new(
        client: Client,
        changed: mpsc::UnboundedSender<String>,
        is_immutable: fn(&K) -> bool,
    ) -> Self {
        Self {
            client,
            changed,
            is_immutable,
            entries: Entries::default(),
        }
    }

    /// From the watch where that is up to date, from the apiserver otherwise.
    /// An object missing in the cache is asked for as well: it may have been
    /// created a moment ago.
    async fn get(&self, namespace: &str, name: &str) -> Result<Arc<K>, Error> {
        let key = ObjectKey::new(namespace, name);
        let cached = self.entries.lock().get(&key).and_then(|watched| {
            let synced = watched.store.is_synced();
            synced.then(|| watched.store.get(&key)).flatten()
        });
        if let Some(object) = cached {
            return Ok(object);
        }
        let api: Api<K> = self.client.namespaced(namespace);
        get(api, name).await
    }

    fn follow(&self, pod: &Pod, names: BTreeSet<String>) {
        let mut entries = self.entries.lock();
        for name in names {
            let key = ObjectKey::new(pod.namespace(), name);
            entries
                .entry(key.clone())
                .or_insert_with(|| self.watch(&key))
                .pods
                .insert(pod.uid().to_owned());
        }
    }

    fn watch(&self, key: &ObjectKey) -> Watched<K> {
        let (entries, changed) = (self.entries.clone(), self.changed.clone());
        let (of, is_immutable) = (key.clone(), self.is_immutable);
        let (store, task) = Informer::new(self.client.namespaced::<K>(&key.namespace))
            .fields(format!("metadata.name={}", key.name))
            .on_change(move |change| {
                let entries = entries.lock();
                let Some(watched) = entries.get(&of) else {
                    return;
                };
                for pod in &watched.pods {
                    // Nobody listens any more when the kubelet stops.
                    let _ = changed.send(pod.clone());
                }
                // The store keeps it for these pods; there is nothing more to hear.
                if is_immutable(change.object()) {
                    watched.task.abort();
                }
            })
            .spawn();
        let pods = HashSet::new();
        Watched { store, task, pods }
    }

    fn unfollow(&self, pod_uid: &str) {
        self.entries.lock().retain(|_, watched| {
            watched.pods.remove(pod_uid);
            let needed = !watched.pods.is_empty();
            if !needed {
                watched.task.abort();
            }
            needed
        });
    }
}

impl<K> Drop for Watches<K> {
    fn drop(&mut self) {
        for watched in self.entries.lock().values() {
            watched.task.abort();
        }
    }
}

#[cfg(test)]
pub(crate) mod fake {
    //! Objects from a map.

    use super::*;
    use serde_json::json;

    /// Holds what a test put in; tokens are made up from their parameters.
    #[derive(Default)]
    pub struct Fake {
        config_maps: Mutex<HashMap<ObjectKey, Arc<ConfigMap>>>,
        secrets: Mutex<HashMap<ObjectKey, Arc<Secret>>>,
        claims: Mutex<HashMap<ObjectKey, Arc<PersistentVolumeClaim>>>,
        volumes: Mutex<HashMap<ObjectKey, Arc<PersistentVolume>>>,
        drivers: Mutex<HashMap<ObjectKey, Arc<CSIDriver>>>,
        attachments: Mutex<HashMap<ObjectKey, Arc<VolumeAttachment>>>,
        node: Mutex<Option<Arc<Node>>>,
        services: Vec<Arc<Service>>,
    }

    impl Fake {
        /// A claim `n/data` that is bound to a volume of this spec.
        pub fn with_claim(self, mut spec: Value) -> Self {
            spec["claimRef"] = json!({"namespace": "n", "name": "data", "uid": "u"});
            let volume = json!({"metadata": {"name": "v"}, "spec": spec});
            let volume: PersistentVolume = serde_json::from_value(volume).unwrap();
            let annotations = json!({"pv.kubernetes.io/bind-completed": "yes"});
            let claim: PersistentVolumeClaim = serde_json::from_value(json!({
                "metadata": {"namespace": "n", "name": "data", "uid": "u",
                             "annotations": annotations},
                "spec": {"volumeName": "v"},
            }))
            .unwrap();
            let key = ObjectKey::of(&claim);
            self.claims.lock().insert(key, Arc::new(claim));
            let key = ObjectKey::of(&volume);
            self.volumes.lock().insert(key, Arc::new(volume));
            self
        }

        /// What a driver says of itself: the spec of its CSIDriver.
        pub fn with_csi_driver(self, name: &str, spec: Value) -> Self {
            let driver = json!({"metadata": {"name": name}, "spec": spec});
            let driver: CSIDriver = serde_json::from_value(driver).unwrap();
            let key = ObjectKey::of(&driver);
            self.drivers.lock().insert(key, Arc::new(driver));
            self
        }

        pub fn put_attachment(&self, name: &str, status: Value) {
            let attachment = json!({"metadata": {"name": name}, "status": status,
                "spec": {"attacher": "d", "nodeName": "here", "source": {}}});
            let attachment: VolumeAttachment = serde_json::from_value(attachment).unwrap();
            let key = ObjectKey::of(&attachment);
            self.attachments.lock().insert(key, Arc::new(attachment));
        }

        /// The node, if it is not an ordinary one.
        pub fn put_node(&self, json: Value) {
            *self.node.lock() = serde_json::from_value(json).map(Arc::new).ok();
        }

        /// Changes what there is of the claim `n/data`, and of its volume.
        pub fn change_claim(
            &self,
            change: impl Fn(&mut PersistentVolumeClaim, &mut PersistentVolume),
        ) {
            let (mut claims, mut volumes) = (self.claims.lock(), self.volumes.lock());
            let claim = claims.get_mut(&ObjectKey::new("n", "data")).unwrap();
            let volume = volumes.get_mut(&ObjectKey::new("", "v")).unwrap();
            change(Arc::make_mut(claim), Arc::make_mut(volume));
        }

        pub fn with_config_map(self, json: Value) -> Self {
            self.put_config_map(json);
            self
        }

        pub fn put_config_map(&self, json: Value) {
            let map: ConfigMap = serde_json::from_value(json).unwrap();
            let key = ObjectKey::of(&map);
            self.config_maps.lock().insert(key, Arc::new(map));
        }

        pub fn with_secret(self, json: Value) -> Self {
            let secret: Secret = serde_json::from_value(json).unwrap();
            let key = ObjectKey::of(&secret);
            self.secrets.lock().insert(key, Arc::new(secret));
            self
        }

        pub fn with_service(mut self, json: Value) -> Self {
            self.services
                .push(Arc::new(serde_json::from_value(json).unwrap()));
            self
        }
    }

    fn find<K: Kind>(
        map: &Mutex<HashMap<ObjectKey, Arc<K>>>,
        namespace: &str,
        name: &str,
    ) -> Result<Arc<K>, Error> {
        let found = map.lock().get(&ObjectKey::new(namespace, name)).cloned();
        found.ok_or_else(|| Error::NotFound {
            kind: K::KIND.to_lowercase(),
            name: name.into(),
        })
    }

    impl Objects for Fake {
        fn config_map<'a>(
            &'a self,
            namespace: &'a str,
            name: &'a str,
        ) -> BoxFuture<'a, Result<Arc<ConfigMap>, Error>> {
            Box::pin(async move { find(&self.config_maps, namespace, name) })
        }

        fn secret<'a>(
            &'a self,
            namespace: &'a str,
            name: &'a str,
        ) -> BoxFuture<'a, Result<Arc<Secret>, Error>> {
            Box::pin(async move { find(&self.secrets, namespace, name) })
        }

        fn claim<'a>(
            &'a self,
            namespace: &'a str,
            name: &'a str,
        ) -> BoxFuture<'a, Result<Arc<PersistentVolumeClaim>, Error>> {
            Box::pin(async move { find(&self.claims, namespace, name) })
        }

        fn volume<'a>(
            &'a self,
            name: &'a str,
        ) -> BoxFuture<'a, Result<Arc<PersistentVolume>, Error>> {
            Box::pin(async move { find(&self.volumes, "", name) })
        }

        fn csi_driver<'a>(
            &'a self,
            name: &'a str,
        ) -> BoxFuture<'a, Result<Option<Arc<CSIDriver>>, Error>> {
            Box::pin(async move { Ok(find(&self.drivers, "", name).ok()) })
        }

        fn attachment<'a>(
            &'a self,
            name: &'a str,
        ) -> BoxFuture<'a, Result<Arc<VolumeAttachment>, Error>> {
            Box::pin(async move { find(&self.attachments, "", name) })
        }

        fn patch_claim<'a>(
            &'a self,
            namespace: &'a str,
            name: &'a str,
            patch: &'a Value,
        ) -> BoxFuture<'a, Result<(), Error>> {
            Box::pin(async move {
                let mut claim = (*find(&self.claims, namespace, name)?).clone();
                let status: Value = patch["status"].clone();
                claim.status = serde_json::from_value(status).unwrap();
                let key = ObjectKey::of(&claim);
                self.claims.lock().insert(key, Arc::new(claim));
                Ok(())
            })
        }

        fn node(&self) -> BoxFuture<'_, Result<Arc<Node>, Error>> {
            let node = json!({"metadata": {"name": "here", "labels": {"host": "here"}}});
            let node = self.node.lock().clone().unwrap_or_else(|| {
                let node = serde_json::from_value(node).unwrap();
                Arc::new(node)
            });
            Box::pin(async move { Ok(node) })
        }

        fn services(&self) -> Result<Vec<Arc<Service>>, Error> {
            Ok(self.services.clone())
        }

        fn token<'a>(
            &'a self,
            pod: &'a Pod,
            audience: &'a str,
            expiration_seconds: i64,
        ) -> BoxFuture<'a, Result<Token, Error>> {
            let token = Token {
                text: format!("{}:{audience}:{expiration_seconds}", pod.uid()),
                issued: jiff::Timestamp::UNIX_EPOCH,
                expires: jiff::Timestamp::UNIX_EPOCH,
            };
            Box::pin(async move { Ok(token) })
        }
    }
}
