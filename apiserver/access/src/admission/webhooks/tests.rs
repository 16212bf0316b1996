//! Webhooks that answer as they are told to, against what Kubernetes' dispatchers do
//! (`pkg/admission/plugin/webhook/{mutating,validating}` of `k8s.io/apiserver`).

use super::super::matching::REGISTRATION_GROUP;
use super::super::testing::{now, pod, review};
use super::super::{Admission, Operation, Review, policies};
use super::*;
use crate::objects::fake::Fake;
use crate::{Authorizer, User};
use base64::{Engine, engine::general_purpose::STANDARD};
use hardway_proto::Status;
use parking_lot::Mutex;
use serde_json::json;
use std::sync::Arc;

/// Answers by the path of the URL, and keeps what it was asked.
#[derive(Default)]
struct Server {
    asked: Mutex<Vec<(String, Value)>>,
    seen: Mutex<Vec<String>>,
}

impl WebhookCaller for Server {
    fn call<'a>(
        &'a self,
        client: &'a ClientConfig,
        body: Bytes,
        _: Duration,
    ) -> BoxFuture<'a, Result<Value, CallError>> {
        let path = client.url.clone().unwrap_or_default();
        let asked: Value = serde_json::from_slice(&body).unwrap();
        let answer = answer(&path, &asked);
        self.asked.lock().push((path, asked));
        Box::pin(std::future::ready(answer))
    }

    fn observe(&self, seen: &Observation<'_>) {
        let rejected = seen.rejected.unwrap_or("-");
        let phase = seen.phase.as_str();
        let open = if seen.failed_open { " open" } else { "" };
        let told = format!("{} {phase} {} {rejected}{open}", seen.name, seen.code);
        self.seen.lock().push(told);
    }
}

fn answer(path: &str, asked: &Value) -> Result<Value, CallError> {
    let mut response = json!({"uid": asked["request"]["uid"], "allowed": true});
    let mut patch = |operations: Value| {
        response["patchType"] = json!("JSONPatch");
        response["patch"] = json!(STANDARD.encode(operations.to_string()));
    };
    match path.split_once('=').unwrap_or((path, "")) {
        ("label", name) => patch(json!([
            {"op": "add", "path": format!("/metadata/{name}"), "value": "set"}])),
        ("patch", operations) => patch(serde_json::from_str(operations).unwrap()),
        ("deny", "") => response["allowed"] = json!(false),
        ("deny", message) => {
            response["allowed"] = json!(false);
            response["status"] = json!({"message": message, "code": 403, "reason": "Forbidden"});
        }
        ("warn", text) => {
            response["warnings"] = json!([text]);
            response["auditAnnotations"] = json!({"key": "value"});
        }
        ("other-uid", _) => response["uid"] = json!("other"),
        ("untyped", _) => drop(
            response
                .as_object_mut()
                .unwrap()
                .insert("patch".into(), json!("e30=")),
        ),
        ("nothing", _) => {
            return Ok(json!({"apiVersion": asked["apiVersion"], "kind": "AdmissionReview"}));
        }
        ("away", _) => {
            return Err(CallError::Failed {
                message: "Post \"https://x\": connect: connection refused".into(),
                code: 503,
            });
        }
        _ => {}
    }
    Ok(json!({"apiVersion": asked["apiVersion"], "kind": "AdmissionReview", "response": response}))
}

struct Bench {
    objects: Arc<Fake>,
    server: Arc<Server>,
    admission: Admission,
}

/// A webhook that is asked about everything.
fn webhook(name: &str, path: &str) -> Value {
    json!({
        "name": format!("{name}.example.com"),
        "clientConfig": {"url": path},
        "rules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"],
            "resources": ["*/*"]}],
        "failurePolicy": "Fail", "matchPolicy": "Equivalent", "sideEffects": "None",
        "timeoutSeconds": 10, "admissionReviewVersions": ["v1", "v1beta1"],
    })
}

