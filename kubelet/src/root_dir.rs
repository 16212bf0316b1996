//! The kubelet's directory, and that it is this node's own. What is in it and
//! belongs to no pod of the node is removed; in another node's folder that
//! would be everything. A marker in it says whose it is.

use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The marker's name.
const MARKER: &str = ".hardway-node";
/// Who may look into it: root, and its group.
const MODE: u32 = 0o750;

/// Why the directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused.
    #[error("{}: {error}", path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// The marker names another node.
    #[error(
        "{} belongs to node {owner:?}, not to {node:?}: give this node a --root-dir of its own, or remove {} if the node was renamed",
        path.display(), path.join(MARKER).display()
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Whom the marker names.
        owner: String,
        /// Who we are.
        node: String,
    },
    /// Another process has it.
    #[error("{} is in use by another kubelet", path.display())]
    Busy {
        /// The directory.
        path: PathBuf,
    },
    /// The directory isn't the one that was claimed any more.
    #[error(
        "{} is not the folder this kubelet started with: something was mounted or unmounted there; restart the kubelet when that is mended",
        path.display()
    )]
    Replaced {
        /// The directory.
        path: PathBuf,
    },
}

/// A directory claimed for a node, for as long as this lives.
#[derive(Debug)]
pub struct RootDir {
    path: PathBuf,
    marker: Flock<File>,
    text: String,
}

/// Makes a directory, and those above it that are missing, for the kubelet's
/// eyes only.
pub fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(MODE).create(path)
}

impl RootDir {
    /// Takes the directory for this node: makes it if it isn't there, and
    /// refuses one that is another's. A node that was started again, with
    /// another boot ID, is still the same node.
    pub fn claim(path: &Path, node: &str, boot: &str) -> Result<Self, Error> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| Error::Io { path, error }
        };
        make(path).map_err(failed(path))?;
        let file = path.join(MARKER);
        let mut marker = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o640)
            .custom_flags(nix::libc::O_NOFOLLOW)
            .open(&file)
            .and_then(lock)
            .map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock => Error::Busy { path: path.into() },
                _ => failed(&file)(error),
            })?;
        let mut found = String::new();
        marker.read_to_string(&mut found).map_err(failed(&file))?;
        let owner = found.lines().find_map(|line| line.strip_prefix("node="));
        if let Some(owner) = owner.filter(|owner| *owner != node) {
            return Err(Error::Foreign {
                path: path.into(),
                owner: owner.into(),
                node: node.into(),
            });
        }
        let text = format!("node={node}\nboot={boot}\n");
        if found != text {
            rewrite(&mut marker, &text).map_err(failed(&file))?;
        }
        close(path).map_err(failed(path))?;
        Ok(Self {
            path: path.into(),
            marker,
            text,
        })
    }

    /// Whether the directory is still the one that was claimed. Nothing may be
    /// swept out of it otherwise.
    pub fn check(&self) -> Result<(), Error> {
        let same = || -> io::Result<bool> {
            let file = self.path.join(MARKER);
            let (here, there) = (self.marker.metadata()?, fs::symlink_metadata(&file)?);
            let is_same = (here.dev(), here.ino()) == (there.dev(), there.ino());
            Ok(is_same && fs::read_to_string(file)? == self.text)
        };
        match same() {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::Replaced {
                path: self.path.clone(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::Replaced {
                path: self.path.clone(),
            }),
            Err(error) => Err(Error::Io {
                path: self.path.clone(),
                error,
            }),
        }
    }
}

fn lock(marker: File) -> io::Result<Flock<File>> {
    Flock::lock(marker, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error.into())
}

/// Writes over what is there, which takes no room: after a reboot the kubelet must come up on a
/// disk that is full, or nobody would empty it.
fn rewrite(marker: &mut File, text: &str) -> io::Result<()> {
    marker.rewind()?;
    marker.write_all(text.as_bytes())?;
    marker.set_len(text.len() as u64)?;
    marker.sync_all()
}

/// Takes the directory and those of pods out of others' sight, also where an
/// earlier kubelet made them.
fn close(path: &Path) -> io::Result<()> {
    let pods = path.join("pods");
    make(&pods)?;
    let mode = |path: &Path| fs::set_permissions(path, Permissions::from_mode(MODE));
    mode(path)?;
    mode(&pods)?;
    for pod in fs::read_dir(&pods)? {
        let pod = pod?;
        if pod.file_type()?.is_dir() {
            mode(&pod.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_folder_has_one_node_and_one_kubelet() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kubelet");
        let first = RootDir::claim(&path, "worker-1", "boot-1").unwrap();
        let busy = RootDir::claim(&path, "worker-1", "boot-1").unwrap_err();
        assert!(matches!(busy, Error::Busy { .. }), "{busy}");
        drop(first);
        let other = RootDir::claim(&path, "worker-2", "boot-1").unwrap_err();
        assert!(
            other
                .to_string()
                .contains("belongs to node \"worker-1\", not to \"worker-2\""),
            "{other}"
        );
        // After a restart of the machine it is the node's still.
        let again = RootDir::claim(&path, "worker-1", "boot-2").unwrap();
        assert!(again.check().is_ok());
        let marker = fs::read_to_string(path.join(MARKER)).unwrap();
        assert_eq!(marker, "node=worker-1\nboot=boot-2\n");
    }

    #[test]
    fn a_full_disk_keeps_no_kubelet_from_starting() {
        use nix::mount::{MsFlags, mount, umount};
        let disk = tempfile::tempdir().unwrap();
        let disk = disk.path();
        let small = Some("size=64k,mode=0755");
        match mount(Some("disk"), disk, Some("tmpfs"), MsFlags::empty(), small) {
            // Only root may mount.
            Err(nix::errno::Errno::EPERM) => return,
            outcome => outcome.unwrap(),
        }
        let path = disk.join("kubelet");
        drop(RootDir::claim(&path, "worker-1", "boot-1").unwrap());
        let mut filler = File::create(disk.join("filler")).unwrap();
        let full = std::iter::repeat_with(|| filler.write_all(&[1; 512])).find_map(Result::err);
        let claimed = RootDir::claim(&path, "worker-1", "boot-2").map(|it| it.check().is_ok());
        drop(filler);
        umount(disk).unwrap();
        assert_eq!(full.unwrap().kind(), io::ErrorKind::StorageFull);
        assert!(claimed.unwrap());
    }

    #[test]
    fn a_folder_that_was_swapped_is_not_ours() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kubelet");
        let claimed = RootDir::claim(&path, "worker-1", "b").unwrap();
        let marker = path.join(MARKER);
        fs::rename(&path, dir.path().join("away")).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(matches!(claimed.check(), Err(Error::Replaced { .. })));
        // The same words in another file are another folder's.
        fs::write(&marker, "node=worker-1\nboot=b\n").unwrap();
        assert!(matches!(claimed.check(), Err(Error::Replaced { .. })));
        fs::remove_dir_all(&path).unwrap();
        fs::rename(dir.path().join("away"), &path).unwrap();
        assert!(claimed.check().is_ok());
        fs::write(&marker, "node=worker-2\nboot=b\n").unwrap();
        assert!(matches!(claimed.check(), Err(Error::Replaced { .. })));
    }

    #[test]
    fn others_see_nothing_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kubelet");
        fs::create_dir_all(path.join("pods/u1")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
        RootDir::claim(&path, "n", "b").unwrap();
        for part in ["", "pods", "pods/u1"] {
            assert_eq!(mode(&path.join(part)), 0o750, "{part}");
        }
    }
}
