//! Steps of all processes: who hands in which, who sees which, and that all is bounded.

use crate::common::requests::Watch;
use crate::common::{self, Lab, MAPS, PODS, config_map, pod};
use bytes::Bytes;
use futures_util::StreamExt;
use hardway_client::channel::{self, Connection};
use hardway_proto::Status;
use hardway_proto::api::api_client::ApiClient;
use hardway_proto::api::{self, Step, StepDetail};
use http::Method;
use serde_json::{Value, json};
use std::collections::HashSet;

const STEPS: &str = "/debug/hardway/steps";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

fn grpc(lab: &Lab, user: &str) -> ApiClient<Connection> {
    ApiClient::new(channel::connect(&lab.kubeconfig_of(user)).unwrap())
}

fn instance() -> String {
    "test".to_owned()
}

/// Of a step about an object.
fn step(resource: &str, namespace: &str, name: &str, what: &str) -> Step {
    Step {
        time: 1,
        resource: resource.into(),
        namespace: namespace.into(),
        name: name.into(),
        what: what.into(),
        ..Step::default()
    }
}

async fn report(
    client: &mut ApiClient<Connection>,
    first: u64,
    steps: Vec<Step>,
) -> Result<(), Status> {
    let report = api::ReportStepsRequest {
        instance: instance(),
        first,
        steps,
    };
    client.report_steps(report).await?;
    Ok(())
}

async fn readers(
    client: &mut ApiClient<Connection>,
) -> Result<tonic::Streaming<api::StepReaders>, Status> {
    let request = api::WatchStepReadersRequest {
        instance: instance(),
    };
    Ok(client.watch_step_readers(request).await?.into_inner())
}

async fn told(stream: &mut tonic::Streaming<api::StepReaders>) -> (bool, u64) {
    let next = tokio::time::timeout(common::PATIENCE, stream.next());
    let told = next
        .await
        .expect("news in time")
        .expect("the stream goes on");
    let told = told.unwrap();
    (told.reading, told.next)
}

/// The steps of an answer that has an end.
async fn all(lab: &Lab, user: &str, query: &str) -> Vec<Value> {
    let path = format!("{STEPS}?{query}");
    let tls = lab.acting(user);
    let answer = lab.try_call_as(&tls, Method::GET, &path, "", Bytes::new());
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
    let mut lines = Watch::of(answer);
    let mut steps = Vec::new();
    while let Some(line) = lines.next().await {
        match line["type"].as_str() {
            Some("STEP") => steps.push(line),
            Some("SYNCED") => {}
            _ => panic!("an odd line: {line}"),
        }
    }
    steps
}

