//! What a restore has made ready, in a folder of its own beside etcd's, and how far it has come:
//! one that was interrupted goes on where it was.

use std::fs::{self, File};
use std::io::{self, Read};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use nix::unistd::syncfs;
use serde::{Deserialize, Serialize};

use super::archive::Name;
use super::data::{self, Made, Making};
use super::{Facts, SNAPSHOT, create_private, files, read};
use crate::etcd::member;
use crate::failure::{Failure, OrFail, Result};
use crate::host::cluster::{self, Cluster};
use crate::host::{Layout, control_plane, departure, etcd_env};
use crate::pki::{self, Pki};
use crate::shell;

/// Where it is made ready: on the file system of etcd's folder, which it becomes.
const FOLDER: &str = "var/lib/hardway/restore";
/// etcd's folder on a host.
const ETCD: &str = "var/lib/hardway/etcd";
/// How the names begin, after that of what was there, under which that is kept.
pub const ASIDE: &str = "before-";
/// How far it has come.
const JOURNAL: &str = "restore.json";

/// A restore that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// What is restored.
    pub backup: Facts,
    /// Name of the host that goes on from it.
    pub host: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Under which name what was on the host is kept: `before-TIME`.
    pub aside: String,
}

/// The folder of a restore.
#[derive(Debug)]
pub struct Staged<'a> {
    layout: &'a Layout,
    folder: PathBuf,
}

