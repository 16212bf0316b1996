//! What every controller is given.

use crate::horizontal_pod_autoscaler;
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
    /// How many finished pods stay before the oldest are deleted; zero or less: all.
    pub terminated_pod_gc_threshold: i32,
    /// How often autoscalers look at metrics, and what they make of them.
    pub autoscaling: horizontal_pod_autoscaler::Settings,
}

/// A duration as Go writes it.
///
/// # Errors
/// If it isn't one, or is negative.
pub fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<jiff::SignedDuration>().ok();
    let parsed = parsed.and_then(|duration| Duration::try_from(duration).ok());
    parsed.ok_or_else(|| format!("{text:?} is no duration such as 30s or 1h30m"))
}

/// The same, of a second or more.
///
/// # Errors
/// If it is less, or no duration.
pub fn at_least_a_second(text: &str) -> Result<Duration, String> {
    match duration(text) {
        Ok(duration) if duration >= Duration::from_secs(1) => Ok(duration),
        _ => Err(format!(
            "{text:?} is no duration of a second or more such as 8760h or 1h30m"
        )),
    }
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
