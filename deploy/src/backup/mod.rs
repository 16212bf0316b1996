//! Backups of a control plane, in one file: a snapshot of etcd, the keys that all control planes
//! share, and the settings; and what becomes of one on a host that is to go on from it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::etcd;
use crate::failure::{Failure, OrFail, Result};
use crate::host::Layout;
use crate::host::cluster::Cluster;

pub mod archive;
pub mod bolt;
pub mod data;
pub mod encryption;
pub mod files;
pub mod folder;
pub mod staged;

use archive::Writer;
use encryption::Sink;

/// The archive's format, by which a later tool knows what to expect.
pub const FORMAT: u32 = 1;
/// The archive's first file: what it is of.
pub const FACTS: &str = "backup.json";
/// etcd's snapshot in it.
pub const SNAPSHOT: &str = "etcd/snapshot.db";

/// By how much clocks may differ which are right.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(60);

/// What a backup is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// See [`FORMAT`].
    pub format: u32,
    /// When it was begun.
    pub created: Timestamp,
    /// Version of the tool.
    pub hardway: String,
    /// Version of etcd.
    pub etcd: String,
    /// Name of the cluster.
    pub cluster: String,
    /// Name of the host.
    pub host: String,
    /// Its address.
    pub address: std::net::Ipv4Addr,
    /// etcd's revision when it was begun; the snapshot is of this one or a later one.
    pub revision: i64,
    /// How many members etcd had.
    pub members: usize,
}

impl Facts {
    /// Whether it was taken after this moment, by more than clocks differ: then one of the two clocks
    /// was wrong.
    pub fn is_of_the_future(&self, now: Timestamp) -> bool {
        self.created.duration_since(now) > CLOCKS_DIFFER
    }
}

/// Where a backup is taken.
#[derive(Debug)]
pub struct Source<'a> {
    /// The host's files.
    pub layout: &'a Layout,
    /// What the cluster is like.
    pub cluster: &'a Cluster,
    /// The host's name.
    pub host: String,
    /// Its member of etcd.
    pub etcd: etcd::Client,
}

/// Writes a backup, of which nothing is there before it is whole. It can be read by its owner
/// alone, and with recipients (`age1…`) only by who has a key of theirs.
///
/// # Errors
/// If etcd has no majority, or something can't be read or written.
pub fn take(source: &Source<'_>, to: &Path, recipients: &[String]) -> Result<Facts> {
    let what = || format!("write {}", to.display());
    let kept = files::of(source.layout)?;
    // Agreed on by a majority, and seen by this member before its snapshot begins: a member
    // that the others have left behind gives no old store for a backup.
    let revision = source.etcd.revision();
    let revision = revision.map_err(|error| {
        Failure::new("ask etcd for its revision", error)
            .way_out("a backup needs most members:  hardway etcd members")
    })?;
    let status = source.etcd.status().or_fail(|| "ask etcd how it is")?;
    let members = source
        .etcd
        .members()
        .or_fail(|| "ask etcd for its members")?;
    let facts = Facts {
        format: FORMAT,
        created: Timestamp::now(),
        hardway: env!("CARGO_PKG_VERSION").to_owned(),
        etcd: status.version,
        cluster: source.cluster.cluster_name.clone(),
        host: source.host.clone(),
        address: source.cluster.address,
        revision,
        members: members.len(),
    };
    let snapshot = source.etcd.snapshot()?;
    let partial = folder::Partial::beside(to)?;
    let sink = Sink::to(partial.file()?, recipients)?;
    let mut writer = Writer::new(sink, facts.created);
    let text = serde_json::to_vec_pretty(&facts).or_fail(what)?;
    writer
        .add(FACTS, 0o600, text.len() as u64, &text[..])
        .or_fail(what)?;
    for file in kept {
        let content = fs::read(&file.path);
        let content = content.or_fail(|| format!("read {}", file.path.display()))?;
        let size = content.len() as u64;
        writer
            .add(&file.name, file.mode, size, &content[..])
            .or_fail(what)?;
    }
    let size = snapshot.size();
    writer.add(SNAPSHOT, 0o600, size, snapshot).or_fail(what)?;
    writer.finish().or_fail(what)?.finish()?;
    partial.keep()?;
    Ok(facts)
}

/// What a backup is of, by the first file in it; nothing else is looked at.
///
/// # Errors
/// If it can't be read, or is none.
pub fn facts(path: &Path, identity: Option<&Path>) -> Result<Facts> {
    let source = encryption::Source::open(path, identity)?;
    archive::first(source).or_fail(|| format!("read {}", path.display()))
}

/// Reads a backup to its end, and says whether it is whole.
///
/// # Errors
/// With what is wrong with it.
pub fn verify(path: &Path, identity: Option<&Path>) -> Result<Facts> {
    read(path, identity, |_, _| Ok(()))
}

/// Reads a backup to its end, and hands each file over.
fn read(
    path: &Path,
    identity: Option<&Path>,
    take: impl FnMut(&archive::Name, &mut dyn io::Read) -> io::Result<()>,
) -> Result<Facts> {
    let mut source = encryption::Source::open(path, identity)?;
    let outcome = archive::read(&mut source, take);
    // Why it can't be decrypted says more than that it ended.
    source.finish()?;
    let facts = outcome.map_err(|error| {
        Failure::new(format!("read {}", path.display()), error)
            .way_out("take another backup; this one is not whole")
    })?;
    match facts.format == FORMAT {
        true => Ok(facts),
        false => Err(Failure::new(
            format!("read {}", path.display()),
            format!(
                "its format is {}, and this tool knows {FORMAT}",
                facts.format
            ),
        )
        .way_out("use the version of hardway that it was made with")),
    }
}

/// Opens a file that nobody but its owner can read.
fn create_private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Backups in a folder, by their names; the oldest first.
///
/// # Errors
/// If it can't be read.
pub fn in_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).or_fail(|| format!("read {}", folder.display()))?;
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| folder::is_backup(path))
        .collect();
    found.sort();
    Ok(found)
}
