//! A controller that can't create its pods: quotas, limits, policies, webhooks, accounts.

use crate::causes::Cause;
use crate::cluster::Cluster;
use crate::finding::Finding;
use crate::object::{Json, Object};
use crate::words::{near, one_line};

pub(super) const CAUSE: Cause = Cause {
    name: "create",
    about: "a controller whose pods are refused: by a quota, a limit, a policy, a webhook, or for want of an account",
    kinds: &[
        "ReplicaSet",
        "ReplicationController",
        "StatefulSet",
        "DaemonSet",
        "Job",
    ],
    reads: &["Event", "ServiceAccount", "ResourceQuota"],
    find,
};

/// An event that is older tells of what may be over.
const RECENT: i64 = 1200;

fn find<'a>(cluster: &Cluster<'a>, owner: &Object<'a>) -> Vec<Finding> {
    let condition = owner
        .condition("ReplicaFailure")
        .filter(|it| it.status == "True");
    let event = cluster.event(owner, &["FailedCreate"]);
    let event = event.filter(|it| it.last.is_none_or(|at| cluster.seconds_since(at) < RECENT));
    let message = match (&condition, event) {
        (Some(condition), _) => condition.message,
        (None, Some(event)) if lacks_pods(cluster, owner) => event.message,
        _ => return Vec::new(),
    };
    let (summary, help, command) = meaning(cluster, owner, message);
    let finding = Finding::error(format!("can't create pods: {summary}"))
        .since(
            condition
                .and_then(|it| it.since)
                .or(event.and_then(|it| it.first)),
        )
        .says(condition.map(|it| owner.told_by(&it)))
        .says(event.map(|it| it.evidence()));
    let finding = match command {
        Some(command) => finding.run(help, command),
        None => finding.advise(help),
    };
    vec![finding]
}

/// Whether it has fewer pods than it wants.
fn lacks_pods(cluster: &Cluster<'_>, owner: &Object<'_>) -> bool {
    let wanted = match owner.kind {
        "DaemonSet" => owner.value.number("/status/desiredNumberScheduled"),
        "Job" => {
            return owner.condition("Complete").is_none() && cluster.owned(owner, "Pod").is_empty();
        }
        _ => owner.value.number("/spec/replicas").or(Some(1)),
    };
    let there = cluster.owned(owner, "Pod").len();
    usize::try_from(wanted.unwrap_or_default()).is_ok_and(|wanted| there < wanted)
}

/// What the API server's refusal means; its words are those of the admission plugins.
fn meaning(
    cluster: &Cluster<'_>,
    owner: &Object<'_>,
    message: &str,
) -> (String, String, Option<String>) {
    let words = one_line(message);
    let flag = owner.flag();
    let after = |text: &'static str| message.split_once(text).map(|(_, rest)| rest.trim());
    if let Some(rest) = after("exceeded quota: ") {
        let quota = rest.split(',').next().unwrap_or_default();
        return (
            format!("the quota {quota} is used up: {}", one_line(rest)),
            "raise the quota, ask for less, or delete what is not needed".into(),
            Some(format!("kubectl describe quota {quota}{flag}")),
        );
    }
    if let Some(rest) = after("failed quota: ") {
        return (
            format!("a quota demands what the pods do not say: {}", one_line(rest)),
            "give every container these requests and limits, or the namespace a LimitRange with defaults".into(),
            Some(format!("kubectl get limitrange{flag}")),
        );
    }
    if let Some(rest) = after("violates PodSecurity ") {
        return (
            format!("they violate pod security {}", one_line(rest)),
            "correct the pods' securityContext as told, or choose another level for the namespace"
                .into(),
            Some(format!(
                "kubectl get namespace {} --show-labels",
                owner.namespace()
            )),
        );
    }
    if let Some((name, rest)) = after("failed calling webhook ").and_then(webhook) {
        return (
            format!("the webhook {name} can't be reached: {rest}"),
            "see that the webhook's server runs; as long as its failurePolicy is Fail nothing goes past it".into(),
            Some("kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations".into()),
        );
    }
    if let Some((name, rest)) = after("admission webhook ").and_then(webhook) {
        let rest = rest
            .trim_start_matches("denied the request")
            .trim_start_matches([':', ' ']);
        return (
            format!("the webhook {name} refuses them: {rest}"),
            "do as the webhook says, or ask who runs it".into(),
            None,
        );
    }
    if let Some(rest) = after("error looking up service account ") {
        let name = rest.split(['/', ':']).nth(1).unwrap_or_default();
        let there = cluster.within("ServiceAccount", owner.namespace()).iter();
        let meant = near(name, there.map(Object::name));
        let meant = meant
            .first()
            .map_or_else(String::new, |it| format!("; there is {it}"));
        return (
            format!("the service account {name} is not there{meant}"),
            "make the account, or name one that is there".into(),
            Some(format!("kubectl create serviceaccount {name}{flag}")),
        );
    }
    if message.contains("ValidatingAdmissionPolicy") {
        return (words, "do as the policy says, or change it".into(), None);
    }
    if message.contains("usage per") {
        return (
            words,
            "keep to the namespace's LimitRange, or change it".into(),
            Some(format!("kubectl describe limitrange{flag}")),
        );
    }
    (
        words,
        "correct the pod template".into(),
        Some(owner.kubectl("edit")),
    )
}

