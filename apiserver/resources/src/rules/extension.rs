//! What extends the API besides custom resource definitions: webhooks, admission
//! policies.

mod bindings;
mod match_conditions;
mod match_resources;
mod mutating_policies;
mod policies;
mod stored;
mod validating_policies;
mod webhooks;

pub(super) use bindings::{MUTATING_BINDING, VALIDATING_BINDING};
pub(super) use mutating_policies::MUTATING_POLICY;
pub(super) use validating_policies::VALIDATING_POLICY;

use super::field::Errors;
use super::json::{list_mut, object_mut, set_default};
use super::kind::{Kind, PLAIN};
use serde_json::{Value, json};

fn default_webhooks(configuration: &mut Value, mutating: bool) {
    for hook in list_mut(configuration, "webhooks") {
        set_default(hook, "failurePolicy", "Fail");
        set_default(hook, "matchPolicy", "Equivalent");
        set_default(hook, "namespaceSelector", json!({}));
        set_default(hook, "objectSelector", json!({}));
        set_default(hook, "timeoutSeconds", 10);
        if mutating {
            set_default(hook, "reinvocationPolicy", "Never");
        }
        for rule in list_mut(hook, "rules") {
            set_default(rule, "scope", "*");
        }
        if let Some(service) =
            object_mut(hook, "clientConfig").and_then(|c| object_mut(c, "service"))
        {
            set_default(service, "port", 443);
        }
    }
}

pub(super) const MUTATING_WEBHOOKS: Kind = Kind {
    any_finalizer: true,
    generation: true,
    default: |configuration| default_webhooks(configuration, true),
    validate: |new| Errors::collect(|e| webhooks::check(e, new, None)),
    validate_changed: Some(|new, old| Errors::collect(|e| webhooks::check(e, new, Some(old)))),
    ..PLAIN
};

pub(super) const VALIDATING_WEBHOOKS: Kind = Kind {
    any_finalizer: true,
    default: |configuration| default_webhooks(configuration, false),
    ..MUTATING_WEBHOOKS
};
