//! `hardway image …`: images of the nodes, put there without a registry, and images of
//! examples, which go into the lab's registry.

use std::path::{Path, PathBuf};
use std::process::Command;

use anstream::{eprintln, print, println};

use crate::compile::{self, Profile};
use crate::failure::{Failure, OrFail, Result};
use crate::images::oci::{Image, Written};
use crate::images::reading::{self, Workplace};
use crate::images::{archive, from_tar, nodes, program, publish, reference};
use crate::lab::Lab;
use crate::lab::config::OWN_IMAGES;
use crate::output::{Format, table};
use crate::profiles::needs;
use crate::progress::Progress;
use crate::shell;

/// What to do with images.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Action {
    /// Put images into every node: archives of docker, podman, skopeo or buildah, or images
    /// that docker or podman of this machine have
    Load {
        /// Archive (tar or tar.gz), folder in the OCI layout, `-` for an archive on the
        /// standard input, or the name of an image of this machine's docker or podman
        #[arg(required = true, value_name = "FILE|NAME")]
        source: Vec<String>,
        /// What to call the image of an archive that has one image
        #[arg(long, value_name = "NAME:TAG")]
        name: Option<String>,
    },
    /// Show the images that nodes have, and which nodes those are
    #[command(visible_alias = "list")]
    Ls {
        /// As a table, or as JSON
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Remove images from all nodes
    #[command(visible_alias = "remove")]
    Rm {
        /// Their names
        #[arg(required = true)]
        name: Vec<String>,
        /// Even where containers use them
        #[arg(long)]
        force: bool,
    },
    /// Make an image of a root file system in a tar, and put it into every node
    BuildFromTar(FromTar),
    /// Build the image of deploy/examples/operator, and put it into the lab's registry
    WebsiteOperator,
}

