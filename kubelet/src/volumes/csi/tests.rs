//! The plugin and a driver of ours, over a socket, with their sides killed in between.

use super::csi_node::Announcer;
use super::registration::Registrar;
use super::*;
use crate::downward::Facts;
use crate::objects::fake::Fake;
use crate::volumes::system::fake::Fake as FakeSystem;
use crate::volumes::{Error, Manager, Mounted};
use hardway_client::fake::Fake as Apiserver;
use hardway_csi_driver::driver::{Driver, Settings};
use hardway_csi_driver::mounts::Mounts;
use hardway_csi_driver::serve;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;

const NAME: &str = "folders.test";

struct Bench {
    dir: tempfile::TempDir,
    driver: Driver,
    /// What the driver runs on: it takes its connections with it.
    server: Option<Runtime>,
    objects: Arc<Fake>,
    node: Store<Node>,
    changes: watch::Sender<()>,
    timeout: Duration,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A driver that is up, and what the cluster has.
async fn bench(objects: Fake) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        name: NAME.into(),
        node_id: "id-here".into(),
        root: dir.path().join("driver"),
        stages: true,
        attaches: false,
        mount_group: false,
        limit: 7,
    };
    std::fs::create_dir_all(&settings.root).unwrap();
    let mut bench = Bench {
        driver: Driver::new(settings, Arc::new(Mounts::noted())),
        dir,
        server: None,
        objects: Arc::new(objects),
        node: Store::default(),
        changes: watch::Sender::new(()),
        timeout: Duration::from_secs(20),
    };
    make_volume(&bench, "h");
    bench.serve().await;
    bench
}

/// A cluster with a claim whose volume is `h`, and a driver that says this of itself.
fn cluster(driver: Value) -> Fake {
    claimed(json!({"accessModes": ["ReadWriteOnce"]})).with_csi_driver(NAME, driver)
}

fn claimed(mut spec: Value) -> Fake {
    spec["csi"] = json!({"driver": NAME, "volumeHandle": "h", "volumeAttributes": {"a": "b"}});
    Fake::default().with_claim(spec)
}

fn make_volume(bench: &Bench, volume: &str) {
    let folder = bench.dir.path().join("driver/volumes").join(volume);
    std::fs::create_dir_all(folder.join("data")).unwrap();
    std::fs::write(folder.join("size"), "1000").unwrap();
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let work = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), work).await;
    waited.unwrap_or_else(|_| panic!("waited for: {what}"));
}

impl Bench {
    fn socket(&self) -> PathBuf {
        self.dir.path().join("csi.sock")
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("kubelet")
    }

    async fn serve(&mut self) {
        let (driver, socket) = (self.driver.clone(), self.socket());
        let _ = std::fs::remove_file(&socket);
        let there = socket.clone();
        let mut server = Builder::new_multi_thread();
        let server = server.worker_threads(1).enable_all().build().unwrap();
        server.spawn(async move { serve::driver(driver, &socket).await.unwrap() });
        self.server = Some(server);
        let listens = || std::os::unix::net::UnixStream::connect(&there).is_ok();
        until("the driver's socket", listens).await;
    }

    fn kill(&mut self) {
        if let Some(server) = self.server.take() {
            server.shutdown_background();
        }
    }

    /// A kubelet that has just started, and that the driver is registered with or not.
    fn kubelet(&self, is_registered: bool) -> (Csi, Manager) {
        let drivers = Drivers::with_timeout(self.timeout);
        if is_registered {
            let by = Path::new("/reg.sock");
            drivers.register(NAME, drivers.at(&self.socket()), by);
        }
        let node = OwnNode {
            name: "here".into(),
            store: self.node.clone(),
            changed: self.changes.subscribe(),
        };
        let csi = Csi::new(drivers, node);
        csi.recall(&self.root());
        let system = Arc::new(FakeSystem::default());
        let manager = Manager::new(self.root(), self.objects.clone(), system, Facts::default());
        (csi.clone(), manager.with(Arc::new(csi)))
    }

    /// The calls so far without their paths.
    fn calls(&self) -> Vec<String> {
        let calls = self.driver.faults.calls().into_iter();
        calls
            .map(|line| line.split(' ').next().unwrap().to_owned())
            .collect()
    }

