//! The plugin, with a host whose tools and kernel are played.

use super::*;
use crate::downward::Facts;
use crate::objects::fake::Fake;
use crate::volumes::Manager;
use crate::volumes::host_tools::Answer;
use crate::volumes::system::fake::Fake as FakeSystem;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

const IQN: &str = "iqn.2001-04.com.example:d";

/// A host: what was run on it, and what fails.
struct Host {
    dir: tempfile::TempDir,
    ran: Mutex<Vec<String>>,
    fails: Mutex<Vec<&'static str>>,
    lacks_tool: bool,
    system: Arc<FakeSystem>,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["dev/disk/by-path", "sys/class/iscsi_host", "sys/block"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        Self {
            dir,
            ran: Mutex::default(),
            fails: Mutex::default(),
            lacks_tool: false,
            system: Arc::default(),
        }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("kubelet")
    }

    /// What the kernel shows after a login: the session, and disks 0 and 1.
    fn log_in(&self, portal: &str) {
        let sys = self.dir.path().join("sys/class");
        let session = sys.join("iscsi_host/host3/device/session1");
        let (of, connection) = (
            session.join("iscsi_session/session1"),
            session.join("connection1:0/iscsi_connection/connection1:0"),
        );
        let scan = sys.join("scsi_host/host3");
        for folder in [&of, &connection, &scan] {
            fs::create_dir_all(folder).unwrap();
        }
        fs::write(of.join("targetname"), format!("{IQN}\n")).unwrap();
        let (address, port) = portal.split_once(':').unwrap();
        fs::write(connection.join("persistent_address"), address).unwrap();
        fs::write(connection.join("persistent_port"), port).unwrap();
        for lun in 0..2 {
            let device = self.dir.path().join(format!("dev/sd{lun}"));
            fs::write(&device, "").unwrap();
            let deleting = self.dir.path().join(format!("sys/block/sd{lun}/device"));
            fs::create_dir_all(&deleting).unwrap();
            fs::write(deleting.join("delete"), "").unwrap();
            let link = format!("dev/disk/by-path/ip-{portal}-iscsi-{IQN}-lun-{lun}");
            let _ = symlink(device, self.dir.path().join(link));
        }
    }

    fn count(&self, what: &str) -> usize {
        let ran = self.ran.lock();
        ran.iter().filter(|line| line.contains(what)).count()
    }
}

impl Tools for Host {
    fn check(&self, program: &str, packages: &str) -> Result<(), String> {
        match self.lacks_tool {
            true => Err(format!(
                "{program} is missing on this node: install {packages}"
            )),
            false => Ok(()),
        }
    }

    fn run<'a>(
        &'a self,
        program: &'a str,
        arguments: &'a [&'a str],
    ) -> BoxFuture<'a, Result<Answer, String>> {
        let line = format!("{program} {}", arguments.join(" "));
        let mut answer = Answer {
            code: Some(0),
            ..Answer::default()
        };
        if self.fails.lock().iter().any(|what| line.contains(what)) {
            answer.code = Some(8);
            answer.error = "no answer".to_owned();
        } else if line.ends_with("-o show") {
            answer.output =
                "iface.iscsi_ifacename = default\niface.transport_name = tcp\n".to_owned();
        } else if line.ends_with("--login") {
            self.log_in(arguments[3]);
        } else if program == "blkid" {
            answer.code = Some(2);
        } else if program == "mount" {
            let at = PathBuf::from(arguments[arguments.len() - 1]);
            self.system.mounts.lock().push((line.clone(), at));
        }
        self.ran.lock().push(line);
        Box::pin(std::future::ready(Ok(answer)))
    }
}

/// A kubelet on a host, as it has just started.
fn kubelet(host: &Arc<Host>, objects: Fake) -> Manager {
    let iscsi = Iscsi {
        tools: host.clone(),
        devices: Devices {
            sys: host.dir.path().join("sys"),
            dev: host.dir.path().join("dev"),
            patience: Duration::ZERO,
        },
        locks: Locks::default(),
    };
    let system = host.system.clone();
    let mut manager = Manager::new(host.root(), Arc::new(objects), system, Facts::default());
    manager.plugins.retain(|plugin| plugin.name() != NAME);
    manager.with(Arc::new(iscsi))
}

