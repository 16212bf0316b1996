#![expect(
    clippy::disallowed_methods,
    reason = "a test looks at what was sent afterwards"
)]

use super::*;
use crate::cgroups::Cgroups;
use crate::cri::fake::Fake;
use crate::images::Puller;
use crate::objects::{Cluster, Objects};
use crate::sandbox::Places;
use crate::status::writer::Writer;
use crate::{dns, downward, probes, volumes};
use hardway_client::api::Client;
use hardway_client::events::Recorder;
use serde_json::json;
use tokio::sync::{Notify, mpsc};
use tonic::transport::Endpoint;

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
    let dir = tempfile::tempdir().unwrap();
    let runtime = Arc::new(Fake::default());
    runtime.add_image("sha256:1", "docker.io/library/image:1", 1);
    runtime.add_image("sha256:1", "image:1", 1);
    let channel = Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
    let client = Client::from_channel(channel, "test");
    let recorder = Recorder::new(client.clone(), "kubelet", None);
    let objects = Arc::new(Cluster::new(client.clone(), mpsc::unbounded_channel().0));
    let shared: Arc<dyn Objects> = objects.clone();
    let handle: cri::Handle = runtime.clone();
    let facts = downward::Facts::default();
    let context = Arc::new(Context {
        volumes: Arc::new(volumes::Manager::new(
            dir.path(),
            shared.clone(),
            Arc::new(volumes::Kernel),
            facts.clone(),
        )),
        objects,
        images: Arc::new(Puller::new(handle.clone(), recorder.clone(), shared, 1)),
        probes: Arc::new(probes::Manager::new(
            handle.clone(),
            recorder.clone(),
            mpsc::unbounded_channel().0,
        )),
        runtime: handle,
        nudge: Arc::new(Notify::new()),
        recorder,
        statuses: Writer::start(client),
        cgroups: Cgroups::new(dir.path().join("cgroup"), "/", None),
        places: Places {
            logs: dir.path().join("logs"),
            seccomp: crate::seccomp::Seccomp {
                directory: dir.path().join("seccomp"),
                default: false,
            },
        },
        root: crate::root_dir::RootDir::claim(dir.path(), "n1", "boot").unwrap(),
        sysctls: crate::sysctls::Allowed::new("6.1", &[]).unwrap(),
        app_armor: false,
        dns: dns::Node::default(),
        cluster_domain: "cluster.local".into(),
        hosts_file: dir.path().join("hosts"),
        facts,
        node_name: "n1".into(),
        memory_capacity: 1 << 30,
    });
    let mailbox = Mailbox::new(Mail {
        pod: Arc::new(pod),
        mirror: None,
        removed: false,
        verdict: None,
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
    let patience = Duration::from_secs(10);
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
