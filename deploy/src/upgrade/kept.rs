//! Packages made out of what is installed: dpkg keeps none, and whoever goes back needs them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::packages::Description;
use crate::failure::{OrFail, Result};
use crate::packaging::deb::SCRIPTS;
use crate::shell;

/// Where dpkg has a package's scripts and lists.
const INFO: &str = "/var/lib/dpkg/info";

/// Packs what is installed of these packages into a folder, in place of what is there; says
/// where each is.
///
/// # Errors
/// If a file can't be copied, or with what dpkg says.
pub fn pack(packages: &[Description], folder: &Path) -> Result<Vec<PathBuf>> {
    // A run that was interrupted leaves no half of a package where whole ones are.
    let work = folder.with_extension("work");
    shell::remove(&work)?;
    let out = work.join("packages");
    shell::make_directory(&out)?;
    for package in packages {
        let name = package.package.name();
        let tree = work.join(name);
        copy(name, &tree)?;
        describe(name, &tree)?;
        let deb = out.join(format!("{name}.deb"));
        let (tree, deb) = (tree.display().to_string(), deb.display().to_string());
        shell::run(
            "dpkg-deb",
            &[
                "--root-owner-group",
                "-Zgzip",
                "-z1",
                "--build",
                &tree,
                &deb,
            ],
        )?;
    }
    shell::remove(folder)?;
    fs::rename(&out, folder).or_fail(|| format!("write {}", folder.display()))?;
    shell::remove(&work)?;
    files(folder)
}

/// The packages in the folder.
///
/// # Errors
/// If it can't be read.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).or_fail(|| format!("read {}", folder.display()))?;
    let mut all: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    all.sort();
    Ok(all)
}

/// The files of a package, as they are on this host.
fn copy(name: &str, tree: &Path) -> Result<()> {
    let listed = shell::run("dpkg-query", &["--listfiles", name])?;
    shell::make_directory(tree)?;
    // The first line is the root, as `/.`, which is there now.
    let listed = listed.lines().filter(|line| *line != "/.");
    for path in listed.filter(|line| line.starts_with('/')) {
        let from = Path::new(path);
        let to = tree.join(path.trim_start_matches('/'));
        let Ok(kind) = fs::symlink_metadata(from) else {
            // Somebody has deleted it; then it is not there on the way back either.
            continue;
        };
        if kind.is_dir() {
            shell::make_directory(&to)?;
            continue;
        }
        shell::make_directory(to.parent().unwrap_or(tree))?;
        let what = || format!("copy {path} to {}", to.display());
        match kind.is_symlink() {
            true => fs::read_link(from)
                .and_then(|target| symlink(target, &to))
                .or_fail(what)?,
            false => fs::copy(from, &to).map(drop).or_fail(what)?,
        }
    }
    Ok(())
}

/// What dpkg reads of a package.
fn describe(name: &str, tree: &Path) -> Result<()> {
    let control = tree.join("DEBIAN");
    shell::make_directory(&control)?;
    let status = shell::run("dpkg-query", &["--status", name])?;
    shell::write_file(
        &control.join("control"),
        control_of(&status).as_bytes(),
        0o644,
    )?;
    for kind in SCRIPTS.iter().chain(&["conffiles"]) {
        let from = Path::new(INFO).join(format!("{name}.{kind}"));
        if from.exists() {
            let to = control.join(kind);
            fs::copy(&from, &to).or_fail(|| format!("copy {}", from.display()))?;
        }
    }
    Ok(())
}

/// The control file of a package whose state dpkg tells: without what is of this host.
fn control_of(status: &str) -> String {
    let mut text = String::new();
    let mut is_left_out = false;
    for line in status.lines() {
        // A field goes on in lines that begin with a space.
        if !line.starts_with(' ') {
            let field = line.split(':').next().unwrap_or_default();
            is_left_out = ["Status", "Conffiles", "Config-Version"].contains(&field);
        }
        if !is_left_out {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_the_host_alone_is_left_out() {
        let status = "Package: hardway-node\nStatus: install ok installed\nVersion: 0.1.0\n\
                      Conffiles:\n /etc/default/hardway-kubelet 0123\n /etc/default/hardway-proxy 4567\n\
                      Description: node\n Runs pods.\n";
        assert_eq!(
            control_of(status),
            "Package: hardway-node\nVersion: 0.1.0\nDescription: node\n Runs pods.\n"
        );
    }
}
