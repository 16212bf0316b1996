//! What is said along with a verb: which objects to watch, how to patch, how to delete.

use serde_json::{Value, json};

/// What to watch, and from where.
#[derive(Clone, Debug, Default)]
pub struct WatchParams {
    /// Label selector, e.g. `app=web`.
    pub labels: String,
    /// Field selector, e.g. `spec.nodeName=n1`.
    pub fields: String,
    /// Resource version after which to start.
    pub resource_version: String,
    /// Whether existing objects come first, as ADDED.
    pub send_initial_events: bool,
}

/// A patch of one of Kubernetes' four types.
#[derive(Clone, Copy, Debug)]
pub enum Patch<'a> {
    /// RFC 6902.
    Json(&'a Value),
    /// RFC 7386.
    Merge(&'a Value),
    /// Kubernetes' strategic merge patch.
    Strategic(&'a Value),
    /// Server-side apply; takes over fields that others own.
    Apply(&'a Value),
}

/// How to delete.
#[derive(Clone, Debug, Default)]
pub struct DeleteParams {
    /// Seconds for the object to go; `None` leaves it to the kind.
    pub grace_period_seconds: Option<i64>,
    /// Only the object with this UID.
    pub uid: Option<String>,
    /// Only at this resource version.
    pub resource_version: Option<String>,
    /// `Foreground`, `Background` or `Orphan`.
    pub propagation_policy: Option<&'static str>,
}

impl DeleteParams {
    /// At once, and only the object with this UID.
    pub fn now(uid: &str) -> Self {
        Self {
            grace_period_seconds: Some(0),
            ..Self::of(uid)
        }
    }

    /// Gracefully, and only the object with this UID.
    pub fn of(uid: &str) -> Self {
        Self {
            uid: Some(uid.into()),
            ..Default::default()
        }
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
        if let Some(seconds) = self.grace_period_seconds {
            options["gracePeriodSeconds"] = seconds.into();
        }
        if let Some(uid) = &self.uid {
            options["preconditions"]["uid"] = uid.as_str().into();
        }
        if let Some(version) = &self.resource_version {
            options["preconditions"]["resourceVersion"] = version.as_str().into();
        }
        if let Some(policy) = self.propagation_policy {
            options["propagationPolicy"] = policy.into();
        }
        options.to_string().into_bytes()
    }
}