impl Bench {
    fn new(mutating: &[Value], validating: &[Value]) -> Self {
        let objects = Arc::new(Fake::default());
        for name in ["shop", "kube-system"] {
            let namespace = json!({"metadata": {"name": name}, "status": {"phase": "Active"}});
            objects.put("", "namespaces", namespace);
        }
        for (resource, webhooks) in [
            ("mutatingwebhookconfigurations", mutating),
            ("validatingwebhookconfigurations", validating),
        ] {
            let configuration = json!({"metadata": {"name": "c"}, "webhooks": webhooks});
            objects.put(REGISTRATION_GROUP, resource, configuration);
        }
        let server = Arc::new(Server::default());
        let authorizer = Arc::new(Authorizer::new(objects.clone()));
        let off: Vec<String> = ["ServiceAccount", "Priority"].map(str::to_owned).into();
        let host = Arc::new(policies::tests::Server::default());
        let admission =
            Admission::configured(objects.clone(), authorizer, server.clone(), host, &[], &off);
        Self {
            objects,
            server,
            admission,
        }
    }

    fn mutate(&self, review: &Review<'_>, object: &mut Value) -> Result<(), Status> {
        now(self.admission.mutate(review, Some(object), None))
    }

    fn validate(&self, review: &Review<'_>) -> Result<(), Status> {
        now(self.admission.validate(review, Some(&pod("a")), None))
    }

    fn paths(&self) -> Vec<String> {
        let asked = self.server.asked.lock();
        asked.iter().map(|(path, _)| path.clone()).collect()
    }
}

fn creation(user: &User) -> Review<'_> {
    review(user, Operation::Create, "", "configmaps", "shop", "a")
}

#[test]
fn each_sees_what_those_before_have_changed() {
    let bench = Bench::new(&[webhook("a", "label=one"), webhook("b", "label=two")], &[]);
    let user = User::new("jane", ["dev"]);
    let mut object = pod("a");
    let asked = creation(&user);
    bench.mutate(&asked, &mut object).unwrap();
    assert_eq!(object["metadata"]["one"], "set");
    assert_eq!(object["metadata"]["two"], "set");
    let seen = bench.server.asked.lock()[1].1["request"].clone();
    assert_eq!(seen["object"]["metadata"]["one"], "set");
    assert_eq!(seen["object"]["metadata"].get("two"), None);
    assert_eq!(seen["oldObject"], Value::Null);
    assert_eq!(seen["operation"], "CREATE");
    assert_eq!(seen["namespace"], "shop");
    assert_eq!(seen["name"], "a");
    assert_eq!(seen["userInfo"]["username"], "jane");
    assert_eq!(seen["dryRun"], false);
    assert_eq!(
        seen["resource"],
        json!({"group": "", "version": "v1", "resource": "configmaps"})
    );
    let annotations = asked.notes.annotations.lock();
    let of = |key: &str| {
        let found = annotations.iter().find(|known| known.key == key);
        found.map(|known| serde_json::from_str::<Value>(&known.value).unwrap())
    };
    assert_eq!(
        of("mutation.webhook.admission.k8s.io/round_0_index_1"),
        Some(json!({"configuration": "c", "webhook": "b.example.com", "mutated": true}))
    );
    assert_eq!(
        of("patch.webhook.admission.k8s.io/round_0_index_0"),
        Some(json!({"configuration": "c", "webhook": "a.example.com",
            "patch": [{"op": "add", "path": "/metadata/one", "value": "set"}],
            "patchType": "JSONPatch"}))
    );
    assert!(asked.notes.is_changed());
}

#[test]
fn who_wants_to_is_asked_again_when_others_have_changed_the_object() {
    let again = |name, path| {
        let mut webhook = webhook(name, path);
        webhook["reinvocationPolicy"] = json!("IfNeeded");
        webhook
    };
    let user = User::new("jane", ["dev"]);
    for (webhooks, wanted) in [
        (
            vec![again("a", "allow"), webhook("b", "label=x")],
            &["allow", "label=x", "allow"][..],
        ),
        // Nobody after it has changed anything.
        (
            vec![webhook("b", "label=x"), again("a", "allow")],
            &["label=x", "allow"],
        ),
        (
            vec![again("a", "allow"), webhook("b", "allow")],
            &["allow", "allow"],
        ),
        (
            vec![webhook("a", "allow"), webhook("b", "label=x")],
            &["allow", "label=x"],
        ),
    ] {
        let bench = Bench::new(&webhooks, &[]);
        bench.mutate(&creation(&user), &mut pod("a")).unwrap();
        assert_eq!(bench.paths(), wanted);
    }
}

