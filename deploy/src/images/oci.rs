//! Images in the OCI layout: a folder of blobs named by their digests. The same
//! content always gives the same digests.

use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest as hash};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::failure::{OrFail, Result};
use crate::shell;

/// Media type of an image's manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of how it is run.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Media type of its files, not compressed.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// One thing in an image's file system.
#[derive(Debug, Clone)]
pub struct Entry {
    path: String,
    kind: Kind,
    mode: u32,
}

#[derive(Debug, Clone)]
enum Kind {
    File(Vec<u8>),
    Folder,
    Link(String),
}

impl Entry {
    /// A file.
    pub fn file(path: &str, content: Vec<u8>, mode: u32) -> Self {
        Self {
            path: path.to_owned(),
            kind: Kind::File(content),
            mode,
        }
    }

    /// The same with these permissions.
    pub fn with_mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    /// A folder.
    pub fn folder(path: &str, mode: u32) -> Self {
        Self {
            path: format!("{path}/"),
            kind: Kind::Folder,
            mode,
        }
    }

    /// Where it is, from the root; that of a folder ends in a slash.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// A symbolic link.
    pub fn link(path: &str, target: &str) -> Self {
        Self {
            path: path.to_owned(),
            kind: Kind::Link(target.to_owned()),
            mode: 0o777,
        }
    }
}

/// An image: its full name with tag, its files, and how it is run.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// Full name with host and tag.
    pub name: String,
    /// Its files.
    pub entries: Vec<Entry>,
    /// What is run.
    pub entrypoint: Vec<String>,
    /// Its default arguments.
    pub command: Vec<String>,
    /// Environment as NAME=VALUE.
    pub environment: Vec<String>,
    /// The port it serves.
    pub port: Option<u16>,
    /// User and group it runs as.
    pub user: String,
    /// The folder in which it is run, / unless it is given.
    pub working_directory: Option<String>,
}

/// An image written to disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Written {
    /// Full name with host and tag.
    pub name: String,
    /// Its OCI layout.
    pub folder: PathBuf,
    /// Digest of its manifest.
    pub digest: String,
}

impl Image {
    /// Writes the image's OCI layout into a folder of its own below `folder`.
    pub fn write(&self, folder: &Path) -> Result<Written> {
        let folder = self.folder(folder);
        let layer = self.layer()?;
        let diff_id = digest(&layer);
        let layer = store(&folder, LAYER, &layer)?;
        self.write_around(folder, &layer, &diff_id)
    }

    /// The same where the layer is there: with what refers to it, and the digest of its tar.
    pub(super) fn write_around(
        &self,
        folder: PathBuf,
        layer: &Value,
        diff_id: &str,
    ) -> Result<Written> {
        let config = store(&folder, CONFIG, &text(&self.config(diff_id)))?;
        let manifest =
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
        Ok(Written {
            name: self.name.clone(),
            digest: write_layout(&folder, &text(&manifest))?,
            folder,
        })
    }

    /// Where its layout is below `folder`.
    pub fn folder(&self, folder: &Path) -> PathBuf {
        folder.join(self.name.replace(['/', ':'], "_"))
    }

    fn layer(&self) -> Result<Vec<u8>> {
        let what = || format!("build image {}", self.name);
        let mut archive = tar::Builder::new(Vec::new());
        for entry in &self.entries {
            let mut header = tar::Header::new_gnu();
            header.set_mode(entry.mode);
            header.set_uid(0);
            header.set_gid(0);
            // The same content must give the same digest tomorrow.
            header.set_mtime(0);
            header.set_size(0);
            match &entry.kind {
                Kind::File(content) => {
                    header.set_size(content.len() as u64);
                    archive.append_data(&mut header, &entry.path, content.as_slice())
                }
                Kind::Folder => {
                    header.set_entry_type(tar::EntryType::Directory);
                    archive.append_data(&mut header, &entry.path, std::io::empty())
                }
                Kind::Link(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    archive.append_link(&mut header, &entry.path, target)
                }
            }
            .or_fail(what)?;
        }
        archive.into_inner().or_fail(what)
    }

