//! Who owns whom: every object as a node, by UID; and what follows from it.
//! Nothing here asks the apiserver.

use hardway_client::shrink::Shrink;
use hardway_proto::Kind;
use hardway_proto::api::ResourceInfo;
use hardway_proto::kind::PartialObject;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The finalizer of a foreground deletion.
pub const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer of a deletion that leaves dependents behind.
pub const ORPHAN: &str = "orphan";

/// One object.
#[derive(Clone, Debug)]
pub struct Node {
    /// What kind of object it is.
    pub resource: Arc<ResourceInfo>,
    /// What its metadata says of it and its owners; shared with the cache that it is from.
    pub object: Arc<PartialObject>,
}

impl Node {
    /// Its namespace; empty if it is in none.
    pub fn namespace(&self) -> &str {
        self.object.namespace()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.object.name()
    }

    /// Its owners, as its metadata names them.
    pub fn owners(&self) -> &[OwnerReference] {
        let owners = &self.object.metadata.owner_references;
        owners.as_deref().unwrap_or_default()
    }

    /// Its finalizers.
    pub fn finalizers(&self) -> &[String] {
        let finalizers = &self.object.metadata.finalizers;
        finalizers.as_deref().unwrap_or_default()
    }

    /// Whether it is being deleted.
    pub fn is_deleting(&self) -> bool {
        self.object.metadata.deletion_timestamp.is_some()
    }

    /// Whether it waits for its dependents to go first.
    pub fn waits_for_dependents(&self) -> bool {
        self.is_deleting() && self.finalizers().iter().any(|f| f == FOREGROUND)
    }

    /// Whether it waits for its dependents to be set free.
    pub fn orphans_dependents(&self) -> bool {
        self.is_deleting() && self.finalizers().iter().any(|f| f == ORPHAN)
    }

    /// Whether it can't own what is in this namespace: it is in another.
    fn is_elsewhere(&self, namespace: &str) -> bool {
        self.resource.namespaced && self.namespace() != namespace
    }
}

/// Whether a resource is what a reference speaks of, in the group it is kept in
/// or in another that shows it.
pub fn fits(info: &ResourceInfo, owner: &OwnerReference) -> bool {
    let version = owner.api_version.split_once('/');
    let group = version.map_or("", |(group, _)| group);
    info.kind == owner.kind && (info.group == group || info.also_in.iter().any(|g| g == group))
}

/// What becomes of an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerState {
    /// It is there.
    Solid,
    /// There is no such object.
    Gone,
    /// It is being deleted, and waits for its dependents to go first.
    Waiting,
}

/// What is to be done about an object.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing, until something changes.
    Rest,
    /// Free these dependents of it, then take off the finalizer [`ORPHAN`].
    Orphan(Vec<String>),
    /// Take off the finalizer [`FOREGROUND`].
    Finish,
    /// Look at these dependents, which hold up its deletion.
    LookAt(Vec<String>),
    /// Find out what its owners are, for [`verdict`].
    Judge,
}

/// What an object's owners mean for it.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stays as it is.
    Keep,
    /// It stays, without these owners.
    Disown(Vec<String>),
    /// It goes.
    Delete {
        /// `Foreground`, `Background` or `Orphan`.
        policy: &'static str,
        /// First none of its references may block its owners' deletion any more.
        unblock: bool,
    },
}

/// Judges an object by its owners: their UIDs and states. `in_circle` says
/// whether a dependent of it waits for dependents as well: then each could wait
/// for the other for ever.
pub fn verdict(
    owners: &[(String, OwnerState)],
    finalizers: &[String],
    has_dependents: bool,
    in_circle: bool,
) -> Verdict {
    let is = |state| owners.iter().any(|(_, s)| *s == state);
    if owners.is_empty() {
        return Verdict::Keep;
    }
    if is(OwnerState::Solid) {
        let others = owners.iter().filter(|(_, s)| *s != OwnerState::Solid);
        let uids: Vec<String> = others.map(|(uid, _)| uid.clone()).collect();
        return match uids.is_empty() {
            true => Verdict::Keep,
            false => Verdict::Disown(uids),
        };
    }
    let finalizer = |name: &str| finalizers.iter().any(|f| f == name);
    if is(OwnerState::Waiting) && has_dependents {
        return Verdict::Delete {
            policy: "Foreground",
            unblock: in_circle,
        };
    }
    let policy = match (finalizer(ORPHAN), finalizer(FOREGROUND)) {
        (true, _) => "Orphan",
        (_, true) => "Foreground",
        _ => "Background",
    };
    let unblock = false;
    Verdict::Delete { policy, unblock }
}

