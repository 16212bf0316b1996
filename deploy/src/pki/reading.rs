//! What a certificate that is there says.

use std::net::IpAddr;
use std::time::SystemTime;

use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Leaf, seconds};
use crate::failure::{Failure, OrFail, Result};

/// The certificate in a PEM text.
pub fn der_of(pem: &str) -> Result<Vec<u8>> {
    use rustls_pki_types::pem::PemObject;
    let der = rustls_pki_types::CertificateDer::from_pem_slice(pem.as_bytes())
        .or_fail(|| "read a certificate")?;
    Ok(der.as_ref().to_vec())
}

/// All certificates in a PEM text.
///
/// # Errors
/// If it has none, or one makes no sense.
pub fn all_of(pem: &str) -> Result<Vec<Vec<u8>>> {
    use rustls_pki_types::pem::PemObject;
    let what = || "read certificates";
    let all = rustls_pki_types::CertificateDer::pem_slice_iter(pem.as_bytes())
        .map(|der| Ok(der.or_fail(what)?.as_ref().to_vec()))
        .collect::<Result<Vec<_>>>()?;
    match all.is_empty() {
        true => Err(Failure::new(what(), "there is none")),
        false => Ok(all),
    }
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

/// Whether all certificates in a PEM text have ended.
///
/// # Errors
/// If it has none, or one makes no sense.
pub fn have_ended(pem: &str, now: SystemTime) -> Result<bool> {
    let ends = all_of(pem)?
        .iter()
        .map(|der| Ok(validity(der)?.1))
        .collect::<Result<Vec<_>>>()?;
    Ok(ends.into_iter().all(|end| seconds(now) > end))
}

/// A certificate's first second, since 1970.
///
/// # Errors
/// If it is no certificate.
pub fn begins(der: &[u8]) -> Result<u64> {
    let (from, _) = validity(der)?;
    Ok(from.try_into().unwrap_or(0))
}

/// Whether a certificate names this CA and this CA's key, both as DER.
pub fn is_issued_by(certificate: &[u8], authority: &[u8]) -> bool {
    let parse = |der| {
        X509Certificate::from_der(der)
            .ok()
            .map(|(_, parsed)| parsed)
    };
    match (parse(certificate), parse(authority)) {
        (Some(certificate), Some(authority)) => issued_by(&certificate, &authority),
        _ => false,
    }
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
