//! Admission webhooks, called by a whole apiserver.

mod subresources;

use crate::common::{Lab, MAPS, PODS, audit_events, config_map, pod, service_account};
use hardway_webhook_server::Server;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

const GROUP: &str = "/apis/admissionregistration.k8s.io/v1";
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Phases of admission.
const MUTATING: &str = "Mutating";
const VALIDATING: &str = "Validating";

fn rule(operations: &[&str], group: &str, version: &str, resource: &str) -> Value {
    json!({"operations": operations, "apiGroups": [group], "apiVersions": [version],
        "resources": [resource]})
}

/// A webhook of a server's, about ConfigMaps that are made or changed.
fn webhook(server: &Server, name: &str, path: &str) -> Value {
    json!({
        "name": format!("{name}.example.com"),
        "clientConfig": {"url": server.url(path), "caBundle": server.ca_bundle()},
        "rules": [rule(&["CREATE", "UPDATE"], "", "v1", "configmaps")],
        "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 5,
    })
}

fn resource(phase: &str) -> String {
    format!(
        "{GROUP}/{}webhookconfigurations",
        phase.to_ascii_lowercase()
    )
}

async fn configure(lab: &Lab, phase: &str, name: &str, webhooks: &[Value]) {
    let configuration = json!({"metadata": {"name": name}, "webhooks": webhooks});
    lab.create(&resource(phase), &configuration).await;
}

async fn forget(lab: &Lab, phase: &str, name: &str) {
    let path = format!("{}/{name}", resource(phase));
    assert_eq!(lab.delete(&path, &Value::Null).await.0, 200);
}

/// What a path was asked about requests of the test's; the apiserver's own are judged as well.
fn asked(server: &Server, path: &str) -> Vec<Value> {
    let all = server.asked().into_iter();
    let of_path = all.filter(|(known, _)| known == path);
    of_path
        .map(|(_, review)| review["request"].clone())
        .filter(|request| request["userInfo"]["username"] == "admin")
        .collect()
}

