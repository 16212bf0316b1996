//! `hardway backup`: all that a cluster goes on from, in one file.

use std::path::{Path, PathBuf};

use anstream::println;
use jiff::Timestamp;

use crate::backup::{self, Facts, Source, folder};
use crate::failure::{Failure, OrFail, Result};
use crate::host::control_plane::here;
use crate::host::{Layout, facts};
use crate::output::table;
use crate::{etcd, shell};

/// What `backup` may be told.
#[derive(Debug, Clone, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Options {
    #[command(subcommand)]
    action: Option<Action>,
    /// Where it is to be: a file, or a folder, in which it gets a name
    #[arg(value_name = "FILE", required = true)]
    file: Option<PathBuf>,
    /// A public key of `age` that it is encrypted to; repeatable. Who takes backups can't read
    /// them then
    #[arg(long = "recipient", value_name = "age1…")]
    recipients: Vec<String>,
    /// Remove the oldest of this host's backups in that folder, but for so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    keep: Option<u16>,
}

/// What can be done with backups that are there.
#[derive(Debug, Clone, clap::Subcommand)]
enum Action {
    /// Say what backups are of
    List {
        /// Files, or folders with some
        #[arg(value_name = "FILE", required = true)]
        paths: Vec<PathBuf>,
        /// The key that they are encrypted to
        #[arg(long, value_name = "FILE")]
        identity: Option<PathBuf>,
    },
    /// Read one to its end, and compare all with its checksums
    Verify {
        /// The backup
        #[arg(value_name = "FILE")]
        path: PathBuf,
        /// The key that it is encrypted to
        #[arg(long, value_name = "FILE")]
        identity: Option<PathBuf>,
    },
}

/// Does it.
///
/// # Errors
/// If something can't be read or written, or a backup is not whole.
pub fn run(options: &Options) -> Result<()> {
    match (&options.action, &options.file) {
        (Some(Action::List { paths, identity }), _) => list(paths, identity.as_deref()),
        (Some(Action::Verify { path, identity }), _) => {
            let facts = backup::verify(path, identity.as_deref())?;
            println!("{} is whole: {}", path.display(), describe(&facts));
            Ok(())
        }
        (None, Some(file)) => take(options, file),
        (None, None) => Err(Failure::new("take a backup", "no file is named")),
    }
}

fn take(options: &Options, file: &Path) -> Result<()> {
    let layout = Layout::new(Path::new("/"));
    let cluster = here(&layout)?;
    let host = facts::host_name()?;
    let is_encrypted = !options.recipients.is_empty();
    let path = match file.is_dir() {
        true => file.join(folder::name(&host, Timestamp::now(), is_encrypted)),
        false => file.to_owned(),
    };
    if options.keep.is_some() && !file.is_dir() {
        let why = format!("{} is no folder", file.display());
        return Err(Failure::new("keep some backups", why));
    }
    let source = Source {
        layout: &layout,
        cluster: &cluster,
        etcd: etcd::Client::of_host(&layout),
        host,
    };
    let facts = backup::take(&source, &path, &options.recipients)?;
    println!("{}: {}", path.display(), describe(&facts));
    if !is_encrypted {
        println!("It has the cluster's keys: keep it where nobody else can read it.");
    }
    if let Some(keep) = options.keep {
        let all = backup::in_folder(file)?;
        for old in folder::surplus(&all, &source.host, keep.into()) {
            shell::remove(&old)?;
            println!("{}: removed", old.display());
        }
    }
    Ok(())
}

fn describe(facts: &Facts) -> String {
    let Facts {
        cluster,
        host,
        revision,
        created,
        ..
    } = facts;
    format!("cluster {cluster} on {host}, {created:.0}, revision {revision}")
}

fn list(paths: &[PathBuf], identity: Option<&Path>) -> Result<()> {
    let mut files = Vec::new();
    for path in paths {
        match path.is_dir() {
            true => files.extend(backup::in_folder(path)?),
            false => files.push(path.clone()),
        }
    }
    let header = ["FILE", "CREATED", "CLUSTER", "HOST", "REVISION", "SIZE"];
    let mut rows = vec![header.map(str::to_owned)];
    let mut failure = None;
    for file in &files {
        let size = std::fs::metadata(file).or_fail(|| format!("read {}", file.display()))?;
        let size = format!("{:.1} MiB", size.len() as f64 / f64::from(1 << 20));
        let name = file.display().to_string();
        rows.push(match backup::facts(file, identity) {
            Ok(facts) => [
                name,
                format!("{:.0}", facts.created),
                facts.cluster,
                facts.host,
                facts.revision.to_string(),
                size,
            ],
            Err(error) => {
                let row = [&name, "?", "?", "?", "?", &size].map(str::to_owned);
                failure = failure.or(Some(error));
                row
            }
        });
    }
    anstream::print!("{}", table(&rows));
    failure.map_or(Ok(()), Err)
}
