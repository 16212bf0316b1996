//! Mounting, behind a small trait so that tests need no privileges.

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::io;
use std::path::{Path, PathBuf};

/// What volumes need of the kernel beyond files.
pub trait System: Send + Sync {
    /// Mounts a memory file system, as large as half of the machine's memory
    /// unless told otherwise, with this mode. Neither devices nor the rights of
    /// files' owners count in it.
    fn mount_tmpfs(&self, target: &Path, mode: u32, size: Option<u64>) -> io::Result<()>;
    /// Makes a file or directory appear at another place too.
    fn bind(&self, source: &Path, target: &Path) -> io::Result<()>;
    /// Unmounts; busy mounts go when their last user goes.
    fn unmount(&self, target: &Path) -> io::Result<()>;
    /// All mount points at or below a directory, those mounted last first.
    fn mounted_below(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;

    /// Whether a mount point is exactly here.
    fn is_mounted(&self, path: &Path) -> io::Result<bool> {
        let path = path.canonicalize()?;
        Ok(self.mounted_below(&path)?.contains(&path))
    }
}

/// The real one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kernel;

impl System for Kernel {
    fn mount_tmpfs(&self, target: &Path, mode: u32, size: Option<u64>) -> io::Result<()> {
        let mut options = format!("mode={mode:o}");
        if let Some(bytes) = size {
            options.push_str(&format!(",size={bytes}"));
        }
        mount(
            Some("tmpfs"),
            target,
            Some("tmpfs"),
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
            Some(options.as_str()),
        )?;
        Ok(())
    }

    fn bind(&self, source: &Path, target: &Path) -> io::Result<()> {
        let none: Option<&str> = None;
        mount(Some(source), target, none, MsFlags::MS_BIND, none)?;
        Ok(())
    }

    fn unmount(&self, target: &Path) -> io::Result<()> {
        umount2(target, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)?;
        Ok(())
    }

    fn mounted_below(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let dir = dir.canonicalize()?;
        let table = std::fs::read_to_string("/proc/self/mountinfo")?;
        Ok(below(&table, &dir))
    }
}

/// Mount points of a mountinfo table at or below a directory, last first.
fn below(table: &str, dir: &Path) -> Vec<PathBuf> {
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    let mut paths: Vec<PathBuf> = points
        .map(unescape)
        .filter(|path| path.starts_with(dir))
        .collect();
    paths.reverse();
    paths
}

/// Undoes the kernel's `\040` for characters that would break the table.
fn unescape(field: &str) -> PathBuf {
    let mut out = String::with_capacity(field.len());
    let mut rest = field;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 4);
        match code.and_then(|c| u8::from_str_radix(c, 8).ok()) {
            Some(byte) => {
                out.push(byte.into());
                rest = &rest[at + 4..];
            }
            None => {
                out.push('\\');
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    out.into()
}

#[cfg(test)]
pub(crate) mod fake {
    use super::*;
    use parking_lot::Mutex;

    /// Keeps a list of mounts and touches nothing.
    #[derive(Default)]
    pub struct Fake {
        pub mounts: Mutex<Vec<(String, PathBuf)>>,
    }

    impl System for Fake {
        fn mount_tmpfs(&self, target: &Path, mode: u32, size: Option<u64>) -> io::Result<()> {
            let what = format!("tmpfs {mode:o} {size:?}");
            self.mounts.lock().push((what, target.to_owned()));
            Ok(())
        }

        fn bind(&self, source: &Path, target: &Path) -> io::Result<()> {
            // What is held open is named by a link of the kernel's.
            let source = std::fs::read_link(source).unwrap_or_else(|_| source.to_owned());
            let what = format!("bind {}", source.display());
            self.mounts.lock().push((what, target.to_owned()));
            Ok(())
        }

        fn unmount(&self, target: &Path) -> io::Result<()> {
            self.mounts.lock().retain(|(_, path)| path != target);
            Ok(())
        }

        fn mounted_below(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
            let mounts = self.mounts.lock();
            let paths = mounts.iter().map(|(_, path)| path.clone());
            Ok(paths.filter(|path| path.starts_with(dir)).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_table_is_read_backwards() {
        let table = "1 0 8:1 / / rw - ext4 /dev/sda rw\n\
            2 1 0:5 / /k/pods/a rw - tmpfs tmpfs rw\n\
            3 1 0:6 / /k/pods/a/with\\040space rw - tmpfs tmpfs rw\n\
            4 1 0:7 / /k/pods/ab rw - tmpfs tmpfs rw\n";
        assert_eq!(
            below(table, Path::new("/k/pods/a")),
            [Path::new("/k/pods/a/with space"), Path::new("/k/pods/a")]
        );
    }

    #[test]
    fn the_kernel_mounts_and_unmounts() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let (memory, there) = (root.join("memory"), root.join("there"));
        std::fs::create_dir_all(&memory).unwrap();
        std::fs::write(&there, "").unwrap();
        match Kernel.mount_tmpfs(&memory, 0o755, Some(1 << 20)) {
            // Only root may mount.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return,
            outcome => outcome.unwrap(),
        }
        std::fs::write(memory.join("f"), "x").unwrap();
        let mode = std::fs::metadata(&memory).unwrap().permissions();
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&mode) & 0o7777,
            0o755
        );
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let line = table.lines().find(|l| l.contains(memory.to_str().unwrap()));
        let options = line.unwrap().split(' ').nth(5).unwrap();
        for option in ["nosuid", "nodev"] {
            assert!(options.split(',').any(|o| o == option), "{options}");
        }
        Kernel.bind(&memory.join("f"), &there).unwrap();
        assert!(Kernel.is_mounted(&memory).unwrap());
        assert!(!Kernel.is_mounted(&root).unwrap());
        assert_eq!(std::fs::read_to_string(&there).unwrap(), "x");
        let mounted = Kernel.mounted_below(&root).unwrap();
        assert_eq!(mounted, [there, memory]);
        for path in mounted {
            Kernel.unmount(&path).unwrap();
        }
        assert!(Kernel.mounted_below(&root).unwrap().is_empty());
    }
}
