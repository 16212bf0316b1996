//! What is let in, but seldom meant, is warned of; and what is let in without a word.

mod fields;

use crate::common::{Lab, MAPS, PODS, pod, service_account};
use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt;
use serde_json::{Value, json};

/// Code, warnings and text of an answer.
async fn send(
    lab: &Lab,
    method: Method,
    path: &str,
    content_type: &str,
    body: String,
) -> (u16, Vec<String>, String) {
    let admin = lab.acting("admin");
    let answer = lab
        .try_call_as(&admin, method, path, content_type, Bytes::from(body))
        .await
        .unwrap();
    let headers = answer.headers().get_all("warning").iter();
    let warnings = headers.map(|header| {
        let text = header.to_str().unwrap();
        let text = text.strip_prefix("299 - \"").unwrap();
        text.strip_suffix('"').unwrap().replace("\\\"", "\"")
    });
    let warnings = warnings.collect();
    let code = answer.status().as_u16();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (code, warnings, String::from_utf8_lossy(&bytes).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn templates_are_warned_of_when_they_change() {
    let lab = Lab::start().await;
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "warnme"}, "spec": {"replicas": 0,
        "selector": {"matchLabels": {"app": "warnme"}},
        "template": {"metadata": {"labels": {"app": "warnme"}}, "spec": {
            "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["a"]}, {"ip": "1.2.3.4", "hostnames": ["b"]}],
            "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
            "containers": [{"name": "c", "image": "busybox",
                "resources": {"requests": {"memory": "100m"}},
                "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}],
                "ports": [{"name": "http", "containerPort": 9090}, {"name": "admin", "containerPort": 9090}]}]}}}});
    let path = "/apis/apps/v1/namespaces/default/deployments";
    let body = deployment.to_string();
    let (code, mut told, _) = send(&lab, Method::POST, path, "application/json", body).await;
    assert_eq!(code, 201);
    told.sort();
    let container = "spec.template.spec.containers[0]";
    assert_eq!(
        told,
        [
            format!("{container}.env[1]: hides previous definition of \"A\", which may be dropped when using apply"),
            format!("{container}.ports[1]: duplicate port definition with {container}.ports[0]"),
            format!("{container}.resources.requests[memory]: fractional byte value \"100m\" is invalid, must be an integer"),
            "spec.template.spec.hostAliases[1].ip: duplicate ip \"1.2.3.4\"".to_owned(),
            "spec.template.spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod".to_owned(),
        ]
    );
    let one = format!("{path}/warnme");
    let patch = async |body: Value| {
        let kind = "application/merge-patch+json";
        let (code, told, _) = send(&lab, Method::PATCH, &one, kind, body.to_string()).await;
        assert_eq!(code, 200);
        told.len()
    };
    assert_eq!(patch(json!({"metadata": {"labels": {"a": "b"}}})).await, 0);
    assert_eq!(patch(json!({"spec": {"replicas": 1}})).await, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stricter_namespace_tells_of_its_pods() {
    let lab = Lab::start().await;
    service_account(&lab).await;
    lab.create(PODS, &pod("p1")).await;
    let patch = async |query: &str, level: &str| {
        let path = format!("/api/v1/namespaces/default{query}");
        let body = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": level}}});
        let kind = "application/merge-patch+json";
        let (code, told, _) = send(&lab, Method::PATCH, &path, kind, body.to_string()).await;
        assert_eq!(code, 200);
        told
    };
    let told = [
        "existing pods in namespace \"default\" violate the new PodSecurity enforce level \"restricted:latest\"",
        "p1: allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile",
    ];
    assert_eq!(patch("?dryRun=All", "restricted").await, told);
    assert_eq!(patch("", "restricted").await, told);
    assert_eq!(patch("", "baseline").await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_of_a_stateful_set_are_volumes() {
    let lab = Lab::start().await;
    let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"},
        "spec": {"serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
        "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [
            {"name": "c", "image": "x:1", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]}},
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]}});
    let made = lab
        .create("/apis/apps/v1/namespaces/default/statefulsets", &set)
        .await;
    assert!(
        made["spec"]["template"]["spec"].get("volumes").is_none(),
        "{made}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn yaml_is_that_of_version_1_1() {
    let lab = Lab::start().await;
    service_account(&lab).await;
    let yaml = "application/yaml";
    let body = "apiVersion: v1\nkind: Pod\nmetadata: {name: y}\nspec: {hostIPC: no, containers: [{name: c, image: x}], volumes: [{name: v, secret: {secretName: s, defaultMode: 0400}}]}\n";
    let dry = format!("{PODS}?dryRun=All");
    let (code, _, text) = send(&lab, Method::POST, &dry, yaml, body.to_owned()).await;
    assert_eq!(code, 201, "{text}");
    let made: Value = serde_json::from_str(&text).unwrap();
    let volumes = made["spec"]["volumes"].as_array().unwrap();
    let volume = volumes.iter().find(|volume| volume["name"] == "v").unwrap();
    assert_eq!(volume["secret"]["defaultMode"], 256);

    let dry = format!("{MAPS}?dryRun=All");
    let body = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y}\ndata: {a: yes}\n";
    let (code, _, text) = send(&lab, Method::POST, &dry, yaml, body.to_owned()).await;
    assert_eq!(code, 400, "{text}");
    assert!(text.contains("cannot unmarshal bool into"), "{text}");

    let body = json!({"metadata": {"name": "y"}, "data": {"a": "yes", "d": "2001-01-01"}});
    lab.create(MAPS, &body).await;
    let admin = lab.acting("admin");
    let mut sender = lab.connect(&admin).await.unwrap();
    let request = http::Request::get(format!("{MAPS}/y"))
        .header("host", "localhost")
        .header("accept", yaml)
        .body(http_body_util::Full::new(Bytes::new()))
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    for line in [
        "  a: \"yes\"\n",
        "  d: \"2001-01-01\"\n",
        "  creationTimestamp: \"20",
    ] {
        assert!(text.contains(line), "{text}");
    }
}
