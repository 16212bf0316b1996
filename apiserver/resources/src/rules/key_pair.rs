//! Whether a certificate and a private key belong together: what Go's
//! `crypto/tls.X509KeyPair` finds wrong with them, in its words, which kube-apiserver gives
//! on as warnings.

use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::der::{DerObject, parse_der};
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;

const RSA: &str = "1.2.840.113549.1.1.1";
const EC: &str = "1.2.840.10045.2.1";
const ED25519: &str = "1.3.101.112";

/// A private key, as far as it tells which public one is its own.
enum Key<'a> {
    /// The modulus.
    Rsa(&'a [u8]),
    /// The public point; a key may leave it out.
    Ec(Option<&'a [u8]>),
    /// The public key can't be told without computing it.
    Ed25519,
}

/// What is wrong with a certificate and its key, each in PEM.
pub fn problem(certificate: &[u8], key: &[u8]) -> Option<String> {
    find(certificate, key)
        .err()
        .map(|problem| format!("tls: {problem}"))
}

fn find(certificate: &[u8], key: &[u8]) -> Result<(), String> {
    let certificate = block(certificate, |label| label == "CERTIFICATE")
        .map_err(|skipped| no_certificate(&skipped))?;
    let is_key = |label: &str| label == "PRIVATE KEY" || label.ends_with(" PRIVATE KEY");
    let key = block(key, is_key).map_err(|skipped| no_key(&skipped))?;
    let Ok((_, parsed)) = X509Certificate::from_der(&certificate.contents) else {
        return Err("failed to parse certificate".into());
    };
    let key = parse_key(&key.contents).ok_or("failed to parse private key")?;
    let public = parsed.public_key();
    let point: &[u8] = &public.subject_public_key.data;
    let belong = match (public.algorithm.algorithm.to_id_string().as_str(), key) {
        (RSA, Key::Rsa(modulus)) => {
            let own = sequence(point).and_then(|fields| number(fields.first()?));
            own == Some(modulus)
        }
        (EC, Key::Ec(own)) => own.is_none_or(|own| own == point),
        (ED25519, Key::Ed25519) => true,
        (RSA | EC | ED25519, _) => {
            return Err("private key type does not match public key type".into());
        }
        _ => return Err("unknown public key algorithm".into()),
    };
    match belong {
        true => Ok(()),
        false => Err("private key does not match public key".into()),
    }
}

/// The first block with such a label; else the labels of all that there are.
fn block(pem: &[u8], wanted: impl Fn(&str) -> bool) -> Result<Pem, Vec<String>> {
    let mut skipped = Vec::new();
    for block in Pem::iter_from_buffer(pem).map_while(Result::ok) {
        if wanted(&block.label) {
            return Ok(block);
        }
        skipped.push(block.label);
    }
    Err(skipped)
}

fn no_certificate(skipped: &[String]) -> String {
    match skipped {
        [] => "failed to find any PEM data in certificate input".into(),
        [one] if one.ends_with("PRIVATE KEY") => "failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched".into(),
        all => format!(
            "failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM blocks of the following types: [{}]",
            all.join(" ")
        ),
    }
}

fn no_key(skipped: &[String]) -> String {
    match skipped {
        [] => "failed to find any PEM data in key input".into(),
        [one] if one == "CERTIFICATE" => {
            "found a certificate rather than a key in the PEM for the private key".into()
        }
        all => format!(
            "failed to find PEM block with type ending in \"PRIVATE KEY\" in key input after skipping PEM blocks of the following types: [{}]",
            all.join(" ")
        ),
    }
}

/// A key in one of the forms that Go reads: PKCS #1, PKCS #8, SEC 1.
fn parse_key(der: &[u8]) -> Option<Key<'_>> {
    let fields = sequence(der)?;
    let second = fields.get(1)?;
    if let Ok(algorithm) = second.as_sequence() {
        let inner = fields.get(2)?.as_slice().ok()?;
        return match algorithm.first()?.as_oid().ok()?.to_id_string().as_str() {
            RSA => number(sequence(inner)?.get(1)?).map(Key::Rsa),
            EC => Some(Key::Ec(point(&sequence(inner)?))),
            ED25519 => Some(Key::Ed25519),
            _ => None,
        };
    }
    // A point or a modulus: the second field is the private number or the public one.
    match number(second) {
        Some(modulus) => Some(Key::Rsa(modulus)),
        None => second.as_slice().is_ok().then(|| Key::Ec(point(&fields))),
    }
}

