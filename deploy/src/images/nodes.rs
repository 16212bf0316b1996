//! The images that nodes have: put there past any registry, listed, removed. `ctr` does it in
//! each host, as an administrator would.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::archive;
use super::oci::Written;
use super::reference;
use crate::call;
use crate::failure::{Failure, OrFail, Result};
use crate::lab::config::CONTAINERD_SOCKET;
use crate::lab::{Lab, node};
use crate::plan::Host;
use crate::shell;

/// Where Kubernetes' images are in containerd.
const NAMESPACE: &str = "k8s.io";

/// A line of what a node has: a name, and what it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// A full name with a tag or a digest, or the identifier of a configuration.
    pub name: String,
    /// Digest of the manifest.
    pub digest: String,
    /// As `ctr` writes it: `4.2 MiB`.
    pub size: String,
}

/// Puts images into all nodes, or into none: of a node that fails, and of those before it, the
/// names that are new are taken away again. `work` is a folder for an archive of them.
///
/// # Errors
/// If a host is off, or containerd refuses.
pub fn load(lab: &Lab, images: &[Written], work: &Path) -> Result<()> {
    let nodes = lab.plan.nodes();
    let mut before = Vec::new();
    for host in &nodes {
        before.push(references(lab, host)?);
    }
    let path = work.join("images.tar");
    archive::write(images, &path)?;
    let results: Vec<Result<()>> = std::thread::scope(|threads| {
        let path = &path;
        let imports: Vec<_> = nodes
            .iter()
            .map(|host| threads.spawn(move || import(lab, host, path)))
            .collect();
        let panicked = || Failure::new("load images", "a thread panicked");
        let results = imports.into_iter().map(|import| import.join());
        results
            .map(|result| result.unwrap_or_else(|_| Err(panicked())))
            .collect()
    });
    let failed = results.into_iter().find_map(Result::err);
    let Some(failure) = failed else {
        return Ok(());
    };
    for (host, before) in nodes.iter().zip(&before) {
        let new = |image: &&Written| !before.iter().any(|it| it.name == image.name);
        let names: Vec<&str> = images
            .iter()
            .filter(new)
            .map(|image| image.name.as_str())
            .collect();
        // What is wrong is told already.
        let _ = remove_from(lab, host, &names);
    }
    Err(failure)
}

fn import(lab: &Lab, host: &Host, archive: &Path) -> Result<()> {
    let what = || format!("load images into {}", host.name);
    let snapshotter = snapshotter(lab, host);
    let mut command = ctr(lab, host, &["images", "import", "--snapshotter"])?;
    command.arg(snapshotter).arg("-");
    command.stdin(File::open(archive).or_fail(what)?);
    let output = command.output().or_fail(what)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(what(), said.trim()))
}

/// How the host's containerd keeps layers, for `ctr` doesn't ask it.
fn snapshotter(lab: &Lab, host: &Host) -> String {
    let config = shell::read_text(&lab.disk(host).join("containerd.toml")).unwrap_or_default();
    let line = config.lines().find_map(|line| {
        let value = line.trim().strip_prefix("snapshotter = ")?;
        Some(value.trim_matches('"').to_owned())
    });
    line.unwrap_or_else(|| "overlayfs".to_owned())
}

fn ctr(lab: &Lab, host: &Host, words: &[&str]) -> Result<Command> {
    let inside = node::inside(lab, host)?;
    let mut command = Command::new(&inside[0]);
    command
        .args(&inside[1..])
        // The caller's environment may lead to another host's (`hardway docker-env`).
        .args(["ctr", "--address", CONTAINERD_SOCKET])
        .args(["--namespace", NAMESPACE])
        .args(words)
        .stdin(Stdio::null());
    Ok(command)
}

fn run_ctr(lab: &Lab, host: &Host, words: &[&str]) -> Result<String> {
    let what = || format!("ctr {} on {}", words.join(" "), host.name);
    let output = ctr(lab, host, words)?.output().or_fail(what)?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(Failure::new(
            what(),
            String::from_utf8_lossy(&output.stderr).trim(),
        )),
    }
}

