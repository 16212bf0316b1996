//! Pods that their node refused or gave up: evicted, over their time, not admitted.

use crate::causes::Cause;
use crate::cluster::Cluster;
use crate::finding::Finding;
use crate::object::{Json, Object};
use crate::words::one_line;

pub(super) const CAUSE: Cause = Cause {
    name: "refused",
    about: "a pod that its node evicted, refused, or ended because its time was over",
    kinds: &["Pod"],
    reads: &["Node"],
    find,
};

/// Reasons in a failed pod's status, as the kubelet writes them, and what each means.
const REASONS: &[(&str, &str, &str)] = &[
    (
        "Evicted",
        "was evicted",
        "give it requests and limits for what it uses, or the node more of it",
    ),
    (
        "Preempted",
        "was removed for a pod of higher priority",
        "give it a higher priority, or the cluster more room",
    ),
    (
        "Preempting",
        "was removed for a pod of higher priority",
        "give it a higher priority, or the cluster more room",
    ),
    (
        "DeadlineExceeded",
        "was ended because its activeDeadlineSeconds were over",
        "allow it more time, or have it do less",
    ),
    (
        "NodeShutdown",
        "was ended because its node shut down",
        "nothing: its controller makes another one",
    ),
    (
        "Terminated",
        "was ended because its node shut down",
        "nothing: its controller makes another one",
    ),
    (
        "NodeLost",
        "was on a node that is gone",
        "nothing: its controller makes another one",
    ),
    (
        "NodeAffinity",
        "was refused by its node, whose labels it does not select",
        "label the node, or change the pod's node selector",
    ),
    (
        "UnexpectedAdmissionError",
        "was refused by its node",
        "see the kubelet's log",
    ),
    (
        "SysctlForbidden",
        "was refused by its node: it sets a sysctl that is not allowed",
        "allow it with the kubelet's --allowed-unsafe-sysctls",
    ),
    (
        "PodOSNotSupported",
        "was refused by its node: it is for another operating system",
        "select nodes by kubernetes.io/os",
    ),
];

fn find<'a>(_: &Cluster<'a>, pod: &Object<'a>) -> Vec<Finding> {
    if pod.value.text("/status/phase") != Some("Failed") {
        return Vec::new();
    }
    let Some(reason) = pod.value.text("/status/reason") else {
        return Vec::new();
    };
    let known = REASONS.iter().find(|(name, ..)| *name == reason);
    let (means, help) = match known {
        Some((_, means, help)) => (*means, *help),
        None if reason.starts_with("OutOf") => (
            "was refused by its node, which has too little left",
            "nothing, if the scheduler placed it: its controller makes another one; a pod with spec.nodeName is never scheduled",
        ),
        None => ("has failed", "see its events"),
    };
    let message = pod.value.text("/status/message").unwrap_or_default();
    let message = one_line(message);
    let summary = match message.as_str() {
        "" => format!("{means} ({reason})"),
        message => format!("{means} ({reason}): {message}"),
    };
    let disruption = pod.condition("DisruptionTarget");
    // Whoever has a controller was replaced: what is left tells what has been.
    let finding = match pod.controller() {
        Some(_) => Finding::warning(summary),
        None => Finding::error(summary),
    };
    let finding = finding
        .key(reason)
        .since(pod.value.time("/status/startTime"))
        .says([pod.field("/status/reason", format!("{reason}: {message}"))])
        .says(disruption.map(|it| pod.told_by(&it)))
        .advise(help)
        .run("take away what is left of it", pod.kubectl("delete"));
    vec![finding]
}

#[cfg(test)]
mod tests {
    use crate::fixtures::{found, one};
    use serde_json::json;

    #[test]
    fn an_evicted_pod_is_told_with_the_nodes_words() {
        let pod = |phase: &str, reason: &str| {
            let message =
                "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi.";
            json!({"metadata": {"name": "web", "namespace": "default"},
                "status": {"phase": phase, "reason": reason, "message": message}})
        };
        let told = one(&[("Pod", pod("Failed", "Evicted"))]);
        assert!(
            told.summary
                .starts_with("was evicted (Evicted): The node was low on resource: memory.")
        );
        let told = one(&[("Pod", pod("Failed", "OutOfcpu"))]);
        assert!(
            told.summary.contains("which has too little left"),
            "{}",
            told.summary
        );
        assert_eq!(found(&[("Pod", pod("Succeeded", ""))]), []);
    }
}
