//! Signs a request with the cluster's CA.

use k8s_openapi::api::certificates::v1::CertificateSigningRequestSpec;
use rcgen::{
    CertificateSigningRequestParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose,
    SigningKey,
};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use x509_parser::certificate::X509Certificate;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::pem::{Pem, parse_x509_pem};
use x509_parser::prelude::FromDer;

/// Clocks differ a little: certificates are valid from this long ago.
const BACKDATE: Duration = Duration::from_secs(300);
/// Certificates that live shorter than this are not shortened by it.
const SHORT: Duration = Duration::from_secs(8 * 3600);
/// The shortest life that can be asked for.
const SHORTEST: Duration = Duration::from_secs(600);

/// The CA's certificate and key, and how long certificates are valid.
pub struct Signer {
    /// Its certificate's file.
    pub certificate: PathBuf,
    /// Its key's file.
    pub key: PathBuf,
    /// Life of certificates that ask for no shorter one.
    pub duration: Duration,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The request can't be signed, now or later.
    #[error("the request can't be signed: {0}")]
    Request(String),
    /// The CA can't sign anything now.
    #[error("--cluster-signing-cert-file, --cluster-signing-key-file: {0}")]
    Authority(String),
}

/// From when to when a certificate is valid, as Kubernetes' signer has it:
/// never longer than the CA's own.
fn validity(
    asked: Option<i32>,
    longest: Duration,
    now: SystemTime,
    end_of_ca: SystemTime,
) -> (SystemTime, SystemTime) {
    let asked = asked.and_then(|seconds| u64::try_from(seconds).ok());
    let life = match asked.map(Duration::from_secs) {
        None => longest,
        Some(asked) => asked.max(SHORTEST).min(longest),
    };
    let after = match life < SHORT {
        true => life,
        false => life - BACKDATE,
    };
    (now - BACKDATE, (now + after).min(end_of_ca))
}

impl Signer {
    /// The certificate for a request that its signer has nothing against, as
    /// PEM. The CA's files are read each time: a renewed one signs without a
    /// restart.
    ///
    /// # Errors
    /// If the request or the CA can't be used.
    pub fn sign(
        &self,
        spec: &CertificateSigningRequestSpec,
        now: SystemTime,
    ) -> Result<String, SignError> {
        let authority = |e: &dyn std::fmt::Display| SignError::Authority(e.to_string());
        let unfit = |e: &dyn std::fmt::Display| SignError::Request(e.to_string());
        let read = |path: &PathBuf| {
            std::fs::read_to_string(path)
                .map_err(|e| authority(&format!("{}: {e}", path.display())))
        };
        let (bundle, key) = (read(&self.certificate)?, read(&self.key)?);
        let key = KeyPair::from_pem(&key).map_err(|e| authority(&e))?;
        let ca = certificate_of(&bundle, &key).map_err(|e| authority(&e))?;
        let end = end_of(&ca).map_err(|e| authority(&e))?;
        if end <= now {
            return Err(authority(&"the CA's certificate has expired"));
        }
        let issuer = Issuer::from_ca_cert_pem(&ca, key).map_err(|e| authority(&e))?;

        let pem = String::from_utf8_lossy(&spec.request.0);
        let mut request = CertificateSigningRequestParams::from_pem(&pem).map_err(|e| unfit(&e))?;
        let usages = spec.usages.as_deref().unwrap_or_default();
        let params = &mut request.params;
        let (from, to) = validity(spec.expiration_seconds, self.duration, now, end);
        params.not_before = from.into();
        params.not_after = to.into();
        params.is_ca = rcgen::IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = usages.iter().filter_map(|u| key_usage(u)).collect();
        params.extended_key_usages = usages.iter().filter_map(|u| extended_usage(u)).collect();
        let certificate = request.signed_by(&issuer).map_err(|e| authority(&e))?;
        let named = with_subject(certificate.der(), spec, issuer.key()).map_err(|e| unfit(&e))?;
        Ok(encode(&named))
    }
}

/// The certificate of a bundle that this key belongs to, as PEM. While a CA is replaced the file
/// has both, and the key alone says which of them signs.
fn certificate_of(bundle: &str, key: &KeyPair) -> Result<String, String> {
    for pem in Pem::iter_from_buffer(bundle.as_bytes()) {
        let pem = pem.map_err(|e| e.to_string())?;
        let certificate = pem.parse_x509().map_err(|e| e.to_string())?;
        let public = &certificate.public_key().subject_public_key.data;
        if public.as_ref() == key.public_key_raw() {
            return Ok(encode(&pem.contents));
        }
    }
    Err("none of the CA's certificates has this key".into())
}

/// When a CA's certificate ends.
fn end_of(ca: &str) -> Result<SystemTime, String> {
    let (_, pem) = parse_x509_pem(ca.as_bytes()).map_err(|e| e.to_string())?;
    let certificate = pem.parse_x509().map_err(|e| e.to_string())?;
    let end = certificate.validity().not_after.timestamp();
    Ok(UNIX_EPOCH + Duration::from_secs(end.try_into().unwrap_or(0)))
}

