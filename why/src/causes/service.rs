//! A Service that leads nowhere: no pods, none ready, ports that no container has, no address.

use std::collections::BTreeMap;

use crate::causes::{Cause, containers, lasts};
use crate::cluster::Cluster;
use crate::finding::Finding;
use crate::object::{Json, Object};
use crate::relations::{is_well, service_pods};
use crate::words::{count, few};

pub(super) const CAUSE: Cause = Cause {
    name: "service",
    about: "a Service without endpoints, with ports that no container has, or without an address from outside; and the cluster's DNS",
    kinds: &["Service"],
    reads: &["Pod", "EndpointSlice", "Event"],
    find,
};

/// Pods need a while to start; until then nothing is wrong.
const PATIENCE: i64 = 60;

fn find<'a>(cluster: &Cluster<'a>, service: &Object<'a>) -> Vec<Finding> {
    let mut all: Vec<Finding> = address(cluster, service).into_iter().collect();
    let is_alias = service.value.text("/spec/type") == Some("ExternalName");
    let selector = service.value.map("/spec/selector");
    if is_alias || !cluster.can_read("Pod") {
        return all;
    }
    if selector.is_empty() {
        all.extend(by_hand(cluster, service));
        return all;
    }
    let written: Vec<String> = selector.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let written = written.join(",");
    let pods = service_pods(cluster, service);
    // Endpoints of pods that have ended are none.
    let pods: Vec<_> = pods
        .into_iter()
        .filter(|it| !matches!(it.value.text("/status/phase"), Some("Succeeded" | "Failed")))
        .collect();
    if pods.is_empty() {
        all.push(nothing_selected(cluster, service, &selector, &written));
        return all;
    }
    all.extend(ports(service, &pods));
    let ready = pods.iter().filter(|it| is_well(it)).count();
    if ready == pods.len() || service.value.flag("/spec/publishNotReadyAddresses") {
        return all;
    }
    let summary = format!(
        "{ready} of {} behind it are ready",
        count(pods.len(), "pod")
    );
    let unready: Vec<_> = pods.iter().filter(|it| !is_well(it)).collect();
    let is_late = |pod: &&Object<'_>| lasts(cluster, pod.created(), PATIENCE);
    let is_late = unready.iter().any(is_late);
    let unready: Vec<&str> = unready.iter().map(|it| it.name()).collect();
    let summary = match ready {
        0 => format!("{}has no endpoints: {summary}", dns(service)),
        _ => summary,
    };
    let finding = match (is_late, ready) {
        (false, _) => Finding::info(summary),
        (true, 0) => Finding::error(summary),
        (true, _) => Finding::warning(summary),
    };
    let finding = finding
        .symptom()
        .key("ready")
        .says([service.field(
            "/spec/selector",
            format!("{written}: not ready {}", few(&unready, 5)),
        )])
        .says(slices(cluster, service))
        .run(
            "see the pods behind it",
            format!("kubectl get pods{} -l {written}", service.flag()),
        );
    all.push(finding);
    all
}

/// What it means if this Service has no endpoints, where that is special.
fn dns(service: &Object<'_>) -> &'static str {
    match service.namespace() == "kube-system" && service.name() == "kube-dns" {
        true => "the cluster's DNS answers nobody: ",
        false => "",
    }
}

fn slices<'a>(cluster: &Cluster<'a>, service: &Object<'a>) -> Option<crate::diagnosis::Evidence> {
    let own =
        |slice: &&Object<'_>| slice.label("kubernetes.io/service-name") == Some(service.name());
    let slices = cluster
        .within("EndpointSlice", service.namespace())
        .iter()
        .filter(own);
    let endpoints: Vec<_> = slices.flat_map(|it| it.value.list("/endpoints")).collect();
    let ready = endpoints
        .iter()
        .filter(|it| it.pointer("/conditions/ready") != Some(&false.into()))
        .count();
    let says = format!(
        "its EndpointSlices have {}, {ready} ready",
        count(endpoints.len(), "endpoint")
    );
    cluster
        .can_read("EndpointSlice")
        .then(|| service.compared(says))
}

