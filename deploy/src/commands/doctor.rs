//! `hardway doctor`: how the whole installation is, host by host, and then what is wrong in the
//! cluster.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anstream::println;
use serde_json::Value;

use crate::components;
use crate::doctor::facts::{Facts, SCRIPT};
use crate::doctor::leaks::{self, Pods};
use crate::doctor::processes::{self, Health};
use crate::doctor::{Line, State, certificates, clocks, etcd, kernel, room, rotation};
use crate::failure::{OrFail, Result};
use crate::health;
use crate::host::{Layout, systemd};
use crate::http::{self, Identity, Request};
use crate::lab::{Lab, node};
use crate::packaging::Package;
use crate::pki::{CLUSTER_CA, ETCD_CA};
use crate::plan::{API_PORT, Host};
use crate::shell;

use super::tools;

/// What `doctor` may be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Only what the API shows of the cluster of this kubeconfig, which may be any Kubernetes
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

impl Options {
    /// Whether a cluster is named by its kubeconfig: then no host is looked at.
    pub fn only_api(&self) -> bool {
        self.kubeconfig.is_some() || self.context.is_some()
    }
}

/// Whether this host is one of a cluster that was set up with `init` or `join`.
pub fn is_real_host() -> bool {
    Layout::new(Path::new("/")).pki().certificate("ca").exists()
}

/// Looks at the hosts of a lab and its cluster; gives the exit code.
///
/// # Errors
/// If `hardway-why` can't be run.
pub fn of_lab(lab: &Lab) -> Result<u8> {
    let mut worst = State::Good;
    for host in lab.plan.hosts() {
        worst = worst.max(show(&host.name, &lab_host(lab, &host)));
    }
    let clocks = clocks::look(lab.apiserver(), &lab.administrator());
    worst = worst.max(show("all hosts", &[clocks]));
    let kubeconfig = lab.kubeconfigs().join("admin.kubeconfig");
    let cluster = cluster(Some(lab), Some(&kubeconfig), None)?;
    Ok(together(code(worst), cluster))
}

/// Looks at this host, and the cluster if it is a control plane; gives the exit code.
///
/// # Errors
/// If `hardway-why` can't be run.
pub fn of_this_host() -> Result<u8> {
    let layout = Layout::new(Path::new("/"));
    let worst = show("this host", &real_host(&layout));
    let kubeconfig = layout.kubeconfigs().join("admin.kubeconfig");
    let cluster = match kubeconfig.exists() {
        true => cluster(None, Some(&kubeconfig), None)?,
        false => 0,
    };
    Ok(together(code(worst), cluster))
}

/// Looks at what the API shows; gives the exit code.
///
/// # Errors
/// If `hardway-why` can't be run.
pub fn of_cluster(options: &Options) -> Result<u8> {
    cluster(
        None,
        options.kubeconfig.as_deref(),
        options.context.as_deref(),
    )
}

fn code(worst: State) -> u8 {
    match worst {
        State::Good => 0,
        State::Unknown => 2,
        State::Warning | State::Bad => 1,
    }
}

/// The code of both: something wrong counts for more than something unseen.
fn together(hosts: u8, cluster: u8) -> u8 {
    match hosts == 1 || cluster == 1 {
        true => 1,
        false => hosts.max(cluster),
    }
}

/// A host's lines; how the worst of them is.
fn show(name: &str, lines: &[Line]) -> State {
    println!("{name}");
    for line in lines {
        println!("  {:8} {}: {}", line.state, line.what, line.says);
        if !line.way_out.is_empty() {
            println!("             → {}", line.way_out);
        }
    }
    let worst = lines.iter().map(|it| it.state).max();
    worst.unwrap_or(State::Unknown)
}

/// What is wrong in the cluster, as `hardway-why` tells it; its exit code.
fn cluster(lab: Option<&Lab>, kubeconfig: Option<&Path>, context: Option<&str>) -> Result<u8> {
    println!("cluster");
    let program = tools::find(tools::Tool::Why.program(), lab)?;
    let mut command = Command::new(&program);
    command.arg("-A");
    if let Some(file) = kubeconfig {
        command.arg("--kubeconfig").arg(file);
    }
    if let Some(context) = context {
        command.args(["--context", context]);
    }
    let status = command.status();
    let status = status.or_fail(|| format!("run {}", program.display()))?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(2))
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |it| it.as_secs())
}

