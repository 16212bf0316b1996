//! The addresses of servers in a file, one a line.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// No cluster has more; a file that has is none of ours.
const MOST: usize = 100;

/// A file that outlives the process, for which servers there were when it ended.
pub struct Kept(PathBuf);

impl Kept {
    /// At this path; the folder is made when something is to be kept.
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// The file of this name in systemd's `STATE_DIRECTORY`, if that is set.
    pub fn in_state_directory(name: &str) -> Option<PathBuf> {
        let state = std::env::var_os("STATE_DIRECTORY").filter(|state| !state.is_empty());
        // There may be several, with colons between them.
        let first = state.and_then(|state| std::env::split_paths(&state).next());
        first.map(|state| state.join(name))
    }

    /// What it holds; nothing if it isn't there or can't be read.
    pub fn read(&self) -> Vec<String> {
        let text = match fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(file = %self.0.display(), %error, "cannot read which servers there were");
                }
                return Vec::new();
            }
        };
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.take(MOST).map(str::to_owned).collect()
    }

    /// Replaces what it holds. If that fails it is said, and the next start has to do without.
    pub fn write(&self, addresses: &[String]) {
        if let Err(error) = self.replace(&(addresses.join("\n") + "\n")) {
            tracing::warn!(file = %self.0.display(), %error, "cannot keep which servers there are");
        }
    }

    fn replace(&self, text: &str) -> io::Result<()> {
        if let Some(folder) = self.0.parent() {
            fs::create_dir_all(folder)?;
        }
        let beside = self.0.with_extension("new");
        let mut options = fs::OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_absent_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = Kept::at(dir.path().join("a").join("servers"));
        assert!(file.read().is_empty());
        file.write(&["a:1".to_owned(), "b:2".to_owned()]);
        file.write(&["c:3".to_owned()]);
        assert_eq!(file.read(), ["c:3"]);
        assert_eq!(fs::read_dir(dir.path().join("a")).unwrap().count(), 1);
    }
}
