//! Which files of a control plane's host are in a backup, and which of them go back: what all
//! control planes of the cluster have alike, and what the administrator set. Certificates that
//! the cluster's CAs can issue again are not among them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::encryption;
use crate::failure::{Failure, OrFail, Result};
use crate::host::cluster::{self, Cluster};
use crate::host::{Layout, env, etcd_env, shared_keys};
use crate::pki::{self, ApiNames};
use crate::shell;

/// Files that control planes have alike and without which a cluster goes on all the same: the
/// public key follows from the private one, and without encryption there is no configuration of it.
const DISPENSABLE: &[&str] = &["pki/sa.pub", encryption::FILE];

/// Of one host; they are in the backup to be looked at. `init` writes those of another one.
const OF_ONE_HOST: &[&str] = &[env::CLUSTER, env::HOST, etcd_env::FILE, cluster::FILE];

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its name in the archive: its path without the root.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Who may read it.
    pub mode: u32,
}

/// The files of a host that belong into its backup.
///
/// # Errors
/// If one is missing that no cluster goes on without.
pub fn of(layout: &Layout) -> Result<Vec<Kept>> {
    if let Some(missing) = missing(layout) {
        return Err(
            Failure::new(format!("find {}", missing.display()), "it is not there")
                .way_out("backups are taken on the host of a control plane"),
        );
    }
    let mut found = Vec::new();
    collect(layout, &layout.etc(), &mut found)?;
    let defaults = layout.path("etc/default");
    if defaults.is_dir() {
        collect(layout, &defaults, &mut found)?;
    }
    let issued = issued();
    found.retain(|file| belongs(&file.name, &issued));
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// The first file that no cluster goes on without and that isn't there.
pub fn missing(layout: &Layout) -> Option<PathBuf> {
    let mut paths = needed().map(|file| layout.etc().join(file));
    paths.find(|path| !path.exists())
}

/// Without these no cluster goes on, below /etc/hardway.
fn needed() -> impl Iterator<Item = &'static str> {
    let shared = shared_keys::FILES.iter().copied();
    shared.filter(|file| !DISPENSABLE.contains(file))
}

/// Names of the certificates that are issued anew on each host.
fn issued() -> Vec<String> {
    let cluster = Cluster::at(std::net::Ipv4Addr::UNSPECIFIED);
    let host = crate::host::control_plane::host(&cluster, "any");
    let leaves = pki::of_control_plane(&host, &ApiNames::default());
    leaves.into_iter().map(|leaf| leaf.file).collect()
}

fn belongs(name: &str, issued: &[String]) -> bool {
    if let Some(name) = name.strip_prefix("etc/default/") {
        return name.starts_with("hardway-");
    }
    let Some(name) = name.strip_prefix("etc/hardway/") else {
        return false;
    };
    let pki = name.strip_prefix("pki/").unwrap_or_default();
    let stem = pki
        .strip_suffix(".crt")
        .or_else(|| pki.strip_suffix(".key"));
    let is_issued = stem.is_some_and(|stem| issued.iter().any(|leaf| leaf == stem));
    // `.new`: what was about to be put in another's place.
    !is_issued && !name.starts_with("kubeconfig/") && !name.ends_with(".new")
}

fn collect(layout: &Layout, folder: &Path, found: &mut Vec<Kept>) -> Result<()> {
    let what = || format!("read {}", folder.display());
    for entry in fs::read_dir(folder).or_fail(what)? {
        let path = entry.or_fail(what)?.path();
        let metadata = fs::symlink_metadata(&path).or_fail(what)?;
        if metadata.is_dir() {
            collect(layout, &path, found)?;
        } else if metadata.is_file() {
            let name = path.strip_prefix(layout.root()).unwrap_or(&path);
            found.push(Kept {
                name: name.to_string_lossy().trim_start_matches('/').to_owned(),
                mode: metadata.permissions().mode() & 0o777,
                path,
            });
        }
    }
    Ok(())
}

/// Puts the files of a backup, which are below `from`, where they were; says how many. What is
/// of one host stays as this host has it, but for what the administrator has added there.
///
/// # Errors
/// If one can't be read or written.
pub fn install(from: &Path, layout: &Layout) -> Result<usize> {
    let unpacked = Layout::new(from);
    let mut found = Vec::new();
    for folder in ["etc/hardway", "etc/default"] {
        let folder = unpacked.path(folder);
        if folder.is_dir() {
            collect(&unpacked, &folder, &mut found)?;
        }
    }
    let is_of_one_host = |name: &str| {
        let name = name.strip_prefix("etc/hardway/").unwrap_or_default();
        OF_ONE_HOST.contains(&name)
    };
    found.retain(|file| {
        let is_added = file.name == format!("etc/hardway/{}", env::HOST);
        let is_there = layout.path(&file.name).exists();
        !is_of_one_host(&file.name) || (is_added && !is_there)
    });
    for file in &found {
        let content = fs::read(&file.path).or_fail(|| format!("read {}", file.path.display()))?;
        shell::write_file(&layout.path(&file.name), &content, file.mode)?;
    }
    Ok(found.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, mode: u32) {
        shell::write_file(&root.join(path), path.as_bytes(), mode).unwrap();
    }

    fn host() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for name in needed() {
            write(root.path(), &format!("etc/hardway/{name}"), 0o600);
        }
        for name in [
            "etc/hardway/pki/apiserver.crt",
            "etc/hardway/pki/apiserver.key",
            "etc/hardway/pki/former/ca.crt",
            "etc/hardway/pki/ca.crt.new",
            "etc/hardway/kubeconfig/admin.kubeconfig",
            "etc/hardway/host.env",
            "etc/default/hardway-etcd",
            "etc/default/grub",
        ] {
            write(root.path(), name, 0o644);
        }
        root
    }

    #[test]
    fn what_can_be_issued_again_stays_out() {
        let root = host();
        let found = of(&Layout::new(root.path())).unwrap();
        let names: Vec<&str> = found.iter().map(|it| it.name.as_str()).collect();
        for there in [
            "etc/hardway/pki/ca.key",
            "etc/hardway/pki/former/ca.crt",
            "etc/hardway/host.env",
            "etc/default/hardway-etcd",
        ] {
            assert!(names.contains(&there), "{there}");
        }
        assert_eq!(names.len(), needed().count() + 3, "{names:?}");
        let key = found.iter().find(|it| it.name.ends_with("/ca.key"));
        assert_eq!(key.unwrap().mode, 0o600);
        fs::remove_file(root.path().join("etc/hardway/pki/sa.key")).unwrap();
        assert!(of(&Layout::new(root.path())).is_err());
    }

    #[test]
    fn what_is_of_one_host_is_not_taken_over() {
        let (from, to) = (host(), tempfile::tempdir().unwrap());
        let there = |path: &str| to.path().join(path).exists();
        install(from.path(), &Layout::new(to.path())).unwrap();
        assert!(there("etc/hardway/pki/ca.key") && there("etc/default/hardway-etcd"));
        assert!(!there("etc/hardway/cluster.yaml"));
        // The administrator may have added something.
        assert!(there("etc/hardway/host.env"));
        fs::write(to.path().join("etc/hardway/host.env"), "mine").unwrap();
        install(from.path(), &Layout::new(to.path())).unwrap();
        let host = fs::read_to_string(to.path().join("etc/hardway/host.env"));
        assert_eq!(host.unwrap(), "mine");
    }
}
