//! Command-line flags.

use crate::eviction::threshold;
use crate::images::gc::Policy;
use crate::node::reserved::Reserved;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The port of the kubelet's API.
pub const PORT: u16 = 10250;

/// What the kubelet is told when it starts.
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "hardway-kubelet",
    version,
    args_override_self = true,
    about = "Runs the pods bound to this node"
)]
pub struct Flags {
    /// Flags that all components share.
    #[command(flatten)]
    pub common: hardway_client::flags::Common,
    /// Kubeconfig to join with: where --kubeconfig isn't there, or its certificate is not good, one
    /// is asked for with this, and --kubeconfig written.
    #[arg(long, value_name = "FILE")]
    pub bootstrap_kubeconfig: Option<PathBuf>,
    /// Folder for certificates that are asked for.
    #[arg(long, default_value = "/var/lib/kubelet/pki", value_name = "DIR")]
    pub cert_dir: PathBuf,
    /// Renews the certificate that was got with --bootstrap-kubeconfig before it ends.
    #[arg(long, requires = "bootstrap_kubeconfig")]
    pub rotate_certificates: bool,
    /// Asks for the certificate to serve with, and renews it before it ends and when the node's
    /// addresses change; instead of --tls-cert-file.
    #[arg(long)]
    pub rotate_server_certificates: bool,
    /// Keeps --client-ca-file as the cluster publishes its CA (ConfigMap kube-root-ca.crt of
    /// kube-system), has the kubeconfigs that are asked for name this file, and renews certificates
    /// when another CA signs.
    #[arg(long, requires = "rotate_certificates")]
    pub rotate_ca_file: bool,
    /// Folder in which this node's kube-proxy and flannel-lite find kubeconfigs and certificates that
    /// the kubelet asks for: DIR/kube-proxy/kubeconfig, DIR/flannel-lite/kubeconfig.
    #[arg(long, value_name = "DIR")]
    pub agent_cert_dir: Option<PathBuf>,
    /// Name of the node; the host's name if it isn't given.
    #[arg(long, value_name = "NAME")]
    pub hostname_override: Option<String>,
    /// Address of the node; that of the route to the apiserver if it isn't given.
    #[arg(long, value_name = "IP")]
    pub node_ip: Option<IpAddr>,
    /// Socket of the container runtime.
    #[arg(
        long,
        default_value = "unix:///run/containerd/containerd.sock",
        value_name = "ENDPOINT"
    )]
    pub container_runtime_endpoint: String,
    /// Directory for what belongs to pods: volumes, termination messages.
    #[arg(long, default_value = "/var/lib/hardway/kubelet", value_name = "DIR")]
    pub root_dir: PathBuf,
    /// Directory for the logs of pods.
    #[arg(long, default_value = "/var/log/pods", value_name = "DIR")]
    pub pod_logs_dir: PathBuf,
    /// Cgroup below which pods get theirs.
    #[arg(long, default_value = "/", value_name = "PATH")]
    pub cgroup_root: String,
    /// Who makes the cgroups of pods: `cgroupfs` (the kubelet) is the one way there is.
    #[arg(long, default_value = "cgroupfs", value_parser = cgroup_driver, value_name = "DRIVER")]
    pub cgroup_driver: String,
    /// Directory of static pods' manifests; made if it isn't there.
    #[arg(long, value_name = "DIR")]
    pub pod_manifest_path: Option<PathBuf>,
    /// Addresses of the cluster's DNS service; repeatable.
    #[arg(long, value_delimiter = ',', value_name = "IP")]
    pub cluster_dns: Vec<IpAddr>,
    /// Domain of the cluster.
    #[arg(long, default_value = "cluster.local", value_name = "DOMAIN")]
    pub cluster_domain: String,
    /// Resolver configuration that pods get from the node.
    #[arg(long, default_value = "/etc/resolv.conf", value_name = "FILE")]
    pub resolv_conf: PathBuf,
    /// How many pods the node runs at most.
    #[arg(long, default_value_t = 110, value_name = "N")]
    pub max_pods: u32,
    /// How many processes a pod may have; -1 for no limit.
    #[arg(long, default_value_t = -1, allow_hyphen_values = true, value_parser = clap::value_parser!(i64).range(-1..), value_name = "N")]
    pub pod_max_pids: i64,
    /// Gives containers that ask for no seccomp profile the runtime's own.
    #[arg(long)]
    pub seccomp_default: bool,
    /// Sysctls that pods may set although others could feel it: names, or patterns that end in `*`; repeatable.
    #[arg(long, value_delimiter = ',', value_name = "SYSCTL")]
    pub allowed_unsafe_sysctls: Vec<String>,
    /// Doesn't start where the kernel's settings are other than the kubelet counts on.
    #[arg(long)]
    pub protect_kernel_defaults: bool,
    /// How long all pods together may take to end when systemd shuts the host down, e.g. `30s`; at 0 the kubelet leaves them to systemd.
    #[arg(long, default_value = "0s", value_parser = duration, value_name = "DURATION")]
    pub shutdown_grace_period: Duration,
    /// How much of that is for critical pods, which end after all others.
    #[arg(long, default_value = "0s", value_parser = duration, value_name = "DURATION")]
    pub shutdown_grace_period_critical_pods: Duration,
    /// Directory where the CNI plugin host-local notes the addresses of pods.
    #[arg(long, default_value = "/var/lib/cni/networks/cbr0", value_name = "DIR")]
    pub cni_address_dir: PathBuf,
    /// Labels for the node when it registers: `key=value`, repeatable.
    #[arg(long, value_delimiter = ',', value_name = "LABEL")]
    pub node_labels: Vec<String>,
    /// Taints for the node when it registers: `key=value:effect`, repeatable.
    #[arg(long, value_delimiter = ',', value_name = "TAINT")]
    pub register_with_taints: Vec<String>,
    /// What is kept from pods for Kubernetes' own processes: `cpu=200m,memory=256Mi,ephemeral-storage=1Gi,pid=1000`. The memory and disk that eviction keeps free come on top.
    #[arg(long, default_value = "", value_parser = Reserved::parse, value_name = "RESOURCES")]
    pub kube_reserved: Reserved,
    /// What is kept from pods for the rest of the system, in the same way.
    #[arg(long, default_value = "", value_parser = Reserved::parse, value_name = "RESOURCES")]
    pub system_reserved: Reserved,
    /// What must be left, lest pods are evicted at once: `SIGNAL<AMOUNT,…` with the signals memory.available, nodefs.available, nodefs.inodesFree, imagefs.available, imagefs.inodesFree and pid.available; amounts are quantities or percentages.
    #[arg(long, default_value = threshold::DEFAULT_HARD, value_name = "THRESHOLDS")]
    pub eviction_hard: String,
    /// What must be left, lest pods are evicted after a while.
    #[arg(long, default_value = "", value_name = "THRESHOLDS")]
    pub eviction_soft: String,
    /// For how long there may be less than --eviction-soft says: `SIGNAL=DURATION,…`.
    #[arg(long, default_value = "", value_name = "PERIODS")]
    pub eviction_soft_grace_period: String,
    /// How much more than a threshold is to be left when pods have gone: `SIGNAL=AMOUNT,…`.
    #[arg(long, default_value = "", value_name = "AMOUNTS")]
    pub eviction_minimum_reclaim: String,
    /// How many seconds a pod has to end at most that goes for --eviction-soft; what it asks for if this is negative.
    #[arg(
        long,
        default_value_t = 0,
        allow_hyphen_values = true,
        value_name = "SECONDS"
    )]
    pub eviction_max_pod_grace_period: i64,
    /// For how long the node is said to be under pressure after its cause has gone.
    #[arg(long, default_value = "5m", value_parser = duration, value_name = "DURATION")]
    pub eviction_pressure_transition_period: Duration,
    /// How containers get CPUs of their own: `none` is the one way there is.
    #[arg(long, default_value = "none", value_parser = no_manager, value_name = "POLICY")]
    pub cpu_manager_policy: String,
    /// How containers get memory of their own: `None` is the one way there is.
    #[arg(long, default_value = "None", value_parser = no_manager, value_name = "POLICY")]
    pub memory_manager_policy: String,
    /// How what containers get lies together: `none` is the one way there is.
    #[arg(long, default_value = "none", value_parser = no_manager, value_name = "POLICY")]
    pub topology_manager_policy: String,
    /// Percentage of the disk of images in use from which on images that nobody uses are removed; 100 for never.
    #[arg(long, default_value_t = 85, value_name = "PERCENT")]
    pub image_gc_high_threshold: u64,
    /// Percentage down to which they are removed.
    #[arg(long, default_value_t = 80, value_name = "PERCENT")]
    pub image_gc_low_threshold: u64,
    /// How long an image is kept at least.
    #[arg(long, default_value = "2m", value_parser = duration, value_name = "DURATION")]
    pub minimum_image_ttl_duration: Duration,
    /// How long an image that nobody uses is kept at most, even where there is room; 0 for no limit.
    #[arg(long, default_value = "0s", value_parser = duration, value_name = "DURATION")]
    pub image_maximum_gc_age: Duration,
    /// Largest size of a container's log before it is rotated, in bytes.
    #[arg(long, default_value_t = 10 << 20, value_name = "BYTES")]
    pub container_log_max_size: u64,
    /// How many files of a container's log are kept.
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub container_log_max_files: usize,
}

