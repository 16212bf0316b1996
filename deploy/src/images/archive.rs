//! Several images in one file, as `ctr images import` reads them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::oci::Written;
use crate::failure::{OrFail, Result};
use crate::shell;

/// Writes the images into one OCI archive, each under its full name.
///
/// # Errors
/// If an image can't be read, or the archive can't be written.
pub fn write(images: &[Written], path: &Path) -> Result<()> {
    let what = || format!("write {}", path.display());
    let mut manifests = Vec::new();
    // Images share blobs; each is there once.
    let mut blobs: BTreeMap<String, PathBuf> = BTreeMap::new();
    for image in images {
        let text = shell::read_text(&image.folder.join("index.json"))?;
        let index: Value = serde_json::from_str(&text)
            .or_fail(|| format!("read the index of image {}", image.name))?;
        for manifest in index["manifests"].as_array().into_iter().flatten() {
            let mut manifest = manifest.clone();
            let tag = image.name.rsplit(':').next().unwrap_or_default();
            manifest["annotations"] = json!({
                "io.containerd.image.name": image.name,
                "org.opencontainers.image.ref.name": tag,
            });
            manifests.push(manifest);
        }
        let folder = image.folder.join("blobs/sha256");
        for blob in image_blobs(&folder, image)? {
            blobs.insert(format!("blobs/sha256/{blob}"), folder.join(blob));
        }
    }
    let index = json!({"schemaVersion": 2, "manifests": manifests}).to_string();
    let folder = path.parent().unwrap_or(Path::new("/"));
    shell::make_directory(folder)?;
    let mut archive = tar::Builder::new(File::create(path).or_fail(what)?);
    for (name, content) in [
        ("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#),
        ("index.json", index.as_str()),
    ] {
        append(&mut archive, name, content.len() as u64, content.as_bytes()).or_fail(what)?;
    }
    for (name, from) in &blobs {
        let file = File::open(from).or_fail(|| format!("read {}", from.display()))?;
        let size = file.metadata().or_fail(what)?.len();
        append(&mut archive, name, size, file).or_fail(what)?;
    }
    archive.finish().or_fail(what)
}

/// The blobs of an image: those its manifest names, for the folder may have older ones.
fn image_blobs(folder: &Path, image: &Written) -> Result<Vec<String>> {
    let hex = |digest: &str| digest.trim_start_matches("sha256:").to_owned();
    let text = shell::read_text(&folder.join(hex(&image.digest)))?;
    let manifest: Value = serde_json::from_str(&text)
        .or_fail(|| format!("read the manifest of image {}", image.name))?;
    let layers = manifest["layers"].as_array().into_iter().flatten();
    let named = layers.chain([&manifest["config"]]);
    let named = named.filter_map(|it| it["digest"].as_str()).map(hex);
    Ok([hex(&image.digest)].into_iter().chain(named).collect())
}

fn append(
    archive: &mut tar::Builder<File>,
    name: &str,
    size: u64,
    content: impl std::io::Read,
) -> std::io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(size);
    header.set_mtime(0);
    archive.append_data(&mut header, name, content)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::super::oci::{Entry, Image};
    use super::*;

    #[test]
    fn images_are_found_by_their_full_names() {
        let folder = tempfile::tempdir().unwrap();
        let images: Vec<Written> = ["registry.k8s.io/pause:3.10", "hardway.example/dns:1"]
            .map(|name| Image {
                name: name.to_owned(),
                entries: vec![Entry::file("same", b"same".to_vec(), 0o755)],
                ..Image::default()
            })
            .iter()
            .map(|image| image.write(folder.path()).unwrap())
            .collect();
        let path = folder.path().join("images.tar");
        write(&images, &path).unwrap();
        let mut files = BTreeMap::new();
        let mut archive = tar::Archive::new(File::open(&path).unwrap());
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            assert!(files.insert(name, content).is_none(), "once");
        }
        let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
        for (at, image) in images.iter().enumerate() {
            let manifest = &index["manifests"][at];
            let name = &manifest["annotations"]["io.containerd.image.name"];
            assert_eq!(*name, image.name.as_str());
            let blob = |digest: &Value| {
                let path = digest.as_str().unwrap().replace(':', "/");
                files[&format!("blobs/{path}")].clone()
            };
            let manifest: Value = serde_json::from_slice(&blob(&manifest["digest"])).unwrap();
            blob(&manifest["config"]["digest"]);
            blob(&manifest["layers"][0]["digest"]);
        }
    }
}
