//! Packages: what is installed on a host, and what is to take its place.

use std::path::{Path, PathBuf};

use super::version::Version;
use crate::failure::{Failure, Result};
use crate::packaging::Package;
use crate::shell;

/// Fields of a package's control file that are read here.
const FIELDS: [&str; 4] = ["Package", "Version", "Kubernetes-Version", "Stored-Format"];

/// What a package says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Which one it is.
    pub package: Package,
    /// Its version, as Debian writes it.
    pub version: String,
    /// That of the programs in it.
    pub programs: Version,
    /// The newest form of stored objects that its programs write; they read older ones as well.
    pub stored_format: u32,
}

impl Description {
    /// From lines `FIELD: VALUE`; nothing of a package that isn't hardway's. Fields that are
    /// missing are those of packages from before there were such fields.
    ///
    /// # Errors
    /// If a field has no value that makes sense.
    pub fn parse(fields: &str) -> std::result::Result<Option<Self>, String> {
        let field = |name: &str| {
            let mut lines = fields.lines().filter_map(|line| line.split_once(':'));
            let value = lines.find(|(key, _)| *key == name)?.1.trim();
            (!value.is_empty()).then_some(value)
        };
        let named = field("Package").unwrap_or_default();
        let Some(package) = Package::ALL.into_iter().find(|it| it.name() == named) else {
            return Ok(None);
        };
        let version = field("Version").ok_or_else(|| format!("{named} has no Version"))?;
        let programs = match field("Kubernetes-Version") {
            Some(text) => text
                .parse()
                .map_err(|why| format!("Kubernetes-Version of {named}: {why}"))?,
            None => Version::FIRST,
        };
        let stored_format = match field("Stored-Format") {
            Some(text) => text
                .parse()
                .map_err(|_| format!("Stored-Format of {named} is no number: {text:?}"))?,
            None => 1,
        };
        Ok(Some(Self {
            package,
            version: version.to_owned(),
            programs,
            stored_format,
        }))
    }
}

/// A package in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// What it says of itself.
    pub description: Description,
}

/// The packages in files, and in the files of folders; those that aren't hardway's are refused.
///
/// # Errors
/// If a file is no package, or not one of hardway's.
pub fn read(paths: &[PathBuf]) -> Result<Vec<File>> {
    let mut files = Vec::new();
    for path in paths {
        match path.is_dir() {
            true => files.extend(debs_in(path)?),
            false => files.push(path.clone()),
        }
    }
    files.iter().map(|path| read_one(path)).collect()
}

fn debs_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let what = || format!("read the folder {}", folder.display());
    let entries = std::fs::read_dir(folder).map_err(|error| Failure::new(what(), error))?;
    let paths = entries.flatten().map(|entry| entry.path());
    let mut debs: Vec<PathBuf> = paths
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("hardway-") && name.ends_with(".deb")
        })
        .collect();
    debs.sort();
    match debs.is_empty() {
        true => Err(Failure::new(what(), "it has no hardway-*.deb")),
        false => Ok(debs),
    }
}

fn read_one(path: &Path) -> Result<File> {
    let what = || format!("read the package {}", path.display());
    let named = path.display().to_string();
    let arguments = [["--field", named.as_str()].as_slice(), &FIELDS].concat();
    let said = shell::run("dpkg-deb", &arguments)?;
    let description = Description::parse(&said).map_err(|why| Failure::new(what(), why))?;
    match description {
        Some(description) => Ok(File {
            path: std::path::absolute(path).map_err(|error| Failure::new(what(), error))?,
            description,
        }),
        None => Err(Failure::new(what(), "it is none of hardway's")),
    }
}

/// The packages that are installed on this host, half-installed ones too.
///
/// # Errors
/// If one says of itself what makes no sense.
pub fn installed() -> Result<Vec<Description>> {
    let format: String = FIELDS
        .iter()
        .map(|field| format!("{field}: ${{{field}}}\\n"))
        .chain(["Status: ${db:Status-Status}\\n".to_owned()])
        .collect();
    let format = format!("--showformat={format}");
    let mut all = Vec::new();
    for package in Package::ALL {
        // One that dpkg has never heard of is a failure of its.
        let Ok(said) = shell::run("dpkg-query", &["--show", &format, package.name()]) else {
            continue;
        };
        let is_there = !["not-installed", "config-files"]
            .iter()
            .any(|state| said.contains(&format!("Status: {state}\n")));
        let what = || format!("look at the installed {}", package.name());
        let description = Description::parse(&said).map_err(|why| Failure::new(what(), why))?;
        all.extend(description.filter(|_| is_there));
    }
    Ok(all)
}

