//! The numbers of the labs of this machine: who has which. A note below /run names the folder
//! of the lab that has a number; a restart of the machine clears it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use crate::call;
use crate::failure::{Failure, OrFail, Result};
use crate::plan;
use crate::shell;

const LOCK: &str = "/run/hardway.numbers.lock";

/// Clusters that are started by name have numbers from here on: a person counts labs from 0,
/// and the tests count down from the last.
pub const FIRST: u8 = 10;
/// The last number that is given by itself.
pub const LAST: u8 = 89;

/// The folder of the lab that has this number.
pub fn owner(index: u8) -> Option<PathBuf> {
    let text = fs::read_to_string(note(index)).ok()?;
    let folder = PathBuf::from(text.trim());
    // Of a lab whose folder was deleted the hosts are taken over and restarted.
    folder.join("lab.json").exists().then_some(folder)
}

/// The number that the lab in a folder has.
pub fn of_folder(folder: &Path) -> Option<u8> {
    (0..=99).find(|index| owner(*index).is_some_and(|owner| owner == folder))
}

/// Notes that the lab in a folder has this number.
pub fn own(index: u8, folder: &Path) -> Result<()> {
    let text = folder.display().to_string();
    shell::write_file(&note(index), text.as_bytes(), 0o644)
}

/// Forgets that a lab has this number.
pub fn disown(index: u8) {
    let _ = fs::remove_file(note(index));
}

fn note(index: u8) -> PathBuf {
    PathBuf::from(format!("/run/{}.lab", plan::bridge(index)))
}

/// All numbers, for as long as nobody else takes one.
#[derive(Debug)]
pub struct Numbers {
    _lock: Flock<File>,
}

impl Numbers {
    /// Waits until nobody else is at them.
    pub fn lock() -> Result<Self> {
        let what = || format!("lock {LOCK}");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(LOCK)
            .or_fail(what)?;
        let lock = Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, error)| error)
            .or_fail(what)?;
        Ok(Self { _lock: lock })
    }

    /// The first number that nobody has; `taken` are those of clusters that don't run, of
    /// which the machine knows nothing after a restart.
    pub fn free(&self, taken: &[u8]) -> Result<u8> {
        let has_bridge = |index| {
            Path::new("/sys/class/net")
                .join(plan::bridge(index))
                .exists()
        };
        first_free(|index| taken.contains(&index) || owner(index).is_some() || has_bridge(index))
    }
}

fn first_free(is_taken: impl Fn(u8) -> bool) -> Result<u8> {
    (FIRST..=LAST)
        .find(|index| !is_taken(*index))
        .ok_or_else(|| {
            Failure::new("make a cluster", "this machine has too many of them").way_out(format!(
                "delete one that is not needed: {} delete --profile NAME",
                call::tool()
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_that_nobody_has_is_taken() {
        assert_eq!(first_free(|_| false).unwrap(), 10);
        assert_eq!(first_free(|index| index < 13).unwrap(), 13);
        assert!(first_free(|_| true).is_err());
    }
}
