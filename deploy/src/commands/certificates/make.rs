//! `hardway certificates make`: for a cluster on real hosts, a folder for each host
//! with what belongs into its /etc/hardway, and nothing else.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anstream::println;

use crate::encryption;
use crate::failure::{Failure, OrFail, Result};
use crate::host::env;
use crate::kubeconfig;
use crate::pki::{self, CLUSTER_CA, ETCD_CA, FRONT_PROXY_CA, Pki};
use crate::plan::{self, Host, Role};
use crate::shell;

/// Where hosts keep their certificates and kubeconfigs.
const INSTALLED: &str = "/etc/hardway";

/// What must be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Host of the control plane
    #[arg(long, value_name = "NAME=ADDRESS", value_parser = host)]
    pub control_plane: (String, Ipv4Addr),
    /// A worker host; repeat it for each
    #[arg(long = "worker", value_name = "NAME=ADDRESS", value_parser = host)]
    pub workers: Vec<(String, Ipv4Addr)>,
    /// Folder to write to; CAs in it are used again
    #[arg(long, value_name = "FOLDER")]
    pub out: PathBuf,
}

fn host(text: &str) -> std::result::Result<(String, Ipv4Addr), String> {
    let (name, address) = text.split_once('=').ok_or("it must be NAME=ADDRESS")?;
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    if name.is_empty() || !name.chars().all(fits) {
        return Err("a host's name has lower-case letters, digits, '-' and '.' only".to_owned());
    }
    let address = address
        .parse()
        .map_err(|_| format!("{address} is no IPv4 address"))?;
    Ok((name.to_owned(), address))
}

/// Writes them.
pub fn run(options: &Options) -> Result<()> {
    let make = |(name, address): &(String, Ipv4Addr), role| Host {
        name: name.clone(),
        role,
        address: *address,
        namespace: String::new(),
        link: String::new(),
        cgroup: String::new(),
        mac: String::new(),
    };
    let mut hosts = vec![make(&options.control_plane, Role::ControlPlane)];
    hosts.extend(
        options
            .workers
            .iter()
            .map(|worker| make(worker, Role::Worker)),
    );

    let all = options.out.join("all");
    let pki = Pki::new(&all.join("pki"));
    let done = pki.ensure(&hosts, SystemTime::now())?;
    encryption::ensure(&all.join(encryption::FILE))?;
    let installed = Pki::new(&Path::new(INSTALLED).join("pki"));
    kubeconfig::ensure(
        &all.join("kubeconfig"),
        &pki,
        &installed,
        &hosts,
        kubeconfig::CLUSTER_NAME,
    )?;
    for host in &hosts {
        let folder = options.out.join(&host.name);
        for file in files(host) {
            copy(&all.join(&file), &folder.join(&file))?;
        }
        let variables = variables(host);
        let variables: Vec<(&str, &str)> = variables
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        env::ensure_host(&folder, &variables)?;
        env::write_cluster(&folder, &plan::cluster_variables())?;
        println!("{}: copy to {}:{INSTALLED}", folder.display(), host.name);
    }
    println!(
        "certificates: {done}; keep {} safe, its keys rule the cluster",
        all.display()
    );
    println!(
        "kubectl: export KUBECONFIG={}",
        all.join("kubeconfig/admin.kubeconfig").display()
    );
    Ok(())
}

/// What a host's units are told: its address, and, on a worker, that its processes have
/// certificates and needn't ask for them.
fn variables(host: &Host) -> Vec<(&'static str, String)> {
    let mut all = vec![("ADDRESS", host.address.to_string())];
    if host.role == Role::Worker {
        let name = &host.name;
        for (variable, client, server) in [
            (
                "KUBELET_IDENTITY",
                format!("kubelet-{name}"),
                format!("kubelet-{name}-serving"),
            ),
            (
                "PROXY_IDENTITY",
                format!("kube-proxy-{name}"),
                format!("kube-proxy-{name}"),
            ),
            (
                "FLANNEL_LITE_IDENTITY",
                format!("flannel-lite-{name}"),
                format!("flannel-lite-{name}"),
            ),
        ] {
            all.push((
                variable,
                format!(
                    "--kubeconfig={INSTALLED}/kubeconfig/{client}.kubeconfig --tls-cert-file={INSTALLED}/pki/{server}.crt --tls-private-key-file={INSTALLED}/pki/{server}.key"
                ),
            ));
        }
    }
    all
}

