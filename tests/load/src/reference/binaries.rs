//! Programs of a folder, hardway's or Kubernetes', and with which flags they do the same work.

use super::authority::Authority;
use crate::failure::Failure;
use std::path::{Path, PathBuf};

/// Whose programs they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// Ours, called `hardway-apiserver` and so on.
    Hardway,
    /// Kubernetes' own, called `kube-apiserver` and so on.
    Kubernetes,
}

/// A folder with an API server in it, and perhaps a scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// Whose they are.
    pub maker: Maker,
    /// The API server.
    pub apiserver: PathBuf,
    /// The scheduler.
    pub scheduler: Option<PathBuf>,
}

impl Binaries {
    /// Looks into a folder.
    ///
    /// # Errors
    /// If there is no API server, or one of each.
    pub fn find(folder: &Path) -> Result<Self, Failure> {
        let file = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
        let what = || format!("look for an API server in {}", folder.display());
        let found = match (file("hardway-apiserver"), file("kube-apiserver")) {
            (Some(apiserver), None) => Self {
                maker: Maker::Hardway,
                apiserver,
                scheduler: file("hardway-scheduler"),
            },
            (None, Some(apiserver)) => Self {
                maker: Maker::Kubernetes,
                apiserver,
                scheduler: file("kube-scheduler"),
            },
            (None, None) => {
                let why = "there is neither a hardway-apiserver nor a kube-apiserver";
                let way_out = "build hardway's:  cargo build --release -p hardway-apiserver -p hardway-scheduler";
                return Err(Failure::new(what(), why, way_out));
            }
            (Some(_), Some(_)) => {
                let why = "there is a hardway-apiserver and a kube-apiserver";
                let way_out = "give each maker's programs a folder of their own";
                return Err(Failure::new(what(), why, way_out));
            }
        };
        Ok(found)
    }

    /// The API server's command line: on an etcd, on a port of the loopback.
    pub fn apiserver_arguments(&self, authority: &Authority, etcd: &str, port: u16) -> Vec<String> {
        let file = |name: &str| authority.file(name).display().to_string();
        let mut arguments = vec![
            format!("--etcd-servers={etcd}"),
            format!("--etcd-cafile={}", file("ca.crt")),
            format!("--etcd-certfile={}", file("admin.crt")),
            format!("--etcd-keyfile={}", file("admin.key")),
            format!("--tls-cert-file={}", file("server.crt")),
            format!("--tls-private-key-file={}", file("server.key")),
            format!("--client-ca-file={}", file("ca.crt")),
            format!("--service-account-signing-key-file={}", file("sa.key")),
            "--service-account-issuer=https://kubernetes.default.svc".into(),
            "--service-cluster-ip-range=10.96.0.0/16".into(),
            "--authorization-mode=Node,RBAC".into(),
            "--bind-address=127.0.0.1".into(),
            format!("--secure-port={port}"),
            // No controller makes the accounts of namespaces.
            "--disable-admission-plugins=ServiceAccount".into(),
        ];
        match self.maker {
            Maker::Hardway => arguments.push("--log-level=warn".into()),
            Maker::Kubernetes => {
                let key = format!("--service-account-key-file={}", file("sa.pub"));
                arguments.push(key);
            }
        }
        arguments
    }

    /// The scheduler's command line, which has no leader to elect; its health is served on a
    /// port of the loopback.
    pub fn scheduler_arguments(&self, kubeconfig: &Path, ca: &Path, port: u16) -> Vec<String> {
        let mut arguments = vec![
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--client-ca-file={}", ca.display()),
            "--leader-elect=false".into(),
            "--bind-address=127.0.0.1".into(),
            format!("--secure-port={port}"),
        ];
        match self.maker {
            Maker::Hardway => arguments.push("--log-level=warn".into()),
            // By default it asks 50 times a second at most, which would be all that is
            // measured; scheduler_perf raises the bounds likewise.
            Maker::Kubernetes => arguments.extend([
                "--authentication-skip-lookup=true".into(),
                "--kube-api-qps=5000".into(),
                "--kube-api-burst=5000".into(),
            ]),
        }
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_programs_they_are_is_told_by_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let nothing = Binaries::find(folder.path()).unwrap_err();
        assert!(nothing.to_string().contains("neither"), "{nothing}");
        std::fs::write(file("kube-apiserver"), "").unwrap();
        let kubernetes = Binaries {
            maker: Maker::Kubernetes,
            apiserver: file("kube-apiserver"),
            scheduler: None,
        };
        assert_eq!(Binaries::find(folder.path()).unwrap(), kubernetes);
        std::fs::write(file("hardway-apiserver"), "").unwrap();
        assert!(Binaries::find(folder.path()).is_err());
        std::fs::remove_file(file("kube-apiserver")).unwrap();
        std::fs::write(file("hardway-scheduler"), "").unwrap();
        let found = Binaries::find(folder.path()).unwrap();
        assert_eq!(found.maker, Maker::Hardway);
        assert_eq!(found.scheduler, Some(file("hardway-scheduler")));
    }
}
