//! Policies against requests: cases of Kubernetes' documentation ("Validating Admission
//! Policy", "Mutating Admission Policy") and of its `validating/admission_test.go`,
//! `validating/validator_test.go` and `test/integration/apiserver/cel`.

use super::super::review::{AnnotationLevel, GroupVersionKind, Operation, ResourceKind, Review};
use super::super::testing::{now, review};
use super::*;
use crate::objects::fake::Fake;
use crate::{Authorizer, User};
use futures_util::future::BoxFuture;
use hardway_proto::Status;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;

/// A server with ConfigMaps and, of the cluster, Limits as parameters.
#[derive(Default)]
pub struct Server {
    seen: Mutex<Vec<String>>,
}

impl Host for Server {
    fn find(&self, api_version: &str, kind: &str) -> Option<ParamResource> {
        let (group, resource, namespaced) = match (api_version, kind) {
            ("v1", "ConfigMap") => ("", "configmaps", true),
            ("example.com/v1", "Limit") => ("example.com", "limits", false),
            _ => return None,
        };
        Some(ParamResource {
            group: group.into(),
            resource: resource.into(),
            namespaced,
        })
    }

    fn show<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        kept: Vec<Value>,
    ) -> BoxFuture<'a, Result<Vec<Value>, String>> {
        Box::pin(std::future::ready(Ok(kept)))
    }

    /// Merges objects, whatever their schema.
    fn merge(&self, _: &ResourceKind, object: &Value, with: &Value) -> Result<Value, String> {
        fn merge(into: &mut Value, with: &Value) {
            match (into, with) {
                (Value::Object(into), Value::Object(with)) => {
                    for (name, value) in with {
                        merge(into.entry(name).or_insert(Value::Null), value);
                    }
                }
                (into, with) => *into = with.clone(),
            }
        }
        let mut merged = object.clone();
        merge(&mut merged, with);
        Ok(merged)
    }

    fn patch(&self, _: &Value, operations: &Value) -> Result<Option<Value>, String> {
        Err(format!("nothing here can be patched with {operations}"))
    }

    fn observe(&self, check: &Check<'_>) {
        let (error, done) = (check.error.as_str(), check.enforcement.as_str());
        let told = format!("{}/{} {error} {done}", check.policy, check.binding);
        self.seen.lock().push(told.trim().to_owned());
    }
}

/// What is stored, and who is asked.
struct World {
    fake: Arc<Fake>,
    server: Server,
    validating: Validating,
    mutating: Mutating,
}

/// What became of a request.
#[derive(Debug, Default)]
struct Told {
    refusal: Option<Status>,
    warnings: Vec<String>,
    annotations: Vec<(String, String)>,
    seen: Vec<String>,
    /// Whether the object is put in order again.
    changed: bool,
}

impl Told {
    fn message(&self) -> &str {
        self.refusal.as_ref().map_or("", |status| &status.message)
    }
}

impl World {
    fn new() -> Self {
        let fake = Arc::new(Fake::default());
        let shop = json!({"metadata": {"name": "shop", "labels": {"environment": "test"}}});
        fake.put("", "namespaces", shop);
        Self {
            fake,
            server: Server::default(),
            validating: Validating::default(),
            mutating: Mutating::default(),
        }
    }

    fn put(&self, resource: &str, object: Value) {
        self.fake
            .put("admissionregistration.k8s.io", resource, object);
    }

    /// A validating policy for Deployments, and its binding.
    fn validate_with(name: &str, spec: Value, binding: Value) -> Self {
        let world = Self::new();
        world.add("validatingadmissionpolicies", name, spec, binding);
        world
    }

    fn add(&self, resource: &str, name: &str, spec: Value, binding: Value) {
        let mut spec = spec;
        spec["matchConstraints"] = json!({"matchPolicy": "Equivalent", "namespaceSelector": {},
            "objectSelector": {}, "resourceRules": [{"operations": ["*"], "apiGroups": ["apps"],
            "apiVersions": ["v1"], "resources": ["deployments"]}]});
        let mut binding = binding;
        binding["policyName"] = name.into();
        self.put(resource, json!({"metadata": {"name": name}, "spec": spec}));
        let bindings = format!("{}bindings", resource.replace("policies", "policy"));
        self.put(
            &bindings,
            json!({"metadata": {"name": "binding"}, "spec": binding}),
        );
    }

