//! Archives of images: the OCI layout and what `docker save` writes, checked to the last
//! blob and brought to one form.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use super::oci::{self, Written};
use super::reference;
use super::unpacked::{Files, Unpacked};
use crate::failure::{Failure, OrFail, Result};

/// Reads the images of an archive or a layout's folder, all of them with all their names.
/// Files are written below `work`; what is returned leads there. An image without a name gets
/// `name`, which is for archives of one image.
///
/// # Errors
/// If the archive is broken, an image is for other machines than this one, or has no name.
pub fn read(source: &Path, work: &Path, name: Option<&str>) -> Result<Vec<Written>> {
    let files = Files::read(source, &work.join("files"))?;
    let images = images(&files).map_err(|failure| Failure {
        what: format!("{}: {}", source.display(), failure.what),
        ..failure
    })?;
    if let (Some(_), true) = (name, images.len() > 1) {
        return Err(Failure::new(
            format!("name the image in {}", source.display()),
            format!("there are {} images in it", images.len()),
        )
        .way_out("leave --name out: they keep the names they have"));
    }
    let mut written = Vec::new();
    for (number, image) in images.iter().enumerate() {
        let names = match name {
            Some(name) => vec![reference::full(name)?],
            None => image.names()?,
        };
        if names.is_empty() {
            return Err(Failure::new(
                format!("load {}", source.display()),
                "there is an image without a name in it",
            )
            .way_out("save it by its name, or give it one with --name NAME:TAG"));
        }
        let folder = work.join(number.to_string());
        let digest = image.write(&folder)?;
        written.extend(names.into_iter().map(|name| Written {
            name,
            folder: folder.clone(),
            digest: digest.clone(),
        }));
    }
    Ok(written)
}

/// An image of an archive.
#[derive(Debug)]
struct Found {
    /// Its names, as the archive has them.
    names: Vec<String>,
    /// Its manifest, which names these blobs.
    manifest: Vec<u8>,
    blobs: Vec<Unpacked>,
}

impl Found {
    fn names(&self) -> Result<Vec<String>> {
        let mut names: Vec<String> = self
            .names
            .iter()
            .map(|name| reference::full(name))
            .collect::<Result<_>>()?;
        names.dedup();
        Ok(names)
    }

    /// Writes its OCI layout into a folder; tells the digest of its manifest.
    fn write(&self, folder: &Path) -> Result<String> {
        for blob in &self.blobs {
            let to = folder.join("blobs").join(blob.digest.replace(':', "/"));
            crate::shell::make_directory(to.parent().unwrap_or(folder))?;
            // A copy of no cost, where the file system is the same.
            if std::fs::hard_link(&blob.path, &to).is_err() && !to.exists() {
                std::fs::copy(&blob.path, &to).or_fail(|| format!("copy {}", blob.digest))?;
            }
        }
        oci::write_layout(folder, &self.manifest)
    }
}

fn images(files: &Files) -> Result<Vec<Found>> {
    // What newer versions of Docker write is both; the layout says more.
    if files.get("oci-layout").is_some() {
        let index: Index = files.need("index.json")?.document("index.json")?;
        let legacy = docker_manifest(files)?;
        let mut found = Vec::new();
        for descriptor in &index.manifests {
            found.extend(of_layout(files, descriptor, &legacy)?);
        }
        return match found.is_empty() {
            true => Err(Failure::new("find images", "the index names none")),
            false => Ok(found),
        };
    }
    let manifest = docker_manifest(files)?;
    if manifest.is_empty() {
        return Err(Failure::new(
            "find images",
            "there is neither an oci-layout nor a manifest.json with images",
        )
        .way_out("a root file system becomes an image with `hardway image build-from-tar`"));
    }
    manifest
        .iter()
        .map(|image| of_docker(files, image))
        .collect()
}

/// An image as `docker save` lists it in manifest.json.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Vec<String>,
}

fn docker_manifest(files: &Files) -> Result<Vec<Saved>> {
    match files.get("manifest.json") {
        Some(file) => file.document("manifest.json"),
        None => Ok(Vec::new()),
    }
}

/// The index of a layout, and the descriptors in it.
#[derive(Debug, Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: Option<u64>,
    #[serde(default)]
    annotations: Annotations,
    platform: Option<Platform>,
}

#[derive(Debug, Default, Deserialize)]
struct Annotations {
    #[serde(rename = "io.containerd.image.name")]
    name: Option<String>,
    #[serde(rename = "org.opencontainers.image.ref.name")]
    reference: Option<String>,
}

/// For which machines an image is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Platform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
}

impl Platform {
    fn is_ours(&self) -> bool {
        self.os == "linux" && self.architecture == oci::architecture()
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)
    }
}

fn wrong_platform(have: &[String]) -> Failure {
    Failure::new(
        "find the image for these nodes",
        format!(
            "it is for {}, the nodes are linux/{}",
            have.join(", "),
            oci::architecture()
        ),
    )
    .way_out(format!(
        "get it for them, for example:  docker pull --platform linux/{} NAME",
        oci::architecture()
    ))
}

