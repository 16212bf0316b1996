//! StatefulSets: pods with names that stay, made and replaced one after
//! another, and claims that belong to each of the names.
//!
//! The decisions are pure and have a file each: [`actions`] says what is to be
//! done next; [`identity`] what a pod of an ordinal is like; [`claims`] which
//! claims it has, and who owns them; [`status`] what the StatefulSet shows of
//! it. [`controller`] carries out.

mod actions;
mod claims;
mod controller;
mod identity;
mod status;
#[cfg(test)]
mod testing;

use crate::context::Context;
use crate::expectations::Expectations;
use crate::informers::{Informers, follow};
use crate::{Work, adoption};
use controller::Controller;
use hardway_client::Store;
use hardway_client::controller::run;
use hardway_client::informer::Change;
use hardway_client::queue::WorkQueue;
use hardway_proto::Kind;
use hardway_proto::labels::Selector;
use hardway_proto::meta::ObjectKey;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use std::sync::Arc;

const WORKERS: usize = 5;

/// The controller.
pub fn register(informers: &mut Informers, context: &Context) -> Work {
    let queue = WorkQueue::new();
    let expectations = Arc::new(Expectations::default());
    let controller = Controller {
        client: context.client.clone(),
        recorder: context.recorder("statefulset-controller"),
        sets: informers.stateful_sets.store(),
        pods: informers.pods.store(),
        claims: informers.claims.store(),
        revisions: informers.controller_revisions.store(),
        expectations: expectations.clone(),
    };
    follow(&mut informers.stateful_sets, &queue);
    let (on_pod, sets) = (queue.clone(), informers.stateful_sets.store());
    informers.pods.subscribe(move |change| {
        expectations.follow::<StatefulSet>(change);
        for set in adoption::concerned(change, &sets, selector) {
            on_pod.add(set);
        }
        if let Some(set) = set_of_name_left(change, &sets) {
            on_pod.add(set);
        }
    });
    let (on_claim, sets) = (queue.clone(), informers.stateful_sets.store());
    informers.claims.subscribe(move |change| {
        for set in sets_with_claim(change.object(), &sets) {
            on_claim.add(set);
        }
    });
    let (on_revision, sets) = (queue.clone(), informers.stateful_sets.store());
    informers.controller_revisions.subscribe(move |change| {
        for set in adoption::concerned(change, &sets, selector) {
            on_revision.add(set);
        }
    });
    Box::pin(async move {
        controller.sets.wait_synced().await;
        controller.pods.wait_synced().await;
        controller.claims.wait_synced().await;
        controller.revisions.wait_synced().await;
        run("statefulset", queue, WORKERS, |key| {
            controller.reconcile(key)
        })
        .await;
    })
}

fn selector(set: &StatefulSet) -> Option<Selector> {
    Selector::from_label_selector(&set.spec.as_ref()?.selector).ok()
}

/// The StatefulSet that may have waited for the name of a pod that is gone,
/// whoever's it was.
fn set_of_name_left(change: &Change<Pod>, sets: &Store<StatefulSet>) -> Option<ObjectKey> {
    let Change::Deleted(pod) = change else {
        return None;
    };
    let (set, _) = pod.name().rsplit_once('-')?;
    let key = ObjectKey::new(pod.namespace(), set);
    sets.get(&key).map(|_| key)
}

