//! API Priority and Fairness: which requests go to which priority level, and
//! what each level has. Checked as Kubernetes checks them
//! (`pkg/apis/flowcontrol/validation`).

use super::FieldErrors;
use super::field::{Errors, Path};
use super::json::{
    default_number, ensure_object, flag, get, has, int, list, object_mut, remove, set_default, text,
};
use super::kind::{Kind, WITH_STATUS};
use hardway_proto::names;
use serde_json::{Value, json};

/// Name of the level of requests that are never held back, and of its schema.
pub const EXEMPT: &str = "exempt";
/// Name of the level of requests that no other schema matches, and of its schema.
pub const CATCH_ALL: &str = "catch-all";

const MAX_PRECEDENCE: i64 = 10_000;
/// Kubernetes takes a thousand times as many. Each is memory from the start and
/// looked at when a seat is free, so one level could keep the server from working.
const MAX_QUEUES: i64 = 10_000;
/// Bits of a hash that dealing a hand of queues may use up.
const MAX_ENTROPY: u32 = 60;
const VERBS: [&str; 9] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "proxy",
    "update",
    "watch",
];

/// The spec that an object must have which no cluster can do without.
pub fn mandatory(kind: &str, name: &str) -> Option<Value> {
    let everything = |groups: &[&str]| {
        let subjects: Vec<Value> = groups
            .iter()
            .map(|name| json!({"kind": "Group", "group": {"name": name}}))
            .collect();
        json!([{
            "subjects": subjects,
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"],
                "clusterScope": true, "namespaces": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        }])
    };
    Some(match (kind, name) {
        ("PriorityLevelConfiguration", EXEMPT) => json!({"type": "Exempt",
            "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}}),
        ("PriorityLevelConfiguration", CATCH_ALL) => json!({"type": "Limited", "limited": {
            "nominalConcurrencyShares": 5, "lendablePercent": 0,
            "limitResponse": {"type": "Reject"}}}),
        ("FlowSchema", EXEMPT) => json!({
            "priorityLevelConfiguration": {"name": EXEMPT},
            "matchingPrecedence": 1,
            "rules": everything(&["system:masters"])}),
        ("FlowSchema", CATCH_ALL) => json!({
            "priorityLevelConfiguration": {"name": CATCH_ALL},
            "matchingPrecedence": MAX_PRECEDENCE,
            "distinguisherMethod": {"type": "ByUser"},
            "rules": everything(&["system:unauthenticated", "system:authenticated"])}),
        _ => return None,
    })
}

fn check_mandatory(e: &mut Errors, kind: &str, object: &Value) {
    let name = text(get(object, "metadata"), "name");
    let Some(mut fixed) = mandatory(kind, name) else {
        return;
    };
    let (path, spec) = (Path::new("spec"), get(object, "spec"));
    let mut given = spec.clone();
    let mut except = "";
    if kind == "PriorityLevelConfiguration" && name == EXEMPT {
        except = " except the 'spec.exempt' field";
        remove(&mut fixed, "exempt");
        remove(&mut given, "exempt");
    }
    if given != fixed {
        let detail = format!("spec of '{name}'{except} must equal the fixed value");
        e.invalid(&path, spec, &detail);
    }
}

fn check_conditions(e: &mut Errors, object: &Value) {
    let path = Path::new("status.conditions");
    let mut seen = Vec::new();
    for (i, condition) in list(get(object, "status"), "conditions").iter().enumerate() {
        let (path, kind) = (path.index(i).child("type"), text(condition, "type"));
        if seen.contains(&kind) {
            e.duplicate(&path, kind);
        }
        if kind.is_empty() {
            e.required(&path, "must not be empty");
        }
        seen.push(kind);
    }
}

fn check_schema(e: &mut Errors, schema: &Value) {
    let (path, spec) = (Path::new("spec"), get(schema, "spec"));
    let precedence = int(spec, "matchingPrecedence").unwrap_or_default();
    let at = path.child("matchingPrecedence");
    if precedence <= 0 {
        e.invalid(&at, precedence, "must be a positive value");
    }
    if precedence > MAX_PRECEDENCE {
        let detail = format!("must not be greater than {MAX_PRECEDENCE}");
        e.invalid(&at, precedence, &detail);
    }
    if precedence == 1 && text(get(schema, "metadata"), "name") != EXEMPT {
        let detail = "only the schema named 'exempt' may have matchingPrecedence 1";
        e.invalid(&at, precedence, detail);
    }
    if has(spec, "distinguisherMethod") {
        let method = text(get(spec, "distinguisherMethod"), "type");
        if !["ByNamespace", "ByUser"].contains(&method) {
            let at = path.child("distinguisherMethod.type");
            e.not_supported(&at, method, &["ByNamespace", "ByUser"]);
        }
    }
    let level = text(get(spec, "priorityLevelConfiguration"), "name");
    let at = path.child("priorityLevelConfiguration.name");
    match level.is_empty() {
        true => e.required(&at, "must reference a priority level"),
        false => e.each(&at, level, names::is_dns1123_subdomain(level)),
    }
    for (i, rule) in list(spec, "rules").iter().enumerate() {
        check_rule(e, &path.child("rules").index(i), rule);
    }
    check_mandatory(e, "FlowSchema", schema);
    check_conditions(e, schema);
}

fn check_rule(e: &mut Errors, path: &Path, rule: &Value) {
    let subjects = list(rule, "subjects");
    if subjects.is_empty() {
        let detail = "subjects must contain at least one value";
        e.required(&path.child("subjects"), detail);
    }
    for (i, subject) in subjects.iter().enumerate() {
        check_subject(e, &path.child("subjects").index(i), subject);
    }
    let (resources, others) = (list(rule, "resourceRules"), list(rule, "nonResourceRules"));
    if resources.is_empty() && others.is_empty() {
        let detail = "at least one of resourceRules and nonResourceRules has to be non-empty";
        e.required(path, detail);
    }
    for (i, rule) in resources.iter().enumerate() {
        check_resource_rule(e, &path.child("resourceRules").index(i), rule);
    }
    for (i, rule) in others.iter().enumerate() {
        check_path_rule(e, &path.child("nonResourceRules").index(i), rule);
    }
}

fn check_subject(e: &mut Errors, path: &Path, subject: &Value) {
    const FIELDS: [(&str, &str); 3] = [
        ("ServiceAccount", "serviceAccount"),
        ("User", "user"),
        ("Group", "group"),
    ];
    let kind = text(subject, "kind");
    let Some((_, field)) = FIELDS.iter().find(|(k, _)| *k == kind) else {
        let supported = ["Group", "ServiceAccount", "User"];
        return e.not_supported(&path.child("kind"), kind, &supported);
    };
    for (of, other) in FIELDS {
        if other != *field && has(subject, other) {
            let detail = format!("{other} is forbidden when subject kind is not '{of}'");
            e.forbidden(&path.child(other), &detail);
        }
    }
    let (path, value) = (path.child(field), get(subject, field));
    if value.is_null() {
        let detail = format!("{field} is required when subject kind is '{kind}'");
        return e.required(&path, &detail);
    }
    let name = text(value, "name");
    if name.is_empty() {
        e.required(&path.child("name"), "");
    }
    if kind != "ServiceAccount" {
        return;
    }
    if !name.is_empty() && name != "*" {
        e.each(&path.child("name"), name, names::is_dns1123_subdomain(name));
    }
    let namespace = text(value, "namespace");
    let at = path.child("namespace");
    match namespace.is_empty() {
        true => e.required(&at, "must specify namespace for service account"),
        false => e.each(&at, namespace, names::is_dns1123_label(namespace)),
    }
}

fn strings<'a>(object: &'a Value, field: &str) -> Vec<&'a str> {
    list(object, field)
        .iter()
        .filter_map(Value::as_str)
        .collect()
}

