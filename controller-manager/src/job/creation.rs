//! What a Job's pods look like.

use super::failure_policy;
use super::pods::{
    COMPLETION_INDEX, FAILURE_COUNT, FINALIZER, IGNORED_FAILURE_COUNT, ignored_index_failures,
    index_failures, is_tracked,
};
use super::spec;
use super::state::State;
use crate::pod_control;
use hardway_proto::Kind;
use k8s_openapi::api::core::v1::{
    Container, EnvVar, EnvVarSource, ObjectFieldSelector, Pod, PodSpec,
};
use std::collections::BTreeMap;

/// Where containers find their index.
const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";
/// Longest beginning of a name to which a random end is added.
const MAX_GENERATED: usize = 58;

/// A pod of the Job's template; one for an index knows it by annotation, label,
/// host name and environment.
pub fn pod(state: &State, index: Option<i32>) -> Pod {
    let job = &state.job;
    let mut pod = pod_control::pod_of(job, &state.spec().template);
    if !is_tracked(&pod) {
        let finalizers = pod.metadata.finalizers.get_or_insert_default();
        finalizers.push(FINALIZER.into());
    }
    if let Some(index) = index {
        pod.metadata.generate_name = Some(name_prefix(job.name(), index));
        let annotations = pod.metadata.annotations.get_or_insert_default();
        annotations.insert(COMPLETION_INDEX.into(), index.to_string());
        if spec::backoff_limit_per_index(state.spec()).is_some() {
            count_failures(state, index, annotations);
        }
        let labels = pod.metadata.labels.get_or_insert_default();
        labels.insert(COMPLETION_INDEX.into(), index.to_string());
        let spec = pod.spec.get_or_insert_default();
        spec.hostname = Some(format!("{}-{index}", job.name()));
        add_variable(spec);
    }
    pod
}

fn name_prefix(job: &str, index: i32) -> String {
    let end = format!("-{index}-");
    let length = job.len().min(MAX_GENERATED - end.len());
    format!("{}{end}", &job[..length])
}

/// The pod carries on the count of the one that it replaces.
fn count_failures(state: &State, index: i32, annotations: &mut BTreeMap<String, String>) {
    let policy = state.spec().pod_failure_policy.as_ref();
    let (mut counted, mut ignored) = (0, 0);
    if let Some(failed) = state.awaiting_replacement.get(&index) {
        counted = index_failures(failed);
        ignored = ignored_index_failures(failed);
        match failure_policy::counts(policy, failed) {
            true => counted = counted.saturating_add(1),
            false => ignored = ignored.saturating_add(1),
        }
    }
    annotations.insert(FAILURE_COUNT.into(), counted.to_string());
    if ignored > 0 {
        annotations.insert(IGNORED_FAILURE_COUNT.into(), ignored.to_string());
    }
}

/// Gives every container its index, unless it has a variable of that name.
fn add_variable(spec: &mut PodSpec) {
    let add = |container: &mut Container| {
        let variables = container.env.get_or_insert_default();
        if variables.iter().any(|known| known.name == INDEX_VARIABLE) {
            return;
        }
        let field = ObjectFieldSelector {
            field_path: format!("metadata.labels['{COMPLETION_INDEX}']"),
            ..Default::default()
        };
        variables.push(EnvVar {
            name: INDEX_VARIABLE.into(),
            value_from: Some(EnvVarSource {
                field_ref: Some(field),
                ..Default::default()
            }),
            ..Default::default()
        });
    };
    spec.init_containers.iter_mut().flatten().for_each(add);
    spec.containers.iter_mut().for_each(add);
}

#[cfg(test)]
mod tests {
    use super::super::testing::{JobBuilder, PodBuilder, state};
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_of_an_index_knows_it() {
        let job = JobBuilder::indexed(3, 3).build();
        let made = pod(&state(&job, vec![]), Some(2));
        let made = serde_json::to_value(&made).unwrap();
        let meta = &made["metadata"];
        assert_eq!(meta["generateName"], "j-2-");
        assert_eq!(meta["annotations"], json!({COMPLETION_INDEX: "2"}));
        assert_eq!(meta["labels"], json!({"app": "j", COMPLETION_INDEX: "2"}));
        assert_eq!(meta["finalizers"], json!([FINALIZER]));
        assert_eq!(meta["ownerReferences"][0]["kind"], "Job");
        assert_eq!(made["spec"]["hostname"], "j-2");
        assert_eq!(
            made["spec"]["containers"][0]["env"],
            json!([{"name": INDEX_VARIABLE, "valueFrom": {"fieldRef":
                {"fieldPath": "metadata.labels['batch.kubernetes.io/job-completion-index']"}}}])
        );
    }

    #[test]
    fn a_pod_of_no_index_is_as_the_template_says() {
        let job = JobBuilder::plain(1, Some(1)).build();
        let made = serde_json::to_value(pod(&state(&job, vec![]), None)).unwrap();
        assert_eq!(made["metadata"]["generateName"], "j-");
        assert_eq!(made["metadata"]["labels"], json!({"app": "j"}));
        assert_eq!(made["metadata"].get("annotations"), None);
        assert_eq!(made["spec"].get("hostname"), None);
        assert_eq!(made["spec"]["containers"][0].get("env"), None);
    }

    #[test]
    fn long_names_keep_their_index() {
        let long = "x".repeat(63);
        assert_eq!(name_prefix("job", 7), "job-7-");
        assert_eq!(name_prefix(&long, 12), format!("{}-12-", "x".repeat(54)));
    }

    #[test]
    fn a_replacement_carries_on_the_count() {
        let job = JobBuilder::indexed(2, 2)
            .with(
                json!({"backoffLimitPerIndex": 3, "podFailurePolicy": {"rules": [
                {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [7]}}]}}),
            )
            .build();
        let counts = |code: i32, failures: i32, ignored: i32| {
            let failed = PodBuilder::new("f", "Failed")
                .index(1)
                .annotated(FAILURE_COUNT, failures)
                .annotated(IGNORED_FAILURE_COUNT, ignored)
                .exit_code(code)
                .build();
            let made = pod(&state(&job, vec![failed]), Some(1));
            let annotations = made.metadata.annotations.unwrap();
            let count = |key: &str| annotations.get(key).cloned();
            (count(FAILURE_COUNT), count(IGNORED_FAILURE_COUNT))
        };
        let text = |number: i32| Some(number.to_string());
        assert_eq!(counts(1, 0, 0), (text(1), None));
        assert_eq!(counts(1, 1, 1), (text(2), text(1)));
        assert_eq!(counts(7, 1, 1), (text(1), text(2)));
        let first = pod(&state(&job, vec![]), Some(0));
        assert_eq!(first.metadata.annotations.unwrap()[FAILURE_COUNT], "0");
    }
}
