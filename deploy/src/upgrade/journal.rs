//! What an upgrade has done on a host so far: who runs it again after an interruption goes on
//! from there, and who wants to go back knows what was there before.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::steps::{Direction, Step};
use crate::failure::{OrFail, Result};
use crate::shell;

/// Where it is, and what goes with it.
pub const FOLDER: &str = "/var/lib/hardway/upgrade";

/// The record of an upgrade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// Version of the packages that were there before.
    pub from: String,
    /// Version of those that are to take their place.
    pub to: String,
    /// Whether it goes there, or back.
    pub direction: Direction,
    /// Steps that are done.
    pub done: Vec<Step>,
    /// Whether that was all.
    pub is_finished: bool,
    /// The unit of etcd before anything was installed: if it is the same after that, etcd runs on.
    pub etcd_unit: String,
    /// Where the backup from before is, or is to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<PathBuf>,
}

impl Journal {
    /// One of which nothing is done yet.
    pub fn new(from: &str, to: &str, etcd_unit: String) -> Self {
        Self {
            from: from.to_owned(),
            to: to.to_owned(),
            direction: Direction::There,
            done: Vec::new(),
            is_finished: false,
            etcd_unit,
            backup: None,
        }
    }

    /// The one of the host, if there is one.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn open(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join("journal.json");
        if !path.exists() {
            return Ok(None);
        }
        let text = shell::read_text(&path)?;
        serde_json::from_str(&text)
            .or_fail(|| format!("read {}", path.display()))
            .map(Some)
            .map_err(|failure| failure.way_out("remove it if no upgrade of this host is under way"))
    }

    /// Keeps it.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).or_fail(|| "write the journal")?;
        shell::write_file(&folder.join("journal.json"), text.as_bytes(), 0o600)
    }

    /// Notes that a step is done.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn note(&mut self, step: Step, folder: &Path) -> Result<()> {
        if !self.done.contains(&step) {
            self.done.push(step);
        }
        self.save(folder)
    }

    /// Where the backup from before is to be: each upgrade has its own, also a second one to the
    /// same version. Asked again, by a run that goes on, it is the same path.
    pub fn name_backup(&mut self, folder: &Path, now: Timestamp) -> PathBuf {
        let name = || {
            let time = now.strftime("%Y%m%dT%H%M%SZ");
            folder.join(format!("before-{}-{time}.tar.gz", self.to))
        };
        self.backup.get_or_insert_with(name).clone()
    }

    /// Whether packages of what was there before are kept by this upgrade; until then it has
    /// installed nothing.
    pub fn has_kept(&self) -> bool {
        // Who is on the way back has had them at its begin.
        self.direction == Direction::Back || self.done.contains(&Step::Keep)
    }

    /// Whether an upgrade between these versions goes on with what this one has done.
    pub fn goes_on(&self, from: &str, to: &str) -> bool {
        !self.is_finished && self.to == to && (self.has_kept() || self.from == from)
    }

    /// What is wrong with going back to kept packages of these versions: those of an upgrade
    /// before this one are of another.
    pub fn not_the_way_back<'a>(&self, mut kept: impl Iterator<Item = &'a str>) -> Option<String> {
        let other = kept.find(|version| *version != self.from)?;
        Some(format!(
            "what is kept is of version {other}, and version {} was there before",
            self.from
        ))
    }

    /// Turns round: nothing of the way back is done yet.
    pub fn turn(&mut self) {
        self.direction = Direction::Back;
        self.done.clear();
        self.is_finished = false;
    }
}