fn nothing_selected<'a>(
    cluster: &Cluster<'a>,
    service: &Object<'a>,
    selector: &[(&str, &str)],
    written: &str,
) -> Finding {
    let near = nearly(cluster, service, selector);
    let stands = match &near {
        Some((pods, wants)) => format!("; nearly matches {}, which {wants}", few(pods, 3)),
        None => String::new(),
    };
    let summary = format!(
        "{}has no endpoints: its selector {written} selects no pod{stands}",
        dns(service)
    );
    let says = service.field(
        "/spec/selector",
        format!(
            "{written} selects none of the pods in {}",
            service.namespace()
        ),
    );
    let finding = Finding::error(summary)
        .key("selector")
        .since(service.created())
        .says([says])
        .says(
            near.iter()
                .map(|(pods, wants)| service.compared(format!("{} {wants}", few(pods, 5)))),
        )
        .says(slices(cluster, service));
    match near {
        Some((pods, _)) => {
            let pod = pods.first().map(String::as_str).unwrap_or_default();
            finding.run(
                "correct the selector, or the pods' labels",
                format!("kubectl get {pod}{} --show-labels", service.flag()),
            )
        }
        None => finding.run(
            "see which labels the pods have, or start what it is for",
            format!("kubectl get pods{} --show-labels", service.flag()),
        ),
    }
}

/// Pods that match all of the selector but one label, and what they have in its place; or that
/// would match if they were in this namespace.
fn nearly<'a>(
    cluster: &Cluster<'a>,
    service: &Object<'a>,
    selector: &[(&str, &str)],
) -> Option<(Vec<String>, String)> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pod in cluster.within("Pod", service.namespace()) {
        let wrong: Vec<_> = selector
            .iter()
            .filter(|(key, value)| pod.label(key) != Some(value))
            .collect();
        let [(key, value)] = wrong.as_slice() else {
            continue;
        };
        let has = match pod.label(key) {
            // Without another label that fits, only a value that is nearly right is a likeness.
            Some(other)
                if selector.len() > 1
                    || !crate::words::near(value, [other].into_iter()).is_empty() =>
            {
                format!("has {key}={other}")
            }
            None => match misspelt(pod, key, value) {
                Some(other) => format!("has {other}={value} in place of {key}"),
                None if selector.len() > 1 => format!("has no label {key}"),
                None => continue,
            },
            Some(_) => continue,
        };
        groups
            .entry(has)
            .or_default()
            .push(pod.subject().to_string());
    }
    let most = groups.into_iter().max_by_key(|(_, pods)| pods.len());
    if let Some((has, pods)) = most {
        return Some((pods, has));
    }
    let elsewhere = cluster.all("Pod").iter().find(|pod| {
        pod.namespace() != service.namespace()
            && selector
                .iter()
                .all(|(key, value)| pod.label(key) == Some(value))
    })?;
    Some((
        vec![elsewhere.subject().to_string()],
        format!("is in the namespace {}", elsewhere.namespace()),
    ))
}

/// A label of the pod with this value, under a key that is nearly the same.
fn misspelt<'a>(pod: &Object<'a>, key: &str, value: &str) -> Option<&'a str> {
    let labels = pod.value.map("/metadata/labels").into_iter();
    let mut same = labels
        .filter(|(_, it)| *it == value)
        .map(|(other, _)| other);
    same.find(|other| !crate::words::near(key, [*other].into_iter()).is_empty())
}

