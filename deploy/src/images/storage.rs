//! The storage of Docker's registry, in which an image is put without asking the registry:
//! content under its digest, and small files that name digests. What is where says
//! `registry/storage/paths.go` of github.com/distribution/distribution.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::oci::Written;
use crate::failure::{Failure, OrFail, Result};
use crate::shell;

const ROOT: &str = "docker/registry/v2";

/// Makes a registry have an image; says whether it had to be put there. The tag comes last:
/// who is interrupted leaves no image that is half there.
///
/// # Errors
/// If the image is not one, or the storage can't be written.
pub fn ensure(registry: &Path, image: &Written) -> Result<bool> {
    let what = || format!("publish {}", image.name);
    let (name, tag) = image
        .name
        .rsplit_once(':')
        .ok_or_else(|| Failure::new(what(), "its name has no tag"))?;
    let root = registry.join(ROOT);
    let repository = root.join("repositories").join(name);
    let tag = repository.join("_manifests/tags").join(tag);
    let link = |digest: &str| digest.replace(':', "/");
    let current = tag.join("current/link");
    if fs::read_to_string(&current).is_ok_and(|digest| digest == image.digest) {
        return Ok(false);
    }
    let manifest = fs::read(blob(image, &image.digest)).or_fail(what)?;
    let manifest: Value = serde_json::from_slice(&manifest).or_fail(what)?;
    let layers = manifest["layers"].as_array().into_iter().flatten();
    let contents = layers.chain([&manifest["config"]]);
    for digest in contents.filter_map(|content| content["digest"].as_str()) {
        store(&root, image, digest)?;
        let file = repository.join("_layers").join(link(digest)).join("link");
        shell::write_file(&file, digest.as_bytes(), 0o644)?;
    }
    store(&root, image, &image.digest)?;
    let revision = repository.join("_manifests/revisions");
    for folder in [revision, tag.join("index")] {
        let file = folder.join(link(&image.digest)).join("link");
        shell::write_file(&file, image.digest.as_bytes(), 0o644)?;
    }
    shell::write_file(&current, image.digest.as_bytes(), 0o644)?;
    Ok(true)
}

/// Where an image's content of this digest is.
fn blob(image: &Written, digest: &str) -> PathBuf {
    image.folder.join("blobs").join(digest.replace(':', "/"))
}

/// Puts content into the storage, as a second name of the same file where that is possible.
fn store(root: &Path, image: &Written, digest: &str) -> Result<()> {
    let what = || format!("publish {}", image.name);
    let (algorithm, hex) = digest
        .split_once(':')
        .filter(|(_, hex)| hex.len() > 2 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .ok_or_else(|| Failure::new(what(), format!("{digest} is no digest")))?;
    let folder = root.join("blobs").join(algorithm);
    let folder = folder.join(&hex[..2]).join(hex);
    let (from, to) = (blob(image, digest), folder.join("data"));
    if to.exists() {
        return Ok(());
    }
    shell::make_directory(&folder)?;
    if fs::hard_link(&from, &to).is_ok() {
        return Ok(());
    }
    // Another file system. Whoever is interrupted leaves no content that is half there.
    let part = folder.join("part");
    fs::copy(&from, &part).or_fail(what)?;
    fs::rename(&part, &to).or_fail(what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::oci::{Entry, Image};

    #[test]
    fn the_storage_is_laid_out_as_the_registry_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let image = Image {
            name: "docker.io/library/x:1".to_owned(),
            entries: vec![Entry::file("x", b"x".to_vec(), 0o755)],
            ..Image::default()
        };
        let written = image.write(&folder.path().join("images")).unwrap();
        let registry = folder.path().join("registry");
        assert!(ensure(&registry, &written).unwrap());
        assert!(!ensure(&registry, &written).unwrap(), "it is there");
        let root = registry.join("docker/registry/v2");
        let repository = root.join("repositories/docker.io/library/x");
        let tag = repository.join("_manifests/tags/1/current/link");
        let digest = fs::read_to_string(tag).unwrap();
        assert_eq!(digest, written.digest);
        let hex = digest.strip_prefix("sha256:").unwrap();
        let manifest = root.join(format!("blobs/sha256/{}/{hex}/data", &hex[..2]));
        let manifest: Value = serde_json::from_slice(&fs::read(manifest).unwrap()).unwrap();
        let layer = manifest["layers"][0]["digest"].as_str().unwrap();
        let hex = layer.strip_prefix("sha256:").unwrap();
        let link = repository.join(format!("_layers/sha256/{hex}/link"));
        assert_eq!(fs::read_to_string(link).unwrap(), layer);
        assert!(
            root.join(format!("blobs/sha256/{}/{hex}/data", &hex[..2]))
                .exists()
        );
    }
}
