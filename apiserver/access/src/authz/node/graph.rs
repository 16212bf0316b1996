//! Which node needs which object: kept while pods, volumes and attachments come
//! and go, so that a question is a look into a map.

use hardway_proto::references::{self, Referent};
use parking_lot::RwLock;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::objects::is_mirror;
use crate::text;

/// What nodes are related to. Whoever keeps the stored objects tells it of
/// every change before anybody else can see it.
#[derive(Default)]
pub struct Graph(RwLock<Relations>);

/// `namespace/name`, or a name alone.
type Key = Arc<str>;

#[derive(Default)]
struct Relations {
    pods: HashMap<String, Pod>,
    /// What the pods of nodes refer to, by kind and key.
    referred: HashMap<Referent, HashMap<Key, Nodes>>,
    volumes: HashMap<String, Volume>,
    /// The volumes that need a secret.
    mounting: HashMap<Key, BTreeSet<String>>,
    /// The node of each VolumeAttachment and each ResourceSlice.
    attachments: HashMap<String, String>,
    slices: HashMap<String, String>,
}

/// Nodes, each with the number of its references.
type Nodes = HashMap<Arc<str>, usize>;

struct Pod {
    node: Arc<str>,
    refers: Box<[(Referent, Key)]>,
}

struct Volume {
    /// `namespace/name` of the claim it is bound to.
    claim: String,
    secrets: Box<[Key]>,
}

/// The kinds of objects that tell of relations.
#[derive(Clone, Copy)]
enum Source {
    Pod,
    Volume,
    Attachment,
    Slice,
}

impl Source {
    fn of(group: &str, resource: &str) -> Option<Self> {
        match (group, resource) {
            ("", "pods") => Some(Self::Pod),
            ("", "persistentvolumes") => Some(Self::Volume),
            ("storage.k8s.io", "volumeattachments") => Some(Self::Attachment),
            ("resource.k8s.io", "resourceslices") => Some(Self::Slice),
            _ => None,
        }
    }
}

impl Graph {
    /// The object of a key (`namespace/name`, or a name alone) is there now, or
    /// is another than before. Kinds that relate nothing are passed over.
    pub fn put(&self, group: &str, resource: &str, key: &str, object: &Value) {
        let Some(source) = Source::of(group, resource) else {
            return;
        };
        let mut relations = self.0.write();
        relations.forget(source, key);
        let node = || text(object, "/spec/nodeName").to_owned();
        match source {
            Source::Pod => relations.add_pod(key, object),
            Source::Volume => relations.add_volume(key, object),
            Source::Attachment => drop(relations.attachments.insert(key.into(), node())),
            Source::Slice => drop(relations.slices.insert(key.into(), node())),
        }
    }

    /// The object of a key is gone, or can't be read any more.
    pub fn remove(&self, group: &str, resource: &str, key: &str) {
        if let Some(source) = Source::of(group, resource) {
            self.0.write().forget(source, key);
        }
    }

    /// Takes over all that another has been told, and nothing else.
    pub fn replace(&self, other: Graph) {
        *self.0.write() = other.0.into_inner();
    }

    /// Whether a node needs an object, or runs the pod.
    pub(super) fn relates(
        &self,
        node: &str,
        group: &str,
        resource: &str,
        namespace: &str,
        name: &str,
    ) -> bool {
        let relations = self.0.read();
        let key = key(namespace, name);
        let refers = |referent| relations.refers(node, referent, &key);
        let is_of = |map: &HashMap<String, String>| map.get(&key).is_some_and(|of| of == node);
        match (group, resource) {
            ("", "pods") => relations
                .pods
                .get(&key)
                .is_some_and(|pod| &*pod.node == node),
            ("", "secrets") => refers(Referent::Secret) || relations.mounts(node, &key),
            ("", "configmaps") => refers(Referent::ConfigMap),
            ("", "serviceaccounts") => refers(Referent::ServiceAccount),
            ("", "persistentvolumeclaims") => refers(Referent::PersistentVolumeClaim),
            ("", "persistentvolumes") => relations.uses(node, &key),
            ("resource.k8s.io", "resourceclaims") => refers(Referent::ResourceClaim),
            ("storage.k8s.io", "volumeattachments") => is_of(&relations.attachments),
            ("resource.k8s.io", "resourceslices") => is_of(&relations.slices),
            _ => false,
        }
    }
}

fn key(namespace: &str, name: &str) -> String {
    match namespace {
        "" => name.to_owned(),
        namespace => format!("{namespace}/{name}"),
    }
}

