//! Add-ons: what runs in the cluster itself. Their manifests are applied as anybody could
//! with kubectl. A new one is a row of [`ADDONS`].

pub mod availability;
pub mod chosen;
pub mod objects;
pub mod ownership;
pub mod removal;

use std::path::Path;

use serde_json::Value;

use crate::api::{Api, text};
use crate::failure::{Failure, Result};
use crate::host::cluster::Cluster;
use crate::images::oci::{Image, Written};
use crate::images::program;
use crate::lab::Lab;
use crate::lab::config::OWN_IMAGES;

pub use availability::wait;

/// Something that runs in the cluster.
#[derive(Debug)]
pub struct Addon {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it does, in a few words.
    pub description: &'static str,
    /// Its objects.
    manifest: &'static str,
    /// The program in its image.
    program: Program,
    /// Whether a cluster has it unless it is disabled.
    pub by_default: bool,
    /// What doesn't work without it, where that is much.
    pub needed_for: Option<&'static str>,
}

/// A program of ours as an image.
#[derive(Debug)]
struct Program {
    /// What the image is called.
    image: &'static str,
    /// Its binary, and the package of the workspace that has it.
    binary: &'static str,
    /// User and group it runs as.
    user: &'static str,
}

const NOBODY: &str = "65532:65532";

/// All add-ons, in the order they are applied.
pub const ADDONS: &[Addon] = &[
    Addon {
        name: "dns",
        description: "names of Services and pods",
        manifest: include_str!("../../addons/dns.yml"),
        program: Program {
            image: "dns",
            binary: "hardway-dns",
            user: NOBODY,
        },
        by_default: true,
        needed_for: Some("no pod finds a Service by its name without it"),
    },
    Addon {
        name: "metrics-server",
        description: "kubectl top, and what autoscalers read",
        manifest: include_str!("../../addons/metrics-server.yml"),
        program: Program {
            image: "metrics",
            binary: "hardway-metrics",
            user: NOBODY,
        },
        by_default: true,
        needed_for: None,
    },
    Addon {
        name: "local-path",
        description: "volumes for claims, as folders of the nodes",
        manifest: include_str!("../../addons/local-path.yml"),
        program: Program {
            image: "provisioner",
            binary: "hardway-provisioner",
            // What it removes belongs to whoever pods run as.
            user: "0:0",
        },
        by_default: true,
        needed_for: None,
    },
    Addon {
        name: "dashboard",
        description: "the cluster in a browser, for who has a token",
        manifest: include_str!("../../addons/dashboard.yml"),
        program: Program {
            image: "dashboard",
            binary: "hardway-dashboard",
            user: NOBODY,
        },
        by_default: false,
        needed_for: None,
    },
    Addon {
        name: "ingress",
        description: "Services behind host names and paths, on ports 80 and 443 of the nodes",
        manifest: include_str!("../../addons/ingress.yml"),
        program: Program {
            image: "ingress",
            binary: "hardway-ingress",
            user: NOBODY,
        },
        by_default: false,
        needed_for: None,
    },
];

impl Addon {
    /// What has pods.
    ///
    /// # Errors
    /// If the manifest is no YAML.
    pub fn workloads(&self) -> Result<Vec<Value>> {
        let mut objects = objects::parse(self)?;
        objects.retain(|object| ["Deployment", "DaemonSet"].contains(&text(&object["kind"])));
        Ok(objects)
    }

    /// The package of the workspace that has its program.
    pub fn package(&self) -> &'static str {
        self.program.binary
    }

    /// Its image, out of the components' binaries.
    ///
    /// # Errors
    /// If the program or a library of it is missing.
    pub fn image(&self, binaries: &Path) -> Result<Image> {
        let Program {
            image,
            binary,
            user,
        } = self.program;
        let at = format!("/usr/local/bin/{binary}");
        Ok(Image {
            name: format!("{OWN_IMAGES}/hardway/{image}:{}", env!("CARGO_PKG_VERSION")),
            entries: program::entries(&binaries.join(binary), &at)?,
            entrypoint: vec![at],
            user: user.to_owned(),
            ..Image::default()
        })
    }
}