/// An image out of a tar.
#[derive(Debug, Clone, clap::Args)]
pub struct FromTar {
    /// The root file system: a tar, or one that is compressed with gzip
    pub tar: PathBuf,
    /// What the image is called
    #[arg(value_name = "NAME[:TAG]")]
    pub name: String,
    /// A word of what is run: once for the program, once more for each argument that is always
    /// there
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    pub entrypoint: Vec<String>,
    /// A word of the arguments that are there unless a pod gives others
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    pub command: Vec<String>,
    /// A variable of the environment
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub env: Vec<String>,
    /// User, and group behind a colon, it runs as: numbers or names [default: root]
    #[arg(long, default_value = "", hide_default_value = true)]
    pub user: String,
    /// The folder in which it is run [default: /]
    #[arg(long, value_name = "FOLDER")]
    pub workdir: Option<String>,
    /// Write an OCI archive instead of putting it into the nodes
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

fn variable(text: &str) -> std::result::Result<String, String> {
    match text.split_once('=') {
        Some((name, _)) if !name.is_empty() => Ok(text.to_owned()),
        _ => Err("a variable is NAME=VALUE".to_owned()),
    }
}

/// Does it.
pub fn run(lab: &Lab, action: &Action) -> Result<()> {
    needs::root("look after the images of hosts")?;
    match action {
        Action::Load { source, name } => load(lab, source, name.as_deref()),
        Action::Ls { output } => list(lab, *output),
        Action::Rm { name, force } => remove(lab, name, *force),
        Action::BuildFromTar(options) => build_from_tar(lab, options),
        Action::WebsiteOperator => build_example(lab),
    }
}

fn load(lab: &Lab, sources: &[String], name: Option<&str>) -> Result<()> {
    if name.is_some() && sources.len() > 1 {
        return Err(Failure::new(
            "name the images",
            "--name is for one archive, and there are several",
        ));
    }
    let work = Workplace::new(&lab.folder)?;
    let mut images = Vec::new();
    for (number, source) in sources.iter().enumerate() {
        let work = work.path().join(format!("source-{number}"));
        shell::make_directory(&work)?;
        let archive = archive_of(source, &work)?;
        images.extend(reading::read(&archive, &work, name)?);
    }
    put(lab, &images, work.path())
}

fn put(lab: &Lab, images: &[Written], work: &Path) -> Result<()> {
    let names: Vec<String> = lab.plan.nodes().into_iter().map(|host| host.name).collect();
    let progress = Progress::new();
    progress.step(&format!("loaded into {}", names.join(", ")), || {
        nodes::load(lab, images, work)
    })?;
    for image in images {
        println!("{}", image.name);
        if image.name.ends_with(":latest") {
            eprintln!(
                "warning: pods pull a tag `latest` anew unless they say `imagePullPolicy: IfNotPresent` or `Never`"
            );
        }
    }
    Ok(())
}

/// The file or folder to read: as it is, or what standard input, docker or podman give.
fn archive_of(source: &str, work: &Path) -> Result<PathBuf> {
    let path = Path::new(source);
    if source != "-" && path.exists() {
        return Ok(path.to_owned());
    }
    let file = work.join("given.tar");
    if source == "-" {
        let what = || "read the standard input";
        let mut to = std::fs::File::create(&file).or_fail(what)?;
        std::io::copy(&mut std::io::stdin().lock(), &mut to).or_fail(what)?;
        return Ok(file);
    }
    let what = || format!("load {source}");
    let looks_like_file = source.starts_with(['/', '.']) || source.ends_with(".tar");
    if looks_like_file || reference::full(source).is_err() {
        return Err(Failure::new(what(), "there is no such file"));
    }
    let engines = ["docker", "podman"].map(shell::find_program);
    let mut said = Vec::new();
    for engine in engines.into_iter().flatten() {
        let output = Command::new(&engine)
            .args(["save", "--output"])
            .arg(&file)
            .arg(source)
            .output()
            .or_fail(what)?;
        if output.status.success() {
            return Ok(file);
        }
        said.push(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    let why = match said.is_empty() {
        true => "there is no file of that name, nor docker or podman to ask".to_owned(),
        false => format!("there is no file of that name, and {}", said.join("; ")),
    };
    Err(Failure::new(what(), why).way_out(
        "load an archive: one of `docker save`, or of `skopeo copy docker://NAME oci-archive:FILE:NAME`",
    ))
}

fn list(lab: &Lab, format: Format) -> Result<()> {
    let images = nodes::list(lab)?;
    if format == Format::Json {
        let images: Vec<_> = images.iter().map(nodes::Listed::as_json).collect();
        println!("{:#}", serde_json::Value::from(images));
        return Ok(());
    }
    let mut rows = vec![["IMAGE", "DIGEST", "SIZE", "NODES"].map(str::to_owned)];
    rows.extend(images.into_iter().map(|image| {
        let digest: String = image.digest.chars().take("sha256:".len() + 12).collect();
        // A digest in the name is in the next column.
        let name = match image.name.split_once('@') {
            Some((name, _)) => name.to_owned(),
            None => image.name,
        };
        [name, digest, image.size, image.nodes.join(",")]
    }));
    print!("{}", table(&rows));
    Ok(())
}

fn remove(lab: &Lab, names: &[String], force: bool) -> Result<()> {
    let names: Result<Vec<String>> = names.iter().map(|name| reference::full(name)).collect();
    for (name, count) in nodes::remove(lab, &names?, force)? {
        println!("{name}: removed from {count} nodes");
    }
    Ok(())
}

fn build_from_tar(lab: &Lab, options: &FromTar) -> Result<()> {
    let image = Image {
        name: reference::full(&options.name)?,
        entrypoint: options.entrypoint.clone(),
        command: options.command.clone(),
        environment: options.env.clone(),
        user: options.user.clone(),
        working_directory: options.workdir.clone(),
        ..Image::default()
    };
    let work = Workplace::new(&lab.folder)?;
    let written = from_tar::write(&image, &options.tar, work.path())?;
    if image.entrypoint.is_empty() && image.command.is_empty() {
        eprintln!("note: the image names no program, so that pods have to give a `command`");
    }
    match &options.output {
        Some(file) => {
            archive::write(&[written], file)?;
            println!("{}", file.display());
            Ok(())
        }
        None => put(lab, &[written], work.path()),
    }
}

/// `up` builds the images of examples that cost nothing to build; this one has a program as
/// large as a component.
fn build_example(lab: &Lab) -> Result<()> {
    const PACKAGE: &str = "hardway-operator";
    let progress = Progress::new();
    progress.step("program built", || {
        match lab.binaries.ends_with("release") {
            true => compile::components(Profile::Release, &[PACKAGE], None),
            false => compile::components_as_for_tests(),
        }
    })?;
    let at = format!("/usr/local/bin/{PACKAGE}");
    let image = Image {
        name: format!("{OWN_IMAGES}/website-operator:1"),
        entries: program::entries(&lab.binaries.join(PACKAGE), &at)?,
        entrypoint: vec![at],
        user: "65532:65532".to_owned(),
        ..Image::default()
    };
    let written = image.write(&lab.folder.join("images"))?;
    let done = publish::publish(lab, &[written])?;
    println!("{}: {done}", image.name);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_neither_file_nor_name_is_told_at_once() {
        let folder = tempfile::tempdir().unwrap();
        for source in ["./x.tar", "/no/such", "No Name", "x.tar"] {
            let failure = archive_of(source, folder.path()).unwrap_err();
            assert_eq!(failure.why, "there is no such file", "{source}");
        }
        let there = folder.path().display().to_string();
        assert_eq!(archive_of(&there, folder.path()).unwrap(), folder.path());
        assert!(variable("A=b=c").is_ok() && variable("=b").is_err() && variable("A").is_err());
    }
}