    /// What the driver heard when it published a volume.
    fn told(&self, volume: &str) -> Value {
        let file = self
            .dir
            .path()
            .join("driver/volumes")
            .join(volume)
            .join("told");
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    }

    fn stage_dir(&self) -> PathBuf {
        let driver = self.root().join("plugins/kubernetes.io/csi").join(NAME);
        driver.join(source::sha256(&["h"]))
    }

    fn pod_dir(&self, pod: &str) -> PathBuf {
        self.root()
            .join("pods")
            .join(pod)
            .join("volumes/kubernetes.io~csi/v")
    }
}

fn pod(uid: &str, volume: Value) -> Pod {
    let mut volume = volume;
    volume["name"] = json!("data");
    let spec =
        json!({"containers": [{"name": "c"}], "volumes": [volume], "serviceAccountName": "sa"});
    let metadata = json!({"name": "web", "namespace": "n", "uid": uid});
    serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
}

fn with_claim(uid: &str) -> Pod {
    pod(uid, json!({"persistentVolumeClaim": {"claimName": "data"}}))
}

fn unattached() -> Value {
    json!({"attachRequired": false})
}

#[tokio::test]
async fn a_volume_is_staged_once_and_published_for_each_pod() {
    let bench = bench(cluster(unattached())).await;
    let (csi, manager) = bench.kubelet(true);
    let mounted = manager.mount(&with_claim("u1")).await.unwrap();
    let target = bench.pod_dir("u1").join("mount");
    let expected = Mounted {
        path: target.clone(),
        read_only: false,
        is_device: false,
    };
    assert_eq!(mounted["data"], expected);
    assert_eq!(bench.calls(), ["NodeStageVolume", "NodePublishVolume"]);
    let staged = bench.stage_dir().join("globalmount");
    let calls = bench.driver.faults.calls();
    assert_eq!(calls[0], format!("NodeStageVolume h {}", staged.display()));
    assert_eq!(
        calls[1],
        format!("NodePublishVolume h {}", target.display())
    );
    assert_eq!(
        bench.told("h")["context"],
        json!({"a": "b"}),
        "no podInfoOnMount"
    );
    assert!(
        csi.in_use().wanted().borrow().is_empty(),
        "nobody attaches it"
    );
    let text = std::fs::read(bench.pod_dir("u1").join("vol_data.json")).unwrap();
    let record: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(record["specVolID"], "v");
    // Again, and for another pod.
    manager.mount(&with_claim("u1")).await.unwrap();
    manager.mount(&with_claim("u2")).await.unwrap();
    manager.unmount("u1").await.unwrap();
    assert_eq!(
        bench.driver.faults.count("NodeUnstageVolume"),
        0,
        "u2 has it"
    );
    assert!(!bench.root().join("pods/u1").exists());
    manager.unmount("u2").await.unwrap();
    let last: Vec<String> = bench.calls().into_iter().rev().take(2).collect();
    assert_eq!(last, ["NodeUnstageVolume", "NodeUnpublishVolume"]);
    assert!(!bench.stage_dir().exists());
    let count = bench.calls().len();
    manager.unmount("u2").await.unwrap();
    assert_eq!(bench.calls().len(), count, "there is nothing left to undo");
}

#[tokio::test]
async fn a_pod_waits_until_its_volume_is_attached_and_keeps_it_from_being_detached() {
    let bench = bench(cluster(json!({}))).await;
    let (csi, manager) = bench.kubelet(true);
    let manager = Arc::new(manager);
    let waiting = tokio::spawn({
        let manager = manager.clone();
        async move { manager.mount(&with_claim("u1")).await }
    });
    let volume = format!("kubernetes.io/csi/{NAME}^h");
    let in_use = csi.in_use();
    let wanted = in_use.wanted();
    until("the volume is in use", || wanted.borrow().contains(&volume)).await;
    in_use.end_report(&in_use.begin_report());
    assert!(bench.calls().is_empty());
    let attachment = format!("csi-{}", source::sha256(&["h", NAME, "here"]));
    let status = json!({"attached": true, "attachmentMetadata": {"device": "sdb"}});
    bench.objects.put_attachment(&attachment, status);
    let node = json!({"metadata": {"name": "here"}, "status": {"volumesInUse": [volume],
        "volumesAttached": [{"name": volume, "devicePath": ""}]}});
    bench.objects.put_node(node.clone());
    bench
        .node
        .insert(Arc::new(serde_json::from_value(node).unwrap()));
    bench.changes.send_replace(());
    waiting.await.unwrap().unwrap();
    assert_eq!(bench.told("h")["published"], json!({"device": "sdb"}));
    // A new kubelet knows at once that it has it.
    let (again, manager) = bench.kubelet(true);
    assert!(again.in_use().wanted().borrow().contains(&volume));
    manager.unmount("u1").await.unwrap();
    assert!(again.in_use().wanted().borrow().is_empty());
}