impl Flags {
    /// What is kept from pods in all.
    pub fn reserved(&self) -> Reserved {
        self.kube_reserved + self.system_reserved
    }

    /// When images are collected.
    ///
    /// # Errors
    /// See [`Policy::new`].
    pub fn image_policy(&self) -> Result<Policy, String> {
        Policy::new(
            self.image_gc_high_threshold,
            self.image_gc_low_threshold,
            self.minimum_image_ttl_duration,
            self.image_maximum_gc_age,
        )
    }

    /// What must be left of the node's resources.
    ///
    /// # Errors
    /// See [`threshold::parse`].
    pub fn thresholds(&self) -> Result<Vec<threshold::Threshold>, String> {
        threshold::parse(threshold::Texts {
            hard: &self.eviction_hard,
            soft: &self.eviction_soft,
            soft_grace_period: &self.eviction_soft_grace_period,
            minimum_reclaim: &self.eviction_minimum_reclaim,
        })
    }

    /// How many processes a pod may have, if that is limited.
    pub fn pids_limit(&self) -> Option<i64> {
        (self.pod_max_pids > 0).then_some(self.pod_max_pids)
    }
}

/// A duration as Go writes it: `30s`, `1m30s`, `0`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let parsed: jiff::SignedDuration = text.parse().map_err(|e| format!("{e}"))?;
    Duration::try_from(parsed).map_err(|_| "must not be negative".into())
}

