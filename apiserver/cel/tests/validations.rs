//! The rules of custom resources: what Kubernetes' validator of them says.

use hardway_cel::Validations;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

/// A schema of an object with these fields, and rules of the whole.
fn schema(properties: Json, rules: Json) -> Json {
    json!({"type": "object", "properties": properties, "x-kubernetes-validations": rules})
}

fn told(causes: Vec<hardway_proto::status::Cause>) -> Vec<String> {
    let shown = |cause: hardway_proto::status::Cause| format!("{}: {}", cause.field, cause.message);
    causes.into_iter().map(shown).collect()
}

fn findings(schema: &Json, object: Json, old: Option<Json>) -> (Vec<String>, Vec<String>) {
    let findings = Validations::of_resource(schema).check(&object, old.as_ref());
    (told(findings.causes), findings.warnings)
}

fn causes(schema: &Json, object: Json, old: Option<Json>) -> Vec<String> {
    findings(schema, object, old).0
}

fn faults(schema: &Json) -> Vec<String> {
    told(Validations::faults(schema, "s", &BTreeSet::new()))
}

fn replicas(rules: Json) -> Json {
    let spec = json!({"type": "object", "properties": {
        "replicas": {"type": "integer"},
        "name": {"type": "string", "maxLength": 20},
    }, "x-kubernetes-validations": rules});
    schema(json!({"spec": spec}), json!([]))
}

#[test]
fn a_rule_that_does_not_hold_is_told_in_its_words() {
    let object = || json!({"spec": {"replicas": 11}});
    for (rule, expected) in [
        (
            json!({"rule": "self.replicas <= 10"}),
            r#"spec: Invalid value: "object": failed rule: self.replicas <= 10"#,
        ),
        (
            json!({"rule": "self.replicas <= 10", "message": " too many "}),
            r#"spec: Invalid value: "object": too many"#,
        ),
        (
            json!({"rule": "self.replicas <= 10", "message": "m",
                "messageExpression": "'%d is too many'.format([self.replicas])"}),
            r#"spec: Invalid value: "object": 11 is too many"#,
        ),
        (
            json!({"rule": "self.replicas <= 10", "message": "m", "messageExpression": "' '"}),
            r#"spec: Invalid value: "object": m"#,
        ),
        (
            json!({"rule": "self.replicas <= 10", "fieldPath": ".replicas"}),
            r#"spec.replicas: Invalid value: "object": failed rule: self.replicas <= 10"#,
        ),
        (
            json!({"rule": "has(self.name)", "reason": "FieldValueRequired", "fieldPath": ".name", "message": "a name is needed"}),
            "spec.name: Required value: a name is needed",
        ),
        (
            json!({"rule": "self.replicas <= 10", "reason": "FieldValueForbidden", "message": "no"}),
            "spec: Forbidden: no",
        ),
        (
            json!({"rule": "self.replicas <= 10", "reason": "FieldValueDuplicate"}),
            r#"spec: Duplicate value: "object""#,
        ),
        (
            json!({"rule": "self.replicas / 0 == 1"}),
            r#"spec: Invalid value: "object": division by zero evaluating rule: self.replicas / 0 == 1"#,
        ),
        (
            json!({"rule": "self.name == 'a'", "message": "m"}),
            r#"spec: Invalid value: "object": no such key: name evaluating rule: m"#,
        ),
    ] {
        let schema = replicas(json!([rule]));
        assert_eq!(causes(&schema, object(), None), [expected], "{rule}");
        assert_eq!(faults(&schema), [""; 0], "{rule}");
    }
    let holds = replicas(json!([{"rule": "self.replicas > 10 && !has(self.name)"}]));
    assert_eq!(causes(&holds, object(), None), [""; 0]);
}

