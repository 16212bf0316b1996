//! The files of an archive of images, unpacked into a folder: every one with its digest, so
//! that what is broken is found before anything is done with it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Component, Path, PathBuf};

use flate2::read::GzDecoder;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::failure::{Failure, OrFail, Result};

/// Longest JSON document that is read.
const DOCUMENT: u64 = 16 << 20;
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A file of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// Where it is now.
    pub path: PathBuf,
    /// `sha256:…` of its content.
    pub digest: String,
    /// Bytes.
    pub size: u64,
}

/// The files of an archive, by the path they have in it.
#[derive(Debug, Clone, Default)]
pub struct Files {
    files: BTreeMap<String, Unpacked>,
}

impl Files {
    /// Reads an archive (tar, also compressed with gzip), or a folder that is like one.
    /// Files of an archive are written below `work`.
    ///
    /// # Errors
    /// If it is none, or is broken.
    pub fn read(source: &Path, work: &Path) -> Result<Self> {
        let what = || format!("read {}", source.display());
        if source.is_dir() {
            let mut files = Self::default();
            files.walk(source, source).or_fail(what)?;
            return Ok(files);
        }
        let file = File::open(source).or_fail(what)?;
        Self::unpack(file, work).map_err(|error| {
            Failure::new(what(), broken(&error))
                .way_out("archives are made with `docker save`, `podman save` or `skopeo copy … oci-archive:FILE`")
        })
    }

    fn walk(&mut self, root: &Path, folder: &Path) -> io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                self.walk(root, &path)?;
            } else if let Some(name) = path.strip_prefix(root).ok().and_then(plain) {
                let (digest, size) = copy(File::open(&path)?, io::sink())?;
                self.files.insert(name, Unpacked { path, digest, size });
            }
        }
        Ok(())
    }

    fn unpack(file: File, work: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(work)?;
        let mut reader = BufReader::new(file);
        let reader: Box<dyn Read> = match begins(&mut reader)? {
            Begins::Gzip => Box::new(GzDecoder::new(reader)),
            Begins::Zstd => {
                return Err(io::Error::other(
                    "it is compressed with zstd: unzstd it first",
                ));
            }
            Begins::Other => Box::new(reader),
        };
        let mut archive = tar::Archive::new(reader);
        let (mut files, mut links) = (Self::default(), Vec::new());
        for (number, entry) in archive.entries()?.enumerate() {
            let mut entry = entry?;
            let Some(name) = plain(&entry.path()?) else {
                continue;
            };
            let kind = entry.header().entry_type();
            if kind.is_file() {
                // Under a name of ours: the archive says nothing of where files go.
                let path = work.join(number.to_string());
                let (digest, size) = copy(&mut entry, File::create(&path)?)?;
                if size != entry.size() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                files.files.insert(name, Unpacked { path, digest, size });
            } else if let (true, Some(target)) =
                (kind.is_symlink() || kind.is_hard_link(), entry.link_name()?)
            {
                // Older versions of Docker have a layer once, and links to it.
                let from = match kind.is_symlink() {
                    true => Path::new(&name).parent().unwrap_or(Path::new("")),
                    false => Path::new(""),
                };
                links.push((name.clone(), plain(&from.join(target))));
            }
        }
        for (name, target) in links {
            let target = target.and_then(|target| files.files.get(&target).cloned());
            if let Some(target) = target {
                files.files.insert(name, target);
            }
        }
        if files.files.is_empty() {
            return Err(io::Error::other("it has no files"));
        }
        Ok(files)
    }

    /// The file of a path.
    pub fn get(&self, name: &str) -> Option<&Unpacked> {
        self.files.get(name)
    }

    /// The file of a path that must be there.
    ///
    /// # Errors
    /// If it isn't.
    pub fn need(&self, name: &str) -> Result<&Unpacked> {
        self.get(name)
            .ok_or_else(|| Failure::new(format!("find {name} in the archive"), "it is missing"))
    }

    /// A blob of the OCI layout, whose content is what its name says.
    ///
    /// # Errors
    /// If it is missing, or has another content or size.
    pub fn blob(&self, digest: &str, size: Option<u64>) -> Result<&Unpacked> {
        let file = self.need(&format!("blobs/{}", digest.replacen(':', "/", 1)))?;
        let what = || format!("check the blob {digest}");
        if file.digest != digest {
            return Err(Failure::new(
                what(),
                format!("its content is another one: {}", file.digest),
            ));
        }
        match size {
            Some(size) if size != file.size => Err(Failure::new(
                what(),
                format!("it has {} bytes, its manifest says {size}", file.size),
            )),
            _ => Ok(file),
        }
    }
}

