//! ControllerRevisions: the templates that a StatefulSet or DaemonSet has and
//! had, to go back to. Which one is current is decided by what they hold;
//! names are hashes, and one that is taken is made anew with a count of
//! collisions.

use crate::hashes;
use hardway_client::Client;
use hardway_client::api::DeleteParams;
use hardway_proto::meta::{controller_of, controller_ref};
use hardway_proto::{Kind, Status};
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use serde_json::{Value, json};
use std::sync::Arc;

/// The label of pods that says which revision they were made of.
pub const POD_LABEL: &str = "controller-revision-hash";

/// The longest part of the owner's name that goes into a revision's.
const LONGEST_PREFIX: usize = 223;

/// A template as a revision holds it: a strategic merge patch that puts it
/// into its owner, which is what `kubectl rollout undo` does with it. It first
/// compares the bytes with what it would write itself, up to 1.33 with a time of
/// creation that says nothing.
fn data_of(template: &PodTemplateSpec) -> Value {
    let mut template = serde_json::to_value(template).expect("API objects have string keys only");
    template["metadata"]["creationTimestamp"] = Value::Null;
    template["$patch"] = "replace".into();
    json!({"spec": {"template": template}})
}

/// The template that a revision holds, if it can be read.
pub fn template_of(revision: &ControllerRevision) -> Option<PodTemplateSpec> {
    let data = &revision.data.as_ref()?.0;
    serde_json::from_value(data.get("spec")?.get("template")?.clone()).ok()
}

/// Whether a revision holds a template. One written by another version of the
/// controller may differ in fields that say nothing, so it is read, too.
fn holds(revision: &ControllerRevision, template: &PodTemplateSpec, data: &Value) -> bool {
    revision.data.as_ref().is_some_and(|own| own.0 == *data)
        || template_of(revision).is_some_and(|own| own == *template)
}

/// In order of their numbers, the newest last.
pub fn sort(revisions: &mut [Arc<ControllerRevision>]) {
    revisions.sort_by(|a, b| {
        let created = |r: &ControllerRevision| r.metadata.creation_timestamp.as_ref().map(|t| t.0);
        (a.revision, created(a), a.name()).cmp(&(b.revision, created(b), b.name()))
    });
}

/// What makes a template the current revision.
#[derive(Debug, PartialEq)]
enum Change {
    /// This is the newest already.
    Keep(Arc<ControllerRevision>),
    /// This one holds it, and becomes the newest under this number.
    Renumber(Arc<ControllerRevision>, i64),
    /// None holds it: one with this number has to be created.
    Create(i64),
}

/// `revisions` are sorted.
fn decide(
    revisions: &[Arc<ControllerRevision>],
    template: &PodTemplateSpec,
    data: &Value,
) -> Change {
    let next = revisions
        .last()
        .map_or(1, |newest| newest.revision.saturating_add(1));
    let mut newest_first = revisions.iter().rev().enumerate();
    match newest_first.find(|(_, revision)| holds(revision, template, data)) {
        Some((0, revision)) => Change::Keep(revision.clone()),
        Some((_, revision)) => Change::Renumber(revision.clone(), next),
        None => Change::Create(next),
    }
}

/// The revisions beside the current one that hold the same template.
pub fn duplicates(
    revisions: &[Arc<ControllerRevision>],
    current: &ControllerRevision,
    template: &PodTemplateSpec,
) -> Vec<Arc<ControllerRevision>> {
    let data = data_of(template);
    let others = revisions.iter().filter(|r| r.name() != current.name());
    let same = others.filter(|revision| holds(revision, template, &data));
    same.cloned().collect()
}

/// The old revisions beyond a limit, the oldest first. Those `in_use` stay.
/// `old` are sorted.
pub fn surplus(
    old: &[Arc<ControllerRevision>],
    limit: usize,
    in_use: impl Fn(&ControllerRevision) -> bool,
) -> Vec<Arc<ControllerRevision>> {
    let surplus = old.len().saturating_sub(limit);
    let unused = old.iter().filter(|revision| !in_use(revision));
    unused.take(surplus).cloned().collect()
}

