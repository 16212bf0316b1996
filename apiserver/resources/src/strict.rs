//! Decoding as Kubernetes does it: types must fit, unknown and duplicate
//! fields are dropped but told.

mod parse;
mod walk;

use crate::schema::Schema;
use hardway_proto::Status;
use serde_json::{Value, json};
use std::sync::LazyLock;

/// Of one body no more problems than this are told, as in Kubernetes' decoder …
const MOST_PROBLEMS: usize = 100;
/// … and none more once they are this long together: each tells the path to it.
const MOST_TEXT: usize = 256 << 10;

/// Adds a problem, once, and unless there are too many.
fn note(problems: &mut Vec<String>, problem: impl FnOnce() -> String) {
    let length: usize = problems.iter().map(String::len).sum();
    if problems.len() >= MOST_PROBLEMS || length > MOST_TEXT {
        return;
    }
    let problem = problem();
    if !problems.contains(&problem) {
        problems.push(problem);
    }
}

/// Reads JSON into the shape of a schema. Fields it doesn't know are dropped
/// (where it doesn't keep them), of duplicate keys the last counts; both are
/// told, in Kubernetes' words (`unknown field "spec.foo"`). An error is one
/// that makes the object undecodable, in the words of Go's decoder.
///
/// Types of custom resources aren't checked here (but for their metadata):
/// they are a matter of validation.
pub fn check(schema: &Schema, json: &[u8]) -> Result<(Value, Vec<String>), String> {
    let mut duplicates = Vec::new();
    let mut value = parse::parse(json, &mut duplicates)?;
    let mut unknown = walk::Unknown::default();
    walk::walk(schema, &mut value, &mut unknown)?;
    if unknown.is_empty() {
        return Ok((value, duplicates));
    }
    // A built-in kind is decoded in one go, its problems are told as they come. Of a custom
    // resource Kubernetes parses the whole before it looks at the schema.
    let problems = match is_custom(schema) {
        true => {
            duplicates.extend(unknown.of_custom());
            duplicates
        }
        false => parse::in_order(json, schema)?,
    };
    Ok((value, problems))
}

/// Drops what the schema doesn't know from an object that is decoded already, and tells it.
pub fn prune(schema: &Schema, value: &mut Value) -> Result<Vec<String>, String> {
    let mut unknown = walk::Unknown::default();
    walk::walk(schema, value, &mut unknown)?;
    Ok(match is_custom(schema) {
        true => unknown.of_custom(),
        false => unknown.sorted(),
    })
}

fn is_custom(schema: &Schema) -> bool {
    schema.node().name.is_empty()
}

/// Reads a patch that is an object; keys that come twice are told, wherever they are.
pub fn patch(json: &[u8]) -> Result<(Value, Vec<String>), String> {
    let mut duplicates = Vec::new();
    let value = parse::parse(json, &mut duplicates)?;
    Ok((value, duplicates))
}

/// What the operations of a JSON patch have that none has, or have twice, as Kubernetes
/// tells it: `json patch unknown field "[0].foo"`. Nothing if it can't be read.
pub fn operations(patch: &[u8]) -> Vec<String> {
    static OPERATIONS: LazyLock<Schema> = LazyLock::new(|| {
        let text = || json!({"type": "string"});
        let value = json!({"x-kubernetes-preserve-unknown-fields": true});
        crate::schema::custom::from_open_api(Some(&json!({"type": "array", "items":
            {"type": "object", "properties": {
                "op": text(), "path": text(), "from": text(), "value": value}}})))
    });
    let problems = parse::in_order(patch, &OPERATIONS).unwrap_or_default();
    let told = problems
        .iter()
        .map(|problem| format!("json patch {problem}"));
    told.collect()
}

