//! What extends the API: custom resource definitions, webhooks, admission
//! policies.

use super::field::{Errors, Path};
use super::json::{
    default_number, default_text, ensure_object, flag, get, has, int, is_empty, list, list_mut,
    object_mut, set, set_default, text,
};
use super::kind::{Kind, PLAIN, WITH_STATUS};
use crate::custom::bad_patterns;
use hardway_proto::names;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn default_definition(definition: &mut Value) {
    let Some(spec) = object_mut(definition, "spec") else {
        return;
    };
    if let Some(conversion) = ensure_object(spec, "conversion") {
        default_text(conversion, "strategy", "None");
    }
    if let Some(names) = object_mut(spec, "names") {
        let kind = text(names, "kind").to_owned();
        default_text(names, "singular", &kind.to_lowercase());
        default_text(names, "listKind", &format!("{kind}List"));
    }
    for version in list_mut(spec, "versions") {
        for column in list_mut(version, "additionalPrinterColumns") {
            if has(column, "jsonPath") {
                continue;
            }
            // v1 always says `jsonPath`; the older spelling is read too.
            if let Some(path) = super::json::remove(column, "JSONPath") {
                set(column, "jsonPath", path);
            }
        }
    }
}

fn check_definition(e: &mut Errors, definition: &Value) {
    let (path, spec) = (Path::new("spec"), get(definition, "spec"));
    let group = text(spec, "group");
    let at = path.child("group");
    if group.is_empty() {
        e.required(&at, "");
    } else {
        e.each(&at, group, names::is_dns1123_subdomain(group));
        if !group.contains('.') {
            e.invalid(&at, group, "should be a domain with at least one dot");
        }
    }
    let own = get(spec, "names");
    let expected = format!("{}.{group}", text(own, "plural"));
    let name = text(get(definition, "metadata"), "name");
    if name != expected {
        e.invalid(
            &Path::new("metadata.name"),
            name,
            "must be spec.names.plural+\".\"+spec.group",
        );
    }
    let scope = text(spec, "scope");
    if scope.is_empty() {
        e.required(&path.child("scope"), "");
    }
    e.one_of(&path.child("scope"), scope, &["Cluster", "Namespaced"]);
    let at = path.child("names");
    for (field, lower) in [
        ("plural", true),
        ("singular", true),
        ("kind", false),
        ("listKind", false),
    ] {
        let value = text(own, field);
        if value.is_empty() {
            e.required(&at.child(field), "");
        } else if lower {
            e.each(&at.child(field), value, names::is_dns1035_label(value));
        } else {
            e.each(
                &at.child(field),
                value,
                names::is_dns1035_label(&value.to_lowercase()),
            );
        }
    }
    for (i, short) in list(own, "shortNames").iter().enumerate() {
        let short = short.as_str().unwrap_or_default();
        e.each(
            &at.child("shortNames").index(i),
            short,
            names::is_dns1035_label(short),
        );
    }
    if !text(own, "kind").is_empty() && text(own, "kind") == text(own, "listKind") {
        e.invalid(
            &at.child("listKind"),
            text(own, "listKind"),
            "kind and listKind may not be the same",
        );
    }
    versions(e, &path.child("versions"), list(spec, "versions"));
    let conversion = get(spec, "conversion");
    e.one_of(
        &path.child("conversion.strategy"),
        text(conversion, "strategy"),
        &["None", "Webhook"],
    );
}

fn versions(e: &mut Errors, path: &Path, versions: &[Value]) {
    let mut seen = BTreeSet::new();
    for (i, version) in versions.iter().enumerate() {
        let path = path.index(i);
        let name = text(version, "name");
        e.each(&path.child("name"), name, names::is_dns1035_label(name));
        if !seen.insert(name) {
            e.duplicate(&path.child("name"), name);
        }
        for bad in bad_patterns(get(get(version, "schema"), "openAPIV3Schema")) {
            let path = path.child("schema.openAPIV3Schema").child(&bad.path);
            let why = format!("must be a valid regular expression, but isn't: {}", bad.why);
            e.invalid(&path, bad.text.as_str(), &why);
        }
        if !has(get(version, "schema"), "openAPIV3Schema") {
            e.required(
                &path.child("schema.openAPIV3Schema"),
                "schemas are required",
            );
        }
    }
    let stored = versions.iter().filter(|v| flag(v, "storage")).count();
    if stored != 1 {
        let all: Vec<Value> = versions.to_vec();
        e.invalid(
            path,
            &Value::Array(all),
            "must have exactly one version marked as storage version",
        );
    }
}

pub(super) const DEFINITION: Kind = Kind {
    default: default_definition,
    validate: |definition| Errors::collect(|e| check_definition(e, definition)),
    validate_update: |new, old| {
        Errors::collect(|e| {
            let established = list(get(old, "status"), "conditions")
                .iter()
                .any(|c| text(c, "type") == "Established" && text(c, "status") == "True");
            let (new, old) = (get(new, "spec"), get(old, "spec"));
            let path = Path::new("spec");
            e.immutable(&path.child("group"), get(new, "group"), get(old, "group"));
            let (a, b) = (get(new, "names"), get(old, "names"));
            e.immutable(
                &path.child("names.plural"),
                get(a, "plural"),
                get(b, "plural"),
            );
            if established {
                e.immutable(&path.child("scope"), get(new, "scope"), get(old, "scope"));
                e.immutable(&path.child("names.kind"), get(a, "kind"), get(b, "kind"));
            }
        })
    },
    ..WITH_STATUS
};

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
        let client = get(hook, "clientConfig");
        if has(client, "url") == has(client, "service") {
            e.required(
                &path.child("clientConfig"),
                "exactly one of url or service is required",
            );
        }
    }
}

pub(super) const MUTATING_WEBHOOKS: Kind = Kind {
    generation: true,
    default: |configuration| default_webhooks(configuration, true),
    validate: |configuration| Errors::collect(|e| check_webhooks(e, configuration)),
    ..PLAIN
};

pub(super) const VALIDATING_WEBHOOKS: Kind = Kind {
    default: |configuration| default_webhooks(configuration, false),
    ..MUTATING_WEBHOOKS
};

pub(super) const ADMISSION_POLICY: Kind = Kind {
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
