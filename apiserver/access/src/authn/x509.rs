//! Client certificates: the common name is the user, organisations are groups.

use crate::User;
use rustls::RootCertStore;
use rustls::server::{WebPkiClientVerifier, danger::ClientCertVerifier};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use std::sync::Arc;
use x509_parser::extensions::ParsedExtension;

/// A client CA that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("client CA: {0}")]
pub struct VerifierError(String);

/// Verifies client certificates against the CA certificates in `ca_pem`;
/// clients without any are let in for other ways to prove who they are.
pub fn client_verifier(ca_pem: &[u8]) -> Result<Arc<dyn ClientCertVerifier>, VerifierError> {
    let wrong = |error: &dyn std::fmt::Display| VerifierError(error.to_string());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem) {
        let certificate = certificate.map_err(|error| VerifierError(format!("{error:?}")))?;
        roots.add(certificate).map_err(|error| wrong(&error))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .allow_unauthenticated()
        .build()
        .map_err(|error| wrong(&error))
}

/// Whom a verified certificate names, and who says so.
pub struct Named {
    /// The user.
    pub user: User,
    /// The key id of the authority that has signed the certificate (RFC 5280, 4.2.1.1), if it
    /// says so.
    pub authority: Option<Vec<u8>>,
}

/// The user a verified certificate names; `None` without a common name.
pub fn user(certificate: &CertificateDer) -> Option<Named> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let subject = parsed.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?;
    if name.is_empty() {
        return None;
    }
    let groups = subject
        .iter_organization()
        .filter_map(|organization| organization.as_str().ok());
    let mut user = User::new(name, groups);
    let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
    let hex: String = digest.as_ref().iter().map(|b| format!("{b:02x}")).collect();
    user.extra.insert(
        "authentication.kubernetes.io/credential-id".into(),
        vec![format!("X509SHA256={hex}")],
    );
    let authority =
        parsed
            .extensions()
            .iter()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::AuthorityKeyIdentifier(id) => Some(id.key_identifier.as_ref()?.0),
                _ => None,
            });
    Some(Named {
        user,
        authority: authority.map(<[u8]>::to_vec),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    #[test]
    fn a_certificate_names_user_and_groups() {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, "system:node:worker-1");
        params
            .distinguished_name
            .push(DnType::OrganizationName, "system:nodes");
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let Named { user, authority } = user(certificate.der()).unwrap();
        assert_eq!(authority, Some(params.key_identifier(&key)));
        assert_eq!(user.as_node(), Some("worker-1"));
        assert_eq!(user.groups, ["system:nodes", "system:authenticated"]);
        assert!(client_verifier(certificate.pem().as_bytes()).is_ok());
        assert!(client_verifier(b"").is_err());
    }
}