fn what(steps: &[Value]) -> Vec<&str> {
    let what = steps.iter().map(|step| step["what"].as_str().unwrap());
    what.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_is_told_from_the_door_to_etcd() {
    let lab = Lab::start().await;
    let before = all(&lab, "admin", "resource=configmaps&name=a").await;
    assert_eq!(what(&before), [""; 0]);
    let map = lab.create(MAPS, &config_map("a")).await;
    let steps = all(&lab, "admin", "resource=configmaps&name=a").await;
    let expected = [
        "request",
        "authorized",
        "seated",
        "admission",
        "admission",
        "stored",
    ];
    assert_eq!(what(&steps), expected);
    let (uid, audit_id) = (&map["metadata"]["uid"], &steps[0]["auditID"]);
    for step in &steps {
        assert_eq!((&step["uid"], &step["auditID"]), (uid, audit_id), "{step}");
        assert_eq!(step["process"], "apiserver");
    }
    let request = &steps[0]["details"];
    assert_eq!(request["verb"], "create");
    assert_eq!(
        (&request["protocol"], &request["user"]),
        (&json!("REST"), &json!("admin"))
    );
    assert_eq!(request["identity"], "client certificate");
    assert_eq!(request["code"], "201");
    assert_eq!(steps[2]["details"]["priorityLevel"], "exempt");
    let revision = &map["metadata"]["resourceVersion"];
    assert_eq!(steps[5]["details"]["revision"], *revision);
    // Values are nobody's business.
    assert!(!Value::from(steps).to_string().contains("\"a\":\"1\""));

    let secret = json!({"metadata": {"name": "s"}, "type": "kubernetes.io/tls",
        "stringData": {"tls.key": "hidden-key"}});
    let (code, _) = lab
        .post("/api/v1/namespaces/default/secrets", &secret)
        .await;
    assert_eq!(code, 422);
    let steps = all(&lab, "admin", "resource=secrets").await;
    let text = Value::from(steps.clone()).to_string();
    assert!(!text.contains("hidden-key"), "{text}");
    assert_eq!(steps[0]["details"]["fields"], "data[tls.crt]");

    // Reads, and what is written again and again, are left out.
    assert_eq!(lab.get(&format!("{MAPS}/a")).await.0, 200);
    let lease = json!({"metadata": {"name": "l"}});
    lab.create(
        "/apis/coordination.k8s.io/v1/namespaces/default/leases",
        &lease,
    )
    .await;
    let of = format!("uid={}", uid.as_str().unwrap());
    assert_eq!(all(&lab, "admin", &of).await.len(), expected.len());
    assert!(all(&lab, "admin", "name=l").await.is_empty());
    let (code, refused) = lab.get(&format!("{STEPS}?pod=a")).await;
    assert_eq!((code, &refused["reason"]), (400, &json!("BadRequest")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_object_of_a_collection_has_its_own_steps() {
    let lab = Lab::start().await;
    let mut uids = Vec::new();
    for name in ["a", "b"] {
        let map = lab.create(MAPS, &config_map(name)).await;
        uids.push(map["metadata"]["uid"].as_str().unwrap().to_owned());
    }
    let (code, _) = lab
        .send_as("admin", Method::DELETE, MAPS, &Value::Null)
        .await;
    assert_eq!(code, 200);
    let mut audit_ids = HashSet::new();
    for (name, uid) in ["a", "b"].into_iter().zip(&uids) {
        let steps = all(&lab, "admin", &format!("uid={uid}")).await;
        let removed: Vec<&Value> = steps
            .iter()
            .filter(|step| step["what"] == "removed")
            .collect();
        assert_eq!(removed.len(), 1, "{name}: {steps:?}");
        assert_eq!(removed[0]["name"], name);
        audit_ids.insert(removed[0]["auditID"].as_str().unwrap().to_owned());
        let requests = steps.iter().filter(|step| step["what"] == "request");
        let verbs: Vec<&Value> = requests.map(|step| &step["details"]["verb"]).collect();
        assert_eq!(verbs, ["create", "deletecollection"]);
    }
    assert_eq!(audit_ids.len(), 1, "one request: {audit_ids:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_sees_steps_of_what_they_may_get() {
    let lab = Lab::start().await;
    let refused = lab.send_as("jane", Method::GET, STEPS, &Value::Null).await;
    assert_eq!(refused.0, 403);
    let rules = json!([
        {"nonResourceURLs": [STEPS], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"], "resourceNames": ["mine"]}]);
    let role = json!({"metadata": {"name": "reader"}, "rules": rules});
    lab.create(&format!("{RBAC}/clusterroles"), &role).await;
    let binding = json!({"metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}]});
    lab.create(&format!("{RBAC}/clusterrolebindings"), &binding)
        .await;
    let mut scheduler = grpc(&lab, "scheduler");
    let mut stream = readers(&mut scheduler).await.unwrap();
    assert_eq!(told(&mut stream).await, (false, 0));
    for name in ["mine", "theirs"] {
        let target = api::Target {
            version: "v1".into(),
            resource: "configmaps".into(),
            namespace: "default".into(),
            ..api::Target::default()
        };
        let create = api::CreateRequest {
            target: Some(target),
            json: config_map(name).to_string().into(),
            options: None,
        };
        let mut call = tonic::Request::new(create);
        let audit_id = format!("work-{name}.1").parse().unwrap();
        call.metadata_mut().insert("audit-id", audit_id);
        grpc(&lab, "admin").create(call).await.unwrap();
    }
    // What was done under a name is shown with what came of it.
    let work = ["work-mine", "work-theirs"].map(|name| Step {
        audit_id: name.into(),
        ..step("", "", "", "reconciled")
    });
    let watching = lab.watch(&format!("{STEPS}?watch=true")).await;
    assert_eq!(told(&mut stream).await, (true, 0));
    report(&mut scheduler, 0, work.to_vec()).await.unwrap();
    drop(watching);
    lab.until("the role holds", async || {
        lab.send_as("jane", Method::GET, STEPS, &Value::Null)
            .await
            .0
            == 200
    })
    .await;
    let steps = all(&lab, "jane", "").await;
    let other = |step: &&Value| !matches!(step["name"].as_str(), None | Some("mine"));
    assert_eq!(steps.iter().find(other), None);
    let work: Vec<&Value> = steps
        .iter()
        .filter(|step| step["process"] == "scheduler")
        .collect();
    assert_eq!(work.len(), 1, "{work:?}");
    assert_eq!(work[0]["auditID"], "work-mine");
    assert_eq!(steps[0]["details"]["protocol"], "gRPC");
    let everything = all(&lab, "admin", "").await;
    assert!(everything.iter().any(|step| step["name"] == "theirs"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_speaks_for_itself_alone() {
    let lab = Lab::start().await;
    common::service_account(&lab).await;
    for (name, node) in [("own", "n1"), ("other", "n2")] {
        let mut pod = pod(name);
        pod["spec"]["nodeName"] = node.into();
        lab.create(PODS, &pod).await;
    }
    for user in ["admin", "jane"] {
        let refused = readers(&mut grpc(&lab, user)).await.unwrap_err();
        assert_eq!(refused.code, 403, "{user}: {refused}");
    }
    let mut node = grpc(&lab, "node");
    // Who doesn't follow readers has nothing to report.
    assert_eq!(
        report(&mut node, 0, Vec::new()).await.unwrap_err().code,
        409
    );
    let mut stream = readers(&mut node).await.unwrap();
    assert_eq!(told(&mut stream).await, (false, 0));
    let mut reader = lab
        .watch(&format!("{STEPS}?watch=true&namespace=default"))
        .await;
    assert_eq!(told(&mut stream).await, (true, 0));
    let steps = vec![
        step("pods", "default", "other", "sandbox"),
        step("pods.", "default", "other", "sandbox"),
        step("pods", "default", "nobody", "sandbox"),
        step("pods", "default", "own", "sandbox"),
    ];
    report(&mut node, 0, steps.clone()).await.unwrap();
    // The same again is the same.
    report(&mut node, 0, steps).await.unwrap();
    report(
        &mut node,
        4,
        vec![step("pods", "default", "own", "started")],
    )
    .await
    .unwrap();
    let mut seen = Vec::new();
    loop {
        let line = reader.next().await.expect("it goes on");
        if line["process"] == "kubelet" {
            assert_eq!(
                (&line["host"], &line["name"]),
                (&json!("n1"), &json!("own"))
            );
            seen.push(line["what"].as_str().unwrap().to_owned());
            if line["what"] == "started" {
                break;
            }
        }
    }
    assert_eq!(seen, ["sandbox", "started"]);
    // Nobody reads any more; the next reader finds what is here.
    drop(reader);
    assert_eq!(told(&mut stream).await, (false, 5));
    let unread = vec![step("pods", "default", "own", "unread")];
    report(&mut node, 5, unread).await.unwrap();
    let again = lab.watch(&format!("{STEPS}?watch=true")).await;
    assert_eq!(told(&mut stream).await, (true, 5));
    drop(again);

    let mut long = step("pods", "default", "own", "x");
    long.name = "n".repeat(10_000);
    assert_eq!(
        report(&mut node, 5, vec![long]).await.unwrap_err().code,
        400
    );
    let many = vec![step("pods", "default", "own", "x"); 2000];
    assert_eq!(report(&mut node, 5, many).await.unwrap_err().code, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_slowly_is_told_what_is_missing_and_the_server_stops_all_the_same() {
    let mut lab = Lab::start().await;
    let mut node = grpc(&lab, "node");
    let _stream = readers(&mut node).await.unwrap();
    let mut reader = lab
        .watch(&format!("{STEPS}?watch=true&resource=nodes"))
        .await;
    let detail = |number: usize| StepDetail {
        name: number.to_string(),
        value: "x".repeat(500),
    };
    let large = Step {
        details: (0..16).map(detail).collect(),
        ..step("nodes", "", "n1", "large")
    };
    // Far more than the ring and the sockets take.
    const BATCHES: u64 = 30;
    for batch in 0..BATCHES {
        report(&mut node, batch * 250, vec![large.clone(); 250])
            .await
            .unwrap();
    }
    let (mut seen, mut lost) = (0, 0);
    while seen + lost < BATCHES * 250 {
        let line = reader.next().await.expect("it goes on");
        match line["type"].as_str() {
            Some("LOST") => lost += line["count"].as_u64().unwrap(),
            Some("STEP") => seen += 1,
            _ => {}
        }
    }
    assert!(lost > 0 && seen > 0, "{seen} seen, {lost} lost");
    // Another server, for the first one ends.
    lab.serve().await;
    while reader.next().await.is_some() {}
}
