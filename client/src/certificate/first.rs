//! The first certificate of a component, and the kubeconfig that names it.

use super::file::write_private;
use super::identities::{Identities, IdentityError, complaint};
use super::{CertificateFile, FileError, Readers, Renewal, Request};
use crate::clock;
use crate::kubeconfig::{Kubeconfig, Pem};
use crate::notify::Watch;
use crate::queue::backoff;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;

/// First pause after a failure, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// What a component is to have of its own.
#[derive(Clone, Debug)]
pub struct Own {
    /// Where its kubeconfig is, or is to be.
    pub kubeconfig: PathBuf,
    /// Where its certificate is kept.
    pub file: CertificateFile,
    /// Who may read both.
    pub readers: Readers,
    /// The certificate.
    pub request: Request,
    /// The file with the cluster's CA, if it follows what the cluster publishes: then the
    /// kubeconfig names it, rather than have today's CA inside.
    pub authorities: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Ask(#[from] IdentityError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("cannot write {0}: {1}")]
    Kubeconfig(PathBuf, io::Error),
}

/// Returns once the component's kubeconfig has a certificate that is good,
/// asking for one as long as it takes.
pub async fn first_certificate(identities: &Identities, own: &Own) {
    let folder = identities
        .kubeconfigs
        .first()
        .and_then(|path| path.parent());
    let folder = Watch::new(folder.unwrap_or(Path::new(".")));
    let mut failures = 0;
    let mut clock = clock::Changes::new();
    while let Some(why) = missing(own) {
        if own.file.fall_back(SystemTime::now()).unwrap_or(false) {
            continue;
        }
        tracing::info!(
            kubeconfig = %own.kubeconfig.display(),
            why,
            "asking for a certificate to connect with"
        );
        let Err(error) = attempt(identities, own).await else {
            failures = 0;
            continue;
        };
        failures += 1;
        let pause = backoff(failures, PAUSES.0, PAUSES.1);
        tracing::warn!(%error, again_in = ?pause, "no certificate to connect with");
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = clock.next() => {}
            // What to ask with may have come; what is being written is soon complete.
            () = folder.changed() => tokio::time::sleep(PAUSES.0).await,
        }
    }
}

/// Why the kubeconfig can't be used.
fn missing(own: &Own) -> Option<String> {
    match Kubeconfig::load(&own.kubeconfig) {
        Ok(config) => match &own.authorities {
            Some(file) if config.certificate_authority != Pem::File(file.clone()) => {
                Some(format!("it doesn't name {} as its CA", file.display()))
            }
            _ => complaint(&config, SystemTime::now()),
        },
        Err(error) => Some(error.to_string()),
    }
}

async fn attempt(identities: &Identities, own: &Own) -> Result<(), Error> {
    let mut config = identities.kubeconfig(SystemTime::now())?;
    if let Some(file) = &own.authorities {
        config.certificate_authority = Pem::File(file.clone());
    }
    // One that was got, but whose kubeconfig wasn't written any more, or has gone.
    let held = own.file.read().ok().flatten();
    let is_good = held.is_some_and(|held| {
        held.subject == own.request.subject
            && !held.life.is_over(SystemTime::now())
            && !held.life.is_early(SystemTime::now())
    });
    if !is_good {
        let (certificate, key) = identities.ask(&own.request).await?;
        own.file.write(&certificate, &key, Timestamp::now())?;
    }
    let text = kubeconfig(&config, &own.file.current()).to_string();
    write_private(&own.kubeconfig, text.as_bytes(), own.readers)
        .map_err(|error| Error::Kubeconfig(own.kubeconfig.clone(), error))
}

/// A kubeconfig for the cluster of another one, with a certificate of one's
/// own. It is JSON, which is YAML.
fn kubeconfig(of: &Kubeconfig, certificate: &Path) -> Value {
    let mut cluster = json!({"server": of.servers.first()});
    match &of.certificate_authority {
        Pem::Inline(data) => {
            cluster["certificate-authority-data"] = STANDARD.encode(data).into();
        }
        Pem::File(path) => cluster["certificate-authority"] = path.display().to_string().into(),
    }
    let user = json!({"client-certificate": certificate, "client-key": certificate});
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "default-cluster", "cluster": cluster}],
        "users": [{"name": "default-auth", "user": user}],
        "contexts": [{
            "name": "default-context",
            "context": {"cluster": "default-cluster", "user": "default-auth"},
        }],
        "current-context": "default-context",
    })
}

impl Own {
    /// Keeps the certificate new.
    pub fn renewal(&self, identities: Identities) -> Renewal {
        Renewal {
            file: self.file.clone(),
            signer: self.request.signer,
            serving: self.request.serving,
            subject: watch::channel(Some(self.request.subject.clone())).1,
            identities,
            authorities: self.authorities.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{KUBELET_CLIENT, Subject};
    use super::*;
    use crate::kubeconfig::Credentials;
    use rcgen::{CertificateParams, DnType, KeyPair};
    use std::os::unix::fs::PermissionsExt;

    #[tokio::test]
    async fn a_lost_kubeconfig_is_written_again_for_the_certificate_that_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let identities = Identities {
            kubeconfigs: vec![path("bootstrap")],
            servers: Vec::new(),
        };
        let text = json!({
            "current-context": "x",
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": "https://10.0.0.1:6443", "certificate-authority-data": "Zm9v"}}],
            "users": [{"name": "u", "user": {"token": "abcdef.0123456789abcdef"}}],
        });
        std::fs::write(path("bootstrap"), text.to_string()).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let name = &mut params.distinguished_name;
        name.push(DnType::CommonName, "system:node:n1");
        name.push(DnType::OrganizationName, "system:nodes");
        let certificate = params.self_signed(&key).unwrap().pem();
        let file = CertificateFile::new(&path("pki"), "kubelet-client", Readers::Owner);
        file.write(&certificate, &key.serialize_pem(), Timestamp::now())
            .unwrap();
        let kubeconfig = path("etc/kubelet.conf");
        let own = Own {
            kubeconfig: kubeconfig.clone(),
            file: file.clone(),
            readers: Readers::Owner,
            request: Request {
                signer: KUBELET_CLIENT,
                subject: Subject::node("n1"),
                serving: false,
            },
            authorities: None,
        };
        first_certificate(&identities, &own).await;
        let written = Kubeconfig::load(&kubeconfig).unwrap();
        assert_eq!(written.servers, ["https://10.0.0.1:6443"]);
        assert_eq!(written.certificate_authority, Pem::Inline(b"foo".to_vec()));
        let current = Pem::File(file.current());
        let credentials = Credentials::Certificate {
            certificate: current.clone(),
            key: current,
        };
        assert_eq!(written.credentials, credentials);
        let mode = std::fs::metadata(&kubeconfig).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(missing(&own), None);
        // A file that follows the cluster's CA gets into one that had the CA inside.
        let file = path("ca.crt");
        let own = Own {
            authorities: Some(file.clone()),
            ..own
        };
        assert!(missing(&own).unwrap().contains("ca.crt"));
        first_certificate(&identities, &own).await;
        let written = Kubeconfig::load(&kubeconfig).unwrap();
        assert_eq!(written.certificate_authority, Pem::File(file));
    }
}
