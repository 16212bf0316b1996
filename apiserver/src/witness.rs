//! Notes who shows a certificate of a CA that doesn't sign any more, and which keys the tokens of
//! service accounts are signed with: before a former CA or key is dropped, one can see who still
//! counts on it.

use crate::metrics;
use hardway_access::authn;
use hardway_client::notify::Watch;
use hardway_client::tls::certificates;
use parking_lot::RwLock;
use std::path::Path;
use std::time::Duration;
use x509_parser::extensions::ParsedExtension;

/// How often the file is looked at in any case.
const LOOK: Duration = Duration::from_secs(60);

/// Hears with what requests prove who sends them.
#[derive(Default)]
pub struct Witness {
    /// The key id of the CA that signs today: the first in `--client-ca-file`.
    signs: RwLock<Option<Vec<u8>>>,
}

impl Witness {
    /// One that knows the CA that signs today.
    pub fn new(client_ca: &Path) -> Self {
        Self {
            signs: RwLock::new(first_authority(client_ca)),
        }
    }

    /// Follows `--client-ca-file` for ever.
    pub async fn follow(&self, client_ca: &Path) {
        let folder = client_ca.parent().filter(|dir| !dir.as_os_str().is_empty());
        let watch = Watch::new(folder.unwrap_or(Path::new(".")));
        loop {
            let signs = first_authority(client_ca);
            if signs.is_some() && signs != *self.signs.read() {
                *self.signs.write() = signs;
                metrics::forget_former_clients();
            }
            let _ = tokio::time::timeout(LOOK, watch.changed()).await;
        }
    }
}

impl authn::Witness for Witness {
    fn certificate(&self, user: &str, authority: &[u8]) {
        let is_former = self.signs.read().as_ref().is_some_and(|it| it != authority);
        if is_former {
            metrics::former_client(user, authority);
        }
    }

    fn token(&self, key: &str) {
        metrics::token_key_used(key);
    }
}

/// The key id of the first certificate in a file (RFC 5280, 4.2.1.2); nothing if it has none.
fn first_authority(file: &Path) -> Option<Vec<u8>> {
    let bundle = certificates(&std::fs::read(file).ok()?).ok()?;
    let (_, first) = x509_parser::parse_x509_certificate(bundle.first()?).ok()?;
    let mut extensions = first.extensions().iter();
    extensions.find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardway_access::authn::Witness as _;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

    #[test]
    fn only_who_shows_a_certificate_of_a_former_ca_is_noted() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.crt");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        std::fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        let witness = Witness::new(&file);
        witness.certificate("system:node:current", &params.key_identifier(&key));
        witness.certificate("system:node:former", &[0xab, 0xcd]);
        let text = String::from_utf8(hardway_client::metrics::render()).unwrap();
        assert!(!text.contains("system:node:current"), "{text}");
        assert!(
            text.contains("authority=\"abcd\",user=\"system:node:former\""),
            "{text}"
        );
    }
}