    fn authorizer(&self) -> Arc<Authorizer> {
        Arc::new(Authorizer::new(self.fake.clone()))
    }

    /// Validates a request of jane's about a Deployment in the namespace `shop`.
    fn ask(&self, operation: Operation, new: Option<&Value>, old: Option<&Value>) -> Told {
        let user = User::new("jane", ["dev"]);
        let review = asked(&user, operation);
        let authorizer = self.authorizer();
        let outcome = now(self.validating.validate(
            &*self.fake,
            &authorizer,
            &self.server,
            &review,
            new,
            old,
        ));
        self.told(outcome, review)
    }

    fn create(&self, object: &Value) -> Told {
        self.ask(Operation::Create, Some(object), None)
    }

    fn mutate(&self, object: &mut Value) -> Told {
        let user = User::new("jane", ["dev"]);
        let review = asked(&user, Operation::Create);
        let authorizer = self.authorizer();
        let outcome = now(self.mutating.mutate(
            &*self.fake,
            &authorizer,
            &self.server,
            &review,
            object,
            None,
        ));
        self.told(outcome, review)
    }

    fn told(&self, outcome: Result<(), Status>, review: Review<'_>) -> Told {
        let changed = review.notes.is_changed();
        let annotations = review.notes.annotations.into_inner().into_iter();
        Told {
            changed,
            refusal: outcome.err(),
            warnings: review.notes.warnings.into_inner(),
            annotations: annotations
                .inspect(|note| assert_eq!(note.level, AnnotationLevel::Metadata))
                .map(|note| (note.key, note.value))
                .collect(),
            seen: std::mem::take(&mut *self.server.seen.lock()),
        }
    }
}

fn asked(user: &User, operation: Operation) -> Review<'_> {
    let mut review = review(user, operation, "apps", "deployments", "shop", "web");
    review.requested.kind = GroupVersionKind {
        group: "apps".into(),
        version: "v1".into(),
        kind: "Deployment".into(),
    };
    review
}

fn deployment(replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}},
    })
}

/// Of the documentation: no more than five replicas.
fn replica_limit() -> Value {
    json!({"failurePolicy": "Fail", "validations": [{"expression": "object.spec.replicas <= 5"}]})
}

#[test]
fn a_validation_that_fails_refuses_the_request() {
    let policy = "demo-policy.example.com";
    let world = World::validate_with(
        policy,
        replica_limit(),
        json!({"validationActions": ["Deny"]}),
    );
    assert!(world.create(&deployment(5)).refusal.is_none());
    let told = world.create(&deployment(6));
    let status = told.refusal.as_ref().unwrap();
    assert_eq!(
        status.message,
        "deployments.apps \"web\" is forbidden: ValidatingAdmissionPolicy 'demo-policy.example.com' with binding 'binding' denied request: failed expression: object.spec.replicas <= 5"
    );
    assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"));
    let causes = &status.details.as_ref().unwrap().causes;
    assert_eq!(causes.len(), 1);
    assert!(
        causes[0]
            .message
            .starts_with("ValidatingAdmissionPolicy 'demo-policy.example.com'")
    );
    assert_eq!(told.seen, ["demo-policy.example.com/binding no_error deny"]);
    let told = world.ask(
        Operation::Update,
        Some(&deployment(5)),
        Some(&deployment(6)),
    );
    assert!(told.refusal.is_none());
}

