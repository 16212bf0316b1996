//! Where metrics come from: the APIs that servers of metrics register.

use super::replicas::{PodMetric, PodMetrics};
use crate::scale::{Scales, group_of};
use bytes::Bytes;
use hardway_client::Client;
use hardway_proto::Status;
use hardway_proto::labels::Selector;
use hardway_proto::quantity::Quantity;
use hardway_proto::status::qualified;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::CrossVersionObjectReference;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Metrics by what they are about. Failures are texts, as they are shown in conditions and
/// events.
pub trait MetricsClient: Send + Sync + 'static {
    /// What pods use of a resource, or one of their containers.
    fn of_resource(
        &self,
        resource: &str,
        namespace: &str,
        pods: &Selector,
        container: Option<&str>,
    ) -> impl Future<Output = Result<PodMetrics, String>> + Send;

    /// A metric of pods.
    fn of_pods(
        &self,
        metric: &str,
        namespace: &str,
        pods: &Selector,
        series: &Selector,
    ) -> impl Future<Output = Result<PodMetrics, String>> + Send;

    /// A metric of an object, in thousandths.
    fn of_object(
        &self,
        metric: &str,
        namespace: &str,
        object: &CrossVersionObjectReference,
        series: &Selector,
    ) -> impl Future<Output = Result<i64, String>> + Send;

    /// The sum of a metric of nothing in the cluster, in thousandths.
    fn external(
        &self,
        metric: &str,
        namespace: &str,
        series: &Selector,
    ) -> impl Future<Output = Result<i64, String>> + Send;
}

const RESOURCE_API: &str = "resource metrics API";
const CUSTOM_API: &str = "custom metrics API";
const EXTERNAL_API: &str = "external metrics API";
const CUSTOM: &str = "custom.metrics.k8s.io";

/// Reads `metrics.k8s.io`, `custom.metrics.k8s.io` and `external.metrics.k8s.io` by way of
/// the apiserver.
pub struct RestMetrics {
    /// The apiserver.
    pub client: Client,
    /// Which resource a described object's kind is.
    pub scales: Arc<Scales>,
}

#[derive(Deserialize)]
struct List<T> {
    items: Option<Vec<T>>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
}

#[derive(Deserialize)]
struct UsedByPod {
    metadata: Named,
    timestamp: Option<Timestamp>,
    #[serde(default)]
    window: String,
    containers: Option<Vec<UsedByContainer>>,
}

#[derive(Deserialize)]
struct UsedByContainer {
    name: String,
    usage: Option<BTreeMap<String, String>>,
}

impl UsedByContainer {
    fn milli(&self, resource: &str) -> Option<Result<i64, String>> {
        self.usage.as_ref()?.get(resource).map(|usage| milli(usage))
    }
}

/// A value of a custom or an external metric.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MetricValue {
    described_object: Option<Named>,
    timestamp: Option<Timestamp>,
    /// Called `window` in v1beta1.
    #[serde(alias = "window")]
    window_seconds: Option<i64>,
    value: String,
}

impl MetricValue {
    fn milli(&self) -> Result<i64, String> {
        milli(&self.value)
    }
}

/// Kubernetes' zero time, which is written as null, is long ago.
fn time_of(written: Option<Timestamp>) -> Timestamp {
    written.unwrap_or(Timestamp::UNIX_EPOCH)
}

fn milli(quantity: &str) -> Result<i64, String> {
    let parsed = quantity.parse::<Quantity>();
    parsed
        .map(|q| q.milli_value())
        .map_err(|error| format!("{quantity:?}: {error}"))
}

fn parse<T: DeserializeOwned>(answer: Result<Bytes, Status>, api: &str) -> Result<T, String> {
    let failed =
        |error: &dyn std::fmt::Display| format!("unable to fetch metrics from {api}: {error}");
    let body = answer.map_err(|status| failed(&status))?;
    serde_json::from_slice(&body).map_err(|error| failed(&error))
}

/// The items of a list, of which there have to be some.
fn items<T: DeserializeOwned>(answer: Result<Bytes, Status>, api: &str) -> Result<Vec<T>, String> {
    match parse::<List<T>>(answer, api)?.items {
        Some(items) if !items.is_empty() => Ok(items),
        _ => Err(format!("no metrics returned from {api}")),
    }
}