fn no_manager(policy: &str) -> Result<String, String> {
    match policy.eq_ignore_ascii_case("none") {
        true => Ok(policy.into()),
        false => Err("containers share the node's CPUs and memory: must be none".into()),
    }
}

fn cgroup_driver(text: &str) -> Result<String, String> {
    match text {
        "cgroupfs" => Ok(text.into()),
        "systemd" => Err("the kubelet makes pods' cgroups itself; use cgroupfs, and SystemdCgroup = false in containerd's configuration".into()),
        _ => Err("must be cgroupfs".into()),
    }
}

impl Flags {
    /// The node's name.
    ///
    /// # Errors
    /// If the host has none.
    pub fn node_name(&self) -> std::io::Result<String> {
        match &self.hostname_override {
            Some(name) => Ok(name.to_lowercase()),
            None => host_name(),
        }
    }
}

/// The host's name, in lower case.
fn host_name() -> std::io::Result<String> {
    let name = nix::unistd::gethostname()?;
    Ok(name.to_string_lossy().trim().to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for wrong in ["30", "-1s", "soon", ""] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn managers_that_are_not_there_are_refused() {
        assert!(no_manager("none").is_ok() && no_manager("None").is_ok());
        assert!(no_manager("static").unwrap_err().contains("must be none"));
    }

    #[test]
    fn a_driver_that_is_not_there_is_refused_with_the_way_out() {
        assert!(cgroup_driver("cgroupfs").is_ok());
        assert!(
            cgroup_driver("systemd")
                .unwrap_err()
                .contains("SystemdCgroup = false")
        );
        assert!(cgroup_driver("other").is_err());
    }
}
