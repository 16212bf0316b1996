//! `hardway swap PROCESS[@HOST] --with FILE|--back`: one of Kubernetes' own components does
//! a process' work, for comparison, and ours does it again.

use std::path::{Path, PathBuf};

use anstream::println;

use crate::components::kubernetes::{Program, REPLACEABLE};
use crate::failure::{Failure, OrFail, Result};
use crate::lab::{Lab, node, process, starting};
use crate::plan::Host;
use crate::shell;

/// What `swap` may be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// PROCESS or PROCESS@HOST: controller-manager, scheduler, kubelet or proxy
    pub process: String,
    /// The program of Kubernetes that is to do its work
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "back",
        conflicts_with = "back"
    )]
    pub with: Option<PathBuf>,
    /// Hardway's own is to do it again
    #[arg(long)]
    pub back: bool,
}

/// Swaps the process on every host that the name means.
pub fn run(lab: &Lab, options: &Options) -> Result<()> {
    let _lock = crate::lab::lock(&lab.folder)?;
    let with = options.with.as_deref().map(program).transpose()?;
    let mut lab = lab.clone();
    for (host, spec) in process::find(&lab, &options.process)? {
        if !REPLACEABLE.contains(&spec.name.as_str()) {
            return Err(Failure::new(
                format!("swap {}", spec.name),
                "no component of Kubernetes does its work the same way",
            )
            .way_out(format!("these can be: {}", REPLACEABLE.join(", "))));
        }
        let who = format!("{}@{}", spec.name, host.name);
        match &with {
            Some(program) => lab.swapped.insert(who.clone(), program.clone()),
            None => lab.swapped.remove(&who),
        };
        lab.save()?;
        process::stop(&lab, &host, &spec.name, true)?;
        if spec.name == "proxy" {
            let others = if with.is_some() { OURS } else { KUBERNETES };
            remove_rules(&lab, &host, others)?;
        }
        starting::start(&lab, &host, &spec.name)?;
        starting::wait_healthy(&lab, &host, &spec.name)?;
        match lab.swapped(&host, &spec.name) {
            Some(program) => println!(
                "{who} is {}, of Kubernetes 1.{}",
                program.file.display(),
                program.minor
            ),
            None => println!("{who} is hardway's own"),
        }
    }
    Ok(())
}

/// The program in a file, by a path that is good everywhere.
fn program(file: &Path) -> Result<Program> {
    let file = file
        .canonicalize()
        .or_fail(|| format!("find {}", file.display()))?;
    Program::ask(&file)
}

/// Removes what our proxy has left in the kernel.
const OURS: &str = "nft 'add table ip hardway-proxy; delete table ip hardway-proxy'";

/// Removes what Kubernetes' proxy has left: its own `--cleanup` fails without ipset, which
/// only another of its modes has a use for.
const KUBERNETES: &str = "iptables-save | grep -v KUBE- | iptables-restore";

/// Takes away the rules of a proxy that works no more: both would answer for Services, and
/// what changes from now on only one of them hears of.
fn remove_rules(lab: &Lab, host: &Host, script: &str) -> Result<()> {
    let inside = node::inside(lab, host)?;
    let mut words: Vec<&str> = inside[1..].iter().map(String::as_str).collect();
    words.extend(["sh", "-c", script]);
    shell::run(&inside[0], &words).map(|_| ())
}