fn used(
    pods: Vec<UsedByPod>,
    resource: &str,
    container: Option<&str>,
) -> Result<PodMetrics, String> {
    let mut metrics = PodMetrics::new();
    for pod in pods {
        let containers = pod.containers.as_deref().unwrap_or_default();
        let value = match container {
            Some(name) => {
                let found = containers.iter().find(|c| c.name == name);
                let container = found.ok_or_else(|| {
                    let Named { name: pod, namespace } = &pod.metadata;
                    format!(
                        "failed to get container metrics: container {name} not present in metrics for pod {namespace}/{pod}"
                    )
                })?;
                container.milli(resource).transpose()?
            }
            None => {
                // A pod of which a part is unknown is one of which nothing is known.
                let each = containers.iter().map(|c| c.milli(resource));
                let sum: Option<Result<i64, String>> =
                    each.collect::<Option<Vec<_>>>().map(|all| {
                        all.into_iter()
                            .try_fold(0i64, |sum, value| Ok(sum.saturating_add(value?)))
                    });
                sum.filter(|_| !containers.is_empty()).transpose()?
            }
        };
        if let Some(value) = value {
            let metric = PodMetric {
                value,
                timestamp: time_of(pod.timestamp),
                window: pod.window.parse().unwrap_or_default(),
            };
            metrics.insert(pod.metadata.name, metric);
        }
    }
    Ok(metrics)
}

/// The newest version of custom metrics that a server offers and that is known here.
fn version(group: &[u8]) -> Option<&'static str> {
    #[derive(Deserialize)]
    struct Group {
        versions: Vec<Version>,
    }
    #[derive(Deserialize)]
    struct Version {
        version: String,
    }
    let group: Group = serde_json::from_slice(group).ok()?;
    let offered = |known: &&str| group.versions.iter().any(|v| v.version == *known);
    ["v1beta2", "v1beta1"].into_iter().find(offered)
}

impl RestMetrics {
    /// Custom metrics of objects, such as `pods/*`.
    async fn custom(
        &self,
        object: &[&str],
        metric: &str,
        pods: &str,
        series: &Selector,
    ) -> Result<Vec<MetricValue>, String> {
        let series = series.to_string();
        let group = self.client.get_raw(&["apis", CUSTOM], &[]).await;
        let group: Bytes = group
            .map_err(|status| format!("unable to fetch metrics from {CUSTOM_API}: {status}"))?;
        let version = version(&group).ok_or_else(|| {
            format!("unable to fetch metrics from {CUSTOM_API}: no known available metric versions found")
        })?;
        let mut path = vec!["apis", CUSTOM, version];
        path.extend(object);
        path.push(metric);
        let parameters = [
            ("labelSelector", pods),
            ("metricLabelSelector", series.as_str()),
        ];
        items(self.client.get_raw(&path, &parameters).await, CUSTOM_API)
    }

    /// The resource that custom metrics know a kind by.
    async fn resource_of(&self, object: &CrossVersionObjectReference) -> Result<String, String> {
        let version = object.api_version.as_deref().unwrap_or_default();
        let group = group_of(version)
            .ok_or_else(|| format!("unexpected GroupVersion string: {version}"))?;
        let found = self.scales.resources(group, &object.kind).await;
        let found = found.map_err(|error| {
            format!("unable to fetch metrics from {CUSTOM_API}: unable to map kind {} to resource: {error}", object.kind)
        })?;
        let first = found.first().map(|found| qualified(group, &found.resource));
        Ok(first.unwrap_or_default())
    }
}

impl MetricsClient for RestMetrics {
    async fn of_resource(
        &self,
        resource: &str,
        namespace: &str,
        pods: &Selector,
        container: Option<&str>,
    ) -> Result<PodMetrics, String> {
        let path = [
            "apis",
            "metrics.k8s.io",
            "v1beta1",
            "namespaces",
            namespace,
            "pods",
        ];
        let pods = pods.to_string();
        let answer = self
            .client
            .get_raw(&path, &[("labelSelector", &pods)])
            .await;
        used(items(answer, RESOURCE_API)?, resource, container)
    }

    async fn of_pods(
        &self,
        metric: &str,
        namespace: &str,
        pods: &Selector,
        series: &Selector,
    ) -> Result<PodMetrics, String> {
        let object = ["namespaces", namespace, "pods", "*"];
        let values = self
            .custom(&object, metric, &pods.to_string(), series)
            .await?;
        let metric = |value: MetricValue| {
            let metric = PodMetric {
                value: value.milli()?,
                timestamp: time_of(value.timestamp),
                window: SignedDuration::from_secs(value.window_seconds.unwrap_or(60)),
            };
            Ok((
                value
                    .described_object
                    .map(|pod| pod.name)
                    .unwrap_or_default(),
                metric,
            ))
        };
        values.into_iter().map(metric).collect()
    }

    async fn of_object(
        &self,
        metric: &str,
        namespace: &str,
        object: &CrossVersionObjectReference,
        series: &Selector,
    ) -> Result<i64, String> {
        let version = object.api_version.as_deref().unwrap_or_default();
        let values = if object.kind == "Namespace" && group_of(version) == Some("") {
            // Whatever name is given: nobody gets at another namespace.
            let object = ["namespaces", namespace, "metrics"];
            self.custom(&object, metric, "", series).await?
        } else {
            let resource = self.resource_of(object).await?;
            let object = ["namespaces", namespace, &resource, &object.name];
            self.custom(&object, metric, "", series).await?
        };
        let first = values.first().map(MetricValue::milli);
        first.unwrap_or_else(|| Err(format!("no metrics returned from {CUSTOM_API}")))
    }

