//! `hardway up`: from whatever is there to a cluster whose nodes are Ready.

use std::path::Path;

use anstream::println;

use crate::addons;
use crate::call;
use crate::compile::{self, Profile};
use crate::components;
use crate::failure::{Failure, Result};
use crate::images::publish::{self, Images};
use crate::lab::{self, Lab, bring_up, identities, node, numbers};
use crate::packages;
use crate::plan::{self, Plan, Role};
use crate::progress::{Progress, seconds};
use crate::shell;

/// What `up` may be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Number of hosts of the control plane: 1, 3, 5 or 7 [default: as before, or 1]
    #[arg(long, value_name = "NUMBER", value_parser = plan::control_planes)]
    pub control_planes: Option<u8>,
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
        .way_out(format!("run it as root:  {}", call::as_root())));
    }
    let known = components::of_role(Role::ControlPlaneAndWorker);
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
    let _lock = lab::lock(folder)?;
    let progress = Progress::new();
    let lab = describe(folder, options)?;
    println!("hardway lab {} in {}", lab.plan.index, folder.display());

    progress.step("Debian packages", packages::ensure)?;
    build(&lab, &progress)?;
    progress.step("certificates", || identities::ensure(&lab))?;
    let images = match lab.wants("registry") {
        true => progress.step("images", || {
            publish::build(&lab, &compile::image_programs()?)
        })?,
        // Nobody would be given them.
        false => Images::default(),
    };
    bring_up::run(&lab, &images.all, &progress)?;
    if lab.only.is_empty() {
        if !lab.plan.nodes().is_empty() {
            progress.step("available", || {
                addons::wait(&mut lab.api(), &addons::of_lab(&lab)?)
            })?;
        }
        farewell(&lab, &progress);
    }
    Ok(())
}

/// The lab as asked for; what isn't asked for stays as it was.
fn describe(folder: &Path, options: &Options) -> Result<Lab> {
    let old = Lab::find(folder)?;
    let before = old.as_ref().map(|lab| &lab.plan);
    let plan = Plan {
        index: options.index.or(before.map(|plan| plan.index)).unwrap_or(0),
        control_planes: options
            .control_planes
            .or(before.map(|plan| plan.control_planes))
            .unwrap_or(1),
        workers: options
            .workers
            .or(before.map(|plan| plan.workers))
            .unwrap_or(2),
        cluster: before.and_then(|plan| plan.cluster.clone()),
    };
    if let Some(lab) = old.as_ref().filter(|lab| lab.plan.index != plan.index) {
        return Err(Failure::new(
            "change the lab's number",
            format!("it is {}", lab.plan.index),
        )
        .way_out(format!("take it down first: {} down --purge", call::tool())));
    }
    if let Some(lab) = &old {
        let way_out = format!("take it down first: {} down", call::tool());
        lab.check_control_planes(plan.control_planes, way_out)?;
    }
    if let Some(other) = numbers::owner(plan.index).filter(|other| other != folder) {
        return Err(Failure::new(
            format!("bring up lab {}", plan.index),
            format!("the lab in {} runs under this number", other.display()),
        )
        .way_out(format!(
            "take that one down ({} down --dir {}) or choose a number with --index",
            call::tool(),
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
        plan: plan.clone(),
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

fn build(lab: &Lab, progress: &Progress) -> Result<()> {
    let built = components::packages();
    let packages: Vec<&str> = built
        .iter()
        .copied()
        .filter(|package| lab.wants(package.trim_start_matches("hardway-")))
        .collect();
    if packages.is_empty() {
        return Ok(());
    }
    let release = lab.binaries.ends_with("release");
    println!("  … building the components, several minutes the first time");
    let all = packages.len() == built.len();
    progress.step("components built", || match (release, all) {
        (true, _) => compile::components(Profile::Release, &packages, None),
        (false, true) => compile::components_as_for_tests(),
        (false, false) => compile::components(Profile::Debug, &packages, None),
    })
}

fn farewell(lab: &Lab, progress: &Progress) {
    let dir = if lab.folder.ends_with(".lab") {
        String::new()
    } else {
        format!(" --dir {}", lab.folder.display())
    };
    let tool = call::tool();
    println!(
        "The cluster is up after {}. Use it:

  export KUBECONFIG={}
  kubectl get nodes -o wide
  kubectl create -f deploy/examples/tutorial/busmeme-rc.yml

Look at it with `{tool} status{dir}`, `{tool} logs apiserver{dir}`;
take it down with `{tool} down{dir}`.",
        seconds(progress.elapsed()),
        lab.kubeconfigs().join("admin.kubeconfig").display()
    );
}
