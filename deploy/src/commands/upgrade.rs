//! `hardway upgrade`: another version of hardway on this host. What was interrupted is gone on
//! with when it is run again; `--rollback` goes back to what was there before.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anstream::{eprintln, println};
use jiff::Timestamp;
use serde_json::Value;

use crate::api::text;
use crate::etcd;
use crate::failure::{Failure, OrFail, Result};
use crate::host::{Layout, facts, systemd};
use crate::packaging::Package;
use crate::progress::Progress;
use crate::shell;
use crate::upgrade::cluster::{self, Cluster};
use crate::upgrade::drain::{self, Allowed};
use crate::upgrade::journal::{self, Journal};
use crate::upgrade::packages::{self, Description, File};
use crate::upgrade::steps::{self, Circumstances, Direction, Step};
use crate::upgrade::{health, kept, skew};

/// How long a process may take to be ready, and the node after it.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long until what was not ready is asked again.
const PAUSE: Duration = Duration::from_millis(250);
/// What `postinst` looks at: whoever installs restarts what runs, in an order.
const HOLD: &str = "HARDWAY_UPGRADE";

/// What `upgrade` may be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The packages, or folders with them; those that this host doesn't have are left alone
    #[arg(
        value_name = "FILE",
        required_unless_present = "rollback",
        conflicts_with = "rollback"
    )]
    pub packages: Vec<PathBuf>,
    /// Only say what would be done, and what is in its way
    #[arg(long)]
    pub plan: bool,
    /// Go back to the packages that were there before the last upgrade
    #[arg(long)]
    pub rollback: bool,
    /// Leave a node's pods where they are: they go on while its processes are exchanged
    #[arg(long)]
    pub no_drain: bool,
    /// How many seconds the pods may take to go elsewhere
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub drain_timeout: u64,
    /// Delete pods that no controller makes again
    #[arg(long)]
    pub force: bool,
    /// Delete what pods have in volumes of type emptyDir
    #[arg(long)]
    pub delete_emptydir_data: bool,
    /// Make no backup of the cluster first
    #[arg(long)]
    pub no_backup: bool,
    /// Go on in spite of what is in the way
    #[arg(long)]
    pub ignore_preflight_errors: bool,
}

/// Does it.
pub fn run(options: &Options) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Failure::new("upgrade this host", "only root may do it"));
    }
    let layout = Layout::new(Path::new("/"));
    let folder = layout.path(journal::FOLDER);
    let mut upgrade = Upgrade::prepare(&layout, &folder, options)?;
    let problems = upgrade.problems()?;
    println!("{}", upgrade.headline());
    let way = steps::left(upgrade.steps(), &upgrade.journal.done);
    if options.plan {
        return show(&way, &upgrade.journal.done, &problems);
    }
    match (problems.as_slice(), options.ignore_preflight_errors) {
        ([], _) => {}
        (problems, true) => problems.iter().for_each(|it| eprintln!("warning: {it}")),
        (problems, false) => {
            problems.iter().for_each(|it| eprintln!("problem: {it}"));
            return Err(Failure::new(
                "upgrade this host",
                "see the problems above; nothing was changed by this run",
            )
            .way_out("whoever knows better says --ignore-preflight-errors"));
        }
    }
    let progress = Progress::new();
    for step in way {
        upgrade.journal.save(&folder)?;
        let outcome = progress.step(&step.to_string(), || upgrade.carry_out(&step));
        outcome.map_err(|failure| {
            let way_out = failure.way_out.clone();
            let way_out = way_out.map(|it| format!("{it}; ")).unwrap_or_default();
            let back = match upgrade.journal.has_kept() {
                true => ", or go back with  hardway upgrade --rollback",
                false => "; nothing was installed yet",
            };
            failure.way_out(format!("{way_out}run the same line again to go on{back}"))
        })?;
        upgrade.journal.note(step, &folder)?;
    }
    upgrade.journal.is_finished = true;
    upgrade.journal.save(&folder)
}

fn show(way: &[Step], done: &[Step], problems: &[String]) -> Result<()> {
    for step in done {
        println!("  done already: {step}");
    }
    for step in way {
        println!("  would do: {step}");
    }
    for problem in problems {
        println!("  in the way: {problem}");
    }
    match problems {
        [] => Ok(()),
        some => Err(Failure::new(
            "upgrade this host",
            format!("{} in the way", some.len()),
        )),
    }
}

