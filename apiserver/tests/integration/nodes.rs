//! What the holder of a node's certificate can't do: read what other nodes'
//! pods need, and give itself more pods to read for.

use crate::common::{Lab, PODS, pod, service_account};
use http::Method;
use serde_json::{Value, json};

const SECRETS: &str = "/api/v1/namespaces/default/secrets";
const ACCOUNT: &str = "/api/v1/namespaces/default/serviceaccounts/default/token";

/// A lab with two nodes, each with a pod (`p1`, `p2`) that needs a secret
/// (`s1`, `s2`).
async fn two_nodes() -> Lab {
    let lab = Lab::start().await;
    service_account(&lab).await;
    for i in 1..=2 {
        let node = json!({"metadata": {"name": format!("n{i}")}});
        lab.create("/api/v1/nodes", &node).await;
        let secret = json!({"metadata": {"name": format!("s{i}")}});
        lab.create(SECRETS, &secret).await;
        lab.create(PODS, &needing(i, &format!("p{i}"), &format!("s{i}")))
            .await;
    }
    lab.until("the first pod's secret may be read", async || {
        read(&lab, &format!("{SECRETS}/s1")).await == 200
    })
    .await;
    lab
}

/// A pod on node `i` that needs a secret.
fn needing(i: usize, name: &str, secret: &str) -> Value {
    let mut pod = pod(name);
    pod["spec"]["nodeName"] = json!(format!("n{i}"));
    pod["spec"]["volumes"] = json!([{"name": "s", "secret": {"secretName": secret}}]);
    pod
}

/// The code of a read by node n1.
async fn read(lab: &Lab, path: &str) -> u16 {
    as_node(lab, Method::GET, path, &json!({})).await.0
}

async fn as_node(lab: &Lab, method: Method, path: &str, body: &Value) -> (u16, Value) {
    lab.send_as("node", method, path, body).await
}