/// The StatefulSets whose pods may use a claim, by its name.
fn sets_with_claim(claim: &PersistentVolumeClaim, sets: &Store<StatefulSet>) -> Vec<ObjectKey> {
    let mut candidates = sets.in_namespace(claim.namespace());
    candidates.retain(|set| {
        let templates = set.spec.iter();
        let mut templates = templates.flat_map(|s| s.volume_claim_templates.iter().flatten());
        templates.any(|template| {
            let rest = claim.name().strip_prefix(template.name());
            let rest = rest.and_then(|rest| rest.strip_prefix('-'));
            rest.is_some_and(|pod| identity::ordinal(set, pod).is_some())
        })
    });
    let keys = candidates.iter().map(|set| ObjectKey::of(set.as_ref()));
    keys.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Settings;
    use hardway_client::fake::Fake;
    use hardway_client::{Client, task};
    use serde_json::{Value, json};

    fn start(client: &Client) -> task::Group {
        let context = Context {
            client: client.clone(),
            settings: Arc::new(Settings::default()),
        };
        let mut informers = Informers::new(client);
        let work = register(&mut informers, &context);
        let mut tasks = task::Group::default();
        informers.start(&mut tasks);
        tasks.add(tokio::spawn(work));
        tasks
    }

    /// The pods by name, and whether they are of the first version.
    fn pods(fake: &Fake) -> Vec<(String, bool)> {
        let describe = |pod: Value| {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            let image = &pod["spec"]["containers"][0]["image"];
            (name.to_owned(), image == "db:1")
        };
        fake.objects("", "pods").into_iter().map(describe).collect()
    }

    async fn wait_pods(fake: &Fake, expected: &[(&str, bool)]) {
        let same = |fake: &Fake| {
            let pods = pods(fake);
            let pods = pods.iter().map(|(name, first)| (name.as_str(), *first));
            pods.eq(expected.iter().copied())
        };
        fake.wait_until(&format!("{expected:?}"), same).await;
    }

    async fn be_ready(client: &Client, name: &str) {
        let api = client.namespaced::<Pod>("d");
        let mut pod = api.get(name).await.unwrap();
        let since = "1970-01-01T00:00:00Z";
        let ready = json!({"type": "Ready", "status": "True", "lastTransitionTime": since});
        let status = json!({"phase": "Running", "conditions": [ready]});
        pod.status = serde_json::from_value(status).unwrap();
        api.update_status(&pod).await.unwrap();
    }

    #[tokio::test]
    async fn one_that_starts_anew_goes_on_where_the_last_one_was() {
        let (fake, client) = Fake::start(Vec::new());
        let set = testing::set(json!({
            "replicas": 2,
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}],
        }));
        let api = client.namespaced::<StatefulSet>("d");
        api.create(&set).await.unwrap();
        let first = start(&client);
        wait_pods(&fake, &[("db-0", true)]).await;
        assert_eq!(fake.objects("", "persistentvolumeclaims").len(), 1);
        drop(first);
        be_ready(&client, "db-0").await;
        let second = start(&client);
        wait_pods(&fake, &[("db-0", true), ("db-1", true)]).await;
        be_ready(&client, "db-1").await;
        let status = |fake: &Fake| fake.objects("apps", "statefulsets")[0]["status"].clone();
        fake.wait_until("both are counted", |fake| {
            status(fake)["currentReplicas"] == 2 && status(fake)["readyReplicas"] == 2
        })
        .await;
        let update =
            json!({"metadata": {"generation": 2}, "spec": {"template": testing::template("db:2")}});
        let patch = hardway_client::api::Patch::Merge(&update);
        api.patch("db", patch).await.unwrap();
        wait_pods(&fake, &[("db-0", true), ("db-1", false)]).await;
        drop(second);
        be_ready(&client, "db-1").await;
        let _third = start(&client);
        wait_pods(&fake, &[("db-0", false), ("db-1", false)]).await;
        be_ready(&client, "db-0").await;
        fake.wait_until("the update is complete", |fake| {
            let status = status(fake);
            status["readyReplicas"] == 2 && status["currentRevision"] == status["updateRevision"]
        })
        .await;
        let calls = ["pods", "persistentvolumeclaims", "controllerrevisions"]
            .map(|resource| fake.calls(&format!("create {resource}")));
        assert_eq!(calls, [4, 2, 2], "nothing is created twice");
    }

    #[tokio::test]
    async fn one_that_is_being_deleted_gets_no_new_revision() {
        let (fake, client) = Fake::start(Vec::new());
        let set = testing::set(json!({}));
        let mut leaving = serde_json::to_value(&set).unwrap();
        leaving["metadata"]["deletionTimestamp"] = json!("2024-01-01T00:00:00Z");
        leaving["metadata"]["finalizers"] = json!(["foregroundDeletion"]);
        leaving["status"] = json!({"replicas": 2, "updateRevision": "r"});
        fake.create("apps", "statefulsets", leaving);
        let last = serde_json::to_value(&*testing::ready(&set, 0, "r")).unwrap();
        fake.create("", "pods", last);
        let _tasks = start(&client);
        fake.wait_until("its last pod is counted", |fake| {
            let status = &fake.objects("apps", "statefulsets")[0]["status"];
            status["replicas"] == 1 && status["updatedReplicas"] == 1
        })
        .await;
        assert_eq!(fake.calls("create controllerrevisions"), 0);
        assert_eq!(fake.calls("create pods"), 0);
    }
}
