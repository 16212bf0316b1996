//! Authorization: masters, then nodes (by what runs on them), then RBAC.

pub mod escalation;
pub mod node;
pub mod rbac;
pub mod rule;

use crate::{Objects, User, user};
use hardway_proto::Status;
use hardway_proto::fields::FieldSelector;
use std::sync::Arc;

/// What a request wants to do.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    /// Who asks.
    pub user: &'a User,
    /// e.g. `list`; for paths the lower-case HTTP method.
    pub verb: &'a str,
    /// API group; empty for the core group.
    pub group: &'a str,
    /// API version.
    pub version: &'a str,
    /// Plural resource name.
    pub resource: &'a str,
    /// Subresource, or empty.
    pub subresource: &'a str,
    /// Namespace, or empty for all or for cluster scope.
    pub namespace: &'a str,
    /// Object name, or empty.
    pub name: &'a str,
    /// What a list, a watch or the deletion of a collection is limited to.
    pub fields: Option<&'a FieldSelector>,
    /// Path of a request that isn't for a resource, e.g. `/healthz`.
    pub path: &'a str,
    /// Whether the request is for a resource; otherwise `path` counts.
    pub is_resource: bool,
}

impl<'a> Attributes<'a> {
    /// A request for a resource in a namespace (empty: cluster scope or all).
    pub fn resource(
        user: &'a User,
        verb: &'a str,
        group: &'a str,
        resource: &'a str,
        namespace: &'a str,
        name: &'a str,
    ) -> Self {
        Self {
            user,
            verb,
            group,
            version: "*",
            resource,
            subresource: "",
            namespace,
            name,
            fields: None,
            path: "",
            is_resource: true,
        }
    }

    /// A request for a path.
    pub fn path(user: &'a User, verb: &'a str, path: &'a str) -> Self {
        Self {
            path,
            is_resource: false,
            ..Self::resource(user, verb, "", "", "", "")
        }
    }

    /// The same, for a subresource.
    pub fn with_subresource(self, subresource: &'a str) -> Self {
        Self {
            subresource,
            ..self
        }
    }

    /// The same, limited to objects with such fields.
    pub fn limited_to(self, fields: &'a FieldSelector) -> Self {
        Self {
            fields: Some(fields),
            ..self
        }
    }

    /// Whether no object is asked for but those with this value of a field.
    pub fn is_limited_to(&self, field: &str, value: &str) -> bool {
        let requirements = self.fields.map_or(&[][..], FieldSelector::requirements);
        requirements
            .iter()
            .any(|r| r.field == field && r.value == value && !r.negated)
    }

    /// `User "jane" cannot list resource "pods" in API group "" in the
    /// namespace "default"`.
    pub fn refusal(&self) -> String {
        let (user, verb) = (&self.user.name, self.verb);
        if !self.is_resource {
            return format!("User {user:?} cannot {verb} path {:?}", self.path);
        }
        let mut resource = self.resource.to_owned();
        if !self.subresource.is_empty() {
            resource = format!("{resource}/{}", self.subresource);
        }
        let scope = match self.namespace {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace {namespace:?}"),
        };
        let group = self.group;
        format!("User {user:?} cannot {verb} resource {resource:?} in API group {group:?} {scope}")
    }

    /// The 403 of a refused request.
    pub fn forbidden(&self, reason: &str) -> Status {
        let mut why = self.refusal();
        if !reason.is_empty() {
            why = format!("{why}: {reason}");
        }
        let mut status = Status::forbidden(self.group, self.resource, self.name, &why);
        if !self.is_resource {
            status.details = Some(Default::default());
        }
        status
    }
}

/// An authorizer's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go ahead.
    Allow {
        /// Why, for the audit log.
        reason: String,
    },
    /// Refused for good; no other authorizer is asked.
    Deny {
        /// Why, for the user.
        reason: String,
    },
    /// Nobody allowed it; which refuses it too.
    NoOpinion {
        /// Why, for the user.
        reason: String,
    },
}

impl Decision {
    /// Whether the request may go ahead.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow { .. })
    }

    /// Why.
    pub fn reason(&self) -> &str {
        match self {
            Self::Allow { reason } | Self::Deny { reason } | Self::NoOpinion { reason } => reason,
        }
    }
}

/// All authorizers, one after the other.
pub struct Authorizer {
    node: node::NodeAuthorizer,
    rbac: rbac::Rbac,
}

impl Authorizer {
    /// Decides from the roles, bindings and pods found in `objects`.
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self {
            node: node::NodeAuthorizer::new(objects.clone()),
            rbac: rbac::Rbac::new(objects),
        }
    }

    /// May the request go ahead?
    pub fn authorize(&self, attributes: &Attributes) -> Decision {
        if attributes.user.is_in(user::MASTERS) {
            return Decision::Allow {
                reason: String::new(),
            };
        }
        let mut reasons = Vec::new();
        if let Some(node) = attributes.user.as_node() {
            match self.node.authorize(node, attributes) {
                Ok(()) => {
                    return Decision::Allow {
                        reason: String::new(),
                    };
                }
                Err(reason) => reasons.push(reason),
            }
        }
        match self.rbac.authorize(attributes) {
            Ok(reason) => return Decision::Allow { reason },
            Err(reason) => reasons.push(reason),
        }
        reasons.retain(|r| !r.is_empty());
        Decision::NoOpinion {
            reason: reasons.join("\n"),
        }
    }

    /// Like [`authorize`](Self::authorize), with the 403 ready to send.
    pub fn check(&self, attributes: &Attributes) -> Result<(), Status> {
        match self.authorize(attributes) {
            Decision::Allow { .. } => Ok(()),
            refused => Err(attributes.forbidden(refused.reason())),
        }
    }

    /// Everything RBAC allows a user in a namespace (empty: cluster scope).
    pub fn rules_for(&self, user: &User, namespace: &str) -> rbac::Granted {
        self.rbac.rules_for(user, namespace)
    }

    pub(crate) fn rbac(&self) -> &rbac::Rbac {
        &self.rbac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_read_as_in_kubernetes() {
        let jane = User::new("jane", ["dev"]);
        let list = Attributes::resource(&jane, "list", "", "pods", "default", "");
        assert_eq!(
            list.forbidden("").message,
            r#"pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default""#
        );
        let get = Attributes::resource(&jane, "get", "apps", "deployments", "", "web")
            .with_subresource("scale");
        assert_eq!(
            get.forbidden("because").message,
            r#"deployments.apps "web" is forbidden: User "jane" cannot get resource "deployments/scale" in API group "apps" at the cluster scope: because"#
        );
        assert_eq!(
            Attributes::path(&jane, "get", "/metrics")
                .forbidden("")
                .message,
            r#"forbidden: User "jane" cannot get path "/metrics""#
        );
    }

    #[test]
    fn masters_may_do_everything() {
        let authorizer = Authorizer::new(Arc::new(crate::objects::fake::Fake::default()));
        let admin = User::new("admin", ["system:masters"]);
        let jane = User::new("jane", ["dev"]);
        let what = |user| Attributes::resource(user, "delete", "", "nodes", "", "n1");
        assert!(authorizer.check(&what(&admin)).is_ok());
        assert_eq!(authorizer.check(&what(&jane)).unwrap_err().code, 403);
    }
}
