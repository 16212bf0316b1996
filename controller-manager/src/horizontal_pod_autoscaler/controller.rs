//! Carries out what is decided: reads a target's scale and metrics, writes its scale, and says
//! in status and events what was done and why.

use super::behavior::{History, Range};
use super::conditions::{ABLE, ACTIVE, LIMITED, set};
use super::metrics_client::MetricsClient;
use super::monitor::{self, Outcome};
use super::proposals::{Combined, Target, combine, propose};
use super::replicas::Calculator;
use super::settings::Settings;
use crate::conflicts;
use crate::scale::{self, Found, Scales, group_of};
use crate::selectors::selects;
use hardway_client::controller::Next;
use hardway_client::events::{EventType, Recorder, reference};
use hardway_client::{Client, Store};
use hardway_proto::labels::Selector;
use hardway_proto::meta::ObjectKey;
use hardway_proto::{Kind, Status};
use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, HorizontalPodAutoscalerStatus,
};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::time::Instant;

pub struct Controller<M> {
    pub client: Client,
    pub settings: Settings,
    pub autoscalers: Store<HorizontalPodAutoscaler>,
    pub pods: Store<Pod>,
    pub scales: Arc<Scales>,
    pub metrics: M,
    pub recorder: Recorder,
    pub memory: Mutex<HashMap<ObjectKey, Memory>>,
}

/// What is remembered of an autoscaler.
#[derive(Default)]
pub struct Memory {
    history: History,
    /// Which pods it controls, as its target said last.
    selector: Option<Selector>,
}

/// Why an autoscaler could do nothing.
#[derive(Debug, thiserror::Error)]
enum Failed {
    /// It makes no sense itself.
    #[error("{0}")]
    Spec(String),
    /// What it needs can't be had.
    #[error("{0}")]
    Internal(String),
    /// Its target was changed meanwhile.
    #[error(transparent)]
    Conflict(Status),
}

/// What metrics ask for.
struct Asked {
    replicas: i32,
    reason: String,
    /// Why some metrics are not among these.
    flaw: Option<Failed>,
}

/// An autoscaler that is looked at, and what will be its status.
struct Attempt<'a> {
    autoscaler: &'a HorizontalPodAutoscaler,
    spec: &'a HorizontalPodAutoscalerSpec,
    key: &'a ObjectKey,
    status: HorizontalPodAutoscalerStatus,
    now: Timestamp,
}

impl Attempt<'_> {
    fn set(&mut self, r#type: &str, is_true: bool, reason: &str, message: impl Into<String>) {
        set(&mut self.status, r#type, is_true, reason, message, self.now);
    }
}

impl<M: MetricsClient> Controller<M> {
    pub async fn reconcile(&self, key: ObjectKey) -> Result<Next, Status> {
        let autoscaler = self.autoscalers.get(&key);
        let Some((autoscaler, spec)) = autoscaler
            .as_ref()
            .and_then(|a| Some((a, a.spec.as_ref()?)))
        else {
            self.memory.lock().remove(&key);
            monitor::forget(&key);
            return Ok(Next::Done);
        };
        let began = Instant::now();
        let mut attempt = Attempt {
            autoscaler,
            spec,
            key: &key,
            status: autoscaler.status.clone().unwrap_or_default(),
            now: Timestamp::now(),
        };
        let outcome = self.autoscale(&mut attempt).await;
        if let Err(Failed::Conflict(status)) = outcome {
            return conflicts::wait_out(Err(status));
        }
        let written = self.write(autoscaler, attempt.status).await;
        let outcome = outcome.unwrap_or_else(|failed| {
            tracing::debug!(%key, error = %failed, "can't be scaled");
            Outcome::failed(matches!(failed, Failed::Spec(_)))
        });
        let outcome = match &written {
            Ok(()) => outcome,
            Err(status) => {
                tracing::warn!(%key, %status, "the status can't be written");
                outcome.and_failed(false)
            }
        };
        monitor::reconciled(outcome, began.elapsed());
        // Whatever happened, it is looked at once in a period, as in Kubernetes: how fast
        // something grows is limited by the look, and trouble makes nobody wait longer.
        Ok(Next::After(self.settings.sync_period))
    }