/// Whether a list has `*`, which has to be alone.
fn has_any(e: &mut Errors, path: &Path, rule: &Value, field: &str, what: &str) -> bool {
    let items = strings(rule, field);
    let any = items.contains(&"*");
    if any && items.len() > 1 {
        let detail = format!("if '*' is present, must not specify other {what}");
        e.invalid(&path.child(field), get(rule, field), &detail);
    }
    any
}

fn check_verbs(e: &mut Errors, path: &Path, rule: &Value) {
    let verbs = strings(rule, "verbs");
    let at = path.child("verbs");
    if verbs.is_empty() {
        e.required(&at, "verbs must contain at least one value");
    } else if !has_any(e, path, rule, "verbs", "verbs")
        && !verbs.iter().all(|verb| VERBS.contains(verb))
    {
        e.not_supported(&at, get(rule, "verbs"), &VERBS);
    }
}

fn check_resource_rule(e: &mut Errors, path: &Path, rule: &Value) {
    check_verbs(e, path, rule);
    for (field, what, missing) in [
        ("apiGroups", "api groups", "api group"),
        ("resources", "resources", "resource"),
    ] {
        if strings(rule, field).is_empty() {
            let detail = format!("resource rules must supply at least one {missing}");
            e.required(&path.child(field), &detail);
        }
        has_any(e, path, rule, field, what);
    }
    let namespaces = strings(rule, "namespaces");
    let at = path.child("namespaces");
    if namespaces.is_empty() && !flag(rule, "clusterScope") {
        let detail =
            "resource rules that are not cluster scoped must supply at least one namespace";
        e.required(&at, detail);
    } else if !has_any(e, path, rule, "namespaces", "namespaces") {
        for (i, namespace) in namespaces.iter().enumerate() {
            for problem in names::is_dns1123_label(namespace) {
                let detail =
                    format!("each member of this list must be '*' or a DNS-1123 label; {problem}");
                e.invalid(&at.index(i), *namespace, &detail);
            }
        }
    }
}