/// All that a node has.
fn references(lab: &Lab, host: &Host) -> Result<Vec<Reference>> {
    Ok(parse(&run_ctr(lab, host, &["images", "ls"])?))
}

/// The lines of `ctr images ls`: name, media type, digest, size with its unit, and more.
fn parse(printed: &str) -> Vec<Reference> {
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let digest = words.get(2).filter(|word| reference::is_digest(word))?;
        Some(Reference {
            name: (*words.first()?).to_owned(),
            digest: (*digest).to_owned(),
            size: [*words.get(3)?, *words.get(4)?].join(" "),
        })
    };
    printed.lines().filter_map(line).collect()
}

/// An image, and the nodes that have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name: with a tag, where it has one.
    pub name: String,
    /// Digest of its manifest.
    pub digest: String,
    /// As `ctr` writes it: `4.2 MiB`.
    pub size: String,
    /// Names of the nodes.
    pub nodes: Vec<String>,
}

impl Listed {
    /// For programs.
    pub fn as_json(&self) -> Value {
        json!({"name": self.name, "digest": self.digest, "size": self.size, "nodes": self.nodes})
    }
}

/// The images of all nodes, by name.
///
/// # Errors
/// If a host is off, or its containerd can't be asked.
pub fn list(lab: &Lab) -> Result<Vec<Listed>> {
    let mut of_nodes = Vec::new();
    for host in lab.plan.nodes() {
        let references = references(lab, &host)?;
        of_nodes.push((host.name, references));
    }
    Ok(union(&of_nodes))
}

fn union(of_nodes: &[(String, Vec<Reference>)]) -> Vec<Listed> {
    let mut images: BTreeMap<(String, String), Listed> = BTreeMap::new();
    for (node, references) in of_nodes {
        for image in references.iter().filter(|it| is_shown(it, references)) {
            let key = (image.name.clone(), image.digest.clone());
            let listed = images.entry(key).or_insert_with(|| Listed {
                name: image.name.clone(),
                digest: image.digest.clone(),
                size: image.size.clone(),
                nodes: Vec::new(),
            });
            listed.nodes.push(node.clone());
        }
    }
    images.into_values().collect()
}

/// Identifiers are names for the runtime, and a name with a digest says no more than the tag
/// of the same image.
fn is_shown(image: &Reference, all: &[Reference]) -> bool {
    let same = |other: &Reference| other.digest == image.digest && reference::has_tag(&other.name);
    match image.name.starts_with("sha256:") {
        true => false,
        false => reference::has_tag(&image.name) || !all.iter().any(same),
    }
}

/// Removes images from all nodes that have them; tells on how many each was.
///
/// # Errors
/// If no node has one of them, or a container uses one and `force` isn't given: then nothing
/// is removed.
pub fn remove(lab: &Lab, names: &[String], force: bool) -> Result<Vec<(String, usize)>> {
    let nodes = lab.plan.nodes();
    let mut there = Vec::new();
    for host in &nodes {
        let used = run_ctr(lab, host, &["containers", "ls"])?;
        there.push((references(lab, host)?, used_images(&used)));
    }
    let mut counts = Vec::new();
    for name in names {
        let mut count = 0;
        for (host, (references, used)) in nodes.iter().zip(&there) {
            let Some(image) = references.iter().find(|it| it.name == *name) else {
                continue;
            };
            count += 1;
            let names = names_of(image, references);
            if !force && used.iter().any(|used| names.contains(&used.as_str())) {
                return Err(Failure::new(
                    format!("remove {name}"),
                    format!("containers on {} use it", host.name),
                )
                .way_out("delete their pods first, or give --force"));
            }
        }
        if count == 0 {
            return Err(Failure::new(format!("remove {name}"), "no node has it")
                .way_out(format!("see what there is: {} image ls", call::tool())));
        }
        counts.push((name.clone(), count));
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for host in &nodes {
        remove_from(lab, host, &names)?;
    }
    Ok(counts)
}

/// All names that lead to the same image.
fn names_of<'a>(image: &Reference, all: &'a [Reference]) -> Vec<&'a str> {
    let same = all.iter().filter(|it| it.digest == image.digest);
    same.map(|it| it.name.as_str()).collect()
}

