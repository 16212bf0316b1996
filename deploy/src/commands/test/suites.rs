//! The end-to-end suites: which there are, which are asked for, in which order they begin.

use std::fs;
use std::path::Path;

use super::hosts;
use crate::failure::{Failure, OrFail, Result};

/// Suites that run only when they are asked for: they take long.
const BY_NAME: &[&str] = &["certificates", "chaos", hosts::SUITE, "panics", "rotation"];

/// Files of the folder that are no suites: their tests need no lab and run with the unit tests.
const WITHOUT_LAB: &[&str] = &["dependencies", "manifests"];

/// Suites that take more than a minute, the longest first.
const LONG: &[&str] = &[
    "faults",
    "dashboard",
    "tutorial",
    "clients",
    "command",
    "storage",
    "chapter1",
    "pods",
    "jobs",
    "network",
    "self_healing",
];

/// Names of the suites: the files in a folder.
pub fn all(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.or_fail(|| format!("list {}", folder.display()))?,
    };
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .filter(|name| !WITHOUT_LAB.contains(&name.as_str()))
        .collect();
    names.sort();
    Ok(names)
}

/// The suites asked for, or all but those that want to be asked for.
pub fn choose(suites: Vec<String>, asked: &[String]) -> Result<Vec<String>> {
    if let Some(unknown) = asked.iter().find(|name| !suites.contains(name)) {
        return Err(
            Failure::new(format!("run suite {unknown}"), "there is none of that name")
                .way_out(format!("suites are: {}", suites.join(", "))),
        );
    }
    Ok(if asked.is_empty() {
        let always = |suite: &String| !BY_NAME.contains(&suite.as_str());
        suites.into_iter().filter(always).collect()
    } else {
        asked.to_vec()
    })
}

/// The long ones first, so that at the end no lab waits for one that began late; the others
/// stay as they are.
pub fn longest_first(mut suites: Vec<String>) -> Vec<String> {
    suites.sort_by_key(|suite| {
        let place = LONG.iter().position(|long| long == suite);
        place.unwrap_or(LONG.len())
    });
    suites
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_the_files_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["tutorial.rs", "dependencies.rs", "faults.rs", "notes.md"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(all(folder.path()).unwrap(), ["faults", "tutorial"]);
        assert!(all(&folder.path().join("none")).unwrap().is_empty());
        let two = || vec!["faults".to_owned(), "tutorial".to_owned()];
        assert_eq!(choose(two(), &[]).unwrap(), two());
        assert_eq!(choose(two(), &two()[1..]).unwrap(), ["tutorial"]);
        assert!(choose(two(), &["fault".to_owned()]).is_err());
        let with_chaos = || [two(), vec!["chaos".to_owned()]].concat();
        assert_eq!(choose(with_chaos(), &[]).unwrap(), two());
        assert_eq!(choose(with_chaos(), &with_chaos()[2..]).unwrap(), ["chaos"]);
    }

    #[test]
    fn what_takes_longest_begins_first() {
        let suites = ["dns", "errors", "faults", "rbac", "tutorial"].map(str::to_owned);
        assert_eq!(
            longest_first(suites.to_vec()),
            ["faults", "tutorial", "dns", "errors", "rbac"]
        );
        let known = all(&crate::compile::repository().unwrap().join("tests/tests")).unwrap();
        for long in LONG {
            assert!(known.iter().any(|suite| suite == long), "no suite {long}");
        }
    }
}