/// The last of them.
fn last(server: &Server, path: &str) -> Value {
    asked(server, path).pop().expect("it was asked")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_are_changed_and_refused() {
    let lab = Lab::start().await;
    let server = Server::start(HERE, &["127.0.0.1"]).await.unwrap();
    let hooks = [
        webhook(&server, "a", "label/first/1"),
        webhook(&server, "b", "label/second/2"),
    ];
    configure(&lab, MUTATING, "changes", &hooks).await;
    let made = lab
        .create(&format!("{MAPS}?fieldManager=me"), &config_map("a"))
        .await;
    assert_eq!(
        made["metadata"]["labels"],
        json!({"first": "1", "second": "2"})
    );
    // What webhooks add belongs to nobody.
    let owned = made["metadata"]["managedFields"][0]["fieldsV1"].to_string();
    assert!(
        owned.contains("f:data") && !owned.contains("f:labels"),
        "{owned}"
    );
    let seen = last(&server, "label/second/2");
    assert_eq!(seen["object"]["metadata"]["labels"], json!({"first": "1"}));
    assert_eq!(seen["object"]["metadata"].get("uid"), None);
    assert_eq!(
        seen["options"],
        json!({"kind": "CreateOptions",
        "apiVersion": "meta.k8s.io/v1", "fieldManager": "me"})
    );

    // A patch is an update, of what there was.
    let one = format!("{MAPS}/a");
    let (code, _) = lab.merge(&one, &json!({"data": {"a": "2"}})).await;
    assert_eq!(code, 200);
    let seen = last(&server, "label/first/1");
    assert_eq!(seen["operation"], "UPDATE");
    assert_eq!(seen["oldObject"]["data"]["a"], "1");
    assert_eq!(seen["object"]["data"]["a"], "2");
    assert_eq!(seen["options"]["kind"], "UpdateOptions");

    // All over one connection.
    assert_eq!(server.connections(), 2, "one for each webhook's client");

    // Who validates sees what was changed, and the name that was generated.
    configure(
        &lab,
        VALIDATING,
        "judges",
        &[webhook(&server, "v", "deny/no%20more")],
    )
    .await;
    let generated = json!({"metadata": {"generateName": "g-"}});
    let (code, status) = lab.post(MAPS, &generated).await;
    assert_eq!((code, status["reason"].as_str()), (403, Some("Forbidden")));
    assert_eq!(
        status["message"],
        "admission webhook \"v.example.com\" denied the request: no more"
    );
    let before = last(&server, "label/first/1");
    assert_eq!(
        (before.get("name"), before["object"]["metadata"].get("name")),
        (None, None)
    );
    let seen = last(&server, "deny/no%20more");
    assert_eq!(seen["object"]["metadata"]["labels"]["second"], "2");
    assert!(seen["name"].as_str().unwrap().starts_with("g-"));
    assert_eq!(asked(&server, "deny/no%20more").len(), 1, "asked once");
    assert!(seen["object"]["metadata"]["uid"].is_string());
    assert_eq!(seen["userInfo"]["username"], "admin");

    // What was refused isn't there.
    let (_, list) = lab.get(MAPS).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    forget(&lab, VALIDATING, "judges").await;
    lab.create(MAPS, &config_map("b")).await;
}

/// Policies come before webhooks. What either changes the other is asked about again, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_and_webhooks_are_asked_again_about_each_others_changes() {
    const BETA: &str = "/apis/admissionregistration.k8s.io/v1beta1";
    let lab = Lab::start().await;
    let server = Server::start(HERE, &["127.0.0.1"]).await.unwrap();
    let noted = "[JSONPatch{op: 'add', path: '/metadata/annotations', value: {
        'labels': has(object.metadata.labels) ? object.metadata.labels.first : 'none'}}]";
    let policy = json!({"metadata": {"name": "notes"}, "spec": {
        "reinvocationPolicy": "IfNeeded",
        "matchConstraints": {"resourceRules": [rule(&["CREATE"], "", "v1", "configmaps")]},
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": noted}}]}});
    lab.create(&format!("{BETA}/mutatingadmissionpolicies"), &policy)
        .await;
    let binding = json!({"metadata": {"name": "notes"}, "spec": {"policyName": "notes"}});
    lab.create(&format!("{BETA}/mutatingadmissionpolicybindings"), &binding)
        .await;
    let mut hook = webhook(&server, "a", "label/first/1");
    hook["reinvocationPolicy"] = json!("IfNeeded");
    configure(&lab, MUTATING, "changes", &[hook]).await;
    let made = lab.create(MAPS, &config_map("a")).await;
    assert_eq!(made["metadata"]["labels"], json!({"first": "1"}));
    assert_eq!(made["metadata"]["annotations"], json!({"labels": "1"}));
    let seen = asked(&server, "label/first/1");
    let noted: Vec<&Value> = seen
        .iter()
        .map(|request| &request["object"]["metadata"]["annotations"]["labels"])
        .collect();
    assert_eq!(noted, ["none", "1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_just_configured_holds_for_the_next_request() {
    let lab = Lab::start().await;
    let server = Server::start(HERE, &["127.0.0.1"]).await.unwrap();
    let mut hook = webhook(&server, "v", "deny");
    hook["rules"] = json!([rule(&["CREATE"], "", "v1", "configmaps")]);
    for turn in 0..50 {
        let map = config_map(&format!("m{turn}"));
        configure(&lab, VALIDATING, "judge", &[hook.clone()]).await;
        assert_eq!(lab.post(MAPS, &map).await.0, 400, "turn {turn}");
        forget(&lab, VALIDATING, "judge").await;
        assert_eq!(lab.post(MAPS, &map).await.0, 201, "turn {turn}");
    }
    // The configurations themselves can always be mended.
    hook["rules"] = json!([rule(&["*"], "*", "*", "*/*")]);
    configure(&lab, VALIDATING, "all", &[hook.clone()]).await;
    assert_eq!(lab.delete(&format!("{MAPS}/m0"), &Value::Null).await.0, 400);
    forget(&lab, VALIDATING, "all").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_versions_are_shown_as_the_webhook_knows_them() {
    let lab = Lab::start().await;
    let server = Server::start(HERE, &["127.0.0.1"]).await.unwrap();
    let mut hook = webhook(&server, "old", "label/seen/yes");
    hook["rules"] = json!([rule(&["CREATE"], "events.k8s.io", "v1", "events")]);
    configure(&lab, MUTATING, "changes", &[hook]).await;
    let event = json!({"metadata": {"name": "e"}, "reason": "Testing", "message": "why",
        "type": "Normal", "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"}});
    let made = lab
        .create("/api/v1/namespaces/default/events", &event)
        .await;
    assert_eq!(made["metadata"]["labels"], json!({"seen": "yes"}));
    assert_eq!(made["message"], "why", "it is what was sent");
    let seen = last(&server, "label/seen/yes");
    assert_eq!(
        seen["kind"],
        json!({"group": "events.k8s.io", "version": "v1", "kind": "Event"})
    );
    assert_eq!(
        seen["requestKind"],
        json!({"group": "", "version": "v1", "kind": "Event"})
    );
    assert_eq!(seen["object"]["apiVersion"], "events.k8s.io/v1");
    assert_eq!(seen["object"]["note"], "why");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_answer_costs_its_time_and_no_more() {
    let mut lab = Lab::without_server(|_| Vec::new()).await;
    let log = lab.dir.path().join("audit.log");
    lab.flags
        .push(format!("--audit-log-path={}", log.display()));
    lab.serve().await;
    let server = Server::start(HERE, &["127.0.0.1"]).await.unwrap();
    let mut hook = webhook(&server, "slow", "hang");
    hook["timeoutSeconds"] = json!(1);
    configure(&lab, VALIDATING, "closed", &[hook.clone()]).await;
    let begun = Instant::now();
    let (code, status) = lab.post(MAPS, &config_map("a")).await;
    assert_eq!(code, 500);
    assert_eq!(
        status["message"],
        format!(
            "Internal error occurred: failed calling webhook \"slow.example.com\": failed to call webhook: Post \"{}?timeout=1s\": context deadline exceeded",
            server.url("hang")
        )
    );
    let took = begun.elapsed();
    assert!(
        took >= Duration::from_secs(1) && took < Duration::from_secs(20),
        "{took:?}"
    );
    // Others aren't kept waiting.
    lab.create("/api/v1/namespaces", &json!({"metadata": {"name": "x"}}))
        .await;
    forget(&lab, VALIDATING, "closed").await;

    // It fails open, and is told of.
    let mut gone = webhook(&server, "gone", "allow");
    drop(server);
    gone["failurePolicy"] = json!("Ignore");
    configure(&lab, VALIDATING, "open", &[gone.clone()]).await;
    lab.create(MAPS, &config_map("b")).await;
    let audited = |key: &str| {
        let events = audit_events(&log);
        let mut found = events
            .iter()
            .filter_map(|event| event["annotations"][key].as_str());
        found.next().map(str::to_owned)
    };
    let key = "failed-open.validating.webhook.admission.k8s.io/round_0_index_0";
    lab.until("the audit log tells", async || audited(key).is_some())
        .await;
    assert_eq!(audited(key).as_deref(), Some("gone.example.com"));
    gone["failurePolicy"] = json!("Fail");
    let configuration = json!({"webhooks": [gone]});
    let path = format!("{}/open", resource(VALIDATING));
    assert_eq!(lab.merge(&path, &configuration).await.0, 200);
    let (code, status) = lab.post(MAPS, &config_map("c")).await;
    assert_eq!(code, 500);
    let message = status["message"].as_str().unwrap();
    assert!(
        message
            .contains("failed calling webhook \"gone.example.com\": failed to call webhook: Post"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_found_and_its_certificate_checked() {
    let lab = Lab::start().await;
    // The apiserver passes nothing on to itself.
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").unwrap();
    let address = socket.local_addr().unwrap().ip();
    let server = Server::start(address, &["hook.default.svc"]).await.unwrap();
    let mut hook = webhook(&server, "s", "deny");
    hook["clientConfig"] = json!({"caBundle": server.ca_bundle(),
        "service": {"namespace": "default", "name": "hook", "path": "/deny", "port": 8443}});
    configure(&lab, VALIDATING, "judge", &[hook.clone()]).await;
    let message = async || {
        let (code, status) = lab.post(MAPS, &config_map("a")).await;
        (
            code,
            status["message"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let (code, why) = message().await;
    assert_eq!(code, 500);
    let nobody =
        "Post \"https://hook.default.svc:8443/deny?timeout=5s\": service \"hook\" not found";
    assert!(why.ends_with(nobody), "{why}");
    let service = json!({"metadata": {"name": "hook"},
        "spec": {"ports": [{"name": "https", "port": 8443}]}});
    lab.create("/api/v1/namespaces/default/services", &service)
        .await;
    let slice = json!({"metadata": {"name": "hook-1",
            "labels": {"kubernetes.io/service-name": "hook"}},
        "addressType": "IPv4", "ports": [{"name": "https", "port": server.port()}],
        "endpoints": [{"addresses": [address.to_string()], "conditions": {"ready": true}}]});
    lab.create(
        "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
        &slice,
    )
    .await;
    lab.until("the Service is found", async || message().await.0 == 400)
        .await;
    // Under another name it is nobody.
    hook["clientConfig"]["service"]["name"] = json!("other");
    let other = service["spec"].clone();
    let other = json!({"metadata": {"name": "other"}, "spec": other});
    lab.create("/api/v1/namespaces/default/services", &other)
        .await;
    let mut slice = slice;
    slice["metadata"] = json!({"name": "other-1",
        "labels": {"kubernetes.io/service-name": "other"}});
    lab.create(
        "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
        &slice,
    )
    .await;
    let configuration = json!({"webhooks": [hook]});
    let path = format!("{}/judge", resource(VALIDATING));
    assert_eq!(lab.merge(&path, &configuration).await.0, 200);
    lab.until("the certificate is refused", async || {
        let (code, why) = message().await;
        code == 500 && why.contains("certificate")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_webhook_makes_of_an_object_is_checked_like_a_body() {
    let lab = Lab::start().await;
    service_account(&lab).await;
    let server = Server::start(HERE, &["127.0.0.1"]).await.unwrap();
    let patched = async |operations: Value, resource: &str, path: &str, object: &Value| {
        let operations = operations.to_string();
        let encoded: String = operations
            .bytes()
            .map(|byte| format!("%{byte:02X}"))
            .collect();
        let mut hook = webhook(&server, "p", &format!("patch/{encoded}"));
        hook["rules"] = json!([rule(&["CREATE"], "", "v1", resource)]);
        configure(&lab, MUTATING, "changes", &[hook]).await;
        let outcome = lab.post(path, object).await;
        forget(&lab, MUTATING, "changes").await;
        outcome
    };
    let add = |path: &str, value: Value| json!([{"op": "add", "path": path, "value": value}]);
    // Another container gets all its defaults and the plugins' mounts.
    let container = json!({"name": "sidecar", "image": "busybox"});
    let operations = add("/spec/containers/-", container);
    let (code, made) = patched(operations, "pods", PODS, &pod("a")).await;
    assert_eq!(code, 201, "{made}");
    let sidecar = &made["spec"]["containers"][1];
    assert_eq!(sidecar["terminationMessagePath"], "/dev/termination-log");
    let mounts = sidecar["volumeMounts"].as_array().map(Vec::len);
    assert_eq!(
        mounts,
        made["spec"]["containers"][0]["volumeMounts"]
            .as_array()
            .map(Vec::len)
    );
    // What nobody may set is set by the server.
    let operations = add("/status", json!({"phase": "Succeeded"}));
    let (code, made) = patched(operations, "pods", PODS, &pod("b")).await;
    assert_eq!(
        (code, made["status"]["phase"].as_str()),
        (201, Some("Pending"))
    );
    // Fields that there aren't are dropped, and the object is validated.
    let (code, made) = patched(
        add("/nothing", json!(1)),
        "configmaps",
        MAPS,
        &config_map("c"),
    )
    .await;
    assert_eq!((code, made.get("nothing")), (201, None));
    let operations = add("/data/a~1b", json!("x"));
    let (code, status) = patched(operations, "configmaps", MAPS, &config_map("d")).await;
    assert_eq!(code, 422, "{status}");
    // What is no object any more, and a patch that can't be applied.
    let operations = add("/data", json!([1]));
    assert_eq!(
        patched(operations, "configmaps", MAPS, &config_map("e"))
            .await
            .0,
        500
    );
    let operations = add("/spec/x", json!(1));
    assert_eq!(
        patched(operations, "configmaps", MAPS, &config_map("f"))
            .await
            .0,
        500
    );
    // Owners that can't be read are no owners.
    let operations = add("/metadata/managedFields", json!([{"operation": "Else"}]));
    let (code, made) = patched(operations, "configmaps", MAPS, &config_map("g")).await;
    assert_eq!(code, 201);
    assert_eq!(made["metadata"]["managedFields"][0]["operation"], "Update");
    // It is kept under the name that it has.
    let operations = add("/metadata/name", json!("other"));
    let (code, made) = patched(operations, "configmaps", MAPS, &config_map("h")).await;
    assert_eq!(
        (code, made["metadata"]["name"].as_str()),
        (201, Some("other"))
    );
    assert_eq!(lab.get(&format!("{MAPS}/other")).await.0, 200);
    assert_eq!(lab.get(&format!("{MAPS}/h")).await.0, 404);
    let operations = add("/metadata/namespace", json!("kube-system"));
    assert_eq!(
        patched(operations, "configmaps", MAPS, &config_map("i"))
            .await
            .0,
        400
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_the_webhook_of_another_creation_that_counts_against_the_quota() {
    let (lab, _cluster) = Lab::on_three().await;
    let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": {"count/configmaps": "5"}}});
    lab.create("/api/v1/namespaces/default/resourcequotas", &quota)
        .await;
    let server = Server::start(HERE, &["127.0.0.1"]).await.unwrap();
    let mut hook = webhook(&server, "slow", "hang");
    hook["timeoutSeconds"] = json!(30);
    hook["objectSelector"] = json!({"matchLabels": {"slow": "yes"}});
    configure(&lab, VALIDATING, "slow", &[hook]).await;
    let mut map = config_map("slow");
    map["metadata"]["labels"] = json!({"slow": "yes"});
    let slow = lab.post(MAPS, &map);
    let quick = async {
        lab.until("the webhook is asked", async || {
            !asked(&server, "hang").is_empty()
        })
        .await;
        lab.post(MAPS, &config_map("quick")).await
    };
    tokio::select! {
        (code, status) = slow => panic!("{code} {status}"),
        (code, made) = quick => assert_eq!(code, 201, "{made}"),
    }
}
