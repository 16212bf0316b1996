//! From a lab that is described to processes that do their work and nodes that are Ready.

use std::fs;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::process::Change;
use super::{Lab, Ready, network, node, numbers, starting};
use crate::addons;
use crate::api::Api;
use crate::components;
use crate::failure::{Failure, OrFail, Result};
use crate::host::cluster::Cluster;
use crate::images::oci::Written;
use crate::images::publish;
use crate::plan::Host;
use crate::progress::{Outcome, Progress};
use crate::{health, shell};

/// Processes that start together, and those that must do their work before the next stage.
struct Stage {
    start: &'static [&'static str],
    wait: &'static [&'static str],
}

/// The apiserver needs the store, the others the apiserver and the container runtime.
const STAGES: [Stage; 3] = [
    Stage {
        start: &["etcd", "registry", "containerd"],
        wait: &["etcd"],
    },
    Stage {
        start: &["apiserver"],
        wait: &["apiserver", "registry", "containerd"],
    },
    Stage {
        start: OTHERS,
        wait: OTHERS,
    },
];

const OTHERS: &[&str] = &[
    "controller-manager",
    "scheduler",
    "kubelet",
    "flannel-lite",
    "proxy",
];

/// Note in a lab's folder of which objects of add-ons were applied last.
pub(super) const APPLIED: &str = "addons-applied";

/// How long nodes may take to be Ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// Switches the hosts on, starts what doesn't run in its current form, and waits until all
/// nodes are Ready. The add-ons are applied meanwhile, and may take longer.
pub fn run(lab: &Lab, images: &[Written], progress: &Progress) -> Result<()> {
    let names: Vec<String> = lab.plan.hosts().into_iter().map(|host| host.name).collect();
    let name = format!("hosts {}", names.join(", "));
    progress.step(&name, || switch_on_all(lab))?;
    let began = Instant::now();
    if lab.wants("registry") {
        progress.step("images in the registry", || publish::publish(lab, images))?;
    }
    let [store, apiserver, others] = STAGES;
    let mut changed = converge(lab, &store, progress)?;
    changed |= converge(lab, &apiserver, progress)?;
    if !lab.only.is_empty() {
        converge(lab, &others, progress)?;
        return Ok(());
    }
    std::thread::scope(|scope| {
        let has_nodes = !lab.plan.nodes().is_empty();
        let addons = has_nodes.then(|| scope.spawn(|| apply_addons(lab, images)));
        changed |= converge(lab, &others, progress)?;
        progress.step("all nodes Ready", || wait_for_nodes(lab))?;
        if changed {
            note_ready(lab, began)?;
        }
        for host in lab.plan.control_planes() {
            match host.role.runs_pods() {
                true => label_control_plane(lab, &host)?,
                false => route_to_pods(lab, &host)?,
            }
        }
        let Some(addons) = addons else { return Ok(()) };
        progress.step("add-ons", || {
            let ended = addons.join();
            ended.unwrap_or_else(|_| Err(Failure::new("apply the add-ons", "it panicked")))
        })?;
        Ok(())
    })
}

/// Brings the add-ons to what they should be. Where the same objects were applied before and
/// are still there, there is nothing to do.
fn apply_addons(lab: &Lab, images: &[Written]) -> Result<String> {
    let cluster = Cluster::at(lab.plan.control_plane().address);
    let mut objects = Vec::new();
    for addon in addons::of_lab(lab)? {
        objects.extend(addons::objects::of(addon, &cluster, images)?);
    }
    let mut api = lab.api();
    let note = lab.folder.join(APPLIED);
    let text = serde_json::to_vec(&objects).or_fail(|| "describe the add-ons")?;
    if fs::read(&note).is_ok_and(|before| before == text) && are_there(&mut api, &objects)? {
        return Ok("as they were".to_owned());
    }
    let done = addons::apply_all(&mut api, &objects)?;
    shell::write_file(&note, &text, 0o644)?;
    Ok(done)
}

