//! Flags, under kube-apiserver's names; all of them are checked before
//! anything is opened.

use crate::aggregation::identity;
use crate::aggregation::remote::FrontProxy;
use crate::client_ca::Published;
use crate::pipeline::{Network, Seats};
use crate::store::encryption::{Configuration, Encryption};
use hardway_access::{Admission, audit};
use hardway_client::channel::Kept;
use hardway_client::kubeconfig::Pem;
use hardway_client::{logging, tls};
use hardway_proto::duration;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Serves the Kubernetes API from etcd.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "hardway-apiserver", version, args_override_self = true, about)]
pub struct Flags {
    /// URLs of the etcd servers, with commas between them; the first one is asked as long as it
    /// answers. Other members are learned from them.
    #[arg(long, required = true, value_delimiter = ',', value_name = "URL")]
    pub etcd_servers: Vec<String>,
    /// File to keep the URLs of etcd's members in, so that it can be started with any of them;
    /// `etcd-servers` in systemd's STATE_DIRECTORY, if that is set.
    #[arg(long, value_name = "FILE")]
    pub etcd_servers_file: Option<PathBuf>,
    /// CA that signed etcd's certificate.
    #[arg(long, value_name = "FILE")]
    pub etcd_cafile: Option<PathBuf>,
    /// Certificate to show to etcd.
    #[arg(long, value_name = "FILE", requires = "etcd_keyfile")]
    pub etcd_certfile: Option<PathBuf>,
    /// Private key of that certificate.
    #[arg(long, value_name = "FILE", requires = "etcd_certfile")]
    pub etcd_keyfile: Option<PathBuf>,
    /// How objects are encrypted in etcd: an EncryptionConfiguration. Not at all by default.
    #[arg(long, value_name = "FILE")]
    pub encryption_provider_config: Option<PathBuf>,
    /// Follow that file when it changes.
    #[arg(
        long,
        default_value_t = false,
        action = clap::ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        requires = "encryption_provider_config"
    )]
    pub encryption_provider_config_automatic_reload: bool,
    /// Certificate to serve with.
    #[arg(long, value_name = "FILE")]
    pub tls_cert_file: PathBuf,
    /// Private key of that certificate.
    #[arg(long, value_name = "FILE")]
    pub tls_private_key_file: PathBuf,
    /// CA that clients' certificates must chain to.
    #[arg(long, value_name = "FILE")]
    pub client_ca_file: PathBuf,
    /// Accept the tokens with which nodes join: Secrets of kube-system of the type
    /// bootstrap.kubernetes.io/token.
    #[arg(
        long,
        default_value_t = false,
        action = clap::ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub enable_bootstrap_token_auth: bool,
    /// Keys that verify service account tokens; repeatable. The signing key by default.
    #[arg(long, value_name = "FILE")]
    pub service_account_key_file: Vec<PathBuf>,
    /// Key that signs service account tokens.
    #[arg(long, value_name = "FILE")]
    pub service_account_signing_key_file: Option<PathBuf>,
    /// Issuer of service account tokens.
    #[arg(
        long,
        default_value = "https://kubernetes.default.svc.cluster.local",
        value_name = "URL"
    )]
    pub service_account_issuer: String,
    /// Audiences of the API; the issuer by default.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub api_audiences: Vec<String>,
    /// Address that other members of the cluster reach this server at.
    #[arg(long, value_name = "IP")]
    pub advertise_address: Option<Ipv4Addr>,
    /// CA that has signed the certificates of the other apiservers; by default --client-ca-file.
    #[arg(long, value_name = "FILE")]
    pub peer_ca_file: Option<PathBuf>,
    /// For how long requests are still taken after it was told to stop, while clients and
    /// balancers go elsewhere, e.g. 5s. It is not ready meanwhile.
    #[arg(long, default_value = "0s", value_name = "DURATION", value_parser = go_duration)]
    pub shutdown_delay_duration: Duration,
    /// Address to listen on.
    #[arg(long, default_value = "0.0.0.0", value_name = "IP")]
    pub bind_address: IpAddr,
    /// Port to listen on; 0 picks a free one.
    #[arg(long, default_value_t = 6443, value_name = "PORT")]
    pub secure_port: u16,
    /// Network of the Services' cluster IPs.
    #[arg(long, default_value = "10.96.0.0/16", value_name = "NETWORK")]
    pub service_cluster_ip_range: Network,
    /// Ports for NodePort Services.
    #[arg(long, default_value = "30000-32767", value_name = "FROM-TO", value_parser = port_range)]
    pub service_node_port_range: RangeInclusive<u16>,
    /// How requests are authorized. Only this is known.
    #[arg(long, default_value = "Node,RBAC", value_parser = ["Node,RBAC"])]
    pub authorization_mode: String,
    /// Admission plugins to switch on beside the default ones.
    #[arg(long, value_delimiter = ',', value_name = "PLUGIN", value_parser = plugin)]
    pub enable_admission_plugins: Vec<String>,
    /// Default admission plugins to switch off.
    #[arg(long, value_delimiter = ',', value_name = "PLUGIN", value_parser = plugin)]
    pub disable_admission_plugins: Vec<String>,
    /// File to write the audit log to; none by default.
    #[arg(long, value_name = "FILE")]
    pub audit_log_path: Option<PathBuf>,
    /// What the audit log tells; metadata of everything by default.
    #[arg(long, value_name = "FILE", requires = "audit_log_path")]
    pub audit_policy_file: Option<PathBuf>,
    /// What a request has to do with the writing of its audit events: `blocking`: it
    /// waits for it, and goes on if it fails; `blocking-strict`: it is refused then;
    /// `batch`: they are queued, and lost (and counted) when the queue is full.
    #[arg(long, value_enum, default_value = "blocking", value_name = "MODE")]
    pub audit_log_mode: AuditMode,
    /// Audit events queued with `--audit-log-mode=batch`.
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub audit_log_batch_buffer_size: usize,
    /// Megabytes after which the audit log is put aside; 0: never.
    #[arg(long, default_value_t = 100, value_name = "MEGABYTES")]
    pub audit_log_maxsize: u32,
    /// Audit logs put aside that are kept; 0: all.
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub audit_log_maxbackup: usize,
    /// Days for which audit logs put aside are kept; 0: for ever.
    #[arg(long, default_value_t = 0, value_name = "DAYS")]
    pub audit_log_maxage: u32,
    /// Share the seats fairly, by FlowSchemas and PriorityLevelConfigurations. Their number is the
    /// sum of the two bounds below. Otherwise these hold for everybody.
    #[arg(
        long,
        default_value_t = true,
        action = clap::ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub enable_priority_and_fairness: bool,
    /// Reads worked on at once; 0: no limit.
    #[arg(long, default_value_t = 400, value_name = "N")]
    pub max_requests_inflight: usize,
    /// Writes worked on at once; 0: no limit.
    #[arg(long, default_value_t = 200, value_name = "N")]
    pub max_mutating_requests_inflight: usize,
    /// How long Events are kept, in seconds.
    #[arg(long, default_value = "3600", value_name = "SECONDS", value_parser = seconds)]
    pub event_ttl: Duration,
    /// CA that kubelets' certificates must chain to.
    #[arg(long, value_name = "FILE")]
    pub kubelet_certificate_authority: Option<PathBuf>,
    /// Certificate to show to kubelets.
    #[arg(long, value_name = "FILE", requires = "kubelet_client_key")]
    pub kubelet_client_certificate: Option<PathBuf>,
    /// Private key of that certificate.
    #[arg(long, value_name = "FILE", requires = "kubelet_client_certificate")]
    pub kubelet_client_key: Option<PathBuf>,
    /// Certificate to show to the servers of aggregated APIs, which believe the names that
    /// come with it.
    #[arg(long, value_name = "FILE", requires = "proxy_client_key_file")]
    pub proxy_client_cert_file: Option<PathBuf>,
    /// Private key of that certificate.
    #[arg(long, value_name = "FILE", requires = "proxy_client_cert_file")]
    pub proxy_client_key_file: Option<PathBuf>,
    /// CA of that certificate. This flag and the next five are published for the servers of
    /// aggregated APIs, in the ConfigMap extension-apiserver-authentication of kube-system;
    /// this server itself takes nobody's word for who asks.
    #[arg(long, value_name = "FILE")]
    pub requestheader_client_ca_file: Option<PathBuf>,
    /// Names in certificates of that CA whose holders are believed; all by default.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NAME",
        requires = "requestheader_client_ca_file"
    )]
    pub requestheader_allowed_names: Vec<String>,
    /// Header that names the user.
    #[arg(long, value_name = "HEADER", value_parser = [identity::USER], default_value = identity::USER)]
    pub requestheader_username_headers: String,
    /// Header that has the user's UID; none is published by default. It is sent in any case.
    #[arg(long, value_name = "HEADER", value_parser = [identity::UID])]
    pub requestheader_uid_headers: Option<String>,
    /// Header that names the user's groups.
    #[arg(long, value_name = "HEADER", value_parser = [identity::GROUP], default_value = identity::GROUP)]
    pub requestheader_group_headers: String,
    /// How headers begin that tell more about the user.
    #[arg(long, value_name = "PREFIX", value_parser = [identity::EXTRA], default_value = identity::EXTRA)]
    pub requestheader_extra_headers_prefix: String,
    /// What to log: a level or a tracing filter.
    #[arg(long, default_value = "info", value_name = "FILTER")]
    pub log_level: String,
    /// How to log it.
    #[arg(long, value_enum, default_value_t)]
    pub log_format: logging::Format,
}