#[test]
fn messages_and_reasons() {
    for (validation, message, code, reason) in [
        (json!({"message": " no "}), "no", 422, "Invalid"),
        (
            json!({"message": "no", "reason": "Forbidden"}),
            "no",
            403,
            "Forbidden",
        ),
        (
            json!({"reason": "RequestEntityTooLarge"}),
            "failed expression: object.spec.replicas <= 5",
            413,
            "RequestEntityTooLarge",
        ),
        (
            json!({"message": "no", "messageExpression": "'object has ' + string(object.spec.replicas)"}),
            "object has 6",
            422,
            "Invalid",
        ),
        // What fails, is empty or has several lines is no message.
        (
            json!({"message": "no", "messageExpression": "object.spec.odd"}),
            "no",
            422,
            "Invalid",
        ),
        (
            json!({"message": "no", "messageExpression": "' '"}),
            "no",
            422,
            "Invalid",
        ),
        (
            json!({"messageExpression": "'a\\nb'"}),
            "failed expression: object.spec.replicas <= 5",
            422,
            "Invalid",
        ),
    ] {
        let mut spec = replica_limit();
        for (field, value) in validation.as_object().unwrap() {
            spec["validations"][0][field] = value.clone();
        }
        let world = World::validate_with("p", spec, json!({"validationActions": ["Deny"]}));
        let told = world.create(&deployment(6));
        let status = told.refusal.as_ref().unwrap();
        let expected = format!(
            "ValidatingAdmissionPolicy 'p' with binding 'binding' denied request: {message}"
        );
        assert!(
            status.message.ends_with(&expected),
            "{validation}: {}",
            status.message
        );
        assert_eq!((status.code, status.reason.as_str()), (code, reason));
    }
}

#[test]
fn actions_warn_and_note() {
    let binding = json!({"validationActions": ["Warn", "Audit"]});
    let mut spec = replica_limit();
    spec["validations"] = json!([{"expression": "true"}, {"expression": "object.spec.replicas < 5", "message": "<5"}]);
    let told = World::validate_with("p", spec, binding).create(&deployment(6));
    assert!(told.refusal.is_none());
    assert_eq!(
        told.warnings,
        ["Validation failed for ValidatingAdmissionPolicy 'p' with binding 'binding': <5"]
    );
    assert_eq!(
        told.annotations,
        [(
            "validation.policy.admission.k8s.io/validation_failure".to_owned(),
            r#"[{"message":"\u003c5","policy":"p","binding":"binding","expressionIndex":1,"validationActions":["Warn","Audit"]}]"#.to_owned()
        )]
    );
    assert_eq!(
        told.seen,
        ["p/binding no_error warn", "p/binding no_error audit"]
    );
}

#[test]
fn errors_follow_the_failure_policy() {
    let errors = [
        (
            "object.spec.odd == 1",
            "expression 'object.spec.odd == 1' resulted in error: no such key: odd",
            "invalid_error",
        ),
        (
            "object.spec.replicas / 0 == 1",
            "expression 'object.spec.replicas / 0 == 1' resulted in error: division by zero",
            "invalid_error",
        ),
        (
            "variables.odd == 1",
            "expression 'variables.odd == 1' resulted in error: composited variable \"odd\" fails to evaluate: no such key: odd",
            "invalid_error",
        ),
        (
            "params.odd == 1",
            "compilation error: compilation failed: ERROR: <input>:1:1: undeclared reference to 'params' (in container '')\n | params.odd == 1\n | ^",
            "compile_error",
        ),
    ];
    for (expression, message, kind) in errors {
        for policy in ["Fail", "Ignore"] {
            let spec = json!({"failurePolicy": policy, "validations": [{"expression": expression}],
                "variables": [{"name": "odd", "expression": "object.spec.odd"}]});
            let told = World::validate_with("p", spec, json!({"validationActions": ["Deny"]}))
                .create(&deployment(1));
            let expected = match policy {
                "Fail" => format!(
                    "deployments.apps \"web\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'binding' denied request: {message}"
                ),
                _ => String::new(),
            };
            assert_eq!(told.message(), expected);
            let done = if policy == "Fail" { "deny" } else { "allow" };
            assert_eq!(told.seen, [format!("p/binding {kind} {done}")]);
        }
    }
}

