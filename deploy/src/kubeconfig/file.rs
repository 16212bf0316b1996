//! The kubeconfig that kubectl uses: which file it is, and changing it while others may, too.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::merge::{self, Change};
use crate::failure::{Failure, OrFail, Result};
use crate::person::Person;
use crate::shell;

/// How long another program may have the file.
const PATIENCE: Duration = Duration::from_secs(3);

/// Most links from one file to the next.
const LINKS: usize = 16;

/// The file that kubectl changes: the first that `$KUBECONFIG` names, or `~/.kube/config`.
pub fn path(person: &Person) -> Result<PathBuf> {
    let variable = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let first = std::env::split_paths(&variable).find(|path| !path.as_os_str().is_empty());
    match first {
        Some(path) => {
            std::path::absolute(&path).or_fail(|| format!("use the kubeconfig {}", path.display()))
        }
        None => Ok(person.home.join(".kube/config")),
    }
}

/// Changes a kubeconfig, as the person whose it is; a missing one is made when there is something
/// to put into it. Others see the old file or the new one.
///
/// # Errors
/// If it is no kubeconfig, the person may not write it, or another program doesn't let go of it.
/// Then it is as before.
pub fn change(path: &Path, person: &Person, what: Change<'_>) -> Result<()> {
    let changed = person.act(|| change_now(path, what));
    changed.map_err(|failure| of_person(failure, person))
}

/// A failure that may come from what a person may do, with the way out.
fn of_person(failure: Failure, person: &Person) -> Failure {
    match (person.behind_sudo, &failure.way_out) {
        (Some((uid, _)), None) => failure.way_out(format!(
            "it is read and written with the rights of user {uid}, who called sudo: give it to them (chown), name another with KUBECONFIG, or leave it alone: --no-kubeconfig"
        )),
        _ => failure,
    }
}

fn change_now(path: &Path, what: Change<'_>) -> Result<()> {
    let path = target(path)?;
    let is_put = matches!(what, Change::Put(..));
    if !is_put && !path.exists() {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        shell::make_directory(folder)?;
    }
    let _lock = Lock::take(&path)?;
    let before = read(&path)?;
    let after = changed(&path, &before, what)?;
    if after == before {
        return Ok(());
    }
    shell::write_file(&path, after.as_bytes(), 0o600)
}

/// What is in a file; nothing in one that isn't there.
fn read(path: &Path) -> Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        other => other.or_fail(|| format!("read {}", path.display())),
    }
}

fn changed(path: &Path, before: &str, what: Change<'_>) -> Result<String> {
    merge::change(before, what).map_err(|failure| in_file(path, failure))
}

fn in_file(path: &Path, failure: Failure) -> Failure {
    let way_out = failure.way_out.clone();
    let way_out = way_out.unwrap_or_else(|| "mend the file, or move it away".to_owned());
    Failure::new(format!("change {}", path.display()), failure).way_out(format!(
        "{way_out}; or leave the file alone: --no-kubeconfig"
    ))
}

/// Whether a cluster can be put into a file later, asked before anything else is done: it is
/// a kubeconfig without another of this name, or not there. A cluster that is still to be made
/// has no server.
///
/// # Errors
/// If it is something else, the person may not read it, or the name is another cluster's.
pub fn check(path: &Path, person: &Person, name: &str, server: Option<&str>) -> Result<()> {
    let checked = person.act(|| {
        let path = target(path)?;
        merge::check(&read(&path)?, name, server).map_err(|failure| in_file(&path, failure))
    });
    checked.map_err(|failure| of_person(failure, person))
}

/// Where links lead, also when there is nothing yet.
fn target(path: &Path) -> Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        let Ok(next) = fs::read_link(&path) else {
            return Ok(path);
        };
        path = path.parent().unwrap_or(Path::new("/")).join(next);
    }
    Err(Failure::new(
        format!("find the file {}", path.display()),
        "its links lead in circles",
    ))
}

/// The file beside a kubeconfig that client-go's programs make while they change it.
#[derive(Debug)]
struct Lock(PathBuf);

