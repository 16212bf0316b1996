//! `spec.podFailurePolicy`: what the way in which a pod failed means for its Job.

use super::pods::{containers, init_containers};
use k8s_openapi::api::batch::v1::{
    PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern,
};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// What the first rule that a failed pod matches says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The failure counts, as one that no rule matches does.
    Count,
    /// It doesn't.
    Ignore,
    /// The pod's index has failed, however often it may.
    FailIndex,
    /// The whole Job has, for this reason.
    FailJob(String),
}

/// What a policy says of a failed pod, if any of its rules does.
pub fn judge(policy: Option<&PodFailurePolicy>, pod: &Pod) -> Option<Action> {
    let rules = policy?.rules.iter().enumerate();
    rules.into_iter().find_map(|(at, rule)| {
        let what = if let Some(requirement) = &rule.on_exit_codes {
            let (container, code) = failed_container(pod, requirement)?;
            format!(
                "Container {container} for pod {} failed with exit code {code}",
                name(pod)
            )
        } else {
            let patterns = rule.on_pod_conditions.as_deref()?;
            format!("Pod {} has condition {}", name(pod), met(pod, patterns)?)
        };
        match rule.action.as_str() {
            "Count" => Some(Action::Count),
            "Ignore" => Some(Action::Ignore),
            "FailIndex" => Some(Action::FailIndex),
            "FailJob" => Some(Action::FailJob(format!(
                "{what} matching FailJob rule at index {at}"
            ))),
            _ => None,
        }
    })
}

/// Whether a failed pod counts against the Job's limits.
pub fn counts(policy: Option<&PodFailurePolicy>, pod: &Pod) -> bool {
    judge(policy, pod) != Some(Action::Ignore)
}

fn name(pod: &Pod) -> String {
    let meta = &pod.metadata;
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    format!("{}/{}", text(&meta.namespace), text(&meta.name))
}

/// Name and exit code of the first container that failed as described; init
/// containers come last.
fn failed_container<'a>(
    pod: &'a Pod,
    requirement: &PodFailurePolicyOnExitCodesRequirement,
) -> Option<(&'a str, i32)> {
    let code = |container: &ContainerStatus| {
        let ended = container.state.as_ref()?.terminated.as_ref()?;
        Some(ended.exit_code).filter(|code| *code != 0)
    };
    let mut all = containers(pod).iter().chain(init_containers(pod));
    all.find_map(|container| {
        let code = code(container)?;
        let named = requirement.container_name.as_deref();
        let listed = requirement.values.contains(&code);
        let matches = match requirement.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            _ => false,
        };
        let matches = matches && named.is_none_or(|name| name == container.name);
        matches.then_some((container.name.as_str(), code))
    })
}

/// The first of the pod's conditions that fits one of the patterns.
fn met<'a>(pod: &'a Pod, patterns: &[PodFailurePolicyOnPodConditionsPattern]) -> Option<&'a str> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let mut met = conditions.iter().filter(|condition| {
        let mut patterns = patterns.iter();
        patterns.any(|p| p.type_ == condition.type_ && p.status == condition.status)
    });
    met.next().map(|condition| condition.type_.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(main: i32, init: i32, condition: &str) -> Pod {
        let ended = |name: &str, code: i32| {
            json!({"name": name, "ready": false, "restartCount": 0, "image": "", "imageID": "",
                "state": {"terminated": {"exitCode": code}}})
        };
        serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "d"},
            "status": {"containerStatuses": [ended("main", main)],
                "initContainerStatuses": [ended("init", init)],
                "conditions": [{"type": condition, "status": "True"}]},
        }))
        .unwrap()
    }

    fn judged(rules: Value, pod: &Pod) -> Option<Action> {
        let policy = serde_json::from_value(json!({"rules": rules})).unwrap();
        judge(Some(&policy), pod)
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let codes = |action: &str, operator: &str, values: Value| {
            json!({"action": action,
            "onExitCodes": {"operator": operator, "values": values}})
        };
        let condition = |action: &str| {
            json!({"action": action,
            "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]})
        };
        let (one, disrupted) = (pod(1, 0, "Ready"), pod(137, 0, "DisruptionTarget"));
        assert_eq!(judge(None, &one), None);
        for (rules, pod, action) in [
            (
                json!([codes("Ignore", "In", json!([1, 2]))]),
                &one,
                Some(Action::Ignore),
            ),
            (json!([codes("Ignore", "In", json!([2, 3]))]), &one, None),
            (
                json!([codes("FailIndex", "NotIn", json!([2]))]),
                &one,
                Some(Action::FailIndex),
            ),
            (json!([condition("Ignore")]), &one, None),
            (
                json!([condition("Ignore")]),
                &disrupted,
                Some(Action::Ignore),
            ),
            (
                json!([condition("Count"), codes("Ignore", "In", json!([137]))]),
                &disrupted,
                Some(Action::Count),
            ),
            // A container that ended well matches no rule, whatever it says of 0.
            (
                json!([codes("Ignore", "NotIn", json!([5]))]),
                &pod(0, 0, "x"),
                None,
            ),
            (
                json!([codes("Ignore", "In", json!([9]))]),
                &pod(0, 9, "x"),
                Some(Action::Ignore),
            ),
            (
                json!([{"action": "Ignore", "onExitCodes":
                    {"containerName": "init", "operator": "In", "values": [1]}}]),
                &one,
                None,
            ),
        ] {
            assert_eq!(judged(rules.clone(), pod), action, "{rules}");
        }
    }

    #[test]
    fn a_job_is_told_why_it_failed() {
        let failed = pod(42, 0, "DisruptionTarget");
        let rules = json!([
            {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [1]}},
            {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}},
        ]);
        let words =
            "Container main for pod d/p failed with exit code 42 matching FailJob rule at index 1";
        assert_eq!(judged(rules, &failed), Some(Action::FailJob(words.into())));
        let rules = json!([{"action": "FailJob",
            "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]);
        let words = "Pod d/p has condition DisruptionTarget matching FailJob rule at index 0";
        assert_eq!(judged(rules, &failed), Some(Action::FailJob(words.into())));
    }
}
