//! The same workloads on one side and the other, in turn, each time on a control plane that
//! has just been started: A B A B. Nothing of a run is left to the next one, and only what is
//! measured runs.

use super::authority::Authority;
use super::binaries::{Binaries, Maker};
use super::etcd::Etcd;
use super::side::Side;
use crate::etcd::{Writes, commit};
use crate::failure::Failure;
use crate::measure::Measuring;
use crate::options::{RunOptions, Sizes};
use crate::process::Sampler;
use crate::progress::Progress;
use crate::report::compare::compare;
use crate::report::{Report, table};
use crate::run::{self, Stop, load_average};
use crate::workload::Workload;
use anstream::{eprintln, print, println};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// Which programs are started for a run.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Servers started for the run")]
pub struct Servers {
    /// Start an API server, and a scheduler where one is needed, of this folder for the run,
    /// on an etcd of its own [with --reference: target/release]
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["against", "context", "processes", "processes_of"])]
    pub binaries: Option<PathBuf>,
    /// Compare with the programs of this folder: Kubernetes' or another build of hardway
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["against", "context", "processes", "processes_of", "html"])]
    pub reference: Option<PathBuf>,
    /// How often each side runs
    #[arg(long, value_name = "N", default_value = "2", requires = "reference")]
    pub rounds: NonZeroU32,
}

impl Servers {
    /// Whether anything is to be started.
    pub fn is_wanted(&self) -> bool {
        self.binaries.is_some() || self.reference.is_some()
    }
}

/// What a side is and what it has measured.
struct Runs {
    name: String,
    binaries: Binaries,
    reports: Vec<Report>,
}

/// Runs all in turn and prints what was measured, and the ratios; whether all was well.
///
/// # Errors
/// If a side can't be started, or the process is asked to end.
pub async fn run(options: &RunOptions, workloads: &[Box<dyn Workload>]) -> Result<bool, Failure> {
    let (servers, sizes) = (&options.servers, &options.sizes);
    let own = PathBuf::from("target/release");
    let own = servers.binaries.as_ref().unwrap_or(&own);
    let mut sides = Vec::new();
    if let Some(folder) = &servers.reference {
        sides.push(Runs::new(folder)?);
    }
    sides.push(Runs::new(own)?);
    let rounds = match sides.len() {
        1 => 1,
        _ => servers.rounds.get(),
    };
    // The least that creating costs is seen where objects are created.
    let with_etcd = workloads.iter().any(|it| it.name() == "create");
    let mut ceiling = Vec::new();
    let mut stop = Stop::new()?;
    for round in 1..=rounds {
        for side in &mut sides {
            eprintln!("{}, round {round} of {rounds}", side.name);
            let report = side.run(workloads, sizes, &mut stop).await?;
            print!("\n{}\n{}", side.name, table::table(&report));
            side.reports.push(report);
        }
        if with_etcd {
            eprintln!("etcd alone, round {round} of {rounds}");
            let measured = tokio::select! {
                measured = etcd_alone(sizes) => measured?,
                () = stop.asked() => return Err(interrupted()),
            };
            ceiling.push(measured);
        }
    }
    match &sides[..] {
        [alone] => alone.write(options)?,
        _ => write_all(options, &sides, &ceiling)?,
    }
    report(&sides, &ceiling)?;
    let mut reports = sides.iter().flat_map(|side| &side.reports);
    Ok(reports.all(Report::is_good))
}

impl Runs {
    fn new(folder: &Path) -> Result<Self, Failure> {
        let binaries = Binaries::find(folder)?;
        let maker = match binaries.maker {
            Maker::Hardway => "hardway",
            Maker::Kubernetes => "Kubernetes",
        };
        Ok(Self {
            name: format!("{maker} of {}", folder.display()),
            binaries,
            reports: Vec::new(),
        })
    }

    /// Writes the report of the only run.
    fn write(&self, options: &RunOptions) -> Result<(), Failure> {
        for report in &self.reports {
            if let Some(file) = &options.json {
                report.write(file)?;
            }
            if let Some(file) = &options.html {
                report.write_page(file)?;
            }
        }
        Ok(())
    }