#[test]
fn objects_are_null_where_there_are_none() {
    let ask = |expression: &str, operation, new: Option<&Value>, old: Option<&Value>| {
        let spec = json!({"validations": [{"expression": expression}]});
        let world = World::validate_with("p", spec, json!({"validationActions": ["Deny"]}));
        world.ask(operation, new, old).message().to_owned()
    };
    let (one, two) = (deployment(1), deployment(2));
    for (expression, operation, new, old) in [
        (
            "oldObject == null && object != null",
            Operation::Create,
            Some(&one),
            None,
        ),
        (
            "object == null && oldObject != null",
            Operation::Delete,
            None,
            Some(&one),
        ),
        (
            "oldObject.spec.replicas < object.spec.replicas",
            Operation::Update,
            Some(&two),
            Some(&one),
        ),
        (
            "request.operation == 'DELETE' && request.name == 'web'",
            Operation::Delete,
            None,
            Some(&one),
        ),
        (
            "request.kind == request.requestKind && request.resource.resource == 'deployments'",
            Operation::Create,
            Some(&one),
            None,
        ),
        (
            "request.userInfo.username == 'jane' && 'dev' in request.userInfo.groups",
            Operation::Create,
            Some(&one),
            None,
        ),
        (
            "!has(request.subResource) && !request.dryRun && request.namespace == 'shop'",
            Operation::Create,
            Some(&one),
            None,
        ),
        (
            "namespaceObject.metadata.labels.environment == 'test'",
            Operation::Create,
            Some(&one),
            None,
        ),
        (
            "!authorizer.group('apps').resource('deployments').namespace('shop').check('update').allowed()",
            Operation::Create,
            Some(&one),
            None,
        ),
        (
            "!authorizer.requestResource.check('custom').allowed()",
            Operation::Create,
            Some(&one),
            None,
        ),
    ] {
        assert_eq!(ask(expression, operation, new, old), "", "{expression}");
    }
}

#[test]
fn conditions_and_variables() {
    let spec = |conditions: Value| {
        json!({"failurePolicy": "Fail", "matchConditions": conditions,
            "variables": [{"name": "replicas", "expression": "object.spec.replicas"},
                {"name": "many", "expression": "variables.replicas > 5"}],
            "validations": [{"expression": "!variables.many", "message": "many"}]})
    };
    for (conditions, refused) in [
        (json!([]), "many"),
        (
            json!([{"name": "a", "expression": "request.userInfo.username == 'jane'"}]),
            "many",
        ),
        (
            json!([{"name": "a", "expression": "request.userInfo.username != 'jane'"}]),
            "",
        ),
        // One that is false decides, whatever others say.
        (
            json!([{"name": "a", "expression": "object.odd == 1"}, {"name": "b", "expression": "false"}]),
            "",
        ),
        (
            json!([{"name": "a", "expression": "object.odd == 1"}]),
            "expression 'object.odd == 1' resulted in error: no such key: odd",
        ),
    ] {
        let world = World::validate_with(
            "p",
            spec(conditions),
            json!({"validationActions": ["Deny"]}),
        );
        let told = world.create(&deployment(6));
        assert!(told.message().ends_with(refused), "{}", told.message());
        assert_eq!(told.refusal.is_none(), refused.is_empty());
    }
}

