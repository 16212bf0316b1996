//! The audit policy file: how much of which request is kept.

use super::Request;
use serde::Deserialize;

/// How much is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Level {
    /// Nothing.
    None,
    /// Who, what, when; no bodies.
    #[default]
    Metadata,
    /// And the request's body.
    Request,
    /// And the response's body.
    RequestResponse,
}

impl Level {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Metadata => "Metadata",
            Self::Request => "Request",
            Self::RequestResponse => "RequestResponse",
        }
    }
}

/// When an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Stage {
    /// The request has been read.
    RequestReceived,
    /// A long response has begun.
    ResponseStarted,
    /// The response is out.
    ResponseComplete,
    /// The server failed over the request.
    Panic,
}

impl Stage {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::RequestReceived => "RequestReceived",
            Self::ResponseStarted => "ResponseStarted",
            Self::ResponseComplete => "ResponseComplete",
            Self::Panic => "Panic",
        }
    }
}

/// A policy file that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("audit policy: {0}")]
pub struct PolicyError(String);

/// An `audit.k8s.io/v1` Policy.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    api_version: String,
    kind: String,
    #[serde(default, rename = "metadata")]
    _metadata: serde_json::Value,
    rules: Vec<PolicyRule>,
    #[serde(default)]
    omit_stages: Vec<Stage>,
    #[serde(default, rename = "omitManagedFields")]
    _omit_managed_fields: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct PolicyRule {
    level: Level,
    users: Vec<String>,
    user_groups: Vec<String>,
    verbs: Vec<String>,
    resources: Vec<GroupResources>,
    namespaces: Vec<String>,
    #[serde(rename = "nonResourceURLs")]
    non_resource_urls: Vec<String>,
    omit_stages: Vec<Stage>,
    #[serde(rename = "omitManagedFields")]
    _omit_managed_fields: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct GroupResources {
    group: String,
    resources: Vec<String>,
    resource_names: Vec<String>,
}

impl Default for Policy {
    /// Metadata of everything once it is answered.
    fn default() -> Self {
        Self {
            api_version: "audit.k8s.io/v1".into(),
            kind: "Policy".into(),
            _metadata: serde_json::Value::Null,
            rules: vec![PolicyRule::default()],
            omit_stages: vec![Stage::RequestReceived],
            _omit_managed_fields: false,
        }
    }
}

impl Policy {
    /// Reads a policy file's text (YAML or JSON).
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let policy: Self =
            serde_yaml::from_str(text).map_err(|error| PolicyError(error.to_string()))?;
        if (policy.api_version.as_str(), policy.kind.as_str()) != ("audit.k8s.io/v1", "Policy") {
            return Err(PolicyError(format!(
                "is a {} {}; write apiVersion: audit.k8s.io/v1 and kind: Policy",
                policy.api_version, policy.kind
            )));
        }
        if policy.rules.is_empty() {
            return Err(PolicyError(
                "has no rules and would log nothing; add at least `- level: Metadata`".into(),
            ));
        }
        Ok(policy)
    }

    /// How much of a request is kept, and which stages are not: the first rule
    /// that matches decides.
    pub(super) fn decide(&self, request: &Request) -> (Level, Vec<Stage>) {
        match self.rules.iter().find(|rule| rule.matches(request)) {
            None => (Level::None, Vec::new()),
            Some(rule) => {
                let mut omitted = self.omit_stages.clone();
                omitted.extend(&rule.omit_stages);
                (rule.level, omitted)
            }
        }
    }
}

impl PolicyRule {
    fn matches(&self, request: &Request) -> bool {
        let any = |list: &[String], wanted: &str| list.iter().any(|x| x == wanted || x == "*");
        let user = request.impersonated.unwrap_or(request.user);
        if !self.users.is_empty() && !any(&self.users, &user.name) {
            return false;
        }
        if !self.user_groups.is_empty() && !self.user_groups.iter().any(|g| user.is_in(g)) {
            return false;
        }
        if !self.verbs.is_empty() && !any(&self.verbs, request.verb) {
            return false;
        }
        if request.resource.is_empty() {
            let path = request.path();
            return match (self.non_resource_urls.is_empty(), self.resources.is_empty()) {
                (true, true) => self.namespaces.is_empty(),
                (true, false) => false,
                (false, _) => self.non_resource_urls.iter().any(|url| {
                    url == path || url.strip_suffix('*').is_some_and(|p| path.starts_with(p))
                }),
            };
        }
        if self.resources.is_empty() {
            return self.non_resource_urls.is_empty() && self.in_namespace(request);
        }
        self.in_namespace(request) && self.resources.iter().any(|group| group.matches(request))
    }

    fn in_namespace(&self, request: &Request) -> bool {
        self.namespaces.is_empty() || self.namespaces.iter().any(|n| n == request.namespace)
    }
}

impl GroupResources {
    fn matches(&self, request: &Request) -> bool {
        let full = match request.subresource {
            "" => request.resource.to_owned(),
            subresource => format!("{}/{subresource}", request.resource),
        };
        let named = |wanted: &String| {
            *wanted == full
                || wanted == "*"
                || wanted
                    .strip_prefix("*/")
                    .is_some_and(|s| s == request.subresource)
                || wanted
                    .strip_suffix("/*")
                    .is_some_and(|r| r == request.resource)
        };
        self.group == request.group
            && (self.resources.is_empty() || self.resources.iter().any(named))
            && (self.resource_names.is_empty()
                || self.resource_names.iter().any(|n| n == request.name))
    }
}
