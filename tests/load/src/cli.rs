//! What the command line asks for.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anstream::{eprintln, print, println};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::failure::Failure;
use crate::options::{Command, Options, RunOptions};
use crate::progress::Progress;
use crate::reference;
use crate::report::compare::{self, Comparison};
use crate::report::{Report, table};
use crate::run;
use crate::scheduling;
use crate::simulate;
use crate::target::Target;
use crate::workload::Workload;
use crate::workloads;

/// It was done, and something was answered wrongly or not at all.
const WRONG: u8 = 1;
/// It could not be done.
const FAILED: u8 = 2;

/// Does what the command line asks for.
pub async fn main(options: &Options) -> ExitCode {
    let done = if let Some(Command::Simulate(simulation)) = &options.command {
        simulate::report(simulation, Progress::on_terminal()).await
    } else if options.list {
        list();
        Ok(true)
    } else if let Some(sides) = &options.compare {
        compare(sides).map(|comparison| {
            print!("{comparison}");
            true
        })
    } else {
        measure(&options.run).await
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(WRONG),
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(FAILED)
        }
    }
}

fn list() {
    for workload in workloads::all() {
        println!("{:<20} {}", workload.name(), workload.about());
    }
    println!("\nonly by name, or all of them by the name schedule:");
    for workload in scheduling::workloads() {
        println!("{:<20} {}", workload.name(), workload.about());
    }
}

/// Runs what is asked for; whether all was well.
async fn measure(options: &RunOptions) -> Result<bool, Failure> {
    let workloads = workloads::choose(&options.only)?;
    for file in [&options.json, &options.html].into_iter().flatten() {
        check_folder(file)?;
    }
    allow_connections(&workloads, options)?;
    if options.servers.is_wanted() {
        return reference::run(options, &workloads).await;
    }
    let sampler = options.sampler()?;
    let target = Target::read(options.against.as_deref(), options.context.as_deref()).await?;
    let report = run::run(
        &workloads,
        Arc::new(target),
        &options.sizes,
        &sampler,
        Progress::on_terminal(),
        None,
    )
    .await?;
    print!("{}", table::table(&report));
    if let Some(file) = &options.json {
        report.write(file)?;
    }
    if let Some(file) = &options.html {
        report.write_page(file)?;
    }
    Ok(report.is_good())
}

/// A report that can't be written is known before anything is measured.
fn check_folder(file: &Path) -> Result<(), Failure> {
    let folder = file.parent().filter(|it| !it.as_os_str().is_empty());
    match folder.unwrap_or(Path::new(".")).is_dir() {
        true => Ok(()),
        false => Err(Failure::new(
            format!("write {}", file.display()),
            "its folder does not exist",
            "make it first, or name another",
        )),
    }
}

/// Each watcher has a connection, which takes a file descriptor: the process is allowed as
/// many as it may have.
fn allow_connections(workloads: &[Box<dyn Workload>], options: &RunOptions) -> Result<(), Failure> {
    let watchers = workloads.iter().any(|it| it.name() == "watch");
    let sizes = &options.sizes;
    let connections = sizes.connections.get() + if watchers { sizes.watchers.get() } else { 0 };
    let needed = connections as u64 + 64;
    let fail = |why: String| {
        Failure::new(
            format!("open {connections} connections"),
            why,
            "ask for fewer (--watchers, --connections), or allow more:  ulimit -n",
        )
    };
    let (soft, hard) =
        getrlimit(Resource::RLIMIT_NOFILE).map_err(|error| fail(error.to_string()))?;
    if hard < needed {
        return Err(fail(format!("this process may open {hard} files")));
    }
    if soft < needed {
        setrlimit(Resource::RLIMIT_NOFILE, needed, hard)
            .map_err(|error| fail(error.to_string()))?;
    }
    Ok(())
}

/// Compares what two sides have measured.
fn compare(sides: &[String]) -> Result<Comparison, Failure> {
    let read = |files: &String| -> Result<Vec<Report>, Failure> {
        let files = files.split(',').filter(|file| !file.is_empty());
        files.map(|file| Report::read(Path::new(file))).collect()
    };
    let [first, second] = sides else {
        return Err(Failure::new(
            "compare reports",
            "there are not two sides",
            "name two",
        ));
    };
    compare::compare(&read(first)?, &read(second)?)
}
