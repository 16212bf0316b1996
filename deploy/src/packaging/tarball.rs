//! The same files for distributions without Debian's packages: a tarball with a
//! script that installs them.

use std::fs;
use std::path::{Path, PathBuf};

use super::deb::{Build, SCRIPTS};
use super::tree::File;
use super::{Package, Sources};
use crate::failure::Result;
use crate::shell;

/// Builds it; its one folder is named like the tarball.
///
/// # Errors
/// If a source is missing or the disk is full.
pub fn build(sources: &Sources, build: &Build, work: &Path, out: &Path) -> Result<PathBuf> {
    let name = format!("hardway-{}-{}", build.version, build.architecture);
    let root = work.join(&name);
    let _ = fs::remove_dir_all(&root);
    for package in Package::ALL {
        for file in package.files(sources)? {
            file.write(&root.join(package.name()))?;
        }
        for occasion in SCRIPTS {
            let script = format!("{}.{occasion}", package.name());
            let from = sources.deploy.join("packaging").join(&script);
            if from.exists() {
                File::copy(&format!("scripts/{script}"), from, 0o755).write(&root)?;
            }
        }
    }
    let installer = sources.deploy.join("packaging/install.sh");
    File::copy("install.sh", installer, 0o755).write(&root)?;

    shell::make_directory(out)?;
    let path = out.join(format!("{name}.tar.gz"));
    let compression = match build.is_hasty {
        true => "gzip -1",
        false => "gzip",
    };
    // Files of root, in an order and of a time that don't depend on who builds when.
    shell::run(
        "tar",
        &[
            "--create",
            &format!("--file={}", path.display()),
            &format!("--use-compress-program={compression}"),
            &format!("--directory={}", work.display()),
            "--sort=name",
            "--mtime=2000-01-01T00:00:00Z",
            "--owner=root:0",
            "--group=root:0",
            "--numeric-owner",
            &name,
        ],
    )?;
    Ok(path)
}
