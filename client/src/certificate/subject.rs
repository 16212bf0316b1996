//! Whom a certificate is for.

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};
use std::collections::BTreeSet;
use std::net::IpAddr;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

/// Whom a certificate is for, as it says itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The user's name.
    pub common_name: String,
    /// The user's group, if it is in one.
    pub organization: Option<String>,
    /// DNS names to serve under.
    pub names: BTreeSet<String>,
    /// Addresses to serve under.
    pub addresses: BTreeSet<IpAddr>,
}

impl Subject {
    /// A client with this name, of this group.
    pub fn client(name: impl Into<String>, group: Option<&str>) -> Self {
        Self {
            common_name: name.into(),
            organization: group.map(str::to_owned),
            ..Self::default()
        }
    }

    /// That of a node, `system:node:NAME` of `system:nodes`.
    pub fn node(name: &str) -> Self {
        Self::client(format!("system:node:{name}"), Some("system:nodes"))
    }

    /// What a certificate says.
    pub fn of(certificate: &X509Certificate<'_>) -> Self {
        let subject = certificate.subject();
        let text = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| {
            attribute.as_str().unwrap_or_default().to_owned()
        };
        let mut all = Self {
            common_name: subject.iter_common_name().map(text).collect(),
            organization: subject.iter_organization().map(text).next(),
            ..Self::default()
        };
        let names = certificate.subject_alternative_name().ok().flatten();
        for name in names.iter().flat_map(|names| &names.value.general_names) {
            match name {
                GeneralName::DNSName(name) => drop(all.names.insert((*name).to_owned())),
                GeneralName::IPAddress(bytes) => all.addresses.extend(address(bytes)),
                _ => {}
            }
        }
        all
    }

    /// A PKCS#10 request for this subject, as PEM, signed with its key.
    ///
    /// # Errors
    /// If a name can't be in a certificate.
    pub fn request(&self, key: &KeyPair) -> Result<String, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        if let Some(organization) = &self.organization {
            let organization = organization.as_str();
            params
                .distinguished_name
                .push(DnType::OrganizationName, organization);
        }
        params
            .distinguished_name
            .push(DnType::CommonName, self.common_name.as_str());
        for name in &self.names {
            params
                .subject_alt_names
                .push(SanType::DnsName(name.as_str().try_into()?));
        }
        let addresses = self.addresses.iter().copied().map(SanType::IpAddress);
        params.subject_alt_names.extend(addresses);
        params.serialize_request(key)?.pem()
    }
}

/// The address in a certificate's name of the type `iPAddress`.
fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(bytes.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateSigningRequestParams, Issuer};

    #[test]
    fn a_certificate_says_what_was_asked_for() {
        let mut asked = Subject::node("n1");
        asked.names.insert("n1".into());
        asked.addresses.insert("10.0.0.1".parse().unwrap());
        asked.addresses.insert("fd00::1".parse().unwrap());
        let key = KeyPair::generate().unwrap();
        let pem = asked.request(&key).unwrap();
        let request = CertificateSigningRequestParams::from_pem(&pem).unwrap();
        let issuer = Issuer::new(CertificateParams::default(), KeyPair::generate().unwrap());
        let certificate = request.signed_by(&issuer).unwrap();
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate.der()).unwrap();
        assert_eq!(Subject::of(&parsed), asked);
    }
}
