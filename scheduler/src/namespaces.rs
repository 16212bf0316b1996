//! The labels of namespaces, by which affinities to pods may select them.

use hardway_client::informer::Change;
use hardway_client::{Client, Informer, Store};
use hardway_proto::Kind;
use hardway_proto::labels::Selector;
use hardway_proto::meta::ObjectKey;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::sync::Arc;

/// All namespaces that are known; clones share them.
#[derive(Clone, Default)]
pub struct Namespaces(Store<Namespace>);

impl Namespaces {
    /// Those that an informer keeps.
    pub fn kept_by(informer: &Informer<Namespace>) -> Self {
        Self(informer.store())
    }

    /// The names of those that a selector selects.
    pub fn selected(&self, selector: &Selector) -> Vec<String> {
        let all = self.0.list();
        let selected = all.iter().filter(|n| selects(selector, &n.metadata));
        selected.map(|n| n.name().to_owned()).collect()
    }

    /// One of them; without labels if it isn't known.
    pub fn get(&self, name: &str) -> Arc<Namespace> {
        self.0.get(&ObjectKey::new("", name)).unwrap_or_default()
    }
}

/// Whether a selector matches an object's labels.
pub fn selects(selector: &Selector, object: &ObjectMeta) -> bool {
    match &object.labels {
        Some(labels) => selector.matches(labels),
        None => selector.matches_with(|_| None),
    }
}

/// Follows the namespaces of the cluster, and keeps names and labels.
pub fn informer(client: &Client) -> Informer<Namespace> {
    Informer::new(client.all()).trim(|namespace| {
        namespace.spec = None;
        namespace.status = None;
        namespace.metadata.annotations = None;
        namespace.metadata.managed_fields = None;
    })
}

/// Whether a selector may select the namespace now that didn't before, or the other way
/// round. One that is gone has no pods any more.
pub fn may_be_selected_anew(change: &Change<Namespace>) -> bool {
    match change {
        Change::Applied { old, new } => old
            .as_ref()
            .is_none_or(|old| old.metadata.labels != new.metadata.labels),
        Change::Deleted(_) => false,
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use serde_json::{Value, json};

    /// A namespace with labels.
    pub fn namespace(name: &str, labels: Value) -> Arc<Namespace> {
        let object = json!({"metadata": {"name": name, "labels": labels}});
        Arc::new(serde_json::from_value(object).expect("a namespace"))
    }

    impl Namespaces {
        /// Adds or changes one; returns the change.
        pub fn apply(&self, name: &str, labels: Value) -> Change<Namespace> {
            let new = namespace(name, labels);
            let old = self.0.insert(new.clone());
            Change::Applied { old, new }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framework::ClusterEvent;
    use crate::node_info::NodeInfo;
    use crate::plugins::default_profile;
    use crate::pod_info::PodInfo;
    use crate::queue::Queue;
    use crate::selection::Selection;
    use crate::storage::Storage;
    use serde_json::{Value, json};
    use std::time::Duration;
    use tokio::time::Instant;

    fn pod(namespace: &str, name: &str, spec: Value) -> Arc<PodInfo> {
        let object = json!({"spec": spec, "metadata": {
            "namespace": namespace, "name": name, "uid": name, "labels": {"app": "db"}}});
        Arc::new(PodInfo::new(Arc::new(
            serde_json::from_value(object).unwrap(),
        )))
    }

    #[tokio::test(start_paused = true)]
    async fn a_label_of_a_namespace_wakes_the_pod_that_waits_for_company_there() {
        let namespaces = Namespaces::default();
        namespaces.apply("friends", json!({}));
        let framework = default_profile(Storage::default(), namespaces.clone());
        let helps = |event, by: &[&'static str]| framework.may_help(event, by);
        let object = json!({"metadata": {"name": "n", "labels": {"zone": "a"}},
            "status": {"allocatable": {"cpu": "4", "memory": "1Gi", "pods": "10"}}});
        let mut node = NodeInfo::named("n");
        node.set_node(Arc::new(serde_json::from_value(object).unwrap()));
        node.add_pod(pod("friends", "first", json!({"containers": []})));
        let nodes = [Arc::new(node)];
        let term = json!({"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "db"}},
            "namespaceSelector": {"matchLabels": {"team": "a"}}});
        let spec = json!({"containers": [], "affinity": {"podAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [term]}}});

        let (mut queue, mut selection) = (Queue::default(), Selection::default());
        let now = Instant::now();
        queue.add(pod("d", "second", spec), now);
        let waiting = queue.pop(now).unwrap();
        let fit = selection.find_node(&framework, &nodes, &waiting);
        let by = fit.unwrap_err().plugins();
        assert_eq!(by, ["InterPodAffinity"]);
        queue.unschedulable(&waiting.key, by, now, helps);

        let later = now + Duration::from_secs(20);
        let change = namespaces.apply("friends", json!({"team": "a"}));
        assert!(may_be_selected_anew(&change));
        queue.on_event(ClusterEvent::NamespaceChanged, later, helps);
        let woken = queue.pop(later).expect("it is tried again");
        assert_eq!(
            selection
                .find_node(&framework, &nodes, &woken)
                .unwrap()
                .node,
            "n"
        );
    }

    #[test]
    fn only_labels_matter_and_only_to_affinities_to_pods() {
        let namespaces = Namespaces::default();
        assert!(may_be_selected_anew(
            &namespaces.apply("a", json!({"x": "y"}))
        ));
        assert!(!may_be_selected_anew(
            &namespaces.apply("a", json!({"x": "y"}))
        ));
        let gone = Change::Deleted(namespaces.get("a"));
        assert!(!may_be_selected_anew(&gone));
        let framework = default_profile(Storage::default(), namespaces);
        for plugin in ["NodeResourcesFit", "PodTopologySpread", "NodeAffinity"] {
            assert!(
                !framework.may_help(ClusterEvent::NamespaceChanged, &[plugin]),
                "{plugin}"
            );
        }
    }
}
