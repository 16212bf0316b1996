//! When certificates start and end, and whose they are.

use jiff::Timestamp;
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;

use crate::snapshot::Certificate;

fn times(certificate: &X509Certificate<'_>) -> Option<(Timestamp, Timestamp)> {
    let validity = certificate.validity();
    let time = |at: i64| Timestamp::from_second(at).ok();
    Some((
        time(validity.not_before.timestamp())?,
        time(validity.not_after.timestamp())?,
    ))
}

/// Start and end of the first certificate in PEM.
pub(crate) fn of_pem(pem: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let first = Pem::iter_from_buffer(pem).next()?.ok()?;
    times(&first.parse_x509().ok()?)
}

/// A CA that is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authority {
    /// The common name of its subject, or all of it where there is none.
    pub name: String,
    /// Since when it is good.
    pub starts: Timestamp,
}

/// The certificates in PEM that can be read.
pub(crate) fn authorities(pem: &[u8]) -> Vec<Authority> {
    let read = |block: Pem| {
        let certificate = block.parse_x509().ok()?;
        let subject = certificate.subject();
        let common = subject.iter_common_name().next();
        let common = common.and_then(|name| name.as_str().ok());
        Some(Authority {
            name: common.map_or_else(|| subject.to_string(), str::to_owned),
            starts: times(&certificate)?.0,
        })
    };
    Pem::iter_from_buffer(pem)
        .filter_map(|block| read(block.ok()?))
        .collect()
}

impl Certificate {
    /// Of the first certificate in PEM, if there is one.
    pub fn from_pem(owner: &str, pem: &[u8], way_out: &str) -> Option<Self> {
        Some(Self::new(owner, of_pem(pem)?.1, way_out))
    }

    /// Of a certificate in DER, as a server shows it.
    pub fn from_der(owner: &str, der: &[u8], way_out: &str) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        Some(Self::new(owner, times(&certificate)?.1, way_out))
    }

    fn new(owner: &str, not_after: Timestamp, way_out: &str) -> Self {
        Self {
            owner: owner.to_owned(),
            not_after,
            way_out: way_out.to_owned(),
        }
    }
}
