//! Three members of etcd, of which some hang, die and come back, and two apiservers.

use crate::common::{Lab, MAPS, config_map};
use futures_util::StreamExt;
use hardway_client::channel::{self, Server};
use hardway_client::{Client, WatchParams};
use hardway_proto::api::api_client::ApiClient;
use hardway_proto::api::{GetRequest, Target};
use http::Method;
use serde_json::{Value, json};
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// For how long nothing may go while a member is left. It is less than one where the machine has
/// nothing else to do.
const GAP: Duration = Duration::from_secs(3);

async fn written(lab: &Lab, name: &str) -> bool {
    matches!(lab.post(MAPS, &config_map(name)).await.0, 201 | 409)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_hangs_is_left_by_reads_writes_and_the_watch() {
    let (lab, cluster) = Lab::on_three().await;
    assert_eq!(lab.post(MAPS, &config_map("first")).await.0, 201);
    let client = Client::new(&lab.kubeconfig(), "test").unwrap();
    let maps = client.dynamic("", "v1", "configmaps", "default");
    let list = maps.list("", "").await.unwrap();
    let params = WatchParams {
        resource_version: list.resource_version.to_string(),
        ..Default::default()
    };
    let mut watch = pin!(maps.watch(&params).await.unwrap());

    cluster.hang(0);
    let begun = Instant::now();
    let (code, _) = lab.get(&format!("{MAPS}/first")).await;
    let read = begun.elapsed();
    assert_eq!(code, 200, "a read waits, and does not fail");
    let wrote = lab
        .how_long("a write", async || written(&lab, "second").await)
        .await;
    let begun = Instant::now();
    loop {
        let event = timeout(GAP, watch.next()).await.expect("the watch goes on");
        let event = event.unwrap().unwrap();
        if event.object.is_some_and(|object| object.name == "second") {
            break;
        }
    }
    println!(
        "read {read:?}, write {wrote:?}, watch {:?}",
        begun.elapsed()
    );
    assert!(read < GAP && wrote < GAP, "{read:?} {wrote:?}");
    cluster.go_on(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_member_after_the_other_may_be_killed_and_nothing_acknowledged_is_lost() {
    let (lab, mut cluster) = Lab::on_three().await;
    let mut acknowledged = Vec::new();
    for turn in 0..3 {
        for number in 0..20 {
            let name = format!("map-{turn}-{number}");
            if number == 10 {
                cluster.kill(turn);
            }
            let (code, _) = lab.post(MAPS, &config_map(&name)).await;
            match code {
                201 => acknowledged.push(name),
                // It may have been done.
                500 => {}
                other => panic!("{other}"),
            }
        }
        cluster.restart(turn);
        let path = "/readyz";
        lab.until("it is ready", async || lab.try_get(path).await == Some(200))
            .await;
        lab.until("a write", async || {
            written(&lab, &format!("after-{turn}")).await
        })
        .await;
        // The next one is killed when this one can stand in for it.
        lab.until("the restarted member has caught up", async || {
            cluster.has_caught_up(&lab, turn).await
        })
        .await;
    }
    assert!(acknowledged.len() > 50, "{}", acknowledged.len());
    let (_, list) = lab.get(MAPS).await;
    let there = list["items"].as_array().unwrap().iter();
    let there: Vec<&str> = there
        .filter_map(|map| map["metadata"]["name"].as_str())
        .collect();
    for name in acknowledged {
        assert!(there.contains(&name.as_str()), "{name} is lost");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_quorum_what_is_cached_is_served_and_all_else_is_told_until_it_is_back() {
    let (lab, cluster) = Lab::on_three().await;
    assert_eq!(lab.post(MAPS, &config_map("first")).await.0, 201);
    let old = format!("{MAPS}/first?resourceVersion=0");
    lab.until("it is cached", async || {
        lab.try_get(&old).await == Some(200)
    })
    .await;
    let client = Client::new(&lab.kubeconfig(), "test").unwrap();
    let maps = client.dynamic("", "v1", "configmaps", "default");
    let list = maps.list("", "").await.unwrap();
    let params = WatchParams {
        resource_version: list.resource_version.to_string(),
        ..Default::default()
    };
    let mut watch = pin!(maps.watch(&params).await.unwrap());

    cluster.hang(1);
    cluster.hang(2);
    let begun = Instant::now();
    let (code, status) = lab.post(MAPS, &config_map("second")).await;
    assert!(matches!(code, 500 | 503 | 504), "{status}");
    assert!(
        begun.elapsed() < Duration::from_secs(34),
        "a write has so long"
    );
    let (code, status) = lab.get(&format!("{MAPS}/first")).await;
    assert!(matches!(code, 500 | 503 | 504), "{status}");
    assert_eq!(status["kind"], "Status");
    assert_eq!(lab.get(&old).await.0, 200);
    assert_eq!(lab.get(&format!("{MAPS}?resourceVersion=0")).await.0, 200);
    let (code, report) = lab.get("/readyz?verbose").await;
    assert_eq!(code, 500);
    assert!(report.to_string().contains("[-]etcd failed"), "{report}");
    assert_eq!(lab.try_get("/livez").await, Some(200));
    let quiet = timeout(Duration::from_millis(500), watch.next()).await;
    assert!(
        quiet.is_err(),
        "the watch stays open and says nothing: {quiet:?}"
    );

    cluster.go_on(1);
    cluster.go_on(2);
    lab.until("a write", async || written(&lab, "third").await)
        .await;
    lab.until("it is ready", async || {
        lab.try_get("/readyz").await == Some(200)
    })
    .await;
    let heard = timeout(Duration::from_secs(10), async {
        while let Some(event) = watch.next().await {
            if event
                .unwrap()
                .object
                .is_some_and(|object| object.name == "third")
            {
                return true;
            }
        }
        false
    });
    assert!(heard.await.unwrap_or(false), "the watch goes on");
}

/// Two apiservers, each with a member of its own.
async fn two() -> (Lab, crate::common::cluster::Cluster, [Client; 2]) {
    let (mut lab, cluster) = Lab::on_three().await;
    let first = Client::new(&lab.kubeconfig(), "first").unwrap();
    lab.etcd_url = Some(cluster.urls(1));
    lab.serve_another().await;
    let second = Client::new(&lab.kubeconfig(), "second").unwrap();
    (lab, cluster, [first, second])
}

fn service(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"type": "NodePort", "ports": [{"port": 80}]}})
}

#[tokio::test(flavor = "multi_thread")]
async fn two_apiservers_never_give_out_an_address_or_a_port_twice() {
    let (_lab, _cluster, clients) = two().await;
    let mut creating = Vec::new();
    for number in 0..60 {
        let services = clients[number % 2].dynamic("", "v1", "services", "default");
        creating.push(tokio::spawn(async move {
            let body = service(&format!("s-{number}")).to_string().into_bytes();
            services.create("", "", body).await.unwrap()
        }));
    }
    let (mut addresses, mut ports) = (Vec::new(), Vec::new());
    for created in creating {
        let created: Value = serde_json::from_slice(&created.await.unwrap().json).unwrap();
        addresses.push(created["spec"]["clusterIP"].as_str().unwrap().to_owned());
        ports.push(created["spec"]["ports"][0]["nodePort"].as_u64().unwrap());
    }
    addresses.sort();
    addresses.dedup();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!((addresses.len(), ports.len()), (60, 60));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_holds_for_both_together() {
    let (_lab, _cluster, clients) = two().await;
    let quotas = clients[0].dynamic("", "v1", "resourcequotas", "default");
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"},
        "spec": {"hard": {"count/configmaps": "10"}},
        "status": {"hard": {"count/configmaps": "10"}, "used": {"count/configmaps": "0"}}});
    quotas
        .create("", "", quota.to_string().into_bytes())
        .await
        .unwrap();
    quotas
        .update("q", "status", quota.to_string().into_bytes())
        .await
        .unwrap();
    let mut creating = Vec::new();
    for number in 0..40 {
        let maps = clients[number % 2].dynamic("", "v1", "configmaps", "default");
        creating.push(tokio::spawn(async move {
            let body = config_map(&format!("m-{number}")).to_string().into_bytes();
            maps.create("", "", body).await
        }));
    }
    let mut created = 0;
    for outcome in creating {
        match outcome.await.unwrap() {
            Ok(_) => created += 1,
            Err(status) => assert!(matches!(status.code, 403 | 409), "{status}"),
        }
    }
    assert!((1..=10).contains(&created), "{created}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_to_the_other_one_never_sees_time_go_back() {
    let (mut lab, cluster, clients) = two().await;
    let maps = clients
        .each_ref()
        .map(|c| c.dynamic("", "v1", "configmaps", "default"));
    let body = |name: &str| config_map(name).to_string().into_bytes();
    for number in 0..50 {
        let name = format!("m-{number}");
        let created = maps[number % 2].create("", "", body(&name)).await.unwrap();
        let other = &maps[(number + 1) % 2];
        assert_eq!(
            other.get(&name).await.unwrap().resource_version,
            created.resource_version
        );
        let list = other.list("", "").await.unwrap();
        assert!(list.resource_version >= created.resource_version);
        assert_eq!(list.items.len(), number + 1);
    }
    // What one of them has not got to yet is waited for, and then told.
    let path = format!("{MAPS}?resourceVersion=1000000&resourceVersionMatch=NotOlderThan");
    let begun = Instant::now();
    let (code, status) = lab.send(Method::GET, &path, "", "").await;
    assert!(begun.elapsed() >= Duration::from_secs(2));
    assert_eq!(
        (code, &status["reason"]),
        (504, &json!("Timeout")),
        "{status}"
    );
    assert_eq!(
        status["details"]["causes"][0]["reason"],
        "ResourceVersionTooLarge"
    );
    // A permission that is given through one of them is one for the other, and so is a kind.
    lab.address = address_of(&clients[0]);
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let binding = json!({
        "metadata": {"name": "jane"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}],
    });
    lab.create(&format!("{rbac}/clusterrolebindings"), &binding)
        .await;
    lab.address = address_of(&clients[1]);
    let (code, status) = lab.send_as("jane", Method::GET, MAPS, &Value::Null).await;
    assert_eq!(code, 200, "{status}");
    lab.address = address_of(&clients[0]);
    let definition = json!({
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object"}},
            }],
        },
    });
    lab.create(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        &definition,
    )
    .await;
    let widgets = "/apis/example.com/v1/namespaces/default/widgets";
    lab.until("widgets are served", async || {
        lab.try_get(widgets).await == Some(200)
    })
    .await;
    lab.address = address_of(&clients[1]);
    let (code, status) = lab.get(widgets).await;
    assert_eq!(code, 200, "{status}");
    drop(cluster);
}

/// Where the apiserver of a client is.
fn address_of(client: &Client) -> std::net::SocketAddr {
    let server = client.servers().unwrap().all().remove(0);
    server.to_string().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_learned_is_no_apiserver_if_its_certificate_is_for_its_address_alone() {
    let mut lab = Lab::start().await;
    let (config, first) = (lab.kubeconfig(), lab.address);
    lab.serve_another().await;
    let servers = channel::servers(&config).unwrap();
    // As a node's kubelet might be, which has a certificate of the CA for 127.0.0.1, too.
    let mut learned = Server::of_url(&format!("https://{}", lab.address)).unwrap();
    "kubernetes.default.svc".clone_into(&mut learned.name);
    servers.set_listed(vec![learned]);
    let connection = channel::connect_to(servers, &config).unwrap();
    let target = Target {
        version: "v1".into(),
        resource: "namespaces".into(),
        name: "default".into(),
        ..Default::default()
    };
    let request = GetRequest {
        target: Some(target),
        ..Default::default()
    };
    ApiClient::new(connection.clone())
        .get(request)
        .await
        .unwrap();
    assert_eq!(connection.server().unwrap().port, first.port());
}
