//! Real hosts under systemd: what a cluster is like, what a host must have before it
//! becomes a part of one, and the steps that make it one.

use std::path::{Path, PathBuf};

use crate::http::Identity;
use crate::pki::{CLUSTER_CA, Pki};

pub mod apiserver_lease;
pub mod clock;
pub mod cluster;
pub mod control_plane;
pub mod departure;
pub mod discovery;
pub mod env;
pub mod etcd_env;
pub mod facts;
pub mod host_ports;
pub mod kubernetes;
pub mod preflight;
pub mod shared_keys;
pub mod steps;
pub mod systemd;
pub mod token;

/// Where the kubelet keeps the certificate it got, with its key.
pub const NODE_CERTIFICATE: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";

/// Where things are on a host, below the root of its file system.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout of the host with this root.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// A path of the host, seen from here.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The root itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether this host is the one that runs the tool: only then processes can be started.
    pub fn is_running(&self) -> bool {
        self.root == Path::new("/")
    }

    /// Where settings, keys and kubeconfigs are.
    pub fn etc(&self) -> PathBuf {
        self.path("etc/hardway")
    }

    /// Keys and certificates.
    pub fn pki(&self) -> Pki {
        Pki::new(&self.etc().join("pki"))
    }

    /// The host's node, as which its kubelet asks.
    pub fn node(&self) -> Identity {
        Identity {
            ca: self.pki().certificate(CLUSTER_CA),
            certificate: self.path(NODE_CERTIFICATE),
            key: self.path(NODE_CERTIFICATE),
        }
    }

    /// Kubeconfigs.
    pub fn kubeconfigs(&self) -> PathBuf {
        self.etc().join("kubeconfig")
    }

    /// What a joining node asks for its first certificates with.
    pub fn bootstrap_kubeconfig(&self) -> PathBuf {
        self.kubeconfigs().join("bootstrap.kubeconfig")
    }
}