fn plugin(name: &str) -> Result<String, String> {
    Admission::check_name(name)
        .map(|()| name.to_owned())
        .map_err(|unknown| unknown.to_string())
}

fn port_range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let invalid = || format!("{text:?} is no range of ports such as 30000-32767");
    let (from, to) = text.split_once('-').ok_or_else(invalid)?;
    let from: u16 = from.parse().map_err(|_| invalid())?;
    let to: u16 = to.parse().map_err(|_| invalid())?;
    match from > 0 && from <= to {
        true => Ok(from..=to),
        false => Err(invalid()),
    }
}

fn go_duration(text: &str) -> Result<Duration, String> {
    let duration = duration::parse(text).map_err(|error| error.to_string())?;
    Duration::try_from(duration).map_err(|_| format!("{text:?} is less than nothing"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let text = text.strip_suffix('s').unwrap_or(text);
    match text.parse::<u64>() {
        Ok(seconds) if seconds >= 1 => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("{text:?} is no number of seconds")),
    }
}

/// A flag that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("--{flag}: {reason}")]
pub struct FlagError {
    flag: &'static str,
    reason: String,
}

/// An error about a flag.
pub fn invalid(flag: &'static str, reason: impl ToString) -> FlagError {
    FlagError {
        flag,
        reason: reason.to_string(),
    }
}

/// Reads a file that a flag names.
pub fn read(flag: &'static str, path: &Path) -> Result<Vec<u8>, FlagError> {
    std::fs::read(path)
        .map_err(|error| invalid(flag, format!("cannot read {}: {error}", path.display())))
}

impl Flags {
    /// Where to listen.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.bind_address, self.secure_port)
    }

    /// The address others reach this server at: the one told, the one listened
    /// on, or that of the route to the outside.
    pub fn advertised(&self) -> Ipv4Addr {
        match (self.advertise_address, self.bind_address) {
            (Some(address), _) => address,
            (None, IpAddr::V4(address)) if !address.is_unspecified() => address,
            _ => outgoing().unwrap_or(Ipv4Addr::LOCALHOST),
        }
    }

    /// TLS for clients: certificates are verified when offered.
    pub fn server_tls(&self) -> Result<Arc<tls::Server>, FlagError> {
        let key = tls::ServerKey::of_files(&self.tls_cert_file, &self.tls_private_key_file);
        let client_ca = Pem::File(self.client_ca_file.clone());
        tls::server(key, &client_ca, false, &["h2", "http/1.1"]).map_err(|error| {
            invalid(
                "tls-cert-file, --tls-private-key-file, --client-ca-file",
                error,
            )
        })
    }

    /// TLS towards kubelets, if the files are given.
    pub fn kubelet_tls(&self) -> Result<Option<Arc<tls::Client>>, FlagError> {
        let (Some(ca), Some(certificate), Some(key)) = (
            &self.kubelet_certificate_authority,
            &self.kubelet_client_certificate,
            &self.kubelet_client_key,
        ) else {
            return Ok(None);
        };
        let file = |path: &PathBuf| Pem::File(path.clone());
        tls::client_from(&file(ca), file(certificate), file(key), &["http/1.1"])
            .map(Some)
            .map_err(|error| invalid("kubelet-client-certificate", error))
    }

    /// What is shown to the servers of aggregated APIs.
    pub fn front_proxy(&self) -> FrontProxy {
        let file = |path: &PathBuf| Pem::File(path.clone());
        let certificate = self.proxy_client_cert_file.as_ref().map(file)?;
        Some((certificate, self.proxy_client_key_file.as_ref().map(file)?))
    }

    /// Whether that certificate, and the CA that is published with it, can be used.
    pub fn check_front_proxy(&self) -> Result<(), FlagError> {
        let shown = tls::client_trusting(tls::Trust::InAnybody, self.front_proxy(), &[]);
        shown.map_err(|error| invalid("proxy-client-cert-file, --proxy-client-key-file", error))?;
        let flag = "requestheader-client-ca-file";
        if let Some(path) = &self.requestheader_client_ca_file {
            tls::certificates(&read(flag, path)?).map_err(|error| invalid(flag, error))?;
        }
        Ok(())
    }

    /// What servers beside this one are told about its clients.
    pub fn published(&self) -> Published {
        Published {
            clients: self.client_ca_file.clone(),
            front_proxy: self.requestheader_client_ca_file.clone(),
            allowed_names: self.requestheader_allowed_names.clone(),
            uid_header: self.requestheader_uid_headers.clone(),
        }
    }

    /// How objects are encrypted in etcd.
    pub fn encryption(&self) -> Result<Configuration, FlagError> {
        match &self.encryption_provider_config {
            Some(path) => Configuration::load(path)
                .map_err(|error| invalid("encryption-provider-config", error)),
            None => Ok(Configuration::default()),
        }
    }

    /// How to reach etcd.
    pub fn etcd(&self, encryption: Arc<Encryption>) -> Result<crate::store::Options, FlagError> {
        let file = |path: &PathBuf| Pem::File(path.clone());
        let ca = self.etcd_cafile.as_ref().map(file);
        let identity = match (&self.etcd_certfile, &self.etcd_keyfile) {
            (Some(certificate), Some(key)) => Some((file(certificate), file(key))),
            _ => None,
        };
        for url in &self.etcd_servers {
            let secured = url.starts_with("https://");
            if !secured && (ca.is_some() || identity.is_some()) {
                return Err(invalid(
                    "etcd-servers",
                    format!("{url:?} must begin with https://"),
                ));
            }
            url.parse::<http::Uri>()
                .map_err(|error| invalid("etcd-servers", format!("{url:?}: {error}")))?;
        }
        let servers = crate::store::Servers::new(&self.etcd_servers, ca, identity);
        Ok(crate::store::Options {
            servers: servers
                .map_err(|error| invalid("etcd-cafile, --etcd-certfile, --etcd-keyfile", error))?,
            event_ttl: self.event_ttl,
            encryption,
            servers_file: self
                .etcd_servers_file
                .clone()
                .or_else(|| Kept::in_state_directory("etcd-servers")),
        })
    }

    /// Who has signed the certificates of the other apiservers.
    pub fn peer_ca(&self) -> &Path {
        self.peer_ca_file.as_ref().unwrap_or(&self.client_ca_file)
    }

    /// What requests take before they are worked on.
    pub fn seats(&self) -> Result<Seats, FlagError> {
        let (reads, writes) = (
            self.max_requests_inflight,
            self.max_mutating_requests_inflight,
        );
        if self.enable_priority_and_fairness && reads + writes == 0 {
            return Err(invalid(
                "max-requests-inflight, --max-mutating-requests-inflight",
                "they must add up to something positive while --enable-priority-and-fairness is on",
            ));
        }
        Ok(Seats::new(reads, writes, self.enable_priority_and_fairness))
    }

    /// When audit logs are put aside, and when they go.
    pub fn audit_rotation(&self) -> audit::Rotation {
        audit::Rotation {
            max_size: u64::from(self.audit_log_maxsize) << 20,
            max_backups: self.audit_log_maxbackup,
            max_age: Duration::from_secs(u64::from(self.audit_log_maxage) * 24 * 3600),
        }
    }

    /// How audit events are written.
    pub fn audit_mode(&self) -> audit::Mode {
        match self.audit_log_mode {
            AuditMode::Blocking => audit::Mode::Blocking,
            AuditMode::BlockingStrict => audit::Mode::BlockingStrict,
            AuditMode::Batch => audit::Mode::Batch(self.audit_log_batch_buffer_size),
        }
    }

    /// Audiences of the API.
    pub fn audiences(&self) -> Vec<String> {
        match self.api_audiences.is_empty() {
            true => vec![self.service_account_issuer.clone()],
            false => self.api_audiences.clone(),
        }
    }
}

