//! Clusters that are called by name, side by side: each has a folder of its own below
//! `$HARDWAY_HOME` or `~/.hardway`, and is a lab whose control plane runs pods as well.

pub mod choose;
pub mod halt;
pub mod needs;
pub mod settings;
pub mod state;

use std::fs;
use std::path::{Path, PathBuf};

use crate::call;
use crate::failure::{Failure, OrFail, Result};
use crate::lab::Lab;
use crate::person::Person;
use crate::plan::Plan;
use crate::shell;

/// Name of the cluster that is meant when nobody says which.
pub const DEFAULT: &str = "hardway";

/// Exit code where a cluster is needed and there is none, as minikube has it.
pub const NOT_FOUND: u8 = 85;

/// Longest name: with the number of a host behind it, it is still a label of DNS.
const LONGEST: usize = 50;

/// Where a person's clusters are.
#[derive(Debug, Clone)]
pub struct Home {
    /// The folder of it all.
    pub folder: PathBuf,
    /// Whose it is.
    pub person: Person,
}

impl Home {
    /// `$HARDWAY_HOME`, or `.hardway` in the home of whoever calls the tool.
    pub fn find() -> Result<Self> {
        let person = Person::who_calls()?;
        let folder = match std::env::var_os("HARDWAY_HOME").filter(|home| !home.is_empty()) {
            Some(home) => std::path::absolute(&home).or_fail(|| "use HARDWAY_HOME")?,
            None => person.home.join(".hardway"),
        };
        Ok(Self { folder, person })
    }

    /// The cluster of a name, which need not be there.
    ///
    /// # Errors
    /// If it can't be a cluster's name.
    pub fn profile(&self, name: &str) -> Result<Profile> {
        check_name(name)?;
        Ok(Profile {
            name: name.to_owned(),
            folder: self.profiles().join(name),
        })
    }

