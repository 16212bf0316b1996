use super::super::replicas::{PodMetric, PodMetrics};
use super::*;
use hardway_client::fake::Fake;
use hardway_proto::api::ResourceInfo;
use jiff::SignedDuration;
use k8s_openapi::api::autoscaling::v2::CrossVersionObjectReference;
use serde_json::{Value, json};
use std::time::Duration;

/// Metrics that say what they are told to: use of a pod in thousandths of a core.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Option<i64>>>);

impl MetricsClient for Told {
    async fn of_resource(
        &self,
        _: &str,
        _: &str,
        _: &Selector,
        _: Option<&str>,
    ) -> Result<PodMetrics, String> {
        let value = self
            .0
            .lock()
            .ok_or("no metrics returned from resource metrics API")?;
        let metric = |number| {
            let metric = PodMetric {
                value,
                timestamp: Timestamp::now(),
                window: SignedDuration::from_secs(15),
            };
            (format!("w-{number}"), metric)
        };
        Ok((0..2).map(metric).collect())
    }

    async fn of_pods(
        &self,
        _: &str,
        _: &str,
        _: &Selector,
        _: &Selector,
    ) -> Result<PodMetrics, String> {
        Err("no metrics returned from custom metrics API".into())
    }

    async fn of_object(
        &self,
        _: &str,
        _: &str,
        _: &CrossVersionObjectReference,
        _: &Selector,
    ) -> Result<i64, String> {
        Err("no metrics returned from custom metrics API".into())
    }

    async fn external(&self, _: &str, _: &str, _: &Selector) -> Result<i64, String> {
        Err("no metrics returned from external metrics API".into())
    }
}

const GROUP: &str = "example.com";

struct Cluster {
    fake: Fake,
    told: Told,
    controller: Controller<Told>,
}

/// A cluster of one custom resource, whose objects are their own scale, and two pods.
fn cluster() -> Cluster {
    let (fake, client) = Fake::start(vec![ResourceInfo {
        group: GROUP.into(),
        version: "v1".into(),
        resource: "widgets".into(),
        kind: "Widget".into(),
        namespaced: true,
        ..ResourceInfo::default()
    }]);
    fake.create(
        GROUP,
        "widgets",
        json!({
        "metadata": {"name": "w", "namespace": "d"}, "spec": {"replicas": 2},
        "status": {"replicas": 2, "selector": "app=w"}}),
    );
    let told = Told::default();
    let controller = Controller {
        client: client.clone(),
        settings: Settings::default(),
        autoscalers: Store::default(),
        pods: Store::default(),
        scales: Arc::new(Scales::new(&client)),
        metrics: told.clone(),
        recorder: Recorder::new(client, "horizontal-pod-autoscaler", None),
        memory: Mutex::default(),
    };
    for number in 0..2 {
        let pod = json!({
            "metadata": {"name": format!("w-{number}"), "namespace": "d", "labels": {"app": "w"}},
            "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "100m"}}}]},
            "status": {"phase": "Running", "startTime": "2020-01-01T00:00:00Z", "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"}]}});
        controller
            .pods
            .insert(Arc::new(serde_json::from_value(pod).unwrap()));
    }
    Cluster {
        fake,
        told,
        controller,
    }
}

