//! The ciphers, with the layouts in which Kubernetes stores their output.

use aes_gcm::AesGcm;
use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{Aead, AeadCore, KeyInit, Nonce, Payload};
use aes_gcm::aes::cipher::block_padding::Pkcs7;
use aes_gcm::aes::cipher::{
    BlockCipher, BlockDecrypt, BlockDecryptMut, BlockEncrypt, BlockEncryptMut, BlockSizeUser,
    InnerIvInit,
};
use aes_gcm::aes::{Aes128, Aes192, Aes256};
use crypto_secretbox::XSalsa20Poly1305;
use ring::rand::{SecureRandom, SystemRandom};

/// Encrypts and decrypts values with one key.
pub(super) trait Cipher: Send + Sync {
    /// Encrypts; `context` is where the value will be stored.
    fn seal(&self, plain: &[u8], context: &[u8]) -> Result<Vec<u8>, String>;
    /// Decrypts what was stored there.
    fn open(&self, sealed: &[u8], context: &[u8]) -> Result<Vec<u8>, String>;
}

const TOO_SHORT: &str = "the stored data was shorter than the required size";
/// Of a block of AES.
const BLOCK: usize = 16;

/// AES-GCM with a key of 16, 24 or 32 bytes: nonce, ciphertext, tag. Bound to
/// the place.
pub(super) fn aesgcm(key: &[u8]) -> Option<Box<dyn Cipher>> {
    fn cipher<C: Aead + KeyInit + Send + Sync + 'static>(key: &[u8]) -> Option<Box<dyn Cipher>> {
        let cipher = C::new_from_slice(key).ok()?;
        Some(Box::new(Sealing {
            cipher,
            bound: true,
        }))
    }
    match key.len() {
        16 => cipher::<AesGcm<Aes128, U12>>(key),
        24 => cipher::<AesGcm<Aes192, U12>>(key),
        _ => cipher::<AesGcm<Aes256, U12>>(key),
    }
}

/// AES-CBC with a key of 16, 24 or 32 bytes: initialisation vector,
/// ciphertext padded as PKCS #7 says. Nothing proves that it was not changed.
pub(super) fn aescbc(key: &[u8]) -> Option<Box<dyn Cipher>> {
    fn cipher<C: KeyInit + Block + 'static>(key: &[u8]) -> Option<Box<dyn Cipher>> {
        Some(Box::new(Cbc(C::new_from_slice(key).ok()?)))
    }
    match key.len() {
        16 => cipher::<Aes128>(key),
        24 => cipher::<Aes192>(key),
        _ => cipher::<Aes256>(key),
    }
}

/// XSalsa20 and Poly1305 with a key of 32 bytes: nonce, tag, ciphertext.
pub(super) fn secretbox(key: &[u8]) -> Option<Box<dyn Cipher>> {
    let cipher = XSalsa20Poly1305::new_from_slice(key).ok()?;
    Some(Box::new(Sealing {
        cipher,
        bound: false,
    }))
}

fn fill(random: &mut [u8]) -> Result<(), String> {
    SystemRandom::new()
        .fill(random)
        .map_err(|_| "the system has no random numbers".to_owned())
}

/// A cipher with a nonce and a tag.
struct Sealing<C> {
    cipher: C,
    /// Whether the tag covers the place, too.
    bound: bool,
}

impl<C: Aead + Send + Sync> Sealing<C> {
    fn payload<'a>(&self, msg: &'a [u8], context: &'a [u8]) -> Payload<'a, 'a> {
        let aad = if self.bound { context } else { &[] };
        Payload { msg, aad }
    }
}

impl<C: Aead + AeadCore + Send + Sync> Cipher for Sealing<C> {
    fn seal(&self, plain: &[u8], context: &[u8]) -> Result<Vec<u8>, String> {
        let mut nonce = Nonce::<C>::default();
        fill(&mut nonce)?;
        let sealed = self
            .cipher
            .encrypt(&nonce, self.payload(plain, context))
            .map_err(|_| "the value is too large to encrypt".to_owned())?;
        Ok([&nonce[..], &sealed].concat())
    }

    fn open(&self, sealed: &[u8], context: &[u8]) -> Result<Vec<u8>, String> {
        let (nonce, sealed) = sealed
            .split_at_checked(Nonce::<C>::default().len())
            .ok_or(TOO_SHORT)?;
        self.cipher
            .decrypt(Nonce::<C>::from_slice(nonce), self.payload(sealed, context))
            .map_err(|_| "cipher: message authentication failed".to_owned())
    }
}

/// What CBC needs of a block cipher.
trait Block: BlockCipher + BlockEncrypt + BlockDecrypt + Clone + Send + Sync {}
impl<C: BlockCipher + BlockEncrypt + BlockDecrypt + Clone + Send + Sync> Block for C {}

struct Cbc<C>(C);

impl<C: Block + BlockSizeUser> Cipher for Cbc<C> {
    fn seal(&self, plain: &[u8], _: &[u8]) -> Result<Vec<u8>, String> {
        let mut iv = [0; BLOCK];
        fill(&mut iv)?;
        let encryptor = cbc::Encryptor::inner_iv_slice_init(self.0.clone(), &iv)
            .map_err(|error| error.to_string())?;
        let sealed = encryptor.encrypt_padded_vec_mut::<Pkcs7>(plain);
        Ok([&iv[..], &sealed].concat())
    }