#[test]
fn denials_are_told_in_kubernetes_words() {
    let user = User::new("jane", ["dev"]);
    for (path, code, message) in [
        (
            "deny",
            400,
            r#"admission webhook "a.example.com" denied the request without explanation"#,
        ),
        (
            "deny=no",
            403,
            r#"admission webhook "a.example.com" denied the request: no"#,
        ),
        (
            "away",
            500,
            r#"Internal error occurred: failed calling webhook "a.example.com": failed to call webhook: Post "https://x": connect: connection refused"#,
        ),
        (
            "nothing",
            500,
            r#"Internal error occurred: failed calling webhook "a.example.com": received invalid webhook response: webhook response was absent"#,
        ),
        (
            "untyped",
            500,
            r#"Internal error occurred: failed calling webhook "a.example.com": received invalid webhook response: validating webhook may not return response.patch"#,
        ),
    ] {
        let bench = Bench::new(&[], &[webhook("a", path)]);
        let status = bench.validate(&creation(&user)).unwrap_err();
        assert_eq!(
            (status.code, status.message.as_str()),
            (code, message),
            "{path}"
        );
    }
    let bench = Bench::new(&[webhook("a", "untyped")], &[]);
    let status = bench.mutate(&creation(&user), &mut pod("a")).unwrap_err();
    assert!(
        status
            .message
            .ends_with("webhook returned response.patch but not response.patchType")
    );
}

#[test]
fn the_failure_policy_is_about_calls_alone() {
    let user = User::new("jane", ["dev"]);
    let open = |path: &str| {
        let mut webhook = webhook("a", path);
        webhook["failurePolicy"] = json!("Ignore");
        Bench::new(&[webhook.clone()], &[webhook])
    };
    for path in ["away", "nothing", "other-uid"] {
        let (bench, asked) = (open(path), creation(&user));
        bench.mutate(&asked, &mut pod("a")).unwrap();
        bench.validate(&asked).unwrap();
        let keys: Vec<String> = asked
            .notes
            .annotations
            .lock()
            .iter()
            .map(|a| a.key.clone())
            .collect();
        assert_eq!(
            keys,
            [
                "mutation.webhook.admission.k8s.io/round_0_index_0",
                "failed-open.mutation.webhook.admission.k8s.io/round_0_index_0",
                "failed-open.validating.webhook.admission.k8s.io/round_0_index_0",
            ]
        );
        assert_eq!(
            *bench.server.seen.lock(),
            [
                "a.example.com admit 503 - open",
                "a.example.com validating 503 - open",
            ]
        );
    }
    assert_eq!(
        open("deny=no").validate(&creation(&user)).unwrap_err().code,
        403
    );
    // A patch that can't be applied is no failed call.
    let patch = r#"patch=[{"op":"add","path":"/nowhere/x","value":1}]"#;
    let bench = open(patch);
    let status = bench.mutate(&creation(&user), &mut pod("a")).unwrap_err();
    assert_eq!(status.code, 500, "{status}");
    assert_eq!(
        *bench.server.seen.lock(),
        ["a.example.com admit 0 apiserver_internal_error"]
    );
}

#[test]
fn dry_runs_go_to_those_without_side_effects() {
    let user = User::new("jane", ["dev"]);
    for (effects, wanted) in [
        ("None", true),
        ("NoneOnDryRun", true),
        ("Some", false),
        ("Unknown", false),
    ] {
        let mut webhook = webhook("a", "allow");
        webhook["sideEffects"] = json!(effects);
        webhook["failurePolicy"] = json!("Ignore");
        let bench = Bench::new(&[], &[webhook]);
        let asked = Review {
            dry_run: true,
            ..creation(&user)
        };
        let outcome = bench.validate(&asked);
        assert_eq!(outcome.is_ok(), wanted, "{effects}");
        if let Err(status) = outcome {
            assert_eq!(status.code, 400);
            assert_eq!(
                status.message,
                r#"admission webhook "a.example.com" does not support dry run"#
            );
        }
        bench.validate(&creation(&user)).unwrap();
    }
}

#[test]
fn a_deletion_can_be_refused_and_not_changed() {
    let user = User::new("jane", ["dev"]);
    let asked = review(&user, Operation::Delete, "", "configmaps", "shop", "a");
    let delete = |webhook| {
        let bench = Bench::new(&[webhook], &[]);
        let old = pod("a");
        let outcome = now(bench.admission.mutate(&asked, None, Some(&old)));
        let seen = bench.server.asked.lock()[0].1["request"].clone();
        assert_eq!(seen["object"], Value::Null);
        assert_eq!(seen["oldObject"], old);
        outcome
    };
    assert_eq!(delete(webhook("a", "allow")), Ok(()));
    assert_eq!(delete(webhook("a", "deny=no")).unwrap_err().code, 403);
    assert_eq!(
        delete(webhook("a", "label=x")).unwrap_err().message,
        r#"Internal error occurred: admission webhook "a.example.com" attempted to modify the object, which is not supported for this operation"#
    );
}

