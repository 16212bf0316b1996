//! Ingresses of extensions/v1beta1 and networking.k8s.io/v1beta1: a backend is
//! `serviceName` and `servicePort`, the default one is `spec.backend`, and the
//! type of a path may be left out.

use super::super::json::{get, has, list_mut, object_mut, remove, set, set_default, text};
use super::Conversion;
use serde_json::{Map, Value, json};

/// The type of a path that tells none.
const UNSAID: &str = "ImplementationSpecific";

pub(super) const INGRESS: Conversion = Conversion {
    labels: None,
    default: |ingress| {
        each_path(ingress, |path| set_default(path, "pathType", UNSAID));
    },
    to_storage: |ingress| {
        let spec = object_mut(ingress, "spec");
        if let Some((spec, mut backend)) = spec.and_then(|spec| taken(spec, "backend")) {
            to_service(&mut backend);
            set(spec, "defaultBackend", backend);
        }
        each_path(ingress, |path| {
            object_mut(path, "backend").map(to_service);
        });
    },
    to_external: |ingress| {
        let spec = object_mut(ingress, "spec");
        if let Some((spec, mut backend)) = spec.and_then(|spec| taken(spec, "defaultBackend")) {
            from_service(&mut backend);
            set(spec, "backend", backend);
        }
        each_path(ingress, |path| {
            object_mut(path, "backend").map(from_service);
            // Shown, it would make every apply of a manifest without it a change.
            if text(path, "pathType") == UNSAID {
                remove(path, "pathType");
            }
        });
    },
};

/// A field that is an object, taken out of its bearer.
fn taken<'a>(bearer: &'a mut Value, field: &str) -> Option<(&'a mut Value, Value)> {
    object_mut(bearer, field)?;
    let value = remove(bearer, field)?;
    Some((bearer, value))
}

fn each_path(ingress: &mut Value, change: impl Fn(&mut Value)) {
    let Some(spec) = object_mut(ingress, "spec") else {
        return;
    };
    for rule in list_mut(spec, "rules") {
        if let Some(http) = object_mut(rule, "http") {
            list_mut(http, "paths")
                .filter(|path| path.is_object())
                .for_each(&change);
        }
    }
}

fn to_service(backend: &mut Value) {
    let name = remove(backend, "serviceName").filter(|name| !name.is_null());
    let port = remove(backend, "servicePort").unwrap_or_default();
    let mut service = Map::new();
    if let Some(name) = name.filter(|name| name != "") {
        service.insert("name".into(), name);
    }
    match port {
        Value::String(name) => drop(service.insert("port".into(), json!({"name": name}))),
        Value::Number(number) if number.as_i64() != Some(0) => {
            service.insert("port".into(), json!({"number": number}));
        }
        _ => {}
    }
    if !service.is_empty() {
        set(backend, "service", Value::Object(service));
    }
}

fn from_service(backend: &mut Value) {
    let Some(service) = remove(backend, "service").filter(Value::is_object) else {
        return;
    };
    if has(&service, "name") {
        set(backend, "serviceName", get(&service, "name").clone());
    }
    let port = get(&service, "port");
    match text(port, "name") {
        "" if has(port, "number") => set(backend, "servicePort", get(port, "number").clone()),
        "" => {}
        name => set(backend, "servicePort", name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let old = json!({"metadata": {"name": "web"}, "spec": {
            "backend": {"serviceName": "fallback", "servicePort": "http"},
            "tls": [{"hosts": ["a.example"]}],
            "rules": [
                {"host": "a.example", "http": {"paths": [
                    {"path": "/", "pathType": "Prefix", "backend": {"serviceName": "web", "servicePort": 80}},
                    {"pathType": "Exact", "backend": {"resource": {"kind": "Bucket", "name": "b"}}},
                ]}},
                {"host": "b.example"},
            ],
        }});
        let mut ingress = old.clone();
        (INGRESS.to_storage)(&mut ingress);
        assert_eq!(
            ingress["spec"]["defaultBackend"],
            json!({"service": {"name": "fallback", "port": {"name": "http"}}})
        );
        assert!(ingress["spec"].get("backend").is_none());
        let paths = &ingress["spec"]["rules"][0]["http"]["paths"];
        assert_eq!(
            paths[0]["backend"],
            json!({"service": {"name": "web", "port": {"number": 80}}})
        );
        assert_eq!(
            paths[1]["backend"],
            json!({"resource": {"kind": "Bucket", "name": "b"}})
        );
        (INGRESS.to_external)(&mut ingress);
        assert_eq!(ingress, old);
    }

    #[test]
    fn paths_had_no_type() {
        let mut ingress = json!({"spec": {"rules": [{"http": {"paths": [{"path": "/"},
            {"path": "/x", "pathType": "Exact"}]}}]}});
        (INGRESS.default)(&mut ingress);
        let paths = &ingress["spec"]["rules"][0]["http"]["paths"];
        assert_eq!(paths[0]["pathType"], "ImplementationSpecific");
        assert_eq!(paths[1]["pathType"], "Exact");
        (INGRESS.to_external)(&mut ingress);
        let paths = &ingress["spec"]["rules"][0]["http"]["paths"];
        assert_eq!(
            paths,
            &json!([{"path": "/"}, {"path": "/x", "pathType": "Exact"}])
        );
    }
}
