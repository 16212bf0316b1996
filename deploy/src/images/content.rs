//! What is in the images.

use std::fs;
use std::path::Path;

use super::oci::{Entry, Image};
use crate::failure::{Failure, OrFail, Result};
use crate::lab::config::OWN_IMAGES;
use crate::shell;

/// All images; `programs` is the folder of the project's own static programs.
pub fn all(programs: &Path) -> Result<Vec<Image>> {
    let read = |name: &str| {
        let path = programs.join(name);
        fs::read(&path).or_fail(|| format!("read {}", path.display()))
    };
    let base = busybox()?;
    let with = |name: &str, program: Vec<u8>| {
        let mut entries = base.clone();
        entries.push(Entry::file(
            &format!("usr/local/bin/{name}"),
            program,
            0o755,
        ));
        entries
    };
    let program = |name: &str| vec![format!("/usr/local/bin/{name}")];
    let web = |version: &str| -> Result<Image> {
        Ok(Image {
            name: format!("{OWN_IMAGES}/busmeme/web:{version}"),
            entries: with("web", read("web")?),
            entrypoint: program("web"),
            environment: vec![format!("BUSMEME_VERSION={version}")],
            port: Some(3000),
            ..Image::default()
        })
    };
    let plain = |name: &str| Image {
        name: name.to_owned(),
        entries: base.clone(),
        command: vec!["sh".to_owned()],
        ..Image::default()
    };
    Ok(vec![
        Image {
            name: "registry.k8s.io/pause:3.10".to_owned(),
            entries: vec![Entry::file("pause", read("pause")?, 0o755)],
            entrypoint: vec!["/pause".to_owned()],
            user: "65535:65535".to_owned(),
            ..Image::default()
        },
        plain("docker.io/library/busybox:1.36"),
        plain("docker.io/library/busybox:latest"),
        Image {
            name: format!("{OWN_IMAGES}/busmeme/mongo:1"),
            entries: with("mongo", read("mongo")?),
            entrypoint: program("mongo"),
            port: Some(27017),
            ..Image::default()
        },
        web("1")?,
        web("2")?,
        Image {
            name: format!("{OWN_IMAGES}/test/echo:1"),
            entries: with("echo", read("echo")?),
            entrypoint: program("echo"),
            ..Image::default()
        },
    ])
}

/// A small system around the machine's static busybox.
fn busybox() -> Result<Vec<Entry>> {
    let what = || "build the busybox image";
    let path =
        shell::find_program("busybox").ok_or_else(|| Failure::new(what(), "busybox is missing"))?;
    let program = fs::read(&path).or_fail(what)?;
    let applets = shell::run(&path.display().to_string(), &["--list"])?;
    let mut entries: Vec<Entry> = [
        "bin",
        "dev",
        "etc",
        "proc",
        "root",
        "sys",
        "usr",
        "usr/bin",
        "usr/local",
        "usr/local/bin",
        "var",
    ]
    .map(|name| Entry::folder(name, 0o755))
    .into();
    entries.push(Entry::folder("tmp", 0o1777));
    entries.push(Entry::file("bin/busybox", program, 0o755));
    for applet in applets.lines().filter(|applet| *applet != "busybox") {
        entries.push(Entry::link(&format!("bin/{applet}"), "busybox"));
    }
    entries.push(Entry::link("usr/bin/env", "../../bin/busybox"));
    let text = |path: &str, text: &str| Entry::file(path, text.as_bytes().to_vec(), 0o644);
    entries.push(text(
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    ));
    entries.push(text("etc/group", "root:x:0:\nnobody:x:65534:\n"));
    Ok(entries)
}