#[test]
fn warnings_and_annotations_are_kept_of_refused_requests_too() {
    let user = User::new("jane", ["dev"]);
    let bench = Bench::new(&[], &[webhook("a", "warn=careful"), webhook("b", "deny")]);
    let asked = creation(&user);
    assert!(bench.validate(&asked).is_err());
    assert_eq!(*asked.notes.warnings.lock(), ["careful"]);
    let annotations = asked.notes.annotations.lock();
    assert_eq!(
        (annotations[0].key.as_str(), annotations[0].value.as_str()),
        ("a.example.com/key", "value")
    );
}

#[test]
fn the_first_version_that_both_know_is_spoken() {
    let user = User::new("jane", ["dev"]);
    for (versions, wanted) in [
        (
            json!(["v2", "v1beta1", "v1"]),
            Some("admission.k8s.io/v1beta1"),
        ),
        (json!(["v1"]), Some("admission.k8s.io/v1")),
        (json!(["v2"]), None),
    ] {
        let mut webhook = webhook("a", "other-uid");
        webhook["admissionReviewVersions"] = versions;
        let bench = Bench::new(&[], &[webhook]);
        let outcome = bench.validate(&creation(&user));
        let asked = bench.server.asked.lock();
        let spoken = asked.first().map(|(_, asked)| asked["apiVersion"].clone());
        assert_eq!(spoken, wanted.map(Value::from));
        // v1beta1 knows no UID of an answer.
        assert_eq!(outcome.is_ok(), wanted == Some("admission.k8s.io/v1beta1"));
    }
}

#[test]
fn configurations_are_in_force_at_once_and_never_asked_about_themselves() {
    let user = User::new("jane", ["dev"]);
    let bench = Bench::new(&[], &[]);
    bench.validate(&creation(&user)).unwrap();
    let deny = json!({"metadata": {"name": "d"}, "webhooks": [webhook("a", "deny")]});
    let resource = "validatingwebhookconfigurations";
    bench.objects.put(REGISTRATION_GROUP, resource, deny);
    assert!(bench.validate(&creation(&user)).is_err());
    let mut itself = review(
        &user,
        Operation::Create,
        REGISTRATION_GROUP,
        resource,
        "",
        "x",
    );
    itself.requested.kind.group = REGISTRATION_GROUP.into();
    itself.requested.kind.kind = "ValidatingWebhookConfiguration".into();
    bench.validate(&itself).unwrap();
}

#[test]
fn whose_time_is_over_asks_nobody() {
    let user = User::new("jane", ["dev"]);
    let bench = Bench::new(&[], &[webhook("a", "allow")]);
    let asked = Review {
        deadline: std::time::Instant::now(),
        ..creation(&user)
    };
    let status = bench.validate(&asked).unwrap_err();
    assert_eq!((status.code, status.reason.as_str()), (504, "Timeout"));
    assert!(bench.paths().is_empty());
}

#[test]
#[ignore = "measures: run it by itself, in a release build"]
fn what_a_request_costs_that_concerns_nobody() {
    const TURNS: u32 = 20_000;
    let user = User::new("jane", ["dev"]);
    let elsewhere = |number: usize| {
        let mut webhook = webhook(&format!("w{number}"), "allow");
        webhook["rules"][0]["apiGroups"] = json!(["example.com"]);
        webhook["rules"][0]["resources"] = json!([format!("r{number}")]);
        webhook
    };
    for count in [0, 10, 200] {
        let webhooks: Vec<Value> = (0..count).map(elsewhere).collect();
        let bench = Bench::new(&webhooks, &webhooks);
        let mut object = pod("a");
        let begun = std::time::Instant::now();
        for _ in 0..TURNS {
            let asked = creation(&user);
            bench.mutate(&asked, &mut object).unwrap();
            now(bench.admission.validate(&asked, Some(&object), None)).unwrap();
        }
        println!("{count} webhooks: {:?} a request", begun.elapsed() / TURNS);
    }
}
