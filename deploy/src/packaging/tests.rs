//! Packages out of programs that do nothing: what dpkg and systemd make of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;
use crate::packaging::deb::Build;
use crate::shell;

fn sources(folder: &Path) -> Sources {
    let binaries = folder.join("binaries");
    fs::create_dir_all(&binaries).unwrap();
    for program in Package::ALL.iter().flat_map(|it| it.programs()) {
        let path = binaries.join(program);
        let script = "#!/bin/sh\necho Does nothing.\necho '      --flag <X>  With it'\n";
        shell::write_program(&path, script);
        // Whatever the build left: the package's modes are its own.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    }
    let images = folder.join("images.tar");
    fs::write(&images, "images").unwrap();
    Sources {
        deploy: PathBuf::from(env!("CARGO_MANIFEST_DIR")),
        binaries,
        images,
    }
}

fn a_build() -> Build {
    Build {
        version: "1.2.3".to_owned(),
        architecture: "amd64".to_owned(),
        libc: "2.36".to_owned(),
        is_hasty: false,
    }
}

/// Mode and owner of everything in a package, by path.
fn listing(deb: &Path) -> BTreeMap<String, (String, String)> {
    let said = shell::run("dpkg-deb", &["--contents", &deb.display().to_string()]).unwrap();
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let path = words[5].trim_start_matches("./").to_owned();
        (path, (words[0].to_owned(), words[1].to_owned()))
    };
    said.lines().map(line).collect()
}

#[test]
fn packages_are_what_debian_expects() {
    let folder = tempfile::tempdir().unwrap();
    let sources = sources(folder.path());
    let mut owners: BTreeMap<String, Package> = BTreeMap::new();
    for package in Package::ALL {
        let out = folder.path().join("out");
        let deb = deb::build(package, &sources, &a_build(), folder.path(), &out).unwrap();
        let name = package.name();
        assert_eq!(deb, out.join(format!("{name}_1.2.3_amd64.deb")));
        let files = listing(&deb);
        for (path, (mode, owner)) in &files {
            assert_eq!(owner, "root/root", "{path}");
            let expected = match () {
                () if path.is_empty() || path.ends_with('/') => "drwxr-xr-x",
                () if path.starts_with("usr/bin/") => "-rwxr-xr-x",
                () => "-rw-r--r--",
            };
            assert_eq!(mode, expected, "{path}");
            assert!(!path.starts_with("usr/local/"), "{path}");
            // A file is in one package.
            if !path.ends_with('/') && !path.is_empty() {
                assert_eq!(owners.insert(path.clone(), package), None, "{path}");
            }
        }
        for program in package.programs() {
            assert!(
                files.contains_key(&format!("usr/bin/{program}")),
                "{program}"
            );
        }
        for document in ["copyright", "changelog.gz"] {
            let path = format!("usr/share/doc/{name}/{document}");
            assert!(files.contains_key(&path), "{path}");
        }
        // Nothing is enabled before `init` or `join`.
        assert!(!files.keys().any(|path| path.contains(".wants/")));
    }
    // Every program is explained, and completed.
    for program in Package::ALL.iter().flat_map(|it| it.programs()) {
        let is_for_users = Package::Tool.programs().contains(program);
        let section = if is_for_users { 1 } else { 8 };
        let page = format!("usr/share/man/man{section}/{program}.{section}.gz");
        assert!(owners.contains_key(&page), "{page}");
        let completions = format!("usr/share/bash-completion/completions/{program}");
        assert!(owners.contains_key(&completions), "{completions}");
    }
    assert!(owners.contains_key("usr/share/man/man1/hardway-token-create.1.gz"));
    assert_eq!(owners["usr/share/hardway/images.tar"], Package::Node);
}

