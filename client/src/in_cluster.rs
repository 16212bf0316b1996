//! How a pod reaches the apiserver: by what its kubelet gives every pod, or by a kubeconfig where
//! it is told of one.

use crate::kubeconfig::{self, Credentials, Kubeconfig, Pem};
use std::path::Path;

/// Where every pod finds its service account.
pub const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Why a process has no such way.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It runs outside of a cluster.
    #[error("{0} is not set: this is no pod of a cluster; give a --kubeconfig")]
    NoPod(&'static str),
    /// It has no service account.
    #[error("{0} is missing: give the pod a service account and let its token be mounted")]
    NoAccount(String),
    /// The kubeconfig that it is told of can't be used.
    #[error(transparent)]
    Kubeconfig(#[from] kubeconfig::Error),
}

/// The way of a process that runs as a pod unless it is told of a kubeconfig.
///
/// # Errors
/// If the file can't be used, or this is no pod.
pub fn or_kubeconfig(file: Option<&Path>) -> Result<Kubeconfig, Error> {
    match file {
        Some(file) => Ok(Kubeconfig::load(file)?),
        None => config(),
    }
}

/// The way of the pod this process runs in.
///
/// # Errors
/// If it is no pod, or has no service account.
pub fn config() -> Result<Kubeconfig, Error> {
    let variable = |name| {
        let value = std::env::var(name).ok().filter(|value| !value.is_empty());
        value.ok_or(Error::NoPod(name))
    };
    config_of(
        &variable("KUBERNETES_SERVICE_HOST")?,
        &variable("KUBERNETES_SERVICE_PORT")?,
        Path::new(SERVICE_ACCOUNT),
    )
}

fn config_of(host: &str, port: &str, account: &Path) -> Result<Kubeconfig, Error> {
    let file = |name: &str| {
        let path = account.join(name);
        if path.exists() {
            Ok(path)
        } else {
            Err(Error::NoAccount(path.display().to_string()))
        }
    };
    let host = match host.contains(':') {
        true => format!("[{host}]"),
        false => host.to_owned(),
    };
    Ok(Kubeconfig {
        servers: vec![format!("https://{host}:{port}")],
        certificate_authority: Pem::File(file("ca.crt")?),
        credentials: Credentials::TokenFile(file("token")?),
        behind_service: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_has_an_address_a_ca_and_a_token() {
        let account = std::env::temp_dir().join(format!("hardway-account-{}", std::process::id()));
        std::fs::create_dir_all(&account).unwrap();
        std::fs::write(account.join("ca.crt"), "").unwrap();
        let error = config_of("10.96.0.1", "443", &account).unwrap_err();
        assert!(error.to_string().contains("/token is missing"), "{error}");
        std::fs::write(account.join("token"), "").unwrap();
        let config = config_of("fd00::1", "443", &account).unwrap();
        std::fs::remove_dir_all(&account).unwrap();
        assert_eq!(config.servers, ["https://[fd00::1]:443"]);
        assert_eq!(
            config.credentials,
            Credentials::TokenFile(account.join("token"))
        );
    }
}
