//! A program of this machine as part of an image: with the shared libraries it
//! needs and their loader, each where the program looks for it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::oci::Entry;
use crate::failure::{Failure, OrFail, Result};

/// The program, at a path of the image, and everything it is linked with. A
/// program that is linked statically comes alone.
pub fn entries(program: &Path, at: &str) -> Result<Vec<Entry>> {
    let mut files = vec![(at.trim_start_matches('/').to_owned(), program.to_owned())];
    for library in libraries(program)? {
        let path = library.display().to_string();
        files.push((path.trim_start_matches('/').to_owned(), library));
    }
    let mut entries: Vec<Entry> = folders(files.iter().map(|(path, _)| path.as_str()))
        .iter()
        .map(|folder| Entry::folder(folder, 0o755))
        .collect();
    for (path, from) in &files {
        let content = fs::read(from).or_fail(|| format!("read {}", from.display()))?;
        entries.push(Entry::file(path, content, 0o755));
    }
    Ok(entries)
}

/// The folders above some paths, outer ones first.
fn folders<'a>(paths: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    paths
        .flat_map(|path| Path::new(path).ancestors().skip(1))
        .filter(|folder| !folder.as_os_str().is_empty())
        .map(|folder| folder.display().to_string())
        .collect()
}

/// What the loader of this machine would load for a program, and the loader.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let what = || format!("find the libraries of {}", program.display());
    let output = Command::new("ldd")
        .arg(program)
        .stdin(Stdio::null())
        .env("LC_ALL", "C")
        // A toolchain's own libraries are not where an image would have them.
        .env_remove("LD_LIBRARY_PATH")
        .env_remove("LD_PRELOAD")
        .output()
        .or_fail(what)?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        parse(&String::from_utf8_lossy(&output.stdout)).map_err(|missing| {
            Failure::new(what(), format!("{missing} is not on this machine"))
                .way_out("install the Debian package that has it")
        })
    } else if said.contains("not a dynamic executable") {
        Ok(Vec::new())
    } else {
        Err(Failure::new(what(), said.trim()))
    }
}

/// The paths in what `ldd` printed, or the first library that is missing.
fn parse(printed: &str) -> std::result::Result<Vec<PathBuf>, String> {
    let mut paths = Vec::new();
    for line in printed.lines().map(str::trim) {
        let (name, place) = line.split_once(" => ").unwrap_or(("", line));
        if place.starts_with("not found") {
            return Err(name.to_owned());
        }
        let path = place.split(" (").next().unwrap_or_default();
        // What has no path is the kernel's, or says that there is nothing.
        if path.starts_with('/') {
            paths.push(PathBuf::from(path));
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_off_what_the_loader_says() {
        let printed = "\tlinux-vdso.so.1 (0x00007ffd)\n\
                       \tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f1d)\n\
                       \t/lib64/ld-linux-x86-64.so.2 (0x00007f2d)\n";
        let paths = [
            "/lib/x86_64-linux-gnu/libm.so.6",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(parse(printed).unwrap(), paths.map(PathBuf::from));
        assert!(parse("\tstatically linked\n").unwrap().is_empty());
        let missing = parse("\tlibx.so.1 => not found\n").unwrap_err();
        assert_eq!(missing, "libx.so.1");
    }

    #[test]
    fn folders_come_before_what_is_in_them() {
        let made = folders(["usr/bin/x", "lib/a/b.so"].into_iter());
        let made: Vec<&str> = made.iter().map(String::as_str).collect();
        assert_eq!(made, ["lib", "lib/a", "usr", "usr/bin"]);
    }

    #[test]
    fn a_program_brings_its_loader_along() {
        let this = std::env::current_exe().unwrap();
        let entries = entries(&this, "/usr/local/bin/this").unwrap();
        assert!(entries.len() > 5, "{}", entries.len());
    }
}
