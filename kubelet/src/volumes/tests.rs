use super::system::fake;
use super::*;
use crate::cri::MountPropagation;
use crate::objects::fake::Fake;
use k8s_openapi::api::core::v1::PersistentVolumeSpec;
use parking_lot::Mutex;
use plugin::Step;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};

struct Bench {
    dir: tempfile::TempDir,
    objects: Arc<Fake>,
    system: Arc<fake::Fake>,
    manager: Manager,
}

fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let objects = Arc::new(
        Fake::default()
            .with_config_map(json!({"metadata": {"namespace": "shop", "name": "cm"},
                "data": {"a": "1"}, "binaryData": {"b": "AAE="}}))
            .with_secret(json!({"metadata": {"namespace": "shop", "name": "sec"},
                "data": {"password": "aHVudGVyMg=="}})),
    );
    let system = Arc::new(fake::Fake::default());
    let manager = Manager::new(
        dir.path(),
        objects.clone(),
        system.clone(),
        Facts::default(),
    );
    Bench {
        dir,
        objects,
        system,
        manager,
    }
}

fn pod(volumes: Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "shop", "uid": "u-1", "labels": {"app": "web"}},
        "spec": {"volumes": volumes, "containers": [{"name": "main", "volumeMounts": [
            {"name": "v", "mountPath": "data", "readOnly": true, "mountPropagation": "HostToContainer"},
            {"name": "v", "mountPath": "/part", "subPathExpr": "logs/$(POD)"},
        ]}]},
    }))
    .unwrap()
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn every_supported_type() {
    let bench = bench();
    let host = bench.dir.path().join("host");
    let pod = pod(json!([
        {"name": "empty", "emptyDir": {}},
        {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {"name": "host", "hostPath": {"path": host, "type": "DirectoryOrCreate"}},
        {"name": "config", "configMap": {"name": "cm", "defaultMode": 0o400}},
        {"name": "items", "configMap": {"name": "cm", "items": [{"key": "a", "path": "x/y", "mode": 0o444}]}},
        {"name": "secret", "secret": {"secretName": "sec"}},
        {"name": "none", "secret": {"secretName": "gone", "optional": true}},
        {"name": "info", "downwardAPI": {"items": [
            {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        {"name": "all", "projected": {"sources": [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
            {"configMap": {"name": "cm", "items": [{"key": "a", "path": "ca.crt"}]}},
            {"secret": {"name": "sec"}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}}]}},
    ]));
    let paths = bench.manager.mount(&pod).await.unwrap();
    assert_eq!(
        fs::metadata(&paths["empty"].path)
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o777
    );
    assert_eq!(paths["host"].path, host);
    assert_eq!(read(paths["config"].path.join("a")), "1");
    assert_eq!(fs::read(paths["config"].path.join("b")).unwrap(), [0, 1]);
    assert_eq!(read(paths["items"].path.join("x/y")), "1");
    assert_eq!(read(paths["secret"].path.join("password")), "hunter2");
    assert_eq!(read(paths["info"].path.join("labels")), "app=\"web\"");
    assert_eq!(read(paths["all"].path.join("token")), "u-1::3607");
    assert_eq!(read(paths["all"].path.join("ca.crt")), "1");
    assert_eq!(read(paths["all"].path.join("namespace")), "shop");
    let mounted = bench.system.mounts.lock().clone();
    let in_memory: Vec<_> = mounted
        .iter()
        .map(|(_, p)| p.file_name().unwrap())
        .collect();
    assert_eq!(in_memory, ["memory", "secret", "none", "info", "all"]);
    assert_eq!(mounted[0].0, "tmpfs 777 Some(1048576)");
    assert!(
        paths["config"]
            .path
            .ends_with("pods/u-1/volumes/kubernetes.io~configmap/config")
    );
}

#[tokio::test]
async fn repeating_keeps_what_pods_wrote_and_refreshing_updates_files() {
    let bench = bench();
    let pod = pod(json!([
        {"name": "empty", "emptyDir": {}}, {"name": "config", "configMap": {"name": "cm"}}]));
    let paths = bench.manager.mount(&pod).await.unwrap();
    fs::write(paths["empty"].path.join("mine"), "x").unwrap();
    bench.objects.put_config_map(json!({
        "metadata": {"namespace": "shop", "name": "cm"}, "data": {"a": "2"}}));
    bench.manager.refresh(&pod).await.unwrap();
    assert_eq!(read(paths["config"].path.join("a")), "2");
    assert!(!paths["config"].path.join("b").exists());
    bench.manager.mount(&pod).await.unwrap();
    assert_eq!(read(paths["empty"].path.join("mine")), "x");
}

#[tokio::test]
async fn failures_are_told_as_kubernetes_tells_them() {
    let bench = bench();
    for (source, reason) in [
        (
            json!({"configMap": {"name": "y"}}),
            "configmap \"y\" not found",
        ),
        (
            json!({"secret": {"secretName": "y"}}),
            "secret \"y\" not found",
        ),
        (
            json!({"configMap": {"name": "cm", "items": [{"key": "no", "path": "p"}]}}),
            "references non-existent config key: no",
        ),
        (
            json!({"hostPath": {"path": "/proc/version", "type": "Directory"}}),
            "hostPath type check failed: /proc/version is not a directory",
        ),
        (
            json!({"fc": {"targetWWNs": ["5006016041e0a9b0"], "lun": 0}}),
            "volume type fc is not supported on this node; use a CSI driver for it",
        ),
        (
            json!({"rbd": {"image": "i", "monitors": []}}),
            "volume type rbd is not supported on this node; use emptyDir, hostPath, persistentVolumeClaim, ephemeral, csi, nfs, iscsi, configMap, secret, downwardAPI or projected",
        ),
    ] {
        let mut volume = source;
        volume["name"] = "x".into();
        let error = bench
            .manager
            .mount(&pod(json!([volume])))
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("MountVolume.SetUp failed for volume \"x\" : {reason}")
        );
    }
}

/// All sources of a pod's volumes: with a field that Kubernetes adds this doesn't compile.
fn sources(
    Volume {
        name: _,
        aws_elastic_block_store: _,
        azure_disk: _,
        azure_file: _,
        cephfs: _,
        cinder: _,
        config_map: _,
        csi: _,
        downward_api: _,
        empty_dir: _,
        ephemeral: _,
        fc: _,
        flex_volume: _,
        flocker: _,
        gce_persistent_disk: _,
        git_repo: _,
        glusterfs: _,
        host_path: _,
        image: _,
        iscsi: _,
        nfs: _,
        persistent_volume_claim: _,
        photon_persistent_disk: _,
        portworx_volume: _,
        projected: _,
        quobyte: _,
        rbd: _,
        scale_io: _,
        secret: _,
        storageos: _,
        vsphere_volume: _,
    }: Volume,
) -> (&'static str, &'static str) {
    let done = "configMap downwardAPI emptyDir hostPath iscsi nfs projected secret";
    let refused = "awsElasticBlockStore azureDisk azureFile cephfs cinder fc flexVolume flocker \
        gcePersistentDisk gitRepo glusterfs image photonPersistentDisk portworxVolume quobyte rbd \
        scaleIO storageos vsphereVolume";
    (done, refused)
}

/// The same of persistent volumes.
fn persistent_sources(
    PersistentVolumeSpec {
        access_modes: _,
        aws_elastic_block_store: _,
        azure_disk: _,
        azure_file: _,
        capacity: _,
        cephfs: _,
        cinder: _,
        claim_ref: _,
        csi: _,
        fc: _,
        flex_volume: _,
        flocker: _,
        gce_persistent_disk: _,
        glusterfs: _,
        host_path: _,
        iscsi: _,
        local: _,
        mount_options: _,
        nfs: _,
        node_affinity: _,
        persistent_volume_reclaim_policy: _,
        photon_persistent_disk: _,
        portworx_volume: _,
        quobyte: _,
        rbd: _,
        scale_io: _,
        storage_class_name: _,
        storageos: _,
        volume_attributes_class_name: _,
        volume_mode: _,
        vsphere_volume: _,
    }: PersistentVolumeSpec,
) -> (&'static str, &'static str) {
    let done = "hostPath iscsi local nfs";
    let refused = "awsElasticBlockStore azureDisk azureFile cephfs cinder fc flexVolume flocker \
        gcePersistentDisk glusterfs photonPersistentDisk portworxVolume quobyte rbd scaleIO \
        storageos vsphereVolume";
    (done, refused)
}

/// Claims, `ephemeral` among them, are looked up before; `csi` is a plugin of its own.
#[tokio::test]
async fn every_source_is_done_or_refused_by_its_name() {
    let Bench { manager, .. } = bench();
    let check = |name: &str, spec: &VolumeSpec, is_done: bool| {
        let plugin = manager.plugin(spec).map(VolumePlugin::name);
        assert_eq!(plugin.is_some(), is_done, "{name}: {plugin:?}");
        let reason = unsupported(spec);
        let expected = format!("volume type {name} is not supported on this node");
        assert!(reason.starts_with(&expected), "{reason}");
    };
    let (done, refused) = sources(Volume::default());
    for (names, is_done) in [(done, true), (refused, false)] {
        for name in names.split_whitespace() {
            let volume: Volume = serde_json::from_value(json!({"name": "v", name: {}})).unwrap();
            check(name, &own(&volume), is_done);
        }
    }
    let (done, refused) = persistent_sources(PersistentVolumeSpec::default());
    for (names, is_done) in [(done, true), (refused, false)] {
        for name in names.split_whitespace() {
            let volume = json!({"metadata": {"name": "v"}, "spec": {name: {}, "capacity": {},
                "volumeMode": "Filesystem", "volumeAttributesClassName": "c"}});
            let mut spec = own(&Volume::default());
            spec.persistent = Some(plugin::Persistent {
                claim: Arc::default(),
                volume: Arc::new(serde_json::from_value(volume).unwrap()),
            });
            check(name, &spec, is_done);
        }
    }
}

#[tokio::test]
async fn containers_get_their_mounts() {
    let bench = bench();
    let pod = pod(json!([{"name": "v", "emptyDir": {}}]));
    let volumes = bench.manager.mount(&pod).await.unwrap();
    let environment = [("POD".to_owned(), "web".to_owned())];
    let request = Request {
        pod: &pod,
        container: &pod.spec.as_ref().unwrap().containers[0],
        volumes: &volumes,
        environment: &environment,
        hosts: "127.0.0.1\tlocalhost\n",
    };
    let mounts = bench.manager.container_mounts(&request).unwrap();
    let seen: Vec<_> = mounts.iter().map(|m| m.container_path.as_str()).collect();
    assert_eq!(
        seen,
        ["/data", "/part", "/etc/hosts", "/dev/termination-log"]
    );
    assert!(mounts[0].readonly);
    assert_eq!(
        mounts[0].propagation(),
        MountPropagation::PropagationHostToContainer
    );
    assert!(mounts[1].host_path.ends_with("volume-subpaths/v/main/1"));
    assert!(volumes["v"].path.join("logs/web").is_dir());
    assert_eq!(read(&mounts[2].host_path), "127.0.0.1\tlocalhost\n");
    let missing = Request {
        environment: &[],
        ..request
    };
    let error = bench.manager.container_mounts(&missing).unwrap_err();
    assert_eq!(error.to_string(), "missing value for \"POD\"");
}

#[tokio::test]
async fn a_mount_that_cannot_be_had_is_refused() {
    let bench = bench();
    let pod = pod(json!([{"name": "v", "emptyDir": {}}]));
    let volumes = bench.manager.mount(&pod).await.unwrap();
    let mounted = |mode: &str| {
        let mount =
            json!({"name": "v", "mountPath": "/v", "readOnly": true, "recursiveReadOnly": mode});
        let container = json!({"name": "main", "volumeMounts": [mount]});
        let container = serde_json::from_value(container).unwrap();
        let request = Request {
            pod: &pod,
            container: &container,
            volumes: &volumes,
            environment: &[],
            hosts: "",
        };
        bench.manager.container_mounts(&request)
    };
    assert_eq!(
        mounted("Enabled").unwrap_err().to_string(),
        "volume \"v\" requested recursive read-only mode, but it is not supported by the runtime"
    );
    assert!(mounted("IfPossible").unwrap()[0].readonly);
}

#[test]
fn devices_and_folders_are_not_taken_for_each_other() {
    let bench = bench();
    let pod = pod(json!([]));
    let of = |is_device: bool| Mounted {
        path: "/dev/sdb".into(),
        read_only: true,
        is_device,
    };
    let volumes = BTreeMap::from([("disk".to_owned(), of(true)), ("v".to_owned(), of(false))]);
    let asked = |field: &str, value: Value| {
        let container = json!({"name": "main", field: [value]});
        let container = serde_json::from_value(container).unwrap();
        let request = Request {
            pod: &pod,
            container: &container,
            volumes: &volumes,
            environment: &[],
            hosts: "",
        };
        let devices = bench.manager.container_devices(&request)?;
        bench.manager.container_mounts(&request)?;
        Ok::<_, crate::env::ConfigError>(devices)
    };
    let device = |name: &str| {
        asked(
            "volumeDevices",
            json!({"name": name, "devicePath": "/dev/x"}),
        )
    };
    let found = device("disk").unwrap();
    assert_eq!(
        (
            found[0].host_path.as_str(),
            found[0].container_path.as_str()
        ),
        ("/dev/sdb", "/dev/x")
    );
    assert_eq!(found[0].permissions, "r");
    let wrong = device("v").unwrap_err().to_string();
    assert!(wrong.contains("has volumeMode Filesystem"), "{wrong}");
    let wrong = asked("volumeMounts", json!({"name": "disk", "mountPath": "/d"}));
    let wrong = wrong.unwrap_err().to_string();
    assert!(wrong.contains("has volumeMode Block"), "{wrong}");
}

#[tokio::test]
async fn only_the_kubelet_writes_what_it_writes() {
    let bench = bench();
    let sources = [
        json!({"configMap": {"name": "cm"}}),
        json!({"secret": {"secretName": "sec"}}),
        json!({"downwardAPI": {"items": []}}),
        json!({"projected": {"sources": []}}),
    ];
    for mut source in sources {
        source["name"] = json!("v");
        let mut pod = pod(json!([source]));
        let container = &mut pod.spec.as_mut().unwrap().containers[0];
        let mounts = container.volume_mounts.as_mut().unwrap();
        mounts.truncate(1);
        mounts[0].read_only = Some(false);
        let volumes = bench.manager.mount(&pod).await.unwrap();
        let request = Request {
            pod: &pod,
            container: &pod.spec.as_ref().unwrap().containers[0],
            volumes: &volumes,
            environment: &[],
            hosts: "",
        };
        let mounts = bench.manager.container_mounts(&request).unwrap();
        assert!(mounts[0].readonly, "{source}");
    }
}

#[tokio::test]
async fn taking_down_unmounts_before_it_removes() {
    let bench = bench();
    let pod = pod(json!([{"name": "s", "secret": {"secretName": "sec"}}]));
    bench.manager.mount(&pod).await.unwrap();
    assert_eq!(bench.manager.orphans(&BTreeSet::new()), ["u-1"]);
    assert!(bench.manager.orphans(&["u-1".to_owned()].into()).is_empty());
    bench.manager.unmount("u-1").await.unwrap();
    assert!(bench.system.mounts.lock().is_empty());
    assert!(!bench.manager.pod_dir("u-1").exists());
    bench.manager.unmount("u-1").await.unwrap();
}

/// Can't unpublish `bad` while it is told so, and never ends to unstage.
#[derive(Default)]
struct Broken {
    is_mended: AtomicBool,
    undone: Mutex<BTreeSet<String>>,
    unstages: AtomicUsize,
}

impl VolumePlugin for Broken {
    fn name(&self) -> &'static str {
        "test/broken"
    }

    fn supports(&self, _spec: &VolumeSpec) -> bool {
        false
    }

    fn publish<'a>(&'a self, _mounter: &'a Mounter<'a>) -> Step<'a, PathBuf> {
        Box::pin(async { Err("it is for none".to_owned()) })
    }

    fn unpublish<'a>(
        &'a self,
        _host: &'a VolumeHost,
        _pod: &'a str,
        dir: &'a Path,
    ) -> Step<'a, ()> {
        Box::pin(async move {
            let name = dir.file_name().unwrap().to_string_lossy().into_owned();
            self.undone.lock().insert(name.clone());
            match name == "bad" && !self.is_mended.load(Relaxed) {
                true => Err("not now".to_owned()),
                false => Ok(()),
            }
        })
    }

    fn unstage<'a>(&'a self, _host: &'a VolumeHost, _gone: Option<&'a str>) -> Step<'a, ()> {
        self.unstages.fetch_add(1, Relaxed);
        Box::pin(std::future::pending::<Result<(), String>>())
    }
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_stays_keeps_no_other_and_no_driver_keeps_the_pod() {
    let bench = bench();
    let plugin = Arc::new(Broken::default());
    let manager = bench.manager.with(plugin.clone());
    for name in ["a", "bad", "c"] {
        let dir = manager.host.volume_dir("u-1", plugin.name(), name);
        fs::create_dir_all(dir).unwrap();
    }
    let refused = manager.unmount("u-1").await.unwrap_err().to_string();
    assert!(refused.contains("volume \"bad\""), "{refused}");
    let all = ["a", "bad", "c"].map(str::to_owned);
    assert_eq!(*plugin.undone.lock(), BTreeSet::from(all));
    assert_eq!(plugin.unstages.load(Relaxed), 1, "others may be free");
    assert!(manager.pod_dir("u-1").exists());
    plugin.is_mended.store(true, Relaxed);
    manager.unmount("u-1").await.unwrap();
    assert!(!manager.pod_dir("u-1").exists());
}
