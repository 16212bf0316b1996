//! What controllers do with objects that another API server keeps: namespaces that are deleted
//! are emptied of them, they own and are owned, and quotas count them.

use crate::common::{Lab, config_map, own_address};
use hardway_client::Client;
use hardway_controller_manager::context::{Context, Settings};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const GROUP: &str = "behind.example.com";

/// An apiserver with controllers, and another one behind it that serves `widgets`.
struct Pair {
    front: Lab,
    behind: Lab,
    controllers: tokio::task::JoinHandle<()>,
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.controllers.abort();
    }
}

fn widgets(namespace: &str) -> String {
    format!("/apis/{GROUP}/v1/namespaces/{namespace}/widgets")
}

fn maps(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps")
}

/// An object that is owned by others, or by nobody.
fn owned(name: &str, kind: &str, owners: &Value) -> Value {
    let (api_version, kind) = kind.rsplit_once('/').unwrap();
    json!({"apiVersion": api_version, "kind": kind,
        "metadata": {"name": name, "ownerReferences": owners}})
}

fn owner(object: &Value) -> Value {
    json!([{"apiVersion": object["apiVersion"], "kind": object["kind"],
        "name": object["metadata"]["name"], "uid": object["metadata"]["uid"]}])
}

const WIDGET: &str = "behind.example.com/v1/Widget";
const MAP: &str = "v1/ConfigMap";