/// The certificate with the request's subject, byte for byte, signed again.
/// What made it knows only one organization.
fn with_subject(
    certificate: &[u8],
    spec: &CertificateSigningRequestSpec,
    key: &KeyPair,
) -> Result<Vec<u8>, String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let (_, pem) = parse_x509_pem(&spec.request.0).map_err(|e| text(&e))?;
    let (_, request) = X509CertificationRequest::from_der(&pem.contents).map_err(|e| text(&e))?;
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|e| text(&e))?;
    let signed: &[u8] = parsed.tbs_certificate.as_ref();
    let subject = parsed.subject().as_raw();
    let at = subject.as_ptr().addr() - signed.as_ptr().addr();
    let content = header_length(signed);
    let parts = [
        &signed[content..at],
        request.certification_request_info.subject.as_raw(),
        &signed[at + subject.len()..],
    ];
    let signed = element(SEQUENCE, &parts.concat());
    let signature = key.sign(&signed).map_err(|e| text(&e))?;
    // Between what is signed and the signature stands the algorithm.
    let all = &certificate[header_length(certificate)..];
    let algorithm = &all[parsed.tbs_certificate.as_ref().len()..];
    let algorithm = &algorithm[..length_of(algorithm)];
    let unused_bits = [0];
    let signature = element(BIT_STRING, &[&unused_bits, signature.as_slice()].concat());
    Ok(element(
        SEQUENCE,
        &[signed.as_slice(), algorithm, &signature].concat(),
    ))
}

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;

/// How many bytes tag and length of a DER element take (X.690, 8.1).
fn header_length(der: &[u8]) -> usize {
    match der[1] {
        long @ 0x81.. => 2 + usize::from(long & 0x7f),
        _ => 2,
    }
}

/// How many bytes a DER element takes, tag and length included.
fn length_of(der: &[u8]) -> usize {
    let header = header_length(der);
    let content = match header {
        2 => usize::from(der[1]),
        _ => der[2..header]
            .iter()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
    };
    header + content
}

/// A DER element.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short @ ..0x80) => der.push(short),
        _ => {
            let bytes = content.len().to_be_bytes();
            let first = bytes.iter().position(|b| *b != 0).unwrap_or(0);
            let bytes = &bytes[first..];
            der.push(0x80 | bytes.len() as u8);
            der.extend(bytes);
        }
    }
    der.extend(content);
    der
}

/// A certificate's PEM.
fn encode(der: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let text = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem + "-----END CERTIFICATE-----\n"
}

/// When a PEM certificate ends; nothing if it is none.
pub fn not_after(pem: &[u8]) -> Option<i64> {
    let certificate = Pem::iter_from_buffer(pem).next()?.ok()?;
    let parsed = certificate.parse_x509().ok()?;
    Some(parsed.validity().not_after.timestamp())
}

fn key_usage(usage: &str) -> Option<KeyUsagePurpose> {
    match usage {
        "digital signature" => Some(KeyUsagePurpose::DigitalSignature),
        "key encipherment" => Some(KeyUsagePurpose::KeyEncipherment),
        _ => None,
    }
}

