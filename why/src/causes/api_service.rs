//! An aggregated API whose server does not answer.

use crate::causes::Cause;
use crate::cluster::Cluster;
use crate::finding::Finding;
use crate::object::{Json, Object};
use crate::words::one_line;

pub(super) const CAUSE: Cause = Cause {
    name: "apiservice",
    about: "an aggregated API whose server does not answer",
    kinds: &["APIService"],
    reads: &["Service", "Pod"],
    find,
};

fn find<'a>(_: &Cluster<'a>, api: &Object<'a>) -> Vec<Finding> {
    let Some(available) = api.condition("Available").filter(|it| it.status != "True") else {
        return Vec::new();
    };
    let service = api.value.pointer("/spec/service");
    let service = service.and_then(|it| Some((it.text("/namespace")?, it.text("/name")?)));
    let (namespace, name) = service.unwrap_or_default();
    // Pods that are not ready say why themselves.
    let finding = Finding::error(format!("does not answer: {}", one_line(available.message)))
        .symptom()
        .since(available.since)
        .says([api.told_by(&available)])
        .says([api.field("/spec/service", format!("{namespace}/{name}"))])
        .run("see its server", format!("kubectl get service,pods -n {namespace}"))
        .run(
            "if it is gone for good, take it away: as long as it is there, no namespace can be deleted",
            api.kubectl("delete"),
        );
    vec![finding]
}

#[cfg(test)]
mod tests {
    use crate::fixtures::{ask, found, one};
    use serde_json::{Value, json};

    fn api(status: &str) -> (&'static str, Value) {
        let value = json!({"metadata": {"name": "v1beta1.metrics.k8s.io"},
            "spec": {"service": {"namespace": "kube-system", "name": "metrics-server"}},
            "status": {"conditions": [{"type": "Available", "status": status, "reason": "MissingEndpoints",
                "message": "endpoints for service/metrics-server in \"kube-system\" have no addresses with port name \"https\""}]}});
        ("APIService", value)
    }

    #[test]
    fn one_that_is_away_is_told_and_holds_namespaces() {
        assert!(
            one(&[api("False")])
                .summary
                .starts_with("does not answer: endpoints for service/metrics-server")
        );
        assert_eq!(found(&[api("True")]), []);
        let namespace = json!({"metadata": {"name": "gone", "deletionTimestamp": "2025-01-01T00:00:00Z"},
            "status": {"conditions": [{"type": "NamespaceDeletionDiscoveryFailure", "status": "True",
                "reason": "DiscoveryFailed", "message": "Discovery failed for some groups, 1 failing"}]}});
        let told = ask(
            &[api("False"), ("Namespace", namespace)],
            "Namespace",
            "gone",
        );
        assert!(
            told.summary
                .starts_with("apiservice/v1beta1.metrics.k8s.io: does not answer"),
            "{}",
            told.summary
        );
        assert_eq!(told.causes[0].evidence[0].object.kind, "Namespace");
    }
}
