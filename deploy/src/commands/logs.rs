//! `hardway logs`: a process's log.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::failure::{Failure, Result};
use crate::lab::{Lab, process};

/// Shows the end of a log, and with `follow` what is added to it.
pub fn run(lab: &Lab, name: &str, follow: bool, lines: Option<u64>) -> Result<()> {
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
    tail.arg(lines.map_or_else(
        || "--lines=+1".to_owned(),
        |lines| format!("--lines={lines}"),
    ));
    if follow {
        tail.arg("--follow=name");
    }
    let error = tail.arg(log).exec();
    Err(Failure::new("run tail", error))
}
