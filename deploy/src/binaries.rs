//! Where the programs of hardway are that a cluster is made of: those that are there are used,
//! and only where none are they are built.

use std::path::{Path, PathBuf};

use crate::addons;
use crate::compile::{self, Profile};
use crate::components;
use crate::failure::{Failure, OrFail, Result};
use crate::progress::Progress;

/// Where packages would put them.
const INSTALLED: [&str; 2] = ["/usr/lib/hardway", "/usr/bin"];

/// The programs of the images, without which an image is not made.
const PAUSE: &str = "pause";

/// Where everything is that a cluster is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// Folder of the components.
    pub components: PathBuf,
    /// Folder of the programs inside images, linked statically.
    pub image_programs: PathBuf,
}

/// Finds the programs: in the folder that `$HARDWAY_BINARIES` names; beside this tool; in the
/// release build of the repository this tool was built from; where packages put them. Builds
/// them where there are none and the repository is there.
///
/// # Errors
/// If a folder is named that lacks some, or there are none and nothing to build them from.
pub fn ensure(progress: &Progress) -> Result<Binaries> {
    let named = std::env::var_os("HARDWAY_BINARIES").filter(|folder| !folder.is_empty());
    let named = named.map(std::path::absolute).transpose();
    let named = named.or_fail(|| "use HARDWAY_BINARIES")?;
    let components = match named {
        Some(folder) => match missing(&folder).as_slice() {
            [] => folder,
            lacking => {
                return Err(Failure::new(
                    format!("use the components in {}", folder.display()),
                    format!("these are not there: {}", lacking.join(", ")),
                )
                .way_out("name another folder in HARDWAY_BINARIES, or none"));
            }
        },
        None => match candidates().into_iter().find(|it| missing(it).is_empty()) {
            Some(folder) => folder,
            None => build(progress)?,
        },
    };
    let image_programs = image_programs(&components, progress)?;
    Ok(Binaries {
        components,
        image_programs,
    })
}

/// Folders in which they may be, the best first.
pub fn candidates() -> Vec<PathBuf> {
    let tool = std::env::current_exe().ok();
    let beside = tool.as_deref().and_then(Path::parent).map(Path::to_owned);
    let built = target().map(|target| target.join("release"));
    let installed = INSTALLED.into_iter().map(PathBuf::from);
    beside.into_iter().chain(built).chain(installed).collect()
}

/// The folder of builds of the repository, where that is still there.
fn target() -> Option<PathBuf> {
    let repository = compile::repository().ok()?;
    Some(repository.join("target"))
}

/// What a cluster can't do without and a folder lacks.
fn missing(folder: &Path) -> Vec<&'static str> {
    let in_cluster = addons::ADDONS.iter().filter(|addon| addon.by_default);
    let needed = components::ON_HOSTS.iter().copied();
    needed
        .chain(in_cluster.map(|addon| addon.package()))
        .filter(|name| !folder.join(name).is_file())
        .collect()
}

fn build(progress: &Progress) -> Result<PathBuf> {
    if let Err(failure) = compile::repository() {
        let places: Vec<String> = candidates()
            .iter()
            .map(|folder| folder.display().to_string())
            .collect();
        let why = format!(
            "they are in none of {}, and {}",
            places.join(", "),
            failure.why
        );
        return Err(Failure::new("find the components of hardway", why).way_out(
            "name their folder in HARDWAY_BINARIES, or build them in a clone of the repository: cargo build --release",
        ));
    }
    progress.say("building the components, several minutes the first time");
    progress.step("components built", || {
        compile::components(Profile::Release, &components::packages(), None)
    })?;
    compile::binaries(Profile::Release)
}

/// Folder of the programs inside images: `images` beside the components, or where this
/// repository builds them.
fn image_programs(components: &Path, progress: &Progress) -> Result<PathBuf> {
    let beside = components.join("images");
    // The folder between is called after what they are built for.
    let built = target().and_then(|target| std::fs::read_dir(target.join("images")).ok());
    let mut built = built
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("release"));
    if beside.join(PAUSE).is_file() {
        return Ok(beside);
    }
    if let Some(folder) = built.find(|folder| folder.join(PAUSE).is_file()) {
        return Ok(folder);
    }
    compile::repository().map_err(|failure| {
        Failure::new(
            "find the programs of the images",
            format!("there is no {}, and {}", beside.join(PAUSE).display(), failure.why),
        )
        .way_out("build them in a clone of the repository with `cargo hardway up`, and copy target/images/*/release to a folder `images` beside the components")
    })?;
    progress.say("building the programs of the images");
    compile::image_programs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_lacks_a_component_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let all = missing(folder.path());
        assert!(all.contains(&"hardway-apiserver") && all.contains(&"hardway-dns"));
        for name in &all {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert!(missing(folder.path()).is_empty());
        std::fs::remove_file(folder.path().join("hardway-proxy")).unwrap();
        assert_eq!(missing(folder.path()), ["hardway-proxy"]);
        // What only looks at a cluster isn't needed to start one.
        assert!(!all.contains(&"hardway-why"));
    }

    #[test]
    fn the_first_place_is_beside_the_tool() {
        let tool = std::env::current_exe().unwrap();
        let places = candidates();
        assert_eq!(places[0], tool.parent().unwrap());
        assert!(places.contains(&PathBuf::from("/usr/lib/hardway")));
    }
}
