//! With real processes of etcd, each a host of its own as far as it can tell: they have
//! certificates, folders and ports of their own on 127.0.0.1.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use super::*;
use crate::http::Identity;
use crate::pki::{ApiNames, ETCD_CA, Pki, of_control_plane};
use crate::plan::{Host, Role};

/// How long a process may take on a machine that is busy.
const DEADLINE: Duration = Duration::from_secs(60);

/// The folder of all, with one CA and one certificate for all.
struct Site {
    folder: tempfile::TempDir,
    pki: Pki,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::new(&folder.path().join("pki"));
        let host = Host {
            name: "host".to_owned(),
            role: Role::ControlPlane,
            address: Ipv4Addr::LOCALHOST,
            mac: String::new(),
            namespace: String::new(),
            link: String::new(),
            cgroup: String::new(),
        };
        let leaves = of_control_plane(&host, &ApiNames::default());
        pki.ensure_leaves(&leaves, SystemTime::now()).unwrap();
        Self { folder, pki }
    }

    fn identity(&self) -> Identity {
        self.pki.identity(ETCD_CA, "apiserver-etcd-client")
    }

    fn etcd(&self, name: &str) -> Etcd<'_> {
        let port = || {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            free.local_addr().unwrap().port()
        };
        let address: SocketAddr = (Ipv4Addr::LOCALHOST, port()).into();
        Etcd {
            site: self,
            name: name.to_owned(),
            data: self.folder.path().join(name),
            peer_url: format!("https://127.0.0.1:{}", port()),
            client: Client::new(vec![address], self.identity()),
            address,
            process: RefCell::new(None),
        }
    }
}

struct Etcd<'a> {
    site: &'a Site,
    name: String,
    data: PathBuf,
    peer_url: String,
    address: SocketAddr,
    client: Client,
    process: RefCell<Option<Child>>,
}

impl Etcd<'_> {
    fn start(&self, cluster: &str, state: &str) {
        self.start_with(&[
            ("ETCD_INITIAL_CLUSTER", cluster),
            ("ETCD_INITIAL_CLUSTER_STATE", state),
        ]);
    }

    fn start_with(&self, variables: &[(&str, &str)]) {
        let (pki, clients) = (&self.site.pki, format!("https://{}", self.address));
        let (certificate, key) = (pki.certificate("etcd-server"), pki.key("etcd-server"));
        let flag = |name: &str, value: &dyn std::fmt::Display| format!("--{name}={value}");
        let path = |name: &str, path: &Path| flag(name, &path.display());
        let log = std::fs::File::create(self.data.with_extension("log")).unwrap();
        let etcd = crate::shell::find_program("etcd").unwrap();
        let child = Command::new(etcd)
            .args([
                flag("name", &self.name),
                path("data-dir", &self.data),
                flag("listen-client-urls", &clients),
                flag("advertise-client-urls", &clients),
                flag("listen-peer-urls", &self.peer_url),
                flag("initial-advertise-peer-urls", &self.peer_url),
                flag("client-cert-auth", &true),
                path("cert-file", &certificate),
                path("key-file", &key),
                path("trusted-ca-file", &pki.certificate(ETCD_CA)),
                flag("peer-client-cert-auth", &true),
                path("peer-cert-file", &certificate),
                path("peer-key-file", &key),
                path("peer-trusted-ca-file", &pki.certificate(ETCD_CA)),
                flag("logger", &"zap"),
                flag("log-outputs", &"stderr"),
            ])
            .envs(variables.iter().copied())
            .stderr(Stdio::from(log))
            .spawn()
            .unwrap();
        let former = self.process.borrow_mut().replace(child);
        assert!(former.is_none(), "{} runs already", self.name);
    }

    fn stop(&self) {
        if let Some(mut child) = self.process.borrow_mut().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn has_ended(&self) -> bool {
        let mut process = self.process.borrow_mut();
        let child = process.as_mut().unwrap();
        let has_ended = child.try_wait().unwrap().is_some();
        if has_ended {
            *process = None;
        }
        has_ended
    }

    fn lose_disk(&self) {
        self.stop();
        std::fs::remove_dir_all(&self.data).unwrap();
    }

    /// Alone, as `init` starts it.
    fn found(&self) {
        self.start(&format!("{}={}", self.name, self.peer_url), "new");
        self.await_answer();
    }

    fn await_answer(&self) {
        until("it answers", || self.client.status().is_ok());
    }

    fn joins(&self, others: &Client) -> Result<String> {
        join(others, self, &self.name, &self.peer_url)
    }

    fn put(&self, key: &str) {
        use base64::Engine;
        use base64::prelude::BASE64_STANDARD;
        let key = BASE64_STANDARD.encode(key);
        let body = serde_json::json!({"key": key, "value": key});
        self.client.call("/v3/kv/put", &body).unwrap();
    }

    fn count(&self) -> serde_json::Value {
        // All keys: from 0 to 0, as base64.
        let body = serde_json::json!({"key": "AA==", "range_end": "AA==", "count_only": true});
        self.client.call("/v3/kv/range", &body).unwrap()["count"].clone()
    }
}