/// Ports of the Service that lead to no port of a container. By name that is an error; by
/// number only a hint, since containers need not declare what they listen on.
fn ports<'a>(service: &Object<'a>, pods: &[Object<'a>]) -> Vec<Finding> {
    // Sidecars among the init containers have ports as well.
    let containers = pods.iter().flat_map(containers::all);
    let declared: Vec<_> = containers
        .filter(|it| !it.is_init)
        .flat_map(|it| it.spec.list("/ports"))
        .collect();
    let shown: Vec<String> = declared
        .iter()
        .filter_map(|port| {
            let number = port.number("/containerPort")?;
            Some(match port.text("/name") {
                Some(name) => format!("{name} ({number})"),
                None => number.to_string(),
            })
        })
        .collect();
    let mut shown = shown;
    shown.sort();
    shown.dedup();
    let ports = service.value.list("/spec/ports").iter();
    ports
        .filter_map(|port| {
            let target = port.get("targetPort").or(port.get("port"))?;
            let is_there = declared.iter().any(|it| {
                it.get("name") == Some(target) || it.get("containerPort") == Some(target)
            });
            let by_name = target.is_string();
            if is_there || (!by_name && declared.is_empty()) {
                return None;
            }
            let number = port.number("/port").unwrap_or_default();
            let target = target
                .as_str()
                .map_or_else(|| target.to_string(), str::to_owned);
            let have = match shown.is_empty() {
                true => "they declare none".to_owned(),
                false => format!("they declare {}", few(&shown, 5)),
            };
            let summary =
                format!("its port {number} leads to {target}, which no container has; {have}");
            let finding = match by_name {
                true => Finding::error(summary),
                false => Finding::warning(summary),
            };
            let finding = finding
                .key(format!("port {number}"))
                .says([service.field("/spec/ports", format!("{number} → {target}"))])
                .run("correct its targetPort", service.kubectl("edit"));
            Some(finding)
        })
        .collect()
}

/// Whoever has no selector has endpoints that somebody writes.
fn by_hand<'a>(cluster: &Cluster<'a>, service: &Object<'a>) -> Option<Finding> {
    if !cluster.can_read("EndpointSlice") || !lasts(cluster, service.created(), 30) {
        return None;
    }
    let mut slices = cluster.within("EndpointSlice", service.namespace()).iter();
    if slices.any(|it| it.label("kubernetes.io/service-name") == Some(service.name())) {
        return None;
    }
    let finding = Finding::warning(
        "has no endpoints: it has no selector, and nobody has written an EndpointSlice for it",
    )
    .key("by hand")
    .says([service.field("/spec/selector", "none")])
    .advise(
        "give it a selector, or write an EndpointSlice with the label kubernetes.io/service-name",
    );
    Some(finding)
}

fn address<'a>(cluster: &Cluster<'a>, service: &Object<'a>) -> Option<Finding> {
    let is_balanced = service.value.text("/spec/type") == Some("LoadBalancer");
    let has_address = !service
        .value
        .list("/status/loadBalancer/ingress")
        .is_empty();
    if !is_balanced || has_address || !lasts(cluster, service.created(), 60) {
        return None;
    }
    let event = cluster.event(service, &["SyncLoadBalancerFailed", "AllocationFailed"]);
    let summary = match event {
        Some(event) => format!(
            "gets no address from outside: {}",
            crate::words::one_line(event.message)
        ),
        None => "gets no address from outside: nothing in the cluster hands any out".to_owned(),
    };
    let finding = Finding::warning(summary)
        .key("address")
        .since(service.created())
        .says([service.field("/status/loadBalancer", "no address")])
        .says(event.map(|it| it.evidence()))
        .run("on a machine of one's own", "hardway tunnel")
        .advise("or reach it by its node port");
    Some(finding)
}

#[cfg(test)]
mod tests {
    use crate::fixtures::{ask, found, one, says};
    use serde_json::{Value, json};

    fn service(spec: Value) -> (&'static str, Value) {
        (
            "Service",
            json!({"metadata": {"name": "web", "namespace": "default"}, "spec": spec}),
        )
    }

