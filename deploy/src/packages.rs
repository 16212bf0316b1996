//! The Debian packages the lab stands on, and installing those that are missing.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::failure::{Failure, OrFail, Result};
use crate::shell;

/// How the presence of a package shows.
enum Sign {
    /// A program in PATH.
    Program(&'static str),
    /// A file.
    File(&'static str),
    /// The static C library, in one of the compiler's folders.
    StaticLibrary,
    /// A busybox that needs no dynamic loader.
    StaticBusybox,
}

/// What a cluster's hosts and images stand on.
const TO_RUN: &[(&str, Sign)] = &[
    ("etcd-server", Sign::Program("etcd")),
    ("etcd-client", Sign::Program("etcdctl")),
    ("containerd", Sign::Program("containerd")),
    ("runc", Sign::Program("runc")),
    (
        "containernetworking-plugins",
        Sign::File("/usr/lib/cni/bridge"),
    ),
    ("nftables", Sign::Program("nft")),
    ("iptables", Sign::Program("iptables")),
    ("conntrack", Sign::Program("conntrack")),
    ("iproute2", Sign::Program("ip")),
    ("util-linux", Sign::Program("nsenter")),
    ("docker-registry", Sign::Program("docker-registry")),
    ("busybox-static", Sign::StaticBusybox),
    // Redis' server is in it under this name; the package redis-server would start one.
    ("redis-tools", Sign::Program("redis-check-rdb")),
];

/// What building hardway, its packages and its images needs besides.
const TO_BUILD: &[(&str, Sign)] = &[
    ("systemd", Sign::Program("systemd-analyze")),
    ("gcc", Sign::Program("cc")),
    ("libc6-dev", Sign::StaticLibrary),
    // The allocator of the larger processes is built with it.
    ("make", Sign::Program("make")),
    ("protobuf-compiler", Sign::Program("protoc")),
    (
        "libprotobuf-dev",
        Sign::File("/usr/include/google/protobuf/any.proto"),
    ),
];

/// What boots hosts with systemd, and reads the Vagrantfile; only the suite `hosts` needs it.
const FOR_HOSTS: &[(&str, Sign)] = &[
    ("debootstrap", Sign::Program("debootstrap")),
    ("systemd-container", Sign::Program("systemd-nspawn")),
    ("vagrant", Sign::Program("vagrant")),
];

/// What drives the dashboard's page; only the suite `dashboard` needs it.
const FOR_BROWSER: &[(&str, Sign)] = &[
    ("nodejs", Sign::Program("node")),
    ("npm", Sign::Program("npm")),
    ("chromium", Sign::Program("chromium")),
];

/// Programs that Kubernetes' tests call within the image agnhost.
const FOR_CONFORMANCE: &[(&str, Sign)] = &[
    ("curl", Sign::Program("curl")),
    ("bind9-dnsutils", Sign::Program("dig")),
    ("netcat-openbsd", Sign::Program("nc.openbsd")),
    ("wget", Sign::Program("wget")),
];

/// Packages that are not there.
fn missing(of: &[&[(&'static str, Sign)]]) -> Vec<&'static str> {
    of.iter()
        .copied()
        .flatten()
        .filter(|(_, sign)| !present(sign))
        .map(|(package, _)| *package)
        .collect()
}

fn present(sign: &Sign) -> bool {
    match sign {
        Sign::Program(name) => shell::find_program(name).is_some(),
        Sign::File(path) => Path::new(path).exists(),
        Sign::StaticLibrary => shell::run("cc", &["-print-file-name=libc.a"])
            .is_ok_and(|path| Path::new(path.trim()).is_absolute()),
        Sign::StaticBusybox => shell::find_program("busybox")
            .and_then(|path| std::fs::read(path).ok())
            .is_some_and(|program| is_static(&program)),
    }
}

/// Whether an ELF program names no dynamic loader (`/lib/ld-…`, `/lib64/ld-…`).
/// The name, if any, stands right behind the program headers.
fn is_static(program: &[u8]) -> bool {
    let head = &program[..program.len().min(4096)];
    program.starts_with(b"\x7fELF")
        && !head
            .windows(5)
            .any(|bytes| bytes == b"/lib/" || bytes == b"/lib6")
}

/// Installs what is missing to build and run clusters, or says with which command to do so.
pub fn ensure() -> Result<String> {
    install(&[TO_RUN, TO_BUILD])
}

/// The same for what running clusters takes.
pub fn ensure_to_run() -> Result<String> {
    install(&[TO_RUN])
}

/// The same for what boots hosts with systemd.
pub fn ensure_for_hosts() -> Result<String> {
    install(&[FOR_HOSTS])
}

/// The same for what drives the dashboard's page.
pub fn ensure_for_browser() -> Result<String> {
    install(&[FOR_BROWSER])
}

/// The same for the images of Kubernetes' tests.
pub fn ensure_for_conformance() -> Result<String> {
    install(&[FOR_CONFORMANCE])
}

fn install(packages: &[&[(&'static str, Sign)]]) -> Result<String> {
    let wanted = missing(packages);
    if wanted.is_empty() {
        return Ok("all there".to_owned());
    }
    let list = wanted.join(" ");
    let command = format!("apt-get install --yes --no-install-recommends {list}");
    let refuse = |why: String| {
        Err(Failure::new(format!("missing packages: {list}"), why)
            .way_out(format!("run this and try again:  sudo {command}")))
    };
    if shell::find_program("apt-get").is_none() {
        return refuse("this machine has no apt-get; install their equivalents".to_owned());
    }
    if !nix::unistd::geteuid().is_root() {
        return refuse("only root may install packages".to_owned());
    }
    // Package lists may be absent or stale; then one update helps.
    if apt(&command).is_err()
        && let Err(failure) = apt("apt-get update").and_then(|()| apt(&command))
    {
        return refuse(failure.why);
    }
    match missing(packages).as_slice() {
        [] => Ok(format!("installed {list}")),
        rest => refuse(format!(
            "still missing after installation: {}",
            rest.join(" ")
        )),
    }
}

fn apt(command: &str) -> Result<()> {
    let mut words = command.split(' ');
    let output = Command::new(words.next().unwrap_or("apt-get"))
        .args(words)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .or_fail(|| command)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(
        command,
        said.lines().last().unwrap_or("it failed"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_a_loader_is_not_static() {
        assert!(is_static(b"\x7fELF........code"));
        assert!(!is_static(b"\x7fELF..../lib64/ld-linux-x86-64.so.2"));
        assert!(!is_static(b"#!/bin/sh"));
    }
}