    /// All clusters, by name.
    pub fn all(&self) -> Result<Vec<Profile>> {
        let entries = match fs::read_dir(self.profiles()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.or_fail(|| format!("list {}", self.profiles().display()))?,
        };
        let names = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| check_name(name).is_ok()).collect();
        names.sort();
        let all: Vec<Profile> = names
            .iter()
            .map(|name| self.profile(name))
            .collect::<Result<_>>()?;
        Ok(all.into_iter().filter(Profile::exists).collect())
    }

    /// The numbers that clusters have, whether they run or not.
    ///
    /// # Errors
    /// If one is not known: another cluster would be given it.
    pub fn numbers(&self) -> Result<Vec<u8>> {
        self.all()?.iter().map(Profile::number).collect()
    }

    /// Removes what an interrupted `delete` left.
    pub fn remove_deleted(&self) -> Result<()> {
        let entries = fs::read_dir(self.profiles()).into_iter().flatten();
        for entry in entries.flatten() {
            let name = entry.file_name();
            if name.to_string_lossy().starts_with(DELETED) {
                let path = entry.path();
                fs::remove_dir_all(&path).or_fail(|| format!("remove {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// Removes what is there beside the clusters, and the folder if nothing else is in it: it
    /// may be one that somebody has other things in. Says whether it is gone.
    ///
    /// # Errors
    /// If something can't be removed.
    pub fn purge(&self) -> Result<bool> {
        for entry in fs::read_dir(self.profiles())
            .into_iter()
            .flatten()
            .flatten()
        {
            let folder = entry.path();
            let inside = fs::read_dir(&folder).into_iter().flatten().flatten();
            // A start that was interrupted before it described its cluster leaves no more.
            if inside.map(|entry| entry.file_name()).eq(["lock"]) {
                shell::remove(&folder)?;
            }
        }
        shell::remove(&settings::file(self))?;
        shell::remove(&self.cache().join("images"))?;
        for folder in [self.cache(), self.profiles(), self.folder.clone()] {
            // One that isn't empty stays.
            let _ = fs::remove_dir(folder);
        }
        Ok(!self.folder.exists())
    }

    /// Folder of the clusters' folders.
    pub fn profiles(&self) -> PathBuf {
        self.folder.join("profiles")
    }

    /// What all clusters have in common and need not be made again: images.
    pub fn cache(&self) -> PathBuf {
        self.folder.join("cache")
    }
}

/// What the name of a folder begins with that is being removed; no cluster's name does.
const DELETED: &str = ".deleted-";

/// A cluster that is called by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Its name: of its first host and node, and of its context in kubeconfigs.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
}

impl Profile {
    /// Whether there is one. Its description is the first that is written.
    pub fn exists(&self) -> bool {
        self.folder.join("lab.json").exists()
    }

    /// Its hosts and processes.
    ///
    /// # Errors
    /// If there is no cluster of this name.
    pub fn lab(&self) -> Result<Lab> {
        if self.exists() {
            return Lab::open(&self.folder);
        }
        let tool = call::tool();
        let name = match self.name.as_str() {
            DEFAULT => String::new(),
            name => format!(" --profile {name}"),
        };
        Err(
            Failure::new(format!("find cluster {}", self.name), "there is none")
                .way_out(format!(
                    "make it: {tool} start{name}; see which there are: {tool} profile list"
                ))
                .exit(NOT_FOUND),
        )
    }

    /// Its number. Where its description can't be read, its administrator's kubeconfig says it, by
    /// the address that it leads to.
    fn number(&self) -> Result<u8> {
        let failure = match self.lab() {
            Ok(lab) => return Ok(lab.plan.index),
            Err(failure) => failure,
        };
        let kubeconfig = self.folder.join("kubeconfig/admin.kubeconfig");
        let text = fs::read_to_string(kubeconfig).unwrap_or_default();
        number_in(&text).ok_or_else(|| {
            let why = format!(
                "the description of cluster {} can't be read, so that its number might be taken: {}",
                self.name, failure.why
            );
            let tool = call::tool();
            Failure::new("choose a number", why)
                .way_out(format!("delete it: {tool} delete --profile {}", self.name))
        })
    }

    /// Removes its folder. Whoever is interrupted leaves it under a name that is no cluster's.
    pub fn remove_folder(&self) -> Result<()> {
        let what = || format!("remove {}", self.folder.display());
        let hidden = self
            .folder
            .with_file_name(format!("{DELETED}{}", self.name));
        if hidden.exists() {
            fs::remove_dir_all(&hidden).or_fail(what)?;
        }
        if self.folder.exists() {
            fs::rename(&self.folder, &hidden).or_fail(what)?;
            fs::remove_dir_all(&hidden).or_fail(what)?;
        }
        Ok(())
    }

    /// Where it is noted into which kubeconfigs its context was merged.
    pub fn merged_note(&self) -> PathBuf {
        self.folder.join("merged-into")
    }

    /// The kubeconfigs into which its context was merged.
    pub fn merged_into(&self) -> Vec<PathBuf> {
        let text = fs::read_to_string(self.merged_note()).unwrap_or_default();
        text.lines().map(PathBuf::from).collect()
    }

    /// Notes that its context was merged into a kubeconfig.
    pub fn note_merged(&self, file: &Path) -> Result<()> {
        let mut files = self.merged_into();
        if files.iter().any(|known| known == file) {
            return Ok(());
        }
        files.push(file.to_owned());
        let lines: String = files
            .iter()
            .map(|file| format!("{}\n", file.display()))
            .collect();
        shell::write_file(&self.merged_note(), lines.as_bytes(), 0o644)
    }
}

/// The number of the cluster that a kubeconfig leads to.
fn number_in(kubeconfig: &str) -> Option<u8> {
    (0..=u8::MAX).find(|index| {
        let address = Plan::of_lab(*index, 0).control_plane().address;
        kubeconfig.contains(&format!("https://{address}:"))
    })
}

/// A cluster's first host and node are called after it: the name is a label of DNS.
fn check_name(name: &str) -> Result<()> {
    let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let ends = !name.starts_with('-') && !name.ends_with('-');
    if !name.is_empty() && name.len() <= LONGEST && ends && name.bytes().all(is_good) {
        return Ok(());
    }
    Err(Failure::new(
        format!("name a cluster {name:?}"),
        "its node could not be called so",
    )
    .way_out(format!(
        "choose a name of lowercase letters, digits and '-' inside, {LONGEST} at most"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home {
            folder: folder.path().join(".hardway"),
            person: Person {
                home: folder.path().to_owned(),
                behind_sudo: None,
            },
        };
        (folder, home)
    }

    fn make(home: &Home, name: &str, index: u8) -> Profile {
        let profile = home.profile(name).unwrap();
        fs::create_dir_all(&profile.folder).unwrap();
        let mut lab = crate::components::tests::lab();
        lab.folder = profile.folder.clone();
        lab.plan = Plan {
            cluster: Some(name.to_owned()),
            ..Plan::of_lab(index, 0)
        };
        lab.save().unwrap();
        profile
    }

    #[test]
    fn clusters_are_side_by_side_and_gone_as_a_whole() {
        let (_folder, home) = home();
        assert!(home.all().unwrap().is_empty());
        make(&home, "two", 11);
        let one = make(&home, "one", 10);
        // A folder without a description is no cluster yet.
        fs::create_dir(home.profiles().join("half")).unwrap();
        let names = |home: &Home| -> Vec<String> {
            home.all().unwrap().into_iter().map(|it| it.name).collect()
        };
        assert_eq!(names(&home), ["one", "two"]);
        assert_eq!(home.numbers().unwrap(), [10, 11]);
        one.note_merged(Path::new("/a")).unwrap();
        one.note_merged(Path::new("/b")).unwrap();
        one.note_merged(Path::new("/a")).unwrap();
        assert_eq!(one.merged_into(), [Path::new("/a"), Path::new("/b")]);
        one.remove_folder().unwrap();
        one.remove_folder().unwrap();
        assert_eq!(names(&home), ["two"]);
        // What was interrupted goes with the next.
        fs::create_dir(home.profiles().join(".deleted-x")).unwrap();
        home.remove_deleted().unwrap();
        assert!(!home.profiles().join(".deleted-x").exists());
        let missing = one.lab().unwrap_err();
        assert_eq!(missing.exit, NOT_FOUND);
    }

    #[test]
    fn a_broken_description_gives_no_number_away() {
        let (_folder, home) = home();
        make(&home, "one", 10);
        let two = make(&home, "two", 11);
        fs::write(two.folder.join("lab.json"), "{\"plan\": {").unwrap();
        let failure = home.numbers().unwrap_err();
        assert!(failure.way_out.unwrap().ends_with("delete --profile two"));
        let kubeconfig = "clusters:\n- cluster:\n    server: https://10.88.11.10:6443\n";
        let file = two.folder.join("kubeconfig/admin.kubeconfig");
        shell::write_file(&file, kubeconfig.as_bytes(), 0o600).unwrap();
        assert_eq!(home.numbers().unwrap(), [10, 11]);
    }

    #[test]
    fn purging_leaves_what_others_have() {
        let (_folder, home) = home();
        let write = |path: &str| {
            let path = home.folder.join(path);
            shell::write_file(&path, b"x", 0o644).unwrap();
            path
        };
        // As somebody has it whose HARDWAY_HOME is their home.
        let theirs = [
            "documents/thesis.tex",
            "cache/browser/x",
            "profiles/work/lock",
            "profiles/work/notes",
        ];
        let theirs = theirs.map(write);
        let ours = ["config.json", "cache/images/dns.json", "profiles/half/lock"].map(write);
        assert!(!home.purge().unwrap());
        assert!(theirs.iter().all(|path| path.exists()), "{theirs:?}");
        assert!(!ours.iter().any(|path| path.exists()), "{ours:?}");
        assert!(!home.profiles().join("half").exists());
        for folder in ["documents", "cache", "profiles"] {
            fs::remove_dir_all(home.folder.join(folder)).unwrap();
        }
        assert!(home.purge().unwrap());
    }

    #[test]
    fn names_are_those_of_nodes() {
        for good in ["hardway", "a", "dev-2"] {
            check_name(good).unwrap();
        }
        let long = "a".repeat(51);
        for bad in ["", "-a", "a-", "A", "a.b", "a/b", "..", "ä", long.as_str()] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
