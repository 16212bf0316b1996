//! What is made of files follows them.

use super::Error;
use crate::kubeconfig::Pem;
use parking_lot::Mutex;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which version of a file was seen: when it was written, its inode and size.
/// A link that leads elsewhere is another version.
type Version = Option<(i64, i64, u64, u64)>;

fn version(path: &Path) -> Version {
    let of = std::fs::metadata(path).ok()?;
    Some((of.mtime(), of.mtime_nsec(), of.ino(), of.size()))
}

type Make<T> = Box<dyn Fn() -> Result<T, Error> + Send + Sync>;

/// A value made of files, and made anew when one of them has changed. While
/// they make no sense (a certificate is there and its key is still to come),
/// the last good value is kept.
///
/// Whole TLS configurations are made anew, rather than the certificates in
/// them: what a peer remembers of a former session would bring back the former
/// identity and the former trust.
pub struct Reloading<T> {
    files: Vec<PathBuf>,
    make: Make<T>,
    current: Mutex<(Vec<Version>, Arc<T>)>,
}

impl<T> Reloading<T> {
    /// Makes the value for the first time.
    ///
    /// # Errors
    /// If the files make no sense now.
    pub fn new(
        made_of: &[&Pem],
        make: impl Fn() -> Result<T, Error> + Send + Sync + 'static,
    ) -> Result<Arc<Self>, Error> {
        let files: Vec<PathBuf> = made_of
            .iter()
            .filter_map(|pem| match pem {
                Pem::File(path) => Some(path.clone()),
                Pem::Inline(_) => None,
            })
            .collect();
        // Before they are read: what changes meanwhile is seen the next time.
        let seen = files.iter().map(|file| version(file)).collect();
        let first = Arc::new(make()?);
        Ok(Arc::new(Self {
            files,
            make: Box::new(make),
            current: Mutex::new((seen, first)),
        }))
    }

    /// The value as its files have it now.
    pub fn current(&self) -> Arc<T> {
        let mut current = self.current.lock();
        let seen: Vec<Version> = self.files.iter().map(|file| version(file)).collect();
        if seen != current.0 {
            current.0 = seen;
            match (self.make)() {
                Ok(made) => current.1 = Arc::new(made),
                Err(error) => tracing::warn!(%error, "going on with the former certificates"),
            }
        }
        current.1.clone()
    }
}

impl<T> std::fmt::Debug for Reloading<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reloading")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_last_good_value_stays_until_there_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("one"), dir.path().join("current"));
        fs::write(&file, "1").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let read = link.clone();
        let number = Reloading::new(&[&Pem::File(link.clone())], move || {
            let text = fs::read_to_string(&read)?;
            text.parse::<u32>()
                .map_err(|e| super::super::invalid("f", e))
        })
        .unwrap();
        let first = number.current();
        assert_eq!(*first, 1);
        assert!(Arc::ptr_eq(&first, &number.current()));
        fs::write(&file, "no number").unwrap();
        assert_eq!(*number.current(), 1);
        fs::remove_file(&file).unwrap();
        assert_eq!(*number.current(), 1);
        let other = dir.path().join("two");
        fs::write(&other, "2").unwrap();
        std::os::unix::fs::symlink(&other, dir.path().join("new")).unwrap();
        fs::rename(dir.path().join("new"), &link).unwrap();
        assert_eq!(*number.current(), 2);
    }
}