#[test]
fn dependencies_and_settings_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let sources = sources(folder.path());
    let deb = deb::build(
        Package::Node,
        &sources,
        &a_build(),
        folder.path(),
        folder.path(),
    )
    .unwrap();
    let deb = deb.display().to_string();
    let field = |name: &str| shell::run("dpkg-deb", &["--field", &deb, name]).unwrap();
    let depends = field("Depends");
    let depends: BTreeSet<&str> = depends
        .trim()
        .split(", ")
        .map(|it| it.split(' ').next().unwrap_or_default())
        .collect();
    for package in [
        "containerd",
        "runc",
        "containernetworking-plugins",
        "nftables",
        "conntrack",
    ] {
        assert!(depends.contains(package), "{package}");
    }
    assert!(field("Depends").contains("hardway-tool (= 1.2.3)"));
    let synopsis = field("Description");
    let synopsis = synopsis.lines().next().unwrap();
    assert!(
        synopsis.len() < 80 && !synopsis.ends_with('.'),
        "{synopsis}"
    );

    let control = folder.path().join("control");
    let target = control.display().to_string();
    shell::run("dpkg-deb", &["--control", &deb, &target]).unwrap();
    let conffiles = shell::read_text(&control.join("conffiles")).unwrap();
    let conffiles: Vec<&str> = conffiles.lines().collect();
    assert_eq!(
        conffiles,
        [
            "/etc/default/hardway-flannel-lite",
            "/etc/default/hardway-proxy",
            "/etc/default/hardway-kubelet",
        ]
    );
    for script in ["postinst", "prerm", "postrm"] {
        let path = control.join(script);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755, "{script}");
    }
}

#[test]
fn scripts_are_sound_and_stop_and_restart_every_unit() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let text = shell::read_text(&path).unwrap();
        assert!(text.starts_with("#!/bin/sh\n"), "{}", path.display());
        assert!(text.contains("\nset -e\n"), "{}", path.display());
        shell::run("sh", &["-n", &path.display().to_string()]).unwrap();
    }
    for package in [Package::ControlPlane, Package::Node] {
        for script in ["postinst", "prerm"] {
            let path = folder.join(format!("{}.{script}", package.name()));
            let text = shell::read_text(&path).unwrap();
            for unit in package.units() {
                assert!(text.contains(unit), "{}: {unit}", path.display());
            }
        }
    }
}

#[test]
fn a_tarball_installs_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let sources = sources(folder.path());
    let path = tarball::build(&sources, &a_build(), folder.path(), folder.path()).unwrap();
    let file = fs::File::open(path).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let mut paths = BTreeSet::new();
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let header = entry.header();
        assert_eq!(header.uid().unwrap(), 0, "{path}");
        let is_program = path.contains("/usr/bin/") && header.entry_type().is_file();
        assert!(
            !is_program || header.mode().unwrap() & 0o777 == 0o755,
            "{path}"
        );
        paths.insert(path);
    }
    let root = "hardway-1.2.3-amd64";
    for package in Package::ALL {
        for file in package.files(&sources).unwrap() {
            let path = format!("{root}/{}/{}", package.name(), file.path);
            assert!(paths.contains(&path), "{path}");
        }
    }
    assert!(paths.contains(&format!("{root}/install.sh")));
    for script in ["postinst", "prerm", "postrm"] {
        assert!(paths.contains(&format!("{root}/scripts/hardway-node.{script}")));
    }
}

/// A root with the files of a package, the programs its units start, and the units of
/// Debian they refer to.
fn host(package: Package, folder: &Path) -> PathBuf {
    let root = folder.join("root");
    let sources = sources(folder);
    let mut files = package.files(&sources).unwrap();
    let program = |path: &str| File {
        mode: 0o755,
        ..File::text(path, "#!/bin/sh\n")
    };
    files.extend(
        ["etcd", "containerd", "ctr", "hardway", "systemd-tmpfiles"]
            .map(|name| program(&format!("usr/bin/{name}"))),
    );
    let unit = "[Service]\nExecStart=/usr/bin/true\n";
    files.push(program("usr/bin/true"));
    for name in ["etcd.service", "containerd.service"] {
        files.push(File::text(&format!("usr/lib/systemd/system/{name}"), unit));
    }
    let of_systemd = Path::new("/usr/lib/systemd/system");
    for entry in fs::read_dir(of_systemd).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".target") || name.ends_with(".slice") {
            let at = format!("usr/lib/systemd/system/{name}");
            files.push(File::copy(&at, of_systemd.join(name), 0o644));
        }
    }
    for file in files {
        file.write(&root).unwrap();
    }
    root
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units_of_a_role() {
    for package in [Package::ControlPlane, Package::Node] {
        let folder = tempfile::tempdir().unwrap();
        let root = host(package, folder.path());
        let output = Command::new("systemd-analyze")
            .args(["verify", "--man=no", "--root"])
            .arg(&root)
            .args(package.units())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{said}");
    }
}

