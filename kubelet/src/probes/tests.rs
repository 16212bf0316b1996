use super::*;
use crate::cri::fake::Fake;
use hardway_client::Client;
use serde_json::json;
use tonic::transport::Endpoint;

/// A recorder whose events go nowhere.
fn recorder() -> Recorder {
    let channel = Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
    Recorder::new(Client::from_channel(channel, "test"), "kubelet", None)
}

struct Setup {
    runtime: Arc<Fake>,
    manager: Manager,
    updates: mpsc::UnboundedReceiver<Update>,
}

fn setup() -> Setup {
    let runtime = Arc::new(Fake::default());
    let (sender, updates) = mpsc::unbounded_channel();
    let manager = Manager::new(runtime.clone(), recorder(), sender);
    Setup {
        runtime,
        manager,
        updates,
    }
}

fn target(probes: serde_json::Value) -> Target {
    let mut container = probes;
    container["name"] = "web".into();
    let pod = json!({"metadata": {"name": "p", "namespace": "n", "uid": "u"}});
    Target {
        pod: Arc::new(serde_json::from_value(pod).unwrap()),
        container: serde_json::from_value(container).unwrap(),
        id: "c1".into(),
        ip: "127.0.0.1".into(),
        started_at: i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap(),
    }
}

impl Setup {
    async fn next(&mut self) -> (Kind, bool) {
        let update = self.updates.recv().await.unwrap();
        assert_eq!(
            (update.pod_uid.as_str(), update.container_id.as_str()),
            ("u", "c1")
        );
        (update.kind, update.success)
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_liveness_probe_is_told_once_it_failed_often_enough() {
    let mut setup = setup();
    setup.runtime.exits(&["live"], 1);
    let begin = tokio::time::Instant::now();
    setup.manager.start(target(json!({"livenessProbe": {
        "exec": {"command": ["live"]}, "periodSeconds": 7, "initialDelaySeconds": 5}})));
    assert_eq!(setup.next().await, (Kind::Liveness, false));
    let took = begin.elapsed().as_secs();
    assert!((18..=19).contains(&took), "5 s, then twice 7 s: {took}");
}

#[tokio::test(start_paused = true)]
async fn the_others_wait_for_the_startup_probe() {
    let mut setup = setup();
    setup.runtime.exits(&["up"], 1);
    setup.manager.start(target(json!({
        "startupProbe": {"exec": {"command": ["up"]}, "failureThreshold": 100},
        "readinessProbe": {"exec": {"command": ["ready"]}},
    })));
    setup.runtime.wait_for_execs(3).await;
    assert!(setup.runtime.execs().iter().all(|c| c == &["up"]));
    setup.runtime.exits(&["up"], 0);
    assert_eq!(setup.next().await, (Kind::Startup, true));
    assert_eq!(setup.next().await, (Kind::Readiness, true));
}

#[tokio::test(start_paused = true)]
async fn a_terminating_container_is_only_probed_for_readiness() {
    let mut setup = setup();
    setup.runtime.exits(&["live"], 1);
    setup.manager.start(target(json!({
        "livenessProbe": {"exec": {"command": ["live"]}, "initialDelaySeconds": 1},
        "readinessProbe": {"exec": {"command": ["ready"]}},
    })));
    assert_eq!(setup.next().await, (Kind::Readiness, true));
    setup.manager.terminating("c1");
    setup.runtime.exits(&["ready"], 1);
    assert_eq!(setup.next().await, (Kind::Readiness, false));
    setup.manager.stop("c1");
    assert!(setup.manager.tasks.lock().is_empty());
}

#[test]
fn wording() {
    assert_eq!(
        kill_message(Kind::Liveness, "web"),
        "Container web failed liveness probe, will be restarted"
    );
    assert_eq!(
        format!("{} probe failed: x", Kind::Startup),
        "Startup probe failed: x"
    );
}
