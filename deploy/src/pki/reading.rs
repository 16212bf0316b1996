//! What a certificate that is there says.

use std::net::IpAddr;

use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Leaf;
use crate::failure::{OrFail, Result};

/// The certificate in a PEM text.
pub fn der_of(pem: &str) -> Result<Vec<u8>> {
    use rustls_pki_types::pem::PemObject;
    let der = rustls_pki_types::CertificateDer::from_pem_slice(pem.as_bytes())
        .or_fail(|| "read a certificate")?;
    Ok(der.as_ref().to_vec())
}

/// A certificate's first and last second, since 1970.
pub(super) fn validity(der: &[u8]) -> Result<(i64, i64)> {
    let (_, certificate) = X509Certificate::from_der(der).or_fail(|| "read a certificate")?;
    let validity = certificate.validity();
    Ok((
        validity.not_before.timestamp(),
        validity.not_after.timestamp(),
    ))
}

/// Whether a certificate with this first and last second is to be replaced: two thirds
/// of its life have passed.
pub(super) fn is_due(from: i64, ends: i64, now: i64) -> bool {
    now < from || now >= from + (ends - from) / 3 * 2
}

/// Whether the certificate names this CA and this CA's key: a new CA of the same
/// name makes all old certificates bad.
pub(super) fn issued_by(
    certificate: &X509Certificate<'_>,
    authority: &X509Certificate<'_>,
) -> bool {
    let named =
        certificate
            .extensions()
            .iter()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::AuthorityKeyIdentifier(id) => {
                    id.key_identifier.as_ref().map(|id| id.0.to_vec())
                }
                _ => None,
            });
    let own =
        authority
            .extensions()
            .iter()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
                _ => None,
            });
    certificate.issuer() == authority.subject() && named.is_some() && named == own
}

/// What a certificate says, in the terms of the wanted one.
pub(super) fn describe(certificate: &X509Certificate<'_>, wanted: &Leaf) -> Leaf {
    let text = |value: &x509_parser::x509::AttributeTypeAndValue<'_>| {
        value.as_str().unwrap_or_default().to_owned()
    };
    let usage = certificate.extended_key_usage().ok().flatten();
    let names = certificate.subject_alternative_name().ok().flatten();
    Leaf {
        file: wanted.file.clone(),
        ca: wanted.ca,
        common_name: certificate.subject().iter_common_name().map(text).collect(),
        organizations: certificate
            .subject()
            .iter_organization()
            .map(text)
            .collect(),
        names: names
            .map(|names| names.value.general_names.iter().map(name_text).collect())
            .unwrap_or_default(),
        server: usage.as_ref().is_some_and(|usage| usage.value.server_auth),
        client: usage.as_ref().is_some_and(|usage| usage.value.client_auth),
    }
}

fn name_text(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        GeneralName::IPAddress([a, b, c, d]) => IpAddr::from([*a, *b, *c, *d]).to_string(),
        GeneralName::IPAddress(bytes) => match <[u8; 16]>::try_from(*bytes) {
            Ok(bytes) => IpAddr::from(bytes).to_string(),
            Err(_) => name.to_string(),
        },
        other => other.to_string(),
    }
}