#[tokio::test]
async fn what_a_pod_left_is_undone_by_another_kubelet() {
    let bench = bench(cluster(unattached())).await;
    bench
        .kubelet(true)
        .1
        .mount(&with_claim("u1"))
        .await
        .unwrap();
    // The pod was deleted while nobody looked.
    let (_, manager) = bench.kubelet(true);
    assert_eq!(manager.orphans(&Default::default()), ["u1"]);
    manager.unmount("u1").await.unwrap();
    assert!(!bench.root().join("pods/u1").exists() && !bench.stage_dir().exists());
    assert_eq!(bench.driver.faults.count("NodeUnstageVolume"), 1);
}

#[tokio::test]
async fn a_kubelet_that_died_while_it_staged_leaves_nothing() {
    let bench = bench(cluster(unattached())).await;
    bench.driver.faults.set("NodeStageVolume", "hang");
    let (_, manager) = bench.kubelet(true);
    let dying = tokio::spawn(async move { manager.mount(&with_claim("u1")).await });
    until("it stages", || {
        bench.driver.faults.count("NodeStageVolume") == 1
    })
    .await;
    dying.abort();
    bench.driver.faults.clear("NodeStageVolume");
    let (_, manager) = bench.kubelet(true);
    assert!(bench.stage_dir().exists(), "it is known what was begun");
    manager.unstage(None).await;
    assert!(!bench.stage_dir().exists());
    assert_eq!(bench.driver.faults.count("NodeUnstageVolume"), 1);
}

#[tokio::test]
async fn a_volume_that_somebody_works_on_is_unstaged_at_the_next_time() {
    let bench = bench(cluster(unattached())).await;
    let before = bench.kubelet(true).1;
    before.mount(&with_claim("u1")).await.unwrap();
    let (csi, manager) = bench.kubelet(true);
    manager.unstage(None).await;
    assert!(bench.stage_dir().exists(), "u1 has it");
    std::fs::remove_file(bench.pod_dir("u1").join("vol_data.json")).unwrap();
    let guard = csi.locks.lock(&format!("{NAME}^h")).await;
    manager.unstage(None).await;
    assert_eq!(bench.driver.faults.count("NodeUnstageVolume"), 0);
    drop(guard);
    manager.unstage(None).await;
    assert!(!bench.stage_dir().exists());
    assert_eq!(bench.driver.faults.count("NodeUnstageVolume"), 1);
}

#[tokio::test]
async fn failures_are_told_in_kubernetes_words() {
    let mut bench = bench(cluster(unattached())).await;
    let (_, absent) = bench.kubelet(false);
    let failed = absent.mount(&with_claim("u1")).await.unwrap_err();
    assert_eq!(
        failed.to_string(),
        "MountVolume.MountDevice failed for volume \"v\" : kubernetes.io/csi: attacher.MountDevice failed to create newCsiDriverClient: driver name folders.test not found in the list of registered CSI drivers"
    );
    bench.timeout = Duration::from_secs(2);
    let (_, manager) = bench.kubelet(true);
    let faults = bench.driver.faults.clone();
    faults.set("NodeStageVolume", "fail 13 no disk");
    let mount = async || -> Error { manager.mount(&with_claim("u1")).await.unwrap_err() };
    let text = "MountVolume.MountDevice failed for volume \"v\" : rpc error: code = Internal desc = no disk";
    assert_eq!(mount().await.to_string(), text);
    assert!(!bench.stage_dir().exists(), "the driver is certain");
    faults.clear("NodeStageVolume");
    faults.set("NodePublishVolume", "fail 3 what is that");
    let text = "MountVolume.SetUp failed for volume \"v\" : rpc error: code = InvalidArgument desc = what is that";
    assert_eq!(mount().await.to_string(), text);
    assert!(!bench.pod_dir("u1").exists(), "the driver is certain");
    faults.set("NodePublishVolume", "hang");
    let text = "MountVolume.SetUp failed for volume \"v\" : rpc error: code = DeadlineExceeded desc = context deadline exceeded";
    assert_eq!(mount().await.to_string(), text);
    assert!(
        bench.pod_dir("u1").join("vol_data.json").exists(),
        "it may be mounted"
    );
    // The pod can't go before the driver has taken back what it may have done.
    faults.set("NodeUnpublishVolume", "fail 14 not now");
    let refused = manager.unmount("u1").await.unwrap_err().to_string();
    assert!(
        refused.ends_with("rpc error: code = Unavailable desc = not now"),
        "{refused}"
    );
    faults.clear("NodeUnpublishVolume");
    manager.unmount("u1").await.unwrap();
    assert!(!bench.stage_dir().exists());
}

