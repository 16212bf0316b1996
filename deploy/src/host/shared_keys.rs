//! The files that all control planes of a cluster have alike, and how they travel from one
//! to another: each encrypted with AES-256-GCM, by a key that is only ever printed. It is
//! kubeadm's way (`kubeadm init --upload-certs`).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde_json::{Map, Value};

use super::cluster::{self, Cluster};
use crate::encryption;
use crate::failure::{Failure, OrFail, Result};
use crate::shell;

pub mod file;
pub mod secret;

/// The files, below /etc/hardway. In the Secret each has its name without the folder.
pub const FILES: &[&str] = &[
    "pki/ca.crt",
    "pki/ca.key",
    "pki/etcd-ca.crt",
    "pki/etcd-ca.key",
    "pki/front-proxy-ca.crt",
    "pki/front-proxy-ca.key",
    "pki/sa.key",
    "pki/sa.pub",
    encryption::FILE,
    // What the cluster is like; its address is each host's own.
    cluster::FILE,
];

/// Those of a key that is to sign, and of one that has signed before: there while one is replaced
/// ([`crate::rotation`]).
const ROTATED: &[&str] = &[
    "pki/ca-next.crt",
    "pki/ca-next.key",
    "pki/ca-former.crt",
    "pki/ca-former.key",
    "pki/etcd-ca-next.crt",
    "pki/etcd-ca-next.key",
    "pki/etcd-ca-former.crt",
    "pki/etcd-ca-former.key",
    "pki/front-proxy-ca-next.crt",
    "pki/front-proxy-ca-next.key",
    "pki/front-proxy-ca-former.crt",
    "pki/front-proxy-ca-former.key",
    "pki/sa-next.key",
    "pki/sa-next.pub",
    "pki/sa-former.key",
    "pki/sa-former.pub",
];

/// What the files are encrypted with: 32 bytes, written as 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificateKey([u8; 32]);

impl CertificateKey {
    /// A new one.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn random() -> Result<Self> {
        encryption::random().map(Self)
    }

    fn cipher(&self) -> Result<LessSafeKey> {
        UnboundKey::new(&AES_256_GCM, &self.0)
            .map(LessSafeKey::new)
            .or_fail(|| "use the certificate key")
    }
}

impl std::fmt::Debug for CertificateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CertificateKey(…)")
    }
}

impl std::fmt::Display for CertificateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::str::FromStr for CertificateKey {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let complaint = || "a certificate key is 64 hexadecimal digits".to_owned();
        if text.len() != 64 || !text.is_ascii() {
            return Err(complaint());
        }
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            let digits = &text[2 * at..2 * at + 2];
            if !digits.chars().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(complaint());
            }
            *byte = u8::from_str_radix(digits, 16).map_err(|_| complaint())?;
        }
        Ok(Self(bytes))
    }
}