/// Of the packages that are given those that take the place of what is installed.
///
/// # Errors
/// If one is missing or is there twice, or they aren't of one version.
pub fn choose(installed: &[Description], given: &[File]) -> std::result::Result<Vec<File>, String> {
    let roles = installed.iter().filter(|it| it.package != Package::Tool);
    if roles.count() == 0 {
        return Err(
            "neither hardway-control-plane nor hardway-node is installed here by dpkg".to_owned(),
        );
    }
    let mut chosen: Vec<File> = Vec::new();
    for it in installed {
        let name = it.package.name();
        let mut all = given
            .iter()
            .filter(|file| file.description.package == it.package);
        let (Some(file), None) = (all.next(), all.next()) else {
            return Err(format!(
                "{name} is installed here, so that one file of it must be among those to install"
            ));
        };
        if let Some(first) = chosen.first()
            && first.description.version != file.description.version
        {
            return Err(format!(
                "{} is of version {}, and {} of version {}: they must be of one",
                first.path.display(),
                first.description.version,
                file.path.display(),
                file.description.version
            ));
        }
        chosen.push(file.clone());
    }
    Ok(chosen)
}

/// What keeps programs from going on with what others have stored.
pub fn unreadable(installed: &[Description], next: &[Description]) -> Option<String> {
    let format = |of: &[Description]| of.iter().map(|it| it.stored_format).max().unwrap_or(1);
    let (now, then) = (format(installed), format(next));
    (then < now).then(|| {
        format!(
            "what is stored may be of format {now} already, which those packages can't read (they know {then} at most): restore the backup that was made before the upgrade instead"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(package: Package, version: &str, stored_format: u32) -> Description {
        Description {
            package,
            version: version.to_owned(),
            programs: Version::FIRST,
            stored_format,
        }
    }

    fn file(package: Package, version: &str) -> File {
        File {
            path: PathBuf::from(format!("{}_{version}.deb", package.name())),
            description: description(package, version, 1),
        }
    }

    #[test]
    fn packages_say_what_they_are() {
        let parse = Description::parse;
        let said = "Package: hardway-node\nVersion: 0.2.0~rc1\nKubernetes-Version: 1.33.0+hardway0.2.0\nStored-Format: 2\n";
        let read = parse(said).unwrap().unwrap();
        assert_eq!(read.package, Package::Node);
        assert_eq!(read.version, "0.2.0~rc1");
        assert_eq!(read.programs.to_string(), "v1.33.0+hardway0.2.0");
        assert_eq!(read.stored_format, 2);
        // One of before; dpkg-query prints fields that are missing as empty ones.
        let old =
            parse("Package: hardway-tool\nVersion: 0.1.0\nKubernetes-Version: \nStored-Format: \n");
        assert_eq!(old, Ok(Some(description(Package::Tool, "0.1.0", 1))));
        assert_eq!(parse("Package: bash\nVersion: 5\n"), Ok(None));
        assert_eq!(parse(""), Ok(None));
        assert!(parse("Package: hardway-node\nVersion: 1\nStored-Format: x\n").is_err());
        assert!(parse("Package: hardway-node\nVersion: 1\nKubernetes-Version: 1\n").is_err());
    }

    #[test]
    fn what_is_installed_is_replaced_as_a_whole() {
        let worker = [
            description(Package::Node, "0.1.0", 1),
            description(Package::Tool, "0.1.0", 1),
        ];
        let all: Vec<File> = Package::ALL.iter().map(|it| file(*it, "0.2.0")).collect();
        let chosen = choose(&worker, &all).unwrap();
        let names: Vec<_> = chosen.iter().map(|it| it.description.package).collect();
        assert_eq!(names, [Package::Node, Package::Tool]);

        let without_tool = [file(Package::Node, "0.2.0")];
        assert!(
            choose(&worker, &without_tool)
                .unwrap_err()
                .contains("hardway-tool")
        );
        let twice = [all.clone(), vec![file(Package::Node, "0.1.0")]].concat();
        assert!(
            choose(&worker, &twice)
                .unwrap_err()
                .contains("hardway-node")
        );
        let mixed = [file(Package::Node, "0.2.0"), file(Package::Tool, "0.3.0")];
        assert!(choose(&worker, &mixed).unwrap_err().contains("of one"));
        assert!(choose(&[], &all).is_err());
        assert!(choose(&worker[1..], &all).is_err(), "the tool alone");
    }

    #[test]
    fn nobody_goes_back_to_what_cannot_read_what_is_stored() {
        let of = |format| [description(Package::ControlPlane, "0.2.0", format)];
        assert_eq!(unreadable(&of(1), &of(1)), None);
        assert_eq!(unreadable(&of(1), &of(2)), None);
        let why = unreadable(&of(2), &of(1)).unwrap();
        assert!(why.contains("restore the backup"), "{why}");
    }
}
