//! `hardway status`: how a cluster is, and every process with its number, age, memory and
//! health.

use std::time::{SystemTime, UNIX_EPOCH};

use anstream::{print, println};

use crate::addons;
use crate::components;
use crate::failure::{Failure, Result};
use crate::health;
use crate::lab::control::{self, Request};
use crate::lab::{Lab, process};
use crate::output::table;
use crate::plan::Host;
use crate::profiles::choose::Chosen;
use crate::progress::age;

mod cluster;

/// What `status` may be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// How to write it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: cluster::Output,
    /// Show every process, as of a lab
    #[arg(long, conflicts_with = "output")]
    pub processes: bool,
}

/// Shows a cluster that is called by name as minikube does, a lab by its processes; gives the
/// exit code.
pub fn run(chosen: &Chosen, options: &Options) -> Result<u8> {
    match chosen {
        Chosen::Profile(profile) if !options.processes => cluster::run(profile, options.output),
        Chosen::Lab(folder) if options.output == cluster::Output::Json => Err(Failure::new(
            format!("show the lab in {} as JSON", folder.display()),
            "only clusters with a name are shown so",
        )
        .way_out("leave --output out, or name a cluster with --profile")),
        chosen => processes(&chosen.lab()?).map(|is_well| u8::from(!is_well)),
    }
}

/// Prints the table of processes; tells whether all is well, so that scripts can ask.
pub fn processes(lab: &Lab) -> Result<bool> {
    let mut rows = vec![["HOST", "PROCESS", "PID", "UP", "MiB", "HEALTH"].map(str::to_owned)];
    let (mut total, mut well) = (0, true);
    let mut left_out = Vec::new();
    for host in lab.plan.hosts() {
        for line in host_lines(lab, &host) {
            total += line.resident;
            well &= line.health == "ok";
            if line.health == "ok" {
                let lines = health::left_out(lab, &host, &line.process);
                let who = format!("{}@{}", line.process, host.name);
                left_out.extend(lines.into_iter().map(|line| format!("{who}: {line}")));
            }
            let dash = || "-".to_owned();
            rows.push([
                host.name.clone(),
                line.process,
                line.pid.map_or_else(dash, |pid| pid.to_string()),
                line.seconds.map_or_else(dash, age),
                if line.resident == 0 {
                    dash()
                } else {
                    mebibytes(line.resident)
                },
                line.health,
            ]);
        }
    }
    print!("{}", table(&rows));
    for line in left_out {
        println!("{line}");
    }
    println!("resident memory of all: {} MiB", mebibytes(total));
    if lab.only.is_empty() {
        // While the apiserver is away nobody knows, and the table tells why.
        let addons = addons::of_lab(lab)?;
        for line in addons::status(&mut lab.api(), &addons).unwrap_or_default() {
            println!("add-on {line}");
        }
    }
    match lab.ready {
        Some(ready) => println!(
            "all nodes Ready {:.1} s after the first process started, {} ago",
            ready.seconds,
            age(now().saturating_sub(ready.at))
        ),
        None => println!("the nodes have not all been Ready yet"),
    }
    Ok(well)
}

struct Line {
    process: String,
    pid: Option<i32>,
    seconds: Option<u64>,
    resident: u64,
    health: String,
}

fn host_lines(lab: &Lab, host: &Host) -> Vec<Line> {
    let known = control::ask(&lab.disk(host), &Request::List);
    let line = |name: String| {
        let down = |health: &str| Line {
            process: name.clone(),
            pid: None,
            seconds: None,
            resident: 0,
            health: health.to_owned(),
        };
        let Ok(known) = &known else {
            return down("host is off");
        };
        let Some(state) = known.iter().find(|process| process.name == name) else {
            return down("not started");
        };
        let Some(inner) = state.pid else {
            return down(state.ended.as_deref().unwrap_or("ended"));
        };
        let seen = process::seen(lab, host, inner);
        Line {
            process: name.clone(),
            pid: seen.map(|seen| seen.pid),
            seconds: Some(now().saturating_sub(state.started)),
            resident: seen.map_or(0, |seen| seen.resident),
            health: match health::check(lab, host, &name, "/healthz") {
                Ok(()) => "ok".to_owned(),
                Err(failure) => failure.why,
            },
        }
    };
    components::specs(lab, host)
        .into_iter()
        .map(|spec| line(spec.name))
        .collect()
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

fn mebibytes(kibibytes: u64) -> String {
    format!("{:.1}", kibibytes as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_shown_in_mebibytes() {
        assert_eq!(mebibytes(1536), "1.5");
    }
}
