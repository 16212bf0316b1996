//! The lab's images: built once, and put into its registry under their full names.

use std::path::{Path, PathBuf};

use super::cache;
use super::content;
use super::oci::Written;
use super::storage;
use crate::addons;
use crate::failure::{OrFail, Result};
use crate::lab::{self, Lab};
use crate::progress::Outcome;
use crate::shell;

/// Images on disk.
#[derive(Debug, Default)]
pub struct Images {
    /// All of them.
    pub all: Vec<Written>,
    /// How many of them had to be built.
    built: usize,
}

impl Outcome for Images {
    fn describe(&self) -> String {
        match self.built {
            0 => format!(": all {} there", self.all.len()),
            count => format!(": {count} built"),
        }
    }
}

/// Builds the images on disk whose sources have changed; `programs` is the folder of the
/// project's own static programs.
pub fn build(lab: &Lab, programs: &Path) -> Result<Images> {
    let folder = lab.images();
    shell::make_directory(&folder)?;
    // Clusters have them in common.
    let _lock = lab::wait_for_lock(&folder)?;
    let tool = std::env::current_exe().or_fail(|| "find this program")?;
    // When the machine's libraries change, so does what the loader knows of them.
    let machine = [tool, PathBuf::from("/etc/ld.so.cache")];
    let sources = [machine.to_vec(), content::sources(programs)?].concat();
    let (mut all, mut built) =
        cache::ensure(&folder, "images", &sources, || content::all(programs))?;
    // Who works on a part of hardway has no add-ons.
    let addons = match lab.only.is_empty() {
        true => addons::of_lab(lab)?,
        false => Vec::new(),
    };
    for addon in addons {
        let program = lab.binaries.join(addon.package());
        let sources = [machine.to_vec(), vec![program]].concat();
        let make = || Ok(vec![addon.image(&lab.binaries)?]);
        let (images, made) = cache::ensure(&folder, addon.name, &sources, make)?;
        all.extend(images);
        built += made;
    }
    Ok(Images { all, built })
}

/// Publishes what the registry does not have yet; says what was done. The registry needn't
/// run, and may: it looks at its storage whenever it is asked.
pub fn publish(lab: &Lab, images: &[Written]) -> Result<String> {
    let registry = lab.registry();
    let mut published = 0;
    for image in images {
        published += usize::from(storage::ensure(&registry, image)?);
    }
    Ok(match published {
        0 => format!("all {} there", images.len()),
        count => format!("{count} published"),
    })
}
