//! `hardway start`: a cluster of one host, or of several, from whatever is there: made the
//! first time, resumed after `stop`, repaired after an interruption.

use anstream::println;

use crate::addons;
use crate::binaries::{self, Binaries};
use crate::call;
use crate::failure::{Failure, Result};
use crate::images::publish::{self, Images};
use crate::kubeconfig::merge::Change;
use crate::kubeconfig::{self, file};
use crate::lab::numbers::{self, Numbers};
use crate::lab::{self, Lab, bring_up, identities, node};
use crate::packages;
use crate::plan::{self, Host, MOST_WORKERS, Plan};
use crate::profiles::needs::{self, Machine};
use crate::profiles::settings::Settings;
use crate::profiles::{Home, Profile};
use crate::progress::{Progress, seconds};
use crate::shell;

/// What `start` may be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Start this process of a cluster that runs, and nothing else: PROCESS or PROCESS@HOST
    #[arg(conflicts_with_all = ["nodes", "control_planes", "internet", "keep_context", "no_kubeconfig", "wait"])]
    pub process: Option<String>,
    /// How many hosts; those of the control plane are workers, too [default: as before, or 1]
    #[arg(short, long, value_parser = clap::value_parser!(u8).range(1..=i64::from(MOST_WORKERS) + 1))]
    pub nodes: Option<u8>,
    /// How many of the hosts are the control plane: 1, 3, 5 or 7 [default: as before, or 1]
    #[arg(long, value_name = "NUMBER", value_parser = plan::control_planes)]
    pub control_planes: Option<u8>,
    /// Get images from the internet that the cluster's registry lacks
    #[arg(long)]
    pub internet: bool,
    /// Leave kubectl's current context as it is
    #[arg(long)]
    pub keep_context: bool,
    /// Leave kubectl's configuration alone
    #[arg(long)]
    pub no_kubeconfig: bool,
    /// Wait until the add-ons are available, too
    #[arg(long)]
    pub wait: bool,
}

/// Starts the cluster and says how to use it.
pub fn run(profile: &Profile, options: &Options) -> Result<()> {
    needs::root("start a cluster")?;
    let home = Home::find()?;
    let settings = Settings::load(&home)?;
    let found = || profile.exists().then(|| profile.lab()).transpose();
    let old = found()?;
    check(profile, old.as_ref(), options, &settings)?;
    let merges = !(options.no_kubeconfig || settings.no_kubeconfig.unwrap_or(false));
    if merges {
        let server = old
            .as_ref()
            .map(|lab| kubeconfig::server(&lab.plan.control_plane()));
        let path = file::path(&home.person)?;
        file::check(&path, &home.person, &profile.name, server.as_deref())?;
    }
    let progress = Progress::new();
    println!("{} cluster {}", begins(old.as_ref()), profile.name);
    packages::ensure_to_run()?;
    let binaries = binaries::ensure(&progress)?;
    home.remove_deleted()?;
    home.person.make_directory(&home.profiles())?;
    shell::make_directory(&profile.folder)?;
    let _lock = lab::lock(&profile.folder)?;
    // Another `start` may have made it since it was looked for.
    let old = found()?;
    let make = |old: Option<&Lab>, options: &Options| -> Result<Lab> {
        let lab = describe(&home, profile, old, options, &settings, &binaries)?;
        let images = prepare(&lab, &binaries, &progress)?;
        bring_up::run(&lab, &images.all, &progress)?;
        forget_workers(&lab)?;
        Ok(lab)
    };
    if let Some(old) = &old
        && has_hosts_to_forget(old, &counts(Some(old), options, &settings)?)
    {
        let as_before = Options {
            nodes: None,
            ..options.clone()
        };
        make(Some(old), &as_before)?;
    }
    let lab = make(old.as_ref(), options)?;
    if merges {
        let keep = options.keep_context || settings.keep_context.unwrap_or(false);
        let file = merge(&home, profile, &lab, !keep)?;
        println!("  ✓ context {} in {file}", profile.name);
    }
    println!(
        "{} is ready after {}",
        profile.name,
        seconds(progress.elapsed())
    );
    let mut api = lab.api();
    let addons = addons::of_lab(&lab)?;
    if options.wait {
        progress.step("add-ons available", || addons::wait(&mut api, &addons))?;
    } else {
        let names: Vec<&str> = addons.iter().map(|addon| addon.name).collect();
        if !names.is_empty() {
            println!(
                "Its add-ons ({}) take some seconds more; `--wait` waits for them.",
                names.join(", ")
            );
        }
    }
    Ok(())
}

