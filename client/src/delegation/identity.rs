//! Who asks.

use rustls_pki_types::CertificateDer;

/// Whom a client certificate or a token names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    name: String,
    groups: Vec<String>,
    /// When the certificate ends, in seconds since the epoch; nothing for a token, which
    /// the apiserver is asked about again.
    not_after: Option<i64>,
}

impl Identity {
    /// Common name and organisations of a verified certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
        let subject = certificate.subject();
        let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
        let groups = subject
            .iter_organization()
            .filter_map(|o| o.as_str().ok())
            .chain(["system:authenticated"])
            .map(str::to_owned)
            .collect();
        Some(Self {
            name,
            groups,
            not_after: Some(certificate.validity().not_after.timestamp()),
        })
    }

    /// Whom somebody else names who is believed: the apiserver for a token, or a proxy.
    pub fn named(name: String, groups: Vec<String>) -> Self {
        Self {
            name,
            groups,
            not_after: None,
        }
    }

    /// The user's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The user's groups.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// Whether the user may do everything, as those may whom nobody asks about.
    pub fn is_master(&self) -> bool {
        self.groups.iter().any(|group| group == "system:masters")
    }

    /// Whether the certificate, good when the connection began, has ended. `now` is in
    /// seconds since the epoch.
    pub fn is_expired(&self, now: i64) -> bool {
        self.not_after.is_some_and(|end| now > end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_counts_to_its_end() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "somebody");
        let certificate = params.self_signed(&key).unwrap();
        let identity = Identity::of(certificate.der()).unwrap();
        let end: jiff::Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        assert!(!identity.is_expired(end.as_second()));
        assert!(identity.is_expired(end.as_second() + 1));
        assert!(!identity.is_master());
    }
}
