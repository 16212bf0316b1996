#![expect(
    clippy::disallowed_methods,
    reason = "the channel is the one that the manager is given"
)]

use super::*;
use crate::context::fake;
use crate::cri::fake::Fake;
use serde_json::{Value, json};
use std::time::Duration;

struct Setup {
    runtime: Arc<Fake>,
    context: Arc<Context>,
    pods: Pods,
    node: Store<Node>,
    events: mpsc::UnboundedSender<Event>,
    dir: tempfile::TempDir,
}

fn setup() -> Setup {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Arc::new(Fake::default());
    let context = fake::context(dir.path(), &runtime);
    let (events, inbox) = mpsc::unbounded_channel();
    let pods = Pods::default();
    let node = Store::default();
    let manager = Manager::new(context.clone(), pods.clone(), node.clone(), events.clone());
    tokio::spawn(manager.run(inbox));
    Setup {
        runtime,
        context,
        pods,
        node,
        events,
        dir,
    }
}

impl Setup {
    fn applied(&self, pod: &Value) {
        let (old, new) = (None, Arc::new(serde_json::from_value(pod.clone()).unwrap()));
        self.events
            .send(Event::Pod(Change::Applied { old, new }))
            .unwrap();
    }

    fn deleted(&self, pod: &Value) {
        let last = Arc::new(serde_json::from_value(pod.clone()).unwrap());
        self.events.send(Event::Pod(Change::Deleted(last))).unwrap();
    }

    async fn sandboxes(&self, count: usize) {
        let world = &self.runtime.world;
        world
            .until(|_| world.sandboxes(&BTreeMap::new()).len() == count)
            .await;
    }

    /// Waits until the manager and its workers have come so far.
    async fn until(&self, what: &str, met: impl Fn() -> bool) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        while !met() {
            assert!(tokio::time::Instant::now() < deadline, "{what}");
            tokio::task::yield_now().await;
        }
    }
}

fn pod(spec: Value) -> Value {
    json!({
        "metadata": {"name": "web", "namespace": "ns", "uid": "u1"},
        "spec": spec,
    })
}

#[tokio::test]
async fn words_make_no_mirror_of_a_pod_that_runs() {
    let setup = setup();
    let mut web = pod(json!({"containers": [{"name": "a", "image": "image:1"}]}));
    setup.applied(&web);
    setup.sandboxes(1).await;
    // All that a mirror has, but it is a pod of this node already.
    web["metadata"]["annotations"] = json!({
        "kubernetes.io/config.source": "file",
        "kubernetes.io/config.mirror": "h", "kubernetes.io/config.hash": "h"});
    web["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "Node",
        "name": "n1", "uid": "n", "controller": true}]);
    setup.applied(&web);
    let told = || {
        let found = setup.pods.find("ns", "web", Some("u1"));
        found.is_some_and(|pod| pod.metadata.annotations.is_some())
    };
    setup.until("the pod is still followed", told).await;
    let seen = setup.pods.find("ns", "web", None).unwrap();
    assert!(!pod::is_static(&seen), "it came from the API");
    let owner = crate::mirrors::Owner {
        node: "n1".into(),
        pods: setup.pods.clone(),
    };
    let as_written: Pod = serde_json::from_value(web.clone()).unwrap();
    assert!(pod::is_mirror(&as_written, "n1") && !owner.has(&as_written));
    setup.deleted(&web);
    setup.sandboxes(0).await;
}

#[tokio::test]
async fn what_a_pod_asks_for_waits_for_the_node_alone() {
    let setup = setup();
    let with = |cpu: &str| {
        pod(json!({"containers": [
            {"name": "a", "image": "image:1", "resources": {"requests": {"cpu": cpu}}}]}))
    };
    // It was resized while no kubelet was here.
    let was = serde_json::from_value(with("100m")).unwrap();
    setup.context.allocations.allocate(&was).unwrap();
    setup.applied(&with("300m"));
    setup.events.send(Event::Synced).unwrap();
    let has = |cpu: &str| {
        let found = setup.pods.find("ns", "web", None);
        found.is_some_and(|pod| {
            pod.spec == serde_json::from_value(with(cpu)["spec"].clone()).unwrap()
        })
    };
    setup.until("it has what it had", || has("100m")).await;
    let node = json!({"metadata": {"name": "n1"}, "status": {"allocatable": {"cpu": "2", "memory": "1Gi", "pods": "9"}}});
    let node = serde_json::from_value(node).unwrap();
    setup.node.insert(Arc::new(node));
    setup.events.send(Event::Node).unwrap();
    setup.until("it has what it asks for", || has("300m")).await;
}

