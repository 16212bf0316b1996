//! Admission webhooks whose server is away, so that what they concern is refused.

use crate::causes::Cause;
use crate::cluster::Cluster;
use crate::finding::Finding;
use crate::object::{Json, Object};
use crate::relations::{is_well, service_pods};
use crate::words::few;

pub(super) const CAUSE: Cause = Cause {
    name: "webhook",
    about: "an admission webhook whose server can't be reached",
    kinds: &[
        "ValidatingWebhookConfiguration",
        "MutatingWebhookConfiguration",
    ],
    reads: &["Service", "Pod"],
    find,
};

fn find<'a>(cluster: &Cluster<'a>, configuration: &Object<'a>) -> Vec<Finding> {
    let hooks = configuration.value.list("/webhooks").iter();
    hooks
        .filter_map(|hook| {
            let service = hook.pointer("/clientConfig/service")?;
            let (namespace, name) = (service.text("/namespace")?, service.text("/name")?);
            let why = unreachable(cluster, namespace, name)?;
            let hook_name = hook.text("/name").unwrap_or_default();
            let refuses = hook.text("/failurePolicy") != Some("Ignore");
            let resources: Vec<&str> = hook
                .list("/rules")
                .iter()
                .flat_map(|it| it.list("/resources"))
                .filter_map(|it| it.as_str())
                .collect();
            let concerns = few(&resources, 4);
            let summary = match refuses {
                true => format!("its webhook {hook_name} can't be reached ({why}): requests for {concerns} are refused"),
                false => format!("its webhook {hook_name} can't be reached ({why}): requests for {concerns} wait for it, and go past it"),
            };
            let finding = match refuses {
                true => Finding::error(summary),
                false => Finding::warning(summary),
            };
            let path = format!("/webhooks[{hook_name}]/clientConfig/service");
            let finding = finding
                .key(hook_name)
                .says([configuration.field(&path, format!("{namespace}/{name}: {why}"))])
                .says([configuration.field(&format!("/webhooks[{hook_name}]/failurePolicy"), if refuses { "Fail" } else { "Ignore" })])
                .run("see the webhook's server", format!("kubectl get service,pods -n {namespace}"))
                .run("if it is gone for good, take its configuration away", configuration.kubectl("delete"));
            Some(finding)
        })
        .collect()
}

/// Why nobody answers behind a Service, if that can be told.
pub(super) fn unreachable(cluster: &Cluster<'_>, namespace: &str, name: &str) -> Option<String> {
    if !cluster.can_read("Service") {
        return None;
    }
    let Some(service) = cluster.get("Service", namespace, name) else {
        // Lists of one namespace say nothing of others.
        let reads_there = !cluster.within("Service", namespace).is_empty()
            || cluster.get("Service", "default", "kubernetes").is_some();
        return reads_there.then(|| format!("the service {namespace}/{name} is not there"));
    };
    if service.value.map("/spec/selector").is_empty() || !cluster.can_read("Pod") {
        return None;
    }
    let pods = service_pods(cluster, &service);
    (!pods.iter().any(is_well)).then(|| match pods.len() {
        0 => format!("the service {namespace}/{name} has no pods"),
        n => format!("none of {n} pods of the service {namespace}/{name} is ready"),
    })
}

#[cfg(test)]
mod tests {
    use crate::fixtures::{found, one};
    use serde_json::{Value, json};

    fn configuration(policy: &str) -> (&'static str, Value) {
        let value = json!({"metadata": {"name": "guard"}, "webhooks": [{"name": "pods.example.com",
            "failurePolicy": policy, "rules": [{"resources": ["pods"]}],
            "clientConfig": {"service": {"namespace": "default", "name": "guard"}}}]});
        ("ValidatingWebhookConfiguration", value)
    }

    #[test]
    fn a_server_that_is_away_is_told() {
        let api = (
            "Service",
            json!({"metadata": {"name": "kubernetes", "namespace": "default", "creationTimestamp": crate::fixtures::NOW}}),
        );
        let told = one(&[configuration("Fail"), api.clone()]);
        assert_eq!(
            told.summary,
            "its webhook pods.example.com can't be reached (the service default/guard is not there): requests for pods are refused"
        );
        let told = one(&[configuration("Ignore"), api]);
        assert_eq!(told.severity, crate::Severity::Warning);
        let service = json!({"metadata": {"name": "guard", "namespace": "default"}, "spec": {"selector": {"app": "guard"}}});
        let pod = json!({"metadata": {"name": "guard", "namespace": "default", "labels": {"app": "guard"}},
            "spec": {"containers": []}, "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        assert_eq!(
            found(&[configuration("Fail"), ("Service", service), ("Pod", pod)]),
            []
        );
    }
}
