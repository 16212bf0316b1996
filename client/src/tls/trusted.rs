//! Who is believed to be a server: whom an authority that is trusted has signed, and, as in
//! Go, whoever shows a certificate that is itself among those that are trusted. One that
//! `openssl req -x509` has made is often both, the server's and its own authority.

use super::verifier::{Belief, Verifier};
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::Arc;
use x509_parser::certificate::X509Certificate;

/// A verifier that trusts these certificates. The provider must be installed.
///
/// # Errors
/// If one of them can't be an authority, or there are none.
pub(super) fn verifier(
    trusted: Vec<CertificateDer<'static>>,
) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in &trusted {
        let added = roots.add(certificate.clone());
        added.map_err(|error| error.to_string())?;
    }
    let provider = CryptoProvider::get_default().expect("clients install it first");
    let signed = WebPkiServerVerifier::builder(Arc::new(roots)).build();
    let signed = signed.map_err(|error| error.to_string())?;
    let trusted = Trusted { signed, trusted };
    Ok(Arc::new(Verifier::new(trusted, provider.clone())))
}

#[derive(Debug)]
struct Trusted {
    signed: Arc<WebPkiServerVerifier>,
    trusted: Vec<CertificateDer<'static>>,
}

impl Belief for Trusted {
    fn check(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<(), Error> {
        if !self.trusted.contains(shown) {
            let signed = &self.signed;
            let verified =
                signed.verify_server_cert(shown, intermediates, name, ocsp_response, now);
            return verified.map(drop);
        }
        verify_server_name(&ParsedCertificate::try_from(shown)?, name)?;
        let parsed = x509_parser::parse_x509_certificate(shown);
        let (_, parsed) = parsed.map_err(|_| CertificateError::BadEncoding)?;
        good_for_a_server(&parsed, now)
    }
}

/// Whether a certificate is in force, and may be a server's.
fn good_for_a_server(certificate: &X509Certificate<'_>, now: UnixTime) -> Result<(), Error> {
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let validity = certificate.validity();
    if now < validity.not_before.timestamp() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > validity.not_after.timestamp() {
        return Err(CertificateError::Expired.into());
    }
    let usage = certificate.extended_key_usage();
    match usage.map_err(|_| CertificateError::BadEncoding)? {
        Some(usage) if !usage.value.any && !usage.value.server_auth => {
            Err(CertificateError::InvalidPurpose.into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair};
    use std::time::Duration;

    /// A certificate for `hooks.shop.svc` that could sign others, and has signed itself.
    fn its_own_authority(adjust: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["hooks.shop.svc".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        adjust(&mut params);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().clone()
    }

    /// What a verifier that trusts a certificate says of one that is shown.
    fn shown(
        trusted: &CertificateDer<'static>,
        shown: &CertificateDer<'static>,
        name: &str,
        now: UnixTime,
    ) -> Result<(), Error> {
        super::super::install_provider();
        let name = ServerName::try_from(name).unwrap();
        let verifier = verifier(vec![trusted.clone()]).unwrap();
        let verified = verifier.verify_server_cert(shown, &[], &name, &[], now);
        verified.map(drop)
    }

    #[test]
    fn a_trusted_certificate_may_be_a_servers_own() {
        let own = its_own_authority(|_| ());
        let (name, now) = ("hooks.shop.svc", UnixTime::now());
        shown(&own, &own, name, now).unwrap();
        let other = its_own_authority(|_| ());
        shown(&own, &other, name, now).unwrap_err();
        let error = shown(&own, &own, "hooks.other.svc", now).unwrap_err();
        assert!(error.to_string().contains("not valid for name"), "{error}");
        // rcgen's are good until the year 4096.
        let late = UnixTime::since_unix_epoch(Duration::from_secs(100_000_000_000));
        let error = shown(&own, &own, name, late).unwrap_err();
        assert_eq!(error, CertificateError::Expired.into());
        let error = shown(&own, &own, name, UnixTime::since_unix_epoch(Duration::ZERO));
        assert_eq!(error, Err(CertificateError::NotValidYet.into()));
        let clients = its_own_authority(|params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        });
        let error = shown(&clients, &clients, name, now).unwrap_err();
        assert_eq!(error, CertificateError::InvalidPurpose.into());
        assert!(verifier(Vec::new()).is_err());
    }
}