#[test]
fn rules_stand_anywhere() {
    let rule = |text: &str| json!([{"rule": text}]);
    let properties = json!({
        "list": {"type": "array", "items": {
            "type": "integer", "x-kubernetes-validations": rule("self > 0"),
        }},
        "map": {"type": "object", "additionalProperties": {
            "type": "string", "x-kubernetes-validations": rule("self.size() > 1"),
        }},
        "a-b": {"type": "string", "nullable": true, "x-kubernetes-validations": rule("self == 'x'")},
        "port": {"x-kubernetes-int-or-string": true,
            "x-kubernetes-validations": rule("type(self) == int ? self > 0 : self != ''")},
    });
    let schema = schema(
        properties,
        rule("self.metadata.name.startsWith('x') && (!has(self.a__dash__b) || self.kind == 'K')"),
    );
    let object = json!({
        "kind": "K", "metadata": {"name": "x1", "labels": {}}, "list": [1, 0], "map": {"k": "a"},
        "a-b": "y", "port": "",
    });
    let mut found = causes(&schema, object.clone(), None);
    found.sort();
    assert_eq!(
        found,
        [
            r#"a-b: Invalid value: "string": failed rule: self == 'x'"#,
            r#"list[1]: Invalid value: "integer": failed rule: self > 0"#,
            r#"map[k]: Invalid value: "string": failed rule: self.size() > 1"#,
            r#"port: Invalid value: "": failed rule: type(self) == int ? self > 0 : self != ''"#,
        ]
    );
    let mut other = object;
    other["metadata"]["name"] = "y".into();
    other["list"] = json!([]);
    other["a-b"] = Json::Null;
    let found = causes(&schema, other, None);
    assert!(
        found[0].starts_with(r#"<nil>: Invalid value: "object": failed rule: self.meta"#),
        "{found:?}"
    );
}

#[test]
fn transitions() {
    let immutable = replicas(json!([{"rule": "self == oldSelf", "message": "immutable"}]));
    let object = |n: i64| json!({"spec": {"replicas": n}});
    assert_eq!(causes(&immutable, object(1), None), [""; 0]);
    assert_eq!(causes(&immutable, object(1), Some(object(1))), [""; 0]);
    assert_eq!(
        causes(&immutable, object(2), Some(object(1))),
        [r#"spec: Invalid value: "object": immutable"#]
    );
    let optional = replicas(json!([{
        "rule": "oldSelf.hasValue() ? oldSelf.value().replicas <= self.replicas : self.replicas == 1",
        "optionalOldSelf": true,
    }]));
    assert_eq!(causes(&optional, object(1), None), [""; 0]);
    assert_eq!(causes(&optional, object(2), None).len(), 1);
    assert_eq!(causes(&optional, object(2), Some(object(1))), [""; 0]);
    assert_eq!(causes(&optional, object(1), Some(object(2))).len(), 1);
    // Elements of a list that is a map have predecessors by their keys.
    let items = json!({"type": "object", "properties": {
        "key": {"type": "string"}, "n": {"type": "integer"},
    }, "required": ["key"], "x-kubernetes-validations": [{"rule": "self.n >= oldSelf.n"}]});
    let list = |kind: &str| {
        let mut list = json!({"type": "array", "items": items, "x-kubernetes-list-type": kind});
        if kind == "map" {
            list["x-kubernetes-list-map-keys"] = json!(["key"]);
        }
        schema(json!({"l": list}), json!([]))
    };
    let element = |key: &str, n: i64| json!({"key": key, "n": n});
    let old = json!({"l": [element("a", 1), element("b", 5)]});
    let new = json!({"l": [element("b", 4), element("a", 2), element("c", 0)]});
    assert_eq!(
        causes(&list("map"), new, Some(old)),
        [r#"l[0]: Invalid value: "object": failed rule: self.n >= oldSelf.n"#]
    );
    assert_eq!(
        faults(&list("atomic")),
        [
            r#"s.properties[l].items.x-kubernetes-validations[0].rule: Invalid value: "self.n >= oldSelf.n": oldSelf cannot be used on the uncorrelatable portion of the schema within s.properties[l]"#
        ]
    );
}

#[test]
fn what_was_wrong_before_only_warns_where_nothing_was_changed() {
    let schema = replicas(json!([{"rule": "self.replicas <= 10"}]));
    let object =
        |n: i64, label: &str| json!({"spec": {"replicas": n}, "metadata": {"name": label}});
    let (found, warnings) = findings(&schema, object(11, "new"), Some(object(11, "old")));
    assert_eq!(found, [""; 0]);
    assert_eq!(
        warnings,
        [r#"spec: Invalid value: "object": failed rule: self.replicas <= 10"#]
    );
    let (found, warnings) = findings(&schema, object(12, "new"), Some(object(11, "old")));
    assert_eq!((found.len(), warnings.len()), (1, 0));
}

#[test]
fn definitions_are_told_what_is_wrong_with_their_rules() {
    let rule = |text: &str| replicas(json!([{"rule": text}]));
    let at = "s.properties[spec].x-kubernetes-validations[0]";
    let shown = |text: &str, expression: &str| {
        format!(
            r#"apiextensions.ValidationRule{{Rule:"{text}", Message:"", MessageExpression:"{expression}", Reason:(*apiextensions.FieldValueErrorReason)(nil), FieldPath:"", OptionalOldSelf:(*bool)(nil)}}"#
        )
    };
    assert_eq!(
        faults(&rule("self.replica > 1")),
        [format!(
            "{at}.rule: Invalid value: {}: compilation failed: ERROR: <input>:1:5: undefined field 'replica'\n | self.replica > 1\n | ....^",
            shown("self.replica > 1", "")
        )]
    );
    assert_eq!(
        faults(&rule("self.replicas")),
        [format!(
            "{at}.rule: Invalid value: {}: cel expression must evaluate to a bool",
            shown("self.replicas", "")
        )]
    );
    let message = replicas(json!([{"rule": "true", "messageExpression": "1"}]));
    assert_eq!(
        faults(&message),
        [format!(
            "{at}.messageExpression: Invalid value: {}: messageExpression must evaluate to a string",
            shown("true", "1")
        )]
    );
    let optional = replicas(json!([{"rule": "true", "optionalOldSelf": true}]));
    assert_eq!(
        faults(&optional),
        [format!(
            "{at}.optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule"
        )]
    );
}

#[test]
fn rules_that_may_cost_too_much_are_refused() {
    let list = |most: Option<u64>, rule: &str| {
        let mut list = json!({"type": "array", "items": {"type": "integer"},
            "x-kubernetes-validations": [{"rule": rule}]});
        if let Some(most) = most {
            list["maxItems"] = most.into();
        }
        schema(json!({"l": list}), json!([]))
    };
    let nested = "self.all(a, self.all(b, a + b > 0))";
    let found = faults(&list(None, nested));
    let words = "s.properties[l].x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)";
    assert_eq!(found[0], words);
    assert_eq!(
        found[1],
        "s.properties[l].x-kubernetes-validations[0].rule: Forbidden: contributed to estimated rule & messageExpression cost total exceeding cost limit for entire OpenAPIv3 schema"
    );
    assert!(found[2].starts_with("s: Forbidden: x-kubernetes-validations estimated rule & messageExpression cost total for entire OpenAPIv3 schema exceeds budget by factor of more than 100x"), "{found:?}");
    assert_eq!(faults(&list(Some(100), nested)), [""; 0]);
}

#[test]
fn an_object_takes_no_more_than_its_budget() {
    let texts = |length: usize, count: usize| {
        let text = "x".repeat(length);
        json!({"l": vec![text; count]})
    };
    let list = json!({"type": "array", "items": {"type": "string", "x-kubernetes-validations": [
        {"rule": "self.contains(self)"}, {"rule": "self != ''"},
    ]}});
    let schema = schema(json!({"l": list}), json!([]));
    assert_eq!(causes(&schema, texts(5_000, 20), None), [""; 0]);
    // Each costs 500 times 500.
    let found = causes(&schema, texts(5_000, 50), None);
    assert_eq!(
        found,
        [
            r#"l[39]: Invalid value: "string": validation failed due to running out of cost budget, no further validation rules will be run"#
        ]
    );
    // More than one evaluation may cost.
    let found = causes(&schema, texts(20_000, 2), None);
    assert_eq!(
        found,
        [
            r#"l[0]: Invalid value: "string": 'operation cancelled: actual cost limit exceeded': no further validation rules will be run due to call cost exceeds limit for rule: self.contains(self)"#
        ]
    );
}

/// As Kubernetes' validator: such a field is known for itself, though no expression about
/// what is around it can get at it.
#[test]
fn rules_hold_below_names_that_no_expression_can_say() {
    let rule = json!([{"rule": "self.n > 0"}]);
    let inner = json!({"type": "object", "properties": {"n": {"type": "integer"}},
        "x-kubernetes-validations": rule});
    let schema = schema(
        json!({
            "0day": inner, "list*": {"type": "array", "items": inner},
            "any": {"x-kubernetes-preserve-unknown-fields": true, "properties": {"known": inner}},
        }),
        json!([]),
    );
    assert_eq!(faults(&schema), [""; 0]);
    let object = json!({"0day": {"n": 0}, "list*": [{"n": 1}, {"n": 0}]});
    assert_eq!(
        causes(&schema, object, None),
        [
            r#"0day: Invalid value: "object": failed rule: self.n > 0"#,
            r#"list*[1]: Invalid value: "object": failed rule: self.n > 0"#,
        ]
    );
    let reaching = json!({"type": "object", "properties": {"0day": inner},
        "x-kubernetes-validations": [{"rule": "has(self.day)"}]});
    assert!(faults(&reaching)[0].contains("undefined field 'day'"));
}

#[test]
fn rules_for_values_without_a_type_are_refused() {
    let any = json!({"x-kubernetes-preserve-unknown-fields": true,
        "x-kubernetes-validations": [{"rule": "self.n > 0"}]});
    let told = "s.properties[any].x-kubernetes-validations: Internal error: internal error: failed to construct type information for x-kubernetes-validations rules: unable to convert structural schema to CEL declarations";
    assert_eq!(faults(&schema(json!({"any": any}), json!([]))), [told]);
}

/// `celschemacontext.go` and `validation.go` of Kubernetes: fields of atomic maps can't be
/// compared with those before.
#[test]
fn atomic_maps_have_no_predecessors_in_them() {
    let number =
        json!({"type": "integer", "x-kubernetes-validations": [{"rule": "self >= oldSelf"}]});
    let within = |kind: &str| {
        let map =
            json!({"type": "object", "properties": {"n": number}, "x-kubernetes-map-type": kind});
        schema(json!({"m": map}), json!([]))
    };
    assert_eq!(faults(&within("granular")), [""; 0]);
    assert_eq!(
        faults(&within("atomic")),
        [
            r#"s.properties[m].properties[n].x-kubernetes-validations[0].rule: Invalid value: "self >= oldSelf": oldSelf cannot be used on the uncorrelatable portion of the schema within s.properties[m]"#
        ]
    );
    let change = |kind| {
        let (new, old) = (json!({"m": {"n": 1}}), json!({"m": {"n": 2}}));
        causes(&within(kind), new, Some(old)).len()
    };
    assert_eq!((change("granular"), change("atomic")), (1, 0));
}

#[test]
fn a_message_that_costs_too_much_ends_the_rules() {
    let text = |message: &str| {
        let rules = json!([{"rule": "false", "messageExpression": message}, {"rule": "false"}]);
        let text =
            json!({"type": "string", "maxLength": 30_000, "x-kubernetes-validations": rules});
        schema(json!({"t": text}), json!([]))
    };
    let of = |length: usize| json!({"t": "x".repeat(length)});
    assert_eq!(causes(&text("self"), of(5), None).len(), 2);
    assert_eq!(
        causes(&text("string(self.contains(self))"), of(20_000), None),
        [
            r#"t: Invalid value: "string": no further validation rules will be run due to call cost exceeds limit for messageExpression: "string(self.contains(self))""#
        ]
    );
}

/// How often a message may be made isn't counted: Kubernetes estimates it once.
#[test]
fn messages_are_estimated_for_one_value() {
    let list = |rule: &str, message: &str| {
        let rules = json!([{"rule": rule, "messageExpression": message}]);
        let texts = json!({"type": "string", "maxLength": 100, "x-kubernetes-validations": rules});
        let list = json!({"type": "array", "maxItems": 1_000_000, "items": texts});
        schema(json!({"l": list}), json!([]))
    };
    assert_eq!(faults(&list("true", "self + self")), [""; 0]);
    let found = faults(&list("self.contains(self)", "'m'"));
    assert!(
        found[0].contains("estimated rule cost exceeds budget"),
        "{found:?}"
    );
}

#[test]
fn paths_of_fields_are_as_messages_show_them() {
    let map = json!({"type": "object", "additionalProperties": {"type": "string"}});
    for (path, expected) in [
        (".map.key", "spec.map[key]"),
        (".map['a.b']", "spec.map[a.b]"),
        (".['a.b']", "spec"),
        ("['a.b']", "spec.a.b"),
    ] {
        let rule = json!([{"rule": "false", "fieldPath": path}]);
        let spec = json!({"type": "object", "properties": {"map": map, "a.b": {"type": "string"}},
            "x-kubernetes-validations": rule});
        let found = causes(
            &schema(json!({"spec": spec}), json!([])),
            json!({"spec": {}}),
            None,
        );
        let expected = format!(r#"{expected}: Invalid value: "object": failed rule: false"#);
        assert_eq!(found, [expected], "{path}");
    }
}

/// `WithTypeAndObjectMeta` leaves a schema as it is that tells of all that a resource has.
#[test]
fn bounds_of_names_count_where_all_is_told() {
    let text = |most: Option<u64>| match most {
        Some(most) => json!({"type": "string", "maxLength": most}),
        None => json!({"type": "string"}),
    };
    let resource = |most: Option<u64>| {
        let names = json!({"name": text(most), "generateName": text(most)});
        let rule = "self.metadata.name.contains(self.metadata.generateName)";
        schema(
            json!({"apiVersion": text(None), "kind": text(None),
                "metadata": {"type": "object", "properties": names}}),
            json!([{"rule": rule}]),
        )
    };
    assert_eq!(faults(&resource(Some(63))), [""; 0]);
    assert!(faults(&resource(None))[0].contains("exceeds budget"));
}

/// Elements of a set are found by what they are, objects too: each with each would be half
/// a billion comparisons.
#[test]
fn large_sets_of_objects_are_compared_in_time() {
    let item = json!({"type": "object", "x-kubernetes-map-type": "atomic", "properties": {
        "name": {"type": "string"}, "ports": {"type": "array", "items": {"type": "integer"}}}});
    let set = json!({"type": "array", "x-kubernetes-list-type": "set", "items": item,
        "x-kubernetes-validations": [{"rule": "self == oldSelf"}]});
    let schema = schema(json!({"l": set}), json!([]));
    let item = |n: usize| json!({"name": format!("n{n}"), "ports": [n, n + 1]});
    let count = 30_000;
    let old: Vec<Json> = (0..count).map(item).collect();
    let new: Vec<Json> = (0..count).rev().map(item).collect();
    let start = std::time::Instant::now();
    assert_eq!(
        causes(&schema, json!({"l": new}), Some(json!({"l": old}))),
        [""; 0]
    );
    let took = start.elapsed();
    assert!(took < std::time::Duration::from_secs(20), "{took:?}");
}