fn begins(old: Option<&Lab>) -> &'static str {
    match old.and_then(|lab| lab.ready) {
        Some(_) => "Starting",
        None => "Making",
    }
}

/// Refuses what can't be, before anything is changed.
fn check(
    profile: &Profile,
    old: Option<&Lab>,
    options: &Options,
    settings: &Settings,
) -> Result<()> {
    let plan = counts(old, options, settings)?;
    if let Some(lab) = old {
        let way_out = format!("make it anew: {} delete, then start", call::tool());
        lab.check_control_planes(plan.control_planes, way_out)?;
    }
    let before = old.map(|lab| lab.plan.hosts()).unwrap_or_default();
    let is_on = |host: &&Host| old.is_some_and(|lab| node::is_on(lab, host));
    let running = before.iter().filter(is_on).count() as u64;
    let to_start = (plan.hosts().len() as u64).saturating_sub(running);
    if to_start > 0 {
        let machine = Machine::look(&profile.folder)?;
        needs::room(machine, to_start, old.is_none(), &profile.folder)?;
    }
    if let Some(lab) = old
        && let Some(other) = numbers::owner(lab.plan.index).filter(|it| *it != profile.folder)
    {
        let why = format!("the lab in {} runs on its network", other.display());
        return Err(
            Failure::new(format!("start cluster {}", profile.name), why).way_out(format!(
                "take that one down: {} down --dir {}",
                call::tool(),
                other.display()
            )),
        );
    }
    Ok(())
}

/// How many hosts of which kind the cluster has.
fn counts(old: Option<&Lab>, options: &Options, settings: &Settings) -> Result<Plan> {
    let before = old.map(|lab| &lab.plan);
    let control_planes = options
        .control_planes
        .or(before.map(|plan| plan.control_planes))
        .unwrap_or(1);
    let workers = match options.nodes {
        Some(nodes) => nodes.checked_sub(control_planes).ok_or_else(|| {
            Failure::new(
                format!("make {nodes} hosts"),
                format!("{control_planes} of them would be the control plane"),
            )
            .way_out(format!(
                "leave --nodes out, or say {control_planes} or more"
            ))
        })?,
        None => before.map_or_else(
            || settings.nodes.unwrap_or(1).saturating_sub(control_planes),
            |plan| plan.workers,
        ),
    };
    Ok(Plan {
        control_planes,
        ..Plan::of_lab(0, workers)
    })
}

/// The cluster as asked for; what isn't asked for stays as it was. A new one gets a number
/// that nobody has.
fn describe(
    home: &Home,
    profile: &Profile,
    old: Option<&Lab>,
    options: &Options,
    settings: &Settings,
    binaries: &Binaries,
) -> Result<Lab> {
    let numbers = Numbers::lock()?;
    let index = match old {
        Some(lab) => lab.plan.index,
        None => numbers.free(&home.numbers()?)?,
    };
    let internet = match old {
        Some(lab) => lab.internet,
        None => settings.internet.unwrap_or(false),
    };
    let plan = Plan {
        index,
        cluster: Some(profile.name.clone()),
        ..counts(old, options, settings)?
    };
    let lab = Lab {
        folder: profile.folder.clone(),
        binaries: binaries.components.clone(),
        internet: options.internet || internet,
        only: Vec::new(),
        swapped: old.map(|lab| lab.swapped.clone()).unwrap_or_default(),
        ready: old.and_then(|lab| lab.ready),
        plan,
    };
    // Hosts that are wanted no longer go before their names are forgotten.
    for host in removed(&lab) {
        node::switch_off(&lab, &host)?;
    }
    lab.save()?;
    numbers::own(index, &profile.folder)?;
    Ok(lab)
}

/// Hosts that the cluster had and has no longer: their disks are the last of them to go, so
/// that what was interrupted is finished the next time.
fn removed(lab: &Lab) -> Vec<Host> {
    let all = Plan {
        workers: MOST_WORKERS,
        ..lab.plan.clone()
    };
    let beyond = all
        .workers()
        .into_iter()
        .skip(usize::from(lab.plan.workers));
    beyond.filter(|host| lab.disk(host).exists()).collect()
}

/// Whether hosts that an interrupted `start` was to take away would come back with what is on
/// their disks, among those that are wanted now.
fn has_hosts_to_forget(old: &Lab, wanted: &Plan) -> bool {
    wanted.workers > old.plan.workers && !removed(old).is_empty()
}