impl Relations {
    fn add_pod(&mut self, key: &str, pod: &Value) {
        let node = text(pod, "/spec/nodeName");
        if node.is_empty() {
            return;
        }
        let node: Arc<str> = node.into();
        let namespace = key.split_once('/').map_or("", |(namespace, _)| namespace);
        let mut refers = BTreeSet::new();
        // A mirror pod is the node's own making and permits nothing.
        if !is_mirror(pod) {
            references::of_pod(pod, |referent, name| {
                refers.insert((referent, self::key(namespace, name)));
            });
        }
        let refers = refers.into_iter().map(|(referent, key)| {
            let of_kind = self.referred.entry(referent).or_default();
            // One text for all who refer to it.
            let key: Key = match of_kind.get_key_value(key.as_str()) {
                Some((known, _)) => known.clone(),
                None => key.into(),
            };
            let nodes = of_kind.entry(key.clone()).or_default();
            *nodes.entry(node.clone()).or_default() += 1;
            (referent, key)
        });
        let refers = refers.collect();
        self.pods.insert(key.into(), Pod { node, refers });
    }

    fn add_volume(&mut self, name: &str, volume: &Value) {
        let claim = key(
            text(volume, "/spec/claimRef/namespace"),
            text(volume, "/spec/claimRef/name"),
        );
        if claim.is_empty() {
            return;
        }
        let mut secrets = BTreeSet::new();
        references::secrets_of_volume(volume, |namespace, name| {
            secrets.insert(Key::from(key(namespace, name)));
        });
        for secret in &secrets {
            let volumes = self.mounting.entry(secret.clone()).or_default();
            volumes.insert(name.to_owned());
        }
        let secrets = secrets.into_iter().collect();
        self.volumes
            .insert(name.to_owned(), Volume { claim, secrets });
    }

    fn forget(&mut self, source: Source, key: &str) {
        match source {
            Source::Pod => {
                let Some(pod) = self.pods.remove(key) else {
                    return;
                };
                for (referent, key) in &pod.refers {
                    self.release(*referent, key, &pod.node);
                }
            }
            Source::Volume => {
                let Some(volume) = self.volumes.remove(key) else {
                    return;
                };
                for secret in &volume.secrets {
                    if let Some(volumes) = self.mounting.get_mut(secret) {
                        volumes.remove(key);
                        if volumes.is_empty() {
                            self.mounting.remove(secret);
                        }
                    }
                }
            }
            Source::Attachment => drop(self.attachments.remove(key)),
            Source::Slice => drop(self.slices.remove(key)),
        }
    }

    /// One reference less of a node to an object.
    fn release(&mut self, referent: Referent, key: &str, node: &str) {
        let Some(of_kind) = self.referred.get_mut(&referent) else {
            return;
        };
        let Some(nodes) = of_kind.get_mut(key) else {
            return;
        };
        if let Some(count) = nodes.get_mut(node) {
            *count -= 1;
            if *count == 0 {
                nodes.remove(node);
            }
        }
        if nodes.is_empty() {
            of_kind.remove(key);
        }
    }

    fn refers(&self, node: &str, referent: Referent, key: &str) -> bool {
        self.referred
            .get(&referent)
            .and_then(|of_kind| of_kind.get(key))
            .is_some_and(|nodes| nodes.contains_key(node))
    }

    /// Whether a pod of the node claims a volume.
    fn uses(&self, node: &str, volume: &str) -> bool {
        self.volumes
            .get(volume)
            .is_some_and(|of| self.refers(node, Referent::PersistentVolumeClaim, &of.claim))
    }

