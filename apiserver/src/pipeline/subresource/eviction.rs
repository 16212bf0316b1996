//! Eviction: a pod is deleted if its disruption budget allows.

use super::{check_name, other_kind};
use crate::pipeline::options::Options;
use crate::pipeline::part::Special;
use crate::pipeline::{Body, Object, Pipeline, Request, Target, Verb, metadata};
use hardway_access::Operation;
use hardway_proto::Status;
use hardway_proto::labels::Selector;
use hardway_proto::status::{Cause, Details};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;

impl Pipeline {
    /// Deletes a pod if its disruption budget allows.
    pub(super) async fn evict(&self, request: &Request) -> Result<Object, Status> {
        // The older version is still taken by Kubernetes, though it isn't served elsewhere.
        let mut body = other_kind(request, "policy", &["v1", "v1beta1"], "Eviction")?;
        check_name(request, &body, "Eviction")?;
        self.admit_body(request, Operation::Create, &mut body)
            .await?;
        let target = Target {
            subresource: String::new(),
            ..request.target.clone()
        };
        for attempt in 1.. {
            self.cache.fresh().await?;
            let pod = self
                .cache_of(&target)?
                .get(&target.key())
                .ok_or_else(|| target.not_found())?
                .value();
            let mut options = Options {
                dry_run: request.options.dry_run,
                ..Options::default()
            };
            options.apply_delete_body(&body["deleteOptions"])?;
            let mut ours = false;
            if !goes_anyway(&pod) {
                let spent = self.spend_budget(&target, &pod, options.dry_run).await?;
                // What was decided upon must still be the same pod, and still not
                // ready if that is why it may go.
                let of = |field: &str| metadata::text(&pod, field).to_owned();
                options.delete.uid.get_or_insert_with(|| of("uid"));
                ours = !spent && options.delete.resource_version.is_none();
                if ours {
                    options.delete.resource_version = Some(of("resourceVersion"));
                }
            }
            let deletion = Request {
                options,
                ..Request::internal(Verb::Delete, target.clone(), Body::Empty)
            };
            match self.delete_object(&deletion, false).await {
                Err(status) if ours && status.is_conflict() && attempt < EVICTION_ATTEMPTS => {}
                Err(status) => return Err(status),
                Ok(_) => break,
            }
        }
        let mut status = Status::success();
        status.code = 201;
        Ok(Object::of(&serde_json::to_value(status).unwrap_or_default()).created())
    }

    /// Takes one disruption from the pod's budget, if it has one and the pod counts in
    /// it; tells whether there was nothing to ask or the budget allowed it, and not the
    /// pod's state.
    async fn spend_budget(
        &self,
        pod: &Target,
        object: &Value,
        dry_run: bool,
    ) -> Result<bool, Status> {
        let labels: BTreeMap<String, String> =
            serde_json::from_value(object["metadata"]["labels"].clone()).unwrap_or_default();
        let budgets = self.cache.of("policy", "poddisruptionbudgets");
        let entries = budgets
            .map(|of| of.list(Some(&pod.namespace)).0)
            .unwrap_or_default();
        let matching: Vec<_> = entries
            .into_iter()
            .filter(|entry| {
                let selector = Selector::from_json(&entry.value()["spec"]["selector"]);
                selector.is_ok_and(|selector| selector.matches(&labels))
            })
            .collect();
        let entry = match matching.as_slice() {
            [] => return Ok(true),
            [one] if may_go_unready(object, &one.value()) => return Ok(false),
            [one] => one,
            _ => {
                return Err(Status::internal(
                    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
                ));
            }
        };
        let resource = self
            .registry
            .resource("policy", "poddisruptionbudgets")
            .ok_or_else(Status::no_such_resource)?;
        let budget = Target {
            version: resource.versions[0].name.clone(),
            resource,
            namespace: pod.namespace.clone(),
            name: entry.name().into(),
            subresource: "status".into(),
        };
        let edit = |old: &Value| spent(old, &pod.name);
        let mut request = Request::internal(Verb::Update, budget, Body::Empty);
        request.options.dry_run = dry_run;
        self.change(&request, &Special, &edit).await?;
        Ok(true)
    }
}

