//! The cases are those of `k8s.io/kube-openapi/pkg/aggregator`'s tests.

use super::*;
use serde_json::json;

/// A document whose paths each take what a definition says.
fn document(paths: &[(&str, &str)], definitions: Value) -> Value {
    let path = |(path, definition): &(&str, &str)| {
        let schema = json!({"$ref": format!("#/definitions/{definition}")});
        let parameters = json!([{"in": "body", "name": "body", "schema": schema}]);
        (
            (*path).to_owned(),
            json!({"post": {"parameters": parameters}}),
        )
    };
    let paths: Map<String, Value> = paths.iter().map(path).collect();
    json!({"swagger": "2.0", "paths": paths, "definitions": definitions})
}

fn foreign(document: &Value) -> Foreign {
    Foreign {
        text: document.to_string().into(),
        hash: String::new(),
    }
}

fn merged(first: &Value, others: &[Value]) -> Value {
    let others: Vec<Foreign> = others.iter().map(foreign).collect();
    let (text, _) = add(&first.to_string(), &others).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// An object of this description.
fn object(description: &str) -> Value {
    json!({"type": "object", "description": description})
}

#[test]
fn of_one_name_the_second_gets_another() {
    let first = document(&[("/test", "Test")], json!({"Test": object("a")}));
    let second = document(&[("/other", "Test")], json!({"Test": object("b")}));
    let expected = document(
        &[("/test", "Test"), ("/other", "Test_v2")],
        json!({"Test": object("a"), "Test_v2": object("b")}),
    );
    assert_eq!(merged(&first, &[second]), expected);
}

#[test]
fn names_that_are_taken_are_passed_over() {
    let second = document(&[("/other", "Test")], json!({"Test": object("b")}));
    let expected = |old: &str| {
        document(
            &[
                ("/test", "Test"),
                ("/testv2", "Test_v2"),
                ("/other", "Test_v3"),
            ],
            json!({"Test": object("a"), "Test_v2": object(old), "Test_v3": object("b")}),
        )
    };
    // By what is there already,
    let first = document(
        &[("/test", "Test"), ("/testv2", "Test_v2")],
        json!({"Test": object("a"), "Test_v2": object("there")}),
    );
    assert_eq!(merged(&first, &[second]), expected("there"));
    // or by what comes.
    let first = document(&[("/test", "Test")], json!({"Test": object("a")}));
    let second = document(
        &[("/other", "Test"), ("/testv2", "Test_v2")],
        json!({"Test": object("b"), "Test_v2": object("comes")}),
    );
    assert_eq!(merged(&first, &[second]), expected("comes"));
}

#[test]
fn those_who_say_the_same_share_a_definition() {
    let of = |path: &str, description: &str| {
        document(&[(path, "Test")], json!({"Test": object(description)}))
    };
    let (first, second, third) = (of("/1", "a"), of("/2", "a"), of("/3", "b"));
    let expected = document(
        &[("/1", "Test"), ("/2", "Test"), ("/3", "Test_v2")],
        json!({"Test": object("a"), "Test_v2": object("b")}),
    );
    assert_eq!(merged(&first, &[second, third]), expected);
    let (second, third) = (of("/2", "b"), of("/3", "b"));
    let expected = document(
        &[("/1", "Test"), ("/2", "Test_v2"), ("/3", "Test_v2")],
        json!({"Test": object("a"), "Test_v2": object("b")}),
    );
    assert_eq!(merged(&first, &[second, third]), expected);
}

#[test]
fn a_definition_is_of_all_kinds_that_either_says() {
    let kind = |group: &str| json!({"group": group, "version": "v1", "kind": "Foo"});
    let foo = |groups: &[&str]| {
        let kinds: Vec<Value> = groups.iter().map(|group| kind(group)).collect();
        json!({"Foo": {"type": "object", KINDS: kinds}})
    };
    let first = document(&[("/foo", "Foo")], foo(&["group1", "group3"]));
    let second = document(&[("/refoo", "Foo")], foo(&["group2"]));
    let expected = document(
        &[("/foo", "Foo"), ("/refoo", "Foo")],
        foo(&["group1", "group2", "group3"]),
    );
    assert_eq!(merged(&first, &[second]), expected);
}

#[test]
fn kinds_are_put_in_order_when_some_are_added() {
    let kind = |group: &str, kind: &str| json!({"group": group, "version": "v1", "kind": kind});
    let (one, two) = (kind("group1", "Foo"), kind("group2", "Bar"));
    let (three, four) = (kind("group3", "Abc"), kind("group4", "Abc"));
    let none = Value::Null;
    for (known, new, expected) in [
        (none.clone(), none.clone(), None),
        (json!([one, two]), none.clone(), None),
        (none, json!([one, two]), Some(json!([one, two]))),
        (
            json!([one, two]),
            json!([three]),
            Some(json!([one, two, three])),
        ),
        (json!([one, two, three]), json!([three, two, one]), None),
        (
            json!([three, one, four]),
            json!([two]),
            Some(json!([one, two, three, four])),
        ),
        (json!([three, one, four]), json!([]), None),
        (json!([]), json!([]), None),
        (
            json!([one, two]),
            json!([two, three]),
            Some(json!([one, two, three])),
        ),
        (json!([one]), json!(42), None),
    ] {
        assert_eq!(of_both(&known, &new), expected, "{known} {new}");
    }
}

#[test]
fn paths_that_are_there_stay_and_what_only_the_others_need_is_left_out() {
    let first = document(&[("/foo", "Foo")], json!({"Foo": object("a")}));
    let second = document(
        &[("/foo", "Bar"), ("/other", "Baz")],
        json!({"Bar": object("b"), "Baz": object("c")}),
    );
    let expected = document(
        &[("/foo", "Foo"), ("/other", "Baz")],
        json!({"Foo": object("a"), "Baz": object("c")}),
    );
    assert_eq!(merged(&first, &[second]), expected);
}

/// Servers made with Kubernetes' library of 1.27 and later name the parameters of many paths.
#[test]
fn named_parameters_come_along() {
    let with = |path: &str, description: &str| {
        json!({
            "swagger": "2.0", "definitions": {}, "paths": {path: {"get": {
                "parameters": [{"$ref": "#/parameters/limit"}]}}},
            "parameters": {"limit": {"in": "query", "name": "limit", "description": description},
                           "unused": {"in": "query", "name": "unused"}},
        })
    };
    let first = json!({"swagger": "2.0", "definitions": {}, "paths": {}});
    let documents = [with("/apis/a/v1/x", "a"), with("/apis/b/v1/x", "b")];
    let cut = |document: &Value, root: &str| {
        let bytes = document.to_string().into_bytes();
        Foreign::cut(&bytes, root).unwrap().expect("paths")
    };
    let others = [
        cut(&documents[0], "/apis/a/v1"),
        cut(&documents[1], "/apis/b/v1"),
    ];
    let (text, added) = add(&first.to_string(), &others).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    let names: Vec<&String> = all["parameters"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["limit", "limit_v2"]);
    let parameter = |path: &str| all["paths"][path]["get"]["parameters"][0]["$ref"].clone();
    assert_eq!(parameter("/apis/a/v1/x"), "#/parameters/limit");
    assert_eq!(parameter("/apis/b/v1/x"), "#/parameters/limit_v2");
    assert_eq!(added.parameters["limit_v2"]["description"], "b");
}

/// What is kept of a document are the paths below one version, and what these refer to, also in
/// turn.
#[test]
fn a_document_is_cut_to_what_a_version_needs() {
    let mut whole = document(
        &[
            ("/apis/behind/v1/", "List"),
            ("/apis/behind/v1/things", "Thing"),
            ("/apis/behind/v11/things", "Other"),
            ("/apis/behind/", "Other"),
        ],
        json!({"List": object("l"), "Other": object("o"), "Spec": object("s"), "Unused": object("u"),
               "Thing": {"properties": {"spec": {"$ref": "#/definitions/Spec"}}}}),
    );
    whole["info"] = json!({"title": "Other"});
    let bytes = whole.to_string().into_bytes();
    let cut = Foreign::cut(&bytes, "/apis/behind/v1")
        .unwrap()
        .expect("paths");
    let part: Part = serde_json::from_str(&cut.text).unwrap();
    let keys = |map: &Map<String, Value>| map.keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        keys(&part.paths),
        ["/apis/behind/v1/", "/apis/behind/v1/things"]
    );
    assert_eq!(keys(&part.definitions), ["List", "Spec", "Thing"]);
    assert_eq!(Foreign::cut(&bytes, "/apis/nobody/v1").unwrap(), None);
    assert!(Foreign::cut(b"<html>", "/apis/behind/v1").is_err());
    assert!(Foreign::cut(br#"{"paths": 5}"#, "/apis/behind/v1").is_err());
}