#[test]
fn units_are_as_confined_as_they_can_be() {
    // What `systemd-analyze security` says of them: the lower, the less a broken one can do.
    let bounds = [
        (Package::ControlPlane, "hardway-etcd.service", 1.5),
        (Package::ControlPlane, "hardway-apiserver.service", 1.5),
        (
            Package::ControlPlane,
            "hardway-controller-manager.service",
            2.0,
        ),
        (Package::ControlPlane, "hardway-scheduler.service", 1.5),
        (Package::ControlPlane, "hardway-certificates.service", 2.0),
        (Package::Node, "hardway-proxy.service", 2.0),
        (Package::Node, "hardway-flannel-lite.service", 2.5),
        (Package::Node, "hardway-kubelet.service", 6.0),
    ];
    for package in [Package::ControlPlane, Package::Node] {
        let folder = tempfile::tempdir().unwrap();
        let root = host(package, folder.path());
        for (_, unit, bound) in bounds.iter().filter(|it| it.0 == package) {
            let root = root.display().to_string();
            let said = shell::run(
                "systemd-analyze",
                &[
                    "security",
                    "--offline=true",
                    "--no-pager",
                    "--root",
                    &root,
                    unit,
                ],
            )
            .unwrap();
            let line = said
                .lines()
                .find(|line| line.contains("Overall exposure level"));
            let level: f64 = line
                .and_then(|line| line.split_whitespace().find_map(|word| word.parse().ok()))
                .unwrap_or_else(|| panic!("{said}"));
            assert!(level <= *bound, "{unit}: {level}\n{said}");
        }
    }
}

/// What packages say of their programs is what the programs say of themselves.
#[test]
fn versions_are_those_of_the_programs() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (kubernetes, hardway) = KUBERNETES_VERSION.split_once("+hardway").unwrap();
    assert_eq!(hardway, env!("CARGO_PKG_VERSION"));
    let says = |file: &str, text: &str| {
        let source = shell::read_text(&repository.join(file)).unwrap();
        assert!(source.contains(text), "{file} has no {text}");
    };
    let api_server = format!("concat!(\"v{kubernetes}+hardway\", env!(\"CARGO_PKG_VERSION\"))");
    says("apiserver/src/rest/documents.rs", &api_server);
    says("kubelet/src/node/status.rs", &format!("\"v{kubernetes}\""));
}

#[test]
fn packages_say_what_an_upgrade_asks() {
    let folder = tempfile::tempdir().unwrap();
    let sources = sources(folder.path());
    let out = folder.path().join("out");
    let deb = deb::build(Package::Node, &sources, &a_build(), folder.path(), &out).unwrap();
    let read = crate::upgrade::packages::read(std::slice::from_ref(&out)).unwrap();
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].path, deb);
    let description = &read[0].description;
    assert_eq!(description.package, Package::Node);
    assert_eq!(description.version, "1.2.3");
    assert_eq!(description.programs, KUBERNETES_VERSION.parse().unwrap());
    assert_eq!(description.stored_format, STORED_FORMAT);
    fs::write(out.join("hardway-x.deb"), "no package").unwrap();
    assert!(crate::upgrade::packages::read(&[out]).is_err());
}
