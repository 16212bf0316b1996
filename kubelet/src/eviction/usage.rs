//! What a folder takes of the disk.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A block as `stat` counts it.
const BLOCK: u64 = 512;

/// Bytes on disk below a folder, as `du` counts them: links are not followed, what is
/// mounted inside is not looked at, and a file of several names counts once. What can't
/// be read, and what goes meanwhile, counts as nothing.
pub fn of_folder(folder: &Path) -> u64 {
    let Ok(top) = fs::symlink_metadata(folder) else {
        return 0;
    };
    let mut seen = HashSet::new();
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    let mut blocks = top.blocks();
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        for entry in entries {
            let Ok(found) = entry.metadata() else {
                continue;
            };
            if found.dev() != top.dev() || (found.nlink() > 1 && !seen.insert(found.ino())) {
                continue;
            }
            blocks += found.blocks();
            if found.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    blocks * BLOCK
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_is_below_counts_once() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("volume");
        fs::create_dir_all(folder.join("a/b")).unwrap();
        let empty = of_folder(&folder);
        fs::write(folder.join("a/b/file"), vec![1; 1 << 20]).unwrap();
        let full = of_folder(&folder);
        assert!(full - empty >= 1 << 20, "{empty} {full}");
        fs::hard_link(folder.join("a/b/file"), folder.join("again")).unwrap();
        fs::write(dir.path().join("outside"), vec![1; 1 << 20]).unwrap();
        symlink(dir.path(), folder.join("up")).unwrap();
        assert!(of_folder(&folder) - full < 1 << 16, "{full}");
        assert_eq!(of_folder(&dir.path().join("none")), 0);
    }
}