    fn config(&self, diff_id: &str) -> Value {
        let mut environment =
            vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()];
        environment.extend(self.environment.iter().cloned());
        let mut config = json!({
            "Env": environment,
            "WorkingDir": self.working_directory.as_deref().unwrap_or("/"),
        });
        if !self.entrypoint.is_empty() {
            config["Entrypoint"] = json!(self.entrypoint);
        }
        if !self.command.is_empty() {
            config["Cmd"] = json!(self.command);
        }
        if let Some(port) = self.port {
            config["ExposedPorts"] = json!({format!("{port}/tcp"): {}});
        }
        if !self.user.is_empty() {
            config["User"] = json!(self.user);
        }
        json!({
            "architecture": architecture(),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        })
    }
}

/// Makes an image's folder, which has the blobs that the manifest names, an OCI layout; gives
/// the digest of the manifest.
pub(super) fn write_layout(folder: &Path, manifest: &[u8]) -> Result<String> {
    let document: Value = serde_json::from_slice(manifest).or_fail(|| "read a manifest")?;
    let media_type = document["mediaType"].as_str().unwrap_or(MANIFEST);
    let mut descriptor = store(folder, media_type, manifest)?;
    descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": "image"});
    let index = json!({"schemaVersion": 2, "manifests": [descriptor]});
    shell::write_file(&folder.join("index.json"), &text(&index), 0o644)?;
    shell::write_file(
        &folder.join("oci-layout"),
        br#"{"imageLayoutVersion":"1.0.0"}"#,
        0o644,
    )?;
    Ok(digest(manifest))
}

/// This machine's architecture in the words of image configurations.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn text(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// Stores a blob and returns what refers to it.
fn store(folder: &Path, media_type: &str, content: &[u8]) -> Result<Value> {
    let digest = digest(content);
    let file = folder.join("blobs").join(digest.replace(':', "/"));
    shell::write_file(&file, content, 0o644)?;
    Ok(json!({"mediaType": media_type, "digest": digest, "size": content.len()}))
}

fn digest(content: &[u8]) -> String {
    let hex: String = hash(&SHA256, content)
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_content_gives_the_same_image() {
        let folder = tempfile::tempdir().unwrap();
        let image = Image {
            name: "docker.io/library/x:1".to_owned(),
            entries: vec![
                Entry::folder("etc", 0o755),
                Entry::file("etc/motd", b"hello".to_vec(), 0o644),
                Entry::link("motd", "etc/motd"),
            ],
            entrypoint: vec!["/x".to_owned()],
            port: Some(80),
            ..Image::default()
        };
        let one = image.write(&folder.path().join("1")).unwrap();
        let two = image.write(&folder.path().join("2")).unwrap();
        assert_eq!(one.digest, two.digest);

        // Follow index, manifest, configuration and layer as a registry's client does.
        let load = |digest: &Value| {
            let digest = digest.as_str().unwrap();
            let content =
                std::fs::read(one.folder.join("blobs").join(digest.replace(':', "/"))).unwrap();
            assert_eq!(super::digest(&content), digest);
            content
        };
        let parse = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
        let index = parse(&std::fs::read(one.folder.join("index.json")).unwrap());
        let manifest = parse(&load(&index["manifests"][0]["digest"]));
        let config = parse(&load(&manifest["config"]["digest"]));
        assert_eq!(config["config"]["ExposedPorts"], json!({"80/tcp": {}}));
        let layer = load(&manifest["layers"][0]["digest"]);
        assert_eq!(
            config["rootfs"]["diff_ids"][0],
            manifest["layers"][0]["digest"]
        );
        let mut archive = tar::Archive::new(layer.as_slice());
        let paths: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(paths, ["etc/", "etc/motd", "motd"]);
    }
}