    fn warn(&self, autoscaler: &HorizontalPodAutoscaler, reason: &str, message: &str) {
        let about = reference(autoscaler);
        self.recorder
            .event(about, EventType::Warning, reason, message);
    }

    async fn write(
        &self,
        autoscaler: &HorizontalPodAutoscaler,
        status: HorizontalPodAutoscalerStatus,
    ) -> Result<(), Status> {
        if autoscaler.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let mut shown = autoscaler.clone();
        shown.status = Some(status);
        let api = self.client.namespaced(autoscaler.namespace());
        match api.update_status(&shown).await {
            Err(status) if status.is_not_found() => Ok(()),
            Err(status) => {
                if !status.is_conflict() {
                    self.warn(autoscaler, "FailedUpdateStatus", &status.to_string());
                }
                Err(status)
            }
            Ok(_) => Ok(()),
        }
    }

    async fn scale(&self, attempt: &Attempt<'_>) -> Result<Found, Failed> {
        let target = &attempt.spec.scale_target_ref;
        let version = target.api_version.as_deref().unwrap_or_default();
        let Some(group) = group_of(version) else {
            let message = format!("unexpected GroupVersion string: {version}");
            return Err(Failed::Spec(message));
        };
        let namespace = &attempt.key.namespace;
        let scale = self
            .scales
            .get(namespace, group, &target.kind, &target.name);
        scale
            .await
            .map_err(|error: scale::Error| Failed::Internal(error.to_string()))
    }

    async fn autoscale(&self, attempt: &mut Attempt<'_>) -> Result<Outcome, Failed> {
        let found = match self.scale(attempt).await {
            Ok(found) => found,
            Err(failed) => {
                self.warn(attempt.autoscaler, "FailedGetScale", &failed.to_string());
                let message = format!(
                    "the HPA controller was unable to get the target's current scale: {failed}"
                );
                attempt.set(ABLE, false, "FailedGetScale", message);
                return Err(failed);
            }
        };
        let got = "the HPA controller was able to get the target's current scale";
        attempt.set(ABLE, true, "SucceededGetScale", got);
        let current = found.scale.spec.as_ref().and_then(|spec| spec.replicas);
        let current = current.unwrap_or_default();
        self.remember(attempt.key, |memory| {
            memory.history.begin(current, Instant::now())
        });
        let (min, max) = (
            attempt.spec.min_replicas.unwrap_or(1),
            attempt.spec.max_replicas,
        );
        attempt.status.current_replicas = Some(current);
        attempt.status.current_metrics = None;
        let mut flaw = None;
        let (desired, reason) = if current == 0 && min != 0 {
            let message = "scaling is disabled since the replica count of the target is zero";
            attempt.set(ACTIVE, false, "ScalingDisabled", message);
            (0, String::new())
        } else if current > max {
            (
                max,
                "Current number of replicas above Spec.MaxReplicas".into(),
            )
        } else if current < min {
            (
                min,
                "Current number of replicas below Spec.MinReplicas".into(),
            )
        } else {
            let range = Range { current, min, max };
            let asked = self.by_metrics(attempt, &found.scale, range).await?;
            flaw = asked.flaw;
            (asked.replicas, asked.reason)
        };
        if desired != current {
            self.rescale(attempt, found, current, desired, &reason)
                .await?;
            attempt.status.last_scale_time = Some(Time(attempt.now));
        }
        attempt.status.desired_replicas = desired;
        monitor::desired(attempt.key, desired);
        let outcome = Outcome::between(current, desired);
        Ok(match flaw {
            Some(flaw) => {
                tracing::debug!(key = %attempt.key, error = %flaw, "not all metrics are known");
                outcome.and_failed(matches!(flaw, Failed::Spec(_)))
            }
            None => outcome,
        })
    }

