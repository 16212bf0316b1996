//! Whose certificates and kubeconfigs are where in a lab's folder.
//!
//! Those of the control plane's first host and of all nodes are in `pki` and `kubeconfig`. Each
//! further host of the control plane has a folder of its name in both, as a real one has its own
//! /etc/hardway: the CAs and the key of service accounts are the same there, the certificates
//! are its own.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::Lab;
use crate::failure::{OrFail, Result};
use crate::pki::{self, CLUSTER_CA, ETCD_CA, FRONT_PROXY_CA, Pki, Renewed};
use crate::plan::{Host, Role};
use crate::{encryption, kubeconfig, shell};

/// What all hosts of the control plane have in common, and how it may be read.
const SHARED: [(&str, u32); 8] = [
    ("ca.crt", 0o644),
    ("ca.key", 0o600),
    ("etcd-ca.crt", 0o644),
    ("etcd-ca.key", 0o600),
    ("front-proxy-ca.crt", 0o644),
    ("front-proxy-ca.key", 0o600),
    ("sa.pub", 0o644),
    ("sa.key", 0o600),
];

/// A folder of certificates.
#[derive(Debug, Clone)]
pub struct Folder {
    /// The certificates and keys in it.
    pub pki: Pki,
    /// Whose they are. A further host of the control plane that is a node, too, is here as a
    /// worker in the common folder, and as a control plane in its own.
    pub hosts: Vec<Host>,
}

impl Lab {
    /// The certificates of what a host of the control plane runs as such.
    pub fn control_plane_pki(&self, host: &Host) -> Pki {
        Pki::new(&self.of_control_plane("pki", host))
    }

    /// Folder of the kubeconfigs of what a host of the control plane runs as such.
    pub fn control_plane_kubeconfigs(&self, host: &Host) -> PathBuf {
        self.of_control_plane("kubeconfig", host)
    }

    fn of_control_plane(&self, kind: &str, host: &Host) -> PathBuf {
        match *host == self.plan.control_plane() {
            true => self.folder.join(kind),
            false => self.folder.join(kind).join(&host.name),
        }
    }

    /// All folders of certificates, the common one first.
    pub fn identities(&self) -> Vec<Folder> {
        let as_role = |host: &Host, role| Host {
            role,
            ..host.clone()
        };
        let further = self.plan.control_planes().split_off(1);
        let mut common = vec![self.plan.control_plane()];
        let nodes = further.iter().filter(|host| host.role.runs_pods());
        common.extend(nodes.map(|host| as_role(host, Role::Worker)));
        common.extend(self.plan.workers());
        let mut all = vec![Folder {
            pki: self.pki(),
            hosts: common,
        }];
        all.extend(further.iter().map(|host| Folder {
            pki: self.control_plane_pki(host),
            hosts: vec![as_role(host, Role::ControlPlane)],
        }));
        all
    }
}

/// Makes the lab's certificates, keys and kubeconfigs exist; says how many were issued.
pub fn ensure(lab: &Lab) -> Result<String> {
    let mut issued = Vec::new();
    for (at, folder) in lab.identities().iter().enumerate() {
        if at > 0 {
            copy_shared(lab, &folder.pki)?;
        }
        issued.push(folder.pki.ensure(&folder.hosts, SystemTime::now())?);
    }
    encryption::ensure(&lab.encryption())?;
    ensure_kubeconfigs(lab)?;
    Ok(issued.join(", "))
}

/// Issues anew, good for `life`, the certificates that are due, or `every` one.
pub fn renew(lab: &Lab, now: SystemTime, life: Duration, every: bool) -> Result<Vec<Renewed>> {
    let mut done = Vec::new();
    for (at, folder) in lab.identities().iter().enumerate() {
        if at > 0 {
            copy_shared(lab, &folder.pki)?;
        }
        let leaves = pki::leaves(&folder.hosts);
        let renewed = folder.pki.renew(&leaves, now, life, every)?.into_iter();
        let is_ca = |it: &Renewed| [CLUSTER_CA, ETCD_CA, FRONT_PROXY_CA].contains(&&*it.file);
        // Of the CAs there are copies, which need no second mention.
        done.extend(
            renewed
                .filter(|it| at == 0 || !is_ca(it))
                .map(|it| Renewed {
                    file: match (at, folder.hosts.first()) {
                        (1.., Some(host)) => format!("{}/{}", host.name, it.file),
                        _ => it.file,
                    },
                    ..it
                }),
        );
    }
    ensure_kubeconfigs(lab)?;
    Ok(done)
}

