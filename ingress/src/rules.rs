//! What Ingresses ask for: routes, certificates, and what of it can't be had.

use crate::path::{PathType, RulePath};
use crate::routes::{Backend, Host, Port, Routes, Target};
use hardway_proto::Kind;
use hardway_proto::meta::ObjectKey;
use k8s_openapi::api::networking::v1::{Ingress, IngressBackend, IngressClass, IngressSpec};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What IngressClasses call this controller.
pub const CONTROLLER: &str = "hardway.example/ingress";
/// The annotation that sends whoever comes over HTTP to HTTPS.
pub const TO_HTTPS: &str = "ingress.hardway.example/ssl-redirect";
/// Annotations of this controller.
const OWN_ANNOTATIONS: &str = "ingress.hardway.example/";
/// How a class was named before there was a field for it.
const OLD_CLASS: &str = "kubernetes.io/ingress.class";

/// Something that an Ingress asks for and can't have, for an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Problem {
    /// The Ingress.
    pub ingress: ObjectKey,
    /// A word for it.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
}

/// A Secret that an Ingress wants to be shown for a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The host.
    pub host: Host,
    /// The Secret.
    pub secret: ObjectKey,
    /// The Ingress.
    pub ingress: ObjectKey,
}

/// All that is asked for.
#[derive(Debug, Default)]
pub struct Rules {
    /// Who is asked what.
    pub routes: Routes,
    /// What is to be shown for hosts, that of the oldest Ingresses first.
    pub certificates: Vec<Claim>,
    /// The Ingresses this is from.
    pub ingresses: Vec<Arc<Ingress>>,
    /// What can't be had.
    pub problems: Vec<Problem>,
}

/// The class of an Ingress.
fn class_of(ingress: &Ingress) -> Option<&str> {
    let field = ingress.spec.as_ref()?.ingress_class_name.as_deref();
    field.or_else(|| annotations(ingress).get(OLD_CLASS).map(String::as_str))
}

fn annotations(ingress: &Ingress) -> &BTreeMap<String, String> {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    ingress.metadata.annotations.as_ref().unwrap_or(&NONE)
}

/// Reads all Ingresses that are of a class of this controller. Of two that claim the same, the
/// older has it.
pub fn read(ingresses: Vec<Arc<Ingress>>, classes: &[Arc<IngressClass>]) -> Rules {
    let controller = |class: &IngressClass| class.spec.as_ref()?.controller.clone();
    let ours: HashMap<&str, &IngressClass> = classes
        .iter()
        .filter(|class| controller(class).as_deref() == Some(CONTROLLER))
        .map(|class| (class.name(), class.as_ref()))
        .collect();
    let mut ingresses = ingresses;
    ingresses.retain(|ingress| class_of(ingress).is_some_and(|class| ours.contains_key(class)));
    ingresses.sort_by_cached_key(|ingress| {
        let created = ingress.metadata.creation_timestamp.as_ref();
        (created.map(|time| time.0), ObjectKey::of(ingress.as_ref()))
    });
    let mut rules = Rules::default();
    for ingress in &ingresses {
        let mut reader = Reader {
            key: ObjectKey::of(ingress.as_ref()),
            to_https: annotations(ingress).get(TO_HTTPS).map(String::as_str) == Some("true"),
            rules: &mut rules,
        };
        reader.annotations(ingress);
        let class = class_of(ingress).and_then(|class| ours.get(class));
        let parameters = class.and_then(|class| class.spec.as_ref()?.parameters.as_ref());
        if parameters.is_some() {
            let message = "the class has parameters, and this controller takes none".to_owned();
            reader.problem("Unsupported", message);
        }
        if let Some(spec) = &ingress.spec {
            reader.spec(spec);
        }
    }
    rules.ingresses = ingresses;
    rules
}

struct Reader<'a> {
    key: ObjectKey,
    to_https: bool,
    rules: &'a mut Rules,
}