#[test]
fn parameters_by_name_and_by_label() {
    let spec = |kind: Value| {
        json!({"failurePolicy": "Fail", "paramKind": kind, "validations": [{
            "expression": "params == null || object.spec.replicas <= int(params.data.max)",
            "messageExpression": "'more than ' + params.data.max"}]})
    };
    let map = |name: &str, max: &str| json!({"metadata": {"name": name, "namespace": "shop", "labels": {"is": "limit"}}, "data": {"max": max}});
    let maps = || spec(json!({"apiVersion": "v1", "kind": "ConfigMap"}));
    let limits = || spec(json!({"apiVersion": "example.com/v1", "kind": "Limit"}));
    let unknown = || spec(json!({"apiVersion": "example.com/v1", "kind": "Odd"}));
    let binding = |reference: Value| json!({"validationActions": ["Deny"], "paramRef": reference});
    for (spec, reference, refused) in [
        (
            maps(),
            json!({"name": "three", "parameterNotFoundAction": "Deny"}),
            "more than 3",
        ),
        (
            maps(),
            json!({"name": "nine", "parameterNotFoundAction": "Deny"}),
            "",
        ),
        // Each is a parameter of its own.
        (
            maps(),
            json!({"selector": {"matchLabels": {"is": "limit"}}, "parameterNotFoundAction": "Deny"}),
            "more than 3",
        ),
        (
            maps(),
            json!({"name": "gone", "parameterNotFoundAction": "Allow"}),
            "",
        ),
        (
            maps(),
            json!({"name": "gone", "parameterNotFoundAction": "Deny"}),
            "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction",
        ),
        (
            maps(),
            json!({"name": "three", "namespace": "elsewhere", "parameterNotFoundAction": "Allow"}),
            "",
        ),
        (maps(), Value::Null, ""),
        (
            limits(),
            json!({"name": "four", "parameterNotFoundAction": "Deny"}),
            "more than 4",
        ),
        (
            limits(),
            json!({"name": "four", "namespace": "shop", "parameterNotFoundAction": "Deny"}),
            "failed to configure binding: paramRef.namespace must not be provided for a cluster-scoped `paramKind`",
        ),
        (
            unknown(),
            json!({"name": "a", "parameterNotFoundAction": "Allow"}),
            "ValidatingAdmissionPolicy 'p' denied request: failed to configure policy: failed to find resource referenced by paramKind: 'example.com/v1, Kind=Odd'",
        ),
    ] {
        let world = World::validate_with("p", spec, binding(reference.clone()));
        world.fake.put("", "configmaps", map("three", "3"));
        world.fake.put("", "configmaps", map("nine", "9"));
        let mut four = map("four", "4");
        four["metadata"]["namespace"] = Value::Null;
        world.fake.put("example.com", "limits", four);
        let told = world.create(&deployment(6));
        assert!(
            told.message().ends_with(refused),
            "{reference}: {}",
            told.message()
        );
        assert_eq!(told.refusal.is_none(), refused.is_empty(), "{reference}");
    }
}

#[test]
fn audit_annotations_are_noted() {
    let spec = |value: &str| json!({"failurePolicy": "Fail", "auditAnnotations": [{"key": "high-replica-count", "valueExpression": value}]});
    for (value, noted, refused) in [
        ("'has ' + string(object.spec.replicas)", Some("has 6"), ""),
        ("'  '", None, ""),
        ("null", None, ""),
        ("string(object.spec.odd)", None, "no such key: odd"),
    ] {
        let world = World::validate_with("p", spec(value), json!({"validationActions": ["Warn"]}));
        let told = world.create(&deployment(6));
        let expected: Vec<(String, String)> = noted
            .map(|noted| ("p/high-replica-count".to_owned(), noted.to_owned()))
            .into_iter()
            .collect();
        assert_eq!(told.annotations, expected, "{value}");
        assert_eq!(
            told.refusal.is_none(),
            refused.is_empty(),
            "{}",
            told.message()
        );
        assert!(told.message().ends_with(refused), "{}", told.message());
    }
}

#[test]
fn costs_are_bounded() {
    let costly = "[1,2,3,4,5,6,7,8,9].all(a, [1,2,3,4,5,6,7,8,9].all(b, [1,2,3,4,5,6,7,8,9].all(c, [1,2,3,4,5,6,7,8,9].all(d, [1,2,3,4,5,6,7,8,9].all(e, [1,2,3,4,5,6,7,8,9].all(f, a + b + c + d + e + f > 0))))))";
    let spec = json!({"failurePolicy": "Fail", "validations": [{"expression": costly}]});
    let world = World::validate_with("p", spec, json!({"validationActions": ["Deny"]}));
    let told = world.create(&deployment(1));
    let message = told.message();
    assert!(
        message.ends_with("operation cancelled: actual cost limit exceeded"),
        "{message}"
    );
    // Each costs less than one may, all of them more than a policy may.
    let check = "authorizer.path('/a').check('get').allowed() || authorizer.path('/b').check('get').allowed() || true";
    let validations: Vec<Value> = (0..20).map(|_| json!({"expression": check})).collect();
    let spec = json!({"failurePolicy": "Fail", "validations": validations});
    let world = World::validate_with("p", spec, json!({"validationActions": ["Deny"]}));
    let told = world.create(&deployment(1));
    let message = told.message();
    assert!(message.ends_with("validation failed due to running out of cost budget, no further validation rules will be run"), "{message}");
    assert_eq!(told.seen, ["p/binding out_of_budget deny"]);
}

