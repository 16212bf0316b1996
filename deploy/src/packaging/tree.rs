//! Files that are put together below a folder before they become a package.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::failure::{OrFail, Result};

/// A file of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where it goes, from the root of the file system, without the first slash.
    pub path: String,
    /// What is in it.
    pub content: Content,
    /// Its mode.
    pub mode: u32,
}

/// What is in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// What is in that file.
    Copy(PathBuf),
}

impl File {
    /// The copy of a file.
    pub fn copy(path: &str, from: PathBuf, mode: u32) -> Self {
        Self {
            path: path.to_owned(),
            content: Content::Copy(from),
            mode,
        }
    }

    /// A text that all may read.
    pub fn text(path: &str, text: &str) -> Self {
        Self::bytes(path, text.as_bytes().to_vec())
    }

    /// Bytes that all may read.
    pub fn bytes(path: &str, bytes: Vec<u8>) -> Self {
        Self {
            path: path.to_owned(),
            content: Content::Bytes(bytes),
            mode: 0o644,
        }
    }

    /// Writes it below `root`, with the folders above it; says how many bytes it has.
    ///
    /// # Errors
    /// If it can't be read or written.
    pub fn write(&self, root: &Path) -> Result<u64> {
        let path = root.join(&self.path);
        let what = || format!("write {}", path.display());
        let folder = path.parent().unwrap_or(root);
        make_folders(root, folder)?;
        let size = match &self.content {
            Content::Bytes(bytes) => {
                fs::write(&path, bytes).or_fail(what)?;
                bytes.len() as u64
            }
            Content::Copy(from) => fs::copy(from, &path)
                .or_fail(|| format!("copy {} to {}", from.display(), path.display()))?,
        };
        set_mode(&path, self.mode)?;
        Ok(size)
    }
}

/// Folders of packages are 0755, whatever the umask.
fn make_folders(root: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).or_fail(|| format!("create {}", folder.display()))?;
    for folder in folder.ancestors().take_while(|it| it.starts_with(root)) {
        set_mode(folder, 0o755)?;
    }
    Ok(())
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .or_fail(|| format!("set the mode of {}", path.display()))
}
