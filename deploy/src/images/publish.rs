//! The lab's images: built once, and put into its registry under their full names.

use super::content;
use super::oci::Written;
use super::storage;
use crate::addons;
use crate::compile;
use crate::failure::Result;
use crate::lab::Lab;

/// Builds all images on disk.
pub fn build(lab: &Lab) -> Result<Vec<Written>> {
    let programs = compile::image_programs()?;
    let folder = lab.folder.join("images");
    let mut images = content::all(&programs)?;
    // Who works on a part of hardway has no add-ons.
    if lab.only.is_empty() {
        for addon in addons::of_lab(lab)? {
            images.push(addon.image(&lab.binaries)?);
        }
    }
    images.iter().map(|image| image.write(&folder)).collect()
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