fn pod(uid: &str, lun: i32, more: Value) -> Pod {
    let mut source = json!({"targetPortal": "10.0.0.1", "iqn": IQN, "lun": lun});
    for (field, value) in more.as_object().unwrap() {
        source[field] = value.clone();
    }
    let volumes = json!([{"name": "data", "iscsi": source}]);
    let spec = json!({"containers": [{"name": "c"}], "volumes": volumes});
    let metadata = json!({"name": "web", "namespace": "n", "uid": uid});
    serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
}

#[tokio::test]
async fn a_disk_is_logged_in_to_once_and_a_session_ends_with_its_last_disk() {
    let host = Arc::new(Host::new());
    let manager = kubelet(&host, Fake::default());
    let mounted = manager.mount(&pod("u1", 0, json!({}))).await.unwrap();
    let at = host
        .root()
        .join("pods/u1/volumes/kubernetes.io~iscsi/data/mount");
    assert_eq!(
        (&mounted["data"].path, mounted["data"].read_only),
        (&at, false)
    );
    let node = "-m node -p 10.0.0.1:3260 -T iqn.2001-04.com.example:d";
    let discovery = "iscsiadm -m discoverydb -t sendtargets -p 10.0.0.1:3260 -I default";
    let by_path = "dev/disk/by-path/ip-10.0.0.1:3260-iscsi-iqn.2001-04.com.example:d-lun-0";
    let device = host.dir.path().join(by_path);
    let global = host.root().join(
        "plugins/kubernetes.io/iscsi/iface-default/10.0.0.1:3260-iqn.2001-04.com.example:d-lun-0",
    );
    let expected = [
        "iscsiadm -m iface -I default -o show".to_owned(),
        format!("{discovery} -o new"),
        format!("{discovery} --discover"),
        format!("iscsiadm {node} -I default --login"),
        format!("iscsiadm {node} -o update -n node.startup -v manual"),
        format!("blkid -p -s TYPE -s PTTYPE -o export {}", device.display()),
        format!("mkfs.ext4 -F -m0 {}", device.display()),
        format!(
            "mount -t ext4 -o defaults -- {} {}",
            device.display(),
            global.join("mount").display()
        ),
    ];
    assert_eq!(*host.ran.lock(), expected);
    let scan = host.dir.path().join("sys/class/scsi_host/host3/scan");
    assert_eq!(fs::read_to_string(scan).unwrap(), "0 0 0");
    // For another pod, and another disk of the same target.
    manager.mount(&pod("u2", 0, json!({}))).await.unwrap();
    manager.mount(&pod("u3", 1, json!({}))).await.unwrap();
    assert_eq!(host.count("--login"), 1);
    assert_eq!(host.count("mkfs"), 2);
    // A kubelet that was restarted meanwhile finds all that.
    let manager = kubelet(&host, Fake::default());
    manager.unmount("u1").await.unwrap();
    assert!(global.exists(), "u2 has it");
    manager.unmount("u2").await.unwrap();
    assert!(!global.exists());
    let deleted = |disk: &str| {
        let file = host
            .dir
            .path()
            .join(format!("sys/block/{disk}/device/delete"));
        fs::read_to_string(file).unwrap() == "1"
    };
    assert!(deleted("sd0") && !deleted("sd1"));
    assert_eq!(host.count("--logout"), 0, "u3 has another disk of it");
    manager.unmount("u3").await.unwrap();
    assert_eq!(host.count("--logout"), 1);
    assert_eq!(host.count(&format!("{node} -I default -o delete")), 1);
    assert!(host.system.mounts.lock().is_empty());
}