#[test]
fn a_policy_holds_in_the_next_request() {
    let world = World::new();
    for round in 0..100 {
        let most = round % 7;
        let spec = json!({"failurePolicy": "Fail", "validations": [{"expression": format!("object.spec.replicas <= {most}")}]});
        let binding = json!({"validationActions": ["Deny"]});
        world.add("validatingadmissionpolicies", "p", spec, binding);
        assert!(world.create(&deployment(most)).refusal.is_none());
        assert!(world.create(&deployment(most + 1)).refusal.is_some());
    }
}

#[test]
fn mutations_change_the_object() {
    let world = World::new();
    // Of the documentation: a label on everything that has none.
    let mutation = |expression: &str| json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}});
    let spec = json!({"failurePolicy": "Fail", "reinvocationPolicy": "IfNeeded",
    "matchConditions": [{"name": "unset", "expression": "!has(object.metadata.labels.owner)"}],
    "variables": [{"name": "who", "expression": "request.userInfo.username"}],
    "mutations": [
        mutation("Object{metadata: Object.metadata{labels: {'owner': variables.who}}}"),
        mutation("Object{spec: Object.spec{replicas: object.spec.replicas + 1, paused: object.metadata.labels.owner == 'jane'}}"),
    ]});
    world.add("mutatingadmissionpolicies", "m", spec, json!({}));
    let mut object = deployment(1);
    let told = world.mutate(&mut object);
    assert_eq!(told.message(), "");
    assert!(told.changed);
    assert_eq!(
        object["metadata"]["labels"],
        json!({"app": "web", "owner": "jane"})
    );
    // The second mutation sees what the first one did.
    assert_eq!(object["spec"]["replicas"], 2);
    assert_eq!(object["spec"]["paused"], true);
    assert_eq!(told.seen, ["m/binding no_error", "m/binding no_error"]);
    // Its condition isn't met any more.
    let before = object.clone();
    let told = world.mutate(&mut object);
    assert!(told.seen.is_empty() && !told.changed);
    assert_eq!(object, before);
}

#[test]
fn mutations_that_fail_refuse_the_request() {
    let world = World::new();
    let spec = json!({"failurePolicy": "Fail", "reinvocationPolicy": "Never", "mutations": [
        {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{spec: Object.spec{a: Object.spec.b{}}}"}},
        {"patchType": "JSONPatch", "jsonPatch": {"expression": "[JSONPatch{op: 'add', path: '/spec/odd', value: 1}]"}},
    ]});
    world.add("mutatingadmissionpolicies", "m", spec, json!({}));
    let mut object = deployment(1);
    let told = world.mutate(&mut object);
    let status = told.refusal.as_ref().unwrap();
    let first = r#"policy 'm' with binding 'binding' denied request: type mismatch: unexpected type name "Object.spec.b", expected "Object.spec.a", which matches field name path from root Object type"#;
    assert_eq!(status.message, first);
    assert_eq!((status.code, status.reason.as_str()), (403, "Invalid"));
    let causes = &status.details.as_ref().unwrap().causes;
    assert_eq!(causes.len(), 2);
    assert!(
        causes[1]
            .message
            .contains("denied request: JSONPath: nothing here can be patched")
    );
    assert_eq!(object, deployment(1));
    assert_eq!(
        told.seen,
        ["m/binding invalid_error", "m/binding invalid_error"]
    );
}
