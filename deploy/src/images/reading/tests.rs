//! Archives made by hand: good ones of each form, and what can be wrong with them.

use std::io::Write;

use super::*;

/// An archive that is put together.
#[derive(Default)]
struct Archive(Vec<(String, Vec<u8>)>);

impl Archive {
    fn add(&mut self, name: &str, content: impl Into<Vec<u8>>) {
        self.0.push((name.to_owned(), content.into()));
    }

    fn json(&mut self, name: &str, value: &Value) {
        self.add(name, value.to_string());
    }

    /// Adds a blob; returns what refers to it.
    fn blob(&mut self, kind: &str, content: impl Into<Vec<u8>>) -> Value {
        let content = content.into();
        let (digest, size) = super::super::unpacked::copy(&content[..], std::io::sink()).unwrap();
        self.add(&format!("blobs/{}", digest.replace(':', "/")), content);
        json!({"mediaType": kind, "digest": digest, "size": size})
    }

    fn tar(&self) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, content) in &self.0 {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive
                .append_data(&mut header, name, content.as_slice())
                .unwrap();
        }
        archive.into_inner().unwrap()
    }
}

const LAYER: &[u8] = b"the files of an image";

fn layer_digest() -> String {
    let (digest, _) = super::super::unpacked::copy(LAYER, std::io::sink()).unwrap();
    digest
}

fn config(architecture: &str) -> Value {
    json!({
        "architecture": architecture, "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [layer_digest()]},
    })
}

/// What `docker save` wrote until version 24.
fn saved(tags: &Value) -> Archive {
    let mut archive = Archive::default();
    archive.json("c0ffee.json", &config(oci::architecture()));
    archive.add("1/layer.tar", LAYER);
    let image = json!({"Config": "c0ffee.json", "RepoTags": tags, "Layers": ["1/layer.tar"]});
    archive.json("manifest.json", &json!([image]));
    archive
}

/// An OCI layout; `edit` changes what the index says of the image.
fn layout(architecture: &str, edit: impl FnOnce(&mut Value)) -> Archive {
    let mut archive = Archive::default();
    let config = archive.blob(oci::CONFIG, config(architecture).to_string());
    let layer = archive.blob(oci::LAYER, LAYER);
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]});
    let mut descriptor = archive.blob(oci::MANIFEST, manifest.to_string());
    descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": "me/app:1"});
    edit(&mut descriptor);
    archive.json("oci-layout", &json!({"imageLayoutVersion": "1.0.0"}));
    archive.json(
        "index.json",
        &json!({"schemaVersion": 2, "manifests": [descriptor]}),
    );
    archive
}

fn read_bytes(bytes: &[u8], name: Option<&str>) -> Result<Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.tar");
    std::fs::write(&file, bytes).unwrap();
    let written = read(&file, &folder.path().join("work"), name)?;
    // What is read can be written as one archive for nodes.
    super::super::archive::write(&written, &folder.path().join("all.tar"))?;
    Ok(written.into_iter().map(|image| image.name).collect())
}

fn read_archive(archive: &Archive) -> Result<Vec<String>> {
    read_bytes(&archive.tar(), None)
}

#[test]
fn what_docker_saves_is_read_with_all_its_names() {
    let archive = saved(&json!(["app:1", "app:latest", "registry.example/app:1"]));
    let names = [
        "docker.io/library/app:1",
        "docker.io/library/app:latest",
        "registry.example/app:1",
    ];
    assert_eq!(read_archive(&archive).unwrap(), names);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&archive.tar()).unwrap();
    assert_eq!(read_bytes(&gzip.finish().unwrap(), None).unwrap(), names);
}

#[test]
fn a_layer_may_be_a_link_to_another_one() {
    let mut archive = saved(&json!(["app:1"]));
    archive.0.retain(|(name, _)| name != "1/layer.tar");
    archive.add("2/layer.tar", LAYER);
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in &archive.0 {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        let content = content.as_slice();
        builder.append_data(&mut header, name, content).unwrap();
    }
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    builder
        .append_link(&mut header, "1/layer.tar", "../2/layer.tar")
        .unwrap();
    let bytes = builder.into_inner().unwrap();
    assert_eq!(
        read_bytes(&bytes, None).unwrap(),
        ["docker.io/library/app:1"]
    );
}

