//! Debian packages, by `dpkg-deb`.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use super::tree::{Content, File};
use super::{KUBERNETES_VERSION, Package, STORED_FORMAT, Sources, manual};
use crate::failure::{OrFail, Result};
use crate::shell;

/// What all packages of a build have in common.
#[derive(Debug, Clone)]
pub struct Build {
    /// Version of the packages, as Debian writes it.
    pub version: String,
    /// Debian's name of the architecture.
    pub architecture: String,
    /// Version of the C library the programs are linked with.
    pub libc: String,
    /// Whether it matters more that they are built soon than that they are small.
    pub is_hasty: bool,
}

/// The scripts that are run when a package comes or goes, where it has them.
pub const SCRIPTS: &[&str] = &["postinst", "prerm", "postrm"];

/// Builds a package; `work` is a folder for what it is put together from.
///
/// # Errors
/// If a source is missing, or with what dpkg-deb says.
pub fn build(
    package: Package,
    sources: &Sources,
    build: &Build,
    work: &Path,
    out: &Path,
) -> Result<PathBuf> {
    let name = package.name();
    let root = work.join(name);
    let _ = fs::remove_dir_all(&root);
    let mut files = package.files(sources)?;
    files.extend(documents(package, &build.version)?);
    let mut size = 0;
    for file in &files {
        size += file.write(&root)?;
    }
    for file in control_files(package, sources, build, &files, size)? {
        file.write(&root)?;
    }
    shell::make_directory(out)?;
    let deb = out.join(format!(
        "{name}_{}_{}.deb",
        build.version, build.architecture
    ));
    let compression = if build.is_hasty { "-Zgzip" } else { "-Zxz" };
    let level = if build.is_hasty { "-z1" } else { "-z6" };
    shell::run(
        "dpkg-deb",
        &[
            "--root-owner-group",
            compression,
            level,
            "--build",
            &root.display().to_string(),
            &deb.display().to_string(),
        ],
    )?;
    Ok(deb)
}

/// What Debian wants to find of every package: whose it is, and what changed.
fn documents(package: Package, version: &str) -> Result<[File; 2]> {
    let folder = format!("usr/share/doc/{}", package.name());
    let copyright = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: hardway

Files: *
Copyright: the hardway authors
License: Apache-2.0
 On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.
";
    let changes = format!(
        "{} ({version}) unstable; urgency=medium\n\n  * Version {version}.\n\n -- {MAINTAINER}  Thu, 01 Jan 1970 00:00:00 +0000\n",
        package.name(),
    );
    Ok([
        File::text(&format!("{folder}/copyright"), copyright),
        File::bytes(
            &format!("{folder}/changelog.gz"),
            manual::compress(changes.as_bytes())?,
        ),
    ])
}

const MAINTAINER: &str = "hardway authors <hardway@hardway.example>";

/// The files dpkg reads itself.
fn control_files(
    package: Package,
    sources: &Sources,
    build: &Build,
    files: &[File],
    size: u64,
) -> Result<Vec<File>> {
    let mut control = vec![File::text("DEBIAN/control", &control(package, build, size))];
    let settings: Vec<&str> = files
        .iter()
        .map(|file| file.path.as_str())
        .filter(|path| path.starts_with("etc/"))
        .collect();
    if !settings.is_empty() {
        let mut text = String::new();
        for path in settings {
            let _ = writeln!(text, "/{path}");
        }
        control.push(File::text("DEBIAN/conffiles", &text));
    }
    for script in SCRIPTS {
        let from = sources
            .deploy
            .join(format!("packaging/{}.{script}", package.name()));
        if from.exists() {
            let text = fs::read(&from).or_fail(|| format!("read {}", from.display()))?;
            control.push(File {
                path: format!("DEBIAN/{script}"),
                content: Content::Bytes(text),
                mode: 0o755,
            });
        }
    }
    Ok(control)
}

fn control(package: Package, build: &Build, size: u64) -> String {
    let mut depends = vec![format!("libc6 (>= {})", build.libc), "libgcc-s1".to_owned()];
    depends.extend(package.depends().iter().map(|it| (*it).to_owned()));
    if package != Package::Tool {
        depends.push(format!("{} (= {})", Package::Tool.name(), build.version));
    }
    let (synopsis, description) = package.description();
    let mut text = format!(
        "Package: {}
Version: {}
Architecture: {}
Maintainer: {MAINTAINER}
Installed-Size: {}
Depends: {}
Section: admin
Priority: optional
Kubernetes-Version: {KUBERNETES_VERSION}
Stored-Format: {STORED_FORMAT}
",
        package.name(),
        build.version,
        build.architecture,
        size.div_ceil(1024),
        depends.join(", "),
    );
    if package == Package::Tool {
        text.push_str("Suggests: kubernetes-client\n");
    }
    let _ = write!(text, "Description: {synopsis}\n {description}\n");
    text
}
