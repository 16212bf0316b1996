//! A cluster goes on from a backup: no client that was ahead of it takes old for new.

use crate::common::{Lab, MAPS, config_map};
use hardway_deploy::backup::data::{Making, next_revision};
use hardway_deploy::http::Identity;
use hardway_deploy::pki::Pki;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn revision(object: &Value) -> i64 {
    let text = object["metadata"]["resourceVersion"].as_str();
    text.unwrap().parse().unwrap()
}

async fn put(lab: &Lab, name: &str, data: &str) -> i64 {
    let mut map = config_map(name);
    map["data"]["a"] = data.into();
    let path = format!("{MAPS}/{name}");
    let (code, answer) = lab.put(&path, &map).await;
    assert_eq!(code, 200, "{answer}");
    revision(&answer)
}

/// The lab's certificates under the names that a control plane's have.
fn pki(dir: &Path) -> Pki {
    for (from, to) in [
        ("ca.crt", "etcd-ca.crt"),
        ("server.crt", "etcd-server.crt"),
        ("server.key", "etcd-server.key"),
        ("admin.crt", "apiserver-etcd-client.crt"),
        ("admin.key", "apiserver-etcd-client.key"),
    ] {
        std::fs::copy(dir.join(from), dir.join(to)).unwrap();
    }
    Pki::new(dir)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_have_seen_after_the_backup_is_never_seen_again() {
    let mut lab = Lab::start().await;
    for name in ["changed", "deleted"] {
        lab.create(MAPS, &config_map(name)).await;
    }
    let dir = lab.dir.path().to_owned();
    let pki = pki(&dir);
    let identity = Identity {
        ca: dir.join("ca.crt"),
        certificate: dir.join("admin.crt"),
        key: dir.join("admin.key"),
    };
    let client = hardway_deploy::etcd::Client::new(vec![lab.etcd.address()], identity);
    let at = client.revision().unwrap();
    let mut snapshot = client.snapshot().unwrap();
    let mut file = std::fs::File::create(dir.join("snapshot.db")).unwrap();
    std::io::copy(&mut snapshot, &mut file).unwrap();

    // Clients see what the backup doesn't have.
    put(&lab, "changed", "2").await;
    lab.create(MAPS, &config_map("created")).await;
    let path = format!("{MAPS}/deleted");
    assert_eq!(lab.delete(&path, &Value::Null).await.0, 200);
    let seen = revision(&lab.get(MAPS).await.1);
    assert!(seen > at);

    lab.etcd.kill();
    let folder = dir.join("restored");
    let making = Making {
        snapshot: &dir.join("snapshot.db"),
        folder: &folder,
        pki: &pki,
        host: "test",
        address: [127, 0, 0, 1].into(),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let taken = now - Duration::from_secs(60);
    let made = making
        .make(|backup| next_revision(backup, taken, now, None))
        .unwrap();
    assert!(made.revision >= seen + 900_000_000, "{}", made.revision);
    std::fs::remove_dir_all(dir.join("etcd")).unwrap();
    std::fs::rename(&folder, dir.join("etcd")).unwrap();
    lab.etcd.start();
    lab.serve().await;

    // Who goes on where it was is told to begin anew …
    let watch = format!("{MAPS}?watch=1&resourceVersion={seen}");
    let told = lab.watch(&watch).await.next().await.unwrap();
    assert_eq!(told["type"], "ERROR");
    let reason = (&told["object"]["code"], &told["object"]["reason"]);
    assert_eq!(reason, (&410.into(), &"Expired".into()));
    // … and finds what was backed up, at a revision after all that it knows.
    let (_, list) = lab.get(MAPS).await;
    assert!(revision(&list) > seen);
    let items = list["items"].as_array().unwrap().iter();
    let names: Vec<(&str, &str)> = items
        .filter(|map| map["metadata"]["name"] != "kube-root-ca.crt")
        .map(|map| {
            let name = map["metadata"]["name"].as_str().unwrap();
            (name, map["data"]["a"].as_str().unwrap())
        })
        .collect();
    assert_eq!(names, [("changed", "1"), ("deleted", "1")]);
    // So does who lists what is no older than what it knows, as an informer does.
    let fresh = format!("{MAPS}?resourceVersion={seen}&resourceVersionMatch=NotOlderThan");
    assert!(revision(&lab.get(&fresh).await.1) > seen);
    // What is written from now on is later still.
    assert!(put(&lab, "changed", "3").await > revision(&list));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etcd_that_went_back_under_a_running_apiserver_is_followed_and_told() {
    let mut lab = Lab::start().await;
    lab.create(MAPS, &config_map("before")).await;
    let (data, copy) = (lab.dir.path().join("etcd"), lab.dir.path().join("copy"));
    let copied = |from: &Path, to: &Path| {
        let done = Command::new("cp").arg("-r").args([from, to]).status();
        assert!(done.unwrap().success());
    };
    lab.etcd.kill();
    copied(&data, &copy);
    lab.etcd.start();
    lab.until("it goes on", async || {
        lab.try_get("/readyz").await == Some(200)
    })
    .await;
    lab.create(MAPS, &config_map("after")).await;
    let seen = revision(&lab.get(MAPS).await.1);
    let watch = format!("{MAPS}?watch=1&resourceVersion={seen}");
    let mut watch = lab.watch(&watch).await;

    lab.etcd.kill();
    std::fs::remove_dir_all(&data).unwrap();
    copied(&copy, &data);
    lab.etcd.start();
    let told = watch.next().await.unwrap();
    assert_eq!(told["object"]["code"], 410, "{told}");
    let (code, list) = lab.get(MAPS).await;
    assert_eq!(code, 200, "{list}");
    assert!(revision(&list) < seen);
    assert_eq!(lab.try_get(&format!("{MAPS}/after")).await, Some(404));
    assert_eq!(lab.try_get(&format!("{MAPS}/before")).await, Some(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_is_cut_or_changed_makes_no_store() {
    let lab = Lab::start().await;
    let dir = lab.dir.path().to_owned();
    let pki = pki(&dir);
    let identity = pki.identity("etcd-ca", "apiserver-etcd-client");
    let client = hardway_deploy::etcd::Client::new(vec![lab.etcd.address()], identity);
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut client.snapshot().unwrap(), &mut bytes).unwrap();
    let middle = bytes.len() / 2;
    let mut changed = bytes.clone();
    changed[middle] ^= 1;
    for broken in [&bytes[..middle], &changed] {
        std::fs::write(dir.join("snapshot.db"), broken).unwrap();
        let making = Making {
            snapshot: &dir.join("snapshot.db"),
            folder: &dir.join("restored"),
            pki: &pki,
            host: "test",
            address: [127, 0, 0, 1].into(),
        };
        let failure = making.make(|backup| backup + 1).unwrap_err();
        assert!(failure.what.contains("snapshot restore"), "{failure}");
    }
}
