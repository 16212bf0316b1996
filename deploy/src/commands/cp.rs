//! `hardway cp FROM TO`: files and folders between this machine and hosts, or between hosts,
//! with their modes.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::failure::{Failure, OrFail, Result};
use crate::lab::{Lab, node};
use crate::plan::Host;
use crate::profiles::needs;

/// From where to where.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// A file or folder: PATH on this machine, HOST:PATH on a host
    pub from: String,
    /// Where it goes: into a folder that is there, or under a name of its own
    pub to: String,
}

/// Copies it.
pub fn run(lab: &Lab, options: &Options) -> Result<()> {
    needs::root("copy files to hosts and from them")?;
    let hosts = lab.plan.hosts();
    match (place(&options.from, &hosts)?, place(&options.to, &hosts)?) {
        (Place::Here(from), Place::There(host, to)) => put(lab, &host, &from, &to),
        (Place::There(host, from), Place::Here(to)) => get(lab, &host, &from, &to),
        (Place::There(from_host, from), Place::There(to_host, to)) => {
            let between = Between::new(lab)?;
            get(lab, &from_host, &from, &between.0)?;
            let name = from.file_name().unwrap_or_default();
            put(lab, &to_host, &between.0.join(name), &to)
        }
        (Place::Here(_), Place::Here(_)) => Err(Failure::new(
            format!("copy {} to {}", options.from, options.to),
            "neither is on a host",
        )
        .way_out(format!(
            "write HOST:PATH for one of them; hosts are: {}",
            names(&hosts)
        ))),
    }
}

/// Where something is.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Here(PathBuf),
    There(Host, PathBuf),
}

/// What `PATH` or `HOST:PATH` means.
fn place(text: &str, hosts: &[Host]) -> Result<Place> {
    // A colon behind a slash belongs to the path.
    let (name, path) = match text.split_once(':') {
        Some((name, path)) if !name.is_empty() && !name.contains('/') => (name, Path::new(path)),
        _ => return Ok(Place::Here(PathBuf::from(text))),
    };
    let what = || format!("find {text}");
    let host = hosts.iter().find(|host| host.name == name).ok_or_else(|| {
        Failure::new(what(), format!("there is no host {name}")).way_out(format!(
            "hosts are: {}; a file of this machine with a colon in its name is ./{text}",
            names(hosts)
        ))
    })?;
    if !path.is_absolute() {
        return Err(Failure::new(what(), "a path on a host begins with a slash")
            .way_out(format!("write {name}:/…")));
    }
    Ok(Place::There(host.clone(), path.to_owned()))
}

fn names(hosts: &[Host]) -> String {
    let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
    names.join(", ")
}

/// From this machine to a host.
fn put(lab: &Lab, host: &Host, from: &Path, to: &Path) -> Result<()> {
    // What a link leads to is found here, before the host's eyes look for it.
    let from = from
        .canonicalize()
        .or_fail(|| format!("copy {}", from.display()))?;
    let name = from
        .file_name()
        .ok_or_else(|| Failure::new(format!("copy {}", from.display()), "it has no name"))?;
    let (_open, seen) = seen_inside(from.parent().unwrap_or(Path::new("/")))?;
    copy(lab, host, &seen.join(name), to)
}

/// From a host to this machine.
fn get(lab: &Lab, host: &Host, from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.canonicalize().ok().filter(|to| to.is_dir()) {
        let (_open, seen) = seen_inside(&folder)?;
        // With the dot it is the folder itself that is asked for.
        return copy(lab, host, from, &seen.join("."));
    }
    let folder = match to.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let folder = folder
        .canonicalize()
        .or_fail(|| format!("copy to {}", to.display()))?;
    let name = to
        .file_name()
        .ok_or_else(|| Failure::new(format!("copy to {}", to.display()), "it has no name"))?;
    let (_open, seen) = seen_inside(&folder)?;
    copy(lab, host, from, &seen.join(name))
}

/// A folder of this machine under a name that leads to it inside a host as well: an open
/// file is the same in all namespaces. It is there while the file is open.
fn seen_inside(folder: &Path) -> Result<(File, PathBuf)> {
    let what = || format!("open {}", folder.display());
    let open = File::open(folder).or_fail(what)?;
    // Programs that are started have it open, too.
    fcntl(&open, FcntlArg::F_SETFD(FdFlag::empty())).or_fail(what)?;
    let seen = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()));
    Ok((open, seen))
}

/// Copies between paths that a host sees.
fn copy(lab: &Lab, host: &Host, from: &Path, to: &Path) -> Result<()> {
    let inside = node::inside(lab, host)?;
    let what = || format!("copy with host {}", host.name);
    let status = Command::new(&inside[0])
        .args(&inside[1..])
        // As it is (-a), but what a link leads to where the link itself is named (-H).
        .args(["cp", "-a", "-H", "--"])
        .arg(from)
        .arg(to)
        .status()
        .or_fail(what)?;
    match status.success() {
        true => Ok(()),
        false => Err(Failure::new(what(), "cp has said why, above")),
    }
}

/// A folder for what goes from host to host; it goes with this value.
struct Between(PathBuf);

impl Between {
    fn new(lab: &Lab) -> Result<Self> {
        let path = lab.folder.join(format!("copying-{}", std::process::id()));
        std::fs::create_dir(&path).or_fail(|| format!("create {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::tests::lab;

    #[test]
    fn paths_of_hosts_are_told_from_those_of_this_machine() {
        let hosts = lab().plan.hosts();
        let name = hosts[0].name.clone();
        let here = |text: &str| Place::Here(PathBuf::from(text));
        for text in ["a", "/a/b", "./host:/a", ":x"] {
            assert_eq!(place(text, &hosts).unwrap(), here(text), "{text}");
        }
        let there = place(&format!("{name}:/etc/a:b"), &hosts).unwrap();
        assert_eq!(there, Place::There(hosts[0].clone(), "/etc/a:b".into()));
        let unknown = place("nowhere:/a", &hosts).unwrap_err();
        assert_eq!(unknown.why, "there is no host nowhere");
        assert!(unknown.way_out.unwrap().contains(&name));
        let relative = place(&format!("{name}:a"), &hosts).unwrap_err();
        assert_eq!(relative.why, "a path on a host begins with a slash");
    }
}