/// The names of all.
pub fn names() -> impl Iterator<Item = &'static str> {
    ADDONS.iter().map(|addon| addon.name)
}

/// The add-on of a name.
///
/// # Errors
/// If there is none, with those that there are.
pub fn find(name: &str) -> Result<&'static Addon> {
    let mut addons = ADDONS.iter();
    addons.find(|addon| addon.name == name).ok_or_else(|| {
        let names: Vec<&str> = names().collect();
        Failure::new(format!("find add-on {name}"), "there is none of that name")
            .way_out(format!("add-ons are: {}", names.join(", ")))
    })
}

/// Those that a cluster has of which nothing else was said.
pub fn by_default() -> Vec<&'static Addon> {
    chosen::Chosen::default().addons()
}

/// Those of a lab, with what was enabled and disabled in it.
///
/// # Errors
/// If it can't be read.
pub fn of_lab(lab: &Lab) -> Result<Vec<&'static Addon>> {
    Ok(chosen::Chosen::read(&lab.folder)?.addons())
}

/// The images of all add-ons, out of the components' binaries.
///
/// # Errors
/// If a program or a library is missing.
pub fn images(binaries: &Path) -> Result<Vec<Image>> {
    ADDONS.iter().map(|addon| addon.image(binaries)).collect()
}

/// Brings the objects of these add-ons to what their manifests say; tells what changed.
///
/// # Errors
/// In the apiserver's words.
pub fn apply(
    api: &mut Api,
    cluster: &Cluster,
    images: &[Written],
    addons: &[&'static Addon],
) -> Result<String> {
    let mut all = Vec::new();
    for addon in addons {
        all.extend(objects::of(addon, cluster, images)?);
    }
    apply_all(api, &all)
}

/// Brings objects to what they say; tells what changed.
///
/// # Errors
/// In the apiserver's words.
pub fn apply_all(api: &mut Api, objects: &[Value]) -> Result<String> {
    let (mut created, mut changed) = (0, 0);
    for object in objects {
        let path = api.path(object)?;
        let before = api.get(&path)?;
        let after = api.apply(&path, object)?;
        match before {
            None => created += 1,
            Some(before) if version(&before) != version(&after) => changed += 1,
            Some(_) => {}
        }
    }
    let counts = [(created, "created"), (changed, "changed")];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let words: Vec<String> = counts
        .map(|(count, how)| format!("{count} {how}"))
        .collect();
    Ok(match words.is_empty() {
        true => "as they should be".to_owned(),
        false => words.join(", "),
    })
}

fn version(object: &Value) -> &str {
    text(&object["metadata"]["resourceVersion"])
}

/// How these add-ons are, in a line for each.
///
/// # Errors
/// If the apiserver can't be asked.
pub fn status(api: &mut Api, addons: &[&'static Addon]) -> Result<Vec<String>> {
    addons
        .iter()
        .map(|addon| {
            let how = match availability::state(api, addon)? {
                availability::State::Absent => "not there".to_owned(),
                availability::State::Present(None) => "available".to_owned(),
                availability::State::Present(Some(lacking)) => lacking,
            };
            Ok(format!("{}: {how}", addon.name))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_manifest_runs_the_program_of_its_row() {
        for addon in ADDONS {
            let workloads = addon.workloads().unwrap();
            assert!(!workloads.is_empty(), "{}", addon.name);
            let image = format!(
                "{OWN_IMAGES}/hardway/{}:{}",
                addon.program.image,
                env!("CARGO_PKG_VERSION")
            );
            for workload in workloads {
                let container = &workload["spec"]["template"]["spec"]["containers"][0];
                assert_eq!(container["image"], image, "{}", addon.name);
            }
        }
    }

    #[test]
    fn names_are_found_and_others_told() {
        for name in names() {
            assert_eq!(find(name).unwrap().name, name);
        }
        let failure = find("dn").unwrap_err();
        assert!(failure.way_out.unwrap().starts_with("add-ons are: dns, "));
    }
}