/// The images that containers use, from `ctr containers ls`: identifier, image, runtime.
fn used_images(printed: &str) -> Vec<String> {
    let image = |line: &str| line.split_whitespace().nth(1).map(str::to_owned);
    printed.lines().skip(1).filter_map(image).collect()
}

/// Removes names from a node, and with the last tag of an image the names that are not tags:
/// they would keep its content.
fn remove_from(lab: &Lab, host: &Host, names: &[&str]) -> Result<()> {
    let going = going(&references(lab, host)?, names);
    if going.is_empty() {
        return Ok(());
    }
    let mut words = vec!["images", "rm", "--sync"];
    words.extend(going.iter().map(String::as_str));
    run_ctr(lab, host, &words).map(|_| ())
}

fn going(all: &[Reference], names: &[&str]) -> Vec<String> {
    let is_named = |it: &&Reference| names.contains(&it.name.as_str());
    let named: Vec<&Reference> = all.iter().filter(is_named).collect();
    let is_without_name = |it: &&Reference| {
        let is_of = named.iter().any(|image| image.digest == it.digest);
        let has_other_tag = all.iter().any(|other| {
            other.digest == it.digest
                && reference::has_tag(&other.name)
                && !names.contains(&other.name.as_str())
        });
        is_of && !reference::has_tag(&it.name) && !has_other_tag
    };
    let others = all.iter().filter(is_without_name);
    let mut going: Vec<String> = named
        .iter()
        .copied()
        .chain(others)
        .map(|it| it.name.clone())
        .collect();
    going.sort();
    going.dedup();
    going
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(letter: &str) -> String {
        format!("sha256:{}", letter.repeat(64))
    }

    fn printed() -> String {
        let (a, b, c) = (digest("a"), digest("b"), digest("c"));
        let kind = "application/vnd.oci.image.manifest.v1+json";
        format!(
            "REF TYPE DIGEST SIZE PLATFORMS LABELS
docker.io/library/x:1 {kind} {a} 1.2 MiB linux/amd64 io.cri-containerd.image=managed
docker.io/library/x:2 {kind} {a} 1.2 MiB linux/amd64 -
docker.io/library/x@{a} {kind} {a} 1.2 MiB linux/amd64 -
{c} {kind} {a} 1.2 MiB linux/amd64 io.cri-containerd.image=managed
docker.io/library/y@{b} {kind} {b} 800.0 KiB linux/amd64 -
"
        )
    }

    #[test]
    fn an_image_is_listed_once_with_its_nodes() {
        let references = parse(&printed());
        assert_eq!(references.len(), 5);
        assert_eq!(references[0].size, "1.2 MiB");
        let one: Vec<Reference> = references[..1].to_vec();
        let listed = union(&[("n1".to_owned(), references), ("n2".to_owned(), one)]);
        let lines: Vec<String> = listed
            .iter()
            .map(|image| format!("{} {}", image.name, image.nodes.join(",")))
            .collect();
        assert_eq!(
            lines,
            [
                "docker.io/library/x:1 n1,n2".to_owned(),
                "docker.io/library/x:2 n1".to_owned(),
                format!("docker.io/library/y@{} n1", digest("b")),
            ]
        );
    }

    #[test]
    fn the_content_goes_with_the_last_tag() {
        let all = parse(&printed());
        assert_eq!(
            going(&all, &["docker.io/library/x:1"]),
            ["docker.io/library/x:1"]
        );
        let both = ["docker.io/library/x:1", "docker.io/library/x:2"];
        let gone = going(&all, &both);
        assert_eq!(gone.len(), 4, "{gone:?}");
        assert!(gone.contains(&digest("c")));
        assert!(going(&all, &["other"]).is_empty());
    }

    #[test]
    fn images_of_containers_are_found() {
        let printed =
            "CONTAINER    IMAGE    RUNTIME\nabc  docker.io/library/x:1  io.containerd.runc.v2\n";
        assert_eq!(used_images(printed), ["docker.io/library/x:1"]);
    }
}