    /// Starts the side, has it do the work, and takes it away.
    async fn run(
        &self,
        workloads: &[Box<dyn Workload>],
        sizes: &Sizes,
        stop: &mut Stop,
    ) -> Result<Report, Failure> {
        let start = async {
            let mut side = Side::start(&self.binaries).await?;
            if workloads
                .iter()
                .any(|it| it.name().starts_with("schedule-"))
            {
                side.start_scheduler(&self.binaries)?;
            }
            Ok::<_, Failure>(side)
        };
        let mut side = tokio::select! {
            side = start => side?,
            () = stop.asked() => return Err(interrupted()),
        };
        let target = Arc::new(side.target().await?);
        let progress = Progress::on_terminal();
        let (sampler, binaries) = (side.sampler(), Some(&self.binaries));
        let report = run::run(workloads, target, sizes, &sampler, progress, binaries);
        let mut report = report.await?;
        if stop.has_been_asked() {
            return Err(interrupted());
        }
        side.check()?;
        // The address is another one each time, and says nothing.
        report.server.clone_from(&self.name);
        Ok(report)
    }
}

fn interrupted() -> Failure {
    let way_out = "what was started has ended; run it again";
    Failure::new("run both sides in turn", "interrupted", way_out)
}

/// What etcd commits without an API server, as a report that can be compared: as many keys of
/// the same size at the same concurrency.
async fn etcd_alone(sizes: &Sizes) -> Result<Report, Failure> {
    let folder = TempDir::with_prefix("hardway-load-").map_err(|error| {
        let way_out = "TMPDIR names another place for it";
        Failure::new("make a folder", error, way_out)
    })?;
    let authority = Authority::create(folder.path())?;
    let etcd = Etcd::start(&authority).await?;
    let writes = Writes {
        count: sizes.pods.get(),
        concurrency: sizes.concurrency.get(),
        bytes: sizes.pod_size as usize,
    };
    let began = jiff::Timestamp::now().to_string();
    let before = load_average();
    // Under the name of what it is compared with.
    let name = "create pods".to_owned();
    let bar = Progress::on_terminal().bar(&name, writes.count);
    let sampler = Sampler::new(vec![etcd.watched()]);
    let measuring = Arc::new(Measuring::begin("create", name, sampler, bar));
    commit(&etcd, &authority, writes, &measuring).await?;
    Ok(Report {
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        began,
        server: "etcd alone".to_owned(),
        server_version: String::new(),
        options: sizes.named().collect(),
        load_average: [before, load_average()],
        measurements: vec![measuring.finish()],
        failures: Default::default(),
    })
}

/// Prints the ratios.
fn report(sides: &[Runs], ceiling: &[Report]) -> Result<(), Failure> {
    if let [first, second] = sides {
        println!("\n{}", compare(&first.reports, &second.reports)?);
    }
    if !ceiling.is_empty() {
        for report in ceiling {
            print!("\n{}", table::table(report));
        }
        for side in sides {
            println!("\n{}", compare(ceiling, &side.reports)?.of_both());
        }
    }
    Ok(())
}

/// Writes each report into a file of its own: `NAME-a-1.json`, `NAME-b-1.json`,
/// `NAME-etcd-1.json` and so on for `NAME.json`.
fn write_all(options: &RunOptions, sides: &[Runs], ceiling: &[Report]) -> Result<(), Failure> {
    let Some(file) = &options.json else {
        return Ok(());
    };
    let sides = ["a", "b"].iter().zip(sides);
    let named = sides.map(|(name, side)| (*name, side.reports.as_slice()));
    for (name, reports) in named.chain([("etcd", ceiling)]) {
        for (index, report) in reports.iter().enumerate() {
            report.write(&numbered(file, name, index + 1))?;
        }
    }
    Ok(())
}

fn numbered(file: &Path, side: &str, number: usize) -> PathBuf {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!("{stem}-{side}-{number}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_report_has_a_file_of_its_own() {
        let file = |side, number| numbered(Path::new("/x/writes.json"), side, number);
        assert_eq!(file("a", 1), Path::new("/x/writes-a-1.json"));
        assert_eq!(file("etcd", 2), Path::new("/x/writes-etcd-2.json"));
    }
}