/// What a change leads to.
#[derive(Debug, Default, PartialEq)]
pub struct Effects {
    /// UIDs to look at.
    pub look: Vec<String>,
    /// References to owners in another namespace, with the dependent's UID.
    pub misplaced: Vec<(String, OwnerReference)>,
}

/// All objects and who depends on them.
#[derive(Default)]
pub struct Graph {
    nodes: HashMap<String, Node>,
    /// UIDs of dependents by the owner's UID, whether the owner is known or not.
    dependents: HashMap<String, HashSet<String>>,
}

impl Graph {
    /// An object by UID.
    pub fn get(&self, uid: &str) -> Option<&Node> {
        self.nodes.get(uid)
    }

    /// UIDs of what names this UID as an owner.
    fn dependents(&self, uid: &str) -> impl Iterator<Item = &String> {
        self.dependents.get(uid).into_iter().flatten()
    }

    /// Whether anything names this UID as an owner.
    pub fn has_dependents(&self, uid: &str) -> bool {
        self.dependents.contains_key(uid)
    }

    /// Whether something that depends on it waits for its own dependents.
    pub fn is_in_circle(&self, uid: &str) -> bool {
        self.dependents(uid)
            .filter_map(|dependent| self.nodes.get(dependent))
            .any(Node::waits_for_dependents)
    }

    /// The dependents that hold up this owner's foreground deletion.
    fn blocking(&self, uid: &str) -> impl Iterator<Item = (&String, &Node)> {
        let of = uid.to_owned();
        self.dependents(uid)
            .filter_map(|dependent| Some((dependent, self.nodes.get(dependent)?)))
            .filter(move |(_, node)| {
                let mut owners = node.owners().iter();
                owners.any(|o| o.uid == of && o.block_owner_deletion == Some(true))
            })
    }

    /// What is to be done about an object.
    pub fn step(&self, uid: &str) -> Step {
        let Some(node) = self.nodes.get(uid) else {
            return Step::Rest;
        };
        if node.orphans_dependents() {
            return Step::Orphan(self.dependents(uid).cloned().collect());
        }
        if node.waits_for_dependents() {
            if self.blocking(uid).next().is_none() {
                return Step::Finish;
            }
            // Those that wait themselves can't be hurried: going round in a
            // circle of them would never end.
            let idle = self
                .blocking(uid)
                .filter(|(_, d)| !d.waits_for_dependents());
            return Step::LookAt(idle.map(|(uid, _)| uid.clone()).collect());
        }
        match node.is_deleting() || node.owners().is_empty() {
            true => Step::Rest,
            false => Step::Judge,
        }
    }

    /// What is known of an owner of this object; `None` if only the apiserver
    /// can say.
    pub fn state_of(&self, owner: &OwnerReference, of: &Node) -> Option<OwnerState> {
        let node = self.nodes.get(&owner.uid)?;
        if !fits(&node.resource, owner) || of.namespace().is_empty() && node.resource.namespaced {
            return None;
        }
        let is_other = node.is_elsewhere(of.namespace()) || node.name() != owner.name;
        Some(match (is_other, node.waits_for_dependents()) {
            (true, _) => OwnerState::Gone,
            (_, true) => OwnerState::Waiting,
            (_, false) => OwnerState::Solid,
        })
    }