fn check_path_rule(e: &mut Errors, path: &Path, rule: &Value) {
    check_verbs(e, path, rule);
    let urls = strings(rule, "nonResourceURLs");
    let at = path.child("nonResourceURLs");
    if urls.is_empty() {
        e.required(&at, "nonResourceURLs must contain at least one value");
    } else if !has_any(e, path, rule, "nonResourceURLs", "non-resource URLs") {
        for (i, url) in urls.iter().enumerate() {
            if let Some(detail) = wrong_with_url(url) {
                e.invalid(&at.index(i), *url, detail);
            }
        }
    }
}

fn wrong_with_url(url: &str) -> Option<&'static str> {
    let wildcards = url.matches('*').count();
    match url {
        "" => Some("must not be empty"),
        "/" => None,
        _ if !url.starts_with('/') => Some("must start with slash"),
        _ if url.contains(' ') => Some("must not contain white-space"),
        _ if url.contains("//") => Some("must not contain double slash"),
        _ if wildcards > 1 || (wildcards == 1 && !url.ends_with("/*")) => {
            Some("wildcard can only do suffix matching")
        }
        _ => None,
    }
}

fn check_shares(e: &mut Errors, path: &Path, of: &Value) {
    if let Some(shares) = int(of, "nominalConcurrencyShares").filter(|n| *n < 0) {
        let at = path.child("nominalConcurrencyShares");
        e.invalid(&at, shares, "must be a non-negative integer");
    }
    if let Some(percent) = int(of, "lendablePercent").filter(|n| !(0..=100).contains(n)) {
        let at = path.child("lendablePercent");
        e.invalid(&at, percent, "must be between 0 and 100, inclusive");
    }
}

fn check_level(e: &mut Errors, level: &Value) {
    let (path, spec) = (Path::new("spec"), get(level, "spec"));
    let (name, kind) = (text(get(level, "metadata"), "name"), text(spec, "type"));
    if (name == EXEMPT) != (kind == "Exempt") {
        let detail = "type must be 'Exempt' if and only if name is 'exempt'";
        e.invalid(&path.child("type"), kind, detail);
    }
    match kind {
        "Exempt" => {
            if has(spec, "limited") {
                let detail = "must be nil if the type is not Limited";
                e.forbidden(&path.child("limited"), detail);
            }
            check_shares(e, &path.child("exempt"), get(spec, "exempt"));
        }
        "Limited" => {
            if has(spec, "exempt") {
                let detail = "must be nil if the type is Limited";
                e.forbidden(&path.child("exempt"), detail);
            }
            match has(spec, "limited") {
                true => check_limited(e, &path.child("limited"), get(spec, "limited")),
                false => e.required(
                    &path.child("limited"),
                    "must not be empty when type is Limited",
                ),
            }
        }
        _ => e.not_supported(&path.child("type"), kind, &["Exempt", "Limited"]),
    }
    check_mandatory(e, "PriorityLevelConfiguration", level);
    check_conditions(e, level);
}

