//! One `PolicyRule` of RBAC: what it matches and what it covers.

use super::Attributes;
use serde::{Deserialize, Deserializer, Serialize};

/// A rule of a Role or ClusterRole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    /// e.g. `get`, or `*`.
    #[serde(deserialize_with = "nullable")]
    pub verbs: Vec<String>,
    /// e.g. `apps`, empty for the core group, or `*`.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    /// e.g. `pods`, `pods/log`, `*/scale`, `*`.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Names the rule is limited to; none means all.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    /// Paths, whose last character may be `*`.
    #[serde(
        rename = "nonResourceURLs",
        deserialize_with = "nullable",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub non_resource_urls: Vec<String>,
}

fn nullable<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(input)?.unwrap_or_default())
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|item| item == "*" || item == wanted)
}

impl Rule {
    /// Whether the rule allows a request.
    pub fn allows(&self, request: &Attributes) -> bool {
        if !has(&self.verbs, request.verb) {
            return false;
        }
        if !request.is_resource {
            return self.matches_path(request.path);
        }
        has(&self.api_groups, request.group)
            && self.matches_resource(request.resource, request.subresource)
            && (self.resource_names.is_empty()
                || self.resource_names.iter().any(|n| n == request.name))
    }

    fn matches_resource(&self, resource: &str, subresource: &str) -> bool {
        self.resources.iter().any(|allowed| {
            if subresource.is_empty() {
                return allowed == "*" || allowed == resource;
            }
            match allowed.split_once('/') {
                None => allowed == "*",
                Some((r, s)) => s == subresource && (r == "*" || r == resource),
            }
        })
    }

    fn matches_path(&self, path: &str) -> bool {
        self.non_resource_urls
            .iter()
            .any(|allowed| path_covers(allowed, path))
    }

    /// The rule, split so that each piece has one verb and one group, resource
    /// and name, or one path.
    pub fn pieces(&self) -> Vec<Rule> {
        let one = |s: &String| vec![s.clone()];
        let mut pieces = Vec::new();
        for verb in &self.verbs {
            for group in &self.api_groups {
                for resource in &self.resources {
                    let piece = Rule {
                        verbs: one(verb),
                        api_groups: one(group),
                        resources: one(resource),
                        ..Rule::default()
                    };
                    if self.resource_names.is_empty() {
                        pieces.push(piece.clone());
                    }
                    pieces.extend(self.resource_names.iter().map(|name| Rule {
                        resource_names: one(name),
                        ..piece.clone()
                    }));
                }
            }
            pieces.extend(self.non_resource_urls.iter().map(|url| Rule {
                verbs: one(verb),
                non_resource_urls: one(url),
                ..Rule::default()
            }));
        }
        pieces
    }

    /// Whether the rule allows everything a piece allows.
    pub fn covers(&self, piece: &Rule) -> bool {
        let all = |wide: &[String], narrow: &[String]| narrow.iter().all(|n| has(wide, n));
        all(&self.verbs, &piece.verbs)
            && all(&self.api_groups, &piece.api_groups)
            && piece.resources.iter().all(|wanted| {
                let any = match wanted.split_once('/') {
                    Some((_, subresource)) => format!("*/{subresource}"),
                    None => "*".to_owned(),
                };
                has(&self.resources, wanted) || self.resources.contains(&any)
            })
            && (self.resource_names.is_empty()
                || (!piece.resource_names.is_empty()
                    && piece
                        .resource_names
                        .iter()
                        .all(|n| self.resource_names.contains(n))))
            && piece.non_resource_urls.iter().all(|url| {
                self.non_resource_urls
                    .iter()
                    .any(|allowed| path_covers(allowed, url))
            })
    }
}

/// Whether a path or path pattern lies within a pattern.
fn path_covers(pattern: &str, path: &str) -> bool {
    pattern == path
        || pattern
            .strip_suffix('*')
            .is_some_and(|prefix| path.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::User;

    fn rule(verbs: &[&str], groups: &[&str], resources: &[&str], names: &[&str]) -> Rule {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        Rule {
            verbs: own(verbs),
            api_groups: own(groups),
            resources: own(resources),
            resource_names: own(names),
            non_resource_urls: Vec::new(),
        }
    }

    #[test]
    fn stars_and_subresources() {
        let user = User::new("jane", ["dev"]);
        let get =
            |sub| Attributes::resource(&user, "get", "", "pods", "a", "x").with_subresource(sub);
        assert!(rule(&["get"], &[""], &["pods"], &[]).allows(&get("")));
        assert!(!rule(&["get"], &[""], &["pods"], &[]).allows(&get("log")));
        assert!(rule(&["*"], &["*"], &["*"], &[]).allows(&get("log")));
        assert!(rule(&["get"], &[""], &["*/log"], &[]).allows(&get("log")));
        assert!(!rule(&["get"], &[""], &["*/log"], &[]).allows(&get("exec")));
        assert!(rule(&["get"], &[""], &["pods"], &["x"]).allows(&get("")));
        assert!(!rule(&["get"], &[""], &["pods"], &["y"]).allows(&get("")));
    }

    #[test]
    fn paths_end_in_a_star() {
        let user = User::new("jane", ["dev"]);
        let rule = Rule {
            verbs: vec!["get".into()],
            non_resource_urls: vec!["/healthz".into(), "/apis/*".into()],
            ..Rule::default()
        };
        let allowed = |path| rule.allows(&Attributes::path(&user, "get", path));
        assert!(allowed("/healthz") && allowed("/apis/apps/v1"));
        assert!(!allowed("/healthz/etcd") && !allowed("/api"));
    }

    #[test]
    fn covering_needs_every_part() {
        let wide = rule(&["*"], &[""], &["pods", "*/scale"], &[]);
        assert!(wide.covers(&rule(&["get"], &[""], &["pods"], &["x"])));
        assert!(wide.covers(&rule(&["get"], &[""], &["rc/scale"], &[])));
        assert!(!wide.covers(&rule(&["get"], &["apps"], &["pods"], &[])));
        assert!(!rule(&["get"], &[""], &["pods"], &["x"]).covers(&rule(
            &["get"],
            &[""],
            &["pods"],
            &[]
        )));
    }
}
