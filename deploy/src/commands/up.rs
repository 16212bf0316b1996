//! `hardway up`: from whatever is there to a cluster whose nodes are Ready.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anstream::println;
use nix::fcntl::{Flock, FlockArg};

use super::start;
use crate::addons;
use crate::compile::{self, Profile};
use crate::components;
use crate::failure::{Failure, OrFail, Result};
use crate::host::cluster::Cluster;
use crate::images::publish;
use crate::lab::process::Change;
use crate::lab::{Lab, Ready, network, node};
use crate::plan::{Host, Plan};
use crate::progress::{Progress, seconds};
use crate::{encryption, health, kubeconfig, packages, shell};

/// What `up` may be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Number of worker hosts [default: as before, or 2]
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=99))]
    pub workers: Option<u8>,
    /// Number of this lab, for several on one machine [default: as before, or 0]
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=99))]
    pub index: Option<u8>,
    /// Get images that the lab's registry lacks from the internet
    #[arg(long)]
    pub internet: bool,
    /// Use quickly built, unoptimised components
    #[arg(long)]
    pub debug: bool,
    /// Build and start only these processes (for work on a part of hardway)
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
}

/// Brings the lab up and says how to use it.
pub fn run(folder: &Path, options: &Options) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Failure::new(
            "bring up the lab",
            "network namespaces and mounts need root",
        )
        .way_out(
            "run it as root:  sudo --preserve-env=PATH,CARGO_HOME,RUSTUP_HOME cargo hardway up",
        ));
    }
    let known: Vec<&str> = [components::CONTROL_PLANE, components::WORKER].concat();
    if let Some(unknown) = options
        .only
        .iter()
        .find(|name| !known.contains(&name.as_str()))
    {
        return Err(
            Failure::new(format!("start only {unknown}"), "there is no such process")
                .way_out(format!("processes are: {}", known.join(", "))),
        );
    }
    shell::make_directory(folder)?;
    let _lock = lock(folder)?;
    let progress = Progress::new();
    let lab = describe(folder, options)?;
    println!("hardway lab {} in {}", lab.plan.index, folder.display());

    progress.step("Debian packages", packages::ensure)?;
    build(&lab, &progress)?;
    progress.step("certificates", || {
        lab.pki().ensure(&lab.plan.hosts(), SystemTime::now())
    })?;
    encryption::ensure(&lab.encryption())?;
    kubeconfig::ensure(
        &lab.kubeconfigs(),
        &lab.pki(),
        &lab.pki(),
        &lab.plan.hosts(),
        kubeconfig::CLUSTER_NAME,
    )?;
    let images = progress
        .step("images", || publish::build(&lab).map(Counted))?
        .0;
    hosts(&lab, &progress)?;

    let began = Instant::now();
    let wanted = |names: &[&'static str]| -> Vec<&'static str> {
        names
            .iter()
            .copied()
            .filter(|name| lab.wants(name))
            .collect()
    };
    let control_plane = [lab.plan.control_plane()];
    let workers = lab.plan.workers();
    let mut changed = false;
    for (hosts, names) in [
        (control_plane.as_slice(), wanted(&["etcd", "registry"])),
        (workers.as_slice(), wanted(&["containerd"])),
        (control_plane.as_slice(), wanted(&["apiserver"])),
    ] {
        changed |= converge(&lab, hosts, &names, &progress)?;
    }
    if lab.wants("registry") {
        progress.step("images in the registry", || publish::publish(&lab, &images))?;
    }
    changed |= converge(
        &lab,
        &control_plane,
        &wanted(&["controller-manager", "scheduler"]),
        &progress,
    )?;
    changed |= converge(
        &lab,
        &workers,
        &wanted(&["kubelet", "flannel-lite", "proxy"]),
        &progress,
    )?;
    if lab.only.is_empty() {
        progress.step("all nodes Ready", || wait_for_nodes(&lab))?;
        route_to_pods(&lab)?;
        if changed {
            let at = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs();
            let ready = Ready {
                seconds: began.elapsed().as_secs_f64(),
                at,
            };
            Lab {
                ready: Some(ready),
                ..lab.clone()
            }
            .save()?;
        }
        if !workers.is_empty() {
            let mut api = lab.api();
            let cluster = Cluster::at(lab.plan.control_plane().address);
            progress.step("add-ons", || addons::apply(&mut api, &cluster, &images))?;
            progress.step("available", || addons::wait(&mut api))?;
        }
    }
    if lab.only.is_empty() {
        farewell(&lab, &progress);
    }
    Ok(())
}