fn check_limited(e: &mut Errors, path: &Path, limited: &Value) {
    check_shares(e, path, limited);
    if let Some(percent) = int(limited, "borrowingLimitPercent").filter(|n| *n < 0) {
        let detail = "if specified, must be a non-negative integer";
        e.invalid(&path.child("borrowingLimitPercent"), percent, detail);
    }
    let (path, response) = (path.child("limitResponse"), get(limited, "limitResponse"));
    let at = path.child("queuing");
    match (text(response, "type"), has(response, "queuing")) {
        ("Reject", true) => {
            let detail = "must be nil if limited.limitResponse.type is not Limited";
            e.forbidden(&at, detail);
        }
        ("Reject", false) => {}
        ("Queue", true) => check_queuing(e, &at, get(response, "queuing")),
        ("Queue", false) => {
            let detail = "must not be empty if limited.limitResponse.type is Limited";
            e.required(&at, detail);
        }
        (other, _) => e.not_supported(&path.child("type"), other, &["Queue", "Reject"]),
    }
}

fn check_queuing(e: &mut Errors, path: &Path, queuing: &Value) {
    let number = |field| int(queuing, field).unwrap_or_default();
    let length = number("queueLengthLimit");
    if length <= 0 {
        e.invalid(&path.child("queueLengthLimit"), length, "must be positive");
    }
    let (queues, hand) = (number("queues"), number("handSize"));
    let at = path.child("queues");
    if queues <= 0 {
        e.invalid(&at, queues, "must be positive");
    } else if queues > MAX_QUEUES {
        let detail = format!("must not be greater than {MAX_QUEUES}");
        e.invalid(&at, queues, &detail);
    }
    let at = path.child("handSize");
    if hand <= 0 {
        e.invalid(&at, hand, "must be positive");
    } else if hand > queues {
        let detail = format!("should not be greater than queues ({queues})");
        e.invalid(&at, hand, &detail);
    } else {
        let entropy = ((queues as f64).log2() * hand as f64).ceil() as u32;
        if entropy > MAX_ENTROPY {
            let detail = format!(
                "required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {MAX_ENTROPY}"
            );
            e.invalid(&at, hand, &detail);
        }
    }
}

pub(super) const FLOW_SCHEMA: Kind = Kind {
    default: |schema| {
        if let Some(spec) = ensure_object(schema, "spec") {
            default_number(spec, "matchingPrecedence", 1000);
        }
    },
    validate: |schema| Errors::collect(|e| check_schema(e, schema)),
    validate_status: status_errors,
    ..WITH_STATUS
};

pub(super) const PRIORITY_LEVEL: Kind = Kind {
    default: |level| {
        let Some(spec) = object_mut(level, "spec") else {
            return;
        };
        if text(spec, "type") == "Exempt"
            && let Some(exempt) = ensure_object(spec, "exempt")
        {
            set_default(exempt, "nominalConcurrencyShares", 0);
            set_default(exempt, "lendablePercent", 0);
        }
        let Some(limited) = object_mut(spec, "limited") else {
            return;
        };
        set_default(limited, "nominalConcurrencyShares", 30);
        set_default(limited, "lendablePercent", 0);
        if let Some(response) = object_mut(limited, "limitResponse")
            && let Some(queuing) = object_mut(response, "queuing")
        {
            default_number(queuing, "queues", 64);
            default_number(queuing, "handSize", 8);
            default_number(queuing, "queueLengthLimit", 50);
        }
    },
    validate: |level| Errors::collect(|e| check_level(e, level)),
    validate_status: status_errors,
    ..WITH_STATUS
};