/// `"name.example.com": why` or `"name.example.com" denied the request: why`.
fn webhook(text: &str) -> Option<(&str, String)> {
    let (name, rest) = text.strip_prefix('"')?.split_once('"')?;
    Some((name, one_line(rest.trim_start_matches([':', ' ']))))
}

#[cfg(test)]
mod tests {
    use crate::fixtures::{event, found, one};
    use serde_json::json;

    #[test]
    fn each_refusal_is_told_by_what_it_means() {
        let cases = [
            (
                "pods \"web-1-x\" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2",
                "the quota small is used up: small, requested: pods=1, used: pods=2, limited: pods=2",
            ),
            (
                "pods \"x\" is forbidden: failed quota: cpu: must specify requests.cpu for: web",
                "a quota demands what the pods do not say",
            ),
            (
                "pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \"web\" must set securityContext.allowPrivilegeEscalation=false)",
                "violate pod security \"restricted:latest\"",
            ),
            (
                "Internal error occurred: failed calling webhook \"pods.example.com\": failed to call webhook: Post \"https://hook.default.svc:443/?timeout=10s\": dial tcp 10.96.0.7:443: connect: connection refused",
                "the webhook pods.example.com can't be reached: failed to call webhook",
            ),
            (
                "admission webhook \"pods.example.com\" denied the request: no latest tags",
                "the webhook pods.example.com refuses them: no latest tags",
            ),
            (
                "pods \"x\" is forbidden: error looking up service account default/robto: serviceaccount \"robto\" not found",
                "the service account robto is not there; there is robot",
            ),
            (
                "pods \"x\" is forbidden: maximum cpu usage per Container is 1, but limit is 2",
                "maximum cpu usage per Container is 1",
            ),
        ];
        let account = json!({"metadata": {"name": "robot", "namespace": "default"}});
        for (message, means) in cases {
            let set = json!({"metadata": {"name": "web-1", "namespace": "default", "uid": "u"},
                "spec": {"replicas": 2}, "status": {"conditions": [{"type": "ReplicaFailure",
                "status": "True", "reason": "FailedCreate", "message": message}]}});
            let told = one(&[("ReplicaSet", set), ("ServiceAccount", account.clone())]);
            assert!(told.summary.contains(means), "{means}: {}", told.summary);
        }
    }

    #[test]
    fn an_event_alone_counts_while_pods_are_missing() {
        let set = |replicas: u32| {
            json!({"metadata": {"name": "db", "namespace": "default", "uid": "u"},
            "spec": {"replicas": replicas}, "status": {"readyReplicas": replicas}})
        };
        let message = "create Pod db-0 in StatefulSet db failed error: pods \"db-0\" is forbidden: exceeded quota: q, requested: cpu=1, used: cpu=1, limited: cpu=1";
        let refused = event("StatefulSet", "db", "FailedCreate", message);
        let told = one(&[("StatefulSet", set(1)), refused.clone()]);
        assert!(
            told.summary.contains("the quota q is used up"),
            "{}",
            told.summary
        );
        assert_eq!(found(&[("StatefulSet", set(0)), refused]), []);
    }
}
