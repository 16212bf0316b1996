//! `hardway logs`: a process's log, or what in the logs of all is worth looking at.

mod lines;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anstream::println;

use crate::components;
use crate::failure::{Failure, OrFail, Result};
use crate::lab::control::Spec;
use crate::lab::{Lab, process};
use crate::plan::Host;
use lines::Shown;

/// So many lines of each process are shown, of those that are picked out.
const PICKED: u64 = 10;

/// Whose log, and what of it.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// PROCESS or PROCESS@HOST [default: the warnings and errors of all]
    pub process: Option<String>,
    /// Go on showing what is added
    #[arg(short, long)]
    pub follow: bool,
    /// Show only this many lines from the end, of each process where there are several
    #[arg(short = 'n', long, value_name = "LINES")]
    pub tail: Option<u64>,
    /// Show only errors, and what is known for trouble
    #[arg(long)]
    pub problems: bool,
}

/// Shows the end of a log, or lines of several, and with `follow` what is added.
pub fn run(lab: &Lab, options: &Options) -> Result<()> {
    let shown = match options.problems {
        true => Shown::Problems,
        false => Shown::Interesting,
    };
    match &options.process {
        Some(name) if options.problems => pick(lab, &process::find(lab, name)?, shown, options),
        Some(name) => whole(lab, name, options),
        None => {
            let mut all = Vec::new();
            for host in lab.plan.hosts() {
                let specs = components::specs(lab, &host);
                all.extend(specs.into_iter().map(|spec| (host.clone(), spec)));
            }
            pick(lab, &all, shown, options)
        }
    }
}

/// The log of one process, as it is.
fn whole(lab: &Lab, name: &str, options: &Options) -> Result<()> {
    let found = process::find(lab, name)?;
    let [(host, spec)] = found.as_slice() else {
        let choices: Vec<String> = found
            .iter()
            .map(|(host, spec)| format!("{}@{}", spec.name, host.name))
            .collect();
        return Err(
            Failure::new(format!("show the log of {name}"), "several hosts run it")
                .way_out(format!("choose one: {}", choices.join(", "))),
        );
    };
    let log = lab.log(host, &spec.name);
    if !log.exists() {
        return Err(Failure::new(
            format!("show {}", log.display()),
            "it was never started on this host",
        ));
    }
    let mut tail = Command::new("tail");
    tail.arg(options.tail.map_or_else(
        || "--lines=+1".to_owned(),
        |lines| format!("--lines={lines}"),
    ));
    if options.follow {
        tail.arg("--follow=name");
    }
    let error = tail.arg(log).exec();
    Err(Failure::new("run tail", error))
}

/// Lines that are picked out of several logs.
fn pick(lab: &Lab, processes: &[(Host, Spec)], shown: Shown, options: &Options) -> Result<()> {
    let count = options.tail.unwrap_or(PICKED);
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let mut logs = BTreeMap::new();
    let mut silent = true;
    for (host, spec) in processes {
        let path = lab.log(host, &spec.name);
        let Ok(bytes) = std::fs::read(&path) else {
            continue;
        };
        let text = String::from_utf8_lossy(&bytes);
        let name = format!("{}@{}", spec.name, host.name);
        let lines = shown.last(&text, count);
        if !lines.is_empty() {
            silent = false;
            println!("==> {name} <==");
            for line in lines {
                println!("{line}");
            }
        }
        logs.insert(path, name);
    }
    if silent {
        println!(
            "nothing of the kind in the logs of {} processes",
            logs.len()
        );
    }
    match options.follow {
        true => follow(&logs, shown),
        false => Ok(()),
    }
}

/// Shows what is added to several logs, until this is ended.
fn follow(logs: &BTreeMap<PathBuf, String>, shown: Shown) -> Result<()> {
    let what = || "follow the logs";
    let mut tail = Command::new("tail")
        .args(["--follow=name", "--retry", "--lines=0", "--verbose"])
        .args(logs.keys())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .or_fail(what)?;
    let output = tail
        .stdout
        .take()
        .ok_or_else(|| Failure::new(what(), "what tail prints can't be read"))?;
    let mut current = "";
    for line in BufReader::new(output)
        .lines()
        .map_while(std::io::Result::ok)
    {
        // It heads the lines of another file with its path.
        let heading = line
            .strip_prefix("==> ")
            .and_then(|rest| rest.strip_suffix(" <=="));
        match heading.and_then(|path| logs.get(&PathBuf::from(path))) {
            Some(name) => current = name,
            None if shown.has(&line) => println!("{current}: {line}"),
            None => {}
        }
    }
    tail.wait().or_fail(what)?;
    Ok(())
}
