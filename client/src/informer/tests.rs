//! Against an apiserver of its own.

#![expect(
    clippy::disallowed_methods,
    reason = "a test sends a handful of changes"
)]

use super::*;
use crate::fake::Fake;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};
use tokio::sync::mpsc;

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "n"}})
}

struct Followed {
    fake: Fake,
    store: Store<ConfigMap>,
    changes: mpsc::UnboundedReceiver<String>,
}

impl Followed {
    /// An informer of the ConfigMaps of a new apiserver.
    fn start() -> Self {
        let (fake, client) = Fake::start(Vec::new());
        fake.create("", "configmaps", map("first"));
        let (sender, changes) = mpsc::unbounded_channel();
        let store = Informer::new(client.all::<ConfigMap>())
            .on_change(move |change| {
                let verb = match change {
                    Change::Applied { old: None, .. } => "created",
                    Change::Applied { .. } => "changed",
                    Change::Deleted(_) => "deleted",
                };
                let _ = sender.send(format!("{verb} {}", change.object().name()));
            })
            .start();
        Self {
            fake,
            store,
            changes,
        }
    }

    async fn next(&mut self) -> String {
        let next = tokio::time::timeout(Duration::from_secs(30), self.changes.recv());
        next.await.expect("nothing more is heard").unwrap()
    }
}

#[tokio::test]
async fn what_is_there_and_what_comes_is_heard_of() {
    let mut followed = Followed::start();
    assert_eq!(followed.next().await, "created first");
    followed.store.wait_synced().await;
    followed.fake.create("", "configmaps", map("second"));
    assert_eq!(followed.next().await, "created second");
    followed
        .fake
        .delete("", "configmaps", "n", "first", "Background");
    assert_eq!(followed.next().await, "deleted first");
    assert_eq!(followed.store.list().len(), 1);
}

#[tokio::test]
async fn a_watch_that_broke_goes_on_where_it_was() {
    let mut followed = Followed::start();
    assert_eq!(followed.next().await, "created first");
    let watching = |fake: &Fake| fake.calls("watch configmaps") > 0;
    followed.fake.wait_until("it watches", watching).await;
    followed.fake.answer(false);
    followed.fake.break_watches();
    followed.fake.create("", "configmaps", map("meanwhile"));
    followed.fake.answer(true);
    assert_eq!(followed.next().await, "created meanwhile");
    assert_eq!(followed.fake.calls("list configmaps"), 1, "no second list");
}

#[tokio::test]
async fn what_was_missed_for_good_is_found_by_a_new_list() {
    let mut followed = Followed::start();
    assert_eq!(followed.next().await, "created first");
    let watching = |fake: &Fake| fake.calls("watch configmaps") > 0;
    followed.fake.wait_until("it watches", watching).await;
    followed.fake.answer(false);
    followed.fake.break_watches();
    followed
        .fake
        .delete("", "configmaps", "n", "first", "Background");
    followed.fake.create("", "configmaps", map("second"));
    followed.fake.compact();
    followed.fake.answer(true);
    assert_eq!(followed.next().await, "created second");
    assert_eq!(followed.next().await, "deleted first");
    assert_eq!(followed.fake.calls("list configmaps"), 2);
}

#[tokio::test]
async fn a_handler_that_panics_over_one_object_hears_of_the_next() {
    let (fake, client) = Fake::start(Vec::new());
    fake.create("", "configmaps", map("poison"));
    let (sender, mut changes) = mpsc::unbounded_channel();
    Informer::new(client.all::<ConfigMap>())
        .on_change(move |change| {
            assert_ne!(change.object().name(), "poison");
            let _ = sender.send(change.object().name().to_owned());
        })
        .start();
    fake.create("", "configmaps", map("sound"));
    let next = tokio::time::timeout(Duration::from_secs(30), changes.recv());
    assert_eq!(next.await.unwrap().unwrap(), "sound");
    assert_eq!(PANICS.with_label_values(&["ConfigMap"]).get(), 1);
}

#[tokio::test]
async fn watches_that_all_end_at_once_do_not_become_a_flood() {
    let (fake, client) = Fake::start(Vec::new());
    fake.forget_all();
    let began = Instant::now();
    Informer::new(client.all::<ConfigMap>()).start();
    let many = |fake: &Fake| fake.calls("watch configmaps") >= 6;
    fake.wait_until("it tries and tries", many).await;
    // The second goes without a pause; then 100 ms, doubled each time.
    assert!(began.elapsed() >= Duration::from_millis(1500));
}

#[tokio::test]
async fn who_wrote_which_field_is_not_kept() {
    let (fake, client) = Fake::start(Vec::new());
    let mut written = map("first");
    written["metadata"]["managedFields"] = json!([{"manager": "m", "operation": "Update",
        "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {}}}]);
    written["metadata"]["annotations"] = json!({"a": "b"});
    fake.create("", "configmaps", written);
    let store = Informer::new(client.all::<ConfigMap>())
        .trim(|map| map.metadata.annotations = None)
        .start();
    store.wait_synced().await;
    let kept = store.get(&ObjectKey::new("n", "first")).unwrap();
    assert_eq!(kept.metadata.managed_fields, None);
    assert_eq!(kept.metadata.annotations, None, "nor what isn't needed");
    let there = &fake.objects("", "configmaps")[0];
    assert!(there["metadata"]["managedFields"].is_array());
}