    fn remember<T>(&self, key: &ObjectKey, f: impl FnOnce(&mut Memory) -> T) -> T {
        f(self.memory.lock().entry(key.clone()).or_default())
    }

    /// How many replicas metrics let there be, and why.
    async fn by_metrics(
        &self,
        attempt: &mut Attempt<'_>,
        scale: &Scale,
        range: Range,
    ) -> Result<Asked, Failed> {
        let combined = self.computed(attempt, scale, range.current).await;
        let mut by = combined.inspect_err(|failed| {
            let reason = "FailedComputeMetricsReplicas";
            self.warn(attempt.autoscaler, reason, &failed.to_string());
        })?;
        by.reason = match by.replicas > range.current {
            true => format!("{} above target", by.reason),
            false => "All metrics below target".into(),
        };
        let normalized = self.remember(attempt.key, |memory| {
            let behavior = attempt.spec.behavior.as_ref();
            let window = self.settings.downscale_stabilization;
            memory
                .history
                .normalize(behavior, window, range, by.replicas, Instant::now())
        });
        let (able, limited) = (normalized.able, normalized.limited);
        attempt.set(ABLE, true, able.0, able.1);
        attempt.set(LIMITED, normalized.is_limited, limited.0, limited.1);
        by.replicas = normalized.replicas;
        Ok(by)
    }

    /// What metrics ask for; the reason is the one that asks for most.
    async fn computed(
        &self,
        attempt: &mut Attempt<'_>,
        scale: &Scale,
        current: i32,
    ) -> Result<Asked, Failed> {
        let status = scale.status.as_ref();
        let text = status
            .and_then(|status| status.selector.as_deref())
            .unwrap_or_default();
        let selector = self.selector(attempt, text)?;
        let pods = self.selected(attempt.key, &selector);
        self.check_unambiguous(attempt, text, &pods)?;
        let target = Target {
            namespace: &attempt.key.namespace,
            selector: &selector,
            spec_replicas: current,
            status_replicas: status.map(|status| status.replicas).unwrap_or_default(),
        };
        let calculator = Calculator {
            pods: &pods,
            settings: &self.settings,
            now: attempt.now,
        };
        let mut results = Vec::new();
        for metric in attempt.spec.metrics.iter().flatten() {
            let began = Instant::now();
            let result = propose(&self.metrics, &calculator, &target, metric).await;
            let outcome = match &result {
                Ok(proposal) => Outcome::between(current, proposal.replicas),
                Err(failure) => {
                    self.warn(attempt.autoscaler, failure.reason, &failure.error);
                    Outcome::failed(failure.is_spec)
                }
            };
            monitor::computed(outcome, &metric.type_, began.elapsed());
            results.push(result);
        }
        let Combined {
            best,
            statuses,
            failure,
            error,
        } = combine(results, current);
        attempt.status.current_metrics = Some(statuses);
        let flaw = error.map(|message| match &failure {
            Some(failure) if failure.is_spec => Failed::Spec(message),
            _ => Failed::Internal(message),
        });
        if let Some((replicas, reason)) = best {
            let message =
                format!("the HPA was able to successfully calculate a replica count from {reason}");
            attempt.set(ACTIVE, true, "ValidMetricFound", message);
            return Ok(Asked {
                replicas,
                reason,
                flaw,
            });
        }
        if let Some(failure) = failure {
            let message = format!(
                "the HPA was unable to compute the replica count: {}",
                failure.error
            );
            attempt.set(ACTIVE, false, failure.reason, message);
        }
        Err(flaw.unwrap_or_else(|| Failed::Internal("it has no metrics".into())))
    }

