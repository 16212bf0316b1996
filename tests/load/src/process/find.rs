//! Which processes belong to a cluster on this machine: those that were started with files
//! from its folder. A lab's hosts have process numbers of their own, but the machine sees
//! all of them.

use super::Watched;
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

/// The processes that were started with files from a folder, such as a lab's, in the order
/// of their numbers. They are called as their programs are, without `hardway-` or `kube-`.
///
/// # Errors
/// If there are none.
pub fn beneath(folder: &Path) -> Result<Vec<Watched>, FindError> {
    let folder = folder.canonicalize().map_err(|source| FindError::Folder {
        folder: folder.to_owned(),
        source,
    })?;
    let mut watched = Vec::new();
    for entry in fs::read_dir("/proc").map_err(FindError::Proc)?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        // It may have ended meanwhile; those of the kernel have no command line.
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        let words: Vec<&str> = line.split_terminator('\0').collect();
        if pid != std::process::id()
            && let Some(name) = name_if_beneath(&folder.to_string_lossy(), &words)
        {
            watched.push(Watched { name, pid });
        }
    }
    watched.sort_by_key(|process: &Watched| process.pid);
    match watched.is_empty() {
        true => Err(FindError::Nobody(folder)),
        false => Ok(watched),
    }
}

/// The name of a process whose command line has a file of the folder in it.
fn name_if_beneath(folder: &str, words: &[&str]) -> Option<String> {
    let (program, arguments) = words.split_first()?;
    let of_folder = |word: &&str| {
        let value = word.split_once('=').map_or(*word, |(_, value)| value);
        Path::new(value).starts_with(folder)
    };
    arguments.iter().find(|word| of_folder(word))?;
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

    #[test]
    fn files_of_the_folder_are_seen_behind_flags() {
        let name = |words: &[&str]| name_if_beneath("/lab", words);
        let flag = ["/bin/hardway-scheduler", "--kubeconfig=/lab/x"];
        assert_eq!(name(&flag), Some("scheduler".into()));
        let word = ["kube-proxy", "--config", "/lab/proxy.yaml"];
        assert_eq!(name(&word), Some("proxy".into()));
        assert_eq!(name(&["etcd", "--data-dir=/lab"]), Some("etcd".into()));
        assert_eq!(name(&["etcd", "--data-dir=/lab-2/etcd"]), None);
        assert_eq!(name(&["/lab/bin/tool", "run"]), None);
        assert_eq!(name(&[]), None);
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
