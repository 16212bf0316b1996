//! Keys that sign and verify tokens, from PEM.

use crate::der;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use rustls_pki_types::pem::{self, SectionKind};
use serde_json::{Value, json};

/// A key that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("service account key: {0}")]
pub struct KeyError(String);

fn refuse<T>(why: impl Into<String>) -> Result<T, KeyError> {
    Err(KeyError(why.into()))
}

/// A key that signs.
pub enum SigningKey {
    /// ES256.
    P256(EcdsaKeyPair),
    /// RS256.
    Rsa(RsaKeyPair),
}

/// A key that verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VerifyingKey {
    /// The uncompressed point.
    P256(Vec<u8>),
    /// The DER of `RSAPublicKey`.
    Rsa(Vec<u8>),
}

/// All sections of a PEM text.
fn sections(text: &str) -> Result<Vec<(SectionKind, Vec<u8>)>, KeyError> {
    pem::PemObject::pem_slice_iter(text.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| KeyError(format!("is no valid PEM: {error:?}")))
}

impl SigningKey {
    /// The first private key of a PEM text.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        for (kind, der) in sections(text)? {
            if let Some(key) = Self::from_section(kind, &der)? {
                return Ok(key);
            }
        }
        refuse(
            "the file holds no private key; write one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`",
        )
    }

    fn from_section(kind: SectionKind, der: &[u8]) -> Result<Option<Self>, KeyError> {
        let random = SystemRandom::new();
        Ok(Some(match kind {
            SectionKind::PrivateKey => {
                let p256 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random);
                match (p256, RsaKeyPair::from_pkcs8(der)) {
                    (Ok(key), _) => Self::P256(key),
                    (_, Ok(key)) => Self::Rsa(key),
                    (Err(p256), Err(rsa)) => {
                        return refuse(format!(
                            "the private key is neither ECDSA P-256 ({p256}) nor RSA of 2048 to 4096 bits ({rsa})"
                        ));
                    }
                }
            }
            SectionKind::EcPrivateKey => match sec1(der) {
                None => {
                    return refuse(
                        "the EC private key can't be read; convert it with `openssl pkcs8 -topk8 -nocrypt`",
                    );
                }
                Some((private, public)) => EcdsaKeyPair::from_private_key_and_public_key(
                    &ECDSA_P256_SHA256_FIXED_SIGNING,
                    private,
                    public,
                    &random,
                )
                .map(Self::P256)
                .map_err(|error| {
                    KeyError(format!("the EC private key is no P-256 key: {error}"))
                })?,
            },
            SectionKind::RsaPrivateKey => RsaKeyPair::from_der(der)
                .map(Self::Rsa)
                .map_err(|error| KeyError(format!("the RSA private key can't be used: {error}")))?,
            _ => return Ok(None),
        }))
    }

    /// The key that verifies what this one signs.
    pub fn public(&self) -> VerifyingKey {
        match self {
            Self::P256(key) => VerifyingKey::P256(key.public_key().as_ref().to_vec()),
            Self::Rsa(key) => VerifyingKey::Rsa(key.public_key().as_ref().to_vec()),
        }
    }

    /// Signs.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, ring::error::Unspecified> {
        let random = SystemRandom::new();
        match self {
            Self::P256(key) => Ok(key.sign(&random, message)?.as_ref().to_vec()),
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)?;
                Ok(signature)
            }
        }
    }
}

/// Private scalar and public point of an `ECPrivateKey`.
fn sec1(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (body, _) = der::expect(der::SEQUENCE, der)?;
    let (_, body) = der::expect(der::INTEGER, body)?;
    let (private, mut body) = der::expect(der::OCTET_STRING, body)?;
    while let Some((tag, contents, rest)) = der::read(body) {
        if tag == 0xa1 {
            let (bits, _) = der::expect(der::BIT_STRING, contents)?;
            return Some((private, bits.get(1..)?));
        }
        body = rest;
    }
    None
}

