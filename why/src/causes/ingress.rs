//! An Ingress that nobody serves, or that leads to Services or ports that are not there.

use serde_json::Value;

use crate::causes::{Cause, lasts};
use crate::cluster::Cluster;
use crate::finding::Finding;
use crate::object::{Json, Object};
use crate::relations::backends;
use crate::words::near;

pub(super) const CAUSE: Cause = Cause {
    name: "ingress",
    about: "an Ingress without a class, a controller, a Service or port behind it, or its certificate",
    kinds: &["Ingress"],
    reads: &["IngressClass", "Service", "Secret", "Event"],
    find,
};

const OLD_CLASS: &str = "kubernetes.io/ingress.class";
const DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";
const PATIENCE: i64 = 60;

fn find<'a>(cluster: &Cluster<'a>, ingress: &Object<'a>) -> Vec<Finding> {
    let mut all: Vec<Finding> = class(cluster, ingress).into_iter().collect();
    all.extend(services(cluster, ingress));
    all.extend(ports(cluster, ingress));
    all.extend(certificates(cluster, ingress));
    all
}

fn class<'a>(cluster: &Cluster<'a>, ingress: &Object<'a>) -> Option<Finding> {
    if !cluster.can_read("IngressClass") {
        return None;
    }
    let classes = cluster.all("IngressClass");
    let names: Vec<&str> = classes.iter().map(Object::name).collect();
    let there = match names.as_slice() {
        [] => "there are none".to_owned(),
        names => format!("there is {}", names.join(", ")),
    };
    let named = ingress.value.text("/spec/ingressClassName");
    let finding = match named {
        Some(name) if names.contains(&name) => {
            let has_address = !ingress
                .value
                .list("/status/loadBalancer/ingress")
                .is_empty();
            if has_address || !lasts(cluster, ingress.created(), PATIENCE) {
                return None;
            }
            Finding::warning(format!(
                "no controller has given it an address; its class is {name}"
            ))
            .says([ingress.field("/status/loadBalancer", "no address")])
            .run(
                "see that the controller of the class runs",
                format!("kubectl get ingressclass {name} -o yaml"),
            )
        }
        Some(name) => Finding::error(format!("its class {name} is not there; {there}"))
            .says([ingress.field("/spec/ingressClassName", name)])
            .run("name a class that is there", ingress.kubectl("edit")),
        None if ingress.annotation(OLD_CLASS).is_some() => return None,
        None if classes
            .iter()
            .any(|it| it.annotation(DEFAULT) == Some("true")) =>
        {
            return None;
        }
        None => Finding::error(format!("names no class, and none is the default; {there}"))
            .says([ingress.field("/spec/ingressClassName", "none")])
            .run("name a class", ingress.kubectl("edit")),
    };
    let finding = match names.is_empty() {
        true => finding.run(
            "have a controller serve Ingresses",
            "hardway addons enable ingress",
        ),
        false => finding,
    };
    Some(finding.key("class").since(ingress.created()))
}

fn services<'a>(cluster: &Cluster<'a>, ingress: &Object<'a>) -> Vec<Finding> {
    if !cluster.can_read("Service") {
        return Vec::new();
    }
    let missing = backends(ingress).into_iter();
    let missing = missing.filter(|it| cluster.get("Service", ingress.namespace(), it).is_none());
    missing
        .map(|name| {
            let others = cluster.within("Service", ingress.namespace()).iter();
            let near = near(name, others.map(Object::name));
            let meant = near
                .first()
                .map_or_else(String::new, |it| format!("; there is {it}"));
            Finding::error(format!(
                "leads to the service {name}, which is not there{meant}"
            ))
            .key(name)
            .says([ingress.field("/spec/rules", format!("backend service {name}"))])
            .run("make the service, or name another", ingress.kubectl("edit"))
        })
        .collect()
}

/// Ports, by name or number, that the Services behind it have not.
fn ports<'a>(cluster: &Cluster<'a>, ingress: &Object<'a>) -> Vec<Finding> {
    let rules = ingress.value.list("/spec/rules").iter();
    let paths = rules.flat_map(|it| it.list("/http/paths"));
    let backends = paths.filter_map(|it| it.pointer("/backend/service"));
    let backends = backends.chain(ingress.value.pointer("/spec/defaultBackend/service"));
    let wrong = |backend: &Value| {
        let name = backend.text("/name")?;
        let service = cluster.get("Service", ingress.namespace(), name)?;
        let ports = service.value.list("/spec/ports");
        let asked = backend.text("/port/name").map(str::to_owned);
        let asked = asked.or(backend.number("/port/number").map(|it| it.to_string()))?;
        let has = |port: &Value| {
            port.text("/name") == Some(&asked)
                || port.number("/port").map(|it| it.to_string()).as_ref() == Some(&asked)
        };
        if ports.iter().any(has) {
            return None;
        }
        let there: Vec<String> = ports
            .iter()
            .filter_map(|it| it.number("/port"))
            .map(|it| it.to_string())
            .collect();
        let summary = format!(
            "leads to port {asked} of the service {name}, which has {}",
            there.join(", ")
        );
        let finding = Finding::error(summary)
            .key(format!("{name} {asked}"))
            .says([ingress.field("/spec/rules", format!("{name}:{asked}"))])
            .run("correct the port", ingress.kubectl("edit"));
        Some(finding)
    };
    backends.filter_map(wrong).collect()
}

fn certificates<'a>(cluster: &Cluster<'a>, ingress: &Object<'a>) -> Vec<Finding> {
    if !cluster.can_read("Secret") {
        return Vec::new();
    }
    let named = ingress.value.list("/spec/tls").iter();
    let named = named.filter_map(|it| it.text("/secretName"));
    named
        .filter(|name| cluster.get("Secret", ingress.namespace(), name).is_none())
        .map(|name| {
            let create = format!(
                "kubectl create secret tls {name}{} --cert=FILE --key=FILE",
                ingress.flag()
            );
            Finding::warning(format!("its certificate secret/{name} is not there"))
                .key(name)
                .says([ingress.field("/spec/tls", name)])
                .run("make it", create)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::fixtures::found;
    use serde_json::json;

    #[test]
    fn what_an_ingress_lacks_is_told() {
        let ingress = json!({"metadata": {"name": "web", "namespace": "default"}, "spec": {
            "rules": [{"http": {"paths": [
                {"backend": {"service": {"name": "wbe", "port": {"number": 80}}}},
                {"backend": {"service": {"name": "web", "port": {"number": 81}}}}]}}],
            "tls": [{"secretName": "cert"}]}});
        let service = json!({"metadata": {"name": "web", "namespace": "default"},
            "spec": {"type": "ExternalName", "ports": [{"port": 80}]}});
        let told = found(&[("Ingress", ingress), ("Service", service)]);
        let told: Vec<&str> = told.iter().map(|it| it.summary.as_str()).collect();
        for text in [
            "names no class, and none is the default; there are none",
            "leads to port 81 of the service web, which has 80",
            "its certificate secret/cert is not there",
        ] {
            assert!(told.contains(&text), "{told:?}");
        }
        assert!(
            told.iter()
                .any(|it| it.starts_with("leads to the service wbe, which is not there")),
            "{told:?}"
        );
    }
}