fn are_there(api: &mut Api, objects: &[Value]) -> Result<bool> {
    for object in objects {
        let path = api.path(object)?;
        if api.get(&path)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn switch_on_all(lab: &Lab) -> Result<String> {
    network::ensure_bridge(&lab.plan)?;
    numbers::own(lab.plan.index, &lab.folder)?;
    if lab.internet {
        network::ensure_internet(&lab.plan)?;
    }
    let mut switched_on = 0;
    for host in lab.plan.hosts() {
        switched_on += usize::from(starting::switch_on(lab, &host)?);
    }
    Ok(match switched_on {
        0 => "all on".to_owned(),
        count => format!("{count} switched on"),
    })
}

/// Starts processes on the hosts that have them, and waits for those of the stage; says whether
/// any was not there yet.
fn converge(lab: &Lab, stage: &Stage, progress: &Progress) -> Result<bool> {
    let hosts = lab.plan.hosts();
    let here = |names| here(lab, &hosts, names);
    let (start, wait) = (here(stage.start), here(stage.wait));
    let mut names: Vec<&str> = stage.start.to_vec();
    names.retain(|name| start.iter().any(|(_, started)| started == name));
    if names.is_empty() {
        return Ok(false);
    }
    let done = progress.step(&names.join(", "), || {
        let each = start.iter();
        let changes: Vec<Change> = each
            .map(|(host, process)| starting::start(lab, host, process))
            .collect::<Result<_>>()?;
        for (host, process) in &wait {
            starting::wait_healthy(lab, host, process)?;
        }
        Ok(Changes(changes))
    })?;
    Ok(done.0.iter().any(|change| *change != Change::Kept))
}

/// These processes on the hosts that have them.
fn here<'a>(lab: &Lab, hosts: &'a [Host], names: &[&'static str]) -> Vec<(&'a Host, &'static str)> {
    let mut all = Vec::new();
    for host in hosts {
        let own = components::of_role(host.role);
        let names = names.iter().filter(|name| own.contains(name));
        all.extend(
            names
                .filter(|name| lab.wants(name))
                .map(|name| (host, *name)),
        );
    }
    all
}

fn wait_for_nodes(lab: &Lab) -> Result<()> {
    for host in lab.plan.nodes() {
        // What a node said before its host was switched off counts no more.
        let boot = node::boot_id(lab, &host);
        starting::wait(lab, &host, "kubelet", PATIENCE, || {
            let nodes = health::nodes(lab)?;
            let is_current = |node: &&health::Node| boot.is_none() || node.boot_id == boot;
            let found = nodes.iter().find(|node| node.name == host.name);
            let what = || format!("node {}", host.name);
            match found.filter(is_current) {
                Some(node) if node.ready => Ok(()),
                Some(_) => Err(Failure::new(what(), "it is not Ready")),
                None => Err(Failure::new(what(), "it has not registered")),
            }
        })?;
    }
    Ok(())
}

fn note_ready(lab: &Lab, began: Instant) -> Result<()> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let ready = Ready {
        seconds: began.elapsed().as_secs_f64(),
        at: since.unwrap_or_default().as_secs(),
    };
    let ready = Some(ready);
    Lab {
        ready,
        ..lab.clone()
    }
    .save()
}

/// Where a host of the control plane is no node, no overlay reaches it: it gets a route to each
/// worker's pods, for the apiserver to proxy to them.
fn route_to_pods(lab: &Lab, control_plane: &Host) -> Result<()> {
    let workers = lab.plan.workers();
    for node in health::nodes(lab)? {
        let worker = workers.iter().find(|host| host.name == node.name);
        if let (Some(worker), Some(subnet)) = (worker, &node.pod_cidr) {
            network::ensure_route(control_plane, subnet, worker)?;
        }
    }
    Ok(())
}

/// The role that `kubectl get nodes` shows. A kubelet may not give it to itself.
fn label_control_plane(lab: &Lab, host: &Host) -> Result<()> {
    let path = format!("/api/v1/nodes/{}", host.name);
    let labels = json!({"node-role.kubernetes.io/control-plane": ""});
    let patch = json!({"metadata": {"labels": labels}});
    lab.api().patch(&path, &patch).map(|_| ())
}

struct Changes(Vec<Change>);

impl Outcome for Changes {
    fn describe(&self) -> String {
        let count = |kind| self.0.iter().filter(|change| **change == kind).count();
        match (count(Change::Started), count(Change::Restarted)) {
            (0, 0) => ": running".to_owned(),
            (started, 0) => format!(": {started} started"),
            (0, restarted) => format!(": {restarted} restarted"),
            (started, restarted) => format!(": {started} started, {restarted} restarted"),
        }
    }
}
