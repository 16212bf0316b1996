//! What each of an autoscaler's metrics asks for, and what they ask for together. Texts are
//! those of Kubernetes 1.33 (`pkg/controller/podautoscaler/horizontal.go`).

use super::metrics_client::MetricsClient;
use super::replicas::{Calculator, Computed};
use crate::selectors::printed;
use hardway_proto::labels::Selector;
use hardway_proto::quantity::{Format, Quantity};
use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricSource, ContainerResourceMetricStatus, ExternalMetricSource,
    ExternalMetricStatus, MetricSpec, MetricStatus, MetricTarget, MetricValueStatus,
    ObjectMetricSource, ObjectMetricStatus, PodsMetricSource, PodsMetricStatus,
    ResourceMetricSource, ResourceMetricStatus,
};
use k8s_openapi::apimachinery::pkg::api::resource;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// What a metric asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// Replicas.
    pub replicas: i32,
    /// The metric, in words.
    pub metric: String,
    /// What it is now.
    pub status: MetricStatus,
}

/// Why a metric asks for nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The reason, of a condition and an event.
    pub reason: &'static str,
    /// What went wrong.
    pub error: String,
    /// The same, with what it was about.
    pub whole: String,
    /// Whether the autoscaler itself makes no sense.
    pub is_spec: bool,
}

/// What all metrics ask for together.
#[derive(Debug, Default, PartialEq)]
pub struct Combined {
    /// Replicas and the metric that asks for most; `None`: nothing can be done.
    pub best: Option<(i32, String)>,
    /// What metrics are now; empty where one isn't known.
    pub statuses: Vec<MetricStatus>,
    /// The first failure.
    pub failure: Option<Failure>,
    /// The first failure, and how many there were.
    pub error: Option<String>,
}

/// The most that any metric asks for. Where one isn't known, nothing is scaled down.
pub fn combine(results: Vec<Result<Proposal, Failure>>, current: i32) -> Combined {
    let (count, mut failures) = (results.len(), 0);
    let mut combined = Combined::default();
    for result in results {
        match result {
            Ok(proposal) => {
                combined.statuses.push(proposal.status);
                let best = combined.best.as_ref().map_or(0, |(replicas, _)| *replicas);
                if combined.best.is_none() || best == 0 || proposal.replicas > best {
                    combined.best = Some((proposal.replicas, proposal.metric));
                }
            }
            Err(failure) => {
                combined.statuses.push(MetricStatus::default());
                failures += 1;
                combined.failure.get_or_insert(failure);
            }
        }
    }
    if let Some(first) = &combined.failure {
        combined.error = Some(format!(
            "invalid metrics ({failures} invalid out of {count}), first error is: {}",
            first.whole
        ));
        combined.best.take_if(|(replicas, _)| *replicas < current);
    }
    combined
}

/// Whose metrics are asked for.
pub struct Target<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its pods.
    pub selector: &'a Selector,
    /// Replicas it should have.
    pub spec_replicas: i32,
    /// Replicas it says it has.
    pub status_replicas: i32,
}

