//! How many replicas a metric asks for: usage over target, times the pods that count.
//!
//! Pods of which nothing is known, and pods that aren't ready yet, only ever make the change
//! smaller, as `pkg/controller/podautoscaler/replica_calculator.go` of Kubernetes 1.33 has it:
//! to scale up they use nothing, to scale down they use what they should.

use super::Settings;
use crate::pod_ranking::{condition, is_ready, phase};
use hardway_proto::Kind;
use hardway_proto::quantity::Quantity;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Pod};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What a pod used, when it was looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct PodMetric {
    /// In thousandths.
    pub value: i64,
    /// The end of the time it is about.
    pub timestamp: Timestamp,
    /// How long that time was.
    pub window: SignedDuration,
}

/// What pods used, by their names.
pub type PodMetrics = BTreeMap<String, PodMetric>;

/// What a metric comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Computed {
    /// Replicas that it asks for.
    pub replicas: i32,
    /// Use in thousandths: of each pod, or of all together where the target is about that.
    pub usage: i64,
    /// Use in percent of what pods request, if the target is about that.
    pub utilization: Option<i32>,
}

/// What computing goes by, besides metrics.
pub struct Calculator<'a> {
    /// The pods of the target.
    pub pods: &'a [Arc<Pod>],
    /// Tolerance, and when samples of CPU count.
    pub settings: &'a Settings,
    /// The time.
    pub now: Timestamp,
}

const NO_PODS: &str = "no pods returned by selector while calculating replica count";

/// Pods by how they count.
#[derive(Debug, Default, PartialEq)]
struct Groups<'a> {
    ready: usize,
    unready: BTreeSet<&'a str>,
    missing: BTreeSet<&'a str>,
    ignored: BTreeSet<&'a str>,
}