#[test]
fn a_layout_is_read_as_archive_and_as_folder() {
    let archive = layout(oci::architecture(), |_| {});
    assert_eq!(read_archive(&archive).unwrap(), ["docker.io/me/app:1"]);
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in &archive.0 {
        let path = folder.path().join("layout").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let work = folder.path().join("work");
    let written = read(&folder.path().join("layout"), &work, None).unwrap();
    assert_eq!(written[0].name, "docker.io/me/app:1");
}

#[test]
fn of_several_platforms_the_nodes_own_is_taken() {
    let several = |architectures: &[&str]| {
        let mut archive = Archive::default();
        let mut manifests = Vec::new();
        for architecture in architectures {
            let config = archive.blob(oci::CONFIG, config(architecture).to_string());
            let layer = archive.blob(oci::LAYER, LAYER);
            let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]});
            let mut manifest = archive.blob(oci::MANIFEST, manifest.to_string());
            manifest["platform"] = json!({"architecture": architecture, "os": "linux"});
            manifests.push(manifest);
        }
        let kind = "application/vnd.oci.image.index.v1+json";
        let index = json!({"schemaVersion": 2, "mediaType": kind, "manifests": manifests});
        let mut index = archive.blob(kind, index.to_string());
        index["annotations"] = json!({"io.containerd.image.name": "docker.io/me/app:2"});
        archive.json("oci-layout", &json!({"imageLayoutVersion": "1.0.0"}));
        archive.json("index.json", &json!({"manifests": [index]}));
        read_archive(&archive)
    };
    let both = several(&["s390x", oci::architecture()]).unwrap();
    assert_eq!(both, ["docker.io/me/app:2"]);
    let failure = several(&["s390x", "riscv64"]).unwrap_err();
    assert!(
        failure
            .why
            .starts_with("it is for linux/s390x, linux/riscv64, the nodes are linux/"),
        "{failure}"
    );
}

#[test]
fn an_image_for_other_machines_is_refused() {
    let failure = read_archive(&layout("s390x", |_| {})).unwrap_err();
    assert!(
        failure.why.starts_with("it is for linux/s390x"),
        "{failure}"
    );
    assert!(failure.way_out.unwrap().contains("--platform linux/"));
}

#[test]
fn an_image_needs_a_name_and_takes_the_one_it_is_given() {
    let only_tag = |descriptor: &mut Value| {
        descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": "latest"});
    };
    for archive in [
        layout(oci::architecture(), only_tag),
        saved(&Value::Null),
        saved(&json!([])),
    ] {
        let failure = read_archive(&archive).unwrap_err();
        assert!(failure.way_out.unwrap().contains("--name"));
        let named = read_bytes(&archive.tar(), Some("mine:2")).unwrap();
        assert_eq!(named, ["docker.io/library/mine:2"]);
    }
    // The manifest of Docker's in a layout knows the tags that the index doesn't.
    let mut both = layout(oci::architecture(), only_tag);
    let config = both.0[0].0.clone();
    let image = json!({"Config": config, "RepoTags": ["a:1", "b:1"], "Layers": []});
    both.json("manifest.json", &json!([image]));
    assert_eq!(
        read_archive(&both).unwrap(),
        ["docker.io/library/a:1", "docker.io/library/b:1"]
    );
}

#[test]
fn what_is_broken_is_told() {
    let bytes = saved(&json!(["app:1"])).tar();
    let cut = read_bytes(&bytes[..bytes.len() / 2], None).unwrap_err();
    assert!(cut.what.contains("x.tar"), "{cut}");

    let mut changed = layout(oci::architecture(), |_| {});
    let layer = changed.0.iter_mut().find(|(_, content)| content == LAYER);
    layer.unwrap().1[0] ^= 1;
    let failure = read_archive(&changed).unwrap_err();
    assert!(
        failure.why.starts_with("its content is another one"),
        "{failure}"
    );

    let mut changed = saved(&json!(["app:1"]));
    let layer = changed.0.iter_mut().find(|(_, content)| content == LAYER);
    layer.unwrap().1[0] ^= 1;
    let failure = read_archive(&changed).unwrap_err();
    assert!(
        failure.why.contains("not what the configuration names"),
        "{failure}"
    );

    let mut without = layout(oci::architecture(), |_| {});
    without.0.retain(|(_, content)| content != LAYER);
    assert_eq!(read_archive(&without).unwrap_err().why, "it is missing");

    let size = |descriptor: &mut Value| descriptor["size"] = json!(1);
    let failure = read_archive(&layout(oci::architecture(), size)).unwrap_err();
    assert!(failure.why.contains("its manifest says 1"), "{failure}");

    let mut other = Archive::default();
    other.add("etc/passwd", "root");
    let failure = read_archive(&other).unwrap_err();
    assert!(failure.way_out.unwrap().contains("build-from-tar"));
}