#[tokio::test]
async fn a_driver_may_come_back_midway() {
    let mut bench = bench(cluster(unattached())).await;
    let (_, manager) = bench.kubelet(true);
    manager.mount(&with_claim("u1")).await.unwrap();
    bench.kill();
    let failed = manager.unmount("u1").await.unwrap_err().to_string();
    assert!(failed.contains("code = Unavailable"), "{failed}");
    bench.serve().await;
    manager.unmount("u1").await.unwrap();
    assert!(!bench.root().join("pods/u1").exists() && !bench.stage_dir().exists());
}

#[tokio::test]
async fn a_pod_may_bring_its_volume_along() {
    let driver = json!({"podInfoOnMount": true, "volumeLifecycleModes": ["Ephemeral"],
        "tokenRequests": [{"audience": "vault"}], "requiresRepublish": true});
    let objects = Fake::default().with_csi_driver(NAME, driver).with_secret(
        json!({"metadata": {"namespace": "n", "name": "s"}, "data": {"key": "dmFsdWU="}}),
    );
    let bench = bench(objects).await;
    let (csi, manager) = bench.kubelet(true);
    let inline = pod(
        "u1",
        json!({"csi": {"driver": NAME, "nodePublishSecretRef": {"name": "s"},
        "volumeAttributes": {"size": "1"}}}),
    );
    manager.mount(&inline).await.unwrap();
    assert_eq!(
        bench.calls(),
        ["NodePublishVolume"],
        "nothing is attached or staged"
    );
    assert!(csi.in_use().wanted().borrow().is_empty());
    let handle = format!("csi-{}", source::sha256(&["u1", "data"]));
    let told = bench.told(&handle);
    let context = |name: &str| told["context"][format!("csi.storage.k8s.io/{name}")].clone();
    assert_eq!(context("pod.name"), "web");
    assert_eq!(context("pod.uid"), "u1");
    assert_eq!(context("serviceAccount.name"), "sa");
    assert_eq!(context("ephemeral"), "true");
    let tokens: Value =
        serde_json::from_str(context("serviceAccount.tokens").as_str().unwrap()).unwrap();
    assert_eq!(tokens["vault"]["token"], "u1:vault:3600");
    assert_eq!(told["secrets"], json!({"key": "value"}));
    assert!(manager.upkeep(&inline).await.is_empty());
    assert_eq!(
        bench.driver.faults.count("NodePublishVolume"),
        2,
        "it asked for that"
    );
    manager.unmount("u1").await.unwrap();
    assert!(manager.upkeep(&inline).await.is_empty());
    assert_eq!(
        bench.driver.faults.count("NodePublishVolume"),
        2,
        "it has no pod"
    );
    assert!(
        !bench
            .dir
            .path()
            .join("driver/volumes")
            .join(handle)
            .exists()
    );
}

/// Whether a pod's group gets the files of a volume whose driver says this.
async fn is_handed_over(driver: Value, fs_type: &str, source: Value) -> bool {
    let mut spec = json!({"accessModes": ["ReadWriteOnce"]});
    spec["csi"] = json!({"driver": NAME, "volumeHandle": "h", "fsType": fs_type});
    let objects = Fake::default()
        .with_claim(spec)
        .with_csi_driver(NAME, driver);
    let bench = bench(objects).await;
    let (_, manager) = bench.kubelet(true);
    let group = std::fs::metadata(bench.dir.path()).unwrap().gid();
    let mut pod = pod("u1", source);
    let context = json!({ "fsGroup": group });
    let spec = pod.spec.as_mut().unwrap();
    spec.security_context = serde_json::from_value(context).unwrap();
    let mounted = manager.mount(&pod).await.unwrap();
    let mode = std::fs::metadata(&mounted["data"].path).unwrap().mode();
    mode & 0o2070 == 0o2070
}

