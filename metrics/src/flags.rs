//! Flags, under metrics-server's names where it has them.

use hardway_client::kubeconfig::{Credentials, Kubeconfig};
use hardway_client::logging;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Tells what nodes and pods use.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "hardway-metrics", version, args_override_self = true)]
pub struct Flags {
    /// Kubeconfig file, for a server that is no pod of the cluster.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// File with the token by which the APIService is told this server's certificate: one that
    /// no kubelet is ever shown. Without it that is done as all else.
    #[arg(long, value_name = "FILE")]
    pub registration_token_file: Option<PathBuf>,
    /// Address to listen on.
    #[arg(long, default_value = "0.0.0.0", value_name = "IP")]
    pub bind_address: IpAddr,
    /// Port to listen on; 0 picks a free one.
    #[arg(long, default_value_t = 10_250, value_name = "PORT")]
    pub secure_port: u16,
    /// The Service in front of this server: its certificate is made for that one.
    #[arg(long, default_value = "kube-system/metrics-server", value_name = "NAMESPACE/NAME", value_parser = service)]
    pub service: String,
    /// How often kubelets are asked, in seconds.
    #[arg(long, default_value = "15", value_name = "SECONDS", value_parser = resolution)]
    pub metric_resolution: Duration,
    /// What to log: a level or a tracing filter.
    #[arg(long, default_value = "info", value_name = "FILTER")]
    pub log_level: String,
    /// How to log it.
    #[arg(long, value_enum, default_value_t)]
    pub log_format: logging::Format,
}

fn service(text: &str) -> Result<String, String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => Ok(text.to_owned()),
        _ => Err("want NAMESPACE/NAME".to_owned()),
    }
}

fn resolution(text: &str) -> Result<Duration, String> {
    match text.trim_end_matches('s').parse::<u64>() {
        Ok(seconds) if seconds >= 10 => Ok(Duration::from_secs(seconds)),
        Ok(_) => Err("kubelets have news every ten seconds at most".to_owned()),
        Err(_) => Err("no number of seconds".to_owned()),
    }
}

impl Flags {
    /// The way to the apiserver of whoever may change the APIService. Every kubelet gets the token of the
    /// other one, and whoever has a kubelet's key could send all who ask for metrics elsewhere
    /// with it, if that were enough.
    pub fn registration(&self, kubeconfig: &Kubeconfig) -> Kubeconfig {
        let mut kubeconfig = kubeconfig.clone();
        if let Some(file) = &self.registration_token_file {
            kubeconfig.credentials = Credentials::TokenFile(file.clone());
        }
        kubeconfig
    }

    /// Where to listen.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.bind_address, self.secure_port)
    }

    /// Namespace and name of the Service in front.
    pub fn service(&self) -> (String, String) {
        let (namespace, name) = self.service.split_once('/').unwrap_or_default();
        (namespace.to_owned(), name.to_owned())
    }

    /// The name that the certificate must have.
    pub fn server_name(&self) -> String {
        let (namespace, name) = self.service();
        format!("{name}.{namespace}.svc")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use hardway_client::kubeconfig::{Pem, Token};

    #[test]
    fn registration_has_an_identity_of_its_own() {
        let all = Kubeconfig {
            servers: vec!["https://10.96.0.1:443".into()],
            certificate_authority: Pem::File("ca.crt".into()),
            credentials: Credentials::Token(Token("shown-to-kubelets".into())),
            behind_service: true,
        };
        let of = |arguments: &[&str]| {
            let arguments = std::iter::once(&"hardway-metrics").chain(arguments);
            Flags::parse_from(arguments).registration(&all)
        };
        assert_eq!(of(&[]).credentials, all.credentials);
        let own = of(&["--registration-token-file=/run/token"]);
        assert_eq!(own.credentials, Credentials::TokenFile("/run/token".into()));
        assert_eq!(own.servers, all.servers);
    }

    #[test]
    fn values_are_checked() {
        let parse = |flag: &str| Flags::try_parse_from(["hardway-metrics", flag]);
        assert_eq!(parse("--service=a/b").unwrap().server_name(), "b.a.svc");
        assert_eq!(
            parse("--metric-resolution=30s").unwrap().metric_resolution,
            Duration::from_secs(30)
        );
        for bad in [
            "--service=a",
            "--metric-resolution=1",
            "--metric-resolution=x",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
