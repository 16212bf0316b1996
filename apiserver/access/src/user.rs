//! Who sends a request.

use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Group of the cluster's superusers: every request of theirs is allowed.
pub const MASTERS: &str = "system:masters";
/// Group of everybody whose identity was proven.
pub const AUTHENTICATED: &str = "system:authenticated";
/// Group of everybody else.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
/// Group of flannel-lite's identities, one for each node.
pub const OVERLAY: &str = "system:flannel-lite";
/// Name of everybody else.
pub const ANONYMOUS: &str = "system:anonymous";
/// Prefix of service accounts' user names.
pub const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";

/// A user as authentication tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct User {
    /// Unique name, e.g. `system:node:worker-1`.
    pub name: String,
    /// Stable identifier, where the authenticator knows one.
    pub uid: String,
    /// Groups, e.g. `system:nodes`.
    pub groups: Vec<String>,
    /// More facts, e.g. `authentication.kubernetes.io/pod-name`.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// An authenticated user; `system:authenticated` is added to the groups.
    pub fn new<G: Into<String>>(
        name: impl Into<String>,
        groups: impl IntoIterator<Item = G>,
    ) -> Self {
        let mut groups: Vec<String> = groups.into_iter().map(Into::into).collect();
        if !groups.iter().any(|g| g == AUTHENTICATED) {
            groups.push(AUTHENTICATED.into());
        }
        Self {
            name: name.into(),
            groups,
            ..Self::default()
        }
    }

    /// Somebody without credentials.
    pub fn anonymous() -> Self {
        Self {
            name: ANONYMOUS.into(),
            groups: vec![UNAUTHENTICATED.into()],
            ..Self::default()
        }
    }

    /// A service account.
    pub fn service_account(namespace: &str, name: &str, uid: &str) -> Self {
        let mut user = Self::new(
            format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}"),
            [
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
            ],
        );
        user.uid = uid.into();
        user
    }

    /// Namespace and name, if the user is a service account.
    pub fn as_service_account(&self) -> Option<(&str, &str)> {
        self.name
            .strip_prefix(SERVICE_ACCOUNT_PREFIX)?
            .split_once(':')
    }

    /// Whether the user is in a group.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }

    /// The node's name, if the user is a node (`system:node:NAME` in
    /// `system:nodes`).
    pub fn as_node(&self) -> Option<&str> {
        self.name
            .strip_prefix("system:node:")
            .filter(|n| !n.is_empty() && self.is_in("system:nodes"))
    }

    /// The node's name, if the user is a node's flannel-lite
    /// (`system:flannel-lite:NAME` in `system:flannel-lite`).
    pub fn as_overlay_node(&self) -> Option<&str> {
        self.name
            .strip_prefix(OVERLAY)?
            .strip_prefix(':')
            .filter(|n| !n.is_empty() && self.is_in(OVERLAY))
    }

    /// As `authentication.k8s.io/v1` UserInfo.
    pub fn to_json(&self) -> Value {
        let mut info = json!({});
        if !self.name.is_empty() {
            info["username"] = json!(self.name);
        }
        if !self.uid.is_empty() {
            info["uid"] = json!(self.uid);
        }
        if !self.groups.is_empty() {
            info["groups"] = json!(self.groups);
        }
        if !self.extra.is_empty() {
            info["extra"] = json!(self.extra);
        }
        info
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_nodes_and_service_accounts() {
        assert_eq!(
            User::new("system:node:a", ["system:nodes"]).as_node(),
            Some("a")
        );
        assert_eq!(User::new("system:node:a", ["others"]).as_node(), None);
        let sa = User::service_account("shop", "web", "1");
        assert_eq!(sa.as_service_account(), Some(("shop", "web")));
        assert!(sa.is_in("system:serviceaccounts:shop") && sa.is_in(AUTHENTICATED));
    }
}