fn refused((code, answer): (u16, Value), expected: u16, message: &str) {
    let told = answer["message"].as_str().unwrap_or_default();
    assert!(code == expected && told.contains(message), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_reads_what_its_pods_need() {
    let lab = two_nodes().await;
    for (path, code) in [
        (format!("{SECRETS}/s1"), 200),
        (format!("{SECRETS}?fieldSelector=metadata.name=s1"), 200),
        (format!("{SECRETS}/s2"), 403),
        (format!("{SECRETS}?fieldSelector=metadata.name=s2"), 403),
        (
            format!("{SECRETS}?fieldSelector=metadata.name=s2&watch=true"),
            403,
        ),
        (SECRETS.to_owned(), 403),
        ("/api/v1/secrets".to_owned(), 403),
        (
            "/api/v1/secrets?fieldSelector=metadata.name=s1".to_owned(),
            403,
        ),
        ("/api/v1/namespaces/kube-system/secrets/s1".to_owned(), 403),
        (format!("{PODS}/p1"), 200),
        (format!("{PODS}/p2"), 403),
        (PODS.to_owned(), 403),
        ("/api/v1/pods".to_owned(), 403),
        ("/api/v1/pods?watch=true".to_owned(), 403),
        (
            "/api/v1/pods?fieldSelector=spec.nodeName=n1".to_owned(),
            200,
        ),
        (
            "/api/v1/pods?fieldSelector=spec.nodeName=n2".to_owned(),
            403,
        ),
        (
            "/api/v1/pods?fieldSelector=spec.nodeName!=n1".to_owned(),
            403,
        ),
        ("/api/v1/nodes/n1".to_owned(), 200),
        ("/api/v1/nodes/n2".to_owned(), 403),
        ("/api/v1/nodes".to_owned(), 403),
        (
            "/api/v1/nodes?fieldSelector=metadata.name=n1".to_owned(),
            200,
        ),
        (
            "/api/v1/nodes?fieldSelector=metadata.name=n2".to_owned(),
            403,
        ),
        ("/api/v1/services".to_owned(), 200),
    ] {
        assert_eq!(read(&lab, &path).await, code, "{path}");
    }
    let own = "/api/v1/pods?fieldSelector=spec.nodeName=n1";
    let (_, listed) = as_node(&lab, Method::GET, own, &json!({})).await;
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));

    // It ends with the pod.
    let now = json!({"gracePeriodSeconds": 0});
    assert_eq!(lab.delete(&format!("{PODS}/p1"), &now).await.0, 200);
    lab.until(
        "nothing relates the node to the secret any more",
        async || read(&lab, &format!("{SECRETS}/s1")).await == 403,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_gives_itself_nothing_to_read() {
    let lab = two_nodes().await;
    let (_, node) = lab.get("/api/v1/nodes/n1").await;
    let mirror = |spec: Value| {
        let mut mirror = json!({
            "metadata": {"name": "m", "annotations": {"kubernetes.io/config.mirror": "x"},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n1",
                    "uid": node["metadata"]["uid"], "controller": true}]},
            "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]}});
        for (field, value) in spec.as_object().into_iter().flatten() {
            mirror["spec"][field] = value.clone();
        }
        mirror
    };
    let csi =
        json!([{"name": "v", "csi": {"driver": "d", "nodePublishSecretRef": {"name": "s2"}}}]);
    let azure = json!([{"name": "v", "azureFile": {"secretName": "s2", "shareName": "x"}}]);
    for volumes in [csi, azure] {
        let pod = mirror(json!({"volumes": volumes}));
        refused(
            as_node(&lab, Method::POST, PODS, &pod).await,
            403,
            "reference secrets",
        );
    }
    let mut unowned = mirror(json!({}));
    unowned["metadata"]["ownerReferences"] = json!([]);
    refused(
        as_node(&lab, Method::POST, PODS, &unowned).await,
        403,
        "can only create pods with an owner reference set to itself",
    );
    let ordinary = needing(1, "mine", "s2");
    refused(
        as_node(&lab, Method::POST, PODS, &ordinary).await,
        403,
        "can only create mirror pods",
    );
    let (code, made) = as_node(&lab, Method::POST, PODS, &mirror(json!({}))).await;
    assert_eq!(code, 201, "{made}");

    // A mirror pod stays one, and no other becomes one: for nobody.
    let annotated =
        |value: Value| json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": value}}});
    let off = annotated(Value::Null);
    let status = format!("{PODS}/m/status");
    let told = "metadata.annotations[kubernetes.io/config.mirror]: Forbidden: may not remove or update mirror pod annotation";
    refused(as_node(&lab, Method::PATCH, &status, &off).await, 422, told);
    refused(lab.merge(&format!("{PODS}/m"), &off).await, 422, told);
    let on = annotated(json!("x"));
    for path in [format!("{PODS}/p1"), format!("{PODS}/p1/status")] {
        refused(
            lab.merge(&path, &on).await,
            422,
            "may not add mirror pod annotation",
        );
    }
    lab.create(PODS, &pod("unbound")).await;
    let mut binding = annotated(json!("x"));
    binding["metadata"]["name"] = json!("unbound");
    binding["target"] = json!({"name": "n1"});
    for path in [
        format!("{PODS}/unbound/binding"),
        "/api/v1/namespaces/default/bindings".to_owned(),
    ] {
        refused(
            lab.post(&path, &binding).await,
            422,
            "may not add mirror pod annotation",
        );
    }

    // Its pods' specs are not the node's to write, by any way.
    let volumes = json!({"spec": {"volumes": [{"name": "s", "secret": {"secretName": "s2"}}]}});
    let own = format!("{PODS}/p1");
    assert_eq!(as_node(&lab, Method::PATCH, &own, &volumes).await.0, 403);
    let debug = json!({"spec": {"ephemeralContainers": [
        {"name": "d", "image": "i", "envFrom": [{"secretRef": {"name": "s2"}}]}]}});
    let containers = format!("{own}/ephemeralcontainers");
    assert_eq!(
        as_node(&lab, Method::PATCH, &containers, &debug).await.0,
        403
    );
    let mut by_status = volumes.clone();
    by_status["status"] = json!({"phase": "Running"});
    as_node(&lab, Method::PATCH, &format!("{own}/status"), &by_status).await;
    let claims = json!({"status": {"resourceClaimStatuses": [
        {"name": "gpu", "resourceClaimName": "of-another"}]}});
    refused(
        as_node(&lab, Method::PATCH, &format!("{own}/status"), &claims).await,
        403,
        "cannot update resource claim statues",
    );
    let labels = json!({"metadata": {"labels": {"app": "other"}}});
    refused(
        as_node(&lab, Method::PATCH, &format!("{own}/status"), &labels).await,
        403,
        "cannot update labels through pod status",
    );
    let bind = json!({"target": {"name": "n1"}});
    assert_eq!(
        as_node(&lab, Method::POST, &format!("{PODS}/p2/binding"), &bind)
            .await
            .0,
        403
    );

    // Other nodes, and what runs there.
    let evict = json!({"metadata": {"name": "p2"}});
    for (method, path, body) in [
        (Method::DELETE, format!("{PODS}/p2"), json!({})),
        (Method::POST, format!("{PODS}/p2/eviction"), evict),
        (Method::PATCH, format!("{PODS}/p2/status"), labels),
        (Method::DELETE, "/api/v1/nodes/n1".to_owned(), json!({})),
        (
            Method::PATCH,
            "/api/v1/nodes/n2".to_owned(),
            json!({"spec": {"unschedulable": true}}),
        ),
        (
            Method::PATCH,
            "/api/v1/nodes/n1".to_owned(),
            json!({"spec": {"taints": [{"key": "a", "effect": "NoExecute"}]}}),
        ),
    ] {
        assert_eq!(as_node(&lab, method, &path, &body).await.0, 403, "{path}");
    }
    // All of it has reached the cache: a consistent read waits for that.
    assert_eq!(lab.get(PODS).await.0, 200);
    assert_eq!(read(&lab, &format!("{SECRETS}/s2")).await, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_for_the_nodes_pods_and_their_audiences() {
    let lab = two_nodes().await;
    let ask = async |pod: &str, audiences: Value| {
        let (_, pod) = lab.get(&format!("{PODS}/{pod}")).await;
        let request = json!({"spec": {"audiences": audiences, "boundObjectRef": {
            "apiVersion": "v1", "kind": "Pod",
            "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}}});
        as_node(&lab, Method::POST, ACCOUNT, &request).await
    };
    let (code, token) = ask("p1", json!([])).await;
    assert_eq!(code, 201, "{token}");
    refused(
        ask("p1", json!(["vault"])).await,
        403,
        "audience \"vault\" not found in pod spec volume, system:node:n1 is not authorized to request tokens for this audience",
    );
    refused(
        ask("p2", json!([])).await,
        403,
        "node requested token bound to a pod scheduled on a different node",
    );
}

/// Who is told of a pod by a watch can read what it needs at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_authorizer_knows_each_pod_that_was_told_of() {
    let lab = two_nodes().await;
    let mut watch = lab
        .watch(&format!("{PODS}?watch=true&resourceVersion=0"))
        .await;
    for _ in 0..2 {
        watch.told().await;
    }
    for i in 0..20 {
        let secret = format!("fresh-{i}");
        lab.create(SECRETS, &json!({"metadata": {"name": secret}}))
            .await;
        lab.create(PODS, &needing(1, &secret, &secret)).await;
        assert_eq!(watch.told().await, ("ADDED".to_owned(), secret.clone()));
        assert_eq!(
            read(&lab, &format!("{SECRETS}/{secret}")).await,
            200,
            "{secret}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_overlays_agent_announces_its_own_node() {
    let lab = two_nodes().await;
    let patch = async |path: &str, body: Value| {
        let (code, _) = lab
            .send_as(
                "overlay",
                Method::PATCH,
                &format!("/api/v1/nodes/{path}"),
                &body,
            )
            .await;
        code
    };
    let announced = json!({"metadata": {"annotations": {
        "flannel.alpha.coreos.com/public-ip": "192.0.2.1"}}});
    let up = json!({"status": {"conditions": [
        {"type": "NetworkUnavailable", "status": "False", "reason": "FlannelIsUp"}]}});
    assert_eq!(patch("n1", announced.clone()).await, 200);
    assert_eq!(patch("n1/status", up.clone()).await, 200);
    assert_eq!(patch("n2", announced).await, 403);
    assert_eq!(patch("n2/status", up).await, 403);
    for other in [
        json!({"metadata": {"labels": {"a": "b"}}}),
        json!({"metadata": {"annotations": {"acme.com/a": "b"}}}),
        json!({"spec": {"unschedulable": true}}),
    ] {
        assert_eq!(patch("n1", other.clone()).await, 403, "{other}");
    }
    let lies = json!({"status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.9"}]}});
    assert_eq!(patch("n1/status", lies).await, 403);
    let nodes = "/api/v1/nodes";
    assert_eq!(
        lab.send_as("overlay", Method::GET, nodes, &json!({}))
            .await
            .0,
        200
    );
    assert_eq!(
        lab.send_as("overlay", Method::GET, PODS, &json!({}))
            .await
            .0,
        403
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn external_addresses_are_denied_where_that_is_switched_on() {
    let lab =
        Lab::start_with(|_| vec!["--enable-admission-plugins=DenyServiceExternalIPs".into()]).await;
    let service = |ips: Value| json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}], "externalIPs": ips}});
    let services = "/api/v1/namespaces/default/services";
    refused(
        lab.post(services, &service(json!(["192.0.2.1"]))).await,
        403,
        "Use of external IPs is denied by admission control",
    );
    lab.create(services, &service(json!([]))).await;
}