    /// Whether a volume that a pod of the node claims needs a secret.
    fn mounts(&self, node: &str, secret: &str) -> bool {
        self.mounting
            .get(secret)
            .is_some_and(|volumes| volumes.iter().any(|volume| self.uses(node, volume)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, node: &str, secret: &str) -> Value {
        json!({
            "metadata": {"namespace": "shop", "name": name},
            "spec": {"nodeName": node, "serviceAccountName": "default",
                "volumes": [{"name": "s", "secret": {"secretName": secret}},
                            {"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]}})
    }

    fn reads(graph: &Graph, node: &str, resource: &str, name: &str) -> bool {
        let namespace = if resource == "persistentvolumes" {
            ""
        } else {
            "shop"
        };
        graph.relates(node, "", resource, namespace, name)
    }

    #[test]
    fn relations_end_with_the_last_who_has_them() {
        let graph = Graph::default();
        graph.put("", "pods", "shop/a", &pod("a", "n1", "tls"));
        graph.put("", "pods", "shop/b", &pod("b", "n1", "tls"));
        assert!(reads(&graph, "n1", "secrets", "tls"));
        assert!(!reads(&graph, "n2", "secrets", "tls"));
        assert!(reads(&graph, "n1", "pods", "a") && !reads(&graph, "n2", "pods", "a"));
        graph.remove("", "pods", "shop/a");
        assert!(reads(&graph, "n1", "secrets", "tls"));
        graph.remove("", "pods", "shop/b");
        assert!(!reads(&graph, "n1", "secrets", "tls"));
        let relations = graph.0.read();
        assert!(relations.pods.is_empty());
        assert!(relations.referred.values().all(HashMap::is_empty));
    }

    #[test]
    fn a_pod_that_changes_refers_to_what_it_names_now() {
        let graph = Graph::default();
        let mut unbound = pod("a", "", "tls");
        graph.put("", "pods", "shop/a", &unbound);
        assert!(!reads(&graph, "", "secrets", "tls"));
        unbound["spec"]["nodeName"] = json!("n1");
        graph.put("", "pods", "shop/a", &unbound);
        assert!(reads(&graph, "n1", "secrets", "tls"));
        let mut debugged = unbound.clone();
        debugged["spec"]["ephemeralContainers"] =
            json!([{"name": "d", "envFrom": [{"secretRef": {"name": "more"}}]}]);
        graph.put("", "pods", "shop/a", &debugged);
        assert!(reads(&graph, "n1", "secrets", "more"));
        graph.put("", "pods", "shop/a", &unbound);
        assert!(!reads(&graph, "n1", "secrets", "more"));
    }

    #[test]
    fn volumes_lead_from_claims_to_secrets() {
        let graph = Graph::default();
        let volume = json!({"metadata": {"name": "pv"}, "spec": {
            "claimRef": {"namespace": "shop", "name": "data"},
            "csi": {"nodeStageSecretRef": {"namespace": "shop", "name": "stage"}}}});
        graph.put("", "persistentvolumes", "pv", &volume);
        assert!(!reads(&graph, "n1", "secrets", "stage"));
        graph.put("", "pods", "shop/a", &pod("a", "n1", "tls"));
        assert!(reads(&graph, "n1", "persistentvolumes", "pv"));
        assert!(reads(&graph, "n1", "secrets", "stage"));
        assert!(!reads(&graph, "n2", "secrets", "stage"));
        graph.remove("", "persistentvolumes", "pv");
        assert!(!reads(&graph, "n1", "secrets", "stage"));
        assert!(graph.0.read().mounting.is_empty());
    }

    #[test]
    fn a_mirror_pod_permits_nothing() {
        let graph = Graph::default();
        let mut mirror = pod("a", "n1", "tls");
        mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
        graph.put("", "pods", "shop/a", &mirror);
        assert!(reads(&graph, "n1", "pods", "a"));
        for (resource, name) in [
            ("secrets", "tls"),
            ("persistentvolumeclaims", "data"),
            ("serviceaccounts", "default"),
        ] {
            assert!(!reads(&graph, "n1", resource, name), "{resource}");
        }
    }

    #[test]
    fn a_new_load_replaces_everything() {
        let graph = Graph::default();
        graph.put("", "pods", "shop/a", &pod("a", "n1", "tls"));
        let fresh = Graph::default();
        fresh.put("", "pods", "shop/b", &pod("b", "n2", "tls"));
        graph.replace(fresh);
        assert!(!reads(&graph, "n1", "secrets", "tls"));
        assert!(reads(&graph, "n2", "secrets", "tls"));
    }

    /// The bound is far above what is needed even unoptimised: looking through
    /// the pods takes a thousand times as long.
    #[test]
    fn a_question_takes_no_longer_where_there_are_many_pods() {
        let graph = Graph::default();
        for i in 0..5000 {
            let node = format!("n{}", i % 100);
            let secret = format!("s{}", i % 1000);
            let name = format!("p{i}");
            graph.put(
                "",
                "pods",
                &format!("shop/{name}"),
                &pod(&name, &node, &secret),
            );
        }
        let best = (0..10)
            .map(|_| {
                let start = std::time::Instant::now();
                for i in 0..1000 {
                    let (node, secret) = (format!("n{}", i % 100), format!("s{i}"));
                    assert!(reads(&graph, &node, "secrets", &secret));
                }
                start.elapsed() / 1000
            })
            .min()
            .unwrap();
        println!("{best:?} a question");
        assert!(best < std::time::Duration::from_micros(20), "{best:?}");
    }
}
