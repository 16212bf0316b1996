//! What the apiserver refuses, in the words that clients know.

use crate::common::{Lab, MAPS, PODS, config_map, pod, service_account};
use bytes::Bytes;
use http::Method;
use http_body_util::Full;
use serde_json::{Value, json};

/// Expects a failure with this code and message.
fn refused((code, answer): (u16, Value), expected: u16, message: &str) {
    assert_eq!(
        (code, answer["message"].as_str().unwrap_or_default()),
        (expected, message),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_and_methods() {
    let lab = Lab::start().await;
    // Below an API the answer is a Status; elsewhere it is a page.
    refused(
        lab.get("/api/v1/nosuch").await,
        404,
        "the server could not find the requested resource",
    );
    for path in ["/apis/nosuch", "/apis/nosuch/v1/things", "/nosuch"] {
        let (code, page) = lab.get(path).await;
        assert_eq!((code, page), (404, json!("404 page not found\n")), "{path}");
    }
    // Who may not ask isn't told what there is.
    refused(
        lab.send_as("jane", Method::GET, "/api/v1/nosuch", &json!({}))
            .await,
        403,
        "nosuch is forbidden: User \"jane\" cannot list resource \"nosuch\" in API group \"\" at the cluster scope",
    );
    let not_allowed = "the server does not allow this method on the requested resource";
    let one = format!("{MAPS}/a");
    refused(lab.post(&one, &config_map("a")).await, 405, not_allowed);
    refused(
        lab.delete("/api/v1/namespaces", &Value::Null).await,
        405,
        not_allowed,
    );
    refused(
        lab.get(&format!("{MAPS}/..%2fpods")).await,
        400,
        "Name parameter invalid: \"../pods\": may not contain '/'",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn options_and_patches() {
    let lab = Lab::start().await;
    lab.create(MAPS, &config_map("a")).await;
    let one = format!("{MAPS}/a");
    refused(
        lab.get(&format!("{MAPS}?limit=x")).await,
        400,
        "strconv.ParseInt: parsing \"x\": invalid syntax",
    );
    refused(
        lab.get(&format!("{MAPS}?sendInitialEvents=true")).await,
        422,
        "ListOptions.meta.k8s.io \"\" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list",
    );
    let (code, future) = lab.get(&format!("{MAPS}?resourceVersion=99999999")).await;
    let message = future["message"].as_str().unwrap();
    assert!(
        code == 504 && message.starts_with("Too large resource version: 99999999, current: "),
        "{future}"
    );

    // kubectl prints the message of a Status only if it names no object.
    let patch = r#"[{"op":"remove","path":"/data/nosuch"}]"#;
    let (code, failed) = lab
        .send(Method::PATCH, &one, "application/json-patch+json", patch)
        .await;
    assert_eq!((code, &failed["details"]), (422, &json!({})), "{failed}");

    let apply = |name: &str, body: Value| {
        let path = format!("{MAPS}/{name}?fieldManager=me");
        let body = body.to_string();
        let lab = &lab;
        async move {
            lab.send(Method::PATCH, &path, "application/apply-patch+yaml", body)
                .await
        }
    };
    refused(
        apply("b", json!({"metadata": {"name": "b"}})).await,
        400,
        "Incorrect version specified in apply patch. Specified patch version: , expected: v1",
    );
    let mut gone = config_map("b");
    gone["apiVersion"] = json!("v1");
    gone["kind"] = json!("ConfigMap");
    gone["metadata"]["uid"] = json!("u");
    refused(
        apply("b", gone).await,
        409,
        "Operation cannot be fulfilled on configmaps \"b\": uid mismatch: the provided object specified uid u, and no existing object was found",
    );

    let uid = lab.get(&one).await.1["metadata"]["uid"].clone();
    refused(
        lab.delete(&one, &json!({"preconditions": {"uid": "u"}}))
            .await,
        409,
        &format!(
            "Operation cannot be fulfilled on configmaps \"a\": the UID in the precondition (u) does not match the UID in record ({}). The object might have been deleted and then recreated",
            uid.as_str().unwrap()
        ),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reviews_have_no_table() {
    let lab = Lab::start().await;
    let accepting = async |accept: &str| {
        let body = json!({"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}});
        let request = http::Request::builder()
            .method(Method::POST)
            .uri("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
            .header("host", "localhost")
            .header("content-type", "application/json")
            .header("accept", accept)
            .body(Full::new(Bytes::from(body.to_string())))
            .unwrap();
        let mut sender = lab.connect(&lab.acting("admin")).await.unwrap();
        sender
            .send_request(request)
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    assert_eq!(accepting(table).await, 406);
    assert_eq!(accepting(&format!("{table},application/json")).await, 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_connected_to_answers_in_any_form() {
    let lab = Lab::start().await;
    let accepting = async |path: &str, accept: &str| {
        let request = http::Request::builder()
            .uri(path)
            .header("host", "localhost")
            .header("accept", accept)
            .body(Full::new(Bytes::new()))
            .unwrap();
        let mut sender = lab.connect(&lab.acting("admin")).await.unwrap();
        sender
            .send_request(request)
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    for accept in ["text/event-stream", "image/png", table] {
        // Nobody is there, but the form is not what is wrong.
        for path in [
            "/api/v1/namespaces/default/services/none/proxy",
            "/api/v1/namespaces/default/services/http:none:80/proxy/a/b",
            "/api/v1/namespaces/default/pods/none/proxy/",
            "/api/v1/namespaces/default/pods/none/exec",
            "/api/v1/namespaces/default/pods/none/portforward",
            "/api/v1/nodes/none/proxy/pods",
        ] {
            assert_eq!(accepting(path, accept).await, 404, "{path} {accept}");
        }
        let log = "/api/v1/namespaces/default/pods/none/log";
        assert_eq!(accepting(log, accept).await, 406, "{accept}");
    }
    let service = "/api/v1/namespaces/default/services/none";
    assert_eq!(accepting(service, "image/png").await, 406);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_of_fields_are_those_of_the_version() {
    let lab = Lab::start().await;
    let core = "/api/v1/namespaces/default/events";
    let about = json!({"kind": "Pod", "namespace": "default", "name": "p"});
    let event = json!({"metadata": {"name": "e"}, "involvedObject": about, "reason": "R",
        "reportingComponent": "c"});
    lab.create(core, &event).await;
    let found = async |path: &str, selector: &str| {
        let (code, list) = lab.get(&format!("{path}?fieldSelector={selector}")).await;
        (code, list["items"].as_array().map_or(0, Vec::len))
    };
    let new = "/apis/events.k8s.io/v1/namespaces/default/events";
    assert_eq!(found(core, "involvedObject.name=p").await, (200, 1));
    assert_eq!(
        found(new, "regarding.name=p,reportingController=c").await,
        (200, 1)
    );
    assert_eq!(found(new, "regarding.name%21=p").await, (200, 0));
    for (path, selector, message) in [
        (
            core,
            "regarding.name=p",
            "field label not supported: regarding.name",
        ),
        (
            new,
            "involvedObject.name=p",
            "field label not supported: involvedObject.name",
        ),
        (
            MAPS,
            "data=x",
            "\"data\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
        ),
    ] {
        let told = lab.get(&format!("{path}?fieldSelector={selector}")).await;
        refused(told, 400, message);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ephemeral_containers_are_only_added() {
    let lab = Lab::start().await;
    service_account(&lab).await;
    lab.create(PODS, &pod("p")).await;
    let path = format!("{PODS}/p/ephemeralcontainers");
    let patch = |containers: Value| {
        let body = json!({"spec": {"ephemeralContainers": containers}});
        let (lab, path) = (&lab, &path);
        async move { lab.merge(path, &body).await }
    };
    let (code, changed) = patch(json!([{"name": "look", "image": "i"}])).await;
    assert_eq!(code, 200, "{changed}");
    let container = &changed["spec"]["ephemeralContainers"][0];
    assert_eq!(container["terminationMessagePolicy"], "File", "{changed}");
    refused(
        patch(json!([])).await,
        422,
        "Pod \"p\" is invalid: spec.ephemeralContainers: Forbidden: existing ephemeral containers \"look\" may not be removed\n",
    );
    // A pod without a node has said nothing yet.
    assert_eq!(
        lab.get(&format!("{PODS}/p/log")).await,
        (200, json!("")),
        "no log yet"
    );
    let (code, nameless) = patch(json!([container, {"image": "i"}])).await;
    assert_eq!(code, 422, "{nameless}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resources_change_through_their_own_subresource() {
    let lab = Lab::start().await;
    service_account(&lab).await;
    let mut resized = pod("p");
    resized["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "100m"}});
    let made = lab.create(PODS, &resized).await;
    let container = made["spec"]["containers"][0]["name"].clone();
    let asks = |requests: Value| {
        let containers = json!([{"name": container, "resources": {"requests": requests}}]);
        json!({"spec": {"containers": containers}})
    };
    let patch = async |path: &str, requests: Value| {
        let kind = "application/strategic-merge-patch+json";
        let body = asks(requests).to_string();
        lab.send(Method::PATCH, path, kind, body).await
    };
    let (code, _) = patch(&format!("{PODS}/p"), json!({"cpu": "200m"})).await;
    assert_eq!(code, 422, "not through the pod itself");
    let path = format!("{PODS}/p/resize");
    let limits = json!({"metadata": {"name": "least"}, "spec": {"limits": [
        {"type": "Container", "min": {"cpu": "50m"}}]}});
    lab.create("/api/v1/namespaces/default/limitranges", &limits)
        .await;
    let quota = json!({"metadata": {"name": "sum"}, "spec": {"hard": {"requests.cpu": "400m"}}});
    lab.create("/api/v1/namespaces/default/resourcequotas", &quota)
        .await;
    let resize = async |cpu: &str| patch(&path, json!({"cpu": cpu})).await;
    let (code, grown) = resize("300m").await;
    assert_eq!(code, 200, "{grown}");
    let resources = &grown["spec"]["containers"][0]["resources"];
    assert_eq!(resources["requests"]["cpu"], "300m");
    assert_eq!(grown["metadata"]["generation"], 2);
    let (code, over) = resize("500m").await;
    assert_eq!(code, 403, "{over}");
    assert!(
        over["message"]
            .as_str()
            .unwrap()
            .contains("exceeded quota: sum"),
        "{over}"
    );
    let (code, little) = resize("10m").await;
    assert_eq!(code, 403, "{little}");
    let why = "minimum cpu usage per Container is 50m, but request is 10m";
    assert!(
        little["message"].as_str().unwrap().contains(why),
        "{little}"
    );
    refused(
        patch(&path, json!({"cpu": null})).await,
        422,
        "Pod \"p\" is invalid: [spec: Invalid value: \"Burstable\": Pod QOS Class may not change as a result of resizing, spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed]",
    );
    let (code, shown) = lab.get(&path).await;
    assert_eq!((code, &shown["kind"]), (200, &json!("Pod")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn admission_sees_what_was_just_written() {
    let lab = Lab::start().await;
    for round in 0..20 {
        let name = format!("fresh-{round}");
        let namespace = json!({"metadata": {"name": name}});
        lab.create("/api/v1/namespaces", &namespace).await;
        let maps = format!("/api/v1/namespaces/{name}/configmaps");
        lab.create(&maps, &config_map("a")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statuses_that_cannot_be() {
    let lab = Lab::start().await;
    let sets = "/apis/apps/v1/namespaces/default/replicasets";
    let set = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "a"}, "spec": {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "x:1"}]}}}});
    lab.create(sets, &set).await;
    refused(
        lab.merge(
            &format!("{sets}/a/status"),
            &json!({"status": {"replicas": 1, "readyReplicas": 2}}),
        )
        .await,
        422,
        "ReplicaSet.apps \"a\" is invalid: status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas",
    );
    refused(
        lab.merge(
            &format!("{sets}/a/status"),
            &json!({"status": {"replicas": 1, "availableReplicas": -1}}),
        )
        .await,
        422,
        "ReplicaSet.apps \"a\" is invalid: status.availableReplicas: Invalid value: -1: must be greater than or equal to 0",
    );

    let requests = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let request = json!({"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
        "metadata": {"name": "r"}, "spec": {"request": SIGNING_REQUEST, "signerName": "acme.com/x", "usages": ["client auth"]}});
    lab.create(requests, &request).await;
    let (approval, status) = (
        format!("{requests}/r/approval"),
        format!("{requests}/r/status"),
    );
    let approved = json!({"type": "Approved", "status": "True"});
    let denied = json!({"type": "Denied", "status": "True"});
    let with = |conditions: Value| json!({"status": {"conditions": conditions}});
    let invalid = "CertificateSigningRequest.certificates.k8s.io \"r\" is invalid: ";
    refused(
        lab.merge(&status, &with(json!([approved]))).await,
        422,
        &format!(
            "{invalid}status.conditions: Forbidden: updates may not add a condition of type \"Approved\""
        ),
    );
    refused(
        lab.merge(&approval, &with(json!([approved, denied]))).await,
        422,
        &format!(
            "{invalid}status.conditions[1].type: Invalid value: \"Denied\": Approved and Denied conditions are mutually exclusive"
        ),
    );
    let (code, decided) = lab.merge(&approval, &with(json!([approved]))).await;
    assert_eq!(code, 200, "{decided}");
    assert!(decided["status"]["conditions"][0]["lastUpdateTime"].is_string());
    refused(
        lab.merge(&approval, &with(json!([]))).await,
        422,
        &format!(
            "{invalid}status.conditions: Forbidden: updates may not remove a condition of type \"Approved\""
        ),
    );
    refused(
        lab.merge(&status, &json!({"status": {"certificate": "aGVsbG8="}}))
            .await,
        422,
        &format!(
            "{invalid}status.certificate: Invalid value: \"<certificate data>\": must contain one or more CERTIFICATE PEM blocks"
        ),
    );
    // What is asked for stays, without a word.
    let other = json!({"spec": {"signerName": "acme.com/y"}});
    let (code, same) = lab.merge(&format!("{requests}/r"), &other).await;
    assert_eq!(
        (code, &same["spec"]["signerName"]),
        (200, &json!("acme.com/x"))
    );
}

/// A request for a certificate of "jane".
const SIGNING_REQUEST: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIS01IRUNBUUF3RHpFTk1Bc0dBMVVFQXd3RWFtRnVaVEJaTUJNR0J5cUdTTTQ5QWdFR0NDcUdTTTQ5QXdFSApBMElBQlBORzNlVGJUdTE5dklBWDI4N3NYZlpsaC9GMEJVa3Zya0djbEM5Y2QzVlFoa1R2clJwajBVNGpISmhMClNYRERpTXFMellEdnpaMk93cm9lZjd3OWpZR2dBREFLQmdncWhrak9QUVFEQWdOSkFEQkdBaUVBczNwejFBNncKQkY0dlpKbXNTa0ZLdE4xZ2o2djVEQUtqdXNyMGJMRndMSHdDSVFDNmpYUEVKaEwva3dwZ3NpTEVmVVQ0TUlScgplU2poQTBEbXNpOG5WMnY0MkE9PQotLS0tLUVORCBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K";