    fn pod(labels: Value, ready: &str) -> (&'static str, Value) {
        let pod = json!({"metadata": {"name": "web-1", "namespace": "default", "labels": labels},
            "spec": {"containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}});
        ("Pod", pod)
    }

    #[test]
    fn a_selector_that_nearly_matches_is_told() {
        let asks = |selector: Value| service(json!({"selector": selector}));
        let told = one(&[
            asks(json!({"app": "web", "tier": "front"})),
            pod(json!({"app": "web", "tier": "back"}), "True"),
        ]);
        assert_eq!(
            told.summary,
            "has no endpoints: its selector app=web,tier=front selects no pod; nearly matches pod/web-1, which has tier=back"
        );
        let told = one(&[
            asks(json!({"app": "wbe-front"})),
            pod(json!({"app": "web-front"}), "True"),
        ]);
        says(&told, "pod/web-1 has app=web-front");
        let told = one(&[
            asks(json!({"appp": "web"})),
            pod(json!({"app": "web"}), "True"),
        ]);
        says(&told, "has app=web in place of appp");
        let told = one(&[
            asks(json!({"app": "db"})),
            pod(json!({"app": "web"}), "True"),
        ]);
        assert_eq!(
            told.summary,
            "has no endpoints: its selector app=db selects no pod"
        );
        let (kind, mut other) = pod(json!({"app": "db"}), "True");
        other["metadata"]["namespace"] = json!("data");
        let told = one(&[asks(json!({"app": "db"})), (kind, other)]);
        says(&told, "pod/web-1 is in the namespace data");
    }

    #[test]
    fn ports_and_readiness_are_told() {
        let ports = |target: Value| {
            service(
                json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": target}]}),
            )
        };
        let labels = json!({"app": "web"});
        assert_eq!(
            found(&[ports(json!("http")), pod(labels.clone(), "True")]),
            []
        );
        let told = one(&[ports(json!("htpp")), pod(labels.clone(), "True")]);
        assert_eq!(
            told.summary,
            "its port 80 leads to htpp, which no container has; they declare http (8080)"
        );
        let told = one(&[ports(json!(80)), pod(labels.clone(), "True")]);
        assert_eq!(told.severity, crate::Severity::Warning);
        let (kind, mut meshed) = pod(labels.clone(), "True");
        meshed["spec"]["initContainers"] = json!([
            {"name": "proxy", "restartPolicy": "Always", "ports": [{"name": "mesh", "containerPort": 15001}]},
            {"name": "setup", "ports": [{"name": "once", "containerPort": 1}]}]);
        let told = found(&[ports(json!("mesh")), (kind, meshed.clone())]);
        assert_eq!(told, []);
        let told = one(&[ports(json!("once")), (kind, meshed)]);
        assert!(told.summary.contains("which no container has"), "{told:?}");
        let (kind, mut starting) = pod(labels.clone(), "False");
        starting["metadata"]["creationTimestamp"] = json!("2025-01-01T00:09:30Z");
        assert_eq!(found(&[ports(json!("http")), (kind, starting.clone())]), []);
        starting["metadata"]["creationTimestamp"] = json!("2025-01-01T00:09:00Z");
        let told = one(&[ports(json!("http")), (kind, starting)]);
        assert_eq!(told.severity, crate::Severity::Error);
        let told = ask(
            &[ports(json!(8080)), pod(labels, "False")],
            "Service",
            "web",
        );
        assert_eq!(
            told.summary,
            "has no endpoints: 0 of 1 pod behind it are ready"
        );
    }

    #[test]
    fn dns_and_addresses_are_told() {
        let dns = json!({"metadata": {"name": "kube-dns", "namespace": "kube-system"}, "spec": {"selector": {"k8s-app": "kube-dns"}}});
        let told = one(&[("Service", dns)]);
        assert!(
            told.summary
                .starts_with("the cluster's DNS answers nobody: has no endpoints"),
            "{}",
            told.summary
        );
        let (kind, mut balanced) =
            service(json!({"type": "LoadBalancer", "selector": {"app": "web"}}));
        balanced["metadata"]["creationTimestamp"] = json!("2025-01-01T00:00:00Z");
        let told = one(&[(kind, balanced), pod(json!({"app": "web"}), "True")]);
        assert!(
            told.summary.starts_with("gets no address from outside"),
            "{}",
            told.summary
        );
    }
}