/// Deletes revisions.
///
/// # Errors
/// If one couldn't be deleted, and isn't gone anyhow.
pub async fn delete(client: &Client, revisions: &[Arc<ControllerRevision>]) -> Result<(), Status> {
    for revision in revisions {
        let api = client.namespaced::<ControllerRevision>(revision.namespace());
        match api
            .delete(revision.name(), &DeleteParams::of(revision.uid()))
            .await
        {
            Err(status) if !status.is_not_found() => return Err(status),
            _ => {}
        }
    }
    Ok(())
}

/// Whose revision it is, and how it is marked.
pub struct Owner<'a, K> {
    /// The StatefulSet or DaemonSet.
    pub object: &'a K,
    /// Its template of now.
    pub template: &'a PodTemplateSpec,
    /// How many names were taken so far, as its status says.
    pub collisions: i32,
    /// The label that gets the hash.
    pub hash_label: &'static str,
}

impl<K: Kind> Owner<'_, K> {
    fn revision(&self, data: &Value, number: i64, collisions: i32) -> ControllerRevision {
        let json = data.to_string();
        let hash = hashes::of(
            json.as_bytes()
                .iter()
                .chain(collisions.to_string().as_bytes()),
        );
        let name = self.object.name();
        let prefix = name.get(..LONGEST_PREFIX).unwrap_or(name);
        let mut revision = ControllerRevision {
            data: Some(RawExtension(data.clone())),
            revision: number,
            ..Default::default()
        };
        revision.metadata.name = Some(format!("{prefix}-{hash}"));
        revision.metadata.namespace = Some(self.object.namespace().into());
        let labels = self
            .template
            .metadata
            .as_ref()
            .and_then(|m| m.labels.clone());
        let labels = revision.metadata.labels.insert(labels.unwrap_or_default());
        labels.insert(self.hash_label.into(), hash);
        revision.metadata.annotations = self.object.meta().annotations.clone();
        revision.metadata.owner_references = Some(vec![controller_ref(self.object)]);
        revision
    }

    /// The revision of the owner's template: the one of `revisions`, which are
    /// sorted and the owner's, that holds it, or a new one. Also tells how many
    /// names were found to be taken.
    ///
    /// # Errors
    /// What the apiserver refuses.
    pub async fn current(
        &self,
        client: &Client,
        revisions: &[Arc<ControllerRevision>],
    ) -> Result<(Arc<ControllerRevision>, i32), Status> {
        let data = data_of(self.template);
        let api = client.namespaced::<ControllerRevision>(self.object.namespace());
        let mut collisions = self.collisions;
        let number = match decide(revisions, self.template, &data) {
            Change::Keep(revision) => return Ok((revision, collisions)),
            Change::Renumber(revision, number) => {
                let mut renumbered = (*revision).clone();
                renumbered.revision = number;
                return Ok((Arc::new(api.update(&renumbered).await?), collisions));
            }
            Change::Create(number) => number,
        };
        loop {
            let revision = self.revision(&data, number, collisions);
            match api.create(&revision).await {
                Err(status) if status.is_already_exists() => {
                    let there = api.get(revision.name()).await?;
                    // Created a moment ago, and not in the cache yet; or left behind.
                    if !self.is_strangers(&there) && holds(&there, self.template, &data) {
                        return Ok((Arc::new(there), collisions));
                    }
                    collisions = collisions.saturating_add(1);
                }
                outcome => return outcome.map(|created| (Arc::new(created), collisions)),
            }
        }
    }

    fn is_strangers(&self, revision: &ControllerRevision) -> bool {
        let owner = controller_of(&revision.metadata);
        owner.is_some_and(|owner| owner.uid != self.object.uid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardway_client::fake::Fake;
    use k8s_openapi::api::apps::v1::StatefulSet;

    fn template(image: &str) -> PodTemplateSpec {
        serde_json::from_value(json!({
            "metadata": {"labels": {"app": "db"}},
            "spec": {"containers": [{"name": "db", "image": image}]},
        }))
        .unwrap()
    }

    fn set() -> StatefulSet {
        serde_json::from_value(json!({"metadata": {
            "name": "db", "namespace": "d", "uid": "me",
            "annotations": {"kubernetes.io/change-cause": "why"},
        }}))
        .unwrap()
    }

    fn owner<'a>(object: &'a StatefulSet, template: &'a PodTemplateSpec) -> Owner<'a, StatefulSet> {
        Owner {
            object,
            template,
            collisions: 0,
            hash_label: "hash",
        }
    }

    fn revision(image: &str, number: i64) -> Arc<ControllerRevision> {
        let (set, template) = (set(), template(image));
        Arc::new(owner(&set, &template).revision(&data_of(&template), number, 0))
    }

    #[test]
    fn a_revision_carries_what_brings_the_template_back() {
        let revision = revision("db:1", 3);
        assert_eq!(template_of(&revision), Some(template("db:1")));
        let data = &revision.data.as_ref().unwrap().0;
        assert_eq!(data["spec"]["template"]["$patch"], "replace");
        assert_eq!(data["spec"].as_object().unwrap().len(), 1);
        let labels = revision.metadata.labels.as_ref().unwrap();
        assert_eq!(labels["app"], "db");
        assert_eq!(revision.name(), format!("db-{}", labels["hash"]));
        let annotations = revision.metadata.annotations.as_ref().unwrap();
        assert_eq!(annotations["kubernetes.io/change-cause"], "why");
        assert_eq!(controller_of(&revision.metadata).unwrap().uid, "me");
    }

    #[test]
    fn what_is_held_already_is_not_held_twice() {
        let (one, two) = (revision("db:1", 1), revision("db:2", 2));
        let decide = |revisions: &[Arc<ControllerRevision>], image: &str| {
            let template = template(image);
            decide(revisions, &template, &data_of(&template))
        };
        assert_eq!(decide(&[], "db:1"), Change::Create(1));
        let known = [one.clone(), two.clone()];
        assert_eq!(decide(&known, "db:2"), Change::Keep(two));
        assert_eq!(decide(&known, "db:1"), Change::Renumber(one, 3));
        assert_eq!(decide(&known, "db:3"), Change::Create(3));
        // As Kubernetes' own controller manager writes it since 1.34.
        let mut foreign = (*revision("db:4", 4)).clone();
        let data = &mut foreign.data.as_mut().unwrap().0;
        let metadata = data["spec"]["template"]["metadata"]
            .as_object_mut()
            .unwrap();
        assert_eq!(metadata.remove("creationTimestamp"), Some(Value::Null));
        let foreign = Arc::new(foreign);
        assert_eq!(
            decide(std::slice::from_ref(&foreign), "db:4"),
            Change::Keep(foreign.clone())
        );
    }

    #[test]
    fn others_that_hold_the_same_are_duplicates() {
        let renamed = |number: i64, name: &str| {
            let mut revision = (*revision("db:2", number)).clone();
            revision.metadata.name = Some(name.into());
            Arc::new(revision)
        };
        let all = [revision("db:1", 1), renamed(2, "a"), renamed(3, "b")];
        let found = duplicates(&all, &all[2], &template("db:2"));
        assert_eq!(found, [all[1].clone()]);
        assert_eq!(duplicates(&all, &all[0], &template("db:1")), []);
    }

    #[test]
    fn the_oldest_beyond_the_limit_go_unless_they_are_used() {
        let mut all: Vec<_> = [3, 1, 2].map(|n| revision(&format!("db:{n}"), n)).into();
        sort(&mut all);
        let surplus = |limit, used| -> Vec<i64> {
            let surplus = surplus(&all, limit, |r| r.revision == used);
            surplus.iter().map(|r| r.revision).collect()
        };
        assert_eq!(surplus(3, 0), [0; 0]);
        assert_eq!(surplus(1, 0), [1, 2]);
        assert_eq!(surplus(1, 1), [2, 3]);
        assert_eq!(surplus(0, 2), [1, 3]);
    }

    #[tokio::test]
    async fn a_name_that_is_taken_is_made_anew() {
        let (_fake, client) = Fake::start(Vec::new());
        let (set, template) = (set(), template("db:1"));
        let owner = owner(&set, &template);
        let api = client.namespaced::<ControllerRevision>("d");
        let mut taken = owner.revision(&data_of(&template), 1, 0);
        taken.data = Some(RawExtension(json!({})));
        api.create(&taken).await.unwrap();
        let (made, collisions) = owner.current(&client, &[]).await.unwrap();
        assert_eq!(collisions, 1);
        assert_ne!(made.name(), taken.name());
        // The cache doesn't show it yet: the same again.
        let (again, collisions) = owner.current(&client, &[]).await.unwrap();
        assert_eq!((again.uid(), collisions), (made.uid(), 1));
        let listed = api.dynamic().list("", "").await.unwrap();
        assert_eq!(listed.items.len(), 2);
    }
}