/// Only one tool at a time changes a lab.
pub fn lock(folder: &Path) -> Result<Flock<fs::File>> {
    let path = folder.join("lock");
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .or_fail(|| format!("open {}", path.display()))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| {
        Failure::new(
            format!("change the lab in {}", folder.display()),
            "another `hardway` is at it",
        )
        .way_out("wait until it is done")
    })
}

/// The lab as asked for; what isn't asked for stays as it was.
fn describe(folder: &Path, options: &Options) -> Result<Lab> {
    let old = Lab::open(folder).ok();
    let before = old.as_ref().map(|lab| lab.plan);
    let plan = Plan {
        index: options.index.or(before.map(|plan| plan.index)).unwrap_or(0),
        workers: options
            .workers
            .or(before.map(|plan| plan.workers))
            .unwrap_or(2),
    };
    if let Some(lab) = old.as_ref().filter(|lab| lab.plan.index != plan.index) {
        return Err(Failure::new(
            "change the lab's number",
            format!("it is {}", lab.plan.index),
        )
        .way_out("take it down first: cargo hardway down --purge"));
    }
    if let Some(other) = owner(&plan).filter(|other| other != folder) {
        return Err(Failure::new(
            format!("bring up lab {}", plan.index),
            format!("the lab in {} runs under this number", other.display()),
        )
        .way_out(format!(
            "take that one down (cargo hardway down --dir {}) or choose a number with --index",
            other.display()
        )));
    }
    let profile = if options.debug {
        Profile::Debug
    } else {
        Profile::Release
    };
    let lab = Lab {
        folder: folder.to_owned(),
        plan,
        binaries: compile::binaries(profile)?,
        internet: options.internet,
        only: options.only.clone(),
        swapped: old
            .as_ref()
            .map(|lab| lab.swapped.clone())
            .unwrap_or_default(),
        ready: old.as_ref().and_then(|lab| lab.ready),
    };
    // Hosts that are wanted no longer go before their names are forgotten.
    for host in old
        .iter()
        .flat_map(|lab| lab.plan.workers())
        .skip(usize::from(plan.workers))
    {
        node::switch_off(&lab, &host)?;
    }
    lab.save()?;
    Ok(lab)
}

/// Note on this machine which folder a running lab belongs to.
fn owner_note(plan: &Plan) -> PathBuf {
    PathBuf::from(format!("/run/{}.lab", plan.bridge()))
}

/// The folder of the lab that runs under this number.
pub fn owner(plan: &Plan) -> Option<PathBuf> {
    let text = fs::read_to_string(owner_note(plan)).ok()?;
    let folder = PathBuf::from(text.trim());
    // Of a lab whose folder was deleted the hosts are taken over and restarted.
    folder.join("lab.json").exists().then_some(folder)
}

/// Forgets that a lab runs under this number.
pub fn disown(plan: &Plan) {
    let _ = fs::remove_file(owner_note(plan));
}

fn build(lab: &Lab, progress: &Progress) -> Result<()> {
    let packages: Vec<&str> = components::PACKAGES
        .iter()
        .copied()
        .filter(|package| lab.wants(package.trim_start_matches("hardway-")))
        .collect();
    if packages.is_empty() {
        return Ok(());
    }
    let release = lab.binaries.ends_with("release");
    println!("  … building the components, several minutes the first time");
    let all = packages.len() == components::PACKAGES.len();
    progress.step("components built", || match (release, all) {
        (true, _) => compile::components(Profile::Release, &packages, None),
        (false, true) => compile::components_as_for_tests(),
        (false, false) => compile::components(Profile::Debug, &packages, None),
    })
}

