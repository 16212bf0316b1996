//! What a Job asks for, with what stands for a field that was left out.

use hardway_proto::labels::Selector;
use k8s_openapi::api::batch::v1::{Job, JobSpec};

/// The name by which Jobs say that they are for this controller.
const CONTROLLER_NAME: &str = "kubernetes.io/job-controller";

/// Whether each pod has a completion index of its own.
pub fn is_indexed(spec: &JobSpec) -> bool {
    spec.completion_mode.as_deref() == Some("Indexed")
}

/// How many pods may run at a time.
pub fn parallelism(spec: &JobSpec) -> i32 {
    spec.parallelism.unwrap_or(1)
}

/// How many pods have to succeed; for an indexed Job also how many indexes there are.
pub fn completions(spec: &JobSpec) -> i32 {
    spec.completions.unwrap_or(0)
}

/// How many pods may fail.
pub fn backoff_limit(spec: &JobSpec) -> i32 {
    spec.backoff_limit.unwrap_or(6)
}

/// How often each index may fail, if that is limited.
pub fn backoff_limit_per_index(spec: &JobSpec) -> Option<i32> {
    spec.backoff_limit_per_index.filter(|_| is_indexed(spec))
}

/// Whether no pods shall run for now.
pub fn is_suspended(spec: &JobSpec) -> bool {
    spec.suspend == Some(true)
}

/// Whether a pod that is leaving is replaced only once it has ended.
pub fn replaces_ended_only(spec: &JobSpec) -> bool {
    spec.pod_failure_policy.is_some() || spec.pod_replacement_policy.as_deref() == Some("Failed")
}

/// The other controller that looks after it, if one does.
pub fn manager_elsewhere(job: &Job) -> Option<&str> {
    let manager = job.spec.as_ref().and_then(|s| s.managed_by.as_deref());
    manager.filter(|manager| *manager != CONTROLLER_NAME)
}

/// Whether another controller looks after it.
pub fn is_managed_elsewhere(job: &Job) -> bool {
    manager_elsewhere(job).is_some()
}

/// Which pods are the Job's.
pub fn selector(job: &Job) -> Option<Selector> {
    let selector = job.spec.as_ref()?.selector.as_ref()?;
    Selector::from_label_selector(selector).ok()
}
