//! Kubeconfig files: for the components with paths to their certificates, so a
//! renewed one is picked up; for the administrator with everything inside, so
//! the file can be carried elsewhere.

pub mod file;
mod lines;
pub mod merge;

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::failure::{Failure, OrFail, Result};
use crate::pki::{CLUSTER_CA, Pki};
use crate::plan::{API_PORT, Host};
use crate::shell;

/// Name of the cluster in kubeconfigs, where it has no other.
pub const CLUSTER_NAME: &str = "hardway";

/// The components of the control plane that talk to the API, named as their certificates.
pub const OF_CONTROL_PLANE: [&str; 2] = ["controller-manager", "scheduler"];

/// Writes the kubeconfigs of a cluster with these hosts into a folder. The
/// components' ones name the certificates where they are `installed`.
pub fn ensure(
    folder: &Path,
    pki: &Pki,
    installed: &Pki,
    hosts: &[Host],
    cluster: &str,
) -> Result<()> {
    let server = hosts
        .iter()
        .find(|host| host.role.is_control_plane())
        .map(server)
        .ok_or_else(|| Failure::new("write kubeconfigs", "no host is the control plane"))?;
    for name in hosts.iter().flat_map(components) {
        write_component(folder, installed, cluster, &server, &name)?;
    }
    let is_control_plane = |host: &&Host| host.role.is_control_plane();
    let control_planes: Vec<Host> = hosts.iter().filter(is_control_plane).cloned().collect();
    write_administrator(folder, pki, cluster, &control_planes)
}

/// Writes a component's kubeconfig into a folder. It names the certificates where they are
/// `installed`.
pub fn write_component(
    folder: &Path,
    installed: &Pki,
    cluster: &str,
    server: &str,
    name: &str,
) -> Result<()> {
    let path = |path: PathBuf| format!(": {}", quoted(&path.display().to_string()));
    let text = document(
        &[Context {
            name: format!("{name}@{cluster}"),
            cluster: cluster.to_owned(),
            server: server.to_owned(),
        }],
        name,
        &path(installed.certificate(CLUSTER_CA)),
        &path(installed.certificate(name)),
        &path(installed.key(name)),
    );
    let file = folder.join(format!("{name}.kubeconfig"));
    shell::write_file(&file, text.as_bytes(), 0o600)
}

/// Writes the administrator's kubeconfig into a folder. Its current context leads to the first
/// of the control plane's hosts; each of the others has a context of its name.
pub fn write_administrator(
    folder: &Path,
    pki: &Pki,
    cluster: &str,
    control_planes: &[Host],
) -> Result<()> {
    let data = |path: PathBuf| {
        let content = std::fs::read(&path).or_fail(|| format!("read {}", path.display()))?;
        Ok(format!("-data: {}", STANDARD.encode(content)))
    };
    let contexts: Vec<Context> = control_planes
        .iter()
        .enumerate()
        .map(|(at, host)| {
            let (name, cluster) = match at {
                0 => (format!("kubernetes-admin@{cluster}"), cluster.to_owned()),
                _ => (host.name.clone(), format!("{cluster}-{}", host.name)),
            };
            let server = server(host);
            Context {
                name,
                cluster,
                server,
            }
        })
        .collect();
    let text = document(
        &contexts,
        "kubernetes-admin",
        &data(pki.certificate(CLUSTER_CA))?,
        &data(pki.certificate("admin"))?,
        &data(pki.key("admin"))?,
    );
    shell::write_file(&folder.join("admin.kubeconfig"), text.as_bytes(), 0o600)
}

/// What a person's own kubeconfig gets of a cluster: everything inside, so that it works
/// wherever it is carried.
pub fn entry(pki: &Pki, control_plane: &Host, name: &str) -> Result<merge::Entry> {
    let data = |path: PathBuf| {
        let content = std::fs::read(&path).or_fail(|| format!("read {}", path.display()))?;
        Ok(STANDARD.encode(content))
    };
    Ok(merge::Entry {
        name: name.to_owned(),
        server: server(control_plane),
        ca: data(pki.certificate(CLUSTER_CA))?,
        certificate: data(pki.certificate("admin"))?,
        key: data(pki.key("admin"))?,
    })
}

/// Where the API is.
pub fn server(control_plane: &Host) -> String {
    format!("https://{}:{API_PORT}", control_plane.address)
}

/// The components of a host that talk to the API, named as their certificates.
pub fn components(host: &Host) -> Vec<String> {
    let mut names = Vec::new();
    if host.role.is_control_plane() {
        names.extend(OF_CONTROL_PLANE.map(str::to_owned));
    }
    if host.role.runs_pods() {
        let of_node = ["kubelet", "kube-proxy", "flannel-lite"];
        names.extend(of_node.map(|component| format!("{component}-{}", host.name)));
    }
    names
}

/// A way to a cluster.
struct Context {
    name: String,
    cluster: String,
    server: String,
}

/// A kubeconfig whose first context is the current one; the last three arguments follow the
/// names of their fields.
fn document(contexts: &[Context], user: &str, ca: &str, certificate: &str, key: &str) -> String {
    let clusters: String = contexts
        .iter()
        .map(
            |Context {
                 cluster, server, ..
             }| {
                format!(
                    "- name: {cluster}
  cluster:
    server: {server}
    certificate-authority{ca}
"
                )
            },
        )
        .collect();
    let lines: String = contexts
        .iter()
        .map(|Context { name, cluster, .. }| {
            format!(
                "- name: {name}
  context:
    cluster: {cluster}
    user: {user}
"
            )
        })
        .collect();
    let current = contexts.first().map_or("", |context| &context.name);
    format!(
        "apiVersion: v1
kind: Config
clusters:
{clusters}users:
- name: {user}
  user:
    client-certificate{certificate}
    client-key{key}
contexts:
{lines}current-context: {current}
"
    )
}

/// A YAML string; JSON's quoting is valid YAML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::plan::Plan;

    #[test]
    fn components_refer_to_files_and_the_administrator_carries_data() {
        let folder = tempfile::tempdir().unwrap();
        let hosts = Plan::of_lab(0, 1).hosts();
        let pki = Pki::new(&folder.path().join("pki"));
        pki.ensure(&hosts, SystemTime::now()).unwrap();
        ensure(folder.path(), &pki, &pki, &hosts, CLUSTER_NAME).unwrap();
        let kubelet = shell::read_text(&folder.path().join("kubelet-worker-1.kubeconfig")).unwrap();
        assert!(kubelet.contains("server: https://10.88.0.10:6443\n"));
        assert!(kubelet.contains("pki/kubelet-worker-1.key\"\n"));
        let admin = shell::read_text(&folder.path().join("admin.kubeconfig")).unwrap();
        let data = admin
            .split("client-certificate-data: ")
            .nth(1)
            .unwrap()
            .lines()
            .next()
            .unwrap();
        let pem = String::from_utf8(STANDARD.decode(data).unwrap()).unwrap();
        assert_eq!(pem, shell::read_text(&pki.certificate("admin")).unwrap());
    }
}