impl Local for Etcd<'_> {
    fn has_data(&self) -> bool {
        crate::etcd::has_log(&self.data)
    }

    fn run(&self, initial_cluster: Option<&str>) -> Result<()> {
        if self.process.borrow().is_none() {
            self.start(initial_cluster.unwrap_or_default(), "existing");
        }
        self.await_answer();
        Ok(())
    }

    fn client(&self) -> &Client {
        &self.client
    }
}

impl Drop for Etcd<'_> {
    fn drop(&mut self) {
        if let Some(mut child) = self.process.borrow_mut().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < DEADLINE, "waited in vain until {what}");
        thread::sleep(PAUSE / 4);
    }
}

fn full(client: &Client) -> Vec<String> {
    let members = client.members().unwrap();
    let mut names: Vec<String> = members
        .into_iter()
        .filter(|member| !member.is_learner)
        .map(|member| member.name)
        .collect();
    names.sort();
    names
}

#[test]
fn members_come_are_interrupted_replaced_and_go() {
    let site = Site::new();
    let (a, b, c) = (site.etcd("a"), site.etcd("b"), site.etcd("c"));
    a.found();
    a.put("x");
    b.joins(&a.client).unwrap();
    assert_eq!(full(&a.client), ["a", "b"]);
    assert_eq!(b.count(), "1");
    // Again: nothing is to be done.
    assert_eq!(b.joins(&a.client).unwrap(), "it is one of 2");

    // The host that joined third was cut off as soon as it was added.
    let both = Client::new(vec![a.address, b.address], site.identity());
    until("a third is taken", || both.add_learner(&c.peer_url).is_ok());
    assert_eq!(full(&both), ["a", "b"]);
    c.joins(&both).unwrap();
    assert_eq!(full(&both), ["a", "b", "c"]);

    // It loses its disk, and is one of them again; what was written is there.
    c.lose_disk();
    // systemd goes on starting it. It must not begin as the member that it was.
    c.start("", "existing");
    until("it gives up", || c.has_ended());
    assert!(!c.has_data());
    a.put("y");
    let members = both.members().unwrap();
    let former = members.iter().find(|member| member.name == "c").unwrap().id;
    c.joins(&both).unwrap();
    let members = both.members().unwrap();
    assert!(
        members.iter().all(|member| member.id != former),
        "{members:?}"
    );
    until("it has what was written", || c.count() == "2");

    // Another host of its name is turned away.
    let mut other = site.etcd("d");
    "c".clone_into(&mut other.name);
    let failure = other.joins(&both).unwrap_err();
    assert!(
        failure.why.contains("another member is called c"),
        "{failure}"
    );
    assert!(!other.has_data());

    // One that was taken out has left-overs, which it is told of.
    let id = members.iter().find(|member| member.name == "c").unwrap().id;
    until("it is taken out", || both.remove(id).is_ok());
    c.stop();
    let failure = c.joins(&both).unwrap_err();
    assert!(failure.way_out.unwrap().contains("hardway reset"));
    assert_eq!(full(&both), ["a", "b"]);
}

#[test]
fn hosts_that_were_given_up_are_turned_away_by_the_one_that_went_on() {
    let site = Site::new();
    let (a, b, c) = (site.etcd("a"), site.etcd("b"), site.etcd("c"));
    a.found();
    b.joins(&a.client).unwrap();
    let both = Client::new(vec![a.address, b.address], site.identity());
    c.joins(&both).unwrap();
    a.put("x");
    for etcd in [&a, &b, &c] {
        etcd.stop();
    }
    c.start_with(&[("ETCD_FORCE_NEW_CLUSTER", "true")]);
    c.await_answer();
    c.put("y");
    let stored = c.count();
    assert_eq!(full(&c.client), ["c"]);
    c.stop();
    c.start("", "existing");
    c.await_answer();

    // Nobody has reset them.
    for etcd in [&a, &b] {
        etcd.start("", "existing");
    }
    for etcd in [&a, &b] {
        until("it ends", || etcd.has_ended());
    }
    assert_eq!(full(&c.client), ["c"]);
    assert_eq!(c.count(), stored);
    let failure = a.joins(&c.client).unwrap_err();
    assert!(failure.way_out.unwrap().contains("hardway reset"));
}

#[test]
fn a_host_that_finds_nobody_says_what_must_be_open() {
    let site = Site::new();
    let (nobody, b) = (site.etcd("a"), site.etcd("b"));
    let failure = b.joins(&nobody.client).unwrap_err();
    assert!(
        failure.why.contains("no member of etcd answers"),
        "{failure}"
    );
    assert!(failure.way_out.unwrap().contains("2379"));
    assert!(!b.has_data());
}