fn copy_shared(lab: &Lab, to: &Pki) -> Result<()> {
    let from = lab.folder.join("pki");
    for (name, mode) in SHARED {
        let file = from.join(name);
        let content = fs::read(&file).or_fail(|| format!("read {}", file.display()))?;
        // Any path of the folder says where it is.
        let copy = to.certificate(CLUSTER_CA).with_file_name(name);
        shell::write_file(&copy, &content, mode)?;
    }
    Ok(())
}

/// Each component begins with one apiserver: that of its own host, or else they are shared out.
/// The administrator has a context for each.
fn ensure_kubeconfigs(lab: &Lab) -> Result<()> {
    let control_planes = lab.plan.control_planes();
    let cluster = kubeconfig::CLUSTER_NAME;
    for (at, host) in lab.plan.hosts().iter().enumerate() {
        let nearest = match host.role.is_control_plane() {
            true => host,
            false => &control_planes[at % control_planes.len()],
        };
        let server = kubeconfig::server(nearest);
        for name in kubeconfig::components(host) {
            let (folder, pki) = match kubeconfig::OF_CONTROL_PLANE.contains(&name.as_str()) {
                true => (
                    lab.control_plane_kubeconfigs(host),
                    lab.control_plane_pki(host),
                ),
                false => (lab.kubeconfigs(), lab.pki()),
            };
            kubeconfig::write_component(&folder, &pki, cluster, &server, &name)?;
        }
    }
    kubeconfig::write_administrator(&lab.kubeconfigs(), &lab.pki(), cluster, &control_planes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    #[test]
    fn every_host_of_the_control_plane_has_its_own_certificates_by_the_same_cas() {
        let root = tempfile::tempdir().unwrap();
        let mut lab = crate::components::tests::lab();
        lab.folder = root.path().to_owned();
        lab.plan = Plan {
            control_planes: 3,
            ..Plan::of_lab(0, 2)
        };
        ensure(&lab).unwrap();
        let read = |path: PathBuf| fs::read_to_string(path).unwrap();
        let hosts = lab.plan.control_planes();
        let (first, second) = (
            lab.control_plane_pki(&hosts[0]),
            lab.control_plane_pki(&hosts[1]),
        );
        for name in ["ca", "etcd-ca", "front-proxy-ca"] {
            assert_eq!(read(first.key(name)), read(second.key(name)), "{name}");
        }
        assert_eq!(read(first.key("sa")), read(second.key("sa")));
        for name in ["apiserver", "etcd-server", "scheduler"] {
            assert_ne!(read(first.key(name)), read(second.key(name)), "{name}");
        }
        let text = read(
            lab.control_plane_kubeconfigs(&hosts[2])
                .join("scheduler.kubeconfig"),
        );
        assert!(
            text.contains("server: https://10.88.0.203:6443\n"),
            "{text}"
        );
        assert!(
            text.contains("pki/control-plane-3/scheduler.key\"\n"),
            "{text}"
        );
        // Once more changes nothing.
        let before = read(second.certificate("apiserver"));
        ensure(&lab).unwrap();
        assert_eq!(read(second.certificate("apiserver")), before);
        let done = renew(&lab, SystemTime::now(), pki::YEAR, true).unwrap();
        assert!(
            done.iter()
                .any(|it| it.is_new && it.file == "control-plane-3/apiserver")
        );
        assert_ne!(read(second.certificate("apiserver")), before);
    }

    #[test]
    fn nodes_of_the_control_plane_are_nodes_in_the_common_folder() {
        let mut lab = crate::components::tests::lab();
        lab.plan = Plan {
            cluster: Some("dev".to_owned()),
            control_planes: 3,
            ..Plan::of_lab(0, 1)
        };
        let folders = lab.identities();
        let files = |folder: &Folder| -> Vec<String> {
            pki::leaves(&folder.hosts)
                .into_iter()
                .map(|leaf| leaf.file)
                .collect()
        };
        assert_eq!(folders.len(), 3);
        let common = files(&folders[0]);
        for node in ["dev", "dev-m02", "dev-m03", "dev-m04"] {
            assert!(common.contains(&format!("kubelet-{node}")), "{node}");
        }
        assert_eq!(common.iter().filter(|file| *file == "apiserver").count(), 1);
        let own = files(&folders[1]);
        assert!(
            own.contains(&"apiserver".to_owned()) && !own.contains(&"kubelet-dev-m02".to_owned())
        );
    }
}
