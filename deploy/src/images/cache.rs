//! Images that were built and whose sources have not changed since are not built again.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::oci::{Image, Written};
use crate::failure::{OrFail, Result};
use crate::shell;

/// What was built, and of what.
#[derive(Serialize, Deserialize)]
struct Built {
    sources: String,
    images: Vec<Written>,
}

/// The images of a set, in a folder; tells how many had to be built. `make` is called where
/// one of the sources is another than at the last time.
pub fn ensure(
    folder: &Path,
    set: &str,
    sources: &[PathBuf],
    make: impl FnOnce() -> Result<Vec<Image>>,
) -> Result<(Vec<Written>, usize)> {
    let note = folder.join(format!("{set}.json"));
    let sources = fingerprint(sources);
    let before = fs::read(&note).ok();
    let before: Option<Built> = before.and_then(|text| serde_json::from_slice(&text).ok());
    if let Some(built) = before.filter(|built| built.sources == sources)
        && built.images.iter().all(is_there)
    {
        return Ok((built.images, 0));
    }
    let mut images = Vec::new();
    for image in make()? {
        // What an old image consisted of is needed no more.
        let old = image.folder(folder);
        if old.exists() {
            fs::remove_dir_all(&old).or_fail(|| format!("remove {}", old.display()))?;
        }
        images.push(image.write(folder)?);
    }
    let count = images.len();
    let built = Built { sources, images };
    let text = serde_json::to_vec_pretty(&built).or_fail(|| "describe the images")?;
    shell::write_file(&note, &text, 0o644)?;
    Ok((built.images, count))
}

fn is_there(image: &Written) -> bool {
    image.folder.join("index.json").is_file()
}

/// Changes whenever a file does: its size or the time it was written.
fn fingerprint(files: &[PathBuf]) -> String {
    let mut digest = Sha256::new();
    for file in files {
        digest.update(file.as_os_str().as_encoded_bytes());
        digest.update([0]);
        if let Ok(is) = fs::metadata(file) {
            for number in [is.len().cast_signed(), is.mtime(), is.mtime_nsec()] {
                digest.update(number.to_le_bytes());
            }
        }
    }
    let bytes = digest.finalize();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::oci::Entry;

    #[test]
    fn images_are_built_again_when_a_source_changes() {
        let folder = tempfile::tempdir().unwrap();
        let (images, source) = (folder.path().join("images"), folder.path().join("program"));
        fs::write(&source, "one").unwrap();
        let build = || {
            let make = || {
                Ok(vec![Image {
                    name: "docker.io/library/x:1".to_owned(),
                    entries: vec![Entry::file("x", fs::read(&source).unwrap(), 0o755)],
                    ..Image::default()
                }])
            };
            ensure(&images, "set", std::slice::from_ref(&source), make).unwrap()
        };
        let (first, built) = build();
        assert_eq!(built, 1);
        let (again, built) = build();
        assert_eq!(
            (again[0].digest.as_str(), built),
            (first[0].digest.as_str(), 0)
        );
        fs::write(&source, "three").unwrap();
        let (other, built) = build();
        assert_eq!(built, 1);
        assert_ne!(other[0].digest, first[0].digest);
        // What was removed by hand is built again.
        fs::remove_dir_all(&other[0].folder).unwrap();
        assert_eq!(build().1, 1);
    }
}
