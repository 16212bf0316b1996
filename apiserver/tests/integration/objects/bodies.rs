//! Bodies that are of another kind than the object they are sent to.

use crate::common::{Lab, PODS, pod, service_account};
use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

fn deployment(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}},
                     "spec": {"containers": [{"name": "c", "image": "i"}]}}}})
}

/// Applies a Scale as a manager; the answer.
async fn apply(lab: &Lab, manager: &str, more: &str, scale: Value) -> (u16, Value) {
    let path = format!("{DEPLOYMENTS}/d/scale?fieldManager={manager}{more}");
    lab.send(
        Method::PATCH,
        &path,
        "application/apply-patch+yaml",
        scale.to_string(),
    )
    .await
}

fn scale(spec: Value) -> Value {
    json!({"apiVersion": "autoscaling/v1", "kind": "Scale",
           "metadata": {"name": "d", "labels": {"of": "the Scale"}}, "spec": spec})
}

/// What `kubectl get` asks for.
async fn table(lab: &Lab, path: &str) -> Value {
    let request = http::Request::builder()
        .uri(path)
        .header("host", "localhost")
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Full::new(Bytes::new()))
        .unwrap();
    let mut sender = lab.connect(&lab.acting("admin")).await.unwrap();
    let response = sender.send_request(request).await.unwrap();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&bytes).unwrap()
}

/// As `ScaleHandler` of `k8s.io/apimachinery/pkg/util/managedfields` keeps who owns replicas.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scale_can_be_applied() {
    let lab = Lab::start().await;
    lab.create(
        &format!("{DEPLOYMENTS}?fieldManager=maker"),
        &deployment("d"),
    )
    .await;
    let path = format!("{DEPLOYMENTS}/d");

    let (code, status) = apply(&lab, "scaler", "", scale(json!({"replicas": 5}))).await;
    assert_eq!((code, &status["reason"]), (409, &json!("Conflict")));
    let message = status["message"].as_str().unwrap();
    assert!(message.contains(r#"conflict with "maker""#), "{message}");
    assert!(message.ends_with(".spec.replicas"), "{message}");

    let (code, shown) = apply(&lab, "scaler", "&force=true", scale(json!({"replicas": 5}))).await;
    assert_eq!((code, &shown["kind"]), (200, &json!("Scale")));
    assert_eq!(shown["spec"]["replicas"], 5);
    let (_, object) = lab.get(&path).await;
    assert_eq!(object["spec"]["replicas"], 5);
    assert_eq!(object["metadata"]["labels"], Value::Null);
    let managers = object["metadata"]["managedFields"].as_array().unwrap();
    let scaler = managers
        .iter()
        .find(|of| of["manager"] == "scaler")
        .unwrap();
    assert_eq!(scaler["subresource"], "scale");
    assert_eq!(
        (&scaler["operation"], &scaler["apiVersion"]),
        (&json!("Apply"), &json!("apps/v1"))
    );
    assert_eq!(scaler["fieldsV1"], json!({"f:spec": {"f:replicas": {}}}));
    let maker = managers.iter().find(|of| of["manager"] == "maker").unwrap();
    assert_eq!(maker["fieldsV1"]["f:spec"]["f:replicas"], Value::Null);

    let table = table(&lab, &format!("{path}/scale")).await;
    assert_eq!(table["kind"], "Table", "{table}");
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    assert_eq!(cells[..3], [json!("d"), json!(5), json!(0)]);

    // What is wrong with a Scale is told of it.
    let (code, status) = apply(&lab, "scaler", "", scale(json!({"replicas": -1}))).await;
    assert_eq!((code, &status["details"]["kind"]), (422, &json!("Scale")));
    let (code, status) = apply(&lab, "scaler", "", scale(json!({"size": 1}))).await;
    let message = status["message"].as_str().unwrap();
    assert_eq!(code, 500, "{message}");
    assert!(
        message.contains(".spec.size: field not declared in schema"),
        "{message}"
    );
    let (code, status) = apply(&lab, "scaler", "", deployment("d")).await;
    assert_eq!(code, 400, "{status}");

    // Who applies none any more has zero of them.
    let (code, _) = apply(&lab, "scaler", "", scale(json!({}))).await;
    assert_eq!(code, 200);
    let (_, object) = lab.get(&path).await;
    assert_eq!(object["spec"]["replicas"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_other_kinds_are_checked_like_all() {
    let lab = Lab::start().await;
    lab.create(DEPLOYMENTS, &deployment("d")).await;
    service_account(&lab).await;
    lab.create(PODS, &pod("p")).await;

    let path = format!("{DEPLOYMENTS}/d/scale?fieldValidation=Strict");
    let mut body = scale(json!({"replicas": 1, "size": 2}));
    let (code, status) = lab.put(&path, &body).await;
    assert_eq!(code, 400);
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .ends_with(r#"strict decoding error: unknown field "spec.size""#),
        "{status}"
    );
    body["spec"] = json!({"replicas": "many"});
    let (code, status) = lab.put(&path, &body).await;
    assert_eq!(code, 400, "{status}");

    let account = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let request = json!({"spec": {"expirationSeconds": "soon"}});
    let (code, status) = lab.post(account, &request).await;
    assert_eq!(code, 400, "{status}");

    // kubectl before 1.22 evicts with the older version.
    let eviction = json!({"apiVersion": "policy/v1beta1", "kind": "Eviction",
                          "metadata": {"name": "p"}});
    let (code, status) = lab.post(&format!("{PODS}/p/eviction"), &eviction).await;
    assert_eq!(code, 201, "{status}");
    let other = json!({"apiVersion": "policy/v2", "kind": "Eviction", "metadata": {"name": "p"}});
    let (code, status) = lab.post(&format!("{PODS}/p/eviction"), &other).await;
    assert_eq!(code, 400, "{status}");
}
