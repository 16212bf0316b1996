//! Putting the images into the lab's registry under their full names.

use std::net::SocketAddr;

use super::content;
use super::oci::Written;
use crate::addons;
use crate::compile;
use crate::failure::Result;
use crate::http;
use crate::lab::Lab;
use crate::plan::REGISTRY_PORT;
use crate::shell;

/// Builds all images on disk.
pub fn build(lab: &Lab) -> Result<Vec<Written>> {
    let programs = compile::image_programs()?;
    let folder = lab.folder.join("images");
    let mut images = content::all(&programs)?;
    // Who works on a part of hardway has no add-ons.
    if lab.only.is_empty() {
        images.extend(addons::images(&lab.binaries)?);
    }
    images.iter().map(|image| image.write(&folder)).collect()
}

/// Publishes what the registry does not have yet; says what was done.
pub fn publish(lab: &Lab, images: &[Written]) -> Result<String> {
    let mut pushed = 0;
    for image in images {
        if published(lab, image) {
            continue;
        }
        shell::run(
            "skopeo",
            &[
                "--insecure-policy",
                "copy",
                "--quiet",
                "--preserve-digests",
                "--dest-tls-verify=false",
                &format!("oci:{}:image", image.folder.display()),
                &format!("docker://{}/{}", lab.plan.registry(), image.name),
            ],
        )?;
        pushed += 1;
    }
    let kept = images.len() - pushed;
    Ok(if pushed == 0 {
        format!("all {kept} there")
    } else {
        format!("{pushed} published")
    })
}

fn published(lab: &Lab, image: &Written) -> bool {
    let Some((name, tag)) = image.name.rsplit_once(':') else {
        return false;
    };
    let address = SocketAddr::from((lab.plan.control_plane().address, REGISTRY_PORT));
    http::get_plain(
        address,
        &format!("/v2/{name}/manifests/{tag}"),
        "application/vnd.oci.image.manifest.v1+json",
    )
    .is_ok_and(|answer| answer.header("docker-content-digest") == Some(image.digest.as_str()))
}