/// What a host needs: its own identities, and of the CAs what it must sign with.
fn files(host: &Host) -> Vec<String> {
    let mut names = vec![format!("pki/{CLUSTER_CA}.crt")];
    let own = pki::leaves(std::slice::from_ref(host));
    for leaf in own.iter().filter(|leaf| leaf.file != "admin") {
        names.push(format!("pki/{}.crt", leaf.file));
        names.push(format!("pki/{}.key", leaf.file));
    }
    if host.role == Role::ControlPlane {
        names.push(format!("pki/{CLUSTER_CA}.key"));
        names.push(format!("pki/{ETCD_CA}.crt"));
        names.push(format!("pki/{FRONT_PROXY_CA}.crt"));
        names.extend(["pki/sa.key", "pki/sa.pub", encryption::FILE].map(str::to_owned));
    }
    names.extend(
        kubeconfig::components(host)
            .iter()
            .map(|name| format!("kubeconfig/{name}.kubeconfig")),
    );
    names
}

/// Copies a file; keys stay readable by their owner alone.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let content = fs::read(from).or_fail(|| format!("read {}", from.display()))?;
    let public = from
        .extension()
        .is_some_and(|ending| ending == "crt" || ending == "pub");
    if content.is_empty() {
        return Err(Failure::new(
            format!("copy {}", from.display()),
            "it is empty",
        ));
    }
    shell::write_file(to, &content, if public { 0o644 } else { 0o600 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_gets_its_own_keys_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let worker = |n: u8| (format!("node-{n}"), Ipv4Addr::new(192, 168, 0, n));
        run(&Options {
            control_plane: ("master".to_owned(), Ipv4Addr::new(192, 168, 0, 9)),
            workers: vec![worker(1), worker(2)],
            out: folder.path().to_owned(),
        })
        .unwrap();
        let mut found: Vec<String> = fs::read_dir(folder.path().join("node-1/pki"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".key"))
            .collect();
        found.sort();
        let own = [
            "flannel-lite-node-1.key",
            "kube-proxy-node-1.key",
            "kubelet-node-1-serving.key",
        ];
        assert_eq!(found[..3], own);
        assert_eq!(found[3..], ["kubelet-node-1.key"]);
        assert!(folder.path().join("master/encryption.yaml").exists());
        assert!(!folder.path().join("node-1/encryption.yaml").exists());
        let settings = shell::read_text(&folder.path().join("node-1/host.env")).unwrap();
        assert!(settings.contains("\nADDRESS=192.168.0.1\n"), "{settings}");
        let proxy =
            "\nPROXY_IDENTITY=--kubeconfig=/etc/hardway/kubeconfig/kube-proxy-node-1.kubeconfig ";
        assert!(settings.contains(proxy), "{settings}");
        let kubelet = folder
            .path()
            .join("node-1/kubeconfig/kubelet-node-1.kubeconfig");
        let text = shell::read_text(&kubelet).unwrap();
        assert!(text.contains("server: https://192.168.0.9:6443\n"));
        assert!(text.contains("client-key: \"/etc/hardway/pki/kubelet-node-1.key\"\n"));
    }

    #[test]
    fn hosts_are_checked_before_anything_is_written() {
        assert_eq!(host("a=10.0.0.1").unwrap().1, Ipv4Addr::new(10, 0, 0, 1));
        for bad in ["a", "=10.0.0.1", "A=10.0.0.1", "a=10.0.0", "../a=10.0.0.1"] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }
}
