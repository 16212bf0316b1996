//! Which processes belong to a cluster on this machine: those that were started with files
//! from its folder, and what these have started in turn, such as the processes of pods. A
//! lab's hosts have process numbers of their own, but the machine sees all of them.

use super::{Watched, proc};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Why no processes were found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// The folder isn't there.
    #[error("the folder {folder}: {source}")]
    Folder {
        /// Which one.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `/proc` can't be read.
    #[error("cannot read /proc: {0}; it must be mounted")]
    Proc(io::Error),
    /// No process has to do with it.
    #[error("no process was started with a file of {0}; is the cluster up?")]
    Nobody(PathBuf),
}

/// A process, as `/proc` shows it.
struct Seen {
    pid: u32,
    parent: u32,
    /// Its command line.
    words: Vec<String>,
}

/// The processes that were started with files from a folder, such as a lab's, and those that
/// descend from them, in the order of their numbers. They are called as their programs are,
/// without `hardway-` or `kube-`.
///
/// # Errors
/// If there are none.
pub fn beneath(folder: &Path) -> Result<Vec<Watched>, FindError> {
    let folder = folder.canonicalize().map_err(|source| FindError::Folder {
        folder: folder.to_owned(),
        source,
    })?;
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc").map_err(FindError::Proc)?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        // It may have ended meanwhile; those of the kernel have no command line.
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        if let Some(parent) = proc::parent(&stat) {
            all.push(Seen {
                pid,
                parent,
                words: line.split_terminator('\0').map(str::to_owned).collect(),
            });
        }
    }
    let watched = members(&folder.to_string_lossy(), &all, std::process::id());
    match watched.is_empty() {
        true => Err(FindError::Nobody(folder)),
        false => Ok(watched),
    }
}

/// Who belongs to the folder: neither this program nor who has started it, though they may
/// name the folder as well.
fn members(folder: &str, all: &[Seen], own: u32) -> Vec<Watched> {
    let parents: BTreeMap<u32, u32> = all.iter().map(|it| (it.pid, it.parent)).collect();
    // Numbers may be given anew while they are read: the way up must end all the same.
    let parent = |pid: &u32| parents.get(pid).copied();
    let lineage = |pid: u32| std::iter::successors(Some(pid), parent).take(all.len());
    let ours: BTreeSet<u32> = lineage(own).collect();
    let started = |it: &&Seen| !ours.contains(&it.pid) && is_beneath(folder, &it.words);
    let started: BTreeSet<u32> = all.iter().filter(started).map(|it| it.pid).collect();
    let belongs =
        |it: &&Seen| !ours.contains(&it.pid) && lineage(it.pid).any(|pid| started.contains(&pid));
    let named = all.iter().filter(belongs).filter_map(|it| {
        let name = name(it.words.first()?)?;
        Some(Watched { name, pid: it.pid })
    });
    let mut watched: Vec<Watched> = named.collect();
    watched.sort_by_key(|process| process.pid);
    watched
}

/// Whether a command line has a file of the folder in it, behind the program.
fn is_beneath(folder: &str, words: &[String]) -> bool {
    words.iter().skip(1).any(|word| {
        let value = word
            .split_once('=')
            .map_or(word.as_str(), |(_, value)| value);
        Path::new(value).starts_with(folder)
    })
}

/// What a program is called.
fn name(program: &str) -> Option<String> {
    let name = Path::new(program).file_name()?.to_str()?;
    let short = name.strip_prefix("hardway-");
    let short = short.or_else(|| name.strip_prefix("kube-"));
    Some(short.unwrap_or(name).to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    use super::*;

    fn seen(pid: u32, parent: u32, line: &str) -> Seen {
        Seen {
            pid,
            parent,
            words: line.split_whitespace().map(str::to_owned).collect(),
        }
    }

    fn names(all: &[Seen], own: u32) -> Vec<(String, u32)> {
        let watched = members("/lab", all, own).into_iter();
        watched.map(|it| (it.name, it.pid)).collect()
    }

    #[test]
    fn files_of_the_folder_are_seen_behind_flags() {
        let all = [
            seen(2, 1, "/bin/hardway-scheduler --kubeconfig=/lab/x"),
            seen(3, 1, "kube-proxy --config /lab/proxy.yaml"),
            seen(4, 1, "etcd --data-dir=/lab"),
            seen(5, 1, "etcd --data-dir=/lab-2/etcd"),
            seen(6, 1, "/lab/bin/tool run"),
            seen(7, 1, ""),
        ];
        let expected = [("scheduler", 2), ("proxy", 3), ("etcd", 4)];
        assert_eq!(
            names(&all, 99),
            expected.map(|(it, pid)| (it.to_owned(), pid))
        );
    }

    #[test]
    fn what_they_have_started_belongs_to_them_and_who_started_the_tool_does_not() {
        let all = [
            seen(2, 1, "init --dir /lab/host"),
            seen(3, 2, "containerd-shim"),
            seen(4, 3, "/pause"),
            seen(5, 1, "sudo hardway-load --processes-of /lab"),
            seen(6, 5, "hardway-load --processes-of /lab"),
            seen(7, 5, "tail"),
            seen(8, 3, ""),
        ];
        let expected = [("init", 2), ("containerd-shim", 3), ("pause", 4)];
        assert_eq!(
            names(&all, 6),
            expected.map(|(it, pid)| (it.to_owned(), pid))
        );
    }

    #[test]
    fn a_process_that_has_a_file_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("wait");
        fs::write(&file, "runs\n").unwrap();
        assert!(matches!(beneath(folder.path()), Err(FindError::Nobody(_))));
        let mut tail = std::process::Command::new("tail")
            .arg("-f")
            .arg(&file)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The kernel shows the words of a program a little after `spawn` has returned.
        let mut line = String::new();
        let mut output = BufReader::new(tail.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "runs\n");
        let found = beneath(folder.path()).unwrap();
        tail.kill().unwrap();
        tail.wait().unwrap();
        let expected = Watched {
            name: "tail".into(),
            pid: tail.id(),
        };
        assert_eq!(found, [expected]);
        assert!(matches!(
            beneath(&folder.path().join("gone")),
            Err(FindError::Folder { .. })
        ));
    }
}
