//! What extends the API besides custom resource definitions: webhooks, admission
//! policies.

use super::client_config;
use super::field::{Errors, Path};
use super::json::{
    default_number, default_text, get, has, int, is_empty, list, list_mut, object_mut, set_default,
    text,
};
use super::kind::{Kind, PLAIN, WITH_STATUS};
use hardway_proto::names;
use serde_json::{Value, json};
use std::collections::BTreeSet;

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
            default_number(service, "port", 443);
        }
    }
}

fn check_webhooks(e: &mut Errors, configuration: &Value) {
    let mut seen = BTreeSet::new();
    for (i, hook) in list(configuration, "webhooks").iter().enumerate() {
        let path = Path::new("webhooks").index(i);
        let name = text(hook, "name");
        e.each(&path.child("name"), name, names::is_dns1123_subdomain(name));
        if name.split('.').count() < 3 {
            e.invalid(
                &path.child("name"),
                name,
                "should be a domain with at least three segments separated by dots",
            );
        }
        if !seen.insert(name) {
            e.duplicate(&path.child("name"), name);
        }
        let effects = text(hook, "sideEffects");
        if effects.is_empty() {
            e.required(
                &path.child("sideEffects"),
                "must specify one of None, NoneOnDryRun",
            );
        }
        e.one_of(
            &path.child("sideEffects"),
            effects,
            &["None", "NoneOnDryRun"],
        );
        e.one_of(
            &path.child("failurePolicy"),
            text(hook, "failurePolicy"),
            &["Fail", "Ignore"],
        );
        e.one_of(
            &path.child("matchPolicy"),
            text(hook, "matchPolicy"),
            &["Equivalent", "Exact"],
        );
        let seconds = int(hook, "timeoutSeconds").unwrap_or(10);
        if !(1..=30).contains(&seconds) {
            e.invalid(
                &path.child("timeoutSeconds"),
                seconds,
                "the timeout value must be between 1 and 30 seconds",
            );
        }
        let accepted = list(hook, "admissionReviewVersions");
        if accepted.is_empty() {
            e.required(
                &path.child("admissionReviewVersions"),
                "must specify one of v1, v1beta1",
            );
        } else if !accepted.iter().any(|v| v == "v1" || v == "v1beta1") {
            e.invalid(
                &path.child("admissionReviewVersions"),
                get(hook, "admissionReviewVersions"),
                "must include at least one of v1, v1beta1",
            );
        }
        client_config::check(e, &path.child("clientConfig"), get(hook, "clientConfig"));
    }
}

pub(super) const MUTATING_WEBHOOKS: Kind = Kind {
    any_finalizer: true,
    generation: true,
    default: |configuration| default_webhooks(configuration, true),
    validate: |configuration| Errors::collect(|e| check_webhooks(e, configuration)),
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
