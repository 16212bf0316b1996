//! Taking away what a lab's folder has of it. The folder is one that somebody named: what else
//! is in it is theirs and stays.

use std::fs;
use std::path::Path;

use super::bring_up::APPLIED;
use crate::addons::chosen;
use crate::encryption;
use crate::failure::Result;
use crate::shell;

/// What hardway and its tests put into a lab's folder. The description goes last but for the
/// lock: as long as it is there, another try finds a lab.
const PARTS: &[&str] = &[
    "nodes",
    "images",
    "kubeconfig",
    "pki",
    "registry",
    "tutorial",
    encryption::FILE,
    chosen::FILE,
    APPLIED,
    "left-out",
    "merged-into",
    "tunnel.lock",
    "lab.json",
    "lock",
];

/// Folders of commands that were killed: the number of the process is behind the name.
const TEMPORARY: &[&str] = &["copying-", "loading-"];

/// Removes a lab's parts, and the folder if nothing else is in it; says whether it is gone.
///
/// # Errors
/// If one of the parts can't be removed.
pub fn purge(folder: &Path) -> Result<bool> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let number = TEMPORARY.iter().find_map(|begin| name.strip_prefix(begin));
        if number.is_some_and(|number| number.parse::<u32>().is_ok()) {
            shell::remove(&entry.path())?;
        }
    }
    for part in PARTS {
        shell::remove(&folder.join(part))?;
    }
    // One that isn't empty stays.
    let _ = fs::remove_dir(folder);
    Ok(!folder.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_have_in_the_folder_stays() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("lab");
        let parts = [
            "nodes/worker-1/x",
            "pki/ca.key",
            "copying-12/x",
            "lab.json",
            "lock",
        ];
        for part in parts {
            shell::write_file(&folder.join(part), b"x", 0o644).unwrap();
        }
        let thesis = folder.join("documents/thesis.tex");
        shell::write_file(&thesis, b"x", 0o644).unwrap();
        assert!(!purge(&folder).unwrap());
        assert!(thesis.exists());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(folder.join("documents")).unwrap();
        assert!(purge(&folder).unwrap());
        assert!(purge(&folder).unwrap(), "once more is no failure");
    }
}
