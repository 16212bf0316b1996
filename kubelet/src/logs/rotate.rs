//! Rotation: a log that has grown too large is moved away and the runtime made
//! to begin a new one; older ones are compressed, the oldest removed.

use super::files::Directory;
use crate::cri::{self, ContainerState};
use flate2::Compression;
use flate2::write::GzEncoder;
use nix::libc;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often logs are looked at.
const PERIOD: Duration = Duration::from_secs(10);

/// Keeps the logs of running containers within bounds.
pub struct Rotator {
    runtime: cri::Handle,
    root: PathBuf,
    max_bytes: u64,
    max_files: usize,
    /// Where containers log, so that the runtime is asked once for each.
    paths: Mutex<HashMap<String, PathBuf>>,
}

impl Rotator {
    /// Logs below `root` of up to `max_bytes`, of which `max_files` are kept,
    /// the current one included.
    pub fn new(
        runtime: cri::Handle,
        root: impl Into<PathBuf>,
        max_bytes: u64,
        max_files: usize,
    ) -> Self {
        Self {
            runtime,
            root: root.into(),
            max_bytes,
            max_files: max_files.max(2),
            paths: Mutex::default(),
        }
    }

    /// Rotates for ever.
    pub async fn run(&self) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.sweep().await {
                tracing::debug!(%error, "cannot look at logs");
            }
        }
    }

    async fn sweep(&self) -> Result<(), cri::Error> {
        let containers = self.runtime.list_containers(BTreeMap::new()).await?;
        let running: Vec<String> = containers
            .into_iter()
            .filter(|c| c.state() == ContainerState::ContainerRunning)
            .map(|c| c.id)
            .collect();
        self.paths.lock().retain(|id, _| running.contains(id));
        for id in running {
            let known = self.paths.lock().get(&id).cloned();
            let path = match known {
                Some(path) => path,
                None => {
                    let status = self.runtime.container_status(&id).await?;
                    let path = PathBuf::from(status.log_path);
                    self.paths.lock().insert(id.clone(), path.clone());
                    path
                }
            };
            if let Err(error) = self.check(&id, &path).await {
                tracing::warn!(container = id, path = %path.display(), error, "cannot rotate log");
            }
        }
        Ok(())
    }

    /// Rotates one log if it is too large; true if it was.
    pub async fn check(&self, id: &str, path: &Path) -> Result<bool, String> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err("its path has no name".into());
        };
        // Held, so that nothing can be put in its place between two steps.
        let directory = match Directory::open(&self.root, parent) {
            Ok(directory) => Arc::new(directory),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error.to_string()),
        };
        let path = &directory.path().join(name);
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error.to_string()),
        };
        if !metadata.is_file() {
            return Err("it is not a regular file".into());
        }
        if metadata.len() < self.max_bytes {
            return Ok(false);
        }
        let (current, held, max_files) = (path.clone(), directory.clone(), self.max_files);
        let tidy = move || {
            let _held = held;
            tidy_up(&current, max_files - 2)
        };
        let tidy = tokio::task::spawn_blocking(tidy).await;
        tidy.map_err(|e| e.to_string())?
            .map_err(|e| e.to_string())?;
        let stamp = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S").to_string();
        let moved = with_suffix(path, &stamp);
        fs::rename(path, &moved).map_err(|e| e.to_string())?;
        if let Err(error) = self.runtime.reopen_container_log(id).await {
            // The runtime still writes to the moved file: undo.
            fs::rename(&moved, path).map_err(|e| e.to_string())?;
            return Err(error.to_string());
        }
        Ok(true)
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// Rotated logs of a log, oldest first: their names begin with the time.
fn rotated(path: &Path) -> io::Result<Vec<PathBuf>> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(Vec::new());
    };
    let prefix = format!("{}.", name.to_string_lossy());
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Removes the oldest rotated logs down to `keep` and compresses the rest.
fn tidy_up(path: &Path, keep: usize) -> io::Result<()> {
    let mut logs = Vec::new();
    for log in rotated(path)? {
        if log.extension().is_some_and(|e| e == "tmp") {
            // A compression that was interrupted.
            fs::remove_file(log)?;
        } else {
            logs.push(log);
        }
    }
    let surplus = logs.len().saturating_sub(keep);
    for log in logs.drain(..surplus) {
        fs::remove_file(log)?;
    }
    for log in logs {
        if log.extension().is_none_or(|e| e != "gz") {
            match compress(&log) {
                // It stays as it is: a log that isn't put aside for want of room would go on
                // growing.
                Err(error) if is_full(&error) => {
                    tracing::warn!(log = %log.display(), %error, "not compressed");
                }
                outcome => outcome?,
            }
        }
    }
    Ok(())
}