fn lab_host(lab: &Lab, host: &Host) -> Vec<Line> {
    let printed = node::inside(lab, host).and_then(|inside| {
        let words: Vec<&str> = inside.iter().map(String::as_str).collect();
        shell::run(words[0], &[&words[1..], &["sh", "-c", SCRIPT]].concat())
    });
    let facts = match printed {
        Ok(printed) => Facts::parse(&printed),
        Err(failure) => {
            let way_out = failure.way_out.clone().unwrap_or_default();
            return vec![Line::bad("host", failure.to_string(), way_out)];
        }
    };
    let specs = components::specs(lab, host);
    let of = |name: &str| {
        (
            name.to_owned(),
            health::check(lab, host, name, "/healthz").map_err(|it| it.why),
        )
    };
    let health: Vec<Health> = specs.iter().map(|it| of(&it.name)).collect();
    let names: Vec<String> = specs.iter().map(|it| it.name.clone()).collect();
    let mut lines = processes::check(&health, "hardway restart");
    lines.push(processes::ports(&facts, &names));
    lines.extend(common(&facts, host.role.runs_pods()));
    if host.role.is_control_plane() {
        // All of the nodes are made here, too, where there are no more hosts of the control plane.
        let folder = lab.control_plane_pki(host).certificate(CLUSTER_CA);
        let lives = certificates::read(folder.parent().unwrap_or(&lab.folder));
        lines.push(certificates::check(&lives, now().cast_signed()));
        lines.extend(rotation::look(&lab.control_plane_pki(host)));
        lines.extend(of_etcd((host.address, 2379).into(), &lab.etcd_client()));
    }
    if host.role.runs_pods() {
        let path = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{}", host.name);
        lines.extend(match lab.api().get(&path) {
            Ok(Some(list)) => leaks::check(&facts, &Pods::of(&list), &host.cgroup),
            Ok(None) => Vec::new(),
            Err(failure) => vec![Line::unknown(
                "leaks",
                failure.why,
                "see the cluster's API server",
            )],
        });
    }
    lines
}

fn common(facts: &Facts, runs_pods: bool) -> Vec<Line> {
    let mut lines = kernel::check(facts, runs_pods);
    lines.extend(room::disks(facts));
    lines.push(room::clock(facts, now()));
    lines
}

fn real_host(layout: &Layout) -> Vec<Line> {
    let facts = match shell::run("sh", &["-c", SCRIPT]) {
        Ok(printed) => Facts::parse(&printed),
        Err(failure) => return vec![Line::bad("host", failure.to_string(), "run it as root")],
    };
    let is_installed = |unit: &&str| layout.path("usr/lib/systemd/system").join(unit).exists();
    let units = |package: Package| {
        package
            .units()
            .iter()
            .copied()
            .filter(is_installed)
            .collect::<Vec<_>>()
    };
    let (control, nodes) = (units(Package::ControlPlane), units(Package::Node));
    let health: Vec<Health> = control
        .iter()
        .chain(&nodes)
        .map(|unit| {
            let health = systemd::is_active(unit)
                .then_some(())
                .ok_or("is not active");
            ((*unit).to_owned(), health.map_err(str::to_owned))
        })
        .collect();
    let mut lines = processes::check(&health, "journalctl -u UNIT; systemctl restart");
    lines.extend(common(&facts, !nodes.is_empty()));
    let lives = certificates::read(&layout.etc().join("pki"));
    lines.push(certificates::check(&lives, now().cast_signed()));
    lines.extend(rotation::look(&layout.pki()));
    if !control.is_empty() {
        let identity = layout.pki().identity(ETCD_CA, "apiserver-etcd-client");
        lines.extend(of_etcd(([127, 0, 0, 1], 2379).into(), &identity));
        let identity = layout.pki().identity(CLUSTER_CA, "admin");
        lines.push(clocks::look(([127, 0, 0, 1], API_PORT).into(), &identity));
    }
    lines
}

fn of_etcd(address: std::net::SocketAddr, identity: &Identity) -> Vec<Line> {
    let metrics = match http::get_tls(address, "/metrics", identity) {
        Ok(answer) => String::from_utf8_lossy(&answer.body).into_owned(),
        Err(failure) => {
            return vec![Line::bad(
                "etcd",
                failure.to_string(),
                "see its log, and that its disk has room",
            )];
        }
    };
    let request = Request {
        method: "POST",
        path: "/v3/maintenance/alarm",
        content_type: "application/json",
        body: br#"{"action":"GET"}"#,
    };
    let alarms = http::send_tls(address, &request, identity).ok();
    let alarms = alarms.filter(|it| it.status == 200);
    let alarms: Option<Value> = alarms.and_then(|it| serde_json::from_slice(&it.body).ok());
    etcd::check(&metrics, alarms.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_counts_for_more_than_what_is_unseen() {
        assert_eq!(together(code(State::Good), 0), 0);
        assert_eq!(together(code(State::Unknown), 1), 1);
        assert_eq!(together(code(State::Bad), 2), 1);
        assert_eq!(together(code(State::Good), 2), 2);
    }
}