    fn open(&self, sealed: &[u8], _: &[u8]) -> Result<Vec<u8>, String> {
        let (iv, sealed) = sealed.split_at_checked(BLOCK).ok_or(TOO_SHORT)?;
        if sealed.is_empty() || !sealed.len().is_multiple_of(BLOCK) {
            return Err("the stored data is not a multiple of the block size".into());
        }
        let decryptor = cbc::Decryptor::inner_iv_slice_init(self.0.clone(), iv)
            .map_err(|error| error.to_string())?;
        decryptor
            .decrypt_padded_vec_mut::<Pkcs7>(sealed)
            .map_err(|_| "invalid padding on input".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: &[u8] = b"/registry/secrets/default/db";
    const PLAIN: &[u8] = b"{\"kind\":\"Secret\",\"data\":{\"password\":\"aHVudGVyMg==\"}}";

    fn key(length: u8) -> Vec<u8> {
        (1..=length).collect()
    }

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    }

    /// Made with OpenSSL, and for secretbox from the definitions of Salsa20
    /// and Poly1305: nonces count up from 0x80.
    fn known() -> Vec<(Box<dyn Cipher>, Vec<u8>)> {
        vec![
            (
                aesgcm(&key(16)).unwrap(),
                bytes(
                    "808182838485868788898a8b1a8879340cc99fdb81a3ea10d53d16ac8b93264fc037a79f7c76247cd2fa38d309f498f8a3dfc3d19cd02491fbfebd7527aec151eab8a1b0ebec26cc1d7ceac60060392e",
                ),
            ),
            (
                aesgcm(&key(24)).unwrap(),
                bytes(
                    "808182838485868788898a8b0d76d4a06e63d7eb5234ca6f121264d3cb5ef665d90b92882d7f097b5cf41c1d1e5938363c3a124b8fb0fe6bb7a75dabb0b4d52eab4ea6c6d6e09975ea913534d353b160",
                ),
            ),
            (
                aesgcm(&key(32)).unwrap(),
                bytes(
                    "808182838485868788898a8b97f43d948e84e98a011499590ea158cd65aa19624cf7da5328c149786bc16ced343ae608436bd1f98abec15cb9500f1b43f48079286fb33567761b6940f7d201ccc28f53",
                ),
            ),
            (
                aescbc(&key(16)).unwrap(),
                bytes(
                    "808182838485868788898a8b8c8d8e8f277c0d22607018b5fc69b895cc8024921b095ca97301d42e528eeee09e61e6e54bc7088869334e3d7e10473fc1346461139e70f08efacb6fa34a7a627c7b6ad3",
                ),
            ),
            (
                aescbc(&key(24)).unwrap(),
                bytes(
                    "808182838485868788898a8b8c8d8e8fcbab894f0c1ae98102d4f667a9715877b8ac1d649239aa926321f4f7d54dc1e7cf0a366e804978917ba457e545ff05324b15e2f46accb2be9d64fb0391eb96f8",
                ),
            ),
            (
                aescbc(&key(32)).unwrap(),
                bytes(
                    "808182838485868788898a8b8c8d8e8fc19a68f953b3518c52f3fd2b48b77c8b04dd54b311a359abdd4c8112f78a9de3af1723b2fea0e76cc22a044180e00aea265df89522d0bb8bf8a7709b8907aa87",
                ),
            ),
            (
                secretbox(&key(32)).unwrap(),
                bytes(
                    "808182838485868788898a8b8c8d8e8f9091929394959697cbbf8584805d1e1996fd8cd208b2007700179c095f87c9fa3f2ef3e3a9502f5d568856d53bf4ffa77c1dd4fb331f99cdd9f401c478e6c6e2489a99abf126d2908648731c",
                ),
            ),
        ]
    }

    #[test]
    fn opens_what_others_have_stored() {
        for (cipher, sealed) in known() {
            let opened = cipher.open(&sealed, PLACE).unwrap();
            assert_eq!(
                String::from_utf8_lossy(&opened),
                String::from_utf8_lossy(PLAIN)
            );
        }
    }

    #[test]
    fn opens_what_it_has_sealed_and_never_seals_alike() {
        for (cipher, known) in known() {
            let sealed = cipher.seal(PLAIN, PLACE).unwrap();
            assert_eq!(sealed.len(), known.len());
            assert_ne!(sealed, cipher.seal(PLAIN, PLACE).unwrap());
            assert_eq!(cipher.open(&sealed, PLACE).unwrap(), PLAIN);
        }
    }

    #[test]
    fn notices_what_was_cut_or_changed() {
        for (cipher, sealed) in known() {
            for cut in [0, 1, 11, 15, 16, 23] {
                assert!(cipher.open(&sealed[..cut], PLACE).is_err(), "{cut}");
            }
        }
        for cipher in [aesgcm(&key(32)), secretbox(&key(32))].map(Option::unwrap) {
            let mut sealed = cipher.seal(PLAIN, PLACE).unwrap();
            *sealed.last_mut().unwrap() ^= 1;
            assert!(cipher.open(&sealed, PLACE).is_err());
        }
        let bound = aesgcm(&key(32)).unwrap();
        let sealed = bound.seal(PLAIN, PLACE).unwrap();
        assert!(
            bound
                .open(&sealed, b"/registry/secrets/default/other")
                .is_err()
        );
    }
}