    /// Takes an object in.
    pub fn apply(&mut self, resource: &Arc<ResourceInfo>, object: &Arc<PartialObject>) -> Effects {
        let uid = object.uid().to_owned();
        let node = Node {
            resource: resource.clone(),
            object: object.clone(),
        };
        let mut effects = Effects::default();
        let former = self.unlink(&uid);
        for owner in node.owners() {
            let dependents = self.dependents.entry(owner.uid.clone()).or_default();
            dependents.insert(uid.clone());
        }
        let known = former.as_ref().map_or(&[][..], Node::owners);
        for owner in node.owners().iter().filter(|owner| !known.contains(owner)) {
            let is_misplaced = match self.nodes.get(&owner.uid) {
                Some(there) => there.is_elsewhere(node.namespace()),
                None => owner.uid == uid && node.is_elsewhere(node.namespace()),
            };
            if is_misplaced {
                effects.misplaced.push((uid.clone(), owner.clone()));
            }
        }
        if former.is_none() {
            effects.misplaced.extend(self.misplaced_under(&uid, &node));
        }
        let waited = former.as_ref().is_some_and(Node::waits_for_dependents);
        if node.waits_for_dependents() && !waited {
            effects.look.extend(self.dependents(&uid).cloned());
        }
        if !node.owners().is_empty() || node.waits_for_dependents() || node.orphans_dependents() {
            effects.look.push(uid.clone());
        }
        self.nodes.insert(uid, node);
        // An owner may have waited for just this change.
        let former = former.as_ref().map_or(&[][..], Node::owners);
        effects.look.extend(self.freed(former));
        effects
    }

    /// Takes an object out.
    pub fn remove(&mut self, uid: &str) -> Effects {
        let former = self.unlink(uid);
        self.nodes.remove(uid);
        self.nodes.shrink_if_sparse();
        let owners = former.as_ref().map_or(&[][..], Node::owners);
        let mut look = self.freed(owners);
        look.extend(self.dependents(uid).cloned());
        Effects {
            look,
            misplaced: Vec::new(),
        }
    }

    /// Which of these owners waited for their dependents, and do so no more.
    fn freed(&self, owners: &[OwnerReference]) -> Vec<String> {
        let owners = owners.iter().map(|owner| &owner.uid);
        let waiting = owners.filter(|uid| {
            let node = self.nodes.get(*uid);
            node.is_some_and(Node::waits_for_dependents) && self.blocking(uid).next().is_none()
        });
        waiting.cloned().collect()
    }

    /// Dependents of an object in other namespaces than its own.
    fn misplaced_under(&self, uid: &str, node: &Node) -> Vec<(String, OwnerReference)> {
        let mut misplaced = Vec::new();
        for dependent in self.dependents(uid) {
            let Some(below) = self.nodes.get(dependent) else {
                continue;
            };
            if node.is_elsewhere(below.namespace()) {
                let references = below.owners().iter().filter(|owner| owner.uid == uid);
                misplaced.extend(references.map(|owner| (dependent.clone(), owner.clone())));
            }
        }
        misplaced
    }