/// A number of replicas, rounded up; Rust's conversion keeps it within what an integer holds.
fn ceil(replicas: f64) -> i32 {
    replicas.ceil() as i32
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

fn after(time: Timestamp, duration: SignedDuration) -> Timestamp {
    time.checked_add(duration).unwrap_or(Timestamp::MAX)
}

impl Calculator<'_> {
    /// By average use in percent of what pods request; of one container, if that is named.
    ///
    /// # Errors
    /// If no pods are known of, or one has no request.
    pub fn by_utilization(
        &self,
        current: i32,
        target: i32,
        resource: &str,
        container: Option<&str>,
        metrics: PodMetrics,
    ) -> Result<Computed, String> {
        let (groups, metrics) = self.counted(resource, metrics)?;
        let requests = requests(self.pods, container, resource)?;
        let share = |metrics: &PodMetrics| utilization(metrics, &requests, target);
        let (ratio, percent, usage) = share(&metrics)?;
        // A target above all that is requested is what missing pods are taken to use.
        let fallback = i64::from(target.max(100));
        let missing = |pod: &str| {
            let request = requests.get(pod).copied().unwrap_or_default();
            request.saturating_mul(fallback) / 100
        };
        let again = |metrics: &PodMetrics| share(metrics).map(|(ratio, ..)| ratio);
        Ok(Computed {
            replicas: self.replicas(current, ratio, groups, metrics, missing, again)?,
            usage,
            utilization: Some(percent),
        })
    }

    /// By average use of a pod, in thousandths. `resource` is empty for other metrics.
    ///
    /// # Errors
    /// If no pods are known of.
    pub fn by_average(
        &self,
        current: i32,
        target: i64,
        resource: &str,
        metrics: PodMetrics,
    ) -> Result<Computed, String> {
        let (groups, metrics) = self.counted(resource, metrics)?;
        let average = |metrics: &PodMetrics| {
            let sum: i128 = metrics
                .values()
                .map(|metric| i128::from(metric.value))
                .sum();
            clamp(sum / metrics.len().max(1) as i128)
        };
        let ratio = |metrics: &PodMetrics| average(metrics) as f64 / target as f64;
        let usage = average(&metrics);
        let first = ratio(&metrics);
        let again = |metrics: &PodMetrics| Ok(ratio(metrics));
        Ok(Computed {
            replicas: self.replicas(current, first, groups, metrics, |_| target, again)?,
            usage,
            utilization: None,
        })
    }

    /// By a value that is one for all pods, in thousandths.
    ///
    /// # Errors
    /// If there are no pods.
    pub fn by_value(&self, current: i32, target: i64, usage: i64) -> Result<Computed, String> {
        let ratio = usage as f64 / target as f64;
        let replicas = if current == 0 {
            // From nothing there is nothing to multiply.
            ceil(ratio)
        } else if self.is_tolerable(ratio) {
            current
        } else if self.pods.is_empty() {
            return Err(format!("unable to calculate ready pods: {NO_PODS}"));
        } else {
            let ready = self
                .pods
                .iter()
                .filter(|pod| phase(pod) == "Running" && is_ready(pod));
            ceil(ratio * ready.count() as f64)
        };
        Ok(Computed {
            replicas,
            usage,
            utilization: None,
        })
    }

    /// By a value that all pods share, of which each is to have so much, in thousandths.
    pub fn by_value_per_pod(&self, current: i32, target: i64, usage: i64) -> Computed {
        let ratio = usage as f64 / (target as f64 * f64::from(current));
        let replicas = match self.is_tolerable(ratio) {
            true => current,
            false => ceil(usage as f64 / target as f64),
        };
        Computed {
            replicas,
            usage: (usage as f64 / f64::from(current.max(1))).ceil() as i64,
            utilization: None,
        }
    }

    fn is_tolerable(&self, ratio: f64) -> bool {
        let tolerance = self.settings.tolerance;
        (1.0 - tolerance..=1.0 + tolerance).contains(&ratio)
    }

    /// Pods in groups, and metrics of those that count at once.
    fn counted(
        &self,
        resource: &str,
        mut metrics: PodMetrics,
    ) -> Result<(Groups<'_>, PodMetrics), String> {
        if self.pods.is_empty() {
            return Err(NO_PODS.into());
        }
        let groups = self.groups(resource, &metrics);
        metrics.retain(|pod, _| {
            !groups.ignored.contains(pod.as_str()) && !groups.unready.contains(pod.as_str())
        });
        match metrics.is_empty() {
            true => Err("did not receive metrics for targeted pods (pods might be unready)".into()),
            false => Ok((groups, metrics)),
        }
    }

    fn groups(&self, resource: &str, metrics: &PodMetrics) -> Groups<'_> {
        let mut groups = Groups::default();
        for pod in self.pods {
            let name = pod.name();
            if pod.metadata.deletion_timestamp.is_some() || phase(pod) == "Failed" {
                groups.ignored.insert(name);
            } else if phase(pod) == "Pending" {
                groups.unready.insert(name);
            } else if let Some(metric) = metrics.get(name) {
                if resource == "cpu" && self.is_starting(pod, metric) {
                    groups.unready.insert(name);
                } else {
                    groups.ready += 1;
                }
            } else {
                groups.missing.insert(name);
            }
        }
        groups
    }

    /// Whether a sample of a pod's CPU tells of its start rather than of its load.
    fn is_starting(&self, pod: &Pod, metric: &PodMetric) -> bool {
        let started = pod
            .status
            .as_ref()
            .and_then(|status| status.start_time.as_ref());
        let (Some(ready), Some(started)) = (condition(pod, "Ready"), started) else {
            return true;
        };
        let unready = ready.status == "False";
        let since = ready.last_transition_time.as_ref().map(|time| time.0);
        let since = since.unwrap_or(Timestamp::MIN);
        let initial = signed(self.settings.cpu_initialization_period);
        if after(started.0, initial) > self.now {
            // One whole window since it became what it is, ready at that.
            unready || metric.timestamp < after(since, metric.window)
        } else {
            // It has never been ready.
            unready && after(started.0, signed(self.settings.initial_readiness_delay)) > since
        }
    }

    /// Replicas by a ratio of use to target, made again with what is taken of other pods.
    fn replicas(
        &self,
        current: i32,
        ratio: f64,
        groups: Groups<'_>,
        mut metrics: PodMetrics,
        missing_uses: impl Fn(&str) -> i64,
        again: impl Fn(&PodMetrics) -> Result<f64, String>,
    ) -> Result<i32, String> {
        let up_with_unready = !groups.unready.is_empty() && ratio > 1.0;
        if !up_with_unready && groups.missing.is_empty() {
            return Ok(match self.is_tolerable(ratio) {
                true => current,
                false => ceil(ratio * groups.ready as f64),
            });
        }
        let mut take = |pod: &str, value| {
            let (timestamp, window) = (Timestamp::UNIX_EPOCH, SignedDuration::ZERO);
            let metric = PodMetric {
                value,
                timestamp,
                window,
            };
            metrics.insert(pod.to_owned(), metric);
        };
        for pod in groups.missing {
            if ratio < 1.0 {
                take(pod, missing_uses(pod));
            } else if ratio > 1.0 {
                take(pod, 0);
            }
        }
        if up_with_unready {
            groups.unready.into_iter().for_each(|pod| take(pod, 0));
        }
        let new = again(&metrics)?;
        let turned = (ratio < 1.0 && new > 1.0) || (ratio > 1.0 && new < 1.0);
        if self.is_tolerable(new) || turned {
            return Ok(current);
        }
        let replicas = ceil(new * metrics.len() as f64);
        let against = (new < 1.0 && replicas > current) || (new > 1.0 && replicas < current);
        Ok(if against { current } else { replicas })
    }
}

