//! What extends the API besides custom resource definitions: webhooks, admission
//! policies.

mod webhooks;

use super::field::{Errors, Path};
use super::json::{default_text, get, has, is_empty, list_mut, object_mut, set_default, text};
use super::kind::{Kind, PLAIN, WITH_STATUS};
use serde_json::{Value, json};

fn default_webhooks(configuration: &mut Value, mutating: bool) {
    for hook in list_mut(configuration, "webhooks") {
        default_text(hook, "failurePolicy", "Fail");
        default_text(hook, "matchPolicy", "Equivalent");
        set_default(hook, "namespaceSelector", json!({}));
        set_default(hook, "objectSelector", json!({}));
        set_default(hook, "timeoutSeconds", 10);
        if mutating {
            default_text(hook, "reinvocationPolicy", "Never");
        }
        for rule in list_mut(hook, "rules") {
            default_text(rule, "scope", "*");
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
    validate: |configuration| Errors::collect(|e| webhooks::check(e, configuration)),
    ..PLAIN
};

pub(super) const VALIDATING_WEBHOOKS: Kind = Kind {
    any_finalizer: true,
    default: |configuration| default_webhooks(configuration, false),
    ..MUTATING_WEBHOOKS
};

pub(super) const ADMISSION_POLICY: Kind = Kind {
    any_finalizer: true,
    default: |policy| {
        if let Some(spec) = object_mut(policy, "spec") {
            default_text(spec, "failurePolicy", "Fail");
            if let Some(constraints) = object_mut(spec, "matchConstraints") {
                default_text(constraints, "matchPolicy", "Equivalent");
                set_default(constraints, "namespaceSelector", json!({}));
                set_default(constraints, "objectSelector", json!({}));
                for rule in list_mut(constraints, "resourceRules") {
                    default_text(rule, "scope", "*");
                }
            }
        }
    },
    validate: |policy| {
        Errors::collect(|e| {
            let (path, spec) = (Path::new("spec"), get(policy, "spec"));
            if is_empty(get(spec, "validations")) && is_empty(get(spec, "auditAnnotations")) {
                e.required(
                    &path.child("validations"),
                    "validations or auditAnnotations must be non-empty",
                );
            }
            if !has(spec, "matchConstraints") {
                e.required(&path.child("matchConstraints"), "");
            }
        })
    },
    ..WITH_STATUS
};

pub(super) const ADMISSION_BINDING: Kind = Kind {
    any_finalizer: true,
    generation: true,
    validate: |binding| {
        Errors::collect(|e| {
            let (path, spec) = (Path::new("spec"), get(binding, "spec"));
            if text(spec, "policyName").is_empty() {
                e.required(&path.child("policyName"), "");
            }
            if is_empty(get(spec, "validationActions")) {
                e.required(&path.child("validationActions"), "");
            }
        })
    },
    ..PLAIN
};