fn sequence(der: &[u8]) -> Option<Vec<DerObject<'_>>> {
    let (_, object) = parse_der(der).ok()?;
    object.as_sequence().ok().cloned()
}

/// A positive integer's bytes, without the zero that keeps it positive.
fn number<'a>(object: &DerObject<'a>) -> Option<&'a [u8]> {
    let bytes = match object.content {
        x509_parser::der_parser::ber::BerObjectContent::Integer(bytes) => bytes,
        _ => return None,
    };
    Some(bytes.strip_prefix(&[0]).unwrap_or(bytes))
}

/// The public point of an EC key (RFC 5915): the field tagged 1.
fn point<'a>(fields: &[DerObject<'a>]) -> Option<&'a [u8]> {
    let field = fields
        .iter()
        .find(|field| field.tag().0 == 1 && field.class() as u8 == 2)?;
    let (_, bits) = parse_der(field.as_slice().ok()?).ok()?;
    bits.as_slice().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EC_CERTIFICATE: &[u8] = include_bytes!("key_pair/ec.crt");
    const EC_KEY: &[u8] = include_bytes!("key_pair/ec.key");
    const RSA_CERTIFICATE: &[u8] = include_bytes!("key_pair/rsa.crt");
    const RSA_KEY: &[u8] = include_bytes!("key_pair/rsa.key");

    #[test]
    fn pairs_that_belong_together_are_fine() {
        for (certificate, key) in [
            (EC_CERTIFICATE, EC_KEY),
            (EC_CERTIFICATE, include_bytes!("key_pair/ec-pkcs8.key")),
            (RSA_CERTIFICATE, RSA_KEY),
        ] {
            assert_eq!(problem(certificate, key), None);
        }
        let chain = [EC_CERTIFICATE, RSA_CERTIFICATE].concat();
        assert_eq!(problem(&chain, EC_KEY), None, "the first counts");
    }

    /// The texts are those of Go's `crypto/tls` (`tls.go`, `tls_test.go`).
    #[test]
    fn what_is_wrong_is_said_as_go_says_it() {
        let junk = b"-----BEGIN JUNK-----\nAAAA\n-----END JUNK-----\n";
        let bad = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        for (certificate, key, expected) in [
            (
                &b""[..],
                EC_KEY,
                "tls: failed to find any PEM data in certificate input",
            ),
            (
                EC_CERTIFICATE,
                &b"x"[..],
                "tls: failed to find any PEM data in key input",
            ),
            (
                EC_KEY,
                EC_CERTIFICATE,
                "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched",
            ),
            (
                EC_CERTIFICATE,
                EC_CERTIFICATE,
                "tls: found a certificate rather than a key in the PEM for the private key",
            ),
            (
                junk,
                EC_KEY,
                "tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM blocks of the following types: [JUNK]",
            ),
            (
                EC_CERTIFICATE,
                junk,
                "tls: failed to find PEM block with type ending in \"PRIVATE KEY\" in key input after skipping PEM blocks of the following types: [JUNK]",
            ),
            (EC_CERTIFICATE, bad, "tls: failed to parse private key"),
            (
                EC_CERTIFICATE,
                include_bytes!("key_pair/ec-other.key"),
                "tls: private key does not match public key",
            ),
            (
                RSA_CERTIFICATE,
                include_bytes!("key_pair/rsa-other.key"),
                "tls: private key does not match public key",
            ),
            (
                EC_CERTIFICATE,
                RSA_KEY,
                "tls: private key type does not match public key type",
            ),
            (
                RSA_CERTIFICATE,
                EC_KEY,
                "tls: private key type does not match public key type",
            ),
        ] {
            assert_eq!(problem(certificate, key).as_deref(), Some(expected));
        }
    }
}