/// What was found out about this host, and what is to become of it.
struct Upgrade<'a> {
    layout: &'a Layout,
    folder: &'a Path,
    options: &'a Options,
    host: String,
    installed: Vec<Description>,
    /// The packages to install.
    next: Vec<File>,
    journal: Journal,
    cluster: Cluster,
    /// This host's Node, where it is one.
    node: Option<Value>,
}

impl<'a> Upgrade<'a> {
    fn prepare(layout: &'a Layout, folder: &'a Path, options: &'a Options) -> Result<Self> {
        let what = || match options.rollback {
            true => "go back to what was there before",
            false => "upgrade this host",
        };
        let installed = packages::installed()?;
        let recorded = Journal::open(folder)?;
        let (next, journal) = match (options.rollback, recorded) {
            (false, recorded) => {
                let given = packages::read(&options.packages)?;
                let next = packages::choose(&installed, &given)
                    .map_err(|why| Failure::new(what(), why))?;
                let to = next[0].description.version.clone();
                if let Some(why) = journal::in_the_way(recorded.as_ref(), &to) {
                    return Err(Failure::new(what(), why));
                }
                let from = installed[0].version.clone();
                let begun = recorded.filter(|it| it.goes_on(&from, &to));
                let fresh = || Journal::new(&from, &to, cluster::etcd_unit(layout));
                (next, begun.unwrap_or_else(fresh))
            }
            (true, None) => {
                return Err(Failure::new(what(), "no upgrade of this host is known"));
            }
            (true, Some(done)) if done.direction == Direction::Back && done.is_finished => {
                let why = format!("it is back at version {} already", done.from);
                return Err(Failure::new(what(), why));
            }
            (true, Some(mut journal)) => {
                // What is there else was kept by an upgrade before this one.
                if !journal.has_kept() {
                    return Err(Failure::new(what(), "nothing was installed yet")
                        .way_out("begin anew with  hardway upgrade FILE…, or leave it"));
                }
                let kept = kept::files(&folder.join("packages"))?;
                let next = packages::choose(&installed, &packages::read(&kept)?)
                    .map_err(|why| Failure::new(what(), why))?;
                let versions = next.iter().map(|it| it.description.version.as_str());
                if let Some(why) = journal.not_the_way_back(versions) {
                    return Err(Failure::new(what(), why).way_out(format!(
                        "upgrade to packages of version {} instead",
                        journal.from
                    )));
                }
                if journal.direction == Direction::There {
                    journal.etcd_unit = cluster::etcd_unit(layout);
                    journal.turn();
                }
                (next, journal)
            }
        };
        let has = |package| installed.iter().any(|it| it.package == package);
        let cluster = match has(Package::ControlPlane) {
            true => Cluster::of_control_plane(layout),
            false => Cluster::of_node(layout),
        };
        let cluster = cluster.map_err(|failure| {
            failure.way_out("a host that is part of no cluster gets packages by apt-get install")
        })?;
        let host = facts::host_name()?.to_lowercase();
        let node = match has(Package::Node) {
            true => Some(cluster.node(&host)?),
            false => None,
        };
        Ok(Self {
            layout,
            folder,
            options,
            host,
            installed,
            next,
            journal,
            cluster,
            node,
        })
    }

    fn headline(&self) -> String {
        let names: Vec<&str> = self
            .next
            .iter()
            .map(|it| it.description.package.name())
            .collect();
        let to = &self.next[0].description;
        let from = match self.journal.direction {
            Direction::There => &self.journal.from,
            Direction::Back => &self.journal.to,
        };
        format!(
            "{}: {} from version {from} to {} ({})",
            self.host,
            names.join(", "),
            to.version,
            to.programs
        )
    }

    fn steps(&self) -> Vec<Step> {
        let is_cordoned = |node: &Value| node["spec"]["unschedulable"] == true;
        // One that was cordoned by the run before is no other's.
        let by_us = self.journal.done.contains(&Step::Cordon);
        let circumstances = Circumstances {
            packages: self.installed.iter().map(|it| it.package).collect(),
            is_drained: !self.options.no_drain,
            is_cordoned: self.node.as_ref().is_some_and(is_cordoned) && !by_us,
            is_backed_up: !self.options.no_backup,
        };
        steps::all(self.journal.direction, &circumstances)
    }

