use super::*;
use crate::context::fake;
use crate::cri::fake::Fake;
use serde_json::json;

/// A worker's surroundings, with a runtime in memory and no apiserver.
struct Setup {
    runtime: Arc<Fake>,
    mailbox: Arc<Mailbox>,
    work: tokio::task::JoinHandle<()>,
    _dir: tempfile::TempDir,
}

/// Static pods need no apiserver.
fn pod(spec: serde_json::Value) -> Pod {
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "web", "namespace": "ns", "uid": "u1",
            "annotations": {"kubernetes.io/config.source": "file"},
        },
        "spec": spec,
    }))
    .unwrap()
}

fn setup(pod: Pod) -> Setup {
    setup_with(pod, Fake::default())
}

fn setup_with(pod: Pod, runtime: Fake) -> Setup {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Arc::new(runtime);
    runtime.add_image("sha256:1", "docker.io/library/image:1", 1);
    runtime.add_image("sha256:1", "image:1", 1);
    let context = fake::context(dir.path(), &runtime);
    let mailbox = Mailbox::new(Mail {
        pod: Arc::new(pod),
        mirror: None,
        removed: false,
        verdict: None,
        at_most: None,
        pending: None,
    });
    let work = tokio::spawn(Worker::new(context, mailbox.clone()).run());
    Setup {
        runtime,
        mailbox,
        work,
        _dir: dir,
    }
}

impl Setup {
    fn id(&self, name: &str) -> String {
        let label = BTreeMap::from([(cri::labels::CONTAINER_NAME.to_owned(), name.to_owned())]);
        let newest = self
            .runtime
            .world
            .containers(&label)
            .into_iter()
            .next_back();
        newest.expect("a container of that name").id
    }

    fn end(&self, name: &str, code: i32) {
        self.runtime.world.end(&self.id(name), code);
        self.mailbox.poke();
    }
}

#[tokio::test]
async fn a_pod_comes_up_is_restarted_and_vanishes() {
    let spec = json!({
        "initContainers": [{"name": "i", "image": "image:1"}],
        "containers": [{"name": "a", "image": "image:1"}, {"name": "b", "image": "image:1"}],
    });
    let setup = setup(pod(spec));
    let world = &setup.runtime.world;
    world.until(|running| running == ["i"]).await;
    setup.end("i", 0);
    world.until(|running| running == ["a", "b"]).await;
    let first = setup.id("a");
    setup.end("a", 1);
    world.until(|running| running == ["b", "a"]).await;
    assert_ne!(setup.id("a"), first, "another life");
    setup.mailbox.update(|mail| mail.removed = true);
    let patience = Duration::from_secs(60);
    tokio::time::timeout(patience, setup.work)
        .await
        .unwrap()
        .unwrap();
    assert!(world.containers(&BTreeMap::new()).is_empty());
    assert!(world.sandboxes(&BTreeMap::new()).is_empty());
}

#[tokio::test]
async fn a_pod_that_has_ended_stays_ended_and_keeps_its_containers() {
    let setup = setup(pod(json!({
        "restartPolicy": "Never",
        "containers": [{"name": "a", "image": "image:1"}],
    })));
    let world = &setup.runtime.world;
    world.until(|running| running == ["a"]).await;
    setup.end("a", 0);
    let not_ready = i32::from(cri::PodSandboxState::SandboxNotready);
    world
        .until(|_| world.sandboxes(&BTreeMap::new())[0].state == not_ready)
        .await;
    assert_eq!(pod::phase(&setup.mailbox.mail().pod), "Succeeded");
    assert_eq!(world.containers(&BTreeMap::new()).len(), 1);
}

#[tokio::test]
async fn a_new_worker_leaves_what_runs_as_it_is() {
    let spec = json!({"containers": [{"name": "a", "image": "image:1"}]});
    let setup = setup(pod(spec));
    let world = &setup.runtime.world;
    world.until(|running| running == ["a"]).await;
    setup.work.abort();
    let before = setup.id("a");
    setup.mailbox.poke();
    let observed = observe(setup.runtime.as_ref(), "u1").await.unwrap();
    let plan = decide(&Situation {
        pod: &setup.mailbox.mail().pod,
        observed: &observed,
        health: &Health::default(),
        backoff: &Backoff::default(),
        now: now(),
    });
    assert_eq!(plan, Plan::default());
    assert_eq!(setup.id("a"), before);
}

#[tokio::test]
async fn a_start_is_not_given_up_when_the_pod_is_to_end() {
    let (go, held) = tokio::sync::watch::channel(false);
    let runtime = Fake::default();
    *runtime.starts_held.lock() = Some(held);
    let mut begun = runtime.starts_begun.subscribe();
    let spec = json!({"containers": [{"name": "a", "image": "image:1"}]});
    let mut setup = setup_with(pod(spec), runtime);
    begun.wait_for(|count| *count == 1).await.unwrap();
    setup.mailbox.update(|mail| mail.removed = true);
    let moment = Duration::from_millis(200);
    let ended = tokio::time::timeout(moment, &mut setup.work).await;
    assert!(ended.is_err(), "it doesn't wait for the runtime");
    go.send(true).unwrap();
    let patience = Duration::from_secs(60);
    tokio::time::timeout(patience, setup.work)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(setup.runtime.started.lock().len(), 1);
    assert!(setup.runtime.world.containers(&BTreeMap::new()).is_empty());
}

#[tokio::test]
async fn a_container_is_resized_as_its_policy_says() {
    let with = |cpu: &str, memory: &str| {
        pod(json!({"containers": [{
            "name": "a", "image": "image:1",
            "resources": {"requests": {"cpu": cpu}, "limits": {"memory": memory}},
            "resizePolicy": [{"resourceName": "memory", "restartPolicy": "RestartContainer"}],
        }]}))
    };
    let setup = setup(with("100m", "64Mi"));
    let world = &setup.runtime.world;
    world.until(|running| running == ["a"]).await;
    let id = setup.id("a");
    let wanted = Arc::new(with("500m", "64Mi"));
    setup.mailbox.update(|mail| mail.pod = wanted);
    let deadline = Instant::now() + Duration::from_secs(30);
    while setup.runtime.resized.lock().is_empty() {
        assert!(Instant::now() < deadline, "the runtime is asked");
        tokio::task::yield_now().await;
    }
    let (resized, resources) = setup.runtime.resized.lock().remove(0);
    assert_eq!((resized, resources.cpu_shares), (id.clone(), 512));
    assert_eq!(setup.id("a"), id, "the same one runs on");
    let wanted = Arc::new(with("500m", "32Mi"));
    setup.mailbox.update(|mail| mail.pod = wanted);
    world
        .until(|running| running == ["a"] && setup.id("a") != id)
        .await;
    assert!(
        setup.runtime.resized.lock().is_empty(),
        "made so, not changed"
    );
}
