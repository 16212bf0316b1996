//! The person at the keyboard. Who calls the tool with sudo is meant, not root: the kubeconfig
//! and the folder of clusters are theirs.

use std::ffi::CString;
use std::os::unix::fs::lchown;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, User, getgrouplist, setfsgid, setfsuid, setgroups};

use crate::failure::{Failure, OrFail, Result};
use crate::shell;

/// Somebody with a home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Their home.
    pub home: PathBuf,
    /// Who they are, where the tool runs as somebody else.
    pub behind_sudo: Option<(Uid, Gid)>,
}

impl Person {
    /// Who calls the tool.
    ///
    /// # Errors
    /// If they have no home.
    pub fn who_calls() -> Result<Self> {
        if let Some(user) = behind_sudo()? {
            return Ok(Self {
                home: user.dir,
                behind_sudo: Some((user.uid, user.gid)),
            });
        }
        let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
        let home = match home {
            Some(home) => PathBuf::from(home),
            None => {
                let user = User::from_uid(Uid::effective()).or_fail(|| "find your home")?;
                user.map(|user| user.dir).ok_or_else(|| {
                    Failure::new("find your home", "this user has none").way_out("set HOME")
                })?
            }
        };
        Ok(Self {
            home,
            behind_sudo: None,
        })
    }

    /// Does something with files as this person may: of a file of theirs they say where it is,
    /// and a link may lead to where root alone may write.
    ///
    /// # Errors
    /// Those of the work, or if the tool can't act as them.
    pub fn act<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let Some((uid, gid)) = self.behind_sudo else {
            return work();
        };
        let what = || format!("act as user {uid}");
        // Root needs none of its own, and they are those of all threads.
        setgroups(&groups(uid, gid)).or_fail(what)?;
        std::thread::scope(|scope| {
            let acting = scope.spawn(|| {
                // Of this thread alone; it ends with it (setfsuid(2)). Neither call says whether
                // it has worked: called again they say what is.
                setfsgid(gid);
                setfsuid(uid);
                if setfsgid(gid) != gid || setfsuid(uid) != uid {
                    return Err(Failure::new(what(), "the kernel doesn't let root do it"));
                }
                work()
            });
            let panicked = |_| Err(Failure::new(what(), "it panicked"));
            acting.join().unwrap_or_else(panicked)
        })
    }

    /// Makes a folder exist; what had to be made is theirs.
    pub fn make_directory(&self, folder: &Path) -> Result<()> {
        let missing: Vec<&Path> = folder
            .ancestors()
            .take_while(|path| !path.as_os_str().is_empty() && !path.exists())
            .collect();
        shell::make_directory(folder)?;
        missing.into_iter().try_for_each(|path| self.give(path))
    }

    /// Writes a file as a whole; a new one is theirs.
    pub fn write_file(&self, path: &Path, content: &[u8], mode: u32) -> Result<()> {
        if let Some(folder) = path.parent() {
            self.make_directory(folder)?;
        }
        let is_new = !path.exists();
        shell::write_file(path, content, mode)?;
        if is_new { self.give(path) } else { Ok(()) }
    }

    fn give(&self, path: &Path) -> Result<()> {
        let Some((uid, gid)) = self.behind_sudo else {
            return Ok(());
        };
        // The path itself: a link that they put there meanwhile may lead to anybody's file.
        lchown(path, Some(uid.as_raw()), Some(gid.as_raw()))
            .or_fail(|| format!("give {} to user {uid}", path.display()))
    }
}

/// The groups that a user is in.
fn groups(uid: Uid, gid: Gid) -> Vec<Gid> {
    let user = User::from_uid(uid).ok().flatten();
    let name = user.and_then(|user| CString::new(user.name).ok());
    let groups = name.and_then(|name| getgrouplist(&name, gid).ok());
    groups.unwrap_or_else(|| vec![gid])
}

/// The user who called sudo, if one did and isn't root.
fn behind_sudo() -> Result<Option<User>> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    let Ok(id) = std::env::var("SUDO_UID") else {
        return Ok(None);
    };
    let what = || format!("find the user {id}, who called sudo");
    let uid = Uid::from_raw(id.parse().or_fail(what)?);
    if uid.is_root() {
        return Ok(None);
    }
    let user = User::from_uid(uid).or_fail(what)?;
    user.map(Some)
        .ok_or_else(|| Failure::new(what(), "there is no such user"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    #[test]
    fn what_is_made_belongs_to_whoever_called_sudo() {
        if !Uid::effective().is_root() {
            return;
        }
        let home = tempfile::tempdir().unwrap();
        let somebody = Person {
            home: home.path().to_owned(),
            behind_sudo: Some((Uid::from_raw(1234), Gid::from_raw(1235))),
        };
        let file = home.path().join(".kube/config");
        somebody.write_file(&file, b"x", 0o600).unwrap();
        for path in [file.as_path(), &home.path().join(".kube")] {
            let is = path.metadata().unwrap();
            assert_eq!((is.uid(), is.gid()), (1234, 1235), "{}", path.display());
        }
        // What was there stays whose it was.
        lchown(&file, Some(7), Some(7)).unwrap();
        somebody.write_file(&file, b"y", 0o600).unwrap();
        assert_eq!(file.metadata().unwrap().uid(), 7);
        // Of a link only the link is given away.
        let link = home.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        somebody.give(&link).unwrap();
        assert_eq!(file.metadata().unwrap().uid(), 7);
        assert_eq!(link.symlink_metadata().unwrap().uid(), 1234);
    }

    #[test]
    fn what_only_root_may_write_is_not_written_for_others() {
        if !Uid::effective().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::write(&root, "secret").unwrap();
        fs::set_permissions(&root, fs::Permissions::from_mode(0o600)).unwrap();
        let theirs = folder.path().join("theirs");
        fs::create_dir(&theirs).unwrap();
        lchown(&theirs, Some(1234), Some(1235)).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let somebody = Person {
            home: theirs.clone(),
            behind_sudo: Some((Uid::from_raw(1234), Gid::from_raw(1235))),
        };
        let acts = |path: PathBuf| {
            somebody.act(move || {
                let read = fs::read(&path).is_ok();
                let written = fs::write(&path, "x").is_ok();
                Ok((read, written))
            })
        };
        assert_eq!(acts(root.clone()).unwrap(), (false, false));
        assert_eq!(acts(folder.path().join("new")).unwrap(), (false, false));
        assert_eq!(acts(theirs.join("new")).unwrap(), (false, true));
        let made = theirs.join("new").metadata().unwrap();
        assert_eq!((made.uid(), made.gid()), (1234, 1235));
        // Root is root afterwards.
        assert_eq!(fs::read_to_string(&root).unwrap(), "secret");
    }
}
