//! A lab of a test's own, for what the lab that all tests share does not have: several hosts of
//! the control plane. It is gone when the test ends, also when it fails.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::kubectl::finish;
use crate::lab::Lab;
use crate::program::built;

/// Where the addresses and names of labs are counted from: the shared labs have the last numbers,
/// a person's the first.
const HIGHEST: u8 = 79;
/// How long one may take to be up or down.
const PATIENCE: Duration = Duration::from_secs(120);

/// What it is to have.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Hosts of the control plane.
    pub control_planes: u8,
    /// Hosts that only run pods.
    pub workers: u8,
    /// The processes to run, with commas between them; all if it is empty.
    pub only: &'static str,
}

/// A lab that goes with this value.
#[derive(Debug)]
pub struct OwnLab {
    lab: Lab,
    folder: PathBuf,
}

impl OwnLab {
    /// Brings one up from what is built; nothing is built for it.
    #[track_caller]
    pub fn up(name: &str, size: Size) -> Self {
        let tool = std::env::var_os("HARDWAY_TOOL").map_or_else(|| built("hardway"), PathBuf::from);
        let target = tool.ancestors().nth(2).expect("the folder of builds");
        let folder = target.join(format!("{name}-lab"));
        let lab = Lab::at(&folder, &tool);
        // One whose test was killed.
        down(&tool, &folder);
        let own = Self {
            lab,
            folder: folder.clone(),
        };
        let is_free = |number: &u8| !Path::new(&format!("/sys/class/net/hardway{number}")).exists();
        let number = (0..=HIGHEST)
            .rev()
            .find(is_free)
            .expect("a number for a lab");
        let Size {
            control_planes,
            workers,
            only,
        } = size;
        let mut line =
            format!("up --index {number} --control-planes {control_planes} --workers {workers}");
        if is_debug(&tool) {
            line += " --debug";
        }
        if !only.is_empty() {
            line += &format!(" --only {only}");
        }
        let output = finish(&mut command(&tool, &folder, &line), "");
        assert!(
            output.success,
            "hardway {line}\n{}{}",
            output.stdout, output.stderr
        );
        own
    }

    /// Addresses of the control plane's hosts, and their names.
    #[track_caller]
    pub fn control_planes(&self) -> Vec<(String, String)> {
        let mut hosts = vec!["control-plane".to_owned()];
        let further = (2..).map(|number| format!("control-plane-{number}"));
        hosts.extend(further.take_while(|name| self.lab.path(&format!("nodes/{name}")).exists()));
        let address = |name: &String| {
            self.lab
                .tool(&format!("ip --node {name}"))
                .trim()
                .to_owned()
        };
        hosts
            .iter()
            .map(|name| (address(name), name.clone()))
            .collect()
    }

    /// The host with the member that leads etcd, as those see it that can be asked.
    pub fn etcd_leader(&self) -> Result<String, String> {
        let hosts = self.control_planes();
        let endpoints = hosts
            .iter()
            .map(|(address, _)| format!("https://{address}:2379"));
        let endpoints: Vec<String> = endpoints.collect();
        let line = format!(
            "endpoint status --write-out=json --endpoints={}",
            endpoints.join(",")
        );
        let printed = self.lab.try_etcdctl(&line);
        // Those that don't answer are told of on standard error, and make it fail.
        let all: Value = serde_json::from_str(printed.stdout.trim()).unwrap_or_default();
        let leads = |it: &&Value| {
            let status = &it["Status"];
            !status["leader"].is_null() && status["leader"] == status["header"]["member_id"]
        };
        let found = all.as_array().into_iter().flatten().find(leads);
        let endpoint = found.and_then(|it| it["Endpoint"].as_str());
        let host = endpoint.and_then(|endpoint| {
            let is_there =
                |(address, _): &&(String, String)| endpoint.contains(&format!("//{address}:"));
            hosts.iter().find(is_there)
        });
        host.map(|(_, name)| name.clone())
            .ok_or_else(|| format!("no leader: {}{}", printed.stdout, printed.stderr))
    }

    /// Copies the logs of all processes beside the lab.
    fn keep_logs(&self) -> std::io::Result<PathBuf> {
        let kept = PathBuf::from(format!("{}-logs", self.folder.display()));
        drop(fs::remove_dir_all(&kept));
        for host in fs::read_dir(self.folder.join("nodes"))?.flatten() {
            let to = kept.join(host.file_name());
            fs::create_dir_all(&to)?;
            for log in fs::read_dir(host.path().join("log"))?.flatten() {
                fs::copy(log.path(), to.join(log.file_name()))?;
            }
        }
        Ok(kept)
    }
}

impl Deref for OwnLab {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        &self.lab
    }
}

impl Drop for OwnLab {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(kept) = self.keep_logs()
        {
            eprintln!("logs of all processes are kept in {}", kept.display());
        }
        down(self.lab.tool_path(), &self.folder);
    }
}

/// Whether to use what was quickly built: what the shared lab is of, or else the tool.
fn is_debug(tool: &Path) -> bool {
    let shared = std::env::var_os("HARDWAY_LAB").map(|lab| PathBuf::from(lab).join("lab.json"));
    let text = shared.and_then(|file| fs::read_to_string(file).ok());
    let lab: Option<Value> = text.and_then(|text| serde_json::from_str(&text).ok());
    let binaries = lab.and_then(|lab| lab["binaries"].as_str().map(PathBuf::from));
    match binaries {
        Some(binaries) => binaries.ends_with("debug"),
        None => tool
            .parent()
            .is_some_and(|folder| folder.ends_with("debug")),
    }
}

fn command(tool: &Path, folder: &Path, line: &str) -> Command {
    let mut command = Command::new("timeout");
    command
        .args(["--kill-after=5", &PATIENCE.as_secs().to_string()])
        .arg(tool)
        .arg("--dir")
        .arg(folder)
        .args(crate::text::words(line))
        // Everything is built.
        .env("CARGO", "/bin/true");
    command
}

fn down(tool: &Path, folder: &Path) {
    let output = finish(&mut command(tool, folder, "down --purge"), "");
    if !output.success {
        eprintln!("the lab in {} stays: {}", folder.display(), output.stderr);
    }
}