fn hosts(lab: &Lab, progress: &Progress) -> Result<()> {
    let name = format!("hosts {}", names(&lab.plan.hosts()));
    progress.step(&name, || {
        network::ensure_bridge(&lab.plan)?;
        shell::write_file(
            &owner_note(&lab.plan),
            lab.folder.display().to_string().as_bytes(),
            0o644,
        )?;
        if lab.internet {
            network::ensure_internet(&lab.plan)?;
        }
        let mut switched_on = 0;
        for host in lab.plan.hosts() {
            switched_on += usize::from(start::switch_on(lab, &host)?);
        }
        Ok(if switched_on == 0 {
            "all on".to_owned()
        } else {
            format!("{switched_on} switched on")
        })
    })?;
    Ok(())
}

/// Starts processes on hosts and waits for them; says whether any was not there yet.
fn converge(lab: &Lab, hosts: &[Host], processes: &[&str], progress: &Progress) -> Result<bool> {
    if hosts.is_empty() || processes.is_empty() {
        return Ok(false);
    }
    let name = format!("{} on {}", processes.join(", "), names(hosts));
    let all = || {
        hosts
            .iter()
            .flat_map(|host| processes.iter().map(move |process| (host, *process)))
    };
    let done = progress.step(&name, || {
        let changes: Result<Vec<Change>> = all()
            .map(|(host, process)| start::start(lab, host, process))
            .collect();
        for (host, process) in all() {
            start::wait_healthy(lab, host, process)?;
        }
        changes.map(Changes)
    })?;
    Ok(done.0.iter().any(|change| *change != Change::Kept))
}

fn names(hosts: &[Host]) -> String {
    hosts
        .iter()
        .map(|host| host.name.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

fn wait_for_nodes(lab: &Lab) -> Result<()> {
    for host in lab.plan.workers() {
        start::wait(lab, &host, "kubelet", Duration::from_secs(60), || {
            let nodes = health::nodes(lab)?;
            match nodes.iter().find(|node| node.name == host.name) {
                Some(node) if node.ready => Ok(()),
                Some(node) => {
                    let what = format!("node {}", node.name);
                    Err(Failure::new(what, "it is not Ready"))
                }
                None => Err(Failure::new(
                    format!("node {}", host.name),
                    "it has not registered",
                )),
            }
        })?;
    }
    Ok(())
}

/// The control plane's host is no node, so no overlay reaches it: it gets a route
/// to each worker's pods, for the apiserver to proxy to them.
fn route_to_pods(lab: &Lab) -> Result<()> {
    let workers = lab.plan.workers();
    for node in health::nodes(lab)? {
        let worker = workers.iter().find(|host| host.name == node.name);
        if let (Some(worker), Some(subnet)) = (worker, &node.pod_cidr) {
            network::ensure_route(&lab.plan.control_plane(), subnet, worker)?;
        }
    }
    Ok(())
}

fn farewell(lab: &Lab, progress: &Progress) {
    let dir = if lab.folder.ends_with(".lab") {
        String::new()
    } else {
        format!(" --dir {}", lab.folder.display())
    };
    println!(
        "The cluster is up after {}. Use it:

  export KUBECONFIG={}
  kubectl get nodes -o wide
  kubectl create -f deploy/examples/tutorial/busmeme-rc.yml

Look at it with `cargo hardway status{dir}`, `cargo hardway logs apiserver{dir}`;
take it down with `cargo hardway down{dir}`.",
        seconds(progress.elapsed()),
        lab.kubeconfigs().join("admin.kubeconfig").display()
    );
}

struct Counted(Vec<crate::images::oci::Written>);

impl crate::progress::Outcome for Counted {
    fn describe(&self) -> String {
        format!(": {} built", self.0.len())
    }
}

struct Changes(Vec<Change>);

impl crate::progress::Outcome for Changes {
    fn describe(&self) -> String {
        let count = |wanted| self.0.iter().filter(|change| **change == wanted).count();
        match (count(Change::Started), count(Change::Restarted)) {
            (0, 0) => ": running".to_owned(),
            (started, 0) => format!(": {started} started"),
            (0, restarted) => format!(": {restarted} restarted"),
            (started, restarted) => format!(": {started} started, {restarted} restarted"),
        }
    }
}
