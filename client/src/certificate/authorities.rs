//! The certificates of the cluster's CA, in a file. While a CA is replaced it has both, the one
//! that signs today first.

use super::Held;
use super::file::write_atomically;
use crate::tls;
use rustls_pki_types::CertificateDer;
use std::io;
use std::path::{Path, PathBuf};
use x509_parser::extensions::ParsedExtension;

/// Anybody may know whom a node believes.
const MODE: u32 = 0o644;

/// Why a bundle isn't believed.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It makes no sense.
    #[error("the bundle {0}")]
    Invalid(String),
    /// Who is believed today isn't in it: whoever wrote it may be somebody else, and who
    /// believed it could not come back.
    #[error(
        "no certificate of the bundle is in {0}: one that is replaced step by step has the former, too"
    )]
    Unrelated(PathBuf),
    /// The file.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
}

/// The key ids of a bundle's certificates (RFC 5280, 4.2.1.2), in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authorities(Vec<Vec<u8>>);

impl Authorities {
    /// Those in a file; none if it can't be read.
    pub fn read(file: &Path) -> Self {
        let pem = std::fs::read(file).unwrap_or_default();
        let all = tls::certificates(&pem).unwrap_or_default();
        Self(all.iter().filter_map(|it| key_id(it)).collect())
    }

    /// Whether a certificate is of one that is still believed but doesn't sign any more. Of a
    /// certificate whose authority isn't in the bundle nothing is known.
    pub fn is_former(&self, held: &Held) -> bool {
        let Some((signs, former)) = self.0.split_first() else {
            return false;
        };
        let of = held.authority.as_ref();
        of.is_some_and(|id| id != signs && former.contains(id))
    }
}

fn key_id(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let mut extensions = parsed.extensions().iter();
    extensions.find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
        _ => None,
    })
}

/// Makes a file hold the bundle that the cluster publishes; says whether it is another one than
/// before. One that has nothing in common with the file is refused.
///
/// # Errors
/// If it is refused, or the file can't be read or written; the file then stays as it is.
pub fn take_up(file: &Path, published: &str) -> Result<bool, BundleError> {
    let failed = |error| BundleError::File(file.to_owned(), error);
    let former = std::fs::read(file).map_err(failed)?;
    if former == published.as_bytes() {
        return Ok(false);
    }
    let parse = |pem: &[u8]| -> Result<Vec<CertificateDer<'static>>, BundleError> {
        // What can't be an authority would end every connection.
        tls::roots(pem).map_err(BundleError::Invalid)?;
        tls::certificates(pem).map_err(BundleError::Invalid)
    };
    let new = parse(published.as_bytes())?;
    let former = tls::certificates(&former).unwrap_or_default();
    if !new.iter().any(|certificate| former.contains(certificate)) {
        return Err(BundleError::Unrelated(file.to_owned()));
    }
    write_atomically(file, published.as_bytes(), MODE).map_err(failed)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::super::{Life, Subject};
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
    use std::time::SystemTime;

    /// A CA's certificate, and its key id.
    fn authority() -> (String, Vec<u8>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let id = key_id(certificate.der()).unwrap();
        (certificate.pem(), id)
    }

    fn held(authority: Option<&Vec<u8>>) -> Held {
        let now = SystemTime::now();
        Held {
            subject: Subject::node("n1"),
            authority: authority.cloned(),
            life: Life {
                from: now,
                good_from: now,
                to: now,
            },
        }
    }

    #[test]
    fn a_certificate_is_former_when_another_one_in_the_bundle_signs() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.crt");
        let ((old, old_id), (new, new_id)) = (authority(), authority());
        let is_former = |bundle: &str, id: Option<&Vec<u8>>| {
            std::fs::write(&file, bundle).unwrap();
            Authorities::read(&file).is_former(&held(id))
        };
        assert!(!is_former(&old, Some(&old_id)));
        assert!(!is_former(&format!("{old}{new}"), Some(&old_id)));
        assert!(is_former(&format!("{new}{old}"), Some(&old_id)));
        assert!(!is_former(&format!("{new}{old}"), Some(&new_id)));
        // Nothing is known of it: another CA may sign what nodes show.
        assert!(!is_former(&new, Some(&old_id)));
        assert!(!is_former(&new, None) && !is_former("", Some(&old_id)));
    }

    #[test]
    fn a_bundle_is_taken_up_if_it_is_the_former_ones_heir() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.crt");
        let [old, new, other] = [(); 3].map(|()| authority().0);
        let text = || std::fs::read_to_string(&file).unwrap();
        assert!(matches!(take_up(&file, &old), Err(BundleError::File(..))));
        std::fs::write(&file, &old).unwrap();
        assert!(!take_up(&file, &old).unwrap());
        for wrong in [
            "",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            assert!(matches!(
                take_up(&file, wrong),
                Err(BundleError::Invalid(_))
            ));
        }
        let stranger = take_up(&file, &other).unwrap_err();
        assert!(matches!(stranger, BundleError::Unrelated(_)), "{stranger}");
        assert_eq!(text(), old);
        let both = format!("{old}{new}");
        assert!(take_up(&file, &both).unwrap());
        assert_eq!(text(), both);
        assert!(take_up(&file, &new).unwrap());
        assert!(
            take_up(&file, &old).is_err(),
            "the former one doesn't come back"
        );
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