    /// What is in the way.
    fn problems(&self) -> Result<Vec<String>> {
        let next: Vec<Description> = self.next.iter().map(|it| it.description.clone()).collect();
        let mut problems: Vec<String> = packages::unreadable(&self.installed, &next)
            .into_iter()
            .collect();
        let servers = self.cluster.api_servers();
        let running = self.cluster.running(&self.host, &servers)?;
        let servers: Vec<_> = servers.into_iter().map(|(server, _)| server).collect();
        let programs = |package: Package| {
            let of = |all: &[Description]| {
                let found = all.iter().find(|it| it.package == package);
                found.map(|it| it.programs)
            };
            of(&self.installed).zip(of(&next))
        };
        if let Some((from, to)) = programs(Package::ControlPlane) {
            problems.extend(skew::of_control_plane(from, to, &running));
            let members = cluster::members(self.layout, &self.host)?;
            // What an interrupted run has stopped is what this one is to start.
            if self.journal.done.is_empty() {
                problems.extend(health::problems(&servers, &members));
            }
            if members.len() > 1 && to.hardway.is_none() {
                problems.push(
                    "these packages know of one control plane only, and this cluster has several"
                        .to_owned(),
                );
            }
            if health::has_gap(&members) {
                println!(
                    "  note: the API is away for some seconds: there is no other control plane to take over"
                );
            }
        }
        if let Some((_, to)) = programs(Package::Node) {
            problems.extend(skew::of_node(&self.host, to, &running));
            if !self.options.no_drain {
                problems.extend(self.pods()?.refused);
            }
        }
        Ok(problems)
    }

    fn pods(&self) -> Result<drain::Pods> {
        let allowed = Allowed {
            without_controller: self.options.force,
            local_data: self.options.delete_emptydir_data,
        };
        Ok(drain::sort(&self.cluster.pods(&self.host)?, allowed))
    }

    fn carry_out(&mut self, step: &Step) -> Result<String> {
        match step {
            Step::Backup => self.back_up(),
            Step::Keep => {
                kept::pack(&self.installed, &self.folder.join("packages"))?;
                Ok(format!("version {}", self.installed[0].version))
            }
            Step::Cordon => self
                .cluster
                .cordon(&self.host, true)
                .map(|()| String::new()),
            Step::Drain => self.drain(),
            Step::Install => install(&self.next),
            Step::Restart(unit) => self.restart(unit),
            Step::Repair => {
                shell::run("/usr/bin/hardway", &["init"])?;
                Ok(String::new())
            }
            Step::NodeReady => self.node_ready(),
            Step::Uncordon => self
                .cluster
                .cordon(&self.host, false)
                .map(|()| String::new()),
        }
    }

    /// By this tool itself, in a process of its own.
    fn back_up(&mut self) -> Result<String> {
        let tool = std::env::current_exe().or_fail(|| "find this program")?;
        let path = self.journal.name_backup(self.folder, Timestamp::now());
        self.journal.save(self.folder)?;
        // A run that was interrupted before this step was noted has left it.
        shell::remove(&path)?;
        let file = path.display().to_string();
        shell::run(&tool.display().to_string(), &["backup", &file])?;
        Ok(file)
    }

    /// Evicts pods until none is left, each as soon as its disruption budget lets it.
    fn drain(&self) -> Result<String> {
        let began = Instant::now();
        let patience = Duration::from_secs(self.options.drain_timeout);
        let mut gone = BTreeSet::new();
        loop {
            let pods = self.pods()?;
            if let Some(why) = pods.refused.first() {
                return Err(Failure::new("have the pods go elsewhere", why));
            }
            if pods.evicted.is_empty() {
                return Ok(format!("{} pods", gone.len()));
            }
            let mut waits = Vec::new();
            for (namespace, name) in &pods.evicted {
                let held = self.cluster.evict(namespace, name)?;
                waits.push(format!("{namespace}/{name} {}", held.unwrap_or_default()));
            }
            gone.extend(pods.evicted);
            if began.elapsed() > patience {
                return Err(Failure::new(
                    "have the pods go elsewhere",
                    format!(
                        "after {} s these are still here: {}",
                        patience.as_secs(),
                        waits.join(", ")
                    ),
                )
                .way_out("give them longer with --drain-timeout, or leave them with --no-drain"));
            }
            thread::sleep(PAUSE);
        }
    }