impl Unpacked {
    /// The document in it.
    ///
    /// # Errors
    /// If it is none.
    pub fn document<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let what = || format!("read {name}");
        if self.size > DOCUMENT {
            let why = format!("{} bytes are too many for a document", self.size);
            return Err(Failure::new(what(), why));
        }
        let text = std::fs::read(&self.path).or_fail(what)?;
        serde_json::from_slice(&text).or_fail(what)
    }

    /// The digest of the tar that a layer is, and whether it is compressed with gzip; `None`
    /// for one that is compressed in another way.
    ///
    /// # Errors
    /// If it is broken.
    pub fn diff_id(&self) -> Result<Option<(String, bool)>> {
        let what = || format!("read the layer {}", self.digest);
        let mut reader = BufReader::new(File::open(&self.path).or_fail(what)?);
        match begins(&mut reader).or_fail(what)? {
            Begins::Gzip => {
                let done = copy(GzDecoder::new(reader), io::sink());
                let (digest, _) = done.map_err(|error| Failure::new(what(), broken(&error)))?;
                Ok(Some((digest, true)))
            }
            Begins::Zstd => Ok(None),
            Begins::Other => Ok(Some((self.digest.clone(), false))),
        }
    }
}

/// How a file begins.
enum Begins {
    Gzip,
    Zstd,
    Other,
}

fn begins(reader: &mut BufReader<File>) -> io::Result<Begins> {
    let start = io::BufRead::fill_buf(reader)?;
    Ok(match () {
        () if start.starts_with(&GZIP) => Begins::Gzip,
        () if start.starts_with(&ZSTD) => Begins::Zstd,
        () => Begins::Other,
    })
}

/// What a broken archive is called.
fn broken(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "it ends early".to_owned(),
        _ => format!("it is no archive of images: {error}"),
    }
}

/// A path of an archive as plain names with slashes between them; none that leads out of it.
fn plain(path: &Path) -> Option<String> {
    let mut names: Vec<&str> = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.to_str()?),
            Component::ParentDir => {
                names.pop()?;
            }
            Component::CurDir | Component::RootDir => {}
            Component::Prefix(_) => return None,
        }
    }
    (!names.is_empty()).then(|| names.join("/"))
}

/// Copies everything; tells the digest and the size of what was copied.
pub fn copy(mut from: impl Read, mut to: impl Write) -> io::Result<(String, u64)> {
    let (mut digest, mut size) = (Sha256::new(), 0);
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer)? {
            0 => break,
            count => {
                digest.update(&buffer[..count]);
                to.write_all(&buffer[..count])?;
                size += count as u64;
            }
        }
    }
    to.flush()?;
    let digest = digest.finalize();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((format!("sha256:{hex}"), size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_the_archive() {
        let plain = |path: &str| super::plain(Path::new(path));
        assert_eq!(plain("./blobs/sha256/a").unwrap(), "blobs/sha256/a");
        assert_eq!(plain("/index.json").unwrap(), "index.json");
        assert_eq!(plain("a/../b/layer.tar").unwrap(), "b/layer.tar");
        assert_eq!(plain("../etc/passwd"), None);
        assert_eq!(plain("./"), None);
    }

    #[test]
    fn what_is_no_archive_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.tar");
        let read = |content: &[u8]| {
            std::fs::write(&file, content).unwrap();
            Files::read(&file, &folder.path().join("work")).unwrap_err()
        };
        assert!(read(b"").why.contains("it has no files"));
        assert!(read(&[b'x'; 2000]).why.starts_with("it is no archive"));
        assert!(read(&[0x1f, 0x8b, 8, 0]).why.contains("early"));
        let zstd = read(&[0x28, 0xb5, 0x2f, 0xfd, 0]);
        assert!(zstd.why.contains("unzstd it first"), "{zstd}");
        let missing = Files::read(&folder.path().join("none"), folder.path());
        assert!(missing.unwrap_err().why.contains("No such file"));
    }
}
