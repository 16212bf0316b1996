//! `hardway package`: what is installed on hosts, as Debian packages and as a tarball.

use std::fs;
use std::path::{Path, PathBuf};

use crate::addons;
use crate::compile::{self, Profile};
use crate::components;
use crate::failure::{Failure, Result};
use crate::images::{archive, content};
use crate::packaging::deb::{self, Build};
use crate::packaging::{Package, Sources, tarball};
use crate::progress::Progress;
use crate::shell;

/// What `package` may be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Folder to write the packages to [default: target/packages in the repository, which
    /// holds what was built last and nothing else]
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// Package quickly built, unoptimised programs, to try them
    #[arg(long)]
    pub debug: bool,
    /// Version of the packages, as Debian writes it
    #[arg(long, value_name = "VERSION", default_value = env!("CARGO_PKG_VERSION"), value_parser = version)]
    pub package_version: String,
}

impl Options {
    /// Packages to be tested, in the folder where a reader of the documentation has them.
    pub fn of_tests(debug: bool) -> Self {
        Self {
            out: None,
            debug,
            package_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// A version dpkg takes: it begins with a digit.
fn version(text: &str) -> std::result::Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || ".+~-".contains(c);
    let begins = text.starts_with(|c: char| c.is_ascii_digit());
    match begins && text.chars().all(fits) {
        true => Ok(text.to_owned()),
        false => Err("a version begins with a digit, and has letters, digits and .+~- only".into()),
    }
}

/// Builds everything that is in them, and them.
pub fn run(options: &Options) -> Result<()> {
    let repository = compile::repository()?;
    let profile = match options.debug {
        true => Profile::Debug,
        false => Profile::Release,
    };
    let programs = [components::packages(), vec!["hardway-deploy"]].concat();
    compile::components(profile, &programs, compile::commit().as_deref())?;
    let binaries = compile::binaries(profile)?;
    let work = binaries.with_file_name("packaging");
    let out = match &options.out {
        Some(out) => out.clone(),
        None => empty(binaries.with_file_name("packages"))?,
    };
    let sources = Sources {
        deploy: repository.join("deploy"),
        images: work.join("images.tar"),
        binaries,
    };
    let build = build(&options.package_version, options.debug)?;
    let progress = Progress::new();
    progress.step("images", || images(&sources, &work))?;
    for package in Package::ALL {
        progress.step(package.name(), || {
            deb::build(package, &sources, &build, &work, &out).map(shown)
        })?;
    }
    progress.step("tarball", || {
        tarball::build(&sources, &build, &work, &out).map(shown)
    })?;
    Ok(())
}

/// A folder without what was in it: `hardway-*.deb` are packages of one version.
fn empty(folder: PathBuf) -> Result<PathBuf> {
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::new(
            format!("remove packages of a time before in {}", folder.display()),
            error,
        )),
        _ => Ok(folder),
    }
}

fn shown(path: PathBuf) -> String {
    path.display().to_string()
}

/// The images that every node needs: pause, which holds a pod's namespaces, and the
/// cluster's DNS.
fn images(sources: &Sources, work: &Path) -> Result<String> {
    let mut images = content::needed(&compile::image_programs()?)?;
    images.extend(addons::images(&sources.binaries)?);
    let written: Vec<_> = images
        .iter()
        .map(|image| image.write(&work.join("images")))
        .collect::<Result<_>>()?;
    archive::write(&written, &sources.images)?;
    let names: Vec<_> = images.into_iter().map(|image| image.name).collect();
    Ok(names.join(", "))
}

/// What this machine's Debian says of itself.
fn build(version: &str, is_hasty: bool) -> Result<Build> {
    let say = |program: &str, arguments: &[&str]| {
        shell::run(program, arguments)
            .map(|said| said.trim().to_owned())
            .map_err(|failure| {
                failure.way_out("packages are built on Debian or what comes from it")
            })
    };
    let libc = say(
        "dpkg-query",
        &["--show", "--showformat=${Version}", "libc6"],
    )?;
    Ok(Build {
        version: version.to_owned(),
        architecture: say("dpkg", &["--print-architecture"])?,
        // Without Debian's own revision.
        libc: libc.split('-').next().unwrap_or_default().to_owned(),
        is_hasty,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_checked_before_anything_is_built() {
        for good in ["0.1.0", "1.2~rc1", "0.1.0+git20260101-1"] {
            assert_eq!(version(good).unwrap(), good);
        }
        for bad in ["", "v1", "1 2", "1_2", "../1"] {
            assert!(version(bad).is_err(), "{bad}");
        }
    }
}