    fn restart(&self, unit: &str) -> Result<String> {
        if unit == "hardway-etcd.service" {
            if cluster::etcd_unit(self.layout) == self.journal.etcd_unit {
                return Ok("it is the same, and goes on".to_owned());
            }
            self.give_up_lead();
        }
        systemd::start(&[unit], true, PATIENCE)?;
        match unit {
            "hardway-etcd.service" => self.wait("wait for etcd", || {
                let members = cluster::members(self.layout, &self.host)?;
                match members.iter().find(|it| it.is_own && it.trouble.is_some()) {
                    Some(own) => Err(Failure::new(
                        "etcd",
                        own.trouble.clone().unwrap_or_default(),
                    )),
                    None => Ok(()),
                }
            }),
            "hardway-apiserver.service" => self.wait("wait for the API", || {
                let servers = self.cluster.api_servers();
                let own = servers.into_iter().find(|(server, _)| server.is_own);
                match own.and_then(|(server, _)| server.trouble) {
                    Some(why) => Err(Failure::new("the apiserver of this host", why)),
                    None => Ok(()),
                }
            }),
            _ => Ok(String::new()),
        }
    }

    /// Another member leads, so that nobody has to miss a leader first. It is a courtesy: where
    /// it fails they elect one.
    fn give_up_lead(&self) {
        let client = etcd::Client::of_host(self.layout);
        let (Ok(members), Ok(status)) = (client.members(), client.status()) else {
            return;
        };
        let own = members.iter().find(|it| it.name == self.host);
        if own.is_some_and(|own| status.leader == Some(own.id))
            && let Some(next) = members
                .iter()
                .find(|it| it.name != self.host && !it.is_learner)
        {
            let _ = client.hand_over(next.id);
        }
    }

    fn node_ready(&self) -> Result<String> {
        self.wait("wait for the node", || {
            let node = self.cluster.node(&self.host)?;
            let conditions = node["status"]["conditions"].as_array();
            let ready = conditions
                .into_iter()
                .flatten()
                .find(|it| it["type"] == "Ready");
            match ready {
                Some(ready) if ready["status"] == "True" => Ok(()),
                Some(ready) => Err(Failure::new("it is not Ready", text(&ready["message"]))),
                None => Err(Failure::new("it is not Ready", "it says nothing yet")),
            }
        })
    }

    /// Waits until something is as it should be.
    fn wait(&self, what: &str, ask: impl Fn() -> Result<()>) -> Result<String> {
        let began = Instant::now();
        loop {
            let Err(failure) = ask() else {
                return Ok(String::new());
            };
            if began.elapsed() > PATIENCE {
                return Err(Failure::new(what, failure));
            }
            thread::sleep(PAUSE);
        }
    }
}

/// Has dpkg put the packages in place; what they depend on comes with them. What an interrupted
/// run left half done is finished first.
fn install(files: &[File]) -> Result<String> {
    let _ = run_dpkg("dpkg", &["--configure", "--pending"]);
    let paths: Vec<String> = files
        .iter()
        .map(|it| it.path.display().to_string())
        .collect();
    let mut arguments = vec![
        "install",
        "--yes",
        "--no-install-recommends",
        "--allow-downgrades",
        "--reinstall",
        // What the administrator has written into /etc/default stays.
        "--option=Dpkg::Options::=--force-confold",
    ];
    arguments.extend(paths.iter().map(String::as_str));
    run_dpkg("apt-get", &arguments)?;
    Ok(String::new())
}

fn run_dpkg(program: &str, arguments: &[&str]) -> Result<()> {
    let what = || format!("{program} {}", arguments.join(" "));
    let output = Command::new(program)
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env(HOLD, "1")
        .stdin(Stdio::null())
        .output()
        .or_fail(what)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(what(), said.trim()))
}