#[tokio::test]
async fn files_are_given_to_the_pods_group_as_the_driver_says() {
    let driver = |policy: Value| json!({"attachRequired": false, "fsGroupPolicy": policy});
    let source = |read_only: bool| json!({"persistentVolumeClaim": {"claimName": "data", "readOnly": read_only}});
    assert!(is_handed_over(driver(json!("File")), "", source(false)).await);
    assert!(!is_handed_over(driver(json!("File")), "", source(true)).await);
    assert!(!is_handed_over(driver(json!("None")), "ext4", source(false)).await);
    assert!(is_handed_over(driver(json!(null)), "ext4", source(false)).await);
    assert!(!is_handed_over(driver(json!(null)), "", source(false)).await);
}

#[tokio::test]
async fn a_driver_without_such_volumes_is_not_asked() {
    let bench = bench(Fake::default().with_csi_driver(NAME, unattached())).await;
    let (_, manager) = bench.kubelet(true);
    let failed = manager
        .mount(&pod("u1", json!({"csi": {"driver": NAME}})))
        .await;
    let failed = failed.unwrap_err().to_string();
    assert!(
        failed.contains("volume mode \"Ephemeral\" not supported by driver"),
        "{failed}"
    );
    assert!(bench.calls().is_empty());
}

#[tokio::test]
async fn a_volume_grows_with_its_claim_and_says_how_full_it_is() {
    let bench = bench(cluster(unattached())).await;
    let (_, manager) = bench.kubelet(true);
    let pod = with_claim("u1");
    bench.objects.change_claim(|claim, volume| {
        claim.spec.as_mut().unwrap().resources =
            serde_json::from_value(json!({"requests": {"storage": "2Gi"}})).unwrap();
        claim.status =
            serde_json::from_value(json!({"capacity": {"storage": "1Gi"}, "conditions": [
            {"type": "FileSystemResizePending", "status": "True"}]}))
            .unwrap();
        volume.spec.as_mut().unwrap().capacity =
            serde_json::from_value(json!({"storage": "1Gi"})).unwrap();
    });
    manager.mount(&pod).await.unwrap();
    assert!(
        manager.upkeep(&pod).await.is_empty(),
        "the volume hasn't grown yet"
    );
    bench.objects.change_claim(|_, volume| {
        volume.spec.as_mut().unwrap().capacity =
            serde_json::from_value(json!({"storage": "2Gi"})).unwrap();
    });
    bench
        .driver
        .faults
        .set("NodeExpandVolume", "fail 13 not yet");
    let notes = manager.upkeep(&pod).await;
    assert_eq!(notes[0].reason, "FileSystemResizeFailed");
    bench.driver.faults.clear("NodeExpandVolume");
    let notes = manager.upkeep(&pod).await;
    assert_eq!(notes[0].reason, "FileSystemResizeSuccessful");
    let claim = crate::objects::Objects::claim(bench.objects.as_ref(), "n", "data")
        .await
        .unwrap();
    let status = serde_json::to_value(&claim.status).unwrap();
    assert_eq!(status["capacity"]["storage"], "2Gi");
    assert_eq!(status["conditions"], json!([]));
    assert!(manager.upkeep(&pod).await.is_empty(), "it is done");
    manager.measure(&pod).await;
    let used = manager.measured("u1");
    assert_eq!(
        (used[0].name.as_str(), used[0].claim.as_deref()),
        ("data", Some("data"))
    );
    assert_eq!(used[0].usage.capacity, 1000);
    manager.unmount("u1").await.unwrap();
    assert!(manager.measured("u1").is_empty());
}