#[tokio::test]
async fn a_mirror_that_was_tampered_with_is_not_run() {
    let setup = setup();
    let mut mirror = pod(json!({"containers": [{"name": "a", "image": "image:1"}]}));
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "h"});
    setup.applied(&mirror);
    // Events come in order: when this one is known the other has been seen.
    let mut web = pod(json!({"containers": [{"name": "a", "image": "image:1"}]}));
    web["metadata"]["uid"] = json!("u2");
    setup.applied(&web);
    setup
        .until("the pod is known", || setup.pods.has("u2"))
        .await;
    assert!(!setup.pods.has("u1"));
}

#[tokio::test]
async fn what_is_forbidden_is_so_for_pods_that_say_they_ran() {
    let setup = setup();
    let mut web = pod(json!({
        "containers": [{"name": "a", "image": "image:1"}],
        "securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]},
    }));
    web["status"] = json!({"startTime": "2026-01-01T00:00:00Z", "phase": "Pending"});
    setup.applied(&web);
    let failed = || {
        let status = setup.context.statuses.get("u1");
        status.is_some_and(|status| status.phase.as_deref() == Some("Failed"))
    };
    setup.until("the pod fails", failed).await;
    let status = setup.context.statuses.get("u1").unwrap();
    assert_eq!(status.reason.as_deref(), Some("SysctlForbidden"));
    assert_eq!(
        status.message.as_deref(),
        Some("Pod was rejected: forbidden sysctl: \"kernel.msgmax\" not allowlisted")
    );
    assert_eq!(
        status.container_statuses, None,
        "none of them is being created"
    );
    assert!(setup.runtime.world.sandboxes(&BTreeMap::new()).is_empty());
}

#[tokio::test]
async fn nothing_is_swept_out_of_a_folder_that_is_not_ours() {
    let setup = setup();
    let orphan = setup.dir.path().join("pods/u9");
    std::fs::create_dir_all(&orphan).unwrap();
    let marker = setup.dir.path().join(".hardway-node");
    let kept = setup.dir.path().join("kept");
    std::fs::rename(&marker, &kept).unwrap();
    std::fs::write(&marker, "node=n2\nboot=boot\n").unwrap();
    setup.events.send(Event::Synced).unwrap();
    // Once this one is known the sweep before it is over.
    let web = pod(json!({"containers": [{"name": "a", "image": "image:1"}]}));
    setup.applied(&web);
    let known = || setup.pods.has("u1");
    setup.until("the pod is known", known).await;
    assert!(orphan.exists());
    std::fs::rename(&kept, &marker).unwrap();
    setup.events.send(Event::Sweep).unwrap();
    setup
        .until("the orphan is swept", || !orphan.exists())
        .await;
}

#[tokio::test]
async fn when_the_host_shuts_down_pods_end_and_none_begins() {
    let setup = setup();
    let spec = json!({"terminationGracePeriodSeconds": 600,
        "containers": [{"name": "a", "image": "image:1"}]});
    setup.applied(&pod(spec.clone()));
    setup.sandboxes(1).await;
    let minute = Duration::from_secs(60);
    let periods = shutdown::Periods::new(minute, minute / 2).unwrap().unwrap();
    // It returns when they have ended, which is long before they must.
    let end = shutdown::end(&setup.context.shutdown, periods, &setup.pods);
    let patience = Duration::from_secs(20);
    tokio::time::timeout(patience, end).await.unwrap();
    let states = || {
        let all = setup.runtime.world.sandboxes(&BTreeMap::new());
        all.iter().map(|sandbox| sandbox.state).collect::<Vec<_>>()
    };
    let stopped = i32::from(crate::cri::PodSandboxState::SandboxNotready);
    assert_eq!(states(), [stopped]);
    let status = setup.context.statuses.get("u1").unwrap();
    assert_eq!(status.phase.as_deref(), Some("Failed"));
    assert_eq!(status.reason.as_deref(), Some("Terminated"));
    let message = "Pod was terminated in response to imminent node shutdown.";
    assert_eq!(status.message.as_deref(), Some(message));
    let conditions = status.conditions.unwrap();
    let disrupted = conditions.iter().find(|c| c.type_ == "DisruptionTarget");
    let reason = disrupted.and_then(|c| c.reason.as_deref());
    assert_eq!(reason, Some("TerminationByKubelet"));

    let mut late = pod(spec);
    late["metadata"]["uid"] = json!("u2");
    setup.applied(&late);
    let rejected = || {
        let status = setup.context.statuses.get("u2");
        status.is_some_and(|s| s.reason.as_deref() == Some("NodeShutdown"))
    };
    setup.until("the late pod is rejected", rejected).await;
    assert_eq!(states(), [stopped]);
}
