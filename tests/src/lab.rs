//! The lab's hosts and processes, through the operator's tool.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::kubectl::{Kubectl, Output, finish};
use crate::text::words;

/// A lab that is up.
#[derive(Debug, Clone)]
pub struct Lab {
    folder: PathBuf,
    tool: PathBuf,
}

/// A host with a kubelet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// Its name, also the node's.
    pub name: String,
    /// Its address.
    pub address: String,
}

impl Lab {
    /// The lab in $HARDWAY_LAB; the tool is $HARDWAY_TOOL, or else the one built last.
    pub fn open() -> Self {
        let folder = std::env::var_os("HARDWAY_LAB").map(PathBuf::from);
        let Some(folder) = folder else {
            panic!("these tests need a lab: run them with `cargo hardway test`");
        };
        let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/hardway");
        let tool = std::env::var_os("HARDWAY_TOOL").map_or(built, PathBuf::from);
        Self { folder, tool }
    }

    /// The lab in a folder, by this tool.
    pub(crate) fn at(folder: &Path, tool: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            tool: tool.to_owned(),
        }
    }

    /// Notes that a test was left out, and why: the summary of `hardway test` names it.
    pub fn leave_out(&self, what: &str, why: &str) {
        let note = format!("{what}: {}\n", why.replace('\n', " "));
        let file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.path("left-out"));
        file.and_then(|mut file| file.write_all(note.as_bytes()))
            .unwrap_or_else(|error| panic!("note what is left out: {error}\n{note}"));
    }

    /// A file or folder of the lab.
    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// The tool itself.
    pub fn tool_path(&self) -> &Path {
        &self.tool
    }

    /// Runs the tool.
    pub fn try_tool(&self, line: &str) -> Output {
        self.try_tool_within(Duration::from_secs(200), line)
    }

    /// The same with a patience of its own.
    pub fn try_tool_within(&self, patience: Duration, line: &str) -> Output {
        let mut command = Command::new("timeout");
        let patience = patience.as_secs().to_string();
        command.args(["--kill-after=5", &patience]).arg(&self.tool);
        command.arg("--dir").arg(&self.folder).args(words(line));
        finish(&mut command, "")
    }

    /// The tool, to be started by who wants it to go on for a while.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.tool);
        command.arg("--dir").arg(&self.folder).args(words(line));
        command
    }

    /// Runs the tool, which must succeed.
    #[track_caller]
    pub fn tool(&self, line: &str) -> String {
        let output = self.try_tool(line);
        assert!(
            output.success,
            "hardway {line}\n{}{}",
            output.stdout, output.stderr
        );
        output.stdout
    }

    /// Runs a program on a host.
    pub fn try_on(&self, host: &str, line: &str) -> Output {
        self.try_tool(&format!("node exec {host} {line}"))
    }

    /// Runs a program on a host, which must succeed.
    #[track_caller]
    pub fn on(&self, host: &str, line: &str) -> String {
        self.tool(&format!("node exec {host} {line}"))
    }

    /// Asks etcd, past the apiserver.
    #[track_caller]
    pub fn etcdctl(&self, line: &str) -> String {
        let output = self.try_etcdctl(&format!("--endpoints=https://127.0.0.1:2379 {line}"));
        let Output { success, .. } = output;
        assert!(
            success,
            "etcdctl {line}\n{}{}",
            output.stdout, output.stderr
        );
        output.stdout
    }

    /// Asks members of etcd that the line names.
    pub fn try_etcdctl(&self, line: &str) -> Output {
        let file = |name: &str| self.path("pki").join(name).display().to_string();
        let (ca, certificate, key) = (
            file("etcd-ca.crt"),
            file("apiserver-etcd-client.crt"),
            file("apiserver-etcd-client.key"),
        );
        let line = format!("etcdctl --cacert={ca} --cert={certificate} --key={key} {line}");
        self.try_on("control-plane", &line)
    }

    /// The workers, by name.
    #[track_caller]
    pub fn workers(&self) -> Vec<Worker> {
        let nodes = Kubectl::stock().json("get nodes");
        let mut workers: Vec<Worker> = nodes["items"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|node| {
                let addresses = node["status"]["addresses"].as_array();
                let address = addresses
                    .into_iter()
                    .flatten()
                    .find(|address| address["type"] == "InternalIP")
                    .unwrap_or_else(|| panic!("node without an address: {node}"));
                Worker {
                    name: text(&node["metadata"]["name"]),
                    address: text(&address["address"]),
                }
            })
            .collect();
        workers.sort_by(|a, b| a.name.cmp(&b.name));
        assert!(
            workers.len() >= 2,
            "the tests need two workers: {workers:?}"
        );
        workers
    }

    /// Address of the control plane's host.
    #[track_caller]
    pub fn control_plane(&self) -> String {
        let config = Kubectl::stock().json("config view");
        let server = text(&config["clusters"][0]["cluster"]["server"]);
        let address = server
            .strip_prefix("https://")
            .and_then(|rest| rest.rsplit_once(':'));
        address
            .unwrap_or_else(|| panic!("the kubeconfig's server is {server}"))
            .0
            .to_owned()
    }

    /// Waits until every process is well and every node Ready.
    #[track_caller]
    pub fn wait_well(&self) {
        crate::until("all processes of the lab are well", || {
            self.try_tool("status").ok().map(drop)
        });
        crate::until("all nodes are Ready", || {
            let nodes = Kubectl::stock().try_run("get nodes --no-headers").ok()?;
            let ready = nodes
                .lines()
                .all(|line| line.split_whitespace().nth(1) == Some("Ready"));
            crate::wait::holds(ready && !nodes.is_empty(), nodes)
        });
    }
}

/// A JSON string as text.
#[track_caller]
fn text(value: &serde_json::Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} should be a string"))
        .to_owned()
}