fn clamp(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}

/// The ratio of use to target, use in percent of requests, and use of a pod in thousandths.
/// Metrics of pods without requests are nobody's.
fn utilization(
    metrics: &PodMetrics,
    requests: &BTreeMap<&str, i64>,
    target: i32,
) -> Result<(f64, i32, i64), String> {
    let (mut used, mut requested, mut count) = (0i128, 0i128, 0i128);
    for (pod, metric) in metrics {
        if let Some(request) = requests.get(pod.as_str()) {
            used += i128::from(metric.value);
            requested += i128::from(*request);
            count += 1;
        }
    }
    if requested == 0 {
        return Err("no metrics returned matched known pods".into());
    }
    let percent = i32::try_from(used * 100 / requested).unwrap_or(i32::MAX);
    let ratio = f64::from(percent) / f64::from(target);
    Ok((ratio, percent, clamp(used / count)))
}

/// What pods request of a resource, in thousandths: their containers that run all the time,
/// or the named one.
fn requests<'a>(
    pods: &'a [Arc<Pod>],
    container: Option<&str>,
    resource: &str,
) -> Result<BTreeMap<&'a str, i64>, String> {
    let of = |pod: &'a Arc<Pod>| {
        let spec = pod.spec.as_ref();
        let beside = |c: &&Container| c.restart_policy.as_deref() == Some("Always");
        let init = spec.and_then(|spec| spec.init_containers.as_deref());
        let beside = init.unwrap_or_default().iter().filter(beside);
        let containers = spec
            .map(|spec| spec.containers.as_slice())
            .unwrap_or_default();
        let mut sum = 0i64;
        let named = |c: &&Container| container.is_none_or(|name| name == c.name);
        for container in containers.iter().chain(beside).filter(named) {
            let requests = container
                .resources
                .as_ref()
                .and_then(|r| r.requests.as_ref());
            let request = requests.and_then(|requests| requests.get(resource));
            let request = request.and_then(|request| request.0.parse::<Quantity>().ok());
            let request = request.ok_or_else(|| {
                let (container, pod) = (&container.name, pod.name());
                format!("missing request for {resource} in container {container} of Pod {pod}")
            })?;
            sum = sum.saturating_add(request.milli_value());
        }
        Ok((pod.name(), sum))
    };
    pods.iter().map(of).collect()
}

#[cfg(test)]
mod tests;