/// How often a pod that isn't ready is looked at anew when it changes before it goes.
const EVICTION_ATTEMPTS: u32 = 5;

/// Whether a pod that runs without being ready may go past its budget: always, or while
/// the budget is met without it, as `unhealthyPodEvictionPolicy` says.
fn may_go_unready(pod: &Value, budget: &Value) -> bool {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    let ready = conditions.any(|c| c["type"] == "Ready" && c["status"] == "True");
    if ready || pod["status"]["phase"] != "Running" {
        return false;
    }
    let number = |field: &str| budget["status"][field].as_i64().unwrap_or_default();
    let (healthy, desired) = (number("currentHealthy"), number("desiredHealthy"));
    budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        || desired > 0 && healthy >= desired
}

/// A pod that is gone, going or not running disturbs nobody by going.
fn goes_anyway(pod: &Value) -> bool {
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    metadata::is_terminating(pod) || matches!(phase, "Succeeded" | "Failed" | "Pending")
}

/// The budget with one disruption less.
fn spent(old: &Value, pod: &str) -> Result<Value, Status> {
    let number = |field: &str| old["status"][field].as_i64().unwrap_or_default();
    let name = metadata::text(old, "name");
    let generation = old["metadata"]["generation"].as_i64().unwrap_or_default();
    let refuse = |message: String, retry: i32| {
        let mut status = Status::too_many_requests(
            "Cannot evict pod as it would violate the pod's disruption budget.",
            retry,
        );
        let details = status
            .details
            .get_or_insert_with(|| Box::new(Details::default()));
        details.causes.push(Cause {
            reason: "DisruptionBudget".into(),
            message,
            field: String::new(),
        });
        Err(status)
    };
    if number("observedGeneration") < generation {
        return refuse(
            format!("The disruption budget {name} is still being processed by the server."),
            10,
        );
    }
    if number("disruptionsAllowed") <= 0 {
        return refuse(
            format!(
                "The disruption budget {name} needs {} healthy pods and has {} currently",
                number("desiredHealthy"),
                number("currentHealthy")
            ),
            0,
        );
    }
    let mut budget = old.clone();
    budget["status"]["disruptionsAllowed"] = (number("disruptionsAllowed") - 1).into();
    budget["status"]["disruptedPods"][pod] = metadata::time(Timestamp::now()).into();
    Ok(budget)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn budgets_are_spent_one_by_one() {
        let budget = json!({"metadata": {"name": "b", "generation": 1},
            "status": {"observedGeneration": 1, "disruptionsAllowed": 1, "desiredHealthy": 2, "currentHealthy": 3}});
        let after = spent(&budget, "p").unwrap();
        assert_eq!(after["status"]["disruptionsAllowed"], 0);
        let status = spent(&after, "q").unwrap_err();
        assert_eq!(status.code, 429);
        assert_eq!(
            status.details.unwrap().causes[0].message,
            "The disruption budget b needs 2 healthy pods and has 3 currently"
        );
    }

    #[test]
    fn who_is_not_ready_may_go_where_that_harms_nobody() {
        let pod = |phase: &str, ready: &str| {
            json!({"status": {"phase": phase, "conditions": [
                {"type": "Initialized", "status": "True"}, {"type": "Ready", "status": ready}]}})
        };
        let budget = |policy: Value, healthy: i64| {
            json!({"spec": {"unhealthyPodEvictionPolicy": policy},
                "status": {"currentHealthy": healthy, "desiredHealthy": 1}})
        };
        let (ill, well) = (pod("Running", "False"), pod("Running", "True"));
        for (policy, healthy, expected) in [
            (Value::Null, 0, false),
            (Value::Null, 1, true),
            (json!("IfHealthyBudget"), 1, true),
            (json!("AlwaysAllow"), 0, true),
        ] {
            let budget = budget(policy, healthy);
            assert_eq!(may_go_unready(&ill, &budget), expected, "{budget}");
            assert!(!may_go_unready(&well, &budget), "{budget}");
        }
        let nothing = json!({"status": {"currentHealthy": 0, "desiredHealthy": 0}});
        assert!(!may_go_unready(&ill, &nothing), "as in Kubernetes");
    }
}
