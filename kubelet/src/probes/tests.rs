#![expect(
    clippy::disallowed_methods,
    reason = "a test looks at what was sent afterwards"
)]

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
    let started = container.get("startupProbe").is_none();
    let pod = json!({"metadata": {"name": "p", "namespace": "n", "uid": "u"}});
    Target {
        pod: Arc::new(serde_json::from_value(pod).unwrap()),
        container: serde_json::from_value(container).unwrap(),
        id: "c1".into(),
        ip: "127.0.0.1".into(),
        started_at: i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap(),
        started,
        ready: false,
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
async fn delays_begin_when_the_container_has_come_up() {
    let mut setup = setup();
    setup.runtime.exits(&["up"], 1);
    setup.manager.start(target(json!({
        "startupProbe": {"exec": {"command": ["up"]}, "failureThreshold": 100},
        "readinessProbe": {"exec": {"command": ["ready"]}, "initialDelaySeconds": 60},
    })));
    setup.runtime.wait_for_execs(20).await;
    setup.runtime.exits(&["up"], 0);
    assert_eq!(setup.next().await, (Kind::Startup, true));
    let begin = tokio::time::Instant::now();
    assert_eq!(setup.next().await, (Kind::Readiness, true));
    let took = begin.elapsed().as_secs();
    assert!((59..=61).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn what_came_up_before_is_not_asked_again_and_may_become_unready() {
    let mut setup = setup();
    setup.runtime.exits(&["up"], 1);
    setup.runtime.exits(&["ready"], 1);
    let target = target(json!({
        "startupProbe": {"exec": {"command": ["up"]}, "failureThreshold": 1},
        "readinessProbe": {"exec": {"command": ["ready"]}},
    }));
    setup.manager.start(Target {
        started: true,
        ready: true,
        ..target
    });
    assert_eq!(setup.next().await, (Kind::Readiness, false));
    assert!(setup.runtime.execs().iter().all(|c| c == &["ready"]));
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
        format!("{} probe failed: x", Kind::Startup),
        "Startup probe failed: x"
    );
}

/// The families and labels of `pkg/kubelet/prober/prober_manager.go`.
#[tokio::test(start_paused = true)]
async fn probes_are_counted_until_their_pod_is_gone() {
    let mut setup = setup();
    setup.runtime.exits(&["live"], 1);
    setup.manager.start(target(json!({
        "livenessProbe": {"exec": {"command": ["live"]}, "failureThreshold": 2},
        "readinessProbe": {"exec": {"command": ["ready"]}}})));
    assert_eq!(setup.next().await, (Kind::Readiness, true));
    assert_eq!(setup.next().await, (Kind::Liveness, false));
    let told = setup.manager.metrics().render().unwrap();
    let labels = r#"container="web",namespace="n",pod="p",pod_uid="u""#;
    let failed =
        format!(r#"prober_probe_total{{{labels},probe_type="Liveness",result="failed"}} 2"#);
    assert!(told.contains(&failed), "{told}");
    let labels = r#"container="web",namespace="n",pod="p",probe_type="#;
    let duration =
        |kind: &str| format!("prober_probe_duration_seconds_count{{{labels}\"{kind}\"}}");
    assert!(told.contains(&duration("Readiness")), "{told}");
    assert!(!told.contains(&duration("Liveness")), "none has passed");
    setup.manager.stop("c1");
    assert_eq!(setup.manager.metrics().render().unwrap(), told);
    setup.manager.metrics().forget("other");
    assert_eq!(setup.manager.metrics().render().unwrap(), told);
    setup.manager.metrics().forget("u");
    assert_eq!(setup.manager.metrics().render().unwrap(), "");
}
