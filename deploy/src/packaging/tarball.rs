//! The same files for distributions without Debian's packages: a tarball with a
//! script that installs them.

use std::fs;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::deb::{Build, SCRIPTS};
use super::tree::File;
use super::{Package, Sources};
use crate::failure::{OrFail, Result};
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
    let what = || format!("write {}", path.display());
    let file = fs::File::create(&path).or_fail(what)?;
    let level = match build.is_hasty {
        true => Compression::fast(),
        false => Compression::default(),
    };
    let mut archive = tar::Builder::new(GzEncoder::new(file, level));
    // Files of root, of no time.
    archive.mode(tar::HeaderMode::Deterministic);
    archive.append_dir_all(&name, &root).or_fail(what)?;
    let writer = archive.into_inner().or_fail(what)?;
    writer.finish().or_fail(what)?;
    Ok(path)
}
