//! Which schema a request belongs to.

use crate::spec::{FlowSchema, PathRule, ResourceRule, Rule, Subject};

/// A request, as flow schemas see it.
#[derive(Clone, Copy, Debug)]
pub struct Digest<'a> {
    /// Who asks.
    pub user: &'a str,
    /// The groups they are in.
    pub groups: &'a [String],
    /// As RBAC names it; for a path, the method in lower case.
    pub verb: &'a str,
    /// The path, of a request that is about no resource.
    pub path: Option<&'a str>,
    /// API group of the resource.
    pub group: &'a str,
    /// Its plural name.
    pub resource: &'a str,
    /// Subresource, or empty.
    pub subresource: &'a str,
    /// Namespace, or empty.
    pub namespace: &'a str,
}

const ANY: &str = "*";
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// Whether a request is one of a schema's own.
pub fn matches(schema: &FlowSchema, request: &Digest<'_>) -> bool {
    schema.rules.iter().any(|rule| rule.matches(request))
}

impl Rule {
    fn matches(&self, request: &Digest<'_>) -> bool {
        // What is asked for tells more requests apart than who asks.
        let asked = match request.path {
            Some(path) => self.paths.iter().any(|r| r.matches(request.verb, path)),
            None => self.resources.iter().any(|rule| rule.matches(request)),
        };
        asked && self.subjects.iter().any(|subject| subject.is(request))
    }
}

impl Subject {
    fn is(&self, request: &Digest<'_>) -> bool {
        match self {
            Self::User(name) => name == ANY || name == request.user,
            Self::Group(name) => name == ANY || request.groups.iter().any(|group| group == name),
            Self::ServiceAccount(namespace, name) => {
                let account = request
                    .user
                    .strip_prefix(SERVICE_ACCOUNT)
                    .and_then(|account| account.split_once(':'));
                account.is_some_and(|(of, account)| {
                    of == namespace && (name == ANY || name == account)
                })
            }
        }
    }
}

fn has(list: &[String], value: &str) -> bool {
    list.iter().any(|item| item == ANY || item == value)
}

impl ResourceRule {
    fn matches(&self, request: &Digest<'_>) -> bool {
        let scope = match request.namespace {
            "" => self.cluster_scope,
            namespace => has(&self.namespaces, namespace),
        };
        scope
            && has(&self.verbs, request.verb)
            && has(&self.groups, request.group)
            && self.resources.iter().any(|rule| {
                rule == ANY
                    || match request.subresource {
                        "" => rule == request.resource,
                        subresource => {
                            rule.split_once('/') == Some((request.resource, subresource))
                        }
                    }
            })
    }
}

impl PathRule {
    fn matches(&self, verb: &str, path: &str) -> bool {
        has(&self.verbs, verb)
            && self.urls.iter().any(|url| match url.strip_suffix('*') {
                Some(start) => path.starts_with(start),
                None => url == path,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn schema(subjects: Value, rules: Value) -> FlowSchema {
        let mut rule = rules;
        rule["subjects"] = subjects;
        let object = json!({"metadata": {"name": "x"}, "spec": {"rules": [rule]}});
        FlowSchema::parse(object.to_string().as_bytes()).unwrap()
    }

    fn everything() -> Value {
        json!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"],
                "namespaces": ["*"], "clusterScope": true}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        })
    }

    const PODS: Digest<'static> = Digest {
        user: "jane",
        groups: &[],
        verb: "list",
        path: None,
        group: "",
        resource: "pods",
        subresource: "",
        namespace: "a",
    };

    #[test]
    fn subjects() {
        let of = |subject: Value, user: &str, groups: &[&str]| {
            let groups: Vec<String> = groups.iter().map(|g| (*g).to_owned()).collect();
            let request = Digest {
                user,
                groups: &groups,
                ..PODS
            };
            matches(&schema(json!([subject]), everything()), &request)
        };
        let user = |name: &str| json!({"kind": "User", "user": {"name": name}});
        assert!(of(user("jane"), "jane", &[]));
        assert!(of(user("*"), "joe", &[]));
        assert!(!of(user("jane"), "joe", &[]));
        let group = json!({"kind": "Group", "group": {"name": "dev"}});
        assert!(of(group.clone(), "joe", &["ops", "dev"]));
        assert!(!of(group, "joe", &["ops"]));
        let account = |name: &str| {
            json!({"kind": "ServiceAccount",
                "serviceAccount": {"namespace": "kube-system", "name": name}})
        };
        let dns = "system:serviceaccount:kube-system:dns";
        assert!(of(account("*"), dns, &[]));
        assert!(of(account("dns"), dns, &[]));
        assert!(!of(account("other"), dns, &[]));
        assert!(!of(account("*"), "system:serviceaccount:default:dns", &[]));
        assert!(!of(account("*"), "dns", &[]));
    }

    #[test]
    fn resources_verbs_and_scope() {
        let anybody = json!([{"kind": "User", "user": {"name": "*"}}]);
        let of = |rule: Value| schema(anybody.clone(), json!({"resourceRules": [rule]}));
        let nodes = of(json!({"verbs": ["get"], "apiGroups": [""],
            "resources": ["nodes", "nodes/status"], "clusterScope": true}));
        let node = Digest {
            verb: "get",
            resource: "nodes",
            namespace: "",
            ..PODS
        };
        assert!(matches(&nodes, &node));
        assert!(matches(
            &nodes,
            &Digest {
                subresource: "status",
                ..node
            }
        ));
        assert!(!matches(
            &nodes,
            &Digest {
                subresource: "proxy",
                ..node
            }
        ));
        assert!(!matches(
            &nodes,
            &Digest {
                verb: "list",
                ..node
            }
        ));
        assert!(!matches(&nodes, &Digest { group: "x", ..node }));
        assert!(!matches(
            &nodes,
            &Digest {
                namespace: "a",
                ..node
            }
        ));
        let leases = of(json!({"verbs": ["*"], "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"], "namespaces": ["a", "b"]}));
        let lease = Digest {
            group: "coordination.k8s.io",
            resource: "leases",
            ..PODS
        };
        assert!(matches(&leases, &lease));
        assert!(!matches(
            &leases,
            &Digest {
                namespace: "c",
                ..lease
            }
        ));
        assert!(!matches(
            &leases,
            &Digest {
                namespace: "",
                ..lease
            }
        ));
        assert!(!matches(
            &leases,
            &Digest {
                path: Some("/x"),
                ..lease
            }
        ));
    }

    #[test]
    fn paths() {
        let anybody = json!([{"kind": "Group", "group": {"name": "*"}}]);
        let rule = json!({"nonResourceRules": [
            {"verbs": ["get"], "nonResourceURLs": ["/healthz", "/apis/*"]}]});
        let schema = schema(anybody, rule);
        let get = |path| Digest {
            verb: "get",
            path: Some(path),
            ..PODS
        };
        assert!(matches(&schema, &get("/healthz")));
        assert!(matches(&schema, &get("/apis/apps/v1")));
        assert!(!matches(&schema, &get("/healthz/etcd")));
        assert!(!matches(
            &schema,
            &Digest {
                verb: "post",
                ..get("/healthz")
            }
        ));
        assert!(!matches(&schema, &PODS));
    }
}