    async fn external(
        &self,
        metric: &str,
        namespace: &str,
        series: &Selector,
    ) -> Result<i64, String> {
        let group = "external.metrics.k8s.io";
        let path = ["apis", group, "v1beta1", "namespaces", namespace, metric];
        let series = series.to_string();
        let answer = self
            .client
            .get_raw(&path, &[("labelSelector", &series)])
            .await;
        let values: Vec<MetricValue> = items(answer, EXTERNAL_API)?;
        values
            .iter()
            .try_fold(0i64, |sum, value| Ok(sum.saturating_add(value.milli()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn answer(value: &Value) -> Result<Bytes, Status> {
        Ok(value.to_string().into())
    }

    fn pods() -> Value {
        let pod = |name: &str, containers: Value| {
            json!({"metadata": {"name": name, "namespace": "d"}, "window": "10.5s",
                "timestamp": "2026-01-01T00:00:00Z", "containers": containers})
        };
        json!({"kind": "PodMetricsList", "items": [
            pod("a", json!([{"name": "web", "usage": {"cpu": "150m", "memory": "1Mi"}},
                {"name": "log", "usage": {"cpu": "1500001n"}}])),
            pod("b", json!([{"name": "web", "usage": {"memory": "1Ki"}}])),
            pod("c", json!([])),
        ]})
    }

    fn values(metrics: Result<PodMetrics, String>) -> Vec<(String, i64)> {
        let metrics = metrics.unwrap().into_iter();
        metrics.map(|(pod, metric)| (pod, metric.value)).collect()
    }

    #[test]
    fn use_of_resources_is_summed_up() {
        let used =
            |resource, container| used(items(answer(&pods()), RESOURCE_API)?, resource, container);
        // Rounded up, container by container.
        assert_eq!(values(used("cpu", None)), [("a".into(), 152)]);
        assert_eq!(values(used("memory", None)), [("b".into(), 1_024_000)]);
        let missing = used("cpu", Some("web")).unwrap_err();
        let words =
            "failed to get container metrics: container web not present in metrics for pod d/c";
        assert_eq!(missing, words);
        let metrics = used("cpu", None).unwrap();
        assert_eq!(metrics["a"].window.as_millis(), 10_500);
    }

    #[test]
    fn what_go_has_nothing_for_is_null() {
        let list = json!({"items": [
            {"metadata": {"name": "a"}, "timestamp": null, "containers": null},
            {"metadata": {"name": "b"}, "timestamp": null, "containers": [{"name": "c", "usage": null}]},
            {"metadata": {"name": "d"}, "timestamp": null, "containers": [{"name": "c", "usage": {"cpu": "1"}}]}]});
        let metrics = used(items(answer(&list), RESOURCE_API).unwrap(), "cpu", None);
        assert_eq!(values(metrics), [("d".into(), 1000)]);
        let value = json!({"items": [{"metricName": "m", "timestamp": null, "value": "2"}]});
        let external = items::<MetricValue>(answer(&value), EXTERNAL_API).unwrap();
        assert_eq!(external[0].milli(), Ok(2000));
    }

    #[test]
    fn failures_say_which_api() {
        let none = items::<UsedByPod>(answer(&json!({"items": null})), RESOURCE_API);
        let words = "no metrics returned from resource metrics API";
        assert_eq!(none.err().as_deref(), Some(words));
        let absent = items::<MetricValue>(Err(Status::no_such_resource()), EXTERNAL_API);
        let words = "unable to fetch metrics from external metrics API: the server could not find the requested resource";
        assert_eq!(absent.err().as_deref(), Some(words));
    }

    #[test]
    fn both_versions_of_custom_metrics_are_read() {
        for (version, window) in [("v1beta2", "windowSeconds"), ("v1beta1", "window")] {
            let value = json!({"items": [{"describedObject": {"kind": "Pod", "name": "a"},
                "timestamp": "2026-01-01T00:00:00Z", window: 30, "value": "1500m"}]});
            let read: Vec<MetricValue> = items(answer(&value), CUSTOM_API).unwrap();
            assert_eq!(
                (read[0].milli(), read[0].window_seconds),
                (Ok(1500), Some(30)),
                "{version}"
            );
            let group = json!({"versions": [{"version": "v1alpha1"}, {"version": version}]});
            assert_eq!(super::version(group.to_string().as_bytes()), Some(version));
        }
        let both = json!({"versions": [{"version": "v1beta1"}, {"version": "v1beta2"}]});
        assert_eq!(super::version(both.to_string().as_bytes()), Some("v1beta2"));
    }
}