impl Cluster {
    fn autoscaler(&self, name: &str, spec: Value) {
        let mut whole = json!({
            "scaleTargetRef": {"apiVersion": "example.com/v1", "kind": "Widget", "name": "w"},
            "minReplicas": 1, "maxReplicas": 5,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu",
                "target": {"type": "Utilization", "averageUtilization": 50}}}]});
        for (field, value) in spec.as_object().unwrap() {
            whole[field] = value.clone();
        }
        let object = json!({"metadata": {"name": name, "namespace": "d"}, "spec": whole});
        self.fake
            .create("autoscaling", "horizontalpodautoscalers", object);
        self.read();
    }

    /// The informer's part.
    fn read(&self) {
        for object in self.fake.objects("autoscaling", "horizontalpodautoscalers") {
            let object = serde_json::from_value(object).unwrap();
            self.controller.autoscalers.insert(Arc::new(object));
        }
    }

    async fn look(&self, name: &str) -> Value {
        let next = self.controller.reconcile(ObjectKey::new("d", name)).await;
        assert_eq!(next.unwrap(), Next::After(Duration::from_secs(15)));
        self.read();
        let all = self.fake.objects("autoscaling", "horizontalpodautoscalers");
        let found = all.into_iter().find(|hpa| hpa["metadata"]["name"] == name);
        found.unwrap()["status"].clone()
    }

    fn replicas(&self) -> Value {
        self.fake.objects(GROUP, "widgets")[0]["spec"]["replicas"].clone()
    }

    async fn event(&self, reason: &str) -> String {
        let about = |fake: &Fake| {
            let mut events = fake.objects("", "events").into_iter();
            events.rfind(|event| event["reason"] == reason)
        };
        self.fake
            .wait_until(reason, |fake| about(fake).is_some())
            .await;
        about(&self.fake).unwrap()["message"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

/// Reason and status of a condition.
fn condition<'a>(status: &'a Value, r#type: &str) -> (&'a str, &'a str) {
    let conditions = status["conditions"].as_array().unwrap();
    let found = conditions.iter().find(|c| c["type"] == r#type).unwrap();
    (
        found["reason"].as_str().unwrap(),
        found["status"].as_str().unwrap(),
    )
}

#[tokio::test]
async fn a_custom_resource_is_scaled_by_its_pods_cpu() {
    let cluster = cluster();
    cluster.autoscaler("a", json!({}));
    *cluster.told.0.lock() = Some(100);
    let status = cluster.look("a").await;
    assert_eq!(cluster.replicas(), 4);
    assert_eq!(
        (&status["currentReplicas"], &status["desiredReplicas"]),
        (&json!(2), &json!(4))
    );
    assert!(status["lastScaleTime"].is_string());
    let current = json!({"averageUtilization": 100, "averageValue": "100m"});
    assert_eq!(status["currentMetrics"][0]["resource"]["current"], current);
    assert_eq!(condition(&status, ABLE), ("SucceededRescale", "True"));
    assert_eq!(condition(&status, ACTIVE), ("ValidMetricFound", "True"));
    assert_eq!(condition(&status, LIMITED), ("DesiredWithinRange", "False"));
    let words =
        "New size: 4; reason: cpu resource utilization (percentage of request) above target";
    assert_eq!(cluster.event("SuccessfulRescale").await, words);
    // Not down at once: the last five minutes asked for more.
    *cluster.told.0.lock() = Some(1);
    let status = cluster.look("a").await;
    assert_eq!(cluster.replicas(), 4);
    assert_eq!(condition(&status, ABLE), ("ScaleDownStabilized", "True"));
}

#[tokio::test]
async fn what_is_not_known_is_said_and_changes_nothing() {
    let cluster = cluster();
    cluster.autoscaler("a", json!({}));
    let status = cluster.look("a").await;
    assert_eq!(cluster.replicas(), 2);
    assert_eq!(condition(&status, ABLE), ("SucceededGetScale", "True"));
    assert_eq!(
        condition(&status, ACTIVE),
        ("FailedGetResourceMetric", "False")
    );
    let conditions = status["conditions"].as_array().unwrap();
    let words = "the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from resource metrics API";
    assert_eq!(conditions[1]["message"], words);
    let words = "invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from resource metrics API";
    assert_eq!(cluster.event("FailedComputeMetricsReplicas").await, words);
    // Nothing new, nothing written.
    let writes = cluster.fake.calls("update horizontalpodautoscalers");
    cluster.look("a").await;
    assert_eq!(
        cluster.fake.calls("update horizontalpodautoscalers"),
        writes
    );
}

#[tokio::test]
async fn targets_out_of_range_are_brought_back_without_metrics() {
    let cluster = cluster();
    cluster.autoscaler("a", json!({"minReplicas": 3}));
    let status = cluster.look("a").await;
    assert_eq!(
        (cluster.replicas(), &status["desiredReplicas"]),
        (json!(3), &json!(3))
    );
    let words = "New size: 3; reason: Current number of replicas below Spec.MinReplicas";
    assert_eq!(cluster.event("SuccessfulRescale").await, words);
}

#[tokio::test]
async fn a_target_of_nothing_is_left_alone() {
    let cluster = cluster();
    let found = cluster
        .controller
        .scales
        .get("d", GROUP, "Widget", "w")
        .await;
    found.unwrap().resize(0).await.unwrap();
    cluster.autoscaler("a", json!({}));
    let status = cluster.look("a").await;
    assert_eq!(cluster.replicas(), 0);
    assert_eq!(condition(&status, ACTIVE), ("ScalingDisabled", "False"));
}

#[tokio::test]
async fn targets_that_are_not_there_are_said() {
    let cluster = cluster();
    let target = |kind, name| json!({"scaleTargetRef": {"apiVersion": "example.com/v1", "kind": kind, "name": name}});
    cluster.autoscaler("a", target("Gadget", "w"));
    let status = cluster.look("a").await;
    assert_eq!(condition(&status, ABLE), ("FailedGetScale", "False"));
    let words = r#"no matches for kind "Gadget" in group "example.com""#;
    assert_eq!(cluster.event("FailedGetScale").await, words);
    cluster.autoscaler("b", target("Widget", "x"));
    assert_eq!(
        condition(&cluster.look("b").await, ABLE),
        ("FailedGetScale", "False")
    );
}

#[tokio::test]
async fn two_of_the_same_pods_do_nothing() {
    let cluster = cluster();
    *cluster.told.0.lock() = Some(100);
    // The first one doesn't know of the second yet.
    for name in ["a", "b"] {
        cluster.autoscaler(name, json!({"maxReplicas": 2}));
        cluster.look(name).await;
    }
    for name in ["a", "b"] {
        let status = cluster.look(name).await;
        assert_eq!(condition(&status, ACTIVE), ("AmbiguousSelector", "False"));
    }
    let words = "pods by selector app=w are controlled by multiple HPAs: [d/a d/b]";
    assert_eq!(cluster.event("AmbiguousSelector").await, words);
    // Whoever goes is forgotten.
    cluster
        .controller
        .autoscalers
        .remove(&ObjectKey::new("d", "b"));
    let gone = cluster.controller.reconcile(ObjectKey::new("d", "b")).await;
    assert_eq!(gone.unwrap(), Next::Done);
    cluster.fake.delete(
        "autoscaling",
        "horizontalpodautoscalers",
        "d",
        "b",
        "Background",
    );
    let status = cluster.look("a").await;
    assert_eq!(condition(&status, ACTIVE), ("ValidMetricFound", "True"));
    assert_eq!(condition(&status, LIMITED), ("TooManyReplicas", "True"));
}

#[tokio::test]
async fn trouble_is_no_reason_to_look_more_often_or_less() {
    let cluster = cluster();
    cluster.autoscaler("a", json!({}));
    cluster.look("a").await;
    let key = || ObjectKey::new("d", "a");
    // Metrics change, and the status is written: the second time over one that is not read yet.
    for used in [80, 20, 90] {
        *cluster.told.0.lock() = Some(used);
        let next = cluster.controller.reconcile(key()).await;
        assert_eq!(next.unwrap(), Next::After(Duration::from_secs(15)));
    }
    let writes = cluster.fake.calls("update horizontalpodautoscalers");
    assert!(writes > 2, "{writes} writes");
}
