//! The images of Kubernetes' tests, made here under the names that the tests ask for: of
//! Debian's programs, and of the tests' own, which their user brings along.

use std::path::Path;

use crate::failure::{Failure, OrFail, Result};
use crate::images::content;
use crate::images::oci::{Entry, Image};
use crate::images::program;
use crate::shell;

/// What Kubernetes' tests would pull, and of it what can be made here.
#[derive(Debug, Default)]
pub struct Images {
    /// Those that can be made.
    pub made: Vec<Image>,
    /// Full names of the others: tests that use them fail.
    pub missing: Vec<String>,
}

/// Programs that Kubernetes' sources have for the images of its tests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Programs<'a> {
    /// That of the image agnhost, which most tests use.
    pub agnhost: Option<&'a Path>,
    /// A folder with those of other images ([`OF_ITS_SOURCES`]), as far as they are there.
    pub folder: Option<&'a Path>,
}

/// An image, where its programs are in it, the first being the one that it runs, and what
/// they are called in [`Programs::folder`].
const OF_ITS_SOURCES: &[(&str, &[(&str, &str)])] = &[
    (
        "sample-apiserver",
        &[("sample-apiserver", "sample-apiserver")],
    ),
    (
        "resource-consumer",
        &[
            ("consumer", "resource-consumer"),
            ("consume-cpu/consume-cpu", "consume-cpu"),
        ],
    ),
];

/// Makes the images of these full names, as far as that can be done, out of the tests'
/// programs and those of the lab's own images.
///
/// # Errors
/// If a program that goes into them can't be read.
pub fn make(names: &[&str], of_tests: Programs<'_>, programs: &Path) -> Result<Images> {
    let mut images = Images::default();
    // Most tests use the same image: its layers are made once.
    let with_agnhost = of_tests.agnhost.map(agnhost_entries).transpose()?;
    for name in names {
        match image(name, with_agnhost.as_deref(), of_tests.folder, programs)? {
            Some(image) => images.made.push(image),
            None => images.missing.push((*name).to_owned()),
        }
    }
    Ok(images)
}

/// `agnhost` of `k8s.gcr.io/e2e-test-images/agnhost:2.21`.
fn short_name(name: &str) -> &str {
    let last = name.rsplit('/').next().unwrap_or(name);
    last.split([':', '@']).next().unwrap_or(last)
}

fn image(
    name: &str,
    agnhost: Option<&[Entry]>,
    of_tests: Option<&Path>,
    programs: &Path,
) -> Result<Option<Image>> {
    // Who pulls these has no credentials for them, or they are nowhere: that is tested.
    if ["authenticated", "invalid"]
        .iter()
        .any(|word| name.contains(word))
    {
        return Ok(None);
    }
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let image = match (short_name(name), agnhost) {
        ("pause", _) => content::needed(programs)?.remove(0),
        ("busybox", _) => Image {
            entries: content::busybox()?,
            command: words(&["sh"]),
            ..Image::default()
        },
        ("httpd", _) => web_server("usr/local/apache2/htdocs", "<h1>It works!</h1>")?,
        ("nginx", _) => web_server("usr/share/nginx/html", "<h1>Welcome to nginx!</h1>")?,
        ("jessie-dnsutils", _) => Image {
            entries: [
                content::busybox()?,
                debian("dig", "usr/local/bin/dig")?,
                resolver()?,
            ]
            .concat(),
            command: words(&["sh"]),
            ..Image::default()
        },
        ("agnhost", Some(entries)) => Image {
            entries: entries.to_vec(),
            entrypoint: words(&["/agnhost"]),
            command: words(&["pause"]),
            ..Image::default()
        },
        ("nonroot", _) => Image {
            entries: content::busybox()?,
            command: words(&["sh"]),
            user: "1234".to_owned(),
            ..Image::default()
        },
        // It says who it is, which is root if the kernel heeds its set-user-ID bit.
        ("nonewprivs", _) => Image {
            entries: [content::busybox()?, set_user_id("id", "usr/local/bin/id")?].concat(),
            entrypoint: words(&["sh", "-c", "echo Effective uid: $(/usr/local/bin/id -u)"]),
            ..Image::default()
        },
        // Which of the two a pod runs, its file says (test/images/nautilus, kitten).
        (creature @ ("nautilus" | "kitten"), Some(entries)) => {
            let data = format!("{{\"image\": \"{creature}.jpg\"}}\n");
            let file = Entry::file("data.json", data.into_bytes(), 0o644);
            Image {
                entries: [entries, &[file]].concat(),
                entrypoint: words(&["/agnhost"]),
                command: words(&["test-webserver"]),
                ..Image::default()
            }
        }
        ("etcd", _) => Image {
            entries: debian("etcd", "usr/local/bin/etcd")?,
            ..Image::default()
        },
        (short, _) => match of_tests
            .map(|folder| of_its_sources(short, folder))
            .transpose()?
        {
            Some(Some(image)) => image,
            _ => return Ok(None),
        },
    };
    Ok(Some(Image {
        name: name.to_owned(),
        ..image
    }))
}

/// An image of programs from this folder; none if it isn't one of those, or one of its
/// programs isn't there.
fn of_its_sources(short: &str, folder: &Path) -> Result<Option<Image>> {
    let found = OF_ITS_SOURCES.iter().find(|(image, _)| *image == short);
    let Some((_, files)) = found else {
        return Ok(None);
    };
    if !files.iter().all(|(_, file)| folder.join(file).exists()) {
        return Ok(None);
    }
    let mut entries = content::busybox()?;
    for (at, file) in *files {
        entries.extend(program::entries(&folder.join(file), at)?);
    }
    let run = files.iter().take(1).map(|(at, _)| format!("/{at}"));
    Ok(Some(Image {
        entries,
        entrypoint: run.collect(),
        ..Image::default()
    }))
}