/// What one metric asks for.
pub async fn propose<M: MetricsClient>(
    client: &M,
    calculator: &Calculator<'_>,
    target: &Target<'_>,
    metric: &MetricSpec,
) -> Result<Proposal, Failure> {
    let failure = |reason, about: &str| {
        let about = about.to_owned();
        move |error: String| Failure {
            reason,
            whole: format!("failed to get {about}: {error}"),
            error,
            is_spec: false,
        }
    };
    let asking = Asking {
        client,
        calculator,
        target,
    };
    match metric {
        MetricSpec {
            type_,
            resource: Some(source),
            ..
        } if type_ == "Resource" => {
            let about = format!("{} resource metric value", source.name);
            let proposal = asking.of_resource(source).await;
            proposal.map_err(failure("FailedGetResourceMetric", &about))
        }
        MetricSpec {
            type_,
            container_resource: Some(source),
            ..
        } if type_ == "ContainerResource" => {
            let about = format!("{} container metric value", source.container);
            let proposal = asking.of_container(source).await;
            proposal.map_err(failure("FailedGetContainerResourceMetric", &about))
        }
        MetricSpec {
            type_,
            pods: Some(source),
            ..
        } if type_ == "Pods" => {
            let proposal = asking.of_pods(source).await;
            proposal.map_err(failure("FailedGetPodsMetric", "pods metric value"))
        }
        MetricSpec {
            type_,
            object: Some(source),
            ..
        } if type_ == "Object" => {
            let proposal = asking.of_object(source).await;
            proposal.map_err(failure("FailedGetObjectMetric", "object metric value"))
        }
        MetricSpec {
            type_,
            external: Some(source),
            ..
        } if type_ == "External" => {
            let about = format!("{} external metric value", source.metric.name);
            let proposal = asking.external(source).await;
            proposal.map_err(failure("FailedGetExternalMetric", &about))
        }
        other => {
            let error = format!("unknown metric source type {:?}", other.type_);
            Err(Failure {
                reason: "InvalidMetricSourceType",
                whole: error.clone(),
                error,
                is_spec: true,
            })
        }
    }
}

fn milli(quantity: &resource::Quantity) -> Result<i64, String> {
    let parsed = quantity.0.parse::<Quantity>();
    parsed
        .map(|quantity| quantity.milli_value())
        .map_err(|error| error.to_string())
}

fn quantity(milli: i64) -> Option<resource::Quantity> {
    let quantity = Quantity::from_milli(milli, Format::DecimalSi);
    Some(resource::Quantity(quantity.to_string()))
}

/// The current value of a target for each pod.
fn average(computed: &Computed) -> MetricValueStatus {
    MetricValueStatus {
        average_utilization: computed.utilization,
        average_value: quantity(computed.usage),
        value: None,
    }
}

/// The current value of a target for all pods.
fn value(computed: &Computed) -> MetricValueStatus {
    MetricValueStatus {
        value: quantity(computed.usage),
        ..MetricValueStatus::default()
    }
}

/// Which series of a metric are meant; all, if nothing is said.
fn series(selector: Option<&LabelSelector>) -> Result<Selector, String> {
    let selector = selector.map(Selector::from_label_selector).transpose();
    let selector = selector.map_err(|error| error.to_string())?;
    Ok(selector.unwrap_or_else(Selector::everything))
}

struct Asking<'a, M> {
    client: &'a M,
    calculator: &'a Calculator<'a>,
    target: &'a Target<'a>,
}

