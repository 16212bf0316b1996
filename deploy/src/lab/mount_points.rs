//! Folders of the machine over which hosts mount their own. All labs of a machine
//! share them: whoever comes first makes them, whoever goes last removes them.
//!
//! The kernel lets a folder be removed over which only another mount namespace has
//! something mounted, and takes that mount away with it. So nobody removes a folder
//! before looking at the mounts of every process.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use crate::failure::{OrFail, Result};
use crate::shell;

/// Where the folders made by this tool are noted. A restart of the machine clears it;
/// then they stay, as empty folders.
const NOTE: &str = "/run/hardway.mount-points";

/// The machine's mount points, for as long as no other lab makes or removes any.
#[derive(Debug)]
pub struct MountPoints {
    note: PathBuf,
    _lock: Flock<File>,
}

impl MountPoints {
    /// Waits until no other lab is at them.
    pub fn lock() -> Result<Self> {
        Self::noted_in(Path::new(NOTE))
    }

    fn noted_in(note: &Path) -> Result<Self> {
        let what = || format!("lock {}", note.display());
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(note.with_extension("lock"))
            .or_fail(what)?;
        let lock = Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, error)| error)
            .or_fail(what)?;
        Ok(Self {
            note: note.to_owned(),
            _lock: lock,
        })
    }

    /// Makes folders that are missing.
    pub fn ensure(&self, folders: &[&str]) -> Result<()> {
        let mut made = self.made();
        for folder in folders.iter().map(Path::new) {
            if !folder.exists() {
                shell::make_directory(folder)?;
                made.push(folder.to_owned());
            }
        }
        self.note(&made)
    }

    /// Removes the folders that were made for this, but for those over which any
    /// process of the machine has something mounted.
    pub fn remove_unused(&self) -> Result<()> {
        let in_use = mounted();
        let (used, unused): (Vec<_>, Vec<_>) = self
            .made()
            .into_iter()
            .partition(|folder| in_use.contains(folder));
        for folder in unused {
            // Somebody put something there: then it is theirs.
            let _ = fs::remove_dir(folder);
        }
        self.note(&used)
    }

    fn made(&self) -> Vec<PathBuf> {
        let text = fs::read_to_string(&self.note).unwrap_or_default();
        text.lines().map(PathBuf::from).collect()
    }

    fn note(&self, made: &[PathBuf]) -> Result<()> {
        let lines: String = made
            .iter()
            .map(|folder| format!("{}\n", folder.display()))
            .collect();
        shell::write_file(&self.note, lines.as_bytes(), 0o644)
    }
}

/// Mount points of all processes. Those of a process that ended meanwhile don't count.
fn mounted() -> Vec<PathBuf> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut points: Vec<PathBuf> = processes
        .filter_map(|process| fs::read_to_string(process.path().join("mountinfo")).ok())
        .flat_map(|mounts| mounts.lines().filter_map(mount_point).collect::<Vec<_>>())
        .collect();
    points.sort();
    points.dedup();
    points
}

/// The fifth word of a line of mountinfo, proc(5).
fn mount_point(line: &str) -> Option<PathBuf> {
    line.split(' ').nth(4).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A process in a mount namespace of its own that has something mounted there.
    fn host(folder: &Path) -> Child {
        let script = format!(
            "mount -t tmpfs none {0} && touch {0}/mine && echo mounted && read end; ls {0}",
            folder.display()
        );
        let mut host = Command::new("unshare")
            .args([
                "--mount",
                "--propagation",
                "slave",
                "--",
                "sh",
                "-c",
                &script,
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut said = BufReader::with_capacity(1, host.stdout.as_mut().unwrap());
        said.read_line(&mut line).unwrap();
        assert_eq!(line, "mounted\n", "mounting needs root");
        host
    }

    /// What the process still sees in its mount.
    fn end(mut host: Child) -> String {
        drop(host.stdin.take());
        let mut seen = String::new();
        host.stdout
            .take()
            .unwrap()
            .read_to_string(&mut seen)
            .unwrap();
        host.wait().unwrap();
        seen
    }

    #[test]
    fn a_lab_that_goes_leaves_the_others_mounts_alone() {
        let root = tempfile::tempdir().unwrap();
        let (shared, own) = (root.path().join("shared"), root.path().join("own"));
        let points = || MountPoints::noted_in(&root.path().join("note")).unwrap();
        let names = [&shared, &own].map(|folder| folder.to_str().unwrap());
        points().ensure(&names).unwrap();
        let other = host(&shared);
        points().remove_unused().unwrap();
        assert!(!own.exists(), "nobody uses it");
        assert!(shared.exists(), "the other lab uses it");
        assert_eq!(end(other), "mine\n", "its mount is still there");
        // The lab that goes last removes what the first one made.
        points().remove_unused().unwrap();
        assert!(!shared.exists());
    }

    #[test]
    fn folders_that_were_there_before_stay() {
        let root = tempfile::tempdir().unwrap();
        let points = MountPoints::noted_in(&root.path().join("note")).unwrap();
        let before = root.path().join("before");
        fs::create_dir(&before).unwrap();
        points.ensure(&[before.to_str().unwrap()]).unwrap();
        points.remove_unused().unwrap();
        assert!(before.exists());
    }
}
