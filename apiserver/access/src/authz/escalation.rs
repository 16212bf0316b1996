//! Nobody grants what they don't hold, unless allowed to `escalate` or `bind`.

use super::rbac::{GROUP, rules_of};
use super::rule::Rule;
use super::{Attributes, Authorizer};
use crate::{User, text, user};
use hardway_proto::Status;
use serde_json::Value;

/// Checks a create (`old` absent) or update of a role or binding by `user`.
pub fn check(
    authorizer: &Authorizer,
    user: &User,
    resource: &str,
    namespace: &str,
    new: &Value,
    old: Option<&Value>,
) -> Result<(), Status> {
    if user.is_in(user::MASTERS) {
        return Ok(());
    }
    let attempt = Attempt {
        authorizer,
        user,
        resource,
        namespace,
        name: text(new, "/metadata/name"),
    };
    match resource {
        "roles" | "clusterroles" => attempt.role(new, old),
        "rolebindings" | "clusterrolebindings" => attempt.binding(new, old),
        _ => Ok(()),
    }
}

struct Attempt<'a> {
    authorizer: &'a Authorizer,
    user: &'a User,
    resource: &'a str,
    namespace: &'a str,
    name: &'a str,
}

impl Attempt<'_> {
    fn may(&self, verb: &str, resource: &str, name: &str) -> bool {
        let asked = Attributes::resource(self.user, verb, GROUP, resource, self.namespace, name);
        self.authorizer.authorize(&asked).is_allowed()
    }

    fn role(&self, new: &Value, old: Option<&Value>) -> Result<(), Status> {
        let same = |field| old.is_some_and(|old| old.get(field) == new.get(field));
        if same("rules") && same("aggregationRule")
            || self.may("escalate", self.resource, self.name)
        {
            return Ok(());
        }
        if new.get("aggregationRule").is_some_and(Value::is_object) && !same("aggregationRule") {
            let everything = Rule {
                verbs: vec!["*".into()],
                api_groups: vec!["*".into()],
                resources: vec!["*".into()],
                ..Rule::default()
            };
            let paths = Rule {
                verbs: vec!["*".into()],
                non_resource_urls: vec!["*".into()],
                ..Rule::default()
            };
            if self.lacks(&[everything, paths]).is_some() {
                return Err(
                    self.forbidden("must have cluster-admin privileges to use the aggregationRule")
                );
            }
        }
        self.refuse(self.lacks(&rules_of(new)))
    }

    fn binding(&self, new: &Value, old: Option<&Value>) -> Result<(), Status> {
        let same = |field| old.is_some_and(|old| old.get(field) == new.get(field));
        if same("roleRef") && same("subjects") {
            return Ok(());
        }
        let role = text(new, "/roleRef/name");
        let (resource, home) = match text(new, "/roleRef/kind") {
            "Role" => ("roles", self.namespace),
            _ => ("clusterroles", ""),
        };
        if self.may("bind", resource, role) {
            return Ok(());
        }
        let rules = self
            .authorizer
            .rbac()
            .role(home, role)
            .ok_or_else(|| Status::not_found(GROUP, resource, role))?;
        self.refuse(self.lacks(&rules))
    }

    /// What of the rules the user doesn't hold, and why that may be incomplete.
    fn lacks(&self, rules: &[Rule]) -> Option<(Vec<Rule>, Vec<String>)> {
        let held = self.authorizer.rules_for(self.user, self.namespace);
        let missing: Vec<Rule> = rules
            .iter()
            .flat_map(Rule::pieces)
            .filter(|piece| !held.rules.iter().any(|rule| rule.covers(piece)))
            .collect();
        (!missing.is_empty()).then_some((missing, held.errors))
    }

    fn refuse(&self, lacking: Option<(Vec<Rule>, Vec<String>)>) -> Result<(), Status> {
        let Some((missing, errors)) = lacking else {
            return Ok(());
        };
        let mut told: Vec<String> = compact(missing).iter().map(describe).collect();
        told.sort();
        let mut why = format!(
            "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
            self.user.name,
            quoted(&self.user.groups),
            told.join("\n")
        );
        if !errors.is_empty() {
            why = format!("{why}; resolution errors: [{}]", errors.join(", "));
        }
        Err(self.forbidden(&why))
    }

    fn forbidden(&self, why: &str) -> Status {
        Status::forbidden(GROUP, self.resource, self.name, why)
    }
}

