use super::*;
use crate::context::fake;
use crate::cri::fake::Fake;
use serde_json::json;

/// A worker's surroundings, with a runtime in memory and no apiserver.
struct Setup {
    runtime: Arc<Fake>,
    context: Arc<Context>,
    mailbox: Arc<Mailbox>,
    work: tokio::task::JoinHandle<()>,
    dir: tempfile::TempDir,
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
    let work = tokio::spawn(Worker::new(context.clone(), mailbox.clone()).run());
    Setup {
        runtime,
        context,
        mailbox,
        work,
        dir,
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

    /// The pod is to be another.
    fn want(&self, pod: Pod) {
        self.mailbox.update(|mail| mail.pod = Arc::new(pod));
    }

    /// Waits until the runtime was asked to change containers, and this holds.
    async fn until_asked(&self, condition: impl Fn(usize) -> bool) {
        let mut asked = self.runtime.resizes_asked.subscribe();
        let waiting = asked.wait_for(|count| condition(*count));
        let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        waited.expect("in time").expect("the runtime goes on");
    }
}

#[tokio::test]
async fn a_sandbox_name_that_the_runtime_lost_is_passed_by() {
    let runtime = Fake::default();
    runtime.names_held.lock().insert(0);
    let spec = json!({"containers": [{"name": "a", "image": "image:1"}]});
    let setup = setup_with(pod(spec), runtime);
    let world = &setup.runtime.world;
    world.until(|running| running == ["a"]).await;
    let made = &world.sandboxes(&BTreeMap::new())[0];
    let made = world.sandbox(&made.id).unwrap();
    assert_eq!(made.metadata.unwrap().attempt, 1);
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

#[tokio::test]
async fn a_container_that_cannot_be_changed_keeps_no_other_from_anything() {
    let with = |cpu: &str| {
        let container = |name: &str| {
            let resources = json!({"requests": {"cpu": cpu}});
            json!({"name": name, "image": "image:1", "resources": resources})
        };
        pod(json!({"containers": [container("a"), container("b")]}))
    };
    let setup = setup(with("100m"));
    let world = &setup.runtime.world;
    world.until(|running| running == ["a", "b"]).await;
    let (refused, other) = (setup.id("a"), setup.id("b"));
    setup.runtime.resizes_refused.lock().insert(refused.clone());
    setup.want(with("500m"));
    let changed = || setup.runtime.resized.lock().first().cloned();
    setup.until_asked(|_| changed().is_some()).await;
    assert_eq!(changed().unwrap().0, other, "the one beside it");
    setup.end("b", 1);
    world
        .until(|running| running == ["a", "b"] && setup.id("b") != other)
        .await;
    assert_eq!(setup.id("a"), refused, "it runs on as it was");
}

#[tokio::test]
async fn what_a_container_may_have_been_given_is_taken_back() {
    let with = |cpu: &str| {
        let resources = json!({"requests": {"cpu": cpu}});
        pod(json!({"containers": [{"name": "a", "image": "image:1", "resources": resources}]}))
    };
    let setup = setup(with("100m"));
    let world = &setup.runtime.world;
    world.until(|running| running == ["a"]).await;
    let id = setup.id("a");
    // Its answer is lost: nobody knows whether the runtime has done it.
    setup.runtime.resizes_refused.lock().insert(id.clone());
    setup.want(with("500m"));
    setup.until_asked(|count| count > 0).await;
    setup.runtime.resizes_refused.lock().clear();
    setup.want(with("100m"));
    let changed = || setup.runtime.resized.lock().first().cloned();
    setup.until_asked(|_| changed().is_some()).await;
    let (changed, resources) = changed().unwrap();
    assert_eq!((changed, resources.cpu_shares), (id, 102));
}

#[tokio::test]
async fn a_pod_is_left_the_memory_that_it_uses() {
    let with = |memory: &str| {
        pod(json!({"containers": [{
            "name": "a", "image": "image:1", "resources": {"limits": {"memory": memory}},
            "resizePolicy": [{"resourceName": "memory", "restartPolicy": "RestartContainer"}],
        }]}))
    };
    let setup = setup(with("64Mi"));
    let own = setup
        .dir
        .path()
        .join("cgroup/memory/kubepods/burstable/podu1");
    std::fs::create_dir_all(&own).unwrap();
    let world = &setup.runtime.world;
    world.until(|running| running == ["a"]).await;
    let limit = || std::fs::read_to_string(own.join("memory.limit_in_bytes")).unwrap();
    assert_eq!(limit(), (64 << 20).to_string());
    let uses = |bytes: u64| {
        std::fs::write(own.join("memory.usage_in_bytes"), bytes.to_string()).unwrap();
    };
    uses(48 << 20);
    std::fs::write(own.join("memory.stat"), "total_inactive_file 0\n").unwrap();
    let wanted = Arc::new(with("32Mi"));
    setup.mailbox.update(|mail| {
        mail.pod = wanted.clone();
        // Statuses are told of those that the API knows.
        mail.mirror = Some(wanted);
    });
    let trouble = || {
        let status = setup.context.statuses.get("u1")?;
        let conditions = status.conditions.unwrap_or_default();
        let found = conditions
            .into_iter()
            .find(|c| c.type_ == "PodResizeInProgress" && c.reason.as_deref() == Some("Error"));
        found?.message
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    while trouble().is_none() {
        assert!(Instant::now() < deadline, "it is told");
        tokio::task::yield_now().await;
    }
    assert_eq!(
        trouble().unwrap(),
        "aborting attempt to set pod memory limit less than current memory usage for pod web"
    );
    assert_eq!(limit(), (64 << 20).to_string());
    // It tries again.
    uses(1 << 20);
    while trouble().is_some() {
        assert!(Instant::now() < deadline, "it is done at last");
        tokio::task::yield_now().await;
    }
    assert_eq!(limit(), (32 << 20).to_string());
}
