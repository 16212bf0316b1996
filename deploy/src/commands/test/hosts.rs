//! What the suite `hosts` needs: an installed Debian 12 that its hosts are copies of, with
//! the packages on which hardway's depend at hand. Hosts have no way to the outside.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::end_to_end::{ignored_tests, without_tests};
use super::run_tests::{self, Show};
use crate::commands::package;
use crate::compile::{self, Profile};
use crate::failure::{Failure, OrFail, Result};
use crate::images::{archive, content};
use crate::packages;
use crate::progress::Progress;
use crate::shell;

/// Name of the suite.
pub const SUITE: &str = "hosts";

const RELEASE: &str = "bookworm";

/// What an installed Debian has, and debootstrap's smallest variant has not.
const STANDARD: &str = "ca-certificates,curl,dbus,iproute2,kmod,openssl,procps,systemd-sysv";

/// What hardway's processes stand on.
const DEPENDENCIES: &[&str] = &[
    "conntrack",
    "containerd",
    "containernetworking-plugins",
    "etcd-client",
    "etcd-server",
    "iptables",
    "nftables",
    "runc",
];

/// Hosts are thrown away: dpkg needn't wait for the disk with each file.
const DPKG: &str = "force-unsafe-io";

/// Prepares everything and runs the suite.
pub fn run(debug: bool, arguments: &[String]) -> Result<()> {
    let progress = Progress::new();
    progress.step("Debian packages for hosts", packages::ensure_for_hosts)?;
    let folder = compile::binaries(Profile::Release)?.with_file_name("hosts");
    let debian = folder.join("debian");
    progress.step("a Debian to boot", || ensure_debian(&debian))?;
    let packages = folder.with_file_name("packages");
    package::run(&package::Options::of_tests(debug))?;
    progress.step("images", || images(&folder))?;
    let mut command = ignored_tests(SUITE, arguments)?;
    command
        .env("HARDWAY_HOSTS", &folder)
        .env("HARDWAY_PACKAGES", &packages);
    let report = run_tests::run(command, Show::AtOnce)?;
    if !report.succeeded {
        return Err(Failure::new(
            "run the tests on hosts",
            "tests failed; the output above tells which",
        ));
    }
    without_tests(&report, arguments)
}

/// The images that hosts would pull if they could, as an archive.
fn images(folder: &Path) -> Result<String> {
    let images = content::all(&compile::image_programs()?)?;
    let written: Vec<_> = images
        .iter()
        .map(|image| image.write(&folder.join("images")))
        .collect::<Result<_>>()?;
    archive::write(&written, &folder.join("images.tar"))?;
    Ok(written.len().to_string())
}

/// Installs a Debian into a folder, unless it is there.
fn ensure_debian(folder: &Path) -> Result<String> {
    let recipe = format!("{RELEASE} {STANDARD} {} {DPKG}\n", DEPENDENCIES.join(","));
    let made = folder.with_extension("recipe");
    if fs::read_to_string(&made).is_ok_and(|recorded| recorded == recipe) {
        return Ok("there".to_owned());
    }
    let what = || format!("make {}", folder.display());
    for left in [folder, &made] {
        if left.is_dir() {
            fs::remove_dir_all(left).or_fail(what)?;
        } else if left.exists() {
            fs::remove_file(left).or_fail(what)?;
        }
    }
    shell::make_directory(folder)?;
    let mirrors = mirrors()?;
    let path = folder.display().to_string();
    shell::run(
        "debootstrap",
        &[
            "--variant=minbase",
            &format!("--include={STANDARD}"),
            RELEASE,
            &path,
            &mirrors.main,
        ],
    )?;
    let write = |name: &str, text: &str| {
        shell::write_file(&folder.join("etc/apt").join(name), text.as_bytes(), 0o644)
    };
    write("sources.list", &mirrors.sources())?;
    write("apt.conf.d/90machine", &fetching()?)?;
    let dpkg = folder.join("etc/dpkg/dpkg.cfg.d/90tests");
    shell::write_file(&dpkg, DPKG.as_bytes(), 0o644)?;
    let resolver = folder.join("etc/resolv.conf");
    fs::copy("/etc/resolv.conf", &resolver).or_fail(what)?;
    apt(folder, &["update"])?;
    let install = [
        "install",
        "--yes",
        "--no-install-recommends",
        "--download-only",
    ];
    apt(folder, &[install.as_slice(), DEPENDENCIES].concat())?;
    fs::remove_file(&resolver).or_fail(what)?;
    shell::write_file(&made, recipe.as_bytes(), 0o644)?;
    Ok(format!("installed in {path}"))
}

/// Where this machine gets Debian's packages from.
#[derive(Debug, PartialEq, Eq)]
struct Mirrors {
    main: String,
    security: Option<String>,
}

impl Mirrors {
    /// From lines `LABEL|URI`.
    fn parse(targets: &str) -> Option<Self> {
        let mut by_label: BTreeMap<&str, &str> = targets
            .lines()
            .filter_map(|line| line.split_once('|'))
            .collect();
        Some(Self {
            main: by_label.remove("Debian")?.to_owned(),
            security: by_label.remove("Debian-Security").map(str::to_owned),
        })
    }

    /// The `sources.list` of a host.
    fn sources(&self) -> String {
        let main = format!("deb {} {RELEASE} main\n", self.main);
        let security = self
            .security
            .iter()
            .map(|mirror| format!("deb {mirror} {RELEASE}-security main\n"));
        std::iter::once(main).chain(security).collect()
    }
}

fn mirrors() -> Result<Mirrors> {
    let targets = shell::run(
        "apt-get",
        &[
            "indextargets",
            "--format",
            "$(LABEL)|$(REPO_URI)",
            "Created-By: Packages",
        ],
    )?;
    Mirrors::parse(&targets).ok_or_else(|| {
        Failure::new(
            "find a mirror of Debian",
            "this machine's apt has no source of Debian's packages, or never fetched its lists",
        )
        .way_out("add one to /etc/apt/sources.list, and run apt-get update")
    })
}

/// This machine's settings for fetching (proxies, for example), as an apt configuration.
fn fetching() -> Result<String> {
    let all = shell::run("apt-config", &["dump"])?;
    let lines = all.lines().filter(|line| line.starts_with("Acquire::"));
    Ok(lines.map(|line| format!("{line}\n")).collect())
}

fn apt(folder: &Path, arguments: &[&str]) -> Result<()> {
    let what = || format!("apt-get {} in {}", arguments.join(" "), folder.display());
    let output = Command::new("chroot")
        .arg(folder)
        .arg("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .or_fail(what)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(what(), said.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_those_of_the_machine() {
        let targets = "Other|http://other.example/\n\
                       Debian|http://a.example/debian/\n\
                       Debian-Security|http://b.example/security/\n";
        let mirrors = Mirrors::parse(targets).unwrap();
        assert_eq!(
            mirrors.sources(),
            "deb http://a.example/debian/ bookworm main\n\
             deb http://b.example/security/ bookworm-security main\n"
        );
        let without = Mirrors::parse("Debian|http://a.example/debian/\n").unwrap();
        assert_eq!(
            without.sources(),
            "deb http://a.example/debian/ bookworm main\n"
        );
        assert_eq!(Mirrors::parse("Other|http://other.example/\n"), None);
    }
}
