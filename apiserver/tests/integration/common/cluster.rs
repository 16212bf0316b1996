//! An etcd of several members.

use super::{Lab, PATIENCE, free_port};
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::time::Instant;

/// Three members on the loopback; they end with the value.
pub struct Cluster {
    dir: PathBuf,
    members: Vec<Member>,
}

struct Member {
    child: Child,
    port: u16,
    peer: u16,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for member in &mut self.members {
            let _ = member.child.kill();
            let _ = member.child.wait();
        }
    }
}

impl Cluster {
    fn start(dir: &Path) -> Self {
        let ports: Vec<(u16, u16)> = (0..3).map(|_| (free_port(), free_port())).collect();
        let peers = ports.iter().enumerate();
        let peers = peers.map(|(i, (_, peer))| format!("m{i}=http://127.0.0.1:{peer}"));
        let peers = peers.collect::<Vec<_>>().join(",");
        let members = ports.iter().enumerate();
        let members = members.map(|(i, (port, peer))| Member {
            child: command(dir, i, *port, *peer, &peers)
                .spawn()
                .expect("etcd is installed"),
            port: *port,
            peer: *peer,
        });
        Self {
            dir: dir.to_owned(),
            members: members.collect(),
        }
    }

    /// What an apiserver is told, the member `first` being its own.
    pub fn urls(&self, first: usize) -> String {
        let ports = (0..3).map(|i| self.members[(first + i) % 3].port);
        let urls: Vec<String> = ports
            .map(|port| format!("https://127.0.0.1:{port}"))
            .collect();
        urls.join(",")
    }

    /// Whether a member has a leader and all that the majority has agreed on.
    pub async fn has_caught_up(&self, lab: &Lab, index: usize) -> bool {
        let status = async |index: usize| {
            let url = format!("https://127.0.0.1:{}", self.members[index].port);
            let mut client = lab.etcd_client_of(url).await.ok()?;
            client.status().await.ok()
        };
        // The others are asked first: it has to have what they had then.
        let (Some(one), Some(other)) =
            (status((index + 1) % 3).await, status((index + 2) % 3).await)
        else {
            return false;
        };
        let agreed = one.raft_index().max(other.raft_index());
        let own = status(index).await;
        own.is_some_and(|own| own.leader() != 0 && own.raft_applied_index() >= agreed)
    }

    /// It hangs: the kernel goes on taking what is sent to it.
    pub fn hang(&self, index: usize) {
        self.signal(index, Signal::STOP);
    }

    pub fn go_on(&self, index: usize) {
        self.signal(index, Signal::CONT);
    }

    pub fn kill(&mut self, index: usize) {
        let child = &mut self.members[index].child;
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts one again that was killed.
    pub fn restart(&mut self, index: usize) {
        let (port, peer) = (self.members[index].port, self.members[index].peer);
        let mut command = command(&self.dir, index, port, peer, "");
        self.members[index].child = command.spawn().unwrap();
    }

    fn signal(&self, index: usize, signal: Signal) {
        kill_process(Pid::from_child(&self.members[index].child), signal).unwrap();
    }
}

fn command(dir: &Path, index: usize, port: u16, peer: u16, initial: &str) -> Command {
    let file = |name: &str| dir.join(name);
    let url = format!("https://127.0.0.1:{port}");
    let peer = format!("http://127.0.0.1:{peer}");
    let mut command = Command::new("etcd");
    command
        .args([
            &format!("--name=m{index}"),
            "--logger=zap",
            "--log-level=fatal",
        ])
        .arg("--client-cert-auth")
        .args([
            format!("--listen-client-urls={url}"),
            format!("--advertise-client-urls={url}"),
        ])
        .args([
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
        ])
        .arg("--data-dir")
        .arg(file(&format!("m{index}")))
        .arg("--cert-file")
        .arg(file("server.crt"))
        .arg("--key-file")
        .arg(file("server.key"))
        .arg("--trusted-ca-file")
        .arg(file("ca.crt"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if !initial.is_empty() {
        command.arg(format!("--initial-cluster={initial}"));
    }
    command
}

impl Lab {
    /// An apiserver on three members, of which the first is its own.
    pub async fn on_three() -> (Self, Cluster) {
        let mut lab = Self::without_server(|_| Vec::new()).await;
        lab.etcd.kill();
        let cluster = Cluster::start(lab.dir.path());
        lab.etcd_url = Some(cluster.urls(0));
        lab.serve().await;
        (lab, cluster)
    }

    /// Waits for what may fail in between, and says how long that took.
    pub async fn how_long(&self, what: &str, attempt: impl AsyncFn() -> bool) -> Duration {
        let begun = Instant::now();
        while !attempt().await {
            assert!(begun.elapsed() < PATIENCE, "timed out: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        begun.elapsed()
    }
}
