//! The webhooks' certificates: an authority of their own, and what it vouches for. No I/O.
//!
//! Kept as the data of one Secret of type `kubernetes.io/tls`, with the authority beside it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::pem::parse_x509_pem;

const AUTHORITY: &str = "ca.crt";
const AUTHORITY_KEY: &str = "ca.key";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// How long the authority is good.
const AUTHORITY_LIFE: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);
/// How long a certificate is good. It is renewed when a third of that is left.
const LIFE: SignedDuration = SignedDuration::from_hours(90 * 24);
/// For clocks that are slow.
const BACKDATED: SignedDuration = SignedDuration::from_mins(5);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key or certificate can't be made.
    #[error("make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// They can't be served with.
    #[error("use the certificate: {0}")]
    Use(#[from] rustls::Error),
    /// They aren't PEM.
    #[error("read the certificate: {0}")]
    Read(#[from] rustls::pki_types::pem::Error),
}

/// All that a Secret holds, in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificates {
    /// Whom to believe.
    pub authority: String,
    authority_key: String,
    certificate: String,
    key: String,
}

impl Certificates {
    /// An authority, and a certificate for a server of these names.
    ///
    /// # Errors
    /// If there is no randomness, or a name is none of DNS.
    pub fn make(names: &[String], now: Timestamp) -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "website-operator authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_life(&mut params, now, AUTHORITY_LIFE);
        let authority = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);
        let (certificate, key) = issue(&issuer, names, now)?;
        Ok(Self {
            authority,
            authority_key: issuer.key().serialize_pem(),
            certificate,
            key,
        })
    }

    /// A new certificate by the same authority.
    ///
    /// # Errors
    /// If the authority can't be read.
    pub fn renew(&self, names: &[String], now: Timestamp) -> Result<Self, Error> {
        let key = KeyPair::from_pem(&self.authority_key)?;
        let issuer = Issuer::from_ca_cert_pem(&self.authority, key)?;
        let (certificate, key) = issue(&issuer, names, now)?;
        Ok(Self {
            certificate,
            key,
            ..self.clone()
        })
    }

    /// Whether a new certificate is due; also if this one can't be read.
    pub fn is_due(&self, now: Timestamp) -> bool {
        // What is left of it must be more than a third.
        ends(&self.certificate).is_none_or(|ends| ends < now + LIFE / 3)
    }

    /// Whether a new authority is due, who must outlive what it vouches for.
    pub fn is_authority_due(&self, now: Timestamp) -> bool {
        ends(&self.authority).is_none_or(|ends| ends < now + LIFE)
    }

    /// What TLS serves with.
    ///
    /// # Errors
    /// If certificate or key can't be read, or don't fit together.
    pub fn certified_key(&self) -> Result<Arc<CertifiedKey>, Error> {
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(self.certificate.as_bytes()).collect();
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes())?;
        let provider = rustls::crypto::ring::default_provider();
        Ok(Arc::new(CertifiedKey::from_der(chain?, key, &provider)?))
    }

    /// From a Secret's data, if all of it is there.
    pub fn from_data(data: &BTreeMap<String, ByteString>) -> Option<Self> {
        let text = |name: &str| String::from_utf8(data.get(name)?.0.clone()).ok();
        Some(Self {
            authority: text(AUTHORITY)?,
            authority_key: text(AUTHORITY_KEY)?,
            certificate: text(CERTIFICATE)?,
            key: text(KEY)?,
        })
    }

    /// For a Secret's data.
    pub fn to_data(&self) -> BTreeMap<String, ByteString> {
        let all = [
            (AUTHORITY, &self.authority),
            (AUTHORITY_KEY, &self.authority_key),
            (CERTIFICATE, &self.certificate),
            (KEY, &self.key),
        ];
        let data = all.map(|(name, pem)| (name.to_owned(), ByteString(pem.clone().into_bytes())));
        data.into()
    }
}

fn issue(
    issuer: &Issuer<'_, KeyPair>,
    names: &[String],
    now: Timestamp,
) -> Result<(String, String), Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    params
        .distinguished_name
        .push(DnType::CommonName, "website-operator");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    set_life(&mut params, now, LIFE);
    let certificate = params.signed_by(&key, issuer)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn set_life(params: &mut CertificateParams, now: Timestamp, life: SignedDuration) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let since = |time: Timestamp| time.duration_since(Timestamp::UNIX_EPOCH).unsigned_abs();
    params.not_before = epoch + since(now - BACKDATED);
    params.not_after = epoch + since(now + life);
}

fn ends(pem: &str) -> Option<Timestamp> {
    let (_, pem) = parse_x509_pem(pem.as_bytes()).ok()?;
    let ends = pem.parse_x509().ok()?.validity().not_after.timestamp();
    Timestamp::from_second(ends).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(days: i64) -> SignedDuration {
        SignedDuration::from_hours(days * 24)
    }

    #[test]
    fn a_certificate_is_renewed_before_it_ends() {
        let now = Timestamp::now();
        let names = ["website-operator.website-operator.svc".to_owned()];
        let made = Certificates::make(&names, now).unwrap();
        assert!(!made.is_due(now) && !made.is_due(now + days(59)));
        assert!(made.is_due(now + days(61)));
        assert!(!made.is_authority_due(now + days(9 * 365)));
        assert!(made.is_authority_due(now + days(10 * 365 - 89)));

        let later = now + days(61);
        let renewed = made.renew(&names, later).unwrap();
        assert!(!renewed.is_due(later));
        assert_eq!(renewed.authority, made.authority);
        renewed.certified_key().unwrap();
    }

    #[test]
    fn a_secret_keeps_all_of_it() {
        let made = Certificates::make(&["x".to_owned()], Timestamp::now()).unwrap();
        let mut data = made.to_data();
        assert!(Certificates::from_data(&data) == Some(made));
        data.remove("ca.key");
        assert!(Certificates::from_data(&data).is_none());
    }

    #[test]
    fn what_cant_be_read_is_due() {
        let now = Timestamp::now();
        let made = Certificates::make(&["x".to_owned()], now).unwrap();
        let mut data = made.to_data();
        data.insert("tls.crt".to_owned(), ByteString(b"garbage".to_vec()));
        let broken = Certificates::from_data(&data).expect("all is there");
        assert!(broken.is_due(now));
    }
}