/// Takes the nodes of hosts that went from the cluster, and their disks from the machine.
fn forget_workers(lab: &Lab) -> Result<()> {
    for host in removed(lab) {
        lab.api().delete(&format!("/api/v1/nodes/{}", host.name))?;
        shell::remove(&lab.disk(&host))?;
    }
    Ok(())
}

/// Certificates and images, which have nothing to do with each other.
fn prepare(lab: &Lab, binaries: &Binaries, progress: &Progress) -> Result<Images> {
    std::thread::scope(|scope| {
        let images = scope.spawn(|| publish::build(lab, &binaries.image_programs));
        progress.step("certificates", || identities::ensure(lab))?;
        progress.step("images", || {
            let panicked = |_| Err(Failure::new("build the images", "it panicked"));
            images.join().unwrap_or_else(panicked)
        })
    })
}

/// Puts the cluster's context into kubectl's configuration; tells which file that is.
fn merge(home: &Home, profile: &Profile, lab: &Lab, make_current: bool) -> Result<String> {
    let path = file::path(&home.person)?;
    // Noted first: who is interrupted takes out again what may be in it.
    profile.note_merged(&path)?;
    let entry = kubeconfig::entry(&lab.pki(), &lab.plan.control_plane(), &profile.name)?;
    file::change(&path, &home.person, Change::Put(&entry, make_current))?;
    Ok(path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_plane_is_a_part_of_the_hosts() {
        let options = |nodes, control_planes| Options {
            process: None,
            nodes,
            control_planes,
            internet: false,
            keep_context: false,
            no_kubeconfig: false,
            wait: false,
        };
        let settings = Settings {
            nodes: Some(2),
            ..Settings::default()
        };
        let counted = |old, nodes, control_planes| {
            let plan = counts(old, &options(nodes, control_planes), &settings)?;
            Ok::<_, Failure>((plan.control_planes, plan.workers))
        };
        assert_eq!(counted(None, None, None).unwrap(), (1, 1));
        assert_eq!(counted(None, None, Some(3)).unwrap(), (3, 0));
        assert_eq!(counted(None, Some(5), Some(3)).unwrap(), (3, 2));
        let refused = counted(None, Some(2), Some(3)).unwrap_err();
        assert!(refused.why.contains("3 of them"), "{refused}");
        let mut lab = crate::components::tests::lab();
        lab.plan.control_planes = 3;
        assert_eq!(counted(Some(&lab), None, None).unwrap(), (3, 2));
        assert_eq!(counted(Some(&lab), Some(4), None).unwrap(), (3, 1));
    }

    #[test]
    fn another_number_for_the_control_plane_is_refused_once_etcd_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let mut lab = crate::components::tests::lab();
        lab.folder = folder.path().to_owned();
        let change = |lab: &Lab| lab.check_control_planes(3, "way out".to_owned());
        change(&lab).unwrap();
        shell::make_directory(&lab.disk(&lab.plan.control_plane()).join("etcd")).unwrap();
        assert!(change(&lab).unwrap_err().why.contains("made with 1"));
        lab.check_control_planes(1, String::new()).unwrap();
    }

    #[test]
    fn hosts_that_went_are_known_by_their_disks() {
        let folder = tempfile::tempdir().unwrap();
        let mut lab = crate::components::tests::lab();
        lab.folder = folder.path().to_owned();
        lab.plan = Plan {
            cluster: Some("dev".to_owned()),
            ..Plan::of_lab(10, 1)
        };
        for name in ["dev", "dev-m02", "dev-m03", "dev-m05", "other"] {
            shell::make_directory(&folder.path().join("nodes").join(name)).unwrap();
        }
        // Whatever was noted of it: the description has the smaller number already.
        let names: Vec<String> = removed(&lab).into_iter().map(|host| host.name).collect();
        assert_eq!(names, ["dev-m03", "dev-m05"]);
        // Who asks for more hosts again doesn't get these disks.
        let wanted = |workers| Plan::of_lab(10, workers);
        assert!(has_hosts_to_forget(&lab, &wanted(2)));
        assert!(!has_hosts_to_forget(&lab, &wanted(1)) && !has_hosts_to_forget(&lab, &wanted(0)));
        for host in removed(&lab) {
            shell::remove(&lab.disk(&host)).unwrap();
        }
        assert!(!has_hosts_to_forget(&lab, &wanted(2)));
    }
}