#[tokio::test]
async fn a_server_may_want_to_know_who_asks() {
    let host = Arc::new(Host::new());
    let secret = json!({"metadata": {"namespace": "n", "name": "chap"}, "data": {
        "discovery.sendtargets.auth.username": "bWU=", "node.session.auth.password": "c2VjcmV0"}});
    let manager = kubelet(&host, Fake::default().with_secret(secret));
    let asks = json!({"chapAuthDiscovery": true, "chapAuthSession": true,
        "secretRef": {"name": "chap"}, "readOnly": true, "fsType": "xfs"});
    host.fails.lock().push("-v secret");
    let refused = manager
        .mount(&pod("u1", 0, asks.clone()))
        .await
        .unwrap_err();
    assert_eq!(refused.step, "MountVolume.MountDevice");
    assert!(
        refused
            .reason
            .contains("update node key \"node.session.auth.password\"")
    );
    assert!(!refused.reason.contains("secret"), "{}", refused.reason);
    host.fails.lock().clear();
    host.ran.lock().clear();
    // It is empty, and may not be written to.
    let refused = manager.mount(&pod("u1", 0, asks)).await.unwrap_err();
    assert!(refused.reason.contains("in read-only mode"), "{refused}");
    let ran = host.ran.lock().clone();
    let updates = ran
        .iter()
        .filter_map(|line| line.split_once("-o update -n "));
    let updates: Vec<_> = updates.map(|(_, update)| update).collect();
    let expected = [
        "discovery.sendtargets.auth.authmethod -v CHAP",
        "discovery.sendtargets.auth.username -v me",
        "node.session.auth.authmethod -v CHAP",
        "node.session.auth.password -v secret",
        "node.startup -v manual",
    ];
    assert_eq!(updates, expected);
    let nothing = json!({"chapAuthSession": true});
    let refused = manager.mount(&pod("u2", 0, nothing)).await.unwrap_err();
    assert!(refused.reason.contains("secretRef"), "{refused}");
}

#[tokio::test]
async fn what_did_not_come_about_is_undone() {
    let host = Arc::new(Host::new());
    let manager = kubelet(&host, Fake::default());
    host.fails.lock().push("--login");
    let of = pod(
        "u1",
        0,
        json!({"initiatorName": "iqn.2001-04.com.example:me"}),
    );
    let refused = manager.mount(&of).await.unwrap_err();
    let expected = "failed to get any path for iscsi disk, last err seen:\niscsi: failed to attach disk: exit status 8: no answer";
    assert_eq!(refused.reason, expected);
    let own = "-m iface -I 10.0.0.1:3260:data -o update -n iface.initiatorname -v iqn.2001-04.com.example:me";
    assert_eq!(host.count(own), 1);
    assert_eq!(host.count("-o delete"), 1, "the node's record");
    // The server is gone for good: what may be left is tried until it is not.
    host.fails.lock().push("--logout");
    manager.unmount("u1").await.unwrap();
    let plugin = host.root().join("plugins/kubernetes.io/iscsi");
    assert_eq!(staged(&plugin).len(), 1);
    host.fails.lock().clear();
    manager.unstage(None).await;
    assert!(staged(&plugin).is_empty());
    assert_eq!(host.count("-m iface -I 10.0.0.1:3260:data -o delete"), 1);
}

#[tokio::test]
async fn a_disk_of_several_ways_is_one_device() {
    let host = Arc::new(Host::new());
    let objects = Fake::default().with_claim(json!({"volumeMode": "Block", "iscsi":
        {"targetPortal": "10.0.0.1", "portals": ["10.0.0.2"], "iqn": IQN, "lun": 0}}));
    let manager = kubelet(&host, objects);
    let slaves = host.dir.path().join("sys/block/dm-0/slaves");
    fs::create_dir_all(&slaves).unwrap();
    fs::write(slaves.join("sd0"), "").unwrap();
    let volumes = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]);
    let pod = json!({"metadata": {"name": "web", "namespace": "n", "uid": "u1"},
        "spec": {"containers": [{"name": "c"}], "volumes": volumes}});
    let pod: Pod = serde_json::from_value(pod).unwrap();
    let mounted = manager.mount(&pod).await.unwrap();
    assert_eq!(mounted["data"].path, host.dir.path().join("dev/dm-0"));
    assert!(mounted["data"].is_device);
    assert_eq!(host.count("mkfs") + host.count("mount "), 0);
    manager.unmount("u1").await.unwrap();
    assert_eq!(host.count("multipath -f"), 1);
    assert_eq!(host.count("--logout"), 2, "at each portal");
}

#[tokio::test]
async fn a_host_without_the_tool_says_so() {
    let mut host = Host::new();
    host.lacks_tool = true;
    let host = Arc::new(host);
    let refused = kubelet(&host, Fake::default())
        .mount(&pod("u1", 0, json!({})))
        .await;
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains("iscsiadm is missing on this node: install open-iscsi"),
        "{refused}"
    );
}
