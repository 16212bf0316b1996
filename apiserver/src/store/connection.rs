//! The connection to etcd. It follows its certificates' files: what is under
//! way, watches among it, ends on the former connection; what comes next goes
//! over a new one.

use etcd_client::{Channel, Client, ConnectOptions, Error};
use hardway_client::channel::Connection;
use hardway_client::kubeconfig::Pem;
use hardway_client::tls::{self, Reloading};
use std::sync::Arc;
use std::time::Duration;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use tower::util::BoxCloneSyncService;

/// How long a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection without any answer for this long (interval plus timeout) is dead.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// etcd's servers and how to speak TLS with them, as the files have it now.
pub type Servers = Reloading<Vec<Endpoint>>;

/// Servers at these URLs, trusted if the CA has signed their certificate; they
/// are shown a certificate, if there is one.
///
/// # Errors
/// If a URL or a file makes no sense.
pub fn servers(
    urls: Vec<String>,
    ca: Option<Pem>,
    identity: Option<(Pem, Pem)>,
) -> Result<Arc<Servers>, tls::Error> {
    let files: Vec<Pem> = ca
        .iter()
        .chain(identity.iter().flat_map(|(shown, key)| [shown, key]))
        .cloned()
        .collect();
    Reloading::new(&files.iter().collect::<Vec<_>>(), move || {
        let tls = client_tls(ca.as_ref(), identity.as_ref())?;
        urls.iter().map(|url| endpoint(url, tls.as_ref())).collect()
    })
}

fn client_tls(
    ca: Option<&Pem>,
    identity: Option<&(Pem, Pem)>,
) -> Result<Option<ClientTlsConfig>, tls::Error> {
    if ca.is_none() && identity.is_none() {
        return Ok(None);
    }
    let mut config = ClientTlsConfig::new();
    if let Some(ca) = ca {
        let pem = ca.read()?;
        // One without a certificate would be taken for a CA that has signed nothing.
        tls::roots(&pem).map_err(|reason| tls::Error::Invalid {
            what: "etcd's CA".to_owned(),
            reason,
        })?;
        config = config.ca_certificate(Certificate::from_pem(pem));
    }
    if let Some((certificate, key)) = identity {
        // While only one of them is new they don't fit together.
        tls::certified_key(certificate, key)?;
        config = config.identity(Identity::from_pem(certificate.read()?, key.read()?));
    }
    Ok(Some(config))
}

fn endpoint(url: &str, tls: Option<&ClientTlsConfig>) -> Result<Endpoint, tls::Error> {
    let invalid = |error: tonic::transport::Error| tls::Error::Invalid {
        what: format!("etcd at {url}"),
        reason: std::error::Error::source(&error)
            .unwrap_or(&error)
            .to_string(),
    };
    let whole = match url.contains("://") {
        true => url.to_owned(),
        false => format!("http://{url}"),
    };
    let endpoint = Endpoint::from_shared(whole)
        .map_err(invalid)?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    match tls {
        Some(tls) => endpoint.tls_config(tls.clone()).map_err(invalid),
        None => Ok(endpoint),
    }
}

/// A client of these servers. They need not be up.
pub(super) async fn connect(servers: Arc<Servers>) -> Result<Client, Error> {
    let connection = Connection::following(servers, |endpoints| {
        tonic::transport::Channel::balance_list(endpoints.iter().cloned())
    });
    let channel = Channel::Custom(BoxCloneSyncService::new(tower::ServiceExt::map_err(
        connection,
        Into::into,
    )));
    let options = ConnectOptions::new().with_require_leader(true);
    Client::from_channel(channel, Some(options)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};

    #[test]
    fn a_certificate_without_its_key_changes_nothing() {
        hardway_client::tls::install_provider();
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let write = || {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec!["etcd".to_owned()]).unwrap();
            let certificate = params.self_signed(&key).unwrap();
            std::fs::write(path("c.crt"), certificate.pem()).unwrap();
            key.serialize_pem()
        };
        std::fs::write(path("c.key"), write()).unwrap();
        std::fs::copy(path("c.crt"), path("ca.crt")).unwrap();
        let file = |name: &str| Pem::File(path(name));
        let urls = vec!["https://127.0.0.1:2379".to_owned()];
        let identity = Some((file("c.crt"), file("c.key")));
        let servers = servers(urls, Some(file("ca.crt")), identity).unwrap();
        let first = servers.current();
        let key = write();
        assert!(Arc::ptr_eq(&first, &servers.current()));
        std::fs::write(path("c.key"), key).unwrap();
        let second = servers.current();
        assert!(!Arc::ptr_eq(&first, &second));
        assert_eq!(second[0].uri().host(), Some("127.0.0.1"));
        std::fs::write(path("ca.crt"), "nonsense").unwrap();
        assert!(Arc::ptr_eq(&second, &servers.current()));
    }

    #[test]
    fn what_is_wrong_is_told_at_once() {
        let why = |url: &str, ca| {
            let error = servers(vec![url.to_owned()], ca, None).unwrap_err();
            error.to_string()
        };
        assert!(why("http://a b", None).starts_with("etcd at http://a b: "));
        let missing = Some(Pem::File("/nonexistent/ca.crt".into()));
        assert!(why("https://a:2379", missing).contains("/nonexistent/ca.crt"));
    }
}