impl<M: MetricsClient> Asking<'_, M> {
    /// By what pods use of a resource, or one of their containers.
    async fn use_of(
        &self,
        resource: &str,
        container: Option<&str>,
        target: &MetricTarget,
    ) -> Result<Computed, String> {
        let Target {
            namespace,
            selector,
            spec_replicas,
            ..
        } = *self.target;
        let usage = async {
            let metrics = self
                .client
                .of_resource(resource, namespace, selector, container);
            let metrics = metrics.await;
            metrics
                .map_err(|error| format!("unable to get metrics for resource {resource}: {error}"))
        };
        if let Some(average) = &target.average_value {
            let computed = async {
                let average = milli(average)?;
                self.calculator
                    .by_average(spec_replicas, average, resource, usage.await?)
            };
            let computed = computed.await;
            computed.map_err(|error| format!("failed to get {resource} usage: {error}"))
        } else if let Some(percent) = target.average_utilization {
            let computed = async {
                let usage = usage.await?;
                self.calculator
                    .by_utilization(spec_replicas, percent, resource, container, usage)
            };
            let computed = computed.await;
            computed.map_err(|error| format!("failed to get {resource} utilization: {error}"))
        } else {
            Err("invalid resource metric source: neither an average utilization target nor an average value (usage) target was set".into())
        }
    }

    async fn of_resource(&self, source: &ResourceMetricSource) -> Result<Proposal, String> {
        let computed = self.use_of(&source.name, None, &source.target).await?;
        let metric = match computed.utilization {
            Some(_) => format!(
                "{} resource utilization (percentage of request)",
                source.name
            ),
            None => format!("{} resource", source.name),
        };
        let status = ResourceMetricStatus {
            name: source.name.clone(),
            current: average(&computed),
        };
        Ok(proposal(
            computed,
            metric,
            MetricStatus {
                type_: "Resource".into(),
                resource: Some(status),
                ..MetricStatus::default()
            },
        ))
    }

    async fn of_container(
        &self,
        source: &ContainerResourceMetricSource,
    ) -> Result<Proposal, String> {
        let container = Some(source.container.as_str());
        let computed = self.use_of(&source.name, container, &source.target).await?;
        let metric = match computed.utilization {
            Some(_) => format!(
                "{} container resource utilization (percentage of request)",
                source.name
            ),
            None => format!("{} resource", source.name),
        };
        let status = ContainerResourceMetricStatus {
            name: source.name.clone(),
            container: source.container.clone(),
            current: average(&computed),
        };
        Ok(proposal(
            computed,
            metric,
            MetricStatus {
                type_: "ContainerResource".into(),
                container_resource: Some(status),
                ..MetricStatus::default()
            },
        ))
    }

    async fn of_pods(&self, source: &PodsMetricSource) -> Result<Proposal, String> {
        let Target {
            namespace,
            selector,
            spec_replicas,
            ..
        } = *self.target;
        let name = &source.metric.name;
        let series = series(source.metric.selector.as_ref())?;
        let target = source.target.average_value.as_ref();
        let target = target.ok_or("invalid pods metric source: no average value target was set")?;
        let metrics = self
            .client
            .of_pods(name, namespace, selector, &series)
            .await;
        let metrics = metrics.map_err(|error| format!("unable to get metric {name}: {error}"))?;
        let computed = self
            .calculator
            .by_average(spec_replicas, milli(target)?, "", metrics)?;
        let status = PodsMetricStatus {
            metric: source.metric.clone(),
            current: average(&computed),
        };
        Ok(proposal(
            computed,
            format!("pods metric {name}"),
            MetricStatus {
                type_: "Pods".into(),
                pods: Some(status),
                ..MetricStatus::default()
            },
        ))
    }

    async fn of_object(&self, source: &ObjectMetricSource) -> Result<Proposal, String> {
        let Target {
            namespace,
            spec_replicas,
            status_replicas,
            ..
        } = *self.target;
        let (name, object) = (&source.metric.name, &source.described_object);
        let series = series(source.metric.selector.as_ref())?;
        let usage = async {
            let usage = self
                .client
                .of_object(name, namespace, object, &series)
                .await;
            usage.map_err(|error| {
                let (kind, object) = (&object.kind, &object.name);
                format!("unable to get metric {name} of {kind} {namespace}/{object}: {error}")
            })
        };
        let target = &source.target;
        let (computed, current, metric) = match (target.type_.as_str(), &target.value, &target.average_value) {
            ("Value", Some(target), _) => {
                let computed = self.calculator.by_value(spec_replicas, milli(target)?, usage.await?)?;
                let current = value(&computed);
                (computed, current, format!("{} metric {name}", object.kind))
            }
            ("AverageValue", _, Some(target)) => {
                let usage = usage.await.map_err(|error| format!("failed to get {name} object metric: {error}"))?;
                let computed = self.calculator.by_value_per_pod(status_replicas, milli(target)?, usage);
                let current = average(&computed);
                let selector = printed(source.metric.selector.as_ref());
                (computed, current, format!("external metric {name}({selector})"))
            }
            _ => return Err("invalid object metric source: neither a value target nor an average value target was set".into()),
        };
        let status = ObjectMetricStatus {
            current,
            described_object: object.clone(),
            metric: source.metric.clone(),
        };
        Ok(proposal(
            computed,
            metric,
            MetricStatus {
                type_: "Object".into(),
                object: Some(status),
                ..MetricStatus::default()
            },
        ))
    }

    async fn external(&self, source: &ExternalMetricSource) -> Result<Proposal, String> {
        let Target {
            namespace,
            spec_replicas,
            status_replicas,
            ..
        } = *self.target;
        let name = &source.metric.name;
        let selector = printed(source.metric.selector.as_ref());
        let usage = async {
            let series = series(source.metric.selector.as_ref())?;
            let usage = self.client.external(name, namespace, &series).await;
            usage.map_err(|error| {
                format!("unable to get external metric {namespace}/{name}/{selector}: {error}")
            })
        };
        let (computed, current) = if let Some(target) = &source.target.average_value {
            let usage = usage
                .await
                .map_err(|error| format!("failed to get {name} external metric: {error}"))?;
            let computed = self
                .calculator
                .by_value_per_pod(status_replicas, milli(target)?, usage);
            let current = average(&computed);
            (computed, current)
        } else if let Some(target) = &source.target.value {
            let computed = async {
                let usage = usage.await?;
                self.calculator
                    .by_value(spec_replicas, milli(target)?, usage)
            };
            let computed = computed.await;
            let computed = computed
                .map_err(|error| format!("failed to get external metric {name}: {error}"))?;
            let current = value(&computed);
            (computed, current)
        } else {
            return Err("invalid external metric source: neither a value target nor an average value target was set".into());
        };
        let status = ExternalMetricStatus {
            current,
            metric: source.metric.clone(),
        };
        let metric = format!("external metric {name}({selector})");
        Ok(proposal(
            computed,
            metric,
            MetricStatus {
                type_: "External".into(),
                external: Some(status),
                ..MetricStatus::default()
            },
        ))
    }
}