impl Reader<'_> {
    fn problem(&mut self, reason: &'static str, message: String) {
        self.rules.problems.push(Problem {
            ingress: self.key.clone(),
            reason,
            message,
        });
    }

    /// Annotations by which other controllers, or this one, would do something else.
    fn annotations(&mut self, ingress: &Ingress) {
        for (name, value) in annotations(ingress) {
            let (prefix, _) = name.split_once('/').unwrap_or_default();
            let own = name.starts_with(OWN_ANNOTATIONS);
            let problem = match name.as_str() {
                TO_HTTPS if ["true", "false"].contains(&value.as_str()) => continue,
                TO_HTTPS => format!("annotation {name}: {value:?} is neither true nor false"),
                _ if own || prefix.contains("ingress") && name != OLD_CLASS => {
                    format!(
                        "annotation {name} has no effect: this controller knows {TO_HTTPS} alone"
                    )
                }
                _ => continue,
            };
            self.problem("UnknownAnnotation", problem);
        }
    }

    fn spec(&mut self, spec: &IngressSpec) {
        let default = spec.default_backend.as_ref();
        let default = default.map(|backend| self.target("spec.defaultBackend", backend));
        for (at, rule) in spec.rules.iter().flatten().enumerate() {
            let host = Host::new(rule.host.as_deref().unwrap_or_default());
            if let Some(default) = &default {
                self.rules
                    .routes
                    .add_fallback(host.clone(), default.clone());
            }
            let paths = rule.http.iter().flat_map(|http| &http.paths);
            for (number, path) in paths.enumerate() {
                let field = format!("spec.rules[{at}].http.paths[{number}].backend");
                let target = self.target(&field, &path.backend);
                let kind = match path.path_type.as_str() {
                    "Exact" => PathType::Exact,
                    _ => PathType::Prefix,
                };
                let asked = path.path.as_deref().unwrap_or_default();
                let rule = RulePath::new(kind, asked);
                let first = self.rules.routes.add(host.clone(), rule, target);
                if let Some(first) = first {
                    let asked = if asked.is_empty() { "/" } else { asked };
                    let message = match first.ingress == self.key {
                        true => format!("{host}{asked} is there twice; the first is used"),
                        false => format!(
                            "{host}{asked} is that of Ingress {}, which is older",
                            first.ingress
                        ),
                    };
                    self.problem("PathTaken", message);
                }
            }
        }
        if let Some(first) = default.and_then(|default| self.rules.routes.add_default(default)) {
            let of = &first.ingress;
            let message = format!(
                "spec.defaultBackend serves the hosts of this Ingress alone: for all others it is that of Ingress {of}, which is older"
            );
            self.problem("DefaultBackendTaken", message);
        }
        self.certificates(spec);
    }

    /// A target, also where its backend can't answer: who asks gets a 503, and not what
    /// another rule says.
    fn target(&mut self, field: &str, backend: &IngressBackend) -> Arc<Target> {
        let service = backend.service.as_ref();
        let named = service.and_then(|service| {
            let port = service.port.as_ref()?;
            let name = port.name.clone().filter(|name| !name.is_empty());
            let number = port.number.and_then(|number| u16::try_from(number).ok());
            let port = name.map(Port::Name).or(number.map(Port::Number))?;
            Some(Backend {
                service: ObjectKey::new(self.key.namespace.as_str(), &service.name),
                port,
            })
        });
        if let Some(resource) = &backend.resource {
            let what = format!("{} {}", resource.kind, resource.name);
            let message = format!("{field}: {what} can't answer, only Services can");
            self.problem("Unsupported", message);
        }
        Arc::new(Target {
            ingress: self.key.clone(),
            backend: named,
            to_https: self.to_https,
        })
    }

    fn certificates(&mut self, spec: &IngressSpec) {
        for tls in spec.tls.iter().flatten() {
            let Some(secret) = tls.secret_name.as_deref().filter(|name| !name.is_empty()) else {
                // The controller's own is shown.
                continue;
            };
            let secret = ObjectKey::new(self.key.namespace.as_str(), secret);
            let hosts = tls.hosts.iter().flatten().map(|host| Host::new(host));
            let mut hosts: Vec<Host> = hosts.collect();
            if hosts.is_empty() {
                // Without hosts it is for those of the rules.
                let rules = spec.rules.iter().flatten();
                hosts = rules
                    .map(|rule| Host::new(rule.host.as_deref().unwrap_or_default()))
                    .collect();
            }
            let hosts = hosts.into_iter();
            let certificates = hosts.map(|host| Claim {
                host,
                secret: secret.clone(),
                ingress: self.key.clone(),
            });
            self.rules.certificates.extend(certificates);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn classes() -> Vec<Arc<IngressClass>> {
        let class = |name: &str, controller: &str| {
            let class = json!({"metadata": {"name": name}, "spec": {"controller": controller}});
            Arc::new(serde_json::from_value(class).unwrap())
        };
        vec![
            class("hardway", CONTROLLER),
            class("other", "example.com/x"),
        ]
    }

    fn ingress(name: &str, second: u8, spec: Value) -> Arc<Ingress> {
        let created = format!("2026-01-01T00:00:{second:02}Z");
        let mut all = json!({"metadata": {"name": name, "namespace": "d",
            "creationTimestamp": created}, "spec": {"ingressClassName": "hardway"}});
        all["spec"]
            .as_object_mut()
            .unwrap()
            .extend(spec.as_object().unwrap().clone());
        Arc::new(serde_json::from_value(all).unwrap())
    }

    fn rule(host: &str, path: &str, service: &str) -> Value {
        json!({"host": host, "http": {"paths": [{"path": path, "pathType": "Prefix",
            "backend": {"service": {"name": service, "port": {"number": 80}}}}]}})
    }

    fn service<'a>(rules: &'a Rules, host: &str, path: &str) -> &'a str {
        let target = rules.routes.find(host, path);
        let backend = target.and_then(|target| target.backend.as_ref());
        backend.map_or("nobody", |backend| &backend.service.name)
    }

    #[test]
    fn only_ingresses_of_its_classes_count() {
        let ours = ingress("a", 0, json!({"rules": [rule("a.b", "/", "web")]}));
        let others = json!({"ingressClassName": "other", "rules": [rule("c.d", "/", "web")]});
        let mut old = Ingress::clone(&ingress(
            "o",
            0,
            json!({"rules": [rule("o.b", "/", "old")]}),
        ));
        old.spec.as_mut().unwrap().ingress_class_name = None;
        let none = Arc::new(old.clone());
        let named = [(OLD_CLASS.to_owned(), "hardway".to_owned())];
        old.metadata.annotations = Some(named.into());
        let all = vec![ours, ingress("b", 0, others), Arc::new(old)];
        let rules = read(all, &classes());
        assert_eq!(service(&rules, "a.b", "/"), "web");
        assert_eq!(service(&rules, "o.b", "/"), "old");
        assert_eq!(service(&rules, "c.d", "/"), "nobody");
        assert_eq!(rules.problems, []);
        assert!(read(vec![none], &classes()).ingresses.is_empty());
    }

    #[test]
    fn the_older_ingress_keeps_what_two_claim() {
        let young = ingress(
            "a",
            9,
            json!({"rules": [rule("a.b", "/x", "young")],
            "defaultBackend": {"service": {"name": "y", "port": {"name": "http"}}}}),
        );
        let old = ingress(
            "z",
            1,
            json!({"rules": [rule("a.b", "/x/", "old")],
            "defaultBackend": {"service": {"name": "o", "port": {"name": "http"}}}}),
        );
        let rules = read(vec![young, old], &classes());
        assert_eq!(service(&rules, "a.b", "/x"), "old");
        assert_eq!(service(&rules, "a.b", "/"), "o");
        assert_eq!(service(&rules, "c", "/"), "o");
        let told: Vec<_> = rules
            .problems
            .iter()
            .map(|p| (p.reason, &*p.ingress.name))
            .collect();
        assert_eq!(told, [("PathTaken", "a"), ("DefaultBackendTaken", "a")]);
        assert_eq!(
            rules.problems[0].message,
            "a.b/x is that of Ingress d/z, which is older"
        );
    }

    #[test]
    fn what_cannot_be_done_is_told() {
        let resource = json!({"kind": "Bucket", "name": "b", "apiGroup": "x.y"});
        let spec = json!({"defaultBackend": {"resource": resource}});
        let mut asked = Ingress::clone(&ingress("a", 0, spec));
        let annotations = [
            ("nginx.ingress.kubernetes.io/rewrite-target", "/"),
            ("ingress.hardway.example/nothing", "x"),
            (TO_HTTPS, "yes"),
            ("example.com/owner", "me"),
        ];
        let annotations = annotations.map(|(name, value)| (name.to_owned(), value.to_owned()));
        asked.metadata.annotations = Some(annotations.into());
        let rules = read(vec![Arc::new(asked)], &classes());
        let told: Vec<_> = rules.problems.iter().map(|p| p.reason).collect();
        let unknown = "UnknownAnnotation";
        assert_eq!(told, [unknown, unknown, unknown, "Unsupported"]);
        let target = rules.routes.find("any", "/").unwrap();
        assert_eq!((&target.backend, target.to_https), (&None, false));
    }

    #[test]
    fn certificates_are_for_the_hosts_they_name_or_those_of_the_rules() {
        let tls = json!([{"hosts": ["A.b"], "secretName": "one"}, {"secretName": "two"},
            {"hosts": ["own"]}]);
        let spec = json!({"rules": [rule("*.c.d", "/", "web")], "tls": tls});
        let rules = read(vec![ingress("a", 0, spec)], &classes());
        let told = rules.certificates.iter();
        let told: Vec<_> = told
            .map(|claim| (claim.host.to_string(), &*claim.secret.name))
            .collect();
        assert_eq!(
            told,
            [("a.b".to_owned(), "one"), ("*.c.d".to_owned(), "two")]
        );
    }
}
