//! What every controller is given.

use hardway_client::Client;
use hardway_client::events::Recorder;
use ipnetwork::IpNetwork;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Settings from the command line.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Where nodes' pod subnets come from; `None`: somebody else allocates them.
    pub cluster_cidr: Option<IpNetwork>,
    /// Size of a node's subnet, as a prefix length.
    pub node_cidr_mask_size: u8,
    /// The CA that is published in every namespace.
    pub root_ca_file: Option<PathBuf>,
    /// The key that signs the tokens of service accounts kept in Secrets;
    /// `None`: such Secrets stay as they are.
    pub service_account_private_key_file: Option<PathBuf>,
    /// CA certificate and key with which signing requests are signed.
    pub signing: Option<(PathBuf, PathBuf)>,
    /// How long signed certificates are valid at most.
    pub signing_duration: Duration,
    /// Whether nodes get serving certificates for their own names and
    /// addresses without a person's approval.
    pub approve_kubelet_serving: bool,
    /// How long a node may be silent before it counts as unreachable.
    pub node_monitor_grace_period: Duration,
}

/// The client and settings; cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// The apiserver.
    pub client: Client,
    /// Settings from the command line.
    pub settings: Arc<Settings>,
}

impl Context {
    /// A recorder whose events are signed by one controller.
    pub fn recorder(&self, component: &str) -> Recorder {
        Recorder::new(self.client.clone(), component, None)
    }
}