impl Lock {
    fn take(path: &Path) -> Result<Self> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let lock = PathBuf::from(name);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let made = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&lock);
            match made {
                Ok(mut file) => {
                    // So that others of us see when nobody holds it any more.
                    let _ = writeln!(file, "{OURS}{}", std::process::id());
                    return Ok(Self(lock));
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Failure::new(format!("lock {}", path.display()), error)),
            }
            if is_abandoned(&lock) && take_away(&lock) {
                continue;
            }
            if Instant::now() > deadline {
                return Err(Failure::new(
                    format!("change {}", path.display()),
                    "another program is at it",
                )
                .way_out(format!(
                    "if there is none, one was interrupted: rm {}",
                    lock.display()
                )));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

const OURS: &str = "hardway ";

/// Whether the one of us that made a lock has ended without taking it away.
fn is_abandoned(lock: &Path) -> bool {
    let text = fs::read_to_string(lock).unwrap_or_default();
    let pid = text.trim().strip_prefix(OURS);
    pid.and_then(|pid| pid.parse::<u32>().ok())
        .is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
}

/// Takes an abandoned lock away; says whether it did. Another of us may have done so since it
/// was looked at, and hold a new one under the name: what is removed is looked at again.
fn take_away(lock: &Path) -> bool {
    let mut name = lock.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let away = PathBuf::from(name);
    if fs::rename(lock, &away).is_err() {
        return false;
    }
    let is_abandoned = is_abandoned(&away);
    if !is_abandoned {
        // Given back, unless there is another one by now.
        let _ = fs::hard_link(&away, lock);
    }
    let _ = fs::remove_file(&away);
    is_abandoned
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use nix::unistd::{Gid, Uid};

    use super::*;
    use crate::kubeconfig::merge::{Entry, Known};

    const DEV: Known<'static> = Known {
        name: "dev",
        server: "https://10.88.10.10:6443",
    };

    fn entry() -> Entry {
        Entry {
            name: "dev".to_owned(),
            server: "https://10.88.10.10:6443".to_owned(),
            ca: "Y2E=".to_owned(),
            certificate: "Y3J0".to_owned(),
            key: "a2V5".to_owned(),
        }
    }

    fn somebody(home: &Path) -> Person {
        Person {
            home: home.to_owned(),
            behind_sudo: None,
        }
    }

    #[test]
    fn a_file_is_made_for_its_owner_alone() {
        let home = tempfile::tempdir().unwrap();
        let somebody = somebody(home.path());
        let file = home.path().join(".kube/config");
        change(&file, &somebody, Change::Remove(DEV)).unwrap();
        assert!(!file.exists(), "nothing to remove is nothing to write");
        change(&file, &somebody, Change::Put(&entry(), true)).unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let all = fs::read_dir(home.path().join(".kube")).unwrap().count();
        assert_eq!(all, 1, "no lock and no half-written file stays");
    }

    #[test]
    fn a_link_stays_one() {
        let home = tempfile::tempdir().unwrap();
        let (file, link) = (home.path().join("real/config"), home.path().join("link"));
        symlink("real/config", &link).unwrap();
        change(&link, &somebody(home.path()), Change::Put(&entry(), true)).unwrap();
        assert!(link.is_symlink());
        assert!(fs::read_to_string(&file).unwrap().contains("10.88.10.10"));
    }

    #[test]
    fn a_link_leads_root_nowhere() {
        if !Uid::effective().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let home = folder.path().join("home");
        fs::create_dir(&home).unwrap();
        std::os::unix::fs::chown(&home, Some(1234), Some(1234)).unwrap();
        let them = Person {
            home: home.clone(),
            behind_sudo: Some((Uid::from_raw(1234), Gid::from_raw(1234))),
        };
        let roots = folder.path().join("roots");
        fs::create_dir(&roots).unwrap();
        fs::write(roots.join("there"), "clusters: []").unwrap();
        for name in ["nothing-yet", "there"] {
            let link = home.join(name);
            symlink(roots.join(name), &link).unwrap();
            let failure = change(&link, &them, Change::Put(&entry(), true)).unwrap_err();
            assert!(failure.way_out.unwrap().contains("user 1234"));
        }
        assert_eq!(fs::read_dir(&roots).unwrap().count(), 1);
        assert_eq!(
            fs::read_to_string(roots.join("there")).unwrap(),
            "clusters: []"
        );
        // Where they may write, links are followed, and what is made is theirs.
        symlink("real/config", home.join("link")).unwrap();
        change(&home.join("link"), &them, Change::Put(&entry(), true)).unwrap();
        for made in ["real", "real/config"] {
            let made = home.join(made).metadata().unwrap();
            assert_eq!((made.uid(), made.gid()), (1234, 1234));
        }
    }

    #[test]
    fn a_broken_file_stays_as_it_is() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("config");
        fs::write(&file, "clusters: [").unwrap();
        let failure = change(&file, &somebody(home.path()), Change::Put(&entry(), true));
        assert!(failure.unwrap_err().what.contains("config"));
        let user = somebody(home.path());
        assert!(check(&file, &user, "dev", None).is_err());
        check(&home.path().join("none"), &user, "dev", None).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "clusters: [");
        assert!(!home.path().join("config.lock").exists());
    }

    #[test]
    fn who_is_at_it_is_waited_for_unless_they_died() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("config");
        let lock = home.path().join("config.lock");
        // client-go's lock is empty.
        fs::write(&lock, "").unwrap();
        let failure = change(&file, &somebody(home.path()), Change::Put(&entry(), true));
        let failure = failure.unwrap_err();
        assert!(failure.way_out.unwrap().contains("config.lock"));
        assert!(lock.exists() && !file.exists());
        // No process has this number.
        fs::write(&lock, format!("{OURS}4294967295\n")).unwrap();
        change(&file, &somebody(home.path()), Change::Put(&entry(), true)).unwrap();
        assert!(!lock.exists() && file.exists());
    }

    #[test]
    fn a_lock_that_is_held_again_is_given_back() {
        let home = tempfile::tempdir().unwrap();
        let lock = home.path().join("config.lock");
        // Between the look at it and the removal somebody else has replaced it.
        let held = format!("{OURS}{}\n", std::process::id());
        fs::write(&lock, &held).unwrap();
        assert!(!take_away(&lock));
        assert_eq!(fs::read_to_string(&lock).unwrap(), held);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn another_cluster_of_the_name_is_seen_before_anything_is_done() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("config");
        let user = somebody(home.path());
        change(&file, &user, Change::Put(&entry(), true)).unwrap();
        check(&file, &user, "dev", Some(DEV.server)).unwrap();
        check(&file, &user, "two", None).unwrap();
        // One that is to be made has nothing in it yet.
        let failure = check(&file, &user, "dev", None).unwrap_err();
        assert!(failure.way_out.unwrap().contains("kubectl config delete-"));
        assert!(check(&file, &user, "dev", Some("https://10.88.11.10:6443")).is_err());
    }
}