impl Pair {
    async fn start() -> Self {
        let mut behind = Lab::without_server(|_| Vec::new()).await;
        // To itself, by addresses that only it has, an apiserver passes nothing on.
        behind.bind = own_address();
        behind.serve().await;
        let file = |name: &str| behind.dir.path().join(name).display().to_string();
        let proxy = vec![
            format!("--proxy-client-cert-file={}", file("admin.crt")),
            format!("--proxy-client-key-file={}", file("admin.key")),
        ];
        let front = Lab::start_with(|_| proxy).await;
        let definition = json!({"metadata": {"name": format!("widgets.{GROUP}")}, "spec": {
            "group": GROUP, "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {
                "openAPIV3Schema": {"type": "object"}}}]}});
        let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        behind.create(definitions, &definition).await;
        for namespace in ["shop", "going"] {
            let namespace = json!({"metadata": {"name": namespace}});
            front.create("/api/v1/namespaces", &namespace).await;
            behind.create("/api/v1/namespaces", &namespace).await;
        }
        let service = json!({"metadata": {"name": "behind"},
            "spec": {"ports": [{"name": "https", "port": 443}]}});
        front
            .create("/api/v1/namespaces/default/services", &service)
            .await;
        let api_service = json!({"metadata": {"name": format!("v1.{GROUP}")}, "spec": {
            "group": GROUP, "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 10,
            "insecureSkipTLSVerify": true,
            "service": {"namespace": "default", "name": "behind"}}});
        front
            .create("/apis/apiregistration.k8s.io/v1/apiservices", &api_service)
            .await;
        let settings = Settings {
            node_monitor_grace_period: Duration::from_secs(40),
            ..Settings::default()
        };
        let context = Context {
            client: Client::new(&front.kubeconfig(), "controllers").unwrap(),
            settings: Arc::new(settings),
        };
        let controllers = tokio::spawn(hardway_controller_manager::run(context));
        let pair = Self {
            front,
            behind,
            controllers,
        };
        pair.connect().await;
        pair
    }

    /// The other server can be found from now on.
    async fn connect(&self) {
        let address = self.behind.address;
        let slice = json!({"addressType": "IPv4",
            "metadata": {"name": "behind-1", "labels": {"kubernetes.io/service-name": "behind"}},
            "ports": [{"name": "https", "port": address.port()}],
            "endpoints": [{"addresses": [address.ip().to_string()], "conditions": {"ready": true}}]});
        let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
        self.front.create(slices, &slice).await;
        self.wait_for(200).await;
    }

    /// It can't any more.
    async fn disconnect(&self) {
        let slice = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/behind-1";
        assert_eq!(self.front.delete(slice, &Value::Null).await.0, 200);
        self.wait_for(503).await;
    }

    async fn wait_for(&self, code: u16) {
        let answers = async || self.front.get(&widgets("shop")).await.0 == code;
        let what = format!("the other server's objects are answered with {code}");
        self.front.until(&what, answers).await;
    }

    async fn wait_gone(&self, path: &str) {
        let gone = async || self.front.get(path).await.0 == 404;
        self.front.until(&format!("{path} is gone"), gone).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn controllers_see_objects_of_other_servers() {
    let pair = Pair::start().await;
    let front = &pair.front;
    let (things, shop) = (widgets("shop"), maps("shop"));

    // Quotas count them.
    let quotas = "/api/v1/namespaces/shop/resourcequotas";
    let counted = format!("count/widgets.{GROUP}");
    let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": {&counted: "5"}}});
    front.create(quotas, &quota).await;
    let uses = async |expected: &str| {
        let shown = async || {
            let (_, quota) = front.get(&format!("{quotas}/q")).await;
            quota["status"]["used"][&counted] == expected
        };
        front.until(&format!("{expected} are counted"), shown).await;
    };
    uses("0").await;
    let none = json!([]);
    let widget = front.create(&things, &owned("owner", WIDGET, &none)).await;
    uses("1").await;

    // They own what is here, and are owned by it.
    front
        .create(&shop, &owned("of-widget", MAP, &owner(&widget)))
        .await;
    let map = front.create(&shop, &owned("owner", MAP, &none)).await;
    front
        .create(&things, &owned("of-map", WIDGET, &owner(&map)))
        .await;
    uses("2").await;
    for (one, dependent) in [
        (&things, format!("{shop}/of-widget")),
        (&shop, format!("{things}/of-map")),
    ] {
        assert_eq!(front.get(&dependent).await.0, 200);
        let options = json!({"propagationPolicy": "Background"});
        let (code, _) = front.delete(&format!("{one}/owner"), &options).await;
        assert_eq!(code, 200);
        pair.wait_gone(&dependent).await;
    }
    uses("0").await;

    // A namespace is emptied of them.
    front.create(&things, &owned("left", WIDGET, &none)).await;
    let namespace = "/api/v1/namespaces/shop";
    assert_eq!(front.delete(namespace, &Value::Null).await.0, 200);
    pair.wait_gone(namespace).await;
    let (_, left) = pair.behind.get(&things).await;
    assert_eq!(left["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_is_named_and_holds_up_nothing_else() {
    let pair = Pair::start().await;
    let front = &pair.front;
    let none = json!([]);
    front
        .create(&widgets("going"), &owned("kept", WIDGET, &none))
        .await;
    front.create(&maps("going"), &config_map("kept")).await;
    let map = front
        .create(&maps("shop"), &owned("owner", MAP, &none))
        .await;
    front
        .create(&maps("shop"), &owned("owned", MAP, &owner(&map)))
        .await;
    pair.disconnect().await;

    // The namespace is emptied of all else, and says whom it waits for.
    let namespace = "/api/v1/namespaces/going";
    assert_eq!(front.delete(namespace, &Value::Null).await.0, 200);
    let failure = async || {
        let (_, namespace) = front.get(namespace).await;
        let conditions = namespace["status"]["conditions"].as_array().cloned();
        let mut conditions = conditions.unwrap_or_default().into_iter();
        let of =
            |c: &Value| c["type"] == "NamespaceDeletionDiscoveryFailure" && c["status"] == "True";
        conditions.find(of)
    };
    front
        .until("the namespace says so", async || failure().await.is_some())
        .await;
    let failure = failure().await.unwrap();
    assert_eq!(failure["reason"], "DiscoveryFailed");
    assert_eq!(
        failure["message"],
        "Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs: behind.example.com/v1: stale GroupVersion discovery: behind.example.com/v1"
    );
    pair.wait_gone(&format!("{}/kept", maps("going"))).await;

    // Others are collected and counted meanwhile.
    assert_eq!(
        front
            .delete(&format!("{}/owner", maps("shop")), &Value::Null)
            .await
            .0,
        200
    );
    pair.wait_gone(&format!("{}/owned", maps("shop"))).await;
    let quotas = "/api/v1/namespaces/shop/resourcequotas";
    let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": {"count/configmaps": "9"}}});
    front.create(quotas, &quota).await;
    let counts = async || {
        let (_, quota) = front.get(&format!("{quotas}/q")).await;
        quota["status"]["used"]["count/configmaps"] == "0"
    };
    front.until("quotas count", counts).await;

    // Nothing of the other server's is lost, and the namespace goes when that is back.
    assert_eq!(front.get(namespace).await.0, 200);
    let kept = format!("{}/kept", widgets("going"));
    assert_eq!(pair.behind.get(&kept).await.0, 200);
    pair.connect().await;
    pair.wait_gone(namespace).await;
    assert_eq!(pair.behind.get(&kept).await.0, 404);
}
