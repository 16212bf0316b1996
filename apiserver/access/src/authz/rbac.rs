//! RBAC: roles and bindings compiled into an index by subject.

use super::{Attributes, rule::Rule};
use crate::objects::{items, parse};
use crate::{Objects, User, text};
use bytes::Bytes;
use hardway_proto::Kind;
use hardway_proto::labels::Selector;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// API group of roles and bindings.
pub const GROUP: &str = "rbac.authorization.k8s.io";
const RESOURCES: [&str; 4] = [
    "clusterroles",
    "roles",
    "clusterrolebindings",
    "rolebindings",
];

/// What RBAC allows somebody somewhere.
#[derive(Clone, Debug, Default)]
pub struct Granted {
    /// All rules, in no particular order.
    pub rules: Vec<Rule>,
    /// Bindings whose role isn't there: why the rules may be incomplete.
    pub errors: Vec<String>,
}

/// The RBAC authorizer.
pub struct Rbac {
    objects: Arc<dyn Objects>,
    index: Mutex<Option<([u64; 4], Arc<Index>)>>,
}

#[derive(Default)]
struct Index {
    /// Rules of ClusterRoles by name, of Roles by `namespace/name`.
    roles: HashMap<String, Arc<[Rule]>>,
    /// Grants by subject: `u:NAME` or `g:NAME`.
    grants: HashMap<String, Vec<Grant>>,
}

struct Grant {
    /// `None`: everywhere.
    namespace: Option<String>,
    /// `None`: the role isn't there.
    rules: Option<Arc<[Rule]>>,
    /// The missing role's not-found message, or how the grant is told.
    describe: String,
}

impl Grant {
    fn reaches(&self, namespace: &str) -> bool {
        self.namespace.as_deref().is_none_or(|ns| ns == namespace)
    }
}

impl Rbac {
    /// Decides from the roles and bindings found in `objects`.
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self {
            objects,
            index: Mutex::new(None),
        }
    }

    /// Allowed with the reason, or refused with the reason.
    pub fn authorize(&self, request: &Attributes) -> Result<String, String> {
        let index = self.index();
        let mut missing = Vec::new();
        for grant in index.grants_of(request.user, request.namespace) {
            match &grant.rules {
                None => missing.push(grant.describe.as_str()),
                Some(rules) if rules.iter().any(|rule| rule.allows(request)) => {
                    return Ok(format!("RBAC: allowed by {}", grant.describe));
                }
                Some(_) => {}
            }
        }
        Err(match missing.as_slice() {
            [] => String::new(),
            [one] => format!("RBAC: {one}"),
            many => format!("RBAC: [{}]", many.join(", ")),
        })
    }

    /// Everything allowed to a user in a namespace (empty: cluster scope).
    pub fn rules_for(&self, user: &User, namespace: &str) -> Granted {
        let mut granted = Granted::default();
        for grant in self.index().grants_of(user, namespace) {
            match &grant.rules {
                Some(rules) => granted.rules.extend(rules.iter().cloned()),
                None => granted.errors.push(grant.describe.clone()),
            }
        }
        granted
    }

    /// The rules of a role: a ClusterRole if `namespace` is empty.
    pub fn role(&self, namespace: &str, name: &str) -> Option<Arc<[Rule]>> {
        self.index().roles.get(&role_key(namespace, name)).cloned()
    }

    fn index(&self) -> Arc<Index> {
        let revisions = RESOURCES.map(|resource| self.objects.revision(GROUP, resource));
        let mut cached = self.index.lock();
        if let Some((at, index)) = cached.as_ref()
            && *at == revisions
        {
            return index.clone();
        }
        let index = Arc::new(Index::build(&*self.objects));
        *cached = Some((revisions, index.clone()));
        index
    }
}

fn role_key(namespace: &str, name: &str) -> String {
    if namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}/{name}")
    }
}