impl<'a> Staged<'a> {
    /// That of a host.
    pub fn on(layout: &'a Layout) -> Self {
        Self {
            folder: layout.path(FOLDER),
            layout,
        }
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The restore that has come so far that it can only go on.
    ///
    /// # Errors
    /// If its journal can't be read.
    pub fn journal(&self) -> Result<Option<Journal>> {
        let path = self.folder.join(JOURNAL);
        if !path.exists() {
            return Ok(None);
        }
        let text = shell::read_text(&path)?;
        let journal = serde_json::from_str(&text);
        journal
            .map(Some)
            .or_fail(|| format!("read {}", path.display()))
    }

    /// Unpacks a backup that is whole; one that isn't leaves nothing behind.
    ///
    /// # Errors
    /// With what is wrong with it.
    pub fn unpack(&self, archive: &Path, identity: Option<&Path>) -> Result<Facts> {
        self.remove()?;
        shell::make_directory(&self.folder)?;
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(&self.folder, private)
            .or_fail(|| format!("write {}", self.folder.display()))?;
        let outcome = read(archive, identity, |name, from| self.place(name, from));
        let outcome = outcome.and_then(|facts| match files::missing(&Layout::new(&self.folder)) {
            None => Ok(facts),
            Some(missing) => {
                let name = missing.strip_prefix(&self.folder).unwrap_or(&missing);
                let why = format!("it has no {}", name.display());
                Err(Failure::new(format!("read {}", archive.display()), why))
            }
        });
        if outcome.is_err() {
            self.remove()?;
        }
        outcome
    }

    fn place(&self, name: &Name, from: &mut dyn Read) -> io::Result<()> {
        let path = self.folder.join(&name.path);
        fs::create_dir_all(path.parent().unwrap_or(&self.folder))?;
        let mut file = create_private(&path)?;
        io::copy(from, &mut file)?;
        file.set_permissions(fs::Permissions::from_mode(name.mode & 0o777))
    }

    /// What the backed-up cluster is like, with this host's address.
    ///
    /// # Errors
    /// If the backup doesn't say.
    pub fn cluster(&self, address: Option<Ipv4Addr>) -> Result<Cluster> {
        let path = self.folder.join("etc/hardway").join(cluster::FILE);
        let text = shell::read_text(&path)?;
        let cluster = Cluster::parse(&text, &path.display().to_string())?;
        let cluster = Cluster {
            address: address.unwrap_or(cluster.address),
            ..cluster
        };
        cluster.validate()?;
        Ok(cluster)
    }

    /// The backed-up CA of the cluster.
    ///
    /// # Errors
    /// If the backup has none.
    pub fn ca(&self) -> Result<String> {
        shell::read_text(&self.pki().certificate(pki::CLUSTER_CA))
    }

    fn pki(&self) -> Pki {
        Pki::new(&self.folder.join("etc/hardway/pki"))
    }

    /// Makes etcd's folder of the snapshot, and notes that this is what will be.
    ///
    /// # Errors
    /// If the snapshot can't be used.
    pub fn prepare(
        &self,
        backup: &Facts,
        cluster: &Cluster,
        host: &str,
        now: Timestamp,
    ) -> Result<Made> {
        let pki = self.pki();
        let leaves =
            pki::of_control_plane(&control_plane::host(cluster, host), &cluster.api_names());
        pki.ensure_leaves(&leaves, now.into())?;
        let snapshot = self.folder.join(SNAPSHOT);
        let making = Making {
            snapshot: &snapshot,
            folder: &self.folder.join("data"),
            pki: &pki,
            host,
            address: cluster.address,
        };
        let since_1970 = |at: Timestamp| {
            let since = at.duration_since(Timestamp::UNIX_EPOCH);
            Duration::try_from(since).unwrap_or_default()
        };
        let (taken, restored) = (since_1970(backup.created), since_1970(now));
        let last = data::last_revision(&self.layout.path(ETCD));
        let made = making.make(|backup| data::next_revision(backup, taken, restored, last))?;
        // Its room may be needed.
        shell::remove(&snapshot)?;
        let journal = Journal {
            backup: backup.clone(),
            host: host.to_owned(),
            address: cluster.address,
            aside: format!("{ASIDE}{}", now.strftime("%Y%m%dT%H%M%SZ")),
        };
        let text = serde_json::to_vec_pretty(&journal).or_fail(|| "note how far it has come")?;
        shell::write_file(&self.folder.join(JOURNAL), &text, 0o600)?;
        Ok(made)
    }

    /// Puts all in its place; what was there is kept beside it, and is named. Done again it
    /// does what is left.
    ///
    /// # Errors
    /// If something can't be moved or written.
    pub fn install(&self, journal: &Journal) -> Result<Vec<PathBuf>> {
        let cluster = self.cluster(Some(journal.address))?;
        let (data, etcd) = (self.folder.join("data"), self.layout.path(ETCD));
        let (etc, mut kept) = (self.layout.etc(), Vec::new());
        if data.exists() {
            if etcd.join("member").exists() {
                let aside = beside(&etcd, &journal.aside);
                rename(&etcd, &aside)?;
                kept.push(aside);
            }
            // An empty one is systemd's.
            shell::remove(&etcd)?;
            rename(&data, &etcd)?;
        }
        let aside = beside(&etc, &journal.aside);
        if etc.exists() && !aside.exists() {
            copy_aside(&etc, &aside)?;
            kept.push(aside);
        }
        departure::forget_members(self.layout)?;
        files::install(&self.folder, self.layout)?;
        let text = cluster.to_yaml();
        shell::write_file(&etc.join(cluster::FILE), text.as_bytes(), 0o644)?;
        let own = format!("{}={}", journal.host, member::peer_url(journal.address));
        // Were its folder lost, an etcd that begins anew would have nothing of the cluster.
        etcd_env::write(&etc, etcd_env::State::Existing, Some(&own))?;
        Ok(kept)
    }

    /// Removes what was made ready.
    ///
    /// # Errors
    /// If it can't be removed.
    pub fn remove(&self) -> Result<()> {
        shell::remove(&self.folder).map(drop)
    }
}

/// What on a host a restore would do away with; in words.
///
/// # Errors
/// If it can't be read.
pub fn in_the_way(layout: &Layout, ca: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let member = layout.path(ETCD).join("member");
    if member.exists() {
        found.push(format!("etcd has stored something in {}", member.display()));
    }
    let own = layout.pki().certificate(pki::CLUSTER_CA);
    if own.exists() && shell::read_text(&own)? != ca {
        found.push(format!("{} is another cluster's", own.display()));
    }
    Ok(found)
}

/// All that restores have moved aside which was at this path.
pub fn moved_aside(path: &Path) -> Vec<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!("{name}.{ASIDE}");
    let entries = path.parent().map(fs::read_dir).into_iter().flatten();
    let names = entries.flatten().flatten().map(|entry| entry.file_name());
    let names = names.filter(|name| name.to_string_lossy().starts_with(&prefix));
    names.map(|name| path.with_file_name(name)).collect()
}

fn beside(path: &Path, aside: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{aside}"));
    PathBuf::from(name)
}