/// The contents of the shared files, by their names.
#[derive(Clone, PartialEq, Eq)]
pub struct SharedKeys(BTreeMap<&'static str, Vec<u8>>);

impl std::fmt::Debug for SharedKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Who may read a file: keys only their owner.
fn mode(path: &str) -> u32 {
    match path.ends_with(".crt") || path.ends_with(".pub") {
        true => 0o644,
        false => 0o600,
    }
}

/// A file's name without its folder.
fn name(path: &'static str) -> &'static str {
    path.rsplit('/').next().unwrap_or(path)
}

impl SharedKeys {
    /// Those of this host, from /etc/hardway.
    ///
    /// # Errors
    /// If one is missing.
    pub fn read(etc: &Path) -> Result<Self> {
        let read = |path: &'static str| {
            let file = etc.join(path);
            let content = fs::read(&file).or_fail(|| format!("read {}", file.display()));
            Ok((name(path), content?))
        };
        let rotated = ROTATED.iter().copied();
        let rotated = rotated.filter(|path| etc.join(path).exists());
        let all = FILES.iter().copied().chain(rotated);
        all.map(read).collect::<Result<_>>().map(Self)
    }

    /// Writes the keys that are to sign of these CAs, or those that have signed before where
    /// there are no others any more, by the names of their files, to /etc/hardway.
    ///
    /// # Errors
    /// If there are none of one, or a file can't be written.
    pub fn write_rotated<'a>(&self, etc: &Path, of: impl Iterator<Item = &'a str>) -> Result<()> {
        for ca in of {
            let next = format!("pki/{ca}-next.");
            let former = format!("pki/{ca}-former.");
            let is_there = |prefix: &str| {
                ROTATED
                    .iter()
                    .any(|path| path.starts_with(prefix) && self.0.contains_key(name(path)))
            };
            let prefix = match !is_there(&next) && is_there(&former) {
                true => former,
                false => next,
            };
            for path in ROTATED.iter().filter(|path| path.starts_with(&prefix)) {
                shell::write_file(&etc.join(path), self.content(name(path))?, mode(path))?;
            }
        }
        Ok(())
    }

    /// How the apiserver encrypts what it stores.
    ///
    /// # Errors
    /// If it is no text.
    pub fn encryption(&self) -> Result<String> {
        String::from_utf8(self.content(encryption::FILE)?.to_vec())
            .or_fail(|| format!("read {}", encryption::FILE))
    }

    /// Writes all but what the cluster is like to /etc/hardway, those of a key that is just being
    /// replaced too: by them a host knows what is next. Keys can be read by their owner alone.
    ///
    /// # Errors
    /// If a file can't be written; then none of them is replaced.
    pub fn write(&self, etc: &Path) -> Result<()> {
        let mut files = Vec::new();
        let (here, gone): (Vec<&&str>, Vec<&&str>) = ROTATED
            .iter()
            .partition(|path| self.0.contains_key(name(path)));
        let always = FILES.iter().filter(|path| **path != cluster::FILE);
        for path in always.chain(here) {
            files.push((etc.join(path), self.content(name(path))?, mode(path)));
        }
        // What an attempt before has left says something else than what is written now.
        for path in gone {
            shell::remove(&etc.join(path))?;
        }
        let files: Vec<_> = files
            .iter()
            .map(|(path, content, mode)| (path.as_path(), *content, *mode))
            .collect();
        shell::write_files(&files)
    }

    /// The certificate of the cluster's CA, as PEM.
    ///
    /// # Errors
    /// If it is no text.
    pub fn cluster_ca(&self) -> Result<String> {
        String::from_utf8(self.content("ca.crt")?.to_vec()).or_fail(|| "read the cluster's CA")
    }

    /// What the cluster is like; the address is that of the host the files come from.
    ///
    /// # Errors
    /// If it makes no sense.
    pub fn cluster(&self) -> Result<Cluster> {
        let text = String::from_utf8_lossy(self.content(cluster::FILE)?);
        Cluster::parse(&text, "the cluster's configuration in the Secret")
    }

    fn content(&self, name: &str) -> Result<&[u8]> {
        let found = self.0.get(name).map(Vec::as_slice);
        found.ok_or_else(|| Failure::new(format!("read {name}"), "it isn't among the shared files"))
    }

    /// The data of a Secret: every file encrypted by the key, a nonce before it, in Base64.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn seal(&self, key: &CertificateKey) -> Result<Map<String, Value>> {
        let cipher = key.cipher()?;
        let seal = |(name, content): (&&'static str, &Vec<u8>)| {
            let what = || format!("encrypt {name}");
            let random = encryption::random()?;
            let mut nonce = [0; NONCE_LEN];
            nonce.copy_from_slice(&random[..NONCE_LEN]);
            let mut sealed = content.clone();
            let once = Nonce::assume_unique_for_key(nonce);
            // Bound to its name: one file can't be passed off as another.
            cipher
                .seal_in_place_append_tag(once, Aad::from(name.as_bytes()), &mut sealed)
                .or_fail(what)?;
            let whole = [nonce.as_slice(), &sealed].concat();
            let text = BASE64_STANDARD.encode(whole);
            Ok(((*name).to_owned(), Value::from(text)))
        };
        self.0.iter().map(seal).collect()
    }

    /// The files in the data of a Secret.
    ///
    /// # Errors
    /// If one is missing, or the key isn't the one that they were encrypted by.
    pub fn open(data: &Value, key: &CertificateKey) -> Result<Self> {
        let cipher = key.cipher()?;
        let open = |path: &'static str| {
            let name = name(path);
            let what = || format!("decrypt {name}");
            let text = data[name]
                .as_str()
                .ok_or_else(|| Failure::new(what(), "it isn't in the Secret"))?;
            let mut whole = BASE64_STANDARD.decode(text).or_fail(what)?;
            if whole.len() < NONCE_LEN {
                return Err(Failure::new(what(), "it is too short"));
            }
            let mut sealed = whole.split_off(NONCE_LEN);
            let once = Nonce::try_assume_unique_for_key(&whole).or_fail(what)?;
            let plain = cipher
                .open_in_place(once, Aad::from(name.as_bytes()), &mut sealed)
                .map_err(|_| Failure::new(what(), "it was encrypted by another key"))?;
            Ok((name, plain.to_vec()))
        };
        let rotated = ROTATED.iter().copied();
        let rotated = rotated.filter(|path| data[name(path)].is_string());
        let all = FILES.iter().copied().chain(rotated);
        all.map(open).collect::<Result<_>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::SystemTime;

    use super::*;
    use crate::pki::Pki;

    /// A host that `init` has made, as far as its shared files go.
    pub(super) fn host() -> tempfile::TempDir {
        let etc = tempfile::tempdir().unwrap();
        let pki = Pki::new(&etc.path().join("pki"));
        pki.ensure(&[], SystemTime::now()).unwrap();
        encryption::ensure(&etc.path().join(encryption::FILE)).unwrap();
        let cluster = Cluster::at([10, 0, 0, 1].into());
        fs::write(etc.path().join(cluster::FILE), cluster.to_yaml()).unwrap();
        etc
    }

    #[test]
    fn files_arrive_as_they_were() {
        let (from, to) = (host(), tempfile::tempdir().unwrap());
        let key = CertificateKey::random().unwrap();
        let keys = SharedKeys::read(from.path()).unwrap();
        let data = Value::Object(keys.seal(&key).unwrap());
        let arrived = SharedKeys::open(&data, &key).unwrap();
        assert_eq!(arrived, keys);
        assert_eq!(arrived.cluster().unwrap().address.to_string(), "10.0.0.1");
        arrived.write(to.path()).unwrap();
        for path in FILES.iter().filter(|path| **path != cluster::FILE) {
            let (old, new) = (from.path().join(path), to.path().join(path));
            assert_eq!(fs::read(old).unwrap(), fs::read(&new).unwrap(), "{path}");
            let mode = fs::metadata(&new).unwrap().permissions().mode() & 0o777;
            let is_public = path.ends_with(".crt") || path.ends_with(".pub");
            assert_eq!(mode, if is_public { 0o644 } else { 0o600 }, "{path}");
        }
        assert!(!to.path().join(cluster::FILE).exists());
        // Nothing is made anew of what has come.
        let pki = Pki::new(&to.path().join("pki"));
        let said = pki.ensure(&[], SystemTime::now()).unwrap();
        assert!(said.ends_with("kept"), "{said}");
    }

    #[test]
    fn a_host_that_joins_while_a_ca_is_replaced_gets_the_keys_of_that_too() {
        use crate::rotation::material::{Kind, Material};
        use crate::rotation::steps::{Goal, next};

        let (from, to) = (host(), tempfile::tempdir().unwrap());
        let pki = |etc: &tempfile::TempDir| Pki::new(&etc.path().join("pki"));
        let (own, joined) = (pki(&from), pki(&to));
        let material = Material::new(&own, Kind::Ca);
        for goal in [Goal::Trust, Goal::Sign, Goal::Back] {
            while let Some((step, _)) = next(&material.state().unwrap(), goal) {
                material.apply(step, SystemTime::now()).unwrap();
            }
            let keys = SharedKeys::read(from.path()).unwrap();
            keys.write(to.path()).unwrap();
            let arrived = Material::new(&joined, Kind::Ca).state().unwrap();
            assert_eq!(arrived, material.state().unwrap(), "{goal:?}");
            for path in ROTATED.iter().filter(|path| to.path().join(path).exists()) {
                let file = fs::metadata(to.path().join(path)).unwrap();
                assert_eq!(file.permissions().mode() & 0o777, mode(path), "{path}");
            }
        }
    }

    #[test]
    fn nothing_is_readable_without_the_key_or_under_another_name() {
        let from = host();
        let key = CertificateKey::random().unwrap();
        let keys = SharedKeys::read(from.path()).unwrap();
        let mut data = Value::Object(keys.seal(&key).unwrap());
        for value in data.as_object().unwrap().values() {
            let bytes = BASE64_STANDARD.decode(value.as_str().unwrap()).unwrap();
            assert!(!String::from_utf8_lossy(&bytes).contains("BEGIN"));
        }
        let other = CertificateKey::random().unwrap();
        let failure = SharedKeys::open(&data, &other).unwrap_err();
        assert!(failure.why.contains("another key"), "{failure}");
        let swapped = data["etcd-ca.key"].take();
        data["ca.key"] = swapped;
        assert!(SharedKeys::open(&data, &key).is_err());
        assert_ne!(keys.seal(&key).unwrap(), keys.seal(&key).unwrap());
    }

    #[test]
    fn keys_are_64_hexadecimal_digits() {
        let key = CertificateKey::random().unwrap();
        let text = key.to_string();
        assert_eq!(text.parse::<CertificateKey>().unwrap(), key);
        assert!(!format!("{key:?}").contains(&text[..8]));
        let umlauts = "ä".repeat(32);
        let signed = "+1".repeat(32);
        for bad in [
            "",
            &text[1..],
            &format!("{}g", &text[1..]),
            &umlauts,
            &signed,
        ] {
            assert!(bad.parse::<CertificateKey>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_host_that_lacks_a_key_gives_none() {
        let from = host();
        fs::remove_file(from.path().join("pki/etcd-ca.key")).unwrap();
        let failure = SharedKeys::read(from.path()).unwrap_err();
        assert!(failure.what.contains("etcd-ca.key"), "{failure}");
    }
}
