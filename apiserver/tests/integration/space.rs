//! etcd runs out of space: growth is refused first, deletions never, and what can be won back is.

use crate::common::{Lab, MAPS, config_map};
use serde_json::{Value, json};

/// Bytes; so small that it fills in a moment.
const QUOTA: usize = 16 << 20;

/// An apiserver on an etcd whose file may not be larger.
async fn with_quota(bytes: usize) -> Lab {
    let quota = vec![format!("--quota-backend-bytes={bytes}")];
    let mut lab = Lab::on_etcd_with(quota, |_| Vec::new()).await;
    lab.serve().await;
    let is_known = async || {
        let metrics = text(&lab, "/metrics").await;
        metrics.contains("apiserver_storage_quota_bytes{")
    };
    lab.until("etcd has said how much room it has", is_known)
        .await;
    lab
}

fn large(name: &str) -> Value {
    let mut map = config_map(name);
    map["data"]["a"] = "x".repeat(10_000).into();
    map
}

async fn text(lab: &Lab, path: &str) -> String {
    let (_, answer) = lab.get(path).await;
    answer.as_str().unwrap().to_owned()
}

/// Creates objects until that is refused; their names, and how.
async fn fill(lab: &Lab) -> (Vec<String>, u16, Value) {
    let mut names = Vec::new();
    loop {
        let name = format!("large-{}", names.len());
        match lab.post(MAPS, &large(&name)).await {
            (201, _) => names.push(name),
            (code, answer) => return (names, code, answer),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn growth_is_refused_first_and_deletions_last() {
    let lab = with_quota(QUOTA).await;
    lab.post(MAPS, &config_map("small")).await;
    let (names, code, answer) = fill(&lab).await;
    assert!(names.len() > 500, "{} fit", names.len());
    assert_eq!(
        (code, &answer["reason"]),
        (507, &json!("InsufficientStorage"))
    );
    let message = answer["message"].as_str().unwrap();
    assert!(message.starts_with("etcdserver: mvcc: database space exceeded ("));
    // etcd itself would have taken more.
    let mut etcd = lab.etcd_client().await;
    let raised = etcd.alarm(
        etcd_client::AlarmAction::Get,
        etcd_client::AlarmType::Nospace,
        None,
    );
    assert!(raised.await.unwrap().alarms().is_empty());

    // Nothing new, and nothing much larger.
    assert_eq!(lab.post(MAPS, &config_map("another")).await.0, 507);
    let small = format!("{MAPS}/small");
    assert_eq!(lab.put(&small, &large("small")).await.0, 507);
    // What is there may change.
    let mut other = config_map("small");
    other["data"]["a"] = "2".into();
    assert_eq!(lab.put(&small, &other).await.0, 200);
    // Who says that it lives goes on.
    let lease = json!({"metadata": {"name": "n"}, "spec": {"holderIdentity": "n"}});
    let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    assert_eq!(lab.post(leases, &lease).await.0, 201);
    // What is to go may be marked so, and may go.
    let mut held = config_map("small");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    assert_eq!(lab.put(&small, &held).await.0, 200);
    assert_eq!(lab.delete(&small, &Value::Null).await.0, 200);
    let (_, leaving) = lab.get(&small).await;
    assert!(leaving["metadata"]["deletionTimestamp"].is_string());
    held["metadata"]["finalizers"] = json!([]);
    assert_eq!(lab.put(&small, &held).await.0, 200);
    assert_eq!(lab.try_get(&small).await, Some(404));

    // It is told.
    let ready = text(&lab, "/readyz?verbose").await;
    assert!(ready.contains("[!]etcd's space: "), "{ready}");
    assert!(ready.ends_with("readyz check passed\n"), "{ready}");
    let metrics = text(&lab, "/metrics").await;
    for metric in [
        "apiserver_storage_size_bytes{storage_cluster_id=\"etcd-0\"} ",
        "apiserver_storage_quota_bytes{storage_cluster_id=\"etcd-0\"} 16777216\n",
        "apiserver_storage_refused_total ",
    ] {
        assert!(metrics.contains(metric), "{metric}");
    }
    let told = async || {
        let (_, events) = lab.get("/api/v1/namespaces/default/events").await;
        let mut events = events["items"].as_array().unwrap().iter();
        events.any(|event| event["reason"].as_str().unwrap().starts_with("Storage"))
    };
    lab.until("an event tells of it", told).await;

    // Once much is gone, and its history, the file is made smaller without anybody's doing.
    for name in &names {
        assert_eq!(
            lab.delete(&format!("{MAPS}/{name}"), &Value::Null).await.0,
            200
        );
    }
    lab.compact().await;
    let has_room = async || lab.post(MAPS, &large("again")).await.0 != 507;
    lab.until("there is room again", has_room).await;
    let is_small = async || {
        let status = lab.etcd_client().await.status().await;
        status.unwrap().db_size() < QUOTA as i64 / 2
    };
    lab.until("the file is small", is_small).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etcd_that_others_have_filled_recovers_by_itself() {
    let lab = with_quota(QUOTA).await;
    lab.post(MAPS, &config_map("small")).await;
    let mut etcd = lab.etcd_client().await;
    let refused = loop {
        if let Err(error) = etcd.put("/other", vec![b'x'; 300_000], None).await {
            break error.to_string();
        }
    };
    assert!(refused.contains("database space exceeded"), "{refused}");
    // etcd takes deletions still, and so does the apiserver.
    assert_eq!(
        lab.delete(&format!("{MAPS}/small"), &Value::Null).await.0,
        200
    );
    let is_written = async || lab.post(MAPS, &config_map("small")).await.0 == 201;
    lab.until("the alarm is taken back", is_written).await;
    assert!(etcd.put("/other", "x", None).await.is_ok());
}