/// What is wrong with beginning, or going on with, an upgrade to a version.
pub fn in_the_way(journal: Option<&Journal>, to: &str) -> Option<String> {
    let journal = journal.filter(|it| !it.is_finished)?;
    match journal.direction {
        Direction::Back => Some(format!(
            "the way back to version {} is not at its end: go on with  hardway upgrade --rollback",
            journal.from
        )),
        // One that has installed nothing leaves nothing half-way.
        Direction::There if journal.to != to && journal.has_kept() => Some(format!(
            "an upgrade to version {} is not at its end: go on with its packages, or go back with  hardway upgrade --rollback",
            journal.to
        )),
        Direction::There => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_kept_step_by_step() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("upgrade");
        assert_eq!(Journal::open(&folder).unwrap(), None);
        let mut journal = Journal::new("0.1.0", "0.2.0", "[Service]".to_owned());
        let restart = Step::Restart("hardway-etcd.service".to_owned());
        for step in [Step::Backup, Step::Keep, restart.clone(), Step::Keep] {
            journal.note(step, &folder).unwrap();
        }
        assert_eq!(journal.done, [Step::Backup, Step::Keep, restart]);
        assert_eq!(Journal::open(&folder).unwrap(), Some(journal.clone()));
        journal.turn();
        assert!(journal.done.is_empty());
        std::fs::write(folder.join("journal.json"), "{").unwrap();
        assert!(Journal::open(&folder).unwrap_err().way_out.is_some());
    }

    #[test]
    fn each_upgrade_has_a_backup_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut first = Journal::new("0.1.0", "0.2.0", String::new());
        let path = first.name_backup(folder.path(), at(0));
        let expected = "before-0.2.0-19700101T000000Z.tar.gz";
        assert_eq!(path, folder.path().join(expected));
        // The run that goes on after an interruption knows the path of what may be left there.
        first.save(folder.path()).unwrap();
        let mut again = Journal::open(folder.path()).unwrap().unwrap();
        assert_eq!(again.name_backup(folder.path(), at(60)), path);
        // Back, and to the same version once more: the backup of the first time stays.
        let mut second = Journal::new("0.1.0", "0.2.0", String::new());
        assert_ne!(second.name_backup(folder.path(), at(120)), path);
    }

    #[test]
    fn one_upgrade_ends_before_another_begins() {
        let mut journal = Journal::new("0.1.0", "0.2.0", String::new());
        assert_eq!(in_the_way(None, "0.2.0"), None);
        assert_eq!(in_the_way(Some(&journal), "0.2.0"), None);
        // Nothing is installed before what was there is kept.
        assert_eq!(in_the_way(Some(&journal), "0.3.0"), None);
        assert!(!journal.goes_on("0.1.0", "0.3.0"));
        journal.done = vec![Step::Backup, Step::Keep];
        assert!(
            in_the_way(Some(&journal), "0.3.0")
                .unwrap()
                .contains("0.2.0")
        );
        journal.turn();
        assert!(
            in_the_way(Some(&journal), "0.2.0")
                .unwrap()
                .contains("--rollback")
        );
        journal.is_finished = true;
        assert_eq!(in_the_way(Some(&journal), "0.3.0"), None);
    }

    #[test]
    fn only_what_this_upgrade_has_kept_is_the_way_back() {
        let mut journal = Journal::new("0.2.0", "0.3.0", String::new());
        journal.done = vec![Step::Backup];
        assert!(!journal.has_kept());
        journal.done.push(Step::Keep);
        assert!(journal.has_kept());
        let not_back = |kept: &[&str]| journal.not_the_way_back(kept.iter().copied());
        assert_eq!(not_back(&["0.2.0", "0.2.0"]), None);
        // The upgrade before went from 0.1.0.
        let why = not_back(&["0.2.0", "0.1.0"]).unwrap();
        assert!(why.contains("0.1.0") && why.contains("0.2.0"), "{why}");
        // What is done of the way there is forgotten on the way back.
        journal.turn();
        assert!(journal.has_kept());
    }

    #[test]
    fn an_upgrade_goes_on_with_what_is_still_true() {
        let mut journal = Journal::new("0.1.0", "0.3.0", String::new());
        assert!(journal.goes_on("0.1.0", "0.3.0"));
        // Something else was installed since, by hand.
        assert!(!journal.goes_on("0.2.0", "0.3.0"));
        // Half of the packages are the new ones.
        journal.done = vec![Step::Keep];
        assert!(journal.goes_on("0.3.0", "0.3.0"));
        journal.is_finished = true;
        assert!(!journal.goes_on("0.1.0", "0.3.0"));
    }
}
