//! `hardway image`: builds the image of an example and puts it into the lab's registry. `up`
//! does so for those that cost nothing to build.

use anstream::println;

use crate::compile::{self, Profile};
use crate::failure::Result;
use crate::images::oci::Image;
use crate::images::{program, publish};
use crate::lab::Lab;
use crate::lab::config::OWN_IMAGES;
use crate::progress::Progress;

/// An example whose image is built when it is asked for.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Example {
    /// deploy/examples/operator
    WebsiteOperator,
}

impl Example {
    fn package(self) -> &'static str {
        match self {
            Example::WebsiteOperator => "hardway-operator",
        }
    }

    fn image(self) -> String {
        match self {
            Example::WebsiteOperator => format!("{OWN_IMAGES}/website-operator:1"),
        }
    }
}

/// Builds and publishes it.
pub fn run(lab: &Lab, example: Example) -> Result<()> {
    let progress = Progress::new();
    progress.step("program built", || {
        match lab.binaries.ends_with("release") {
            true => compile::components(Profile::Release, &[example.package()], None),
            false => compile::components_as_for_tests(),
        }
    })?;
    let at = format!("/usr/local/bin/{}", example.package());
    let image = Image {
        name: example.image(),
        entries: program::entries(&lab.binaries.join(example.package()), &at)?,
        entrypoint: vec![at],
        user: "65532:65532".to_owned(),
        ..Image::default()
    };
    let written = image.write(&lab.folder.join("images"))?;
    let done = publish::publish(lab, &[written])?;
    println!("{}: {done}", image.name);
    Ok(())
}