#[tokio::test]
async fn every_node_that_has_a_volume_expands_it() {
    let bench = bench(cluster(unattached())).await;
    let size = |claimed: &'static str, volumes: &'static str| {
        bench.objects.change_claim(move |claim, volume| {
            claim.spec.as_mut().unwrap().resources =
                serde_json::from_value(json!({"requests": {"storage": volumes}})).unwrap();
            claim.status =
                serde_json::from_value(json!({"capacity": {"storage": claimed}})).unwrap();
            volume.spec.as_mut().unwrap().capacity =
                serde_json::from_value(json!({"storage": volumes})).unwrap();
        });
    };
    size("1Gi", "1Gi");
    let (_, manager) = bench.kubelet(true);
    let (one, other) = (with_claim("u1"), with_claim("u2"));
    manager.mount(&one).await.unwrap();
    manager.mount(&other).await.unwrap();
    assert!(manager.upkeep(&one).await.is_empty());
    // Another node has expanded its own and told the claim.
    size("2Gi", "2Gi");
    let notes = manager.upkeep(&one).await;
    assert_eq!(notes[0].reason, "FileSystemResizeSuccessful");
    assert_eq!(bench.driver.faults.count("NodeExpandVolume"), 1);
    assert!(manager.upkeep(&one).await.is_empty(), "it is done");
    assert!(manager.upkeep(&other).await.is_empty(), "for both");
    assert_eq!(bench.driver.faults.count("NodeExpandVolume"), 1);
}

#[tokio::test]
async fn a_device_is_linked_for_each_pod() {
    let objects = claimed(json!({"volumeMode": "Block", "accessModes": ["ReadWriteMany"]}));
    let bench = bench(objects.with_csi_driver(NAME, unattached())).await;
    let data = bench.dir.path().join("driver/volumes/h/data");
    std::fs::remove_dir(&data).unwrap();
    std::fs::write(data, "").unwrap();
    let (_, manager) = bench.kubelet(true);
    let mounted = manager.mount(&with_claim("u1")).await.unwrap();
    let devices = bench.root().join("plugins/kubernetes.io/csi/volumeDevices");
    assert_eq!(mounted["data"].path, devices.join("publish/v/u1"));
    assert!(mounted["data"].is_device);
    let link = bench
        .root()
        .join("pods/u1/volumeDevices/kubernetes.io~csi/v");
    assert_eq!(
        std::fs::read_link(&link).unwrap(),
        devices.join("publish/v/u1")
    );
    let (_, manager) = bench.kubelet(true);
    manager.unmount("u1").await.unwrap();
    assert_eq!(bench.driver.faults.count("NodeUnstageVolume"), 1);
    assert!(!devices.join("v").exists() && !devices.join("publish/v").exists());
}

#[tokio::test]
async fn drivers_register_by_a_socket_and_go_with_it() {
    let bench = bench(Fake::default()).await;
    let (_apiserver, client) = Apiserver::start(Vec::new());
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "here"}});
    let node = Node::parse(node.to_string().as_bytes()).unwrap();
    client.all::<Node>().create(&node).await.unwrap();
    let drivers = Drivers::default();
    let news = Arc::new(Notify::new());
    let announcer = Announcer::new(&client, "here");
    let registrar = Registrar::new(&bench.root(), drivers.clone(), announcer, news.clone());
    let watching = tokio::spawn(registrar.run());
    let folder = bench.root().join("plugins_registry");
    until("the kubelet's folder", || folder.exists()).await;
    let (endpoint, at) = (bench.socket(), folder.clone());
    let registering = tokio::spawn(async move { serve::registrar(NAME, &endpoint, &at).await });
    tokio::time::timeout(Duration::from_secs(20), news.notified())
        .await
        .unwrap();
    assert!(drivers.get(NAME).is_ok());
    let nodes = client.all::<k8s_openapi::api::storage::v1::CSINode>();
    let known = nodes.get("here").await.unwrap();
    assert_eq!(known.spec.drivers[0].node_id, "id-here");
    assert_eq!(
        known.spec.drivers[0].allocatable.as_ref().unwrap().count,
        Some(7)
    );
    let node = client.all::<Node>().get("here").await.unwrap();
    let ids = &node.metadata.annotations.unwrap()["csi.volume.kubernetes.io/nodeid"];
    assert_eq!(ids, r#"{"folders.test":"id-here"}"#);
    assert_eq!(
        node.metadata.labels.unwrap()["csi.hardway.test/node"],
        "id-here"
    );
    registering.abort();
    std::fs::remove_file(serve::registration_socket(NAME, &folder)).unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !nodes.get("here").await.unwrap().spec.drivers.is_empty() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the driver stays in the CSINode"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(drivers.get(NAME).is_err());
    watching.abort();
}
