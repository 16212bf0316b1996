//! An image out of a root file system in a tar.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::json;

use super::oci::{self, Image, Written};
use super::unpacked::{self, Unpacked};
use crate::failure::{Failure, OrFail, Result};
use crate::shell;

/// Writes the image: its one layer is the tar, which may be compressed with gzip. Of `image`
/// the files are not looked at.
///
/// # Errors
/// If the tar can't be read to its end, or is none.
pub fn write(image: &Image, tar: &Path, work: &Path) -> Result<Written> {
    let what = || format!("read {}", tar.display());
    let folder = work.join("image");
    let blobs = folder.join("blobs/sha256");
    shell::make_directory(&blobs)?;
    let part = blobs.join("part");
    let (digest, size) = unpacked::copy(
        File::open(tar).or_fail(what)?,
        File::create(&part).or_fail(what)?,
    )
    .or_fail(what)?;
    let path = blobs.join(digest.trim_start_matches("sha256:"));
    std::fs::rename(&part, &path).or_fail(what)?;
    let layer = Unpacked { path, digest, size };
    let (diff_id, compressed) = layer.diff_id()?.ok_or_else(|| {
        Failure::new(what(), "it is compressed with zstd").way_out("unzstd it first")
    })?;
    let files = count_files(&layer.path, compressed).map_err(|error| {
        Failure::new(what(), format!("it is no tar: {error}"))
            .way_out("make one of a root file system:  tar --create --directory ROOT --file FILE .")
    })?;
    if files == 0 {
        return Err(Failure::new(what(), "there is nothing in it"));
    }
    let suffix = if compressed { "+gzip" } else { "" };
    let descriptor = json!({
        "mediaType": format!("{}{suffix}", oci::LAYER),
        "digest": layer.digest, "size": layer.size,
    });
    image.write_around(folder, &descriptor, &diff_id)
}

fn count_files(path: &Path, compressed: bool) -> std::io::Result<usize> {
    let file = BufReader::new(File::open(path)?);
    let count = |reader: &mut dyn std::io::Read| {
        let mut archive = tar::Archive::new(reader);
        let mut count = 0;
        for entry in archive.entries()? {
            entry?;
            count += 1;
        }
        Ok(count)
    };
    match compressed {
        true => count(&mut GzDecoder::new(file)),
        false => count(&mut { file }),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use serde_json::Value;

    use super::*;

    fn tar() -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_size(2);
        archive
            .append_data(&mut header, "bin/x", b"hi".as_slice())
            .unwrap();
        archive.into_inner().unwrap()
    }

    fn image() -> Image {
        Image {
            name: "docker.io/library/x:1".to_owned(),
            entrypoint: vec!["/bin/x".to_owned()],
            environment: vec!["A=b".to_owned()],
            working_directory: Some("/srv".to_owned()),
            ..Image::default()
        }
    }

    #[test]
    fn the_tar_is_the_layer_whether_compressed_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&tar()).unwrap();
        let mut diff_ids = Vec::new();
        for (name, content) in [("a.tar", tar()), ("a.tar.gz", encoder.finish().unwrap())] {
            let file = folder.path().join(name);
            std::fs::write(&file, &content).unwrap();
            let work = folder.path().join(format!("{name}-work"));
            let written = write(&image(), &file, &work).unwrap();
            let blob = |digest: &Value| {
                let digest = digest.as_str().unwrap().replace(':', "/");
                std::fs::read(written.folder.join("blobs").join(digest)).unwrap()
            };
            let manifest: Value = serde_json::from_slice(&blob(&json!(written.digest))).unwrap();
            assert_eq!(blob(&manifest["layers"][0]["digest"]), content);
            let config: Value =
                serde_json::from_slice(&blob(&manifest["config"]["digest"])).unwrap();
            assert_eq!(config["config"]["Entrypoint"], json!(["/bin/x"]));
            assert_eq!(config["config"]["WorkingDir"], "/srv");
            diff_ids.push(config["rootfs"]["diff_ids"][0].clone());
        }
        assert_eq!(diff_ids[0], diff_ids[1]);
    }

    #[test]
    fn what_is_no_file_system_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x");
        for (content, why) in [
            (vec![b'x'; 2000], "it is no tar"),
            (Vec::new(), "there is nothing in it"),
            (tar()[..514].to_vec(), "it is no tar"),
            (vec![0x1f, 0x8b, 8], "it ends early"),
        ] {
            std::fs::write(&file, &content).unwrap();
            let failure = write(&image(), &file, &folder.path().join("work")).unwrap_err();
            assert!(failure.why.starts_with(why), "{failure} for {why}");
        }
    }
}
