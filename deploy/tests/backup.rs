//! Backups of a real etcd, and what becomes of them.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hardway_deploy::backup::staged::{Journal, Staged, in_the_way};
use hardway_deploy::backup::{self, Source};
use hardway_deploy::etcd::Client;
use hardway_deploy::host::cluster::Cluster;
use hardway_deploy::host::{Layout, control_plane};
use hardway_deploy::pki::{self, ETCD_CA, Pki};
use jiff::Timestamp;
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(60);
const HOST: &str = "control-plane";

/// A control plane's host as far as backups go: files below a root, and an etcd.
struct Host {
    root: tempfile::TempDir,
    cluster: Cluster,
    etcd: Child,
    port: u16,
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.etcd.kill();
        let _ = self.etcd.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// An etcd in a folder, which takes clients with certificates of this PKI.
fn etcd(pki: &Pki, folder: &Path) -> (Child, u16) {
    let (port, peer) = (free_port(), free_port());
    let url = format!("https://127.0.0.1:{port}");
    let peer = format!("http://127.0.0.1:{peer}");
    let child = Command::new("etcd")
        .args(["--name", HOST, "--logger=zap", "--log-level=error"])
        .arg("--data-dir")
        .arg(folder)
        .args([
            "--listen-client-urls",
            &url,
            "--advertise-client-urls",
            &url,
        ])
        .args(["--listen-peer-urls", &peer])
        .args(["--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &format!("{HOST}={peer}")])
        .arg("--client-cert-auth")
        .arg("--cert-file")
        .arg(pki.certificate("etcd-server"))
        .arg("--key-file")
        .arg(pki.key("etcd-server"))
        .arg("--trusted-ca-file")
        .arg(pki.certificate(ETCD_CA))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("etcd is installed (Debian: etcd-server)");
    (child, port)
}

fn client(pki: &Pki, port: u16) -> Client {
    let identity = pki.identity(ETCD_CA, "apiserver-etcd-client");
    let client = Client::new(vec![([127, 0, 0, 1], port).into()], identity);
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = client.revision() {
        assert!(Instant::now() < deadline, "{error}");
        thread::sleep(Duration::from_millis(20));
    }
    client
}

fn put(client: &Client, key: &str, value: &str) {
    let body = json!({
        "key": BASE64_STANDARD.encode(key),
        "value": BASE64_STANDARD.encode(value),
    });
    client.call("/v3/kv/put", &body).unwrap();
}

impl Host {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let cluster = Cluster::at([10, 88, 0, 10].into());
        let layout = Layout::new(root.path());
        let leaves =
            pki::of_control_plane(&control_plane::host(&cluster, HOST), &cluster.api_names());
        layout
            .pki()
            .ensure_leaves(&leaves, SystemTime::now())
            .unwrap();
        fs::write(layout.etc().join("cluster.yaml"), cluster.to_yaml()).unwrap();
        fs::write(layout.etc().join("encryption.yaml"), "kind: x").unwrap();
        let (etcd, port) = etcd(&layout.pki(), &root.path().join("var/lib/hardway/etcd"));
        Self {
            root,
            cluster,
            etcd,
            port,
        }
    }

    fn layout(&self) -> Layout {
        Layout::new(self.root.path())
    }

    fn client(&self) -> Client {
        client(&self.layout().pki(), self.port)
    }

    fn back_up(&self) -> PathBuf {
        let layout = self.layout();
        let source = Source {
            layout: &layout,
            cluster: &self.cluster,
            host: HOST.to_owned(),
            etcd: self.client(),
        };
        let path = self.root.path().join("backup.tar.gz");
        backup::take(&source, &path, &[]).unwrap();
        path
    }
}

#[test]
fn a_fresh_host_goes_on_from_a_backup() {
    let old = Host::new();
    let client = old.client();
    put(&client, "/registry/configmaps/default/a", "1");
    put(
        &client,
        "/registry/leases/kube-system/kube-scheduler",
        "old",
    );
    put(&client, "/registry/leases/kube-node-lease/worker-1", "kept");
    let archive = old.back_up();
    let mode = fs::metadata(&archive).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let facts = backup::verify(&archive, None).unwrap();
    assert_eq!((facts.host.as_str(), facts.members), (HOST, 1));
    assert_eq!(backup::facts(&archive, None).unwrap(), facts);
    // What standard tools make of it.
    let listed = Command::new("tar")
        .arg("tzf")
        .arg(&archive)
        .output()
        .unwrap();
    let names = String::from_utf8(listed.stdout).unwrap();
    assert!(names.contains("etc/hardway/pki/ca.key\n"), "{names}");
    assert!(!names.contains("apiserver.key"), "{names}");
    assert!(names.ends_with("etcd/snapshot.db\nSHA256SUMS\n"), "{names}");
    put(&client, "/registry/configmaps/default/a", "2");
    let seen = client.revision().unwrap();

    let fresh = tempfile::tempdir().unwrap();
    let layout = Layout::new(fresh.path());
    let staged = Staged::on(&layout);
    assert_eq!(staged.unpack(&archive, None).unwrap(), facts);
    let ca = staged.ca().unwrap();
    assert!(in_the_way(&layout, &ca).unwrap().is_empty());
    let cluster = staged.cluster(Some([10, 88, 0, 20].into())).unwrap();
    let made = staged
        .prepare(&facts, &cluster, "other", Timestamp::now())
        .unwrap();
    assert!(made.revision > seen + 900_000_000);
    let journal: Journal = staged.journal().unwrap().unwrap();
    assert_eq!(
        (journal.host.as_str(), journal.address),
        ("other", cluster.address)
    );
    assert!(
        staged.install(&journal).unwrap().is_empty(),
        "nothing was there"
    );
    staged.remove().unwrap();
    for name in ["pki/ca.key", "pki/sa.key", "encryption.yaml"] {
        let read = |layout: &Layout| fs::read(layout.etc().join(name)).unwrap();
        assert_eq!(read(&layout), read(&old.layout()), "{name}");
    }
    // The old host sees that it has something to lose.
    assert_eq!(in_the_way(&old.layout(), &ca).unwrap().len(), 1);

    let (mut child, port) = etcd(&layout.pki(), &fresh.path().join("var/lib/hardway/etcd"));
    let restored = self::client(&layout.pki(), port);
    assert!(restored.revision().unwrap() >= made.revision);
    let counts = [
        ("/registry/configmaps/", 1),
        ("/registry/leases/kube-system/", 0),
        ("/registry/leases/kube-node-lease/", 1),
    ];
    for (prefix, count) in counts {
        assert_eq!(restored.count(prefix).unwrap(), count, "{prefix}");
    }
    let members = restored.members().unwrap();
    let peers: Vec<&str> = members
        .iter()
        .flat_map(|it| &it.peer_urls)
        .map(String::as_str)
        .collect();
    assert_eq!(peers, ["https://10.88.0.20:2380"]);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_backup_that_is_not_whole_changes_nothing() {
    let host = Host::new();
    let archive = host.back_up();
    let bytes = fs::read(&archive).unwrap();
    let fresh = tempfile::tempdir().unwrap();
    let layout = Layout::new(fresh.path());
    let staged = Staged::on(&layout);
    let mut changed = bytes.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    for broken in [&bytes[..bytes.len() - 100], &bytes[..middle], &changed] {
        fs::write(&archive, broken).unwrap();
        assert!(backup::verify(&archive, None).is_err());
        assert!(staged.unpack(&archive, None).is_err());
        let left = fs::read_dir(fresh.path().join("var/lib/hardway"))
            .unwrap()
            .count();
        assert_eq!(left, 0);
    }
}

#[test]
fn only_who_has_the_key_reads_an_encrypted_one() {
    let host = Host::new();
    let archive = host.back_up();
    let dir = host.root.path();
    // In place of age: its header, and a key that fits or doesn't.
    let script = "#!/bin/sh\n\
        [ \"$1 $2\" = '--decrypt --identity' ] && [ \"$(cat \"$3\")\" = good ] ||\n\
        { echo 'age: error: no identity matched any of the recipients' >&2; exit 1; }\n\
        tail -c +23\n";
    let age = dir.join("bin/age");
    fs::create_dir(dir.join("bin")).unwrap();
    let write = Command::new("sh")
        .args(["-c", "printf %s \"$1\" > \"$0\" && chmod 0755 \"$0\""])
        .arg(&age)
        .arg(script)
        .status();
    assert!(write.unwrap().success());
    let encrypted = [
        b"age-encryption.org/v1\n".as_slice(),
        &fs::read(&archive).unwrap(),
    ];
    fs::write(dir.join("backup.age"), encrypted.concat()).unwrap();
    fs::write(dir.join("good"), "good").unwrap();
    fs::write(dir.join("bad"), "bad").unwrap();
    let verify = |key: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hardway"));
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", dir.join("bin").display()));
        command
            .args(["backup", "verify"])
            .arg(dir.join("backup.age"));
        if let Some(key) = key {
            command.arg("--identity").arg(dir.join(key));
        }
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    };
    let (is_whole, said) = verify(Some("good"));
    assert!(
        is_whole && said.contains("is whole: cluster hardway on control-plane"),
        "{said}"
    );
    let (is_whole, said) = verify(Some("bad"));
    assert!(!is_whole && said.contains("no identity matched"), "{said}");
    let (is_whole, said) = verify(None);
    assert!(!is_whole && said.contains("it is encrypted"), "{said}");
}

/// The figures of SPECIFICATION.md: `cargo test --release -p hardway-deploy --test backup --
/// --ignored --nocapture`.
#[test]
#[ignore = "writes a gigabyte, and measures"]
fn a_gigabyte() {
    let host = Host::new();
    let client = host.client();
    // As objects are: the same words, and what differs in each.
    for index in 0..6_700_u32 {
        let lines = (0..2_000_u64).map(|line| {
            let number = (u64::from(index) << 32 | line).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            format!("{{\"name\":\"container-{line}\",\"image\":\"registry.example/{number:x}\"}}")
        });
        let value: String = lines.collect();
        put(&client, &format!("/registry/pods/default/p{index}"), &value);
    }
    let size = |path: &Path| fs::metadata(path).unwrap().len() as f64 / f64::from(1 << 30);
    let took =
        |what: &str, began: Instant| println!("{what}: {:.1} s", began.elapsed().as_secs_f64());
    let began = Instant::now();
    let archive = host.back_up();
    took("backup", began);
    println!("archive: {:.2} GiB", size(&archive));
    let fresh = tempfile::tempdir_in(host.root.path()).unwrap();
    let layout = Layout::new(fresh.path());
    let staged = Staged::on(&layout);
    let began = Instant::now();
    let facts = staged.unpack(&archive, None).unwrap();
    took("unpacked and checked", began);
    let cluster = staged.cluster(None).unwrap();
    let prepared = Instant::now();
    staged
        .prepare(&facts, &cluster, HOST, Timestamp::now())
        .unwrap();
    took("store made and tried", prepared);
    staged.install(&staged.journal().unwrap().unwrap()).unwrap();
    took("restore", began);
    println!(
        "store: {:.2} GiB",
        size(&layout.path("var/lib/hardway/etcd/member/snap/db"))
    );
    let began = Instant::now();
    client.clone().defragment().unwrap();
    took("defragmentation", began);
}
