//! Definitions of custom resources from their creation to their end: what is refused,
//! names that collide, what objects are held against, and what they are selected by.

mod rules;

use crate::common::Lab;
use http::Method;
use serde_json::{Value, json};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const GROUP: &str = "/apis/pub.example.com/v1/namespaces/default";

fn definition(plural: &str, kind: &str, schema: Value) -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.pub.example.com")},
        "spec": {
            "group": "pub.example.com", "scope": "Namespaced",
            "names": {"plural": plural, "singular": format!("{plural}x"), "kind": kind},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": schema}}]}})
}

fn at(plural: &str) -> String {
    format!("{DEFINITIONS}/{plural}.pub.example.com")
}

/// Status, reason and message of a condition.
async fn condition(lab: &Lab, plural: &str, kind: &str) -> Option<[String; 3]> {
    let (_, crd) = lab.get(&at(plural)).await;
    let conditions = crd["status"]["conditions"].as_array()?;
    let found = conditions.iter().find(|c| c["type"] == kind)?;
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    Some([text("status"), text("reason"), text("message")])
}

async fn until_established(lab: &Lab, plural: &str) {
    lab.until("the definition is established", async || {
        let condition = condition(lab, plural, "Established").await;
        condition.is_some_and(|[status, ..]| status == "True")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_structural_is_refused() {
    let lab = Lab::start().await;
    let dry = format!("{DEFINITIONS}?dryRun=All");
    let spec = |spec: Value| json!({"type": "object", "properties": {"spec": spec}});
    for (schema, field, message) in [
        (
            spec(json!({"properties": {"a": {"type": "string"}}})),
            "spec.validation.openAPIV3Schema.properties[spec].type",
            "Required value: must not be empty for specified object fields",
        ),
        (
            spec(json!({"type": "object", "properties": {"f": {"$ref": "#/definitions/x"}}})),
            "spec.validation.openAPIV3Schema.properties[spec].properties[f].$ref",
            "Forbidden: $ref is not supported",
        ),
    ] {
        let (code, status) = lab.post(&dry, &definition("bads", "Bad", schema)).await;
        assert_eq!(
            (code, &status["reason"]),
            (422, &json!("Invalid")),
            "{status}"
        );
        let cause = &status["details"]["causes"][0];
        assert_eq!(
            (&cause["field"], &cause["message"]),
            (&json!(field), &json!(message))
        );
        let name = "CustomResourceDefinition.apiextensions.k8s.io \"bads.pub.example.com\"";
        assert_eq!(
            status["message"],
            format!("{name} is invalid: {field}: {message}")
        );
    }
    let made = lab
        .create(
            &dry,
            &definition("bads", "Bad", spec(json!({"type": "object"}))),
        )
        .await;
    assert_eq!(made["status"]["storedVersions"], json!(["v1"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_given_once_and_again_when_they_are_free() {
    let lab = Lab::start().await;
    let schema = json!({"type": "object"});
    let named = |plural: &str| {
        let mut definition = definition(plural, "Knob", schema.clone());
        definition["spec"]["names"]["shortNames"] = json!(["kn"]);
        definition
    };
    lab.create(DEFINITIONS, &named("knobs")).await;
    until_established(&lab, "knobs").await;
    lab.create(DEFINITIONS, &named("knobz")).await;
    lab.until("the other's names are told of", async || {
        condition(&lab, "knobz", "NamesAccepted").await.is_some()
    })
    .await;
    let texts = |texts: [&str; 3]| Some(texts.map(str::to_owned));
    assert_eq!(
        condition(&lab, "knobz", "NamesAccepted").await,
        texts([
            "False",
            "ListKindConflict",
            "\"KnobList\" is already in use"
        ])
    );
    assert_eq!(
        condition(&lab, "knobz", "Established").await,
        texts(["False", "NotAccepted", "not all names are accepted"])
    );
    let served = format!("{GROUP}/knobz");
    assert_eq!(lab.get(&served).await.0, 404);
    let (_, discovered) = lab.get("/apis/pub.example.com/v1").await;
    let names = discovered["resources"].as_array().unwrap().iter();
    let names: Vec<&Value> = names.map(|resource| &resource["name"]).collect();
    assert_eq!(names, ["knobs"]);

    let (code, _) = lab.delete(&at("knobs"), &Value::Null).await;
    assert_eq!(code, 200);
    until_established(&lab, "knobz").await;
    assert_eq!(
        condition(&lab, "knobz", "NamesAccepted").await,
        texts(["True", "NoConflicts", "no conflicts found"])
    );
    assert_eq!(lab.get(&served).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_that_is_there_keeps_its_names() {
    let lab = Lab::start().await;
    let group = "networking.k8s.io";
    let name = format!("ingresses.{group}");
    let mut definition = definition("ingresses", "Ingress", json!({"type": "object"}));
    definition["metadata"] = json!({"name": name,
        "annotations": {"api-approved.kubernetes.io": "unapproved, a test"}});
    definition["spec"]["group"] = group.into();
    lab.create(DEFINITIONS, &definition).await;
    let one = format!("{DEFINITIONS}/{name}");
    lab.until("the names are refused", async || {
        let (_, crd) = lab.get(&one).await;
        let conditions = crd["status"]["conditions"].as_array();
        conditions.is_some_and(|all| {
            let refused = |c: &Value| c["type"] == "NamesAccepted" && c["status"] == "False";
            all.iter().any(refused)
        })
    })
    .await;
    let ingresses = "/apis/networking.k8s.io/v1/namespaces/default/ingresses";
    let ingress = json!({"metadata": {"name": "a"},
        "spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}});
    lab.create(ingresses, &ingress).await;
    assert_eq!(lab.delete(&one, &Value::Null).await.0, 200);
    lab.until("the definition is gone", async || {
        lab.get(&one).await.0 == 404
    })
    .await;
    assert_eq!(lab.get(&format!("{ingresses}/a")).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_are_selected_by_what_the_definition_says() {
    let lab = Lab::start().await;
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "color": {"type": "string"}, "size": {"type": "integer"}}}}});
    let mut shirts = definition("shirts", "Shirt", schema);
    shirts["spec"]["versions"][0]["selectableFields"] =
        json!([{"jsonPath": ".spec.color"}, {"jsonPath": ".spec.size"}]);
    lab.create(DEFINITIONS, &shirts).await;
    until_established(&lab, "shirts").await;
    let path = format!("{GROUP}/shirts");
    for (name, spec) in [
        ("red", json!({"color": "red", "size": 2})),
        ("blue", json!({"color": "blue", "size": 2})),
        ("plain", json!({})),
    ] {
        let shirt = json!({"apiVersion": "pub.example.com/v1", "kind": "Shirt",
            "metadata": {"name": name}, "spec": spec});
        lab.create(&path, &shirt).await;
    }
    for (selector, expected) in [
        ("spec.color%3Dred", vec!["red"]),
        ("spec.size%3D2,spec.color!%3Dred", vec!["blue"]),
        ("spec.color%3D", vec!["plain"]),
    ] {
        let (code, list) = lab.get(&format!("{path}?fieldSelector={selector}")).await;
        assert_eq!(code, 200, "{list}");
        let items = list["items"].as_array().unwrap().iter();
        let names: Vec<&Value> = items.map(|item| &item["metadata"]["name"]).collect();
        assert_eq!(names, expected, "{selector}");
    }
    let (code, status) = lab
        .get(&format!("{path}?fieldSelector=spec.none%3D1"))
        .await;
    assert_eq!(
        (code, &status["message"]),
        (400, &json!("field label not supported: spec.none"))
    );
    let (_, open_api) = lab.get("/openapi/v3/apis/pub.example.com/v1").await;
    assert_eq!(
        open_api["components"]["schemas"]["com.example.pub.v1.Shirt"]["x-kubernetes-selectable-fields"],
        json!([{"fieldPath": "spec.color"}, {"fieldPath": "spec.size"}])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_resources_and_status_are_checked() {
    let lab = Lab::start().await;
    let mut wraps = definition(
        "wraps",
        "Wrap",
        json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"tmpl": {"type": "object",
            "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true}}},
        "status": {"type": "object", "properties": {"phase": {"type": "string"}}}}}),
    );
    wraps["spec"]["versions"][0]["subresources"] = json!({"status": {}});
    lab.create(DEFINITIONS, &wraps).await;
    until_established(&lab, "wraps").await;
    let path = format!("{GROUP}/wraps");
    let wrap = |name: &str, tmpl: Value| {
        json!({"apiVersion": "pub.example.com/v1", "kind": "Wrap",
            "metadata": {"name": name}, "spec": {"tmpl": tmpl}})
    };
    let (code, status) = lab.post(&path, &wrap("a", json!({"spec": {}}))).await;
    assert_eq!(code, 422, "{status}");
    assert_eq!(
        status["message"],
        "Wrap.pub.example.com \"a\" is invalid: [spec.tmpl.apiVersion: Required value: must not be empty, spec.tmpl.kind: Required value: must not be empty]"
    );
    let bad = json!({"apiVersion": "a/b/c", "kind": "B d", "metadata": {"labels": {"a b": "c"}}});
    let (code, status) = lab.post(&path, &wrap("b", bad)).await;
    assert_eq!(code, 422, "{status}");
    let causes = status["details"]["causes"].as_array().unwrap().iter();
    let fields: Vec<&Value> = causes.map(|cause| &cause["field"]).collect();
    assert_eq!(
        fields,
        [
            "spec.tmpl.apiVersion",
            "spec.tmpl.kind",
            "spec.tmpl.metadata.labels"
        ]
    );
    // Of its metadata only what metadata has is kept; all else is.
    let good = json!({"apiVersion": "v1", "kind": "Pod", "other": 1,
        "metadata": {"name": "x", "unknown": true}});
    let made = lab.create(&path, &wrap("c", good)).await;
    assert_eq!(made["spec"]["tmpl"]["other"], 1);
    assert_eq!(made["spec"]["tmpl"]["metadata"], json!({"name": "x"}));

    let (code, status) = lab
        .merge(
            &format!("{path}/c/status"),
            &json!({"status": {"phase": 1}}),
        )
        .await;
    assert_eq!(code, 422, "{status}");
    assert_eq!(
        status["message"],
        "Wrap.pub.example.com \"c\" is invalid: status.phase: Invalid value: \"integer\": phase in body must be of type string: \"integer\""
    );
    let (code, _) = lab
        .merge(
            &format!("{path}/c/status"),
            &json!({"status": {"phase": "On"}}),
        )
        .await;
    assert_eq!(code, 200);
}

/// Rules come after objects: what doesn't hold and isn't changed warns, whatever is written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_new_rule_forbids_is_warned_of_where_it_was() {
    let lab = Lab::start().await;
    let schema = |rules: Value| {
        json!({"type": "object", "properties": {
            "metadata": {"type": "object", "properties":
                {"name": {"type": "string", "pattern": "^db-"}}},
            "spec": {"type": "object", "properties": {"size": {"type": "integer"}},
                "x-kubernetes-validations": rules},
            "status": {"type": "object", "properties": {"phase": {"type": "string"}}}}})
    };
    let mut rules = definition("rules", "Rule", schema(json!([])));
    rules["spec"]["versions"][0]["subresources"] = json!({"status": {}});
    lab.create(DEFINITIONS, &rules).await;
    until_established(&lab, "rules").await;
    let path = format!("{GROUP}/rules");
    let rule = |name: &str| {
        json!({"apiVersion": "pub.example.com/v1", "kind": "Rule",
            "metadata": {"name": name}, "spec": {"size": 11}})
    };
    let (code, status) = lab.post(&path, &rule("web")).await;
    assert_eq!(code, 422, "{status}");
    assert_eq!(
        status["message"],
        r#"Rule.pub.example.com "web" is invalid: metadata.name: Invalid value: "web": metadata.name in body should match '^db-'"#
    );
    lab.create(&path, &rule("db-1")).await;
    let (_, mut changed) = lab.get(&at("rules")).await;
    let small = schema(json!([{"rule": "self.size <= 10"}]));
    changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = small;
    assert_eq!(lab.put(&at("rules"), &changed).await.0, 200);
    lab.until("the rule holds", async || {
        lab.post(&format!("{path}?dryRun=All"), &rule("db-2"))
            .await
            .0
            == 422
    })
    .await;
    let one = format!("{path}/db-1");
    let labelled = json!({"metadata": {"labels": {"a": "b"}}});
    let on = json!({"status": {"phase": "On"}});
    for (path, change) in [(one.clone(), labelled), (format!("{one}/status"), on)] {
        assert_eq!(
            lab.warnings(
                Method::PATCH,
                &path,
                "application/merge-patch+json",
                &change
            )
            .await,
            [r#"299 - "spec: Invalid value: \"object\": failed rule: self.size <= 10""#],
            "{path}"
        );
    }
    let larger = json!({"spec": {"size": 12}});
    assert_eq!(lab.merge(&one, &larger).await.0, 422);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_that_goes_says_so() {
    let lab = Lab::start().await;
    lab.create(
        DEFINITIONS,
        &definition("holds", "Hold", json!({"type": "object"})),
    )
    .await;
    until_established(&lab, "holds").await;
    let hold = json!({"apiVersion": "pub.example.com/v1", "kind": "Hold",
        "metadata": {"name": "a", "finalizers": ["example.com/hold"]}});
    lab.create(&format!("{GROUP}/holds"), &hold).await;
    lab.delete(&at("holds"), &Value::Null).await;
    lab.until("it waits for its objects", async || {
        let told = condition(&lab, "holds", "Terminating").await;
        told.is_some_and(|[status, reason, _]| {
            status == "True" && reason == "InstanceDeletionCheck"
        })
    })
    .await;
    let (code, _) = lab
        .merge(
            &format!("{GROUP}/holds/a"),
            &json!({"metadata": {"finalizers": null}}),
        )
        .await;
    assert_eq!(code, 200);
    lab.until("it is gone", async || lab.get(&at("holds")).await.0 == 404)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_served_any_more_goes_with_its_definition() {
    let lab = Lab::start().await;
    let mut quiet = definition("quiets", "Quiet", json!({"type": "object"}));
    let made = lab.create(DEFINITIONS, &quiet).await;
    until_established(&lab, "quiets").await;
    // Only what is deleted is held (`customresourcedefinition/etcd.go`).
    assert_eq!(made["metadata"].get("finalizers"), None);
    let (_, made) = lab.get(&at("quiets")).await;
    assert_eq!(made["metadata"].get("finalizers"), None);
    for name in ["a", "b"] {
        let object = json!({"apiVersion": "pub.example.com/v1", "kind": "Quiet",
            "metadata": {"name": name}});
        lab.create(&format!("{GROUP}/quiets"), &object).await;
    }
    let mut etcd = lab.etcd_client().await;
    let mut left = async || {
        let prefix = "/registry/pub.example.com/quiets/";
        let options = etcd_client::GetOptions::new().with_prefix();
        etcd.get(prefix, Some(options)).await.unwrap().kvs().len()
    };
    assert_eq!(left().await, 2);
    // A version that serves nothing, and keeps it all the same.
    quiet["spec"]["versions"][0]["served"] = json!(false);
    let (code, _) = lab
        .merge(&at("quiets"), &json!({"spec": quiet["spec"]}))
        .await;
    assert_eq!(code, 200);
    lab.until("it is served no more", async || {
        lab.get(&format!("{GROUP}/quiets")).await.0 == 404
    })
    .await;
    let (code, going) = lab.delete(&at("quiets"), &Value::Null).await;
    assert_eq!(code, 200);
    let hold = "customresourcecleanup.apiextensions.k8s.io";
    assert_eq!(going["metadata"]["finalizers"], json!([hold]));
    let conditions = going["status"]["conditions"].as_array().unwrap();
    let condition = conditions.iter().find(|c| c["type"] == "Terminating");
    assert_eq!(condition.unwrap()["reason"], "InstanceDeletionPending");
    lab.until("it is gone", async || lab.get(&at("quiets")).await.0 == 404)
        .await;
    assert_eq!(left().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_that_changes_is_seen_at_once() {
    let lab = Lab::start().await;
    let schema = |size: Value| {
        json!({"type": "object", "properties": {"spec": {"type": "object",
            "properties": {"size": size}}}})
    };
    let plain = definition("tunes", "Tune", schema(json!({"type": "integer"})));
    lab.create(DEFINITIONS, &plain).await;
    until_established(&lab, "tunes").await;
    let tunes = format!("{GROUP}/tunes");
    let tune = |name: &str| {
        json!({"apiVersion": "pub.example.com/v1", "kind": "Tune",
            "metadata": {"name": name}, "spec": {}})
    };
    let made = lab.create(&tunes, &tune("a")).await;
    assert_eq!(made["spec"], json!({}));
    let version = made["metadata"]["resourceVersion"].as_str().unwrap();
    let mut watch = lab
        .watch(&format!("{tunes}?watch=1&resourceVersion={version}"))
        .await;
    let with_default = definition(
        "tunes",
        "Tune",
        schema(json!({"type": "integer", "default": 3})),
    );
    let spec = json!({"spec": with_default["spec"]});
    assert_eq!(lab.merge(&at("tunes"), &spec).await.0, 200);
    // What is stored already has the default as soon as the definition has it.
    lab.until("the default is there", async || {
        lab.get(&format!("{tunes}/a")).await.1["spec"]["size"] == 3
    })
    .await;
    let (_, list) = lab.get(&tunes).await;
    assert_eq!(list["items"][0]["spec"]["size"], 3);
    // Who watched by the former definition is not left waiting for nothing.
    assert_eq!(watch.next().await, None);
    lab.create(&tunes, &tune("b")).await;
    let version = list["metadata"]["resourceVersion"].as_str().unwrap();
    let mut watch = lab
        .watch(&format!("{tunes}?watch=1&resourceVersion={version}"))
        .await;
    assert_eq!(watch.told().await, ("ADDED".into(), "b".into()));
    // And is told when there is nothing to watch any more.
    lab.delete(&at("tunes"), &Value::Null).await;
    while watch.next().await.is_some() {}
}

/// Which subresources there are, and where scale reads and writes, each version says itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_have_subresources_of_their_own() {
    let lab = Lab::start().await;
    let version = |name: &str, subresources: Value| {
        json!({"name": name, "served": true, "storage": name == "v1", "subresources": subresources,
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}})
    };
    let scale = |field: &str| {
        json!({"specReplicasPath": format!(".spec.{field}"),
               "statusReplicasPath": format!(".status.{field}")})
    };
    let mut toys = definition("toys", "Toy", json!({"type": "object"}));
    toys["spec"]["versions"] = json!([
        version("v1", json!({"status": {}, "scale": scale("replicas")})),
        version("v2", json!({"scale": scale("count")})),
        version("v3", json!({})),
    ]);
    lab.create(DEFINITIONS, &toys).await;
    until_established(&lab, "toys").await;
    let path = |version: &str, rest: &str| {
        format!("/apis/pub.example.com/{version}/namespaces/default/toys{rest}")
    };
    let told = async |version: &str| -> Vec<String> {
        let (_, list) = lab.get(&format!("/apis/pub.example.com/{version}")).await;
        let resources = list["resources"].as_array().unwrap().iter();
        resources
            .map(|resource| resource["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(told("v1").await, ["toys", "toys/scale", "toys/status"]);
    assert_eq!(told("v2").await, ["toys", "toys/scale"]);
    assert_eq!(told("v3").await, ["toys"]);

    let toy = |version: &str, name: &str| {
        json!({"apiVersion": format!("pub.example.com/{version}"), "kind": "Toy",
            "metadata": {"name": name}, "spec": {"replicas": 2, "count": 3},
            "status": {"replicas": 1, "count": 1}})
    };
    // Where status is a subresource nothing else writes it; elsewhere it is a field like others.
    let made = lab.create(&path("v1", ""), &toy("v1", "one")).await;
    assert!(made.get("status").is_none(), "{made}");
    let made = lab.create(&path("v3", ""), &toy("v3", "two")).await;
    assert_eq!(made["status"]["count"], 1);
    let patch = json!({"status": {"count": 7}});
    let (code, _) = lab.merge(&path("v1", "/two/status"), &patch).await;
    assert_eq!(code, 200);
    let (_, kept) = lab
        .merge(&path("v1", "/two"), &json!({"status": {"count": 8}}))
        .await;
    assert_eq!(kept["status"]["count"], 7);
    let (_, kept) = lab
        .merge(&path("v2", "/two"), &json!({"status": {"count": 9}}))
        .await;
    assert_eq!(kept["status"]["count"], 9);
    assert_eq!(lab.merge(&path("v2", "/two/status"), &patch).await.0, 404);

    for (version, replicas, status) in [("v1", 2, 1), ("v2", 3, 9)] {
        let (code, scale) = lab.get(&path(version, "/two/scale")).await;
        assert_eq!(code, 200, "{scale}");
        assert_eq!(scale["spec"]["replicas"], replicas, "{version}");
        assert_eq!(scale["status"]["replicas"], status, "{version}");
    }
    assert_eq!(lab.get(&path("v3", "/two/scale")).await.0, 404);
    let patch = json!({"spec": {"replicas": 5}});
    assert_eq!(lab.merge(&path("v2", "/two/scale"), &patch).await.0, 200);
    let (_, toy) = lab.get(&path("v3", "/two")).await;
    assert_eq!(toy["spec"], json!({"replicas": 2, "count": 5}));
}