fn proposal(computed: Computed, metric: String, status: MetricStatus) -> Proposal {
    Proposal {
        replicas: computed.replicas,
        metric,
        status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(replicas: i32, metric: &str) -> Result<Proposal, Failure> {
        let (metric, status) = (metric.to_owned(), MetricStatus::default());
        Ok(Proposal {
            replicas,
            metric,
            status,
        })
    }

    fn bad(error: &str) -> Result<Proposal, Failure> {
        Err(Failure {
            reason: "FailedGetPodsMetric",
            error: error.into(),
            whole: format!("failed: {error}"),
            is_spec: false,
        })
    }

    #[test]
    fn the_metric_that_asks_for_most_wins() {
        let best = |results, current| combine(results, current).best;
        let of = |replicas, metric: &str| Some((replicas, metric.to_owned()));
        assert_eq!(
            best(vec![good(3, "a"), good(5, "b"), good(5, "c")], 4),
            of(5, "b")
        );
        assert_eq!(best(vec![good(0, "a"), good(0, "b")], 4), of(0, "b"));
        // What isn't known may ask for more: nothing is scaled down, but up it may be.
        assert_eq!(best(vec![bad("x"), good(3, "b")], 4), None);
        assert_eq!(best(vec![good(4, "a"), bad("x")], 4), of(4, "a"));
        assert_eq!(best(vec![good(9, "a"), bad("x")], 4), of(9, "a"));
        let all = combine(vec![bad("x"), bad("y")], 4);
        assert_eq!(all.best, None);
        let words = "invalid metrics (2 invalid out of 2), first error is: failed: x";
        assert_eq!(all.error.as_deref(), Some(words));
        assert_eq!(all.statuses.len(), 2);
        // No metrics at all are none that could be asked.
        assert_eq!(combine(Vec::new(), 4).best, None);
    }
}