/// The values of `--audit-log-mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[allow(missing_docs)]
pub enum AuditMode {
    Batch,
    Blocking,
    BlockingStrict,
}

/// The address of the route to the outside; nothing is sent.
fn outgoing() -> Option<Ipv4Addr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn parse(more: &[&str]) -> Result<Flags, clap::Error> {
        let least = [
            "hardway-apiserver",
            "--etcd-servers=http://127.0.0.1:2379",
            "--tls-cert-file=a",
            "--tls-private-key-file=b",
            "--client-ca-file=c",
        ];
        Flags::try_parse_from(least.iter().chain(more))
    }

    #[test]
    fn the_last_of_a_flag_counts() {
        // An administrator's own flags come after those of the unit.
        let flags = parse(&["--secure-port=1", "--secure-port=2"]).unwrap();
        assert_eq!(flags.secure_port, 2);
    }

    #[test]
    fn bad_values_are_refused_at_once() {
        assert!(parse(&[]).is_ok());
        let on = parse(&["--enable-admission-plugins=DenyServiceExternalIPs,PodSecurity"]).unwrap();
        assert_eq!(
            on.enable_admission_plugins,
            ["DenyServiceExternalIPs", "PodSecurity"]
        );
        for bad in [
            "--service-node-port-range=5-1",
            "--service-cluster-ip-range=10.96.0.0",
            "--event-ttl=0",
            "--authorization-mode=AlwaysAllow",
            "--enable-admission-plugins=DenyServiceExternalIPs,Misspelt",
            "--disable-admission-plugins=Misspelt",
            "--etcd-certfile=x",
            "--encryption-provider-config-automatic-reload",
        ] {
            assert!(parse(&[bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn there_is_a_seat_to_share() {
        let none = [
            "--max-requests-inflight=0",
            "--max-mutating-requests-inflight=0",
        ];
        assert!(parse(&none).unwrap().seats().is_err());
        let flags = parse(&[&none[..], &["--enable-priority-and-fairness=false"]].concat());
        assert!(flags.unwrap().seats().unwrap().fairness().is_none());
        assert!(parse(&[]).unwrap().seats().unwrap().fairness().is_some());
    }

    #[test]
    fn audit_logs_rotate_as_told() {
        let flags = parse(&["--audit-log-maxsize=5", "--audit-log-maxage=2"]).unwrap();
        let rotation = flags.audit_rotation();
        assert_eq!(rotation.max_size, 5 << 20);
        assert_eq!(rotation.max_backups, 10);
        assert_eq!(rotation.max_age, Duration::from_secs(172_800));
        assert_eq!(flags.audit_mode(), audit::Mode::Blocking);
        let flags = parse(&["--audit-log-mode=batch", "--audit-log-batch-buffer-size=5"]);
        assert_eq!(flags.unwrap().audit_mode(), audit::Mode::Batch(5));
    }

    #[test]
    fn the_advertised_address_is_the_one_told() {
        let flags = parse(&["--advertise-address=10.88.0.10"]).unwrap();
        assert_eq!(flags.advertised(), Ipv4Addr::new(10, 88, 0, 10));
        let flags = parse(&["--bind-address=127.0.0.1"]).unwrap();
        assert_eq!(flags.advertised(), Ipv4Addr::LOCALHOST);
    }
}