/// Copies a folder, which is there under its name as a whole and on the disk, or not at all: it
/// is all that is left of what is overwritten next.
fn copy_aside(from: &Path, to: &Path) -> Result<()> {
    let partial = PathBuf::from(format!("{}.partial", to.display()));
    // Of a run that was interrupted.
    shell::remove(&partial)?;
    let text = |path: &Path| path.display().to_string();
    shell::run("cp", &["--archive", &text(from), &text(&partial)])?;
    let what = || format!("write {}", to.display());
    syncfs(File::open(&partial).or_fail(what)?).or_fail(what)?;
    rename(&partial, to)?;
    let parent = File::open(to.parent().unwrap_or(Path::new("/")));
    parent.and_then(|folder| folder.sync_all()).or_fail(what)
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).or_fail(|| format!("move {} to {}", from.display(), to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal() -> Journal {
        Journal {
            backup: Facts {
                format: 1,
                created: Timestamp::UNIX_EPOCH,
                hardway: "0.1.0".to_owned(),
                etcd: "3.4.23".to_owned(),
                cluster: "hardway".to_owned(),
                host: "old".to_owned(),
                address: [10, 88, 0, 10].into(),
                revision: 7,
                members: 3,
            },
            host: "new".to_owned(),
            address: [10, 88, 0, 11].into(),
            aside: "before-now".to_owned(),
        }
    }

    /// A host with a cluster, on which another one is made ready.
    fn host() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let cluster = Cluster::at([10, 88, 0, 10].into()).to_yaml();
        for (path, text) in [
            ("var/lib/hardway/etcd/member/x", "old"),
            ("etc/hardway/pki/ca.crt", "old"),
            ("etc/hardway/pki/ca.key", "old"),
            ("var/lib/hardway/restore/data/member/x", "new"),
            ("var/lib/hardway/restore/etc/hardway/pki/ca.crt", "new"),
            ("var/lib/hardway/restore/etc/hardway/pki/ca.key", "new"),
            ("var/lib/hardway/restore/etc/hardway/cluster.yaml", &cluster),
        ] {
            shell::write_file(&root.path().join(path), text.as_bytes(), 0o600).unwrap();
        }
        root
    }

    #[test]
    fn what_was_there_is_kept_and_an_interruption_loses_nothing() {
        let root = host();
        let layout = Layout::new(root.path());
        let staged = Staged::on(&layout);
        let text = |path: &str| fs::read_to_string(root.path().join(path)).unwrap();
        // Interrupted right after the data came: done again, it is not taken for old data.
        for _ in 0..2 {
            staged.install(&journal()).unwrap();
            assert_eq!(text("var/lib/hardway/etcd/member/x"), "new");
            assert_eq!(text("etc/hardway/pki/ca.key"), "new");
            assert_eq!(text("var/lib/hardway/etcd.before-now/member/x"), "old");
            assert_eq!(text("etc/hardway.before-now/pki/ca.key"), "old");
        }
        assert!(text("etc/hardway/cluster.yaml").contains("address: 10.88.0.11"));
        let etcd = text("etc/hardway/etcd.env");
        assert!(etcd.contains("ETCD_INITIAL_CLUSTER=new=https://10.88.0.11:2380"));
        staged.remove().unwrap();
        assert!(!root.path().join(FOLDER).exists());
    }

    #[test]
    fn a_copy_that_was_interrupted_is_made_anew() {
        let root = host();
        let path = |path: &str| root.path().join(path);
        let half = path("etc/hardway.before-now.partial/pki/ca.crt");
        shell::write_file(&half, b"o", 0o600).unwrap();
        let layout = Layout::new(root.path());
        let kept = Staged::on(&layout).install(&journal()).unwrap();
        assert!(kept.contains(&path("etc/hardway.before-now")));
        for name in ["ca.crt", "ca.key"] {
            let copy = path("etc/hardway.before-now/pki").join(name);
            assert_eq!(shell::read_text(&copy).unwrap(), "old");
        }
        assert!(!path("etc/hardway.before-now.partial").exists());
    }

    #[test]
    fn the_apiserver_forgets_the_members_of_the_cluster_before() {
        let root = host();
        let seen = root.path().join("var/lib/hardway/apiserver/etcd-servers");
        shell::write_file(&seen, b"https://10.88.0.12:2379\n", 0o600).unwrap();
        let layout = Layout::new(root.path());
        Staged::on(&layout).install(&journal()).unwrap();
        assert!(!seen.exists());
    }

    #[test]
    fn another_cluster_and_a_database_are_in_the_way() {
        let root = host();
        let layout = Layout::new(root.path());
        assert_eq!(in_the_way(&layout, "new").unwrap().len(), 2);
        assert_eq!(in_the_way(&layout, "old").unwrap().len(), 1);
        shell::remove(&layout.path(ETCD)).unwrap();
        assert!(in_the_way(&layout, "old").unwrap().is_empty());
        assert!(
            in_the_way(&Layout::new(Path::new("/nonexistent")), "old")
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn a_clock_that_is_before_the_backup_is_noticed() {
        let (backup, minute) = (journal().backup, jiff::SignedDuration::from_mins(1));
        let taken = backup.created;
        assert!(!backup.is_of_the_future(taken + minute));
        assert!(!backup.is_of_the_future(taken - minute));
        assert!(backup.is_of_the_future(taken - minute * 2));
    }

    #[test]
    fn a_restore_that_has_not_come_far_begins_anew() {
        let root = host();
        let layout = Layout::new(root.path());
        let staged = Staged::on(&layout);
        assert_eq!(staged.journal().unwrap(), None);
        let text = serde_json::to_vec(&journal()).unwrap();
        fs::write(root.path().join(FOLDER).join(JOURNAL), text).unwrap();
        assert_eq!(staged.journal().unwrap(), Some(journal()));
        // What can't be read leaves nothing behind.
        let archive = root.path().join("archive");
        fs::write(&archive, "no backup").unwrap();
        assert!(staged.unpack(&archive, None).is_err());
        assert!(!root.path().join(FOLDER).exists());
        assert_eq!(
            fs::read(root.path().join("etc/hardway/pki/ca.key")).unwrap(),
            b"old"
        );
    }
}