/// Whether a disk has no room, or its user's share of it is used up.
fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

fn compress(log: &Path) -> io::Result<()> {
    let (unfinished, finished) = (with_suffix(log, "tmp"), with_suffix(log, "gz"));
    let mut source = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(log)?;
    if !source.metadata()?.is_file() {
        let text = format!("{} is not a regular file", log.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    // Made anew: what is there already, a link perhaps, is not written through.
    let target = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o640)
        .open(&unfinished)?;
    match pack(&mut source, target).and_then(|()| fs::rename(&unfinished, finished)) {
        Ok(()) => fs::remove_file(log),
        Err(error) => {
            // Where there is no room it would take what is left.
            let _ = fs::remove_file(unfinished);
            Err(error)
        }
    }
}

fn pack(source: &mut impl io::Read, target: impl io::Write) -> io::Result<()> {
    let mut encoder = GzEncoder::new(target, Compression::default());
    io::copy(source, &mut encoder)?;
    encoder.finish().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cri::fake::Fake;
    use flate2::read::GzDecoder;
    use std::fs::File;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<String> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn a_large_log_is_moved_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let runtime = Arc::new(Fake::default());
        let rotator = Rotator::new(runtime.clone(), dir.path(), 5, 3);
        assert_eq!(rotator.check("c", &path).await, Ok(false), "not there yet");
        fs::write(&path, "1234").unwrap();
        assert_eq!(rotator.check("c", &path).await, Ok(false));
        fs::write(&path, "12345").unwrap();
        fs::write(with_suffix(&path, "20260101-000000.gz"), "old").unwrap();
        fs::write(with_suffix(&path, "20260102-000000"), "text").unwrap();
        assert_eq!(rotator.check("c", &path).await, Ok(true));
        assert_eq!(*runtime.reopened.lock(), ["c"]);
        let left = names(dir.path());
        assert_eq!(left.len(), 2, "{left:?}");
        assert_eq!(left[0], "0.log.20260102-000000.gz");
        let mut text = String::new();
        let packed = File::open(dir.path().join(&left[0])).unwrap();
        GzDecoder::new(packed).read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
    }

    #[test]
    fn what_could_not_be_compressed_is_not_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("0.log.20260102-000000");
        fs::write(&log, "text").unwrap();
        // Nothing can be put where a folder is.
        fs::create_dir_all(with_suffix(&log, "gz").join("full")).unwrap();
        assert!(compress(&log).is_err());
        assert_eq!(names(dir.path()).len(), 2, "{:?}", names(dir.path()));
        let full = File::options().write(true).open("/dev/full").unwrap();
        let error = pack(&mut [1; 100_000].as_slice(), full).unwrap_err();
        assert!(is_full(&error), "{error}");
        assert!(!is_full(&io::ErrorKind::NotFound.into()));
    }

    #[tokio::test]
    async fn links_are_neither_followed_nor_moved() {
        let dir = tempfile::tempdir().unwrap();
        let (secret, logs) = (dir.path().join("secret"), dir.path().join("logs"));
        fs::create_dir_all(logs.join("pod/c")).unwrap();
        fs::write(&secret, "0123456789").unwrap();
        let rotator = Rotator::new(Arc::new(Fake::default()), &logs, 5, 3);
        let log = logs.join("pod/c/0.log");
        symlink(&secret, &log).unwrap();
        let refused = rotator.check("c", &log).await.unwrap_err();
        assert_eq!(refused, "it is not a regular file");
        fs::remove_file(&log).unwrap();
        // An earlier log that is a link: what it leads to is not packed.
        fs::write(&log, "0123456789").unwrap();
        symlink(&secret, with_suffix(&log, "20260101-000000")).unwrap();
        assert!(rotator.check("c", &log).await.is_err());
        assert!(!with_suffix(&log, "20260101-000000.gz").exists());
        // The folder itself exchanged for a link.
        symlink("pod", logs.join("other")).unwrap();
        let through = logs.join("other/c/0.log");
        assert!(rotator.check("c", &through).await.is_err());
    }
}