    /// Drops the edges to an object's owners; returns it as it was.
    fn unlink(&mut self, uid: &str) -> Option<Node> {
        let node = self.nodes.get(uid)?.clone();
        for owner in node.owners() {
            if let Some(dependents) = self.dependents.get_mut(&owner.uid) {
                dependents.remove(uid);
                if dependents.is_empty() {
                    self.dependents.remove(&owner.uid);
                    self.dependents.shrink_if_sparse();
                }
            }
        }
        Some(node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn things() -> Arc<ResourceInfo> {
        Arc::new(ResourceInfo {
            kind: "Thing".into(),
            resource: "things".into(),
            namespaced: true,
            ..ResourceInfo::default()
        })
    }

    fn apply(graph: &mut Graph, metadata: Value) -> Effects {
        let object: PartialObject = serde_json::from_value(json!({"metadata": metadata})).unwrap();
        graph.apply(&things(), &Arc::new(object))
    }

    fn object(uid: &str, owners: &[&str]) -> Value {
        let reference = |owner: &&str| {
            json!({
            "apiVersion": "v1", "kind": "Thing", "name": owner, "uid": owner, "blockOwnerDeletion": true})
        };
        json!({"name": uid, "namespace": "n", "uid": uid,
            "ownerReferences": owners.iter().map(reference).collect::<Vec<_>>()})
    }

    fn leaving(mut object: Value) -> Value {
        object["deletionTimestamp"] = "2024-01-01T00:00:00Z".into();
        object["finalizers"] = json!([FOREGROUND]);
        object
    }

    fn state(graph: &Graph, owner: &str, of: &str) -> Option<OwnerState> {
        let node = graph.get(of).unwrap();
        let owner = node.owners().iter().find(|o| o.uid == owner).unwrap();
        graph.state_of(owner, node)
    }

    #[test]
    fn owners_are_known_by_their_old_names_too() {
        let deployments = ResourceInfo {
            group: "apps".into(),
            kind: "Deployment".into(),
            also_in: vec!["extensions".into()],
            ..ResourceInfo::default()
        };
        let owner = |api_version: &str, kind: &str| OwnerReference {
            api_version: api_version.into(),
            kind: kind.into(),
            ..OwnerReference::default()
        };
        for old in ["apps/v1", "apps/v1beta1", "extensions/v1beta1"] {
            assert!(fits(&deployments, &owner(old, "Deployment")), "{old}");
        }
        assert!(!fits(&deployments, &owner("apps/v1", "ReplicaSet")));
        assert!(!fits(&deployments, &owner("example.com/v1", "Deployment")));
    }

    #[test]
    fn dependents_are_looked_at_when_their_owner_goes() {
        let mut graph = Graph::default();
        apply(&mut graph, object("rc", &[]));
        assert_eq!(apply(&mut graph, object("pod", &["rc"])).look, ["pod"]);
        assert_eq!(graph.step("pod"), Step::Judge);
        assert_eq!(state(&graph, "rc", "pod"), Some(OwnerState::Solid));
        assert_eq!(graph.remove("rc").look, ["pod"]);
        assert_eq!(state(&graph, "rc", "pod"), None, "the apiserver knows");
    }

    #[test]
    fn a_waiting_owner_is_looked_at_when_its_last_dependent_goes() {
        let mut graph = Graph::default();
        apply(&mut graph, object("a", &["rc"]));
        apply(&mut graph, object("b", &["rc"]));
        let mut look = apply(&mut graph, leaving(object("rc", &[]))).look;
        look.sort();
        assert_eq!(look, ["a", "b", "rc"]);
        assert_eq!(state(&graph, "rc", "a"), Some(OwnerState::Waiting));
        assert!(graph.remove("a").look.is_empty(), "b holds it up still");
        assert_eq!(graph.step("rc"), Step::LookAt(vec!["b".into()]));
        assert_eq!(graph.remove("b").look, ["rc"]);
        assert_eq!(graph.step("rc"), Step::Finish);
    }

    #[test]
    fn who_waits_is_not_hurried() {
        let mut graph = Graph::default();
        apply(&mut graph, leaving(object("a", &["b"])));
        apply(&mut graph, leaving(object("b", &["a"])));
        assert_eq!(graph.step("a"), Step::LookAt(Vec::new()));
        assert!(graph.is_in_circle("a"));
        // Its own owner: as in Kubernetes, it waits until somebody steps in.
        apply(&mut graph, leaving(object("self", &["self"])));
        assert_eq!(graph.step("self"), Step::LookAt(Vec::new()));
    }

    #[test]
    fn an_unblocked_reference_frees_the_owner() {
        let mut graph = Graph::default();
        apply(&mut graph, leaving(object("a", &[])));
        apply(&mut graph, object("b", &["a"]));
        let mut unblocked = object("b", &["a"]);
        unblocked["ownerReferences"][0]["blockOwnerDeletion"] = false.into();
        let mut look = apply(&mut graph, unblocked).look;
        look.sort();
        assert_eq!(look, ["a", "b"]);
        assert_eq!(graph.step("a"), Step::Finish);
    }

    #[test]
    fn owners_in_other_namespaces_are_none_and_told_of() {
        let mut graph = Graph::default();
        let mut owner = object("owner", &[]);
        owner["namespace"] = "other".into();
        apply(&mut graph, owner.clone());
        let effects = apply(&mut graph, object("pod", &["owner"]));
        assert_eq!(effects.misplaced[0].0, "pod");
        assert_eq!(state(&graph, "owner", "pod"), Some(OwnerState::Gone));
        let again = apply(&mut graph, object("pod", &["owner"]));
        assert!(again.misplaced.is_empty(), "told once");

        let mut graph = Graph::default();
        apply(&mut graph, object("pod", &["owner"]));
        let effects = apply(&mut graph, owner);
        assert_eq!(effects.misplaced[0].0, "pod");
    }

    #[test]
    fn a_namespaced_owner_of_what_has_no_namespace_is_not_taken_for_gone() {
        let mut graph = Graph::default();
        apply(&mut graph, object("owner", &[]));
        let mut cluster = object("cluster", &["owner"]);
        cluster["namespace"] = "".into();
        let effects = apply(&mut graph, cluster);
        assert_eq!(effects.misplaced.len(), 1);
        assert_eq!(state(&graph, "owner", "cluster"), None);
    }

    #[test]
    fn a_reference_to_another_kind_is_for_the_apiserver_to_judge() {
        let mut graph = Graph::default();
        apply(&mut graph, object("owner", &[]));
        let mut pod = object("pod", &["owner"]);
        pod["ownerReferences"][0]["kind"] = "Other".into();
        apply(&mut graph, pod);
        assert_eq!(state(&graph, "owner", "pod"), None);
        let mut renamed = object("pod", &["owner"]);
        renamed["ownerReferences"][0]["name"] = "someone".into();
        apply(&mut graph, renamed);
        assert_eq!(state(&graph, "owner", "pod"), Some(OwnerState::Gone));
    }

    #[test]
    fn verdicts() {
        use OwnerState::{Gone, Solid, Waiting};
        let judge = |states: &[OwnerState], finalizers: &[&str], dependents, circle| {
            let uid = |(i, state): (usize, &OwnerState)| (i.to_string(), *state);
            let owners: Vec<_> = states.iter().enumerate().map(uid).collect();
            let finalizers: Vec<String> = finalizers.iter().map(ToString::to_string).collect();
            verdict(&owners, &finalizers, dependents, circle)
        };
        let delete = |policy, unblock| Verdict::Delete { policy, unblock };
        assert_eq!(judge(&[], &[], false, false), Verdict::Keep);
        assert_eq!(judge(&[Solid], &[], true, true), Verdict::Keep);
        let freed = Verdict::Disown(vec!["0".into(), "2".into()]);
        assert_eq!(judge(&[Gone, Solid, Waiting], &[], true, false), freed);
        assert_eq!(judge(&[Gone], &[], true, true), delete("Background", false));
        assert_eq!(
            judge(&[Gone], &[FOREGROUND], false, false),
            delete("Foreground", false)
        );
        assert_eq!(
            judge(&[Gone], &[ORPHAN, FOREGROUND], false, false),
            delete("Orphan", false)
        );
        assert_eq!(
            judge(&[Waiting], &[], false, false),
            delete("Background", false)
        );
        assert_eq!(
            judge(&[Waiting, Gone], &[], true, false),
            delete("Foreground", false)
        );
        assert_eq!(
            judge(&[Waiting], &[ORPHAN], true, true),
            delete("Foreground", true)
        );
    }

    #[test]
    fn ten_thousand_dependents_cost_no_more_than_their_number() {
        let mut graph = Graph::default();
        let uids: Vec<String> = (0..10_000).map(|i| format!("pod{i}")).collect();
        for uid in &uids {
            apply(&mut graph, object(uid, &["rc"]));
        }
        let looks = apply(&mut graph, leaving(object("rc", &[]))).look.len();
        assert_eq!(looks, uids.len() + 1);
        let looks: usize = uids.iter().map(|uid| graph.remove(uid).look.len()).sum();
        assert_eq!(looks, 1, "the owner, once, at the end");
    }
}