/// 400: why a body can't be taken for an object of a kind.
pub fn undecodable(version: &str, kind: &str, why: &str) -> Status {
    Status::bad_request(format!(
        "{kind} in version {version:?} cannot be handled as a {kind}: {why}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::builtin;

    fn deployment(json: &str) -> Result<(Value, Vec<String>), String> {
        let schema = builtin::kind("apps", "v1", "Deployment").expect("built in");
        check(&schema, json.as_bytes())
    }

    #[test]
    fn unknown_and_duplicate_fields_are_dropped_and_told() {
        let (value, problems) = deployment(
            r#"{"kind":"Deployment","spec":{"replicas":1,"replicas":2,"foo":1,"foo":2,
                "template":{"spec":{"containers":[{"name":"a","imagee":"b"}]}}}}"#,
        )
        .expect("decodable");
        assert_eq!(value["spec"]["replicas"], 2);
        assert_eq!(value["spec"].get("foo"), None);
        assert_eq!(
            problems,
            [
                r#"duplicate field "spec.replicas""#,
                r#"unknown field "spec.foo""#,
                r#"unknown field "spec.template.spec.containers[0].imagee""#,
            ]
        );
    }

    #[test]
    fn problems_are_told_within_bounds() {
        let many = |key: &str| {
            let fields: Vec<String> = (0..50_000).map(|n| format!(r#""f{n}":1"#)).collect();
            let twice = vec![r#""name":"x""#; 50_000].join(",");
            let json = format!(r#"{{"spec":{{{}}},"{key}":{{{twice}}}}}"#, fields.join(","));
            deployment(&json).expect("decodable").1
        };
        let told = many("metadata");
        assert_eq!(told.len(), MOST_PROBLEMS);
        // Told once, but not put together 200,000 times.
        let start = std::time::Instant::now();
        let twice = vec![r#""a":1"#; 200_000].join(",");
        let body = format!(r#"{{"{}":{{{twice}}}}}"#, "k".repeat(200 << 10));
        assert_eq!(patch(body.as_bytes()).expect("JSON").1.len(), 1);
        assert!(start.elapsed() < std::time::Duration::from_secs(20));
        // Each path would be as long as the body.
        let told: usize = many(&"k".repeat(1 << 20)).iter().map(String::len).sum();
        assert!(told < 3 << 20, "{told}");
    }

    #[test]
    fn wrong_types_are_told_as_go_tells_them() {
        let why = |json: &str| deployment(json).expect_err("undecodable");
        assert_eq!(
            why(r#"{"spec":{"replicas":"two"}}"#),
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"
        );
        assert_eq!(
            why(
                r#"{"spec":{"template":{"spec":{"containers":[{"ports":[{"containerPort":"x"}]}]}}}}"#
            ),
            "json: cannot unmarshal string into Go struct field ContainerPort.spec.template.spec.containers.ports.containerPort of type int32"
        );
        assert_eq!(
            why(r#"{"spec":{"template":{"spec":{"containers":{}}}}}"#),
            "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container"
        );
        assert_eq!(
            why(r#"{"metadata":{"labels":{"a":1}}}"#),
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string"
        );
        assert_eq!(
            why(r#"{"spec":{"replicas":1.5}}"#),
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32"
        );
        assert!(why(r#"{"spec":{"template":{"spec":{"containers":[{"resources":{"limits":{"cpu":"abc"}}}]}}}}"#)
            .starts_with("quantities must match the regular expression"));
        assert_eq!(
            why(
                r#"{"spec":{"template":{"spec":{"containers":[{"resources":{"limits":{"cpu":"500mi"}}}]}}}}"#
            ),
            "unable to parse quantity's suffix"
        );
    }

    #[test]
    fn what_is_right_passes_untouched() {
        let pass = |group: &str, kind: &str, object: Value| {
            let schema = builtin::kind(group, "v1", kind).expect("built in");
            let (value, problems) = check(&schema, object.to_string().as_bytes()).expect(kind);
            assert_eq!((value, problems), (object, Vec::new()), "{kind}");
        };
        pass(
            "apiextensions.k8s.io",
            "CustomResourceDefinition",
            json!({"metadata": {"name": "a.b.c"}, "spec": {"group": "b.c", "scope": "Namespaced",
                "names": {"plural": "a", "kind": "A"}, "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                    "map": {"type": "object", "additionalProperties": {"type": "string"}},
                    "any": {"type": "object", "additionalProperties": true},
                    "list": {"type": "array", "items": {"type": "integer", "enum": [1, 2]}, "default": [1]},
                    "port": {"x-kubernetes-int-or-string": true}}}}}]}}),
        );
        pass(
            "events.k8s.io",
            "Event",
            json!({"eventTime": "2026-01-01T00:00:00.123456Z", "regarding": {"kind": "Pod"}, "note": "n"}),
        );
        pass(
            "networking.k8s.io",
            "NetworkPolicy",
            json!({"spec": {"podSelector": {}, "ingress": [{"ports": [{"port": 80}, {"port": "http"}]}]}}),
        );
        pass(
            "",
            "PersistentVolumeClaim",
            json!({"spec": {"resources": {"requests": {"storage": "1536Mi"}, "limits": {"storage": "1073741824"}}}}),
        );
        pass(
            "",
            "ConfigMap",
            json!({"data": {"a.b": ""}, "binaryData": {"x": "aGk="}}),
        );
        pass(
            "apps",
            "ControllerRevision",
            json!({"revision": 1, "data": {"spec": {"anything": [1, null]}}}),
        );
    }

    fn definition(schema: &str) -> Result<(Value, Vec<String>), String> {
        let group = "apiextensions.k8s.io";
        let of = builtin::kind(group, "v1", "CustomResourceDefinition").expect("built in");
        let versions =
            format!(r#"{{"spec":{{"versions":[{{"schema":{{"openAPIV3Schema":{schema}}}}}]}}}}"#);
        let (mut value, problems) = check(&of, versions.as_bytes())?;
        let schema = value["spec"]["versions"][0]["schema"]["openAPIV3Schema"].take();
        Ok((schema, problems))
    }

    #[test]
    fn schemas_within_schemas_are_typed_whatever_else_they_may_be() {
        let why = |schema: &str| definition(schema).expect_err(schema);
        let cannot = "json: cannot unmarshal string into Go struct field JSONSchemaProps.spec.versions.schema.openAPIV3Schema";
        for (schema, at) in [
            (r#"{"items":{"maxLength":"abc"}}"#, "items of type int64"),
            (
                r#"{"items":[{},{"maxLength":"abc"}]}"#,
                "items of type int64",
            ),
            (r#"{"items":["abc"]}"#, "items of type v1.JSONSchemaProps"),
            (
                r#"{"properties":{"a":{"additionalProperties":{"items":{"maxLength":"abc"}}}}}"#,
                "properties.additionalProperties of type int64",
            ),
            (
                r#"{"dependencies":{"a":{"maxLength":"abc"}}}"#,
                "dependencies of type int64",
            ),
        ] {
            assert_eq!(why(schema), format!("{cannot}.{at}"));
        }
        let texts = why(r#"{"dependencies":{"a":["b",1]}}"#);
        assert!(texts.ends_with("dependencies of type string"), "{texts}");
        for odd in [r#""x""#, "1", "[]"] {
            let schema = format!(r#"{{"additionalProperties":{odd}}}"#);
            assert_eq!(why(&schema), "boolean or JSON schema expected");
        }
        // Go drops what is unknown there without a word, and takes what is no schema for none.
        let odd = r#"{"items":{"type":"string","what":1},"additionalItems":false,
            "not":{"items":"x"},"dependencies":{"a":["b"]}}"#;
        let right = json!({"items": {"type": "string"}, "additionalItems": false,
            "not": {}, "dependencies": {"a": ["b"]}});
        assert_eq!(definition(odd), Ok((right, Vec::new())));
    }

    #[test]
    fn custom_resources_are_pruned_but_not_typed_here() {
        let schema =
            crate::schema::custom::from_open_api(Some(&json!({"type": "object", "properties": {
            "spec": {"type": "object", "properties": {"size": {"type": "integer"},
                "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}})));
        let (value, problems) = check(
            &schema,
            br#"{"apiVersion":"a/v1","kind":"A","metadata":{"name":"x","foo":1},
                "spec":{"size":"big","what":1,"open":{"a":1}}}"#,
        )
        .expect("decodable");
        assert_eq!(value["spec"], json!({"size": "big", "open": {"a": 1}}));
        assert_eq!(
            problems,
            [
                r#"unknown field "metadata.foo""#,
                r#"unknown field "spec.what""#
            ]
        );
        let why =
            check(&schema, br#"{"metadata":{"labels":{"a":1}}}"#).expect_err("labels are strings");
        assert!(
            why.ends_with("Go struct field ObjectMeta.metadata.labels of type string"),
            "{why}"
        );
    }

    #[test]
    fn nulls_in_lists_and_maps_are_zero_values() {
        let deployment = deployment(
            r#"{"metadata": {"name": "a", "labels": {"a": null}}, "spec": {"template": {"spec": {
                "tolerations": [null], "containers": [{"args": [null], "resources": {"limits": {"cpu": null}}}]}}}}"#,
        );
        let value = deployment.unwrap().0;
        assert_eq!(value["metadata"]["labels"], json!({"a": ""}));
        let budget = builtin::kind("policy", "v1", "PodDisruptionBudget").expect("built in");
        let odd = br#"{"status": {"disruptedPods": {"a": null}}}"#;
        let (value_of_time, _) = check(&budget, odd).expect("decodable");
        assert_eq!(value_of_time["status"]["disruptedPods"], json!({"a": null}));
        let spec = &value["spec"]["template"]["spec"];
        assert_eq!(spec["tolerations"], json!([{}]));
        assert_eq!(spec["containers"][0]["args"], json!([""]));
        assert_eq!(
            spec["containers"][0]["resources"]["limits"],
            json!({"cpu": "0"})
        );
    }

    #[test]
    fn nulls_vanish() {
        let (value, problems) =
            deployment(r#"{"metadata":{"creationTimestamp":null,"name":"a"},"status":null}"#)
                .expect("decodable");
        assert_eq!(value, json!({"metadata": {"name": "a"}}));
        assert!(problems.is_empty());
    }

    #[test]
    fn empty_lists_and_maps_of_built_in_kinds_vanish() {
        let (value, _) = deployment(
            r#"{"metadata":{"labels":{},"finalizers":[]},"spec":{"selector":{"matchLabels":{}},
                "template":{"spec":{"containers":[],"volumes":[{"name":"v","emptyDir":{}}]}}}}"#,
        )
        .expect("decodable");
        assert_eq!(
            value,
            json!({"metadata": {}, "spec": {"selector": {},
                "template": {"spec": {"containers": [], "volumes": [{"name": "v", "emptyDir": {}}]}}}}),
            "what is required stays, and structs"
        );
    }

    /// Kubernetes 1.33: `kubectl create` with these, `kubectl get -o json`.
    #[test]
    fn scalars_are_written_as_go_writes_them() {
        let event = builtin::kind("events.k8s.io", "v1", "Event").expect("built in");
        let written = |text: &str| check(&event, text.as_bytes()).expect("decodable").0;
        let value = written(
            r#"{"eventTime": "2026-01-01T02:00:00.1234569+02:00", "deprecatedFirstTimestamp": "2026-01-01T00:00:00.9Z",
                "deprecatedLastTimestamp": "0001-01-01T00:00:00Z"}"#,
        );
        assert_eq!(
            value,
            json!({"eventTime": "2026-01-01T00:00:00.123456Z", "deprecatedFirstTimestamp": "2026-01-01T00:00:00Z",
                "deprecatedLastTimestamp": null})
        );
        let (value, _) = deployment(
            r#"{"spec":{"template":{"spec":{"overhead":{"a":0.5,"b":" 1000m ","c":"1.5Gi","d":"1e3","e":"+1"}}}}}"#,
        )
        .expect("decodable");
        assert_eq!(
            value["spec"]["template"]["spec"]["overhead"],
            json!({"a": "500m", "b": "1", "c": "1536Mi", "d": "1e3", "e": "1"})
        );
    }

    #[test]
    fn bytes_and_times() {
        let secret = builtin::kind("", "v1", "Secret").expect("built in");
        let why = check(&secret, br#"{"data":{"a":"b$"}}"#).expect_err("no base64");
        assert_eq!(why, "illegal base64 data at input byte 1");
        let why =
            check(&secret, br#"{"metadata":{"creationTimestamp":"soon"}}"#).expect_err("no time");
        assert!(why.starts_with(r#"parsing time "soon" as "2006-01-02T15:04:05Z07:00""#));
    }
}
