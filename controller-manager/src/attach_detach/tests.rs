//! A volume goes to a node and on to another, with a driver and kubelets that the test plays.

use super::*;
use crate::context::Settings;
use hardway_client::api::Patch;
use hardway_client::fake::Fake;
use hardway_client::{Client, task};
use k8s_openapi::api::storage::v1::VolumeAttachment;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const STORAGE: &str = "storage.k8s.io";
const UNIQUE: &str = "kubernetes.io/csi/x.io^handle-v";

struct Cluster {
    fake: Fake,
    client: Client,
}

impl Cluster {
    fn new() -> Self {
        let (fake, client) = Fake::start(Vec::new());
        for name in ["a", "b"] {
            fake.create("", "nodes", object(&testing::node(name, json!({}))));
        }
        let spec = json!({"accessModes": ["ReadWriteOnce"]});
        let volume = testing::volume("v", spec);
        fake.create("", "persistentvolumes", object(&volume));
        fake.create("", "persistentvolumeclaims", object(&testing::claim("v")));
        Self { fake, client }
    }

    /// Starts the controller, as after a restart; it ends with what this answers.
    fn controller(&self) -> task::Group {
        self.remembering().1
    }

    /// The same, with what it remembers.
    fn remembering(&self) -> (Arc<Mutex<Memory>>, task::Group) {
        let context = Context {
            client: self.client.clone(),
            settings: Arc::new(Settings::default()),
        };
        let mut informers = Informers::new(&self.client);
        let (memory, work) = prepare(&mut informers, &context);
        let mut tasks = task::Group::default();
        tasks.add(tokio::spawn(work));
        informers.start(&mut tasks);
        (memory, tasks)
    }

    fn pod(&self, name: &str, node: &str) {
        let pod = testing::pod(name, node, json!({}));
        self.fake.create("", "pods", object(&pod));
    }

    /// The driver's external-attacher, and what it says.
    async fn attacher(&self, node: &str, status: Value) {
        let name = attachment::name("handle-v", "x.io", node);
        let api = self.client.all::<VolumeAttachment>();
        let patch = json!({ "status": status });
        let patched = api.patch_status(&name, Patch::Merge(&patch)).await;
        patched.expect("the attachment is there");
    }

    /// The kubelet, and what it says it uses.
    async fn kubelet(&self, node: &str, uses: &[&str]) {
        let patch = json!({"status": {"volumesInUse": uses}});
        let api = self.client.all::<Node>();
        let patched = api.patch_status(node, Patch::Merge(&patch)).await;
        patched.expect("the node is there");
    }

    async fn attached_to(&self, nodes: &[&str]) {
        let what = format!("there are attachments to {nodes:?}");
        let so = |fake: &Fake| {
            let all = fake.objects(STORAGE, "volumeattachments");
            let mut there: Vec<_> = all.iter().map(|a| a["spec"]["nodeName"].clone()).collect();
            there.sort_by_key(Value::to_string);
            there == nodes
        };
        self.fake.wait_until(&what, so).await;
    }

    async fn told(&self, node: &str, volumes: &[&str]) {
        let what = format!("{node} is told of {volumes:?}");
        let so = |fake: &Fake| {
            let nodes = fake.objects("", "nodes");
            let node = nodes.iter().find(|n| n["metadata"]["name"] == node);
            let told = node.and_then(|n| n["status"]["volumesAttached"].as_array().cloned());
            let told = told.unwrap_or_default();
            told.iter().map(|volume| &volume["name"]).eq(volumes)
        };
        self.fake.wait_until(&what, so).await;
    }

    /// Waits until nothing is remembered.
    async fn forgotten(&self, memory: &Mutex<Memory>) {
        let work = async {
            while !memory.lock().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(120), work).await;
        waited.expect("what is over is forgotten");
    }

    async fn event(&self, reason: &str, text: &str) {
        let what = format!("an event {reason} with {text:?}");
        let so = |fake: &Fake| {
            let events = fake.objects("", "events");
            events.iter().any(|event| {
                let message = event["message"].as_str().unwrap_or_default();
                event["reason"] == reason && message.contains(text)
            })
        };
        self.fake.wait_until(&what, so).await;
    }
}

fn object<K: Kind>(object: &K) -> Value {
    serde_json::from_slice(&object.encode()).expect("an object")
}