/// Pieces that differ in their verb only become one rule.
fn compact(pieces: Vec<Rule>) -> Vec<Rule> {
    let mut compacted: Vec<Rule> = Vec::new();
    for piece in pieces {
        let twin = compacted.iter_mut().find(|rule| {
            rule.api_groups == piece.api_groups
                && rule.resources == piece.resources
                && rule.resource_names == piece.resource_names
                && rule.non_resource_urls == piece.non_resource_urls
        });
        match twin {
            Some(rule) => {
                for verb in piece.verbs {
                    if !rule.verbs.contains(&verb) {
                        rule.verbs.push(verb);
                    }
                }
            }
            None => compacted.push(piece),
        }
    }
    compacted
}

/// `{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}`.
fn describe(rule: &Rule) -> String {
    let parts = [
        ("APIGroups", &rule.api_groups),
        ("NonResourceURLs", &rule.non_resource_urls),
        ("Resources", &rule.resources),
        ("ResourceNames", &rule.resource_names),
        ("Verbs", &rule.verbs),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(name, list)| format!("{name}:{}", quoted(list)))
        .collect();
    format!("{{{}}}", parts.join(", "))
}

fn quoted(list: &[String]) -> String {
    let quoted: Vec<String> = list.iter().map(|s| format!("{s:?}")).collect();
    format!("[{}]", quoted.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::fake::Fake;
    use serde_json::json;
    use std::sync::Arc;

    fn setup() -> (Authorizer, User) {
        let fake = Fake::default();
        let role = |name: &str, rules: Value| json!({"metadata": {"name": name}, "rules": rules});
        fake.put(
            GROUP,
            "clusterroles",
            role(
                "reader",
                json!([{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}]),
            ),
        );
        fake.put(
            GROUP,
            "clusterroles",
            role(
                "owner",
                json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]),
            ),
        );
        fake.put(
            GROUP,
            "rolebindings",
            json!({
            "metadata": {"name": "b", "namespace": "shop"},
            "roleRef": {"kind": "ClusterRole", "name": "reader"},
            "subjects": [{"kind": "User", "name": "jane"}]}),
        );
        (Authorizer::new(Arc::new(fake)), User::new("jane", ["dev"]))
    }

    #[test]
    fn roles_grant_no_more_than_is_held() {
        let (authorizer, jane) = setup();
        let role = |verbs: Value| {
            json!({
            "metadata": {"name": "r"},
            "rules": [{"verbs": verbs, "apiGroups": [""], "resources": ["pods"]}]})
        };
        let create = |role: &Value, old| check(&authorizer, &jane, "roles", "shop", role, old);
        assert!(create(&role(json!(["get"])), None).is_ok());
        let wide = role(json!(["get", "create", "delete"]));
        assert_eq!(
            create(&wide, None).unwrap_err().message,
            "roles.rbac.authorization.k8s.io \"r\" is forbidden: user \"jane\" (groups=[\"dev\" \"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"create\" \"delete\"]}"
        );
        assert!(create(&wide, Some(&wide)).is_ok());
        let admin = User::new("admin", ["system:masters"]);
        assert!(check(&authorizer, &admin, "roles", "shop", &wide, None).is_ok());
    }

    #[test]
    fn bindings_bind_no_more_than_is_held() {
        let (authorizer, jane) = setup();
        let bind = |role: &str| {
            let binding = json!({
                "metadata": {"name": "x"}, "roleRef": {"kind": "ClusterRole", "name": role},
                "subjects": [{"kind": "User", "name": "joe"}]});
            check(&authorizer, &jane, "rolebindings", "shop", &binding, None)
        };
        assert!(bind("reader").is_ok());
        assert_eq!(bind("owner").unwrap_err().code, 403);
        assert!(bind("nothing").unwrap_err().is_not_found());
    }
}
