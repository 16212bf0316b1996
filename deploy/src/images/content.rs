//! What is in the images.

use std::fs;
use std::path::{Path, PathBuf};

use super::oci::{Entry, Image};
use crate::failure::{Failure, OrFail, Result};
use crate::lab::config::OWN_IMAGES;
use crate::shell;

/// What every node needs: the image that holds a pod's namespaces.
pub fn needed(programs: &Path) -> Result<Vec<Image>> {
    let path = programs.join("pause");
    let program = fs::read(&path).or_fail(|| format!("read {}", path.display()))?;
    Ok(vec![Image {
        name: "registry.k8s.io/pause:3.10".to_owned(),
        entries: vec![Entry::file("pause", program, 0o755)],
        entrypoint: vec!["/pause".to_owned()],
        user: "65535:65535".to_owned(),
        ..Image::default()
    }])
}

/// The files of this machine that [`all`] images are made of.
pub fn sources(programs: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(programs).or_fail(|| format!("list {}", programs.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.is_file() && path.extension().is_none());
    files.sort();
    let machine = ["busybox", "redis-check-rdb"].into_iter();
    files.extend(machine.filter_map(shell::find_program));
    Ok(files)
}

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
    // lb-app says its version, the update demo shows its creature.
    let lb_app = |version: &str| -> Result<Image> {
        Ok(Image {
            name: format!("{OWN_IMAGES}/lb-app:{version}"),
            entries: with("lb-app", read("lb_app")?),
            entrypoint: program("lb-app"),
            environment: vec![format!("VERSION={version}")],
            port: Some(9999),
            ..Image::default()
        })
    };
    let update_demo = |creature: &str, colour: &str| -> Result<Image> {
        Ok(Image {
            name: format!("{OWN_IMAGES}/update-demo:{creature}"),
            entries: with("update-demo", read("update_demo")?),
            entrypoint: program("update-demo"),
            environment: vec![format!("CREATURE={creature}"), format!("COLOUR={colour}")],
            port: Some(80),
            ..Image::default()
        })
    };
    let plain = |name: &str| Image {
        name: name.to_owned(),
        entries: base.clone(),
        command: vec!["sh".to_owned()],
        ..Image::default()
    };
    let mut images = needed(programs)?;
    images.extend([
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
        lb_app("1")?,
        lb_app("2")?,
        update_demo("heron", "slateblue")?,
        update_demo("otter", "sienna")?,
        Image {
            name: format!("{OWN_IMAGES}/guestbook/frontend:1"),
            entries: with("guestbook", read("guestbook")?),
            entrypoint: program("guestbook"),
            port: Some(80),
            ..Image::default()
        },
        redis(base.clone())?,
        Image {
            name: format!("{OWN_IMAGES}/replicated-store:1"),
            entries: with("replicated-store", read("replicated_store")?),
            entrypoint: program("replicated-store"),
            user: "65532:65532".to_owned(),
            port: Some(7000),
            ..Image::default()
        },
        Image {
            name: format!("{OWN_IMAGES}/test/echo:1"),
            entries: with("echo", read("echo")?),
            entrypoint: program("echo"),
            ..Image::default()
        },
    ]);
    Ok(images)
}

/// Debian's Redis. It is one program: under which name it is called decides whether it
/// serves or checks files.
fn redis(mut entries: Vec<Entry>) -> Result<Image> {
    let path = shell::find_program("redis-check-rdb")
        .ok_or_else(|| Failure::new("build the image of Redis", "redis-check-rdb is missing"))?;
    entries.extend(super::program::entries(
        &path,
        "/usr/local/bin/redis-server",
    )?);
    Ok(Image {
        name: format!("{OWN_IMAGES}/guestbook/redis:1"),
        entries,
        entrypoint: vec!["/usr/local/bin/redis-server".to_owned()],
        port: Some(6379),
        ..Image::default()
    })
}

/// A small system around the machine's static busybox.
pub fn busybox() -> Result<Vec<Entry>> {
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