impl VerifyingKey {
    /// All keys of a PEM text: public keys, certificates' keys, and the public
    /// halves of private keys.
    pub fn all_from_pem(text: &str) -> Result<Vec<Self>, KeyError> {
        let mut keys = Vec::new();
        for (kind, der) in sections(text)? {
            match kind {
                SectionKind::PublicKey => keys.push(Self::from_info(&der)?),
                SectionKind::Certificate => match x509_parser::parse_x509_certificate(&der) {
                    Ok((_, certificate)) => {
                        keys.push(Self::from_info(certificate.public_key().raw)?);
                    }
                    Err(error) => return refuse(format!("a certificate can't be read: {error}")),
                },
                _ => keys.extend(SigningKey::from_section(kind, &der)?.map(|key| key.public())),
            }
        }
        match keys.is_empty() {
            true => refuse("the file holds no key"),
            false => Ok(keys),
        }
    }

    /// From the DER of a `SubjectPublicKeyInfo`.
    fn from_info(der: &[u8]) -> Result<Self, KeyError> {
        let read = || {
            let (body, _) = der::expect(der::SEQUENCE, der)?;
            let (_, _, key) = der::read(body)?;
            let algorithm = &body[..body.len() - key.len()];
            let (bits, _) = der::expect(der::BIT_STRING, key)?;
            Some((algorithm, bits.get(1..)?))
        };
        match read() {
            Some((der::P256, point)) if point.len() == 65 => Ok(Self::P256(point.to_vec())),
            Some((der::RSA, key)) => Ok(Self::Rsa(key.to_vec())),
            _ => refuse("a public key is neither ECDSA P-256 nor RSA"),
        }
    }

    /// JWS algorithm.
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::P256(_) => "ES256",
            Self::Rsa(_) => "RS256",
        }
    }

    /// Key id as Kubernetes makes it: the hash of the `SubjectPublicKeyInfo`.
    pub fn id(&self) -> String {
        let info = match self {
            Self::P256(point) => der::public_key_info(der::P256, point),
            Self::Rsa(key) => der::public_key_info(der::RSA, key),
        };
        URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, &info))
    }

    /// Whether a signature is of this key.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                .verify(message, signature)
                .is_ok(),
            Self::Rsa(key) => UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key)
                .verify(message, signature)
                .is_ok(),
        }
    }

    /// As a JSON Web Key.
    pub fn jwk(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = json!({"use": "sig", "kid": self.id(), "alg": self.algorithm()});
        match self {
            Self::P256(point) => {
                jwk["kty"] = json!("EC");
                jwk["crv"] = json!("P-256");
                jwk["x"] = json!(encode(&point[1..33]));
                jwk["y"] = json!(encode(&point[33..]));
            }
            Self::Rsa(key) => {
                let parts = || {
                    let (body, _) = der::expect(der::SEQUENCE, key)?;
                    let (n, body) = der::expect(der::INTEGER, body)?;
                    let (e, _) = der::expect(der::INTEGER, body)?;
                    Some((der::unsigned(n), der::unsigned(e)))
                };
                jwk["kty"] = json!("RSA");
                if let Some((n, e)) = parts() {
                    jwk["n"] = json!(encode(n));
                    jwk["e"] = json!(encode(e));
                }
            }
        }
        jwk
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::PublicKeyData;

    #[test]
    fn signs_and_verifies_and_names_keys_alike() {
        let pair = rcgen::KeyPair::generate().unwrap();
        let signing = SigningKey::from_pem(&pair.serialize_pem()).unwrap();
        let keys = VerifyingKey::all_from_pem(&pair.public_key_pem()).unwrap();
        assert_eq!(keys, [signing.public()]);
        let signature = signing.sign(b"hello").unwrap();
        assert!(keys[0].verify(b"hello", &signature));
        assert!(!keys[0].verify(b"hullo", &signature));
        let digest = ring::digest::digest(&ring::digest::SHA256, &pair.subject_public_key_info());
        assert_eq!(keys[0].id(), URL_SAFE_NO_PAD.encode(digest));
        assert_eq!(keys[0].jwk()["crv"], "P-256");
    }

    #[test]
    fn says_what_is_wrong_with_a_file() {
        let error = SigningKey::from_pem("nothing").err().unwrap().to_string();
        assert!(error.contains("holds no private key"), "{error}");
    }
}