fn status_errors(new: &Value, _: &Value) -> FieldErrors {
    Errors::collect(|e| check_conditions(e, new))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(spec: Value) -> Vec<String> {
        causes(
            FLOW_SCHEMA,
            json!({"metadata": {"name": "x"}, "spec": spec}),
        )
    }

    fn level(name: &str, spec: Value) -> Vec<String> {
        causes(
            PRIORITY_LEVEL,
            json!({"metadata": {"name": name}, "spec": spec}),
        )
    }

    fn causes(kind: Kind, mut object: Value) -> Vec<String> {
        (kind.default)(&mut object);
        let causes = (kind.validate)(&object);
        let text = |c: &hardway_proto::status::Cause| format!("{}: {}", c.field, c.message);
        causes.iter().map(text).collect()
    }

    #[test]
    fn flow_schemas_are_checked() {
        let good = json!({"priorityLevelConfiguration": {"name": "low"}, "rules": [{
            "subjects": [{"kind": "User", "user": {"name": "jane"}}],
            "resourceRules": [{"verbs": ["get"], "apiGroups": ["*"], "resources": ["*"],
                "namespaces": ["a"]}]}]});
        assert_eq!(schema(good.clone()), Vec::<String>::new());
        let mut bad = good;
        bad["matchingPrecedence"] = 1.into();
        bad["distinguisherMethod"] = json!({"type": "ByMoon"});
        bad["rules"][0]["subjects"][0]["group"] = json!({"name": "g"});
        bad["rules"][0]["resourceRules"][0]["verbs"] = json!(["get", "*"]);
        bad["rules"][0]["resourceRules"][0]["namespaces"] = json!([]);
        bad["rules"][0]["nonResourceRules"] =
            json!([{"verbs": ["post"], "nonResourceURLs": ["x", "/a*"]}]);
        assert_eq!(
            schema(bad),
            [
                "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1",
                "spec.distinguisherMethod.type: Unsupported value: \"ByMoon\": supported values: \"ByNamespace\", \"ByUser\"",
                "spec.rules[0].subjects[0].group: Forbidden: group is forbidden when subject kind is not 'Group'",
                "spec.rules[0].resourceRules[0].verbs: Invalid value: [\"get\",\"*\"]: if '*' is present, must not specify other verbs",
                "spec.rules[0].resourceRules[0].namespaces: Required value: resource rules that are not cluster scoped must supply at least one namespace",
                "spec.rules[0].nonResourceRules[0].verbs: Unsupported value: [\"post\"]: supported values: \"create\", \"delete\", \"deletecollection\", \"get\", \"list\", \"patch\", \"proxy\", \"update\", \"watch\"",
                "spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: \"x\": must start with slash",
                "spec.rules[0].nonResourceRules[0].nonResourceURLs[1]: Invalid value: \"/a*\": wildcard can only do suffix matching",
            ]
        );
        assert_eq!(
            schema(json!({})),
            [
                "spec.priorityLevelConfiguration.name: Required value: must reference a priority level"
            ]
        );
    }

    #[test]
    fn priority_levels_are_checked() {
        let queuing = |queues: i64, hand: i64| {
            json!({"type": "Limited", "limited": {"limitResponse": {"type": "Queue",
                "queuing": {"queues": queues, "handSize": hand}}}})
        };
        assert_eq!(level("x", queuing(64, 8)), Vec::<String>::new());
        let hand = "spec.limited.limitResponse.queuing.handSize: Invalid value:";
        assert_eq!(
            level("x", queuing(4, 5)),
            [format!("{hand} 5: should not be greater than queues (4)")]
        );
        assert_eq!(
            level("x", queuing(10_001, 1)),
            [
                "spec.limited.limitResponse.queuing.queues: Invalid value: 10001: must not be greater than 10000"
            ]
        );
        assert_eq!(
            level("x", queuing(128, 10)),
            [format!(
                "{hand} 10: required entropy bits of deckSize 128 and handSize 10 should not be greater than 60"
            )]
        );
        assert_eq!(
            level("x", json!({"type": "Exempt"})),
            [
                "spec.type: Invalid value: \"Exempt\": type must be 'Exempt' if and only if name is 'exempt'"
            ]
        );
        let bad = json!({"type": "Limited", "limited": {"lendablePercent": 101,
            "borrowingLimitPercent": -1, "limitResponse": {"type": "Reject", "queuing": {}}}});
        assert_eq!(level("x", bad).len(), 3);
        assert_eq!(
            level("x", json!({"type": "Limited"})),
            ["spec.limited: Required value: must not be empty when type is Limited"]
        );
    }

    #[test]
    fn mandatory_objects_cannot_be_changed() {
        let lending = json!({"type": "Exempt", "exempt": {"lendablePercent": 30}});
        assert_eq!(level(EXEMPT, lending), Vec::<String>::new());
        let mut spec = mandatory("PriorityLevelConfiguration", CATCH_ALL).unwrap();
        assert_eq!(level(CATCH_ALL, spec.clone()), Vec::<String>::new());
        spec["limited"]["lendablePercent"] = 10.into();
        let causes = level(CATCH_ALL, spec);
        let end = "spec of 'catch-all' must equal the fixed value";
        assert!(causes.len() == 1 && causes[0].ends_with(end), "{causes:?}");
    }

    #[test]
    fn conditions_are_of_different_types() {
        let status =
            json!({"status": {"conditions": [{"type": "A"}, {"type": "A"}, {"type": ""}]}});
        assert_eq!(status_errors(&status, &Value::Null).len(), 2);
    }
}