    fn selector(&self, attempt: &mut Attempt<'_>, text: &str) -> Result<Selector, Failed> {
        let failed = |reason, message: String| {
            self.warn(attempt.autoscaler, reason, &message);
            Failed::Internal(message)
        };
        let (failed, shown) = match Selector::parse(text) {
            _ if text.is_empty() => {
                let failed = failed("SelectorRequired", "selector is required".into());
                (
                    failed,
                    "the HPA target's scale is missing a selector".to_owned(),
                )
            }
            Err(error) => {
                let message = format!(
                    "couldn't convert selector into a corresponding internal selector object: {error}"
                );
                (failed("InvalidSelector", message.clone()), message)
            }
            Ok(selector) => return Ok(selector),
        };
        attempt.set(ACTIVE, false, "InvalidSelector", shown);
        Err(failed)
    }

    fn selected(&self, key: &ObjectKey, selector: &Selector) -> Vec<Arc<Pod>> {
        let mut pods = self.pods.in_namespace(&key.namespace);
        pods.retain(|pod| selects(selector, pod));
        self.remember(key, |memory| memory.selector = Some(selector.clone()));
        pods
    }

    /// Two autoscalers of the same pods would each undo what the other does.
    fn check_unambiguous(
        &self,
        attempt: &mut Attempt<'_>,
        selector: &str,
        pods: &[Arc<Pod>],
    ) -> Result<(), Failed> {
        // Compared with the pods outside of the lock, which all workers share.
        let others: Vec<(String, Selector)> = {
            let memory = self.memory.lock();
            let others = memory.iter().filter(|(key, _)| {
                key.namespace == attempt.key.namespace && key.name != attempt.key.name
            });
            let selectors = others.map(|(key, memory)| (key, memory.selector.clone()));
            selectors
                .filter_map(|(key, selector)| Some((key.to_string(), selector?)))
                .collect()
        };
        let others = others
            .into_iter()
            .filter(|(_, selector)| pods.iter().any(|pod| selects(selector, pod)));
        let mut selecting: Vec<String> = others.map(|(key, _)| key).collect();
        if selecting.is_empty() {
            return Ok(());
        }
        selecting.push(attempt.key.to_string());
        selecting.sort();
        let message = format!(
            "pods by selector {selector} are controlled by multiple HPAs: [{}]",
            selecting.join(" ")
        );
        self.warn(attempt.autoscaler, "AmbiguousSelector", &message);
        attempt.set(ACTIVE, false, "AmbiguousSelector", message.clone());
        Err(Failed::Internal(message))
    }

    async fn rescale(
        &self,
        attempt: &mut Attempt<'_>,
        found: Found,
        current: i32,
        desired: i32,
        reason: &str,
    ) -> Result<(), Failed> {
        if let Err(error) = found.resize(desired).await {
            if error.is_conflict() {
                return Err(Failed::Conflict(error));
            }
            let message = format!("New size: {desired}; reason: {reason}; error: {error}");
            self.warn(attempt.autoscaler, "FailedRescale", &message);
            let message =
                format!("the HPA controller was unable to update the target scale: {error}");
            attempt.set(ABLE, false, "FailedUpdateScale", message);
            return Err(Failed::Internal(format!("failed to rescale: {error}")));
        }
        let message =
            format!("the HPA controller was able to update the target scale to {desired}");
        attempt.set(ABLE, true, "SucceededRescale", message);
        let message = format!("New size: {desired}; reason: {reason}");
        let about = reference(attempt.autoscaler);
        self.recorder
            .event(about, EventType::Normal, "SuccessfulRescale", message);
        let behavior = attempt.spec.behavior.as_ref();
        self.remember(attempt.key, |memory| {
            memory
                .history
                .scaled(behavior, current, desired, Instant::now());
        });
        tracing::info!(key = %attempt.key, current, desired, reason, "scaled");
        Ok(())
    }
}

#[cfg(test)]
mod tests;