/// The rules written in a role. A rule that can't be read grants nothing.
pub fn rules_of(role: &Value) -> Vec<Rule> {
    items(role, "/rules")
        .iter()
        .filter_map(|rule| Rule::deserialize(rule).ok())
        .collect()
}

/// The rules a ClusterRole comes to: its own, or, if it aggregates, those of
/// all roles its selectors match (which may aggregate in turn).
pub fn effective(role: &Value, all: &[Value]) -> Vec<Rule> {
    let mut path = Vec::new();
    let mut rules = Vec::new();
    collect(role, all, &mut path, &mut rules);
    rules
}

fn collect<'a>(role: &'a Value, all: &'a [Value], path: &mut Vec<&'a str>, rules: &mut Vec<Rule>) {
    let name = text(role, "/metadata/name");
    if path.contains(&name) {
        return;
    }
    if !role.get("aggregationRule").is_some_and(Value::is_object) {
        for rule in rules_of(role) {
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
        return;
    }
    path.push(name);
    for selector in items(role, "/aggregationRule/clusterRoleSelectors") {
        let Ok(selector) = Selector::from_json(selector) else {
            continue;
        };
        for other in all {
            let labels = other.pointer("/metadata/labels");
            if selector.matches_with(|key| labels?.get(key)?.as_str()) {
                collect(other, all, path, rules);
            }
        }
    }
    path.pop();
}

/// All objects of a kind. One that can't be read as what it should be, which nobody
/// wrote through the apiserver, grants nothing: not even by those of its parts that
/// could be read.
fn readable<K: Kind>(objects: &dyn Objects) -> Vec<Value> {
    let of = K::RESOURCE.resource;
    let all = objects.list(GROUP, of, None);
    let read = |bytes: &Bytes| match K::parse(bytes) {
        Ok(_) => parse(bytes),
        Err(error) => {
            let object = parse(bytes).unwrap_or_default();
            let [namespace, name] = ["namespace", "name"]
                .map(|field| text(&object, &format!("/metadata/{field}")).to_owned());
            tracing::error!(%error, of, namespace, name, "what can't be read grants nothing");
            None
        }
    };
    all.iter().filter_map(read).collect()
}

impl Index {
    fn build(objects: &dyn Objects) -> Self {
        let mut index = Self::default();
        let cluster_roles = readable::<ClusterRole>(objects);
        for role in &cluster_roles {
            let rules = effective(role, &cluster_roles);
            index
                .roles
                .insert(role_key("", text(role, "/metadata/name")), rules.into());
        }
        for role in readable::<Role>(objects) {
            let key = role_key(
                text(&role, "/metadata/namespace"),
                text(&role, "/metadata/name"),
            );
            index.roles.insert(key, rules_of(&role).into());
        }
        for binding in readable::<ClusterRoleBinding>(objects) {
            index.bind(&binding, None);
        }
        for binding in readable::<RoleBinding>(objects) {
            index.bind(&binding, Some(text(&binding, "/metadata/namespace")));
        }
        index
    }

    fn bind(&mut self, binding: &Value, namespace: Option<&str>) {
        let (kind, role) = (
            text(binding, "/roleRef/kind"),
            text(binding, "/roleRef/name"),
        );
        let (home, plural) = match (kind, namespace) {
            ("Role", Some(namespace)) => (namespace, "role"),
            ("ClusterRole", _) => ("", "clusterrole"),
            _ => return,
        };
        let rules = self.roles.get(&role_key(home, role)).cloned();
        let name = text(binding, "/metadata/name");
        let title = match namespace {
            Some(namespace) => format!("RoleBinding \"{name}/{namespace}\""),
            None => format!("ClusterRoleBinding {name:?}"),
        };
        for subject in items(binding, "/subjects") {
            let (subject_kind, subject_name) = (text(subject, "/kind"), text(subject, "/name"));
            let mut told = format!("{subject_kind} {subject_name:?}");
            let key = match subject_kind {
                "User" => format!("u:{subject_name}"),
                "Group" => format!("g:{subject_name}"),
                "ServiceAccount" => {
                    let home = match text(subject, "/namespace") {
                        "" => namespace.unwrap_or_default(),
                        explicit => explicit,
                    };
                    if home.is_empty() {
                        continue;
                    }
                    told = format!("{subject_kind} \"{subject_name}/{home}\"");
                    format!(
                        "u:{}{home}:{subject_name}",
                        crate::user::SERVICE_ACCOUNT_PREFIX
                    )
                }
                _ => continue,
            };
            let describe = match rules {
                Some(_) => format!("{title} of {kind} {role:?} to {told}"),
                None => format!("{plural}.{GROUP} {role:?} not found"),
            };
            self.grants.entry(key).or_default().push(Grant {
                namespace: namespace.map(str::to_owned),
                rules: rules.clone(),
                describe,
            });
        }
    }

    fn grants_of<'a>(
        &'a self,
        user: &'a User,
        namespace: &'a str,
    ) -> impl Iterator<Item = &'a Grant> {
        std::iter::once(format!("u:{}", user.name))
            .chain(user.groups.iter().map(|g| format!("g:{g}")))
            .filter_map(|key| self.grants.get(&key))
            .flatten()
            .filter(move |grant| grant.reaches(namespace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::fake::Fake;
    use serde_json::json;

    fn setup() -> (Arc<Fake>, Rbac) {
        let fake = Arc::new(Fake::default());
        let reader = json!([{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}]);
        fake.put(
            GROUP,
            "clusterroles",
            json!({
            "metadata": {"name": "reader", "labels": {"to-all": "true"}}, "rules": reader}),
        );
        fake.put(
            GROUP,
            "clusterroles",
            json!({
            "metadata": {"name": "all"}, "rules": null,
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to-all": "true"}}]}}),
        );
        let rbac = Rbac::new(fake.clone());
        (fake, rbac)
    }

    fn binding(name: &str, namespace: &str, role: &str, subject: Value) -> Value {
        json!({"metadata": {"name": name, "namespace": namespace},
               "roleRef": {"kind": "ClusterRole", "name": role}, "subjects": [subject]})
    }

    #[test]
    fn role_bindings_reach_their_namespace_only() {
        let (fake, rbac) = setup();
        let jane = User::new("jane", ["dev"]);
        let list = |ns| Attributes::resource(&jane, "list", "", "pods", ns, "");
        assert!(rbac.authorize(&list("shop")).is_err());
        fake.put(
            GROUP,
            "rolebindings",
            binding("b", "shop", "all", json!({"kind": "Group", "name": "dev"})),
        );
        assert_eq!(
            rbac.authorize(&list("shop")).unwrap(),
            r#"RBAC: allowed by RoleBinding "b/shop" of ClusterRole "all" to Group "dev""#
        );
        assert!(rbac.authorize(&list("other")).is_err());
        assert!(rbac.authorize(&list("")).is_err());
        assert_eq!(rbac.rules_for(&jane, "shop").rules.len(), 1);
    }

    #[test]
    fn service_accounts_and_missing_roles() {
        let (fake, rbac) = setup();
        let web = User::service_account("shop", "web", "");
        let list = Attributes::resource(&web, "list", "", "pods", "", "");
        let subject = json!({"kind": "ServiceAccount", "name": "web", "namespace": "shop"});
        fake.put(
            GROUP,
            "clusterrolebindings",
            binding("gone", "", "nobody", subject.clone()),
        );
        assert_eq!(
            rbac.authorize(&list).unwrap_err(),
            r#"RBAC: clusterrole.rbac.authorization.k8s.io "nobody" not found"#
        );
        fake.put(
            GROUP,
            "clusterrolebindings",
            binding("b", "", "reader", subject),
        );
        assert_eq!(
            rbac.authorize(&list).unwrap(),
            r#"RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "reader" to ServiceAccount "web/shop""#
        );
    }
}
