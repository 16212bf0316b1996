use super::*;
use crate::context::Settings;
use hardway_client::fake::Fake;
use hardway_client::task;
use hardway_proto::api::ResourceInfo;
use serde_json::json;

fn replica_sets() -> ResourceInfo {
    ResourceInfo {
        group: "apps".into(),
        version: "v1".into(),
        resource: "replicasets".into(),
        kind: "ReplicaSet".into(),
        namespaced: true,
        verbs: ["list", "watch"].map(str::to_owned).to_vec(),
        ..ResourceInfo::default()
    }
}

fn pod(namespace: &str, name: &str, cpu: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": namespace}, "spec": {"containers": [
        {"name": "c", "resources": {"requests": {"cpu": cpu}}}]}})
}

#[tokio::test]
async fn status_follows_what_is_used() {
    let (fake, client) = Fake::start(vec![replica_sets()]);
    let hard = json!({"pods": "5", "requests.cpu": "2", "memory": "1Gi", "services": "1",
        "count/replicasets.apps": "3", "count/unknown.example.com": "1"});
    let quota = json!({"metadata": {"name": "q", "namespace": "shop"}, "spec": {"hard": hard}});
    fake.create("", "resourcequotas", quota);
    let context = Context {
        client: client.clone(),
        settings: Arc::new(Settings::default()),
    };
    let mut informers = Informers::new(&client);
    let work = register(&mut informers, &context);
    let mut tasks = task::Group::default();
    informers.start(&mut tasks);
    let work = tokio::spawn(work);
    let shows = async |used: Value| {
        fake.wait_until("the status shows what is used", |fake| {
            let quotas = fake.objects("", "resourcequotas");
            quotas[0]["status"] == json!({"hard": hard, "used": used})
        })
        .await;
    };
    shows(
        json!({"pods": "0", "requests.cpu": "0", "memory": "0", "services": "0",
        "count/replicasets.apps": "0"}),
    )
    .await;
    fake.create("", "pods", pod("shop", "a", "100m"));
    fake.create("", "pods", pod("shop", "b", "900m"));
    fake.create("", "pods", pod("other", "c", "1"));
    let set = json!({"metadata": {"name": "web", "namespace": "shop"}});
    fake.create("apps", "replicasets", set);
    shows(
        json!({"pods": "2", "requests.cpu": "1", "memory": "0", "services": "0",
        "count/replicasets.apps": "1"}),
    )
    .await;
    fake.delete("", "pods", "shop", "b", "Background");
    fake.delete("apps", "replicasets", "shop", "web", "Background");
    shows(
        json!({"pods": "1", "requests.cpu": "100m", "memory": "0", "services": "0",
        "count/replicasets.apps": "0"}),
    )
    .await;
    let mut stuck = pod("shop", "stuck", "200m");
    // Given up two seconds from now, though nothing else happens.
    stuck["metadata"]["deletionTimestamp"] = json!((Timestamp::now()).to_string());
    stuck["metadata"]["deletionGracePeriodSeconds"] = json!(2);
    fake.create("", "pods", stuck);
    let with = |pods: &str, cpu: &str| {
        json!({"pods": pods, "requests.cpu": cpu, "memory": "0", "services": "0",
        "count/replicasets.apps": "0"})
    };
    shows(with("2", "300m")).await;
    shows(with("1", "100m")).await;
    work.abort();
}

#[tokio::test]
async fn what_no_quota_names_any_more_is_not_watched() {
    let (fake, client) = Fake::start(vec![replica_sets()]);
    let quota = |name: &str, hard: Value| json!({"metadata": {"name": name, "namespace": "shop"}, "spec": {"hard": hard}});
    let counted = json!({"count/replicasets.apps": "3"});
    let context = Context {
        client: client.clone(),
        settings: Arc::new(Settings::default()),
    };
    let mut informers = Informers::new(&client);
    let work = register(&mut informers, &context);
    let mut tasks = task::Group::default();
    informers.start(&mut tasks);
    let work = tokio::spawn(work);
    let watches = |fake: &Fake| fake.calls("watch replicasets");
    for round in 1..=2 {
        fake.create("", "resourcequotas", quota("q", counted.clone()));
        // The second quota is watched for anew: nobody had kept the watch of the first.
        fake.wait_until("replica sets are watched", |fake| watches(fake) == round)
            .await;
        fake.delete("", "resourcequotas", "shop", "q", "Background");
        // One that is looked at after the other is gone.
        let name = format!("after-{round}");
        fake.create("", "resourcequotas", quota(&name, json!({"pods": "1"})));
        fake.wait_until("another is looked at", |fake| {
            let quotas = fake.objects("", "resourcequotas");
            let shown =
                |q: &Value| q["metadata"]["name"] == name.as_str() && q["status"] != Value::Null;
            quotas.iter().any(shown)
        })
        .await;
    }
    work.abort();
}