/// The image of a descriptor; of an index with images for several platforms, the one for ours.
fn of_layout(files: &Files, descriptor: &Descriptor, legacy: &[Saved]) -> Result<Option<Found>> {
    let file = files.blob(&descriptor.digest, descriptor.size)?;
    let document: Value = file.document(&descriptor.digest)?;
    let is_index = document["manifests"].is_array() || descriptor.media_type.contains("index");
    let (file, manifest) = if is_index {
        let index: Index = file.document(&descriptor.digest)?;
        let platforms: Vec<String> = index
            .manifests
            .iter()
            .filter_map(|entry| entry.platform.as_ref())
            // Attestations are for no machine.
            .filter(|platform| platform.os != "unknown")
            .map(Platform::to_string)
            .collect();
        let ours = index.manifests.iter().find(|entry| {
            // One that doesn't say is looked at more closely below.
            entry.platform.as_ref().is_none_or(Platform::is_ours)
        });
        let ours = ours.ok_or_else(|| wrong_platform(&platforms))?;
        let file = files.blob(&ours.digest, ours.size)?;
        (file, file.document(&ours.digest)?)
    } else {
        (file, document)
    };
    let config = &manifest["config"];
    let kind = config["mediaType"].as_str().unwrap_or_default();
    // Signatures and the like are kept in layouts, too.
    if !kind.is_empty() && !kind.contains("image.config") && !kind.contains("container.image") {
        return Ok(None);
    }
    let mut blobs = Vec::new();
    for named in std::iter::once(config).chain(manifest["layers"].as_array().into_iter().flatten())
    {
        let digest = named["digest"].as_str().unwrap_or_default();
        if !reference::is_digest(digest) {
            let why = format!("{digest:?} is no digest");
            return Err(Failure::new(format!("read {}", descriptor.digest), why));
        }
        blobs.push(files.blob(digest, named["size"].as_u64())?.clone());
    }
    check(&blobs)?;
    let manifest = std::fs::read(&file.path).or_fail(|| "read the manifest")?;
    Ok(Some(Found {
        names: layout_names(descriptor, &blobs[0].digest, legacy),
        manifest,
        blobs,
    }))
}

/// The names of an image of a layout: what containerd and Docker annotate, else a name that is
/// more than a tag, else what manifest.json says of the same image.
fn layout_names(descriptor: &Descriptor, config: &str, legacy: &[Saved]) -> Vec<String> {
    let Annotations { name, reference } = &descriptor.annotations;
    let named = name.clone().or_else(|| {
        let reference = reference.clone();
        reference.filter(|text| text.contains([':', '/']))
    });
    if let Some(name) = named {
        return vec![name];
    }
    let hex = config.trim_start_matches("sha256:");
    let same = legacy.iter().find(|image| image.config.contains(hex));
    same.and_then(|image| image.repo_tags.clone())
        .unwrap_or_default()
}

/// An image of `docker save`, with a manifest made for it.
fn of_docker(files: &Files, image: &Saved) -> Result<Found> {
    let config = files.need(&image.config)?;
    let mut blobs = vec![config.clone()];
    let mut layers = Vec::new();
    for layer in &image.layers {
        let file = files.need(layer)?;
        let compressed = match file.diff_id()? {
            Some((_, true)) => "+gzip",
            Some((_, false)) => "",
            None => "+zstd",
        };
        layers.push(json!({
            "mediaType": format!("{}{compressed}", oci::LAYER),
            "digest": file.digest, "size": file.size,
        }));
        blobs.push(file.clone());
    }
    check(&blobs)?;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": oci::MANIFEST,
        "config": {"mediaType": oci::CONFIG, "digest": config.digest, "size": config.size},
        "layers": layers,
    });
    Ok(Found {
        names: image.repo_tags.clone().unwrap_or_default(),
        manifest: manifest.to_string().into_bytes(),
        blobs,
    })
}

/// Checks a configuration, the first of the blobs, and the layers behind it: that they are for
/// these nodes, and are the layers that the configuration names.
fn check(blobs: &[Unpacked]) -> Result<()> {
    let Some((config, layers)) = blobs.split_first() else {
        return Ok(());
    };
    #[derive(Deserialize)]
    struct Config {
        #[serde(flatten)]
        platform: Platform,
        #[serde(default)]
        rootfs: RootFs,
    }
    #[derive(Default, Deserialize)]
    struct RootFs {
        #[serde(default)]
        diff_ids: Vec<String>,
    }
    let config: Config = config.document("the image's configuration")?;
    if !config.platform.is_ours() {
        return Err(wrong_platform(&[config.platform.to_string()]));
    }
    let diff_ids = config.rootfs.diff_ids;
    if diff_ids.len() != layers.len() {
        return Err(Failure::new(
            "check the layers",
            format!(
                "there are {}, the configuration names {}",
                layers.len(),
                diff_ids.len()
            ),
        ));
    }
    for (layer, expected) in layers.iter().zip(&diff_ids) {
        match layer.diff_id()? {
            Some((diff_id, _)) if diff_id != *expected => {
                return Err(Failure::new(
                    format!("check the layer {}", layer.digest),
                    format!("its content is not what the configuration names: {expected}"),
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A folder for what is unpacked; it goes with this value.
#[derive(Debug)]
pub struct Workplace(PathBuf);

impl Workplace {
    /// A new one below a folder.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn new(folder: &Path) -> Result<Self> {
        let path = folder.join(format!("loading-{}", std::process::id()));
        crate::shell::make_directory(&path)?;
        Ok(Self(path))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests;