#[tokio::test]
async fn a_volume_follows_its_pods_and_leaves_no_node_that_uses_it() {
    let cluster = Cluster::new();
    let controller = cluster.controller();
    cluster.pod("p", "a");
    cluster.attached_to(&["a"]).await;
    let error = json!({"attached": false, "attachError": {"message": "no such disk"}});
    cluster.attacher("a", error).await;
    let why = "AttachVolume.Attach failed for volume \"v\" : no such disk";
    cluster.event("FailedAttachVolume", why).await;
    let done = || json!({"attached": true, "attachError": null});
    cluster.attacher("a", done()).await;
    cluster.told("a", &[UNIQUE]).await;
    let why = "AttachVolume.Attach succeeded for volume \"v\"";
    cluster.event("SuccessfulAttachVolume", why).await;
    cluster.kubelet("a", &[UNIQUE]).await;

    // Another pod elsewhere has to wait, and whoever controls may change meanwhile.
    cluster.pod("q", "b");
    let why = "Volume is already used by pod(s) p";
    cluster.event("FailedAttachVolume", why).await;
    drop(controller);
    cluster.fake.delete("", "pods", "n", "p", "Background");
    let _controller = cluster.controller();
    let why = "Volume is already exclusively attached to one node";
    cluster.event("FailedAttachVolume", why).await;
    cluster.told("a", &[UNIQUE]).await;
    cluster.attached_to(&["a"]).await;

    cluster.kubelet("a", &[]).await;
    cluster.told("a", &[]).await;
    cluster.attached_to(&["b"]).await;
    cluster.attacher("b", done()).await;
    cluster.told("b", &[UNIQUE]).await;
}

#[tokio::test]
async fn a_driver_that_attaches_nothing_gets_no_attachments() {
    let cluster = Cluster::new();
    let driver = json!({"metadata": {"name": "x.io"}, "spec": {"attachRequired": false}});
    cluster.fake.create(STORAGE, "csidrivers", driver);
    let _controller = cluster.controller();
    cluster.pod("p", "a");
    // Of a driver that says nothing, volumes are attached: that one is the last to come.
    let mut volume = object(&testing::volume("w", json!({})));
    volume["spec"]["csi"]["driver"] = json!("y.io");
    volume["spec"]["claimRef"]["name"] = json!("other");
    let mut claim = object(&testing::claim("w"));
    claim["metadata"]["name"] = json!("other");
    let mut pod = object(&testing::pod("q", "b", json!({})));
    pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = json!("other");
    cluster.fake.create("", "persistentvolumes", volume);
    cluster.fake.create("", "persistentvolumeclaims", claim);
    cluster.fake.create("", "pods", pod);
    cluster.attached_to(&["b"]).await;
}

#[tokio::test]
async fn what_is_over_is_forgotten() {
    let cluster = Cluster::new();
    let (memory, _controller) = cluster.remembering();
    cluster.pod("p", "a");
    cluster.attached_to(&["a"]).await;
    cluster.attacher("a", json!({"attached": true})).await;
    cluster.told("a", &[UNIQUE]).await;
    cluster.event("SuccessfulAttachVolume", "\"v\"").await;
    cluster.forgotten(&memory).await;
    cluster.kubelet("a", &[UNIQUE]).await;
    cluster.fake.delete("", "pods", "n", "p", "Background");
    cluster.kubelet("a", &[]).await;
    cluster.attached_to(&[]).await;
    cluster.forgotten(&memory).await;
}

#[tokio::test]
async fn a_volume_waits_for_anothers_attachment_of_its_name() {
    let cluster = Cluster::new();
    // The same disk under another name, for another claim.
    let mut volume = object(&testing::volume("w", json!({})));
    volume["spec"]["csi"]["volumeHandle"] = json!("handle-v");
    volume["spec"]["claimRef"]["name"] = json!("other");
    let mut claim = object(&testing::claim("w"));
    claim["metadata"]["name"] = json!("other");
    let mut pod = object(&testing::pod("q", "a", json!({})));
    pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = json!("other");
    cluster.fake.create("", "persistentvolumes", volume);
    cluster.fake.create("", "persistentvolumeclaims", claim);
    cluster.fake.create("", "pods", pod);
    let _controller = cluster.controller();
    cluster.attached_to(&["a"]).await;
    let tries = cluster.fake.calls("create volumeattachments");
    cluster.pod("p", "a");
    let tried = |fake: &Fake| fake.calls("create volumeattachments") > tries;
    cluster.fake.wait_until("it was tried", tried).await;
    cluster.fake.delete("", "pods", "n", "q", "Background");
    let is_its = |fake: &Fake| {
        let all = fake.objects(STORAGE, "volumeattachments");
        let mut of = all
            .iter()
            .map(|a| &a["spec"]["source"]["persistentVolumeName"]);
        of.any(|name| name == "v")
    };
    let what = "the attachment is v's";
    cluster.fake.wait_until(what, is_its).await;
}