fn extended_usage(usage: &str) -> Option<ExtendedKeyUsagePurpose> {
    match usage {
        "client auth" => Some(ExtendedKeyUsagePurpose::ClientAuth),
        "server auth" => Some(ExtendedKeyUsagePurpose::ServerAuth),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa};

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn lives_as_long_as_asked_within_bounds() {
        let now = UNIX_EPOCH + 500_000 * HOUR;
        let end = now + 100_000 * HOUR;
        let year = 8760 * HOUR;
        let life = |asked, longest| {
            let (from, to) = validity(asked, longest, now, end);
            assert_eq!(from, now - BACKDATE);
            to.duration_since(now).unwrap()
        };
        assert_eq!(life(None, year), year - BACKDATE);
        assert_eq!(life(Some(36_000), year), 10 * HOUR - BACKDATE);
        assert_eq!(life(Some(3600), year), HOUR);
        assert_eq!(life(Some(60), year), SHORTEST);
        assert_eq!(life(Some(36_000), HOUR), HOUR);
        assert_eq!(life(None, Duration::from_secs(20)).as_secs(), 20);
        let (_, to) = validity(None, year, now, now + HOUR);
        assert_eq!(to, now + HOUR);
    }

    /// A signer in a folder.
    fn signer(dir: &std::path::Path) -> Signer {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "the-ca");
        let key = KeyPair::generate().unwrap();
        let path = |name: &str| dir.join(name);
        let ca = params.self_signed(&key).unwrap();
        std::fs::write(path("ca.crt"), ca.pem()).unwrap();
        std::fs::write(path("ca.key"), key.serialize_pem()).unwrap();
        Signer {
            certificate: path("ca.crt"),
            key: path("ca.key"),
            duration: HOUR,
        }
    }

    /// A request whose subject has several organizations, which rcgen can't make.
    fn request(organizations: &[&str]) -> CertificateSigningRequestSpec {
        let mut params = CertificateParams::default();
        let subject = &mut params.distinguished_name;
        subject.push(DnType::CommonName, "jane");
        let key = KeyPair::generate().unwrap();
        let made = params.serialize_request(&key).unwrap();
        let (_, parsed) = X509CertificationRequest::from_der(made.der()).unwrap();
        let info = parsed.certification_request_info.raw;
        let subject = parsed.certification_request_info.subject.as_raw();
        let at = subject.as_ptr().addr() - info.as_ptr().addr();
        let attribute = |oid: u8, value: &str| {
            let oid = element(0x06, &[0x55, 0x04, oid]);
            let value = element(0x0c, value.as_bytes());
            element(0x31, &element(SEQUENCE, &[oid, value].concat()))
        };
        let mut names: Vec<u8> = organizations
            .iter()
            .flat_map(|o| attribute(10, o))
            .collect();
        names.extend(attribute(3, "jane"));
        let parts = [
            &info[header_length(info)..at],
            &element(SEQUENCE, &names),
            &info[at + subject.len()..],
        ];
        let info = element(SEQUENCE, &parts.concat());
        let signature = [&[0][..], &key.sign(&info).unwrap()].concat();
        let der: &[u8] = made.der();
        let algorithm = &der[header_length(der) + parsed.certification_request_info.raw.len()..];
        let algorithm = &algorithm[..length_of(algorithm)];
        let all = [info.as_slice(), algorithm, &element(BIT_STRING, &signature)].concat();
        let pem = encode(&element(SEQUENCE, &all)).replace("CERTIFICATE", "CERTIFICATE REQUEST");
        CertificateSigningRequestSpec {
            request: ByteString(pem.into_bytes()),
            usages: Some(vec!["digital signature".into(), "client auth".into()]),
            ..Default::default()
        }
    }

    #[test]
    fn a_subject_may_be_of_several_organizations() {
        let dir = tempfile::tempdir().unwrap();
        let signer = signer(dir.path());
        for organizations in [&[][..], &["a"], &["a", "b", "c"]] {
            let spec = request(organizations);
            let pem = signer.sign(&spec, SystemTime::now()).unwrap();
            let (_, pem) = parse_x509_pem(pem.as_bytes()).unwrap();
            let certificate = pem.parse_x509().unwrap();
            let found: Vec<_> = certificate
                .subject()
                .iter_organization()
                .map(|o| o.as_str().unwrap())
                .collect();
            assert_eq!(found, organizations);
            let ca = std::fs::read(&signer.certificate).unwrap();
            let (_, ca) = parse_x509_pem(&ca).unwrap();
            let ca = ca.parse_x509().unwrap();
            certificate.verify_signature(Some(ca.public_key())).unwrap();
            assert!(!certificate.is_ca());
            assert_eq!(certificate.issuer().as_raw(), ca.subject().as_raw());
        }
    }

    #[test]
    fn of_several_certificates_the_one_of_the_key_signs() {
        let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (signer, other) = (signer(old.path()), signer(new.path()));
        let read = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
        let (one, two) = (read(&signer.certificate), read(&other.certificate));
        let signed_by = |ca: &str| {
            let pem = signer.sign(&request(&[]), SystemTime::now()).unwrap();
            let (_, pem) = parse_x509_pem(pem.as_bytes()).unwrap();
            let (_, ca) = parse_x509_pem(ca.as_bytes()).unwrap();
            let (leaf, ca) = (pem.parse_x509().unwrap(), ca.parse_x509().unwrap());
            leaf.verify_signature(Some(ca.public_key())).is_ok()
        };
        for bundle in [format!("{one}{two}"), format!("{two}{one}")] {
            std::fs::write(&signer.certificate, bundle).unwrap();
            assert!(signed_by(&one) && !signed_by(&two));
        }
        // Nothing is signed by a key that none of them has.
        std::fs::write(&signer.certificate, &two).unwrap();
        let error = signer.sign(&request(&[]), SystemTime::now()).unwrap_err();
        assert!(matches!(error, SignError::Authority(_)), "{error}");
        std::fs::copy(&other.key, &signer.key).unwrap();
        assert!(signed_by(&two));
    }

    #[test]
    fn what_cannot_be_signed_is_told_apart_from_who_cannot_sign() {
        let dir = tempfile::tempdir().unwrap();
        let signer = signer(dir.path());
        let spec = CertificateSigningRequestSpec {
            request: ByteString(b"nonsense".to_vec()),
            ..Default::default()
        };
        let now = SystemTime::now();
        assert!(matches!(
            signer.sign(&spec, now),
            Err(SignError::Request(_))
        ));
        std::fs::remove_file(&signer.key).unwrap();
        let error = signer.sign(&request(&[]), now).unwrap_err();
        assert!(error.to_string().contains("ca.key"), "{error}");
    }
}