/// A web server of one page, whose folder tests look into and change.
fn web_server(folder: &str, page: &str) -> Result<Image> {
    let mut entries = content::busybox()?;
    for (at, _) in folder.match_indices('/').chain([(folder.len(), "")]) {
        entries.push(Entry::folder(&folder[..at], 0o755));
    }
    let page = format!("<html><body>{page}</body></html>\n");
    entries.push(Entry::file(
        &format!("{folder}/index.html"),
        page.into_bytes(),
        0o644,
    ));
    // As process 1 of a pod it would not end when it is told to.
    let script = format!("trap 'exit 0' TERM; httpd -f -p 80 -h /{folder} & wait");
    Ok(Image {
        entries,
        command: ["sh", "-c", &script].map(str::to_owned).into(),
        port: Some(80),
        ..Image::default()
    })
}

/// What is in the image of agnhost beside it: tests call these programs in its pods.
fn agnhost_entries(agnhost: &Path) -> Result<Vec<Entry>> {
    let mut entries = content::busybox()?;
    // Busybox's shell calls busybox's own nc, whatever is in the PATH.
    entries.retain(|entry| entry.path() != "bin/sh");
    for (program, at) in [
        ("dash", "bin/sh"),
        ("curl", "usr/local/bin/curl"),
        ("dig", "usr/local/bin/dig"),
        ("nc.openbsd", "usr/local/bin/nc"),
        // Busybox's would run its own programs instead of those of the namespace it enters.
        ("nsenter", "usr/local/bin/nsenter"),
        // Debian's static busybox crashes when its wget has a timeout.
        ("wget", "usr/local/bin/wget"),
    ] {
        entries.extend(debian(program, at)?);
    }
    entries.extend(resolver()?);
    let content =
        std::fs::read(agnhost).or_fail(|| format!("read agnhost, {}", agnhost.display()))?;
    entries.push(Entry::file("agnhost", content, 0o755));
    entries.push(Entry::link("agnhost-2", "agnhost"));
    entries.push(Entry::folder("uploads", 0o755));
    // What its command `porter` serves TLS with; nobody looks at the names in it.
    let what = || "make agnhost's certificate";
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).or_fail(what)?;
    for (path, text) in [
        ("localhost.crt", pair.cert.pem()),
        ("localhost.key", pair.signing_key.serialize_pem()),
    ] {
        entries.push(Entry::file(path, text.into_bytes(), 0o644));
    }
    Ok(entries)
}

/// `getent`, and where it is to look names up.
fn resolver() -> Result<Vec<Entry>> {
    let mut entries = debian("getent", "usr/local/bin/getent")?;
    let order = b"hosts: files dns\n".to_vec();
    entries.push(Entry::file("etc/nsswitch.conf", order, 0o644));
    Ok(entries)
}

/// A program of this machine, with what it is linked with.
fn debian(program: &str, at: &str) -> Result<Vec<Entry>> {
    let path = shell::find_program(program).ok_or_else(|| {
        Failure::new(
            "build the images of the tests",
            format!("{program} is missing"),
        )
    })?;
    program::entries(&path, at)
}

/// The same for a program that runs as root, whoever calls it.
fn set_user_id(program: &str, at: &str) -> Result<Vec<Entry>> {
    let entries = debian(program, at)?.into_iter();
    let entries = entries.map(|entry| match entry.path() == at {
        true => entry.with_mode(0o4755),
        false => entry,
    });
    Ok(entries.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_have_the_names_that_tests_ask_for() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("pause"), "pause").unwrap();
        // Of those that 1.20 lists.
        let names = [
            "k8s.gcr.io/pause:3.2",
            "docker.io/library/httpd:2.4.38-alpine",
            "gcr.io/authenticated-image-pulling/alpine:3.7",
            "k8s.gcr.io/e2e-test-images/agnhost:2.21",
            "invalid.com/invalid/alpine:3.1",
        ];
        let images = make(&names, Programs::default(), folder.path()).unwrap();
        let made: Vec<&str> = images
            .made
            .iter()
            .map(|image| image.name.as_str())
            .collect();
        assert_eq!(made, [names[0], names[1]]);
        assert_eq!(images.missing, [names[2], names[3], names[4]]);
    }

    #[test]
    fn programs_of_kubernetes_sources_are_brought_along() {
        let folder = tempfile::tempdir().unwrap();
        let of_tests = Programs {
            folder: Some(folder.path()),
            ..Programs::default()
        };
        let names = ["gcr.io/kubernetes-e2e-test-images/resource-consumer:1.5"];
        let make = || make(&names, of_tests, folder.path()).unwrap();
        std::fs::write(folder.path().join("resource-consumer"), "one").unwrap();
        assert_eq!(make().missing, names, "it needs another program");
        std::fs::write(folder.path().join("consume-cpu"), "two").unwrap();
        let image = make().made.remove(0);
        assert_eq!(image.entrypoint, ["/consumer"]);
        let has = |path: &str| image.entries.iter().any(|entry| entry.path() == path);
        assert!(has("consumer") && has("consume-cpu/consume-cpu") && has("bin/sh"));
    }

    #[test]
    fn names_lose_host_and_tag() {
        assert_eq!(
            short_name("k8s.gcr.io/e2e-test-images/agnhost:2.21"),
            "agnhost"
        );
        assert_eq!(short_name("localhost:5000/a/nginx@sha256:00"), "nginx");
    }
}
